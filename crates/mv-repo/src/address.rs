//! Where a remote is: a checked address, without credentials.

use std::fmt;
use std::path::{Component as Part, Path, PathBuf};

use mv_graph::is_unprintable;

use crate::error::{Error, Result};
use crate::url::without_credentials;

/// Bytes of the longest address.
const MAX_ADDRESS: usize = 1024;
/// Schemes that some backend may know; which ones this program has is the connector's to say.
const SCHEMES: [&str; 5] = ["s3", "gs", "az", "http", "https"];

/// The address of a remote. Checked once: no credentials, no control characters, nothing that a
/// program could take for an option or a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A shared directory, absolute.
    Directory(PathBuf),
    /// Anything else, as a URL.
    Url(String),
}

impl Address {
    /// Reads what a user typed; a relative path is taken from `cwd`.
    ///
    /// # Errors
    /// `Invalid` with the reason.
    pub fn parse(text: &str, cwd: &Path) -> Result<Address> {
        let refused = |why: &str| {
            Err(Error::invalid("remote address", format!("`{}` {why}", without_credentials(text))))
        };
        if text.is_empty() || text.trim() != text {
            return refused("is empty, or begins or ends with a space");
        }
        if text.len() > MAX_ADDRESS {
            return refused("is longer than 1024 bytes");
        }
        if text.chars().any(is_unprintable) {
            return refused("has a control or invisible character");
        }
        if text.starts_with('-') {
            return refused("begins with `-`");
        }
        if text.contains("::") {
            return refused("names a program, and none is ever run");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            if text.split('/').next().is_some_and(|first| first.contains(':')) {
                return refused(
                    "looks like a host, and there is no ssh: mount it, or use a bucket",
                );
            }
            return Ok(Address::Directory(absolute(Path::new(text), cwd)));
        };
        if scheme == "file" {
            if !rest.starts_with('/') {
                return refused("must be `file:///` and a path");
            }
            return Ok(Address::Directory(absolute(Path::new(rest), cwd)));
        }
        if !SCHEMES.contains(&scheme) {
            return refused(
                "has a scheme that is not known: write a path, `s3://bucket/prefix` or `https://`",
            );
        }
        let host = rest.split('/').next().unwrap_or_default();
        if host.contains('@') {
            return refused("has credentials in it, and none are ever stored: use the environment");
        }
        if rest.contains(['?', '#', ' ', '\\']) {
            return refused("has a query, a fragment, a space or a backslash");
        }
        if host.is_empty() || rest.split('/').any(|part| part == "..") {
            return refused("has no host or bucket, or a `..`");
        }
        Ok(Address::Url(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Directory(path) => f.write_str(&path.to_string_lossy()),
            Address::Url(url) => f.write_str(url),
        }
    }
}

/// The path from the root on, with `.` and `..` taken out as they are spelled.
fn absolute(path: &Path, cwd: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in cwd.join(path).components() {
        match part {
            Part::CurDir => {}
            Part::ParentDir => drop(whole.pop()),
            other => whole.push(other),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_absolute_and_urls_are_kept() {
        let parse = |text| Address::parse(text, Path::new("/home/ada/work")).unwrap().to_string();
        assert_eq!(parse("/mnt/team/churn"), "/mnt/team/churn");
        assert_eq!(parse("../shared/./x"), "/home/ada/shared/x");
        assert_eq!(parse("file:///mnt/team"), "/mnt/team");
        assert_eq!(parse("s3://bucket/a/b/"), "s3://bucket/a/b");
        assert_eq!(parse("https://host:8080/models"), "https://host:8080/models");
    }

    #[test]
    fn what_could_be_an_option_a_command_or_a_secret_is_refused() {
        for text in [
            "",
            " /x",
            "-x",
            "--upload-pack=sh",
            "ext::sh -c id",
            "s3://key:secret@bucket/x",
            "https://user@host/x",
            "https://host/x?token=1",
            "https://host/x#y",
            "ssh://host/x",
            "git@host:x",
            "host:x",
            "file://host/x",
            "s3://",
            "s3:///x",
            "s3://bucket/../x",
            "/a\nb",
            "/a\u{1b}[2J",
            "https://host\\@evil/x",
        ] {
            let error = Address::parse(text, Path::new("/w")).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
