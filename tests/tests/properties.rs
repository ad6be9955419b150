//! What fuzzers found, and what they begin with, held to the same promises: `docs/RELIABILITY.md`.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mv_properties::{Meter, TARGETS, Target, find, long_inputs, peak_of};

#[global_allocator]
static METER: Meter = Meter;

/// No input takes longer, by far, even without optimisation on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn names(folder: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files(&root().join(folder)).into_iter().map(stem).collect()
}

/// The corpus of a target, and the seeds that the program makes, in whatever form it makes them now.
fn inputs(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut paths = files(&root().join("fixtures/fuzz").join(target.name));
    if target.formats {
        paths.extend(files(&root().join("fixtures/formats")));
    }
    let stored =
        paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).unwrap()));
    let seeds = (target.seeds)().into_iter().enumerate();
    stored.chain(seeds.map(|(n, bytes)| (format!("seed {n}"), bytes))).collect()
}

#[test]
fn what_fuzzers_found_breaks_no_promise() {
    for target in TARGETS {
        for (name, bytes) in inputs(target) {
            let began = Instant::now();
            let outcome = std::panic::catch_unwind(|| (target.check)(&bytes));
            assert!(outcome.is_ok(), "{}: {name} breaks a promise", target.name);
            assert!(began.elapsed() < PATIENCE, "{}: {name} takes too long", target.name);
        }
    }
}

#[test]
fn what_fuzzers_found_cut_anywhere_breaks_no_promise() {
    for target in TARGETS {
        // What fuzzers found beside breaches (`found-…`) are such cuts already, in a way.
        let whole =
            |(name, bytes): &(String, Vec<u8>)| bytes.len() < 512 && !name.contains("found-");
        for (name, bytes) in inputs(target).into_iter().filter(whole) {
            for end in (0..bytes.len()).step_by(bytes.len() / 24 + 1) {
                let outcome = std::panic::catch_unwind(|| (target.check)(&bytes[..end]));
                assert!(outcome.is_ok(), "{}: {name} cut at {end}", target.name);
            }
        }
    }
}

#[test]
fn very_long_inputs_break_no_promise() {
    for input in long_inputs() {
        let (name, what) = (input.target, input.what);
        let began = Instant::now();
        let outcome = std::panic::catch_unwind(|| (find(name).unwrap().check)(&input.bytes));
        assert!(outcome.is_ok(), "{name}: very many {what} break a promise");
        assert!(began.elapsed() < PATIENCE, "{name}: very many {what} take too long");
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len());
    assert_eq!(names("tests/fuzz/fuzz_targets"), targets);
    assert_eq!(names("fixtures/fuzz"), targets);
    let manifest = fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).unwrap();
    for name in &targets {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
        let program = root().join("tests/fuzz/fuzz_targets").join(name).with_extension("rs");
        assert!(fs::read_to_string(program).unwrap().contains(&format!("(\"{name}\")")), "{name}");
    }
}

#[test]
fn the_allocator_counts() {
    let (held, peak) = peak_of(|| vec![1u8; 1 << 20].len());
    assert!(held == 1 << 20 && peak >= held);
}

/// Run by hand after a change of a format: `cargo test -p mv-tests --test properties -- --ignored`.
#[test]
#[ignore = "writes fixtures"]
fn write_the_seeds() {
    for target in TARGETS {
        let folder = root().join("fixtures/fuzz").join(target.name);
        fs::create_dir_all(&folder).unwrap();
        for (n, bytes) in (target.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{n:02}")), bytes).unwrap();
        }
    }
}
