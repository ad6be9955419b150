//! [`Team`]: a shared directory, and two who work with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use mv_tests::{Files, Output, Random, Sandbox};

/// Ada shares a directory; Bob has cloned it.
pub(super) struct Team {
    pub(super) ada: Sandbox,
    pub(super) bob: Sandbox,
}

impl Team {
    /// Ada has pushed a small project in one version, and Bob has cloned it.
    #[track_caller]
    pub(super) fn new() -> Team {
        let ada = Sandbox::new();
        fill(&ada);
        ada.commit("first");
        share(&ada);
        let bob = cloned(&shared(&ada), &[]);
        Team { ada, bob }
    }

    pub(super) fn shared(&self) -> PathBuf {
        shared(&self.ada)
    }

    /// Asserts that nothing is damaged with anybody.
    #[track_caller]
    pub(super) fn sound(&self) {
        self.ada.sound();
        self.bob.sound();
        sound_remote(&self.shared());
    }
}

/// Something for each component.
pub(super) fn fill(sandbox: &Sandbox) {
    sandbox.write("train.py", "print('train')\n");
    sandbox.write("lib/util.py", "x = 1\n");
    sandbox.write("data/a.csv", Random::new(1).bytes(100_000));
    sandbox.write("data/sub/b.csv", "a,b\n1,2\n");
    sandbox.write("models/m.bin", Random::new(2).bytes(120_000));
    sandbox.write("requirements.txt", "numpy==1.26.4\n");
}

/// The directory that a sandbox shares: beside its project.
pub(super) fn shared(sandbox: &Sandbox) -> PathBuf {
    sandbox.outside().join("shared")
}

/// Adds the shared directory as `origin` and pushes.
#[track_caller]
pub(super) fn share(sandbox: &Sandbox) {
    sandbox.ok(&["remote", "add", "origin", text(&shared(sandbox))]);
    sandbox.ok(&["push"]);
}

/// A clone, with more arguments.
#[track_caller]
pub(super) fn cloned(remote: &Path, more: &[&str]) -> Sandbox {
    let sandbox = Sandbox::bare();
    sandbox.ok(&[&["clone", text(remote), "."], more].concat());
    sandbox
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Commits one new file; returns the id.
#[track_caller]
pub(super) fn add(sandbox: &Sandbox, path: &str, bytes: impl AsRef<[u8]>) -> String {
    sandbox.write(path, bytes);
    sandbox.commit(&format!("add {path}"))
}

pub(super) fn head(sandbox: &Sandbox) -> String {
    sandbox.json(&["status"])["head"].as_str().unwrap().to_owned()
}

/// Looks at a copy of a remote as at a repository, which has the same layout.
#[track_caller]
pub(super) fn sound_remote(remote: &Path) {
    let sandbox = Sandbox::bare();
    copy(remote, &sandbox.dot());
    sandbox.sound();
}

pub(super) fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// What a repository has published: its records and its packs, by name.
pub(super) fn published(dot: &Path) -> Vec<Vec<u8>> {
    let folders = ["state", "packs"].map(|name| dot.join(name));
    let there = folders.iter().filter(|folder| folder.is_dir());
    there.flat_map(|folder| Files::read(folder).0.into_keys()).collect()
}

/// The newest record of a chain.
pub(super) fn newest_record(dot: &Path) -> PathBuf {
    mv_tests::damage::files_below(&dot.join("state")).pop().unwrap()
}

/// Runs the first command that the hint of a failure names.
#[track_caller]
pub(super) fn follow_hint(sandbox: &Sandbox, failed: &Output) -> Output {
    let hint = failed.stderr.lines().find_map(|line| line.strip_prefix("hint: "));
    let hint = hint.unwrap_or_else(|| panic!("no hint: {}", failed.stderr));
    let mut words = hint.split('`').nth(1).unwrap().split(' ');
    let program = words.next().unwrap();
    assert!(["mv", "mver"].contains(&program), "{hint}");
    sandbox.mv(&words.collect::<Vec<_>>())
}
