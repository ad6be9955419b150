//! The store as its users see it: what goes in comes out, and damage never does.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;

use mv_store::{
    BlobHasher, Error, Hash, HashPrefix, Kind, Nonces, Outline, PackId, Progress, Store,
    StoreWriter, Task, Trust, Unit, Written, id_of, merge_packs, rescue, rescue_lists, verify_pack,
};
use proptest::prelude::*;

struct Place {
    dir: tempfile::TempDir,
    nonces: Nonces,
    packs: Vec<PackId>,
}

fn task() -> Task {
    Progress::new().task("test", Unit::Bytes)
}

fn noise(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
    bytes
}

/// Text that compresses, of any length, different for each seed.
fn text(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = noise(len, seed);
    bytes.iter_mut().for_each(|b| *b = b"0123456789,.\n-ab"[usize::from(*b % 16)]);
    bytes
}

impl Place {
    fn new() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
            nonces: Nonces::from_seed([1; 32]),
            packs: Vec::new(),
        }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn store(&self) -> Store {
        Store::open(self.root(), &self.packs)
    }

    fn write<T>(&mut self, work: impl FnOnce(&StoreWriter<'_>) -> T) -> (T, Written) {
        let store = self.store();
        let writer = StoreWriter::begin(&store, &self.nonces).unwrap();
        let result = work(&writer);
        let written = writer.finish().unwrap();
        self.packs.extend(&written.packs);
        (result, written)
    }

    fn put_file(&mut self, bytes: &[u8]) -> (Hash, Written) {
        let ((id, len), written) = self.write(|w| {
            w.put_file(
                Path::new("f"),
                bytes.len() as u64,
                &Outline::default(),
                &mut &bytes[..],
                &task(),
            )
            .unwrap()
        });
        assert_eq!(len, bytes.len() as u64);
        (id, written)
    }

    fn pack_path(&self, n: usize) -> std::path::PathBuf {
        self.root().join(self.packs[n].file_name())
    }
}

fn read_all(store: &Store, id: &Hash) -> mv_store::Result<Vec<u8>> {
    let mut out = Vec::new();
    store.copy_to(id, None, &mut |piece| {
        out.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(out)
}

#[test]
fn files_of_every_size_come_back_and_have_the_id_that_b3sum_prints() {
    for len in
        [0, 1, 31, 65_535, 65_536, 524_288, 524_289, 3_000_000, 8 << 20, (8 << 20) + 1, 20_000_000]
    {
        for bytes in [noise(len, 3), text(len, 4)] {
            let mut place = Place::new();
            let (id, _) = place.put_file(&bytes);
            let mut hasher = BlobHasher::new();
            hasher.update(&bytes);
            assert_eq!(id, hasher.finish());
            assert!(read_all(&place.store(), &id).unwrap() == bytes, "{len}");
            assert_eq!(place.store().len_of(&id).unwrap(), len as u64);
        }
    }
}

#[test]
fn a_reader_that_gives_one_byte_at_a_time_makes_the_same_chunks() {
    struct Trickle<'a>(&'a [u8]);
    impl std::io::Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.len().min(buffer.len()).min(777);
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }
    let bytes = noise(9_500_000, 9);
    let mut place = Place::new();
    let (id, _) = place.put_file(&bytes);
    let (second, written) = place.write(|w| {
        w.put_file(Path::new("f"), 10, &Outline::default(), &mut Trickle(&bytes), &task())
            .unwrap()
            .0
    });
    assert_eq!(second, id);
    assert!(written.packs.is_empty(), "everything was known: {written:?}");
}

#[test]
fn what_is_known_is_not_stored_again() {
    let mut place = Place::new();
    let bytes = noise(5_000_000, 5);
    place.put_file(&bytes);
    let (_, written) = place.put_file(&bytes);
    assert_eq!((written.stored_bytes, written.objects, written.logical_bytes), (0, 0, 5_000_000));
}

#[test]
fn an_insertion_into_a_large_file_stores_little_more_than_itself() {
    let mut place = Place::new();
    let mut bytes = noise(64 << 20, 6);
    place.put_file(&bytes);
    bytes.splice(10_000_000..10_000_000, noise(1 << 20, 7));
    let (id, written) = place.put_file(&bytes);
    assert!(written.stored_bytes < 2 << 20, "{}", written.stored_bytes);
    assert!(read_all(&place.store(), &id).unwrap() == bytes);
}

#[test]
fn many_small_blobs_share_blocks_and_come_back_one_by_one() {
    let mut place = Place::new();
    let blobs: Vec<Vec<u8>> =
        (0..2000u32).map(|n| format!("{{\"id\": {n}, \"x\": 0.5}}").into_bytes()).collect();
    let (ids, written) = place.write(|w| w.put_together(blobs.iter().map(Ok)).unwrap());
    assert!(written.stored_bytes < 2000 * 50, "{}", written.stored_bytes);
    let store = place.store();
    for (blob, (id, len)) in blobs.iter().zip(ids) {
        assert_eq!(store.get(Kind::Blob, &id, 1 << 20).unwrap(), *blob);
        assert_eq!(len, blob.len() as u64);
    }
}

#[test]
fn two_threads_that_store_the_same_bytes_store_them_once() {
    let mut place = Place::new();
    let bytes = noise(1_000_000, 8);
    let (_, written) = place.write(|w| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    w.put_file(Path::new("f"), 0, &Outline::default(), &mut &bytes[..], &task())
                        .unwrap()
                });
            }
        });
    });
    assert!(written.stored_bytes < 1_010_000);
    assert_eq!(written.logical_bytes, 4_000_000);
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let place = Place::new();
    let writer = StoreWriter::begin(&place.store(), &place.nonces).unwrap();
    writer.put(Kind::Blob, &noise(300_000, 1)).unwrap();
    drop(writer);
    assert_eq!(fs::read_dir(place.root().join("tmp")).unwrap().count(), 0);
    assert!(!place.root().join("packs").exists());
}

#[test]
fn an_object_is_not_found_as_another_kind() {
    let mut place = Place::new();
    let (id, _) = place.write(|w| w.put(Kind::Tree, b"tree bytes").unwrap());
    let store = place.store();
    assert!(store.get(Kind::Tree, &id, 100).is_ok());
    assert!(matches!(store.get(Kind::Manifest, &id, 100), Err(Error::Corrupt { .. })));
    assert!(matches!(store.get(Kind::Blob, &id, 100), Err(Error::Corrupt { .. })));
    assert!(matches!(store.get(Kind::Tree, &id, 5), Err(Error::Corrupt { .. })));
    assert!(matches!(store.get(Kind::Tree, &Hash::ZERO, 5), Err(Error::Missing { .. })));
}

#[test]
fn ids_are_found_by_prefix_in_every_pack() {
    let mut place = Place::new();
    let (a, _) = place.write(|w| w.put(Kind::Manifest, b"a").unwrap());
    let (b, _) = place.write(|w| w.put(Kind::Manifest, b"b").unwrap());
    for id in [a, b] {
        let prefix = HashPrefix::parse(&id.to_hex()[..9]).unwrap();
        assert_eq!(place.store().find(&prefix, Kind::Manifest).unwrap(), [id]);
        assert!(place.store().find(&prefix, Kind::Blob).unwrap().is_empty());
    }
}

#[test]
fn ranges_of_a_large_blob_are_read_without_the_rest() {
    let mut place = Place::new();
    let bytes = noise(30_000_000, 11);
    let (id, _) = place.put_file(&bytes);
    let store = place.store();
    for (start, len) in
        [(0, 0), (0, 10), (131_072, 1), (7_999_999, 600_000), (29_999_990, 10), (30_000_000, 0)]
    {
        let got = store.read_range(&id, start, len).unwrap();
        let (start, len) = (usize::try_from(start).unwrap(), usize::try_from(len).unwrap());
        assert!(got == bytes[start..start + len], "{start} {len}");
    }
    assert!(store.read_range(&id, 29_999_999, 2).is_err());
    assert!(store.read_range(&id, u64::MAX, 2).is_err());
}

#[test]
fn packs_are_merged_into_one_that_holds_the_same_objects() {
    let mut place = Place::new();
    let mut blobs = Vec::new();
    for n in 0..20u8 {
        let bytes = text(1000 + usize::from(n), n);
        blobs.push((place.put_file(&bytes).0, bytes));
    }
    let large = noise(2_000_000, 30);
    blobs.push((place.put_file(&large).0, large));
    let dropped = blobs[3].0;
    let store = place.store();
    let written = merge_packs(
        store.root(),
        &store,
        &place.packs,
        &[],
        &|id| *id != dropped,
        &place.nonces,
        &task(),
    )
    .unwrap();
    assert_eq!(written.packs.len(), 1);
    let merged = Store::open(place.root(), &written.packs);
    for (id, bytes) in blobs {
        if id == dropped {
            assert!(!merged.contains(&id));
        } else {
            assert!(read_all(&merged, &id).unwrap() == bytes);
        }
    }
    assert!(verify_pack(&merged, written.packs[0], &task()).unwrap().problems.is_empty());
}

#[test]
fn every_flipped_bit_of_a_pack_is_found_and_never_read_as_truth() {
    let mut place = Place::new();
    let blobs: Vec<Vec<u8>> = vec![text(900, 1), b"short".to_vec(), text(300, 2)];
    let (ids, _) = place.write(|w| w.put_together(blobs.iter().map(Ok)).unwrap());
    let path = place.pack_path(0);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::remove_file(&path).unwrap();
        fs::write(&path, bad).unwrap();
        let check = verify_pack(&place.store(), place.packs[0], &task()).unwrap();
        assert!(!check.problems.is_empty(), "byte {at}");
        let store = place.store();
        for (blob, (id, _)) in blobs.iter().zip(&ids) {
            if let Ok(bytes) = store.get(Kind::Blob, id, 1 << 20) {
                assert_eq!(bytes, *blob, "byte {at}");
            }
        }
    }
}

#[test]
fn a_pack_cut_off_or_lengthened_anywhere_is_refused() {
    let mut place = Place::new();
    let (id, _) = place.write(|w| w.put(Kind::Blob, b"some object").unwrap());
    let path = place.pack_path(0);
    let good = fs::read(&path).unwrap();
    let garbage = [&good[..], &[0]].concat();
    let more_garbage = [&good[..], &[7; 4096]].concat();
    let damaged = (0..good.len()).map(|n| good[..n].to_vec()).chain([garbage, more_garbage]);
    for bytes in damaged {
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        let outcome = place.store().get(Kind::Blob, &id, 100);
        assert!(outcome.is_err_and(|e| e.is_corruption()), "{} bytes", bytes.len());
        assert!(!verify_pack(&place.store(), place.packs[0], &task()).unwrap().problems.is_empty());
    }
}

#[test]
fn a_damaged_chunk_of_a_large_file_is_named() {
    let mut place = Place::new();
    let bytes = noise(5_000_000, 12);
    let (id, _) = place.put_file(&bytes);
    let path = place.pack_path(0);
    let mut pack = fs::read(&path).unwrap();
    pack[2_000_000] ^= 1;
    fs::write(&path, pack).unwrap();
    let error = read_all(&place.store(), &id).unwrap_err();
    assert!(error.is_corruption());
    assert!(error.to_string().contains("its chunk `"), "{error}");
}

#[test]
fn a_pack_that_is_gone_is_stale_and_not_a_missing_object() {
    let mut place = Place::new();
    let (id, _) = place.write(|w| w.put(Kind::Blob, b"x").unwrap());
    fs::remove_file(place.pack_path(0)).unwrap();
    assert!(matches!(place.store().get(Kind::Blob, &id, 9), Err(Error::Stale { .. })));
    assert!(!place.store().contains(&id));
    assert!(place.store().has(&id).is_err());
}

#[test]
fn a_pack_that_does_not_open_hides_nothing_that_another_has() {
    let mut place = Place::new();
    let (first, _) = place.write(|w| w.put(Kind::Blob, b"first").unwrap());
    let (second, _) = place.write(|w| w.put(Kind::Blob, b"second").unwrap());
    for (broken, whole) in [(0, second), (1, first)] {
        let path = place.pack_path(broken);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(place.store().get(Kind::Blob, &whole, 9).is_ok());
        assert!(place.store().has(&Hash::ZERO).is_err());
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn more_packs_than_may_be_open_are_read() {
    let mut place = Place::new();
    let ids: Vec<Hash> =
        (0..40u8).map(|n| place.write(|w| w.put(Kind::Blob, &[n]).unwrap()).0).collect();
    let store = place.store();
    for (n, id) in ids.iter().enumerate().chain(ids.iter().enumerate().rev()) {
        assert_eq!(store.get(Kind::Blob, id, 9).unwrap(), [u8::try_from(n).unwrap()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_edits_of_a_file_come_back(
        seed in any::<u8>(),
        len in 0usize..3_000_000,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..50_000, 0usize..50_000, any::<u8>()), 0..4),
    ) {
        let mut place = Place::new();
        let mut bytes = text(len, seed);
        let mut versions = vec![(place.put_file(&bytes).0, bytes.clone())];
        for (at, remove, insert, seed) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + remove).min(bytes.len());
            bytes.splice(at..end, text(insert, seed));
            versions.push((place.put_file(&bytes).0, bytes.clone()));
        }
        let store = place.store();
        for (id, bytes) in versions {
            prop_assert_eq!(id, id_of(Kind::Blob, &bytes));
            prop_assert!(read_all(&store, &id).unwrap() == bytes);
        }
    }
}

#[test]
fn a_damaged_copy_does_not_hide_a_sound_one_in_another_pack() {
    let mut place = Place::new();
    let (large, small) = (noise(1_500_000, 40), text(900, 41));
    let mut ids = None;
    for _ in 0..2 {
        // Against an empty snapshot, so that each pack has everything.
        let empty = Store::open(place.root(), &[]);
        let writer = StoreWriter::begin(&empty, &place.nonces).unwrap();
        let file = writer
            .put_file(Path::new("f"), 0, &Outline::default(), &mut &large[..], &task())
            .unwrap()
            .0;
        ids = Some((file, writer.put(Kind::Tree, &small).unwrap()));
        place.packs.extend(writer.finish().unwrap().packs);
    }
    let (file, tree) = ids.unwrap();
    for n in 0..2 {
        let path = place.pack_path(n);
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        // All of its blocks, and none of its index.
        let index = good.len() - 3000;
        bad[24..index].iter_mut().step_by(1000).for_each(|byte| *byte ^= 4);
        fs::remove_file(&path).unwrap();
        fs::write(&path, bad).unwrap();
        assert!(place.store().get(Kind::Tree, &tree, 1 << 20).unwrap() == small);
        assert!(place.store().get(Kind::Blob, &file, 1 << 24).unwrap() == large);
        assert!(read_all(&place.store(), &file).unwrap() == large);
        let part = place.store().read_range(&file, 700_000, 100_000).unwrap();
        assert!(part == large[700_000..800_000]);
        let alone = place.store().only(&[place.packs[n]]);
        assert!(read_all(&alone, &file).unwrap_err().is_corruption());
        fs::remove_file(&path).unwrap();
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn what_is_sound_in_a_damaged_pack_is_rescued_and_nothing_else() {
    let mut place = Place::new();
    let bytes = noise(1_500_000, 50);
    let (file, _) = place.put_file(&bytes);
    let path = place.pack_path(0);
    let mut bad = fs::read(&path).unwrap();
    bad[700_000] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bad).unwrap();
    let store = place.store();
    let (wanted, unsound) = store.ids_as_told().unwrap();
    assert!(unsound.is_empty());
    let empty = Store::open(place.root(), &[]);
    let writer = StoreWriter::begin(&empty, &place.nonces).unwrap();
    rescue(&writer, &store, &wanted, Trust::Nothing, &task()).unwrap();
    let lost: Vec<_> = wanted.iter().filter(|id| !writer.took(id)).collect();
    assert_eq!(lost.len(), 2, "the list, which comes last, and the damaged chunk");
    assert!(lost.contains(&&file));
    let packs = writer.finish().unwrap().packs;
    let parts = Store::open(place.root(), &packs);
    for (proof, taken) in [(true, false), (false, true)] {
        let writer = StoreWriter::begin(&parts, &place.nonces).unwrap();
        rescue_lists(&writer, &store, &parts, &wanted, proof, u64::MAX, &task()).unwrap();
        assert_eq!(writer.took(&file), taken, "a list without all of its chunks proves nothing");
    }
    let writer = StoreWriter::begin(&parts, &place.nonces).unwrap();
    rescue_lists(&writer, &store, &parts, &wanted, false, 1000, &task()).unwrap();
    assert!(!writer.took(&file), "it claims more than there may be");
}
