//! Checking packs, byte by byte: for fsck, and for packs that arrive from elsewhere.

use std::path::Path;

use crate::codec::Encoding;
use crate::error::{Error, IoContext, Result};
use crate::fs;
use crate::hash::{Hash, id_of};
use crate::pack::{Pack, PackId};
use crate::progress::Task;
use crate::store::Store;

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
    match verify_whole(root, id, task) {
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        Err(error) => check.problems.push(PackProblem { objects: Vec::new(), error }),
        Ok(()) => {}
    }
    let store = Store::open(root, &[id]);
    let outcome = store.each_block_lenient(0, &mut |block, members| {
        task.check()?;
        let (block, members) = match block {
            Ok(block) => (block, members),
            Err(error) => {
                let objects = members.iter().map(|(id, _)| *id).collect();
                check.problems.push(PackProblem { objects, error });
                return Ok(());
            }
        };
        for (id, range) in members {
            if block.encoding == Encoding::List {
                continue;
            }
            check.objects += 1;
            check.bytes += range.len() as u64;
            let bytes = block.raw.get(range.clone());
            if bytes.is_none_or(|bytes| id_of(block.kind, bytes) != *id) {
                let error = Error::corrupt("object", id, "its bytes do not match its id");
                check.problems.push(PackProblem { objects: vec![*id], error });
            }
        }
        Ok(())
    });
    match outcome {
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        Err(error) if check.problems.is_empty() => {
            check.problems.push(PackProblem { objects: Vec::new(), error });
        }
        _ => {}
    }
    Ok(check)
}

fn verify_whole(root: &Path, id: PackId, task: &Task) -> Result<()> {
    let pack = Pack::open(root, id)?;
    let file = pack.open_file()?;
    pack.verify_header(&file)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 4 << 20];
    let mut at = 0;
    while at < pack.bytes {
        task.check()?;
        let left = usize::try_from(pack.bytes - at).unwrap_or(usize::MAX).min(buffer.len());
        fs::read_at(&file, &pack.path, &mut buffer[..left], at)?;
        hasher.update(&buffer[..left]);
        task.add(left as u64);
        at += left as u64;
    }
    if file.metadata().at("stat", &pack.path)?.len() != pack.bytes {
        return Err(Error::corrupt("pack", id, "its length changed"));
    }
    if Hash(*hasher.finalize().as_bytes()) != id.0 {
        return Err(Error::corrupt("pack", id, "its bytes do not match its name"));
    }
    pack.index.verify()
}
