//! No file makes a parser hold more than the limit of the crate, or read what it need not.
#![expect(unsafe_code, reason = "an allocator that counts can only be written with it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::Ordering;

use mv_formats::{
    MAX_HEADER, MAX_MEMORY, MAX_TENSORS, Model, ParquetLayout, Source, compare_tables, read_layout,
    read_model, read_tensor,
};

use crate::build::Content::{Deflated, Hole, Stored};
use crate::build::{self, Sparse, gguf, gguf_row, pickle, protobuf, safetensors, zip};

/// Counts what this thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    HELD.set(HELD.get() + bytes);
    PEAK.set(PEAK.get().max(HELD.get()));
}

// SAFETY: every call is handed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Reads a file and says how much more was held meanwhile than before, the model included. Its layout is
/// read as well.
fn held(name: &str, source: &dyn Source) -> (Option<Model>, usize) {
    let (layout, _) = holding(name, || read_layout(name, source).expect("reads"));
    layout.inspect(|layout| crate::layout::check(layout, source.size()));
    holding(name, || read_model(name, source).ok().flatten())
}

/// What this gives, and how much more was held meanwhile than before.
pub(crate) fn holding<T>(name: &str, read: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let found = read();
    let peak = PEAK.get() - before;
    assert!(peak <= MAX_MEMORY as isize, "{name}: {peak} bytes were held");
    (found, peak as usize)
}

/// The head of a format, then one thing so often that the limit of headers is reached.
fn filled(head: &[u8], one: &[u8], tail: &[u8]) -> Vec<u8> {
    let times = (MAX_HEADER - head.len() - tail.len()) / one.len();
    [head, &one.repeat(times), tail].concat()
}

#[test]
fn headers_of_safetensors_stay_below_the_limit() {
    let tensor = |n: usize| format!(r#""{n:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
    let most: Vec<String> = (0..MAX_TENSORS).map(tensor).collect();
    let (model, peak) = held("x.safetensors", &safetensors(&format!("{{{}}}", most.join(","))));
    assert_eq!(model.expect("a model").tensors.len(), MAX_TENSORS);
    assert!(peak > 30 << 20, "the allocator counts: {peak}");
    let escaped = [&b"{\"__metadata__\":{\"a\":\""[..], b"\"}}"];
    let shape = format!("[{}1]", "1,".repeat(31));
    let wide = format!(r#""a":{{"dtype":"X","shape":{shape},"data_offsets":[0,0]}},"#);
    let types =
        format!(r#""a":{{"dtype":"{}","shape":[],"data_offsets":[0,0]}},"#, "x".repeat(5000));
    let tensors = format!("{{{},", most[..150_000].join(","));
    let tensors = tensors.as_bytes();
    let pair = format!(r#""{0}":"{0}","#, "x".repeat(4096));
    for header in [
        filled(escaped[0], b"\\n", escaped[1]),
        filled(b"{\"", b"\\n", b"\":1}"),
        filled(b"{", wide.as_bytes(), b""),
        filled(b"{", types.as_bytes(), b""),
        filled(b"{\"__metadata__\":{", b"\"\":\"\",", b"\"\":\"\"}}"),
        filled(b"{\"a\":{\"x\":", b"[", b""),
        // A text where none may be, of characters that an error shows as six.
        filled(b"{\"a\":{\"shape\":\"", b"\x7f", b"\"}}"),
        // As many tensors as fit, then something long.
        filled(&[tensors, b"\"\\n"].concat(), b"n", b"\":1}"),
        filled(&[tensors, &escaped[0][1..], b"\\n"].concat(), b"n", escaped[1]),
        filled(&[tensors, &escaped[0][1..16]].concat(), pair.as_bytes(), b"\"\":\"\"}}"),
    ] {
        held("x.safetensors", &safetensors(std::str::from_utf8(&header).expect("text")));
    }
}

#[test]
fn tables_of_gguf_stay_below_the_limit() {
    let rows: Vec<u8> =
        (0..MAX_TENSORS).flat_map(|n| gguf_row(&format!("{n:x}"), &[0], 0, 0)).collect();
    let file = [gguf(MAX_TENSORS as u64, 0), rows, vec![0; 32]].concat();
    assert_eq!(held("x.gguf", &file).0.expect("a model").tensors.len(), MAX_TENSORS);
    let row = gguf_row(&"n".repeat(60_000), &[0; 32], 0, 0);
    held("x.gguf", &[gguf(5000, 0), row.repeat(5000)].concat());
    let pair = [
        &4096_u64.to_le_bytes()[..],
        &[b'k'; 4096],
        &8_u32.to_le_bytes(),
        &4096_u64.to_le_bytes(),
        &[b'v'; 4096],
    ]
    .concat();
    held("x.gguf", &[gguf(0, 20_000), pair.repeat(20_000)].concat());
}

/// A Parquet file of this schema (a list of `SchemaElement` below a root of so many children) and these
/// row groups without rows.
fn parquet(columns: &[u8], count: u64, groups: &[u8], times: u64) -> Vec<u8> {
    let list = |count| [vec![0xfc], protobuf::varint(count)].concat();
    let root = [vec![0x55], protobuf::varint(2 * count), vec![0]].concat();
    let schema = [&b"\x29"[..], &list(count + 1), &root, columns].concat();
    let groups = [&b"\x16\0\x19"[..], &list(times), groups, b"\0"].concat();
    let len = ((schema.len() + groups.len()) as u32).to_le_bytes();
    [b"PAR1\0\0\0\0", &schema[..], &groups, &len, b"PAR1"].concat()
}

/// An `int32` of this name.
fn parquet_column(name: &[u8]) -> Vec<u8> {
    [b"\x15\x02\x38", &protobuf::varint(name.len() as u64)[..], name, b"\0"].concat()
}

#[test]
fn footers_of_parquet_stay_below_the_limit() {
    let long = parquet(&parquet_column(&[0xff; 15 << 20]), 1, b"", 0);
    assert!(holding("a long name", || ParquetLayout::read(&long)).0.is_err());
    let columns: Vec<u8> = (0..1 << 16)
        .flat_map(|n| parquet_column(format!("column of number {n}").as_bytes()))
        .collect();
    // Chunks of no bytes, and groups of so many.
    let chunk = b"\x3c\x76\0\x26\x08\0\0";
    let group = [&b"\x19\xfc"[..], &protobuf::varint(1 << 16), &chunk.repeat(1 << 16), b"\x26\0\0"];
    let wide = parquet(&columns, 1 << 16, &group.concat().repeat(16), 16);
    let (layout, _) = holding("many chunks", || ParquetLayout::read(&wide).expect("a footer"));
    assert_eq!((layout.columns.len(), layout.row_groups.len()), (1 << 16, 16));
    drop(layout);
    let (parts, _) = holding("a layout", || read_layout("x", &wide).expect("reads"));
    assert_eq!(parts, None, "no chunk has bytes");
    // The same with a byte each: row groups are parts, and one of two that overlap.
    let chunk = b"\x3c\x76\x02\x26\x08\0\0";
    let group = [&b"\x19\xfc"[..], &protobuf::varint(1 << 16), &chunk.repeat(1 << 16), b"\x26\0\0"];
    let bytes = parquet(&columns, 1 << 16, &group.concat().repeat(16), 16);
    let (parts, _) = holding("row groups", || read_layout("x", &bytes).expect("reads"));
    assert_eq!(parts.expect("a layout").parts.len(), 1);
    let (diff, _) = holding("two tables", || compare_tables("x.parquet", &wide, &wide, &[]));
    assert!(diff.expect("a diff").is_some());
}

#[test]
fn messages_of_onnx_stay_below_the_limit() {
    let graph = |one: &[u8], times| protobuf::bytes(7, &one.repeat(times));
    let mut tensors = Vec::new();
    for n in 0..MAX_TENSORS {
        let tensor =
            [protobuf::bytes(8, format!("{n:x}").as_bytes()), protobuf::number(1, 0)].concat();
        tensors.extend(protobuf::bytes(5, &tensor));
    }
    let (model, _) = held("x.onnx", &graph(&tensors, 1));
    assert_eq!(model.expect("a model").tensors.len(), MAX_TENSORS);
    held("x.onnx", &graph(&protobuf::bytes(5, b""), 5_000_000));
    held("x.onnx", &graph(&protobuf::bytes(11, b""), 5_000_000));
    held("x.onnx", &protobuf::bytes(8, b"").repeat(2_000_000));
    let dimension = protobuf::bytes(1, &protobuf::bytes(2, &[b'd'; 5000]));
    let port = protobuf::bytes(2, &protobuf::bytes(1, &protobuf::bytes(2, &dimension.repeat(30))));
    held("x.onnx", &graph(&protobuf::bytes(12, &port), 600));
}

#[test]
fn pickles_stay_below_the_limit() {
    for (head, one, tail) in [
        (&b""[..], &b"]\x94"[..], &b""[..]),
        (b"", b"}\x94", b""),
        (b"", b"(", b""),
        (b"N", b"2", b""),
        (b"N", b"2\x85", b""),
        (b")", b"2\x86", b""),
        (b"]", b"(NNNNNNNNe", b""),
        (b"", b"cos\na\n)R", b""),
        (b"", b"C\x00\x94", b""),
        (b"", b"]", b""),
        (b"cos\na\nq\x000", b"h\x00)R)b", b""),
        (b"", b")Q", b""),
        (b"", b"U\x01aU\x01b\x93", b""),
    ] {
        // Enough of it to fill the memory that is allowed, whatever one costs.
        let body = [head, &one.repeat((4 << 20) / one.len()), tail].concat();
        held("x.pkl", &pickle::whole(&body));
    }
    let classes: Vec<u8> =
        (0..10_000).flat_map(|n| format!("cmodule\nname{n}\n0").into_bytes()).collect();
    held("x.pkl", &pickle::whole(&classes));
}

#[test]
fn zips_stay_below_the_limit() {
    held("x.npz", &zip((0..200_000).map(|n| (format!("{n}.npy"), Stored(Vec::new())))));
    let name = "n".repeat(60_000);
    held("x.pt", &zip((0..400).map(|n| (format!("{name}{n}"), Stored(Vec::new())))));
    let tensor = pickle::tensor("0", 1, 0, &[0], &[1]);
    let many: Vec<u8> = (0..MAX_TENSORS)
        .flat_map(|n| [pickle::text(&format!("{n:x}")), b"h\x00".to_vec()].concat())
        .collect();
    let main = pickle::whole(&[&tensor[..], b"q\x000}(", &many, b"u"].concat());
    let storages = (0..30_000).map(|n| (format!("a/data/{n}"), Stored(Vec::new())));
    let main = ("a/data.pkl".to_owned(), Stored(main));
    held("x.pt", &zip(std::iter::once(main).chain(storages)).dense());
    let packed = build::deflate(&vec![b'N'; MAX_HEADER]);
    held("x.pt", &zip([("a/data.pkl".to_owned(), Deflated { packed, size: MAX_HEADER as u64 })]));
}

#[test]
fn archives_of_models_stay_below_the_limit() {
    let tensor = |n: usize| {
        format!(r#""{n:x}":{{"dtype":"U8","shape":[1],"data_offsets":[{n},{}]}}"#, n + 1)
    };
    let model = |count: usize| {
        let tensors: Vec<String> = (0..count).map(tensor).collect();
        let mut file = safetensors(&format!("{{{}}}", tensors.join(",")));
        file.hole(count as u64);
        file.dense()
    };
    for (times, count) in [(1, 150_000), (4, 60_000), (40, 10_000), (3000, 100)] {
        let model = model(count);
        let entries = (0..times).map(|n| (format!("{n}.safetensors"), Stored(model.clone())));
        held("x.zip", &zip(entries).dense());
    }
    let many = zip((0..130_000).map(|n| (format!("{n}"), Stored(vec![1])))).dense();
    let (layout, _) = holding("entries", || read_layout("x", &many).expect("reads"));
    assert_eq!(layout.expect("a layout").parts.len(), 130_000);
    held("x.zip", &zip([("inner.zip".to_owned(), Stored(many))]).dense());
    let name = "n".repeat(5000);
    held("x.zip", &zip((0..8000).map(|n| (format!("{name}{n}"), Stored(vec![1])))).dense());
}

/// A checkpoint as it is trained: so many tensors, each with its own storage.
fn checkpoint(count: usize) -> Vec<u8> {
    let pairs: Vec<u8> = (0..count)
        .flat_map(|n| {
            let name = pickle::text(&format!("model.layers.{n}.mlp.experts.down_proj.weight"));
            [name, pickle::tensor(&n.to_string(), 1, 0, &[1, 1], &[1, 1])].concat()
        })
        .collect();
    let main = pickle::whole(&[b"}(", &pairs[..], b"u"].concat());
    let storages = (0..count).map(|n| (format!("a/data/{n}"), Stored(vec![0; 4])));
    zip(std::iter::once(("a/data.pkl".to_owned(), Stored(main))).chain(storages)).dense()
}

#[test]
fn a_checkpoint_of_thirty_thousand_tensors_is_within_the_limit() {
    let (model, _) = held("x.pt", &checkpoint(30_000));
    assert_eq!(model.expect("a model").tensors.len(), 30_000);
    let file = checkpoint(30_000);
    let layout = read_layout("x", &file).expect("reads").expect("a layout");
    let is_tensor = |part: &&mv_formats::Part| part.content != mv_formats::Content::Opaque;
    assert_eq!(layout.parts.iter().filter(is_tensor).count(), 30_000);
}

#[test]
fn bombs_hold_a_piece_at_a_time() {
    let literal = "{'descr': '|u1', 'fortran_order': False, 'shape': (100000000,)}";
    let array = [build::npy(literal), vec![0; 100_000_000]].concat();
    let size = array.len() as u64;
    let file = zip([("w.npy".to_owned(), Deflated { packed: build::deflate(&array), size })]);
    drop(array);
    let model = held("x.npz", &file).0.expect("a model");
    PEAK.set(HELD.get());
    let (before, mut len) = (HELD.get(), 0);
    read_tensor(&file, &model.tensors[0], &mut |piece| {
        len += piece.len();
        Ok(())
    })
    .expect("its bytes");
    assert_eq!(len, 100_000_000);
    assert!(PEAK.get() - before < 2 << 20);
}

#[test]
fn two_terabytes_are_listed_from_their_headers() {
    const TWO: u64 = 2 << 40;
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{TWO}],"data_offsets":[0,{TWO}]}}}}"#);
    let mut safetensors = safetensors(&header);
    safetensors.hole(TWO);
    let mut npy = Sparse::new();
    npy.push(&build::npy(&format!(
        "{{'descr': '|u1', 'fortran_order': False, 'shape': ({TWO},)}}"
    )));
    npy.hole(TWO);
    let mut gguf = Sparse::new();
    gguf.push(&[build::gguf(1, 0), gguf_row("w", &[TWO], 24, 0)].concat()).hole(TWO + 64);
    let head =
        [protobuf::bytes(8, b"w"), protobuf::number(2, 3), protobuf::number(1, TWO)].concat();
    let raw = protobuf::head(9, TWO);
    let tensor = protobuf::head(5, (head.len() + raw.len()) as u64 + TWO);
    let mut onnx = Sparse::new();
    onnx.push(&protobuf::head(7, (tensor.len() + head.len() + raw.len()) as u64 + TWO));
    onnx.push(&tensor).push(&head).push(&raw).hole(TWO);
    let numel = (TWO / 4) as i64;
    let main =
        pickle::whole(&pickle::dict(&[("w", pickle::tensor("0", numel, 0, &[numel], &[1]))]));
    let entries = [("a/data.pkl".to_owned(), Stored(main)), ("a/data/0".to_owned(), Hole(TWO))];
    let torch = zip(entries);
    for (name, file) in [
        ("x.safetensors", safetensors),
        ("x.npy", npy),
        ("x.gguf", gguf),
        ("x.onnx", onnx),
        ("x.pt", torch),
    ] {
        let model = held(name, &file).0.expect("a model");
        build::check(&model, file.size());
        assert_eq!(model.tensors.len(), 1, "{name}");
        let read = file.read.load(Ordering::Relaxed);
        assert!(read < 256 << 10, "{name}: {read} bytes were read");
    }
}
