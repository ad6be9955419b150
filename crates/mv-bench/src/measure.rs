//! Running a program: how long it took, and the most memory that it held.

use std::fmt;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};

/// How often the memory of a running program is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A program that ended well.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Wall time.
    pub(crate) seconds: f64,
    /// What it printed.
    pub(crate) output: Vec<u8>,
}

/// A program that was watched to its end, good or bad.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Wall time.
    pub(crate) seconds: f64,
    /// Most resident memory, in bytes.
    pub(crate) peak: u64,
    /// How it ended.
    pub(crate) end: End,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With exit code 0.
    Well,
    /// Stopped, because its time was over.
    Stopped,
    /// With another exit code; the first line that it said.
    Badly(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Well => Ok(()),
            End::Stopped => f.write_str("stopped"),
            End::Badly(why) => f.write_str(why),
        }
    }
}

/// Runs a program to its end; anything but exit code 0 is a failure.
pub(crate) fn run(command: &mut Command) -> Result<Ran> {
    let start = Instant::now();
    let done = command.stdin(Stdio::null()).output().map_err(|e| told(command, &e.to_string()))?;
    let seconds = start.elapsed().as_secs_f64();
    if done.status.success() {
        return Ok(Ran { seconds, output: done.stdout });
    }
    let words = [done.stdout, done.stderr].concat();
    Err(told(command, &format!("{}: {}", done.status, String::from_utf8_lossy(&words).trim())))
}

/// Runs a program and reads the high-water mark that the kernel keeps of its memory until it ends.
///
/// The mark that `wait` reports begins at the memory of whoever started the program, which here may
/// hold gigabytes; this one begins anew with the program. Its last two milliseconds are not seen.
pub(crate) fn watch(command: &mut Command, limit: Duration) -> Result<Watched> {
    let mut errors = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.try_clone()?);
    let start = Instant::now();
    let mut child = command.spawn().map_err(|e| told(command, &e.to_string()))?;
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut stopped) = (0, false);
    let ended = loop {
        if let Some(ended) = child.try_wait()? {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        peak = peak.max(high_water(&text).unwrap_or(0));
        if !stopped && start.elapsed() > limit {
            stopped = true;
            child.kill()?;
        }
        std::thread::sleep(LOOK);
    };
    let seconds = start.elapsed().as_secs_f64();
    let mut words = String::new();
    errors.rewind()?;
    errors.read_to_string(&mut words)?;
    let end = match words.lines().next() {
        _ if stopped => End::Stopped,
        _ if ended.success() => End::Well,
        Some(line) => End::Badly(format!("{ended}: {line}")),
        None => End::Badly(ended.to_string()),
    };
    Ok(Watched { seconds, peak, end })
}

/// The high-water mark in the text of `/proc/PID/status`, in bytes.
fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn told(command: &Command, what: &str) -> Failure {
    format!("{command:?}: {what}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_from_the_kernels_text() {
        let status = "Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t    5424 kB\nVmRSS:\t 10 kB\n";
        assert_eq!(high_water(status), Some(5424 * 1024));
        assert_eq!(high_water("Name:\tzombie\n"), None);
    }
}
