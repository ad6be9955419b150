//! Taking a snapshot of the working tree as a new version.
//!
//! Scan, store what is new, build the trees bottom-up, write the manifest, publish the pack, then
//! the state record. Killed at any point before the record, a commit leaves nothing but files in
//! `tmp` and perhaps an unnamed pack, which gc removes.

mod bump;
mod describe;
mod store;

use std::collections::{BTreeMap, HashSet};

use mv_graph::diff::{Change, ListedFile};
use mv_graph::{Head, Manifest, Mode, Person, RefName, RepoPath, Scalar, Tag};
use mv_store::{Effort, Encodings, Hash, Kind, StoreWriter, Written};

use crate::bump::{BumpChoice, Bumped, Plan, Suggestion};
use crate::error::{Error, Result};
use crate::maintain;
use crate::mark::Mark;
use crate::measures;
use crate::outline::{Past, Pasts, Seen};
use crate::partial::View;
use crate::repo::{PathArg, Repo, covered};
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::status::skipped;
use crate::tag;
use crate::unfinished::Unfinished;
use bump::bump_plan;
use describe::describe;
use store::store_candidates;

pub(crate) use describe::{around, blank};
pub(crate) use store::store_trees;

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
    /// How much work to do to store it small; what `mv.toml` says when not given.
    pub effort: Option<Effort>,
    /// A revision whose tensors are compared with before those of the current version, and whose files
    /// where that has none.
    pub base: Option<String>,
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
    /// What each encoding made of the new bytes.
    pub by_encoding: Vec<Encodings>,
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
/// `NothingToCommit`, `Invalid`, `UnknownRevision` or `Ambiguous` for the base, `Values` for a file of
/// params or metrics that cannot be understood, `Policy` for a tag that is taken, `Undecided` when the
/// bytes are to decide on the number and cannot, `Merging` with the conflicts that nobody has decided, `Unfinished` after an interrupted
/// checkout, `Changed` for a file that is being written to, `LostRace`, `Io`.
pub fn commit(repo: &Repo, options: &CommitOptions, session: &Session) -> Result<CommitOutcome> {
    let _lock = repo.lock(session)?;
    let repo = &repo.fresh(session)?;
    if let Some(name) = &options.tag {
        tag::check_free(repo.state(), name)?;
    }
    let named = named_base(repo, options, session)?;
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
    let writer = writer.with_effort(options.effort.unwrap_or_default());
    let efforts = options.effort.map_or(repo.config()?.efforts, |effort| [effort; 4]);
    let pasts = pasts(repo, named, &snapshot, merging.as_ref())?;
    let paths = &options.paths;
    let sightings =
        store_candidates(repo, &mut snapshot, paths, pasts, (&writer, efforts), session)?;
    let (changes, files) = if options.paths.is_empty() {
        (snapshot.changes(), snapshot.files(repo)?)
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
    Seen::remember(repo, sightings, session);
    widen(repo, &changes, session);
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
        by_encoding: written.by_encoding,
        files: totals.0,
        changes,
        skipped: left_out,
        notes,
        warnings,
    })
}

/// In a part of a repository, files that were committed from outside it belong to it from then on: to
/// remove one later is a deletion.
fn widen(repo: &Repo, changes: &[Change], session: &Session) {
    let Some(partial) = repo.partial() else { return };
    let outside =
        changes.iter().filter(|c| c.to.is_some() && !partial.covers(c.component, &c.path));
    let paths: Vec<RepoPath> = outside.map(|change| change.path.clone()).collect();
    if let (false, Ok(fresh)) = (paths.is_empty(), repo.fresh(session)) {
        // The version stands; at worst the files count as not fetched.
        drop(fresh.widened(View::new(&[], &paths)).save_partial(session));
    }
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

/// The version that the user named to be compared with.
fn named_base(repo: &Repo, options: &CommitOptions, session: &Session) -> Result<Option<Manifest>> {
    let Some(rev) = &options.base else { return Ok(None) };
    repo.manifest(&repo.resolve(rev, session)?).map(Some)
}

/// The versions that the new one is compared with.
fn pasts(
    repo: &Repo,
    named: Option<Manifest>,
    snapshot: &Snapshot,
    merging: Option<&Manifest>,
) -> Result<Pasts> {
    let head = snapshot.head.as_ref().map(|(_, manifest)| manifest.clone());
    let merged = merging.and_then(|manifest| manifest.parents.get(1));
    let merged = merged.map(|id| repo.manifest(id)).transpose()?;
    let [named, head, merged] = [named, head, merged].map(|version| version.map(Past::new));
    Ok(Pasts { named, head, merged })
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

fn publish(
    repo: &Repo,
    options: &CommitOptions,
    manifest: &Manifest,
    id: Hash,
    written: &Written,
    bump: Option<(&Plan, Suggestion)>,
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
