//! What is inside model and data files: tensors, columns, rows, and where their bytes lie.
//!
//! Pure parsers. They are handed byte ranges of a [`Source`] and never a whole file, so that listing
//! the tensors of a file of 100 GB costs its header. Everything they read is hostile: lengths are
//! compared with what is left and with a limit before they are used, nothing recurses without a
//! bound, and nothing is ever executed. No parser holds more than 64 MiB.
//!
//! Modules are listed bottom-up; each uses only those above it.

mod error;
mod source;

mod dtype;
mod model;

mod budget;
mod reader;

mod listing;
mod read;
mod stats;
mod zip;

mod gguf;
mod npy;
mod onnx;
mod pickle;
mod safetensors;

mod detect;

mod describe;
mod parquet;
mod table;

mod layout;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    //! Doors for fuzz targets only: bounds so small that small files reach them.

    pub use crate::table::compare_tables_within;
}

pub use describe::describe;
pub use detect::read_model;
pub use dtype::Dtype;
pub use error::{Error, Result};
pub use layout::{Content, Layout, Part, read_layout};
pub use model::{Location, Model, ModelFormat, Port, Tensor};
pub use parquet::{Chunk, ParquetColumn, ParquetLayout, RowGroup};
pub use read::{TensorBytes, read_tensor};
pub use source::{FileSource, Source};
pub use stats::{Comparison, TensorStats};
pub use table::{
    Column, Retyped, SharedRange, Table, TableDiff, TableFormat, compare_tables, read_table,
};

/// Bytes that a parser may hold at once, decompressed ones included.
pub const MAX_MEMORY: usize = 64 << 20;
/// Bytes of the longest header that is read: a JSON header, a central directory, a footer.
pub const MAX_HEADER: usize = 16 << 20;
/// Tensors of one file.
pub const MAX_TENSORS: usize = 1 << 18;
/// Dimensions of one tensor.
pub const MAX_RANK: usize = 32;
