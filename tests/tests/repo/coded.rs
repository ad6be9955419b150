//! Versions whose files are coded against one another: what takes the room, and what damage is told of.

use mv_tests::{Sandbox, Weights, damage, edit, table};
use serde_json::Value;

use super::repack::Story;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn sums(sandbox: &Sandbox) {
    let du = sandbox.json(&["du"]);
    for key in ["unique_bytes", "logical_bytes"] {
        let parts = du["by_component"].as_object().unwrap().values();
        assert_eq!(
            parts.map(|part| number(&part[key])).sum::<u64>(),
            number(&du[key]),
            "{key} {du}"
        );
        let versions = du["by_version"].as_array().unwrap().iter();
        assert_eq!(versions.map(|v| number(&v[key])).sum::<u64>(), number(&du[key]), "{key} {du}");
    }
    let raw = du["by_encoding"].as_object().unwrap().values().map(|e| number(&e["raw_bytes"]));
    assert_eq!(raw.sum::<u64>(), number(&du["unique_bytes"]), "{du}");
    let parts = du["by_component"].as_object().unwrap().values();
    assert!(parts.map(|p| number(&p["stored_bytes"])).sum::<u64>() <= number(&du["stored_bytes"]));
    assert_eq!(number(&du["versions"]) as usize, du["by_version"].as_array().unwrap().len());
}

#[test]
fn what_takes_the_room_adds_up_before_and_after_a_repack() {
    let story = Story::new(4);
    sums(&story.sandbox);
    let du = story.sandbox.json(&["du"]);
    assert!(du["by_encoding"]["delta"].is_object(), "{du}");
    story.sandbox.ok(&["tag", "v1.0.0"]);
    story.sandbox.ok(&["repack"]);
    sums(&story.sandbox);
    let shown = story.sandbox.ok(&["du", "--versions"]).stdout;
    for word in ["v1.0.0", "version 0", "version 3"] {
        assert!(shown.contains(word), "{shown}");
    }
}

#[test]
fn a_fast_commit_and_a_fast_component_are_coded_against_nothing() {
    let sandbox = Sandbox::new();
    let mut model = Weights::new(1, 300, true, 1);
    let mut coded = Vec::new();
    for n in 0..4 {
        sandbox.write("models/m.safetensors", model.safetensors());
        if n == 2 {
            let config = String::from_utf8(sandbox.read("mv.toml")).unwrap();
            sandbox.write("mv.toml", format!("{config}\n[storage]\nmodel = \"fast\"\n"));
        }
        let fast: &[&str] = if n == 1 { &["--fast"] } else { &[] };
        sandbox.ok(&[&["commit", "-m", "step"], fast].concat());
        coded.push(sandbox.json(&["du"])["by_encoding"]["delta"].is_object());
        model.train(n);
    }
    assert_eq!(coded, [false; 4]);
    sandbox.write("models/m.safetensors", model.safetensors());
    let config = String::from_utf8(sandbox.read("mv.toml")).unwrap();
    sandbox.write("mv.toml", config.replace("model = \"fast\"", "model = \"normal\""));
    sandbox.commit("normal");
    assert!(sandbox.json(&["du"])["by_encoding"]["delta"].is_object());
    sandbox.sound();
}

#[test]
fn tensors_of_a_model_are_found_under_a_new_path_whatever_its_ending() {
    for ending in ["pickle", "keras", "nemo", "state"] {
        let sandbox = Sandbox::new();
        let mut model = Weights::new(1, 300, true, 1);
        sandbox.write(format!("models/a.{ending}"), model.safetensors());
        sandbox.commit("first");
        model.train(1);
        sandbox.remove(format!("models/a.{ending}"));
        sandbox.write(format!("models/b.{ending}"), model.safetensors());
        let commit = sandbox.json(&["commit", "-m", "second"]);
        assert!(commit["by_encoding"]["delta"].is_object(), "{ending} {commit}");
    }
}

#[test]
fn the_nth_tensor_of_a_name_in_an_archive_is_compared_with_the_nth() {
    let sandbox = Sandbox::new();
    let mut samples: Vec<Weights> = (0..20).map(|n| Weights::new(1, 40, true, n)).collect();
    let tar = |samples: &[Weights]| {
        let files = samples.iter().enumerate();
        archive(files.map(|(n, sample)| (format!("{n}.safetensors"), sample.safetensors())))
    };
    sandbox.write("data/samples.tar", tar(&samples));
    sandbox.commit("first");
    samples.iter_mut().enumerate().for_each(|(n, sample)| sample.train(n as u64));
    sandbox.write("data/samples.tar", tar(&samples));
    let commit = sandbox.json(&["commit", "-m", "second"]);
    let numbers = 20 * 40 * 256 * 2;
    assert!(number(&commit["by_encoding"]["delta"]["raw_bytes"]) >= numbers, "{commit}");
    sandbox.sound();
}

/// A tar of these files.
fn archive(files: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend(header);
        tar.extend(&bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// The largest block of an encoding, in any pack.
fn block(sandbox: &Sandbox, encodings: &[u8]) -> (std::path::PathBuf, usize) {
    let packs = damage::packs(&sandbox.dot()).into_iter();
    let all =
        packs.flat_map(|pack| damage::blocks(&pack).into_iter().map(move |b| (pack.clone(), b)));
    let (pack, block) = all
        .filter(|(_, block)| encodings.contains(&block.encoding))
        .max_by_key(|(_, block)| block.len)
        .unwrap();
    (pack, block.offset + block.len / 2)
}

/// `version:path` of all problems of a full check.
fn told(sandbox: &Sandbox) -> Vec<String> {
    let report = sandbox.mv(&["--json", "fsck", "--full"]).expect(3).json();
    let problems = report["problems"].as_array().unwrap().iter();
    let paths = problems.flat_map(|problem| problem["paths"].as_array().unwrap());
    let mut paths: Vec<String> = paths.map(|path| path.as_str().unwrap().to_owned()).collect();
    paths.sort();
    paths.dedup();
    paths
}

const FLOAT: u8 = 4;
const DELTA: u8 = 5;

#[test]
fn a_flipped_bit_in_a_difference_and_in_its_base_is_told_of_and_brought_back() {
    for encodings in [&[DELTA][..], &[0, 1, 3, FLOAT]] {
        let sandbox = Sandbox::new();
        let mut model = Weights::new(1, 600, true, 1);
        let mut versions = Vec::new();
        for n in 0..3 {
            sandbox.write("models/m.safetensors", model.safetensors());
            versions.push((sandbox.commit(&format!("step {n}")), sandbox.files()));
            model.train(n);
        }
        let remote = sandbox.outside().join("shared");
        sandbox.ok(&["remote", "add", "origin", remote.to_str().unwrap()]);
        sandbox.ok(&["push"]);
        let (pack, at) = block(&sandbox, encodings);
        damage::flip(&pack, at, 3);
        let paths = told(&sandbox);
        let whole: Vec<usize> = (0..3)
            .filter(|n| {
                // What lies there already is not read.
                if sandbox.exists("models") {
                    sandbox.remove("models");
                }
                let out = sandbox.mv(&["checkout", "--force", &versions[*n].0]);
                out.printable();
                out.code == 0
            })
            .collect();
        for (n, (id, _)) in versions.iter().enumerate() {
            let named = paths.iter().any(|path| path.starts_with(&id[..8]));
            assert_eq!(named, !whole.contains(&n), "{encodings:?} {n} {paths:?} {whole:?}");
        }
        assert!(whole.len() < 3);
        if sandbox.exists("models") {
            sandbox.remove("models");
        }
        sandbox.ok(&["fsck", "--repair", "--full"]);
        super::repack::comes_out(&sandbox, &versions);
    }
}

/// The base of a version that only this repository has is brought back, and with it the version.
#[test]
fn what_was_not_pushed_is_read_again_when_its_base_is_brought_back() {
    let sandbox = Sandbox::new();
    let mut model = Weights::new(1, 600, true, 1);
    let mut versions = Vec::new();
    for n in 0..4 {
        sandbox.write("models/m.safetensors", model.safetensors());
        versions.push((sandbox.commit(&format!("step {n}")), sandbox.files()));
        if n == 0 {
            let remote = sandbox.outside().join("shared");
            sandbox.ok(&["remote", "add", "origin", remote.to_str().unwrap()]);
            sandbox.ok(&["push"]);
        }
        model.train(n);
    }
    let (pack, at) = block(&sandbox, &[0, 1, 3, FLOAT]);
    damage::flip(&pack, at, 3);
    assert!(told(&sandbox).len() > 1);
    sandbox.remove("models");
    sandbox.ok(&["fsck", "--repair", "--full"]);
    super::repack::comes_out(&sandbox, &versions);
}

/// Nobody has noticed the damage when the second version is stored.
#[test]
fn what_is_stored_beside_a_damaged_base_is_whole_when_the_base_is_mended() {
    let sandbox = Sandbox::new();
    let mut model = Weights::new(1, 600, true, 1);
    let mut rows = table(300_000, 1);
    let mut versions = Vec::new();
    for n in 0..2 {
        sandbox.write("models/m.safetensors", model.safetensors());
        sandbox.write("rows.csv", &rows);
        versions.push((sandbox.commit(&format!("step {n}")), sandbox.files()));
        if n == 0 {
            let remote = sandbox.outside().join("shared");
            sandbox.ok(&["remote", "add", "origin", remote.to_str().unwrap()]);
            sandbox.ok(&["push"]);
            let (pack, at) = block(&sandbox, &[0, 1, 3, FLOAT]);
            damage::flip(&pack, at, 3);
        }
        model.train(n);
        rows = edit(&rows, 500, n);
    }
    for path in ["models", "rows.csv"] {
        sandbox.remove(path);
    }
    sandbox.ok(&["fsck", "--repair", "--full"]);
    super::repack::comes_out(&sandbox, &versions);
}
