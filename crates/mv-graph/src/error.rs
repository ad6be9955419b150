//! The one error type of this crate: variants by what a caller can do about it.
//!
//! Names and texts in an error are kept as they were found, so that `--json` loses nothing; the
//! message itself escapes them, because they may come out of a hostile repository.

use mv_store::Hash;

use crate::escape::escape;

/// What can go wrong with trees, manifests, state records and revisions.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store or the transport below failed.
    #[error(transparent)]
    Store(#[from] mv_store::Error),
    /// Stored bytes, or the graph they form, are not what they must be.
    #[error("{what} `{}` is corrupt: {}", escape(.name), escape(.detail))]
    Corrupt {
        /// The kind of thing: "tree", "manifest", "state record" …
        what: &'static str,
        /// Its id, path or name in the transport.
        name: String,
        /// What was found.
        detail: String,
    },
    /// Bytes written by a newer version of the program.
    #[error("`{}` needs {}, which this version does not know", escape(.name), escape(.what))]
    Unsupported {
        /// The unknown version or feature.
        what: String,
        /// Where it was found.
        name: String,
    },
    /// The caller's input is malformed or over a limit.
    #[error("invalid {what}: {}", escape(.detail))]
    Invalid {
        /// What was given.
        what: &'static str,
        /// Why it is refused.
        detail: String,
    },
    /// Another writer created this generation first: read the newest record and try again.
    #[error("another writer was first to record generation {generation}")]
    LostRace {
        /// The generation that was lost.
        generation: u64,
    },
    /// A chain does not continue what was seen of it before: it was set back or exchanged.
    #[error("its history is not the one that was seen before: {}", escape(.detail))]
    Rewritten {
        /// What was found.
        detail: String,
    },
    /// No ref, version, time or id answers to this text.
    #[error("unknown revision `{}`", escape(.text))]
    UnknownRevision {
        /// What the user wrote.
        text: String,
    },
    /// More than one thing answers to this text.
    #[error("`{}` is ambiguous: {}", escape(.text), candidate_list(.candidates))]
    Ambiguous {
        /// What the user wrote.
        text: String,
        /// Each candidate in a spelling that is not ambiguous, and the manifest it means.
        candidates: Vec<(String, Hash)>,
    },
}

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether stored data is damaged or missing. Permission, space and misuse are not corruption.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::Store(error) => error.is_corruption(),
            Self::Corrupt { .. } => true,
            _ => false,
        }
    }

    /// An [`Error::Corrupt`] in one call.
    pub fn corrupt(what: &'static str, name: impl ToString, detail: impl ToString) -> Self {
        Self::Corrupt { what, name: name.to_string(), detail: detail.to_string() }
    }

    /// An [`Error::Invalid`] in one call.
    pub fn invalid(what: &'static str, detail: impl ToString) -> Self {
        Self::Invalid { what, detail: detail.to_string() }
    }
}

/// At most this many candidates are spelled out in a message.
const SHOWN: usize = 8;

fn candidate_list(candidates: &[(String, Hash)]) -> String {
    let mut text = candidates
        .iter()
        .take(SHOWN)
        .map(|(name, id)| format!("`{}` ({})", escape(name), id.short()))
        .collect::<Vec<_>>()
        .join(", ");
    if candidates.len() > SHOWN {
        text.push_str(&format!(" and {} more", candidates.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_never_carries_control_bytes_of_a_hostile_name() {
        let error = Error::corrupt("tree", "a\x1b[2J", "entry `\u{202e}x`");
        assert_eq!(error.to_string(), r"tree `a\x1b[2J` is corrupt: entry `\u{202e}x`");
    }

    #[test]
    fn a_long_list_of_candidates_is_cut() {
        let candidates = (0..20).map(|n| (format!("c{n}"), Hash::ZERO)).collect();
        let text = Error::Ambiguous { text: "c".into(), candidates }.to_string();
        assert!(text.contains("`c7`") && !text.contains("`c8`") && text.ends_with("and 12 more"));
    }

    #[test]
    fn only_damage_counts_as_corruption() {
        assert!(Error::corrupt("tree", "x", "y").is_corruption());
        assert!(Error::Store(mv_store::Error::corrupt("pack", "x", "y")).is_corruption());
        assert!(!Error::LostRace { generation: 1 }.is_corruption());
    }
}
