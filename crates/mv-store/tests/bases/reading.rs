//! Files that are coded against earlier ones, read back.

use std::time::{Duration, Instant};

use mv_store::{Element, Encoding, Hash, Outline, Store};

use super::lab::{
    Lab, after, bf16, edited, f32s, like, numbers, reads, sound, table, task, trained, used,
    weights,
};

#[test]
fn a_table_that_is_edited_all_over_is_read_in_every_version() {
    let mut lab = Lab::new();
    let mut bytes = table(3 << 20, 1);
    let (mut id, _) = lab.put(&bytes, &Outline::default());
    let mut versions = vec![(id, bytes.clone())];
    for n in 0..12 {
        bytes = edited(&bytes, 60_000, n);
        let (next, written) = lab.put(&bytes, &after(id));
        assert!(n > 6 || written.stored_bytes < 400_000, "{n}: {}", written.stored_bytes);
        id = next;
        versions.push((id, bytes.clone()));
    }
    let begun = Instant::now();
    for (id, bytes) in &versions {
        reads(&lab.store(), id, bytes);
    }
    sound(&lab.store());
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
}

#[test]
fn more_packs_do_not_make_what_was_stored_unreadable() {
    let mut lab = Lab::new();
    let mut bytes = table(3 << 20, 2);
    let (mut id, _) = lab.put(&bytes, &Outline::default());
    for n in 0..3 {
        bytes = edited(&bytes, 30_000, n);
        id = lab.put(&bytes, &after(id)).0;
    }
    for n in 0..60 {
        lab.put(&table(70_000, 100 + n), &Outline::default());
    }
    reads(&lab.store(), &id, &bytes);
    sound(&lab.store());
}

#[test]
fn weights_that_are_trained_on_are_read_in_every_version() {
    for element in [Element::Bf16, Element::F32] {
        let mut lab = Lab::new();
        let stored = |w: &[f32]| if element == Element::Bf16 { bf16(w) } else { f32s(w) };
        let mut numbers_ = weights(700_000, 3);
        let mut bytes = stored(&numbers_);
        let (mut id, _) = lab.put(&bytes, &numbers(bytes.len(), element));
        let mut versions = vec![(id, bytes.clone())];
        let mut deltas = 0;
        for n in 0..6 {
            numbers_ = trained(&numbers_, n);
            bytes = stored(&numbers_);
            let (next, written) = lab.put(&bytes, &like(bytes.len(), element, id, element));
            deltas += u32::from(used(&written, Encoding::Delta));
            id = next;
            versions.push((id, bytes.clone()));
        }
        assert!(deltas >= 3, "{element:?}: {deltas}");
        for (id, bytes) in &versions {
            reads(&lab.store(), id, bytes);
        }
        sound(&lab.store());
    }
}

/// How many blocks have to be decoded before a file can be, at most.
fn depth(store: &Store, id: &Hash) -> u32 {
    let parts = store.children(id).unwrap().unwrap_or_else(|| vec![*id]);
    let mut open = parts;
    let mut depth = 0;
    loop {
        open = open.iter().flat_map(|id| store.bases_of(id).unwrap()).collect();
        open.sort_unstable();
        open.dedup();
        if open.is_empty() {
            return depth;
        }
        depth += 1;
    }
}

#[test]
fn chains_are_no_deeper_than_asked_for() {
    for (most, expected) in [(None, 2), (Some(1), 1), (Some(2), 2), (Some(0), 0)] {
        let mut lab = Lab::new();
        let mut numbers_ = weights(100_000, 5);
        let mut bytes = bf16(&numbers_);
        let (mut id, _) = lab.put(&bytes, &numbers(bytes.len(), Element::Bf16));
        let mut deepest = 0;
        for n in 0..8 {
            numbers_ = trained(&numbers_, n);
            bytes = bf16(&numbers_);
            let outline = like(bytes.len(), Element::Bf16, id, Element::Bf16);
            id = lab.put(&bytes, &Outline { depth: most, ..outline }).0;
            deepest = deepest.max(depth(&lab.store(), &id));
        }
        assert!(deepest <= expected, "{most:?}: {deepest}");
    }
}

#[test]
fn versions_share_bases_so_that_one_whole_version_carries_many() {
    let mut lab = Lab::new();
    let mut numbers_ = weights(600_000, 5);
    let mut bytes = bf16(&numbers_);
    let (mut id, _) = lab.put(&bytes, &numbers(bytes.len(), Element::Bf16));
    let mut depths = Vec::new();
    for n in 0..12 {
        numbers_ = trained(&numbers_, n);
        bytes = bf16(&numbers_);
        let (next, written) = lab.put(&bytes, &like(bytes.len(), Element::Bf16, id, Element::Bf16));
        assert!(used(&written, Encoding::Delta) && !used(&written, Encoding::Float), "{n}");
        depths.push(depth(&lab.store(), &next));
        reads(&lab.store(), &next, &bytes);
        id = next;
    }
    assert!(depths.iter().all(|depth| (1..=2).contains(depth)), "{depths:?}");
    assert!(depths[1..].contains(&1), "no further version became a base: {depths:?}");
    sound(&lab.store());
}

#[test]
fn chains_of_text_end_and_begin_anew() {
    let mut lab = Lab::new();
    let mut bytes = table(200_000, 6);
    let (mut id, _) = lab.put(&bytes, &Outline::default());
    let mut depths = Vec::new();
    for n in 0..20 {
        bytes = edited(&bytes, 100_000, n);
        id = lab.put(&bytes, &after(id)).0;
        depths.push(depth(&lab.store(), &id));
        reads(&lab.store(), &id, &bytes);
    }
    assert_eq!(*depths.iter().max().unwrap(), 8, "{depths:?}");
    assert!(depths.iter().skip(8).any(|depth| *depth < 3), "{depths:?}");
}

/// A block of numbers may be a file as well, which is stored as a list.
#[test]
fn numbers_that_are_a_file_of_their_own_are_read_as_part_of_another() {
    let whole = f32s(&weights(200_000, 7));
    let rest = f32s(&weights(300_000, 8));
    let both = [&whole[..], &rest[..]].concat();
    let mut outline = numbers(whole.len(), Element::F32);
    let second = numbers(rest.len(), Element::F32).parts.remove(0);
    outline.parts.push(mv_store::Part { start: whole.len() as u64, ..second });
    for first in [&whole, &both] {
        let mut lab = Lab::new();
        let mut ids = Vec::new();
        let second = if first == &whole { &both } else { &whole };
        for bytes in [first, second] {
            let plain = Outline::default();
            ids.push(lab.put(bytes, if bytes == &both { &outline } else { &plain }).0);
        }
        for (id, bytes) in ids.iter().zip([first, second]) {
            reads(&lab.store(), id, bytes);
        }
        sound(&lab.store());
    }
    // Both at once, in either order.
    for files in [[&whole, &both], [&both, &whole]] {
        let mut lab = Lab::new();
        let store = lab.store();
        let writer = mv_store::StoreWriter::begin(&store, &lab.nonces).unwrap();
        for bytes in files {
            let path = std::path::Path::new("f");
            let outline = if bytes == &both { outline.clone() } else { Outline::default() };
            writer.put_file(path, 0, &outline, &mut &bytes[..], &task()).unwrap();
        }
        lab.packs = writer.finish().unwrap().packs;
        for bytes in files {
            reads(&lab.store(), &mv_store::id_of(mv_store::Kind::Blob, bytes), bytes);
        }
    }
}
