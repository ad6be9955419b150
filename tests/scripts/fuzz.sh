#!/usr/bin/env bash
# Builds one fuzz target for coverage-guided fuzzing and runs it: fuzz.sh TARGET [SECONDS] [libFuzzer options]
#
# Needs nothing but Rust, stable, and a C++ compiler for libFuzzer. The corpus grows in
# target/fuzz/corpus/TARGET; what breaks a promise is left in target/fuzz/findings/TARGET, and belongs into
# fixtures/fuzz/TARGET once it is mended. FUZZ_BUILD_ONLY=1 builds all targets and runs none.
set -euo pipefail
cd "$(dirname "$0")/../.."

name="${1:?usage: fuzz.sh TARGET [SECONDS] [libFuzzer options]}"
seconds="${2:-60}"
shift $(($# > 2 ? 2 : $#))

# What `cargo fuzz` sets, without the sanitizer that only nightly has. `--target` keeps the counters out
# of build scripts and macros.
host="$(rustc -vV | sed -n 's/^host: //p')"
RUSTFLAGS="${RUSTFLAGS:-} -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
 -Cllvm-args=-sanitizer-coverage-trace-compares" \
    cargo build --release --quiet --locked --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz --target "$host" \
    $([ -n "${FUZZ_BUILD_ONLY:-}" ] && echo --bins || echo "--bin $name")
[ -z "${FUZZ_BUILD_ONLY:-}" ] || exit 0

corpus="target/fuzz/corpus/$name"
findings="target/fuzz/findings/$name"
mkdir -p "$corpus" "$findings"
TMPDIR="$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")")"
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

dictionary="tests/fuzz/dictionaries/$name"
seeds=("fixtures/fuzz/$name")
case "$name" in
    safetensors | npy | npz | gguf | onnx | torch | pickle | joblib | detect | parquet) seeds+=(fixtures/formats) ;;
esac
"target/fuzz/$host/release/$name" "$corpus" "${seeds[@]}" \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1 \
    -artifact_prefix="$findings/" $([ -f "$dictionary" ] && echo "-dict=$dictionary") "$@"
