//! A place that keeps named byte objects: a directory here, a bucket in `mv-remote`.
//!
//! What may be assumed of every implementation, and nothing more:
//!
//! - [`Transport::create`] is create-if-absent: of any number of racing callers one wins, and what
//!   it wrote is whole and durable when the call returns. A call that fails may still have worked:
//!   read the name back before deciding.
//! - A name is written once and never changes; it can only be deleted.
//! - [`Transport::list`] may lag behind; [`Transport::read`] of a known name does not.

use crate::error::Result;
use crate::hash::Nonce;

/// Named byte objects, written once. Names are `/`-separated, for instance `packs/ab/<pack-id>`.
pub trait Transport: Send + Sync {
    /// Reads a whole object.
    ///
    /// # Errors
    /// `Absent` if there is none, `Corrupt` if it is larger than `cap` bytes, `Io`.
    fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>>;

    /// Reads exactly `len` bytes from `start`.
    ///
    /// # Errors
    /// `Absent`, `Corrupt` if the object ends before, `Io`.
    fn read_range(&self, name: &str, start: u64, len: u64) -> Result<Vec<u8>>;

    /// The object's length in bytes, or none.
    ///
    /// # Errors
    /// `Io`.
    fn size(&self, name: &str) -> Result<Option<u64>>;

    /// Creates the object if there is none of that name; durable when it returns.
    ///
    /// # Errors
    /// `Exists` if the name is taken, `Io`.
    fn create(&self, name: &str, bytes: &[u8], nonce: &Nonce) -> Result<()>;

    /// The full names directly below `prefix`, in any order. An absent prefix is empty.
    ///
    /// # Errors
    /// `Io`.
    fn list(&self, prefix: &str) -> Result<Vec<String>>;

    /// Deletes the object; one that is not there counts as deleted.
    ///
    /// # Errors
    /// `Io`.
    fn delete(&self, name: &str) -> Result<()>;
}
