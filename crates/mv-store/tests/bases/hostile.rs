//! Packs as an enemy would make them, with every check sum right: what their blocks are coded against
//! is anything.

use std::fs;
use std::io::Read;
use std::time::Instant;

use mv_store::{
    Hash, Kind, Nonces, Outline, PackId, Store, Transfer, id_of, verify_lists, verify_pack,
};

use super::lab::{Lab, after, closure, edited, sound, table, task};

/// A block of blobs, or of list nodes, as it lies in a pack.
#[derive(Clone, Debug)]
struct Block {
    encoding: u8,
    kind: u8,
    stored: Vec<u8>,
    raw_len: u64,
    objects: Vec<(Hash, u32)>,
}

const RAW: u8 = 0;
const ZSTD: u8 = 1;
const LIST: u8 = 2;
const DELTA: u8 = 5;
const DIFF: u8 = 7;

fn raw(bytes: &[u8]) -> Block {
    coded(RAW, bytes, bytes)
}

fn coded(encoding: u8, bytes: &[u8], stored: &[u8]) -> Block {
    let objects = vec![(id_of(Kind::Blob, bytes), 0)];
    Block { encoding, kind: 0, stored: stored.to_vec(), raw_len: bytes.len() as u64, objects }
}

/// The stored bytes of a list.
fn list(height: u8, items: &[(Hash, u64)]) -> Vec<u8> {
    let mut list = vec![height];
    list.extend((items.len() as u32).to_le_bytes());
    for (id, len) in items {
        list.extend(id.0);
        list.extend(len.to_le_bytes());
    }
    list
}

/// A pack of some blocks, with any records of bases.
fn pack(blocks: &[Block], bases: &[(u32, Hash)]) -> Vec<u8> {
    let mut bytes = [&b"MVPK"[..], &1u32.to_le_bytes(), &[5; 16]].concat();
    let (mut records, mut objects, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for block in blocks {
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
    objects.sort_unstable();
    let offset = bytes.len() as u64;
    let mut footer = Vec::new();
    objects.iter().for_each(|(id, _)| footer.extend(id.0));
    objects.iter().for_each(|(_, ordinal)| footer.extend(ordinal.to_le_bytes()));
    footer.extend(starts);
    footer.extend(records);
    for (block, id) in bases {
        footer.extend(block.to_le_bytes());
        footer.extend(id.0);
    }
    for count in [objects.len(), blocks.len(), bases.len(), 0] {
        footer.extend((count as u32).to_le_bytes());
    }
    footer.extend(offset.to_le_bytes());
    let check = id_of(Kind::Blob, &footer);
    footer.extend(check.0);
    footer.extend(b"MVPKEND1");
    bytes.extend(footer);
    bytes
}

/// Two contents, and the second as a difference to the first.
struct Pair {
    first: Vec<u8>,
    second: Vec<u8>,
    diff: Vec<u8>,
}

fn pair() -> Pair {
    let mut lab = Lab::new();
    let first = table(70_000, 1);
    let second = edited(&first, 30_000, 2);
    let (id, _) = lab.put(&first, &Outline::default());
    let (coded, _) = lab.put(&second, &after(id));
    assert_eq!(lab.store().bases_of(&coded).unwrap(), [id]);
    let bytes = fs::read(lab.path(lab.packs[1])).unwrap();
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    // One object, one block.
    let record = number(bytes.len() - 48) + 40;
    let (offset, len) = (number(record), number(record + 16));
    Pair { first, second, diff: bytes[offset..offset + len].to_vec() }
}

/// A snapshot of one forged pack.
fn planted(lab: &mut Lab, bytes: &[u8]) -> Store {
    let id = PackId(id_of(Kind::Blob, bytes));
    lab.overwrite(id, bytes);
    Store::open(lab.root(), &[id])
}

/// An object cannot be read, is not received, and all of that is said soon.
#[track_caller]
fn refused(what: &str, blocks: &[Block], bases: &[(u32, Hash)], id: Hash) {
    let mut lab = Lab::new();
    let store = planted(&mut lab, &pack(blocks, bases));
    let begun = Instant::now();
    let error = store.get(Kind::Blob, &id, 1 << 20).expect_err(what);
    assert!(error.is_corruption(), "{what}: {error}");
    let found = verify_pack(&store, store.pack_ids().next().unwrap(), &task()).unwrap();
    assert!(!found.problems.is_empty(), "{what}");
    let wanted = [id].into();
    if let Ok(transfer) = Transfer::plan(&store, &wanted, &Store::open(lab.root(), &[]))
        && transfer.missing.is_empty()
    {
        let root = lab.root().join("to");
        let nonces = Nonces::from_seed([8; 32]);
        let here = Store::open(&root, &[]);
        assert!(transfer.receive(&store, &here, &root, &nonces, &task()).is_err(), "{what}");
    }
    assert!(begun.elapsed().as_secs() < 30, "{what}: {:?}", begun.elapsed());
}

#[test]
fn an_honest_difference_is_read_and_so_is_one_to_an_object_that_shares_its_block() {
    let Pair { first, second, diff } = pair();
    let (base, id) = (id_of(Kind::Blob, &first), id_of(Kind::Blob, &second));
    let mut lab = Lab::new();
    let honest = pack(&[raw(&first), coded(DIFF, &second, &diff)], &[(1, base)]);
    let store = planted(&mut lab, &honest);
    assert!(store.get(Kind::Blob, &id, 1 << 20).unwrap() == second);
    sound(&store);
    let mut shared = raw(&[b"something else ", &first[..]].concat());
    shared.objects = vec![(id_of(Kind::Blob, b"something else "), 0), (base, 15)];
    let store = planted(&mut lab, &pack(&[shared, coded(DIFF, &second, &diff)], &[(1, base)]));
    assert!(store.get(Kind::Blob, &id, 1 << 20).unwrap() == second);
    sound(&store);
    assert_eq!(closure(&store, &[id]).len(), 1);
}

#[test]
fn records_of_bases_that_are_not_sound_are_refused() {
    let Pair { first, second, diff } = pair();
    let (base, id) = (id_of(Kind::Blob, &first), id_of(Kind::Blob, &second));
    let other = raw(b"other");
    let blocks = [raw(&first), other.clone(), coded(DIFF, &second, &diff)];
    let nowhere = Hash([7; 32]);
    let many = |n: usize, id: Hash| vec![(2, id); n];
    let cases: Vec<(&str, Vec<(u32, Hash)>)> = vec![
        ("none", vec![]),
        ("of a block without", vec![(0, base)]),
        ("of a block that is not there", vec![(3, base)]),
        ("of a block far away", vec![(u32::MAX, base)]),
        ("nowhere", vec![(2, nowhere)]),
        ("another", vec![(2, other.objects[0].0)]),
        ("itself", vec![(2, id)]),
        ("itself and more", vec![(2, base), (2, id)]),
        ("too many", many(513, base)),
        ("far too many", many(100_000, base)),
    ];
    for (what, bases) in cases {
        refused(what, &blocks, &bases, id);
    }
    // These can be read, and are not sound for all that.
    for bases in [
        vec![(2, base), (7, base)],
        vec![(2, base), (0, base)],
        vec![(0, base), (2, base)],
        vec![(2, base), (1, nowhere)],
    ] {
        let mut lab = Lab::new();
        let store = planted(&mut lab, &pack(&blocks, &bases));
        if let Ok(bytes) = store.get(Kind::Blob, &id, 1 << 20) {
            assert!(bytes == second);
        }
        let found = verify_pack(&store, store.pack_ids().next().unwrap(), &task()).unwrap();
        assert!(!found.problems.is_empty(), "{bases:?}");
    }
}

#[test]
fn a_start_that_lies_and_bytes_that_mean_nothing_are_refused() {
    let Pair { first, second, diff } = pair();
    let (base, id) = (id_of(Kind::Blob, &first), id_of(Kind::Blob, &second));
    for start in [1u32, 100, first.len() as u32, first.len() as u32 + 1, u32::MAX, 1 << 31] {
        let stored = [&start.to_le_bytes(), &diff[4..]].concat();
        let blocks = [raw(&first), coded(DIFF, &second, &stored)];
        refused(&format!("start {start}"), &blocks, &[(1, base)], id);
    }
    for encoding in 5..=7 {
        for stored in [&[][..], &[0; 3], &[0; 4], &[0; 200], &[255; 200], &first[..5000]] {
            let blocks = [raw(&first), coded(encoding, &second, stored)];
            refused(&format!("{encoding} {}", stored.len()), &blocks, &[(1, base)], id);
        }
    }
}

#[test]
fn a_base_that_is_a_list_is_no_base() {
    let Pair { first, second, diff } = pair();
    let (base, id) = (id_of(Kind::Blob, &first), id_of(Kind::Blob, &second));
    let (low, high) = first.split_at(40_000);
    let list = list(0, &[low, high].map(|part| (id_of(Kind::Blob, part), part.len() as u64)));
    let blocks = [raw(low), raw(high), coded(LIST, &first, &list), coded(DIFF, &second, &diff)];
    refused("a list", &blocks, &[(3, base)], id);
}

#[test]
fn circles_and_endless_chains_are_refused_soon() {
    // Every block is coded against the next, the last against the first.
    for (count, wide) in [(2, 1), (3, 3), (40, 2), (1000, 1), (1000, 100)] {
        let blocks: Vec<Block> =
            (0..count).map(|n: u32| coded(DIFF, &n.to_le_bytes(), &[0; 40])).collect();
        let name = |n: u32| blocks[(n % count) as usize].objects[0].0;
        let mut circle: Vec<(u32, Hash)> = Vec::new();
        for n in 0..count {
            circle.extend((1..=wide).map(|step| (n, name(n + step))));
        }
        refused(&format!("a circle of {count}, {wide}"), &blocks, &circle, name(0));
        let with_end = [&blocks[..], &[raw(b"the end")]].concat();
        let mut chain: Vec<(u32, Hash)> = Vec::new();
        for n in 0..count {
            let next = (1..=wide).map(|step| with_end[(n + step).min(count) as usize].objects[0].0);
            chain.extend(next.map(|id| (n, id)));
        }
        refused(&format!("a chain of {count}, {wide}"), &with_end, &chain, name(0));
    }
}

#[test]
fn bases_of_more_bytes_than_are_allowed_are_refused() {
    let second = b"coded against very much".repeat(10);
    let id = id_of(Kind::Blob, &second);
    let mut blocks: Vec<Block> = (0..4u8)
        .map(|n| {
            let zeros = vec![n; 16 << 20];
            coded(ZSTD, &zeros, &zstd::bulk::compress(&zeros, 1).unwrap())
        })
        .collect();
    let bases: Vec<(u32, Hash)> = blocks.iter().map(|block| (4, block.objects[0].0)).collect();
    for encoding in [DELTA, DIFF] {
        blocks.truncate(4);
        blocks.push(coded(encoding, &second, &[0; 60]));
        refused("64 MiB", &blocks, &bases, id);
        // One that is named again and again.
        let again: Vec<(u32, Hash)> = vec![bases[0]; 512];
        refused("8 GiB", &blocks, &again, id);
    }
}

#[test]
fn a_false_list_of_a_blob_that_is_here_is_refused() {
    let mut lab = Lab::new();
    let (bytes, other) = (table(70_000, 1), table(70_000, 2));
    let (id, _) = lab.put(&bytes, &Outline::default());
    let (other, _) = lab.put(&other, &Outline::default());
    let named = list(0, &[(other, 70_000)]);
    let forged = pack(&[coded(LIST, &bytes, &named)], &[]);
    let forged_id = PackId(id_of(Kind::Blob, &forged));
    lab.overwrite(forged_id, &forged);
    let store = Store::open(lab.root(), &[&lab.packs[..], &[forged_id]].concat());
    let error = verify_lists(&store, &[forged_id], u64::MAX, &task()).unwrap_err();
    assert!(error.is_corruption());
    // A full check tells of it as well, whichever copy is read.
    assert!(store.verify_list(&id, &store, &task()).unwrap_err().is_corruption());
}

#[test]
fn what_a_few_bytes_would_decode_without_end_is_not_read() {
    for (levels, is_read) in [(8, true), (30, false)] {
        // Two blocks a level, each coded against both of the next.
        let bytes = |n: u8| vec![n; 1 << 16];
        let mut blocks: Vec<Block> =
            (0..levels * 2).map(|n| coded(DIFF, &bytes(n), &[0; 40])).collect();
        blocks.extend([raw(&bytes(200)), raw(&bytes(201))]);
        let next = |n: u8| (2..4).map(move |step| n / 2 * 2 + step);
        let name = |n: u8| blocks[usize::from(n)].objects[0].0;
        let bases: Vec<(u32, Hash)> = (0..levels * 2)
            .flat_map(|n| next(n).map(move |base| (n, base)))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(n, base)| (u32::from(n), name(base)))
            .collect();
        let mut lab = Lab::new();
        let store = planted(&mut lab, &pack(&blocks, &bases));
        assert_eq!(store.contains(&name(0)), is_read, "{levels}");
    }
}

#[test]
fn an_object_may_need_many_others_that_have_much_in_common() {
    let leaves: Vec<Block> = (0..512u32).map(|n| raw(&n.to_le_bytes())).collect();
    let coded = |n: u32| coded(DIFF, &n.to_le_bytes(), &[0; 40]);
    let middle: Vec<Block> = (1000..1512).map(coded).collect();
    let blocks = [&[coded(9999)][..], &middle, &leaves].concat();
    let against = |n: u32, of: &[Block]| -> Vec<(u32, Hash)> {
        of.iter().map(|block| (n, block.objects[0].0)).collect()
    };
    let mut bases = against(0, &middle);
    bases.extend((1..=512).flat_map(|n| against(n, &leaves)));
    let mut lab = Lab::new();
    let store = planted(&mut lab, &pack(&blocks, &bases));
    assert!(store.contains(&blocks[0].objects[0].0));
}

#[test]
fn a_block_that_is_much_longer_stored_than_decoded_is_refused() {
    let mut lab = Lab::new();
    for (len, is_read) in [(65, true), (66, false)] {
        let block = coded(ZSTD, b"x", &vec![0; len]);
        let store = planted(&mut lab, &pack(&[block.clone()], &[]));
        assert_eq!(store.contains(&block.objects[0].0), is_read, "{len}");
    }
}

#[test]
fn a_list_that_repeats_its_nodes_without_end_is_streamed_as_it_is_read() {
    let chunk = raw(b"x");
    let (mut item, mut blocks) = ((chunk.objects[0].0, 1), vec![chunk]);
    for height in 0..4 {
        let node = list(height, &[item; 1024]);
        item = (id_of(Kind::List, &node), item.1 * 1024);
        let objects = vec![(item.0, 0)];
        blocks.push(Block {
            encoding: RAW,
            kind: 3,
            raw_len: node.len() as u64,
            stored: node,
            objects,
        });
    }
    let top = list(4, &[item]);
    let id = Hash([9; 32]);
    let objects = vec![(id, 0)];
    blocks.push(Block { encoding: LIST, kind: 0, stored: top, raw_len: item.1, objects });
    let mut lab = Lab::new();
    let store = planted(&mut lab, &pack(&blocks, &[]));
    let mut begin = [0; 5000];
    store.stream(&id).unwrap().read_exact(&mut begin).unwrap();
    assert_eq!(begin, [b'x'; 5000]);
}
