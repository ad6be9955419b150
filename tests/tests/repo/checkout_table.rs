//! Every combination of what HEAD, the target and the working tree may have under one name: a
//! checkout puts the target in place, keeps what it must, or refuses and touches nothing.

use std::collections::BTreeSet;

use mv_repo::Error;
use mv_tests::{Files, Node};

use super::lab::Lab;

/// What may stand at `f`.
fn values() -> Vec<Files> {
    let single = |node| Files([(b"f".to_vec(), node)].into());
    vec![
        Files::default(),
        single(Node::file("A")),
        single(Node::file("B")),
        single(Node::File { bytes: b"A".to_vec(), exec: true }),
        single(Node::Symlink(b"A".to_vec())),
        single(Node::EmptyDir),
        Files([(b"f/x".to_vec(), Node::file("A"))].into()),
        Files([(b"f/x".to_vec(), Node::file("B")), (b"f/y".to_vec(), Node::file("B"))].into()),
    ]
}

/// What a checkout without force must leave, or none when it must refuse.
pub(super) fn expected(base: &Files, target: &Files, work: &Files) -> Option<Files> {
    let mut after = Files::default();
    let names: BTreeSet<_> =
        base.0.keys().chain(target.0.keys()).chain(work.0.keys()).cloned().collect();
    for name in names {
        let (b, t, w) = (base.0.get(&name), target.0.get(&name), work.0.get(&name));
        let result = if w == t || w == b || w.is_none() {
            t
        } else if t == b {
            w
        } else {
            return None;
        };
        if let Some(node) = result {
            after.0.insert(name, node.clone());
        }
    }
    settle(after)
}

/// Removes empty directories that are not empty; none when a file would have something below it.
fn settle(mut files: Files) -> Option<Files> {
    let names: Vec<_> = files.0.keys().cloned().collect();
    for name in &names {
        for (at, byte) in name.iter().enumerate() {
            if *byte != b'/' {
                continue;
            }
            match files.0.get(&name[..at]) {
                Some(Node::EmptyDir) => drop(files.0.remove(&name[..at])),
                Some(_) => return None,
                None => {}
            }
        }
    }
    Some(files)
}

struct Case {
    lab: Lab,
    base: Files,
    target: Files,
    work: Files,
    what: String,
}

/// A repository per combination: `main` has the target, HEAD is on `base`.
fn each(mut check: impl FnMut(Case)) {
    for (b, base) in values().into_iter().enumerate() {
        for (t, target) in values().into_iter().enumerate() {
            let mut lab = Lab::empty();
            lab.set_files(&base);
            lab.commit("base");
            lab.checkout_new("base").unwrap();
            lab.checkout_new("target").unwrap();
            lab.set_files(&target);
            lab.commit("target");
            lab.checkout("base", false).unwrap();
            for (w, work) in values().into_iter().enumerate() {
                let copy = Lab { sandbox: lab.sandbox.duplicate(), clock: lab.clock.clone() };
                copy.set_files(&work);
                let what = format!("base {b}, target {t}, work {w}");
                let (base, target) = (base.clone(), target.clone());
                check(Case { lab: copy, base, target, work, what });
            }
        }
    }
}

#[test]
fn a_checkout_does_what_the_truth_table_says() {
    let mut refused = 0;
    each(|mut case| {
        let outcome = case.lab.checkout("target", false);
        let found = case.lab.files();
        let (_, what) = (case.lab.open(), &case.what);
        match (expected(&case.base, &case.target, &case.work), outcome) {
            (Some(after), Ok(_)) => {
                found.assert_same(&after, what);
                assert_eq!(case.lab.open().0.state().head_branch().unwrap().as_str(), "target");
            }
            (None, Err(Error::Refused { paths, .. })) => {
                refused += 1;
                found.assert_same(&case.work, what);
                assert!(!paths.is_empty(), "{what}");
                assert_eq!(case.lab.open().0.state().head_branch().unwrap().as_str(), "base");
            }
            (Some(after), other) => panic!("{what}: {other:?} instead of {after:?}"),
            (None, other) => panic!("{what}: {other:?} instead of a refusal"),
        }
    });
    assert!(refused > 50, "{refused}");
}

#[test]
fn a_forced_checkout_gives_the_target_and_undo_gives_everything_back() {
    each(|mut case| {
        let what = case.what.clone();
        let forced = case.lab.checkout("target", true);
        let saved = forced.unwrap_or_else(|e| panic!("{what}: {e:?}")).saved;
        let untracked =
            |name: &Vec<u8>| !case.base.0.contains_key(name) && !case.target.0.contains_key(name);
        // What neither version knows stays where the target leaves room for it.
        let mut after = case.target.clone();
        for (name, node) in case.work.0.iter().filter(|(name, _)| untracked(name)) {
            let mut with = after.clone();
            with.0.insert(name.clone(), node.clone());
            after = settle(with).unwrap_or(after);
        }
        let found = case.lab.files();
        found.assert_same(&after, &what);
        match case.lab.undo() {
            Ok(()) => {}
            // An untracked file that was carried along stands where HEAD has another.
            Err(Error::Refused { .. })
                if saved.is_none() && expected(&case.target, &case.base, &found).is_none() =>
            {
                case.lab.files().assert_same(&found, &what);
                return;
            }
            Err(e) => panic!("{what}: undo: {e:?}"),
        }
        // A file that had been deleted is back with HEAD's content: nothing is lost by that.
        let mut before = case.work.clone();
        let found = case.lab.files();
        for (name, node) in &case.base.0 {
            if !before.0.contains_key(name) && found.0.get(name) == Some(node) {
                before.0.insert(name.clone(), node.clone());
            }
        }
        // What was there before and equals the target is a committed file like the others.
        before.0.retain(|name, node| {
            case.target.0.get(name) != Some(node) || found.0.contains_key(name)
        });
        for (name, node) in &case.base.0 {
            if *node == Node::EmptyDir && found.0.get(name) == Some(node) {
                before.0.insert(name.clone(), node.clone());
            }
        }
        // A directory that was empty is gone when what was put in it is taken out again.
        before.0.retain(|name, node| *node != Node::EmptyDir || found.0.contains_key(name));
        found.assert_same(&settle(before).unwrap_or(case.work), &what);
        assert_eq!(case.lab.open().0.state().head_branch().unwrap().as_str(), "base", "{what}");
    });
}

#[test]
fn an_ignored_file_in_the_way_is_as_safe_as_any_other() {
    let mut lab = Lab::empty();
    lab.sandbox.write("f", "committed");
    lab.commit("target");
    lab.checkout_new("other").unwrap();
    lab.sandbox.remove("f");
    lab.sandbox.write(".mvignore", "f\nd/\n");
    lab.commit("base");
    lab.sandbox.write("f", "precious");
    lab.sandbox.write("d/deep/g", "precious too");
    let before = lab.files();
    let refusal = lab.checkout("main", false).unwrap_err();
    assert!(matches!(refusal, Error::Refused { .. }), "{refusal:?}");
    lab.files().assert_same(&before, "after the refusal");
    lab.checkout("main", true).unwrap();
    assert_eq!(lab.sandbox.read("f"), b"committed");
    assert_eq!(lab.sandbox.read("d/deep/g"), b"precious too");
    lab.undo().unwrap();
    lab.files().assert_same(&before, "after undo");
}

#[test]
fn an_ignored_directory_where_a_file_must_be_is_not_removed() {
    let mut lab = Lab::empty();
    lab.sandbox.write("d", "a file");
    lab.commit("target");
    lab.checkout_new("other").unwrap();
    lab.sandbox.remove("d");
    lab.sandbox.write(".mvignore", "d/\n");
    lab.commit("base");
    lab.sandbox.write("d/deep/g", "precious");
    let before = lab.files();
    assert!(matches!(lab.checkout("main", false), Err(Error::Refused { .. })));
    lab.files().assert_same(&before, "after the refusal");
    lab.checkout("main", true).unwrap();
    assert_eq!(lab.sandbox.read("d"), b"a file");
    lab.undo().unwrap();
    lab.files().assert_same(&before, "after undo");
}

#[test]
fn a_refusal_lists_every_path_in_the_way() {
    let sandbox = mv_tests::Sandbox::new();
    sandbox.write("a.py", "1");
    sandbox.write("b.py", "1");
    sandbox.commit("first");
    sandbox.ok(&["checkout", "-b", "next"]);
    sandbox.write("a.py", "2");
    sandbox.write("c.py", "2");
    sandbox.commit("second");
    sandbox.ok(&["checkout", "main"]);
    sandbox.write("a.py", "mine");
    sandbox.write("b.py", "mine, and not in the way");
    sandbox.write("c.py", "untracked");
    let before = sandbox.files();
    let output = sandbox.mv(&["checkout", "next"]).clean_fail(1);
    assert!(output.stderr.contains("a.py") && output.stderr.contains("c.py"), "{}", output.stderr);
    assert!(!output.stderr.contains("b.py"), "{}", output.stderr);
    sandbox.files().assert_same(&before, "after the refusal");
    let output = sandbox.mv(&["--json", "checkout", "next"]).expect(1);
    assert!(output.json()["error"]["message"].is_string());
}
