//! What the system says about a working file, reduced to what tells a change.

use mv_graph::Mode;
use rustix::fs::FileType;

/// Size and identity of a file at one moment. Equal twice, and not [racy](Stat::is_racy), means
/// that nobody wrote to the file in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Length in bytes; for a symlink that of its target.
    pub size: u64,
    /// Last change of the content, in nanoseconds since the epoch.
    pub mtime_ns: i64,
    /// Last change of content or properties, which no program can set.
    pub ctime_ns: i64,
    /// The inode number.
    pub ino: u64,
}

impl Stat {
    /// Takes what is needed from the system's answer.
    pub(crate) fn of(raw: &rustix::fs::Stat) -> Stat {
        Stat {
            size: u64::try_from(raw.st_size).unwrap_or(0),
            mtime_ns: nanoseconds(raw.st_mtime, raw.st_mtime_nsec as i64),
            ctime_ns: nanoseconds(raw.st_ctime, raw.st_ctime_nsec as i64),
            ino: raw.st_ino,
        }
    }

    /// Whether a write after `moment` (file-system time) could have left this stat as it is.
    #[must_use]
    pub fn is_racy(&self, moment_ns: i64) -> bool {
        self.mtime_ns >= moment_ns || self.ctime_ns >= moment_ns
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// How the entry would be stored; none for sockets, pipes and devices, which never are.
pub(crate) fn mode_of(raw: &rustix::fs::Stat) -> Option<Mode> {
    match FileType::from_raw_mode(raw.st_mode) {
        FileType::RegularFile if raw.st_mode & 0o100 != 0 => Some(Mode::Exec),
        FileType::RegularFile => Some(Mode::File),
        FileType::Symlink => Some(Mode::Symlink),
        FileType::Directory => Some(Mode::Dir),
        _ => None,
    }
}
