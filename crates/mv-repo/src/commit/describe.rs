//! The manifest of a new version: what is said of it beside its files.

use std::collections::BTreeMap;

use mv_graph::{ComponentRef, Manifest, Scalar};
use mv_store::{Hash, StoreWriter};

use super::CommitOptions;
use crate::environment;
use crate::error::{Error, Result};
use crate::measures::{self, Measures};
use crate::repo::Repo;
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::source;

/// The manifest of the new version.
pub(super) fn describe(
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
/// a merge, as the version that the merge left has them.
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
    if let Some(left) = merging {
        params = among(&left.params, &params);
        metrics = among(&left.metrics, &metrics);
    }
    Ok((params, metrics))
}

/// Those values that have one of these names.
fn among(values: &[(String, Scalar)], names: &measures::Values) -> measures::Values {
    values.iter().filter(|(name, _)| names.contains_key(name)).cloned().collect()
}

/// A manifest that says nothing yet: no parents, no files.
pub(crate) fn blank(repo: &Repo, message: String, session: &Session) -> Manifest {
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

/// Adds what is around the project now: its environment, and the git commit beside it. What cannot
/// be learned is left out and told: notes of the environment, warnings of git.
pub(crate) fn around(
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
