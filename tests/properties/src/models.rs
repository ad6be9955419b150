//! Model files: what a reader says about them must be true of them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use mv_formats::{
    Comparison, Dtype, Location, MAX_MEMORY, MAX_RANK, MAX_TENSORS, Model, Source, Tensor,
    describe, read_model, read_tensor,
};

use crate::cursor::Cursor;
use crate::{peak_of, zip};

/// Bytes of a tensor that is read, the skipped ones included; small files may claim much more.
const READ: u64 = 1 << 20;

/// Bytes in memory, of which nothing outside may be asked for.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Source for Bytes<'_> {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> mv_formats::Result<()> {
        let start = usize::try_from(offset).unwrap();
        into.copy_from_slice(&self.0[start..start + into.len()]);
        Ok(())
    }
}

/// Reads a file of that name twice, and checks what is said about it.
fn model(name: &str, bytes: &[u8]) {
    let source = Bytes(bytes);
    let (read, peak) = peak_of(|| read_model(name, &source));
    assert!(peak <= MAX_MEMORY, "{name}: {peak} bytes were held");
    match read {
        Ok(None) => {}
        Ok(Some(model)) => {
            assert!(
                read_model(name, &source).unwrap().as_ref() == Some(&model),
                "{name}: not twice"
            );
            sound(&model, bytes);
        }
        // Memory can be read, so nothing but the bytes themselves is wrong.
        Err(error) => assert!(error.is_opaque(), "{name}: {error}"),
    }
}

fn sound(model: &Model, bytes: &[u8]) {
    assert!(model.tensors.len() <= MAX_TENSORS);
    let names: HashSet<&str> = model.tensors.iter().map(|t| t.name.as_str()).collect();
    assert!(names.len() == model.tensors.len(), "two tensors of one name");
    assert!(model.metadata.is_sorted_by(|a, b| a <= b));
    assert!(model.metadata.iter().all(|(key, value)| key.len() <= 4096 && value.len() <= 4096));
    for tensor in &model.tensors {
        assert!(tensor.shape.len() <= MAX_RANK);
        let (offset, len) = match tensor.location {
            Location::Plain { offset, len } | Location::Scattered { offset, len } => (offset, len),
            Location::Deflated { offset, packed, .. } => (offset, packed),
            Location::Elsewhere => continue,
        };
        let end = offset.checked_add(len).unwrap();
        assert!(end <= bytes.len() as u64, "{tensor:?} lies outside the file");
        let known = !matches!(tensor.dtype, Dtype::Other(_));
        if let (true, Location::Plain { len, .. } | Location::Deflated { len, .. }) =
            (known, tensor.location)
        {
            assert!(tensor.dtype.bytes_of(tensor.elements()) == Some(len), "{tensor:?}");
        }
    }
    model.tensors.iter().take(24).for_each(|tensor| content(tensor, bytes));
}

/// Reads a tensor and compares it with itself, whole and in pieces, and with its mirror image.
fn content(tensor: &Tensor, bytes: &[u8]) {
    let (len, plain) = match tensor.location {
        Location::Plain { len, .. } | Location::Scattered { len, .. } => (len, true),
        Location::Deflated { skip, len, .. } if skip <= READ => (len, false),
        _ => return,
    };
    if len > READ {
        return;
    }
    let mut data = Vec::new();
    let read = read_tensor(&Bytes(bytes), tensor, &mut |piece| {
        data.extend_from_slice(piece);
        Ok(())
    });
    match read {
        Ok(()) => assert!(data.len() as u64 == len),
        Err(error) => return assert!(!plain && error.is_opaque(), "{tensor:?}: {error}"),
    }
    let Some(mut same) = Comparison::new(&tensor.dtype) else { return };
    same.feed(&data, &data);
    let same = same.finish();
    assert!(
        (same.changed, same.relative_l2, same.cosine) == (0.0, 0.0, 1.0),
        "{tensor:?} {same:?}"
    );
    let mirror: Vec<u8> = data.iter().rev().copied().collect();
    let mut whole = Comparison::new(&tensor.dtype).unwrap();
    whole.feed(&data, &mirror);
    let mut pieces = Comparison::new(&tensor.dtype).unwrap();
    let mut at = 0;
    for step in [1, 2, 3, 5, 8, 13, usize::MAX] {
        let end = at + step.min(data.len() - at);
        pieces.feed(&data[at..end], &mirror[at..end]);
        at = end;
    }
    let (whole, pieces) = (whole.finish(), pieces.finish());
    assert!(whole.changed == pieces.changed && (0.0..=1.0).contains(&whole.changed));
    for stats in [whole, pieces] {
        assert!((-1.0..=1.0).contains(&stats.cosine) && stats.relative_l2 >= 0.0, "{stats:?}");
    }
}

/// Bytes as a safetensors file, and as the header of one.
pub(crate) fn safetensors(bytes: &[u8]) {
    model("x.safetensors", bytes);
    let len = (bytes.len() as u64).to_le_bytes();
    model("x.safetensors", &[&len[..], bytes, &[3; 64]].concat());
}

/// Bytes as one NumPy array, and as the header of one.
pub(crate) fn npy(bytes: &[u8]) {
    model("x.npy", bytes);
    let len = (bytes.len() as u16).to_le_bytes();
    model("x.npy", &[b"\x93NUMPY\x01\0", &len[..], bytes, &[3; 64]].concat());
}

/// Bytes as a zip of arrays, and as an array in one.
pub(crate) fn npz(bytes: &[u8]) {
    model("x.npz", bytes);
    model("x.npz", &zip::stored(&[("a.npy", bytes), ("b.npy", bytes)]));
}

/// Bytes as a GGUF file.
pub(crate) fn gguf(bytes: &[u8]) {
    model("x.gguf", bytes);
}

/// Bytes as an ONNX file.
pub(crate) fn onnx(bytes: &[u8]) {
    model("x.onnx", bytes);
}

/// Bytes as what `torch.save` writes, and as the pickle in it.
pub(crate) fn torch(bytes: &[u8]) {
    model("x.pt", bytes);
    let entries = [
        ("x/data.pkl", bytes),
        ("x/byteorder", b"little"),
        ("x/data/0", &[3; 64]),
        ("x/data/1", &[4; 24]),
    ];
    model("x.pt", &zip::stored(&entries));
}

/// Bytes as a pickle.
pub(crate) fn pickle(bytes: &[u8]) {
    model("x.pkl", bytes);
}

/// Bytes as a pickle with arrays between its opcodes.
pub(crate) fn joblib(bytes: &[u8]) {
    model("x.joblib", bytes);
}

/// Bytes as a file of which only the name is known: what it is must be said in plain words.
pub(crate) fn detect(bytes: &[u8]) {
    const ENDINGS: [&str; 16] = [
        "", "bin", "pkl", "mp3", "orc", "exe", "pyc", "heic", "avif", "jxl", "bmp", "ico", "pnm",
        "pt", "npy", "onnx",
    ];
    let mut choices = Cursor(bytes);
    let name = format!("x.{}", ENDINGS[choices.number() % ENDINGS.len()]);
    for bytes in [bytes, choices.0] {
        let source = Counted { bytes: Bytes(bytes), read: AtomicUsize::new(0) };
        let (said, peak) = peak_of(|| describe(&name, &source));
        assert!(peak <= 8 << 20, "{peak} bytes were held");
        if let Some(said) = said.unwrap() {
            let plain = |c: char| c.is_ascii_alphanumeric() || " -,.".contains(c);
            assert!(said.len() <= 80 && said.chars().all(plain), "{said:?}");
        }
        let read = source.read.into_inner();
        assert!(read <= 512 << 10, "{read} bytes were read");
        model(&name, bytes);
    }
}

/// A source that knows how much was read of it.
struct Counted<'a> {
    bytes: Bytes<'a>,
    read: AtomicUsize,
}

impl Source for Counted<'_> {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> mv_formats::Result<()> {
        self.read.fetch_add(into.len(), Ordering::Relaxed);
        self.bytes.read_at(offset, into)
    }
}

/// Nothing beside the files of `fixtures/formats`.
pub(crate) fn no_seeds() -> Vec<Vec<u8>> {
    Vec::new()
}

/// A header without its length.
pub(crate) fn safetensors_seeds() -> Vec<Vec<u8>> {
    let header = concat!(
        r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"#,
        r#""n":{"dtype":"BF16","shape":[],"data_offsets":[24,26]}}"#
    );
    vec![header.as_bytes().to_vec()]
}

/// The pickle that `torch.save` makes of `{"w": a view of 2 x 3 of a storage, "n": 5}`.
pub(crate) fn torch_seeds() -> Vec<Vec<u8>> {
    let text =
        |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let storage = [
        &b"("[..],
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        b"K\x06tQ",
    ];
    let tensor = [
        &text("w"),
        &b"ctorch._utils\n_rebuild_tensor_v2\n("[..],
        &storage.concat(),
        b"K\0K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtR",
    ];
    let root = [&b"\x80\x02}q\0("[..], &tensor.concat(), &text("n"), b"K\x05u."];
    vec![root.concat()]
}

/// Opcodes that the files of `fixtures/formats` do not have.
pub(crate) fn pickle_seeds() -> Vec<Vec<u8>> {
    [
        &b"\x80\x02(lp0\nI1\naF2.5\naVtext\nag0\na."[..],
        b"(dp0\nS'a'\n(I1\nI2\ntp1\nsS'b'\n(lp2\ns.",
        b"\x80\x05\x95\x10\0\0\0\0\0\0\0\x8c\x01a\x94\x8c\x01b\x94\x93)\x81}\x94b.",
        b"\x80\x04\x8f(K\x01K\x02\x90(K\x01\x91\x8a\x02\xff\x7f\x87.",
        b"cos\nsystem\n(S'true'\ntR.",
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

/// The beginnings of files of many kinds, each behind the number of an ending.
pub(crate) fn detect_seeds() -> Vec<Vec<u8>> {
    let png = b"\0\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";
    let jpeg = b"\0\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x0b\x08\x01\xe0\x02\x80\x03\x01\x11\0";
    let wav =
        b"\0RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x44\xac\0\0\x10\xb1\x02\0\x04\0\x10\0";
    let heif = b"\x07\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x0cmeta\0\0\0\0";
    let tiff = b"\0II*\0\x08\0\0\0\x02\0\0\x01\x03\0\x01\0\0\0\x10\0\0\0\x01\x01\x03\0\x01\0\0\0\x20\0\0\0\0\0\0\0";
    let rest: [&[u8]; 8] = [
        b"\0GIF89a\x10\0\x20\0\0\0\0",
        b"\0fLaC\0\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0a\xc4\x42\xf0",
        b"\x0aBM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\xfe\xff\xff\xff\x01\0\x18\0",
        b"\x0cP6\n# x\n640 480\n255\n",
        b"\0RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0",
        b"\0#?RADIANCE\n\n-Y 480 +X 640\n",
        b"\0v/1\x01\x02\0\0\0dataWindow\0box2i\0\x10\0\0\0\0\0\0\0\0\0\0\0\x7f\x02\0\0\xdf\x01\0\0\0",
        b"\x0b\0\0\x01\0\x01\0\x10\x20\0\0\x01\0\x20\0\x68\x04\0\0\x16\0\0\0",
    ];
    let first: [&[u8]; 5] = [png, jpeg, wav, heif, tiff];
    first.iter().chain(&rest).map(|seed| seed.to_vec()).collect()
}
