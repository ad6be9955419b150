//! Doors to the decoders of the stat cache, see `crate::fuzzing`.

use mv_graph::RepoPath;

use super::order::join;
use super::{cache_file, stat_cache};

/// The form in memory of a stat cache on disk, of at most `most` bytes; none if it is damaged.
#[must_use]
pub fn unpack_stat_cache(packed: &[u8], most: u64) -> Option<Vec<u8>> {
    cache_file::unpack(packed, most)
}

/// Opens a stat cache in its form in memory, asks it for everything it has, and gives its form for
/// the disk and the number of entries that it admits to.
///
/// # Errors
/// What is wrong with it, in words.
pub fn open_stat_cache(bytes: &[u8]) -> Result<(Vec<u8>, u64), String> {
    let cache = stat_cache::parse(bytes.to_vec())?;
    for dir in (0..cache.dirs()).map(|index| cache.view(index)) {
        for n in 0..=dir.len() {
            let name = dir.name(n);
            assert!(dir.get(n).is_none_or(|entry| entry.name == name && !name.is_empty()));
            assert!(dir.search(name).is_ok_and(|at| at < dir.len()) || dir.search(name).is_err());
            if let Ok(path) = RepoPath::from_bytes(&join(dir.path, name)) {
                let _either = cache.get(&path);
            }
        }
    }
    let packed = cache_file::pack(bytes, cache.runs()).ok_or("it does not pack")?;
    Ok((packed, cache.len()))
}
