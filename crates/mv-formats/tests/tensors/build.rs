//! Files made byte by byte, for tests.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use mv_formats::{Error, Location, Model, Result, Source};

/// A file of any size that is zeros but for some pieces, and counts what is read of it.
pub(crate) struct Sparse {
    pub(crate) size: u64,
    pub(crate) pieces: Vec<(u64, Vec<u8>)>,
    pub(crate) read: AtomicU64,
}

impl Sparse {
    pub(crate) fn new() -> Sparse {
        Sparse { size: 0, pieces: Vec::new(), read: AtomicU64::new(0) }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> &mut Sparse {
        self.pieces.push((self.size, bytes.to_vec()));
        self.size += bytes.len() as u64;
        self
    }

    pub(crate) fn hole(&mut self, len: u64) -> &mut Sparse {
        self.size += len;
        self
    }

    /// All of it in memory.
    pub(crate) fn dense(&self) -> Vec<u8> {
        self.read(0, self.size as usize).expect("all of it")
    }
}

impl Source for Sparse {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let end = offset + into.len() as u64;
        if end > self.size {
            return Err(Error::Read(std::io::ErrorKind::UnexpectedEof.into()));
        }
        self.read.fetch_add(into.len() as u64, Ordering::Relaxed);
        into.fill(0);
        for (at, bytes) in &self.pieces {
            let (from, to) = (offset.max(*at), end.min(at + bytes.len() as u64));
            if from < to {
                into[(from - offset) as usize..(to - offset) as usize]
                    .copy_from_slice(&bytes[(from - at) as usize..(to - at) as usize]);
            }
        }
        Ok(())
    }
}

/// What holds for every model, whatever the file was.
pub(crate) fn check(model: &Model, size: u64) {
    let mut names: Vec<_> = model.tensors.iter().map(|tensor| &tensor.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), model.tensors.len(), "names are unique");
    for tensor in &model.tensors {
        let (offset, len, exact) = match tensor.location {
            Location::Plain { offset, len } => (offset, len, Some(len)),
            Location::Scattered { offset, len } => (offset, len, None),
            Location::Deflated { offset, packed, len, .. } => (offset, packed, Some(len)),
            Location::Elsewhere => continue,
        };
        assert!(offset.checked_add(len).is_some_and(|end| end <= size), "{tensor:?}");
        if let (Some(len), Some(expected)) = (exact, tensor.dtype.bytes_of(tensor.elements())) {
            assert_eq!(len, expected, "{tensor:?}");
        }
    }
}

pub(crate) fn safetensors(header: &str) -> Sparse {
    let mut file = Sparse::new();
    file.push(&(header.len() as u64).to_le_bytes()).push(header.as_bytes());
    file
}

pub(crate) fn npy(literal: &str) -> Vec<u8> {
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((literal.len() as u16).to_le_bytes());
    file.extend(literal.as_bytes());
    file
}

pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).expect("memory");
    packed.finish().expect("memory")
}

/// The content of an entry of a zip.
pub(crate) enum Content {
    Stored(Vec<u8>),
    Deflated { packed: Vec<u8>, size: u64 },
    Hole(u64),
}

/// A zip, every number of which is in its zip64 field.
pub(crate) fn zip(entries: impl IntoIterator<Item = (String, Content)>) -> Sparse {
    let mut file = Sparse::new();
    let mut directory = Vec::new();
    let mut count = 0_u64;
    for (name, content) in entries {
        let header = file.size;
        let (method, packed, size) = match &content {
            Content::Stored(bytes) => (0_u16, bytes.len() as u64, bytes.len() as u64),
            Content::Deflated { packed, size } => (8, packed.len() as u64, *size),
            Content::Hole(len) => (0, *len, *len),
        };
        let mut local = b"PK\x03\x04\x2d\x00\x00\x00".to_vec();
        local.extend(method.to_le_bytes());
        local.extend([0; 16]);
        local.extend((name.len() as u16).to_le_bytes());
        local.extend(5_u16.to_le_bytes());
        local.extend(name.as_bytes());
        local.extend(b"FB\x01\x00Z");
        file.push(&local);
        match content {
            Content::Stored(bytes) | Content::Deflated { packed: bytes, .. } => file.push(&bytes),
            Content::Hole(len) => file.hole(len),
        };
        directory.extend(b"PK\x01\x02\x2d\x00\x2d\x00\x00\x00");
        directory.extend(method.to_le_bytes());
        directory.extend([0; 8]);
        directory.extend([0xff; 8]);
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend(28_u16.to_le_bytes());
        directory.extend([0; 10]);
        directory.extend([0xff; 4]);
        directory.extend(name.as_bytes());
        directory.extend([1, 0, 24, 0]);
        for number in [size, packed, header] {
            directory.extend(number.to_le_bytes());
        }
        count += 1;
    }
    let offset = file.size;
    file.push(&directory);
    let end = file.size;
    let mut tail = b"PK\x06\x06\x2c\x00\x00\x00\x00\x00\x00\x00\x2d\x00\x2d\x00".to_vec();
    tail.extend([0; 8]);
    for number in [count, count, directory.len() as u64, offset] {
        tail.extend(number.to_le_bytes());
    }
    tail.extend(b"PK\x06\x07\x00\x00\x00\x00");
    tail.extend(end.to_le_bytes());
    tail.extend(b"\x01\x00\x00\x00PK\x05\x06\x00\x00\x00\x00");
    tail.extend([0xff; 12]);
    tail.extend([0, 0]);
    file.push(&tail);
    file
}

/// Pieces of pickles.
pub(crate) mod pickle {
    pub(crate) fn text(text: &str) -> Vec<u8> {
        [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
    }

    pub(crate) fn int(n: i64) -> Vec<u8> {
        [b"\x8a\x08", &n.to_le_bytes()[..]].concat()
    }

    pub(crate) fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
        [b"(", &items.concat()[..], b"t"].concat()
    }

    pub(crate) fn ints(items: &[i64]) -> Vec<u8> {
        tuple(&items.iter().map(|&n| int(n)).collect::<Vec<_>>())
    }

    pub(crate) fn dict(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let pairs: Vec<u8> =
            pairs.iter().flat_map(|(key, value)| [text(key), value.clone()].concat()).collect();
        [b"}(", &pairs[..], b"u"].concat()
    }

    /// A tensor of `f32` as a view of a storage.
    pub(crate) fn tensor(
        key: &str,
        numel: i64,
        offset: i64,
        shape: &[i64],
        stride: &[i64],
    ) -> Vec<u8> {
        let id = [
            text("storage"),
            b"ctorch\nFloatStorage\n".to_vec(),
            text(key),
            text("cpu"),
            int(numel),
        ];
        let storage = [tuple(&id), b"Q".to_vec()].concat();
        let args = [storage, int(offset), ints(shape), ints(stride), vec![0x89], b"N".to_vec()];
        [b"ctorch._utils\n_rebuild_tensor_v2\n", &tuple(&args)[..], b"R"].concat()
    }

    pub(crate) fn whole(body: &[u8]) -> Vec<u8> {
        [b"\x80\x02", body, b"."].concat()
    }
}

/// Pieces of protobuf messages.
pub(crate) mod protobuf {
    pub(crate) fn varint(mut n: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while n >= 0x80 {
            bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        bytes.push(n as u8);
        bytes
    }

    pub(crate) fn number(field: u64, n: u64) -> Vec<u8> {
        [varint(field << 3), varint(n)].concat()
    }

    pub(crate) fn bytes(field: u64, bytes: &[u8]) -> Vec<u8> {
        [&head(field, bytes.len() as u64)[..], bytes].concat()
    }

    /// What stands before so many bytes.
    pub(crate) fn head(field: u64, len: u64) -> Vec<u8> {
        [varint(field << 3 | 2), varint(len)].concat()
    }
}

/// A GGUF file up to its table of tensors.
pub(crate) fn gguf(tensors: u64, pairs: u64) -> Vec<u8> {
    [b"GGUF", &3_u32.to_le_bytes()[..], &tensors.to_le_bytes(), &pairs.to_le_bytes()].concat()
}

/// A row of the table: `f32`.
pub(crate) fn gguf_row(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut row = (name.len() as u64).to_le_bytes().to_vec();
    row.extend(name.as_bytes());
    row.extend((dims.len() as u32).to_le_bytes());
    dims.iter().for_each(|dim| row.extend(dim.to_le_bytes()));
    row.extend(kind.to_le_bytes());
    row.extend(offset.to_le_bytes());
    row
}
