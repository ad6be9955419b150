//! Packs, whole and forged, and two of the decoders in them: zstd blocks and chunk lists. The others
//! are in `codecs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use mv_store::{
    Element, Encoding, Hash, Kind, PackId, Progress, Store, Unit, fuzzing, id_of, verify_pack,
};

use crate::cursor::Cursor;
use crate::forge::{self, Block};
use fuzzing::Form;

const KINDS: [Kind; 4] = [Kind::Blob, Kind::Tree, Kind::Manifest, Kind::List];
const TRAILER: usize = 64;
/// Objects of one pack that are read.
const READ: usize = 48;
/// Bytes that objects of one pack may claim: a small pack may unfold into much, which only takes time.
const CLAIMED: u64 = 48 << 20;

/// Arbitrary bytes as a pack, as they are and with the check sum of the index put right.
pub(crate) fn pack(bytes: &[u8]) {
    check(bytes, None);
    if let Some(mended) = mended(bytes) {
        check(&mended, None);
    }
}

/// A pack of blocks that the bytes choose: most are what they say, and then all must be found.
pub(crate) fn forged(bytes: &[u8]) {
    let mut forger = Forger::default();
    let mut choices = Cursor(bytes);
    while !choices.is_empty() && forger.blocks.len() < 24 {
        forger.add(&mut choices);
    }
    let expected = (!forger.lies).then_some(&forger.objects);
    check(&forge::pack(&forger.blocks, [7; 16]), expected);
}

/// A pack whose magic numbers, place of the index and check sum are right, whatever is in it.
fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let trailer = bytes.len().checked_sub(TRAILER).filter(|at| *at >= 24)?;
    let mut pack = bytes.to_vec();
    pack[..8].copy_from_slice(b"MVPK\x01\0\0\0");
    let number = |at: usize| {
        u32::from_le_bytes(pack[trailer + at..trailer + at + 4].try_into().unwrap()) as usize
    };
    let room = trailer - 24;
    let blocks = number(4) % (room / 68 + 1);
    let objects = blocks + number(0).wrapping_sub(blocks) % ((room - blocks * 68) / 40 + 1);
    let bases = number(8) % ((room - objects * 40 - blocks * 28) / 36 + 1);
    let footer = trailer - objects * 40 - blocks * 28 - bases * 36;
    let counts = [objects, blocks, bases, 0].map(|n| (n as u32).to_le_bytes()).concat();
    pack[trailer..trailer + 16].copy_from_slice(&counts);
    pack[trailer + 16..trailer + 24].copy_from_slice(&(footer as u64).to_le_bytes());
    let sum = id_of(Kind::Blob, &pack[footer..trailer + 24]);
    pack[trailer + 24..trailer + 56].copy_from_slice(sum.as_bytes());
    pack[trailer + 56..].copy_from_slice(b"MVPKEND1");
    Some(pack)
}

/// The ids that a pack's index has, and the bytes that its blocks claim to decode to, each as often as
/// it may be a base.
fn index(bytes: &[u8]) -> Option<(Vec<Hash>, u64)> {
    let trailer = bytes.len().checked_sub(TRAILER)?;
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let (objects, blocks, bases) = (number(trailer)?, number(trailer + 4)?, number(trailer + 8)?);
    let footer = trailer.checked_sub(objects * 40 + blocks * 28 + bases * 36)?;
    let ids = bytes[footer..].chunks_exact(32).take(objects.min(READ));
    let ids = ids.map(|id| Hash(id.try_into().unwrap())).collect();
    let records = bytes[footer + objects * 40..].chunks_exact(28).take(blocks);
    let claimed =
        records.filter(|record| !matches!(record[24], 0 | 2)).fold(0u64, |sum, record| {
            sum.saturating_add(u64::from_le_bytes(*record[8..].first_chunk().unwrap()))
        });
    Some((ids, claimed.saturating_mul(bases as u64 / 4 + 1)))
}

/// Everything that can be asked of a pack. With `expected`, its index is sound and its objects are
/// exactly these.
fn check(bytes: &[u8], expected: Option<&Objects>) {
    let (ids, claimed) = index(bytes).unwrap_or_default();
    if claimed > CLAIMED {
        return;
    }
    let name = PackId(id_of(Kind::Blob, bytes));
    let root = Root::with(&name, bytes);
    let store = Store::open(&root.path, &[name]);
    let found = verify_pack(
        &Store::open(&root.path, &[name]),
        name,
        &Progress::new().task("verify", Unit::Bytes),
    )
    .unwrap();
    let sound = found.problems.is_empty();
    let counted = store.packs().map(|packs| packs[0].objects as usize);
    assert!(counted.is_ok() || !sound);
    let listed: Vec<Hash> = KINDS.iter().filter_map(|k| store.ids_of(*k).ok()).flatten().collect();
    assert!(!sound || counted.is_ok_and(|n| n == listed.len()));
    assert!(!sound || store.live_bytes(name, &|_| true).is_ok_and(|(live, all)| live == all));
    for id in &ids {
        let mut kinds = 0;
        for kind in KINDS {
            kinds += usize::from(object(&store, kind, id, sound));
        }
        let whole = store.children(id).is_ok_and(|children| children.is_none());
        assert!(kinds <= 1 && (kinds == 1 || !sound || !whole), "{id} is sound and not readable");
        assert!(!sound || (store.contains(id) && store.has(id).unwrap()));
    }
    for (id, (kind, content)) in expected.into_iter().flatten() {
        let read = store.get(*kind, id, u64::MAX).unwrap();
        assert!(read == *content, "{id} is not what was stored");
    }
    assert!(expected.is_none() || sound, "an honest pack is refused: {:?}", found.problems);
}

/// Reads an object in every way there is; all must agree. Whether it can be read.
///
/// A whole blob is compared with its id and a part of one with those of its chunks, so that of an unsound
/// pack one may be had without the other.
fn object(store: &Store, kind: Kind, id: &Hash, sound: bool) -> bool {
    let cap = 1 << 20;
    let read = store.get(kind, id, cap);
    if let Ok(bytes) = &read {
        assert!(bytes.len() as u64 <= cap && id_of(kind, bytes) == *id, "{id} has other bytes");
        assert!(store.stored_as(id).unwrap().stored_bytes >= 1);
    }
    if kind != Kind::Blob {
        return read.is_ok();
    }
    let Ok(len) = store.len_of(id) else { return read.is_ok() };
    if let Ok(Some(chunks)) = store.chunks(id, 4096) {
        assert!(chunks.iter().map(|chunk| chunk.len).sum::<u64>() == len);
    }
    let (start, part) = (len / 3, (len / 5 + 1).min(len - len / 3).min(1 << 16));
    let range = store.read_range(id, start, part);
    assert!(store.read_range(id, len, 1).is_err() && store.read_range(id, 1, u64::MAX).is_err());
    if len > cap {
        // The size alone was the reason.
        return true;
    }
    let mut copied = Vec::new();
    let copy = store.copy_to(id, None, &mut |piece| {
        copied.extend_from_slice(piece);
        Ok(())
    });
    match read {
        Ok(bytes) => {
            assert!(copy.unwrap() == len && copied == bytes && bytes.len() as u64 == len);
            let [from, to] = [start, start + part].map(|n| n as usize);
            assert!(range.map_or(!sound, |range| range == bytes[from..to]));
            true
        }
        Err(_) => {
            assert!(copy.is_err());
            false
        }
    }
}

/// A folder with one pack in it, gone when dropped.
struct Root {
    path: PathBuf,
    pack: PathBuf,
}

impl Root {
    fn with(name: &PackId, bytes: &[u8]) -> Root {
        let thread = format!("{:?}", std::thread::current().id());
        let of_thread: String = thread.chars().filter(char::is_ascii_digit).collect();
        let path = std::env::temp_dir().join(format!("mv-pack-{}-{of_thread}", std::process::id()));
        let pack = path.join(name.file_name());
        fs::create_dir_all(pack.parent().unwrap()).unwrap();
        fs::write(&pack, bytes).unwrap();
        Root { path, pack }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        fs::remove_file(&self.pack).unwrap();
        // From the innermost out; another pack never lies beside it.
        for folder in self.pack.ancestors().skip(1).take(3) {
            fs::remove_dir(folder).unwrap();
        }
    }
}

type Objects = BTreeMap<Hash, (Kind, Vec<u8>)>;

/// Items of a list, all there and of the right length, and what they add up to.
struct Items {
    height: u8,
    items: Vec<(Hash, u64)>,
    content: Vec<u8>,
}

/// Makes blocks out of choices and remembers what they hold.
#[derive(Default)]
struct Forger {
    blocks: Vec<Block>,
    /// Every object whose bytes are known.
    objects: Objects,
    /// In the order in which they were made: what lists can be made of.
    chunks: Vec<Hash>,
    /// List nodes with their height and the chunks below.
    nodes: Vec<(Hash, u8, Vec<u8>)>,
    /// How many blocks are decoded to read a chunk that is coded against others.
    costs: BTreeMap<Hash, usize>,
    /// Whether a block may not be what it says.
    lies: bool,
}

impl Forger {
    fn add(&mut self, choices: &mut Cursor<'_>) {
        let what = choices.byte();
        if what >= 0xc0 {
            return self.coded(what, choices);
        }
        match what % 8 {
            0 | 1 => {
                let kind = KINDS[choices.number() % 3];
                let pieces: Vec<&[u8]> = (0..=choices.number() % 4)
                    .map(|_| {
                        let len = choices.number();
                        choices.bytes(len)
                    })
                    .collect();
                self.solid(kind, &pieces, what & 8 != 0);
            }
            2 => {
                let (value, len) = (choices.byte(), choices.word());
                self.solid(Kind::Blob, &[&vec![value; len]], true);
            }
            3 => self.list(choices, what & 8 != 0),
            4 => self.node(choices),
            5 => {
                // A frame as the fuzzer wants it.
                let (raw_len, len) = (choices.word(), choices.number());
                let frame = choices.bytes(len);
                let raw = fuzzing::decompress(frame, raw_len);
                let id = raw.as_ref().map_or(Hash([1; 32]), |raw| id_of(Kind::Blob, raw));
                let block = Block::zstd(frame, raw_len as u64, id);
                match raw {
                    Ok(raw) => self.honestly(block, Kind::Blob, vec![(id, raw)]),
                    Err(_) => self.lie(block),
                }
            }
            6 => {
                let len = choices.number();
                let block = Block {
                    kind: choices.byte() % 6,
                    encoding: choices.byte() % 10,
                    raw_len: choices.long() >> (choices.byte() % 64),
                    objects: (0..choices.number() % 4)
                        .map(|_| (Hash([choices.byte(); 32]), choices.word() as u32))
                        .collect(),
                    stored: choices.bytes(len).to_vec(),
                    bases: self.bases(choices),
                };
                self.lie(block);
            }
            _ => {
                // One number of a block that was honest until now.
                let at = choices.number() % self.blocks.len().max(1);
                let by = choices.long() >> (choices.byte() % 64);
                let bases = if what & 0x20 == 0 { Vec::new() } else { self.bases(choices) };
                let Some(block) = self.blocks.get_mut(at) else { return };
                self.lies = true;
                if what & 0x20 != 0 {
                    block.bases = bases;
                    return;
                }
                match what >> 3 & 3 {
                    0 => block.raw_len = block.raw_len.wrapping_add(by),
                    1 => block.encoding ^= by as u8 % 8,
                    2 => block.kind ^= by as u8 % 4,
                    _ => {
                        if let Some((_, start)) = block.objects.last_mut() {
                            *start = start.wrapping_add(by as u32);
                        }
                    }
                }
            }
        }
    }

    /// Objects in one block, raw or compressed.
    fn solid(&mut self, kind: Kind, pieces: &[&[u8]], pack: bool) {
        let raw = pieces.concat();
        let mut start = 0;
        let (mut objects, mut known) = (Vec::new(), Vec::new());
        for piece in pieces {
            let id = id_of(kind, piece);
            objects.push((id, start));
            known.push((id, piece.to_vec()));
            start += piece.len() as u32;
        }
        let frame = fuzzing::compress(&raw).unwrap().filter(|_| pack);
        let block = Block {
            kind: kind.code(),
            encoding: u8::from(frame.is_some()),
            raw_len: raw.len() as u64,
            stored: frame.unwrap_or(raw),
            objects,
            bases: Vec::new(),
        };
        self.honestly(block, kind, known);
    }

    /// A few of the chunks that there are, some of them several times.
    fn bases(&self, choices: &mut Cursor<'_>) -> Vec<Hash> {
        let count = choices.number() % 4;
        let mut pick = |_| {
            let at = choices.number().checked_rem(self.chunks.len());
            at.map_or(Hash([9; 32]), |at| self.chunks[at])
        };
        (0..count).map(&mut pick).collect()
    }

    /// A blob, or several, in one of the encodings that know what bytes mean.
    fn coded(&mut self, what: u8, choices: &mut Cursor<'_>) {
        const CODED: [Encoding; 5] =
            [Encoding::Columns, Encoding::Float, Encoding::Delta, Encoding::Cast, Encoding::Diff];
        const ELEMENTS: [Element; 5] =
            [Element::Byte, Element::Bf16, Element::F16, Element::F32, Element::F64];
        let encoding = CODED[usize::from(what) % 5];
        let shape = choices.number();
        let (element, of) = (ELEMENTS[shape % 5], ELEMENTS[shape / 5 % 5]);
        let bases = if encoding.has_bases() { self.bases(choices) } else { Vec::new() };
        let base: Vec<u8> =
            bases.iter().filter_map(|id| self.objects.get(id)).flat_map(|o| o.1.clone()).collect();
        let start = if shape > 127 { choices.byte() } else { 0 };
        let len = choices.number();
        let own = choices.bytes(len);
        let aligned = base.get(usize::from(start)..).unwrap_or_default();
        let raw = match encoding {
            Encoding::Cast => {
                let mut stored = u32::from(start).to_le_bytes().to_vec();
                stored.extend([element.code(), of.code()]);
                let len = aligned.len() / of.size() * element.size();
                fuzzing::decode(encoding, &stored, &base, len).unwrap_or_default()
            }
            Encoding::Float => own.repeat(usize::from(start % 8) + 2),
            Encoding::Columns => {
                let lines = own.split(|byte| *byte == b'\n').cycle();
                let rows = (0..usize::from(start) * 4).zip(lines);
                rows.flat_map(|(n, row)| [format!("{n},").as_bytes(), row, b"\n"].concat())
                    .collect()
            }
            _ => {
                let mut raw = aligned.to_vec();
                let step = if encoding == Encoding::Diff { 97 } else { element.size() };
                for (byte, by) in raw.iter_mut().step_by(step).zip(own.iter().cycle()) {
                    *byte = byte.wrapping_add(by % 4);
                }
                raw.extend_from_slice(own);
                raw
            }
        };
        let cost = 1 + bases.iter().map(|id| self.costs.get(id).unwrap_or(&1)).sum::<usize>();
        let form = Form { encoding, element, of, base: &base, start: u32::from(start) };
        let stored = fuzzing::encode(&form, &raw).filter(|_| cost < 64 && raw.len() <= 1 << 18);
        let Some(stored) = stored.filter(|_| !encoding.has_bases() || !bases.is_empty()) else {
            return;
        };
        let cut = if what & 0x20 == 0 { 0 } else { raw.len() / 3 };
        let (head, tail) = raw.split_at(cut);
        let pieces = if cut == 0 { vec![tail] } else { vec![head, tail] };
        let known: Vec<_> =
            pieces.iter().map(|piece| (id_of(Kind::Blob, piece), piece.to_vec())).collect();
        let objects = known.iter().map(|(id, _)| *id).zip([0, cut as u32]).collect();
        let (encoding, raw_len) = (encoding.code(), raw.len() as u64);
        let block = Block { kind: 0, encoding, stored, raw_len, objects, bases };
        let before = self.blocks.len();
        let ids: Vec<Hash> = known.iter().map(|(id, _)| *id).collect();
        self.honestly(block, Kind::Blob, known);
        if self.blocks.len() > before {
            self.costs.extend(ids.into_iter().map(|id| (id, cost)));
        }
    }

    /// A blob out of chunks or nodes.
    fn list(&mut self, choices: &mut Cursor<'_>, lie: bool) {
        let Some(Items { height, items, content }) = self.items(choices) else { return };
        let id = id_of(Kind::Blob, &content);
        let mut block = Block::list(height, &items, id);
        if lie {
            block.objects[0].0 = Hash([choices.byte(); 32]);
            block.stored[0] = block.stored[0].wrapping_add(choices.byte());
            self.lie(block);
        } else {
            self.honestly(block, Kind::Blob, vec![(id, content)]);
        }
    }

    /// A list node.
    fn node(&mut self, choices: &mut Cursor<'_>) {
        let Some(Items { height, items, content }) = self.items(choices) else { return };
        let bytes = Block::list(height, &items, Hash::ZERO).stored;
        let id = id_of(Kind::List, &bytes);
        self.honestly(Block::raw(Kind::List, &bytes), Kind::List, vec![(id, bytes)]);
        if height < 6 {
            self.nodes.push((id, height, content));
        }
    }

    /// What a list can be made of.
    fn items(&self, choices: &mut Cursor<'_>) -> Option<Items> {
        let count = choices.number() % 32 + 1;
        let mut all = Vec::new();
        let mut items = Vec::new();
        let (height, parts): (u8, Vec<(Hash, &[u8])>) = if choices.byte().is_multiple_of(2) {
            let whole = |id: &Hash| Some((*id, &self.objects.get(id)?.1[..]));
            (0, self.chunks.iter().filter_map(whole).collect())
        } else {
            let height = self.nodes.get(choices.number() % self.nodes.len().max(1))?.1;
            let alike = self.nodes.iter().filter(|(_, h, _)| *h == height);
            (height + 1, alike.map(|(id, _, content)| (*id, &content[..])).collect())
        };
        let parts: Vec<_> = parts.into_iter().filter(|(_, content)| !content.is_empty()).collect();
        for _ in 0..count {
            let (id, content) = parts.get(choices.number() % parts.len().max(1))?;
            if all.len() + content.len() > 1 << 19 {
                break;
            }
            items.push((*id, content.len() as u64));
            all.extend_from_slice(content);
        }
        (!items.is_empty()).then_some(Items { height, items, content: all })
    }

    /// A block whose objects are these, unless the pack has one of them already.
    fn honestly(&mut self, block: Block, kind: Kind, known: Vec<(Hash, Vec<u8>)>) {
        let mut ids: Vec<Hash> = known.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        let all = self.blocks.iter().flat_map(|block| &block.objects);
        let fresh = all.into_iter().all(|(id, _)| ids.binary_search(id).is_err());
        if ids.len() != known.len() || !fresh {
            return;
        }
        for (id, content) in known {
            if kind == Kind::Blob && block.encoding != 2 && content.len() <= 1 << 16 {
                self.chunks.push(id);
            }
            self.objects.insert(id, (kind, content));
        }
        self.blocks.push(block);
    }

    fn lie(&mut self, block: Block) {
        self.lies = true;
        self.blocks.push(block);
    }
}

/// Bytes as a zstd frame: of the size that it declares, and of sizes that the first bytes say.
pub(crate) fn zstd_block(bytes: &[u8]) {
    let declared = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten().unwrap_or(0);
    let most = 4 << 20;
    for claimed in [declared, 0, 1, declared + 1, bytes.len() as u64] {
        if claimed > most {
            continue;
        }
        let Ok(raw) = fuzzing::decompress(bytes, claimed as usize) else { continue };
        assert!(raw.len() as u64 == claimed && claimed == declared);
        let plain = zstd::bulk::decompress(bytes, raw.len());
        assert!(plain.is_ok_and(|plain| plain == raw));
        assert!(fuzzing::decompress(&[bytes, b"x"].concat(), raw.len()).is_err());
    }
    if let Some(packed) = fuzzing::compress(bytes).unwrap() {
        assert!(packed.len() < bytes.len());
        assert!(fuzzing::decompress(&packed, bytes.len()).unwrap() == bytes);
    }
}

/// Bytes as a chunk list.
pub(crate) fn chunk_list(bytes: &[u8]) {
    let Ok((sum, again)) = fuzzing::chunk_list(bytes, None) else { return };
    assert!(again == bytes, "two encodings of one list");
    assert!(fuzzing::chunk_list(bytes, Some(sum)).is_ok());
    assert!(fuzzing::chunk_list(bytes, Some(sum.wrapping_add(1))).is_err());
}

/// Packs with all that a pack can have.
pub(crate) fn pack_seeds() -> Vec<Vec<u8>> {
    let chunk = |n: u8| Block::raw(Kind::Blob, &[n; 40]);
    let whole = [[1; 40], [2; 40]].concat();
    let items: Vec<_> = [1u8, 2].map(|n| (id_of(Kind::Blob, &[n; 40]), 40)).to_vec();
    let node = Block::list(0, &items, Hash::ZERO).stored;
    let twice = [whole.clone(), whole.clone()].concat();
    let upper = vec![(id_of(Kind::List, &node), 80); 2];
    let text = b"weights and biases ".repeat(20);
    let packed = fuzzing::compress(&text).unwrap().unwrap();
    let shared = Block {
        kind: 1,
        encoding: 0,
        stored: b"onetwothree".to_vec(),
        raw_len: 11,
        objects: [("one", 0), ("two", 3), ("three", 6)]
            .map(|(text, start)| (id_of(Kind::Tree, text.as_bytes()), start))
            .to_vec(),
        bases: Vec::new(),
    };
    let blocks = [
        chunk(1),
        chunk(2),
        Block::list(0, &items, id_of(Kind::Blob, &whole)),
        Block::raw(Kind::List, &node),
        Block::list(1, &upper, id_of(Kind::Blob, &twice)),
        Block::zstd(&packed, text.len() as u64, id_of(Kind::Blob, &text)),
        shared,
        Block::raw(Kind::Blob, b""),
    ];
    let coded = coded_blocks();
    let packs = [
        &blocks[..],
        &blocks[..3],
        &blocks[5..6],
        &blocks[6..7],
        &blocks[..0],
        &coded[..],
        &coded[..3],
        &coded[3..5],
    ];
    packs.map(|blocks| forge::pack(blocks, [9; 16])).to_vec()
}

/// Every encoding that knows what bytes mean, chains of two and three, and a block that two share.
fn coded_blocks() -> Vec<Block> {
    let id = |raw: &[u8]| id_of(Kind::Blob, raw);
    let coded = |form: &Form<'_>, raw: &[u8], bases: &[Hash]| {
        let stored = fuzzing::encode(form, raw).unwrap();
        Block::coded(form.encoding.code(), &stored, raw.len() as u64, id(raw), bases)
    };
    let numbers: Vec<u8> =
        (0..120u32).flat_map(|n| (1.0 + n as f32 / 1000.0).to_le_bytes()).collect();
    let moved = |by: u32| -> Vec<u8> {
        let words = numbers.chunks(4).zip(0u32..);
        words.flat_map(|(w, n)| [w[0] ^ ((n * by) % 4) as u8, w[1], w[2], w[3]]).collect()
    };
    let form = Form {
        encoding: Encoding::Float,
        element: Element::F32,
        of: Element::F32,
        base: &[],
        start: 0,
    };
    let (second, third) = (moved(1), moved(3));
    let delta = Form { encoding: Encoding::Delta, ..form };
    let cast_of = [&[0; 4][..], &[1, 3]].concat();
    let narrow = fuzzing::decode(Encoding::Cast, &cast_of, &numbers, 240).unwrap();
    let row = |n: usize| format!("{},{},x\n", n + 98, ["Lima", "Oslo", "Lima", "Lima"][n % 4]);
    let text: String = (0..40).map(row).collect();
    let columns = Form { encoding: Encoding::Columns, ..form };
    let edited = text.replace("Oslo", "Quito");
    let (head, tail) = edited.as_bytes().split_at(100);
    let both = [numbers.clone(), text.clone().into_bytes()].concat();
    let diff = Form { encoding: Encoding::Diff, base: &both, start: 480, ..form };
    let bases = [id(&numbers), id(text.as_bytes())];
    let mut shared = coded(&diff, edited.as_bytes(), &bases);
    shared.objects = vec![(id(head), 0), (id(tail), 100)];
    vec![
        coded(&form, &numbers, &[]),
        coded(&Form { base: &numbers, ..delta }, &second, &[id(&numbers)]),
        coded(&Form { base: &second, ..delta }, &third, &[id(&second)]),
        coded(&columns, text.as_bytes(), &[]),
        shared,
        Block::coded(6, &cast_of, 240, id(&narrow), &[id(&numbers)]),
    ]
}

/// Choices that lead to every kind of block.
pub(crate) fn forged_seeds() -> Vec<Vec<u8>> {
    let texts = b"\0\0\x03\x03one\x03two\x05three\x04four";
    let runs = b"\x02\x61\x00\x01\x02\x62\x10\x00\x02\x63\x00\x10";
    let list = b"\x03\x04\x00\x00\x01\x02\x01\x00";
    let node = b"\x04\x02\x00\x01\x02\x00";
    let upper = b"\x03\x02\x01\x00\x00\x00\x00";
    let mut frame = b"\x05\xb8\x01".to_vec();
    let packed = zstd::bulk::compress(&[b'z'; 440], 1).unwrap();
    frame.push(packed.len() as u8);
    frame.extend(packed);
    let honest = [&texts[..], runs, list, node, upper, &frame].concat();
    let lie = [&honest[..], b"\x07\x01\x01\0\0\0\0\0\0\0\0"].concat();
    let wild = [&texts[..], b"\x06\x04\x01\x02\x10\0\0\0\0\0\0\0\0\x02ab\x01\x01cdef"].concat();
    // Numbers as they are, a difference to them, one to both, a cast, a table and its edits.
    let numbers = b"\x02\x40\x80\x01";
    let delta = b"\xc0\x00\x01\x00\x05\x01\x02\x03\x00\x01";
    let further = b"\xc0\x00\x01\x01\x05\x01\x00\x02\x00\x03";
    let cast = b"\xc1\x10\x01\x00\x00";
    let float = b"\xc4\x00\x28aabbccddaabbccddaabbccddaabbccddaabbccdd";
    let table = b"\xc3\x80\x40\x1aLima,x\nOslo,x\nLima,y\nRome,";
    let diff = b"\xc2\x00\x01\x05\x04more";
    let shared = b"\xe0\x80\x02\x00\x05\x03\x06shared";
    let coded = [&numbers[..], delta, further, cast, float, table, diff, shared].concat();
    let bent = [&coded[..], b"\x27\x01\x01\0\0\0\0\0\0\0\0\x01\x03"].concat();
    let last = [&runs[..], b"\x0b\x02\0\0\0\x01\x05"].concat();
    vec![honest, lie, wild, last, coded, bent]
}

/// Frames with and without sequences, literals and check sums.
pub(crate) fn zstd_seeds() -> Vec<Vec<u8>> {
    let text = b"the quick brown fox jumps over the lazy dog, the quick brown dog over the fox. ";
    let mixed: Vec<u8> = (0..2000u32).map(|n| ((n * n) >> 7) as u8).collect();
    let mut seeds: Vec<Vec<u8>> = [&text.repeat(9)[..], &[0; 4000], &mixed, b"", b"abc"]
        .iter()
        .flat_map(|raw| [1, 3, 19].map(|level| zstd::bulk::compress(raw, level).unwrap()))
        .collect();
    let mut checked = zstd::bulk::Compressor::new(3).unwrap();
    checked.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
    seeds.push(checked.compress(&text[..]).unwrap());
    seeds.push(text.repeat(3));
    seeds
}

/// Lists of one, of three, and of nodes.
pub(crate) fn list_seeds() -> Vec<Vec<u8>> {
    let item = |n: u8| (Hash([n; 32]), u64::from(n) << n);
    let list = |height, items: &[_]| Block::list(height, items, Hash::ZERO).stored;
    vec![list(0, &[item(1)]), list(0, &[item(1), item(2), item(3)]), list(6, &[item(9), item(9)])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_seed_has_every_kind_of_block() {
        let seed = &forged_seeds()[0];
        let mut forger = Forger::default();
        let mut choices = Cursor(seed);
        while !choices.is_empty() {
            forger.add(&mut choices);
        }
        assert!(!forger.lies);
        for encoding in 0..3 {
            assert!(forger.blocks.iter().any(|block| block.encoding == encoding), "{encoding}");
        }
        assert!(forger.blocks.iter().any(|block| block.kind == Kind::List.code()));
        assert!(forger.blocks.iter().any(|block| block.encoding == 2 && block.stored[0] == 1));
        assert!(forger.blocks.iter().any(|block| block.objects.len() > 1));
    }

    #[test]
    fn an_honest_seed_has_every_encoding_with_bases_and_they_are_believed() {
        let seed = &forged_seeds()[4];
        let mut forger = Forger::default();
        let mut choices = Cursor(seed);
        while !choices.is_empty() {
            forger.add(&mut choices);
        }
        assert!(!forger.lies);
        let made: Vec<u8> = forger.blocks.iter().map(|block| block.encoding).collect();
        for encoding in [3, 4, 5, 6, 7] {
            assert!(made.contains(&encoding), "{encoding} of {made:?}");
        }
        assert!(forger.costs.values().any(|cost| *cost > 2));
        assert!(forger.blocks.iter().any(|b| b.encoding == 7 && b.objects.len() == 2));
        forged(seed);
        pack(&pack_seeds()[5]);
        let (ids, _) = index(&pack_seeds()[5]).unwrap();
        assert_eq!(ids.len(), 7);
    }

    #[test]
    fn a_mended_pack_passes_its_own_checks() {
        for n in [0, 5] {
            let seed = &pack_seeds()[n];
            let mut broken = seed.clone();
            let trailer = broken.len() - TRAILER;
            broken[trailer + 24..].fill(0);
            assert!(mended(seed).as_ref() == Some(seed) && mended(&broken).as_ref() == Some(seed));
        }
    }
}
