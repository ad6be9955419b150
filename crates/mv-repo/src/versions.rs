//! Versions side by side, for tables and charts of what they scored, and the best of them.

use std::collections::{BTreeSet, HashMap};

use mv_graph::walk::Ancestors;
use mv_graph::{Manifest, Scalar};
use mv_store::Hash;

use crate::error::Result;
use crate::log::tags_by_target;
use crate::repo::Repo;
use crate::session::Session;

/// Which versions are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The current version and all before it.
    Head,
    /// These and all before them.
    HistoryOf(Vec<String>),
    /// Exactly these, in this order.
    Only(Vec<String>),
    /// All that HEAD, branches, tags, stages and known remote branches lead to.
    All,
}

/// One version and how it is called.
#[derive(Clone, Debug)]
pub struct Version {
    /// Its id.
    pub id: Hash,
    /// All that was recorded.
    pub manifest: Manifest,
    /// How it is called: its highest semantic version, or else its time.
    pub version: String,
    /// The tags on it, semantic versions first.
    pub tags: Vec<String>,
    /// The branches at it, the current one first.
    pub branches: Vec<String>,
}

/// The versions that are meant, newest first (those of [`Which::Only`] in their own order), at
/// most `limit`. Costs one manifest a version.
///
/// # Errors
/// `UnknownRevision`, `Missing`, `Corrupt`, `Io`. Before the first commit HEAD is empty.
pub fn versions(
    repo: &Repo,
    which: &Which,
    limit: Option<usize>,
    session: &Session,
) -> Result<Vec<Version>> {
    let names = Names::of(repo);
    let limit = limit.unwrap_or(usize::MAX);
    let walk = Walk::new(repo, which, session)?.take(limit);
    walk.map(|found| found.map(|(id, manifest)| names.version(id, manifest))).collect()
}

/// How to look for the best version.
#[derive(Clone, Debug)]
pub struct BestOptions {
    /// The metric that decides.
    pub metric: String,
    /// Whether the lowest value is the best.
    pub lowest: bool,
    /// How many to name.
    pub count: usize,
    /// Among which.
    pub which: Which,
}

/// The best versions by one metric.
#[derive(Clone, Debug)]
pub struct BestOutcome {
    /// The best first, each with its value; of equal values the newest first.
    pub ranked: Vec<(Version, Scalar)>,
    /// Whether some version has the metric, if only as a text or not as a number.
    pub seen: bool,
    /// The names of all metrics, when no version has this one.
    pub known: Vec<String>,
}

/// Finds the versions with the highest or lowest value of a metric. What is no number (text,
/// `true`, NaN) never wins. Costs one manifest a version, and keeps only the best.
///
/// # Errors
/// Those of [`versions`].
pub fn best(repo: &Repo, options: &BestOptions, session: &Session) -> Result<BestOutcome> {
    let mut ranked: Vec<(f64, Hash, Manifest)> = Vec::new();
    let mut known = BTreeSet::new();
    let mut seen = false;
    for found in Walk::new(repo, &options.which, session)? {
        let (id, manifest) = found?;
        let Some(value) = manifest.metric(&options.metric) else {
            if !seen {
                known.extend(manifest.metrics.into_iter().map(|(name, _)| name));
            }
            continue;
        };
        seen = true;
        let Some(value) = value.as_f64().filter(|value| !value.is_nan()) else { continue };
        let worth = if options.lowest { -value } else { value };
        // Versions come newest first: one that is only as good stays behind.
        let place = ranked.partition_point(|(other, ..)| *other >= worth);
        if place < options.count {
            ranked.insert(place, (worth, id, manifest));
            ranked.truncate(options.count);
        }
    }
    let names = Names::of(repo);
    let ranked = ranked.into_iter().filter_map(|(_, id, manifest)| {
        let value = manifest.metric(&options.metric)?.clone();
        Some((names.version(id, manifest), value))
    });
    let known = if seen { Vec::new() } else { known.into_iter().collect() };
    Ok(BestOutcome { ranked: ranked.collect(), seen, known })
}

/// The versions that are meant, one after the other.
enum Walk<'a> {
    History(Ancestors<'a>, &'a Session),
    Only(&'a Repo, std::vec::IntoIter<Hash>),
}

impl<'a> Walk<'a> {
    fn new(repo: &'a Repo, which: &Which, session: &'a Session) -> Result<Walk<'a>> {
        let resolve = |revs: &[String]| -> Result<Vec<Hash>> {
            revs.iter().map(|rev| repo.resolve(rev, session)).collect()
        };
        let tips = match which {
            Which::Only(revs) => return Ok(Walk::Only(repo, resolve(revs)?.into_iter())),
            Which::HistoryOf(revs) => resolve(revs)?,
            Which::Head => repo.state().head_target().into_iter().collect(),
            Which::All => {
                let state = repo.state();
                let head = state.head_target().into_iter();
                head.chain(state.branches.iter().map(|b| b.target))
                    .chain(state.tags.iter().filter_map(|t| t.target))
                    .chain(state.stages.iter().filter_map(|s| s.target))
                    .chain(state.tracking.iter().map(|t| t.target))
                    .collect()
            }
        };
        Ok(Walk::History(Ancestors::new(repo.store(), &tips), session))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Hash, Manifest)>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Walk::History(ancestors, session) => {
                if let Err(stopped) = session.progress.check() {
                    return Some(Err(stopped.into()));
                }
                ancestors.next().map(|found| found.map_err(Into::into))
            }
            Walk::Only(repo, ids) => ids.next().map(|id| Ok((id, repo.manifest(&id)?))),
        }
    }
}

/// The names of versions, looked up once for all of them.
struct Names {
    tags: HashMap<Hash, Vec<String>>,
    branches: HashMap<Hash, Vec<String>>,
}

impl Names {
    fn of(repo: &Repo) -> Names {
        let state = repo.state();
        let current = state.head_branch();
        let mut branches: HashMap<Hash, Vec<String>> = HashMap::new();
        let (here, others): (Vec<_>, Vec<_>) =
            state.branches.iter().partition(|b| Some(&b.name) == current);
        for branch in here.into_iter().chain(others) {
            branches.entry(branch.target).or_default().push(branch.name.to_string());
        }
        Names { tags: tags_by_target(repo), branches }
    }

    fn version(&self, id: Hash, manifest: Manifest) -> Version {
        let tags = self.tags.get(&id).cloned().unwrap_or_default();
        let version = tags.iter().find(|tag| mv_graph::parse_version(tag).is_some()).cloned();
        Version {
            id,
            version: version.unwrap_or_else(|| manifest.created.version_stamp()),
            manifest,
            tags,
            branches: self.branches.get(&id).cloned().unwrap_or_default(),
        }
    }
}
