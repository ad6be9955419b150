//! Merging another version into the current one.
//!
//! If the current version is an ancestor of the other, the branch moves on: a fast-forward. If not,
//! both are compared with their common base, path by path ([`plan`]), and a version with two parents
//! is made from trees, not from the working tree. The working tree is then switched as by a
//! checkout: between a mark and the record that moves HEAD.
//!
//! With conflicts, the version that is made holds the files with markers. It is put into the working
//! tree, HEAD stays, and `.mv/worktree/merge` says what is left to decide; `commit` makes the merge
//! version, [`abort`] goes back.

mod base;
mod plan;

use std::collections::BTreeSet;

use mv_graph::diff::{self, ListedFile};
use mv_graph::{ComponentRef, Head, Manifest, Mode, RepoPath, Scalar, State, walk};
use mv_store::{Hash, Kind, StoreWriter, Unit};

use base::{Base, Blobs};
use plan::{Manner, Plan, Side, Texts};

pub use crate::text_merge::Favor;
pub use crate::unfinished::{Conflict, ConflictKind};

use crate::checkout::{CheckoutOutcome, Fresh, Local, Switch, run};
use crate::commit::store_trees;
use crate::config::{PROJECT_FILE, ProjectConfig};
use crate::error::{Error, Result};
use crate::maintain;
use crate::mark::Mark;
use crate::renames::renames;
use crate::repo::{PathArg, Repo, covered};
use crate::saved::Overlay;
use crate::session::Session;
use crate::text_merge::Labels;
use crate::unfinished::Unfinished;
use crate::worktree::Rules;

/// The name of [`abort`] in the reflog.
const ABORT: &str = "merge --abort";

/// What to merge, and how.
#[derive(Clone, Debug, Default)]
pub struct MergeOptions {
    /// The version to merge into the current one.
    pub rev: String,
    /// Which side's lines and files are taken where both changed them.
    pub favor: Favor,
    /// Make a version of its own even where the branch could just move on.
    pub no_ff: bool,
    /// Merge a version that has no history in common.
    pub allow_unrelated: bool,
    /// Why, for people; `merge branch 'x'` when none is given.
    pub message: Option<String>,
}

/// What a merge did.
#[derive(Clone, Debug, Default)]
pub struct MergeOutcome {
    /// The version that HEAD is at now; none while there are conflicts.
    pub id: Option<Hash>,
    /// How it is called.
    pub version: String,
    /// The branch that moved; none on a detached HEAD.
    pub branch: Option<String>,
    /// Whether there was nothing to merge.
    pub already_up_to_date: bool,
    /// Whether the branch just moved on.
    pub fast_forward: bool,
    /// Files that have changes of both sides.
    pub merged: Vec<RepoPath>,
    /// What must be decided before the merge can be committed, by path.
    pub conflicts: Vec<Conflict>,
    /// Files written.
    pub written: u64,
    /// Files removed.
    pub removed: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Files that could not be put in place, and why. Nothing is merged if there are any.
    pub failed: Vec<(RepoPath, String)>,
}

/// Merges a version into the current one.
///
/// # Errors
/// `Refused` with the paths whose uncommitted content is in the way (with conflicts: all of it),
/// `Merging` while another merge waits, `Policy` for a version without common history,
/// `UnknownRevision`, `Invalid` for a blank message, `LostRace`, `Io`.
pub fn merge(repo: &Repo, options: &MergeOptions, session: &Session) -> Result<MergeOutcome> {
    let _lock = repo.lock()?;
    let repo = &repo.fresh(session)?;
    // A merge that was cut off while it wrote files is begun anew.
    if !cut_off(repo)?.is_some_and(|operation| !operation.starts_with("merge --")) {
        Unfinished::refuse(repo)?;
    }
    let theirs = repo.resolve(&options.rev, session)?;
    let Some(ours) = repo.state().head_target() else {
        return fast_forward(repo, options, theirs, session);
    };
    if walk::is_ancestor(repo.store(), &theirs, &ours)? {
        return Ok(MergeOutcome {
            id: Some(ours),
            version: repo.version_of(&ours, &repo.manifest(&ours)?),
            branch: repo.state().head_branch().map(ToString::to_string),
            already_up_to_date: true,
            ..MergeOutcome::default()
        });
    }
    let bases = walk::merge_bases(repo.store(), &ours, &theirs)?;
    if bases == [ours] && !options.no_ff {
        return fast_forward(repo, options, theirs, session);
    }
    if bases.is_empty() && !options.allow_unrelated {
        let what = format!("`{}` and the current version have no history in common", options.rev);
        return Err(Error::Policy { what });
    }
    // Both are read whole: a version of which something is missing must not become a parent.
    repo.must_be_whole(&[theirs])?;
    three_way(repo, options, [ours, theirs], &bases, session)
}

/// Moves the branch, and the working tree with it, on to a version that continues the current one.
fn fast_forward(
    repo: &Repo,
    options: &MergeOptions,
    target: Hash,
    session: &Session,
) -> Result<MergeOutcome> {
    let head = (repo.state().head.clone(), repo.state().head_target());
    let switch = Switch {
        operation: operation(options),
        target,
        whole: true,
        scope: &|_, _| true,
        local: Local::Refuse,
        edit: &|state| move_head(state, &head, target),
        overlay: None,
        fresh: None,
        merge: None,
    };
    let done = run(repo, &switch, session)?;
    Ok(MergeOutcome { fast_forward: true, ..outcome(done, Plan::default()) })
}

fn move_head(state: &mut State, from: &(Head, Option<Hash>), to: Hash) -> Result<()> {
    if state.head != from.0 || state.head_target() != from.1 {
        return Err(Error::LostRace { generation: state.generation });
    }
    match state.head.clone() {
        Head::Branch(name) => state.set_branch(name, to),
        Head::Detached(_) => state.head = Head::Detached(to),
    }
    Ok(())
}

fn three_way(
    repo: &Repo,
    options: &MergeOptions,
    sides: [Hash; 2],
    bases: &[Hash],
    session: &Session,
) -> Result<MergeOutcome> {
    let [ours, theirs] = sides;
    let branch = repo.state().head_branch().map(ToString::to_string);
    let labels = Labels::new(branch.as_deref().unwrap_or("HEAD"), &options.rev);
    let mut merge = Merge {
        repo,
        base: Base::default(),
        ours: Base::of(repo.manifest(&ours)?),
        theirs: Base::of(repo.manifest(&theirs)?),
        blobs: Blobs::new(repo.store()),
    };
    merge.base = base::of(repo, bases, &mut merge.blobs)?;
    let task = session.progress.task("merging", Unit::Bytes);
    let writer = StoreWriter::begin(repo.store(), &session.nonces)?;
    merge.blobs.store_in(&writer, &task);
    let plan = merge.plan(Manner { favor: options.favor, labels: &labels })?;
    let message = match &options.message {
        Some(message) => message.clone(),
        None => default_message(repo, &options.rev),
    };
    let version = merge.version(&plan, sides, message, &writer, session)?;
    drop(merge);
    let written = writer.finish()?;
    let fresh = Fresh { version, packs: written.packs };
    let repo = &repo.with_packs(&fresh.packs);
    if !plan.conflicts.is_empty() {
        let conflicts = plan.conflicts.clone();
        let unfinished = Unfinished { ours, theirs, left: version, labels, conflicts };
        return leave_unfinished(repo, options, plan, &unfinished, &fresh, session);
    }
    let head = (repo.state().head.clone(), Some(ours));
    let switch = Switch {
        operation: operation(options),
        target: version,
        whole: true,
        scope: &|_, _| true,
        local: Local::Refuse,
        edit: &|state| move_head(state, &head, version),
        overlay: None,
        fresh: Some(&fresh),
        merge: None,
    };
    let done = run(repo, &switch, session)?;
    maintain::after(repo, session);
    Ok(outcome(done, plan))
}

/// Puts files with markers into the working tree; HEAD stays.
fn leave_unfinished(
    repo: &Repo,
    options: &MergeOptions,
    plan: Plan,
    unfinished: &Unfinished,
    fresh: &Fresh,
    session: &Session,
) -> Result<MergeOutcome> {
    let head = (repo.state().head.clone(), Some(unfinished.ours));
    let switch = Switch {
        operation: operation(options),
        target: fresh.version,
        whole: false,
        scope: &|_, _| true,
        // `--abort` could not give back what is not committed.
        local: Local::RefuseAny,
        edit: &|state| {
            let same = state.head == head.0 && state.head_target() == head.1;
            if same { Ok(()) } else { Err(Error::LostRace { generation: state.generation }) }
        },
        overlay: None,
        fresh: Some(fresh),
        merge: Some(unfinished),
    };
    let done = run(repo, &switch, session)?;
    let conflicts = plan.conflicts.clone();
    Ok(MergeOutcome { id: None, version: String::new(), conflicts, ..outcome(done, plan) })
}

/// Goes back to the version before an unfinished merge. What was edited meanwhile is saved for
/// `undo`; new files of the user's stay.
///
/// # Errors
/// `Policy` when there is no merge; `LostRace`, `Io`.
pub fn abort(repo: &Repo, session: &Session) -> Result<CheckoutOutcome> {
    let _lock = repo.lock()?;
    let repo = &repo.fresh(session)?;
    let head = repo.state().head_target();
    let under_way = Unfinished::of(repo)?.is_some() || cut_off(repo)?.is_some();
    let Some(target) = head.filter(|_| under_way) else {
        return Err(Error::Policy { what: "there is no unfinished merge".into() });
    };
    let switch = Switch {
        operation: ABORT.into(),
        target,
        whole: true,
        scope: &|_, _| true,
        local: Local::Overwrite,
        edit: &|state| match state.head_target() == head {
            true => Ok(()),
            false => Err(Error::LostRace { generation: state.generation }),
        },
        overlay: None,
        fresh: None,
        merge: None,
    };
    run(repo, &switch, session)
}

/// Takes one side for the conflicts at, or below, some paths.
///
/// # Errors
/// `Policy` when there is no merge, `Invalid` for a path that is no conflict, `LostRace`, `Io`.
pub fn decide(
    repo: &Repo,
    favor: Favor,
    paths: &[PathArg],
    session: &Session,
) -> Result<CheckoutOutcome> {
    let _lock = repo.lock()?;
    let repo = &repo.fresh(session)?;
    let Some(mut merge) = Unfinished::of(repo)? else {
        return Err(Error::Policy { what: "there is no unfinished merge".into() });
    };
    let operation = match favor {
        Favor::Theirs => "merge --theirs (some files)",
        Favor::Ours | Favor::Neither => "merge --ours (some files)",
    };
    if let Some(mark) = Mark::read(repo)?.filter(|m| !m.done && m.operation != operation) {
        return Err(Error::Unfinished { what: mark.operation });
    }
    for arg in paths {
        if let PathArg::Path(path) = arg
            && !merge.conflicts.iter().any(|c| arg.covers(&c.path))
        {
            return Err(Error::invalid("path", format!("`{path}` is no conflict of this merge")));
        }
    }
    let chosen = |conflict: &Conflict| covered(paths, &conflict.path);
    let side = if favor == Favor::Theirs { merge.theirs } else { merge.ours };
    let (put, drop) = side_of(repo, &merge, &chosen, favor, &side)?;
    let writer = StoreWriter::begin(repo.store(), &session.nonces)?;
    let listing = |files: &[ListedFile], parents: Vec<Hash>| {
        let (components, _) = store_trees(files, &writer)?;
        let manifest =
            Manifest { parents, components, ..blank(repo, operation.to_owned(), session) };
        Ok::<_, Error>((writer.put(Kind::Manifest, &manifest.encode()?)?, manifest))
    };
    let (dropped, drop) = listing(&drop, Vec::new())?;
    let (version, put) = listing(&put, vec![dropped])?;
    let fresh = Fresh { version, packs: writer.finish()?.packs };
    let repo = &repo.with_packs(&fresh.packs);
    let switch = Switch {
        operation: operation.into(),
        target: merge.ours,
        whole: false,
        scope: &|_, _| false,
        local: Local::Overwrite,
        edit: &|_| Ok(()),
        overlay: Some(Overlay { put, drop }),
        fresh: Some(&fresh),
        merge: None,
    };
    let done = run(repo, &switch, session)?;
    if done.failed.is_empty() {
        // Only now: cut off before, the conflicts are still open and the command can be repeated.
        merge.conflicts.iter_mut().filter(|c| chosen(c)).for_each(|c| c.decided = true);
        merge.set(repo, session)?;
    }
    Ok(done)
}

/// Whether a merge waits to be committed.
///
/// # Errors
/// `Io`.
pub fn is_merging(repo: &Repo) -> Result<bool> {
    Ok(Unfinished::of(repo)?.is_some())
}

/// What a side has at the chosen conflicts, and what has to give way there.
fn side_of(
    repo: &Repo,
    merge: &Unfinished,
    chosen: &dyn Fn(&Conflict) -> bool,
    favor: Favor,
    side: &Hash,
) -> Result<(Vec<ListedFile>, Vec<ListedFile>)> {
    let (rules, _) = repo.rules_or_default()?;
    let (mut put, mut drop) = (Vec::new(), Vec::new());
    let mut dirs: Vec<&RepoPath> = Vec::new();
    for conflict in merge.conflicts.iter().filter(|c| chosen(c)) {
        let entry = if favor == Favor::Theirs { conflict.theirs } else { conflict.ours };
        let listed = |entry| ListedFile {
            path: conflict.path.clone(),
            component: rules.component_of(&conflict.path, false),
            entry,
        };
        if conflict.kind == ConflictKind::FileDirectory {
            dirs.push(&conflict.path);
        } else {
            let any = [entry, conflict.left, conflict.ours, conflict.theirs];
            drop.extend(any.into_iter().flatten().next().map(listed));
            put.extend(entry.map(listed));
        }
    }
    if !dirs.is_empty() {
        let inside = |file: &ListedFile| dirs.iter().any(|dir| file.path.starts_with(dir));
        let all = |id: &Hash| Ok::<_, Error>(diff::list(repo.store(), &repo.manifest(id)?)?);
        put.extend(all(side)?.into_iter().filter(inside));
        for id in [&merge.ours, &merge.left] {
            drop.extend(all(id)?.into_iter().filter(inside));
        }
    }
    for files in [&mut put, &mut drop] {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
    }
    Ok((put, drop))
}

/// A merge, or going back from one, that was cut off while it wrote files.
fn cut_off(repo: &Repo) -> Result<Option<String>> {
    let mark = Mark::read(repo)?.filter(|m| !m.done && m.operation.starts_with("merge "));
    Ok(mark.map(|m| m.operation))
}

fn operation(options: &MergeOptions) -> String {
    format!("merge {}", options.rev)
}

fn default_message(repo: &Repo, rev: &str) -> String {
    let state = repo.state();
    match () {
        () if state.branch(rev).is_some() => format!("merge branch '{rev}'"),
        () if state.tag(rev).is_some() => format!("merge tag '{rev}'"),
        () => format!("merge {rev}"),
    }
}

fn outcome(done: CheckoutOutcome, plan: Plan) -> MergeOutcome {
    MergeOutcome {
        id: Some(done.id),
        version: done.version,
        branch: done.branch,
        already_up_to_date: false,
        fast_forward: false,
        merged: plan.merged,
        conflicts: Vec::new(),
        written: done.written,
        removed: done.removed,
        bytes: done.bytes,
        failed: done.failed,
    }
}

/// A manifest without files.
fn blank(repo: &Repo, message: String, session: &Session) -> Manifest {
    Manifest {
        parents: Vec::new(),
        components: [ComponentRef { tree: Hash::ZERO, files: 0, bytes: 0 }; 4],
        environment: None,
        model_name: repo.config().map(|config| config.name).unwrap_or_default(),
        params: Vec::new(),
        metrics: Vec::new(),
        metadata: Vec::new(),
        message,
        author: session.author.clone(),
        created: session.now,
        source: None,
    }
}

/// Two versions, their base, and where their texts are.
struct Merge<'a> {
    repo: &'a Repo,
    base: Base,
    ours: Base,
    theirs: Base,
    blobs: Blobs<'a>,
}

impl Merge<'_> {
    fn plan(&mut self, manner: Manner<'_>) -> Result<Plan> {
        let side = |side: &Base| {
            let changes = self.base.changes_to(self.repo, side)?;
            let renames = renames(self.repo, &changes)?;
            Ok::<_, Error>(Side::new(changes, renames))
        };
        let (ours, theirs) = (side(&self.ours)?, side(&self.theirs)?);
        plan::plan(&ours, &theirs, &mut self.blobs, manner)
    }

    /// Stores the merged version; returns its id.
    fn version(
        &mut self,
        plan: &Plan,
        parents: [Hash; 2],
        message: String,
        writer: &StoreWriter<'_>,
        session: &Session,
    ) -> Result<Hash> {
        let none = || blank(self.repo, String::new(), session);
        let [base, ours, theirs] = [&self.base, &self.ours, &self.theirs]
            .map(|side| side.manifest.clone().unwrap_or_else(none));
        let mut files = diff::list(self.repo.store(), &ours)?;
        files.retain(|file| !plan.put.contains_key(&file.path));
        files.extend(plan.put.iter().filter_map(|(path, item)| {
            let (component, entry) = (*item)?;
            Some(ListedFile { path: path.clone(), component, entry })
        }));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        drop_filled(&mut files);
        self.place(&mut files, [&ours, &theirs])?;
        let (components, _) = store_trees(&files, writer)?;
        let manifest = Manifest {
            parents: parents.to_vec(),
            components,
            environment: None,
            model_name: merged_value(&base.model_name, &ours.model_name, &theirs.model_name),
            params: merged_values(&base.params, &ours.params, &theirs.params),
            metrics: merged_values(&base.metrics, &ours.metrics, &theirs.metrics),
            metadata: Vec::new(),
            message,
            author: session.author.clone(),
            created: session.now,
            source: None,
        };
        manifest.validate()?;
        Ok(writer.put(Kind::Manifest, &manifest.encode()?)?)
    }

    /// Puts every file into the component that the merged `mv.toml` says, if the sides have
    /// different ones; else the sides agree already.
    fn place(&mut self, files: &mut [ListedFile], sides: [&Manifest; 2]) -> Result<()> {
        let path: RepoPath = PROJECT_FILE.parse().map_err(|e| Error::invalid("path", e))?;
        let mut had = Vec::new();
        for side in sides {
            had.push(diff::lookup(self.repo.store(), side, &path)?.map(|(_, entry)| entry.id));
        }
        if had.first() == had.last() {
            return Ok(());
        }
        let config = match files.iter().find(|file| file.path == path) {
            Some(file) => match self.blobs.read(&file.entry)? {
                Some(text) => ProjectConfig::parse(&text),
                None => return Ok(()),
            },
            None => Ok(ProjectConfig::default()),
        };
        // A broken one says nothing; the next commit will.
        let Ok(rules) = config.and_then(|config| Rules::new(&config)) else { return Ok(()) };
        for file in files {
            file.component = rules.component_of(&file.path, file.entry.mode == Mode::Dir);
        }
        Ok(())
    }
}

/// A directory that was empty on one side and is filled by the other is no entry of its own.
fn drop_filled(files: &mut Vec<ListedFile>) {
    let dirs: BTreeSet<RepoPath> =
        files.iter().filter(|f| f.entry.mode == Mode::Dir).map(|f| f.path.clone()).collect();
    if dirs.is_empty() {
        return;
    }
    let filled: BTreeSet<RepoPath> =
        files.iter().flat_map(|f| f.path.ancestors()).filter(|dir| dirs.contains(dir)).collect();
    files.retain(|file| !filled.contains(&file.path));
}

/// What one side changed; ours when both did.
fn merged_value<T: Clone + PartialEq>(base: &T, ours: &T, theirs: &T) -> T {
    if ours == base { theirs.clone() } else { ours.clone() }
}

/// The same by name.
fn merged_values(
    base: &[(String, Scalar)],
    ours: &[(String, Scalar)],
    theirs: &[(String, Scalar)],
) -> Vec<(String, Scalar)> {
    let find = |values: &[(String, Scalar)], name: &str| {
        let at = values.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
        values.get(at).map(|(_, value)| value.clone())
    };
    let names: BTreeSet<&String> = ours.iter().chain(theirs).map(|(name, _)| name).collect();
    let value = |name: &&String| {
        merged_value(&find(base, name), &find(ours, name), &find(theirs, name))
            .map(|value| ((*name).clone(), value))
    };
    names.iter().filter_map(value).collect()
}
