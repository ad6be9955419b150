//! Names that point at versions: branches, tags, stages, and what was seen of remotes.
//!
//! A [`RefName`] is checked once. Refused are names that a revision, a shell, a file system or a
//! reader would take for something else; see [`RefName::parse`].

use std::fmt;
use std::str::FromStr;

use mv_store::{Hash, PackId};
use semver::Version;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::escape::is_unprintable;
use crate::manifest::MAX_MESSAGE;
use crate::person::Person;
use crate::time::Time;
use crate::wire;

/// Bytes of the longest ref name.
pub const MAX_REF_NAME: usize = 255;

/// The checked name of a branch, tag, stage or remote.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RefName(String);

impl RefName {
    /// Checks a name.
    ///
    /// Refused: empty and more than 255 bytes; control, bidirectional and invisible characters;
    /// space and ``~ ^ : ? * [ \``; `..`, `@{` and `@` alone; a leading `-`; components that are
    /// empty, begin or end with `.`, end with `.lock` or are a device name of Windows; 40 or 64 hex
    /// digits; the words `HEAD` and `latest` in any case; names below `refs/`.
    ///
    /// # Errors
    /// [`Error::Invalid`] says which rule is broken.
    pub fn parse(text: &str) -> Result<RefName> {
        match fault(text) {
            None => Ok(RefName(text.to_owned())),
            Some(fault) => Err(Error::invalid("ref name", format!("`{text}` {fault}"))),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version that the name spells: `v1.2.3`, `1.2.3-rc.1+build`; the `v` is optional.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        parse_version(&self.0)
    }
}

/// Parses `v?MAJOR.MINOR.PATCH(-pre)(+build)`.
#[must_use]
pub fn parse_version(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

fn fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty");
    }
    if text.len() > MAX_REF_NAME {
        return Some("is longer than 255 bytes");
    }
    if text.chars().any(is_unprintable) {
        return Some("has a control or invisible character");
    }
    if text.chars().any(|c| c.is_whitespace() || "~^:?*[\\".contains(c)) {
        return Some("has a space or one of `~^:?*[\\`");
    }
    if text.starts_with('-') {
        return Some("begins with `-`");
    }
    if text.contains("..") || text.contains("@{") || text == "@" {
        return Some("has `..` or `@{`, or is `@`");
    }
    if matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some("looks like an id");
    }
    if text.eq_ignore_ascii_case("HEAD") || text.eq_ignore_ascii_case("latest") {
        return Some("is a reserved word");
    }
    let first = text.split('/').next().unwrap_or_default();
    if text.contains('/') && first.eq_ignore_ascii_case("refs") {
        return Some("begins with `refs/`");
    }
    text.split('/').find_map(component_fault)
}

fn component_fault(component: &str) -> Option<&'static str> {
    if component.is_empty() {
        return Some("has an empty component");
    }
    if component.starts_with('.') || component.ends_with('.') {
        return Some("has a component that begins or ends with `.`");
    }
    if component.to_ascii_lowercase().ends_with(".lock") {
        return Some("has a component that ends with `.lock`");
    }
    if is_device(component) {
        return Some("is a device name of Windows");
    }
    None
}

/// `CON`, `nul.txt`, `com1` … : Windows opens a device whatever the directory or the extension.
fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().to_ascii_lowercase();
    match stem.as_str() {
        "con" | "prn" | "aux" | "nul" | "conin$" | "conout$" => true,
        stem => ["com", "lpt"].iter().any(|device| {
            let mut digits = stem.strip_prefix(device).unwrap_or_default().chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        }),
    }
}

impl FromStr for RefName {
    type Err = Error;

    fn from_str(text: &str) -> Result<RefName> {
        RefName::parse(text)
    }
}

impl AsRef<str> for RefName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl<'de> Deserialize<'de> for RefName {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<RefName, D::Error> {
        let text = wire::text(deserializer)?;
        match fault(&text) {
            None => Ok(RefName(text)),
            Some(fault) => Err(D::Error::custom(format_args!("ref name `{text}` {fault}"))),
        }
    }
}

/// Where the working tree stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    /// On a branch, which need not exist yet: the first commit makes it.
    Branch(RefName),
    /// On a version, on no branch.
    Detached(Hash),
}

/// A name that moves with each commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Its name.
    pub name: RefName,
    /// The newest version on it.
    pub target: Hash,
}

/// A name that does not move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub name: RefName,
    /// The version; none is the tombstone of a deleted semver tag, whose number stays used.
    pub target: Option<Hash>,
    /// Possibly empty.
    #[serde(deserialize_with = "wire::text")]
    pub message: String,
    /// Who made it.
    pub tagger: Person,
    /// When.
    pub created: Time,
}

impl Tag {
    /// The version that the name spells, if it does.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.name.version()
    }

    /// Whether the name is `v?MAJOR.MINOR.PATCH(-pre)(+build)`: such a tag is immutable.
    #[must_use]
    pub fn is_semver(&self) -> bool {
        self.version().is_some()
    }

    pub(crate) fn validate(&self) -> Result<()> {
        let refused =
            |detail: &str| Err(Error::invalid("tag", format!("`{}` {detail}", self.name)));
        if self.target.is_none() && !self.is_semver() {
            return refused("is a tombstone and no version");
        }
        if self.target == Some(Hash::ZERO) {
            return refused("has no target");
        }
        if self.message.len() > MAX_MESSAGE {
            return refused("has a message that is too long");
        }
        self.tagger.validate()?;
        self.created.validate()
    }
}

/// A name for the role that a version plays: production, champion …
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its name.
    pub name: RefName,
    /// The version that plays it now; none when nobody does, which is stored as zeros.
    #[serde(with = "wire::id_or_zero")]
    pub target: Option<Hash>,
    /// The newest entry of its ledger, which tells of every move. See [`crate::ledger`].
    pub ledger: Hash,
}

/// Where a branch of a remote stood when it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracking {
    /// The remote; one component.
    pub remote: RefName,
    /// The branch there.
    pub branch: RefName,
    /// Its version.
    pub target: Hash,
}

/// The newest record seen of a remote: one that goes backwards or forks is noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteSeen {
    /// The remote; one component.
    pub remote: RefName,
    /// The record's generation.
    pub generation: u64,
    /// The hash of its bytes.
    pub record: Hash,
}

/// A pack on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// The pack.
    pub pack: PackId,
    /// When it entered this list.
    pub since: Time,
    /// The record that put it there.
    pub generation: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        let id = "a".repeat(64);
        let short_id = "0123456789".repeat(4);
        let long = "x".repeat(256);
        for name in [
            "",
            "a..b",
            "-f",
            "--force",
            "@",
            "@{1}",
            "a@{1}",
            "x.lock",
            "x.LOCK",
            "a.lock/b",
            &id,
            &short_id,
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "[a",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.",
            "a./b",
            "HEAD",
            "head",
            "latest",
            "Latest",
            "con",
            "NUL.txt",
            "a/com1",
            "LPT9",
            "aux",
            "COM¹",
            "refs/heads/a",
            "REFS/x",
            "a\nb",
            "a\x1bb",
            "a\0",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{a0}b",
            "a\u{9b}b",
            &long,
            "..",
            ".",
            "v1..2",
        ] {
            assert!(RefName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn ordinary_names_are_accepted() {
        for name in [
            "main",
            "feature/x",
            "v1.2.0",
            "1.2.0-rc.1+b5",
            "a-b_c.d",
            "träger/模型",
            "com",
            "com10",
            "lptx",
            "null",
            "a@b",
            "#12",
            "a=b",
            "x.locks",
            "headless",
            "refs",
            "deadbeef",
            "20260601_120000",
            ">=1",
        ] {
            assert_eq!(RefName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn versions_are_read_with_and_without_the_letter() {
        assert_eq!(parse_version("v1.2.0"), Some(Version::new(1, 2, 0)));
        assert_eq!(parse_version("1.2.0"), Some(Version::new(1, 2, 0)));
        assert!(parse_version("v1.2.0-rc.1+b").is_some());
        for text in ["v1.2", "1", "V1.2.0", "vv1.2.0", "v01.2.0", "release", "v1.2.0.0", ""] {
            assert_eq!(parse_version(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_one_word_that_survives_being_joined_to_others(text in "\\PC{0,12}") {
            if let Ok(name) = RefName::parse(&text) {
                let text = name.as_str();
                prop_assert_eq!(text.split_whitespace().collect::<Vec<_>>(), vec![text]);
                prop_assert_eq!(crate::escape::escape(text), text);
                prop_assert!(!text.starts_with('-') && !text.contains(['~', '^', ':']));
            }
        }
    }
}
