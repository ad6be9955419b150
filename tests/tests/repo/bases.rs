//! What a tensor is compared with when the first parent does not have it: a version that the user
//! names, what is merged, or the file in which any commit stored it last.

use mv_tests::{Sandbox, Weights, damage, edit, table};

use super::repack::comes_out;

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

fn index(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.dot().join("worktree/seen")
}

/// Stored alone, bf16 takes two thirds; what moved a little, a third.
const ALONE: std::ops::Range<u64> = 60..75;
const CLOSE: std::ops::Range<u64> = 5..45;

#[test]
fn a_model_that_was_deleted_and_is_back_three_versions_later_is_a_difference() {
    for path in ["models/m.safetensors", "models/other/name.safetensors"] {
        let (sandbox, mut model) = project();
        let alone = commit(&sandbox, "models/m.safetensors", &model.safetensors(), &[]);
        assert!(ALONE.contains(&alone), "{alone}");
        let first = (sandbox.json(&["status"])["head"].as_str().unwrap().into(), sandbox.files());
        sandbox.remove("models");
        (2..5).for_each(|n| code(&sandbox, &format!("print({n})\n")));
        model.train(1);
        let back = commit(&sandbox, path, &model.safetensors(), &[]);
        assert!(CLOSE.contains(&back), "{back}");
        comes_out(&sandbox, &[first]);
    }
}

#[test]
fn a_fine_tuned_model_on_a_branch_without_models_finds_the_one_of_another_branch() {
    let (sandbox, mut model) = project();
    sandbox.ok(&["checkout", "-b", "pretrained"]);
    commit(&sandbox, "models/base.safetensors", &model.safetensors(), &[]);
    let base = (sandbox.json(&["status"])["head"].as_str().unwrap().into(), sandbox.files());
    sandbox.ok(&["checkout", "main"]);
    code(&sandbox, "print('main')\n");
    sandbox.ok(&["checkout", "-b", "tuned"]);
    model.train(1);
    let tuned = commit(&sandbox, "tuned.safetensors", &model.safetensors(), &[]);
    assert!(CLOSE.contains(&tuned), "{tuned}");
    comes_out(&sandbox, &[base]);
}

#[test]
fn tensors_are_found_when_their_file_comes_back_in_shards() {
    let (sandbox, mut model) = project();
    commit(&sandbox, "models/all.safetensors", &model.safetensors(), &[]);
    sandbox.remove("models");
    code(&sandbox, "print(2)\n");
    model.train(1);
    // The second shard of what was one file.
    let shard = Weights { tensors: model.tensors.split_off(2), narrow: true };
    let back = commit(&sandbox, "shards/2-of-2.safetensors", &shard.safetensors(), &[]);
    assert!(CLOSE.contains(&back), "{back}");
    sandbox.sound();
}

#[test]
fn a_model_of_a_living_branch_is_found_after_a_gc_and_a_repack() {
    let (sandbox, mut model) = project();
    sandbox.ok(&["checkout", "-b", "pretrained"]);
    commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    sandbox.ok(&["checkout", "main"]);
    for upkeep in [&["gc", "--apply", "--grace", "0d"][..], &["repack"]] {
        sandbox.advance(365 * 24 * 3600);
        sandbox.ok(upkeep);
        model.train(1);
        let back = commit(&sandbox, "n.safetensors", &model.safetensors(), &[]);
        assert!(CLOSE.contains(&back), "{upkeep:?} {back}");
        sandbox.remove("n.safetensors");
        code(&sandbox, &format!("print({back}, {upkeep:?})\n"));
    }
    sandbox.sound();
}

#[test]
fn a_model_that_gc_removed_is_passed_over() {
    let (sandbox, mut model) = project();
    sandbox.ok(&["checkout", "-b", "side"]);
    commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    sandbox.ok(&["checkout", "main"]);
    sandbox.ok(&["branch", "-d", "side"]);
    for _ in 0..3 {
        sandbox.advance(365 * 24 * 3600);
        sandbox.ok(&["gc", "--apply", "--grace", "0d", "--keep-last", "1"]);
    }
    assert!(index(&sandbox).exists());
    model.train(1);
    let back = commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    assert!(ALONE.contains(&back), "{back}");
    sandbox.sound();
}

/// What only a difference needs stays for as long as the difference does.
#[test]
fn a_model_of_a_branch_that_goes_stays_as_long_as_others_are_coded_against_it() {
    let (sandbox, mut model) = project();
    sandbox.ok(&["checkout", "-b", "side"]);
    commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    sandbox.ok(&["checkout", "main"]);
    model.train(1);
    let back = commit(&sandbox, "n.safetensors", &model.safetensors(), &[]);
    assert!(CLOSE.contains(&back), "{back}");
    let version = (sandbox.json(&["status"])["head"].as_str().unwrap().into(), sandbox.files());
    sandbox.ok(&["branch", "-d", "side"]);
    for _ in 0..3 {
        sandbox.advance(365 * 24 * 3600);
        sandbox.ok(&["gc", "--apply", "--grace", "0d", "--keep-last", "1"]);
        comes_out(&sandbox, std::slice::from_ref(&version));
    }
    let remote = sandbox.outside().join("shared");
    sandbox.ok(&["remote", "add", "origin", remote.to_str().unwrap()]);
    sandbox.ok(&["push"]);
    let clone = Sandbox::bare();
    clone.ok(&["clone", remote.to_str().unwrap(), "."]);
    clone.files().assert_same(&version.1, "a clone");
    clone.sound();
}

#[test]
fn a_damaged_index_counts_as_empty_and_the_next_commit_begins_it_anew() {
    let damages: [fn(&std::path::Path); 5] = [
        |path| std::fs::remove_file(path).unwrap(),
        |path| damage::flip(path, 60, 3),
        |path| {
            let half = std::fs::read(path).unwrap();
            damage::overwrite(path, &half[..half.len() / 2]);
        },
        |path| damage::overwrite(path, &vec![b'x'; 6 << 20]),
        |path| {
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path).unwrap();
        },
    ];
    for (n, damage) in damages.iter().enumerate() {
        let (sandbox, mut model) = project();
        commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
        sandbox.remove("m.safetensors");
        code(&sandbox, "print(2)\n");
        damage(&index(&sandbox));
        // What was removed or cut off is what a power cut leaves.
        let fsck = sandbox.mv(&["fsck"]);
        assert_eq!(fsck.code, if n == 0 || n == 2 { 0 } else { 3 }, "{n} {}", fsck.stdout);
        assert_eq!(fsck.stdout.contains("worktree/seen"), fsck.code == 3, "{n} {}", fsck.stdout);
        model.train(1);
        let alone = commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
        assert!(ALONE.contains(&alone), "{n} {alone}");
        sandbox.remove("m.safetensors");
        code(&sandbox, "print(3)\n");
        model.train(2);
        let back = commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
        assert!(CLOSE.contains(&back), "{n} {back}");
        sandbox.sound();
    }
}

#[test]
fn an_index_that_lies_changes_no_file() {
    let (sandbox, mut model) = project();
    commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    sandbox.remove("m.safetensors");
    sandbox.commit("without");
    let good = std::fs::read(index(&sandbox)).unwrap();
    for (start, len) in [(0, 1), (3, 150_001), (u64::MAX, u64::MAX), (8, 7), (1 << 40, 1 << 40)] {
        let mut bad = good[..good.len() - 32].to_vec();
        // The first tensor of the only file.
        bad[76..84].copy_from_slice(&u64::to_le_bytes(start));
        bad[84..92].copy_from_slice(&u64::to_le_bytes(len));
        let check = mv_store::id_of(mv_store::Kind::Blob, &bad);
        bad.extend_from_slice(&check.0);
        damage::overwrite(&index(&sandbox), &bad);
        model.train(start ^ len);
        commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
        let files = sandbox.files();
        sandbox.remove("m.safetensors");
        sandbox.ok(&["checkout", "--force", "main"]);
        sandbox.files().assert_same(&files, &format!("{start} {len}"));
        sandbox.remove("m.safetensors");
        sandbox.commit("without");
    }
    sandbox.sound();
}

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
    std::fs::remove_file(index(&sandbox)).unwrap();
    model.train(2);
    let merged = commit(&sandbox, "m.safetensors", &model.safetensors(), &[]);
    assert!(CLOSE.contains(&merged), "{merged}");
    sandbox.sound();
}

#[test]
fn an_index_is_written_for_models_and_for_nothing_else() {
    let (sandbox, model) = project();
    sandbox.write("data/rows.csv", table(300_000, 3));
    sandbox.commit("a table");
    assert!(!index(&sandbox).exists());
    sandbox.write("m.safetensors", model.safetensors());
    sandbox.ok(&["commit", "--fast", "-m", "a model"]);
    // Two layers: the header, one file with two tensors, the check sum.
    assert_eq!(index(&sandbox).metadata().unwrap().len(), 24 + 36 + 2 * 32 + 32);
}
