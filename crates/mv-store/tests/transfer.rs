//! Copying objects between stores: what is wanted arrives, whole and checked, and nothing else is
//! believed.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::HashSet;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use mv_store::{
    Error, Hash, Kind, Nonces, Outline, PackId, Progress, Recipient, SharedDir, Store, StoreWriter,
    Task, Transfer, Transport, Unit, adopt, packs_below, verify_lists, verify_pack,
};

fn task() -> Task {
    Progress::new().task("test", Unit::Bytes)
}

fn nothing() -> Store {
    Store::open(Path::new("nowhere"), &[])
}

fn noise(len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new_keyed(&[seed; 32]).finalize_xof().fill(&mut bytes);
    bytes
}

/// A folder with packs, seen as a remote from another folder.
struct Lab {
    dir: tempfile::TempDir,
    nonces: Nonces,
    packs: Vec<PackId>,
    ids: Vec<Hash>,
}

impl Lab {
    /// One pack a call: small blobs, and one large file.
    fn new() -> Lab {
        let dir = tempfile::tempdir().unwrap();
        for name in ["there", "here", "folder"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let nonces = Nonces::from_seed([9; 32]);
        Lab { dir, nonces, packs: Vec::new(), ids: Vec::new() }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn pack(&mut self, small: u8, large: usize) -> Vec<Hash> {
        let root = self.path("there");
        let writer = StoreWriter::begin(&Store::open(&root, &[]), &self.nonces).unwrap();
        let mut ids = Vec::new();
        for n in 0..small {
            ids.push(
                writer.put(Kind::Blob, &noise(2000, n + 10 * self.packs.len() as u8)).unwrap(),
            );
        }
        if large > 0 {
            let bytes = noise(large, 200 + self.packs.len() as u8);
            let mut read = Cursor::new(&bytes);
            ids.push(
                writer
                    .put_file(
                        Path::new("large"),
                        large as u64,
                        &Outline::default(),
                        &mut read,
                        &task(),
                    )
                    .unwrap()
                    .0,
            );
        }
        self.packs.extend(writer.finish().unwrap().packs);
        self.ids.extend(&ids);
        ids
    }

    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(SharedDir::open(&self.path("there")).unwrap())
    }

    fn remote(&self) -> Store {
        Store::open_remote(self.transport(), &self.path("folder"), &self.packs, &self.nonces)
    }

    /// The objects and all that they are stored as.
    fn closure(&self, ids: &[Hash]) -> HashSet<Hash> {
        let store = self.remote();
        let parts = ids.iter().flat_map(|id| store.children(id).unwrap().unwrap_or_default());
        ids.iter().copied().chain(parts).collect()
    }

    fn fetch(&self, wanted: &HashSet<Hash>) -> mv_store::Result<(Transfer, Vec<PackId>)> {
        let source = self.remote();
        let transfer = Transfer::plan(&source, wanted, &nothing())?;
        let root = self.path("folder");
        let packs =
            transfer.receive(&source, &Store::open(&root, &[]), &root, &self.nonces, &task())?;
        Ok((transfer, packs))
    }
}

#[test]
fn a_pack_that_is_wanted_travels_whole_under_another_name() {
    let mut lab = Lab::new();
    let ids = lab.pack(3, 3 << 20);
    let (transfer, packs) = lab.fetch(&lab.closure(&ids)).unwrap();
    assert_eq!((packs.len(), transfer.missing.len()), (1, 0));
    assert!(!lab.packs.contains(&packs[0]));
    assert!(
        verify_pack(&Store::open(&lab.path("folder"), &packs), packs[0], &task())
            .unwrap()
            .problems
            .is_empty()
    );
    adopt(&lab.path("folder"), &lab.path("here"), &packs).unwrap();
    assert!(packs_below(&lab.path("folder")).unwrap().is_empty());
    let here = Store::open(&lab.path("here"), &packs);
    assert!(ids.iter().all(|id| here.len_of(id).is_ok()));
    verify_lists(&here, &packs, 1 << 30, &task()).unwrap();
}

#[test]
fn of_a_pack_that_is_hardly_wanted_only_some_blocks_travel() {
    let mut lab = Lab::new();
    let ids = lab.pack(3, 5 << 20);
    let (transfer, packs) = lab.fetch(&HashSet::from([ids[1]])).unwrap();
    assert!(transfer.bytes < 20_000, "{}", transfer.bytes);
    let here = Store::open(&lab.path("folder"), &packs);
    assert_eq!(here.get(Kind::Blob, &ids[1], 1 << 20).unwrap(), noise(2000, 1));
    assert!(!here.contains(&ids[0]), "a neighbour in the block is left behind");
}

#[test]
fn what_is_nowhere_is_said_before_anything_travels() {
    let mut lab = Lab::new();
    lab.pack(1, 0);
    let transfer =
        Transfer::plan(&lab.remote(), &HashSet::from([Hash([7; 32])]), &nothing()).unwrap();
    assert_eq!(transfer.missing, [Hash([7; 32])]);
    assert_eq!((transfer.objects, transfer.bytes), (0, 0));
}

#[test]
fn a_pack_with_one_wrong_byte_is_refused_and_gets_no_name() {
    let mut lab = Lab::new();
    let ids = lab.pack(3, 1 << 20);
    let path = lab.path("there").join(lab.packs[0].file_name());
    let good = fs::read(&path).unwrap();
    let wanted = lab.closure(&ids);
    for at in [5, 30, 5000, good.len() / 2] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        let outcome = lab.fetch(&wanted);
        assert!(matches!(outcome, Err(Error::Corrupt { .. } | Error::Unsupported { .. })), "{at}");
        assert!(packs_below(&lab.path("folder")).unwrap().is_empty(), "{at}");
    }
    fs::write(&path, &good).unwrap();
    assert!(lab.fetch(&wanted).is_ok(), "and it is fetched once it is sound");
}

#[test]
fn a_block_with_a_wrong_object_is_refused() {
    let mut lab = Lab::new();
    let ids = lab.pack(3, 5 << 20);
    let path = lab.path("there").join(lab.packs[0].file_name());
    let mut bytes = fs::read(&path).unwrap();
    // Small objects come last, just before the index.
    let at = bytes.windows(16).position(|w| w == &noise(16, 1)[..]).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(lab.fetch(&HashSet::from([ids[1]])), Err(Error::Corrupt { .. })));
    assert!(packs_below(&lab.path("folder")).unwrap().is_empty());
}

#[test]
fn a_kept_index_that_was_damaged_is_fetched_again_and_a_hostile_one_is_refused() {
    let mut lab = Lab::new();
    let ids = lab.pack(4, 0);
    lab.remote().open_indexes().unwrap();
    let hex = lab.packs[0].to_string();
    let kept = lab.path("folder").join("index").join(&hex[..2]).join(&hex);
    fs::write(&kept, b"nonsense").unwrap();
    assert!(lab.remote().contains(&ids[0]));
    fs::remove_file(&kept).unwrap();
    let path = lab.path("there").join(lab.packs[0].file_name());
    let mut bytes = fs::read(&path).unwrap();
    let footer = bytes.len() - 64 - 40;
    bytes[footer] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(lab.remote().open_indexes().is_err());
    assert!(!kept.exists());
}

#[test]
fn packs_are_sent_under_names_that_are_never_used_twice() {
    let mut lab = Lab::new();
    let ids = lab.pack(2, 2 << 20);
    let wanted = lab.closure(&ids);
    let source = Store::open(&lab.path("there"), &lab.packs);
    let target: Arc<dyn Transport> = Arc::new(SharedDir::open(&lab.path("target")).unwrap());
    let transfer = Transfer::plan(&source, &wanted, &nothing()).unwrap();
    let mut names = HashSet::new();
    for _ in 0..2 {
        let to = Recipient {
            transport: &target,
            folder: &lab.path("folder"),
            scratch: &lab.path("scratch"),
            nonces: &lab.nonces,
        };
        let mut heard = Vec::new();
        let mut note = |pack| {
            heard.push(pack);
            Ok(())
        };
        let packs = transfer.send(&source, &to, &task(), &mut note).unwrap();
        assert_eq!(packs, heard);
        names.extend(packs.iter().copied());
        let there =
            Store::open_remote(Arc::clone(&target), &lab.path("folder"), &packs, &lab.nonces);
        assert!(ids.iter().all(|id| there.contains(id)));
        assert!(
            packs.iter().all(|p| verify_pack(&there, *p, &task()).unwrap().problems.is_empty())
        );
    }
    assert_eq!(names.len(), 2);
}

#[test]
fn many_small_packs_become_one_on_the_way() {
    let mut lab = Lab::new();
    let ids: Vec<Hash> = (0..5).flat_map(|_| lab.pack(2, 0)).collect();
    let wanted: HashSet<Hash> = ids.iter().copied().collect();
    let source = Store::open(&lab.path("there"), &lab.packs);
    let target: Arc<dyn Transport> = Arc::new(SharedDir::open(&lab.path("target")).unwrap());
    let to = Recipient {
        transport: &target,
        folder: &lab.path("folder"),
        scratch: &lab.path("scratch"),
        nonces: &lab.nonces,
    };
    let transfer = Transfer::plan(&source, &wanted, &nothing()).unwrap();
    let packs = transfer.send(&source, &to, &task(), &mut |_| Ok(())).unwrap();
    assert_eq!(packs.len(), 1);
    assert!(packs_below(&lab.path("scratch")).unwrap().is_empty());
}

#[test]
fn a_list_that_claims_to_be_another_file_or_to_be_endless_is_refused() {
    let mut lab = Lab::new();
    let ids = lab.pack(0, 3 << 20);
    let (_, packs) = lab.fetch(&lab.closure(&ids)).unwrap();
    let here = Store::open(&lab.path("folder"), &packs);
    assert!(matches!(verify_lists(&here, &packs, 1 << 20, &task()), Err(Error::Corrupt { .. })));
    verify_lists(&here, &packs, 4 << 20, &task()).unwrap();
}
