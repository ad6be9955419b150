//! [`Repo`]: one repository and its working tree, as of one state record.

mod advance;
mod elsewhere;
mod init;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component as Part, Path, PathBuf};
use std::sync::Arc;

use mv_graph::chain::{self, Record};
use mv_graph::revision::{self, View};
use mv_graph::walk::Ancestors;
use mv_graph::{Manifest, RepoPath, State};
use mv_store::{DirTransport, Hash, OpenElsewhere, PackId, Store, Unit, fs as store_fs};

use crate::config::{LocalConfig, ProjectConfig};
use crate::error::{Error, IoContext, Result};
use crate::layout::{DOT, Format, Layout};
use crate::partial::{self, Partial};
use crate::session::Session;
use crate::worktree::{Root, Rules, StatCache};

pub(crate) use init::exclude_from_git;
pub use init::{InitOptions, InitOutcome};

/// The name of the task that runs while another command has the working tree.
pub const WAITING: &str = "waiting for another mver";
/// How often the lock is looked at before a command gives up.
const MOST_LOOKS: u32 = 30_000;

/// An opened repository. A snapshot: it does not see what others do later.
pub struct Repo {
    root: PathBuf,
    layout: Layout,
    transport: DirTransport,
    record: Record,
    store: Store,
    /// Opens the remote that has what is not here; none when everything is here.
    elsewhere: Option<Arc<OpenElsewhere>>,
    /// None when `mv.toml` is broken.
    config: Option<ProjectConfig>,
    local: LocalConfig,
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repo").field("root", &self.root).finish_non_exhaustive()
    }
}

/// A path argument, relative to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathArg {
    /// The root itself: everything.
    Root,
    /// A path below it.
    Path(RepoPath),
}

impl PathArg {
    /// Whether the path is this argument or lies below it.
    #[must_use]
    pub fn covers(&self, path: &RepoPath) -> bool {
        match self {
            PathArg::Root => true,
            PathArg::Path(dir) => path.starts_with(dir),
        }
    }
}

/// Whether any argument covers the path; no arguments cover everything.
#[must_use]
pub(crate) fn covered(args: &[PathArg], path: &RepoPath) -> bool {
    args.is_empty() || args.iter().any(|arg| arg.covers(path))
}

impl Repo {
    /// Opens the repository that `start` lies in: the nearest directory upwards that holds `.mv`,
    /// without leaving the file system.
    ///
    /// # Errors
    /// `NotARepository`, and as [`Repo::open`].
    pub fn discover(start: &Path, session: &Session) -> Result<Repo> {
        let start = fs::canonicalize(start).at("open", start)?;
        let device = fs::metadata(&start).at("stat", &start)?.dev();
        for dir in start.ancestors() {
            if fs::metadata(dir).at("stat", dir)?.dev() != device {
                break;
            }
            if fs::symlink_metadata(dir.join(DOT)).is_ok_and(|meta| meta.is_dir()) {
                return Repo::open(dir, session);
            }
        }
        Err(Error::NotARepository { path: start })
    }

    /// Opens the repository whose project root is `root`.
    ///
    /// # Errors
    /// `NotARepository`, `Unfinished` after an interrupted `init`, `Policy` when it belongs to
    /// another user, `Unsupported`, `Corrupt`, `Io`.
    pub fn open(root: &Path, session: &Session) -> Result<Repo> {
        let layout = Layout::of(root);
        let Ok(meta) = fs::symlink_metadata(&layout.dot) else {
            return Err(Error::NotARepository { path: root.to_path_buf() });
        };
        if meta.uid() != session.uid && session.uid != 0 && !session.trust_any_owner {
            let what = format!(
                "`{}` belongs to another user (number {})",
                layout.dot.display(),
                meta.uid()
            );
            return Err(Error::Policy { what });
        }
        layout.check()?;
        let transport = DirTransport::open(&layout.dot);
        // A clone gathers what it fetches before there is a repository.
        let begun = if layout.dot.join("remotes").is_dir() { "clone" } else { "init" };
        let format = match Format::read(&transport) {
            Err(Error::Store(mv_store::Error::Absent { .. })) => {
                return Err(Error::Unfinished { what: begun.into() });
            }
            other => other?,
        };
        let record = match chain::newest(&transport, None) {
            Err(e) if chain::generations(&transport)?.is_empty() => {
                drop(e);
                return Err(Error::Unfinished { what: begun.into() });
            }
            other => other?,
        };
        if record.state.repository != format.repository {
            let name = "format";
            let detail = "the state records belong to another repository";
            return Err(mv_store::Error::corrupt("file", name, detail).into());
        }
        let local = LocalConfig::read(&layout.dot)?;
        let store = Store::open(&layout.dot, &record.state.packs);
        let elsewhere = elsewhere::open(&layout, &local, &record.state, session)?;
        let store = match &elsewhere {
            Some(open) => store.with_elsewhere(Arc::clone(open)),
            None => store,
        };
        // A broken `mv.toml` must not keep anyone from going back to a version with a good one.
        let config = ProjectConfig::read(root).ok().map(Option::unwrap_or_default);
        let root = root.to_path_buf();
        Ok(Repo { root, layout, transport, record, store, elsewhere, config, local })
    }

    /// The same repository as it is now.
    ///
    /// # Errors
    /// As [`Repo::open`].
    pub fn fresh(&self, session: &Session) -> Result<Repo> {
        Repo::open(&self.root, session)
    }

    /// The same repository with packs that are published but not named by a record yet.
    pub(crate) fn with_packs(&self, packs: &[PackId]) -> Repo {
        let all: Vec<_> = self.state().packs.iter().chain(packs).copied().collect();
        Repo {
            root: self.root.clone(),
            layout: self.layout.clone(),
            transport: self.transport.clone(),
            record: self.record.clone(),
            store: match &self.elsewhere {
                Some(open) => Store::open(&self.layout.dot, &all).with_elsewhere(Arc::clone(open)),
                None => Store::open(&self.layout.dot, &all),
            },
            elsewhere: self.elsewhere.clone(),
            config: self.config.clone(),
            local: self.local.clone(),
        }
    }

    /// The project's root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names below the repository folder.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The state that this snapshot was read at.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.record.state
    }

    /// The state's record.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The objects. In a part of a repository, those that are not here are read from the remote that
    /// has them.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The same repository in which a view's files are meant to be here as well.
    pub(crate) fn widened(mut self, view: partial::View) -> Repo {
        if let Some(partial) = &mut self.local.partial {
            partial.widen(view);
        }
        self
    }

    /// This repository with the settings of another snapshot of it.
    pub(crate) fn like(mut self, other: &Repo) -> Repo {
        self.local = other.local.clone();
        self
    }

    /// Writes down what is meant to be here.
    pub(crate) fn save_partial(&self, session: &Session) -> Result<()> {
        let mut config = LocalConfig::read(&self.layout.dot)?;
        if config.partial == self.local.partial {
            return Ok(());
        }
        config.partial = self.local.partial.clone();
        config.save(&self.layout.dot, &self.layout.tmp(), &session.nonces.next())
    }

    /// Which files' contents are meant to be here; none when all are.
    pub(crate) fn partial(&self) -> Option<&Partial> {
        self.local.partial.as_ref()
    }

    /// Where the records are kept.
    #[must_use]
    pub fn transport(&self) -> &DirTransport {
        &self.transport
    }

    /// What `mv.toml` says.
    ///
    /// # Errors
    /// `Invalid` when it is malformed.
    pub fn config(&self) -> Result<ProjectConfig> {
        match &self.config {
            Some(config) => Ok(config.clone()),
            None => Ok(ProjectConfig::read(&self.root)?.unwrap_or_default()),
        }
    }

    /// What `.mv/config.toml` says.
    #[must_use]
    pub fn local_config(&self) -> &LocalConfig {
        &self.local
    }

    pub(crate) fn rules(&self) -> Result<Rules> {
        Rules::new(&self.config()?)
    }

    /// The rules, or the default ones when `mv.toml` is broken; then the flag is false.
    pub(crate) fn rules_or_default(&self) -> Result<(Rules, bool)> {
        match self.rules() {
            Ok(rules) => Ok((rules, true)),
            Err(_) => Ok((Rules::new(&ProjectConfig::default())?, false)),
        }
    }

    /// Refuses a version that gc has freed, or freed in part: a ref to it would be worth nothing.
    /// What the refs reach today is whole and costs nothing; other versions are walked.
    pub(crate) fn must_be_whole(&self, ids: &[Hash]) -> Result<()> {
        let known: Vec<Hash> = self.state().targets();
        let fresh: Vec<Hash> = ids.iter().filter(|id| !known.contains(id)).copied().collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let ancestors =
            Ancestors::new(&self.store, &known).filter_map(|v| v.ok().map(|(id, _)| id));
        let known: std::collections::HashSet<Hash> =
            ancestors.chain(known.iter().copied()).collect();
        let fresh: Vec<Hash> = fresh.into_iter().filter(|id| !known.contains(id)).collect();
        if self.partial().is_some() {
            // What is not here is no loss; that the versions are there is all that can be asked.
            return fresh.iter().try_for_each(|id| self.manifest(id).map(drop));
        }
        match mv_graph::reach::reachable(&self.store, &fresh, &known) {
            Ok(_) => Ok(()),
            Err(e) if e.is_corruption() => {
                let names: Vec<_> = fresh.iter().map(Hash::short).collect();
                let what = format!("version {} is not all there any more: {e}", names.join(", "));
                Err(Error::Policy { what })
            }
            Err(e) => Err(e.into()),
        }
    }

    pub(crate) fn root_dir(&self) -> Result<Root> {
        Root::open(&self.root)
    }

    pub(crate) fn stat_cache(&self) -> StatCache {
        StatCache::load(&self.layout.stat_cache())
    }

    /// Waits for other commands that work on this working tree, ten minutes at most. Only saves work:
    /// correctness comes from the chain of records.
    ///
    /// # Errors
    /// `Locked`, `Cancelled`.
    pub(crate) fn lock(&self, session: &Session) -> Result<store_fs::Lock> {
        let (mut waiting, mut looks) = (None, 0);
        let lock = store_fs::Lock::wait_while(&self.layout.lock(), &mut || {
            waiting.get_or_insert_with(|| session.progress.task(WAITING, Unit::Items));
            looks += 1;
            session.progress.check().map(|()| looks < MOST_LOOKS)
        })?;
        lock.ok_or_else(|| Error::Locked { path: self.root.clone() })
    }

    /// The version that the working tree is based on.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`.
    pub fn head_manifest(&self) -> Result<Option<(Hash, Manifest)>> {
        self.state().head_target().map(|id| Ok((id, self.manifest(&id)?))).transpose()
    }

    /// One version.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`.
    pub fn manifest(&self, id: &Hash) -> Result<Manifest> {
        Ok(Manifest::read(&self.store, id)?)
    }

    /// The version that a user means.
    ///
    /// # Errors
    /// `UnknownRevision`, `Ambiguous`, `Corrupt`.
    pub fn resolve(&self, text: &str, session: &Session) -> Result<Hash> {
        let view = View {
            state: self.state(),
            objects: &self.store,
            transport: &self.transport,
            now: session.now,
        };
        Ok(revision::resolve(&view, text)?)
    }

    /// The names of the tags on a version, semantic versions first and highest first.
    #[must_use]
    pub fn tags_of(&self, id: &Hash) -> Vec<String> {
        let mut tags: Vec<_> = self.state().tags.iter().filter(|t| t.target == Some(*id)).collect();
        tags.sort_by(|a, b| b.version().cmp(&a.version()).then_with(|| a.name.cmp(&b.name)));
        tags.into_iter().map(|t| t.name.to_string()).collect()
    }

    /// How a version is called: its highest semantic version, or else its time.
    #[must_use]
    pub fn version_of(&self, id: &Hash, manifest: &Manifest) -> String {
        let tags = self.state().tags.iter().filter(|t| t.target == Some(*id));
        let highest = tags.filter_map(|t| Some((t.version()?, t))).max_by(|a, b| a.0.cmp(&b.0));
        highest.map_or_else(|| manifest.created.version_stamp(), |(_, tag)| tag.name.to_string())
    }

    /// Turns a path as the user typed it in `cwd` into one relative to the root. The path need not
    /// exist; symlinks are not followed.
    ///
    /// # Errors
    /// `Invalid` when it leaves the project or cannot be stored.
    pub fn to_repo_path(&self, cwd: &Path, arg: &OsStr) -> Result<PathArg> {
        let cwd = fs::canonicalize(cwd).at("open", cwd)?;
        let mut whole = PathBuf::new();
        for part in cwd.join(arg).components() {
            match part {
                Part::CurDir => {}
                Part::ParentDir => drop(whole.pop()),
                other => whole.push(other),
            }
        }
        let outside = || {
            Error::invalid("path", format!("`{}` is outside the project", arg.to_string_lossy()))
        };
        let below = whole.strip_prefix(&self.root).map_err(|_| outside())?;
        if below.as_os_str().is_empty() {
            return Ok(PathArg::Root);
        }
        let path = RepoPath::from_bytes(below.as_os_str().as_bytes())
            .map_err(|why| Error::invalid("path", format!("`{}`: {why}", arg.to_string_lossy())))?;
        Ok(PathArg::Path(path))
    }
}
