//! What the store does with objects: find an id, read a chunk and compare it with its id.

use std::hint::black_box;
use std::path::Path;

use mv_store::cut::SIZES;
use mv_store::{Hash, Kind, Nonces, Store, StoreWriter};
use rayon::prelude::*;
use tempfile::TempDir;

use crate::failure::Result;
use crate::random::Random;

use super::{Buffers, Step};

/// Objects whose ids are looked up.
const OBJECTS: usize = 200_000;
/// Lookups in one repetition.
const LOOKUPS: usize = 50_000;

/// A store with one pack of many small objects and of the chunks of both buffers.
pub(super) struct Prepared {
    _dir: TempDir,
    store: Store,
    known: Vec<Hash>,
    unknown: Vec<Hash>,
    noise: Vec<Hash>,
    text: Vec<Hash>,
    len: usize,
}

/// Makes the store.
pub(super) fn prepare(work: &Path, buffers: &Buffers) -> Result<Prepared> {
    let dir = tempfile::Builder::new().prefix("mv-bench-").tempdir_in(work)?;
    let nonces = Nonces::from_seed([7; 32]);
    let writer = StoreWriter::begin_at(dir.path(), &Store::open(dir.path(), &[]), &nonces)?;
    let objects = (0..OBJECTS as u64).map(|n| Ok(n.to_le_bytes()));
    let mut known: Vec<Hash> =
        writer.put_together(objects)?.into_iter().map(|(id, _)| id).collect();
    let put = |block: &[u8]| Ok(writer.put(Kind::Blob, block)?);
    let noise = buffers.noise.chunks(1 << 20).map(put).collect::<Result<_>>()?;
    let text = buffers.text.chunks(SIZES.max).map(put).collect::<Result<_>>()?;
    let written = writer.finish()?;
    let order = Random::new(3).order(known.len());
    known = order.into_iter().take(LOOKUPS).map(|at| known[at]).collect();
    let unknown = (0..LOOKUPS as u64).map(|n| mv_store::id_of(Kind::Blob, &(!n).to_le_bytes()));
    let store = Store::open(dir.path(), &written.packs);
    Ok(Prepared {
        store,
        known,
        unknown: unknown.collect(),
        noise,
        text,
        len: buffers.noise.len(),
        _dir: dir,
    })
}

/// The steps. A lookup counts for the bytes of an average chunk, which is what it saves.
pub(super) fn steps(prepared: &Prepared) -> Vec<Step<'_>> {
    let Prepared { store, known, unknown, noise, text, len, .. } = prepared;
    let all = LOOKUPS * SIZES.average;
    vec![
        Step::new("lookup of an id that is there", all, move || look(store, known, true)),
        Step::new("lookup of an id that is not", all, move || look(store, unknown, false)),
        Step::new("read of chunks, noise", *len, move || {
            noise.iter().try_for_each(|id| read(store, id))
        }),
        Step::new("read of chunks, text", *len, move || {
            text.iter().try_for_each(|id| read(store, id))
        }),
        Step::new("read of chunks, noise, all threads", *len, move || {
            noise.par_iter().try_for_each(|id| read(store, id))
        }),
        Step::new("read of chunks, text, all threads", *len, move || {
            text.par_iter().try_for_each(|id| read(store, id))
        }),
    ]
}

fn look(store: &Store, ids: &[Hash], there: bool) -> Result<()> {
    let found = ids.iter().filter(|id| store.contains(black_box(id))).count();
    let wanted = if there { ids.len() } else { 0 };
    if found == wanted { Ok(()) } else { Err(format!("found {found} ids of {wanted}").into()) }
}

fn read(store: &Store, id: &Hash) -> Result<()> {
    black_box(store.get(Kind::Blob, id, u64::MAX)?);
    Ok(())
}
