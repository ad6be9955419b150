//! A command of the user's, run to its end or stopped together with this program.
//!
//! It gets a process group of its own: whatever it starts can be stopped with it, and Ctrl-C reaches
//! it through us, so that what it works on is removed only after it has ended.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use mv_store::Progress;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::failure::{Failure, Result};
use crate::format;
use crate::host::Host;

/// How long a command may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// The file that a shell would run for a command's first word. One with a slash is left as it is:
/// it is looked up where the command runs.
pub(crate) fn find(word: &OsStr, host: &Host) -> Result<PathBuf> {
    if word.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(word));
    }
    let path = host.variable("PATH").unwrap_or_default();
    // Relative entries would look in whatever version is being tested.
    let mut dirs = std::env::split_paths(path).filter(|dir| dir.is_absolute());
    let runs = |p: &PathBuf| p.metadata().is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0);
    dirs.find_map(|dir| Some(dir.join(word)).filter(runs)).ok_or_else(|| {
        Failure::usage(format!("there is no command `{}`", word.to_string_lossy()))
            .hint("look for it with `command -v NAME`, or name the program by its whole path")
    })
}

/// Runs a command in a directory, without input; what it prints goes to stderr, or nowhere.
pub(crate) fn run(
    program: &Path,
    args: &[OsString],
    dir: &Path,
    variables: &[(&str, &OsStr)],
    silent: bool,
    host: &Host,
    progress: &Progress,
) -> Result<Ended> {
    let output = || match silent {
        true => Ok(Stdio::null()),
        false => io::stderr().as_fd().try_clone_to_owned().map(Stdio::from),
    };
    let failed = |e: io::Error| cannot_run(program, &e);
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).env_clear().envs(&host.variables);
    command.envs(variables.iter().copied()).stdin(Stdio::null()).process_group(0);
    let mut child = command
        .stdout(output().map_err(failed)?)
        .stderr(output().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let status = wait(&mut child, progress).map_err(failed)?;
    progress.check().map_err(mv_repo::Error::from)?;
    Ok(match status.code() {
        Some(code) => Ended::Code(code),
        None => Ended::Signal(status.signal().unwrap_or(0)),
    })
}

/// Waits for the end; once this program is to stop, asks the command to stop too, then makes it.
fn wait(child: &mut Child, progress: &Progress) -> io::Result<ExitStatus> {
    let mut pause = Duration::from_millis(1);
    let mut asked: Option<Instant> = None;
    loop {
        // Its number stays taken until it is asked for its status, so that the group is still its own.
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if waitid(WaitId::Pid(Pid::from_child(child)), peek)?.is_some() {
            // What it left running would go on in a directory that is about to change.
            signal(child, Signal::KILL);
            return child.wait();
        }
        match asked {
            None if progress.cancelled() => {
                signal(child, Signal::INT);
                asked = Some(Instant::now());
            }
            Some(at) if at.elapsed() > GRACE => signal(child, Signal::KILL),
            _ => {}
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn signal(child: &Child, signal: Signal) {
    // Nobody is left to get it: that is what was wanted.
    kill_process_group(Pid::from_child(child), signal).ok();
}

fn cannot_run(program: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot run `{}`: {error}", format::text(&program.to_string_lossy()));
    match error.kind() {
        io::ErrorKind::NotFound => Failure::usage(message).hint(
            "a path is looked up in the version that is tested; name the program by its whole path",
        ),
        io::ErrorKind::PermissionDenied => {
            Failure::system(message).hint("make it executable with `chmod +x`, or run it with `sh`")
        }
        _ => Failure::system(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::host;

    fn sh(script: &str) -> Ended {
        let mut host = host();
        host.set("PATH", "/usr/bin:/bin");
        let args = [OsString::from("-c"), OsString::from(script)];
        let variables = [("MV_ID", OsStr::new("abc"))];
        let program = find(OsStr::new("sh"), &host).unwrap();
        run(&program, &args, Path::new("/"), &variables, true, &host, &Progress::new()).unwrap()
    }

    #[test]
    fn a_command_ends_with_a_code_or_a_signal() {
        assert_eq!(sh("exit 3"), Ended::Code(3));
        assert_eq!(sh("[ \"$MV_ID\" = abc ] && [ \"$PWD\" = / ]"), Ended::Code(0));
        assert_eq!(sh("kill -9 $$"), Ended::Signal(9));
    }

    #[test]
    fn a_command_is_stopped_with_this_program() {
        let mut host = host();
        host.set("PATH", "/usr/bin:/bin");
        let progress = Progress::new();
        progress.cancel();
        let program = find(OsStr::new("sleep"), &host).unwrap();
        let stopped = run(&program, &["1000".into()], Path::new("/"), &[], true, &host, &progress);
        assert_eq!(stopped.unwrap_err().exit, 130);
    }

    #[test]
    fn only_absolute_entries_of_the_path_are_searched() {
        let mut host = host();
        host.set("PATH", "bin:.::");
        assert_eq!(find(OsStr::new("sh"), &host).unwrap_err().exit, 2);
        assert_eq!(find(OsStr::new("./sh"), &host).unwrap(), Path::new("./sh"));
    }
}
