//! From a version and a kind to the next free number.

use std::collections::HashMap;

use mv_graph::walk::Ancestors;
use mv_graph::{RefName, State};
use mv_store::Hash;
use semver::{Prerelease, Version};

use super::BumpKind;
use crate::error::{Error, Result};
use crate::repo::Repo;

/// The tag that the next number is counted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Its name.
    pub name: RefName,
    /// The number that the name spells.
    pub version: Version,
    /// The version that it names.
    pub target: Hash,
}

impl Base {
    /// The highest semantic version among some versions and their ancestors; a pre-release is lower
    /// than its release. Costs one manifest a version, up to the last that is tagged.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`.
    pub fn below(repo: &Repo, tips: &[Hash]) -> Result<Option<Base>> {
        let mut tagged: HashMap<Hash, Base> = HashMap::new();
        for tag in &repo.state().tags {
            let (Some(version), Some(target)) = (tag.version(), tag.target) else { continue };
            let base = Base { name: tag.name.clone(), version, target };
            match tagged.get(&target) {
                Some(higher) if higher.version >= base.version => {}
                _ => drop(tagged.insert(target, base)),
            }
        }
        let mut best: Option<Base> = None;
        let mut history = Ancestors::new(repo.store(), tips);
        while !tagged.is_empty() {
            let Some(version) = history.next() else { break };
            let Some(base) = tagged.remove(&version?.0) else { continue };
            if best.as_ref().is_none_or(|best| best.version < base.version) {
                best = Some(base);
            }
        }
        Ok(best)
    }
}

/// The next free number, and those that were passed over because they are taken.
pub(super) fn next(
    state: &State,
    base: Option<&Base>,
    kind: BumpKind,
) -> Result<(RefName, Vec<RefName>)> {
    // Names go on as the project writes them.
    let letter = if base.is_none_or(|base| base.name.as_str().starts_with('v')) { "v" } else { "" };
    let mut version = match base {
        Some(base) => after(&base.version, kind)?,
        None => Version::new(0, 1, 0),
    };
    let mut passed = Vec::new();
    loop {
        let name = RefName::parse(&format!("{letter}{version}"))?;
        if !is_taken(state, &name, &version) {
            return Ok((name, passed));
        }
        passed.push(name);
        version = after(&version, kind)?;
    }
}

/// Whether a tag or a tombstone has this number, whatever its build or spelling.
fn is_taken(state: &State, name: &RefName, version: &Version) -> bool {
    state.tags.iter().any(|tag| {
        let same = |other: Version| {
            (other.major, other.minor, other.patch, &other.pre)
                == (version.major, version.minor, version.patch, &version.pre)
        };
        tag.version().is_some_and(same) || tag.name.as_str().eq_ignore_ascii_case(name.as_str())
    })
}

/// The number after a version. A pre-release that leads to such a number becomes its release.
fn after(version: &Version, kind: BumpKind) -> Result<Version> {
    let Version { major, minor, patch, pre, .. } = version;
    let up = |part: &u64| {
        let none = || Error::invalid("version", format!("there is no number after `{version}`"));
        part.checked_add(1).ok_or_else(none)
    };
    let leads_here = *pre != Prerelease::EMPTY;
    Ok(match kind {
        BumpKind::Major if leads_here && *minor == 0 && *patch == 0 => Version::new(*major, 0, 0),
        BumpKind::Major => Version::new(up(major)?, 0, 0),
        BumpKind::Minor if leads_here && *patch == 0 => Version::new(*major, *minor, 0),
        BumpKind::Minor => Version::new(*major, up(minor)?, 0),
        BumpKind::Patch if leads_here => Version::new(*major, *minor, *patch),
        BumpKind::Patch => Version::new(*major, *minor, up(patch)?),
    })
}

#[cfg(test)]
mod tests {
    use mv_graph::{Person, Tag, Time};

    use super::*;
    use BumpKind::{Major, Minor, Patch};

    fn state(names: &[&str]) -> State {
        let main = RefName::parse("main").unwrap();
        let mut state = State::first([0; 16], main, [0; 16], Time::default());
        for (at, name) in names.iter().enumerate() {
            // Every second one is the tombstone of a deleted tag.
            let target = (at % 2 == 0).then_some(Hash([1; 32]));
            let tagger = Person { name: "Ada".into(), email: "ada@example.org".into() };
            state.set_tag(Tag {
                name: RefName::parse(name).unwrap(),
                target,
                message: String::new(),
                tagger,
                created: Time::default(),
            });
        }
        state
    }

    fn counted(base: &str, kind: BumpKind, taken: &[&str]) -> (String, usize) {
        let name = RefName::parse(base).unwrap();
        let base = Base { version: name.version().unwrap(), name, target: Hash([2; 32]) };
        let (name, passed) = next(&state(taken), Some(&base), kind).unwrap();
        (name.to_string(), passed.len())
    }

    #[test]
    fn each_kind_raises_its_part_and_clears_those_behind() {
        for (base, kind, expected) in [
            ("v1.2.3", Patch, "v1.2.4"),
            ("v1.2.3", Minor, "v1.3.0"),
            ("v1.2.3", Major, "v2.0.0"),
            ("v0.3.1", Major, "v1.0.0"),
            ("v0.3.1", Minor, "v0.4.0"),
            ("1.2.3", Minor, "1.3.0"),
            ("v1.2.3+build.5", Patch, "v1.2.4"),
        ] {
            assert_eq!(counted(base, kind, &[]), (expected.to_owned(), 0), "{base} {kind}");
        }
    }

    #[test]
    fn a_pre_release_becomes_the_release_that_it_leads_to() {
        for (base, kind, expected) in [
            ("v2.0.0-rc.1", Patch, "v2.0.0"),
            ("v2.0.0-rc.1", Minor, "v2.0.0"),
            ("v2.0.0-rc.1", Major, "v2.0.0"),
            ("v1.3.0-rc.1", Minor, "v1.3.0"),
            ("v1.3.0-rc.1", Major, "v2.0.0"),
            ("v1.2.4-rc.1", Patch, "v1.2.4"),
            ("v1.2.4-rc.1", Minor, "v1.3.0"),
        ] {
            assert_eq!(counted(base, kind, &[]), (expected.to_owned(), 0), "{base} {kind}");
        }
    }

    #[test]
    fn a_number_of_a_tag_or_a_tombstone_is_passed_over_however_it_is_spelt() {
        assert_eq!(counted("v1.2.0", Minor, &["v1.3.0"]), ("v1.4.0".into(), 1));
        assert_eq!(counted("v1.2.0", Minor, &["v1.2.0", "1.3.0"]), ("v1.4.0".into(), 1));
        assert_eq!(counted("v1.2.0", Minor, &["v1.3.0+gpu", "V1.4.0"]), ("v1.5.0".into(), 2));
        // A pre-release does not use up the release's number.
        assert_eq!(counted("v1.2.0", Minor, &["v1.3.0-rc.1"]), ("v1.3.0".into(), 0));
    }

    #[test]
    fn the_first_version_is_0_1_0_and_takes_the_next_number_if_that_is_gone() {
        for kind in [Major, Minor, Patch] {
            assert_eq!(next(&state(&[]), None, kind).unwrap().0.as_str(), "v0.1.0");
        }
        assert_eq!(next(&state(&["x", "v0.1.0"]), None, Minor).unwrap().0.as_str(), "v0.2.0");
    }

    #[test]
    fn the_last_number_has_none_after_it() {
        let name = RefName::parse(&format!("v1.{}.0", u64::MAX)).unwrap();
        let base = Base { version: name.version().unwrap(), name, target: Hash([2; 32]) };
        assert!(matches!(next(&state(&[]), Some(&base), Minor), Err(Error::Invalid { .. })));
        assert_eq!(next(&state(&[]), Some(&base), Major).unwrap().0.as_str(), "v2.0.0");
    }
}
