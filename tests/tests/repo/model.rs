//! Random histories against a model that keeps a copy of everything.
//!
//! The model knows what a checkout may do from the same rule as the truth table; after each step
//! the working tree, the refs and now and then every version are compared with it.

use std::collections::BTreeMap;

use mv_repo::Error;
use mv_tests::{Files, Node, Random, write_node};

use super::checkout_table::expected;
use super::lab::Lab;

const PATHS: &[&str] = &[
    "train.py",
    "a",
    "a/b",
    "a/b/c",
    "a/d.csv",
    "data/x.csv",
    "data/y/z.csv",
    "models/m.safetensors",
    "models/big.bin",
    "requirements.txt",
    "odd \n name",
    "link",
    "models",
    "data/y",
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Refs {
    branches: BTreeMap<String, String>,
    /// The branch that HEAD is on, or the version.
    branch: Option<String>,
    head: String,
}

/// One operation: everything before it and after it.
struct Step {
    before: (Refs, Files),
    after: (Refs, Files),
}

struct Model {
    lab: Lab,
    random: Random,
    versions: BTreeMap<String, Files>,
    refs: Refs,
    done: Vec<Step>,
    undone: Vec<Step>,
    log: Vec<String>,
}

impl Model {
    fn new(seed: u64) -> Model {
        let mut lab = Lab::empty();
        let files = lab.files();
        let id = lab.commit("first");
        let refs = Refs {
            branches: [("main".to_owned(), id.clone())].into(),
            branch: Some("main".into()),
            head: id.clone(),
        };
        let versions = [(id, files)].into();
        let random = Random::new(seed);
        let log = vec![format!("seed {seed}")];
        Model { lab, random, versions, refs, done: vec![], undone: vec![], log }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..45 => self.edit(),
            45..62 => self.commit(),
            62..70 => self.branch(),
            70..88 => self.checkout(),
            88..96 => self.undo(),
            _ => self.redo(),
        }
        self.compare_refs();
    }

    fn edit(&mut self) {
        let root = self.lab.sandbox.root().to_path_buf();
        let path = *self.random.pick(PATHS);
        let place = root.join(path);
        // What stands where a directory must be goes first.
        for dir in std::path::Path::new(path).ancestors().skip(1) {
            let dir = root.join(dir);
            if dir != root && dir.symlink_metadata().is_ok_and(|m| !m.is_dir()) {
                std::fs::remove_file(&dir).unwrap();
            }
        }
        if place.symlink_metadata().is_ok() {
            self.lab.sandbox.remove(path);
        }
        let node = match self.random.below(10) {
            0..3 => {
                self.log.push(format!("delete {path:?}"));
                return;
            }
            3 => Node::Symlink(self.random.pick(PATHS).as_bytes().to_vec()),
            4 => Node::EmptyDir,
            5 if path.ends_with(".bin") || path.ends_with(".csv") => {
                let len = 100_000 + self.random.below(300_000);
                let mut bytes = Random::new(self.random.below(3) as u64).bytes(len);
                let at = self.random.below(len);
                bytes[at] ^= 1;
                Node::file(bytes)
            }
            6 => Node::File { bytes: b"#!/bin/sh\n".to_vec(), exec: true },
            _ => Node::file(format!("content {}", self.random.below(4))),
        };
        self.log.push(format!("write {path:?} {node:?}"));
        write_node(&place, &node);
    }

    fn record(&mut self, before: (Refs, Files)) {
        let after = (self.refs.clone(), self.lab.files());
        self.done.push(Step { before, after });
        self.undone.clear();
    }

    fn commit(&mut self) {
        self.log.push("commit".into());
        let before = (self.refs.clone(), self.lab.files());
        match self.lab.try_commit("step") {
            Ok(outcome) => {
                let id = outcome.id.to_hex();
                self.lab.files().assert_same(&before.1, &self.story("commit changed files"));
                self.versions.insert(id.clone(), before.1.clone());
                self.refs.head = id.clone();
                if let Some(branch) = &self.refs.branch {
                    self.refs.branches.insert(branch.clone(), id);
                }
                self.record(before);
            }
            Err(Error::NothingToCommit) => {
                let head = &self.versions[&self.refs.head];
                before.1.assert_same(head, &self.story("nothing to commit"));
            }
            Err(e) => panic!("{}", self.story(&format!("commit: {e:?}"))),
        }
    }

    fn branch(&mut self) {
        let name = format!("b{}", self.random.below(5));
        if self.refs.branches.contains_key(&name) {
            return;
        }
        self.log.push(format!("checkout -b {name}"));
        let files = self.lab.files();
        let before = (self.refs.clone(), files.clone());
        self.lab.checkout_new(&name).unwrap();
        self.refs.branches.insert(name.clone(), self.refs.head.clone());
        self.refs.branch = Some(name);
        self.lab.files().assert_same(&files, &self.story("checkout -b"));
        self.record(before);
    }

    fn checkout(&mut self) {
        let names: Vec<String> = self.refs.branches.keys().cloned().collect();
        let ids: Vec<String> = self.versions.keys().cloned().collect();
        let by_name = self.random.percent(60);
        let target = self.random.pick(if by_name { &names } else { &ids }).clone();
        let force = self.random.percent(30);
        self.log.push(format!("checkout {target} force {force}"));
        let files = self.lab.files();
        let before = (self.refs.clone(), files.clone());
        let id = self.refs.branches.get(&target).unwrap_or(&target).clone();
        let (base, goal) = (&self.versions[&self.refs.head], &self.versions[&id]);
        let gentle = expected(base, goal, &files);
        match self.lab.checkout(&target, force) {
            Ok(_) => {
                let found = self.lab.files();
                if force {
                    let missing = absent(goal, &found);
                    assert!(missing.is_empty(), "{}", self.story(&format!("forced: {missing:?}")));
                } else {
                    let after = gentle.unwrap_or_else(|| panic!("{}", self.story("not refused")));
                    found.assert_same(&after, &self.story("checkout"));
                }
                self.refs.branch = by_name.then_some(target);
                self.refs.head = id;
                self.record(before);
            }
            Err(Error::Refused { .. }) if !force && gentle.is_none() => {
                self.lab.files().assert_same(&files, &self.story("after a refusal"));
            }
            Err(e) => panic!("{}", self.story(&format!("checkout: {e:?}"))),
        }
    }

    /// Only without edits since: then what must come back is known.
    fn undo(&mut self) {
        let files = self.lab.files();
        let Some(step) = self.done.pop_if(|step| step.after.1 == files) else { return };
        self.log.push("undo".into());
        let head = &self.versions[&step.before.0.head];
        match self.lab.undo() {
            Ok(()) => {}
            // Untracked files that were carried along stand where the older version has a file.
            Err(Error::Refused { .. })
                if expected(&self.versions[&self.refs.head], head, &files).is_none() =>
            {
                self.lab.files().assert_same(&files, &self.story("after a refused undo"));
                self.done.clear();
                self.undone.clear();
                return;
            }
            Err(e) => panic!("{}", self.story(&format!("undo: {e:?}"))),
        }
        // A file that had been deleted before a checkout may be back.
        let mut before = step.before.1.clone();
        let found = self.lab.files();
        for (name, node) in &head.0 {
            if !before.0.contains_key(name) && found.0.get(name) == Some(node) {
                before.0.insert(name.clone(), node.clone());
            }
        }
        // A directory that was empty is gone when what was put in it is taken out again.
        before.0.retain(|name, node| *node != Node::EmptyDir || found.0.contains_key(name));
        let before = expected(&Files::default(), &Files::default(), &before).unwrap_or(before);
        found.assert_same(&before, &self.story("undo"));
        self.refs = step.before.0.clone();
        if found == step.before.1 {
            self.undone.push(step);
        } else {
            self.undone.clear();
        }
    }

    fn redo(&mut self) {
        let files = self.lab.files();
        let Some(step) = self.undone.pop_if(|step| step.before.1 == files) else { return };
        self.log.push("redo".into());
        match self.lab.redo() {
            Ok(()) => {
                self.lab.files().assert_same(&step.after.1, &self.story("redo"));
                self.refs = step.after.0.clone();
                self.done.push(step);
            }
            // Redoing a forced checkout would overwrite what its undo brought back.
            Err(Error::Refused { .. }) => {
                self.lab.files().assert_same(&files, &self.story("after a refused redo"));
                self.undone.clear();
                self.done.clear();
            }
            Err(e) => panic!("{}", self.story(&format!("redo: {e:?}"))),
        }
    }

    fn compare_refs(&mut self) {
        let (repo, _) = self.lab.open();
        let state = repo.state();
        let found = Refs {
            branches: state
                .branches
                .iter()
                .map(|b| (b.name.to_string(), b.target.to_hex()))
                .collect(),
            branch: state.head_branch().map(ToString::to_string),
            head: state.head_target().unwrap().to_hex(),
        };
        assert_eq!(found, self.refs, "{}", self.story("refs"));
    }

    /// Every version of every branch comes out as it went in.
    fn finish(mut self) {
        self.lab.sound();
        let versions = std::mem::take(&mut self.versions);
        for (id, files) in &versions {
            self.lab.checkout(id, true).unwrap();
            let untracked: Vec<_> = self.lab.files().0.into_keys().collect();
            for name in untracked.iter().filter(|name| !files.0.contains_key(*name)) {
                use std::os::unix::ffi::OsStrExt;
                let path = std::ffi::OsStr::from_bytes(name);
                if self.lab.sandbox.exists(path) {
                    self.lab.sandbox.remove(path);
                }
            }
            self.lab.checkout(id, true).unwrap();
            let found = self.lab.files();
            let missing = absent(files, &found);
            assert!(missing.is_empty(), "{}", self.story(&format!("version {id}: {missing:?}")));
        }
    }

    fn story(&self, what: &str) -> String {
        format!("{what}\n{}", self.log.join("\n"))
    }
}

/// What of `wanted` is not there. A directory that is to be empty may hold untracked files.
fn absent<'a>(wanted: &'a Files, found: &Files) -> Vec<(&'a Vec<u8>, &'a Node)> {
    let there = |(name, node): &(&Vec<u8>, &Node)| {
        let below = [name.as_slice(), b"/"].concat();
        found.0.get(*name) == Some(*node)
            || (**node == Node::EmptyDir && found.0.keys().any(|n| n.starts_with(&below)))
    };
    wanted.0.iter().filter(|entry| !there(entry)).collect()
}

fn play(seeds: std::ops::Range<u64>, steps: usize) {
    for seed in seeds {
        let mut model = Model::new(seed);
        for _ in 0..steps {
            model.step();
        }
        model.finish();
    }
}

#[test]
fn random_histories_equal_the_model_seeds_0_to_99() {
    play(0..100, 40);
}

#[test]
fn random_histories_equal_the_model_seeds_100_to_199() {
    play(100..200, 40);
}
