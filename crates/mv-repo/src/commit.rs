//! Taking a snapshot of the working tree as a new version.
//!
//! Scan, store what is new, build the trees bottom-up, write the manifest, publish the pack, then
//! the state record. Killed at any point before the record, a commit leaves nothing but files in
//! `tmp` and perhaps an unnamed pack, which gc removes.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use mv_graph::diff::{Change, ListedFile};
use mv_graph::{
    Component, ComponentRef, FileEntry, Head, Manifest, Mode, Person, RefName, RepoPath, Scalar,
    Tag, build_trees,
};
use mv_store::{Hash, IoContext as _, Kind, StoreWriter, Task, Unit, Written};
use rayon::prelude::*;

use crate::bump::{self, BumpChoice, Bumped};
use crate::contents;
use crate::environment;
use crate::error::{Error, Result};
use crate::maintain;
use crate::mark::Mark;
use crate::measures::{self, Measures};
use crate::repo::{PathArg, Repo, covered};
use crate::session::Session;
use crate::snapshot::{Content, Depth, Snapshot, content_of, empty_dir};
use crate::source;
use crate::status::skipped;
use crate::tag;
use crate::unfinished::Unfinished;
use crate::worktree::{read_link, read_stable};

/// Files below this size are gathered in blocks with their neighbours.
const SMALL: u64 = 64 << 10;
/// Files from this size on are stored one after the other, each on all cores.
const LARGE: u64 = 8 << 20;
/// Small files are handed to threads in groups of about this many bytes.
const GROUP: u64 = 256 << 10;

/// What to record beside the files.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// Why, for people. Needed unless amending or finishing a merge.
    pub message: Option<String>,
    /// Hyper-parameters, over those that files give.
    pub params: Vec<(String, Scalar)>,
    /// Measurements, over those that files give.
    pub metrics: Vec<(String, Scalar)>,
    /// Anything else.
    pub metadata: Vec<(String, String)>,
    /// A tag for the new version.
    pub tag: Option<RefName>,
    /// Give the new version the next number. Not together with a tag.
    pub bump: Option<BumpChoice>,
    /// Who made it; the session's author when none is given.
    pub author: Option<Person>,
    /// Make a version even if nothing changed.
    pub allow_empty: bool,
    /// Replace the current version instead of adding one.
    pub amend: bool,
    /// Only these paths; everything when empty.
    pub paths: Vec<PathArg>,
}

/// What was recorded.
#[derive(Clone, Debug)]
pub struct CommitOutcome {
    /// The new version.
    pub id: Hash,
    /// How it is called.
    pub version: String,
    /// The number it was given, and why, if one was asked for.
    pub bump: Option<Bumped>,
    /// The branch that moved; none on a detached HEAD.
    pub branch: Option<String>,
    /// Bytes of all files of the version.
    pub logical_bytes: u64,
    /// Bytes of content that was not in the repository before.
    pub new_bytes: u64,
    /// Bytes that the repository grew by.
    pub stored_bytes: u64,
    /// Files of the version.
    pub files: u64,
    /// What differs from the parent.
    pub changes: Vec<Change>,
    /// Things that were not versioned, and why.
    pub skipped: Vec<(String, String)>,
    /// What of the environment could not be read.
    pub notes: Vec<String>,
    /// What is missing in the version and should not be.
    pub warnings: Vec<String>,
}

/// Makes a version of the working tree.
///
/// # Errors
/// `NothingToCommit`, `Invalid`, `Values` for a file of params or metrics that cannot be understood,
/// `Policy` for a tag that is taken, `Undecided` when the bytes are to decide on the number and
/// cannot, `Merging` with the conflicts that nobody has decided, `Unfinished` after an interrupted
/// checkout, `Changed` for a file that is being written to, `LostRace`, `Io`.
pub fn commit(repo: &Repo, options: &CommitOptions, session: &Session) -> Result<CommitOutcome> {
    let _lock = repo.lock()?;
    let repo = &repo.fresh(session)?;
    if let Some(name) = &options.tag {
        tag::check_free(repo.state(), name)?;
    }
    let mut snapshot = Snapshot::take(repo, session)?;
    Mark::refuse_pending(repo, session, &snapshot)?;
    let merging = merging(repo, options, &mut snapshot, session)?;
    check_paths(repo, options, &mut snapshot)?;
    let head = snapshot.head.as_ref().map(|(_, manifest)| manifest);
    let wanted = merging.is_some() || wants_version(options, head);
    if snapshot.candidates.is_empty() && !wanted {
        return Err(Error::NothingToCommit);
    }
    if options.paths.is_empty() {
        // A mistake in one of these files is told before anything large is stored.
        measures::of_worktree(repo, session)?;
    }
    let bump = bump_plan(repo, options, &mut snapshot, merging.as_ref(), session)?;
    let writer = StoreWriter::begin(repo.store(), &session.nonces)?;
    store_candidates(&mut snapshot, &options.paths, &writer, session)?;
    let (changes, files) = if options.paths.is_empty() {
        (snapshot.changes(), snapshot.files()?)
    } else {
        partial(repo, &mut snapshot, &options.paths)?
    };
    if changes.is_empty() && !wanted {
        snapshot.remember(repo, session);
        return Err(Error::NothingToCommit);
    }
    let measures = measures::of_commit(repo, &snapshot, &files)?;
    let (components, totals) = store_trees(&files, &writer)?;
    let mut left_out = skipped(&snapshot);
    left_out.extend(measures.left_out.iter().cloned());
    let mut manifest =
        describe(repo, &snapshot, options, merging, (components, measures), session)?;
    let (notes, warnings) = around(repo, &mut manifest, &writer, session)?;
    let id = writer.put(Kind::Manifest, &manifest.encode()?)?;
    let written = writer.finish()?;
    let bump = match &bump {
        Some(plan) => {
            let packs: Vec<_> = repo.store().pack_ids().chain(written.packs.clone()).collect();
            let store = mv_store::Store::open(&repo.layout().dot, &packs);
            Some((plan, plan.decide(&store, &manifest, &session.progress)?))
        }
        None => None,
    };
    let bumped = publish(repo, options, &manifest, id, &written, bump, session)?;
    // HEAD has moved on: a merge that was under way is over even if this fails.
    drop(Unfinished::clear(repo));
    if options.paths.is_empty() {
        save_cache(repo, &snapshot, id, session);
    }
    maintain::after(repo, session);
    let tag = bumped.as_ref().map(|b| &b.name).or(options.tag.as_ref());
    let version = match tag {
        Some(tag) if tag.version().is_some() => tag.to_string(),
        _ => manifest.created.version_stamp(),
    };
    Ok(CommitOutcome {
        id,
        version,
        bump: bumped,
        branch: repo.state().head_branch().map(ToString::to_string),
        logical_bytes: totals.1,
        new_bytes: written.new_bytes,
        stored_bytes: written.stored_bytes,
        files: totals.0,
        changes,
        skipped: left_out,
        notes,
        warnings,
    })
}

/// Whether there is to be a version even if no file changed: a value that was given and is not
/// HEAD's is a change.
fn wants_version(options: &CommitOptions, head: Option<&Manifest>) -> bool {
    options.allow_empty
        || options.amend
        || differ(&options.params, head.map(|m| &m.params))
        || differ(&options.metrics, head.map(|m| &m.metrics))
        || differ(&options.metadata, head.map(|m| &m.metadata))
}

fn differ<T: Clone + PartialEq>(given: &[(String, T)], head: Option<&Vec<(String, T)>>) -> bool {
    let last: BTreeMap<_, _> = given.iter().cloned().collect();
    last.iter().any(|(name, value)| {
        head.and_then(|all| all.iter().find(|(n, _)| n == name)).map(|(_, v)| v) != Some(value)
    })
}

/// What a bump needs to know before anything is stored: what is counted from, and that the bytes
/// will be able to decide if they have to.
fn bump_plan(
    repo: &Repo,
    options: &CommitOptions,
    snapshot: &mut Snapshot,
    merging: Option<&Manifest>,
    session: &Session,
) -> Result<Option<bump::Plan>> {
    let Some(choice) = options.bump else { return Ok(None) };
    if options.tag.is_some() {
        return Err(Error::invalid("option", "a version is given a tag or the next number"));
    }
    let parents = match (&snapshot.head, merging) {
        (_, Some(left)) => left.parents.clone(),
        (Some((_, manifest)), None) if options.amend => manifest.parents.clone(),
        (head, None) => head.iter().map(|(id, _)| *id).collect(),
    };
    let plan = bump::Plan::new(repo, choice, &parents)?;
    if let Some(base) = plan.compared_with() {
        refuse_opaque_models(repo, base, options, snapshot, session)?;
    }
    Ok(Some(plan))
}

/// Refuses changed model files in which no parser finds tensors, so that no large file is stored
/// for nothing. What was stored is looked at again.
fn refuse_opaque_models(
    repo: &Repo,
    base: &Manifest,
    options: &CommitOptions,
    snapshot: &mut Snapshot,
    session: &Session,
) -> Result<()> {
    let mut opaque: BTreeMap<RepoPath, Hash> = BTreeMap::new();
    for candidate in &snapshot.candidates {
        let Some(now) = candidate.now else { continue };
        let file = matches!(now.mode, Mode::File | Mode::Exec);
        if !file || now.component != Component::Model || !covered(&options.paths, &candidate.path) {
            continue;
        }
        let Some((_, before)) = mv_graph::diff::lookup(repo.store(), base, &candidate.path)? else {
            continue;
        };
        let source = contents::working(&snapshot.root, &candidate.path)?;
        if bump::is_opaque(&candidate.path, &*source)? {
            opaque.insert(candidate.path.clone(), before.id);
        }
    }
    if opaque.is_empty() {
        return Ok(());
    }
    // A file that was only touched did not change.
    snapshot.examine_some(Depth::Content, &|c| opaque.contains_key(&c.path), session)?;
    let same = |path: &RepoPath, id: &Hash| {
        let content = snapshot.candidates.iter().find(|c| c.path == *path).and_then(|c| c.content);
        content.is_some_and(|content| content.entry.id == *id)
    };
    let paths: Vec<_> =
        opaque.into_iter().filter(|(path, id)| !same(path, id)).map(|(path, _)| path).collect();
    if paths.is_empty() { Ok(()) } else { Err(Error::Undecided { paths }) }
}

/// The version that an unfinished merge left, if there is one and nothing of it is undecided.
fn merging(
    repo: &Repo,
    options: &CommitOptions,
    snapshot: &mut Snapshot,
    session: &Session,
) -> Result<Option<Manifest>> {
    let Some(merge) = Unfinished::of(repo)? else { return Ok(None) };
    let open = merge.open(repo, snapshot, session)?;
    if !open.is_empty() || merge.left == Hash::ZERO {
        return Err(merge.error(open.into_iter().map(|conflict| conflict.path).collect()));
    }
    if options.amend || !options.paths.is_empty() {
        let detail = "a merge is committed whole: give no paths, and nothing is amended";
        return Err(Error::invalid("option", detail));
    }
    repo.must_be_whole(&[merge.theirs])?;
    repo.manifest(&merge.left).map(Some)
}

/// Refuses a path argument that names nothing, now or in HEAD.
fn check_paths(repo: &Repo, options: &CommitOptions, snapshot: &mut Snapshot) -> Result<()> {
    for arg in &options.paths {
        let PathArg::Path(path) = arg else { continue };
        let there = snapshot.scan.get(path).is_some()
            || snapshot.scan.is_dir(path)
            || snapshot.candidates.iter().any(|c| arg.covers(&c.path));
        if !there && !snapshot.head_files(repo)?.iter().any(|f| arg.covers(&f.path)) {
            return Err(Error::invalid("path", format!("`{path}` matches no file")));
        }
    }
    Ok(())
}

/// Stores the content of every candidate and notes its id.
fn store_candidates(
    snapshot: &mut Snapshot,
    paths: &[PathArg],
    writer: &StoreWriter<'_>,
    session: &Session,
) -> Result<()> {
    let task = session.progress.task("storing", Unit::Bytes);
    let (mut small, mut medium, mut large, mut total) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut stored: Vec<(usize, Content)> = Vec::with_capacity(snapshot.candidates.len());
    for (at, candidate) in snapshot.candidates.iter().enumerate() {
        let Some(now) = candidate.now.filter(|_| covered(paths, &candidate.path)) else { continue };
        total += now.stat.size;
        match now.stat.size {
            _ if now.mode == Mode::Dir => stored.push((at, content_of(&now, empty_dir()))),
            0..SMALL => small.push(at),
            SMALL..LARGE => medium.push(at),
            LARGE.. => large.push(at),
        }
    }
    task.set_total(total);
    let from = &*snapshot;
    let groups = group(&small, from);
    // Larger files first: a thread that is left with one at the end would keep the others waiting.
    let whole: Result<Vec<_>> =
        medium.par_iter().map(|&at| store_one(from, at, writer, &task)).collect();
    stored.extend(whole?);
    let together: Result<Vec<_>> =
        groups.par_iter().map(|group| store_group(from, group, writer, &task)).collect();
    stored.extend(together?.into_iter().flatten());
    for at in large {
        stored.push(store_one(from, at, writer, &task)?);
    }
    for (at, content) in stored {
        snapshot.candidates[at].content = Some(content);
    }
    Ok(())
}

/// Divides small files, in path order, into runs that fill a block.
fn group(small: &[usize], snapshot: &Snapshot) -> Vec<Vec<usize>> {
    let mut groups = vec![Vec::new()];
    let mut bytes = 0;
    for &at in small {
        if bytes >= GROUP {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += snapshot.candidates[at].now.map_or(0, |now| now.stat.size);
        if let Some(last) = groups.last_mut() {
            last.push(at);
        }
    }
    groups
}

fn store_group(
    snapshot: &Snapshot,
    group: &[usize],
    writer: &StoreWriter<'_>,
    task: &Task,
) -> Result<Vec<(usize, Content)>> {
    let mut contents: Vec<(usize, Content)> = Vec::with_capacity(group.len());
    let mut failed = None;
    let blobs = group.iter().map_while(|&at| match read_small(snapshot, at) {
        Ok((bytes, content)) => {
            task.add(bytes.len() as u64);
            contents.push((at, content));
            Some(task.check().map(|()| bytes))
        }
        Err(e) => {
            failed = Some(e);
            None
        }
    });
    let ids = writer.put_together(blobs)?;
    if let Some(error) = failed {
        return Err(error);
    }
    for ((_, content), (id, len)) in contents.iter_mut().zip(ids) {
        content.entry = FileEntry { id, bytes: len, ..content.entry };
        content.cache.id = id;
    }
    Ok(contents)
}

/// Reads a small file or a symlink's target.
fn read_small(snapshot: &Snapshot, at: usize) -> Result<(Vec<u8>, Content)> {
    let candidate = &snapshot.candidates[at];
    let path = &candidate.path;
    let Some(found) = candidate.now else { return Err(Error::Changed { path: path.clone() }) };
    let unnamed =
        |mode, bytes: &[u8]| FileEntry { mode, id: Hash::ZERO, bytes: bytes.len() as u64 };
    match found.mode {
        Mode::Dir => Err(Error::Changed { path: path.clone() }),
        Mode::Symlink => {
            let (target, stat) = read_link(&snapshot.root, path)?;
            let content = content_of(
                &crate::worktree::scan::Found { stat, ..found },
                unnamed(Mode::Symlink, &target),
            );
            Ok((target, content))
        }
        Mode::File | Mode::Exec => {
            let absolute = snapshot.root.path().join(path.to_path());
            let (bytes, mode, stat) = read_stable(&snapshot.root, path, &mut |file, size| {
                let mut bytes =
                    Vec::with_capacity(usize::try_from(size.min(LARGE)).unwrap_or(0) + 1);
                file.read_to_end(&mut bytes).at("read", &absolute)?;
                Ok(bytes)
            })?;
            let content = content_of(
                &crate::worktree::scan::Found { mode, stat, ..found },
                unnamed(mode, &bytes),
            );
            Ok((bytes, content))
        }
    }
}

/// Stores one larger file.
fn store_one(
    snapshot: &Snapshot,
    at: usize,
    writer: &StoreWriter<'_>,
    task: &Task,
) -> Result<(usize, Content)> {
    let candidate = &snapshot.candidates[at];
    let path = &candidate.path;
    let Some(found) = candidate.now else { return Err(Error::Changed { path: path.clone() }) };
    if found.mode == Mode::Symlink || found.mode == Mode::Dir {
        return Err(Error::Changed { path: path.clone() });
    }
    let absolute = snapshot.root.path().join(path.to_path());
    let ((id, bytes), mode, stat) = read_stable(&snapshot.root, path, &mut |file, size| {
        put_file(writer, &absolute, size, file, task)
    })?;
    let entry = FileEntry { mode, id, bytes };
    Ok((at, content_of(&crate::worktree::scan::Found { mode, stat, ..found }, entry)))
}

fn put_file(
    writer: &StoreWriter<'_>,
    path: &Path,
    size: u64,
    file: &mut (dyn std::io::Read + Send),
    task: &Task,
) -> Result<(Hash, u64)> {
    Ok(writer.put_file(path, size, file, task)?)
}

/// The listing of a commit of some paths: HEAD's, with the working tree's below those paths.
fn partial(
    repo: &Repo,
    snapshot: &mut Snapshot,
    paths: &[PathArg],
) -> Result<(Vec<Change>, Vec<ListedFile>)> {
    let mut files: BTreeMap<RepoPath, ListedFile> =
        snapshot.head_files(repo)?.into_iter().map(|f| (f.path.clone(), f)).collect();
    let mut changes = Vec::new();
    for candidate in snapshot.candidates.iter().filter(|c| covered(paths, &c.path)) {
        let Some(change) = candidate.change() else { continue };
        match change.to {
            Some(entry) => {
                let file =
                    ListedFile { path: change.path.clone(), component: change.component, entry };
                files.insert(change.path.clone(), file);
            }
            None => drop(files.remove(&change.path)),
        }
        changes.push(change);
    }
    // A file where HEAD has a directory, or the other way round, can only be taken together.
    let mut before: Option<&RepoPath> = None;
    // A directory that was empty and has something in it now is no entry of its own any more.
    let filled: HashSet<RepoPath> = files.keys().flat_map(RepoPath::ancestors).collect();
    files.retain(|_, file| file.entry.mode != Mode::Dir || !filled.contains(&file.path));
    for (path, file) in &files {
        if let Some(dir) = before.filter(|dir| path.starts_with(dir)) {
            let detail = format!("`{dir}` and what was below it must be committed together");
            return Err(Error::invalid("path", detail));
        }
        before = Some(path).filter(|_| file.entry.mode != Mode::Dir);
    }
    Ok((changes, files.into_values().collect()))
}

/// Builds the component trees of a listing in path order; returns them with files and bytes in all.
pub(crate) fn store_trees(
    files: &[ListedFile],
    writer: &StoreWriter<'_>,
) -> Result<([ComponentRef; 4], (u64, u64))> {
    let mut components = Vec::with_capacity(4);
    let (mut count, mut bytes) = (0, 0);
    for component in Component::ALL {
        let entries =
            files.iter().filter(|f| f.component == component).map(|f| (f.path.clone(), f.entry));
        let built = build_trees(entries, |tree| Ok(writer.put(Kind::Tree, &tree.encode()?)?))?;
        count += built.files;
        bytes += built.bytes;
        components.push(built);
    }
    let components =
        components.try_into().map_err(|_| Error::invalid("components", "there are four"))?;
    Ok((components, (count, bytes)))
}

/// The manifest of the new version.
fn describe(
    repo: &Repo,
    snapshot: &Snapshot,
    options: &CommitOptions,
    merging: Option<Manifest>,
    (components, measures): ([ComponentRef; 4], Measures),
    session: &Session,
) -> Result<Manifest> {
    let amended = if options.amend {
        let none = || Error::invalid("option", "there is no version to amend yet");
        Some(snapshot.head.as_ref().map(|(_, manifest)| manifest).ok_or_else(none)?)
    } else {
        None
    };
    let earlier = amended.or(merging.as_ref());
    let message = options.message.clone().or_else(|| earlier.map(|m| m.message.clone()));
    let message = message.ok_or_else(|| Error::invalid("message", "a commit needs one"))?;
    let parents = match earlier {
        Some(manifest) => manifest.parents.clone(),
        None => snapshot.head.iter().map(|(id, _)| *id).collect(),
    };
    let author = options.author.clone().or_else(|| amended.map(|m| m.author.clone()));
    let (params, metrics) = typed(repo, snapshot, amended, merging.as_ref())?;
    let metadata = amended.map(|m| m.metadata.iter().cloned().collect()).unwrap_or_default();
    let manifest = Manifest {
        parents,
        components,
        environment: None,
        model_name: repo.config()?.name,
        params: merged([measures.params, params], &options.params),
        metrics: merged([measures.metrics, metrics], &options.metrics),
        metadata: merged([metadata], &options.metadata),
        message,
        author: author.unwrap_or_else(|| session.author.clone()),
        created: session.now,
        source: None,
    };
    manifest.validate()?;
    Ok(manifest)
}

/// The values that no file gave and that stay: of the version that is amended, or of both sides of
/// a merge, where ours count.
fn typed(
    repo: &Repo,
    snapshot: &Snapshot,
    amended: Option<&Manifest>,
    merging: Option<&Manifest>,
) -> Result<(measures::Values, measures::Values)> {
    let mut sides = Vec::from_iter(amended.cloned());
    for parent in merging.into_iter().flat_map(|left| left.parents.iter().rev()) {
        sides.push(repo.manifest(parent)?);
    }
    let (mut params, mut metrics) = (measures::Values::new(), measures::Values::new());
    for side in &sides {
        let (side_params, side_metrics) = measures::typed(repo, snapshot, side)?;
        params.extend(side_params);
        metrics.extend(side_metrics);
    }
    Ok((params, metrics))
}

/// Adds what is around the project now: its environment, and the git commit beside it. What cannot
/// be learned is left out and told: notes of the environment, warnings of git.
fn around(
    repo: &Repo,
    manifest: &mut Manifest,
    writer: &StoreWriter<'_>,
    session: &Session,
) -> Result<(Vec<String>, Vec<String>)> {
    let (mut notes, mut warnings) = (Vec::new(), Vec::new());
    let surroundings = &session.surroundings;
    manifest.environment = environment::store(repo.root(), surroundings, writer, &mut notes)?;
    manifest.source = source::look_noting(repo.root(), surroundings, &mut warnings);
    Ok((notes, warnings))
}

/// Given values over earlier ones, sorted by name; the last of a name counts.
fn merged<T: Clone, const N: usize>(
    earlier: [BTreeMap<String, T>; N],
    given: &[(String, T)],
) -> Vec<(String, T)> {
    let all: BTreeMap<_, _> = earlier.into_iter().flatten().chain(given.iter().cloned()).collect();
    all.into_iter().collect()
}

fn publish(
    repo: &Repo,
    options: &CommitOptions,
    manifest: &Manifest,
    id: Hash,
    written: &Written,
    bump: Option<(&bump::Plan, bump::Suggestion)>,
    session: &Session,
) -> Result<Option<Bumped>> {
    let mut bumped = None;
    let expected = repo.state().head_target();
    let verb = if options.amend { "commit --amend" } else { "commit" };
    let operation = format!("{verb}: {}", manifest.subject());
    repo.advance(session, &operation, &written.packs, &[id], &mut |state| {
        if state.head_target() != expected || state.head != repo.state().head {
            return Err(Error::LostRace { generation: state.generation });
        }
        match state.head.clone() {
            Head::Branch(name) => state.set_branch(name, id),
            Head::Detached(_) => state.head = Head::Detached(id),
        }
        if let Some(name) = &options.tag {
            tag::check_free(state, name)?;
            state.set_tag(Tag {
                name: name.clone(),
                target: Some(id),
                message: String::new(),
                tagger: session.author.clone(),
                created: session.now,
            });
        }
        if let Some((plan, suggestion)) = &bump {
            let number = plan.number(state, suggestion)?;
            tag::check_free(state, &number.name)?;
            state.set_tag(tag::numbered(&number, id, "", session));
            bumped = Some(number);
        }
        Ok(())
    })?;
    Ok(bumped)
}

/// Saves the stat cache; the commit stands whether or not this works.
fn save_cache(repo: &Repo, snapshot: &Snapshot, id: Hash, session: &Session) {
    let updates: Vec<_> =
        snapshot.candidates.iter().map(|c| c.stored_update(snapshot.stamp_ns)).collect();
    let header = snapshot.header(Some(id), session);
    let layout = repo.layout();
    let nonce = session.nonces.next();
    drop(snapshot.scan.save(&header, &updates, &layout.stat_cache(), &layout.tmp(), &nonce));
}
