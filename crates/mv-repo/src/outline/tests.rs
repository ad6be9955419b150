//! Bytes out are bytes in, whatever a file claims to be.

use std::fs;
use std::path::{Path, PathBuf};

use mv_formats::read_layout;
use mv_store::{
    Hash, Kind, Nonces, Outline, Progress, Similar, Store, StoreWriter, Task, Unit, id_of,
};

use super::parts::parts_of;

/// One small file of every format.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        Some((name, fs::read(&path).ok()?))
    };
    paths.into_iter().filter_map(read).collect()
}

/// Numbers that look random and are the same everywhere: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit.max(1) as u64).unwrap_or(0)
    }
}

/// A file as it is after an accident, or as somebody with bad intentions makes it.
fn mangled(bytes: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=dice.below(3) {
        let (at, byte) = (dice.below(bytes.len()), dice.below(256) as u8);
        match dice.below(6) {
            _ if bytes.is_empty() => bytes.push(byte),
            0 => bytes.truncate(at),
            1 => bytes.extend(std::iter::repeat_n(byte, 1 + dice.below(5000))),
            2 => bytes.insert(at, byte),
            3 => drop(bytes.remove(at)),
            // Lengths and offsets are in the first bytes, or in the last.
            4 => {
                let near = dice.below(64).min(bytes.len() - 1);
                bytes[near] = byte;
            }
            _ => bytes[at] = byte,
        }
    }
    bytes
}

fn task() -> Task {
    Progress::new().task("t", Unit::Bytes)
}

/// The outline of a file, each of whose parts is said to resemble what lies there in another.
fn outline(name: &str, bytes: &[u8], like: Option<(Hash, usize)>) -> Outline {
    let layout = read_layout(name, &bytes.to_vec()).unwrap().unwrap_or_default();
    let (mut parts, _) = parts_of(&layout);
    for part in &mut parts {
        assert!(part.start + part.len <= bytes.len() as u64, "{name}: a part leaves the file");
        if let (Some(element), Some((blob, _))) = (part.element, like) {
            part.similar = vec![Similar { blob, start: part.start, len: part.len, element }];
        }
    }
    Outline { parts, parent: like.map(|(blob, _)| blob), ..Outline::default() }
}

fn come_back(each: usize) {
    let dir = tempfile::tempdir().unwrap();
    let nonces = Nonces::from_seed([7; 32]);
    let put = |writer: &StoreWriter<'_>, outline: &Outline, bytes: &[u8]| {
        writer.put_file(Path::new("f"), 0, outline, &mut &*bytes, &task()).unwrap().0
    };
    for (name, whole) in fixtures() {
        let empty = Store::open(dir.path(), &[]);
        let writer = StoreWriter::begin(&empty, &nonces).unwrap();
        let first = put(&writer, &outline(&name, &whole, None), &whole);
        let mut packs = writer.finish().unwrap().packs;
        let store = Store::open(dir.path(), &packs);
        let writer = StoreWriter::begin(&store, &nonces).unwrap();
        let mut dice =
            Dice(name.bytes().fold(1, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte)));
        let files: Vec<Vec<u8>> = (0..each).map(|_| mangled(&whole, &mut dice)).collect();
        for bytes in &files {
            let outline = outline(&name, bytes, Some((first, whole.len())));
            assert_eq!(put(&writer, &outline, bytes), id_of(Kind::Blob, bytes), "{name}");
        }
        packs.extend(writer.finish().unwrap().packs);
        let store = Store::open(dir.path(), &packs);
        for bytes in files.iter().chain([&whole]) {
            let id = id_of(Kind::Blob, bytes);
            let mut back = Vec::new();
            let mut out = |piece: &[u8]| {
                back.extend_from_slice(piece);
                Ok(())
            };
            store.copy_to(&id, None, &mut out).unwrap();
            assert!(back == *bytes, "{name}: {id} comes back as something else");
        }
    }
}

#[test]
fn mangled_files_of_every_format_come_back_as_they_were() {
    come_back(60);
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_mangled_files_of_every_format_come_back_as_they_were() {
    come_back(10_000);
}
