//! Undo and redo of every operation that moves something.

use mv_tests::{Files, Sandbox, Weights, edit, table};
use serde_json::Value;

/// Refs and HEAD, as the commands show them.
fn refs(sandbox: &Sandbox) -> Value {
    let status = sandbox.json(&["status"]);
    let pick = |key: &str| status[key].clone();
    serde_json::json!({
        "branch": pick("branch"),
        "head": pick("head"),
        "branches": sandbox.json(&["branch"]),
        "tags": sandbox.json(&["tag"]),
    })
}

/// Two versions on `main`, the older tagged, a branch `side` at it with a file of its own.
fn story() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("train.py", "1");
    sandbox.write("data/x.csv", "a,b\n");
    sandbox.commit("first");
    sandbox.ok(&["tag", "v0.1.0"]);
    sandbox.ok(&["checkout", "-b", "side"]);
    sandbox.write("side.py", "side");
    sandbox.commit("on the side");
    sandbox.ok(&["checkout", "main"]);
    sandbox.write("train.py", "2");
    sandbox.commit("second");
    sandbox
}

#[test]
fn what_was_overwritten_and_came_back_is_committed_without_being_stored_again() {
    let sandbox = Sandbox::new();
    let mut model = Weights::new(2, 2000, true, 1);
    let mut rows = table(400_000, 2);
    sandbox.write("models/m.safetensors", model.safetensors());
    sandbox.write("data/rows.csv", &rows);
    sandbox.commit("first");
    model.train(1);
    rows = edit(&rows, 500, 1);
    sandbox.write("models/m.safetensors", model.safetensors());
    sandbox.write("data/rows.csv", &rows);
    let without = sandbox.duplicate();
    sandbox.ok(&["checkout", "--force", "HEAD"]);
    sandbox.ok(&["undo"]);
    let again = sandbox.json(&["commit", "-m", "second"]);
    assert!(again["stored_bytes"].as_u64().unwrap() < 10_000, "{again}");
    // It takes what it would have taken without the way there and back.
    without.commit("second");
    let stored = |sandbox: &Sandbox| sandbox.json(&["du"])["stored_bytes"].as_u64().unwrap();
    let (detour, straight) = (stored(&sandbox), stored(&without));
    assert!(detour < straight + 10_000, "{detour} {straight}");
    sandbox.sound();
}

/// Runs a command, undoes and redoes it, and holds refs and files to what they were.
#[track_caller]
fn there_and_back(sandbox: &Sandbox, args: &[&str]) {
    let (refs_before, files_before): (Value, Files) = (refs(sandbox), sandbox.files());
    sandbox.ok(args);
    let (refs_after, files_after) = (refs(sandbox), sandbox.files());
    sandbox.ok(&["undo"]);
    assert_eq!(refs(sandbox), refs_before, "undo of {args:?}");
    sandbox.files().assert_same(&files_before, &format!("undo of {args:?}"));
    sandbox.ok(&["redo"]);
    assert_eq!(refs(sandbox), refs_after, "redo of {args:?}");
    sandbox.files().assert_same(&files_after, &format!("redo of {args:?}"));
    sandbox.ok(&["undo"]);
    assert_eq!(refs(sandbox), refs_before, "second undo of {args:?}");
    sandbox.files().assert_same(&files_before, &format!("second undo of {args:?}"));
    sandbox.sound();
}

#[test]
fn a_commit_is_undone_and_the_files_stay() {
    let sandbox = story();
    sandbox.write("train.py", "3");
    there_and_back(&sandbox, &["commit", "-m", "third"]);
    there_and_back(&sandbox, &["commit", "-m", "third", "--tag", "v0.2.0"]);
    there_and_back(&sandbox, &["commit", "--amend", "-m", "instead"]);
}

#[test]
fn making_and_deleting_a_tag_is_undone() {
    let sandbox = story();
    there_and_back(&sandbox, &["tag", "v0.2.0", "-m", "why"]);
    there_and_back(&sandbox, &["tag", "plain"]);
    there_and_back(&sandbox, &["tag", "-d", "v0.1.0"]);
}

#[test]
fn making_renaming_and_deleting_a_branch_is_undone() {
    let sandbox = story();
    there_and_back(&sandbox, &["branch", "other"]);
    there_and_back(&sandbox, &["branch", "side", "-m", "renamed"]);
    there_and_back(&sandbox, &["branch", "-d", "side"]);
}

#[test]
fn a_checkout_is_undone_with_its_files() {
    let sandbox = story();
    there_and_back(&sandbox, &["checkout", "side"]);
    there_and_back(&sandbox, &["checkout", "v0.1.0"]);
    there_and_back(&sandbox, &["checkout", "-b", "new"]);
    there_and_back(&sandbox, &["checkout", "v0.1.0", "--", "train.py"]);
    there_and_back(&sandbox, &["checkout", "side", "--only", "code"]);
}

#[test]
fn uncommitted_work_that_a_checkout_carries_along_survives_its_undo() {
    let sandbox = story();
    sandbox.write("notes.md", "uncommitted");
    there_and_back(&sandbox, &["checkout", "side"]);
}

#[test]
fn what_a_forced_checkout_overwrote_comes_back() {
    let sandbox = story();
    sandbox.write("train.py", "uncommitted edit");
    sandbox.write("side.py", "untracked and in the way");
    there_and_back(&sandbox, &["checkout", "--force", "side"]);
}

#[test]
fn what_a_hard_reset_overwrote_comes_back() {
    let sandbox = story();
    sandbox.write("train.py", "uncommitted edit");
    sandbox.write("data/x.csv", "edited too");
    there_and_back(&sandbox, &["reset", "--hard", "HEAD~1"]);
    there_and_back(&sandbox, &["reset", "--hard", "side"]);
    there_and_back(&sandbox, &["reset", "HEAD~1"]);
}

#[test]
fn what_a_restore_overwrote_comes_back() {
    let sandbox = story();
    sandbox.write("train.py", "uncommitted edit");
    there_and_back(&sandbox, &["restore", "train.py"]);
    there_and_back(&sandbox, &["restore", "--from", "v0.1.0", "train.py"]);
}

#[test]
fn several_operations_are_undone_one_by_one_and_redone() {
    let sandbox = story();
    let mut seen = vec![(refs(&sandbox), sandbox.files())];
    let steps: [&[&str]; 4] =
        [&["tag", "x"], &["checkout", "side"], &["branch", "y"], &["checkout", "v0.1.0"]];
    for step in steps {
        sandbox.ok(step);
        seen.push((refs(&sandbox), sandbox.files()));
    }
    for (refs_before, files) in seen.iter().rev().skip(1) {
        sandbox.ok(&["undo"]);
        assert_eq!(refs(&sandbox), *refs_before);
        sandbox.files().assert_same(files, "undo");
    }
    for (refs_after, files) in &seen[1..] {
        sandbox.ok(&["redo"]);
        assert_eq!(refs(&sandbox), *refs_after);
        sandbox.files().assert_same(files, "redo");
    }
    sandbox.mv(&["redo"]).clean_fail(1);
}

#[test]
fn a_new_operation_ends_redo() {
    let sandbox = story();
    sandbox.ok(&["tag", "x"]);
    sandbox.ok(&["undo"]);
    sandbox.ok(&["tag", "y"]);
    sandbox.mv(&["redo"]).clean_fail(1);
    sandbox.ok(&["undo"]);
    assert_eq!(sandbox.json(&["tag"]).as_array().unwrap().len(), 1);
}

#[test]
fn an_undo_that_would_lose_uncommitted_work_is_refused() {
    let sandbox = story();
    sandbox.ok(&["checkout", "side"]);
    sandbox.write("side.py", "edited since");
    let before = sandbox.files();
    let output = sandbox.mv(&["undo"]).clean_fail(1);
    assert!(output.stderr.contains("side.py"), "{}", output.stderr);
    sandbox.files().assert_same(&before, "after the refusal");
}

#[test]
fn undo_in_a_new_repository_says_that_there_is_nothing() {
    let sandbox = Sandbox::new();
    sandbox.mv(&["undo"]).clean_fail(1);
    sandbox.mv(&["redo"]).clean_fail(1);
}

#[test]
fn upkeep_between_operations_does_not_get_in_the_way_of_undo() {
    let sandbox = story();
    let before = refs(&sandbox);
    sandbox.ok(&["tag", "x"]);
    sandbox.advance(100 * 24 * 3600);
    sandbox.ok(&["gc", "--apply"]);
    sandbox.ok(&["undo"]);
    assert_eq!(refs(&sandbox), before);
}

/// A checkout that fails in the middle has overwritten some files already: they must come back.
#[test]
fn work_that_a_failed_forced_checkout_overwrote_comes_back() {
    let sandbox = Sandbox::new();
    sandbox.write("a.txt", "a1");
    sandbox.write("b.bin", mv_tests::Random::new(1).bytes(300_000));
    sandbox.commit("first");
    sandbox.ok(&["checkout", "-b", "next"]);
    sandbox.write("a.txt", "a2");
    sandbox.write("b.bin", mv_tests::Random::new(2).bytes(300_000));
    sandbox.commit("second");
    sandbox.ok(&["checkout", "main"]);
    // The second version's large file is damaged; the edit of the small one is in the way.
    let hit = damage_blob_of(&sandbox, "next", "b.bin");
    assert!(hit, "nothing was damaged");
    sandbox.write("a.txt", "my uncommitted work");
    let output = sandbox.mv(&["checkout", "--force", "next"]).clean_fail(3);
    assert!(output.stderr.contains("b.bin"), "{}", output.stderr);
    sandbox.ok(&["undo"]);
    assert_eq!(sandbox.read("a.txt"), b"my uncommitted work");
}

/// Flips a byte in the middle of the pack that the last commit of a branch wrote.
fn damage_blob_of(sandbox: &Sandbox, _branch: &str, _path: &str) -> bool {
    let packs = mv_tests::damage::packs(&sandbox.dot());
    let newest = packs.iter().max_by_key(|p| p.metadata().unwrap().modified().unwrap()).unwrap();
    let len = newest.metadata().unwrap().len();
    if len < 200_000 {
        return false;
    }
    mv_tests::damage::flip(newest, 100_000, 3);
    true
}

#[test]
fn a_merge_is_undone_whether_it_moved_on_or_made_a_version() {
    let sandbox = story();
    there_and_back(&sandbox, &["merge", "side"]);
    there_and_back(&sandbox, &["merge", "side", "--no-ff", "-m", "why"]);
    sandbox.ok(&["checkout", "side"]);
    sandbox.ok(&["reset", "--hard", "v0.1.0"]);
    there_and_back(&sandbox, &["merge", "main"]);
}
