//! Locks on files, which only save work.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::error::{IoContext, Result};

/// How long a waiter for a lock does nothing before it looks again.
const LOOK: Duration = Duration::from_millis(20);

/// An advisory lock on a file; it only saves work and correctness never depends on it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop, which unlocks")] File);

impl Lock {
    /// Takes the lock, waiting for another holder in this or another process.
    ///
    /// # Errors
    /// `Io` when the file cannot be made.
    pub fn wait(path: &Path) -> Result<Lock> {
        let file = lock_file(path)?;
        // A file system without locks answers with an error; work goes on without.
        drop(file.lock());
        Ok(Lock(file))
    }

    /// Takes the lock, waiting for another holder for as long as `go_on` says so. It is asked fifty
    /// times a second: a wait inside the system could not be told of, and a signal would not end it.
    ///
    /// # Errors
    /// `Io` when the file cannot be made, or what `go_on` returns.
    pub fn wait_while(
        path: &Path,
        go_on: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<Option<Lock>> {
        let file = lock_file(path)?;
        loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                // A file system without locks answers with an error; work goes on without.
                Ok(()) | Err(TryLockError::Error(_)) => return Ok(Some(Lock(file))),
            }
            if !go_on()? {
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// `Io` when the file cannot be made.
    pub fn try_now(path: &Path) -> Result<Option<Lock>> {
        let file = lock_file(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(_) => Ok(None),
        }
    }
}

fn lock_file(path: &Path) -> Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o644)
        .custom_flags(flags)
        .open(path)
        .at("open", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_lock_is_waited_for_only_as_long_as_the_caller_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::try_now(&path).unwrap();
        let mut looks = 0;
        let mut go_on = || {
            looks += 1;
            Ok(looks < 3)
        };
        assert!(Lock::wait_while(&path, &mut go_on).unwrap().is_none());
        assert_eq!(looks, 3);
        let stopped = Lock::wait_while(&path, &mut || Err(Error::Cancelled));
        assert!(matches!(stopped, Err(Error::Cancelled)));
        drop(held);
        let free = Lock::wait_while(&path, &mut || Err(Error::Cancelled));
        assert!(free.unwrap().is_some());
    }
}
