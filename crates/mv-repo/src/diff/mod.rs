//! What differs between two versions, or between a version and the working tree.
//!
//! [`diff`] finds the files and values that differ; [`view`] looks inside one of these files. So a
//! caller that wants names pays for names, and shows the first file before it reads the last.

mod model;
mod text;
mod view;

use std::collections::HashMap;

use mv_graph::diff::{Change, ChangeKind, changes};
use mv_graph::{Component, Manifest, RepoPath, Scalar, Time};
use mv_store::Hash;

use crate::bump::{self, Advice, Suggestion};
use crate::environment::{self, EnvironmentChange};
use crate::error::{Error, Result};
use crate::measures::{self, Measures, Values};
use crate::renames::{Rename, renames, renames_in_worktree};
use crate::repo::{PathArg, Repo, covered};
use crate::session::Session;
use crate::snapshot::{Depth, Snapshot};

pub use model::{ModelDiff, ModelSummary, TensorChange, TensorChangeKind, bytes_of};
pub use text::MAX_TEXT;
pub use view::{Opaque, View, ViewOptions, view};

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    /// The older side; HEAD when none is given.
    pub from: Option<String>,
    /// The newer side; the working tree when none is given.
    pub to: Option<String>,
    /// Only these components; all when empty.
    pub only: Vec<Component>,
    /// Only these paths, old or new; all when empty.
    pub paths: Vec<PathArg>,
    /// Shows a renamed file as a deleted and an added one.
    pub no_renames: bool,
    /// Looks into no file: there is no [`DiffOutcome::suggested_bump`].
    pub names_only: bool,
}

/// One side of a comparison.
#[derive(Clone, Debug)]
pub struct DiffSide {
    /// The version; none for the working tree, and for HEAD before the first commit.
    pub id: Option<Hash>,
    /// How it is called.
    pub label: String,
    /// When it was made; none for the working tree.
    pub created: Option<Time>,
}

/// A value that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalarChange {
    /// Its name.
    pub name: String,
    /// What it was.
    pub from: Option<Scalar>,
    /// What it is.
    pub to: Option<Scalar>,
}

/// A text that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextChange {
    /// Its name.
    pub name: String,
    /// What it was.
    pub from: Option<String>,
    /// What it is.
    pub to: Option<String>,
}

/// Everything that differs.
#[derive(Clone, Debug)]
pub struct DiffOutcome {
    /// The older side.
    pub from: DiffSide,
    /// The newer side.
    pub to: DiffSide,
    /// Files that differ, by path. A renamed one is modified, under its new name.
    pub changes: Vec<Change>,
    /// The renames among them, by new name.
    pub renames: Vec<Rename>,
    /// Parts of the environment that differ.
    pub environment: Vec<EnvironmentChange>,
    /// Hyper-parameters that differ, by name; against the working tree, those that files give.
    pub params: Vec<ScalarChange>,
    /// Metrics that differ, likewise.
    pub metrics: Vec<ScalarChange>,
    /// Metadata that differs, by name.
    pub metadata: Vec<TextChange>,
    /// The kind of version step that these differences ask for.
    pub suggested_bump: Option<SuggestedBump>,
}

/// A proposal for the next version's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuggestedBump {
    /// `major`, `minor` or `patch`.
    pub kind: String,
    /// Why, in a few words; may hold names out of files: not escaped.
    pub reason: String,
}

impl DiffOutcome {
    /// The rename that a change is, if it is one.
    #[must_use]
    pub fn rename_of(&self, change: &Change) -> Option<&Rename> {
        let at = self.renames.binary_search_by(|r| r.to.cmp(&change.path)).ok()?;
        self.renames.get(at)
    }

    /// The older side's path: another one for a renamed file.
    #[must_use]
    pub fn from_path<'a>(&'a self, change: &'a Change) -> &'a RepoPath {
        self.rename_of(change).map_or(&change.path, |rename| &rename.from)
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
            && self.environment.is_empty()
            && self.params.is_empty()
            && self.metrics.is_empty()
            && self.metadata.is_empty()
    }
}

/// Compares two sides.
///
/// # Errors
/// `UnknownRevision`, `Corrupt`, `Io`.
pub fn diff(repo: &Repo, options: &DiffOptions, session: &Session) -> Result<DiffOutcome> {
    let from = match &options.from {
        Some(rev) => Some(repo.resolve(rev, session)?),
        None => repo.state().head_target(),
    };
    let from_manifest = from.map(|id| repo.manifest(&id)).transpose()?;
    let to = options.to.as_ref().map(|rev| repo.resolve(rev, session)).transpose()?;
    let to_manifest = to.map(|id| repo.manifest(&id)).transpose()?;
    let old = from_manifest.as_ref();
    let mut outcome = match to.zip(to_manifest.as_ref()) {
        Some(to) => between(repo, from.zip(old), to)?,
        None => against_files(repo, from.zip(old), session)?,
    };
    let whole = options.only.is_empty() && options.paths.is_empty();
    if let Some(old) = old.filter(|_| whole && !options.names_only && !outcome.is_empty()) {
        let progress = &session.progress;
        outcome.suggested_bump = proposal(match &to_manifest {
            Some(new) => bump::suggest(repo.store(), old, new, progress),
            None => {
                let values = [
                    ("environment", outcome.environment.is_empty()),
                    ("params", outcome.params.is_empty()),
                    ("metrics", outcome.metrics.is_empty()),
                ];
                let differ = values.iter().filter(|(_, same)| !*same).map(|(name, _)| *name);
                let differ: Vec<_> = differ.collect();
                bump::suggest_for_files(repo, old, &outcome.changes, &differ, progress)
            }
        })?;
    }
    if !options.no_renames {
        join_renames(repo, &mut outcome)?;
    }
    if !whole {
        // Who asks for some files asks for nothing else; packages are the environment's.
        if !options.paths.is_empty() || !options.only.contains(&Component::Env) {
            outcome.environment.clear();
        }
        outcome.params.clear();
        outcome.metrics.clear();
        outcome.metadata.clear();
    }
    let mut changes = std::mem::take(&mut outcome.changes);
    changes.retain(|c| {
        let named =
            covered(&options.paths, &c.path) || covered(&options.paths, outcome.from_path(c));
        named && (options.only.is_empty() || options.only.contains(&c.component))
    });
    outcome.changes = changes;
    Ok(outcome)
}

/// Makes one change of the two that a rename is.
fn join_renames(repo: &Repo, outcome: &mut DiffOutcome) -> Result<()> {
    outcome.renames = match outcome.to.id {
        Some(_) => renames(repo, &outcome.changes)?,
        None => renames_in_worktree(repo, &outcome.changes)?,
    };
    let old: HashMap<_, _> = outcome.renames.iter().map(|r| (&r.from, &r.to)).collect();
    let mut entries = HashMap::new();
    outcome.changes.retain(|change| {
        let gone = change.kind == ChangeKind::Deleted;
        let Some(to) = old.get(&change.path).filter(|_| gone) else { return true };
        entries.insert((*to).clone(), change.from);
        false
    });
    for change in &mut outcome.changes {
        if let Some(from) = entries.remove(&change.path) {
            (change.kind, change.from) = (ChangeKind::Modified, from);
        }
    }
    Ok(())
}

type Side<'a> = (Hash, &'a Manifest);

fn side(repo: &Repo, side: Option<Side<'_>>) -> DiffSide {
    match side {
        Some((id, manifest)) => DiffSide {
            id: Some(id),
            label: repo.version_of(&id, manifest),
            created: Some(manifest.created),
        },
        None => DiffSide { id: None, label: "nothing".into(), created: None },
    }
}

fn between(repo: &Repo, from: Option<Side<'_>>, to: Side<'_>) -> Result<DiffOutcome> {
    let old = from.map(|(_, manifest)| manifest);
    let new = to.1;
    Ok(DiffOutcome {
        from: side(repo, from),
        to: side(repo, Some(to)),
        changes: changes(repo.store(), old, Some(new))?,
        renames: Vec::new(),
        environment: environments(repo, old, Some(new))?,
        params: scalars(old.map_or(&[], |m| &m.params), &new.params),
        metrics: scalars(old.map_or(&[], |m| &m.metrics), &new.metrics),
        metadata: pairs(old.map_or(&[], |m| &m.metadata), &new.metadata)
            .map(|(name, from, to)| TextChange { name, from, to })
            .collect(),
        suggested_bump: None,
    })
}

/// What the bytes say about the next version's number; nothing where they cannot be read.
fn proposal(advice: Result<Advice>) -> Result<Option<SuggestedBump>> {
    match advice {
        Ok(Advice::Bump(Suggestion { kind, reason })) => {
            Ok(Some(SuggestedBump { kind: kind.as_str().to_owned(), reason }))
        }
        Ok(Advice::Undecided(_)) => Ok(None),
        // The file that is damaged is shown as such.
        Err(Error::Store(e)) if e.is_corruption() => Ok(None),
        Err(error) => Err(error),
    }
}

/// How the captured environments differ; nothing when one side has none.
fn environments(
    repo: &Repo,
    old: Option<&Manifest>,
    new: Option<&Manifest>,
) -> Result<Vec<EnvironmentChange>> {
    let (Some(old), Some(new)) = (old, new) else { return Ok(Vec::new()) };
    if old.environment == new.environment {
        return Ok(Vec::new());
    }
    match (environment::read(repo, old)?, environment::read(repo, new)?) {
        (Some(old), Some(new)) => Ok(environment::changes(Some(&old), Some(&new))),
        _ => Ok(Vec::new()),
    }
}

/// The captured environment against the present one. The kernel and the like change by
/// themselves: only packages and Python are the project's.
fn environment_now(
    repo: &Repo,
    old: Option<&Manifest>,
    session: &Session,
) -> Result<Vec<EnvironmentChange>> {
    let Some(old) = old.map(|m| environment::read(repo, m)).transpose()?.flatten() else {
        return Ok(Vec::new());
    };
    let now = environment::capture(repo.root(), &session.surroundings);
    let mut changes = environment::changes(Some(&old), Some(&now));
    changes.retain(EnvironmentChange::is_software);
    Ok(changes)
}

fn scalars(old: &[(String, Scalar)], new: &[(String, Scalar)]) -> Vec<ScalarChange> {
    pairs(old, new).map(|(name, from, to)| ScalarChange { name, from, to }).collect()
}

/// The names at which two sorted lists differ, with both values.
fn pairs<T: Clone + PartialEq>(
    old: &[(String, T)],
    new: &[(String, T)],
) -> impl Iterator<Item = (String, Option<T>, Option<T>)> {
    let mut all = std::collections::BTreeMap::<String, (Option<T>, Option<T>)>::new();
    for (name, value) in old {
        all.entry(name.clone()).or_insert((None, None)).0 = Some(value.clone());
    }
    for (name, value) in new {
        all.entry(name.clone()).or_insert((None, None)).1 = Some(value.clone());
    }
    all.into_iter().filter(|(_, (a, b))| a != b).map(|(name, (a, b))| (name, a, b))
}

fn against_files(repo: &Repo, from: Option<Side<'_>>, session: &Session) -> Result<DiffOutcome> {
    let mut snapshot =
        Snapshot::take_against(repo, from.map(|(id, manifest)| (id, manifest.clone())), session)?;
    snapshot.examine(Depth::Content, session)?;
    let (params, metrics) = measures_now(repo, from, session)?;
    let manifest = from.map(|(_, manifest)| manifest);
    Ok(DiffOutcome {
        from: side(repo, from),
        to: DiffSide { id: None, label: "working tree".into(), created: None },
        changes: snapshot.changes(),
        renames: Vec::new(),
        environment: environment_now(repo, manifest, session)?,
        params,
        metrics,
        metadata: Vec::new(),
        suggested_bump: None,
    })
}

/// What files give now against what the version's own files gave. A value that is typed at each
/// commit is in no file: it is not gone. One that an ignored file gives is compared with what was
/// recorded. A file that cannot be understood has no values to compare, only text.
fn measures_now(
    repo: &Repo,
    from: Option<Side<'_>>,
    session: &Session,
) -> Result<(Vec<ScalarChange>, Vec<ScalarChange>)> {
    let was = match from {
        Some((_, manifest)) => measures::understood(measures::of_files(repo, manifest))?,
        None => Some(Measures::default()),
    };
    let now = measures::understood(measures::of_worktree(repo, session))?;
    let Some((was, now)) = was.zip(now) else { return Ok((Vec::new(), Vec::new())) };
    let changes = |recorded: Option<&Vec<(String, Scalar)>>, was: Values, now: Values| {
        let recorded = recorded.into_iter().flatten().filter(|(name, _)| now.contains_key(name));
        let was: Values = recorded.cloned().chain(was).collect();
        scalars(&Vec::from_iter(was), &Vec::from_iter(now))
    };
    let manifest = from.map(|(_, manifest)| manifest);
    Ok((
        changes(manifest.map(|m| &m.params), was.params, now.params),
        changes(manifest.map(|m| &m.metrics), was.metrics, now.metrics),
    ))
}
