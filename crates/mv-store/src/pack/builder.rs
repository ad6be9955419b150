//! Writing a pack: blocks are appended to a temporary file, the index is gathered in memory.

use std::path::Path;

use super::{
    BLOCK_LEN, Block, HEADER_MAGIC, ID_LEN, MAX_OBJECTS, PLACE_LEN, PackId, TRAILER_LEN,
    TRAILER_MAGIC, VERSION,
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
        self.len() >= super::FULL_PACK || self.objects.len() >= MAX_OBJECTS as usize / 2
    }

    /// Appends one stored block and the objects that it holds: each id and where it begins in the
    /// raw bytes, in order and without gaps.
    pub(crate) fn append(
        &mut self,
        kind: Kind,
        encoding: Encoding,
        stored: &[u8],
        raw_len: u64,
        members: &[(Hash, u32)],
    ) -> Result<()> {
        let too_large = |_| Error::Invalid { what: "block", detail: "it is too large".into() };
        let stored_len = u32::try_from(stored.len()).map_err(too_large)?;
        let first = u32::try_from(self.objects.len()).map_err(too_large)?;
        self.blocks.push(Block { offset: self.len(), raw_len, stored_len, first, encoding, kind });
        self.objects.extend_from_slice(members);
        self.write(stored)
    }

    /// Writes index and trailer. The file is whole then, but neither durable nor visible.
    pub(crate) fn close(mut self) -> Result<ClosedPack> {
        let offset = self.len();
        let mut footer = encode_footer(&self.objects, &self.blocks);
        let counts = [self.objects.len(), self.blocks.len(), 0, 0];
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

fn encode_footer(objects: &[(Hash, u32)], blocks: &[Block]) -> Vec<u8> {
    let len = objects.len() * (ID_LEN + PLACE_LEN) + blocks.len() * BLOCK_LEN;
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
