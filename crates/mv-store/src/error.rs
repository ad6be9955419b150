//! The one error type of this crate: variants by what a caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::hash::{Hash, Kind};

/// What can go wrong below the object store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused something: disk full, permission, I/O.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    Io {
        /// The verb: "open", "write", "sync" …
        action: &'static str,
        /// The file or directory it was done to.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
    /// An object that something refers to is in no live pack.
    #[error("{kind} `{id}` is missing")]
    Missing {
        /// What the object was asked for as.
        kind: Kind,
        /// Its id.
        id: Hash,
    },
    /// Stored bytes were read without error and are not what they must be.
    #[error("{what} `{name}` is corrupt: {detail}")]
    Corrupt {
        /// The kind of thing: "pack", "blob", "state record" …
        what: &'static str,
        /// Its id or file name.
        name: String,
        /// What was found.
        detail: String,
    },
    /// Bytes written by a newer version of the program.
    #[error("`{name}` needs {what}, which this version does not know")]
    Unsupported {
        /// The unknown feature or version.
        what: String,
        /// Where it was found.
        name: String,
    },
    /// The caller's input is malformed or over a limit.
    #[error("invalid {what}: {detail}")]
    Invalid {
        /// What was given.
        what: &'static str,
        /// Why it is refused.
        detail: String,
    },
    /// Create-if-absent found the name taken.
    #[error("`{name}` already exists")]
    Exists {
        /// The name in the transport.
        name: String,
    },
    /// There is nothing of that name.
    #[error("`{name}` does not exist")]
    Absent {
        /// The name in the transport.
        name: String,
    },
    /// A working file changed while it was being read.
    #[error("`{}` changed while it was read", .path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A pack of this snapshot is gone (another process replaced it): read the state again.
    #[error("pack `{name}` is no longer there")]
    Stale {
        /// The pack.
        name: String,
    },
    /// A remote could not be reached, or refused.
    #[error("remote `{url}`: {detail}")]
    Remote {
        /// Its address, without credentials.
        url: String,
        /// What kind of failure it is.
        fault: Fault,
        /// What was tried and what came back, without credentials. Not escaped.
        detail: String,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Cancelled,
}

/// Why a remote did not do what it was asked, by what a user can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not answer, or stopped answering: try again later.
    Unreachable,
    /// It wants other credentials or permissions.
    Denied,
    /// It has no room.
    Full,
    /// It cannot do what is needed, now or later: it takes no writes, or does not keep its promises.
    Unfit,
    /// It did what it was asked, and it may be gone after a power cut.
    NotDurable,
}

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether stored data is damaged or missing. Permission, space and misuse are not corruption.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Missing { .. } | Self::Stale { .. })
    }

    /// A [`Error::Corrupt`] in one call.
    pub fn corrupt(what: &'static str, name: impl ToString, detail: impl ToString) -> Self {
        Self::Corrupt { what, name: name.to_string(), detail: detail.to_string() }
    }
}

/// Gives an I/O error its verb and its path; there is no other way from one to [`Error`].
pub trait IoContext<T> {
    /// Wraps the error, if any.
    ///
    /// # Errors
    /// [`Error::Io`] with the given facts.
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.to_path_buf(), source })
    }
}

impl<T> IoContext<T> for std::result::Result<T, rustix::io::Errno> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|e| Error::Io { action, path: path.to_path_buf(), source: e.into() })
    }
}
