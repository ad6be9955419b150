//! Whole remotes as an enemy would make them, byte by byte from the description of the format:
//! `format`, packs and the chain of state records, with every check sum right.

use std::fs;
use std::path::{Path, PathBuf};

use mv_store::{Hash, Kind, PackId, id_of};

use crate::forge::{Block, Entry, pack, tree, varint};

/// Bytes under way, and where each length in them is.
#[derive(Clone, Debug, Default)]
pub struct Ink {
    /// What was written.
    pub bytes: Vec<u8>,
    /// Where a length or a count begins, and where it ends.
    pub lengths: Vec<(usize, usize)>,
}

impl Ink {
    /// Begins with a magic and version 1.
    #[must_use]
    pub fn new(magic: &[u8; 4]) -> Ink {
        let mut ink = Ink::default();
        ink.bytes.extend(magic);
        ink.bytes.push(1);
        ink
    }

    /// A number.
    pub fn number(&mut self, value: u64) {
        varint(&mut self.bytes, value);
    }

    /// A length or a count.
    pub fn count(&mut self, value: usize) {
        let start = self.bytes.len();
        self.number(value as u64);
        self.lengths.push((start, self.bytes.len()));
    }

    /// A text, or bytes that pose as one.
    pub fn text(&mut self, text: impl AsRef<[u8]>) {
        self.count(text.as_ref().len());
        self.bytes.extend(text.as_ref());
    }

    /// A hash.
    pub fn hash(&mut self, hash: &Hash) {
        self.bytes.extend(hash.0);
    }

    /// A hash or none.
    pub fn maybe(&mut self, hash: Option<&Hash>) {
        self.number(u64::from(hash.is_some()));
        hash.iter().for_each(|hash| self.hash(hash));
    }

    fn person(&mut self) {
        self.text("Eve");
        self.text("eve@example.org");
    }

    /// The beginning of 1970.
    fn time(&mut self) {
        self.number(0);
        self.number(0);
    }

    /// The same bytes with another number in the place of the n-th length.
    #[must_use]
    pub fn with_length(&self, nth: usize, claim: u64) -> Vec<u8> {
        let (start, end) = self.lengths[nth];
        let mut bytes = self.bytes[..start].to_vec();
        varint(&mut bytes, claim);
        bytes.extend(&self.bytes[end..]);
        bytes
    }
}

/// The refs of a record. Names are bytes, for they may be anything.
#[derive(Clone, Debug)]
pub struct Refs {
    /// The branch that HEAD is on.
    pub head: Vec<u8>,
    /// Branches and their versions.
    pub branches: Vec<(Vec<u8>, Hash)>,
    /// Tags and their versions.
    pub tags: Vec<(Vec<u8>, Option<Hash>)>,
    /// Stages, their versions and the newest entries of their ledgers.
    pub stages: Vec<(Vec<u8>, Hash, Hash)>,
}

impl Refs {
    /// `main` at a version.
    #[must_use]
    pub fn main(target: Hash) -> Refs {
        let branches = vec![(b"main".to_vec(), target)];
        Refs { head: b"main".to_vec(), branches, tags: Vec::new(), stages: Vec::new() }
    }
}

/// A version: what its manifest says.
#[derive(Clone, Debug)]
pub struct Version {
    /// The code's tree, its files and its bytes.
    pub code: (Hash, u64, u64),
    /// The versions before it.
    pub parents: Vec<Hash>,
    /// The message.
    pub message: Vec<u8>,
    /// The author's name.
    pub author: Vec<u8>,
}

impl Version {
    /// Of a code tree.
    #[must_use]
    pub fn of(code: Hash, files: u64, bytes: u64) -> Version {
        let (message, author) = (b"forged".to_vec(), b"Eve".to_vec());
        Version { code: (code, files, bytes), parents: Vec::new(), message, author }
    }

    /// The manifest, with something in every list so that it has every length.
    #[must_use]
    pub fn ink(&self) -> Ink {
        let mut ink = Ink::new(b"MVma");
        ink.count(self.parents.len());
        self.parents.iter().for_each(|parent| ink.hash(parent));
        let empty = id_of(Kind::Tree, &tree(&[]));
        for (id, files, bytes) in [self.code, (empty, 0, 0), (empty, 0, 0), (empty, 0, 0)] {
            ink.hash(&id);
            ink.number(files);
            ink.number(bytes);
        }
        ink.maybe(None);
        ink.text("model");
        for _ in ["params", "metrics"] {
            ink.count(1);
            ink.text("name");
            ink.number(3);
            ink.text("value");
        }
        ink.count(1);
        ink.text("name");
        ink.text("value");
        ink.text(&self.message);
        ink.text(&self.author);
        ink.text("eve@example.org");
        ink.time();
        ink.number(1);
        ink.text("git");
        ink.text("abc");
        ink.number(1);
        ink.text("main");
        ink.number(0);
        ink.number(1);
        ink.text("https://example.org/x");
        ink
    }
}

/// The first entry of a stage's ledger.
#[must_use]
pub fn ledger(stage: &[u8], to: &Hash, reason: &[u8]) -> Ink {
    let mut ink = Ink::new(b"MVld");
    ink.text(stage);
    ink.number(1);
    ink.maybe(None);
    ink.maybe(None);
    ink.maybe(Some(to));
    ink.number(0);
    ink.person();
    ink.time();
    ink.text(reason);
    ink
}

/// A tree, with its lengths.
#[must_use]
pub fn tree_ink(entries: &[Entry]) -> Ink {
    let mut ink = Ink::new(b"MVtr");
    ink.count(entries.len());
    for entry in entries {
        ink.text(&entry.name);
        ink.number(entry.mode);
        ink.hash(&entry.id);
        ink.number(entry.bytes);
        ink.number(entry.files);
    }
    ink
}

/// A remote under an enemy's hands.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The directory.
    pub dir: PathBuf,
    /// The repository's id.
    pub repository: [u8; 16],
    /// The newest record's hash; zeros before the first.
    pub previous: Hash,
    /// The newest record's number.
    pub generation: u64,
    /// What the next record lists as live.
    pub packs: Vec<PackId>,
}

impl Remote {
    /// A directory with a `format` and nothing else.
    #[must_use]
    pub fn new(dir: &Path) -> Remote {
        for name in ["packs", "state"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let (previous, generation) = (Hash::ZERO, 0);
        let remote = Remote {
            dir: dir.to_path_buf(),
            repository: [0x42; 16],
            previous,
            generation,
            packs: Vec::new(),
        };
        remote.format("feature chunk=gear64-v1/32k/128k/512k\n", 1);
        remote
    }

    /// Writes `format` with other features or another version.
    pub fn format(&self, features: &str, version: u32) {
        let id: String = self.repository.iter().map(|b| format!("{b:02x}")).collect();
        let text = format!("mv repository\nversion {version}\nid {id}\n{features}");
        let check = id_of(Kind::Blob, text.as_bytes());
        fs::write(self.dir.join("format"), format!("{text}check {check}\n")).unwrap();
    }

    /// Adds a pack of these blocks.
    pub fn pack(&mut self, blocks: &[Block]) -> PackId {
        let mut nonce = [0x66; 16];
        nonce[0] = self.packs.len() as u8;
        self.pack_of(&pack(blocks, nonce))
    }

    /// Adds a pack of any bytes under the name that they hash to.
    pub fn pack_of(&mut self, bytes: &[u8]) -> PackId {
        let id = PackId(id_of(Kind::Blob, bytes));
        self.pack_as(id, bytes);
        id
    }

    /// Adds a pack of any bytes under any name.
    pub fn pack_as(&mut self, id: PackId, bytes: &[u8]) {
        let path = self.dir.join(id.file_name());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self.packs.push(id);
        self.packs.sort_unstable();
    }

    /// The next record, without its seal.
    #[must_use]
    pub fn ink(&self, refs: &Refs) -> Ink {
        let mut ink = Ink::new(b"MVst");
        let generation = self.generation + 1;
        ink.bytes.extend(self.repository);
        ink.number(generation);
        ink.hash(&self.previous);
        ink.number(0);
        ink.text(&refs.head);
        ink.count(refs.branches.len());
        for (name, target) in &refs.branches {
            ink.text(name);
            ink.hash(target);
        }
        ink.count(refs.tags.len());
        for (name, target) in &refs.tags {
            ink.text(name);
            ink.maybe(target.as_ref());
            ink.text("a message");
            ink.person();
            ink.time();
        }
        ink.count(refs.stages.len());
        for (name, target, entry) in &refs.stages {
            ink.text(name);
            ink.hash(target);
            ink.hash(entry);
        }
        ink.count(0);
        ink.count(0);
        ink.count(self.packs.len());
        self.packs.iter().for_each(|pack| ink.hash(&pack.0));
        ink.count(0);
        ink.count(0);
        ink.bytes.extend([generation as u8; 16]);
        ink.time();
        ink.number(1);
        ink.person();
        ink.text("push main");
        ink.number(generation);
        ink.number(generation - 1);
        ink.count(0);
        ink.maybe(None);
        ink.number(0);
        ink
    }

    /// Where the next record goes.
    #[must_use]
    pub fn next_path(&self) -> PathBuf {
        self.dir.join(format!("state/{:020}", self.generation + 1))
    }

    /// Seals and writes the next record.
    pub fn publish(&mut self, body: &[u8]) {
        let mut bytes = body.to_vec();
        bytes.extend(id_of(Kind::Blob, body).0);
        fs::write(self.next_path(), &bytes).unwrap();
        self.previous = id_of(Kind::Blob, &bytes);
        self.generation += 1;
    }

    /// Writes the next record with these refs.
    pub fn record(&mut self, refs: &Refs) {
        let body = self.ink(refs).bytes;
        self.publish(&body);
    }

    /// Adds a pack with a version, the empty tree and these blocks; returns the version.
    pub fn version(&mut self, mut blocks: Vec<Block>, version: &Version) -> Hash {
        let manifest = version.ink().bytes;
        blocks.push(Block::raw(Kind::Manifest, &manifest));
        let empty = Block::raw(Kind::Tree, &tree(&[]));
        if !blocks.iter().any(|block| block.objects == empty.objects) {
            blocks.push(empty);
        }
        self.pack(&blocks);
        id_of(Kind::Manifest, &manifest)
    }

    /// Publishes a version with these entries in its root directory as `main`.
    pub fn entries(&mut self, mut blocks: Vec<Block>, entries: &[Entry]) -> Hash {
        let root = tree(entries);
        // A version with bytes and no files cannot even be written down.
        let files = entries.iter().fold(0u64, |sum, e| sum.saturating_add(e.files)).max(1);
        let bytes = entries.iter().fold(0u64, |sum, e| sum.saturating_add(e.bytes));
        blocks.push(Block::raw(Kind::Tree, &root));
        let id = self.version(blocks, &Version::of(id_of(Kind::Tree, &root), files, bytes));
        self.record(&Refs::main(id));
        id
    }

    /// Publishes an honest version of one file, `ok.txt`.
    pub fn honest(&mut self) -> Hash {
        let blob = Block::raw(Kind::Blob, b"ok");
        let entry = Entry::file("ok.txt", blob.objects[0].0, 2);
        self.entries(vec![blob], &[entry])
    }
}
