//! Packs and trees as an enemy would make them: written byte by byte, from the description of the
//! format and not with the program's own writers, with every check sum right.

use mv_store::{Hash, Kind, id_of};

/// A block: its stored bytes and the objects that it claims to hold.
#[derive(Clone, Debug)]
pub struct Block {
    /// 0 blob, 1 tree, 2 manifest, 3 list node.
    pub kind: u8,
    /// 0 raw, 1 zstd, 2 list, 3 columns, 4 float, 5 delta, 6 cast, 7 diff.
    pub encoding: u8,
    /// The bytes as they are in the pack.
    pub stored: Vec<u8>,
    /// The length that they are said to decode to.
    pub raw_len: u64,
    /// Ids and where they begin in the decoded block.
    pub objects: Vec<(Hash, u32)>,
    /// What it is coded against.
    pub bases: Vec<Hash>,
}

impl Block {
    /// One object, stored raw.
    #[must_use]
    pub fn raw(kind: Kind, bytes: &[u8]) -> Block {
        Block::claimed(kind, bytes, id_of(kind, bytes))
    }

    /// One object, stored raw under any id.
    #[must_use]
    pub fn claimed(kind: Kind, bytes: &[u8], id: Hash) -> Block {
        Block {
            kind: kind.code(),
            encoding: 0,
            stored: bytes.to_vec(),
            raw_len: bytes.len() as u64,
            objects: vec![(id, 0)],
            bases: Vec::new(),
        }
    }

    /// One blob behind a zstd frame.
    #[must_use]
    pub fn zstd(frame: &[u8], raw_len: u64, id: Hash) -> Block {
        Block::coded(1, frame, raw_len, id, &[])
    }

    /// One blob that is a list of others.
    #[must_use]
    pub fn list(height: u8, items: &[(Hash, u64)], id: Hash) -> Block {
        let mut stored = vec![height];
        stored.extend((items.len() as u32).to_le_bytes());
        for (item, len) in items {
            stored.extend(item.0);
            stored.extend(len.to_le_bytes());
        }
        let raw_len = items.iter().fold(0u64, |sum, (_, len)| sum.wrapping_add(*len));
        Block::coded(2, &stored, raw_len, id, &[])
    }

    /// One blob in any encoding, against others.
    #[must_use]
    pub fn coded(encoding: u8, stored: &[u8], raw_len: u64, id: Hash, bases: &[Hash]) -> Block {
        let (stored, bases) = (stored.to_vec(), bases.to_vec());
        Block { kind: 0, encoding, stored, raw_len, objects: vec![(id, 0)], bases }
    }
}

/// The bytes of a pack of these blocks.
#[must_use]
pub fn pack(blocks: &[Block], nonce: [u8; 16]) -> Vec<u8> {
    let mut bytes = b"MVPK".to_vec();
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(nonce);
    let (mut records, mut objects, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    let mut bases = Vec::new();
    for (number, block) in (0u32..).zip(blocks) {
        for id in &block.bases {
            bases.extend(number.to_le_bytes());
            bases.extend(id.0);
        }
        records.extend((bytes.len() as u64).to_le_bytes());
        records.extend(block.raw_len.to_le_bytes());
        records.extend((block.stored.len() as u32).to_le_bytes());
        records.extend((objects.len() as u32).to_le_bytes());
        records.extend([block.encoding, block.kind, 0, 0]);
        for (id, start) in &block.objects {
            objects.push((*id, objects.len() as u32));
            starts.extend(start.to_le_bytes());
        }
        bytes.extend(&block.stored);
    }
    objects.sort();
    let offset = bytes.len() as u64;
    let mut footer = Vec::new();
    objects.iter().for_each(|(id, _)| footer.extend(id.0));
    objects.iter().for_each(|(_, ordinal)| footer.extend(ordinal.to_le_bytes()));
    footer.extend(starts);
    footer.extend(records);
    footer.extend(&bases);
    for count in [objects.len(), blocks.len(), bases.len() / 36, 0] {
        footer.extend((count as u32).to_le_bytes());
    }
    footer.extend(offset.to_le_bytes());
    let check = id_of(Kind::Blob, &footer);
    footer.extend(check.0);
    footer.extend(b"MVPKEND1");
    bytes.extend(footer);
    bytes
}

/// A varint as bincode 2 writes it.
pub fn varint(into: &mut Vec<u8>, value: u64) {
    match value {
        0..=250 => into.push(value as u8),
        251..=0xffff => {
            into.push(251);
            into.extend((value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            into.push(252);
            into.extend((value as u32).to_le_bytes());
        }
        _ => {
            into.push(253);
            into.extend(value.to_le_bytes());
        }
    }
}

/// One entry of a forged tree.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Any bytes.
    pub name: Vec<u8>,
    /// 0 file, 1 executable, 2 symlink, 3 directory, or what does not exist.
    pub mode: u64,
    /// What it names.
    pub id: Hash,
    /// Claimed bytes below.
    pub bytes: u64,
    /// Claimed files below.
    pub files: u64,
}

impl Entry {
    /// A file.
    #[must_use]
    pub fn file(name: impl AsRef<[u8]>, id: Hash, bytes: u64) -> Entry {
        Entry { name: name.as_ref().to_vec(), mode: 0, id, bytes, files: 1 }
    }

    /// A directory.
    #[must_use]
    pub fn dir(name: impl AsRef<[u8]>, id: Hash, bytes: u64, files: u64) -> Entry {
        Entry { name: name.as_ref().to_vec(), mode: 3, id, bytes, files }
    }
}

/// The bytes of a tree, in the order given.
#[must_use]
pub fn tree(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = b"MVtr\x01".to_vec();
    varint(&mut bytes, entries.len() as u64);
    for entry in entries {
        varint(&mut bytes, entry.name.len() as u64);
        bytes.extend(&entry.name);
        varint(&mut bytes, entry.mode);
        bytes.extend(entry.id.0);
        varint(&mut bytes, entry.bytes);
        varint(&mut bytes, entry.files);
    }
    bytes
}
