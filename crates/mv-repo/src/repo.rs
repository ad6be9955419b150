//! [`Repo`]: one repository and its working tree, as of one state record.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component as Part, Path, PathBuf};
use std::sync::Arc;

use mv_graph::chain::{self, Record};
use mv_graph::revision::{self, View};
use mv_graph::walk::Ancestors;
use mv_graph::{Manifest, RefName, RepoPath, State};
use mv_store::{DirTransport, Hash, OpenElsewhere, PackId, Store, Transport, fs as store_fs};

use crate::config::{LocalConfig, PROJECT_FILE, ProjectConfig};
use crate::error::{Error, IoContext, Result};
use crate::layout::{DOT, Format, Layout};
use crate::partial::{self, Partial};
use crate::remote::{Address, Known, Remote};
use crate::session::Session;
use crate::worktree::{Root, Rules, StatCache};

/// How many times an operation that lost a race to an unrelated one is tried again.
const RACES: usize = 8;

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

/// How to make a repository.
#[derive(Clone, Debug, Default)]
pub struct InitOptions {
    /// The model's name; the directory's when none is given.
    pub name: Option<String>,
}

/// What `init` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitOutcome {
    /// The project's root.
    pub root: PathBuf,
    /// Whether there was no repository before.
    pub created: bool,
    /// The model's name.
    pub name: String,
    /// Whether `.mv/` was added to the exclude file of the git repository around it.
    pub git_excluded: bool,
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
    /// Makes a repository in `dir`, or finishes one whose making was cut off. One that is there
    /// stays as it is.
    ///
    /// # Errors
    /// `Io`; `Invalid` for a name that cannot be written down.
    pub fn init(dir: &Path, options: &InitOptions, session: &Session) -> Result<InitOutcome> {
        fs::create_dir_all(dir).at("create directory", dir)?;
        let root = fs::canonicalize(dir).at("open", dir)?;
        let layout = Layout::of(&root);
        let default =
            root.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let name = options.name.clone().unwrap_or(default);
        layout.check()?;
        store_fs::create_dir_durably(&layout.worktree())?;
        store_fs::create_dir_durably(&layout.dot.join("state"))?;
        store_fs::create_dir_durably(&layout.dot.join("packs"))?;
        store_fs::create_dir_durably(&layout.tmp())?;
        let transport = DirTransport::open(&layout.dot);
        // The format file comes first and the first record last: a repository is there when both
        // are, and a run that was cut off between them is finished by the next.
        if store_fs::read_capped(&layout.dot.join("format"), 1 << 20)?.is_none() {
            let format = Format::new(session.nonces.next());
            // Of several that make the repository at once, one decides on its id.
            match transport.create("format", &format.encode(), &session.nonces.next()) {
                Ok(()) | Err(mv_store::Error::Exists { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let format = Format::read(&transport)?;
        let mut created = chain::generations(&transport)?.is_empty();
        let project = root.join(PROJECT_FILE);
        if created && fs::symlink_metadata(&project).is_err() {
            let text = ProjectConfig::default_toml(&name);
            ProjectConfig::parse(text.as_bytes())?;
            store_fs::replace(&project, text.as_bytes(), &layout.tmp(), &session.nonces.next())
                .or_else(|_| {
                    // `.mv` may be on another file system than the project.
                    fs::write(&project, &text).at("write", &project)
                })?;
        }
        if created {
            let main = RefName::parse("main")?;
            let first = State::first(format.repository, main, session.nonces.next(), session.now);
            match chain::create_first(&transport, first) {
                Err(mv_graph::Error::LostRace { .. }) => created = false,
                other => drop(other?),
            }
        }
        // Folders that another process was making at the same time may not be on disk yet.
        store_fs::sync_dir(&layout.dot)?;
        store_fs::sync_dir(&root)?;
        let name = ProjectConfig::read(&root)?.map_or(name, |config| config.name);
        let git_excluded = exclude_from_git(&root)?;
        Ok(InitOutcome { root, created, name, git_excluded })
    }

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
        let elsewhere = elsewhere(&layout, &local, &record.state, session)?;
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

    /// Waits for other commands that work on this working tree. Only saves work: correctness comes
    /// from the chain of records.
    pub(crate) fn lock(&self) -> Result<store_fs::Lock> {
        Ok(store_fs::Lock::wait(&self.layout.lock())?)
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

    /// Publishes the next state. `edit` is given a copy of the newest state, changes it and refuses
    /// what no longer holds; it is called again when another operation came first.
    ///
    /// `packs` were published for this operation, and `roots` are the versions it made. If a pack
    /// that they may rely on was retired meanwhile, everything below the roots is looked up again.
    ///
    /// # Errors
    /// What `edit` returns; `LostRace` when others keep coming first or something relied upon is gone.
    pub(crate) fn advance(
        &self,
        session: &Session,
        operation: &str,
        packs: &[PackId],
        roots: &[Hash],
        edit: &mut dyn FnMut(&mut State) -> Result<()>,
    ) -> Result<Record> {
        let mut newest = self.record.clone();
        for _ in 0..RACES {
            let actor = Some(session.author.clone());
            let mut next = newest.state.next(operation, session.nonces.next(), session.now, actor);
            next.add_packs(packs);
            edit(&mut next)?;
            match chain::append(&self.transport, &newest, next) {
                Err(mv_graph::Error::LostRace { .. }) => {}
                other => return Ok(other?),
            }
            newest = chain::newest(&self.transport, None)?;
            self.revalidate(&newest, packs, roots)?;
        }
        Err(Error::LostRace { generation: newest.state.generation })
    }

    /// After a lost race: own packs must still be there and not retired, and what the new versions
    /// rely on must be in live packs.
    fn revalidate(&self, newest: &Record, packs: &[PackId], roots: &[Hash]) -> Result<()> {
        let lost = || Error::LostRace { generation: newest.state.generation };
        let state = &newest.state;
        for pack in packs {
            let retired = state.condemned.iter().chain(&state.deleting).any(|r| r.pack == *pack);
            if retired || self.transport.size(&pack.file_name())?.is_none() {
                return Err(lost());
            }
        }
        let kept = |pack: &PackId| state.packs.binary_search(pack).is_ok();
        if self.record.state.packs.iter().all(kept) {
            return Ok(());
        }
        if self.partial().is_some() {
            // What is meant to be missing cannot be told here from what is lost: do it again.
            return Err(lost());
        }
        let live: Vec<_> = state.packs.iter().chain(packs).copied().collect();
        let store = Store::open(&self.layout.dot, &live);
        let reached = mv_graph::reach::reachable(&store, roots, &Default::default());
        reached.map(drop).map_err(|e| if e.is_corruption() { lost() } else { e.into() })
    }
}

/// How to reach what is not here, in a part of a repository.
fn elsewhere(
    layout: &Layout,
    local: &LocalConfig,
    state: &State,
    session: &Session,
) -> Result<Option<Arc<OpenElsewhere>>> {
    let Some(partial) = &local.partial else { return Ok(None) };
    let Some(remote) = local.remotes.get(&partial.remote) else {
        let detail = format!("`{}` is no remote", partial.remote);
        return Err(Error::invalid("`partial.remote`", detail));
    };
    let known = Known {
        name: RefName::parse(&partial.remote)?,
        address: Address::parse(&remote.url, Path::new("/"))?,
        seen: state.remote(&partial.remote).cloned(),
        accept_rewind: false,
        single_writer: remote.single_writer,
    };
    let (layout, connector) = (layout.clone(), session.connector.clone());
    let nonces = session.nonces.branch();
    Ok(Some(Arc::new(move || match Remote::connect(&layout, &known, &connector, &nonces) {
        Ok(remote) => Ok(remote.store),
        Err(Error::Store(e) | Error::Graph(mv_graph::Error::Store(e))) => Err(e),
        Err(e) => Err(mv_store::Error::Remote {
            url: known.address.to_string(),
            fault: mv_store::Fault::Unfit,
            detail: e.to_string(),
        }),
    })))
}

/// Adds `.mv/` to the exclude file of the git repository whose working tree begins at `root`, or
/// above it. Nothing is changed when the line is there.
pub(crate) fn exclude_from_git(root: &Path) -> Result<bool> {
    let Some(git) = root.ancestors().map(|dir| dir.join(".git")).find(|path| path.exists()) else {
        return Ok(false);
    };
    let Some(dir) = git_common_dir(&git) else { return Ok(false) };
    let path = dir.join("info").join("exclude");
    let bytes = match fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        other => other.at("read", &path)?,
    };
    let ours: [&[u8]; 4] = [b".mv/", b".mv", b"/.mv/", b"/.mv"];
    if bytes.split(|b| *b == b'\n').any(|line| ours.contains(&line.trim_ascii())) {
        return Ok(false);
    }
    fs::create_dir_all(dir.join("info")).at("create directory", &dir.join("info"))?;
    let line: &[u8] =
        if bytes.last().is_none_or(|b| *b == b'\n') { b".mv/\n" } else { b"\n.mv/\n" };
    let mut file =
        fs::OpenOptions::new().create(true).append(true).open(&path).at("open", &path)?;
    file.write_all(line).at("write", &path)?;
    Ok(true)
}

/// The git directory that worktrees and submodules share; `.git` may be a file that names it.
fn git_common_dir(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_path_buf());
    }
    let text = fs::read_to_string(git).ok()?;
    let named = git.parent()?.join(text.strip_prefix("gitdir:")?.trim());
    let common = fs::read_to_string(named.join("commondir")).ok();
    Some(common.map_or(named.clone(), |common| named.join(common.trim())))
        .filter(|dir| dir.is_dir())
}
