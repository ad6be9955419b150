//! [`Lab`]: a project driven through the library, in one process, on a clock of its own.

use mv_graph::RefName;
use mv_repo::checkout::{CheckoutOptions, CheckoutOutcome};
use mv_repo::commit::{CommitOptions, CommitOutcome};
use mv_repo::fsck::{FsckOptions, FsckReport};
use mv_repo::{Error, InitOptions, Repo, Session};
use mv_tests::{Clock, Files, Sandbox};

/// A repository and the clock of whoever works with it.
pub(super) struct Lab {
    pub(super) sandbox: Sandbox,
    pub(super) clock: Clock,
}

impl Lab {
    pub(super) fn new() -> Lab {
        let sandbox = Sandbox::bare();
        let mut clock = Clock::default();
        let options = InitOptions { name: Some("model".into()) };
        Repo::init(sandbox.root(), &options, &clock.session()).unwrap();
        Lab { sandbox, clock }
    }

    /// A repository whose working tree is empty: without even an `mv.toml`.
    pub(super) fn empty() -> Lab {
        let lab = Lab::new();
        lab.sandbox.remove("mv.toml");
        lab
    }

    pub(super) fn open(&mut self) -> (Repo, Session) {
        let session = self.clock.session();
        (Repo::open(self.sandbox.root(), &session).unwrap(), session)
    }

    pub(super) fn try_commit(&mut self, message: &str) -> Result<CommitOutcome, Error> {
        let (repo, session) = self.open();
        let message = Some(message.to_owned());
        let options = CommitOptions { message, ..CommitOptions::default() };
        mv_repo::commit::commit(&repo, &options, &session)
    }

    /// Commits everything, even nothing; returns the id.
    #[track_caller]
    pub(super) fn commit(&mut self, message: &str) -> String {
        let (repo, session) = self.open();
        let options = CommitOptions {
            message: Some(message.to_owned()),
            allow_empty: true,
            ..CommitOptions::default()
        };
        mv_repo::commit::commit(&repo, &options, &session).unwrap().id.to_hex()
    }

    pub(super) fn checkout(&mut self, target: &str, force: bool) -> Result<CheckoutOutcome, Error> {
        let (repo, session) = self.open();
        let target = Some(target.to_owned());
        let options = CheckoutOptions { target, force, ..CheckoutOptions::default() };
        mv_repo::checkout::checkout(&repo, &options, &session)
    }

    pub(super) fn checkout_new(&mut self, branch: &str) -> Result<CheckoutOutcome, Error> {
        let (repo, session) = self.open();
        let create_branch = Some(RefName::parse(branch).unwrap());
        let options = CheckoutOptions { create_branch, ..CheckoutOptions::default() };
        mv_repo::checkout::checkout(&repo, &options, &session)
    }

    pub(super) fn undo(&mut self) -> Result<(), Error> {
        let (repo, session) = self.open();
        let outcome = mv_repo::undo::undo(&repo, &session)?;
        assert!(outcome.failed.is_empty());
        Ok(())
    }

    pub(super) fn redo(&mut self) -> Result<(), Error> {
        let (repo, session) = self.open();
        let outcome = mv_repo::undo::redo(&repo, &session)?;
        assert!(outcome.failed.is_empty());
        Ok(())
    }

    pub(super) fn fsck(&mut self) -> FsckReport {
        let session = self.clock.session();
        let options = FsckOptions { full: true, sample: None };
        mv_repo::fsck::fsck(self.sandbox.root(), &options, &session).unwrap()
    }

    #[track_caller]
    pub(super) fn sound(&mut self) {
        let report = self.fsck();
        assert!(report.ok(), "{:?}", report.problems);
    }

    pub(super) fn files(&self) -> Files {
        self.sandbox.files()
    }

    /// Replaces the working tree with these files, whatever was there.
    pub(super) fn set_files(&self, files: &Files) {
        for entry in std::fs::read_dir(self.sandbox.root()).unwrap() {
            let name = entry.unwrap().file_name();
            if name != ".mv" {
                self.sandbox.remove(name);
            }
        }
        files.write(self.sandbox.root());
    }
}
