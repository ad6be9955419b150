//! Checking packs, here or on a remote, byte by byte or by a sample: for fsck, and for packs that
//! arrive from elsewhere.
//!
//! A pack is read in pieces of a few MiB, several at a time when it lies far away. A piece serves for
//! the hash of the whole, which is the pack's name, and for the blocks that lie inside it; the few
//! that cross its end are read once more. Memory is a piece and what its blocks decode to, for each
//! piece under way.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::lanes;
use crate::pack::copy::{PieceHashes, check_header, header};
use crate::pack::{Block, Pack, PackId};
use crate::progress::Task;
use crate::store::Store;
use crate::store::ahead::runs;
use crate::store::blocks::{Blocks, WholeBlock};
use crate::transport::Source;

/// One thing that is wrong with a pack.
#[derive(Debug)]
pub struct PackProblem {
    /// The objects that it concerns; none when it is the pack as a whole.
    pub objects: Vec<Hash>,
    /// What is wrong.
    pub error: Error,
}

/// What was looked at, and every problem found; checking goes on after the first.
#[derive(Debug, Default)]
pub struct PackCheck {
    /// Objects compared with their ids.
    pub objects: u64,
    /// Raw bytes hashed.
    pub bytes: u64,
    /// What is wrong.
    pub problems: Vec<PackProblem>,
}

impl PackCheck {
    /// Notes what is wrong, unless it is that nobody answers or wants to know.
    fn note(&mut self, objects: Vec<Hash>, error: Error) -> Result<()> {
        match error {
            Error::Cancelled | Error::Remote { .. } => Err(error),
            error => {
                self.problems.push(PackProblem { objects, error });
                Ok(())
            }
        }
    }

    fn add(&mut self, more: PackCheck) {
        self.objects += more.objects;
        self.bytes += more.bytes;
        self.problems.extend(more.problems);
    }
}

/// Checks a pack of a snapshot: that its bytes have the hash that is its name, that its index is
/// sound, and that every object in it has the bytes that its id says. Lists are only checked for
/// their form: what they add up to needs their chunks, which may lie in other packs
/// ([`Store::verify_list`]).
///
/// # Errors
/// `Cancelled`, `Remote`; whatever is wrong with the pack is in the result.
pub fn verify_pack(store: &Store, id: PackId, task: &Task) -> Result<PackCheck> {
    let mut check = PackCheck::default();
    let slot = slot_of(store, id)?;
    let opened = store.pack(slot).and_then(|pack| Ok((pack, Blocks::of(store, slot)?)));
    let (pack, blocks) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            check.note(Vec::new(), error)?;
            return Ok(check);
        }
    };
    if let Err(error) = pack.index.verify() {
        check.note(Vec::new(), error)?;
    }
    check.add(verify_pieces(store.lanes_of(slot), pack, &blocks, task)?);
    Ok(check)
}

fn verify_pieces(lanes: usize, pack: &Pack, blocks: &Blocks<'_>, task: &Task) -> Result<PackCheck> {
    let hashes = PieceHashes::new(pack.bytes, header(&[0; 16]));
    let mut inside: Vec<Vec<(u32, Block)>> = vec![Vec::new(); index(hashes.pieces())];
    let mut crossing = Vec::new();
    let mut check = PackCheck::default();
    for n in 0..blocks.count() {
        let block = match blocks.block(n) {
            Ok(block) => block,
            Err(error) => {
                check.note(Vec::new(), error)?;
                continue;
            }
        };
        let (first, last) = hashes.touched(block.offset, u64::from(block.stored_len));
        match inside.get_mut(index(first)).filter(|_| first == last) {
            Some(piece) => piece.push((n, block)),
            None => crossing.push(n),
        }
    }
    let found = Mutex::new(check);
    let lanes = lanes.max(rayon::current_num_threads());
    let pieces: Vec<u64> = (0..hashes.pieces()).collect();
    lanes::each(lanes, &pieces, |&piece| {
        task.check()?;
        let (start, len) = hashes.range(piece);
        let mut check = PackCheck::default();
        let mut bytes = vec![0; len];
        match blocks.file.read_at(&mut bytes, start) {
            Err(error) => {
                check.note(Vec::new(), error)?;
                for (n, _) in &inside[index(piece)] {
                    verify_block(blocks, *n, blocks.read(*n), &mut check)?;
                }
            }
            Ok(()) => {
                if piece == 0
                    && let Err(error) = check_header(&bytes, pack.id)
                {
                    check.note(Vec::new(), error)?;
                }
                for (n, block) in &inside[index(piece)] {
                    let at = index(block.offset - start);
                    let stored = bytes.get(at..at + block.stored_len as usize).unwrap_or_default();
                    let decoded = blocks.decode(block, stored.to_vec());
                    verify_block(blocks, *n, decoded, &mut check)?;
                }
                hashes.take(piece, &mut bytes);
            }
        }
        task.add(len as u64);
        found.lock().unwrap_or_else(PoisonError::into_inner).add(check);
        Ok(())
    })?;
    lanes::each(lanes, &crossing, |&n| {
        task.check()?;
        let mut check = PackCheck::default();
        verify_block(blocks, n, blocks.read(n), &mut check)?;
        found.lock().unwrap_or_else(PoisonError::into_inner).add(check);
        Ok(())
    })?;
    let mut check = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    // A piece that could not be read was noted, and the rest has no hash.
    if hashes.finish().is_some_and(|(old, _)| old != pack.id.0) {
        check
            .note(Vec::new(), Error::corrupt("pack", pack.id, "its bytes do not match its name"))?;
    }
    Ok(check)
}

/// Compares the objects of a block with their ids.
fn verify_block(
    blocks: &Blocks<'_>,
    n: u32,
    block: Result<WholeBlock>,
    check: &mut PackCheck,
) -> Result<()> {
    let members = match blocks.members(n) {
        Ok(members) => members,
        Err(error) => return check.note(Vec::new(), error),
    };
    let block = match block {
        Ok(block) => block,
        Err(error) => return check.note(members.iter().map(|(id, _)| *id).collect(), error),
    };
    for (id, range) in members.iter().filter(|_| block.encoding != Encoding::List) {
        check.objects += 1;
        check.bytes += range.len() as u64;
        if !block.has(id, range) {
            let error = Error::corrupt("object", id, "its bytes do not match its id");
            check.note(vec![*id], error)?;
        }
    }
    Ok(())
}

/// Compares every object of a pack with its id, on all cores. What they are coded against is read from
/// `nearest`.
///
/// # Errors
/// `Cancelled`, and what opening the pack gives; damage is in the result.
pub(crate) fn verify_objects(
    store: &Store,
    nearest: &Store,
    id: PackId,
    task: &Task,
) -> Result<PackCheck> {
    let blocks = Blocks::of(store, slot_of(store, id)?)?.with_bases_from(nearest);
    let check = |n: u32| -> Result<PackCheck> {
        task.check()?;
        let mut check = PackCheck::default();
        verify_block(&blocks, n, blocks.read(n), &mut check)?;
        Ok(check)
    };
    let add = |mut sum: PackCheck, more: PackCheck| {
        sum.add(more);
        Ok(sum)
    };
    (0..blocks.count()).into_par_iter().map(check).try_reduce(PackCheck::default, add)
}

/// Opens some packs of a snapshot, several at a time where that means fetching their indexes, and
/// tells which do not open and why.
///
/// # Errors
/// `Cancelled`, `Remote`.
pub fn verify_indexes(
    store: &Store,
    packs: &[PackId],
    task: &Task,
) -> Result<Vec<(PackId, Error)>> {
    let slots = packs.iter().map(|id| slot_of(store, *id)).collect::<Result<Vec<usize>>>()?;
    let lanes = slots.iter().map(|slot| store.lanes_of(*slot)).max().unwrap_or(1);
    let found = Mutex::new(Vec::new());
    let numbers: Vec<usize> = (0..packs.len()).collect();
    lanes::each(lanes, &numbers, |&n| {
        task.check()?;
        match store.pack(slots[n]) {
            Ok(_) => {}
            Err(error @ (Error::Cancelled | Error::Remote { .. })) => return Err(error),
            Err(error) => {
                found.lock().unwrap_or_else(PoisonError::into_inner).push((packs[n], error));
            }
        }
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A share of something, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    const WHOLE: u32 = 1_000_000;

    /// Reads `1%` or `0.5%`: more than nothing and at most all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Share> {
        let percent: f64 = text.trim().trim_end_matches('%').trim_end().parse().ok()?;
        if !(percent > 0.0 && percent <= 100.0) {
            return None;
        }
        // Between 1 and a million, so it fits.
        Some(Share(((percent * 10_000.0).round() as u32).max(1)))
    }

    /// That much of a count: all of it at most, and one at least when there is one.
    fn of(self, count: u32) -> u32 {
        let part = u64::from(count) * u64::from(self.0);
        let part = part.div_ceil(u64::from(Share::WHOLE));
        u32::try_from(part).unwrap_or(count).min(count)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 10_000.0)
    }
}

/// What a sample looked at.
#[derive(Debug, Default)]
pub struct Sampled {
    /// The objects that were compared, and what is wrong with them.
    pub check: PackCheck,
    /// Blocks that were read.
    pub blocks: u64,
    /// Blocks that there are.
    pub of: u64,
}

/// Checks the objects in a random part of a pack's blocks, at least one. `seed` decides which.
///
/// # Errors
/// As [`verify_pack`].
pub fn sample_pack(
    store: &Store,
    id: PackId,
    share: Share,
    seed: u64,
    task: &Task,
) -> Result<Sampled> {
    let mut sampled = Sampled::default();
    let slot = slot_of(store, id)?;
    let blocks = match Blocks::of(store, slot) {
        Ok(blocks) => blocks,
        Err(error) => {
            sampled.check.note(Vec::new(), error)?;
            return Ok(sampled);
        }
    };
    let numbers = choose(blocks.count(), share.of(blocks.count()), seed);
    sampled.of = u64::from(blocks.count());
    sampled.blocks = numbers.len() as u64;
    let mut chosen: Vec<(u64, u32, Block)> = Vec::with_capacity(numbers.len());
    for n in numbers {
        match blocks.block(n) {
            Ok(block) => chosen.push((block.offset, n, block)),
            Err(error) => sampled.check.note(Vec::new(), error)?,
        }
    }
    chosen.sort_unstable_by_key(|(offset, n, _)| (*offset, *n));
    let mut rest = &chosen[..];
    let mut requests = Vec::new();
    for run in runs(chosen.iter().map(|(_, _, block)| *block)) {
        let (these, after) = rest.split_at(run.blocks.len());
        requests.push((run, these));
        rest = after;
    }
    let found = Mutex::new(PackCheck::default());
    let lanes = store.lanes_of(slot).max(rayon::current_num_threads());
    lanes::each(lanes, &requests, |(run, these)| {
        task.check()?;
        let read = run.read(&*blocks.file);
        let mut check = PackCheck::default();
        for (_, n, block) in *these {
            let decoded = match &read {
                Ok(bytes) => blocks.decode(block, run.part(bytes, block).to_vec()),
                // One block that cannot be read must not hide its neighbours.
                Err(_) => blocks.read(*n),
            };
            verify_block(&blocks, *n, decoded, &mut check)?;
        }
        task.add(run.range.end - run.range.start);
        found.lock().unwrap_or_else(PoisonError::into_inner).add(check);
        Ok(())
    })?;
    sampled.check.add(found.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(sampled)
}

/// `wanted` different numbers below `count`, in order, each as likely as the others.
fn choose(count: u32, wanted: u32, seed: u64) -> Vec<u32> {
    let mut state = seed;
    let mut draw = || {
        // splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut chosen = std::collections::BTreeSet::new();
    // Floyd's way: as many draws as numbers, however many of them are wanted.
    for most in count.saturating_sub(wanted)..count {
        let number = draw() % (u64::from(most) + 1);
        let number = u32::try_from(number).unwrap_or(most);
        if !chosen.insert(number) {
            chosen.insert(most);
        }
    }
    chosen.into_iter().collect()
}

pub(crate) fn slot_of(store: &Store, id: PackId) -> Result<usize> {
    let slot = store.pack_ids().position(|pack| pack == id);
    slot.ok_or_else(|| Error::Stale { name: id.to_string() })
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_anything_is_one_at_least_and_all_at_most() {
        let share = |text| Share::parse(text).unwrap();
        assert_eq!(share("1%").of(1000), 10);
        assert_eq!(share("1%").of(1001), 11);
        assert_eq!(share("1").of(3), 1);
        assert_eq!(share("0.0000001%").of(u32::MAX), 4295);
        assert_eq!(share("100%").of(u32::MAX), u32::MAX);
        assert_eq!(share("50%").of(0), 0);
        assert_eq!(share("12.5%").to_string(), "12.5%");
        for refused in ["0", "0%", "-1%", "101%", "nan", "inf", "", "%", "x"] {
            assert_eq!(Share::parse(refused), None, "{refused}");
        }
    }

    #[test]
    fn a_sample_has_the_number_that_was_asked_for_and_follows_from_its_seed() {
        for (count, wanted) in [(0, 0), (1, 1), (100, 1), (100, 37), (100, 100)] {
            let chosen = choose(count, wanted, 7);
            assert_eq!(chosen.len(), wanted as usize);
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(chosen.iter().all(|n| *n < count));
            assert_eq!(chosen, choose(count, wanted, 7));
        }
        assert_ne!(choose(1000, 10, 1), choose(1000, 10, 2));
    }

    #[test]
    fn every_block_is_drawn_about_as_often() {
        let mut drawn = [0u32; 10];
        for seed in 0..2000 {
            choose(10, 3, seed).into_iter().for_each(|n| drawn[n as usize] += 1);
        }
        assert!(drawn.iter().all(|times| (500..700).contains(times)), "{drawn:?}");
    }
}
