//! The index `.mv/worktree/seen`: in which file a commit stored each tensor last, whatever branch it
//! was on. It is asked only for tensors that no version at hand has: a model that was deleted and
//! comes back, one that another branch began with.
//!
//! It only saves room. Whatever is wrong with it, it counts as empty; so it is written without
//! fsync. What it says is advice: a file that gc removed is passed over, and a range that holds
//! something else resembles nothing.
//!
//! ```text
//! magic "MVsn" | version u32 = 1 | files u32 | tensors u32
//! the first 8 bytes of the BLAKE3 of all before
//! per file, the one that was stored last at the end:
//!     blob [32] | tensors u32
//!     tensors, by name:  name [16] | start u64 | length u64
//! BLAKE3 [32] of all before
//! ```
//!
//! Numbers are little-endian. A name is in the index once, a file without names not at all. There is
//! no time in it: the order of the files says which to forget first.

use std::collections::HashMap;
use std::path::Path;

use mv_store::{Element, Hash, Kind, fs as store_fs, id_of};

use super::parts::Numbers;
use super::tensors::Place;
use crate::repo::Repo;
use crate::session::Session;

/// Tensors that are kept: some 2 MB, as a rule; twice that if each is a file of its own.
const MOST: usize = 1 << 16;
/// Bytes of the file, at most.
const MAX_FILE: u64 = (HEADER + MOST * (FILE + TENSOR) + CHECK) as u64;
const MAGIC: &[u8; 4] = b"MVsn";
const VERSION: u32 = 1;
/// The header before its check sum, and with it.
const FIELDS: usize = 16;
const HEADER: usize = FIELDS + 8;
const FILE: usize = 36;
const TENSOR: usize = 32;
const CHECK: usize = 32;

/// What a tensor is found by: a hash of its name, inner shape and kind of numbers.
pub(super) type Name = [u8; 16];

/// Where a tensor was stored by a commit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sighting {
    pub(super) blob: Hash,
    pub(super) tensor: Name,
    pub(super) start: u64,
    pub(super) len: u64,
}

/// Where tensors were stored last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The one that was stored last at the end.
    files: Vec<Hash>,
    tensors: HashMap<Name, Spot>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    /// The number of the file.
    file: usize,
    start: u64,
    len: u64,
}

/// The name of some numbers in the index.
pub(super) fn name_of(key: &Hash, element: Element) -> Name {
    let id = id_of(Kind::Blob, &[&key.0[..], &[element.code()]].concat());
    id.0.first_chunk().copied().unwrap_or_default()
}

impl Seen {
    /// Loads the index; one that is absent, damaged or of another version is empty.
    pub(super) fn load(path: &Path) -> Seen {
        let bytes = store_fs::read_capped(path, MAX_FILE).ok().flatten();
        bytes.and_then(|bytes| Seen::decode(&bytes)).unwrap_or_default()
    }

    /// Says what is wrong with the index. An absent one is sound, and so is one that a power cut left
    /// cut off: it is written without a sync.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn check(path: &Path) -> Result<(), String> {
        let Some(bytes) = store_fs::read_capped(path, MAX_FILE).map_err(|e| e.to_string())? else {
            return Ok(());
        };
        match Seen::decode(&bytes) {
            None if !is_cut_off(&bytes) => Err("it does not match its check sum".into()),
            _ => Ok(()),
        }
    }

    /// Adds what a commit stored. The version stands whether or not this works.
    pub(crate) fn remember(repo: &Repo, sightings: Vec<Sighting>, session: &Session) {
        if sightings.is_empty() {
            return;
        }
        let (layout, nonce) = (repo.layout(), session.nonces.next());
        let mut seen = Seen::load(&layout.seen());
        seen.add(sightings);
        drop(store_fs::replace_cache(&layout.seen(), &seen.encode(), &layout.tmp(), &nonce));
    }

    /// Where numbers like these were stored last.
    pub(super) fn find(&self, numbers: &Numbers) -> Option<Place> {
        let element = numbers.element;
        let &Spot { file, start, len } = self.tensors.get(&name_of(&numbers.key, element))?;
        Some(Place { blob: *self.files.get(file)?, start, len, element, path: None })
    }

    /// Adds tensors, file by file.
    fn add(&mut self, sightings: Vec<Sighting>) {
        for Sighting { blob, tensor, start, len } in sightings {
            if self.files.last() != Some(&blob) {
                self.files.push(blob);
            }
            let file = self.files.len() - 1;
            self.tensors.insert(tensor, Spot { file, start, len });
        }
    }

    /// The file's bytes; what was stored longest ago is left out where there is too much.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut by_file = vec![Vec::new(); self.files.len()];
        for (name, spot) in &self.tensors {
            by_file[spot.file].push((name, spot));
        }
        let mut room = MOST;
        for tensors in by_file.iter_mut().rev() {
            tensors.sort_unstable_by_key(|(name, _)| *name);
            tensors.truncate(room);
            room -= tensors.len();
        }
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        let files = self.files.iter().zip(&by_file).filter(|(_, tensors)| !tensors.is_empty());
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([number(files.clone().count()), number(MOST - room)].concat());
        bytes.extend_from_slice(&id_of(Kind::Blob, &bytes).0[..HEADER - FIELDS]);
        for (blob, tensors) in files {
            bytes.extend_from_slice(&blob.0);
            bytes.extend(number(tensors.len()));
            for (name, spot) in tensors {
                bytes.extend_from_slice(&name[..]);
                bytes.extend([spot.start.to_le_bytes(), spot.len.to_le_bytes()].concat());
            }
        }
        let check = id_of(Kind::Blob, &bytes);
        bytes.extend_from_slice(&check.0);
        bytes
    }

    /// Parses the file's bytes, which must be exactly what [`Seen::encode`] writes.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Seen> {
        let (body, _) = bytes.split_last_chunk::<CHECK>()?;
        let mut rest = body.get(HEADER..)?;
        let mut seen = Seen::default();
        while !rest.is_empty() {
            let file = seen.files.len();
            seen.files.push(Hash(take(&mut rest)?));
            for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
                let name = take(&mut rest)?;
                let (start, len) = (take(&mut rest)?, take(&mut rest)?);
                let (start, len) = (u64::from_le_bytes(start), u64::from_le_bytes(len));
                seen.tensors.insert(name, Spot { file, start, len });
            }
        }
        // The check sum as well as names that occur again and files without one.
        (seen.encode() == bytes).then_some(seen)
    }
}

/// The next bytes of what is left.
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (found, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*found)
}

/// Whether a file ends before what its header announces, or is all zeros: what a power cut leaves of
/// a file that was not synced.
fn is_cut_off(bytes: &[u8]) -> bool {
    let Some((header, _)) = bytes.split_at_checked(HEADER) else { return true };
    if bytes.iter().all(|byte| *byte == 0) {
        return true;
    }
    let (fields, check) = header.split_at(FIELDS);
    let number = |at: usize| {
        let number = fields.get(at..).and_then(|fields| fields.first_chunk::<4>());
        u64::from(number.map_or(0, |bytes| u32::from_le_bytes(*bytes)))
    };
    let announced = number(8) * FILE as u64 + number(12) * TENSOR as u64 + (HEADER + CHECK) as u64;
    id_of(Kind::Blob, fields).0[..check.len()] == *check && (bytes.len() as u64) < announced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(file: u8, tensor: u32, start: u64) -> Sighting {
        let name = name_of(&id_of(Kind::Blob, &tensor.to_le_bytes()), Element::Bf16);
        Sighting { blob: Hash([file; 32]), tensor: name, start, len: 1 << 20 }
    }

    fn sample() -> Seen {
        let mut seen = Seen::default();
        seen.add((0..5).map(|n| sighting(1, n, u64::from(n))).collect());
        seen.add(vec![sighting(2, 3, 70), sighting(2, 4, 80), sighting(3, 9, u64::MAX)]);
        seen
    }

    #[test]
    fn an_index_survives_the_round_trip_and_no_flipped_bit() {
        let bytes = sample().encode();
        assert_eq!(Seen::decode(&bytes), Some(sample()));
        for at in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(Seen::decode(&bad), None, "bit {at}");
            assert!(!is_cut_off(&bad), "bit {at}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Seen::decode(&bytes[..len]), None, "{len} bytes");
            assert!(is_cut_off(&bytes[..len]), "{len} bytes");
        }
        assert!(is_cut_off(&vec![0; bytes.len()]));
    }

    #[test]
    fn the_file_that_was_stored_last_is_the_one_that_is_found() {
        let mut seen = sample();
        seen.add(vec![sighting(1, 3, 7)]);
        let seen = Seen::decode(&seen.encode()).unwrap();
        let found = |tensor: u32, element| {
            let key = id_of(Kind::Blob, &tensor.to_le_bytes());
            seen.find(&Numbers { part: 0, key, element })
                .map(|place| (place.blob.0[0], place.start))
        };
        assert_eq!(found(0, Element::Bf16), Some((1, 0)));
        assert_eq!(found(3, Element::Bf16), Some((1, 7)));
        assert_eq!(found(4, Element::Bf16), Some((2, 80)));
        assert_eq!(found(3, Element::F16), None);
        assert_eq!(found(5, Element::Bf16), None);
    }

    #[test]
    fn what_was_stored_longest_ago_is_forgotten_first() {
        let most = u32::try_from(MOST).unwrap();
        let mut seen = Seen::default();
        seen.add((0..10).map(|n| sighting(1, most + n, 0)).collect());
        seen.add((0..most - 4).map(|n| sighting(2, n, 0)).collect());
        let bytes = seen.encode();
        assert!(bytes.len() as u64 <= MAX_FILE);
        let seen = Seen::decode(&bytes).unwrap();
        assert_eq!(seen.tensors.len(), MOST);
        assert_eq!(seen.tensors.values().filter(|spot| spot.file == 0).count(), 4);
    }

    #[test]
    fn a_claim_that_the_bytes_do_not_keep_is_refused() {
        let sealed = |body: &[u8]| [body, &id_of(Kind::Blob, body).0].concat();
        let good = sample().encode();
        let body = &good[..good.len() - CHECK];
        assert!(Seen::decode(&sealed(body)).is_some());
        // Many tensors of a file; a file without any; a name that occurs again; another version.
        let mut many = body.to_vec();
        many[HEADER + 32..HEADER + 36].copy_from_slice(&[0xff; 4]);
        let none = [body, &[7; 32], &[0; 4]].concat();
        let again = [body, &[7; 32], &[1, 0, 0, 0], &body[HEADER + 36..HEADER + 68]].concat();
        let mut newer = body.to_vec();
        newer[4] = 2;
        for bad in [many, none, again, newer, Vec::new(), vec![0; 24]] {
            assert_eq!(Seen::decode(&sealed(&bad)), None);
        }
    }
}
