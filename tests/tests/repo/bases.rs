//! What a tensor is compared with beside the first parent: a version that the user names, and what is
//! merged.

use mv_tests::{Sandbox, Weights, damage, edit, table};

/// A project with some code in it, and weights.
fn project() -> (Sandbox, Weights) {
    let sandbox = Sandbox::new();
    sandbox.write("train.py", "print(1)\n");
    sandbox.commit("code");
    (sandbox, Weights::new(2, 300, true, 1))
}

/// Writes a model and commits it; returns what was stored for a hundred of its bytes.
#[track_caller]
fn commit(sandbox: &Sandbox, path: &str, model: &[u8], more: &[&str]) -> u64 {
    sandbox.write(path, model);
    let done = sandbox.json(&[&["commit", "-m", "a model"], more].concat());
    done["stored_bytes"].as_u64().unwrap() * 100 / model.len() as u64
}

fn code(sandbox: &Sandbox, text: &str) {
    sandbox.write("train.py", text);
    sandbox.commit(text);
}

/// Stored alone, bf16 takes two thirds; what moved a little, a third.
const ALONE: std::ops::Range<u64> = 60..75;
const CLOSE: std::ops::Range<u64> = 5..45;

#[test]
fn a_base_that_is_named_comes_before_the_first_parent() {
    let (sandbox, mut model) = project();
    commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    sandbox.ok(&["tag", "pretrained"]);
    // What HEAD has is another model with the same tensors.
    let other = Weights::new(2, 300, true, 9);
    commit(&sandbox, "m.safetensors", &other.safetensors(), &[]);
    model.train(1);
    let alone = commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    assert!(ALONE.contains(&alone), "{alone}");
    sandbox.ok(&["undo"]);
    model.train(2);
    let based = commit(&sandbox, "m.safetensors", &model.safetensors(), &["--base", "pretrained"]);
    assert!(CLOSE.contains(&based), "{based}");
    sandbox.sound();
}

#[test]
fn a_base_that_is_named_and_resembles_nothing_leaves_the_first_parent() {
    let (sandbox, mut model) = project();
    let other = Weights::new(2, 300, true, 9);
    let rows = table(600_000, 3);
    sandbox.write("rows.csv", table(600_000, 8));
    commit(&sandbox, "m.safetensors", &other.safetensors(), &[]);
    sandbox.write("rows.csv", &rows);
    commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    model.train(1);
    let trained = commit(&sandbox, "m.safetensors", &model.safetensors(), &["--base", "HEAD~1"]);
    assert!(CLOSE.contains(&trained), "{trained}");
    let edited = commit(&sandbox, "rows.csv", &edit(&rows, 200, 4), &["--base", "HEAD~2"]);
    assert!((0..20).contains(&edited), "{edited}");
    sandbox.sound();
}

#[test]
fn the_tables_of_a_named_base_are_compared_with_as_well() {
    for (more, range) in [(&[][..], 40..60), (&["--base", "side"], 0..20)] {
        let (sandbox, _) = project();
        let rows = table(600_000, 3);
        sandbox.ok(&["checkout", "-b", "side"]);
        sandbox.write("data/rows.csv", &rows);
        sandbox.commit("a table");
        sandbox.ok(&["checkout", "main"]);
        let stored = commit(&sandbox, "data/rows.csv", &edit(&rows, 200, 4), more);
        assert!(range.contains(&stored), "{more:?} {stored}");
        sandbox.sound();
    }
}

#[test]
fn a_base_that_is_no_version_is_told_before_anything_is_stored() {
    let (sandbox, model) = project();
    sandbox.write("m.safetensors", model.safetensors());
    let packs = damage::packs(&sandbox.dot());
    let told = sandbox.mv(&["commit", "-m", "x", "--base", "nothing"]).clean_fail(2);
    assert_eq!(told.stderr, sandbox.mv(&["show", "nothing"]).clean_fail(2).stderr);
    let told = sandbox.mv(&["--json", "commit", "-m", "x", "--base", "nothing"]).expect(2);
    assert!(told.stderr.contains("`nothing`"), "{}", told.stderr);
    sandbox.mv(&["commit", "-m", "x", "--base", "HEAD", "--fast"]).clean_fail(2);
    assert_eq!(damage::packs(&sandbox.dot()), packs);
    assert!(sandbox.json(&["commit", "-m", "x", "--base", "HEAD"])["id"].is_string());
}

#[test]
fn a_base_that_is_not_here_is_not_asked_for() {
    let (sandbox, mut model) = project();
    commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    sandbox.remove("m.safetensors");
    code(&sandbox, "print(2)\n");
    let remote = sandbox.outside().join("shared");
    sandbox.ok(&["remote", "add", "origin", remote.to_str().unwrap()]);
    sandbox.ok(&["push", "--all"]);
    let clone = Sandbox::bare();
    clone.ok(&["clone", remote.to_str().unwrap(), ".", "--depth", "1"]);
    std::fs::rename(&remote, sandbox.outside().join("away")).unwrap();
    model.train(1);
    let alone = commit(&clone, "m.safetensors", &model.safetensors(), &["--base", "HEAD~1"]);
    assert!(ALONE.contains(&alone), "{alone}");
}

#[test]
fn the_version_that_is_merged_is_compared_with() {
    let (sandbox, mut model) = project();
    commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    sandbox.ok(&["checkout", "-b", "side"]);
    model.train(1);
    commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    sandbox.ok(&["checkout", "main"]);
    sandbox.remove("m.safetensors");
    code(&sandbox, "print('without')\n");
    // One side has deleted what the other changed.
    let merge = sandbox.mv(&["merge", "side"]);
    assert_ne!(merge.code, 0, "{}", merge.stdout);
    model.train(2);
    let merged = commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    assert!(CLOSE.contains(&merged), "{merged}");
    sandbox.sound();
}
