//! [`Scenario`]: a remote, and actors with repositories of their own who do something to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mv_graph::{RefName, Time};
use mv_repo::checkout::CheckoutOptions;
use mv_repo::clone::CloneOptions;
use mv_repo::commit::CommitOptions;
use mv_repo::fetch::FetchOptions;
use mv_repo::fsck::FsckOptions;
use mv_repo::gc::GcOptions;
use mv_repo::push::PushOptions;
use mv_repo::remote::Address;
use mv_repo::remotes::AddOptions;
use mv_repo::{Connector, Error, InitOptions, Repo, Session};
use mv_store::{Hash, Nonces};
use mv_tests::memory_transport::{Gate, Memory, MemoryTransport};
use tempfile::TempDir;

use super::stage::{Ending, Part};

/// What an actor does.
#[derive(Clone)]
pub(super) enum Act {
    Push(PushOptions),
    Clone,
    Fetch,
    /// So many gcs, one after the other, without any grace.
    Gc(usize),
    Repack,
}

/// What may go wrong for an actor.
#[derive(Clone, Copy, Default)]
pub(super) struct Trouble {
    /// Requests fail, or their replies are lost.
    pub(super) failures: bool,
    /// The process is killed.
    pub(super) kills: bool,
    /// Listings lag.
    pub(super) stale: bool,
    /// Requests take effect later.
    pub(super) late: bool,
}

/// What has to be true of the remote once an actor was told that all went well.
#[derive(Clone)]
pub(super) enum Promise {
    Nothing,
    /// A branch came to this version.
    At(String, Hash),
    /// A branch was deleted.
    Gone(String),
}

pub(super) struct Actor {
    pub(super) name: &'static str,
    act: Act,
    pub(super) promise: Promise,
    /// Failures that nobody caused.
    pub(super) may_fail: fn(&Error) -> bool,
    /// How often it begins, when it is killed or something fails.
    pub(super) tries: usize,
    pub(super) trouble: Trouble,
    /// Its repository as it was prepared.
    prepared: PathBuf,
    /// And as it is in a run.
    home: PathBuf,
}

impl Actor {
    pub(super) fn trouble(mut self, trouble: Trouble) -> Actor {
        self.trouble = trouble;
        self
    }

    pub(super) fn tries(mut self, tries: usize) -> Actor {
        self.tries = tries;
        self
    }

    pub(super) fn may_fail(mut self, may_fail: fn(&Error) -> bool) -> Actor {
        self.may_fail = may_fail;
        self
    }
}

pub(super) struct Scenario {
    pub(super) memory: Memory,
    pub(super) actors: Vec<Actor>,
    /// Holds all repositories.
    dir: TempDir,
}

/// Where scenarios are made.
pub(super) struct Workshop {
    dir: TempDir,
    memory: Arc<Memory>,
    made: u8,
}

/// 2026-01-01T00:00:00Z
const NOW: i64 = 1_767_225_600;
const URL: &str = "s3://memory/model";

pub(super) fn never(_: &Error) -> bool {
    false
}

/// Another push to the same branch came first.
pub(super) fn behind(e: &Error) -> bool {
    matches!(e, Error::Behind { .. })
}

/// An earlier try did it already.
fn deleted_before(e: &Error) -> bool {
    matches!(e, Error::Graph(mv_graph::Error::UnknownRevision { .. }))
}

/// A pack went while it was read, and the command can be repeated.
pub(super) fn overtaken(e: &Error) -> bool {
    use mv_graph::Error::Store;
    use mv_store::Error::Stale;
    matches!(e, Error::Store(Stale { .. }) | Error::Graph(Store(Stale { .. }))) || lost_race(e)
}

fn lost_race(e: &Error) -> bool {
    matches!(e, Error::LostRace { .. } | Error::Graph(mv_graph::Error::LostRace { .. }))
}

/// The circumstances of a command; the same number gives the same nonces.
pub(super) fn session(number: [u8; 2], gate: Arc<dyn Gate>) -> Session {
    let mut seed = [0x5a; 32];
    seed[..2].copy_from_slice(&number);
    let mut session = mv_tests::session(0);
    session.now = Time { ns: NOW * 1_000_000_000, offset_minutes: 0 };
    session.nonces = Nonces::from_seed(seed);
    session.connector =
        Connector::new(Arc::new(move |_| Ok(Arc::new(MemoryTransport::new(Arc::clone(&gate))))));
    session
}

impl Workshop {
    pub(super) fn new() -> Workshop {
        let memory = Path::new("/dev/shm");
        let builder = |dir: &Path| tempfile::Builder::new().prefix("mv-protocol").tempdir_in(dir);
        let dir = builder(memory).or_else(|_| builder(&std::env::temp_dir())).unwrap();
        Workshop { dir, memory: Arc::default(), made: 0 }
    }

    fn session(&mut self) -> Session {
        self.made += 1;
        session([0xff, self.made], Arc::clone(&self.memory) as Arc<dyn Gate>)
    }

    /// A repository with a remote, and with one version on a branch if there are any files.
    pub(super) fn repo(&mut self, name: &str, branch: &str, files: &[&str]) -> PathBuf {
        let root = self.dir.path().join("prepared").join(name);
        let options = InitOptions { name: Some("m".into()) };
        Repo::init(&root, &options, &self.session()).unwrap();
        fs::remove_file(root.join("mv.toml")).unwrap();
        let add = AddOptions {
            name: RefName::parse("origin").unwrap(),
            address: Address::parse(URL, Path::new("/")).unwrap(),
            single_writer: false,
        };
        let session = self.session();
        let repo = Repo::open(&root, &session).unwrap();
        mv_repo::remotes::add(&repo, &add, &session).unwrap();
        if branch != "main" {
            let create_branch = Some(RefName::parse(branch).unwrap());
            let options = CheckoutOptions { create_branch, ..CheckoutOptions::default() };
            mv_repo::checkout::checkout(&repo, &options, &self.session()).unwrap();
        }
        if !files.is_empty() {
            self.commit(&root, files);
        }
        root
    }

    /// A copy of a repository, as it is now.
    pub(super) fn copy(&mut self, root: &Path, name: &str) -> PathBuf {
        let copy = self.dir.path().join("prepared").join(name);
        link(root, &copy);
        copy
    }

    /// A version with these files; each has content that follows from its name, and is large enough
    /// to be stored by itself: smaller ones would travel with their neighbours.
    pub(super) fn commit(&mut self, root: &Path, files: &[&str]) -> Hash {
        for file in files {
            let seed = u64::from_le_bytes(blake(file)[..8].try_into().unwrap());
            fs::write(root.join(file), mv_tests::Random::new(seed).bytes(64 << 10)).unwrap();
        }
        let session = self.session();
        let repo = Repo::open(root, &session).unwrap();
        let message = Some(files.join(" "));
        let options = CommitOptions { message, allow_empty: true, ..CommitOptions::default() };
        mv_repo::commit::commit(&repo, &options, &session).unwrap().id
    }

    /// Gives a role to the current version.
    pub(super) fn stage(&mut self, root: &Path, name: &str) {
        let session = self.session();
        let repo = Repo::open(root, &session).unwrap();
        let name = RefName::parse(name).unwrap();
        mv_repo::stage::set(&repo, &name, "HEAD", "it is good", &session).unwrap();
    }

    pub(super) fn tag(&mut self, root: &Path, name: &str) {
        let session = self.session();
        let repo = Repo::open(root, &session).unwrap();
        let name = RefName::parse(name).unwrap();
        let options = mv_repo::tag::TagOptions { name, rev: None, message: String::new() };
        mv_repo::tag::create(&repo, &options, &session).unwrap();
    }

    /// Pushes everything while nobody looks.
    pub(super) fn pushed(&mut self, root: &Path) {
        let session = self.session();
        let repo = Repo::open(root, &session).unwrap();
        let options = PushOptions { all: true, ..PushOptions::default() };
        mv_repo::push::push(&repo, &options, &session).unwrap();
    }

    /// Deletes a branch of the remote while nobody looks.
    pub(super) fn deleted(&mut self, root: &Path, branch: &str) {
        let session = self.session();
        let repo = Repo::open(root, &session).unwrap();
        let refs = vec![branch.to_owned()];
        let options = PushOptions { refs, delete: true, ..PushOptions::default() };
        mv_repo::push::push(&repo, &options, &session).unwrap();
    }

    fn actor(&self, name: &'static str, act: Act, prepared: &Path) -> Actor {
        Actor {
            name,
            act,
            promise: Promise::Nothing,
            may_fail: never,
            tries: 1,
            trouble: Trouble::default(),
            prepared: prepared.to_path_buf(),
            home: self.dir.path().join("run").join(name),
        }
    }

    /// Pushes a branch of a repository.
    pub(super) fn pusher(&mut self, name: &'static str, root: &Path, branch: &str) -> Actor {
        let session = self.session();
        let state = Repo::open(root, &session).unwrap();
        let target = state.state().branch(branch).unwrap().target;
        let options = PushOptions { refs: vec![branch.to_owned()], ..PushOptions::default() };
        let promise = Promise::At(branch.to_owned(), target);
        Actor { promise, ..self.actor(name, Act::Push(options), root) }
    }

    /// Deletes a branch of the remote.
    pub(super) fn deleter(&self, root: &Path, branch: &str) -> Actor {
        let refs = vec![branch.to_owned()];
        let options = PushOptions { refs, delete: true, ..PushOptions::default() };
        let promise = Promise::Gone(branch.to_owned());
        Actor {
            promise,
            may_fail: deleted_before,
            ..self.actor("deleter", Act::Push(options), root)
        }
    }

    pub(super) fn gc(&mut self, name: &'static str, rounds: usize) -> Actor {
        let root = self.repo(name, "main", &[]);
        Actor { may_fail: overtaken, ..self.actor(name, Act::Gc(rounds), &root) }
    }

    pub(super) fn repacker(&mut self) -> Actor {
        let root = self.repo("repack", "main", &[]);
        Actor { may_fail: overtaken, ..self.actor("repack", Act::Repack, &root) }
    }

    pub(super) fn cloner(&self) -> Actor {
        self.actor("clone", Act::Clone, &self.dir.path().join("nothing"))
    }

    pub(super) fn fetcher(&self, root: &Path) -> Actor {
        self.actor("fetch", Act::Fetch, root)
    }

    pub(super) fn scenario(self, actors: Vec<Actor>) -> Scenario {
        fs::create_dir_all(self.dir.path().join("run")).unwrap();
        Scenario { memory: (*self.memory).clone(), actors, dir: self.dir }
    }
}

fn blake(text: &str) -> [u8; 32] {
    mv_store::id_of(mv_store::Kind::Blob, text.as_bytes()).0
}

impl Scenario {
    /// Puts an actor's repository back to what it was.
    pub(super) fn reset(&self, seat: usize) {
        let actor = &self.actors[seat];
        // Whoever only writes to the remote changes nothing else of its own repository.
        let writes_there = !matches!(actor.act, Act::Clone | Act::Fetch);
        let parts: &[&str] = match writes_there && actor.home.exists() {
            true => &[".mv/state", ".mv/remotes"],
            false => &[".mv"],
        };
        for part in parts {
            let (from, to) = (actor.prepared.join(part), actor.home.join(part));
            if to.exists() {
                fs::remove_dir_all(&to).unwrap();
            }
            if from.exists() {
                link(&from, &to);
            }
        }
        if matches!(actor.act, Act::Clone) && actor.home.exists() {
            fs::remove_dir_all(&actor.home).unwrap();
        }
    }

    /// Whether anybody deletes packs.
    pub(super) fn collects(&self) -> bool {
        self.actors.iter().any(|actor| matches!(actor.act, Act::Gc(_) | Act::Repack))
    }

    /// An actor's part.
    pub(super) fn part(&self, seat: usize, turn: usize, gate: Arc<dyn Gate>) -> Part {
        let actor = &self.actors[seat];
        let (act, home) = (actor.act.clone(), actor.home.clone());
        let number = [u8::try_from(seat).unwrap(), u8::try_from(turn).unwrap()];
        Box::new(move || play(&act, &home, &session(number, gate)))
    }

    /// A directory that is there as long as the scenario.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn play(act: &Act, home: &Path, session: &Session) -> Ending {
    match act {
        Act::Clone => {
            clone(home, session)?;
            sound(home, session);
        }
        Act::Push(options) => {
            mv_repo::push::push(&Repo::open(home, session)?, options, session)?;
        }
        Act::Fetch => {
            mv_repo::fetch::fetch(&Repo::open(home, session)?, &FetchOptions::default(), session)?;
            sound(home, session);
        }
        Act::Gc(rounds) => {
            for _ in 0..*rounds {
                gc(home, session)?;
            }
        }
        Act::Repack => {
            mv_repo::repack::repack_remote(&Repo::open(home, session)?, None, session)?;
        }
    }
    Ok(())
}

/// One gc of the remote; a lost race is tried again.
pub(super) fn gc(home: &Path, session: &Session) -> Ending {
    let options = GcOptions { keep_last: Some(1), keep_within: None, grace: Duration::ZERO };
    let repo = Repo::open(home, session)?;
    let mut races = 0;
    loop {
        let planned = mv_repo::gc::plan_remote(&repo, None, &options, session);
        match planned.and_then(|mut gc| gc.apply(&repo, session)) {
            Err(e) if lost_race(&e) && races < 4 => races += 1,
            other => return other.map(drop),
        }
    }
}

pub(super) fn clone(home: &Path, session: &Session) -> Ending {
    let options = CloneOptions {
        address: Address::parse(URL, Path::new("/")).unwrap(),
        dir: home.to_path_buf(),
        rev: None,
        only: Vec::new(),
        paths: Vec::new(),
        depth: None,
    };
    mv_repo::clone::clone(&options, session).map(drop)
}

pub(super) fn sound(home: &Path, session: &Session) {
    let report =
        mv_repo::fsck::fsck(home, &FsckOptions { full: true, ..FsckOptions::default() }, session)
            .unwrap();
    assert!(report.ok(), "{:?}", report.problems);
}

/// Copies a directory; files are linked, since `mv` replaces files and never changes them.
fn link(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            link(&path, &target);
        } else if fs::hard_link(&path, &target).is_err() {
            fs::copy(&path, &target).unwrap();
        }
    }
}
