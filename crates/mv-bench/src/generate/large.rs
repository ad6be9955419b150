//! Model files too large for memory: one that is really written, one whose numbers are a hole.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use rayon::prelude::*;

use crate::failure::{At, Result};
use crate::random::Random;
use crate::tensors::{Dtype, append, header};

/// Numbers in a row of a tensor that is written, and rows of it: 32 MiB as bf16.
const SHAPE: [usize; 2] = [4096, 4096];
/// Rows made at a time.
const ROWS: usize = 256;
/// How far the second version lies from the first.
const MOVE: f32 = 4e-4;
/// Rows and columns of a tensor that is a hole: 16 GiB as fp32.
const HOLE: [usize; 2] = [1 << 16, 1 << 16];

/// Writes bf16 tensors of about `bytes` together. Version 2 has every number of version 1 moved a
/// little. Holds a few megabytes at a time.
pub(crate) fn write(path: &Path, bytes: u64, version: u64, seed: u64) -> Result<u64> {
    let each = (SHAPE[0] * SHAPE[1] * Dtype::Bf16.bytes()) as u64;
    let count = bytes.div_ceil(each);
    let mut out = BufWriter::new(File::create(path).at("create", path)?);
    let head = head(count, Dtype::Bf16, &SHAPE);
    out.write_all(&head).at("write", path)?;
    let pieces = count * (SHAPE[0] / ROWS) as u64;
    let together = rayon::current_num_threads() as u64;
    for first in (0..pieces).step_by(together as usize) {
        let numbers = first..pieces.min(first + together);
        let made: Vec<Vec<u8>> = numbers.into_par_iter().map(|n| piece(n, version, seed)).collect();
        made.iter().try_for_each(|piece| out.write_all(piece)).at("write", path)?;
    }
    out.flush().at("write", path)?;
    Ok(head.len() as u64 + count * each)
}

fn piece(n: u64, version: u64, seed: u64) -> Vec<u8> {
    let mut random = Random::stream(seed, n);
    let mut moves = Random::stream(seed.wrapping_add(version), n);
    let size = if version > 1 { MOVE } else { 0.0 };
    let values: Vec<f32> =
        (0..ROWS * SHAPE[1]).map(|_| 0.02 * random.normal() + size * moves.normal()).collect();
    let mut bytes = Vec::new();
    append(&mut bytes, Dtype::Bf16, &values);
    bytes
}

/// Writes only a header that claims fp32 tensors of about `bytes`, and makes the file as long as it
/// says. Returns its length, or why the file system does not take it.
pub(crate) fn sparse(path: &Path, bytes: u64) -> Result<u64> {
    let each = HOLE[0] as u64 * HOLE[1] as u64 * Dtype::F32.bytes() as u64;
    let count = bytes.div_ceil(each);
    let head = head(count, Dtype::F32, &HOLE);
    let len = head.len() as u64 + count * each;
    let mut file = File::create(path).at("create", path)?;
    file.write_all(&head).at("write", path)?;
    file.set_len(len).at("lengthen", path)?;
    Ok(len)
}

fn head(count: u64, dtype: Dtype, shape: &[usize]) -> Vec<u8> {
    let names: Vec<String> = (0..count).map(|n| format!("layers.{n}.weight")).collect();
    header(names.iter().map(|name| (name.as_str(), dtype, shape)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::f32_of_bf16;

    #[test]
    fn the_second_version_lies_near_the_first() {
        let [first, second] = [1, 2].map(|version| piece(3, version, 1));
        assert_eq!(first, piece(3, 1, 1));
        let floats = |bytes: &[u8]| -> Vec<f32> {
            let words = bytes.as_chunks::<2>().0;
            words.iter().map(|b| f32_of_bf16(u16::from_le_bytes(*b))).collect()
        };
        let moves: Vec<f32> =
            floats(&first).iter().zip(floats(&second)).map(|(a, b)| (a - b).abs()).collect();
        let mean = moves.iter().sum::<f32>() / moves.len() as f32;
        assert!((2e-4..5e-4).contains(&mean), "{mean}");
    }

    #[test]
    fn a_hole_takes_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let len = sparse(&path, 32 << 30).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), len);
        assert!(len > 32 << 30);
    }
}
