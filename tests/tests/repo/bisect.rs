//! The version that made it worse: by what was recorded, and by a command.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use mv_repo::bisect::Scratch;
use mv_tests::{Files, Sandbox};

use super::lab::Lab;

/// A project whose versions recorded these values of `acc`; none where it says `-`.
fn measured(values: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (n, value) in values.iter().enumerate() {
        sandbox.write("n.txt", n.to_string());
        let (message, tag) = (format!("number {n}"), format!("v1.{n}.0"));
        let mut words = vec!["commit", "-m", &message, "--tag", &tag];
        let metric = format!("acc={value}");
        if *value != "-" {
            words.extend(["--metric", &metric]);
        }
        let lr = format!("lr={n}");
        words.extend(["--param", &lr]);
        sandbox.ok(&words);
    }
    sandbox
}

#[test]
fn the_first_fall_is_named_with_what_changed_there_and_the_others_after_it() {
    let sandbox = measured(&["0.9", "0.895", "-", "0.88", "0.95", "0.9", "nan", "0.89"]);
    let found = sandbox.json(&["bisect", "--metric", "acc", "--drop", "0.01"]);
    assert_eq!(found["metric"], "acc");
    let first = &found["first"];
    assert_eq!(
        (&first["version"], &first["from"], &first["to"]),
        (&"v1.3.0".into(), &0.895.into(), &0.88.into())
    );
    assert_eq!(first["previous"]["version"], "v1.1.0");
    assert_eq!(first["versions_between"], 1);
    let others: Vec<_> =
        found["others"].as_array().unwrap().iter().map(|f| &f["version"]).collect();
    // The last one is compared with the last number, not with `nan`.
    assert_eq!(others, ["v1.5.0", "v1.6.0", "v1.7.0"]);
    assert_eq!(found["others"][1]["to"], "NaN");
    assert_eq!(found["changes"]["components"]["code"], 1);
    assert_eq!(found["changes"]["params"][0]["name"], "lr");
    let told = sandbox.ok(&["bisect", "--metric", "acc", "--drop", "0.01"]).stdout;
    for words in [
        "acc fell 0.895 -> 0.88 (-0.015) at v1.3.0",
        "Ada Lovelace",
        "number 3",
        "n.txt",
        "lr 1 -> 3",
        "0.9 -> NaN",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_bound_that_was_never_reached_is_a_no_and_a_wrong_question_is_usage() {
    let sandbox = measured(&["0.9", "0.89", "0.85"]);
    let none = sandbox.mv(&["bisect", "--metric", "acc", "--drop", "0.05"]).expect(1);
    assert!(none.stdout.contains("acc never fell by 0.05 or more"), "{}", none.stdout);
    assert!(sandbox.mv(&["--json", "bisect", "--metric", "acc", "--drop", "0.05"]).expect(1).json()["first"].is_null());
    sandbox.mv(&["bisect", "--metric", "acc", "--rise", "0.001"]).expect(1);
    sandbox.ok(&["bisect", "--metric", "acc", "--drop", "0.01", "v1.0.0", "v1.1.0"]);
    sandbox.mv(&["bisect", "--metric", "acc", "--drop", "0.02", "v1.0.0", "v1.1.0"]).expect(1);
    let unknown = sandbox.mv(&["bisect", "--metric", "f1", "--drop", "0.1"]).clean_fail(2);
    assert!(unknown.stderr.contains("acc"), "{}", unknown.stderr);
    for words in [
        &["bisect"][..],
        &["bisect", "--metric", "acc"],
        &["bisect", "--metric", "acc", "--drop", "0"],
        &["bisect", "--metric", "acc", "--drop", "nan"],
        &["bisect", "--metric", "acc", "--drop", "0.1", "--rise", "0.1"],
        &["bisect", "--metric", "acc", "--drop", "0.1", "v1.2.0", "v1.0.0"],
        &["bisect", "run"],
    ] {
        sandbox.mv(words).expect(2);
    }
}

/// Files left in the directory for temporary files.
fn left_over(sandbox: &Sandbox) -> usize {
    fs::read_dir(sandbox.outside().join("scratch")).unwrap().count()
}

/// A command line with a directory of its own for temporary files.
fn run(sandbox: &Sandbox, words: &[&str]) -> mv_tests::Output {
    let scratch = sandbox.outside().join("scratch");
    fs::create_dir_all(&scratch).unwrap();
    sandbox.run(sandbox.command().env("TMPDIR", scratch).args(words))
}

#[test]
fn a_command_finds_the_first_bad_version_without_touching_the_working_tree() {
    let sandbox = measured(&["-"; 12]);
    sandbox.write("n.txt", b"uncommitted");
    sandbox.write("new.txt", b"untracked");
    let before = sandbox.files();
    let script = "echo tested; echo >> n.txt; test -d \"$MV_PROJECT/.mv\" && test ${#MV_ID} = 64 && test $(head -c 2 n.txt) -lt 7";
    let words = ["bisect", "run", "--", "sh", "-c", script];
    let told = run(&sandbox, &words).expect(0);
    assert!(told.stdout.contains("v1.7.0") && told.stdout.contains("is the first bad version"));
    assert!(told.stdout.contains("number 7") && told.stdout.contains("n.txt"), "{}", told.stdout);
    assert!(!told.stdout.contains("tested") && told.stderr.contains("tested\n"));
    assert!(told.stderr.contains("testing v1."), "{}", told.stderr);
    sandbox.files().assert_same(&before, "the working tree");
    assert_eq!(left_over(&sandbox), 0);
    let found = run(
        &sandbox,
        &["--json", "-q", "bisect", "run", "--good", "v1.5.0", "--", "sh", "-c", script],
    );
    let found = found.expect(0).json();
    assert_eq!(found["first"]["version"], "v1.7.0");
    assert_eq!(found["tested"][0]["verdict"], "bad");
    assert!(found["tested"].as_array().unwrap().len() <= 5);
    assert_eq!(found["changes"]["components"]["code"], 1);
}

#[test]
fn ends_that_are_not_what_they_should_be_are_told() {
    let sandbox = measured(&["-"; 4]);
    for (words, said) in [
        (&["--", "true"][..], "v1.3.0"),
        (&["--", "false"], "v1.0.0"),
        (&["--", "sh", "-c", "exit 125"], "cannot be tested"),
    ] {
        let refused = run(&sandbox, &[&["bisect", "run"][..], words].concat()).expect(1);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    run(&sandbox, &["bisect", "run", "--good", "v1.2.0", "--bad", "v1.1.0", "true"]).clean_fail(2);
    run(&sandbox, &["bisect", "run", "--bad", "v1.0.0", "true"]).clean_fail(2);
    run(&sandbox, &["bisect", "run", "no-such-command-here"]).clean_fail(2);
    run(&sandbox, &["bisect", "run", "./no-such-file"]).expect(2);
    assert_eq!(left_over(&sandbox), 0);
}

#[test]
fn versions_that_cannot_be_tested_are_left_under_suspicion() {
    let sandbox = measured(&["-"; 5]);
    let script = "case $(cat n.txt) in 0) exit 0;; 4) exit 1;; *) exit 125;; esac";
    let found = run(&sandbox, &["--json", "bisect", "run", "sh", "-c", script]).expect(1).json();
    assert!(found["first"].is_null());
    assert_eq!(found["candidates"].as_array().unwrap().len(), 4);
}

#[test]
fn a_command_that_is_killed_stops_the_search() {
    let sandbox = measured(&["-"; 3]);
    let stopped = run(&sandbox, &["bisect", "run", "sh", "-c", "kill -9 $$"]).expect(1);
    assert!(stopped.stderr.contains("signal 9"), "{}", stopped.stderr);
    run(&sandbox, &["bisect", "run", "sh", "-c", "exit 200"]).expect(1);
    assert_eq!(left_over(&sandbox), 0);
}

#[test]
fn an_interrupted_search_leaves_nothing_and_ends_with_130() {
    use std::io::Read;
    let sandbox = measured(&["-"; 3]);
    let scratch = sandbox.outside().join("scratch");
    fs::create_dir_all(&scratch).unwrap();
    let mut command = sandbox.command();
    command.env("TMPDIR", &scratch).stderr(Stdio::piped()).stdout(Stdio::null());
    command.args(["bisect", "run", "--", "sh", "-c", "echo ready; sleep 1000"]);
    let mut child = command.spawn().unwrap();
    // The command runs when its word arrives.
    let (mut seen, mut err) = (Vec::new(), child.stderr.take().unwrap());
    while !String::from_utf8_lossy(&seen).contains("ready") {
        let mut byte = [0];
        assert_eq!(err.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(left_over(&sandbox), 0);
}

#[test]
fn a_scratch_directory_holds_exactly_the_version_whatever_was_done_to_it() {
    let mut lab = Lab::empty();
    let version = |files: &[(&str, &str)]| {
        let mut all = Files::default();
        files.iter().for_each(|(path, text)| all.put(path, text));
        all
    };
    let first = version(&[("a", "1"), ("d/b", "2"), ("d/e/f", "3"), ("same", "4")]);
    let second = version(&[("a/x", "5"), ("d", "6"), ("same", "4")]);
    let mut ids = Vec::new();
    for files in [&first, &second] {
        lab.set_files(files);
        ids.push(mv_store::Hash::from_hex(&lab.commit("x")).unwrap());
    }
    let (repo, session) = lab.open();
    let dir = lab.sandbox.outside().join("scratch");
    let mut scratch = Scratch::create(&dir).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let files = scratch.files();
    for (turn, n) in [0, 0, 1, 0, 1, 1, 0].into_iter().enumerate() {
        scratch.put(&repo, &ids[n], &session).unwrap();
        Files::read(&files).assert_same([&first, &second][n], &format!("turn {turn}"));
        // A command changes a file without changing its size, leaves files and a way out.
        fs::write(files.join("same"), "X").unwrap();
        fs::create_dir_all(files.join("out/.git/deep")).unwrap();
        fs::write(files.join("out/.git/deep/er"), "left").unwrap();
        symlink(lab.sandbox.root(), files.join("link")).unwrap();
        if turn == 3 {
            fs::remove_dir_all(files.join("d")).unwrap();
            symlink(lab.sandbox.root(), files.join("d")).unwrap();
        }
    }
    assert_eq!(lab.files(), second, "nothing was written through a link");
    fs::set_permissions(files.join("d/e"), fs::Permissions::from_mode(0o500)).unwrap();
    drop(scratch);
    assert!(!dir.exists());
}
