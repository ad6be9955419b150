//! The one error type of this crate: variants by what a caller can do about it.
//!
//! Names in fields are kept as they were found, so that `--json` loses nothing; the message
//! itself escapes them, because they may come out of a hostile repository.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use mv_graph::{RepoPath, escape, escape_bytes};
use rustix::io::Errno;

/// What can go wrong in an operation on a repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither the directory nor one above it (on the same file system) is a repository.
    #[error("`{}` is not in an mv repository", shown(.path))]
    NotARepository {
        /// Where the search began.
        path: PathBuf,
    },
    /// Work would be lost; nothing was touched.
    #[error("{}", escape(.what))]
    Refused {
        /// What was refused and why, in one line.
        what: String,
        /// The files that stand in the way, sorted.
        paths: Vec<RepoPath>,
    },
    /// The working tree equals the current version.
    #[error("nothing to commit: the working tree equals the current version")]
    NothingToCommit,
    /// The caller's input, or a file that the user edits, is malformed or over a limit.
    #[error("invalid {}: {}", escape(.what), escape(.detail))]
    Invalid {
        /// What was given: an argument, or the file that holds it.
        what: String,
        /// Why it is refused.
        detail: String,
    },
    /// A file that params or metrics are read from is malformed or over a limit.
    #[error("invalid `{path}`: {}", escape(.detail))]
    Values {
        /// The file.
        path: RepoPath,
        /// Where in it, and why it is refused.
        detail: String,
    },
    /// A configuration key that does not exist.
    #[error("unknown key `{}` in `{}`", escape(.key), shown(.path))]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// The configuration file.
        path: PathBuf,
    },
    /// Somebody else moved the repository on first: try again.
    #[error("the repository changed in the meantime (generation {generation} is taken)")]
    LostRace {
        /// The generation that was taken.
        generation: u64,
    },
    /// A remote has moved on since it was last seen: fetch first, then try again.
    #[error("{} on `{}` has moved on: fetch first", escape(.what), escape(.remote))]
    Behind {
        /// The branch or stage, as a phrase.
        what: String,
        /// The remote.
        remote: String,
    },
    /// No remote of that name; an empty name means that there is none at all.
    #[error("{}", no_remote(.name))]
    UnknownRemote {
        /// The name that was given or looked for.
        name: String,
    },
    /// A remote is not what was seen of it before.
    #[error("`{}` was set back or exchanged since it was last seen: {}", escape(.remote), escape(.detail))]
    Rewritten {
        /// The remote.
        remote: String,
        /// What was found.
        detail: String,
    },
    /// Another process works on the same working tree.
    #[error("another process works in `{}`", shown(.path))]
    Locked {
        /// The working tree.
        path: PathBuf,
    },
    /// An earlier operation was cut off and must be finished first.
    #[error("{} was interrupted", escape(.what))]
    Unfinished {
        /// Which operation, as it names itself in the reflog.
        what: String,
    },
    /// A merge waits for its conflicts to be solved.
    #[error("the merge of `{}` is not finished", escape(.theirs))]
    Merging {
        /// What is being merged, as the user named it.
        theirs: String,
        /// The conflicts that nobody has decided yet, if the operation asked for that.
        paths: Vec<RepoPath>,
    },
    /// A working file or directory was not what it had been a moment earlier.
    #[error("`{path}` changed while it was read")]
    Changed {
        /// The path.
        path: RepoPath,
    },
    /// Something that is not a plain directory stands where a directory must be.
    #[error("`{}` is, or leads through, a symlink or a file", shown(.path))]
    Blocked {
        /// The path that was to be reached.
        path: PathBuf,
    },
    /// A file name that cannot be stored.
    #[error("cannot store `{}`: {why}", shown(.name))]
    BadName {
        /// The path, relative to the root.
        name: PathBuf,
        /// Why it is refused.
        why: String,
    },
    /// Which kind of number comes next is for the user to say.
    #[error("cannot tell what kind of version this is: `{}` changed and no tensors can be read in it", .paths.first().map(RepoPath::display_escaped).unwrap_or_default())]
    Undecided {
        /// The changed model files that no parser reads, sorted; never empty.
        paths: Vec<RepoPath>,
    },
    /// A rule of the project forbids it.
    #[error("{}", escape(.what))]
    Policy {
        /// The rule and what broke it, in one line.
        what: String,
    },
    /// What the stored bytes mean.
    #[error(transparent)]
    Graph(#[from] mv_graph::Error),
    /// The object store.
    #[error(transparent)]
    Store(#[from] mv_store::Error),
    /// The system refused something: disk full, permission, I/O.
    #[error("cannot {action} `{}`: {source}", shown(.path))]
    Io {
        /// The verb: "open", "write", "rename" …
        action: &'static str,
        /// The file or directory it was done to.
        path: PathBuf,
        /// The system's own error.
        source: io::Error,
    },
}

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Invalid`] in one call.
    pub fn invalid(what: impl Into<String>, detail: impl ToString) -> Self {
        Self::Invalid { what: what.into(), detail: detail.to_string() }
    }

    /// An [`Error::Io`] in one call.
    pub fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}

fn no_remote(name: &str) -> String {
    match name {
        "" => "this repository has no remote".to_owned(),
        name => format!("there is no remote `{}`", escape(name)),
    }
}

fn shown(path: &Path) -> String {
    escape_bytes(path.as_os_str().as_bytes())
}

/// Gives a system error its verb and its path; there is no other way from one to [`Error`].
pub(crate) trait IoContext<T> {
    /// Wraps the error, if any.
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::io(action, path, source))
    }
}

impl<T> IoContext<T> for std::result::Result<T, Errno> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|e| Error::io(action, path, e))
    }
}
