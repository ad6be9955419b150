# Recipes for working on mv. `just ci` is what CI runs.

default:
    @just --list

# Formatting, lints, documents
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Every test that needs no root and little time
test *filter:
    cargo test --workspace --locked {{filter}}

# The long tests: more seeds, more kills, every byte
test-slow:
    cargo test -p mv-tests --release --locked -- --ignored --nocapture

# The tests of remotes against real S3 servers; needs python3 and a package index
test-s3:
    sh tests/scripts/s3.sh

# Kill and power-cut sweeps on loop-mounted file systems; needs root, strace and mkfs
crash *args:
    cargo build --release --locked
    python3 tests/scripts/crashlab.py target/release/mver --most 1000 {{args}}
    python3 tests/scripts/fsync-errors.py target/release/mver
    sh tests/scripts/full-disk.sh

# Eight clones at once, then pushers, cloners and gcs at one remote, killed at random
soak minutes="10" *args:
    cargo build --release --locked
    python3 tests/scripts/races.py target/release/mver
    python3 tests/scripts/soak.py target/release/mver --minutes {{minutes}} {{args}}

# Reads repositories with an independent reader written from docs/FORMAT.md
format:
    cargo build --release --locked
    python3 tests/scripts/check_format.py target/release/mver

# Measures: `stored`, `micro`, `history`, `memory` or `compare` (mv-bench); else tests/scripts/bench.py
[group('bench')]
[positional-arguments]
bench *args:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release --locked
    case "${1:-}" in
    stored | micro | history | memory | compare)
        exec cargo run --release --locked --quiet -p mv-bench -- "$@"
        ;;
    esac
    cargo build --release --locked --example stat_walk -p mv-repo
    STAT_WALK=target/release/examples/stat_walk exec python3 tests/scripts/bench.py --mv target/release/mver "$@"

# Writes the generated documents
gen:
    cargo run --quiet --locked --bin mver -- completions --markdown > docs/CLI.md

# Licences, bans, sources
deny:
    cargo deny check licenses bans sources

# Exactly what CI runs
ci:
    .ci/run

# Runs the commands of docs/tutorial.md for real (python3, network) and keeps the results
tutorial:
    MV_TUTORIAL=record cargo test --locked -p mv-tests --test tutorial

# Fuzzes one decoder (tests/fuzz/fuzz_targets): coverage-guided, on stable Rust; needs a C++ compiler
fuzz target seconds="60" *options:
    tests/scripts/fuzz.sh {{target}} {{seconds}} {{options}}
