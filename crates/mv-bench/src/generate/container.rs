//! The same tensors in other files: `.npy`, an uncompressed `.npz`, a file as `torch.save` makes it.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::failure::Result;
use crate::tensors::{Dtype, Tensor, Tensors};

/// One array as NumPy writes it, format 1.0.
pub(crate) fn npy(tensor: &Tensor) -> Vec<u8> {
    let descr = match tensor.dtype {
        Dtype::F32 => "<f4",
        Dtype::F16 => "<f2",
        // NumPy has no bf16: what saves it there saves its bits.
        Dtype::Bf16 => "<u2",
        Dtype::I8 => "|i1",
    };
    let mut shape = tensor.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if tensor.shape.len() == 1 {
        shape.push(',');
    }
    let mut head = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}")
        .into_bytes();
    head.resize((10 + head.len() + 1).next_multiple_of(64) - 11, b' ');
    head.push(b'\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((head.len() as u16).to_le_bytes());
    file.extend(head);
    file.extend(&tensor.bytes);
    file
}

/// All arrays in one uncompressed archive, as `numpy.savez` writes it.
pub(crate) fn npz(tensors: &Tensors) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for tensor in &tensors.0 {
        zip.start_file(format!("{}.npy", tensor.name), stored())?;
        zip.write_all(&npy(tensor))?;
    }
    Ok(zip.finish()?.into_inner())
}

/// All arrays as `torch.save` writes a dict of them: a pickle, and each storage on a multiple of 64.
pub(crate) fn torch(tensors: &Tensors) -> Result<Vec<u8>> {
    let aligned = stored().with_alignment(64);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("model/data.pkl", aligned)?;
    zip.write_all(&pickle(tensors))?;
    zip.start_file("model/byteorder", aligned)?;
    zip.write_all(b"little")?;
    for (n, tensor) in tensors.0.iter().enumerate() {
        zip.start_file(format!("model/data/{n}"), aligned)?;
        zip.write_all(&tensor.bytes)?;
    }
    zip.start_file("model/version", aligned)?;
    zip.write_all(b"3\n")?;
    Ok(zip.finish()?.into_inner())
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
}

/// The pickle of a dict from name to tensor, protocol 2.
fn pickle(tensors: &Tensors) -> Vec<u8> {
    let mut out = b"\x80\x02}(".to_vec();
    for (n, tensor) in tensors.0.iter().enumerate() {
        let storage = match tensor.dtype {
            Dtype::F32 => "FloatStorage",
            Dtype::F16 => "HalfStorage",
            Dtype::Bf16 => "BFloat16Storage",
            Dtype::I8 => "CharStorage",
        };
        let numbers = tensor.bytes.len() / tensor.dtype.bytes();
        text(&mut out, &tensor.name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(format!("ctorch\n{storage}\n").bytes());
        text(&mut out, &n.to_string());
        text(&mut out, "cpu");
        integer(&mut out, numbers);
        out.extend(b"tQ");
        integer(&mut out, 0);
        tuple(&mut out, &tensor.shape);
        tuple(&mut out, &strides(&tensor.shape));
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|after| shape[after..].iter().product()).collect()
}

/// BINUNICODE.
fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.bytes());
}

/// BININT.
fn integer(out: &mut Vec<u8>, value: usize) {
    out.push(b'J');
    out.extend((value as u32).to_le_bytes());
}

/// MARK, the numbers, TUPLE.
fn tuple(out: &mut Vec<u8>, values: &[usize]) {
    out.push(b'(');
    values.iter().for_each(|value| integer(out, *value));
    out.push(b't');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Tensors {
        Tensors(vec![
            Tensor::of_floats("a.weight", &[2, 3], Dtype::F32, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            Tensor::of_floats("b", &[2], Dtype::F32, &[7.0, 8.0]),
        ])
    }

    #[test]
    fn numpy_finds_its_numbers_on_a_multiple_of_64() {
        let file = npy(&two().0[1]);
        assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
        assert_eq!(file.len(), 128 + 8);
        let head = String::from_utf8_lossy(&file[10..128]);
        assert!(head.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"));
        assert!(head.ends_with('\n'));
    }

    #[test]
    fn the_storages_of_torch_lie_uncompressed_on_multiples_of_64() {
        let tensors = two();
        let file = torch(&tensors).unwrap();
        assert_eq!(file, torch(&tensors).unwrap());
        let mut zip = zip::ZipArchive::new(Cursor::new(&file)).unwrap();
        for (n, tensor) in tensors.0.iter().enumerate() {
            let entry = zip.by_name(&format!("model/data/{n}")).unwrap();
            let start = usize::try_from(entry.data_start().unwrap()).unwrap();
            assert_eq!(start % 64, 0);
            assert_eq!(file[start..start + tensor.bytes.len()], tensor.bytes);
        }
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
    }

    #[test]
    fn an_npz_holds_every_array() {
        let file = npz(&two()).unwrap();
        let mut zip = zip::ZipArchive::new(Cursor::new(file)).unwrap();
        for tensor in two().0 {
            let mut bytes = Vec::new();
            let mut entry = zip.by_name(&format!("{}.npy", tensor.name)).unwrap();
            std::io::copy(&mut entry, &mut bytes).unwrap();
            assert_eq!(bytes, npy(&tensor));
        }
    }
}
