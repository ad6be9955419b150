//! Bringing back damaged objects: sound copies are looked for wherever there may be some.
//!
//! Nothing is believed. An object is taken when its bytes have its id, and a list when its chunks add
//! up to the blob. What is damaged where it is looked for is passed over, and the next place may have
//! a better copy.

use std::collections::{BTreeMap, HashSet};

use crate::codec::Encoding;
use crate::copier::Copier;
use crate::error::{Error, Result};
use crate::hash::{Hash, id_of};
use crate::lanes;
use crate::list::List;
use crate::pack::{Block, PackId};
use crate::progress::Task;
use crate::store::ahead::{Run, runs};
use crate::store::blocks::{Blocks, Members, WholeBlock};
use crate::store::{Store, Worth};
use crate::writer::{Form, StoreWriter};

/// What is known of the place that copies are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any place: an index says what is where.
    Index,
    /// Damaged packs, in whose index an id may be damaged as well: all of their objects are hashed.
    Nothing,
}

/// Takes sound copies of wanted objects from the packs of `source` into a writer, but no lists: see
/// [`rescue_lists`]. Whatever is damaged there is passed over. [`StoreWriter::took`] tells what was
/// found.
///
/// # Errors
/// `Cancelled`, `Remote`, or what writing gives.
pub fn rescue(
    writer: &StoreWriter<'_>,
    source: &Store,
    wanted: &HashSet<Hash>,
    trust: Trust,
    task: &Task,
) -> Result<()> {
    // What objects are coded against may be sound here and damaged there, or the other way round.
    let nearest = writer.store().join(source);
    let copier = Copier::new(writer, &nearest);
    for (slot, _) in (0..).zip(source.pack_ids()) {
        let Some(blocks) = passed_over(Blocks::of(source, slot))? else { continue };
        let blocks = blocks.with_bases_from(&nearest);
        let wants = |n: u32| -> bool {
            let members = blocks.members(n).unwrap_or_default();
            members.iter().any(|(id, _)| wanted.contains(id) && !writer.took(id))
        };
        let mut chosen: BTreeMap<(u64, u32), Block> = BTreeMap::new();
        for n in 0..blocks.count() {
            if let Ok(block) = blocks.block(n)
                && block.encoding != Encoding::List
                && (trust == Trust::Nothing || wants(n))
            {
                chosen.insert((block.offset, n), block);
            }
        }
        let numbers: Vec<u32> = chosen.keys().map(|(_, n)| *n).collect();
        let mut rest = &numbers[..];
        let mut requests: Vec<(Run, &[u32])> = Vec::new();
        for run in runs(chosen.into_values()) {
            let (these, after) = rest.split_at(run.blocks.len());
            requests.push((run, these));
            rest = after;
        }
        lanes::each(source.lanes_of(slot).max(2), &requests, |(run, these)| {
            task.check()?;
            let read = passed_over(run.read(&*blocks.file))?;
            for (block, &n) in run.blocks.iter().zip(*these) {
                let whole = match &read {
                    Some(bytes) => blocks.decode(block, run.part(bytes, block).to_vec()),
                    // What cannot be read must not hide its neighbours.
                    None => blocks.read(n),
                };
                if let Some(whole) = passed_over(whole)? {
                    let members = blocks.members(n).unwrap_or_default();
                    take(&copier, writer, &whole, &members, wanted, trust)?;
                }
            }
            task.add(run.range.end - run.range.start);
            Ok(())
        })?;
    }
    Ok(())
}

/// Takes those objects of a block that are wanted and sound.
fn take(
    copier: &Copier<'_>,
    writer: &StoreWriter<'_>,
    block: &WholeBlock,
    members: &Members,
    wanted: &HashSet<Hash>,
    trust: Trust,
) -> Result<()> {
    let mut sound = HashSet::new();
    for (id, range) in members {
        if wanted.contains(id) && block.has(id, range) {
            sound.insert(*id);
        } else if trust == Trust::Nothing
            && let Some(bytes) = block.raw().get(range.clone())
        {
            let actual = id_of(block.kind, bytes);
            if wanted.contains(&actual) && writer.claim(&actual) {
                writer.put_claimed(block.kind, actual, bytes)?;
            }
        }
    }
    copier.copy(block, members, &|id| sound.contains(id))
}

/// Takes wanted lists from the packs of `source`, whose nodes and chunks are in `parts`: those that
/// add up to their blob. Without `proof` also those of which something is missing, so that what is
/// known of a blob is not lost with one of its chunks; never those that add up to something else. A
/// list that claims more than `most` bytes is refused.
///
/// # Errors
/// `Cancelled`, `Remote`, or what writing gives.
pub fn rescue_lists(
    writer: &StoreWriter<'_>,
    source: &Store,
    parts: &Store,
    wanted: &HashSet<Hash>,
    proof: bool,
    most: u64,
    task: &Task,
) -> Result<()> {
    for (slot, _) in (0..).zip(source.pack_ids()) {
        let Some(blocks) = passed_over(Blocks::of(source, slot))? else { continue };
        for n in 0..blocks.count() {
            let Ok(block) = blocks.block(n) else { continue };
            if block.encoding != Encoding::List || block.raw_len > most {
                continue;
            }
            let members = blocks.members(n).unwrap_or_default();
            let Some((id, _)) = members.first().filter(|(id, _)| wanted.contains(id)) else {
                continue;
            };
            if writer.has(id) {
                continue;
            }
            let Some(whole) = passed_over(blocks.read(n))? else { continue };
            let list = List::decode(&whole.stored, Some(block.raw_len), id)?;
            let enough = match parts.prove(id, list, task)? {
                Worth::Sound => true,
                Worth::Incomplete => !proof,
                Worth::Wrong => false,
            };
            if enough && writer.take(id, Form::List) {
                writer.copy_block(&whole, &members, &members)?;
            }
        }
    }
    Ok(())
}

impl Store {
    /// The ids in the indexes of this snapshot's packs, as far as they can be read, and the packs
    /// whose index is not sound.
    ///
    /// # Errors
    /// `Cancelled`, `Remote`.
    pub fn ids_as_told(&self) -> Result<(HashSet<Hash>, Vec<PackId>)> {
        let (mut ids, mut unsound) = (HashSet::new(), Vec::new());
        for (slot, pack) in (0..).zip(self.pack_ids()) {
            match passed_over(self.pack(slot))? {
                None => unsound.push(pack),
                Some(opened) => {
                    ids.extend((0..opened.index.objects()).map(|n| opened.index.id(n)));
                    if opened.index.verify().is_err() {
                        unsound.push(pack);
                    }
                }
            }
        }
        Ok((ids, unsound))
    }
}

/// What cannot be read counts as not there, unless nobody answers or wants to know.
fn passed_over<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error @ (Error::Cancelled | Error::Remote { .. })) => Err(error),
        Err(_) => Ok(None),
    }
}
