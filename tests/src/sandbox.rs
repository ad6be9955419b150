//! [`Sandbox`]: a project in a temporary directory, and the program run in it with nothing
//! inherited but what is written here.
//!
//! The clock stands still except that each run of the program is a second later than the last.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::files::Files;
use crate::session::START;

/// A temporary directory that holds a project, a home, and nothing else.
pub struct Sandbox {
    dir: TempDir,
    root: PathBuf,
    /// Seconds since [`START`] of the latest run.
    seconds: AtomicI64,
}

/// What one run of the program left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; minus the signal's number when a signal ended it.
    pub code: i32,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// Standard output as it is.
    pub stdout_bytes: Vec<u8>,
    /// Standard error as it is.
    pub stderr_bytes: Vec<u8>,
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Output {
        let code = output.status.code().or_else(|| Some(-output.status.signal()?));
        Output {
            code: code.unwrap(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            stdout_bytes: output.stdout,
            stderr_bytes: output.stderr,
        }
    }
}

impl Output {
    /// Asserts the exit code; returns the output for more.
    ///
    /// # Panics
    /// On another code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Output {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Asserts that the command failed as it should: this code, first line of stderr an error in
    /// one line, no panic, no control bytes anywhere.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn clean_fail(self, code: i32) -> Output {
        let output = self.expect(code);
        assert!(output.stderr.starts_with("error: "), "stderr: {}", output.stderr);
        output.printable();
        for word in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!output.stderr.contains(word), "stderr: {}", output.stderr);
        }
        output
    }

    /// Asserts that nothing printed could drive a terminal.
    ///
    /// # Panics
    /// When there is a control character other than a newline or tab, or bytes that are no UTF-8.
    #[track_caller]
    pub fn printable(&self) {
        for (name, bytes) in [("stdout", &self.stdout_bytes), ("stderr", &self.stderr_bytes)] {
            let text = std::str::from_utf8(bytes);
            let text = text.unwrap_or_else(|_| panic!("{name} is not UTF-8: {bytes:?}"));
            let hidden = |c: &char| {
                (c.is_control() && *c != '\n' && *c != '\t')
                    || matches!(*c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            };
            assert_eq!(text.chars().find(hidden), None, "{name}: {text:?}");
        }
    }

    /// Standard output as one JSON document.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout_bytes)
            .unwrap_or_else(|e| panic!("{e}: stdout {:?}, stderr {:?}", self.stdout, self.stderr))
    }
}

impl Default for Sandbox {
    fn default() -> Sandbox {
        Sandbox::new()
    }
}

impl Sandbox {
    /// A project directory with a new repository in it.
    #[must_use]
    #[track_caller]
    pub fn new() -> Sandbox {
        let sandbox = Sandbox::bare();
        sandbox.ok(&["init", "--name", "model"]);
        sandbox
    }

    /// An empty project directory without a repository.
    #[must_use]
    pub fn bare() -> Sandbox {
        Sandbox::bare_in(&std::env::temp_dir())
    }

    /// As [`Sandbox::bare`], below the given directory.
    #[must_use]
    pub fn bare_in(parent: &Path) -> Sandbox {
        let dir = tempfile::Builder::new().prefix("mv-sandbox").tempdir_in(parent).unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        let root = base.join("project");
        for name in ["project", "home", "bin"] {
            fs::create_dir(base.join(name)).unwrap();
        }
        for name in ["mv", "mver"] {
            symlink(Sandbox::program(), base.join("bin").join(name)).unwrap();
        }
        Sandbox { dir, root, seconds: AtomicI64::new(0) }
    }

    /// The program's file: beside the test binary's directory, or what `MV_UNDER_TEST` names.
    ///
    /// # Panics
    /// When it was not built.
    #[must_use]
    pub fn program() -> PathBuf {
        if let Some(path) = std::env::var_os("MV_UNDER_TEST") {
            return path.into();
        }
        let test = std::env::current_exe().unwrap();
        let path = test.ancestors().nth(2).unwrap().join("mv-under-test");
        assert!(path.is_file(), "`{}` was not built", path.display());
        path
    }

    /// The project's root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The repository folder.
    #[must_use]
    pub fn dot(&self) -> PathBuf {
        self.root.join(".mv")
    }

    /// The temporary directory around the project: things outside the repository go here.
    #[must_use]
    pub fn outside(&self) -> PathBuf {
        self.root.parent().unwrap().to_path_buf()
    }

    /// The user's home.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.outside().join("home")
    }

    /// Moves the clock forward.
    pub fn advance(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Seconds since 1970 on the sandbox's clock.
    #[must_use]
    pub fn now(&self) -> i64 {
        START + self.seconds.load(Ordering::Relaxed)
    }

    /// A command that runs the program as `mver` in the project, a second later than the one
    /// before. Add to it and run it, for what the shorter ways do not offer.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command_for(&Sandbox::program())
    }

    /// A command that runs another program in the same surroundings, such as a shell; `mv` and
    /// `mver` are first on its PATH.
    #[must_use]
    pub fn command_for(&self, program: &Path) -> Command {
        self.advance(1);
        let now = mv_graph::Time { ns: self.now() * 1_000_000_000, offset_minutes: 0 };
        let mut command = Command::new(program);
        if program == Sandbox::program() {
            command.arg0("mver");
        }
        let path = format!("{}:/usr/bin:/bin", self.outside().join("bin").display());
        command
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home())
            .env("LANG", "C")
            .env("TZ", "UTC")
            .env("MV_NOW", now.to_rfc3339_utc())
            .env("MV_AUTHOR_NAME", "Ada Lovelace")
            .env("MV_AUTHOR_EMAIL", "ada@example.org");
        command
    }

    /// Runs `mver` with these arguments.
    pub fn mv(&self, args: &[&str]) -> Output {
        self.run(self.command().args(args))
    }

    /// Runs `mver` with arguments that need not be UTF-8.
    pub fn mv_os(&self, args: &[&OsStr]) -> Output {
        self.run(self.command().args(args))
    }

    /// Runs the program under another name: `mv` behaves unlike `mver`.
    pub fn mv_as(&self, argv0: &str, args: &[&str]) -> Output {
        self.run(self.command().arg0(argv0).args(args))
    }

    /// Runs `mver` in another directory; a relative one is taken from the root.
    pub fn mv_in(&self, dir: impl AsRef<Path>, args: &[&str]) -> Output {
        self.run(self.command().current_dir(self.root.join(dir)).args(args))
    }

    /// Runs a command from [`Sandbox::command`].
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self, command: &mut Command) -> Output {
        command.output().unwrap().into()
    }

    /// Runs `mver` and asserts exit code 0.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> Output {
        let output = self.mv(args);
        assert_eq!(output.code, 0, "{args:?}: {}\n{}", output.stdout, output.stderr);
        output
    }

    /// Runs `mver --json`, asserts exit code 0 and returns the document.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.mv(&[&["--json"], args].concat());
        assert_eq!(output.code, 0, "{args:?}: {}\n{}", output.stdout, output.stderr);
        output.json()
    }

    /// Commits everything; returns the id.
    #[track_caller]
    pub fn commit(&self, message: &str) -> String {
        let document = self.json(&["commit", "-m", message]);
        document["id"].as_str().unwrap().to_owned()
    }

    /// Writes a file below the root, with the directories that it needs.
    pub fn write(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A file's bytes.
    #[must_use]
    #[track_caller]
    pub fn read(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let path = self.root.join(path);
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Whether there is anything under that name.
    #[must_use]
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.root.join(path).symlink_metadata().is_ok()
    }

    /// Removes a file, or a directory with all that is in it.
    pub fn remove(&self, path: impl AsRef<Path>) {
        let path = self.root.join(path);
        if path.symlink_metadata().unwrap().is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    /// Makes a symlink below the root.
    pub fn symlink(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    /// Sets a file's mode bits.
    pub fn chmod(&self, path: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(self.root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The working tree as it is.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::read(&self.root)
    }

    /// Asserts that nothing in the repository is damaged.
    #[track_caller]
    pub fn sound(&self) {
        self.ok(&["fsck", "--full"]);
    }

    /// A copy with its own directory: the project, its repository and the clock.
    #[must_use]
    pub fn duplicate(&self) -> Sandbox {
        let copy = Sandbox::bare();
        copy_dir(&self.root, &copy.root);
        copy.advance(self.seconds.load(Ordering::Relaxed));
        copy
    }

    /// Keeps the directory after the test, to look at it; returns where it is.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.dir.keep()
    }
}

fn copy_dir(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success(), "cannot copy {}", from.display());
}
