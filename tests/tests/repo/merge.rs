//! Merging: moving on, three ways, conflicts and their ends, renames, criss-cross histories, kills.

use mv_repo::Error;
use mv_repo::commit::CommitOptions;
use mv_repo::merge::{MergeOptions, merge};
use mv_store::{Kind, id_of};
use mv_tests::{Files, Sandbox};
use serde_json::Value;

use super::lab::Lab;

/// `main` and `side` with a version of their own each, after a common one; HEAD is on `main`.
fn forked(base: &[(&str, &str)], ours: &[(&str, &str)], theirs: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    let write = |files: &[(&str, &str)]| {
        for (path, text) in files {
            match *text {
                "-" => sandbox.remove(path),
                text => sandbox.write(path, text),
            }
        }
    };
    write(base);
    sandbox.commit("base");
    sandbox.ok(&["checkout", "-b", "side"]);
    write(theirs);
    sandbox.commit("theirs");
    sandbox.ok(&["checkout", "main"]);
    write(ours);
    sandbox.commit("ours");
    sandbox
}

fn text(sandbox: &Sandbox, path: &str) -> String {
    String::from_utf8(sandbox.read(path)).unwrap()
}

#[track_caller]
fn clean(sandbox: &Sandbox) {
    let status = sandbox.json(&["status"]);
    assert_eq!((&status["clean"], &status["unfinished"]), (&true.into(), &Value::Null), "{status}");
}

fn parents(sandbox: &Sandbox) -> usize {
    sandbox.json(&["show"])["parents"].as_array().unwrap().len()
}

#[track_caller]
fn conflicts(sandbox: &Sandbox, args: &[&str]) -> Vec<(String, String)> {
    let document = sandbox.mv(&[&["--json", "merge"], args].concat()).expect(1).json();
    assert_eq!(document["id"], Value::Null);
    let pair = |c: &Value| {
        (c["path"].as_str().unwrap().to_owned(), c["kind"].as_str().unwrap().to_owned())
    };
    document["conflicts"].as_array().unwrap().iter().map(pair).collect()
}

#[test]
fn a_branch_moves_on_where_it_can_and_an_old_version_is_up_to_date() {
    let sandbox = Sandbox::new();
    sandbox.write("a.py", "1");
    let first = sandbox.commit("first");
    sandbox.ok(&["checkout", "-b", "side"]);
    sandbox.write("a.py", "2");
    let second = sandbox.commit("second");
    sandbox.ok(&["checkout", "main"]);
    let done = sandbox.json(&["merge", "side"]);
    assert_eq!((&done["fast_forward"], &done["id"]), (&true.into(), &second.clone().into()));
    assert_eq!(sandbox.read("a.py"), b"2");
    assert_eq!(sandbox.json(&["status"])["branch"], "main");
    let done = sandbox.json(&["merge", "side"]);
    assert_eq!((&done["already_up_to_date"], &done["id"]), (&true.into(), &second.into()));
    let output = sandbox.ok(&["merge", &first]);
    assert!(output.stdout.contains("already up to date"), "{}", output.stdout);
    sandbox.ok(&["undo"]);
    assert_eq!((sandbox.read("a.py"), parents(&sandbox)), (b"1".to_vec(), 0));
    sandbox.ok(&["merge", "--no-ff", "-m", "a version of its own", "side"]);
    assert_eq!((sandbox.read("a.py"), parents(&sandbox)), (b"2".to_vec(), 2));
    clean(&sandbox);
}

#[test]
fn changes_of_both_sides_are_in_the_merged_version_with_params_and_metrics() {
    let sandbox = Sandbox::new();
    sandbox.write("a.py", "1\n2\n3\n4\n5\n");
    sandbox.ok(&[
        "commit", "-m", "base", "--param", "lr=1", "--param", "depth=3", "--metric", "auc=0.5",
    ]);
    sandbox.ok(&["checkout", "-b", "side"]);
    sandbox.write("a.py", "1\n2\n3\n4\nfive\n");
    sandbox.write("data/new.csv", "x\n");
    sandbox.ok(&[
        "commit", "-m", "theirs", "--param", "lr=1", "--param", "depth=4", "--metric", "auc=0.7",
    ]);
    sandbox.ok(&["checkout", "main"]);
    sandbox.write("a.py", "one\n2\n3\n4\n5\n");
    sandbox.ok(&[
        "commit", "-m", "ours", "--param", "lr=2", "--param", "depth=3", "--metric", "auc=0.6",
    ]);
    sandbox.write("untouched.py", "work in progress");
    let done = sandbox.json(&["merge", "side"]);
    assert_eq!(done["merged"], serde_json::json!(["a.py"]));
    assert_eq!(
        (&done["fast_forward"], &done["conflicts"]),
        (&false.into(), &serde_json::json!([]))
    );
    assert_eq!(text(&sandbox, "a.py"), "one\n2\n3\n4\nfive\n");
    assert_eq!(text(&sandbox, "untouched.py"), "work in progress");
    let shown = sandbox.json(&["show"]);
    assert_eq!((&shown["id"], &shown["message"]), (&done["id"], &"merge branch 'side'".into()));
    assert_eq!(parents(&sandbox), 2);
    let params = &shown["params"];
    assert_eq!((&params["lr"], &params["depth"]), (&2.into(), &4.into()), "{params}");
    assert_eq!(shown["metrics"]["auc"], 0.6);
    sandbox.remove("untouched.py");
    clean(&sandbox);
    sandbox.sound();
}

#[test]
fn a_detached_head_can_merge_too() {
    let sandbox = forked(&[("a", "1")], &[("b", "2")], &[("c", "3")]);
    let here = sandbox.json(&["show"])["id"].as_str().unwrap().to_owned();
    sandbox.ok(&["checkout", &here]);
    let done = sandbox.json(&["merge", "side"]);
    assert_eq!(done["branch"], Value::Null);
    assert_eq!(sandbox.json(&["status"])["head"], done["id"]);
    assert_eq!(text(&sandbox, "c"), "3");
}

#[test]
fn versions_without_common_history_are_merged_only_when_asked() {
    let sandbox = forked(&[("a", "1\n")], &[("b", "2")], &[("c", "3")]);
    // The first version anew, without a parent: nothing is shared.
    let first = sandbox.json(&["log"])[1]["id"].as_str().unwrap().to_owned();
    sandbox.ok(&["checkout", "-b", "other", &first]);
    sandbox.ok(&["commit", "--amend", "-m", "another beginning"]);
    let output = sandbox.mv(&["merge", "main"]).clean_fail(1);
    assert!(output.stderr.contains("no history in common"), "{}", output.stderr);
    assert!(output.stderr.contains("--allow-unrelated"), "{}", output.stderr);
    sandbox.ok(&["merge", "--allow-unrelated", "main"]);
    assert_eq!((text(&sandbox, "b"), parents(&sandbox)), ("2".into(), 2));
}

#[test]
fn a_conflict_waits_is_solved_and_committed_and_undone() {
    let sandbox = forked(
        &[("t.py", "1\n2\n3\n"), ("w.bin", "\0base"), ("gone", "x")],
        &[("t.py", "1\nours\n3\n"), ("w.bin", "\0ours"), ("gone", "-")],
        &[("t.py", "1\ntheirs\n3\n"), ("w.bin", "\0theirs"), ("gone", "changed"), ("new", "n")],
    );
    let head = sandbox.json(&["status"])["head"].clone();
    let before = sandbox.files();
    let output = sandbox.mv(&["merge", "side"]).expect(1);
    for path in ["t.py", "w.bin", "gone"] {
        assert!(output.stdout.contains(path), "{}", output.stdout);
    }
    assert!(output.stderr.contains("mver merge --abort"), "{}", output.stderr);
    assert_eq!(text(&sandbox, "t.py"), "1\n<<<<<<< main\nours\n=======\ntheirs\n>>>>>>> side\n3\n");
    assert_eq!(sandbox.read("w.bin"), b"\0ours");
    assert_eq!((text(&sandbox, "gone"), text(&sandbox, "new")), ("changed".into(), "n".into()));

    let status = sandbox.json(&["status"]);
    assert_eq!(status["head"], head);
    assert_eq!(status["unfinished"], "merge of side: 3 conflicts left");
    assert_eq!(status["conflicts"].as_array().unwrap().len(), 3);
    for args in [
        &["commit"][..],
        &["commit", "-m", "no"],
        &["checkout", "side"],
        &["reset", "side"],
        &["merge", "side"],
        &["undo"],
    ] {
        let output = sandbox.mv(args).clean_fail(1);
        assert!(output.stderr.contains("the merge of `side` is not finished"), "{args:?}");
    }

    // Nothing is decided by touching a text while the markers are in it.
    sandbox.write("t.py", text(&sandbox, "t.py").replace("ours", "both"));
    sandbox.ok(&["merge", "--theirs", "--", "w.bin"]);
    assert_eq!(sandbox.read("w.bin"), b"\0theirs");
    sandbox.ok(&["undo"]);
    assert_eq!(sandbox.read("w.bin"), b"\0ours");
    assert_eq!(sandbox.json(&["status"])["unfinished"], "merge of side: 3 conflicts left");
    sandbox.mv(&["undo"]).clean_fail(1);
    sandbox.ok(&["redo"]);
    assert_eq!(sandbox.json(&["status"])["unfinished"], "merge of side: 2 conflicts left");
    sandbox.ok(&["merge", "--ours", "--", "gone"]);
    assert!(!sandbox.exists("gone"));
    let output = sandbox.mv(&["--json", "commit"]).expect(1);
    assert_eq!(output.json()["error"]["items"], serde_json::json!(["t.py"]));
    let output = sandbox.mv(&["merge", "--ours", "--", "new"]).clean_fail(2);
    assert!(output.stderr.contains("no conflict"), "{}", output.stderr);

    sandbox.write("t.py", "1\nboth\n3\n");
    let status = sandbox.ok(&["status"]);
    assert!(status.stdout.contains("all conflicts are decided"), "{}", status.stdout);
    let refused = sandbox.mv(&["commit", "-m", "some", "t.py"]).clean_fail(2);
    assert!(refused.stderr.contains("whole"), "{}", refused.stderr);
    let output = sandbox.ok(&["commit"]);
    assert!(output.stdout.contains("] merge branch 'side'"), "{}", output.stdout);
    assert_eq!(parents(&sandbox), 2);
    assert_eq!(sandbox.json(&["show"])["message"], "merge branch 'side'");
    clean(&sandbox);
    let merged = sandbox.files();

    // The commit is undone, and still is a merge when it is made again.
    sandbox.ok(&["undo"]);
    assert_eq!(sandbox.json(&["status"])["head"], head);
    merged.assert_same(&sandbox.files(), "undo of a commit leaves the files");
    sandbox.ok(&["redo"]);
    clean(&sandbox);
    sandbox.ok(&["undo"]);
    sandbox.ok(&["commit", "-m", "again"]);
    assert_eq!(parents(&sandbox), 2);
    sandbox.ok(&["undo"]);
    sandbox.ok(&["merge", "--abort"]);
    before.assert_same(&sandbox.files(), "before the merge");
    clean(&sandbox);
    sandbox.sound();
}

#[test]
fn going_back_keeps_what_was_edited_for_undo() {
    let sandbox = forked(
        &[("t.py", "1\n")],
        &[("t.py", "ours\n")],
        &[("t.py", "theirs\n"), ("dir/added", "theirs"), ("dir/plain", "theirs")],
    );
    let before = sandbox.files();
    sandbox.mv(&["merge", "side"]).expect(1);
    sandbox.write("t.py", "hours of work\n");
    sandbox.write("dir/added", "edited");
    sandbox.write("mine", "new");
    sandbox.ok(&["merge", "--abort"]);
    assert_eq!(text(&sandbox, "mine"), "new");
    sandbox.remove("mine");
    before.assert_same(&sandbox.files(), "after going back");
    clean(&sandbox);
    sandbox.ok(&["undo"]);
    assert_eq!(text(&sandbox, "t.py"), "hours of work\n");
    assert_eq!(text(&sandbox, "dir/added"), "edited");
    sandbox.ok(&["redo"]);
    before.assert_same(&sandbox.files(), "after redo");
    let output = sandbox.mv(&["merge", "--abort"]).clean_fail(1);
    assert!(output.stderr.contains("no unfinished merge"), "{}", output.stderr);
}

#[test]
fn undoing_a_side_that_was_taken_leaves_the_rest_of_the_merge_alone() {
    let sandbox = forked(
        &[("a.py", "0\n"), ("b.py", "0\n"), ("gone.py", "0\n")],
        &[("a.py", "1\n"), ("b.py", "1\n")],
        &[("a.py", "2\n"), ("b.py", "2\n"), ("gone.py", "-"), ("new.py", "2\n")],
    );
    conflicts(&sandbox, &["side"]);
    let waiting = sandbox.files();
    sandbox.ok(&["merge", "--theirs", "--", "a.py"]);
    let taken = sandbox.files();
    sandbox.ok(&["undo"]);
    waiting.assert_same(&sandbox.files(), "what the merge deleted does not come back");
    sandbox.ok(&["redo"]);
    taken.assert_same(&sandbox.files(), "nor does it with a redo");
    sandbox.ok(&["merge", "--theirs", "--", "b.py"]);
    sandbox.ok(&["commit"]);
    assert!(!sandbox.exists("gone.py") && sandbox.exists("new.py"));
    assert_eq!((parents(&sandbox), text(&sandbox, "a.py")), (2, "2\n".into()));
}

#[test]
fn values_that_one_side_changed_are_merged_alike_with_and_without_conflicts() {
    let sandbox = Sandbox::new();
    let version = |text: &str, lr: &str| {
        sandbox.write("a.py", text);
        sandbox.ok(&["commit", "-m", lr, "--param", lr]);
    };
    version("0\n", "lr=1");
    sandbox.ok(&["checkout", "-b", "side"]);
    version("2\n", "lr=2");
    sandbox.ok(&["checkout", "main"]);
    version("1\n", "lr=1");
    conflicts(&sandbox, &["side"]);
    sandbox.write("a.py", "3\n");
    sandbox.ok(&["commit"]);
    assert_eq!(sandbox.json(&["show"])["params"], serde_json::json!({ "lr": 2 }));
}

#[test]
fn a_merge_that_is_over_does_not_come_back_with_head() {
    let sandbox = forked(&[("a.py", "0\n")], &[("a.py", "1\n")], &[("a.py", "2\n")]);
    conflicts(&sandbox, &["side"]);
    sandbox.write("a.py", "3\n");
    sandbox.ok(&["commit"]);
    sandbox.ok(&["undo"]);
    sandbox.ok(&["redo"]);
    assert_eq!(parents(&sandbox), 2);
    sandbox.ok(&["reset", "HEAD~1"]);
    assert_eq!(sandbox.json(&["status"])["unfinished"], Value::Null);
    sandbox.commit("on its own");
    assert_eq!(parents(&sandbox), 1);
}

#[test]
fn forced_ways_out_leave_no_merge_behind() {
    for args in [
        &["checkout", "--force", "HEAD"][..],
        &["checkout", "--force", "side"],
        &["reset", "--hard", "HEAD"],
    ] {
        let sandbox = forked(
            &[("t.py", "1\n")],
            &[("t.py", "ours\n")],
            &[("t.py", "theirs\n"), ("added", "theirs")],
        );
        sandbox.mv(&["merge", "side"]).expect(1);
        sandbox.ok(args);
        clean(&sandbox);
        assert_eq!(sandbox.exists("added"), args.contains(&"side"), "{args:?}");
        sandbox.sound();
    }
}

#[test]
fn a_merge_with_conflicts_needs_all_tracked_files_committed() {
    let sandbox = forked(
        &[("t.py", "1\n"), ("other", "1")],
        &[("t.py", "ours\n")],
        &[("t.py", "theirs\n"), ("new", "theirs")],
    );
    sandbox.write("other", "work");
    sandbox.write("new", "untracked");
    sandbox.write("free", "untracked, and in nobody's way");
    let before = sandbox.files();
    let output = sandbox.mv(&["--json", "merge", "side"]).expect(1).json();
    assert_eq!(output["error"]["code"], "would_lose_work");
    assert_eq!(output["error"]["items"], serde_json::json!(["new", "other"]));
    before.assert_same(&sandbox.files(), "after the refusal");
    assert_eq!(sandbox.json(&["status"])["unfinished"], Value::Null);
}

#[test]
fn a_favoured_side_decides_only_what_both_changed() {
    let files = |middle: &str, rest: &str| format!("{rest}\n2\n{middle}\n4\n5\n");
    for (flag, want) in [("--ours", "ours"), ("--theirs", "theirs")] {
        let sandbox = forked(
            &[("t.py", &files("3", "1")), ("w", "\0b")],
            &[("t.py", &files("ours", "first")), ("w", "\0ours")],
            &[("t.py", &(files("theirs", "1") + "last\n")), ("w", "\0theirs")],
        );
        let done = sandbox.json(&["merge", "side", flag]);
        assert_eq!(done["conflicts"], serde_json::json!([]));
        assert_eq!(text(&sandbox, "t.py"), files(want, "first") + "last\n");
        assert_eq!(text(&sandbox, "w"), format!("\0{want}"));
        assert_eq!(parents(&sandbox), 2);
        clean(&sandbox);
    }
}

#[test]
fn what_one_side_renamed_and_the_other_changed_is_both() {
    let long: String = (0..20).map(|n| format!("line {n}\n")).collect();
    let changed = long.replace("line 3\n", "line three\n");
    let also = long.replace("line 15\n", "line fifteen\n");
    let both = changed.replace("line 15\n", "line fifteen\n");
    let sandbox = forked(
        &[("a.py", &long), ("b.py", &long.replace("line", "row"))],
        &[("a.py", "-"), ("lib/a.py", &changed), ("b.py", &also.replace("line", "row"))],
        &[("a.py", &also), ("b.py", "-"), ("lib/b.py", &changed.replace("line", "row"))],
    );
    let done = sandbox.json(&["merge", "side"]);
    assert_eq!(done["merged"], serde_json::json!(["lib/a.py", "lib/b.py"]));
    assert_eq!(text(&sandbox, "lib/a.py"), both);
    assert_eq!(text(&sandbox, "lib/b.py"), both.replace("line", "row"));
    assert!(!sandbox.exists("a.py") && !sandbox.exists("b.py"));
    clean(&sandbox);
    sandbox.ok(&["undo"]);
    assert_eq!(text(&sandbox, "b.py"), also.replace("line", "row"));
    clean(&sandbox);
}

#[test]
fn renames_that_contradict_each_other_are_conflicts() {
    let text_of = |word: &str| (0..20).map(|n| format!("{word} {n}\n")).collect::<String>();
    let (a, b, c) = (text_of("a"), text_of("b"), text_of("c"));
    let sandbox = forked(
        &[("a", &a), ("b", &b), ("c", &c)],
        &[("a", "-"), ("a.ours", &a), ("b", "-"), ("b.ours", &b), ("c", "-"), ("taken", &c)],
        &[
            ("a", "-"),
            ("a.theirs", &a),
            ("b", "-"),
            ("c", &(c.clone() + "more\n")),
            ("taken", "another\n"),
        ],
    );
    let before = sandbox.files();
    let found = conflicts(&sandbox, &["side"]);
    let expected = [
        ("a.theirs", "rename-rename"),
        ("b.ours", "rename-delete"),
        ("c", "deleted-by-ours"),
        ("taken", "both-added"),
    ];
    assert_eq!(found, expected.map(|(p, k)| (p.to_owned(), k.to_owned())));
    assert_eq!((text(&sandbox, "a.ours"), sandbox.exists("a.theirs")), (a.clone(), false));
    sandbox.ok(&["merge", "--theirs", "--", "a.theirs", "b.ours"]);
    assert_eq!((text(&sandbox, "a.theirs"), sandbox.exists("b.ours")), (a, false));
    sandbox.ok(&["merge", "--abort"]);
    before.assert_same(&sandbox.files(), "after going back");
}

#[test]
fn a_file_against_a_directory_is_decided_for_either() {
    for (ours, theirs) in [("f", "d"), ("d", "f")] {
        let at = |side: &str| if side == "f" { ("x", "file") } else { ("x/y", "inside") };
        let sandbox = forked(&[("a", "1")], &[at(ours)], &[at(theirs)]);
        assert_eq!(conflicts(&sandbox, &["side"]), [("x".to_owned(), "file-directory".to_owned())]);
        assert_eq!(text(&sandbox, at(ours).0), at(ours).1);
        let mine = sandbox.files();
        sandbox.ok(&["merge", "--theirs", "--", "x"]);
        assert_eq!(text(&sandbox, at(theirs).0), at(theirs).1);
        sandbox.ok(&["merge", "--ours", "--", "x"]);
        mine.assert_same(&sandbox.files(), "back to ours");
        sandbox.ok(&["merge", "--theirs", "--", "."]);
        sandbox.ok(&["commit"]);
        assert_eq!((text(&sandbox, at(theirs).0), parents(&sandbox)), (at(theirs).1.into(), 2));
        clean(&sandbox);
    }
}

#[test]
fn criss_cross_histories_merge_on_the_merge_of_their_bases() {
    let lines = |first: &str, last: &str| format!("{first}\n2\n3\n4\n5\n6\n{last}\n");
    let sandbox = forked(
        &[("t", &lines("1", "7")), ("w", "\0")],
        &[("t", &lines("one", "7"))],
        &[("t", &lines("1", "seven"))],
    );
    let ours = sandbox.json(&["show", "main"])["id"].as_str().unwrap().to_owned();
    sandbox.ok(&["merge", "side"]);
    sandbox.ok(&["checkout", "side"]);
    sandbox.ok(&["merge", &ours]);
    sandbox.write("t", lines("one", "SEVEN"));
    sandbox.commit("theirs again");
    sandbox.ok(&["checkout", "main"]);
    sandbox.write("t", lines("ONE", "seven"));
    sandbox.commit("ours again");
    sandbox.ok(&["merge", "side"]);
    assert_eq!(text(&sandbox, "t"), lines("ONE", "SEVEN"));
    clean(&sandbox);
    sandbox.sound();
}

#[test]
fn criss_cross_histories_of_many_files_merge_each_of_them() {
    let sandbox = Sandbox::new();
    let write = |from: &str, to: &str| {
        for n in 0..300 {
            let path = format!("f{n:04}");
            let text = if from.is_empty() { "1\n2\n3\n".into() } else { text(&sandbox, &path) };
            sandbox.write(&path, text.replace(from, to));
        }
    };
    (0..300).for_each(|n| sandbox.write(format!("f{n:04}"), "1\n2\n3\n4\n5\n"));
    sandbox.commit("base");
    sandbox.ok(&["checkout", "-b", "side"]);
    write("1", "one");
    sandbox.commit("theirs");
    sandbox.ok(&["checkout", "main"]);
    write("5", "five");
    let ours = sandbox.commit("ours");
    sandbox.ok(&["merge", "side"]);
    sandbox.ok(&["checkout", "side"]);
    sandbox.ok(&["merge", &ours]);
    sandbox.write("x", "x");
    sandbox.commit("x");
    sandbox.ok(&["checkout", "main"]);
    sandbox.write("y", "y");
    sandbox.commit("y");
    sandbox.ok(&["merge", "side"]);
    for n in 0..300 {
        assert_eq!(text(&sandbox, &format!("f{n:04}")), "one\n2\n3\n4\nfive\n");
    }
    clean(&sandbox);
}

#[test]
fn components_follow_the_merged_rules() {
    let rules = |models: &str| {
        format!(
            "[project]\nname = \"m\"\n\n[[component]]\nname = \"model\"\npatterns = [{models}]\n"
        )
    };
    let sandbox = forked(
        &[("mv.toml", &rules("\"*.bin\"")), ("old.w", "1")],
        &[("new.w", "2")],
        &[("mv.toml", &rules("\"*.bin\", \"*.w\""))],
    );
    sandbox.ok(&["merge", "side"]);
    clean(&sandbox);
    let listed = sandbox.json(&["ls"]);
    for file in listed.as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let want = if path.ends_with(".w") { "model" } else { "code" };
        assert_eq!(file["component"], want, "{path}");
    }
    sandbox.sound();
}

#[test]
fn a_conflict_in_the_rules_leaves_rules_that_can_be_read() {
    let rules = |name: &str| format!("[project]\nname = \"{name}\"\n");
    let sandbox = forked(
        &[("mv.toml", &rules("base"))],
        &[("mv.toml", &rules("ours"))],
        &[("mv.toml", &rules("theirs"))],
    );
    assert_eq!(conflicts(&sandbox, &["side"]), [("mv.toml".to_owned(), "text".to_owned())]);
    assert_eq!(text(&sandbox, "mv.toml"), rules("ours"));
    assert_eq!(sandbox.json(&["status"])["unfinished"], "merge of side: 1 conflict left");
    sandbox.ok(&["merge", "--theirs", "--", "mv.toml"]);
    sandbox.ok(&["commit"]);
    assert_eq!(text(&sandbox, "mv.toml"), rules("theirs"));
    clean(&sandbox);
}

#[test]
fn names_that_could_drive_a_terminal_are_escaped_everywhere() {
    let path = "a\u{1b}[31m\n.txt";
    let sandbox = forked(&[(path, "1\n")], &[(path, "ours\n")], &[(path, "théirs\n")]);
    sandbox.ok(&["branch", "zweig-äöü", "side"]);
    let output = sandbox.mv(&["merge", "zweig-äöü"]).expect(1);
    output.printable();
    assert!(output.stdout.contains("a\\x1b[31m\\n.txt"), "{}", output.stdout);
    assert!(text(&sandbox, path).contains(">>>>>>> zweig-äöü\n"));
    sandbox.mv(&["status"]).expect(0).printable();
    sandbox.mv(&["commit"]).clean_fail(1);
    sandbox.write(path, "solved\n");
    sandbox.ok(&["commit"]);
    clean(&sandbox);
}

#[test]
fn a_damaged_note_of_a_merge_never_passes_for_a_finished_one() {
    let sandbox = forked(&[("t", "1\n")], &[("t", "o\n")], &[("t", "t\n"), ("u", "u")]);
    let before = sandbox.files();
    sandbox.mv(&["merge", "side"]).expect(1);
    let note = sandbox.root().join(".mv/worktree/merge");
    let mut bytes = std::fs::read(&note).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&note, bytes).unwrap();
    assert_ne!(sandbox.json(&["status"])["unfinished"], Value::Null);
    sandbox.mv(&["commit", "-m", "no"]).clean_fail(1);
    sandbox.mv(&["fsck"]).expect(3);
    sandbox.ok(&["merge", "--abort"]);
    assert_eq!(sandbox.json(&["status"])["unfinished"], Value::Null);
    assert_eq!(sandbox.read("t"), b"o\n");
    // What the merge had added is not known any more; it stays as a new file.
    sandbox.remove("u");
    before.assert_same(&sandbox.files(), "after going back");
}

#[test]
fn a_file_that_a_merge_added_and_a_power_cut_emptied_is_not_committed() {
    let mut lab = Lab::new();
    lab.sandbox.write("t", "1\n");
    lab.commit("base");
    lab.checkout_new("side").unwrap();
    lab.sandbox.write("t", "theirs\n");
    lab.sandbox.write("added", "theirs");
    lab.commit("theirs");
    lab.checkout("main", false).unwrap();
    lab.sandbox.write("t", "ours\n");
    lab.commit("ours");
    let (repo, session) = lab.open();
    let options = MergeOptions { rev: "side".into(), ..MergeOptions::default() };
    assert_eq!(merge(&repo, &options, &session).unwrap().conflicts.len(), 1);
    lab.sandbox.write("t", "solved\n");
    lab.sandbox.write("added", "");
    let (repo, mut session) = lab.open();
    session.boot_id = "another boot".into();
    let message = Some("no".to_owned());
    let options = CommitOptions { message, ..CommitOptions::default() };
    let refused = mv_repo::commit::commit(&repo, &options, &session).unwrap_err();
    assert!(matches!(refused, Error::Unfinished { .. }), "{refused:?}");
    lab.sandbox.write("added", "theirs");
    mv_repo::commit::commit(&repo, &options, &session).unwrap();
}

/// The state in which a merge is found that was killed after putting `k` files in place.
fn cut_off(whole: &Sandbox, before: &Files, k: usize, with_note: bool) -> Sandbox {
    let copy = whole.duplicate();
    let after = whole.files();
    let differing: Vec<_> = before
        .0
        .keys()
        .chain(after.0.keys())
        .filter(|name| before.0.get(*name) != after.0.get(*name))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    for name in differing.into_iter().skip(k) {
        let path = std::str::from_utf8(name).unwrap();
        if after.0.contains_key(name) {
            copy.remove(path);
        }
        // A kill leaves the directory that was made for a file: `added` stays.
        if let Some(node) = before.0.get(name) {
            mv_tests::write_node(&copy.root().join(path), node);
        }
    }
    let mark = copy.root().join(".mv/worktree/checkout");
    let text = std::fs::read_to_string(&mark).unwrap();
    let lines = text.split_once("check ").unwrap().0.replace("done yes", "done no");
    let check = id_of(Kind::Blob, lines.as_bytes());
    std::fs::write(&mark, format!("{lines}check {check}\n")).unwrap();
    if !with_note {
        std::fs::remove_file(copy.root().join(".mv/worktree/merge")).unwrap();
    }
    // What the cache knew of the files is not to be relied on.
    std::fs::remove_file(copy.root().join(".mv/worktree/stat")).unwrap();
    copy
}

#[test]
fn a_merge_with_conflicts_killed_at_any_file_is_named_and_left_by_three_ways() {
    let sandbox = forked(
        &[("t", "1\n"), ("gone", "x"), ("changed", "1")],
        &[("t", "ours\n")],
        &[("t", "theirs\n"), ("gone", "-"), ("changed", "2"), ("added/n", "n")],
    );
    let before = sandbox.files();
    sandbox.mv(&["merge", "side"]).expect(1);
    let after = sandbox.files();
    for k in 0..=4 {
        let cut = |note| cut_off(&sandbox, &before, k, note);
        let what = format!("{k} files");
        let here = cut(true);
        let status = here.json(&["status"]);
        assert!(status["unfinished"].as_str().unwrap().contains("`merge side` was interrupted"));
        here.mv(&["commit", "-m", "no"]).clean_fail(1);
        here.ok(&["merge", "--abort"]);
        before.assert_same(&here.files(), &what);
        clean(&here);
        let forced = cut(true);
        forced.ok(&["checkout", "--force", "HEAD"]);
        before.assert_same(&forced.files(), &what);
        clean(&forced);
        for note in [true, false] {
            let again = cut(note);
            again.mv(&["merge", "side"]).expect(1);
            after.assert_same(&again.files(), &what);
            let status = again.json(&["status"]);
            assert_eq!(status["unfinished"], "merge of side: 1 conflict left", "{what}");
            again.ok(&["merge", "--abort"]);
            before.assert_same(&again.files(), &what);
            again.sound();
        }
    }
}

#[test]
fn a_merge_killed_at_any_time_is_finished_or_taken_back() {
    let sandbox = Sandbox::new();
    for n in 0..120 {
        sandbox.write(format!("f{n}"), format!("{n}\n"));
    }
    sandbox.commit("base");
    sandbox.ok(&["checkout", "-b", "side"]);
    for n in 0..120 {
        sandbox.write(format!("f{n}"), format!("{n}\ntheirs\n"));
    }
    sandbox.commit("theirs");
    sandbox.ok(&["checkout", "main"]);
    sandbox.write("ours", "1");
    sandbox.commit("ours");
    let before = sandbox.files();
    let whole = sandbox.duplicate();
    whole.ok(&["merge", "side"]);
    let after = whole.files();
    for wait in (0..60).step_by(4) {
        let here = sandbox.duplicate();
        let mut child = here.command().args(["-q", "merge", "side"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        let status = here.json(&["status"]);
        if status["unfinished"] == Value::Null {
            assert_eq!(status["clean"], true, "{wait}: {status}");
            let merged = parents(&here) == 2;
            let want = if merged { &after } else { &before };
            want.assert_same(&here.files(), "neither interrupted nor whole");
        } else if wait % 8 == 0 {
            here.ok(&["merge", "--abort"]);
            before.assert_same(&here.files(), "taken back");
        }
        here.ok(&["merge", "side"]);
        after.assert_same(&here.files(), "finished");
        clean(&here);
        here.sound();
    }
}
