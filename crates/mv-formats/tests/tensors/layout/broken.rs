//! Files that lie, are cut short, or hold anything: a sound layout or none, never an error.

use proptest::prelude::*;

use super::*;
use crate::build::Content::Stored;
use crate::build::{Sparse, gguf, gguf_row, protobuf, safetensors, zip};
use crate::memory::holding;

/// Files of every form: those of the libraries and those that the other tests are about.
fn files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats");
    let files = std::fs::read_dir(folder).expect("the fixtures").map(|file| file.expect("a file"));
    let name = |file: &std::fs::DirEntry| file.file_name().into_string().expect("text");
    let made = ["make.py", "make_tables.py", "README.md", "tables.md"];
    let mut files: Vec<_> = files
        .map(|file| (name(&file), std::fs::read(file.path()).expect("its bytes")))
        .filter(|(name, _)| !made.contains(&name.as_str()))
        .chain(same::files())
        .chain(archives::files())
        .collect();
    files.sort();
    assert!(files.len() > 25);
    files
}

/// Reads the layout of anything, within the limit of memory.
fn survive(name: &str, bytes: &[u8]) -> Option<Layout> {
    let bytes = bytes.to_vec();
    holding(name, || layout(name, &bytes)).0
}

#[test]
fn layouts_of_files_cut_anywhere_are_sound() {
    for (name, bytes) in files() {
        for len in (0..bytes.len()).step_by(bytes.len() / 400 + 1) {
            survive(&name, &bytes[..len]);
        }
    }
}

/// What can happen to a file.
#[derive(Clone, Debug)]
enum Change {
    Flip(u8),
    Write(u64),
    Cut,
    Append(Vec<u8>),
    Splice(prop::sample::Index, u16),
    Remove(u16),
    Double(u16),
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let what = prop_oneof![
        6 => any::<u8>().prop_map(Change::Flip),
        2 => prop::sample::select(vec![0, 1, 1 << 31, 1 << 40, u64::MAX >> 1, u64::MAX])
            .prop_map(Change::Write),
        1 => Just(Change::Cut),
        1 => prop::collection::vec(any::<u8>(), 1..600).prop_map(Change::Append),
        2 => (any::<prop::sample::Index>(), 1..400_u16).prop_map(|(from, len)| Change::Splice(from, len)),
        1 => (1..64_u16).prop_map(Change::Remove),
        1 => (1..64_u16).prop_map(Change::Double),
    ];
    (any::<prop::sample::Index>(), what)
}

fn apply(bytes: &mut Vec<u8>, other: &[u8], at: prop::sample::Index, change: Change) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    let upto = |len: u16| at..bytes.len().min(at + usize::from(len));
    match change {
        Change::Flip(mask) => bytes[at] ^= mask,
        Change::Write(number) => {
            for (into, from) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                *into = from;
            }
        }
        Change::Cut => bytes.truncate(at),
        Change::Append(more) => bytes.extend(more),
        Change::Splice(from, len) => {
            let from = from.index(other.len());
            let piece = &other[from..other.len().min(from + usize::from(len))];
            bytes.splice(upto(len), piece.iter().copied());
        }
        Change::Remove(len) => drop(bytes.drain(upto(len))),
        Change::Double(len) => {
            let piece = bytes[upto(len)].to_vec();
            bytes.splice(at..at, piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn layouts_of_changed_files_are_sound(
        file in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        changes in prop::collection::vec(change(), 1..5),
        named in any::<bool>(),
    ) {
        thread_local! {
            static FILES: Vec<(String, Vec<u8>)> = files();
        }
        FILES.with(|files| {
            let (name, bytes) = file.get(files);
            let mut bytes = bytes.clone();
            for (at, change) in changes {
                apply(&mut bytes, &other.get(files).1, at, change);
            }
            survive(if named { name } else { "x" }, &bytes);
        });
    }
}

#[test]
fn headers_that_lie_have_a_sound_layout_or_none() {
    let tensor =
        |offsets: &str| format!(r#"{{"a":{{"dtype":"U8","shape":[8],"data_offsets":{offsets}}}}}"#);
    let file = |header: &str| {
        let mut file = safetensors(header);
        file.push(&[7; 8]);
        file.dense()
    };
    assert!(survive("x", &file(&tensor("[0,8]"))).is_some());
    for header in [
        tensor("[1,9]"),
        tensor("[8,0]"),
        tensor("[0,18446744073709551615]"),
        tensor("[18446744073709551608,18446744073709551615]"),
        "{".to_owned(),
        "{}".to_owned(),
        "[]".to_owned(),
        "{\"a\":".repeat(100_000),
    ] {
        assert_eq!(survive("x.safetensors", &file(&header)), None, "{header:.80}");
    }
    for shape in ["(3,)", "(4294967296, 4294967296)", "(18446744073709551615,)", "(-1,)", "(0,)"] {
        assert_eq!(survive("x.npy", &npy(shape, &[0; 8])), None, "{shape}");
    }
    assert_eq!(survive("x.gguf", &gguf(u64::MAX, u64::MAX)), None);
    let row = [gguf(1, 0), gguf_row("a", &[32], 0, u64::MAX), vec![0; 64]].concat();
    assert_eq!(survive("x.gguf", &row), None);
    assert_eq!(survive("x.onnx", &protobuf::bytes(7, &protobuf::head(5, 100))), None);
}

#[test]
fn what_follows_the_last_part_belongs_to_none() {
    for (name, bytes) in same::files() {
        let whole = survive(&name, &bytes).expect("a layout");
        let longer = [&bytes[..], &[0; 100]].concat();
        if let Some(longer) = survive(&name, &longer) {
            assert_eq!(longer.parts, whole.parts, "{name}");
        }
    }
}

#[test]
fn entries_of_a_zip_that_lie_have_no_part() {
    let one = npy("(2,)", &[1; 8]);
    let file = |first: &[u8]| {
        zip([
            ("a.npy".to_owned(), Stored(first.to_vec())),
            ("b.npy".to_owned(), Stored(one.clone())),
        ])
    };
    let mut bytes = file(&one).dense();
    assert_eq!(survive("x.npz", &bytes).expect("a layout").parts.len(), 2);
    // The second entry has no header where the directory says.
    let second = bytes.windows(4).rposition(|at| at == b"PK\x03\x04").expect("a header");
    bytes[second] = 0;
    assert_eq!(survive("x.npz", &bytes).expect("a layout").parts.len(), 1);
    // An array that is cut short is some bytes.
    let cut = survive("x.npz", &file(&one[..one.len() - 1]).dense()).expect("a layout");
    assert_eq!(cut.parts[0].content, Content::Opaque);
    assert!(matches!(cut.parts[1].content, Content::Tensor { .. }));
}

#[test]
fn entries_of_a_zip_that_share_their_bytes_are_read_once() {
    let header = format!(
        r#"{{"__metadata__":{{"a":"{}"}},"w":{{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}}}"#,
        "a".repeat(100_000)
    );
    let mut model = safetensors(&header);
    model.push(&[7; 8]);
    let first = ("0000".to_owned(), Stored(model.dense()));
    let rest = (1..1000).map(|n| (format!("{n:04}"), Stored(vec![7])));
    let mut file = zip(std::iter::once(first).chain(rest)).dense();
    // Every entry of the directory becomes the first one under another name.
    let size = 46 + 4 + 28;
    let directory = file.windows(4).position(|at| at == b"PK\x01\x02").expect("a directory");
    let numbers = file[directory + size - 24..directory + size].to_vec();
    for entry in file[directory..].chunks_exact_mut(size).take(1000) {
        entry[size - 24..].copy_from_slice(&numbers);
    }
    let mut counting = Sparse::new();
    counting.push(&file);
    let parts = layout("x", &counting).expect("a layout").parts;
    assert_eq!((parts.len(), parts[0].name.as_deref()), (1, Some("w")));
    assert!(counting.read.into_inner() < 1 << 20);
}

#[test]
fn pickles_in_an_archive_are_followed_as_far_as_some() {
    let array = |n: u8| {
        let dtype = [&b"cnumpy\ndtype\n"[..], &pickle::tuple(&[pickle::text("u1")]), b"R"].concat();
        let bytes = [&b"C\x20"[..], &[n; 32]].concat();
        let args = pickle::tuple(&[bytes, dtype, pickle::ints(&[32]), pickle::text("C")]);
        pickle::whole(&[&b"cnumpy.core.numeric\n_frombuffer\n"[..], &args, b"R"].concat())
    };
    let file = zip((0..700).map(|n| (format!("{n}.pkl"), Stored(array(n as u8)))));
    let parts = layout("x", &file).expect("a layout").parts;
    let tensors = parts.iter().filter(|part| part.content != Content::Opaque).count();
    assert_eq!((parts.len(), tensors), (700, 512));
}

/// One array and many more mentions of it than it has bytes, below keys of this length.
fn mentions(keys: usize, mentions: usize) -> Vec<u8> {
    let dtype = [&b"cnumpy\ndtype\n"[..], &pickle::tuple(&[pickle::text("u1")]), b"R"].concat();
    let bytes = [&b"C\x20"[..], &[7; 32]].concat();
    let args = pickle::tuple(&[bytes, dtype, pickle::ints(&[32]), pickle::text("C")]);
    let array = [&b"cnumpy.core.numeric\n_frombuffer\n"[..], &args, b"Rq\x000"].concat();
    let key = [&pickle::text(&"k".repeat(keys))[..], b"q\x010"].concat();
    let leaves = [&b"]("[..], &b"h\x00".repeat(mentions), b"e"].concat();
    let deep = [&b"}h\x01".repeat(200)[..], &leaves, &b"s".repeat(200)].concat();
    pickle::whole(&[array, key, deep].concat())
}

#[test]
fn what_many_names_cost_is_bounded_for_all_of_a_file() {
    let tensors = |file: &dyn Source| {
        let parts = layout("x", file).expect("a layout").parts;
        parts.iter().filter(|part| part.content != Content::Opaque).count()
    };
    // Names of 8 KB, too many to be held: each such entry costs some 30 MB of names before that is known.
    let after = |hostile: usize| {
        let hostile = (0..hostile).map(|n| (format!("{n}.pkl"), Stored(mentions(40, 5000))));
        zip(hostile.chain([("x.pkl".to_owned(), Stored(mentions(40, 1)))]))
    };
    assert_eq!([2, 3].map(|hostile| tensors(&after(hostile))), [1, 0]);
    // Keys are read once, not for each name behind them.
    let file = zip([("a.pkl".to_owned(), Stored(mentions(40, 3000)))]);
    assert_eq!(tensors(&file), 1);
    assert!(file.read.into_inner() < 1 << 20);
}

#[test]
fn a_read_that_fails_is_an_error() {
    struct Broken(Sparse);
    impl Source for Broken {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn read_at(&self, offset: u64, into: &mut [u8]) -> mv_formats::Result<()> {
            match offset {
                0 => self.0.read_at(offset, into),
                _ => Err(std::io::Error::from(std::io::ErrorKind::PermissionDenied).into()),
            }
        }
    }
    let mut file = safetensors("{}");
    file.push(&[0; 600]);
    assert!(matches!(read_layout("x", &Broken(file)), Err(mv_formats::Error::Read(_))));
}
