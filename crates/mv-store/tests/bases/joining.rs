//! Packs that come together: merged, gathered, sent, and damaged.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use mv_store::{
    Element, Encoding, Error, Hash, Kind, Outline, PackId, Recipient, SharedDir, Store,
    StoreWriter, Transfer, Transport, Trust, Written, copy_rest, merge_packs, rescue, rescue_lists,
    verify_pack,
};

use super::lab::{
    Lab, after, bf16, closure, copied, edited, f32s, like, numbers, reads, sound, table, task,
    trained, used, weights,
};

/// Two files, each coded against the other: in the first pack the second file, in the second pack the
/// first. The last two packs have each file by itself.
struct Circle {
    lab: Lab,
    files: [(Hash, Vec<u8>); 2],
    coded: [PackId; 2],
    plain: [PackId; 2],
}

impl Circle {
    fn of_text() -> Circle {
        let x = table(500_000, 1);
        let y = edited(&x, 40_000, 2);
        Circle::of(x, y, &|_, other| after(other), &Outline::default())
    }

    fn of_numbers() -> Circle {
        let w = weights(200_000, 3);
        let (x, y) = (bf16(&w), bf16(&trained(&w, 4)));
        let plain = numbers(x.len(), Element::Bf16);
        Circle::of(x, y, &|len, other| like(len, Element::Bf16, other, Element::Bf16), &plain)
    }

    fn of(
        x: Vec<u8>,
        y: Vec<u8>,
        against: &dyn Fn(usize, Hash) -> Outline,
        plain: &Outline,
    ) -> Circle {
        let mut lab = Lab::new();
        let empty = Store::open(lab.root(), &[]);
        let mut alone = Vec::new();
        for bytes in [&x, &y] {
            let (id, written) = lab.put_into(&empty, bytes, plain);
            alone.push((id, written.packs[0]));
        }
        let mut coded = Vec::new();
        for (bytes, other) in [(&y, alone[0]), (&x, alone[1])] {
            let base = Store::open(lab.root(), &[other.1]);
            let (_, written) = lab.put_into(&base, bytes, &against(bytes.len(), other.0));
            assert!(used(&written, Encoding::Diff) || used(&written, Encoding::Delta));
            coded.push(written.packs[0]);
        }
        let (coded, plain) = ([coded[0], coded[1]], [alone[0].1, alone[1].1]);
        lab.packs = coded.into_iter().chain(plain).collect();
        Circle { lab, files: [(alone[0].0, x), (alone[1].0, y)], coded, plain }
    }

    fn store(&self, packs: &[PackId]) -> Store {
        Store::open(self.lab.root(), packs)
    }

    #[track_caller]
    fn whole(&self, store: &Store) {
        for (id, bytes) in &self.files {
            reads(store, id, bytes);
        }
        sound(store);
    }

    fn merged(&self, store: &Store, packs: &[PackId], gone: &[PackId]) -> Written {
        let nonces = &self.lab.nonces;
        merge_packs(self.lab.root(), store, packs, gone, &|_| true, nonces, &task()).unwrap()
    }
}

/// All orders of some packs.
fn orders(packs: &[PackId]) -> Vec<Vec<PackId>> {
    if packs.len() < 2 {
        return vec![packs.to_vec()];
    }
    let mut all = Vec::new();
    for n in 0..packs.len() {
        let mut rest = packs.to_vec();
        let first = rest.remove(n);
        all.extend(orders(&rest).into_iter().map(|rest| [vec![first], rest].concat()));
    }
    all
}

fn circles() -> [Circle; 2] {
    [Circle::of_text(), Circle::of_numbers()]
}

#[test]
fn two_files_each_coded_against_the_other_are_read_while_one_of_them_is_whole_somewhere() {
    for circle in circles() {
        for plain in circle.plain {
            for packs in orders(&[circle.coded[0], circle.coded[1], plain]) {
                circle.whole(&circle.store(&packs));
            }
        }
        circle.whole(&circle.store(&orders(&circle.lab.packs)[5]));
        // With neither there is nothing to read, and it is said so.
        let store = circle.store(&circle.coded);
        for (id, _) in &circle.files {
            assert!(store.get(Kind::Blob, id, u64::MAX).unwrap_err().is_corruption());
            assert!(copied(&store, id).unwrap_err().is_corruption());
        }
    }
}

#[test]
fn they_are_merged_without_loss_in_every_order() {
    for circle in circles() {
        for plain in circle.plain {
            let some = [circle.coded[0], circle.coded[1], plain];
            for packs in orders(&some) {
                let store = circle.store(&packs);
                let written = circle.merged(&store, &packs, &[]);
                circle.whole(&circle.store(&written.packs));
                // Two of three, and the third stays.
                let written = circle.merged(&store, &packs[..2], &[]);
                circle.whole(&circle.store(&[&written.packs[..], &packs[2..]].concat()));
                // One of three.
                let written = circle.merged(&store, &packs[..1], &[]);
                circle.whole(&circle.store(&[&written.packs[..], &packs[1..]].concat()));
            }
        }
    }
}

#[test]
fn what_is_dropped_beside_a_merge_takes_nothing_with_it() {
    for circle in circles() {
        for plain in circle.plain {
            // The only whole copy goes; what is merged must not need it.
            let store = circle.store(&[circle.coded[0], circle.coded[1], plain]);
            let written = circle.merged(&store, &circle.coded, &[plain]);
            circle.whole(&circle.store(&written.packs));
        }
    }
}

#[test]
fn they_are_stored_anew_and_the_rest_is_copied() {
    for circle in circles() {
        for packs in orders(&[circle.coded[0], circle.coded[1], circle.plain[1]]) {
            let store = circle.store(&packs);
            let empty = circle.store(&[]);
            let writer = StoreWriter::begin(&empty, &circle.lab.nonces).unwrap().anew_from(&store);
            copy_rest(&writer, &store, &|_| true, &task()).unwrap();
            let written = writer.finish().unwrap();
            circle.whole(&circle.store(&written.packs));
        }
    }
}

/// Sends what is wanted of some packs to a place that has others; returns what is there then.
pub(crate) fn sent(lab: &Lab, from: &[PackId], wanted: &HashSet<Hash>, there: &[PackId]) -> Store {
    let target = tempfile::tempdir_in(lab.root()).unwrap().keep();
    let source = Store::open(lab.root(), from);
    let transport: Arc<dyn Transport> = Arc::new(SharedDir::open(&target.join("to")).unwrap());
    let mut packs = Vec::new();
    for pack in there {
        let path = target.join("to").join(pack.file_name());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(lab.path(*pack), path).unwrap();
        packs.push(*pack);
    }
    let (folder, scratch) = (target.join("folder"), target.join("scratch"));
    let open =
        |packs: &[PackId]| Store::open_remote(Arc::clone(&transport), &folder, packs, &lab.nonces);
    let remote = open(&packs);
    let lacking: HashSet<Hash> = wanted.iter().filter(|id| !remote.contains(id)).copied().collect();
    let transfer = Transfer::plan(&source, &lacking, &remote).unwrap();
    assert!(transfer.missing.is_empty(), "{:?}", transfer.missing);
    let nonces = &lab.nonces;
    let to = Recipient { transport: &transport, folder: &folder, scratch: &scratch, nonces };
    packs.extend(transfer.send(&source, &to, &task(), &mut |_| Ok(())).unwrap());
    open(&packs)
}

/// Receives what is wanted of some packs where others are; returns what is there then.
pub(crate) fn received(
    lab: &Lab,
    from: &[PackId],
    wanted: &HashSet<Hash>,
    here: &[PackId],
) -> Store {
    let source = Store::open(lab.root(), from);
    let own = Store::open(lab.root(), here);
    let root = tempfile::tempdir_in(lab.root()).unwrap().keep();
    let lacking: HashSet<Hash> = wanted.iter().filter(|id| !own.contains(id)).copied().collect();
    let transfer = Transfer::plan(&source, &lacking, &own).unwrap();
    assert!(transfer.missing.is_empty(), "{:?}", transfer.missing);
    let packs = transfer.receive(&source, &own, &root, &lab.nonces, &task()).unwrap();
    own.join(&Store::open(&root, &packs))
}

#[test]
fn they_are_sent_and_received_without_loss_in_every_order() {
    let circle = |seed: u64| {
        let x = table(200_000, seed);
        let y = edited(&x, 20_000, seed);
        Circle::of(x, y, &|_, other| after(other), &Outline::default())
    };
    for circle in [circle(1), circle(2)] {
        let (coded, plain) = (circle.coded, circle.plain);
        let ids: Vec<Hash> = circle.files.iter().map(|(id, _)| *id).collect();
        let wanted = closure(&circle.store(&plain), &ids);
        for whole in plain {
            for packs in orders(&[coded[0], coded[1], whole]) {
                circle.whole(&sent(&circle.lab, &packs, &wanted, &[]));
                circle.whole(&received(&circle.lab, &packs, &wanted, &[]));
                for there in [vec![plain[0]], vec![plain[1]], vec![plain[0], coded[0]]] {
                    circle.whole(&sent(&circle.lab, &packs, &wanted, &there));
                    circle.whole(&received(&circle.lab, &packs, &wanted, &there));
                }
            }
        }
    }
}

/// Versions of a table, each coded against the one before.
fn chain(lab: &mut Lab, count: u64) -> Vec<(Hash, Vec<u8>)> {
    let mut bytes = table(1 << 20, 9);
    let mut id = lab.put(&bytes, &Outline::default()).0;
    let mut versions = vec![(id, bytes.clone())];
    for n in 0..count {
        bytes = edited(&bytes, 100_000, n);
        let (next, written) = lab.put(&bytes, &after(id));
        assert!(used(&written, Encoding::Diff));
        id = next;
        versions.push((id, bytes.clone()));
    }
    versions
}

#[test]
fn one_version_brings_along_what_it_is_coded_against_and_no_more() {
    let mut lab = Lab::new();
    let versions = chain(&mut lab, 5);
    for (n, (id, bytes)) in versions.iter().enumerate() {
        let wanted = closure(&lab.store(), &[*id]);
        for store in
            [sent(&lab, &lab.packs, &wanted, &[]), received(&lab, &lab.packs, &wanted, &[])]
        {
            reads(&store, id, bytes);
            sound(&store);
            let later = versions.iter().skip(n + 1);
            assert!(later.clone().all(|(id, _)| !store.contains(id)));
        }
        // What the other has already does not travel.
        let there = &lab.packs[..n];
        reads(&sent(&lab, &lab.packs, &wanted, there), id, bytes);
        reads(&received(&lab, &lab.packs, &wanted, there), id, bytes);
    }
}

#[test]
fn a_version_is_merged_alone_with_all_that_it_needs() {
    let mut lab = Lab::new();
    let versions = chain(&mut lab, 5);
    let store = lab.store();
    for order in [lab.packs.clone(), lab.packs.iter().rev().copied().collect()] {
        for (id, bytes) in &versions {
            let keep = closure(&store, &[*id]);
            let keep = |id: &Hash| keep.contains(id);
            let written =
                merge_packs(lab.root(), &store, &order, &[], &keep, &lab.nonces, &task()).unwrap();
            let merged = Store::open(lab.root(), &written.packs);
            reads(&merged, id, bytes);
            sound(&merged);
        }
    }
}

#[test]
fn a_merge_stays_as_small_as_what_it_is_made_of_whatever_the_order() {
    let mut lab = Lab::new();
    chain(&mut lab, 5);
    let before: u64 = lab.store().packs().unwrap().iter().map(|pack| pack.bytes).sum();
    for order in orders(&lab.packs).into_iter().step_by(90) {
        let store = lab.store();
        let written =
            merge_packs(lab.root(), &store, &order, &[], &|_| true, &lab.nonces, &task()).unwrap();
        assert!(written.stored_bytes <= before + before / 20, "{} {before}", written.stored_bytes);
    }
}

#[test]
fn a_damaged_base_is_told_of_and_read_round_where_there_is_another() {
    for circle in circles() {
        let (coded, plain) = (circle.coded, circle.plain);
        let good = fs::read(circle.lab.path(plain[0])).unwrap();
        let mut bad = good.clone();
        // Every block of it, and none of its index.
        let len = bad.len();
        bad[40..len - 3000].iter_mut().step_by(5000).for_each(|byte| *byte ^= 4);
        circle.lab.overwrite(plain[0], &bad);
        let (y, bytes) = &circle.files[1];
        // The second file needs the first, which is damaged.
        let store = circle.store(&[coded[0], plain[0]]);
        let begun = std::time::Instant::now();
        assert!(store.get(Kind::Blob, y, u64::MAX).unwrap_err().is_corruption());
        assert!(copied(&store, y).unwrap_err().is_corruption());
        let told = verify_pack(&store, coded[0], &task()).unwrap().problems;
        assert!(!told.is_empty());
        // Another copy of the first file is sound, by itself or against a sound second one.
        for sound in [orders(&[coded[0], plain[0], plain[1]]), orders(&circle.lab.packs)].concat() {
            let store = circle.store(&sound);
            for (id, bytes) in &circle.files {
                if sound.contains(&coded[1]) || id == y {
                    assert!(store.get(Kind::Blob, id, u64::MAX).unwrap() == *bytes);
                    assert!(copied(&store, id).unwrap() == *bytes);
                    let part = store.read_range(id, 300_000, 1000).unwrap();
                    assert!(part == bytes[300_000..301_000]);
                }
            }
        }
        assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
        // And it is rescued from there.
        let store = circle.store(&circle.lab.packs);
        let wanted = closure(&circle.store(&[plain[1]]), &[*y]);
        let empty = circle.store(&[]);
        let writer = StoreWriter::begin(&empty, &circle.lab.nonces).unwrap();
        rescue(&writer, &store, &wanted, Trust::Nothing, &task()).unwrap();
        let mut packs = writer.finish().unwrap().packs;
        let parts = circle.store(&packs);
        let writer = StoreWriter::begin(&parts, &circle.lab.nonces).unwrap();
        rescue_lists(&writer, &store, &parts, &wanted, true, u64::MAX, &task()).unwrap();
        packs.extend(writer.finish().unwrap().packs);
        reads(&circle.store(&packs), y, bytes);
        circle.lab.overwrite(plain[0], &good);
    }
}

#[test]
fn damage_at_the_end_of_a_long_chain_is_told_of_soon() {
    let mut lab = Lab::new();
    let mut bytes = table(2 << 20, 21);
    let mut id = lab.put(&bytes, &Outline::default()).0;
    for n in 0..6 {
        bytes = edited(&bytes, 30_000, n);
        id = lab.put(&bytes, &after(id)).0;
    }
    let mut bad = fs::read(lab.path(lab.packs[0])).unwrap();
    bad[500_000] ^= 1;
    lab.overwrite(lab.packs[0], &bad);
    let begun = std::time::Instant::now();
    assert!(lab.store().get(Kind::Blob, &id, u64::MAX).unwrap_err().is_corruption());
    assert!(copied(&lab.store(), &id).unwrap_err().is_corruption());
    let mut problems = 0;
    for pack in &lab.packs {
        problems += verify_pack(&lab.store(), *pack, &task()).unwrap().problems.len();
    }
    assert!(problems > 1);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn a_base_that_is_nowhere_is_missing_and_the_object_is_not_there() {
    let mut lab = Lab::new();
    let versions = chain(&mut lab, 1);
    let (id, bytes) = &versions[1];
    let store = Store::open(lab.root(), &lab.packs[1..]);
    let outcome = store.get(Kind::Blob, id, u64::MAX);
    assert!(outcome.unwrap_err().is_corruption());
    assert!(copied(&store, id).unwrap_err().is_corruption());
    let chunks = closure(&lab.store(), &[*id]);
    let lost: Vec<&Hash> = chunks.iter().filter(|chunk| !store.contains(chunk)).collect();
    assert!(!lost.is_empty());
    let transfer = Transfer::plan(&store, &chunks, &Store::open(lab.root(), &[])).unwrap();
    assert!(!transfer.missing.is_empty());
    // Whoever stores it again stores what is lost.
    let (again, written) = lab.put_into(&store, bytes, &Outline::default());
    assert_eq!(again, *id);
    let healed = Store::open(lab.root(), &[&lab.packs[1..], &written.packs].concat());
    assert!(healed.get(Kind::Blob, id, u64::MAX).unwrap() == *bytes);
    assert!(copied(&healed, id).unwrap() == *bytes);
    // A merge without the base refuses rather than to write what cannot be read.
    let merged =
        merge_packs(lab.root(), &store, &lab.packs[1..], &[], &|_| true, &lab.nonces, &task());
    assert!(matches!(merged, Err(Error::Missing { .. } | Error::Corrupt { .. })));
}

/// The file came from one repository, as a list; what has it as a chunk came from another, without it.
#[test]
fn a_chunk_that_is_here_only_as_the_list_of_a_file_is_read_and_kept() {
    let lab = Lab::new();
    let empty = Store::open(lab.root(), &[]);
    let whole = f32s(&weights(200_000, 7));
    let both = [&whole[..], &f32s(&weights(300_000, 8))[..]].concat();
    let mut outline = numbers(whole.len(), Element::F32);
    let mut second = outline.parts[0].clone();
    (second.start, second.len) = (whole.len() as u64, (both.len() - whole.len()) as u64);
    outline.parts.push(second);
    let (file, first) = lab.put_into(&empty, &whole, &Outline::default());
    let (id, written) = lab.put_into(&empty, &both, &outline);
    // All that the second has, but the chunk itself.
    let second = Store::open(lab.root(), &written.packs);
    let nothing: [PackId; 0] = [];
    let keep = |id: &Hash| *id != file;
    let (root, nonces) = (lab.root(), &lab.nonces);
    let without =
        merge_packs(root, &second, &written.packs, &nothing, &keep, nonces, &task()).unwrap();
    let packs: Vec<PackId> = first.packs.iter().chain(&without.packs).copied().collect();
    let store = Store::open(lab.root(), &packs);
    reads(&store, &id, &both);
    reads(&store, &file, &whole);
    let parts = store.children(&id).unwrap().unwrap();
    assert!(parts.contains(&file));
    for part in store.children(&file).unwrap().unwrap() {
        assert!(parts.contains(&part), "the chunks of the chunk are needed as well");
    }
}
