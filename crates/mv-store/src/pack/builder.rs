//! Writing a pack: blocks are appended to a temporary file, the index is gathered in memory.

use std::path::Path;

use super::{
    BASE_LEN, BLOCK_LEN, Block, HEADER_MAGIC, ID_LEN, MAX_BASE_RECORDS, MAX_OBJECTS, PLACE_LEN,
    PackId, TRAILER_LEN, TRAILER_MAGIC, VERSION,
};
use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::fs::{TempFile, sync_dir};
use crate::hash::{Hash, Kind, Nonce, nonce_hex};

/// A pack that is being written.
pub(crate) struct PackBuilder {
    file: TempFile,
    hasher: blake3::Hasher,
    /// In stored order: each object's id and where it begins in its block.
    objects: Vec<(Hash, u32)>,
    blocks: Vec<Block>,
    /// The number of a block and an object that it is coded against.
    bases: Vec<(u32, Hash)>,
}

/// A block as it is to be stored.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub(crate) kind: Kind,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: &'a [u8],
    pub(crate) raw_len: u64,
    /// The objects that it is coded against, in the order of their bytes.
    pub(crate) bases: &'a [Hash],
}

/// A pack that is whole, still under its temporary name.
pub(crate) struct ClosedPack {
    pub(crate) id: PackId,
    pub(crate) bytes: u64,
    file: TempFile,
}

impl PackBuilder {
    pub(crate) fn create(dir: &Path, nonce: &Nonce) -> Result<PackBuilder> {
        let mut builder = PackBuilder {
            file: TempFile::create(dir, &nonce_hex(nonce))?,
            hasher: blake3::Hasher::new(),
            objects: Vec::new(),
            blocks: Vec::new(),
            bases: Vec::new(),
        };
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&HEADER_MAGIC);
        header.extend_from_slice(&VERSION.to_le_bytes());
        header.extend_from_slice(nonce);
        builder.write(&header)?;
        Ok(builder)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file.append(bytes)
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> u64 {
        self.file.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= super::FULL_PACK
            || self.objects.len() >= MAX_OBJECTS as usize / 2
            || self.bases.len() >= MAX_BASE_RECORDS as usize / 2
    }

    /// Appends one stored block and the objects that it holds: each id and where it begins in the
    /// raw bytes, in order and without gaps. `bases` are the objects that it is coded against.
    pub(crate) fn append(&mut self, form: &Stored<'_>, members: &[(Hash, u32)]) -> Result<Block> {
        let too_large = |_| Error::Invalid { what: "block", detail: "it is too large".into() };
        let block = Block {
            number: u32::try_from(self.blocks.len()).map_err(too_large)?,
            offset: self.len(),
            raw_len: form.raw_len,
            stored_len: u32::try_from(form.bytes.len()).map_err(too_large)?,
            first: u32::try_from(self.objects.len()).map_err(too_large)?,
            encoding: form.encoding,
            kind: form.kind,
        };
        self.blocks.push(block);
        self.objects.extend_from_slice(members);
        self.bases.extend(form.bases.iter().map(|base| (block.number, *base)));
        self.write(form.bytes)?;
        Ok(block)
    }

    /// Reads back a block that was appended.
    pub(crate) fn read_back(&self, block: &Block) -> Result<Vec<u8>> {
        let mut bytes = vec![0; block.stored_len as usize];
        self.file.read_at(&mut bytes, block.offset)?;
        Ok(bytes)
    }

    /// The objects that a block which was appended is coded against.
    pub(crate) fn bases(&self, block: &Block) -> Vec<Hash> {
        let first = self.bases.partition_point(|(number, _)| *number < block.number);
        let these = self.bases[first..].iter().take_while(|(number, _)| *number == block.number);
        these.map(|(_, id)| *id).collect()
    }

    /// Writes index and trailer. The file is whole then, but neither durable nor visible.
    pub(crate) fn close(mut self) -> Result<ClosedPack> {
        let offset = self.len();
        let mut footer = encode_footer(&self.objects, &self.blocks, &self.bases);
        let counts = [self.objects.len(), self.blocks.len(), self.bases.len(), 0];
        for count in counts {
            footer.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        footer.extend_from_slice(&offset.to_le_bytes());
        let check = blake3::hash(&footer);
        footer.extend_from_slice(check.as_bytes());
        footer.extend_from_slice(&TRAILER_MAGIC);
        self.write(&footer)?;
        // Synced and closed now: a commit of many packs must not hold a file open for each.
        self.file.seal()?;
        let id = PackId(Hash(*self.hasher.finalize().as_bytes()));
        Ok(ClosedPack { id, bytes: self.file.len(), file: self.file })
    }
}

fn encode_footer(objects: &[(Hash, u32)], blocks: &[Block], bases: &[(u32, Hash)]) -> Vec<u8> {
    let len =
        objects.len() * (ID_LEN + PLACE_LEN) + blocks.len() * BLOCK_LEN + bases.len() * BASE_LEN;
    let mut footer = Vec::with_capacity(len + usize::try_from(TRAILER_LEN).unwrap_or(0));
    let mut sorted: Vec<(&Hash, u32)> = objects.iter().map(|(id, _)| id).zip(0..).collect();
    sorted.sort_unstable();
    for (id, _) in &sorted {
        footer.extend_from_slice(&id.0);
    }
    for (_, ordinal) in &sorted {
        footer.extend_from_slice(&ordinal.to_le_bytes());
    }
    for (_, start) in objects {
        footer.extend_from_slice(&start.to_le_bytes());
    }
    for block in blocks {
        footer.extend_from_slice(&block.offset.to_le_bytes());
        footer.extend_from_slice(&block.raw_len.to_le_bytes());
        footer.extend_from_slice(&block.stored_len.to_le_bytes());
        footer.extend_from_slice(&block.first.to_le_bytes());
        footer.extend_from_slice(&[block.encoding.code(), block.kind.code(), 0, 0]);
    }
    for (block, id) in bases {
        footer.extend_from_slice(&block.to_le_bytes());
        footer.extend_from_slice(&id.0);
    }
    footer
}

impl ClosedPack {
    /// Makes the pack durable and gives it its final name below `root`.
    pub(crate) fn publish(self, root: &Path) -> Result<PackId> {
        match self.file.publish_new(&root.join(self.id.file_name())) {
            // The name is the hash of the bytes, so what is there is this pack.
            Ok(()) | Err(Error::Exists { .. }) => {}
            Err(e) => return Err(e),
        }
        // Another process may have made the pack's folder and not have synced it yet.
        sync_dir(&root.join("packs"))?;
        Ok(self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::START_LEN;
    use crate::hash::id_of;
    use crate::store::Store;
    use crate::{Element, codec};

    /// A raw block of 100 bfloat16 numbers and a difference to them: `docs/FORMAT.md`, section 18.
    const GOLDEN: &str = "
        4d56504b0100000005050505050505050505050505050505003c253c4a3c6f3c943cb93cde3c033d
        283d4d3d723d973dbc3de13d063e2b3e503e753e9a3ebf3ee43e093f2e3f533f783f9d3fc23fe73f
        0c40314056407b40a040c540ea400f41344159417e41a341c841ed41124237425c428142a642cb42
        f04215433a435f438443a943ce43f34318443d4462448744ac44d144f6441b45404565458a45af45
        d445f9451e46434668468d46b246d746fc46214746476b479047b547da47ff47244849486e489348
        b848dd48024927494c4971499649bb49e049054a2a4a4f4a0000000001009400042020ffff4bfdff
        8fffdff5ffff070a000000e0dcdf0691005b4e5e190102038414595f569ed468a44b7bd7ed23a3fb
        b72525f791a11374ebceecd1022d994a98a1ec3942bf9fa7d97db37373d9d504d3b8f9e21154c69d
        2c7b50e439fa838e000000000100000000000000000000001800000000000000c800000000000000
        c80000000000000000000000e000000000000000cb00000000000000280000000100000005000000
        010000008414595f569ed468a44b7bd7ed23a3fbb72525f791a11374ebceecd1022d994a02000000
        0200000001000000000000000801000000000000341b94b32a927770417db614229cde053a20fda9
        2963bc9d02fe05fa381c3d514d56504b454e4431
    ";
    const GOLDEN_ID: &str = "81ebf85b8eaa6d9f54a9e0dfa2ebcf5f0ab2546269a29b41b9b138ce8d6a5fe0";

    #[test]
    fn the_bytes_of_a_small_pack_with_bases_are_these() {
        let base: Vec<u8> = (0..100u16).flat_map(|i| (0x3c00 + 37 * i).to_le_bytes()).collect();
        let mut raw = base.clone();
        for (i, byte) in raw.iter_mut().enumerate().step_by(6) {
            *byte = byte.wrapping_add(i as u8 % 4);
        }
        raw.extend([1, 2, 3]);
        let [base_id, raw_id] = [&base, &raw].map(|bytes| id_of(Kind::Blob, bytes));
        let delta = codec::delta::encode(Element::Bf16, &raw, &base).unwrap();
        let delta = [&[0; START_LEN][..], &delta].concat();

        let root = tempfile::tempdir().unwrap();
        let mut builder = PackBuilder::create(&root.path().join("tmp"), &[5; 16]).unwrap();
        let form = |encoding, bytes, raw_len: usize, bases| Stored {
            kind: Kind::Blob,
            encoding,
            bytes,
            raw_len: raw_len as u64,
            bases,
        };
        let plain = form(Encoding::Raw, &base, base.len(), &[]);
        builder.append(&plain, &[(base_id, 0)]).unwrap();
        let bases = [base_id];
        let coded = form(Encoding::Delta, &delta, raw.len(), &bases);
        let block = builder.append(&coded, &[(raw_id, 0)]).unwrap();
        assert_eq!(builder.bases(&block), [base_id]);
        let id = builder.close().unwrap().publish(root.path()).unwrap();

        let bytes = std::fs::read(root.path().join(id.file_name())).unwrap();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, GOLDEN.split_whitespace().collect::<String>());
        assert_eq!(id.to_string(), GOLDEN_ID);

        let store = Store::open(root.path(), &[id]);
        assert_eq!(store.get(Kind::Blob, &raw_id, 1000).unwrap(), raw);
        assert_eq!(store.bases_of(&raw_id).unwrap(), [base_id]);
        store.pack(0).unwrap().index.verify().unwrap();
    }
}
