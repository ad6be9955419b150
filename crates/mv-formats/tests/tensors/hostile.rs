//! Files that lie, are cut short, or hold anything: an error or no model, never a panic.

use std::path::Path;
use std::sync::atomic::Ordering;

use crate::build::Content::{Deflated, Hole, Stored};
use crate::build::{self, Sparse, check, gguf, gguf_row, pickle, protobuf, safetensors, zip};
use mv_formats::{Error, Location, Model, Source, read_model, read_tensor};
use proptest::prelude::*;

/// Reads a file as far as it goes.
fn survive(name: &str, source: &dyn Source) -> Option<Model> {
    let model = read_model(name, source).ok().flatten()?;
    check(&model, source.size());
    for tensor in &model.tensors {
        let mut len = 0;
        let read = read_tensor(source, tensor, &mut |piece| {
            len += piece.len() as u64;
            Ok(())
        });
        match tensor.location {
            Location::Plain { len: expected, .. } | Location::Deflated { len: expected, .. } => {
                assert!(len <= expected);
                assert!(read.is_err() || len == expected);
            }
            _ => {}
        }
    }
    Some(model)
}

fn refused(name: &str, source: &dyn Source) -> Error {
    match read_model(name, source) {
        Err(error) if error.is_opaque() => error,
        other => panic!("{name} must be refused: {other:?}"),
    }
}

fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats");
    let files = std::fs::read_dir(folder).expect("the fixtures").map(|file| file.expect("a file"));
    let name = |file: &std::fs::DirEntry| file.file_name().into_string().expect("text");
    let mut files: Vec<_> = files
        .map(|file| (name(&file), std::fs::read(file.path()).expect("its bytes")))
        .filter(|(name, _)| is_model(name))
        .collect();
    files.sort();
    assert!(files.len() > 10);
    files
}

fn is_model(name: &str) -> bool {
    let kinds = ["safetensors", "npy", "npz", "gguf", "onnx", "pt", "pkl", "joblib"];
    name.rsplit_once('.').is_some_and(|(_, extension)| kinds.contains(&extension))
}

#[test]
fn files_cut_anywhere_are_survived() {
    for (name, bytes) in fixtures() {
        let whole = survive(&name, &bytes);
        assert!(whole.is_some(), "{name}");
        for len in 0..bytes.len() {
            let cut = survive(&name, &bytes[..len].to_vec());
            // How long a structured array must be is not known.
            let open = name == "structured.npy";
            // A message of protobuf may end after any of its fields.
            let same =
                |cut: &Model| whole.as_ref().is_some_and(|whole| whole.tensors == cut.tensors);
            assert!(open || cut.as_ref().is_none_or(same), "{name} at {len}");
            survive("x", &bytes[..len].to_vec());
        }
    }
}

#[test]
fn files_with_any_byte_changed_are_survived() {
    for (name, bytes) in fixtures() {
        for at in 0..bytes.len() {
            for flip in [0xff, 0x01] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                survive(&name, &bytes);
            }
        }
    }
}

proptest! {
    #[test]
    fn anything_behind_a_magic_number_is_survived(
        magic in prop::sample::select(vec![
            &b"\x93NUMPY\x01\x00\x10\x00"[..], b"GGUF\x03\x00\x00\x00", b"PK\x03\x04", b"\x80\x02",
            b"\x80\x04\x95", b"\x10\x00\x00\x00\x00\x00\x00\x00{", b"\x08\x07\x3a", b"",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let file = [magic, &bytes[..]].concat();
        for name in ["x", "x.safetensors", "x.onnx", "x.pkl", "x.pt", "x.npz"] {
            survive(name, &file);
        }
    }

    #[test]
    fn any_opcodes_are_survived(
        opcodes in prop::collection::vec(
            prop::sample::select(b"()]}0125KMNQRabdeloqhstu\x81\x85\x86\x87\x88\x8f\x90\x91\x92\x94".to_vec()),
            0..200,
        ),
    ) {
        survive("x.pkl", &pickle::whole(&opcodes));
    }
}

#[test]
fn headers_longer_than_the_limit_are_refused() {
    let mut file = Sparse::new();
    file.push(&100_000_000_u64.to_le_bytes()).push(b"{").hole(200_000_000);
    assert!(matches!(refused("x.safetensors", &file), Error::Limit { .. }));
    for len in [u64::MAX, u64::MAX - 7, 1 << 63] {
        refused("x.safetensors", &len.to_le_bytes().to_vec());
    }
    let literal = [b"\x93NUMPY\x02\x00", &u32::MAX.to_le_bytes()[..]].concat();
    refused("x.npy", &literal);
}

#[test]
fn arrays_that_overflow_are_refused() {
    let npy = |shape: &str| {
        build::npy(&format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"))
    };
    assert!(survive("x.npy", &[npy("(2,)"), vec![0; 16]].concat()).is_some());
    for shape in
        ["(3,)", "(4294967296, 4294967296)", "(18446744073709551615,)", "(-1,)", "(2", "('a',)"]
    {
        refused("x.npy", &[npy(shape), vec![0; 16]].concat());
    }
    refused("x.npy", &npy(&format!("({})", "1,".repeat(33))));
    refused("x.npy", &build::npy(&"(".repeat(60_000)));
    refused(
        "x.npy",
        &build::npy("{'descr': '<f8', 'descr': '<f4', 'fortran_order': False, 'shape': ()}"),
    );
}

#[test]
fn a_tensor_of_unknown_size_ends_where_the_next_one_begins() {
    let rows =
        [gguf_row("b", &[8], 9, 64), gguf_row("a", &[8], 77, 0), gguf_row("c", &[8], 24, 128)];
    let mut file = [gguf(3, 0), rows.concat()].concat();
    let data = file.len().next_multiple_of(32);
    file.resize(data + 160, 0);
    let model = survive("x.gguf", &file).expect("a model");
    let places: Vec<_> = model.tensors.iter().map(|tensor| tensor.location).collect();
    let offset = data as u64;
    assert_eq!(places[0], Location::Scattered { offset: offset + 64, len: 64 });
    assert_eq!(places[1], Location::Scattered { offset, len: 64 });
    assert_eq!(places[2], Location::Plain { offset: offset + 128, len: 8 });
}

#[test]
fn long_paths_to_many_tensors_are_not_read_again_and_again() {
    // A key that is no text, and so costs nothing in a name.
    let key = [&b"X"[..], &60_000_u32.to_le_bytes(), &[0xff; 60_000], b"q\x020"].concat();
    let tensor = [&pickle::tensor("0", 1, 0, &[1], &[1])[..], b"q\x010"].concat();
    let leaves = [&b"]("[..], &b"h\x01".repeat(1000), b"e"].concat();
    let deep = [&b"}h\x02".repeat(200)[..], &leaves, &b"s".repeat(200)].concat();
    let main = pickle::whole(&[key, tensor, deep].concat());
    let file =
        zip([("a/data.pkl".to_owned(), Stored(main)), ("a/data/0".to_owned(), Stored(vec![0; 4]))]);
    assert_eq!(survive("x.pt", &file).expect("a model").tensors.len(), 1000);
    assert!(file.read.load(Ordering::Relaxed) < 200 * 60_000 + (1 << 20));
}

#[test]
fn descriptions_of_arrays_cannot_be_repeated_without_end() {
    let dtype = [&b"cnumpy\ndtype\n"[..], &pickle::tuple(&[pickle::text("f4")]), b"R"].concat();
    let state = pickle::dict(&[
        ("dtype", dtype),
        ("shape", pickle::ints(&[0])),
        ("order", pickle::text("C")),
    ]);
    let wrapper = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)Rq\x00";
    let file = |times| {
        let again = b"0h\x00h\x01b".repeat(times);
        pickle::whole(&[&wrapper[..], &state, b"q\x01b", &again].concat())
    };
    assert_eq!(survive("x.joblib", &file(1000)).expect("a model").tensors.len(), 1);
    assert!(matches!(refused("x.joblib", &file(300_000)), Error::Limit { .. }));
}

#[test]
fn gguf_files_that_lie_are_refused() {
    refused("x.gguf", &gguf(u64::MAX, 0));
    refused("x.gguf", &gguf(0, u64::MAX));
    refused("x.gguf", &gguf(1, 0));
    let file = |row: Vec<u8>| {
        let mut bytes = [gguf(1, 0), row].concat();
        bytes.resize(bytes.len().next_multiple_of(32) + 128, 0);
        bytes
    };
    assert!(survive("x.gguf", &file(gguf_row("a", &[32], 0, 0))).is_some());
    refused("x.gguf", &file(gguf_row("a", &[33], 0, 0)));
    refused("x.gguf", &file(gguf_row("a", &[32], 0, u64::MAX)));
    refused("x.gguf", &file(gguf_row("a", &[1 << 32, 1 << 32], 0, 0)));
    refused("x.gguf", &file(gguf_row("a", &[33], 8, 0)));
    refused("x.gguf", &file(gguf_row("a", &[16, 2], 8, 0)));
    refused("x.gguf", &file(gguf_row("a", &[1; 33], 0, 0)));
    let pair = |kind: u32, value: &[u8]| {
        [&gguf(0, 1)[..], &1_u64.to_le_bytes(), b"k", &kind.to_le_bytes(), value].concat()
    };
    assert!(survive("x.gguf", &pair(0, &[7])).is_some());
    refused("x.gguf", &pair(13, &[7]));
    refused("x.gguf", &pair(8, &u64::MAX.to_le_bytes()));
    let list = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
    refused("x.gguf", &pair(9, &list(10, u64::MAX)));
    refused("x.gguf", &pair(9, &list(8, u64::MAX)));
    refused("x.gguf", &pair(9, &list(9, 1).repeat(100_000)));
    let alignment = |n: u32| {
        [
            &gguf(0, 1)[..],
            &17_u64.to_le_bytes(),
            b"general.alignment",
            &4_u32.to_le_bytes(),
            &n.to_le_bytes(),
        ]
        .concat()
    };
    assert!(survive("x.gguf", &alignment(64)).is_some());
    refused("x.gguf", &alignment(0));
    refused("x.gguf", &alignment(48));
}

#[test]
fn onnx_files_that_lie_are_refused() {
    let tensor = |parts: &[Vec<u8>]| protobuf::bytes(7, &protobuf::bytes(5, &parts.concat()));
    let (name, kind) = (protobuf::bytes(8, b"w"), protobuf::number(2, 1));
    let (dims, raw) = (protobuf::number(1, 2), protobuf::bytes(9, &[0; 8]));
    assert!(
        survive("x.onnx", &tensor(&[name.clone(), kind.clone(), dims.clone(), raw.clone()]))
            .is_some()
    );
    refused("x.onnx", &tensor(&[name.clone(), kind.clone(), protobuf::number(1, 3), raw.clone()]));
    refused(
        "x.onnx",
        &tensor(&[name.clone(), kind.clone(), protobuf::number(1, u64::MAX), raw.clone()]),
    );
    refused("x.onnx", &tensor(&[dims.repeat(33), raw.clone()]));
    refused("x.onnx", &tensor(&[protobuf::head(9, u64::MAX)]));
    refused("x.onnx", &tensor(&[protobuf::head(1, 1), vec![0x80, 0x80]]));
    refused("x.onnx", &[&protobuf::head(7, 3)[..], &protobuf::head(5, 100), &[0; 200]].concat());
    refused("x.onnx", &vec![0xff; 100]);
    refused("x.onnx", &vec![0; 100]);
    refused("x.onnx", &Vec::new());
    refused("x.onnx", &protobuf::number(1, 8));
    let twice = protobuf::bytes(5, &[name, kind, dims, raw].concat()).repeat(2);
    refused("x.onnx", &protobuf::bytes(7, &twice));
}

fn checkpoint(tensor: Vec<u8>, storage: u64) -> Sparse {
    let main = pickle::whole(&pickle::dict(&[("w", tensor)]));
    zip([("a/data.pkl".to_owned(), Stored(main)), ("a/data/0".to_owned(), Hole(storage))])
}

#[test]
fn views_that_leave_their_storage_are_refused() {
    let view = |offset, shape: &[i64], stride: &[i64]| {
        checkpoint(pickle::tensor("0", 6, offset, shape, stride), 24)
    };
    let location = |file: &Sparse| survive("x.pt", file).expect("a model").tensors[0].location;
    assert!(matches!(location(&view(0, &[2, 3], &[3, 1])), Location::Plain { len: 24, .. }));
    assert!(matches!(location(&view(3, &[3], &[1])), Location::Plain { len: 12, .. }));
    assert!(matches!(location(&view(0, &[3, 2], &[1, 3])), Location::Scattered { len: 24, .. }));
    assert!(matches!(location(&view(0, &[1, 6], &[77, 1])), Location::Plain { len: 24, .. }));
    assert!(matches!(
        location(&view(0, &[1000, 1000], &[0, 0])),
        Location::Scattered { len: 4, .. }
    ));
    assert!(matches!(location(&view(99, &[0, 5], &[5, 1])), Location::Plain { len: 0, .. }));
    refused("x.pt", &view(1, &[2, 3], &[3, 1]));
    refused("x.pt", &view(-1, &[1], &[1]));
    refused("x.pt", &view(i64::MAX, &[1], &[1]));
    refused("x.pt", &view(0, &[7], &[1]));
    refused("x.pt", &view(0, &[2], &[i64::MAX]));
    refused("x.pt", &view(0, &[i64::MAX, i64::MAX], &[0, 0]));
    refused("x.pt", &view(0, &[2, 3], &[1]));
    refused("x.pt", &view(0, &[-2], &[1]));
    let missing = checkpoint(pickle::tensor("1", 6, 0, &[6], &[1]), 24);
    assert_eq!(location(&missing), Location::Elsewhere);
}

#[test]
fn zips_that_lie_are_refused_or_no_model() {
    let good = zip([(
        "w.npy".to_owned(),
        Stored(build::npy("{'descr': '|u1', 'fortran_order': False, 'shape': ()}")),
    )]);
    refused("x.npz", &good);
    let one =
        [build::npy("{'descr': '|u1', 'fortran_order': False, 'shape': ()}"), vec![7]].concat();
    let good = zip([("w.npy".to_owned(), Stored(one.clone()))]).dense();
    assert!(survive("x.npz", &good).is_some());
    refused(
        "x.npz",
        &zip([
            ("w.npy".to_owned(), Stored(one.clone())),
            ("w.npy".to_owned(), Stored(one.clone())),
        ]),
    );
    refused("x.npz", &good[..good.len() - 30].to_vec());
    assert_eq!(
        read_model("report.docx", &good[..good.len() - 30].to_vec()).expect("no error"),
        None
    );
    assert_eq!(
        read_model("x.npz", &zip([("a.txt".to_owned(), Stored(vec![1]))])).expect("no error"),
        None
    );
    // Every number of the directory and of the end records, made as large as can be.
    let directory = good.windows(4).position(|at| at == b"PK\x01\x02").expect("a directory");
    for at in directory..good.len() - 8 {
        let mut bad = good.clone();
        bad[at..at + 8].fill(0xff);
        survive("x.npz", &bad);
        bad[at..at + 8].copy_from_slice(&(1_u64 << 63).to_le_bytes());
        survive("x.npz", &bad);
    }
}

#[test]
fn compressed_entries_give_what_they_declare_or_an_error() {
    let array = |n: usize| {
        build::npy(&format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({n},)}}"))
    };
    let bomb = [array(5), vec![0; 20_000_000]].concat();
    let entry =
        |size| zip([("w.npy".to_owned(), Deflated { packed: build::deflate(&bomb), size })]);
    let model = survive("x.npz", &entry(array(5).len() as u64 + 5)).expect("a model");
    assert!(matches!(model.tensors[0].location, Location::Deflated { len: 5, .. }));
    let size = 1 << 50;
    let lie = [array(1 << 40), vec![0; 10]].concat();
    let lie = zip([("w.npy".to_owned(), Deflated { packed: build::deflate(&lie), size })]);
    let model = read_model("x.npz", &lie).expect("reads").expect("a model");
    assert!(read_tensor(&lie, &model.tensors[0], &mut |_| Ok(())).is_err());
    let main = build::deflate(&vec![b'N'; 30_000_000]);
    let huge = zip([("a/data.pkl".to_owned(), Deflated { packed: main, size: 30_000_000 })]);
    assert!(matches!(refused("x.pt", &huge), Error::Limit { .. }));
    // Arrays within a pickle that had to be unpacked cannot be pointed at.
    let main = pickle::whole(&pickle::dict(&[("w", pickle::tensor("0", 6, 0, &[6], &[1]))]));
    let (packed, size) = (build::deflate(&main), main.len() as u64);
    let entries = [
        ("data.pkl".to_owned(), Deflated { packed, size }),
        ("data/0".to_owned(), Stored(vec![1; 24])),
    ];
    let model = survive("x.pt", &zip(entries)).expect("a model");
    assert!(matches!(model.tensors[0].location, Location::Plain { len: 24, .. }));
}

#[test]
fn pickles_that_lie_are_refused() {
    for body in [
        &b""[..],
        b"0",
        b"a",
        b"s",
        b"e",
        b"u",
        b"t",
        b"R",
        b"b",
        b"o",
        b"(a",
        b"\x93",
        b"h\x00",
        b"j\xff\xff\xff\xff",
        b"Nr\xff\xff\xff\xff",
        b"Np99999999999\n",
        b"X\xff\xff\xff\xff",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8b\xff\xff\xff\xff",
        b"cos\n",
        b"\xff",
        b"}(Nu",
        b"(0R",
    ] {
        refused("x.pkl", &pickle::whole(body));
    }
    let nested = pickle::whole(&[vec![b']'; 100_000], vec![b'a'; 99_999]].concat());
    assert!(matches!(refused("x.pkl", &nested), Error::Limit { .. }));
    let states = pickle::whole(&[b"cos\na\n)R".repeat(5_000), vec![b'b'; 4_999]].concat());
    assert!(matches!(refused("x.pkl", &states), Error::Limit { .. }));
    // A pickle that would run a command is only read.
    let command = pickle::whole(b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R");
    let model = survive("x.pkl", &command).expect("a model");
    assert_eq!(model.metadata[0], ("class".to_owned(), "os.system".to_owned()));
}

#[test]
fn shared_and_circular_structure_costs_nothing() {
    // t = (t, t), sixty times: 2^60 paths.
    let doubled = pickle::whole(&[&b")"[..], &b"2\x86".repeat(60)].concat());
    assert_eq!(survive("x.pkl", &doubled).expect("a model").tensors, []);
    // l = [l, l], d[0] = d.
    assert!(survive("x.pkl", &pickle::whole(b"]q\x00h\x00ah\x00a")).is_some());
    assert!(survive("x.pkl", &pickle::whole(b"}q\x00K\x00h\x00s")).is_some());
    // A parameter that wraps itself.
    let looped = b"ctorch._utils\n_rebuild_parameter\n]q\x00Rh\x00\x85b";
    assert!(survive("x.pkl", &pickle::whole(looped)).is_some());
    // One tensor under many names is one tensor under many names.
    let many: Vec<u8> = (0..1000)
        .flat_map(|n| [pickle::text(&format!("w{n}")), b"h\x00".to_vec()].concat())
        .collect();
    let body = [&pickle::tensor("0", 1, 0, &[1], &[1])[..], b"q\x000}(", &many, b"u"].concat();
    let file = zip([
        ("a/data.pkl".to_owned(), Stored(pickle::whole(&body))),
        ("a/data/0".to_owned(), Stored(vec![0; 4])),
    ]);
    assert_eq!(survive("x.pt", &file).expect("a model").tensors.len(), 1000);
}

#[test]
fn safetensors_headers_that_are_no_json_are_refused() {
    for header in [
        "",
        "{",
        "[]",
        "{\"a\":}",
        "{\"a\":{\"dtype\":1}}",
        "null",
        "{\"a\":{}}",
        "{\"__metadata__\":{\"a\":1}}",
    ] {
        refused("x.safetensors", &safetensors(header));
    }
    refused("x.safetensors", &safetensors(&"{\"a\":".repeat(1_000_000)));
    assert!(survive("x.safetensors", &safetensors("{}")).is_some());
}
