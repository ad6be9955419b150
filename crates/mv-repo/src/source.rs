//! The git commit beside a version: where the code of the project came from.
//!
//! Asked of the user's own `git`, with nothing of the process environment but what [`Surroundings`]
//! hands in. It may write nothing, run no file-system monitor and no hook. A project without git, a
//! repository that is broken or has no commit yet, and a machine without git are all the same: no
//! source. A git that does not answer is told and left alone.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mv_graph::Source;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::surroundings::Surroundings;
use crate::url::without_credentials;

/// How long git may take: a status of a large repository on a slow disk takes seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a git that has said everything may take to end, in steps.
const LAST_STEPS: usize = 100;
const STEP: Duration = Duration::from_millis(10);
/// Bytes of an answer that are read. Of a status only the beginning matters.
const MAX_ANSWER: u64 = 256 << 10;
const MAX_URL: usize = 4096;

/// The git commit that the project at `root` lies in; none without git.
#[must_use]
pub fn look(root: &Path, surroundings: &Surroundings) -> Option<Source> {
    look_noting(root, surroundings, &mut Vec::new())
}

/// As [`look`]; adds to `notes` that git was there and did not answer.
pub fn look_noting(
    root: &Path,
    surroundings: &Surroundings,
    notes: &mut Vec<String>,
) -> Option<Source> {
    root.ancestors().find(|dir| dir.join(".git").symlink_metadata().is_ok())?;
    let program = surroundings.programs("git").next()?;
    let git = Git { program, root, surroundings };
    match git.source(PATIENCE) {
        Ok(source) => source.filter(|source| source.validate().is_ok()),
        Err(NoAnswer) => {
            notes.push(format!(
                "git did not answer in {} seconds: the commit beside this version is not recorded",
                PATIENCE.as_secs()
            ));
            None
        }
    }
}

/// The user's git, asked about one directory.
struct Git<'a> {
    program: PathBuf,
    root: &'a Path,
    surroundings: &'a Surroundings,
}

/// It took too long and was stopped.
#[derive(Debug, PartialEq)]
struct NoAnswer;

impl Git<'_> {
    fn source(&self, patience: Duration) -> Result<Option<Source>, NoAnswer> {
        let status = [
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--untracked-files=no",
            "--ignore-submodules=dirty",
            "--no-renames",
            "--",
            ":(exclude).mv",
        ];
        let Some(answer) = self.ask(&status, patience)? else { return Ok(None) };
        let Some(mut source) = parse_status(&answer) else { return Ok(None) };
        let remotes = ["config", "-z", "--get-regexp", r"^(remote\..*\.url|branch\..*\.remote)$"];
        if let Some(answer) = self.ask(&remotes, patience)? {
            source.url = remote_url(&answer, source.branch.as_deref());
        }
        Ok(Some(source))
    }

    /// What git prints, as far as it is read; none when it fails.
    fn ask(&self, args: &[&str], patience: Duration) -> Result<Option<String>, NoAnswer> {
        let Ok(mut child) = self.command(args).spawn() else { return Ok(None) };
        let Some(out) = child.stdout.take() else { return Ok(None) };
        let (sender, answer) = mpsc::channel();
        // Nobody may be listening any more.
        let read = move || drop(sender.send(read_answer(out)));
        if thread::Builder::new().spawn(read).is_err() {
            end(&mut child);
            return Ok(None);
        }
        let Ok(bytes) = answer.recv_timeout(patience) else {
            end(&mut child);
            return Err(NoAnswer);
        };
        let whole = (bytes.len() as u64) < MAX_ANSWER;
        let good = wait(&mut child).is_some_and(|success| success || !whole);
        Ok(good.then(|| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let path = std::env::join_paths(self.surroundings.path.iter().filter(|p| p.is_absolute()));
        command
            .arg("-C")
            .arg(self.root)
            .args(["--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
            .args(args)
            .env_clear()
            .env("PATH", path.unwrap_or_default())
            .env("LC_ALL", "C")
            // A refreshed index would be written: git beside us may be at work.
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            // With what it starts itself it can be ended as one.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let home = self.surroundings.home.as_deref().map(Path::as_os_str);
        let config = self.surroundings.config_home.as_deref().map(Path::as_os_str);
        let given: [(&str, Option<&OsStr>); 2] = [("HOME", home), ("XDG_CONFIG_HOME", config)];
        command.envs(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
        command
    }
}

/// Reads to the end or to the limit; then the pipe closes and ends who still writes.
fn read_answer(out: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before a failure is judged by how git ends.
    drop(out.take(MAX_ANSWER).read_to_end(&mut bytes));
    bytes
}

/// Whether git succeeded, once it ends; one that does not is ended.
fn wait(child: &mut Child) -> Option<bool> {
    for _ in 0..LAST_STEPS {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) => thread::park_timeout(STEP),
            Err(_) => break,
        }
    }
    end(child);
    None
}

fn end(child: &mut Child) {
    if kill_process_group(Pid::from_child(child), Signal::KILL).is_err() {
        // It may have ended by itself.
        drop(child.kill());
    }
    drop(child.wait());
}

/// Commit, branch and whether a tracked file differs; the lines that are no header are files.
fn parse_status(answer: &str) -> Option<Source> {
    let mut lines = answer.split('\0').filter(|line| !line.is_empty()).peekable();
    let (mut commit, mut branch) = (None, None);
    while let Some(header) = lines.next_if(|line| line.starts_with("# ")) {
        if let Some(id) = header.strip_prefix("# branch.oid ") {
            commit = Some(id).filter(|id| is_id(id));
        } else if let Some(name) = header.strip_prefix("# branch.head ") {
            branch = Some(name).filter(|name| *name != "(detached)");
        }
    }
    Some(Source {
        vcs: "git".to_owned(),
        commit: commit?.to_owned(),
        branch: branch.map(str::to_owned),
        dirty: lines.peek().is_some(),
        url: None,
    })
}

/// Not `(initial)`.
fn is_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The URL of the remote that the branch follows, else of `origin`, without credentials.
fn remote_url(answer: &str, branch: Option<&str>) -> Option<String> {
    let settings: Vec<(&str, &str)> =
        answer.split('\0').filter_map(|entry| entry.split_once('\n')).collect();
    // The last of a key counts, as in git.
    let get = |key: &str| settings.iter().rev().find(|(k, _)| *k == key).map(|(_, value)| *value);
    let url = |remote: &str| settings.iter().find(|(k, _)| *k == format!("remote.{remote}.url"));
    let followed = branch.and_then(|branch| get(&format!("branch.{branch}.remote")));
    let (_, url) = followed.and_then(url).or_else(|| url("origin"))?;
    let url = without_credentials(url);
    let storable = (1..=MAX_URL).contains(&url.len()) && !url.chars().any(char::is_control);
    storable.then_some(url)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const COMMIT: &str = "9a0364b9e99bb480dd25e1f0284c8555aabbccdd";

    #[test]
    fn a_status_tells_commit_branch_and_changes() {
        let clean = format!("# branch.oid {COMMIT}\0# branch.head main\0# branch.ab +0 -0\0");
        let source = parse_status(&clean).unwrap();
        assert_eq!((source.commit.as_str(), source.branch.as_deref()), (COMMIT, Some("main")));
        assert!(!source.dirty);
        let dirty = format!("{clean}1 .M N... 100644 100644 100644 a b train.py\0");
        assert!(parse_status(&dirty).unwrap().dirty);
        let detached = format!("# branch.oid {COMMIT}\0# branch.head (detached)\0");
        assert_eq!(parse_status(&detached).unwrap().branch, None);
        for none in ["", "# branch.oid (initial)\0# branch.head main\0", "1 .M x\0", "\0\0"] {
            assert_eq!(parse_status(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_url_is_that_of_the_remote_the_branch_follows() {
        let all = "remote.origin.url\nhttps://u:p@host/a\0remote.up.stream.url\ngit@host:b\0\
                   branch.dev.remote\nup.stream\0branch.odd.remote\n.\0";
        assert_eq!(remote_url(all, Some("dev")).as_deref(), Some("git@host:b"));
        for branch in [None, Some("main"), Some("odd")] {
            assert_eq!(remote_url(all, branch).as_deref(), Some("https://host/a"));
        }
        assert_eq!(remote_url("remote.up.url\nx\0", Some("main")), None);
        assert_eq!(remote_url("remote.origin.url\na\nb\0", None), None);
    }

    /// A program named `git` that is this script.
    fn git(script: &str) -> (tempfile::TempDir, Surroundings) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("git");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        let path = vec![dir.path().to_path_buf(), "/usr/bin".into(), "/bin".into()];
        (dir, Surroundings { path, ..Surroundings::default() })
    }

    #[test]
    fn a_git_that_hangs_is_stopped() {
        for script in ["exec sleep 600", "sleep 600", "exec >&-; exec sleep 600"] {
            let (dir, surroundings) = git(script);
            let program = surroundings.programs("git").next().unwrap();
            let git = Git { program, root: dir.path(), surroundings: &surroundings };
            let answer = git.source(Duration::from_millis(50));
            assert!(matches!(answer, Err(NoAnswer) | Ok(None)), "{script}");
        }
    }

    #[test]
    fn a_git_that_never_stops_talking_is_cut_off() {
        let header = format!("# branch.oid {COMMIT}\\0# branch.head main\\0");
        let (dir, surroundings) = git(&format!("printf '{header}'; exec yes '1 .M a'"));
        let source = look(dir.path(), &surroundings).unwrap();
        assert_eq!((source.commit.as_str(), source.dirty, source.url), (COMMIT, true, None));
    }

    #[test]
    fn a_git_that_fails_or_lies_is_no_source() {
        let long = "x".repeat(9000);
        for script in [
            "exit 128",
            "kill -9 $$",
            &format!("printf '# branch.oid {COMMIT}\\0'; exit 1"),
            "printf '# branch.oid ../../etc\\0'",
            &format!("printf '# branch.oid {COMMIT}\\0# branch.head a\\033[31m\\0'"),
            &format!("printf '# branch.oid {COMMIT}\\0# branch.head {long}\\0'"),
        ] {
            let (dir, surroundings) = git(script);
            assert_eq!(look(dir.path(), &surroundings), None, "{script}");
        }
    }

    #[test]
    fn git_is_not_asked_without_a_repository_nor_from_a_relative_path() {
        let (dir, mut surroundings) = git(&format!("printf '# branch.oid {COMMIT}\\0'"));
        assert!(look(dir.path(), &surroundings).is_some());
        fs::remove_dir(dir.path().join(".git")).unwrap();
        assert_eq!(look(dir.path(), &surroundings), None);
        fs::write(dir.path().join(".git"), "gitdir: elsewhere").unwrap();
        assert!(look(dir.path(), &surroundings).is_some());
        surroundings.path = vec![".".into(), "bin".into()];
        assert_eq!(look(dir.path(), &surroundings), None);
    }
}
