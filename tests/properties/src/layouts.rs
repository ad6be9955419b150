//! Layouts: whatever a file is, its parts are in order, apart and inside it, and no file stops a commit.

use std::collections::HashMap;

use mv_formats::{
    Content, Layout, Location, MAX_MEMORY, MAX_RANK, ModelFormat, Tensor, read_layout, read_model,
};

use crate::cursor::Cursor;
use crate::models::Bytes;
use crate::{peak_of, zip};

/// A byte that chooses a name, then a file: by itself, with the check sums of a tar mended, and as an entry
/// of a zip and of a tar.
pub(crate) fn layout(bytes: &[u8]) {
    const ENDINGS: [&str; 4] = ["bin", "onnx", "pkl", "npy"];
    let mut choices = Cursor(bytes);
    let name = format!("x.{}", ENDINGS[choices.number() % ENDINGS.len()]);
    let bytes = choices.0;
    one(&name, bytes);
    one(&name, &mended(bytes));
    one("x.zip", &zip::stored(&[(&name, bytes), ("y.npy", bytes)]));
    let entry =
        |name| [&tar_header(name, bytes.len())[..], bytes, &vec![0; padding(bytes)]].concat();
    one("x.tar", &[entry(&name), entry("y.npy")].concat());
}

fn one(name: &str, bytes: &[u8]) {
    let (read, peak) = peak_of(|| read_layout(name, &Bytes(bytes)));
    assert!(peak <= MAX_MEMORY, "{name}: {peak} bytes were held");
    // Memory can be read, and nothing else is an error.
    let layout = read.unwrap();
    assert!(read_layout(name, &Bytes(bytes)).unwrap() == layout, "{name}: not twice");
    let Some(layout) = layout else { return };
    sound(&layout, bytes);
    listed(name, &layout, bytes);
}

fn sound(layout: &Layout, bytes: &[u8]) {
    assert!(!layout.parts.is_empty());
    let mut free = 0;
    for part in &layout.parts {
        assert!(part.len > 0 && part.start >= free, "{part:?} overlaps the one before");
        free = part.start.checked_add(part.len).unwrap();
        assert!(free <= bytes.len() as u64, "{part:?} lies outside the file");
        if let Content::Tensor { dtype, shape } = &part.content {
            assert!(shape.len() <= MAX_RANK && part.name.is_some());
            let elements = shape.iter().try_fold(1, |all: u64, &n| all.checked_mul(n)).unwrap();
            assert!(dtype.bytes_of(elements) == Some(part.len), "{part:?}");
        }
    }
}

/// Parts are those tensors that the model lists, where a file is nothing but one model and both take it
/// for the same: names say less here than there, and the first bytes more.
fn listed(name: &str, layout: &Layout, bytes: &[u8]) {
    let Ok(Some(model)) = read_model(name, &Bytes(bytes)) else { return };
    let sure = match model.format {
        ModelFormat::Safetensors | ModelFormat::Gguf => true,
        ModelFormat::Onnx => bytes.starts_with(b"\x08"),
        ModelFormat::Pickle => bytes.starts_with(b"\x80"),
        _ => false,
    };
    let other = [(8, &b"{"[..]), (257, MAGIC)];
    let odd =
        other.iter().any(|(at, magic)| bytes.get(*at..).is_some_and(|b| b.starts_with(magic)));
    if !sure || odd && model.format != ModelFormat::Safetensors {
        return;
    }
    let tensors: HashMap<&str, &Tensor> =
        model.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    for part in &layout.parts {
        let tensor = tensors[part.name.as_deref().unwrap()];
        let (start, len) = (part.start, part.len);
        match &part.content {
            Content::Tensor { dtype, shape } => {
                assert!(tensor.location == Location::Plain { offset: start, len }, "{part:?}");
                assert!((dtype, shape) == (&tensor.dtype, &tensor.shape), "{part:?}");
            }
            Content::Opaque => assert!(
                [
                    Location::Plain { offset: start, len },
                    Location::Scattered { offset: start, len }
                ]
                .contains(&tensor.location),
                "{part:?}"
            ),
        }
    }
}

const BLOCK: usize = 512;
const MAGIC: &[u8] = b"ustar";

fn padding(bytes: &[u8]) -> usize {
    bytes.len().next_multiple_of(BLOCK) - bytes.len()
}

/// A header of a file.
fn tar_header(name: &str, len: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(124, format!("{len:011o}").as_bytes());
    put(156, b"0");
    put(257, b"ustar\x0000");
    mend(&mut header);
    header
}

/// Bytes with the right check sum in whatever looks like a header.
fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.as_chunks_mut::<BLOCK>().0 {
        if block[257..].starts_with(MAGIC) {
            mend(block);
        }
    }
    bytes
}

fn mend(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
}

/// A tar with a long name, a directory and a file in it, and a zip of an array and a tensor.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let block = |kind: u8, bytes: &[u8]| {
        let mut header = tar_header("name", bytes.len());
        header[156] = kind;
        mend(&mut header);
        [&header[..], bytes, &vec![0; padding(bytes)]].concat()
    };
    let array = [
        &b"\x93NUMPY\x01\0\x3b\0{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1), }\n"[..],
        &[1; 8],
    ]
    .concat();
    let tensor =
        b"\x37\0\0\0\0\0\0\0{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}} abcd";
    let tar = [
        block(b'x', b"21 path=another/name\n11 size=80\n"),
        block(b'0', &[7; 80]),
        block(b'L', b"a/long/name\0"),
        block(b'0', &array),
        block(b'5', b""),
        block(b'0', tensor),
        vec![0; 2 * BLOCK],
    ];
    let zip = zip::stored(&[("a.npy", &array), ("b.safetensors", tensor)]);
    vec![[b"\0", &tar.concat()[..]].concat(), [b"\0", &zip[..]].concat()]
}
