//! Parts of a repository: what is absent is not fetched, never deleted.

use std::fs;

use mv_tests::{Files, Random, Sandbox};
use serde_json::Value;

use super::team::{Team, add, cloned, head, share, shared, text};

/// Ada's project, a remote, and a clone of its code only.
fn code_only() -> (Team, Sandbox) {
    let team = Team::new();
    let part = cloned(&team.shared(), &["--only", "code"]);
    (team, part)
}

#[track_caller]
fn clean(sandbox: &Sandbox) {
    let status = sandbox.json(&["status"]);
    assert_eq!((&status["clean"], &status["changes"]), (&true.into(), &Value::Array(vec![])));
}

/// What a version holds, by path: id, size, mode.
fn listed(sandbox: &Sandbox, rev: &str) -> Value {
    sandbox.json(&["ls", rev])
}

fn components(sandbox: &Sandbox, rev: &str) -> Value {
    sandbox.json(&["show", rev])["components"].clone()
}

/// Takes the remote away while something is done.
fn without_remote(remote: &std::path::Path, done: impl FnOnce()) {
    let away = remote.with_file_name("away");
    fs::rename(remote, &away).unwrap();
    done();
    fs::rename(away, remote).unwrap();
}

#[test]
fn what_was_not_asked_for_is_absent_and_not_deleted() {
    let (team, part) = code_only();
    assert!(part.exists("train.py") && part.exists("lib/util.py") && part.exists("mv.toml"));
    for absent in ["data", "models", "requirements.txt"] {
        assert!(!part.exists(absent), "{absent}");
    }
    clean(&part);
    part.sound();
    assert_eq!(listed(&part, "HEAD"), listed(&team.ada, "HEAD"));
    assert_eq!(part.json(&["diff"])["files"], serde_json::json!([]));
    part.mv(&["commit", "-m", "nothing"]).clean_fail(1);
    // What is here and goes is deleted, as ever.
    part.remove("lib");
    let changes = part.json(&["status"])["changes"].clone();
    assert_eq!(changes.as_array().unwrap().len(), 1, "{changes}");
    assert_eq!(
        (&changes[0]["path"], &changes[0]["change"]),
        (&"lib/util.py".into(), &"deleted".into())
    );
}

#[test]
fn a_commit_keeps_the_absent_parts_exactly() {
    let (team, part) = code_only();
    part.write("train.py", "print('changed')\n");
    part.remove("lib");
    part.write("new.py", "new");
    let id = part.commit("code");
    clean(&part);
    part.ok(&["push"]);
    let full = cloned(&team.shared(), &[]);
    assert_eq!(head(&full), id);
    assert_eq!(listed(&full, "HEAD"), listed(&part, "HEAD"));
    let (before, after) = (components(&full, "HEAD~1"), components(&full, "HEAD"));
    for kept in ["data", "model", "env"] {
        assert_eq!(before[kept], after[kept], "{kept}");
    }
    assert_ne!(before["code"], after["code"]);
    let mut expected = team.ada.files();
    expected.put("train.py", "print('changed')\n");
    expected.put("new.py", "new");
    expected.0.remove(b"lib/util.py".as_slice());
    full.files().assert_same(&expected, "the full clone");
    full.sound();
    part.sound();
}

#[test]
fn files_at_absent_places_are_added_and_replaced() {
    let (team, part) = code_only();
    part.write("data/new.csv", "new");
    part.write("data/a.csv", "replaced");
    let changes = part.json(&["status"])["changes"].clone();
    let found: Vec<_> = changes
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["path"].as_str().unwrap(), c["change"].as_str().unwrap()))
        .collect();
    assert_eq!(found, [("data/a.csv", "modified"), ("data/new.csv", "added")]);
    part.commit("data");
    clean(&part);
    part.ok(&["push"]);
    let full = cloned(&team.shared(), &[]);
    let mut expected = team.ada.files();
    expected.put("data/new.csv", "new");
    expected.put("data/a.csv", "replaced");
    full.files().assert_same(&expected, "the full clone");
    full.sound();
}

#[test]
fn clones_of_paths_and_of_few_versions_hold_those() {
    let team = Team::new();
    let ada = &team.ada;
    let first = head(ada);
    ada.write("data/a.csv", Random::new(11).bytes(100_000));
    ada.commit("second");
    ada.ok(&["push"]);
    let place = team.shared();
    let part = cloned(&place, &["--", "data/sub", "lib/"]);
    let names: Vec<String> =
        part.files().0.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, ["data/sub/b.csv", "lib/util.py", "mv.toml"]);
    clean(&part);
    part.sound();
    let both = cloned(&place, &["--only", "data", "--only", "env"]);
    assert!(both.exists("data/a.csv") && both.exists("requirements.txt"));
    assert!(!both.exists("train.py") && !both.exists("models"));
    clean(&both);

    let shallow = cloned(&place, &["--depth", "1"]);
    shallow.files().assert_same(&ada.files(), "the newest version is whole");
    clean(&shallow);
    assert_eq!(shallow.json(&["log"]).as_array().unwrap().len(), 2);
    without_remote(&place, || {
        shallow.mv(&["cat", &format!("{first}:data/a.csv")]).clean_fail(4);
        shallow.mv(&["checkout", &first]).clean_fail(4);
        assert_eq!(head(&shallow), head(ada));
    });
    let old = shallow.ok(&["cat", &format!("{first}:data/a.csv")]);
    assert_eq!(old.stdout_bytes, Random::new(1).bytes(100_000));
    shallow.ok(&["checkout", &first]);
    assert_eq!(shallow.read("data/a.csv"), Random::new(1).bytes(100_000));
    clean(&shallow);
    shallow.sound();
}

#[test]
fn what_a_command_needs_is_fetched_once_and_stays() {
    let (team, part) = code_only();
    let place = team.shared();
    let data = team.ada.read("data/a.csv");
    assert_eq!(part.ok(&["cat", "HEAD:data/a.csv"]).stdout_bytes, data);
    clean(&part);
    part.ok(&["checkout", "--", "data/sub"]);
    assert_eq!(part.read("data/sub/b.csv"), b"a,b\n1,2\n");
    clean(&part);
    part.ok(&["restore", "requirements.txt"]);
    assert!(part.exists("requirements.txt"));
    clean(&part);
    without_remote(&place, || {
        assert_eq!(part.ok(&["cat", "HEAD:data/a.csv"]).stdout_bytes, data);
        clean(&part);
        part.write("train.py", "again");
        part.commit("without the remote");
        part.sound();
        for command in [
            &["cat", "HEAD:models/m.bin"][..],
            &["checkout", "--", "models"],
            &["checkout", "--only", "model"],
            &["restore", "models/m.bin"],
            &["push"],
            &["fetch"],
        ] {
            let files = part.files();
            part.mv(command).clean_fail(4);
            part.files().assert_same(&files, &format!("{command:?}"));
        }
        let tar = part.outside().join("out.tar");
        part.mv(&["archive", "HEAD", "-o", text(&tar)]).clean_fail(4);
        assert!(!tar.exists());
        part.ok(&["log"]);
        part.ok(&["ls"]);
        clean(&part);
    });
    part.ok(&["checkout", "--only", "model"]);
    assert_eq!(part.read("models/m.bin"), team.ada.read("models/m.bin"));
    clean(&part);
    let tar = part.outside().join("out.tar");
    part.ok(&["archive", "HEAD", "-o", text(&tar)]);
    assert!(tar.exists());
    // What is meant to be here now is deleted when it goes.
    part.remove("models");
    assert_eq!(part.json(&["status"])["changes"][0]["change"], "deleted");
    part.ok(&["restore", "models/m.bin"]);
    part.ok(&["push"]);
    let full = cloned(&place, &[]);
    assert_eq!(components(&full, "HEAD")["model"], components(&full, "HEAD~1")["model"]);
    part.sound();
}

#[test]
fn versions_and_branches_are_switched_without_the_absent_parts() {
    let team = Team::new();
    let ada = &team.ada;
    ada.ok(&["checkout", "-b", "side"]);
    ada.write("data/a.csv", Random::new(21).bytes(50_000));
    ada.remove("models");
    ada.write("side.py", "side");
    ada.commit("side");
    ada.ok(&["push", "--all"]);
    let part = cloned(&team.shared(), &["--only", "code"]);
    let main = part.files();
    part.ok(&["checkout", "side"]);
    assert_eq!(part.read("side.py"), b"side");
    assert!(!part.exists("data") && !part.exists("models"));
    clean(&part);
    part.ok(&["checkout", "main"]);
    part.files().assert_same(&main, "back on main");
    part.ok(&["undo"]);
    clean(&part);
    part.ok(&["checkout", "main"]);
    // A difference in what is absent is seen by its ids.
    let diff = part.json(&["diff", "main", "side", "--name-only"]);
    assert!(diff.to_string().contains("data/a.csv"), "{diff}");
    part.ok(&["diff", "main", "side"]).printable();
    let log = part.json(&["log", "side", "--", "data/a.csv"]);
    assert_eq!(log.as_array().unwrap().len(), 2, "{log}");
    part.ok(&["reset", "--hard", "side"]);
    clean(&part);
    assert!(!part.exists("data"));
    part.sound();
}

#[test]
fn merges_take_the_absent_changes_of_the_other_side() {
    let team = Team::new();
    let (ada, place) = (&team.ada, team.shared());
    let part = cloned(&place, &["--only", "code"]);
    ada.write("data/a.csv", "theirs");
    ada.write("models/new.bin", "new");
    ada.remove("requirements.txt");
    ada.commit("data");
    ada.ok(&["push"]);
    part.write("train.py", "mine");
    part.commit("mine");
    part.mv(&["push"]).clean_fail(5);
    part.ok(&["pull"]);
    clean(&part);
    assert!(!part.exists("data") && !part.exists("models"));
    part.ok(&["push"]);
    ada.ok(&["pull"]);
    assert_eq!(ada.read("train.py"), b"mine");
    assert_eq!(ada.read("data/a.csv"), b"theirs");
    assert!(!ada.exists("requirements.txt"));
    let full = cloned(&place, &[]);
    full.files().assert_same(&ada.files(), "the full clone");
    full.sound();
    part.sound();
}

#[test]
fn a_conflict_in_what_is_absent_is_told_and_can_be_decided() {
    let team = Team::new();
    let (ada, place) = (&team.ada, team.shared());
    let part = cloned(&place, &["--only", "code"]);
    ada.write("data/sub/b.csv", "theirs\n");
    ada.commit("theirs");
    ada.ok(&["push"]);
    part.write("data/sub/b.csv", "mine\n");
    part.commit("mine");
    let pulled = part.mv(&["pull"]).expect(1);
    pulled.printable();
    assert!(format!("{}{}", pulled.stdout, pulled.stderr).contains("data/sub/b.csv"));
    part.ok(&["merge", "--abort"]);
    clean(&part);
    part.ok(&["pull", "--theirs"]);
    part.ok(&["push"]);
    let full = cloned(&place, &[]);
    assert_eq!(full.read("data/sub/b.csv"), b"theirs\n");
    part.sound();
}

#[test]
fn upkeep_of_a_part_misses_nothing_and_keeps_what_is_here() {
    let (team, part) = code_only();
    for n in 0..4 {
        add(&part, "train.py", format!("x = {n}"));
    }
    part.ok(&["cat", "HEAD:data/a.csv"]);
    part.ok(&["gc"]);
    part.advance(50 * 365 * 24 * 3600);
    part.ok(&["gc", "--apply", "--keep-last", "1"]);
    part.advance(2 * 3600);
    part.ok(&["gc", "--apply", "--keep-last", "1"]);
    part.sound();
    clean(&part);
    part.ok(&["push"]);
    let full = cloned(&team.shared(), &[]);
    assert_eq!(full.read("train.py"), b"x = 3");
    full.sound();
    let found = part.json(&["fsck", "--full"]);
    assert_eq!(found["ok"], true, "{found}");
    part.ok(&["du"]);
    // Real damage is still found.
    for pack in mv_tests::damage::packs(&part.dot()) {
        mv_tests::damage::flip(&pack, 40, 1);
    }
    part.mv(&["fsck", "--full"]).expect(3);
}

#[test]
fn the_remote_that_holds_the_rest_cannot_be_removed() {
    let (_team, part) = code_only();
    part.mv(&["remote", "remove", "origin"]).clean_fail(1);
    clean(&part);
}

#[test]
fn versions_that_only_a_part_knows_are_pushed_to_another_remote_whole_or_not_at_all() {
    let (team, part) = code_only();
    let second = team.ada.outside().join("second");
    part.ok(&["remote", "add", "second", text(&second)]);
    let output = part.mv(&["push", "second", "main"]);
    output.printable();
    if output.code == 0 {
        let full = cloned(&second, &[]);
        full.files().assert_same(&team.ada.files(), "a push of a part");
    } else {
        assert!([1, 3, 4].contains(&output.code), "{}", output.stderr);
        let state = second.join("state");
        let records = if state.is_dir() { Files::read(&state).0.len() } else { 0 };
        assert!(records <= 1, "a half version was published");
    }
}

/// A part and a full clone take turns; the part's absent files are those of the last merge.
fn turns(seed: u64, steps: usize) {
    const CODE: [&str; 4] = ["a.py", "b.py", "lib/c.py", "lib/deep/d.py"];
    const REST: [&str; 4] = ["data/a.csv", "data/x/b.csv", "models/m.bin", "requirements.txt"];
    let mut random = Random::new(seed);
    let ada = Sandbox::new();
    for path in CODE.iter().chain(&REST) {
        ada.write(path, format!("{path} 0"));
    }
    ada.commit("first");
    share(&ada);
    let part = cloned(&shared(&ada), &["--only", "code"]);
    let mut model = ada.files();
    let mut story = Vec::new();
    for step in 0..steps {
        let whole = random.percent(40);
        let who = if whole { &ada } else { &part };
        who.ok(&["pull"]);
        let mut changed = false;
        for _ in 0..=random.below(3) {
            let any = whole || random.percent(20);
            let path =
                if any && random.percent(50) { random.pick(&REST) } else { random.pick(&CODE) };
            story.push(format!("{} {path}", if whole { "whole" } else { "part" }));
            // A part can delete what it is meant to hold; all else that goes is not fetched.
            let mine = whole || CODE.contains(path);
            if random.percent(30) && mine && who.exists(path) {
                who.remove(path);
                model.0.remove(path.as_bytes());
            } else {
                let bytes = format!("{path} {step} {seed}");
                who.write(path, &bytes);
                model.put(path, &bytes);
            }
            changed = true;
        }
        assert!(changed);
        who.ok(&["commit", "--allow-empty", "-m", &format!("step {step}")]);
        clean(who);
        who.ok(&["push"]);
    }
    let story = format!("seed {seed}\n{}", story.join("\n"));
    let full = cloned(&shared(&ada), &[]);
    // Directories from which the last file went are a matter of the working tree.
    let files = |sandbox: &Sandbox| {
        let mut files = sandbox.files();
        files.0.retain(|_, node| *node != mv_tests::Node::EmptyDir);
        files
    };
    files(&full).assert_same(&model, &story);
    full.sound();
    part.sound();
    part.ok(&["pull"]);
    clean(&part);
    for only in ["data", "model", "env"] {
        part.ok(&["checkout", "--only", only]);
    }
    files(&part).assert_same(&model, &story);
}

#[test]
fn a_part_that_takes_turns_with_the_whole_equals_the_model() {
    for seed in 0..3 {
        turns(seed, 7);
    }
}

#[test]
#[ignore = "forty histories: some minutes"]
fn a_part_that_takes_turns_with_the_whole_equals_the_model_for_many_seeds() {
    for seed in 100..140 {
        turns(seed, 12);
    }
}
