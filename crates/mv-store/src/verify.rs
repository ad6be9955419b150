//! Checking packs, byte by byte: for fsck, and for packs that arrive from elsewhere.

use std::path::Path;

use rayon::prelude::*;

use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::pack::{Home, Pack, PackId};
use crate::progress::Task;
use crate::store::Store;
use crate::store::blocks::Blocks;
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

/// Checks a pack: that its bytes have the hash that is its name, that its index is sound, and that
/// every object in it has the bytes that its id says. Lists are only checked for their form: what
/// they add up to needs their chunks, which may lie in other packs ([`Store::copy_to`]).
///
/// # Errors
/// Only `Cancelled`; whatever is wrong with the pack is in the result.
pub fn verify_pack(root: &Path, id: PackId, task: &Task) -> Result<PackCheck> {
    let mut check = PackCheck::default();
    match verify_whole(&Home::Local(root.to_path_buf()), id, task) {
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        Err(error) => check.problems.push(PackProblem { objects: Vec::new(), error }),
        Ok(()) => {}
    }
    match verify_objects(&Store::open(root, &[id]), id, task) {
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        Err(error) if check.problems.is_empty() => {
            check.problems.push(PackProblem { objects: Vec::new(), error });
        }
        Err(_) => {}
        Ok(objects) => {
            check.objects = objects.objects;
            check.bytes = objects.bytes;
            check.problems.extend(objects.problems);
        }
    }
    Ok(check)
}

/// Compares every object of a pack with its id, on all cores.
///
/// # Errors
/// `Cancelled`, and what opening the pack gives; damage is in the result.
pub(crate) fn verify_objects(store: &Store, id: PackId, task: &Task) -> Result<PackCheck> {
    let slot = store.pack_ids().position(|pack| pack == id);
    let slot = slot.ok_or_else(|| Error::Stale { name: id.to_string() })?;
    let blocks = Blocks::of(store, slot)?;
    let check = |n: u32| -> Result<PackCheck> {
        task.check()?;
        let mut check = PackCheck::default();
        let members = blocks.members(n)?;
        let block = match blocks.read(n) {
            Err(error) => {
                let objects = members.iter().map(|(id, _)| *id).collect();
                check.problems.push(PackProblem { objects, error });
                return Ok(check);
            }
            Ok(block) => block,
        };
        for (id, range) in members.iter().filter(|_| block.encoding != Encoding::List) {
            check.objects += 1;
            check.bytes += range.len() as u64;
            if !block.has(id, range) {
                let error = Error::corrupt("object", id, "its bytes do not match its id");
                check.problems.push(PackProblem { objects: vec![*id], error });
            }
        }
        Ok(check)
    };
    let add = |mut sum: PackCheck, more: PackCheck| {
        sum.objects += more.objects;
        sum.bytes += more.bytes;
        sum.problems.extend(more.problems);
        Ok(sum)
    };
    (0..blocks.count()).into_par_iter().map(check).try_reduce(PackCheck::default, add)
}

fn verify_whole(home: &Home, id: PackId, task: &Task) -> Result<()> {
    let pack = Pack::open(home, id)?;
    let file = pack.open_file()?;
    pack.verify_header(&file)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 4 << 20];
    let mut at = 0;
    while at < pack.bytes {
        task.check()?;
        let left = usize::try_from(pack.bytes - at).unwrap_or(usize::MAX).min(buffer.len());
        file.read_at(&mut buffer[..left], at)?;
        hasher.update(&buffer[..left]);
        task.add(left as u64);
        at += left as u64;
    }
    if Hash(*hasher.finalize().as_bytes()) != id.0 {
        return Err(Error::corrupt("pack", id, "its bytes do not match its name"));
    }
    pack.index.verify()
}
