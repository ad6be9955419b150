//! Repositories as an enemy would make them: packs and trees written byte by byte, from the
//! description of the format and not with the program's own writers, with every check sum right.

use std::fs;
use std::path::Path;

use mv_graph::{ComponentRef, Manifest, Person, RefName, Time, chain};
use mv_store::{DirTransport, Hash, Kind, PackId, id_of};

pub use mv_properties::forge::{Block, Entry, pack, tree, varint};

/// A version whose code is this tree, which is said to hold so much.
#[must_use]
pub fn manifest(code: Hash, files: u64, bytes: u64, message: &str) -> Vec<u8> {
    let empty = ComponentRef { tree: id_of(Kind::Tree, &tree(&[])), files: 0, bytes: 0 };
    let manifest = Manifest {
        parents: vec![],
        components: [ComponentRef { tree: code, files, bytes }, empty, empty, empty],
        environment: None,
        model_name: "forged".into(),
        params: vec![],
        metrics: vec![],
        metadata: vec![],
        message: message.into(),
        author: Person { name: "Eve".into(), email: "eve@example.org".into() },
        created: Time { ns: 0, offset_minutes: 0 },
        source: None,
    };
    manifest.encode().unwrap()
}

/// Adds a pack to a repository and a branch at a version in it.
pub fn plant(dot: &Path, blocks: &[Block], branch: &str, target: Hash) -> PackId {
    let transport = DirTransport::open(dot);
    let newest = chain::newest(&transport, None).unwrap();
    let mut nonce = [0x66; 16];
    nonce[..8].copy_from_slice(&newest.state.generation.to_le_bytes());
    let bytes = pack(blocks, nonce);
    let id = PackId(id_of(Kind::Blob, &bytes));
    let path = dot.join(id.file_name());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &bytes).unwrap();
    let mut next = newest.state.next("forged", nonce, newest.state.time, None);
    next.add_packs(&[id]);
    next.set_branch(RefName::parse(branch).unwrap(), target);
    chain::append(&transport, &newest, next).unwrap();
    id
}

/// Plants a version with this code tree as a branch, beside the blocks that it needs.
pub fn plant_version(
    dot: &Path,
    mut blocks: Vec<Block>,
    code: Hash,
    files: u64,
    bytes: u64,
    branch: &str,
) {
    let manifest = manifest(code, files, bytes, "forged");
    let target = id_of(Kind::Manifest, &manifest);
    blocks.push(Block::raw(Kind::Manifest, &manifest));
    let empty = Block::raw(Kind::Tree, &tree(&[]));
    if !blocks.iter().any(|b| b.objects == empty.objects) {
        blocks.push(empty);
    }
    plant(dot, &blocks, branch, target);
}
