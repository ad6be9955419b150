//! [`Lab`]: a folder with packs, and files that resemble those before them.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use mv_store::{
    Effort, Element, Encoding, Hash, Kind, Nonces, Outline, PackId, Part, Progress, Similar, Store,
    StoreWriter, Task, Unit, Written, verify_pack,
};

pub(crate) fn task() -> Task {
    Progress::new().task("test", Unit::Bytes)
}

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.number() % limit.max(1) as u64) as usize
    }

    /// About a standard normal.
    fn normal(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| (self.number() >> 40) as f32 / (1u32 << 24) as f32).sum();
        (sum - 2.0) * 1.732
    }
}

/// Weights in `f32`.
pub(crate) fn weights(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..count).map(|_| random.normal() * 0.02).collect()
}

/// A step of training: every number moves by about the same.
pub(crate) fn trained(weights: &[f32], seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    weights.iter().map(|w| w + random.normal() * 0.0002).collect()
}

/// Numbers in `bf16`.
pub(crate) fn bf16(weights: &[f32]) -> Vec<u8> {
    let round = |w: &f32| {
        let bits = w.to_bits();
        ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
    };
    weights.iter().flat_map(|w| round(w).to_le_bytes()).collect()
}

/// Numbers in `f32`.
pub(crate) fn f32s(weights: &[f32]) -> Vec<u8> {
    weights.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// Rows of a table.
pub(crate) fn table(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = Vec::with_capacity(len + 100);
    let mut row = 0;
    while bytes.len() < len {
        let (x, y) = (random.number(), random.number());
        bytes.extend(format!("{row},{x:x},{}.{}\n", y % 1000, y % 7).bytes());
        row += 1;
    }
    bytes.truncate(len);
    bytes
}

/// The same with a few other bytes every so often.
pub(crate) fn edited(bytes: &[u8], every: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut out = Vec::with_capacity(bytes.len());
    for piece in bytes.chunks(every) {
        let at = random.below(piece.len());
        out.extend(&piece[..at]);
        out.extend(format!("{:x},", random.number() % 0xffff).bytes());
        out.extend(&piece[(at + random.below(3)).min(piece.len())..]);
    }
    out
}

pub(crate) fn after(parent: Hash) -> Outline {
    Outline { parent: Some(parent), ..Outline::default() }
}

/// All of a file is numbers, which resemble those of another file.
pub(crate) fn like(len: usize, element: Element, blob: Hash, of: Element) -> Outline {
    let len = len as u64;
    let of_len = len / element.size() as u64 * of.size() as u64;
    let similar = vec![Similar { blob, start: 0, len: of_len, element: of }];
    Outline {
        parts: vec![Part { start: 0, len, element: Some(element), similar }],
        ..Outline::default()
    }
}

/// All of a file is numbers.
pub(crate) fn numbers(len: usize, element: Element) -> Outline {
    let part = Part { start: 0, len: len as u64, element: Some(element), similar: Vec::new() };
    Outline { parts: vec![part], ..Outline::default() }
}

pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) nonces: Nonces,
    pub(crate) packs: Vec<PackId>,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        let nonces = Nonces::from_seed([4; 32]);
        Lab { dir: tempfile::tempdir().unwrap(), nonces, packs: Vec::new() }
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.root(), &self.packs)
    }

    /// Stores a file in a pack of its own, against all that is here.
    pub(crate) fn put(&mut self, bytes: &[u8], outline: &Outline) -> (Hash, Written) {
        let (id, written) = self.put_into(&self.store(), bytes, outline);
        self.packs.extend(&written.packs);
        (id, written)
    }

    /// The same against some other snapshot; the pack is not made known.
    pub(crate) fn put_into(
        &self,
        store: &Store,
        mut bytes: &[u8],
        outline: &Outline,
    ) -> (Hash, Written) {
        let len = bytes.len() as u64;
        let writer = StoreWriter::begin(store, &self.nonces).unwrap().with_effort(outline.effort);
        let (id, stored) =
            writer.put_file(Path::new("f"), len, outline, &mut bytes, &task()).unwrap();
        assert_eq!(stored, len);
        (id, writer.finish().unwrap())
    }

    pub(crate) fn path(&self, pack: PackId) -> PathBuf {
        self.root().join(pack.file_name())
    }

    pub(crate) fn overwrite(&self, pack: PackId, bytes: &[u8]) {
        let path = self.path(pack);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(fs::remove_file(&path));
        fs::write(path, bytes).unwrap();
    }
}

/// Whether a writer used an encoding.
pub(crate) fn used(written: &Written, encoding: Encoding) -> bool {
    written.by_encoding.iter().any(|count| count.encoding == encoding)
}

pub(crate) fn copied(store: &Store, id: &Hash) -> mv_store::Result<Vec<u8>> {
    let mut out = Vec::new();
    store.copy_to(id, None, &mut |piece| {
        out.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(out)
}

/// A file comes out of a snapshot by every way that there is.
#[track_caller]
pub(crate) fn reads(store: &Store, id: &Hash, bytes: &[u8]) {
    assert!(store.get(Kind::Blob, id, u64::MAX).unwrap() == bytes, "get");
    assert!(copied(store, id).unwrap() == bytes, "copy_to");
    let mut out = Vec::new();
    store.stream(id).unwrap().read_to_end(&mut out).unwrap();
    assert!(out == bytes, "stream");
    let len = bytes.len() as u64;
    for (start, count) in [(0, 10), (len / 3, len / 5), (len.saturating_sub(7), 7), (len / 2, 1)] {
        let end = start + count.min(len - start);
        let part = store.read_range(id, start, end - start).unwrap();
        assert!(part == bytes[start as usize..end as usize], "range {start}");
    }
}

/// Every pack is sound with what the snapshot has.
#[track_caller]
pub(crate) fn sound(store: &Store) {
    for pack in store.pack_ids() {
        let problems = verify_pack(store, pack, &task()).unwrap().problems;
        assert!(problems.is_empty(), "{problems:?}");
    }
}

/// Files and all that they are stored as.
pub(crate) fn closure(store: &Store, ids: &[Hash]) -> HashSet<Hash> {
    let parts = ids.iter().flat_map(|id| store.children(id).unwrap().unwrap_or_default());
    ids.iter().copied().chain(parts).collect()
}

pub(crate) fn best() -> Outline {
    Outline { effort: Effort::Best, ..Outline::default() }
}
