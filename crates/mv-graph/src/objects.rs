//! [`Objects`]: what this crate needs of an object store.
//!
//! The store itself implements it; tests use a map. Whoever implements it verifies: bytes that
//! [`Objects::get`] returns have the id that was asked for.

use mv_store::{Hash, HashPrefix, Kind, Store};

/// A source of verified objects.
pub trait Objects {
    /// The whole bytes of an object, compared with its id.
    ///
    /// # Errors
    /// `Missing`, `Corrupt` (also when it is larger than `cap` bytes), `Io`.
    fn get(&self, kind: Kind, id: &Hash, cap: u64) -> mv_store::Result<Vec<u8>>;

    /// Whether the object is there.
    fn contains(&self, id: &Hash) -> bool;

    /// All chunks and list nodes, at every height, that a blob is stored as; none when it is stored
    /// whole. Chunks and list nodes have no children of their own.
    ///
    /// # Errors
    /// `Missing` when the blob or a list node is not there, `Corrupt`, `Io`. A chunk that is not
    /// there is no error here.
    fn children(&self, id: &Hash) -> mv_store::Result<Option<Vec<Hash>>>;

    /// A blob's length, where that is known without reading it.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Io`.
    fn len(&self, id: &Hash) -> mv_store::Result<Option<u64>> {
        let _ = id;
        Ok(None)
    }

    /// Says that these objects will be read next, or of blobs their [`Objects::children`]; whoever is
    /// far from them fetches them together.
    ///
    /// # Errors
    /// What fetching gives.
    fn expect(&self, kind: Kind, ids: &[Hash]) -> mv_store::Result<()> {
        let _ = (kind, ids);
        Ok(())
    }

    /// The ids of this kind that begin with the prefix, in ascending order.
    ///
    /// # Errors
    /// `Corrupt`, `Stale`, `Io`.
    fn find(&self, prefix: &HashPrefix, kind: Kind) -> mv_store::Result<Vec<Hash>>;
}

impl Objects for Store {
    fn get(&self, kind: Kind, id: &Hash, cap: u64) -> mv_store::Result<Vec<u8>> {
        Store::get(self, kind, id, cap)
    }

    fn contains(&self, id: &Hash) -> bool {
        Store::contains(self, id)
    }

    fn children(&self, id: &Hash) -> mv_store::Result<Option<Vec<Hash>>> {
        Store::children(self, id)
    }

    fn len(&self, id: &Hash) -> mv_store::Result<Option<u64>> {
        Store::len_of(self, id).map(Some)
    }

    fn expect(&self, kind: Kind, ids: &[Hash]) -> mv_store::Result<()> {
        Store::read_ahead(self, kind, ids)
    }

    fn find(&self, prefix: &HashPrefix, kind: Kind) -> mv_store::Result<Vec<Hash>> {
        Store::find(self, prefix, kind)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Cursor;
    use std::path::Path;

    use mv_store::{Nonces, Outline, Progress, StoreWriter, Unit};

    use super::*;
    use crate::component::ComponentRef;
    use crate::reach::reachable;
    use crate::testing::manifest;
    use crate::tree::{Mode, Tree, TreeEntry};
    use crate::{diff, revision};

    /// Bytes that no compressor and no deduplication shortens.
    fn noise(len: usize) -> Vec<u8> {
        let mut seed = 1u64;
        let step = |_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed.to_le_bytes()[7]
        };
        (0..len).map(step).collect()
    }

    #[test]
    fn the_store_serves_a_version_with_a_file_of_many_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let nonces = Nonces::from_seed([3; 32]);
        let store = Store::open(dir.path(), &[]);
        let writer = StoreWriter::begin(&store, &nonces).unwrap();
        let big = noise(20 << 20);
        let task = Progress::new().task("test", Unit::Bytes);
        let (id, bytes) = writer
            .put_file(
                Path::new("big"),
                big.len() as u64,
                &Outline::default(),
                &mut Cursor::new(&big),
                &task,
            )
            .unwrap();
        let put_tree = |tree: &Tree| writer.put(Kind::Tree, &tree.encode().unwrap()).unwrap();
        let entry = TreeEntry { name: b"big".to_vec(), mode: Mode::File, id, bytes, files: 1 };
        let full = ComponentRef { tree: put_tree(&Tree { entries: vec![entry] }), files: 1, bytes };
        let empty = ComponentRef { tree: put_tree(&Tree::default()), files: 0, bytes: 0 };
        let version = manifest("m", 1, &[], [empty, empty, full, empty]);
        let version_id = writer.put(Kind::Manifest, &version.encode().unwrap()).unwrap();
        let written = writer.finish().unwrap();

        let store = Store::open(dir.path(), &written.packs);
        let objects: &dyn Objects = &store;
        assert_eq!(crate::Manifest::read(objects, &version_id).unwrap(), version);
        assert_eq!(diff::list(objects, &version).unwrap().len(), 1);
        let found = reachable(objects, &[version_id], &HashSet::new()).unwrap();
        assert_eq!((found.manifests.len(), found.trees.len()), (1, 2));
        assert!(found.blobs.len() > 3, "the chunks are reached as well");
        assert!(found.ids().all(|id| objects.contains(id)));
        let prefix = HashPrefix::parse(&version_id.to_hex()[..8]).unwrap();
        assert_eq!(objects.find(&prefix, Kind::Manifest).unwrap(), [version_id]);
        let transport = mv_store::DirTransport::open(dir.path());
        let time = crate::Time::default();
        let state = crate::State::first([0; 16], crate::testing::name("main"), [0; 16], time);
        let record = crate::chain::create_first(&transport, state).unwrap();
        assert_eq!(crate::chain::newest(&transport, None).unwrap(), record);
        let view =
            revision::View { state: &record.state, objects, transport: &transport, now: time };
        assert_eq!(revision::resolve(&view, &version_id.to_hex()[..10]).unwrap(), version_id);
    }
}
