//! Puts the bytes of a stat cache together; `stat_cache` shows the layout.

use mv_graph::{Component, Mode};
use mv_store::{Hash, Kind, id_of};

use super::stat_cache::{CacheEntry, CacheHeader, DirView, MAGIC, RECORD, VERSION};

/// A cache under construction. Directories come in path order, entries in name order.
#[derive(Debug)]
pub(super) struct CacheBuilder {
    bytes: Vec<u8>,
    counts_at: usize,
    dirs: u32,
    entries: u64,
    records: Vec<u8>,
    names: Vec<u8>,
}

impl CacheBuilder {
    /// Begins a cache; `room` is a guess of its size in bytes.
    pub(super) fn new(header: &CacheHeader, room: usize) -> CacheBuilder {
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.push(u8::from(header.head.is_some()));
        bytes.extend_from_slice(&header.head.unwrap_or(Hash::ZERO).0);
        bytes.extend_from_slice(&header.rules.0);
        bytes.extend_from_slice(&header.stamp_ns.to_le_bytes());
        // An id too long for its field cannot equal the next boot's: that is the safe side.
        let boot = header.boot_id.as_bytes();
        let boot = if boot.len() > 255 { &[] } else { boot };
        bytes.push(boot.len() as u8);
        bytes.extend_from_slice(boot);
        let counts_at = bytes.len();
        bytes.extend_from_slice(&[0; 12]);
        CacheBuilder {
            bytes,
            counts_at,
            dirs: 0,
            entries: 0,
            records: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Adds an entry to the directory that [`CacheBuilder::close_dir`] will name.
    pub(super) fn entry(&mut self, name: &[u8], entry: &CacheEntry, racy: bool) {
        let mode = match entry.mode {
            Mode::File => 0,
            Mode::Exec => 1,
            Mode::Symlink => 2,
            Mode::Dir => return,
        };
        self.names.extend_from_slice(name);
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&(self.names.len() as u32).to_le_bytes());
        record[4] = mode;
        record[5] = component_code(entry.component);
        record[6] = u8::from(racy);
        record[8..16].copy_from_slice(&entry.stat.size.to_le_bytes());
        record[16..24].copy_from_slice(&entry.stat.mtime_ns.to_le_bytes());
        record[24..32].copy_from_slice(&entry.stat.ctime_ns.to_le_bytes());
        record[32..40].copy_from_slice(&entry.stat.ino.to_le_bytes());
        record[40..].copy_from_slice(&entry.id.0);
        self.records.extend_from_slice(&record);
    }

    /// Ends a directory that has the entries added since the last one.
    pub(super) fn close_dir(&mut self, path: &[u8], chain: &Hash, empty: Option<Component>) {
        let records = std::mem::take(&mut self.records);
        let names = std::mem::take(&mut self.names);
        self.dir(&DirView { path, chain: *chain, empty, records: &records, names: &names });
        (self.records, self.names) = (records, names);
        self.records.clear();
        self.names.clear();
    }

    /// Adds a whole directory as another cache has it.
    pub(super) fn dir(&mut self, dir: &DirView<'_>) {
        // `RepoPath` keeps paths to 4096 bytes and four GiB of names are over the cache's limit.
        self.bytes.extend_from_slice(&(dir.path.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(dir.path);
        self.bytes.extend_from_slice(&dir.chain.0);
        self.bytes.push(dir.empty.map_or(0, |component| 1 + component_code(component)));
        self.bytes.extend_from_slice(&(dir.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&(dir.names.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(dir.records);
        self.bytes.extend_from_slice(dir.names);
        self.dirs += 1;
        self.entries += dir.len() as u64;
    }

    /// The finished bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let counts = &mut self.bytes[self.counts_at..self.counts_at + 12];
        counts[..4].copy_from_slice(&self.dirs.to_le_bytes());
        counts[4..].copy_from_slice(&self.entries.to_le_bytes());
        let checksum = id_of(Kind::Blob, &self.bytes);
        self.bytes.extend_from_slice(&checksum.0);
        self.bytes
    }
}

fn component_code(component: Component) -> u8 {
    Component::ALL.iter().position(|&c| c == component).map_or(0, |at| at as u8)
}
