//! Files in files.

use super::*;
use crate::build::Content::{Deflated, Stored};
use crate::build::{Sparse, protobuf, safetensors, zip};

/// A file of one tensor `w` of 8 bytes, the last ones.
fn one_tensor() -> Vec<u8> {
    let mut file = safetensors(r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#);
    file.push(&[1, 2, 3, 4, 5, 6, 7, 8]);
    file.dense()
}

/// The parts without where they are.
fn kinds(name: &str, source: &dyn Source) -> Vec<String> {
    let list = listed(name, source);
    list.lines().map(|line| line.split_once(' ').expect("a place").1.to_owned()).collect()
}

/// A zip of files of several forms, one of which is a zip.
fn nested() -> Sparse {
    let inner = zip([
        ("a.npy".to_owned(), Stored(npy("(2,)", &[1; 8]))),
        ("model.safetensors".to_owned(), Stored(one_tensor())),
    ])
    .dense();
    let packed = build::deflate(&one_tensor());
    let size = one_tensor().len() as u64;
    zip([
        ("notes.txt".to_owned(), Stored(b"some notes".to_vec())),
        ("empty".to_owned(), Stored(Vec::new())),
        ("sub/a.npy".to_owned(), Stored(npy("(2,)", &[1; 8]))),
        ("model.safetensors".to_owned(), Stored(one_tensor())),
        ("packed.safetensors".to_owned(), Deflated { packed, size }),
        ("inner.zip".to_owned(), Stored(inner)),
    ])
}

#[test]
fn stored_entries_of_a_zip_are_looked_into_once() {
    let file = nested();
    assert_eq!(
        kinds("x.zip", &file),
        [
            "`notes.txt` opaque",
            "`sub/a` f32[2]",
            "`w` f32[2]",
            "`packed.safetensors` opaque",
            "`a` f32[2]",
            "`model.safetensors` opaque",
        ]
    );
    let part = &layout("x.zip", &file).expect("a layout").parts[2];
    assert_eq!(file.read(part.start, 8).expect("its bytes"), [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// A header of an entry, by the rules of POSIX or of GNU.
fn tar_header(name: &str, kind: u8, size: &[u8], magic: &[u8; 8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(124, size);
    put(148, b"        ");
    put(156, &[kind]);
    put(257, magic);
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

const POSIX: &[u8; 8] = b"ustar\x0000";
const GNU: &[u8; 8] = b"ustar  \0";

/// An entry and what fills it up.
fn tar_entry(name: &str, kind: u8, bytes: &[u8], magic: &[u8; 8]) -> Vec<u8> {
    let size = format!("{:011o}\0", bytes.len());
    let mut entry = tar_header(name, kind, size.as_bytes(), magic);
    entry.extend(bytes);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// A record of an extended header.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let len = (rest..).find(|len| len - len.to_string().len() == rest).expect("a length");
    format!("{len} {key}={value}\n")
}

/// A tar of an image and its class, a directory, a link, and tensors in three forms.
pub(super) fn tar(magic: &[u8; 8]) -> Vec<u8> {
    let npz = zip([("b.npy".to_owned(), Stored(npy("(2,)", &[1; 8])))]).dense();
    let entries = [
        tar_entry("set/", b'5', b"", magic),
        tar_entry("set/1.jpg", b'0', &bytes(1000, 1), magic),
        tar_entry("set/1.cls", 0, b"7", magic),
        tar_entry("set/none", b'0', b"", magic),
        tar_entry("set/link", b'2', b"", magic),
        tar_entry("set/a.npy", b'0', &npy("(2,)", &[1; 8]), magic),
        tar_entry("set/model.safetensors", b'0', &one_tensor(), magic),
        tar_entry("set/b.npz", b'0', &npz, magic),
    ];
    [&entries.concat()[..], &[0; 1024]].concat()
}

#[test]
fn entries_of_a_tar_are_parts_and_looked_into_once() {
    for magic in [POSIX, GNU] {
        let tar = tar(magic);
        assert_eq!(
            kinds("x.tar", &tar),
            [
                "`set/1.jpg` opaque",
                "`set/1.cls` opaque",
                "`set/a` f32[2]",
                "`w` f32[2]",
                "`b` f32[2]",
            ]
        );
        let parts = layout("x.tar", &tar).expect("a layout").parts;
        assert_eq!((parts[0].start, parts[0].len), (1024, 1000));
        assert_eq!((parts[1].start, parts[1].len), (2560, 1));
        assert_eq!(tar[parts[3].start as usize..][..8], [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}

#[test]
fn names_and_sizes_of_a_tar_may_stand_before_the_entry() {
    let long = "n".repeat(300);
    let records = [record("mtime", "1.5"), record("path", &long), record("size", "700")].concat();
    let mut posix = tar_entry("PaxHeaders/x", b'x', records.as_bytes(), POSIX);
    // The size in the header itself does not count.
    posix.extend(tar_header("short", b'0', b"00000000000\0", POSIX));
    posix.extend(bytes(700, 1));
    posix.resize(posix.len() + 324, 0);
    posix.extend(tar_entry("next", b'0', b"abc", POSIX));
    assert_eq!(listed("x", &posix), format!("1536+700 `{long}` opaque\n3072+3 `next` opaque\n"));
    let name = [long.as_bytes(), b"\0"].concat();
    let gnu = [
        tar_entry("././@LongLink", b'K', &name, GNU),
        tar_entry("././@LongLink", b'L', &name, GNU),
        tar_entry("short", b'0', b"abc", GNU),
    ];
    assert_eq!(listed("x", &gnu.concat()), format!("2560+3 `{long}` opaque\n"));
    let mut deep = tar_header("name", b'0', b"00000000003\0", POSIX);
    deep[345..350].copy_from_slice(b"a/b/c");
    let sum: u32 = b"a/b/c".iter().map(|&byte| u32::from(byte)).sum();
    let own = u32::from_str_radix(std::str::from_utf8(&deep[148..154]).expect("digits"), 8);
    deep[148..154].copy_from_slice(format!("{:06o}", own.expect("a number") + sum).as_bytes());
    deep.extend(b"abc");
    assert_eq!(listed("x", &deep), "512+3 `a/b/c/name` opaque\n");
}

#[test]
fn entries_of_a_tar_can_have_terabytes() {
    const TWO: u64 = 2 << 40;
    let size = [&[0x80, 0, 0, 0][..], &TWO.to_be_bytes()].concat();
    let mut file = Sparse::new();
    file.push(&tar_header("w.bin", b'0', &size, GNU)).hole(TWO);
    file.push(&tar_entry("b.bin", b'0', b"b", GNU));
    assert_eq!(
        listed("x", &file),
        format!("512+{TWO} `w.bin` opaque\n{}+1 `b.bin` opaque\n", TWO + 1024)
    );
    assert!(file.read.load(std::sync::atomic::Ordering::Relaxed) < 16 << 10);
}

#[test]
fn a_tar_ends_at_what_is_odd() {
    let first = tar_entry("a", b'0', b"a", GNU);
    let one = "512+1 `a` opaque\n";
    let entry = |kind| tar_entry("b", kind, b"b", GNU);
    assert_eq!(
        listed("x", &[first.clone(), entry(b'0')].concat()),
        format!("{one}1536+1 `b` opaque\n")
    );
    let mut damaged = entry(b'0');
    damaged[200] ^= 1;
    let beyond = tar_header("b", b'0', b"77777777777\0", GNU);
    let negative = tar_header("b", b'0', b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", GNU);
    let no_number = tar_header("b", b'0', b"0000000000x\0", GNU);
    let records = tar_entry("b", b'x', b"9999 path=b\n", GNU);
    let sparse = entry(b'S');
    for next in [damaged, beyond, negative, no_number, records, sparse, vec![0; 512], vec![1; 100]]
    {
        assert_eq!(listed("x", &[first.clone(), next, entry(b'0')].concat()), one);
    }
}

/// A header of a page of data of so many bytes, with statistics of so many.
fn page_header(packed: usize, statistics: usize) -> Vec<u8> {
    let int = |n: usize| protobuf::varint(2 * n as u64);
    let text = |n: usize| [protobuf::varint(n as u64), vec![b'm'; n]].concat();
    // Type, both sizes, then a structure with statistics in it.
    let mut header =
        [&b"\x15\0\x15"[..], &int(packed * 2), b"\x15", &int(packed), b"\x2c"].concat();
    header.extend(
        [&b"\x15\x02\x15\0\x15\0\x15\0\x1c\x18"[..], &text(statistics), b"\0\0\0"].concat(),
    );
    header
}

/// A Parquet file of one column and these chunks.
fn parquet(chunks: &[Vec<u8>]) -> Vec<u8> {
    let int = |n: usize| protobuf::varint(2 * n as u64);
    let mut file = b"PAR1".to_vec();
    let mut groups = Vec::new();
    for chunk in chunks {
        let meta = [&b"\x76"[..], &int(chunk.len()), b"\x26", &int(file.len()), b"\0"].concat();
        groups.extend([&b"\x19\x1c\x3c"[..], &meta, b"\0\x26\x02\0"].concat());
        file.extend(chunk);
    }
    let schema = b"\x29\x2c\x55\x02\0\x15\x02\x38\x01c\0";
    let rows = [&b"\x16"[..], &int(chunks.len()), b"\x19"].concat();
    let list = [vec![0xfc], protobuf::varint(chunks.len() as u64)].concat();
    let footer = [&schema[..], &rows, &list, &groups, b"\0"].concat();
    [&file[..], &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

/// A page of so many bytes without its header.
fn page(len: usize, statistics: usize) -> Vec<u8> {
    [page_header(len, statistics), bytes(len, len as u32)].concat()
}

#[test]
fn columns_of_a_parquet_file_are_cut_at_large_pages() {
    let [small, large, wide] = [page(100, 0), page(100_000, 9), page(70_000, 5000)];
    let chunk = [&small[..], &small, &large, &wide, &small].concat();
    let odd = [&large[..], &[0xff; 70_000]].concat();
    let file = parquet(&[chunk, small.clone(), odd, small.repeat(2000)]);
    let lens = [
        2 * small.len(),
        large.len(),
        wide.len(),
        small.len(),
        small.len(),
        large.len(),
        70_000,
        small.len() * 2000,
    ];
    let parts = layout("x", &file).expect("a layout").parts;
    assert_eq!(parts.iter().map(|part| part.len as usize).collect::<Vec<_>>(), lens);
    assert_eq!(parts[0].start, 4);
    assert!(parts.array_windows().all(|[a, b]| a.start + a.len == b.start));
    assert!(parts.iter().all(|part| part.content == Content::Opaque && part.name.is_none()));
}

#[test]
fn columns_of_files_of_pyarrow_are_parts() {
    let places = listed("x", &fixture("small.parquet"));
    assert!(places.starts_with("4+71 - opaque\n75+67 - opaque\n142+65 - opaque\n"), "{places}");
    assert_eq!(places.lines().count(), 9);
}

#[test]
fn a_parquet_file_in_a_tar_is_looked_into() {
    let file = parquet(&[page(100_000, 0)]);
    let tar = tar_entry("a.parquet", b'0', &file, GNU);
    assert_eq!(listed("x", &tar), format!("516+{} - opaque\n", page(100_000, 0).len()));
}

/// The files of these tests, for those that break them.
pub(super) fn files() -> Vec<(String, Vec<u8>)> {
    let pages = [page(66_000, 3), page(90, 0)].concat();
    vec![
        ("posix.tar".to_owned(), tar(POSIX)),
        ("gnu.tar".to_owned(), tar(GNU)),
        ("pages.parquet".to_owned(), parquet(&[pages.clone(), page(90, 0), pages])),
        ("nested.zip".to_owned(), nested().dense()),
    ]
}
