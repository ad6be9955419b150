//! The one error type of this crate.

use std::io;

/// What can go wrong, by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not what their format asks for: treat the file as opaque.
    #[error("not a readable {format} file: {detail}")]
    Malformed {
        /// The format that the file seemed to have.
        format: &'static str,
        /// What is wrong with it. May hold text of the file: escape it before it is shown.
        detail: String,
    },
    /// The file is larger or deeper than this crate is willing to follow: treat it as opaque.
    #[error("{what} of this {format} file is over the limit of {limit}")]
    Limit {
        /// The format.
        format: &'static str,
        /// What is too large.
        what: &'static str,
        /// How large it may be.
        limit: u64,
    },
    /// The bytes could not be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A [`Error::Malformed`].
    pub fn malformed(format: &'static str, detail: impl Into<String>) -> Error {
        Error::Malformed { format, detail: detail.into() }
    }

    /// Whether the file should be treated as bytes without structure.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        !matches!(self, Error::Read(_))
    }
}
