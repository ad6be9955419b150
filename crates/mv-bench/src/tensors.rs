//! [`Tensors`]: named arrays in memory, and the safetensors files that they come from and go to.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::failure::{At, Result};
use crate::numbers::{bf16_of, f32_of_bf16, fp16_of};

/// How one number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F32,
    F16,
    Bf16,
    I8,
}

impl Dtype {
    /// Its name in a safetensors header.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
            Dtype::I8 => "I8",
        }
    }

    /// Bytes of one number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::I8 => 1,
        }
    }

    fn of_name(name: &str) -> Option<Dtype> {
        [Dtype::F32, Dtype::F16, Dtype::Bf16, Dtype::I8].into_iter().find(|d| d.name() == name)
    }
}

/// A named array.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Little-endian, rows first.
    pub(crate) bytes: Vec<u8>,
}

impl Tensor {
    /// Numbers in a narrower form, rounded to the nearest.
    pub(crate) fn of_floats(name: &str, shape: &[usize], dtype: Dtype, values: &[f32]) -> Tensor {
        let mut bytes = Vec::with_capacity(values.len() * dtype.bytes());
        append(&mut bytes, dtype, values);
        Tensor { name: name.to_owned(), dtype, shape: shape.to_vec(), bytes }
    }

    /// The numbers; none of an integer tensor or of fp16, which nothing here reads back.
    pub(crate) fn floats(&self) -> Option<Vec<f32>> {
        match self.dtype {
            Dtype::F32 => {
                let (words, _) = self.bytes.as_chunks::<4>();
                Some(words.iter().map(|b| f32::from_le_bytes(*b)).collect())
            }
            Dtype::Bf16 => {
                let (words, _) = self.bytes.as_chunks::<2>();
                Some(words.iter().map(|b| f32_of_bf16(u16::from_le_bytes(*b))).collect())
            }
            Dtype::F16 | Dtype::I8 => None,
        }
    }

    /// Rows, and numbers in one: what has one dimension is one row.
    pub(crate) fn rows(&self) -> (usize, usize) {
        let width = self.shape.last().copied().unwrap_or(1).max(1);
        (self.bytes.len() / self.dtype.bytes() / width, width)
    }
}

/// Adds numbers in their stored form, rounded to the nearest.
pub(crate) fn append(bytes: &mut Vec<u8>, dtype: Dtype, values: &[f32]) {
    match dtype {
        Dtype::F32 => bytes.extend(values.iter().flat_map(|v| v.to_le_bytes())),
        Dtype::F16 => bytes.extend(values.iter().flat_map(|v| fp16_of(*v).to_le_bytes())),
        Dtype::Bf16 => bytes.extend(values.iter().flat_map(|v| bf16_of(*v).to_le_bytes())),
        Dtype::I8 => bytes.extend(values.iter().map(|v| (v.round() as i8).cast_unsigned())),
    }
}

/// The tensors of one file, in its order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensors(pub(crate) Vec<Tensor>);

impl Tensors {
    /// Reads a safetensors file.
    pub(crate) fn read(path: &Path) -> Result<Tensors> {
        let bytes = fs::read(path).at("read", path)?;
        Tensors::parse(&bytes).ok_or_else(|| {
            format!("`{}` is no safetensors file of F32, BF16, F16 or I8", path.display()).into()
        })
    }

    fn parse(bytes: &[u8]) -> Option<Tensors> {
        let len = usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok()?;
        let body = bytes.get(8_usize.checked_add(len)?..)?;
        let header: Map<String, Value> = serde_json::from_slice(bytes.get(8..8 + len)?).ok()?;
        let mut placed = Vec::new();
        for (name, entry) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
            let number = |v: &Value| usize::try_from(v.as_u64()?).ok();
            let (from, to) =
                (number(&entry["data_offsets"][0])?, number(&entry["data_offsets"][1])?);
            let tensor = Tensor {
                name,
                dtype: Dtype::of_name(entry["dtype"].as_str()?)?,
                shape: entry["shape"].as_array()?.iter().map(number).collect::<Option<_>>()?,
                bytes: body.get(from..to)?.to_vec(),
            };
            placed.push((from, tensor));
        }
        placed.sort_by_key(|(from, _)| *from);
        Some(Tensors(placed.into_iter().map(|(_, tensor)| tensor).collect()))
    }

    /// The whole safetensors file.
    pub(crate) fn file(&self) -> Vec<u8> {
        let layout = self.0.iter().map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice()));
        let mut file = header(layout);
        self.0.iter().for_each(|tensor| file.extend_from_slice(&tensor.bytes));
        file
    }

    /// The same numbers in another form; integers and fp16 stay as they are.
    pub(crate) fn cast(&self, dtype: Dtype) -> Tensors {
        let cast = |t: &Tensor| match t.floats() {
            Some(values) => Tensor::of_floats(&t.name, &t.shape, dtype, &values),
            None => t.clone(),
        };
        Tensors(self.0.iter().map(cast).collect())
    }

    /// The tensor of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|tensor| tensor.name == name)
    }

    /// Bytes of all numbers.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(|tensor| tensor.bytes.len() as u64).sum()
    }
}

/// The head of a safetensors file whose tensors follow one another: length, then JSON.
pub(crate) fn header<'a>(
    layout: impl IntoIterator<Item = (&'a str, Dtype, &'a [usize])>,
) -> Vec<u8> {
    let mut entries = Map::new();
    entries.insert("__metadata__".into(), json!({ "format": "pt" }));
    let mut at = 0_u64;
    for (name, dtype, shape) in layout {
        let numbers: u64 = shape.iter().map(|n| *n as u64).product();
        let end = at + numbers * dtype.bytes() as u64;
        let entry = json!({ "dtype": dtype.name(), "shape": shape, "data_offsets": [at, end] });
        entries.insert(name.to_owned(), entry);
        at = end;
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    [&(text.len() as u64).to_le_bytes()[..], &text].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let wide = Tensor::of_floats("a", &[2, 2], Dtype::F32, &[1.0, -2.0, 3.5, 0.0]);
        let narrow = Tensor::of_floats("b", &[2], Dtype::Bf16, &[1.0, -2.0]);
        let tensors = Tensors(vec![wide, narrow]);
        assert_eq!(Tensors::parse(&tensors.file()), Some(tensors.clone()));
        assert_eq!(tensors.file().len() % 8, 4);
        assert_eq!(tensors.get("b").and_then(Tensor::floats), Some(vec![1.0, -2.0]));
        assert_eq!(tensors.0[0].rows(), (2, 2));
    }

    #[test]
    fn a_file_that_ends_early_is_refused() {
        let file = Tensors(vec![Tensor::of_floats("a", &[2], Dtype::F32, &[1.0, 2.0])]).file();
        assert_eq!(Tensors::parse(&file[..file.len() - 1]), None);
        assert_eq!(Tensors::parse(&file[..20]), None);
    }
}
