//! The outside world, as values: arguments' zeroth word, directory, variables, clock, streams.
//!
//! Everything the command line takes from its process is in [`Host`], so that a test can run a
//! whole command with a fixed clock and two byte vectors.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;
use mv_graph::Time;
use mv_repo::Machine;

/// What one run of the program sees of the machine and the user.
pub struct Host {
    /// The name the program was called by.
    pub argv0: OsString,
    /// The current directory; none when it was deleted.
    pub cwd: Option<PathBuf>,
    /// The environment.
    pub variables: HashMap<OsString, OsString>,
    /// The present time with the local offset.
    pub clock: Box<dyn Fn() -> Time + Send + Sync>,
    /// Fresh random bytes, another 32 at each call.
    pub random: Box<dyn Fn() -> io::Result<[u8; 32]> + Send + Sync>,
    /// Tells one run of the machine from the next.
    pub boot_id: String,
    /// The number of the user.
    pub uid: u32,
    /// The name of the machine.
    pub hostname: String,
    /// What the kernel calls the machine.
    pub machine: Machine,
    /// Where the system's files are, `/`; none when the system is not to be looked at.
    pub system_root: Option<PathBuf>,
    /// The file this program runs from, to find the next `mv` on PATH.
    pub executable: Option<PathBuf>,
    /// Where data goes.
    pub stdout: Stream,
    /// Where talk goes.
    pub stderr: Stream,
    /// Columns of the terminal that stdout is, if it is one.
    pub width: Option<usize>,
    /// Whether this is a process of its own: signal handlers are installed, exec is allowed.
    pub process: bool,
}

/// One of the two output streams.
pub struct Stream {
    /// Protects the bytes' order only; never held across anything but one write.
    writer: Mutex<Box<dyn Write + Send>>,
    /// Whether a person looks at it.
    pub terminal: bool,
}

impl Stream {
    /// A stream that writes to `writer`.
    #[must_use]
    pub fn new(writer: Box<dyn Write + Send>, terminal: bool) -> Stream {
        Stream { writer: Mutex::new(writer), terminal }
    }

    /// Writes all bytes and flushes.
    ///
    /// # Errors
    /// The writer's own.
    pub fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(bytes)?;
        writer.flush()
    }
}

impl Host {
    /// The facts of the running process.
    #[must_use]
    pub fn from_process(argv0: OsString) -> Host {
        let out = io::stdout();
        let err = io::stderr();
        let uname = rustix::system::uname();
        let text = |s: &std::ffi::CStr| s.to_string_lossy().into_owned();
        let width = if out.is_terminal() { columns() } else { None };
        Host {
            argv0,
            cwd: std::env::current_dir().ok(),
            variables: std::env::vars_os().collect(),
            clock: Box::new(present),
            random: Box::new(random),
            boot_id: boot_id(),
            uid: rustix::process::getuid().as_raw(),
            hostname: text(uname.nodename()),
            machine: Machine {
                system: text(uname.sysname()),
                release: text(uname.release()),
                arch: text(uname.machine()),
            },
            system_root: Some(PathBuf::from("/")),
            executable: std::env::current_exe().ok(),
            stdout: Stream::new(raw(&out), out.is_terminal()),
            stderr: Stream::new(raw(&err), err.is_terminal()),
            width,
            process: true,
        }
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|v| !v.is_empty())
    }

    /// A variable that is set, not empty and UTF-8.
    #[must_use]
    pub fn text_variable(&self, name: &str) -> Option<&str> {
        self.variable(name).and_then(OsStr::to_str)
    }

    /// The file name the program was called by: `mv`, `mver`.
    #[must_use]
    pub fn called_as(&self) -> String {
        let name = PathBuf::from(&self.argv0);
        name.file_name().map_or_else(|| "mver".to_owned(), |n| n.to_string_lossy().into_owned())
    }

    /// The name to use in hints and usage lines: `mv` only when that is what was typed.
    #[must_use]
    pub fn program(&self) -> &'static str {
        if self.called_as() == "mv" { "mv" } else { "mver" }
    }
}

/// The descriptor behind std's handle. std's own `Stdout` hides `EBADF` and splits at newlines;
/// a duplicate of the descriptor reports every failure and is written in large pieces.
fn raw(stream: &impl AsFd) -> Box<dyn Write + Send> {
    match stream.as_fd().try_clone_to_owned() {
        Ok(fd) => Box::new(File::from(fd)),
        Err(error) => Box::new(Broken(error.kind())),
    }
}

/// A stream that could not be opened: every write says so.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

fn columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|&n| n >= 20)
}

fn present() -> Time {
    let now = jiff::Timestamp::now();
    let ns = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
    let minutes = i16::try_from(zone().to_offset(now).seconds() / 60).unwrap_or(0);
    Time { ns, offset_minutes: minutes }
}

/// The time zone here. Where no variable names one, its rules are read from the machine's own file: to
/// look its name up, all names that there are would be listed first.
fn zone() -> TimeZone {
    let named = std::env::var_os("TZ").is_some_and(|name| !name.is_empty());
    let rules = if named { None } else { std::fs::read("/etc/localtime").ok() };
    let own = rules.and_then(|rules| TimeZone::tzif("local", &rules).ok());
    own.unwrap_or_else(TimeZone::system)
}

fn random() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| io::Error::other(e.to_string()))?;
    Ok(seed)
}

fn boot_id() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Arc;

    /// Bytes that a test can look at afterwards.
    #[derive(Clone, Default)]
    pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        pub(crate) fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A host with a fixed clock, no variables and output that goes nowhere.
    pub(crate) fn host() -> Host {
        Host {
            argv0: "mver".into(),
            cwd: None,
            variables: HashMap::new(),
            clock: Box::new(|| Time { ns: 0, offset_minutes: 0 }),
            random: Box::new(|| Ok([7; 32])),
            boot_id: "boot".into(),
            uid: 1000,
            hostname: "machine".into(),
            machine: Machine::default(),
            system_root: None,
            executable: None,
            stdout: Stream::new(Box::new(io::sink()), false),
            stderr: Stream::new(Box::new(io::sink()), false),
            width: None,
            process: false,
        }
    }

    /// A host in `dir` with what it prints.
    pub(crate) fn host_in(dir: &std::path::Path) -> (Host, Shared, Shared) {
        let (out, err) = (Shared::default(), Shared::default());
        let mut host = host();
        host.cwd = Some(dir.to_path_buf());
        host.stdout = Stream::new(Box::new(out.clone()), false);
        host.stderr = Stream::new(Box::new(err.clone()), false);
        (host, out, err)
    }

    impl Host {
        pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
            self.variables.insert(name.into(), value.into());
        }
    }
}
