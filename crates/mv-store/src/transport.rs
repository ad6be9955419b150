//! A place that keeps named byte objects: a directory here, a bucket in `mv-remote`.
//!
//! What may be assumed of every implementation, and nothing more:
//!
//! - [`Transport::create`] is create-if-absent: of any number of racing callers one wins, and what
//!   it wrote is whole and durable when the call returns. A call that fails may still have worked:
//!   read the name back before deciding.
//! - [`Transport::upload`] is durable when it returns and shows nothing before it is whole. Nobody
//!   else uses the name, so no condition is needed.
//! - A name is written once and never changes; it can only be deleted. The one exception is
//!   [`Transport::note`], whose content is advice.
//! - [`Transport::list`] may lag behind; [`Transport::read`] of a known name does not.

use std::time::Duration;

use crate::error::Result;
use crate::hash::Nonce;
use crate::progress::Task;

/// What is known of an object without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its length in bytes.
    pub len: u64,
    /// When it was written, in nanoseconds since 1970 by the clock of whoever keeps it.
    pub modified_ns: i64,
}

/// Bytes of a known length that can be read from any place, by several threads at once.
pub trait Source: Sync {
    /// How many there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills the buffer with the bytes from `offset` on.
    ///
    /// # Errors
    /// `Io`, `Corrupt` when they end before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;
}

/// Named byte objects, written once. Names are `/`-separated, for instance `packs/ab/<pack-id>`.
pub trait Transport: Send + Sync {
    /// Reads a whole object.
    ///
    /// # Errors
    /// `Absent` if there is none, `Corrupt` if it is larger than `cap` bytes, `Io`, `Remote`.
    fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>>;

    /// Reads exactly `len` bytes from `start`.
    ///
    /// # Errors
    /// `Absent`, `Corrupt` if the object ends before, `Io`, `Remote`.
    fn read_range(&self, name: &str, start: u64, len: u64) -> Result<Vec<u8>>;

    /// Fills the buffer with the bytes from `start` on: [`Transport::read_range`] for those who have
    /// room already.
    ///
    /// # Errors
    /// As [`Transport::read_range`].
    fn read_into(&self, name: &str, start: u64, buffer: &mut [u8]) -> Result<()> {
        let bytes = self.read_range(name, start, buffer.len() as u64)?;
        if bytes.len() != buffer.len() {
            return Err(crate::error::Error::corrupt("object", name, "it ends too early"));
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    /// Reads the last `len` bytes, or all if there are fewer, and tells the object's length: one
    /// request, where asking for the length first would be two.
    ///
    /// # Errors
    /// `Absent`, `Io`, `Remote`.
    fn read_end(&self, name: &str, len: u64) -> Result<(Vec<u8>, u64)>;

    /// Length and age, or none if there is no such object.
    ///
    /// # Errors
    /// `Io`, `Remote`.
    fn stat(&self, name: &str) -> Result<Option<Stat>>;

    /// The object's length in bytes, or none.
    ///
    /// # Errors
    /// `Io`, `Remote`.
    fn size(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.stat(name)?.map(|stat| stat.len))
    }

    /// Creates a small object if there is none of that name; durable when it returns.
    ///
    /// # Errors
    /// `Exists` if the name is taken, `Io`, `Remote`.
    fn create(&self, name: &str, bytes: &[u8], nonce: &Nonce) -> Result<()>;

    /// Writes a large object under a name that nobody else uses; durable when it returns.
    ///
    /// # Errors
    /// `Cancelled`, `Io`, `Remote`, and those of the source.
    fn upload(&self, name: &str, source: &dyn Source, nonce: &Nonce, task: &Task) -> Result<()>;

    /// Replaces a small object whose content is only advice: [`NEWEST`]. A reader may see the old
    /// one, the new one or none.
    ///
    /// # Errors
    /// `Io`, `Remote`.
    fn note(&self, name: &str, bytes: &[u8], nonce: &Nonce) -> Result<()>;

    /// The full names directly below `prefix`, in any order. An absent prefix is empty.
    ///
    /// # Errors
    /// `Io`, `Remote`.
    fn list(&self, prefix: &str) -> Result<Vec<String>>;

    /// Deletes the object; one that is not there counts as deleted.
    ///
    /// # Errors
    /// `Io`, `Remote`.
    fn delete(&self, name: &str) -> Result<()>;

    /// Removes what uploads that were cut off left behind, if it was last written before `before_ns` and
    /// nobody holds it. Best effort; where the place does this by itself there is nothing to do.
    fn sweep(&self, before_ns: i64) {
        let _ = before_ns;
    }

    /// How many requests are worth having under way at once: one for each processor on a local disk,
    /// more where each takes long.
    fn lanes(&self) -> usize {
        2
    }

    /// What of it [`Transport::create`] relies on, for people.
    fn condition(&self) -> &'static str {
        "conditional creation"
    }

    /// Where it is, for people, without credentials.
    fn address(&self) -> String {
        "unnamed".to_owned()
    }

    /// Waits before another try after a lost race: longer with each turn, and `draw` (any number)
    /// keeps those who lost together from meeting again.
    fn back_off(&self, turn: u32, draw: u64) {
        let most = 10u64 << turn.min(7);
        std::thread::sleep(Duration::from_millis(draw % most));
    }
}

/// The object that tells readers who cannot list, such as those of a plain web server, which record
/// was lately the newest: twenty digits and a newline. It is advice; whoever reads it walks on.
pub const NEWEST: &str = "newest";
