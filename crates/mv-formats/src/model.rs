//! [`Model`]: the tensors of a file, and where their bytes lie.

use crate::dtype::Dtype;

/// The tensors of one file, in the order of its list of them. Their bytes may lie in another order and
/// overlap: tensors share bytes, and a file can claim anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What kind of file it is.
    pub format: ModelFormat,
    /// Its tensors.
    pub tensors: Vec<Tensor>,
    /// Inputs and outputs, where the format knows them.
    pub ports: Vec<Port>,
    /// What the file says about itself, ascending by key. Values are cut at 4 KiB.
    pub metadata: Vec<(String, String)>,
}

/// Kinds of files with tensors in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModelFormat {
    /// `.safetensors`
    Safetensors,
    /// One NumPy array.
    Npy,
    /// A zip of NumPy arrays.
    Npz,
    /// `.gguf`
    Gguf,
    /// `.onnx`
    Onnx,
    /// Written by `torch.save`.
    Torch,
    /// A bare pickle: its structure only.
    Pickle,
}

impl ModelFormat {
    /// Its name, for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ModelFormat::Safetensors => "safetensors",
            ModelFormat::Npy => "npy",
            ModelFormat::Npz => "npz",
            ModelFormat::Gguf => "gguf",
            ModelFormat::Onnx => "onnx",
            ModelFormat::Torch => "pytorch",
            ModelFormat::Pickle => "pickle",
        }
    }
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name; unique in its file, not escaped.
    pub name: String,
    /// What its elements are.
    pub dtype: Dtype,
    /// Its dimensions; none for a scalar.
    pub shape: Vec<u64>,
    /// Where its bytes are.
    pub location: Location,
}

impl Tensor {
    /// The product of its dimensions, at most `u64::MAX`.
    #[must_use]
    pub fn elements(&self) -> u64 {
        if self.shape.contains(&0) {
            return 0;
        }
        self.shape.iter().fold(1, |product: u64, &n| product.saturating_mul(n))
    }
}

/// Where the bytes of a tensor are. Every range was checked to lie inside the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// Plain, in the order of the elements.
    Plain {
        /// The first byte.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// The elements lie in these bytes, but in another order or with gaps: a transposed view, a
    /// big-endian or column-first array, a type of unknown size with what it is padded with.
    Scattered {
        /// The first byte.
        offset: u64,
        /// How many.
        len: u64,
    },
    /// Deflated.
    Deflated {
        /// The first compressed byte.
        offset: u64,
        /// Compressed bytes.
        packed: u64,
        /// Bytes of header before the elements, once decompressed.
        skip: u64,
        /// Bytes of elements.
        len: u64,
    },
    /// In another file, or not to be found.
    Elsewhere,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Whether it is an input.
    pub input: bool,
    /// Its name; not escaped.
    pub name: String,
    /// Type and shape, as text: `f32[batch, 3, 224, 224]`.
    pub shape: String,
}
