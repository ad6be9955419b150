//! What the walk leaves behind for one directory.

use mv_graph::{Component, Mode};
use mv_store::Hash;

use super::stat::Stat;

/// What the walk found in one directory.
#[derive(Debug)]
pub(super) struct ScannedDir {
    pub(super) path: Vec<u8>,
    /// The fingerprint of the ignore files that hold here.
    pub(super) chain: Hash,
    /// Its number in the cache, if it is there.
    pub(super) cached: Option<usize>,
    /// Its component if it is truly empty, hence itself versioned.
    pub(super) empty: Option<Component>,
    /// Its files; none when they are exactly those of the cache.
    pub(super) own: Option<OwnFiles>,
}

/// The files of a directory that differs from the cache, by name.
#[derive(Debug, Default)]
pub(super) struct OwnFiles {
    pub(super) entries: Vec<Entry>,
    pub(super) names: Vec<u8>,
}

/// One file or symlink.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) name_end: u32,
    /// Its number in the cache's directory, or `u32::MAX`.
    pub(super) cached: u32,
    pub(super) mode: Mode,
    pub(super) component: Component,
    /// The cache vouches for the content.
    pub(super) known: bool,
    /// The cache's entry holds in all respects.
    pub(super) same: bool,
    pub(super) stat: Stat,
}

impl OwnFiles {
    /// The name of an entry.
    pub(super) fn name(&self, index: usize) -> &[u8] {
        let end = |i: usize| self.entries.get(i).map_or(0, |e| e.name_end as usize);
        let begin = if index == 0 { 0 } else { end(index - 1) };
        self.names.get(begin..end(index)).unwrap_or_default()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.names.clear();
    }

    /// Adds files whose names sort after these.
    pub(super) fn append(&mut self, other: &OwnFiles) {
        let shift = self.names.len() as u32;
        self.names.extend_from_slice(&other.names);
        let moved = |e: &Entry| Entry { name_end: e.name_end + shift, ..*e };
        self.entries.extend(other.entries.iter().map(moved));
    }
}
