//! The four things that make a model, each with a tree of its own in every version.

use std::fmt;
use std::str::FromStr;

use mv_store::Hash;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// One of the four parts of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Sources, configuration and whatever belongs to no other part.
    Code,
    /// What a model is trained and tested on.
    Data,
    /// Weights.
    Model,
    /// Lock files and the like.
    Env,
}

impl Component {
    /// All four, in the order in which manifests keep and commands show them.
    pub const ALL: [Component; 4] =
        [Component::Code, Component::Data, Component::Model, Component::Env];

    /// The name: `code`, `data`, `model` or `env`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Component::Code => "code",
            Component::Data => "data",
            Component::Model => "model",
            Component::Env => "env",
        }
    }

    /// The place in [`Component::ALL`] and in a manifest's `components`.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Component {
    type Err = Error;

    fn from_str(text: &str) -> Result<Component> {
        Component::ALL.into_iter().find(|c| c.as_str() == text).ok_or_else(|| {
            Error::invalid("component", format!("`{text}` is none of code, data, model and env"))
        })
    }
}

/// The tree of one component, with what lies below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ComponentRef {
    /// The root tree; the empty tree when the component has no files.
    pub tree: Hash,
    /// Files and symlinks below it.
    pub files: u64,
    /// The sum of their lengths.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_agree() {
        for (place, component) in Component::ALL.into_iter().enumerate() {
            assert_eq!(component.index(), place);
            assert_eq!(component.as_str().parse::<Component>().unwrap(), component);
        }
        assert!("Code".parse::<Component>().is_err());
    }
}
