//! Bytes that a disk changed: what is written and read meanwhile does not come to depend on them.

use std::fs;

use mv_store::{Element, Kind, Outline, PackId, Store};

use super::lab::{Lab, Random, after, bf16, copied, like, numbers, reads, trained, weights};

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    std::iter::repeat_with(|| random.number().to_le_bytes()).flatten().take(len).collect()
}

/// The bytes of a pack with a bit turned every so often, but for its header and its index.
fn damaged(good: &[u8]) -> Vec<u8> {
    let mut bad = good.to_vec();
    let end = bad.len() - 3000;
    bad[5000..end].iter_mut().step_by(5000).for_each(|byte| *byte ^= 4);
    bad
}

#[test]
fn nothing_is_coded_against_bytes_that_a_disk_has_changed() {
    let w = weights(200_000, 3);
    let (x, y) = (bf16(&w), bf16(&trained(&w, 4)));
    let plain = numbers(x.len(), Element::Bf16);
    let raw = noise(600_000, 1);
    let mut edit = raw.clone();
    edit.splice(300_000..300_010, *b"inserted here");
    let (mut lab, mut other) = (Lab::new(), Lab::new());
    let (id, _) = lab.put(&x, &plain);
    let resembling = like(y.len(), Element::Bf16, id, Element::Bf16);
    let (id, _) = other.put(&raw, &Outline::default());
    for (mut lab, second, outline) in [(lab, y, resembling), (other, edit, after(id))] {
        let pack = lab.packs[0];
        let good = fs::read(lab.path(pack)).unwrap();
        lab.overwrite(pack, &damaged(&good));
        let (id, _) = lab.put(&second, &outline);
        lab.overwrite(pack, &good);
        reads(&lab.store(), &id, &second);
    }
}

/// A file of several chunks, each coded against those of another one, whose pack is damaged here and
/// sound in another pack.
#[test]
fn a_damaged_base_is_read_round_in_a_file_of_many_chunks() {
    let mut lab = Lab::new();
    let first = noise(3 << 20, 5);
    let (base, written) = lab.put(&first, &Outline::default());
    let mut second = first.clone();
    second.iter_mut().step_by(70_000).for_each(|byte| *byte ^= 1);
    let (id, coded) = lab.put(&second, &after(base));
    let mut third = second.clone();
    third.iter_mut().skip(9).step_by(70_000).for_each(|byte| *byte ^= 1);
    let (deep, deeper) = lab.put(&third, &after(id));
    let (_, again) = lab.put_into(&Store::open(lab.root(), &[]), &first, &Outline::default());
    let good = fs::read(lab.path(written.packs[0])).unwrap();
    lab.overwrite(written.packs[0], &damaged(&good));
    let all: Vec<PackId> =
        [&written, &coded, &deeper, &again].iter().flat_map(|one| one.packs.clone()).collect();
    for packs in [all.clone(), all.iter().rev().copied().collect()] {
        reads(&Store::open(lab.root(), &packs), &id, &second);
        reads(&Store::open(lab.root(), &packs), &deep, &third);
    }
}

/// Two packs have a file, cut otherwise, and one of them a damaged chunk.
#[test]
fn another_list_of_a_blob_is_read_where_a_chunk_of_the_first_is_damaged() {
    let lab = Lab::new();
    let bytes = noise(30 << 20, 6);
    let empty = Store::open(lab.root(), &[]);
    let (id, first) = lab.put_into(&empty, &bytes, &Outline::default());
    let (_, second) = lab.put_into(&empty, &bytes, &numbers(bytes.len(), Element::F32));
    let good = fs::read(lab.path(first.packs[0])).unwrap();
    let mut bad = good.clone();
    // Not in the first window, which is handed out before anything is wrong.
    bad[20 << 20] ^= 1;
    lab.overwrite(first.packs[0], &bad);
    for packs in [[first.packs[0], second.packs[0]], [second.packs[0], first.packs[0]]] {
        let store = Store::open(lab.root(), &packs);
        assert!(store.get(Kind::Blob, &id, u64::MAX).unwrap() == bytes);
        let store = Store::open(lab.root(), &packs);
        let range = 18 << 20..22 << 20;
        assert!(store.read_range(&id, 18 << 20, 4 << 20).unwrap() == bytes[range]);
        assert!(copied(&store, &id).unwrap() == bytes);
    }
}
