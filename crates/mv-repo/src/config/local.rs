//! `.mv/config.toml`: settings of this machine for this repository.
//!
//! A small fixed set of dotted keys, each checked when it is set and again when it is read, since
//! a `.mv` may have come out of somebody else's archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mv_graph::RefName;
use mv_store::Nonce;
use mv_store::fs::replace;
use serde::{Deserialize, Serialize};

use super::{parse_toml, read_file};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::partial::Partial;

const FILE: &str = "config.toml";
const SHOWN: &str = ".mv/config.toml";
const MAX_VALUE: usize = 1024;

/// The parsed `.mv/config.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalConfig {
    #[serde(default, skip_serializing_if = "User::is_empty")]
    user: User,
    /// By name.
    #[serde(default, rename = "remote", skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) remotes: BTreeMap<String, RemoteConfig>,
    /// Of what is here when not everything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partial: Option<Partial>,
}

/// One `[remote.NAME]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoteConfig {
    pub(crate) url: String,
    /// Nobody else writes there, the user says.
    #[serde(default, rename = "single-writer", skip_serializing_if = "std::ops::Not::not")]
    pub(crate) single_writer: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

impl User {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none()
    }
}

impl LocalConfig {
    /// The keys there are.
    pub const KEYS: [&str; 2] = ["user.name", "user.email"];

    /// Reads the file in the repository folder; without one everything is unset.
    ///
    /// # Errors
    /// `Invalid` for unknown keys, bad values or more than 1 MiB; `Io`.
    pub fn read(dot: &Path) -> Result<LocalConfig> {
        read_file(&dot.join(FILE))?.map_or_else(|| Ok(LocalConfig::default()), |b| Self::parse(&b))
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<LocalConfig> {
        let config: LocalConfig = parse_toml(bytes, SHOWN)?;
        for (key, value) in config.list() {
            check(key, value)?;
        }
        for (name, remote) in &config.remotes {
            RefName::parse(name)?;
            Address::parse(&remote.url, Path::new("/"))?;
        }
        config.partial.as_ref().map_or(Ok(()), Partial::check)?;
        Ok(config)
    }

    /// Replaces the file, atomically and durably.
    ///
    /// # Errors
    /// `Io`.
    pub fn save(&self, dot: &Path, tmp_dir: &Path, nonce: &Nonce) -> Result<()> {
        let text = toml::to_string(self).map_err(|e| Error::invalid("configuration", e))?;
        Ok(replace(&dot.join(FILE), text.as_bytes(), tmp_dir, nonce)?)
    }

    /// The value of a key; none when it is not set.
    ///
    /// # Errors
    /// `UnknownKey`.
    pub fn get(&self, key: &str) -> Result<Option<&str>> {
        match key {
            "user.name" => Ok(self.user.name.as_deref()),
            "user.email" => Ok(self.user.email.as_deref()),
            _ => Err(unknown(key)),
        }
    }

    /// Sets a key.
    ///
    /// # Errors
    /// `UnknownKey`; `Invalid` for a value that this key cannot have.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let slot = self.slot(key)?;
        check(key, value)?;
        *slot = Some(value.to_owned());
        Ok(())
    }

    /// Removes a key and says whether it had been set.
    ///
    /// # Errors
    /// `UnknownKey`.
    pub fn unset(&mut self, key: &str) -> Result<bool> {
        Ok(self.slot(key)?.take().is_some())
    }

    /// All keys that are set, with their values, in a fixed order.
    #[must_use]
    pub fn list(&self) -> Vec<(&'static str, &str)> {
        let value = |key| self.get(key).ok().flatten();
        Self::KEYS.into_iter().filter_map(|key| Some((key, value(key)?))).collect()
    }

    fn slot(&mut self, key: &str) -> Result<&mut Option<String>> {
        match key {
            "user.name" => Ok(&mut self.user.name),
            "user.email" => Ok(&mut self.user.email),
            _ => Err(unknown(key)),
        }
    }
}

fn unknown(key: &str) -> Error {
    Error::UnknownKey { key: key.to_owned(), path: PathBuf::from(SHOWN) }
}

fn check(key: &str, value: &str) -> Result<()> {
    let why = if value.len() > MAX_VALUE {
        "longer than 1024 bytes"
    } else if value.chars().any(char::is_control) {
        "it has a control character"
    } else if value.contains(['<', '>']) {
        "it has `<` or `>`"
    } else if value.trim() != value {
        "it begins or ends with a space"
    } else if value.is_empty() {
        "it is empty"
    } else if key == "user.email" && value.contains(char::is_whitespace) {
        "it has a space"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("`{key}`"), format!("`{value}`: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_read_back_and_can_be_unset() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = LocalConfig::read(dir.path()).unwrap();
        assert!(config.list().is_empty());
        config.set("user.name", "Ada \"L\" Łovelace").unwrap();
        config.set("user.email", "ada@example.org").unwrap();
        config.save(dir.path(), dir.path(), &[7; 16]).unwrap();

        let mut again = LocalConfig::read(dir.path()).unwrap();
        assert_eq!(again, config);
        assert_eq!(again.get("user.name").unwrap(), Some("Ada \"L\" Łovelace"));
        assert!(again.unset("user.name").unwrap());
        assert!(!again.unset("user.name").unwrap());
        assert_eq!(again.list(), [("user.email", "ada@example.org")]);
    }

    #[test]
    fn unknown_keys_are_refused_by_name_in_the_api_and_in_the_file() {
        let mut config = LocalConfig::default();
        assert!(matches!(config.set("core.hooksPath", "x"), Err(Error::UnknownKey { .. })));
        assert!(matches!(config.get("user"), Err(Error::UnknownKey { .. })));
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "[core]\npager = \"evil\"\n").unwrap();
        let message = LocalConfig::read(dir.path()).unwrap_err().to_string();
        assert!(message.contains("`core`") && message.contains(SHOWN), "{message}");
    }

    #[test]
    fn values_that_could_forge_an_author_line_are_refused() {
        let mut config = LocalConfig::default();
        for bad in ["", " a", "a\nb", "a\u{1b}[2J", "a <b>", &"x".repeat(1025)] {
            assert!(matches!(config.set("user.name", bad), Err(Error::Invalid { .. })), "{bad}");
        }
        assert!(config.set("user.email", "a b@c").is_err());
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "[user]\nname = \"a\\u001b\"\n").unwrap();
        assert!(LocalConfig::read(dir.path()).is_err());
    }
}
