//! What differs between two versions, or between a version and the working tree.

use mv_graph::diff::{Change, changes};
use mv_graph::{Component, Manifest, Mode, Scalar, Time};
use mv_store::{Hash, IoContext as _};

use crate::error::Result;
use crate::measures::{self, Measures, Values};
use crate::repo::{PathArg, Repo, covered};
use crate::session::Session;
use crate::snapshot::{Depth, Snapshot};
use crate::worktree::read_stable;

/// Largest file whose text is compared line by line, in bytes.
pub const MAX_TEXT: u64 = 1 << 20;

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct DiffOptions {
    /// The older side; HEAD when none is given.
    pub from: Option<String>,
    /// The newer side; the working tree when none is given.
    pub to: Option<String>,
    /// Only these components; all when empty.
    pub only: Vec<Component>,
    /// Only these paths; all when empty.
    pub paths: Vec<PathArg>,
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
    /// Files that differ, by path.
    pub changes: Vec<Change>,
    /// Hyper-parameters that differ, by name; against the working tree, those that files give.
    pub params: Vec<ScalarChange>,
    /// Metrics that differ, likewise.
    pub metrics: Vec<ScalarChange>,
    /// Metadata that differs, by name.
    pub metadata: Vec<TextChange>,
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
    let mut outcome = match &options.to {
        Some(rev) => {
            let to = repo.resolve(rev, session)?;
            let to_manifest = repo.manifest(&to)?;
            between(repo, from.zip(from_manifest.as_ref()), (to, &to_manifest))?
        }
        None => against_files(repo, from.zip(from_manifest.as_ref()), session)?,
    };
    if !options.only.is_empty() || !options.paths.is_empty() {
        // Who asks for some files asks for nothing else.
        outcome.params.clear();
        outcome.metrics.clear();
        outcome.metadata.clear();
    }
    outcome.changes.retain(|c| {
        covered(&options.paths, &c.path)
            && (options.only.is_empty() || options.only.contains(&c.component))
    });
    Ok(outcome)
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
        params: scalars(old.map_or(&[], |m| &m.params), &new.params),
        metrics: scalars(old.map_or(&[], |m| &m.metrics), &new.metrics),
        metadata: pairs(old.map_or(&[], |m| &m.metadata), &new.metadata)
            .map(|(name, from, to)| TextChange { name, from, to })
            .collect(),
    })
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
    Ok(DiffOutcome {
        from: side(repo, from),
        to: DiffSide { id: None, label: "working tree".into(), created: None },
        changes: snapshot.changes(),
        params,
        metrics,
        metadata: Vec::new(),
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

/// Both sides of a changed file as text; none when either is large, binary or no file. A side that
/// is not in the repository is read from the working tree.
///
/// # Errors
/// `Missing`, `Corrupt`, `Io`.
pub fn text_of(repo: &Repo, change: &Change) -> Result<Option<(String, String)>> {
    let mut sides = Vec::with_capacity(2);
    for entry in [&change.from, &change.to] {
        let Some(entry) = entry else {
            sides.push(String::new());
            continue;
        };
        if !matches!(entry.mode, Mode::File | Mode::Exec) || entry.bytes > MAX_TEXT {
            return Ok(None);
        }
        let bytes = if repo.store().has(&entry.id)? {
            let mut bytes = Vec::new();
            repo.store().copy_to(&entry.id, None, &mut |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
            bytes
        } else {
            let absolute = repo.root().join(change.path.to_path());
            let read = read_stable(&repo.root_dir()?, &change.path, &mut |file, _| {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).at("read", &absolute)?;
                Ok(bytes)
            })?;
            read.0
        };
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => sides.push(text),
            _ => return Ok(None),
        }
    }
    let to = sides.pop().unwrap_or_default();
    Ok(sides.pop().map(|from| (from, to)))
}
