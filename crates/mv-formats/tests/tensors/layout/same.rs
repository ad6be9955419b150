//! Formats of tensors, each file made here or by the library itself.

use std::sync::atomic::Ordering;

use super::*;
use crate::build::Content::{Deflated, Hole, Stored};
use crate::build::{Sparse, gguf, gguf_row, protobuf, safetensors, zip};

/// Two tensors of `f32`: `a.weight` of 8 x 5, `b` of 7.
fn two() -> [Vec<u8>; 2] {
    [bytes(160, 1), bytes(28, 2)]
}

fn two_as_safetensors() -> Sparse {
    let [a, b] = two();
    let header = concat!(
        r#"{"a.weight":{"dtype":"F32","shape":[8,5],"data_offsets":[0,160]},"#,
        r#""b":{"dtype":"F32","shape":[7],"data_offsets":[160,188]}}"#
    );
    let mut file = safetensors(header);
    file.push(&a).push(&b);
    file
}

fn two_as_npz() -> Sparse {
    let [a, b] = two();
    zip([
        ("a.weight.npy".to_owned(), Stored(npy("(8, 5)", &a))),
        ("b.npy".to_owned(), Stored(npy("(7,)", &b))),
    ])
}

fn two_as_checkpoint() -> Sparse {
    let [a, b] = two();
    let main = state(&[
        ("a.weight", pickle::tensor("0", 40, 0, &[8, 5], &[5, 1])),
        ("b", pickle::tensor("1", 7, 0, &[7], &[1])),
    ]);
    zip([
        ("x/data.pkl".to_owned(), Stored(main)),
        ("x/byteorder".to_owned(), Stored(b"little".to_vec())),
        ("x/data/0".to_owned(), Stored(a)),
        ("x/data/1".to_owned(), Stored(b)),
        ("x/version".to_owned(), Stored(b"3\n".to_vec())),
    ])
}

fn two_as_onnx() -> Vec<u8> {
    let tensor = |name: &str, shape: &[u64], raw: &[u8]| {
        let dims: Vec<u8> = shape.iter().flat_map(|&n| protobuf::number(1, n)).collect();
        let parts = [
            dims,
            protobuf::number(2, 1),
            protobuf::bytes(8, name.as_bytes()),
            protobuf::bytes(9, raw),
        ];
        protobuf::bytes(5, &parts.concat())
    };
    let [a, b] = two();
    let graph = [tensor("a.weight", &[8, 5], &a), tensor("b", &[7], &b)].concat();
    [protobuf::number(1, 8), protobuf::bytes(2, b"test"), protobuf::bytes(7, &graph)].concat()
}

fn two_as_gguf() -> Vec<u8> {
    let [a, b] = two();
    let rows = [gguf_row("a.weight", &[5, 8], 0, 0), gguf_row("b", &[7], 0, 160)].concat();
    let mut file = [gguf(2, 0), rows].concat();
    file.resize(file.len().next_multiple_of(32), 0);
    [file, a, b].concat()
}

#[test]
fn the_same_tensors_are_the_same_parts_in_every_format() {
    let [a, b] = two();
    let expected = [
        ("a.weight".to_owned(), Dtype::F32, vec![8, 5], a.clone()),
        ("b".to_owned(), Dtype::F32, vec![7], b),
    ];
    assert_eq!(tensors("model", &two_as_safetensors()), expected);
    assert_eq!(tensors("model", &two_as_npz()), expected);
    assert_eq!(tensors("model", &two_as_checkpoint()), expected);
    assert_eq!(tensors("model", &two_as_onnx()), expected);
    assert_eq!(tensors("model", &two_as_gguf()), expected);
    let alone = tensors("model", &npy("(8, 5)", &a));
    assert_eq!(alone, [(String::new(), Dtype::F32, vec![8, 5], a)]);
}

#[test]
fn what_the_libraries_write_has_the_layout_that_it_has() {
    let list = |name: &str| listed(name, &fixture(name));
    assert_eq!(
        list("small.safetensors"),
        "208+8 `n` i64[]\n216+48 `w` f32[3, 4]\n264+8 `half` f16[2, 2]\n"
    );
    assert_eq!(list("rows.npy"), "128+48 `` f32[3, 4]\n");
    assert_eq!(list("columns.npy"), "128+48 `` f32[4, 3]\n", "columns are rows of a turned array");
    assert_eq!(list("big-endian.npy"), "128+48 `` opaque\n");
    assert_eq!(list("structured.npy"), "128+20 `` opaque\n");
    assert_eq!(list("stored.npz"), "183+48 `w` f32[3, 4]\n414+32 `b` f64[4]\n");
    assert_eq!(list("deflated.npz"), "55+102 `w.npy` opaque\n212+93 `b.npy` opaque\n");
    assert_eq!(
        list("small.gguf"),
        "288+48 `plain.weight` f32[3, 4]\n352+68 `blocks.weight` Q8_0[2, 32]\n"
    );
    assert_eq!(list("small.onnx"), "65+48 `w` f32[3, 4]\n121+16 `b` f32[4]\n");
    assert_eq!(
        list("state-old.pt"),
        "753+8 `step` i64[]\n769+48 `w` f32[3, 4]\n825+8 `half` bf16[2, 2]\n"
    );
    // Its arrays are written as text.
    assert_eq!(layout("linear-0.pkl", &fixture("linear-0.pkl")), None);
    assert_eq!(layout("linear-2.pkl", &fixture("linear-2.pkl")), None);
    assert_eq!(list("linear-4.pkl"), "290+16 `coef_` f64[2]\n358+16 `singular_` f64[2]\n");
    assert_eq!(list("linear-5.pkl"), "206+16 `coef_` f64[2]\n323+16 `singular_` f64[2]\n");
    assert_eq!(list("linear.joblib"), "384+16 `coef_` f64[2]\n480+16 `singular_` f64[2]\n");
    assert_eq!(list("objects.joblib"), "425+24 `objects.0` i64[3]\n608+32 `after` f64[4]\n");
}

#[test]
fn a_checkpoint_is_its_storages_and_its_other_entries() {
    let list = |name: &str| -> String {
        let list = listed(name, &fixture(name));
        list.split_inclusive('\n').filter(|line| !line.ends_with("opaque\n")).collect()
    };
    assert_eq!(
        list("state.pt"),
        "1024+48 `w` f32[3, 4]\n1152+8 `half` bf16[2, 2]\n1280+8 `step` i64[]\n"
    );
    assert_eq!(list("module.pt"), "1472+8 `weight` f32[1, 2]\n1600+4 `bias` f32[1]\n");
    assert_eq!(list("new-types.pt"), "832+4 `f8` f8_e4m3[4]\n960+6 `u16` u16[3]\n");
    let training = list("training.pt");
    assert_eq!(training.lines().count(), 8);
    assert!(training.contains("1920+8 `optimizer.state.0.exp_avg` f32[1, 2]\n"), "{training}");
    let all = listed("state.pt", &fixture("state.pt"));
    assert!(all.starts_with("64+455 `data.pkl` opaque\n"), "{all}");
    assert!(all.contains("896+6 `byteorder` opaque\n"), "{all}");
}

/// A checkpoint of these tensors over one storage of 24 bytes.
fn shared(tensors: &[(&str, Vec<u8>)]) -> Sparse {
    zip([
        ("a/data.pkl".to_owned(), Stored(state(tensors))),
        ("a/data/0".to_owned(), Stored(bytes(24, 0))),
    ])
}

#[test]
fn a_storage_is_one_part_however_many_tensors_view_it() {
    let view =
        |offset, shape: &[i64], stride: &[i64]| pickle::tensor("0", 6, offset, shape, stride);
    let part = |tensors: &[(&str, Vec<u8>)]| {
        let file = shared(tensors);
        let list = listed("x.pt", &file);
        let (_, part) = list.trim_end().rsplit_once('\n').expect("two parts");
        part.split_once(' ').expect("a place").1.to_owned()
    };
    let (row, all, turned) =
        (view(3, &[3], &[1]), view(0, &[2, 3], &[3, 1]), view(0, &[3, 2], &[1, 3]));
    assert_eq!(part(&[("w", all.clone())]), "`w` f32[2, 3]");
    assert_eq!(part(&[("w", all.clone()), ("tied", all.clone())]), "`w` f32[2, 3]");
    assert_eq!(part(&[("row", row.clone()), ("w", all)]), "`w` f32[2, 3]");
    assert_eq!(part(&[("row", row.clone()), ("other", row)]), "`row` f32[6]");
    assert_eq!(part(&[("turned", turned)]), "`turned` f32[6]");
    assert_eq!(part(&[("none", view(0, &[0], &[1]))]), "`data/0` opaque");
}

#[test]
fn storages_that_are_compressed_or_big_endian_are_opaque() {
    let main = state(&[("w", pickle::tensor("0", 6, 0, &[6], &[1]))]);
    let file = |order: &[u8], content| {
        zip([
            ("a/data.pkl".to_owned(), Stored(main.clone())),
            ("a/byteorder".to_owned(), Stored(order.to_vec())),
            ("a/data/0".to_owned(), content),
        ])
    };
    let last = |file: &Sparse| {
        layout("x.pt", file).expect("a layout").parts.pop().expect("a part").content
    };
    assert!(matches!(last(&file(b"little", Stored(bytes(24, 0)))), Content::Tensor { .. }));
    assert_eq!(last(&file(b"big", Stored(bytes(24, 0)))), Content::Opaque);
    let packed = build::deflate(&bytes(24, 0));
    assert_eq!(last(&file(b"little", Deflated { packed, size: 24 })), Content::Opaque);
}

#[test]
fn of_tensors_with_the_same_bytes_the_first_one_is_the_part() {
    let header = concat!(
        r#"{"tied":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"#,
        r#""w":{"dtype":"F32","shape":[2,1],"data_offsets":[8,16]},"#,
        r#""across":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"#,
        r#""empty":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"#,
        r#""last":{"dtype":"U8","shape":[4],"data_offsets":[12,16]}}"#
    );
    let mut file = safetensors(header);
    file.push(&bytes(20, 0));
    let data = file.size() - 20;
    // What begins first stays, and what is across it is left out.
    assert_eq!(
        listed("x", &file),
        format!("{}+8 `across` f32[2]\n{}+4 `last` u8[4]\n", data + 4, data + 12)
    );
    let header = header.replace("[4,12]", "[8,16]").replace("\"across\"", "\"third\"");
    let mut file = safetensors(&header);
    file.push(&bytes(20, 0));
    assert_eq!(listed("x", &file), format!("{}+8 `tied` f32[2]\n", file.size() - 12));
}

#[test]
fn two_terabytes_have_a_layout_that_costs_their_header() {
    const TWO: u64 = 2 << 40;
    let half = TWO / 2;
    let header = format!(
        r#"{{"a":{{"dtype":"F32","shape":[{0}],"data_offsets":[0,{half}]}},"b":{{"dtype":"U8","shape":[{half}],"data_offsets":[{half},{TWO}]}}}}"#,
        half / 4
    );
    let mut file = safetensors(&header);
    let data = file.size();
    file.hole(TWO);
    assert_eq!(
        listed("x.safetensors", &file),
        format!("{data}+{half} `a` f32[{}]\n{}+{half} `b` u8[{half}]\n", half / 4, data + half)
    );
    let numel = (TWO / 4) as i64;
    let main = state(&[("w", pickle::tensor("0", numel, 0, &[numel], &[1]))]);
    let torch = zip([("a/data.pkl".to_owned(), Stored(main)), ("a/data/0".to_owned(), Hole(TWO))]);
    let mut npz = Sparse::new();
    npz.push(&build::npy(&format!(
        "{{'descr': '|u1', 'fortran_order': False, 'shape': ({TWO},)}}"
    )));
    npz.hole(TWO);
    for file in [file, torch, npz] {
        file.read.store(0, Ordering::Relaxed);
        assert!(read_layout("x", &file).expect("reads").is_some());
        let read = file.read.load(Ordering::Relaxed);
        assert!(read < 192 << 10, "{read} bytes were read");
    }
}

#[test]
fn a_file_of_no_known_form_costs_one_small_read() {
    for start in
        [&b""[..], b"\0\0\0\0", b"id,name\n1,2\n", b"\x89PNG\r\n\x1a\n", b"{\"a\": 1}", b"\x7fELF"]
    {
        let mut file = Sparse::new();
        file.push(start).hole(1 << 40);
        assert_eq!(read_layout("x.bin", &file).expect("reads"), None);
        assert!(file.read.load(Ordering::Relaxed) <= 512);
        assert_eq!(read_layout("x.bin", &start.to_vec()).expect("reads"), None);
    }
}

/// The files of these tests, for those that break them.
pub(super) fn files() -> Vec<(String, Vec<u8>)> {
    let files = [
        ("two.safetensors", two_as_safetensors().dense()),
        ("two.npz", two_as_npz().dense()),
        ("two.pt", two_as_checkpoint().dense()),
        ("two.onnx", two_as_onnx()),
        ("two.gguf", two_as_gguf()),
        ("one.npy", npy("(7,)", &two()[1])),
    ];
    files.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec()
}
