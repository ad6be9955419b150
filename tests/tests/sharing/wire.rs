//! [`Wire`]: a directory behind the address of a bucket, which counts what is asked of it and fails
//! when the test says so. [`Hand`]: a repository that is driven through the library over it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mv_graph::RefName;
use mv_repo::clone::{CloneOptions, CloneOutcome};
use mv_repo::commit::CommitOptions;
use mv_repo::fetch::{FetchOptions, FetchOutcome};
use mv_repo::pull::{PullOptions, PullOutcome};
use mv_repo::push::{PushOptions, PushOutcome};
use mv_repo::remotes::{self, AddOptions};
use mv_repo::{Address, Connector, Error, InitOptions, Repo, Session};
use mv_store::{Fault, Nonce, Result, SharedDir, Source, Stat, Task, Transport};
use mv_tests::{Clock, Sandbox};

const URL: &str = "s3://bucket/model";

/// A transport that is watched.
pub(super) struct Wire {
    dir: SharedDir,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    requests: BTreeMap<&'static str, u64>,
    /// Bytes of packs that went through, in either direction.
    bytes: u64,
    /// How many more requests work; of one kind only if one is named.
    left: Option<(Option<&'static str>, u64)>,
}

impl Wire {
    pub(super) fn to(dir: &Path) -> Arc<Wire> {
        Arc::new(Wire { dir: SharedDir::open(dir).unwrap(), asked: Mutex::default() })
    }

    /// What was asked since the last call: requests by kind, and bytes of packs.
    pub(super) fn taken(&self) -> (BTreeMap<&'static str, u64>, u64) {
        let mut asked = self.asked.lock().unwrap();
        (std::mem::take(&mut asked.requests), std::mem::take(&mut asked.bytes))
    }

    /// From now on only so many requests work; of one kind only if one is named.
    pub(super) fn break_after(&self, kind: Option<&'static str>, requests: u64) {
        self.asked.lock().unwrap().left = Some((kind, requests));
    }

    pub(super) fn mend(&self) {
        self.asked.lock().unwrap().left = None;
    }

    fn ask(&self, kind: &'static str) -> Result<()> {
        let mut asked = self.asked.lock().unwrap();
        *asked.requests.entry(kind).or_default() += 1;
        match &mut asked.left {
            Some((only, left)) if only.is_none_or(|only| only == kind) => {
                *left = left.checked_sub(1).ok_or_else(|| mv_store::Error::Remote {
                    url: URL.to_owned(),
                    fault: Fault::Unreachable,
                    detail: "the line is cut".to_owned(),
                })?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn carried(&self, name: &str, bytes: u64) {
        if name.starts_with("packs/") {
            self.asked.lock().unwrap().bytes += bytes;
        }
    }
}

impl Transport for Wire {
    fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>> {
        self.ask("read")?;
        self.dir.read(name, cap)
    }

    fn read_range(&self, name: &str, start: u64, len: u64) -> Result<Vec<u8>> {
        self.ask("read_range")?;
        self.carried(name, len);
        self.dir.read_range(name, start, len)
    }

    fn read_end(&self, name: &str, len: u64) -> Result<(Vec<u8>, u64)> {
        self.ask("read_end")?;
        let (bytes, size) = self.dir.read_end(name, len)?;
        self.carried(name, bytes.len() as u64);
        Ok((bytes, size))
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        self.ask("stat")?;
        self.dir.stat(name)
    }

    fn create(&self, name: &str, bytes: &[u8], nonce: &Nonce) -> Result<()> {
        self.ask("create")?;
        self.dir.create(name, bytes, nonce)
    }

    fn upload(&self, name: &str, source: &dyn Source, nonce: &Nonce, task: &Task) -> Result<()> {
        self.ask("upload")?;
        self.carried(name, source.len());
        self.dir.upload(name, source, nonce, task)
    }

    fn note(&self, name: &str, bytes: &[u8], nonce: &Nonce) -> Result<()> {
        self.ask("note")?;
        self.dir.note(name, bytes, nonce)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        self.ask("list")?;
        self.dir.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.ask("delete")?;
        self.dir.delete(name)
    }
}

/// A repository, the clock of whoever works with it, and the way to its remote.
pub(super) struct Hand {
    pub(super) sandbox: Sandbox,
    clock: Clock,
    wire: Arc<Wire>,
}

impl Hand {
    /// A new repository that knows the remote as `origin`.
    pub(super) fn new(wire: &Arc<Wire>) -> Hand {
        let mut hand = Hand::without(wire);
        let options = InitOptions { name: Some("model".into()) };
        let session = hand.session();
        Repo::init(hand.sandbox.root(), &options, &session).unwrap();
        let (repo, session) = hand.open();
        let (name, address) = (RefName::parse("origin").unwrap(), address());
        remotes::add(&repo, &AddOptions { name, address, single_writer: false }, &session).unwrap();
        hand
    }

    /// A place for a clone.
    pub(super) fn without(wire: &Arc<Wire>) -> Hand {
        Hand { sandbox: Sandbox::bare(), clock: Clock::default(), wire: Arc::clone(wire) }
    }

    #[track_caller]
    pub(super) fn cloned(wire: &Arc<Wire>) -> Hand {
        let mut hand = Hand::without(wire);
        hand.clone_here().unwrap();
        hand
    }

    pub(super) fn session(&mut self) -> Session {
        let mut session = self.clock.session();
        let wire = Arc::clone(&self.wire);
        session.connector = Connector::new(Arc::new(move |_| Ok(Arc::clone(&wire) as _)));
        session
    }

    pub(super) fn open(&mut self) -> (Repo, Session) {
        let session = self.session();
        (Repo::open(self.sandbox.root(), &session).unwrap(), session)
    }

    pub(super) fn clone_here(&mut self) -> std::result::Result<CloneOutcome, Error> {
        let options = CloneOptions {
            address: address(),
            dir: self.sandbox.root().to_path_buf(),
            rev: None,
            only: Vec::new(),
            paths: Vec::new(),
            depth: None,
        };
        mv_repo::clone::clone(&options, &self.session())
    }

    /// Writes a file and commits everything; returns the id.
    #[track_caller]
    pub(super) fn commit(&mut self, path: &str, bytes: impl AsRef<[u8]>) -> String {
        self.sandbox.write(path, bytes);
        let (repo, session) = self.open();
        let message = Some(format!("write {path}"));
        let options = CommitOptions { message, ..CommitOptions::default() };
        mv_repo::commit::commit(&repo, &options, &session).unwrap().id.to_hex()
    }

    pub(super) fn push(&mut self) -> std::result::Result<PushOutcome, Error> {
        let (repo, session) = self.open();
        mv_repo::push::push(&repo, &PushOptions::default(), &session)
    }

    pub(super) fn fetch(&mut self) -> std::result::Result<FetchOutcome, Error> {
        let (repo, session) = self.open();
        mv_repo::fetch::fetch(&repo, &FetchOptions::default(), &session)
    }

    pub(super) fn pull(&mut self) -> std::result::Result<PullOutcome, Error> {
        let (repo, session) = self.open();
        mv_repo::pull::pull(&repo, &PullOptions::default(), &session)
    }

    pub(super) fn branch(&mut self, name: &str) {
        let (repo, session) = self.open();
        let create_branch = Some(RefName::parse(name).unwrap());
        let options = mv_repo::checkout::CheckoutOptions {
            create_branch,
            ..mv_repo::checkout::CheckoutOptions::default()
        };
        mv_repo::checkout::checkout(&repo, &options, &session).unwrap();
    }
}

/// A directory to share, in a place of its own.
pub(super) struct Place {
    _place: tempfile::TempDir,
    pub(super) dir: PathBuf,
}

impl Place {
    pub(super) fn new() -> Place {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().canonicalize().unwrap().join("shared");
        Place { _place: place, dir }
    }
}

fn address() -> Address {
    Address::parse(URL, Path::new("/")).unwrap()
}
