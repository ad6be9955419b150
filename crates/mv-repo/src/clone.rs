//! Making a repository from a remote.
//!
//! Until everything has arrived and was checked there is no state record, so a clone that is cut off
//! is no repository; the same command goes on from what has arrived. The first record then names
//! everything at once, and the working tree is put in place as by any checkout.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use mv_graph::missing::{Scope, Whole};
use mv_graph::reach::Ledgers;
use mv_graph::{Branch, Component, Head, RefName, RepoPath, State, chain};
use mv_store::{DirTransport, Hash, Transport, Unit, fs as store_fs};

use crate::checkout::{CheckoutOptions, CheckoutOutcome, checkout};
use crate::config::{LocalConfig, RemoteConfig};
use crate::error::{Error, IoContext, Result};
use crate::fetch::{Arrival, track, tracking_of};
use crate::layout::{Format, Layout};
use crate::mark::Mark;
use crate::partial::{Partial, View};
use crate::remote::{Address, Known, ORIGIN, Remote};
use crate::repo::Repo;
use crate::session::Session;
use crate::tracking::remember_seen;

/// How often a clone begins anew because the remote's packs were exchanged meanwhile.
const TURNS: u32 = 64;

/// What to clone, and how much of it.
#[derive(Clone, Debug)]
pub struct CloneOptions {
    /// Where from.
    pub address: Address,
    /// The project directory to make; it may be there if it is empty.
    pub dir: PathBuf,
    /// What to check out; the remote's own branch when none is given.
    pub rev: Option<String>,
    /// Only these components; all when empty.
    pub only: Vec<Component>,
    /// Only these files and directories; all when empty.
    pub paths: Vec<RepoPath>,
    /// The contents of only so many versions of each branch; all when none is given.
    pub depth: Option<u64>,
}

/// What was cloned.
#[derive(Clone, Debug)]
pub struct CloneOutcome {
    /// The project directory.
    pub root: PathBuf,
    /// The remote's address.
    pub url: String,
    /// Objects that were fetched.
    pub objects: u64,
    /// Bytes that were fetched, as stored.
    pub bytes: u64,
    /// Branches, tags and stages that came along.
    pub refs: u64,
    /// What was put into the working tree; none when the remote has no version.
    pub checkout: Option<CheckoutOutcome>,
}

/// Clones a remote.
///
/// # Errors
/// `Refused` when the directory is not empty, `UnknownRevision`, `Remote`, `Corrupt` for anything
/// that is not what it claims, `Io`.
pub fn clone(options: &CloneOptions, session: &Session) -> Result<CloneOutcome> {
    let dir = &options.dir;
    let made = !dir.exists();
    fs::create_dir_all(dir).at("create directory", dir)?;
    let outcome = clone_into(dir, options, session);
    if made && outcome.is_err() {
        // Stays if anything has arrived in it.
        drop(fs::remove_dir(dir));
    }
    outcome
}

fn clone_into(dir: &Path, options: &CloneOptions, session: &Session) -> Result<CloneOutcome> {
    let root = fs::canonicalize(dir).at("open", dir)?;
    let layout = Layout::of(&root);
    layout.check()?;
    if let Some(finished) = resumed(&root, &layout, options, session)? {
        return Ok(finished);
    }
    let known = Known {
        name: RefName::parse(ORIGIN)?,
        address: options.address.clone(),
        seen: None,
        accept_rewind: false,
        single_writer: false,
    };
    let mut remote = Remote::connect(&layout, &known, &session.connector, &session.nonces)?;
    if remote.record().is_none() {
        let (url, fault) = (options.address.to_string(), mv_store::Fault::Unreachable);
        let detail = "there is no repository".to_owned();
        return Err(mv_store::Error::Remote { url, fault, detail }.into());
    }
    let partial = partial(options);
    let mut turn = 0;
    let (state, arrived) = loop {
        let state = remote.state()?.clone();
        match fetch(&layout, &remote, &state, partial.as_ref(), session) {
            // Somebody's gc dropped a pack while it was read: the newest record knows better, and
            // what has arrived stays.
            Err(Error::Store(mv_store::Error::Stale { .. })) if turn < TURNS => turn += 1,
            other => break (state, other?),
        }
        session.progress.check()?;
        remote.refresh(session)?;
    };
    begin(&root, &layout, &remote, &state, partial, arrived.packs, options, session)?;
    remote.keep_record(session);
    remote.forget_old_indexes();
    let refs = state.branches.len() + state.tags.len() + state.stages.len();
    let mut outcome = CloneOutcome {
        root,
        url: options.address.to_string(),
        objects: arrived.objects,
        bytes: arrived.bytes,
        refs: refs as u64,
        checkout: None,
    };
    outcome.checkout = put_in_place(&outcome.root, options, session)?;
    Ok(outcome)
}

/// Refuses a directory with anything in it but a clone that was cut off. One that was cut off while
/// it put files in place is a repository already: that is finished.
fn resumed(
    root: &Path,
    layout: &Layout,
    options: &CloneOptions,
    session: &Session,
) -> Result<Option<CloneOutcome>> {
    let transport = DirTransport::open(&layout.dot);
    if layout.dot.exists() && !chain::generations(&transport)?.is_empty() {
        let repo = Repo::open(root, session)?;
        let url = options.address.to_string();
        let ours = repo.local_config().remotes.get(ORIGIN).is_some_and(|r| r.url == url);
        let pending = Mark::read(&repo).is_ok_and(|m| m.is_some_and(|m| !m.done));
        let bare = repo.state().generation == chain::FIRST;
        if ours && (pending || bare) {
            let checkout = put_in_place(root, options, session)?;
            let (objects, bytes, refs) = (0, 0, 0);
            let root = root.to_path_buf();
            return Ok(Some(CloneOutcome { root, url, objects, bytes, refs, checkout }));
        }
        let what = format!("`{}` is a repository already", root.display());
        return Err(Error::Policy { what });
    }
    for entry in fs::read_dir(root).at("list", root)? {
        let name = entry.at("list", root)?.file_name();
        if name != crate::layout::DOT {
            let what = format!("`{}` is not empty", root.display());
            return Err(Error::Policy { what });
        }
    }
    Ok(None)
}

fn partial(options: &CloneOptions) -> Option<Partial> {
    let whole = options.only.is_empty() && options.paths.is_empty() && options.depth.is_none();
    let views = match options.only.is_empty() && options.paths.is_empty() {
        true => Vec::new(),
        false => vec![View::new(&options.only, &options.paths)],
    };
    (!whole).then(|| Partial { remote: ORIGIN.to_owned(), depth: options.depth, views })
}

/// What has arrived.
struct Arrived {
    packs: Vec<mv_store::PackId>,
    objects: u64,
    bytes: u64,
}

fn fetch(
    layout: &Layout,
    remote: &Remote,
    state: &State,
    partial: Option<&Partial>,
    session: &Session,
) -> Result<Arrived> {
    let ledgers = Ledgers::of(&remote.arrived()?.join(&remote.store), &state.stages)?;
    let mut roots: Vec<Hash> = state.branches.iter().map(|b| b.target).collect();
    roots.extend(state.tags.iter().filter_map(|t| t.target));
    roots.extend(ledgers.versions);
    roots.sort_unstable();
    roots.dedup();
    let scope: &dyn Scope = match partial {
        Some(partial) => partial,
        None => &Whole,
    };
    let arrival = Arrival {
        local: mv_store::Store::open(&layout.dot, &[]),
        remote,
        roots,
        entries: ledgers.entries,
        complete: HashSet::new(),
        scope,
        depth: partial.and_then(|partial| partial.depth),
    };
    let task = session.progress.task("finding what there is", Unit::Items);
    let lacking = arrival.lacking(&task)?;
    drop(task);
    let transfer = arrival.plan(&lacking)?;
    let packs = arrival.receive(&transfer, &layout.dot, session)?;
    Ok(Arrived { packs, objects: transfer.objects, bytes: transfer.bytes })
}

/// Makes the repository: its settings and its format, and last the record that names everything.
#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one first record, gathered by its only caller"
)]
fn begin(
    root: &Path,
    layout: &Layout,
    remote: &Remote,
    there: &State,
    partial: Option<Partial>,
    packs: Vec<mv_store::PackId>,
    options: &CloneOptions,
    session: &Session,
) -> Result<()> {
    store_fs::create_dir_durably(&layout.worktree())?;
    store_fs::create_dir_durably(&layout.dot.join("state"))?;
    store_fs::create_dir_durably(&layout.dot.join("packs"))?;
    store_fs::create_dir_durably(&layout.tmp())?;
    let mut config = LocalConfig::default();
    let url = options.address.to_string();
    config.remotes.insert(ORIGIN.to_owned(), RemoteConfig { url, single_writer: false });
    config.partial = partial;
    config.save(&layout.dot, &layout.tmp(), &session.nonces.next())?;
    let transport = DirTransport::open(&layout.dot);
    match transport.create(
        "format",
        &Format::new(session.nonces.next()).encode(),
        &session.nonces.next(),
    ) {
        Ok(()) | Err(mv_store::Error::Exists { .. }) => {}
        Err(e) => return Err(e.into()),
    }
    let format = Format::read(&transport)?;
    let main = there.head_branch().cloned().map_or_else(|| RefName::parse("main"), Ok)?;
    let mut first =
        State::first(format.repository, main.clone(), session.nonces.next(), session.now);
    first.actor = Some(session.author.clone());
    first.operation = "clone".to_owned();
    first.packs = packs;
    first.packs.sort_unstable();
    first.tags = there.tags.clone();
    first.stages = there.stages.clone();
    if let Some(branch) = there.branch(main.as_str()) {
        first.branches.push(Branch { name: main.clone(), target: branch.target });
    }
    first.head = Head::Branch(main);
    track(&mut first, &tracking_of(remote, there));
    remember_seen(&mut first, &remote.name, remote.seen());
    if let Some(target) = first.head_target() {
        // From its first record on, the repository says that its files are not all in place yet.
        let (done, after, boot_id) = (false, chain::FIRST, session.boot_id.clone());
        let operation = format!("clone {}", options.address);
        Mark { target, done, after, boot_id, operation }.set_in(layout, session)?;
    }
    chain::create_first(&transport, first)?;
    store_fs::sync_dir(&layout.dot)?;
    store_fs::sync_dir(root)?;
    crate::repo::exclude_from_git(root)?;
    Ok(())
}

/// Checks out what was asked for.
fn put_in_place(
    root: &Path,
    options: &CloneOptions,
    session: &Session,
) -> Result<Option<CheckoutOutcome>> {
    let repo = Repo::open(root, session)?;
    let target = match &options.rev {
        None if repo.state().head_target().is_none() => return Ok(None),
        // A branch of the remote becomes a branch here.
        Some(rev) if repo.state().branch(rev).is_none() && is_remote_branch(&repo, rev) => {
            let create = CheckoutOptions {
                target: Some(format!("{ORIGIN}/{rev}")),
                create_branch: Some(RefName::parse(rev)?),
                ..CheckoutOptions::default()
            };
            return checkout(&repo, &create, session).map(Some);
        }
        rev => rev.clone(),
    };
    let target = target.or_else(|| repo.state().head_branch().map(ToString::to_string));
    checkout(&repo, &CheckoutOptions { target, ..CheckoutOptions::default() }, session).map(Some)
}

fn is_remote_branch(repo: &Repo, name: &str) -> bool {
    repo.state().tracked(ORIGIN, name).is_some()
}
