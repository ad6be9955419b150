//! The rules of `mv.toml` for promoting a version, held against one.

use mv_graph::{Manifest, RefName, State};
use mv_store::Hash;

use super::registry::called;
use crate::config::StagePolicy;
use crate::error::{Error, Result};
use crate::repo::Repo;

/// The rules for one promotion, with what they are held against.
pub(super) struct Rules {
    stage: RefName,
    /// Those for all stages, then the stage's own.
    policies: Vec<StagePolicy>,
    target: Hash,
    called: String,
    candidate: Manifest,
    /// The version that plays the role now, and how it is called.
    current: Option<(Manifest, String)>,
}

impl Rules {
    /// Reads the rules that the working tree's `mv.toml` has for the stage, and both versions.
    pub(super) fn read(
        repo: &Repo,
        stage: &RefName,
        current: Option<Hash>,
        target: Hash,
    ) -> Result<Rules> {
        let policies: Vec<StagePolicy> = repo.config()?.policies(stage.as_str()).cloned().collect();
        let compares = policies.iter().any(|policy| !policy.no_worse.is_empty());
        let current = current
            .filter(|_| compares)
            .map(|id| Ok::<_, Error>((repo.manifest(&id)?, called(repo, &id))))
            .transpose()?;
        Ok(Rules {
            stage: stage.clone(),
            policies,
            target,
            called: called(repo, &target),
            candidate: repo.manifest(&target)?,
            current,
        })
    }

    /// Refuses the promotion at the first rule that is broken. Tags are those of the state.
    pub(super) fn check(&self, state: &State) -> Result<()> {
        let broken = self.policies.iter().find_map(|policy| self.broken(policy, state));
        broken.map_or(Ok(()), |what| Err(Error::Policy { what }))
    }

    fn broken(&self, policy: &StagePolicy, state: &State) -> Option<String> {
        let (stage, called) = (&self.stage, &self.called);
        let is_version =
            |id: &Hash| state.tags.iter().any(|tag| tag.target == Some(*id) && tag.is_semver());
        if policy.require_semver && !is_version(&self.target) {
            return Some(format!("{stage} needs a semantic version tag; {called} has none"));
        }
        for (metric, bound) in &policy.require {
            let needs = format!("{stage} needs {metric} {bound}; {called}");
            match number(&self.candidate, metric) {
                Err(why) => return Some(format!("{needs} has {why}")),
                Ok(value) if !bound.holds(value) => return Some(format!("{needs} has {value}")),
                Ok(_) => {}
            }
        }
        let (current, holder) = self.current.as_ref()?;
        for (metric, tolerance) in &policy.no_worse {
            let needs = format!("{stage} needs {metric} no worse than in {holder}");
            let value = match number(&self.candidate, metric) {
                Err(why) => return Some(format!("{needs}; {called} has {why}")),
                Ok(value) => value,
            };
            // A metric that the present holder lacks cannot have become worse.
            let Ok(before) = number(current, metric) else { continue };
            if !tolerance.holds(before, value) {
                return Some(format!("{needs} ({before}), {tolerance}; {called} has {value}"));
            }
        }
        None
    }
}

/// A metric as a number to compare; the error says what there is instead.
fn number(manifest: &Manifest, metric: &str) -> std::result::Result<f64, String> {
    let value = manifest.metric(metric).ok_or_else(|| format!("no {metric}"))?;
    let number = value.as_f64().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("`{value}`, which is no number"))
}
