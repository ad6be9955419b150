//! A pack's index over any bytes: mapped from a local file, or fetched from a remote.
//!
//! Opening checks the shape once (magic, version, counts against length); each record that is
//! looked up is checked again before it is used. The check sum is verified by fsck and on arrival,
//! not at every open: what a damaged index points to cannot pass for another object, because every
//! object is compared with its id.

use super::{
    BASE_LEN, BLOCK_LEN, Block, HEADER_LEN, ID_LEN, MAX_BASE_RECORDS, MAX_BASES, MAX_CHUNK,
    MAX_OBJECTS, MAX_OVERHEAD, MAX_RAW, MAX_SHARED, MAX_SHARED_DIFF, PLACE_LEN, Place, TRAILER_LEN,
    TRAILER_MAGIC,
};
use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::{Hash, HashPrefix, Kind};

/// The counts and the place of a footer, read from a trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) objects: u32,
    pub(crate) blocks: u32,
    pub(crate) bases: u32,
    pub(crate) footer_offset: u64,
    pub(crate) check: Hash,
}

impl Trailer {
    /// Reads the last 64 bytes of a pack of `file_len` bytes.
    pub(crate) fn parse(bytes: &[u8], file_len: u64, name: &str) -> Result<Trailer> {
        let bad = |detail: &str| Error::corrupt("pack", name, detail);
        let bytes: &[u8; 64] = bytes.try_into().map_err(|_| bad("its trailer is cut off"))?;
        if bytes[56..] != TRAILER_MAGIC {
            return Err(bad("it does not end in a trailer"));
        }
        let trailer = Trailer {
            objects: u32_at(bytes, 0),
            blocks: u32_at(bytes, 4),
            bases: u32_at(bytes, 8),
            footer_offset: u64_at(bytes, 16),
            check: hash_at(bytes, 24),
        };
        if u32_at(bytes, 12) != 0 {
            return Err(bad("its trailer has unknown content"));
        }
        if trailer.objects > MAX_OBJECTS
            || trailer.blocks > trailer.objects
            || trailer.bases > MAX_BASE_RECORDS
        {
            return Err(bad("its counts are out of bounds"));
        }
        let end = trailer
            .footer_offset
            .checked_add(trailer.footer_len())
            .and_then(|n| n.checked_add(TRAILER_LEN));
        if trailer.footer_offset < HEADER_LEN || end != Some(file_len) {
            return Err(bad("its length does not match its index"));
        }
        Ok(trailer)
    }

    /// The length of the file that an index of `index_len` bytes is the end of, as far as its trailer
    /// can be believed.
    pub(crate) fn file_len(trailer: &[u8; 64], index_len: u64) -> u64 {
        u64_at(trailer, 16).saturating_add(index_len)
    }

    /// Bytes of the footer without the trailer.
    pub(crate) fn footer_len(&self) -> u64 {
        let (objects, blocks, bases) =
            (u64::from(self.objects), u64::from(self.blocks), u64::from(self.bases));
        objects * (ID_LEN + PLACE_LEN) as u64 + blocks * BLOCK_LEN as u64 + bases * BASE_LEN as u64
    }
}

/// An index whose shape was checked; `T` is a map or a byte vector of footer and trailer.
#[derive(Debug)]
pub(crate) struct PackIndex<T> {
    bytes: T,
    trailer: Trailer,
    name: String,
}

impl<T: AsRef<[u8]>> PackIndex<T> {
    /// Takes the bytes from the footer's begin to the file's end.
    pub(crate) fn open(bytes: T, trailer: Trailer, name: String) -> Result<PackIndex<T>> {
        if bytes.as_ref().len() as u64 != trailer.footer_len() + TRAILER_LEN {
            return Err(Error::corrupt("pack", name, "its index is cut off"));
        }
        Ok(PackIndex { bytes, trailer, name })
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    pub(crate) fn objects(&self) -> u32 {
        self.trailer.objects
    }

    pub(crate) fn blocks(&self) -> u32 {
        self.trailer.blocks
    }

    fn count(&self) -> usize {
        self.trailer.objects as usize
    }

    /// The id of the n-th object; n is below [`PackIndex::objects`].
    pub(crate) fn id(&self, n: u32) -> Hash {
        hash_at(self.bytes.as_ref(), n as usize * ID_LEN)
    }

    /// The number in stored order of the n-th object, unchecked.
    pub(crate) fn ordinal(&self, n: u32) -> u32 {
        u32_at(self.bytes.as_ref(), self.count() * ID_LEN + n as usize * 4)
    }

    /// The place of the n-th object, checked against its block.
    pub(crate) fn place(&self, n: u32) -> Result<(Place, Block)> {
        let ordinal = self.ordinal(n);
        if ordinal >= self.trailer.objects {
            return Err(self.bad("an object lies in no block"));
        }
        // The last block that begins at or before the ordinal.
        let (mut low, mut high) = (0, self.trailer.blocks);
        while high - low > 1 {
            let middle = low.midpoint(high);
            if self.first_of(middle) <= ordinal { low = middle } else { high = middle }
        }
        let block = self.block(low)?;
        let next = if low + 1 < self.trailer.blocks {
            self.first_of(low + 1)
        } else {
            self.trailer.objects
        };
        let start = self.start_of(ordinal);
        let len = match block.encoding {
            Encoding::List if start == 0 && block.first == ordinal && next == ordinal + 1 => {
                Some(0)
            }
            Encoding::List => None,
            _ if ordinal + 1 < next => self.start_of(ordinal + 1).checked_sub(start),
            _ => block.raw_len.checked_sub(u64::from(start)).and_then(|n| n.try_into().ok()),
        };
        let inside =
            block.first <= ordinal && ordinal < next && (start == 0 || ordinal != block.first);
        match len.filter(|len| inside && u64::from(start) + u64::from(*len) <= block.raw_len) {
            Some(len) => Ok((Place { block: low, start, len }, block)),
            None => Err(self.bad("an object lies outside its block")),
        }
    }

    fn first_of(&self, block: u32) -> u32 {
        let at = self.count() * (ID_LEN + PLACE_LEN) + block as usize * BLOCK_LEN;
        u32_at(self.bytes.as_ref(), at + 20)
    }

    fn start_of(&self, ordinal: u32) -> u32 {
        u32_at(self.bytes.as_ref(), self.count() * (ID_LEN + 4) + ordinal as usize * 4)
    }

    /// The n-th block, checked against the pack's bounds.
    pub(crate) fn block(&self, n: u32) -> Result<Block> {
        if n >= self.trailer.blocks {
            return Err(self.bad("an object lies in no block"));
        }
        let at = self.count() * (ID_LEN + PLACE_LEN) + n as usize * BLOCK_LEN;
        let bytes = self.bytes.as_ref();
        let (encoding, kind) = (bytes[at + 24], bytes[at + 25]);
        let block = Block {
            number: n,
            offset: u64_at(bytes, at),
            raw_len: u64_at(bytes, at + 8),
            stored_len: u32_at(bytes, at + 16),
            first: u32_at(bytes, at + 20),
            encoding: Encoding::from_code(encoding).ok_or_else(|| Error::Unsupported {
                what: format!("block encoding {encoding}"),
                name: format!("pack {}", self.name),
            })?,
            kind: Kind::from_code(kind).ok_or_else(|| Error::Unsupported {
                what: format!("object kind {kind}"),
                name: format!("pack {}", self.name),
            })?,
        };
        let end = block.offset.checked_add(u64::from(block.stored_len));
        if block.offset < HEADER_LEN || end.is_none_or(|end| end > self.trailer.footer_offset) {
            return Err(self.bad("a block lies outside the pack"));
        }
        let next =
            if n + 1 < self.trailer.blocks { self.first_of(n + 1) } else { self.trailer.objects };
        let most = match block.kind {
            _ if next.saturating_sub(block.first) > 1 => match block.encoding {
                Encoding::Diff => MAX_SHARED_DIFF,
                _ => MAX_SHARED,
            },
            Kind::Tree => MAX_RAW,
            Kind::Blob | Kind::Manifest | Kind::List => MAX_CHUNK,
        };
        let raw_is_sane = match block.encoding {
            Encoding::Raw => block.raw_len == u64::from(block.stored_len) && block.raw_len <= most,
            Encoding::Zstd => block.raw_len <= most,
            Encoding::Columns
            | Encoding::Float
            | Encoding::Delta
            | Encoding::Cast
            | Encoding::Diff => block.kind == Kind::Blob && block.raw_len <= most,
            Encoding::List => {
                block.kind == Kind::Blob && block.stored_len as usize <= crate::list::MAX_BYTES
            }
        };
        let stored_is_sane = block.encoding == Encoding::List
            || u64::from(block.stored_len) <= block.raw_len.saturating_add(MAX_OVERHEAD);
        if raw_is_sane && stored_is_sane && bytes[at + 26..at + 28] == [0, 0] {
            Ok(block)
        } else {
            Err(self.bad("a block record is out of bounds"))
        }
    }

    /// The objects that a block is coded against, in the order of their bytes.
    pub(crate) fn bases(&self, block: &Block) -> Result<Vec<Hash>> {
        if !block.encoding.has_bases() {
            return Ok(Vec::new());
        }
        let (mut low, mut high) = (0, self.trailer.bases);
        while low < high {
            let middle = low.midpoint(high);
            if self.base(middle).0 < block.number { low = middle + 1 } else { high = middle }
        }
        let these = (low..self.trailer.bases).map(|n| self.base(n));
        let these = these.take_while(|(number, _)| *number == block.number);
        let bases: Vec<Hash> = these.map(|(_, id)| id).take(MAX_BASES + 1).collect();
        if bases.is_empty() || bases.len() > MAX_BASES {
            return Err(self.bad("a block has no bases or too many"));
        }
        Ok(bases)
    }

    /// How many records of bases there are.
    pub(crate) fn base_count(&self) -> u32 {
        self.trailer.bases
    }

    /// The objects of all records of bases.
    pub(crate) fn all_bases(&self) -> impl Iterator<Item = Hash> {
        (0..self.trailer.bases).map(|n| self.base(n).1)
    }

    /// The n-th base record: the number of a block, and an object that it is coded against.
    fn base(&self, n: u32) -> (u32, Hash) {
        let at = self.count() * (ID_LEN + PLACE_LEN)
            + self.trailer.blocks as usize * BLOCK_LEN
            + n as usize * BASE_LEN;
        (u32_at(self.bytes.as_ref(), at), hash_at(self.bytes.as_ref(), at + 4))
    }

    fn bad(&self, detail: &str) -> Error {
        Error::corrupt("pack", &self.name, detail)
    }

    /// The number of the object with this id. Ids are spread evenly, so the search begins where
    /// the id should be.
    pub(crate) fn find(&self, id: &Hash) -> Option<u32> {
        let ids = &self.bytes.as_ref()[..self.count() * ID_LEN];
        let (mut low, mut high) = self.guess(ids, id);
        while low < high {
            let middle = low.midpoint(high);
            match ids[middle * ID_LEN..(middle + 1) * ID_LEN].cmp(&id.0[..]) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return u32::try_from(middle).ok(),
            }
        }
        None
    }

    /// Bounds around the place where an id should be, widened until they hold it: a few cache lines
    /// instead of the log2(n) that plain bisection touches.
    fn guess(&self, ids: &[u8], id: &Hash) -> (usize, usize) {
        let count = self.count();
        if count < 64 {
            return (0, count);
        }
        let lead = u64::from_be_bytes([
            id.0[0], id.0[1], id.0[2], id.0[3], id.0[4], id.0[5], id.0[6], id.0[7],
        ]);
        let expected = (u128::from(lead) * count as u128) >> 64;
        let expected = usize::try_from(expected).unwrap_or(0).min(count - 1);
        let before = |at: usize| ids[at * ID_LEN..(at + 1) * ID_LEN] < id.0[..];
        let mut step = 16;
        if before(expected) {
            let mut low = expected + 1;
            loop {
                let high = low + step;
                if high >= count {
                    return (low, count);
                }
                if !before(high) {
                    return (low, high + 1);
                }
                low = high + 1;
                step *= 4;
            }
        }
        let mut high = expected + 1;
        loop {
            let Some(low) = high.checked_sub(step) else { return (0, high) };
            if before(low) {
                return (low + 1, high);
            }
            high = low + 1;
            step *= 4;
        }
    }

    /// The numbers of the objects whose ids begin with the prefix.
    pub(crate) fn find_prefix(&self, prefix: &HashPrefix) -> Vec<u32> {
        let (mut low, mut high) = (0, self.trailer.objects);
        while low < high {
            let middle = low.midpoint(high);
            if self.id(middle) < *prefix.low() { low = middle + 1 } else { high = middle }
        }
        (low..self.trailer.objects).take_while(|&n| prefix.matches(&self.id(n))).collect()
    }

    /// Verifies the check sum, the order of the ids, that every record is sound and that the blocks
    /// follow one another without gaps from the header to the footer.
    pub(crate) fn verify(&self) -> Result<()> {
        let bytes = self.bytes.as_ref();
        let covered = bytes.len() - 40;
        if blake3::hash(&bytes[..covered]).as_bytes() != self.trailer.check.as_bytes() {
            return Err(self.bad("its index does not match its check sum"));
        }
        if (1..self.objects()).any(|n| self.id(n - 1) >= self.id(n)) {
            return Err(self.bad("its ids are not in order"));
        }
        let mut offset = HEADER_LEN;
        let mut first = None;
        for n in 0..self.blocks() {
            let block = self.block(n)?;
            if first.replace(block.first).map_or(block.first != 0, |before| block.first <= before) {
                return Err(self.bad("a block holds no object"));
            }
            if block.offset != offset {
                return Err(self.bad("its blocks do not follow one another"));
            }
            offset += u64::from(block.stored_len);
        }
        if offset != self.trailer.footer_offset {
            return Err(self.bad("bytes before its index belong to no block"));
        }
        let mut named = 0;
        for n in 0..self.blocks() {
            named += self.bases(&self.block(n)?)?.len();
        }
        let sorted = (1..self.trailer.bases).all(|n| self.base(n - 1).0 <= self.base(n).0);
        if !sorted || named != self.trailer.bases as usize {
            return Err(self.bad("its bases belong to no block"));
        }
        let mut ordinals: Vec<u32> = (0..self.objects()).map(|n| self.ordinal(n)).collect();
        ordinals.sort_unstable();
        if (0..self.objects()).ne(ordinals) {
            return Err(self.bad("its order names an object twice"));
        }
        (0..self.objects()).try_for_each(|n| self.place(n).map(drop))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn hash_at(bytes: &[u8], at: usize) -> Hash {
    let mut hash = Hash::ZERO;
    hash.0.copy_from_slice(&bytes[at..at + ID_LEN]);
    hash
}
