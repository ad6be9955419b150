//! Every name inside the repository folder, and the `format` file.
//!
//! ```text
//! .mv/format              repository id, format version, features; written once
//! .mv/packs/ab/<id>       packs
//! .mv/state/<generation>  the chain of state records
//! .mv/tmp/                unpublished files
//! .mv/worktree/           local caches: stat, checkout marker, unfinished merge, lock, tensors seen
//! .mv/remotes/<name>/     what is kept of a remote: indexes, packs that are arriving
//! .mv/config.toml         local configuration, when there is any
//! ```
//!
//! The `format` file is text, ending in the BLAKE3 of all lines before:
//!
//! ```text
//! mv repository
//! version 1
//! id 0123456789abcdef0123456789abcdef
//! feature chunk=gear64-v1/32k/128k/512k
//! check <64 hex digits>
//! ```

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mv_graph::RefName;
use mv_store::{Hash, Kind, Nonce, Transport, id_of, nonce_hex};

use crate::error::{IoContext, Result};

/// The repository folder's name.
pub const DOT: &str = ".mv";
/// The format version that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of a `format` file, at most.
const MAX_FORMAT: u64 = 64 << 10;
const FIRST_LINE: &str = "mv repository";

/// What the `format` file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Tells repositories apart; recorded in every state record.
    pub repository: Nonce,
    /// Features that a reader must know, as `name=value`.
    pub features: Vec<String>,
}

impl Format {
    /// The format of a new repository.
    #[must_use]
    pub fn new(repository: Nonce) -> Format {
        Format { repository, features: vec![chunk_feature()] }
    }

    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text =
            format!("{FIRST_LINE}\nversion {FORMAT_VERSION}\nid {}\n", nonce_hex(&self.repository));
        for feature in &self.features {
            text.push_str(&format!("feature {feature}\n"));
        }
        let check = id_of(Kind::Blob, text.as_bytes());
        text.push_str(&format!("check {check}\n"));
        text.into_bytes()
    }

    /// Reads the file of the repository behind `transport`.
    ///
    /// # Errors
    /// `Absent`, `Corrupt`, or `Unsupported` naming the version or feature that is not known.
    pub fn read(transport: &dyn Transport) -> Result<Format> {
        Format::decode(&transport.read("format", MAX_FORMAT)?)
    }

    /// Parses the file's bytes, which must be exactly what [`Format::encode`] writes.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported`.
    pub fn decode(bytes: &[u8]) -> Result<Format> {
        let bad = |detail: &str| mv_store::Error::corrupt("file", "format", detail);
        let text = std::str::from_utf8(bytes).map_err(|_| bad("it is not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(bad("it does not begin as a repository's").into());
        }
        let version = lines
            .next()
            .and_then(|l| l.strip_prefix("version "))
            .ok_or_else(|| bad("it has no version"))?;
        if version != FORMAT_VERSION.to_string() {
            let number: u32 = version.parse().map_err(|_| bad("its version is no number"))?;
            let what = format!("repository format version {number}");
            return Err(mv_store::Error::Unsupported { what, name: "format".into() }.into());
        }
        let id =
            lines.next().and_then(|l| l.strip_prefix("id ")).ok_or_else(|| bad("it has no id"))?;
        let padded = Hash::from_hex(&format!("{id:0<64}")).filter(|_| id.len() == 32);
        let mut repository = Nonce::default();
        repository.copy_from_slice(&padded.ok_or_else(|| bad("its id is malformed"))?.0[..16]);
        let mut features = Vec::new();
        for line in lines.by_ref() {
            if line.starts_with("check ") {
                break;
            }
            features.push(
                line.strip_prefix("feature ")
                    .ok_or_else(|| bad("it has an unknown line"))?
                    .to_owned(),
            );
        }
        let format = Format { repository, features };
        if format.encode() != bytes {
            return Err(bad("it does not match its check sum").into());
        }
        if let Some(unknown) = format.features.iter().find(|f| **f != chunk_feature()) {
            let what = format!("feature `{}`", unknown.escape_default());
            return Err(mv_store::Error::Unsupported { what, name: "format".into() }.into());
        }
        Ok(format)
    }
}

fn chunk_feature() -> String {
    format!("chunk={}", mv_store::cut::RULE)
}

/// Paths below a repository folder.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The repository folder itself.
    pub dot: PathBuf,
}

impl Layout {
    /// The layout of a project's repository folder.
    #[must_use]
    pub fn of(root: &Path) -> Layout {
        Layout { dot: root.join(DOT) }
    }

    /// Refuses a repository folder whose own folders are not folders: through a symlink that an
    /// archive or another user left there, files outside would be written and removed.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn check(&self) -> Result<()> {
        let bad =
            |path: &Path| mv_store::Error::corrupt("folder", path.display(), "it is not a folder");
        for name in ["packs", "state", "tmp", "worktree", "remotes"] {
            let path = self.dot.join(name);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(bad(&path).into()),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e).at("stat", &path),
            }
        }
        let packs = self.dot.join("packs");
        let entries = match fs::read_dir(&packs) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.at("list", &packs)?,
        };
        for entry in entries {
            let entry = entry.at("list", &packs)?;
            if !entry.file_type().at("stat", &entry.path())?.is_dir() {
                return Err(bad(&entry.path()).into());
            }
        }
        Ok(())
    }

    /// Unpublished files.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.dot.join("tmp")
    }

    /// Local caches and marks.
    #[must_use]
    pub fn worktree(&self) -> PathBuf {
        self.dot.join("worktree")
    }

    /// What is kept of a remote.
    #[must_use]
    pub fn remote(&self, name: &RefName) -> PathBuf {
        self.dot.join("remotes").join(name.as_str())
    }

    /// The stat cache.
    #[must_use]
    pub fn stat_cache(&self) -> PathBuf {
        self.worktree().join("stat")
    }

    /// The index of the places where tensors were stored last.
    #[must_use]
    pub fn seen(&self) -> PathBuf {
        self.worktree().join("seen")
    }

    /// The mark of a checkout that is not finished, or not known to be on disk.
    #[must_use]
    pub fn checkout_mark(&self) -> PathBuf {
        self.worktree().join("checkout")
    }

    /// The merge that waits for its conflicts to be solved.
    #[must_use]
    pub fn unfinished_merge(&self) -> PathBuf {
        self.worktree().join("merge")
    }

    /// The lock that saves parallel commands from doing work twice.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.worktree().join("lock")
    }

    /// Local configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dot.join("config.toml")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_format_file_survives_the_round_trip() {
        let format = Format::new([7; 16]);
        assert_eq!(Format::decode(&format.encode()).unwrap(), format);
    }

    #[test]
    fn every_flipped_bit_of_a_format_file_is_noticed() {
        let good = Format::new([7; 16]).encode();
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(Format::decode(&bad).is_err(), "bit {at}");
        }
    }

    #[test]
    fn an_unknown_version_or_feature_is_refused_by_name() {
        let future = String::from_utf8(Format::new([7; 16]).encode())
            .unwrap()
            .replace("version 1", "version 9");
        let error = Format::decode(future.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("version 9"), "{error}");
        let mut format = Format::new([7; 16]);
        format.features.push("planes=1".into());
        let error = Format::decode(&format.encode()).unwrap_err();
        assert!(matches!(error, Error::Store(mv_store::Error::Unsupported { .. })), "{error}");
    }
}
