//! The stat cache `.mv/worktree/stat`: which file had which content, at which stat.
//!
//! It only saves work. Whatever is wrong with the file, it counts as empty and files are hashed
//! again; so it is written without fsync. An entry answers for a file only when kind, size, mtime,
//! ctime and inode are equal and the entry is not racy: a file written in the same tick in which
//! it was hashed, or later, could have changed without a trace.
//!
//! ```text
//! magic "MVsc" | version u32 = 1 | flags u8 (1: has a head) | head [32] | rules [32]
//! stamp i64 | boot id length u8, bytes | directories u32 | entries u64
//! per directory, in path order:
//!     path length u16, path | chain [32] | 0, or 1 + component if it is empty on disk, u8
//!     entries u32 | name bytes u32
//!     entries, by name:  name end u32 | mode u8 | component u8 | racy u8 | 0 u8
//!                        size u64 | mtime i64 | ctime i64 | inode u64 | id [32]
//!     the names, end to end
//! BLAKE3 [32] of all before
//! ```
//!
//! Numbers are little-endian. Entries have one width, so a directory is searched and walked where
//! it lies: loading reads the file once and allocates nothing per entry, and a directory without
//! changes is saved by one copy.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use mv_graph::{Component, Mode, RepoPath};
use mv_store::fs::{TempFile, open_regular, replace_cache};
use mv_store::{Hash, IoContext, Kind, Nonce, id_of, nonce_hex};
use rustix::fs::{AtFlags, CWD, statat};

use super::cache_file;
use super::order::{compare, split};
use super::stat::Stat;
use crate::error::{Error, Result};

/// No cache is larger: about ten million files.
const MAX_FILE: u64 = 2 << 30;
pub(super) const MAGIC: &[u8; 4] = b"MVsc";
pub(super) const VERSION: u32 = 1;
pub(super) const RECORD: usize = 72;
const CHECKSUM: usize = 32;

/// What the entries of a cache have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheHeader {
    /// The boot during which it was written.
    pub boot_id: String,
    /// The version that all entries together equal exactly, if they equal any.
    pub head: Option<Hash>,
    /// [`Rules::fingerprint`](super::Rules::fingerprint) of the rules that chose the components.
    pub rules: Hash,
    /// The [`stamp`] taken before the files were looked at.
    pub stamp_ns: i64,
}

/// One file, symlink or empty directory as it was when its content was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheEntry {
    /// Where it belongs.
    pub component: Component,
    /// What it is; `Dir` is an empty directory.
    pub mode: Mode,
    /// Its stat; meaningless for an empty directory.
    pub stat: Stat,
    /// Its content; `Hash::ZERO` for an empty directory.
    pub id: Hash,
}

/// What a caller learned about one path after the scan; see `Scan::save`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheUpdate {
    /// The path.
    pub path: RepoPath,
    /// What is there now; none when nothing is.
    pub entry: Option<CacheEntry>,
    /// A [`stamp`] no later than the moment at which the content was known to be this.
    pub verified_ns: i64,
}

/// A loaded stat cache. Cheap to clone.
#[derive(Debug, Clone)]
pub struct StatCache(Arc<Loaded>);

#[derive(Debug)]
struct Loaded {
    bytes: Vec<u8>,
    header: CacheHeader,
    dirs: Vec<Dir>,
    entries: u64,
}

#[derive(Debug)]
struct Dir {
    path: Range<usize>,
    chain: Hash,
    empty: Option<Component>,
    records: Range<usize>,
    names: Range<usize>,
}

/// One directory of a cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct DirView<'a> {
    pub(super) path: &'a [u8],
    pub(super) chain: Hash,
    pub(super) empty: Option<Component>,
    pub(super) records: &'a [u8],
    pub(super) names: &'a [u8],
}

/// One entry of a directory of a cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cached<'a> {
    pub(super) name: &'a [u8],
    pub(super) entry: CacheEntry,
    pub(super) racy: bool,
}

/// The file-system time now: that of a file just made in `tmp_dir`. The system's clock may be
/// finer or another machine's.
///
/// # Errors
/// `Io`.
pub fn stamp(tmp_dir: &Path, nonce: &Nonce) -> Result<i64> {
    let name = nonce_hex(nonce);
    let path = tmp_dir.join(&name);
    let _removed_when_dropped = TempFile::create(tmp_dir, &name)?;
    let raw =
        statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| Error::io("stat", &path, e))?;
    Ok(Stat::of(&raw).mtime_ns)
}

impl StatCache {
    /// A cache that knows nothing.
    #[must_use]
    pub fn empty() -> StatCache {
        let header = CacheHeader {
            boot_id: String::new(),
            head: None,
            rules: Hash::ZERO,
            stamp_ns: i64::MIN,
        };
        StatCache(Arc::new(Loaded { bytes: Vec::new(), header, dirs: Vec::new(), entries: 0 }))
    }

    /// Loads the cache file; one that is absent, damaged or of another version is empty.
    #[must_use]
    pub fn load(path: &Path) -> StatCache {
        read(path).and_then(parse).unwrap_or_else(|_| StatCache::empty())
    }

    /// Says what is wrong with the cache file. An absent one is sound, and so is one that a power cut
    /// left cut off: it is written without a sync and counts as absent.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(path: &Path) -> std::result::Result<(), String> {
        if matches!(path.symlink_metadata(), Err(e) if e.kind() == std::io::ErrorKind::NotFound) {
            return Ok(());
        }
        let cache = match read(path).and_then(parse) {
            Err(_) if read_packed(path).is_ok_and(|packed| cache_file::is_cut_off(&packed)) => {
                return Ok(());
            }
            other => other?,
        };
        for index in 0..cache.0.dirs.len() {
            let dir = cache.view(index);
            let whole = (0..dir.len()).all(|i| dir.get(i).is_some());
            let sorted = (1..dir.len()).all(|i| dir.name(i - 1) < dir.name(i));
            if !whole || !sorted {
                return Err(format!("bad entries in `{}`", mv_graph::escape_bytes(dir.path)));
            }
        }
        Ok(())
    }

    /// Writes the bytes of a cache as the cache file, atomically and without fsync.
    ///
    /// # Errors
    /// `Io`.
    pub fn write(path: &Path, bytes: &[u8], tmp_dir: &Path, nonce: &Nonce) -> Result<()> {
        let cache = parse(bytes.to_vec()).map_err(|why| Error::invalid("stat cache", why))?;
        let packed = cache_file::pack(bytes, cache.runs())
            .ok_or_else(|| Error::invalid("stat cache", "it does not pack"))?;
        Ok(replace_cache(path, &packed, tmp_dir, nonce)?)
    }

    /// What the entries have in common.
    #[must_use]
    pub fn header(&self) -> &CacheHeader {
        &self.0.header
    }

    /// The number of files and symlinks it knows.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.entries
    }

    /// Whether it knows no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.entries == 0
    }

    /// What is recorded for a path, whether or not it still holds.
    #[must_use]
    pub fn get(&self, path: &RepoPath) -> Option<CacheEntry> {
        let (dir, name) = split(path.as_bytes());
        let file = self.find(dir).and_then(|index| {
            let dir = self.view(index);
            dir.get(dir.search(name).ok()?)
        });
        file.map(|cached| cached.entry).or_else(|| {
            let component = self.view(self.find(path.as_bytes())?).empty?;
            Some(CacheEntry { component, mode: Mode::Dir, stat: Stat::default(), id: Hash::ZERO })
        })
    }

    /// The places of the entries in the cache's bytes, directory by directory.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> {
        self.0.dirs.iter().map(|dir| dir.records.clone())
    }

    /// The number of directories.
    pub(super) fn dirs(&self) -> usize {
        self.0.dirs.len()
    }

    /// The number of a directory.
    pub(super) fn find(&self, dir: &[u8]) -> Option<usize> {
        let bytes = &self.0.bytes;
        self.0.dirs.binary_search_by(|d| compare(&bytes[d.path.clone()], dir)).ok()
    }

    /// One directory; `index` is below [`StatCache::dirs`].
    pub(super) fn view(&self, index: usize) -> DirView<'_> {
        let Loaded { bytes, dirs, .. } = &*self.0;
        let dir = &dirs[index];
        DirView {
            path: &bytes[dir.path.clone()],
            chain: dir.chain,
            empty: dir.empty,
            records: &bytes[dir.records.clone()],
            names: &bytes[dir.names.clone()],
        }
    }
}

impl<'a> DirView<'a> {
    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.records.len() / RECORD
    }

    /// The name of an entry; empty past the end or when the bytes are wrong.
    pub(super) fn name(&self, index: usize) -> &'a [u8] {
        let end = |index: usize| {
            let bytes = self.records.get(index * RECORD..)?.first_chunk::<4>()?;
            usize::try_from(u32::from_le_bytes(*bytes)).ok()
        };
        let begin = if index == 0 { Some(0) } else { end(index - 1) };
        begin.zip(end(index)).and_then(|(a, b)| self.names.get(a..b)).unwrap_or_default()
    }

    /// An entry; none past the end or when the bytes are wrong.
    pub(super) fn get(&self, index: usize) -> Option<Cached<'a>> {
        let record = self.records.get(index * RECORD..)?.first_chunk::<RECORD>()?;
        let name = self.name(index);
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&record[at..at + 8]);
            bytes
        };
        let mode = match record[4] {
            0 => Mode::File,
            1 => Mode::Exec,
            2 => Mode::Symlink,
            _ => return None,
        };
        let component = component_from(record[5])?;
        let stat = Stat {
            size: u64::from_le_bytes(number(8)),
            mtime_ns: i64::from_le_bytes(number(16)),
            ctime_ns: i64::from_le_bytes(number(24)),
            ino: u64::from_le_bytes(number(32)),
        };
        let mut id = Hash::ZERO;
        id.0.copy_from_slice(&record[40..]);
        let entry = CacheEntry { component, mode, stat, id };
        (!name.is_empty()).then_some(Cached { name, entry, racy: record[6] != 0 })
    }

    /// Where a name is, or where it would be.
    pub(super) fn search(&self, name: &[u8]) -> std::result::Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.name(middle).cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

pub(super) fn component_from(code: u8) -> Option<Component> {
    Component::ALL.get(usize::from(code)).copied()
}

fn read(path: &Path) -> std::result::Result<Vec<u8>, String> {
    cache_file::unpack(&read_packed(path)?, MAX_FILE)
        .ok_or_else(|| "its checksum or structure is wrong".to_owned())
}

fn read_packed(path: &Path) -> std::result::Result<Vec<u8>, String> {
    let whole = || -> mv_store::Result<Vec<u8>> {
        let file = open_regular(path)?;
        let length = file.metadata().at("stat", path)?.len().min(MAX_FILE + 1);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).at("read", path)?;
        Ok(bytes)
    };
    whole().map_err(|e| e.to_string())
}

/// Takes bytes off the front of what is left.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn skip(&mut self, length: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len())?;
        Some(std::mem::replace(&mut self.at, end)..end)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let range = self.skip(N)?;
        self.bytes[range].first_chunk().copied()
    }
}

pub(super) fn parse(bytes: Vec<u8>) -> std::result::Result<StatCache, String> {
    if bytes.len() as u64 > MAX_FILE {
        return Err("it is too large".into());
    }
    let body = bytes.len().checked_sub(CHECKSUM).ok_or("it is cut off")?;
    if id_of(Kind::Blob, &bytes[..body]).as_bytes()[..] != bytes[body..] {
        return Err("its checksum is wrong".into());
    }
    let (header, dirs, entries) = parse_body(&bytes[..body]).ok_or("its structure is wrong")?;
    Ok(StatCache(Arc::new(Loaded { bytes, header, dirs, entries })))
}

fn parse_body(bytes: &[u8]) -> Option<(CacheHeader, Vec<Dir>, u64)> {
    let mut c = Cursor { bytes, at: 0 };
    if &c.take::<4>()? != MAGIC || u32::from_le_bytes(c.take()?) != VERSION {
        return None;
    }
    let [flags] = c.take()?;
    let head = Hash(c.take()?);
    let rules = Hash(c.take()?);
    let stamp_ns = i64::from_le_bytes(c.take()?);
    let [boot] = c.take()?;
    let boot_id = str::from_utf8(&bytes[c.skip(boot.into())?]).ok()?.to_owned();
    let header = CacheHeader { boot_id, head: (flags == 1).then_some(head), rules, stamp_ns };

    let count = usize::try_from(u32::from_le_bytes(c.take()?)).ok()?;
    let entries = u64::from_le_bytes(c.take()?);
    let mut dirs: Vec<Dir> = Vec::with_capacity(count.min(bytes.len() / 43));
    let mut seen = 0u64;
    for _ in 0..count {
        let path = usize::from(u16::from_le_bytes(c.take()?));
        let path = c.skip(path)?;
        let chain = Hash(c.take()?);
        let [empty] = c.take()?;
        let empty = match empty {
            0 => None,
            code => Some(component_from(code - 1)?),
        };
        let length = u32::from_le_bytes(c.take()?);
        let names = usize::try_from(u32::from_le_bytes(c.take()?)).ok()?;
        let records = c.skip(usize::try_from(length).ok()?.checked_mul(RECORD)?)?;
        let names = c.skip(names)?;
        seen += u64::from(length);
        if let Some(last) = dirs.last()
            && compare(&bytes[last.path.clone()], &bytes[path.clone()]).is_ge()
        {
            return None;
        }
        dirs.push(Dir { path, chain, empty, records, names });
    }
    (c.at == bytes.len() && seen == entries).then_some((header, dirs, entries))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::cache_writer::CacheBuilder;
    use super::*;

    fn sample() -> Vec<u8> {
        let header = CacheHeader {
            boot_id: "boot".into(),
            head: Some(Hash([1; 32])),
            rules: Hash([2; 32]),
            stamp_ns: -5,
        };
        let mut builder = CacheBuilder::new(&header, 0);
        let entry = |size| CacheEntry {
            component: Component::Model,
            mode: Mode::Exec,
            stat: Stat { size, mtime_ns: -1, ctime_ns: i64::MAX, ino: u64::MAX },
            id: Hash([size as u8; 32]),
        };
        builder.entry(b"a", &entry(1), false);
        builder.entry(b"b", &entry(2), true);
        builder.close_dir(b"", &Hash([3; 32]), None);
        builder.close_dir(b"a", &Hash([4; 32]), Some(Component::Data));
        builder.entry(b"x", &entry(3), false);
        builder.close_dir(b"a/b", &Hash([5; 32]), None);
        builder.finish()
    }

    fn at(dir: &tempfile::TempDir, bytes: &[u8]) -> std::path::PathBuf {
        let path = dir.path().join("stat");
        if StatCache::write(&path, bytes, dir.path(), &Nonce::default()).is_err() {
            fs::write(&path, bytes).unwrap();
        }
        path
    }

    #[test]
    fn what_was_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir, &sample());
        StatCache::check(&path).unwrap();
        let cache = StatCache::load(&path);
        assert_eq!((cache.len(), cache.dirs()), (3, 3));
        let header = cache.header();
        assert_eq!((header.boot_id.as_str(), header.stamp_ns), ("boot", -5));
        assert_eq!((header.head, header.rules), (Some(Hash([1; 32])), Hash([2; 32])));
        let entry = cache.get(&"a/b/x".parse().unwrap()).unwrap();
        assert_eq!((entry.component, entry.mode), (Component::Model, Mode::Exec));
        assert_eq!(entry.stat.ctime_ns, i64::MAX);
        assert_eq!((entry.stat.mtime_ns, entry.stat.ino), (-1, u64::MAX));
        let root = cache.view(cache.find(b"").unwrap());
        assert_eq!(
            (root.search(b"b"), root.search(b"aa"), root.search(b"c")),
            (Ok(1), Err(1), Err(2))
        );
        assert!(root.get(1).unwrap().racy && root.get(2).is_none());
        assert_eq!(cache.get(&"a".parse().unwrap()).unwrap().id, Hash([1; 32]));
        assert_eq!(cache.get(&"a/b".parse().unwrap()), None);
    }

    #[test]
    fn damage_anywhere_makes_it_empty_and_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir, &sample());
        let good = fs::read(&path).unwrap();
        let told = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            assert!(StatCache::load(&path).is_empty());
            StatCache::check(&path).is_err()
        };
        for byte in 0..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 0x10;
            assert!(told(&bad), "{byte}");
        }
        assert!(told(&[&good[..], &[0; 4096]].concat()));
    }

    #[test]
    fn what_a_power_cut_leaves_counts_as_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir, &sample());
        let good = fs::read(&path).unwrap();
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            assert!(StatCache::load(&path).is_empty());
            StatCache::check(&path).unwrap();
        }
        fs::write(&path, vec![0; good.len()]).unwrap();
        StatCache::check(&path).unwrap();
    }

    #[test]
    fn an_absent_file_is_sound_and_empty() {
        let path = Path::new("/no/such/file");
        assert!(StatCache::load(path).is_empty());
        StatCache::check(path).unwrap();
    }

    #[test]
    fn a_stamp_is_the_time_of_the_file_system_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let before = stamp(dir.path(), &[1; 16]).unwrap();
        let after = stamp(dir.path(), &[2; 16]).unwrap();
        assert!(before <= after && before > 1_600_000_000_000_000_000);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    proptest::proptest! {
        /// Bytes with a good checksum may still come out of somebody else's archive.
        #[test]
        fn hostile_bytes_never_panic(at in 0usize..500, value: u8, more: Vec<u8>) {
            let good = sample();
            let mut body = good[..good.len() - CHECKSUM].to_vec();
            let place = at % body.len();
            body[place] = value;
            body.extend_from_slice(&more[..more.len() % 3]);
            let checksum = id_of(Kind::Blob, &body);
            body.extend_from_slice(&checksum.0);
            if let Ok(cache) = parse(body) {
                for index in 0..cache.dirs() {
                    let view = cache.view(index);
                    for i in 0..=view.len() {
                        let (_, _) = (view.get(i), view.search(b"m"));
                    }
                }
            }
        }
    }
}
