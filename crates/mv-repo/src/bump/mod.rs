//! The next semantic version: which number, and why.
//!
//! A [`BumpKind`] is asked for or [suggested](suggest) from the bytes of two versions. The number
//! follows from it and from the [`Base`]: the highest version among the ancestors. A number that
//! was ever used, on whatever branch and even if its tag was deleted, is passed over.

mod architecture;
mod columns;
mod number;

mod suggest;
mod tensors;

use std::fmt;

use mv_formats::Source;
use mv_graph::{Manifest, RefName, RepoPath, State};
use mv_store::{Hash, Progress, Store};

use crate::error::{Error, Result};
use crate::repo::Repo;

pub use number::Base;
pub use suggest::{suggest, suggest_for_files};

/// Which part of a version's number grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BumpKind {
    /// The weights are the same; code, data, params or environment differ.
    Patch,
    /// Retrained, or extended.
    Minor,
    /// Who uses the model has to change something.
    Major,
}

impl BumpKind {
    /// The word used on the command line and in `--json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            BumpKind::Patch => "patch",
            BumpKind::Minor => "minor",
            BumpKind::Major => "major",
        }
    }
}

impl fmt::Display for BumpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BumpChoice {
    /// Whatever the bytes say.
    Auto,
    /// This, whatever the bytes say.
    Kind(BumpKind),
}

/// A kind with what decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The kind.
    pub kind: BumpKind,
    /// The strongest difference, in a few words. May hold text of stored files: escape it.
    pub reason: String,
}

/// What the bytes of two versions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// This kind.
    Bump(Suggestion),
    /// Nothing: these model files changed and no parser finds tensors in them. Never empty.
    Undecided(Vec<RepoPath>),
}

impl Advice {
    /// The suggestion.
    ///
    /// # Errors
    /// `Undecided`.
    pub fn decided(self) -> Result<Suggestion> {
        match self {
            Advice::Bump(suggestion) => Ok(suggestion),
            Advice::Undecided(paths) => Err(Error::Undecided { paths }),
        }
    }
}

/// Whether a file among a model's files, which changed, would leave [`suggest`] undecided.
///
/// # Errors
/// Those of the source.
pub(crate) fn is_opaque(path: &RepoPath, source: &dyn Source) -> Result<bool> {
    Ok(matches!(tensors::content(path, source)?, tensors::Content::Opaque))
}

/// A number that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bumped {
    /// The tag.
    pub name: RefName,
    /// Its kind.
    pub kind: BumpKind,
    /// Why, in one line; names the base. May hold text of stored files: escape it.
    pub reason: String,
    /// The tag that was counted from; none for the first version.
    pub base: Option<RefName>,
}

impl Bumped {
    /// What is kept as the tag's message, below the user's own.
    #[must_use]
    pub fn message(&self, own: &str) -> String {
        let line = format!("{}: {}", self.kind, self.reason);
        if own.trim().is_empty() { line } else { format!("{}\n\n{line}", own.trim_end()) }
    }
}

/// A bump under way: what was asked for, and what is counted from.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    choice: BumpChoice,
    base: Option<(Base, Manifest)>,
}

impl Plan {
    /// For a version with these parents.
    pub(crate) fn new(repo: &Repo, choice: BumpChoice, parents: &[Hash]) -> Result<Plan> {
        let base = Base::below(repo, parents)?;
        let base = base.map(|base| Ok::<_, Error>((repo.manifest(&base.target)?, base)));
        let base = base.transpose()?.map(|(manifest, base)| (base, manifest));
        Ok(Plan { choice, base })
    }

    /// The version to compare with, when the bytes decide.
    pub(crate) fn compared_with(&self) -> Option<&Manifest> {
        match self.choice {
            BumpChoice::Auto => self.base.as_ref().map(|(_, manifest)| manifest),
            BumpChoice::Kind(_) => None,
        }
    }

    /// The kind and why; `version` and what it holds are in `store`.
    pub(crate) fn decide(
        &self,
        store: &Store,
        version: &Manifest,
        progress: &Progress,
    ) -> Result<Suggestion> {
        let told = |kind, reason: &str| Ok(Suggestion { kind, reason: reason.to_owned() });
        match (self.choice, &self.base) {
            (BumpChoice::Kind(kind), Some(_)) => told(kind, "asked for"),
            (BumpChoice::Kind(kind), None) => told(kind, "first version"),
            (BumpChoice::Auto, None) => told(BumpKind::Minor, "first version"),
            (BumpChoice::Auto, Some((_, base))) => {
                suggest(store, base, version, progress)?.decided()
            }
        }
    }

    /// The next free number in a state.
    pub(crate) fn number(&self, state: &State, suggestion: &Suggestion) -> Result<Bumped> {
        let base = self.base.as_ref().map(|(base, _)| base);
        let (name, taken) = number::next(state, base, suggestion.kind)?;
        let mut reason = suggestion.reason.clone();
        if let Some(base) = base {
            let since = match self.choice {
                BumpChoice::Auto => " since",
                // Nothing was looked at.
                BumpChoice::Kind(_) => ", after",
            };
            reason.push_str(&format!("{since} {}", base.name));
        }
        match taken.as_slice() {
            [] => {}
            [one] => reason.push_str(&format!("; {one} is taken")),
            [first, .., last] => reason.push_str(&format!("; {first} to {last} are taken")),
        }
        let base = base.map(|base| base.name.clone());
        Ok(Bumped { name, kind: suggestion.kind, reason, base })
    }
}

/// A name out of a file, quoted, cut and safe to print.
fn named(name: &str) -> String {
    const LONGEST: usize = 80;
    let cut = &name[..name.floor_char_boundary(LONGEST)];
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("\"{}{more}\"", mv_graph::escape(cut))
}
