//! Which refs a push moves, and whether it may.
//!
//! A branch may move on to a version that continues it. Tags and stages travel with the versions
//! that they name: a tag is made where it is not, and never moved; a stage follows its ledger, which
//! can only grow.

use std::collections::HashSet;

use mv_graph::reach::Ledgers;
use mv_graph::walk::Ancestors;
use mv_graph::{Branch, RefName, Stage, State, Tag, ledger, walk};
use mv_store::{Hash, Store};

use super::{Push, PushOptions};
use crate::error::{Error, Result};
use crate::remote::Remote;
use crate::repo::Repo;
use crate::tracking::RefChange;

/// What the user wants to push.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) branches: Vec<Branch>,
    /// Tags that were named, beside those that travel along.
    tags: Vec<RefName>,
    stages: Vec<RefName>,
    /// To be deleted there.
    delete: Vec<RefName>,
    all: bool,
}

impl Selection {
    pub(super) fn of(repo: &Repo, options: &PushOptions) -> Result<Selection> {
        let state = repo.state();
        let mut selection = Selection { all: options.all, ..Selection::default() };
        if options.delete {
            if options.refs.is_empty() {
                return Err(Error::invalid("option", "`--delete` needs the name of a ref"));
            }
            let names = options.refs.iter().map(|name| RefName::parse(name));
            selection.delete = names.collect::<Result<_, _>>()?;
            return Ok(selection);
        }
        if options.all {
            selection.branches = state.branches.clone();
            selection.tags = state.tags.iter().map(|tag| tag.name.clone()).collect();
            selection.stages = state.stages.iter().map(|stage| stage.name.clone()).collect();
        }
        for name in &options.refs {
            if let Some(branch) = state.branch(name) {
                selection.branches.push(branch.clone());
            } else if let Some(tag) = state.tag(name) {
                selection.tags.push(tag.name.clone());
            } else if let Some(stage) = state.stage(name) {
                selection.stages.push(stage.name.clone());
            } else {
                return Err(mv_graph::Error::UnknownRevision { text: name.clone() }.into());
            }
        }
        if options.refs.is_empty() && !options.all {
            let Some(current) = state.head_branch() else {
                let detail = "HEAD is on no branch: name what to push";
                return Err(Error::invalid("option", detail));
            };
            match state.branch(current.as_str()) {
                Some(branch) => selection.branches.push(branch.clone()),
                None => {
                    let what = "there is nothing to push: there are no versions yet".to_owned();
                    return Err(Error::Policy { what });
                }
            }
        }
        selection.branches.dedup();
        Ok(selection)
    }

    /// For the remote's reflog.
    pub(super) fn operation(&self) -> String {
        let mut names: Vec<&str> = self.branches.iter().map(|b| b.name.as_str()).collect();
        names.extend(self.tags.iter().chain(&self.stages).map(RefName::as_str));
        if !self.delete.is_empty() {
            let names: Vec<&str> = self.delete.iter().map(RefName::as_str).collect();
            return format!("push --delete {}", names.join(" "));
        }
        if self.all { "push --all".to_owned() } else { format!("push {}", names.join(" ")) }
    }
}

/// Versions that the remote must have whole, and ledger entries.
#[derive(Debug, Default)]
pub(super) struct Roots {
    pub(super) versions: Vec<Hash>,
    pub(super) entries: HashSet<Hash>,
}

/// What one push changes of the remote's refs, judged against one state of it.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub(super) changes: Vec<RefChange>,
    pub(super) roots: Roots,
    branches: Vec<Branch>,
    tags: Vec<Tag>,
    stages: Vec<Stage>,
    delete: Vec<RefName>,
    tombstones: Vec<Tag>,
}

impl Edits {
    pub(super) fn plan(
        push: &Push<'_>,
        remote: &Remote,
        base: Option<&State>,
        complete: &HashSet<Hash>,
    ) -> Result<Edits> {
        let mut edits = Edits::default();
        if !push.selection.delete.is_empty() {
            edits.deletions(push, remote, base)?;
            return Ok(edits);
        }
        let here = push.repo.store().here();
        for branch in &push.selection.branches {
            edits.branch(push, remote, base, branch)?;
        }
        // Versions that are there once this push is done.
        let mut there: HashSet<Hash> = complete.clone();
        let tips: Vec<Hash> = push.selection.branches.iter().map(|b| b.target).collect();
        for version in
            Ancestors::new(&here, &tips).without(&complete.iter().copied().collect::<Vec<_>>())
        {
            there.insert(version?.0);
        }
        for tag in &push.repo.state().tags {
            let named = push.selection.tags.contains(&tag.name);
            if named || tag.target.is_none_or(|target| there.contains(&target)) {
                edits.tag(remote, base, tag, named)?;
            }
        }
        for stage in &push.repo.state().stages {
            let named = push.selection.stages.contains(&stage.name);
            if named || stage.target.is_none_or(|target| there.contains(&target)) {
                edits.stage(push, &here, remote, base, stage)?;
            }
        }
        let versions = edits.branches.iter().map(|b| b.target);
        let versions = versions.chain(edits.tags.iter().filter_map(|t| t.target));
        edits.roots.versions.extend(versions);
        edits.roots.versions.sort_unstable();
        edits.roots.versions.dedup();
        Ok(edits)
    }

    fn change(&mut self, name: &RefName, from: Option<Hash>, to: Option<Hash>) {
        self.changes.push(RefChange { name: name.to_string(), from, to });
    }

    fn branch(
        &mut self,
        push: &Push<'_>,
        remote: &Remote,
        base: Option<&State>,
        branch: &Branch,
    ) -> Result<()> {
        let before = base.and_then(|state| state.branch(branch.name.as_str())).map(|b| b.target);
        let name = branch.name.as_str();
        let behind =
            || Err(Error::Behind { what: format!("`{name}`"), remote: remote.name.to_string() });
        match before {
            Some(target) if target == branch.target => return Ok(()),
            Some(target) if push.options.force_with_lease => {
                let seen = push.repo.state().tracked(remote.name.as_str(), name);
                if seen.map(|t| t.target) != Some(target) {
                    return behind();
                }
            }
            Some(target) => {
                let here = push.repo.store().here();
                let known = here.contains(&target);
                if !known || !walk::is_ancestor(&here, &target, &branch.target)? {
                    return behind();
                }
            }
            None => {}
        }
        self.change(&branch.name, before, Some(branch.target));
        self.branches.push(branch.clone());
        Ok(())
    }

    fn tag(&mut self, remote: &Remote, base: Option<&State>, tag: &Tag, named: bool) -> Result<()> {
        let there = base.and_then(|state| state.tag(tag.name.as_str()));
        match (there, tag.target) {
            (None, target) => {
                // A deleted number is told as well: it is never used again.
                if target.is_some() || named || base.is_some() {
                    self.change(&tag.name, None, target);
                    self.tags.push(tag.clone());
                }
                Ok(())
            }
            (Some(there), Some(target)) if there.target == Some(target) => Ok(()),
            // Deleting one here deletes nothing there.
            (Some(_), None) => Ok(()),
            (Some(there), Some(_)) => {
                let what = match there.target {
                    Some(_) => format!("`{}` on `{}` is another version", tag.name, remote.name),
                    None => format!("`{}` was deleted on `{}`", tag.name, remote.name),
                };
                Err(Error::Policy { what })
            }
        }
    }

    fn stage(
        &mut self,
        push: &Push<'_>,
        here: &Store,
        remote: &Remote,
        base: Option<&State>,
        stage: &Stage,
    ) -> Result<()> {
        let there = base.and_then(|state| state.stage(stage.name.as_str()));
        if there.is_some_and(|there| there.ledger == stage.ledger) {
            return Ok(());
        }
        if let Some(there) = there {
            let mut moves = ledger::walk(here, stage);
            let continues = moves.any(|entry| entry.is_ok_and(|(id, _)| id == there.ledger));
            if !continues {
                // It may have moved there only: then there is nothing to send.
                let both = here.join(&remote.store);
                let mut moves = ledger::walk(&both, there);
                let named = push.selection.stages.contains(&stage.name) || push.selection.all;
                if !named && moves.any(|entry| entry.is_ok_and(|(id, _)| id == stage.ledger)) {
                    return Ok(());
                }
                let what = format!("stage `{}`", stage.name);
                return Err(Error::Behind { what, remote: remote.name.to_string() });
            }
        }
        let ledgers = Ledgers::of(here, std::slice::from_ref(stage))?;
        self.roots.versions.extend(ledgers.versions);
        self.roots.entries.extend(ledgers.entries);
        self.change(&stage.name, there.and_then(|there| there.target), stage.target);
        self.stages.push(stage.clone());
        Ok(())
    }

    fn deletions(&mut self, push: &Push<'_>, remote: &Remote, base: Option<&State>) -> Result<()> {
        let unknown = |name: &RefName| {
            let text = format!("{}/{name}", remote.name);
            Err(mv_graph::Error::UnknownRevision { text }.into())
        };
        for name in &push.selection.delete {
            let Some(state) = base else { return unknown(name) };
            if let Some(branch) = state.branch(name.as_str()) {
                self.change(name, Some(branch.target), None);
                self.delete.push(name.clone());
            } else if let Some(tag) = state.tag(name.as_str()).filter(|tag| tag.target.is_some()) {
                self.change(name, tag.target, None);
                if tag.is_semver() {
                    let (tagger, created) = (push.session.author.clone(), push.session.now);
                    self.tombstones.push(Tag { target: None, tagger, created, ..tag.clone() });
                } else {
                    self.delete.push(name.clone());
                }
            } else if state.stage(name.as_str()).is_some() {
                let what = format!(
                    "`{name}` is a stage, whose history is kept: take it from everybody with `stage unset`"
                );
                return Err(Error::Policy { what });
            } else {
                return unknown(name);
            }
        }
        Ok(())
    }

    /// Makes the changes.
    pub(super) fn apply(&self, state: &mut State) {
        for branch in &self.branches {
            state.set_branch(branch.name.clone(), branch.target);
        }
        for tag in self.tags.iter().chain(&self.tombstones) {
            state.set_tag(tag.clone());
        }
        for stage in &self.stages {
            state.set_stage(stage.clone());
        }
        for name in &self.delete {
            drop(state.remove_branch(name.as_str()));
            drop(state.remove_tag(name.as_str()));
        }
        // The branch that a clone begins on is one that exists.
        if state.head_target().is_none()
            && let Some(branch) = self.branches.first()
        {
            state.head = mv_graph::Head::Branch(branch.name.clone());
        }
    }
}
