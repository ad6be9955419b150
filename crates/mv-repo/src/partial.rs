//! A part of a repository: whose files are not all here, and are not missed.
//!
//! All versions are here, and the directories of those within the depth; of files only the contents
//! that a view asks for. What is not here lies on a remote and is fetched when somebody wants it. A
//! file outside every view that is not in the working tree is *not fetched*, never *deleted*.

use mv_graph::missing::{Cover, Scope, is_always_wanted};
use mv_graph::{Component, RepoPath};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What is here, and where the rest is: `[partial]` in `.mv/config.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Partial {
    /// The remote that has the rest.
    pub(crate) remote: String,
    /// Of how many versions, counted from the newest of each branch, contents are fetched at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) depth: Option<u64>,
    /// A file that any of them covers is here; without a view, every file.
    #[serde(default, rename = "view", skip_serializing_if = "Vec::is_empty")]
    pub(crate) views: Vec<View>,
}

/// Files by component and path: both must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct View {
    /// Components; every one when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) only: Vec<String>,
    /// Files and directories; every one when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<String>,
}

impl View {
    /// A view of components and paths.
    pub(crate) fn new(only: &[Component], paths: &[RepoPath]) -> View {
        View {
            only: only.iter().map(|c| c.as_str().to_owned()).collect(),
            paths: paths.iter().map(ToString::to_string).collect(),
        }
    }

    fn cover(&self, component: Component, path: Option<&RepoPath>) -> Cover {
        if !self.only.is_empty() && !self.only.iter().any(|only| only == component.as_str()) {
            return Cover::None;
        }
        if self.paths.is_empty() {
            return Cover::All;
        }
        let Some(path) = path else { return Cover::Some };
        let below = |upper: &[u8], lower: &[u8]| {
            lower.strip_prefix(upper).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        let mut cover = Cover::None;
        for wanted in &self.paths {
            if below(wanted.as_bytes(), path.as_bytes()) {
                return Cover::All;
            }
            if below(path.as_bytes(), wanted.as_bytes()) {
                cover = Cover::Some;
            }
        }
        cover
    }
}

impl Partial {
    /// Whether a file's content is meant to be here.
    pub(crate) fn covers(&self, component: Component, path: &RepoPath) -> bool {
        let name = path.as_bytes().rsplit(|b| *b == b'/').next().unwrap_or_default();
        is_always_wanted(name, name.len() == path.as_bytes().len())
            || self.cover(component, Some(path)) == Cover::All
    }

    /// Adds a view, if it covers anything new.
    pub(crate) fn widen(&mut self, view: View) {
        if !self.views.is_empty() && !self.views.contains(&view) {
            self.views.push(view);
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        for view in &self.views {
            for name in &view.only {
                name.parse::<Component>().map_err(|_| {
                    Error::invalid("`partial.view.only`", format!("`{name}` is no component"))
                })?;
            }
            for path in &view.paths {
                RepoPath::from_bytes(path.as_bytes()).map_err(|why| {
                    Error::invalid("`partial.view.paths`", format!("`{path}`: {why}"))
                })?;
            }
        }
        mv_graph::RefName::parse(&self.remote)?;
        Ok(())
    }
}

impl Scope for Partial {
    fn cover(&self, component: Component, path: Option<&RepoPath>) -> Cover {
        if self.views.is_empty() {
            return Cover::All;
        }
        let covers = self.views.iter().map(|view| view.cover(component, path));
        covers.fold(Cover::None, |best, cover| match (best, cover) {
            (Cover::All, _) | (_, Cover::All) => Cover::All,
            (Cover::Some, _) | (_, Cover::Some) => Cover::Some,
            _ => Cover::None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_view_covers_what_fits_both_its_components_and_its_paths() {
        let view = View::new(&[Component::Data], &[path("data/raw")]);
        let partial = Partial { views: vec![view], ..Partial::default() };
        assert!(partial.covers(Component::Data, &path("data/raw")));
        assert!(partial.covers(Component::Data, &path("data/raw/x.csv")));
        assert!(!partial.covers(Component::Model, &path("data/raw/x.csv")));
        assert!(!partial.covers(Component::Data, &path("data/rawer")));
        assert_eq!(partial.cover(Component::Data, Some(&path("data"))), Cover::Some);
        assert_eq!(partial.cover(Component::Data, None), Cover::Some);
        assert_eq!(partial.cover(Component::Code, None), Cover::None);
    }

    #[test]
    fn the_rules_of_the_project_are_always_here() {
        let partial =
            Partial { views: vec![View::new(&[Component::Model], &[])], ..Partial::default() };
        assert!(partial.covers(Component::Code, &path("mv.toml")));
        assert!(partial.covers(Component::Code, &path("a/b/.mvignore")));
        assert!(!partial.covers(Component::Code, &path("a/mv.toml")));
    }

    #[test]
    fn without_a_view_everything_is_meant_to_be_here() {
        assert!(Partial::default().covers(Component::Data, &path("x")));
        let mut partial = Partial::default();
        partial.widen(View::default());
        assert!(partial.views.is_empty(), "everything cannot be widened");
    }
}
