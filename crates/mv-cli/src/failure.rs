//! Failures as users and programs see them: one line, a hint that works, a code, an exit status.

use std::io::{self, ErrorKind};
use std::path::Path;

use mv_graph::RepoPath;
use mv_store::Fault;
use serde::Serialize;

use crate::format;
use crate::passthrough;

/// The answer is no.
pub(crate) const NO: u8 = 1;
/// The command line is wrong, or there is no repository, revision or path of that name.
pub(crate) const USAGE: u8 = 2;
/// An object is corrupt or missing.
pub(crate) const INTEGRITY: u8 = 3;
/// A remote could not be reached, or refused.
pub(crate) const REMOTE: u8 = 4;
/// Somebody else was first.
pub(crate) const RACE: u8 = 5;
/// The system failed.
pub(crate) const SYSTEM: u8 = 6;
/// The user stopped it.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a command ends in when it does not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A stable word for programs.
    pub(crate) code: &'static str,
    /// The exit status.
    pub(crate) exit: u8,
    /// What failed, on what; one line, not yet escaped.
    pub(crate) message: String,
    /// What to do; names a command.
    pub(crate) hint: Option<String>,
    /// Paths or candidates that belong to the message.
    pub(crate) items: Vec<String>,
    /// The text that was taken for a revision and is none; lets the caller look for a near name.
    pub(crate) unknown: Option<String>,
}

/// The result of a command's parts.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

#[derive(Serialize)]
struct Document<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    items: &'a [String],
}

impl Failure {
    fn new(code: &'static str, exit: u8, message: impl Into<String>) -> Failure {
        Failure {
            code,
            exit,
            message: message.into(),
            hint: None,
            items: Vec::new(),
            unknown: None,
        }
    }

    /// The answer is no.
    pub(crate) fn no(code: &'static str, message: impl Into<String>) -> Failure {
        Failure::new(code, NO, message)
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new("usage", USAGE, message)
    }

    /// The system failed.
    pub(crate) fn system(message: impl Into<String>) -> Failure {
        Failure::new("system", SYSTEM, message)
    }

    /// Something is damaged.
    pub(crate) fn integrity(message: impl Into<String>) -> Failure {
        Failure::new("corrupt", INTEGRITY, message)
    }

    /// A version was made without looking at the environment.
    pub(crate) fn no_environment(version: &str) -> Failure {
        let message = format!("no environment was captured with `{version}`");
        Failure::new("no_environment", USAGE, message)
            .hint("capture the present one with `mv commit --allow-empty -m MESSAGE`")
    }

    /// Adds what to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the paths it is about.
    #[must_use]
    fn about(mut self, paths: &[RepoPath]) -> Failure {
        self.items =
            paths.iter().map(|p| String::from_utf8_lossy(p.as_bytes()).into_owned()).collect();
        self
    }

    /// Adds what to do when a rule of the repository stands against it.
    #[must_use]
    pub(crate) fn policy_hint(self, hint: &str) -> Failure {
        if self.code == "policy" { self.hint(hint) } else { self }
    }

    /// The document for `--json`, with the hint as it is shown to the user.
    pub(crate) fn to_json(&self, hint: Option<&str>) -> String {
        let error = Body { code: self.code, message: &self.message, hint, items: &self.items };
        serde_json::to_string(&Document { error })
            .unwrap_or_else(|_| r#"{"error":{"code":"system"}}"#.to_owned())
    }
}

impl From<mv_repo::Error> for Failure {
    fn from(error: mv_repo::Error) -> Failure {
        use mv_repo::Error as E;
        let message = format::one_line(&error.to_string());
        match error {
            E::Store(e) => e.into(),
            E::Graph(e) => e.into(),
            E::NotARepository { .. } => {
                Failure::new("not_a_repository", USAGE, message).hint("make one with `mv init`")
            }
            E::Refused { paths, .. } => Failure::new("would_lose_work", NO, message)
                .hint("keep it with `mv commit -m MESSAGE`, or overwrite it with `--force`, which `mv undo` takes back")
                .about(&paths),
            E::NothingToCommit => Failure::new("nothing_to_commit", NO, message)
                .hint("record the same files again with `mv commit --allow-empty -m MESSAGE`"),
            E::Undecided { paths } => Failure::new("undecided", USAGE, message)
                .hint("say which it is: `--bump major` when who uses the model must change something, `--bump minor` when it was retrained, `--bump patch` when it was not")
                .about(&paths),
            E::Policy { .. } => Failure::new("policy", NO, message),
            E::Unfinished { what } if what.starts_with("clone") || what == "init" => {
                Failure::new("unfinished", NO, message).hint(format!("run that `mv {what}` again to finish it"))
            }
            E::Unfinished { .. } => Failure::new("unfinished", NO, message)
                .hint("run that command again to finish it, or go back with `mv checkout --force HEAD`"),
            E::Merging { paths, .. } => Failure::new("merging", NO, message)
                .hint("decide what `mv status` lists, then `mv commit`; or go back with `mv merge --abort`")
                .about(&paths),
            E::LostRace { .. } => {
                Failure::new("lost_race", RACE, message).hint("look with `mv status`, then try again")
            }
            E::Behind { .. } => {
                Failure::new("behind", RACE, message).hint("`mv pull`, then try again")
            }
            E::UnknownRemote { .. } => Failure::new("unknown_remote", USAGE, message).hint(
                "list remotes with `mv remote list`, add one with `mv remote add origin URL`",
            ),
            E::Rewritten { .. } => Failure::new("rewritten", INTEGRITY, message).hint(
                "ask whoever keeps it what happened; to take it as it is now: `mv fetch --accept-rewind`",
            ),
            E::Locked { .. } => Failure::new("locked", RACE, message).hint("try again when the other command is done"),
            E::Changed { .. } => {
                Failure::new("changed", RACE, message).hint("try again when nothing writes to that file")
            }
            E::Blocked { .. } => Failure::new("blocked", NO, message)
                .hint("move it away, then `mv checkout` again"),
            E::Values { .. } => Failure::new("usage", USAGE, message).hint(
                "correct the file, or name others as `files` under `[params]` or `[metrics]` in `mv.toml`",
            ),
            E::Io { path, source, .. } => system(message, &path, &source),
            E::Invalid { ref what, .. } if what.contains("mv.toml") => Failure::new("usage", USAGE, message)
                .hint("correct it in an editor, or take the recorded one with `mv restore mv.toml`"),
            // Invalid, UnknownKey, BadName and whatever the library adds: the caller's input.
            _ => Failure::new("usage", USAGE, message),
        }
    }
}

impl From<mv_graph::Error> for Failure {
    fn from(error: mv_graph::Error) -> Failure {
        use mv_graph::Error as E;
        let message = format::one_line(&error.to_string());
        match error {
            E::Store(e) => e.into(),
            E::Corrupt { .. } => {
                Failure::integrity(message).hint("see what is damaged with `mv fsck --full`")
            }
            E::Unsupported { .. } => unsupported(message),
            E::LostRace { .. } => Failure::new("lost_race", RACE, message)
                .hint("look with `mv status`, then try again"),
            E::UnknownRevision { text } => Failure {
                unknown: Some(text),
                ..Failure::new("unknown_revision", USAGE, message)
                    .hint("list revisions with `mv log --oneline`")
            },
            E::Ambiguous { candidates, .. } => {
                let failure = Failure::new("ambiguous_revision", USAGE, message);
                match candidates.first() {
                    Some((name, _)) => {
                        failure.hint(format!("name one of them in full, such as `mv show {name}`"))
                    }
                    None => failure,
                }
            }
            _ => Failure::new("usage", USAGE, message),
        }
    }
}

impl From<mv_store::Error> for Failure {
    fn from(error: mv_store::Error) -> Failure {
        use mv_store::Error as E;
        let message = format::one_line(&error.to_string());
        match error {
            E::Cancelled => Failure::new("interrupted", INTERRUPTED, message),
            E::Missing { .. } => Failure::new("missing", INTEGRITY, message)
                .hint("see what is damaged with `mv fsck --full`"),
            E::Corrupt { .. } | E::Absent { .. } | E::Stale { .. } => {
                Failure::integrity(message).hint("see what is damaged with `mv fsck --full`")
            }
            E::Unsupported { .. } => unsupported(message),
            E::Changed { .. } => Failure::new("changed", RACE, message)
                .hint("try again when nothing writes to that file"),
            E::Remote { fault, .. } => remote(fault, message),
            E::Exists { .. } => Failure::new("lost_race", RACE, message).hint("try again"),
            E::Invalid { .. } => Failure::new("usage", USAGE, message),
            E::Io { path, source, .. } => system(message, &path, &source),
            // Whatever the library adds.
            _ => Failure::new("system", SYSTEM, message),
        }
    }
}

/// What the system refused, with what a user can do about it.
fn system(message: String, path: &Path, source: &io::Error) -> Failure {
    let failure = Failure::new("system", SYSTEM, message);
    // A file that could not be made is not there to be looked at.
    let there = path.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(path);
    let shown = passthrough::quote(format::text(&there.to_string_lossy()).as_ref());
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => failure
            .hint(format!(
                "nothing was lost: free some space (`df -h {shown}`), then run it again"
            )),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            failure.hint(format!("see who may read and write there with `ls -ld {shown}`"))
        }
        // Too many open files, of the process or of the machine, have no kind of their own.
        _ if matches!(source.raw_os_error(), Some(23 | 24)) => {
            failure.hint("allow more open files with `ulimit -n 1024`, then run it again")
        }
        _ => failure.hint("nothing was lost: look with `mv status`, then run it again"),
    }
}

/// A file of the command line that cannot be written.
pub(crate) fn not_written(path: &Path, source: &io::Error) -> Failure {
    let shown = format::text(&path.to_string_lossy());
    let failure = system(format!("cannot write `{shown}`: {source}"), path, source);
    match path.parent() {
        Some(folder) if source.kind() == ErrorKind::NotFound => {
            let folder = passthrough::quote(format::text(&folder.to_string_lossy()).as_ref());
            failure.hint(format!("make its folder first: `mkdir -p {folder}`"))
        }
        _ => failure,
    }
}

/// What a remote refused or failed to do.
fn remote(fault: Fault, message: String) -> Failure {
    match fault {
        Fault::Unreachable => Failure::new("remote_unreachable", REMOTE, message)
            .hint("nothing was lost: run it again when the remote answers, see `mv remote list`"),
        Fault::Denied => Failure::new("remote_denied", REMOTE, message).hint(
            "nothing was lost: check who may read and write there, for a bucket the AWS_* variables",
        ),
        Fault::Full => Failure::new("remote_full", REMOTE, message)
            .hint("nothing was lost: make room there, then run it again; see `mv gc --remote NAME`"),
        Fault::Unfit => Failure::new("remote_unfit", REMOTE, message)
            .hint("choose another place with `mv remote add NAME URL`"),
        Fault::NotDurable => Failure::new("remote_not_durable", REMOTE, message)
            .hint("run it again: what is there already is not sent twice"),
    }
}

/// A newer format is an integrity failure, since a flipped bit in a version looks the same.
fn unsupported(message: String) -> Failure {
    Failure::new("unsupported", INTEGRITY, message)
        .hint("use a newer version of the program; this one is `mv --version`")
}

/// What is printed when the program itself is wrong.
pub(crate) fn panic_line(info: &std::panic::PanicHookInfo<'_>) {
    let place =
        info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
    let what = info.payload_as_str().unwrap_or("no details");
    let line = format!(
        "error: internal error{place}: {}\nhint: what is in the repository is safe; please report this\n",
        format::one_line(what)
    );
    // Nobody is left to tell when even this cannot be written.
    drop(std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_failure_has_its_exit_code() {
        let io = mv_store::Error::Io {
            action: "write",
            path: "/x".into(),
            source: std::io::Error::other("full"),
        };
        assert_eq!(Failure::from(io).exit, 6);
        let corrupt =
            mv_store::Error::Corrupt { what: "pack", name: "ab".into(), detail: "short".into() };
        assert_eq!(Failure::from(mv_repo::Error::from(corrupt)).exit, 3);
        assert_eq!(Failure::from(mv_store::Error::Cancelled).exit, 130);
        assert_eq!(Failure::from(mv_repo::Error::NothingToCommit).exit, 1);
        assert_eq!(Failure::from(mv_repo::Error::LostRace { generation: 4 }).exit, 5);
        assert_eq!(Failure::from(mv_repo::Error::NotARepository { path: "/".into() }).exit, 2);
        assert_eq!(Failure::from(mv_graph::Error::UnknownRevision { text: "x".into() }).exit, 2);
    }

    #[test]
    fn a_failure_is_one_json_object_with_code_message_and_hint() {
        let text = Failure::usage("no\u{1b}[31m").to_json(Some("try `mv log`"));
        assert_eq!(
            text,
            r#"{"error":{"code":"usage","message":"no\u001b[31m","hint":"try `mv log`"}}"#
        );
    }
}
