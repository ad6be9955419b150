//! Finding the version that made it worse.
//!
//! Two questions, two modules: [`metric`] reads what versions recorded and runs nothing; [`Search`]
//! chooses which versions to test and is told what came out. Testing itself is the caller's;
//! [`Scratch`] puts a version where that can be done.

pub mod metric;
mod scratch;
mod search;

use mv_graph::Component;
use mv_graph::walk::Ancestors;
use mv_store::Hash;

use crate::diff::{DiffOptions, DiffOutcome, diff};
use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::session::Session;

pub use scratch::Scratch;
pub use search::{Outcome, Search, Verdict};

/// The two ends between which to search.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// A version that is good; the oldest ancestor of the bad one when none is given.
    pub good: Option<String>,
    /// A version that is bad; HEAD when none is given.
    pub bad: Option<String>,
}

/// Begins a search: gives the good end, the bad end and what lies between. The ends are only claims;
/// test both before the search is told of the good one.
///
/// # Errors
/// `UnknownRevision`; `Invalid` when the good end is no ancestor of the bad one, or both are the same;
/// `Corrupt`.
pub fn begin(repo: &Repo, ends: &Ends, session: &Session) -> Result<(Hash, Hash, Search)> {
    let bad = repo.resolve(ends.bad.as_deref().unwrap_or("HEAD"), session)?;
    let good = ends.good.as_deref().map(|rev| repo.resolve(rev, session)).transpose()?;
    let mut graph = Vec::new();
    for version in Ancestors::new(repo.store(), &[bad]) {
        session.progress.check()?;
        let (id, manifest) = version?;
        graph.push((id, manifest.parents));
    }
    let oldest = graph.last().map_or(bad, |(id, _)| *id);
    let good = good.unwrap_or(oldest);
    if !graph.iter().any(|(id, _)| *id == good) {
        let detail = format!("{} is no ancestor of {}", good.short(), bad.short());
        return Err(Error::invalid("good version", detail));
    }
    if good == bad {
        let detail = format!("{} cannot be good and bad", bad.short());
        return Err(Error::invalid("good version", detail));
    }
    Ok((good, bad, Search::new(&graph, bad)))
}

/// What differs between two versions.
///
/// # Errors
/// `Missing`, `Corrupt`.
pub fn difference(repo: &Repo, from: &Hash, to: &Hash, session: &Session) -> Result<DiffOutcome> {
    let options = DiffOptions {
        from: Some(from.to_hex()),
        to: Some(to.to_hex()),
        names_only: true,
        ..DiffOptions::default()
    };
    diff(repo, &options, session)
}

/// How many files of a component differ.
#[must_use]
pub fn files_changed(found: &DiffOutcome, component: Component) -> usize {
    found.changes.iter().filter(|change| change.component == component).count()
}
