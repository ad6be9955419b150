//! An object that is a list in one pack and whole in another, or a list here and another list there:
//! what is coded against it, and what only one of the lists names, stays readable.

use std::collections::HashSet;

use mv_store::{
    Element, Encoding, Hash, Outline, PackId, Part, Store, Written, copy_rest, merge_packs,
};

use super::joining::{received, sent};
use super::lab::{
    Lab, Random, bf16, closure, f32s, like, numbers, reads, sound, task, trained, used, weights,
};

/// A chunk that is a file of its own: in one pack as a list, in another whole, and there is another
/// file that is coded against it.
struct TwoForms {
    lab: Lab,
    files: Vec<(Hash, Vec<u8>)>,
    list: PackId,
    whole: PackId,
    coded: PackId,
}

impl TwoForms {
    fn new() -> TwoForms {
        let lab = Lab::new();
        let empty = Store::open(lab.root(), &[]);
        let w = weights(200_000, 3);
        let (x, y) = (f32s(&w), f32s(&trained(&w, 4)));
        let (id, list) = lab.put_into(&empty, &x, &Outline::default());
        let (same, whole) = lab.put_into(&empty, &x, &numbers(x.len(), Element::F32));
        assert_eq!(id, same);
        let base = Store::open(lab.root(), &whole.packs);
        let resembling = like(y.len(), Element::F32, id, Element::F32);
        let (second, coded) = lab.put_into(&base, &y, &resembling);
        assert!(used(&coded, Encoding::Delta));
        let store = Store::open(lab.root(), &list.packs);
        assert!(store.children(&id).unwrap().is_some_and(|parts| parts.len() > 1));
        let (list, whole, coded) = (list.packs[0], whole.packs[0], coded.packs[0]);
        TwoForms { lab, files: vec![(id, x), (second, y)], list, whole, coded }
    }

    fn store(&self, packs: &[PackId]) -> Store {
        Store::open(self.lab.root(), packs)
    }

    fn merged(&self, store: &Store, packs: &[PackId]) -> Written {
        let nonces = &self.lab.nonces;
        merge_packs(self.lab.root(), store, packs, &[], &|_| true, nonces, &task()).unwrap()
    }

    #[track_caller]
    fn whole(&self, store: &Store) {
        for (id, bytes) in &self.files {
            reads(store, id, bytes);
        }
        sound(store);
    }
}

#[test]
fn a_list_never_stands_for_a_whole_object_in_a_merge() {
    let forms = TwoForms::new();
    let TwoForms { list, whole, coded, .. } = forms;
    for packs in [[list, whole, coded], [list, coded, whole], [coded, list, whole]] {
        let store = forms.store(&packs);
        forms.whole(&store);
        let written = forms.merged(&store, &packs);
        forms.whole(&forms.store(&written.packs));
        // The list, or what is coded, stays where it is.
        for stays in [list, coded] {
            let merge: Vec<PackId> = packs.iter().filter(|p| **p != stays).copied().collect();
            let written = forms.merged(&store, &merge);
            forms.whole(&forms.store(&[&written.packs[..], &[stays]].concat()));
        }
        let written = forms.merged(&store, &[whole]);
        forms.whole(&forms.store(&[&written.packs[..], &[list, coded]].concat()));
        let writer = mv_store::StoreWriter::begin(&forms.store(&[]), &forms.lab.nonces).unwrap();
        let writer = writer.anew_from(&store);
        copy_rest(&writer, &store, &|_| true, &task()).unwrap();
        forms.whole(&forms.store(&writer.finish().unwrap().packs));
    }
}

#[test]
fn what_is_coded_against_an_object_brings_it_along_where_only_its_list_is() {
    let forms = TwoForms::new();
    let TwoForms { list, whole, coded, .. } = forms;
    let source = forms.store(&[list, whole, coded]);
    let (second, _) = forms.files[1];
    let wanted = closure(&forms.store(&[coded]), &[second]);
    for packs in [[list, whole, coded], [whole, coded, list]] {
        forms.whole(&sent(&forms.lab, &packs, &wanted, &[list]));
        forms.whole(&received(&forms.lab, &packs, &wanted, &[list]));
        let all = closure(&source, &[forms.files[0].0, second]);
        forms.whole(&sent(&forms.lab, &packs, &all, &[]));
        forms.whole(&received(&forms.lab, &packs, &all, &[]));
    }
}

/// A file that is stored as a list, twice, each time cut otherwise.
fn cut_twice(lab: &Lab) -> (Hash, Vec<u8>, [PackId; 2]) {
    let mut random = Random(8);
    let bytes: Vec<u8> =
        std::iter::repeat_with(|| random.number().to_le_bytes()).flatten().take(3 << 20).collect();
    let empty = Store::open(lab.root(), &[]);
    let (id, first) = lab.put_into(&empty, &bytes, &Outline::default());
    let (_, second) = lab.put_into(&empty, &bytes, &numbers(bytes.len(), Element::F32));
    (id, bytes, [first.packs[0], second.packs[0]])
}

#[test]
fn the_chunks_of_every_list_of_a_blob_are_in_use() {
    let lab = Lab::new();
    let (id, bytes, [first, second]) = cut_twice(&lab);
    let open = |packs: &[PackId]| Store::open(lab.root(), packs);
    let parts = |packs: &[PackId]| -> HashSet<Hash> {
        open(packs).children(&id).unwrap().unwrap().into_iter().collect()
    };
    let all: HashSet<Hash> = parts(&[first]).union(&parts(&[second])).copied().collect();
    assert_eq!(parts(&[first, second]), all);
    // Of one that lacks chunks nothing is in use, and nobody reads it.
    let keep: HashSet<Hash> = parts(&[first]).into_iter().skip(3).chain([id]).collect();
    let keep = |id: &Hash| keep.contains(id);
    let some = merge_packs(lab.root(), &open(&[first]), &[first], &[], &keep, &lab.nonces, &task());
    let some = some.unwrap().packs[0];
    for packs in [[some, second], [second, some]] {
        assert_eq!(parts(&packs), parts(&[second]));
        reads(&open(&packs), &id, &bytes);
        // A merge keeps the one that is read.
        let store = open(&packs);
        let written =
            merge_packs(lab.root(), &store, &packs, &[], &|_| true, &lab.nonces, &task()).unwrap();
        reads(&open(&written.packs), &id, &bytes);
    }
    assert!(!open(&[some]).holds(&id) && open(&[some]).contains(&id));
}

#[test]
fn a_list_that_lacks_chunks_is_no_stored_file() {
    let mut lab = Lab::new();
    let (id, bytes, [first, _]) = cut_twice(&lab);
    let store = Store::open(lab.root(), &[first]);
    let only = |other: &Hash| *other == id;
    let list = merge_packs(lab.root(), &store, &[first], &[], &only, &lab.nonces, &task()).unwrap();
    lab.packs = list.packs;
    // Whoever stores the file, or has it as a chunk, stores what is lacking.
    for outline in [Outline::default(), numbers(bytes.len(), Element::F32)] {
        let (again, written) = lab.put_into(&lab.store(), &bytes, &outline);
        assert_eq!(again, id);
        let packs = [&lab.packs[..], &written.packs].concat();
        reads(&Store::open(lab.root(), &packs), &id, &bytes);
    }
    let chunk = f32s(&weights(200_000, 7));
    let both = [&chunk[..], &f32s(&weights(300_000, 8))].concat();
    let (file, written) = lab.put_into(&Store::open(lab.root(), &[]), &chunk, &Outline::default());
    let store = Store::open(lab.root(), &written.packs);
    let only = |other: &Hash| *other == file;
    let list =
        merge_packs(lab.root(), &store, &written.packs, &[], &only, &lab.nonces, &task()).unwrap();
    let part = |start: usize, end: usize| Part {
        start: start as u64,
        len: (end - start) as u64,
        element: Some(Element::F32),
        similar: Vec::new(),
    };
    let parts = vec![part(0, chunk.len()), part(chunk.len(), both.len())];
    let outline = Outline { parts, ..Outline::default() };
    let (id, written) = lab.put_into(&Store::open(lab.root(), &list.packs), &both, &outline);
    reads(&Store::open(lab.root(), &[&list.packs[..], &written.packs].concat()), &id, &both);
}

#[test]
fn a_list_that_nobody_asked_for_does_not_come_along() {
    let lab = Lab::new();
    let (id, bytes, [first, second]) = cut_twice(&lab);
    let source = Store::open(lab.root(), &[first]);
    // All of the pack but its list is wanted.
    let parts: HashSet<Hash> = source.children(&id).unwrap().unwrap().into_iter().collect();
    let there = received(&lab, &[first], &parts, &[second]);
    assert!(parts.iter().all(|part| there.contains(part)));
    assert_eq!(
        there.children(&id).unwrap(),
        Store::open(lab.root(), &[second]).children(&id).unwrap()
    );
    reads(&there, &id, &bytes);
}

/// A file at every depth of a chain; the last pack has the first of them at a greater depth.
#[test]
fn a_merge_makes_no_chain_longer() {
    let mut lab = Lab::new();
    let w = weights(200_000, 11);
    let mut versions = vec![w.clone()];
    for n in 0..2 {
        versions.push(trained(versions.last().unwrap(), n));
    }
    let files: Vec<Vec<u8>> = versions.iter().map(|w| bf16(w)).collect();
    let plain = numbers(files[0].len(), Element::Bf16);
    let like = |id| like(files[0].len(), Element::Bf16, id, Element::Bf16);
    // The middle one is whole in one pack and coded in another.
    let empty = Store::open(lab.root(), &[]);
    let (base, whole) = lab.put_into(&empty, &files[0], &plain);
    let (id, first) = lab.put_into(&empty, &files[1], &plain);
    let (_, coded) = lab.put_into(&Store::open(lab.root(), &whole.packs), &files[1], &like(base));
    let (last, after) = lab.put_into(&Store::open(lab.root(), &first.packs), &files[2], &like(id));
    assert!(used(&coded, Encoding::Delta) && used(&after, Encoding::Delta));
    lab.packs = [&coded, &whole, &first, &after].iter().flat_map(|w| w.packs.clone()).collect();
    let store = lab.store();
    let depth =
        |store: &Store| store.bases_of(&last).unwrap().len() + store.bases_of(&id).unwrap().len();
    assert_eq!(depth(&store), 1);
    let merge = |packs: &[PackId]| {
        merge_packs(lab.root(), &store, packs, &[], &|_| true, &lab.nonces, &task()).unwrap().packs
    };
    let all = Store::open(lab.root(), &merge(&lab.packs));
    assert_eq!(depth(&all), 1, "the copy that needs nothing is kept");
    reads(&all, &last, &files[2]);
    // The deeper copy stays where it is.
    let stays = [&merge(&first.packs)[..], &coded.packs, &whole.packs, &after.packs].concat();
    let stays = Store::open(lab.root(), &stays);
    assert_eq!(depth(&stays), 1);
    reads(&stays, &last, &files[2]);
}
