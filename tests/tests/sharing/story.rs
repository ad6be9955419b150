//! Two users and one shared directory.

use std::fs;

use mv_tests::{Files, Sandbox};
use serde_json::{Value, json};

use super::team::{Team, add, cloned, fill, follow_hint, head, share, shared, sound_remote, text};

#[test]
fn who_pushes_second_is_told_to_fetch_first_and_the_hint_works() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    ada.files().assert_same(&bob.files(), "the clone");
    add(ada, "ada.py", "ada");
    add(bob, "bob.py", "bob");
    ada.ok(&["push"]);
    let before = Files::read(&team.shared());
    let refused = bob.mv(&["push"]).clean_fail(5);
    assert!(refused.stderr.contains("fetch first"), "{}", refused.stderr);
    Files::read(&team.shared()).assert_same(&before, "a refused push");
    follow_hint(bob, &refused).expect(0);
    assert_eq!(bob.read("ada.py"), b"ada");
    bob.ok(&["push"]);
    ada.ok(&["pull"]);
    ada.files().assert_same(&bob.files(), "after all");
    assert_eq!(head(ada), head(bob));
    assert_eq!(ada.json(&["log"]).as_array().unwrap().len(), 4);
    for one in [ada, bob] {
        assert_eq!(one.json(&["status"])["clean"], true);
    }
    team.sound();
}

#[test]
fn documents_have_the_keys_of_the_contract() {
    let ada = Sandbox::new();
    fill(&ada);
    let first = ada.commit("first");
    let url = shared(&ada);
    let url = text(&url);
    let added = ada.json(&["remote", "add", "origin", url]);
    assert_eq!(added, json!([{"name": "origin", "url": url, "branches": []}]));
    let pushed = ada.json(&["push"]);
    assert_eq!(pushed["remote"], "origin");
    assert_eq!(pushed["refs"], json!([{"name": "main", "from": null, "to": first}]));
    assert!(pushed["objects"].as_u64().unwrap() > 6, "{pushed}");
    assert!(pushed["bytes"].as_u64().unwrap() > 180_000, "{pushed}");
    assert_eq!(pushed["already_there_bytes"], 0);
    let listed = ada.json(&["remote", "list"]);
    assert_eq!(listed[0]["branches"], json!([{"name": "main", "target": first}]));

    let bob = Sandbox::bare();
    let made = bob.json(&["clone", url, "."]);
    assert_eq!(made["id"], first.as_str());
    assert_eq!(made["branch"], "main");
    assert_eq!(made["objects"], pushed["objects"], "{made}");
    assert_eq!(made["path"], text(bob.root()));
    assert!(made["bytes"].as_u64().unwrap() > 180_000, "{made}");

    let second = add(&ada, "new.py", "new");
    let pushed = ada.json(&["push"]);
    assert_eq!(pushed["refs"], json!([{"name": "main", "from": first, "to": second}]));
    let fetched = bob.json(&["fetch"]);
    assert_eq!(fetched["refs"], json!([{"name": "origin/main", "from": first, "to": second}]));
    assert_eq!(fetched["objects"], pushed["objects"]);
    for key in ["bytes", "already_there_bytes"] {
        assert!(fetched[key].is_u64(), "{fetched}");
    }
    let pulled = bob.json(&["pull"]);
    assert_eq!(pulled["fetched"]["refs"], json!([]));
    assert_eq!(head(&bob), second);
    let idle = ada.json(&["push"]);
    assert_eq!((&idle["refs"], &idle["bytes"]), (&json!([]), &json!(0)));

    let failed = bob.mv(&["--json", "push", "nowhere"]).expect(2).json();
    for key in ["code", "message", "hint"] {
        assert!(failed["error"][key].is_string(), "{failed}");
    }
}

#[test]
fn a_dry_run_touches_nothing_and_tells_what_the_push_then_does() {
    let ada = Sandbox::new();
    fill(&ada);
    ada.commit("first");
    let place = shared(&ada);
    ada.ok(&["remote", "add", "origin", text(&place)]);
    let there = || if place.exists() { Files::read(&place) } else { Files::default() };
    for round in 0..2 {
        let before = (there(), Files::read(&ada.dot().join("state")));
        let planned = ada.json(&["push", "--dry-run"]);
        there().assert_same(&before.0, "the remote after a dry run");
        Files::read(&ada.dot().join("state")).assert_same(&before.1, "here after a dry run");
        let done = ada.json(&["push"]);
        for key in ["refs", "objects", "already_there_bytes"] {
            assert_eq!(planned[key], done[key], "{round}: {planned} {done}");
        }
        about(&planned["bytes"], &done["bytes"]);
        add(&ada, "more.bin", mv_tests::Random::new(round).bytes(40_000));
    }
    let bob = cloned(&place, &[]);
    ada.ok(&["push"]);
    let before = Files::read(&bob.dot().join("state"));
    let planned = bob.json(&["fetch", "--dry-run"]);
    Files::read(&bob.dot().join("state")).assert_same(&before, "after a dry fetch");
    let done = bob.json(&["fetch"]);
    for key in ["refs", "objects"] {
        assert_eq!(planned[key], done[key], "{planned} {done}");
    }
    bob.ok(&["pull"]);
    assert_eq!(bob.json(&["push", "--dry-run"])["refs"], json!([]));
}

/// Within a tenth and four kilobytes: packs have a head and an index.
#[track_caller]
fn about(planned: &Value, done: &Value) {
    let (planned, done) = (planned.as_u64().unwrap(), done.as_u64().unwrap());
    assert!(planned.abs_diff(done) <= done / 10 + 4096, "planned {planned}, sent {done}");
}

#[test]
fn there_is_nothing_to_push_without_a_version_or_a_branch() {
    let ada = Sandbox::new();
    let place = shared(&ada);
    ada.ok(&["remote", "add", "origin", text(&place)]);
    ada.mv(&["push"]).clean_fail(1);
    ada.mv(&["push", "origin", "main"]).clean_fail(2);
    let first = ada.commit("first");
    ada.ok(&["checkout", &first]);
    ada.mv(&["push"]).clean_fail(2);
    ada.mv(&["pull"]).clean_fail(2);
    ada.ok(&["push", "origin", "main"]);
    sound_remote(&place);
}

#[test]
fn what_is_not_known_is_a_mistake_of_the_command_line() {
    let team = Team::new();
    for command in ["push", "fetch", "pull"] {
        team.bob.mv(&[command, "nowhere"]).clean_fail(2);
        team.bob.mv(&[command, "origin", "nothing"]).clean_fail(2);
    }
    team.bob.mv(&["push", "origin", "--delete", "nothing"]).clean_fail(2);
    team.bob.mv(&["remote", "remove", "nowhere"]).clean_fail(2);
    let lonely = Sandbox::new();
    lonely.commit("first");
    for command in ["push", "fetch", "pull"] {
        lonely.mv(&[command]).clean_fail(2);
    }
}

#[test]
fn a_remote_is_made_where_its_folder_is_and_nowhere_else() {
    let ada = Sandbox::new();
    ada.commit("first");
    let far = ada.outside().join("not/mounted");
    ada.mv(&["remote", "add", "origin", text(&far)]).clean_fail(4);
    let folder = ada.outside().join("folder");
    fs::create_dir(&folder).unwrap();
    ada.ok(&["remote", "add", "origin", text(&folder.join("new"))]);
    ada.ok(&["push"]);
    sound_remote(&folder.join("new"));
    fs::rename(&folder, ada.outside().join("unmounted")).unwrap();
    add(&ada, "more.py", "more");
    for command in ["push", "fetch", "pull"] {
        ada.mv(&[command]).clean_fail(4);
    }
    assert!(!folder.exists());
    fs::rename(ada.outside().join("unmounted"), &folder).unwrap();
    ada.ok(&["push"]);
    // What was seen there is gone, so it is not begun anew as if it had never been.
    fs::remove_dir_all(folder.join("new")).unwrap();
    for command in ["push", "fetch"] {
        let output = ada.mv(&[command]);
        assert!([3, 4].contains(&output.code), "{}", output.stderr);
        output.printable();
    }
    assert!(!folder.join("new").exists());
}

#[test]
fn a_place_that_cannot_be_written_to_is_told_as_the_remotes_failure() {
    let ada = Sandbox::new();
    ada.commit("first");
    fs::write(shared(&ada), "a file").unwrap();
    ada.mv(&["remote", "add", "origin", text(&shared(&ada))]).clean_fail(4);
    fs::remove_file(shared(&ada)).unwrap();
    share(&ada);
    add(&ada, "more.py", "more");
    let before = Files::read(&shared(&ada));
    if rustix::process::geteuid().is_root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    for name in ["", "packs", "state", "tmp"] {
        let folder = shared(&ada).join(name);
        let old = fs::metadata(&folder).unwrap().permissions();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
        ada.mv(&["push"]).clean_fail(4);
        fs::set_permissions(&folder, old).unwrap();
    }
    Files::read(&shared(&ada)).assert_same(&before, "after refused pushes");
    ada.ok(&["push"]);
}

#[test]
fn a_branch_is_only_overwritten_where_it_was_last_seen() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    add(ada, "ada.py", "ada");
    ada.ok(&["push"]);
    ada.ok(&["commit", "--amend", "-m", "amended"]);
    ada.mv(&["push"]).clean_fail(5);
    ada.ok(&["push", "--force-with-lease"]);
    // Bob has not seen that.
    add(bob, "bob.py", "bob");
    let before = Files::read(&team.shared());
    bob.mv(&["push", "--force-with-lease"]).clean_fail(5);
    Files::read(&team.shared()).assert_same(&before, "a refused lease");
    bob.ok(&["fetch"]);
    bob.ok(&["push", "--force-with-lease"]);
    ada.ok(&["fetch"]);
    assert_eq!(ada.json(&["log", "-n", "1", "origin/main"])[0]["id"], head(bob).as_str());
    team.sound();
}

#[test]
fn a_branch_that_is_deleted_there_goes_here_when_pruned() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    ada.ok(&["checkout", "-b", "side"]);
    add(ada, "side.py", "side");
    ada.ok(&["push"]);
    bob.ok(&["fetch"]);
    bob.ok(&["cat", "origin/side:side.py"]);
    let deleted = ada.json(&["push", "origin", "--delete", "side"]);
    assert_eq!(deleted["refs"][0]["to"], Value::Null);
    assert_eq!(deleted["refs"][0]["from"], head(ada).as_str());
    ada.mv(&["push", "origin", "--delete", "side"]).clean_fail(2);
    // The deleter's own branch is untouched.
    assert_eq!(ada.json(&["status"])["branch"], "side");
    bob.ok(&["fetch"]);
    bob.ok(&["cat", "origin/side:side.py"]);
    bob.ok(&["fetch", "--prune"]);
    bob.mv(&["cat", "origin/side:side.py"]).clean_fail(2);
    ada.ok(&["push", "origin", "side"]);
    bob.ok(&["pull"]);
    bob.ok(&["checkout", "-b", "mine", "origin/side"]);
    assert_eq!(bob.read("side.py"), b"side");
    team.sound();
}

#[test]
fn undo_takes_back_what_was_done_here_and_never_what_was_shared() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    let first = head(ada);
    add(ada, "ada.py", "ada");
    ada.ok(&["push"]);
    let there = Files::read(&team.shared());
    ada.ok(&["undo"]);
    assert_eq!(head(ada), first);
    Files::read(&team.shared()).assert_same(&there, "undo after a push");
    ada.ok(&["redo"]);
    bob.write("bob.py", "bob");
    let mine = bob.commit("mine");
    bob.ok(&["fetch"]);
    bob.ok(&["undo"]);
    assert_eq!(head(bob), first);
    bob.ok(&["redo"]);
    assert_eq!(head(bob), mine);
    bob.ok(&["pull"]);
    bob.ok(&["undo"]);
    assert_eq!(head(bob), mine);
    assert!(!bob.exists("ada.py"));
    bob.ok(&["pull"]);
    bob.ok(&["push"]);
    team.sound();
}

#[test]
fn pull_overwrites_nothing_that_was_not_committed() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    add(ada, "new.py", "theirs");
    ada.write("train.py", "theirs");
    ada.commit("change");
    ada.ok(&["push"]);
    bob.write("new.py", "untracked");
    bob.write("train.py", "uncommitted");
    let (before, first) = (bob.files(), head(bob));
    let refused = bob.mv(&["pull"]).clean_fail(1);
    for path in ["new.py", "train.py"] {
        assert!(refused.stderr.contains(path), "{}", refused.stderr);
    }
    bob.files().assert_same(&before, "a refused pull");
    assert_eq!(head(bob), first);
    bob.remove("new.py");
    bob.ok(&["restore", "train.py"]);
    bob.ok(&["pull"]);
    bob.files().assert_same(&ada.files(), "a pull that nothing stands in the way of");
}

#[test]
fn gc_right_after_a_fetch_keeps_what_came() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    add(ada, "ada.bin", mv_tests::Random::new(5).bytes(100_000));
    ada.ok(&["push"]);
    bob.ok(&["fetch"]);
    bob.ok(&["gc", "--apply", "--grace", "0d", "--keep-last", "1"]);
    bob.sound();
    bob.advance(50 * 365 * 24 * 3600);
    bob.ok(&["gc", "--apply", "--keep-last", "1"]);
    bob.advance(2 * 3600);
    bob.ok(&["gc", "--apply", "--keep-last", "1"]);
    bob.sound();
    bob.ok(&["pull"]);
    bob.files().assert_same(&ada.files(), "after gc");
    // A gc here is nobody else's business.
    bob.ok(&["push"]);
    team.sound();
}

#[test]
fn a_branch_that_only_the_remote_has_is_checked_out_by_its_name() {
    let team = Team::new();
    let (ada, bob) = (&team.ada, &team.bob);
    ada.ok(&["checkout", "-b", "side"]);
    let side = add(ada, "side.py", "side");
    ada.ok(&["push"]);
    bob.mv(&["checkout", "side"]).clean_fail(2);
    bob.ok(&["fetch"]);
    bob.ok(&["checkout", "side"]);
    let status = bob.json(&["status"]);
    assert_eq!((&status["branch"], &status["head"]), (&json!("side"), &json!(side)));
    bob.ok(&["undo"]);
    assert_eq!(bob.json(&["status"])["branch"], "main");
    bob.ok(&["checkout", "--only", "code", "side"]);
    assert!(bob.exists("side.py"), "only its files were wanted");
    assert_eq!(bob.json(&["status"])["branch"], "main");
}

#[test]
fn clone_goes_into_an_empty_place_only_and_to_the_version_that_was_asked_for() {
    let team = Team::new();
    let (ada, place) = (&team.ada, team.shared());
    let url = text(&place);
    let first = head(ada);
    ada.ok(&["tag", "v1.0.0"]);
    add(ada, "second.py", "second");
    ada.ok(&["checkout", "-b", "side"]);
    add(ada, "side.py", "side");
    ada.ok(&["push", "--all"]);
    for (rev, has, branch) in [
        ("v1.0.0", vec![], Value::Null),
        ("main", vec!["second.py"], json!("main")),
        ("side", vec!["second.py", "side.py"], json!("side")),
        (first.as_str(), vec![], Value::Null),
    ] {
        let clone = cloned(&place, &["--rev", rev]);
        let status = clone.json(&["status"]);
        assert_eq!((&status["branch"], &status["clean"]), (&branch, &json!(true)), "{rev}");
        for path in ["second.py", "side.py"] {
            assert_eq!(clone.exists(path), has.contains(&path), "{rev} {path}");
        }
        clone.sound();
    }
    let bob = &team.bob;
    let before = bob.files();
    bob.mv(&["clone", url, "."]).clean_fail(1);
    bob.files().assert_same(&before, "a clone into a clone");
    let full = Sandbox::bare();
    full.write("mine", "mine");
    full.mv(&["clone", url, "."]).clean_fail(1);
    assert_eq!(full.files().0.len(), 1);
    assert!(!full.dot().exists());
    let named = Sandbox::bare();
    named.ok(&["clone", url]);
    assert!(named.exists("shared/train.py"));
}

#[test]
fn a_clone_of_what_is_not_there_leaves_nothing() {
    let sandbox = Sandbox::bare();
    let place = sandbox.outside();
    sandbox.mv(&["clone", text(&place.join("no/where")), "made"]).clean_fail(4);
    assert!(!sandbox.exists("made"));
    sandbox.mv(&["clone", text(&place.join("typo")), "made"]).clean_fail(4);
    assert!(!sandbox.exists("made"));
    sandbox.mv(&["clone", text(&place.join("home")), "made"]).clean_fail(4);
    assert!(!sandbox.exists("made"));
    sandbox.mv(&["clone", "ext::sh -c id", "made"]).clean_fail(2);
    sandbox.mv(&["clone", "--", "--upload-pack=id", "made"]).clean_fail(2);
    assert!(!sandbox.exists("made"));
    assert_eq!(fs::read_dir(place.join("home")).unwrap().count(), 0);
}
