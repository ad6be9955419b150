//! [`search`]: the versions at which a recorded metric fell. Nothing is run: manifests are read
//! along the first parents.

use mv_graph::Manifest;
use mv_store::Hash;

use super::Ends;
use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::session::Session;

/// Which way a metric gets worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worse {
    /// Accuracy, AUC: falling is worse.
    Lower,
    /// Loss, latency: rising is worse.
    Higher,
}

/// What to look for.
#[derive(Clone, Debug)]
pub struct MetricOptions {
    /// The metric's name.
    pub metric: String,
    /// Which way is worse.
    pub worse: Worse,
    /// By how much at least; more than zero.
    pub by: f64,
    /// Where to search.
    pub ends: Ends,
}

/// A version whose metric is worse than that of the measured version before it.
#[derive(Clone, Debug)]
pub struct Fall {
    /// The version.
    pub id: Hash,
    /// How it is called.
    pub version: String,
    /// What it recorded; not a number when the measurement failed.
    pub to: f64,
    /// The nearest earlier version that has the metric as a number.
    pub previous: Hash,
    /// How that one is called.
    pub previous_version: String,
    /// What that one recorded.
    pub from: f64,
    /// Versions between the two, without a number for the metric.
    pub between: usize,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct MetricOutcome {
    /// Every fall, oldest first.
    pub falls: Vec<Fall>,
    /// How many versions recorded the metric as a number.
    pub measured: usize,
}

/// Finds the versions at which a metric became worse by at least so much. A metric that was a number
/// and is none any more (`nan`) counts as fallen.
///
/// # Errors
/// `UnknownRevision`; `Invalid` for a bound that is no positive number, a good end that is not among
/// the first parents of the bad one, and a metric that no version there has; `Corrupt`.
pub fn search(repo: &Repo, options: &MetricOptions, session: &Session) -> Result<MetricOutcome> {
    if !options.by.is_finite() || options.by <= 0.0 {
        return Err(Error::invalid("difference", "it must be a number above zero"));
    }
    let history = history(repo, &options.ends, session)?;
    let mut outcome = MetricOutcome { falls: Vec::new(), measured: 0 };
    let mut last: Option<(usize, f64)> = None;
    for (at, (id, manifest)) in history.iter().enumerate() {
        let Some(to) = manifest.metric(&options.metric).and_then(|value| value.as_f64()) else {
            continue;
        };
        outcome.measured += 1;
        if let Some((before, from)) = last
            && let Some((previous, earlier)) = history.get(before)
            && is_worse(from, to, options)
        {
            outcome.falls.push(Fall {
                id: *id,
                version: repo.version_of(id, manifest),
                to,
                previous: *previous,
                previous_version: repo.version_of(previous, earlier),
                from,
                between: at - before - 1,
            });
        }
        if !to.is_nan() {
            last = Some((at, to));
        }
    }
    if outcome.measured == 0 {
        return Err(unknown(&options.metric, &history));
    }
    Ok(outcome)
}

/// The first parents from the good end to the bad one, oldest first.
fn history(repo: &Repo, ends: &Ends, session: &Session) -> Result<Vec<(Hash, Manifest)>> {
    let bad = repo.resolve(ends.bad.as_deref().unwrap_or("HEAD"), session)?;
    let good = ends.good.as_deref().map(|rev| repo.resolve(rev, session)).transpose()?;
    let mut versions = Vec::new();
    let mut next = Some(bad);
    while let Some(id) = next {
        session.progress.check()?;
        let manifest = repo.manifest(&id)?;
        next = manifest.parents.first().copied().filter(|_| Some(id) != good);
        versions.push((id, manifest));
    }
    let oldest = versions.last().map(|(id, _)| *id);
    if let Some(good) = good.filter(|good| Some(*good) != oldest) {
        let detail = format!("{} is not among the first parents of {}", good.short(), bad.short());
        return Err(Error::invalid("good version", detail));
    }
    versions.reverse();
    Ok(versions)
}

fn is_worse(from: f64, to: f64, options: &MetricOptions) -> bool {
    if to.is_nan() {
        return true;
    }
    let fall = match options.worse {
        Worse::Lower => from - to,
        Worse::Higher => to - from,
    };
    // 0.57 - 0.56 is a little less than 0.01 in binary.
    let blur = 4.0 * f64::EPSILON * from.abs().max(to.abs()).max(options.by);
    fall + blur >= options.by || (fall.is_infinite() && fall > 0.0)
}

fn unknown(metric: &str, history: &[(Hash, Manifest)]) -> Error {
    let mut names: Vec<&str> =
        history.iter().flat_map(|(_, m)| m.metrics.iter().map(|(name, _)| name.as_str())).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(10);
    let there = match names.as_slice() {
        [] => "none has any metric".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    Error::invalid("metric", format!("no version has a number for `{metric}`; {there}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worse(worse: Worse, by: f64, from: f64, to: f64) -> bool {
        let options = MetricOptions { metric: "m".into(), worse, by, ends: Ends::default() };
        is_worse(from, to, &options)
    }

    #[test]
    fn a_fall_of_exactly_the_bound_counts_however_it_is_rounded() {
        for hundredths in 1..=100 {
            let (from, to) = (f64::from(hundredths) / 100.0, f64::from(hundredths - 1) / 100.0);
            assert!(worse(Worse::Lower, 0.01, from, to), "{from} {to}");
            assert!(!worse(Worse::Lower, 0.0101, from, to), "{from} {to}");
            assert!(worse(Worse::Higher, 0.01, to, from) && !worse(Worse::Higher, 0.01, from, to));
        }
    }

    #[test]
    fn no_number_is_worse_than_any() {
        assert!(worse(Worse::Lower, 0.01, 0.9, f64::NAN));
        assert!(worse(Worse::Higher, 0.01, 0.9, f64::INFINITY));
        assert!(!worse(Worse::Lower, 0.01, 0.9, f64::INFINITY));
        assert!(worse(Worse::Lower, 0.01, f64::INFINITY, 1.0));
        assert!(!worse(Worse::Lower, 0.01, f64::INFINITY, f64::INFINITY));
    }
}
