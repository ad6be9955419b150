//! What of a remote's refs is taken over here.
//!
//! Branches become `origin/main` and move nothing of the user's. Tags are made where there is none of
//! that name. A stage follows the remote's ledger when that continues the one here; when both moved,
//! the remote's counts, since it is what everybody sees, and the user is told what to repeat.

use std::collections::HashSet;

use mv_graph::reach::Ledgers;
use mv_graph::{Objects, Stage, State, Tag, Tracking, ledger};
use mv_store::{Hash, Store};

use super::{FetchOptions, track};
use crate::error::{Error, Result};
use crate::remote::Remote;
use crate::repo::Repo;
use crate::tracking::RefChange;

/// Refs that come in.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    tracking: Vec<Tracking>,
    /// Tracked branches that are gone there.
    gone: Vec<Tracking>,
    tags: Vec<Tag>,
    stages: Vec<Stage>,
    /// Versions that must be here, whole.
    pub(crate) roots: Vec<Hash>,
    /// Entries of ledgers that must be here.
    pub(crate) entries: HashSet<Hash>,
    pub(crate) warnings: Vec<String>,
}

impl Incoming {
    /// Holds the remote's refs against those here.
    pub(super) fn plan(
        repo: &Repo,
        remote: &Remote,
        there: &State,
        options: &FetchOptions,
    ) -> Result<Incoming> {
        let mut incoming = Incoming::default();
        for branch in &options.branches {
            if there.branch(branch).is_none() {
                let text = format!("{}/{branch}", remote.name);
                return Err(mv_graph::Error::UnknownRevision { text }.into());
            }
        }
        let chosen =
            |name: &str| options.branches.is_empty() || options.branches.iter().any(|b| b == name);
        incoming.tracking = super::tracking_of(remote, there);
        incoming.tracking.retain(|t| chosen(t.branch.as_str()));
        let here = repo.state();
        if options.prune {
            let tracked = here.tracking.iter().filter(|t| t.remote == remote.name);
            let gone = tracked.filter(|t| there.branch(t.branch.as_str()).is_none());
            incoming.gone = gone.cloned().collect();
        }
        incoming.tags(remote, here, there);
        let objects = repo.store().here().join(&remote.arrived()?).join(&remote.store);
        incoming.stages(&objects, remote, here, there)?;
        let branches = incoming.tracking.iter().map(|t| t.target);
        let tags = incoming.tags.iter().filter_map(|t| t.target);
        incoming.roots.extend(branches.chain(tags));
        incoming.roots.sort_unstable();
        incoming.roots.dedup();
        Ok(incoming)
    }

    fn tags(&mut self, remote: &Remote, here: &State, there: &State) {
        for tag in &there.tags {
            let name = &tag.name;
            match here.tag(name.as_str()) {
                None => {
                    if here.stage(name.as_str()).is_some() {
                        let text = format!("tag `{name}` was not taken: there is a stage of that name");
                        self.warnings.push(text);
                    } else {
                        self.tags.push(tag.clone());
                    }
                }
                Some(own) if own.target == tag.target => {}
                // A number that was given up here before it was shared is the one that is shared.
                Some(Tag { target: None, .. }) => self.tags.push(tag.clone()),
                Some(_) if tag.target.is_none() => self.warnings.push(format!(
                    "tag `{name}` was deleted on `{}` and is kept here: delete it with `mv tag -d {name}`",
                    remote.name
                )),
                Some(_) => self.warnings.push(format!(
                    "tag `{name}` on `{}` is another version than here: delete yours with `mv tag -d {name}`, fetch again, and give your version another number",
                    remote.name
                )),
            }
        }
    }

    fn stages(
        &mut self,
        objects: &Store,
        remote: &Remote,
        here: &State,
        there: &State,
    ) -> Result<()> {
        for stage in &there.stages {
            let own = here.stage(stage.name.as_str());
            if own.is_some_and(|own| own.ledger == stage.ledger) {
                continue;
            }
            if here.tag(stage.name.as_str()).is_some() {
                let text =
                    format!("stage `{}` was not taken: there is a tag of that name", stage.name);
                self.warnings.push(text);
                continue;
            }
            if let Some(own) = own {
                if holds(objects, own, &stage.ledger)? {
                    // Moved here only: a push tells the remote.
                    continue;
                }
                if !holds(objects, stage, &own.ledger)? {
                    self.superseded(objects, remote, own)?;
                }
            }
            let ledgers = Ledgers::of(objects, std::slice::from_ref(stage))?;
            self.roots.extend(ledgers.versions);
            self.entries.extend(ledgers.entries);
            self.stages.push(stage.clone());
        }
        Ok(())
    }

    /// A move that was made here meanwhile, and has to be made again.
    fn superseded(&mut self, objects: &dyn Objects, remote: &Remote, own: &Stage) -> Result<()> {
        let name = &own.name;
        let again = match own.target {
            Some(id) => format!("mv stage set {name} {}", id.short()),
            None => format!("mv stage unset {name}"),
        };
        let by = match ledger::walk(objects, own).next() {
            Some(Ok((_, entry))) => format!(" by {}", entry.by.name),
            _ => String::new(),
        };
        self.warnings.push(format!(
            "stage `{name}` was moved here{by} and on `{}`: theirs counts; to move it again: `{again}`",
            remote.name
        ));
        Ok(())
    }

    /// What moves here.
    pub(super) fn changes(&self, here: &State) -> Vec<RefChange> {
        let mut changes = Vec::new();
        for one in &self.tracking {
            let before = here.tracked(one.remote.as_str(), one.branch.as_str()).map(|t| t.target);
            if before != Some(one.target) {
                let name = format!("{}/{}", one.remote, one.branch);
                changes.push(RefChange { name, from: before, to: Some(one.target) });
            }
        }
        for one in &self.gone {
            let name = format!("{}/{}", one.remote, one.branch);
            changes.push(RefChange { name, from: Some(one.target), to: None });
        }
        for tag in &self.tags {
            let from = here.tag(tag.name.as_str()).and_then(|tag| tag.target);
            changes.push(RefChange { name: tag.name.to_string(), from, to: tag.target });
        }
        for stage in &self.stages {
            let from = here.stage(stage.name.as_str()).and_then(|stage| stage.target);
            changes.push(RefChange { name: stage.name.to_string(), from, to: stage.target });
        }
        changes
    }

    /// Whether no tag and no stage moves: then there is nothing for `undo` to take back.
    pub(super) fn is_quiet(&self) -> bool {
        self.tags.is_empty() && self.stages.is_empty()
    }

    /// Makes the changes, if they are still right.
    pub(super) fn apply(&self, state: &mut State) -> Result<()> {
        track(state, &self.tracking);
        state.tracking.retain(|t| !self.gone.contains(t));
        for tag in &self.tags {
            if state.tag(tag.name.as_str()).is_some_and(|own| own.target.is_some()) {
                return Err(Error::LostRace { generation: state.generation });
            }
            state.set_tag(tag.clone());
        }
        for stage in &self.stages {
            state.set_stage(stage.clone());
        }
        Ok(())
    }
}

/// Whether an entry is in the ledger of a stage.
fn holds(objects: &dyn Objects, stage: &Stage, entry: &Hash) -> Result<bool> {
    for one in ledger::walk(objects, stage) {
        if one?.0 == *entry {
            return Ok(true);
        }
    }
    Ok(false)
}
