//! [`Listing`]: a model while it is being read. What every format must keep to is checked here, once.

use crate::budget::Budget;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::model::{Location, Model, ModelFormat, Port, Tensor};
use crate::source::Source;
use crate::{MAX_RANK, MAX_TENSORS};

/// Bytes of one name.
const MAX_NAME: usize = 64 << 10;
/// Bytes of one value of the metadata; longer ones are cut.
const MAX_VALUE: usize = 4 << 10;
/// What one allocation costs beside its bytes.
const OVERHEAD: usize = 16;

pub(crate) struct Listing {
    format: ModelFormat,
    size: u64,
    budget: Budget,
    tensors: Vec<Tensor>,
    ports: Vec<Port>,
    metadata: Vec<(String, String)>,
}

impl Listing {
    /// Begins the list of the tensors in this file, in what is left of the budget.
    pub(crate) fn new(format: ModelFormat, source: &dyn Source, budget: Budget) -> Listing {
        Listing {
            format,
            size: source.size(),
            budget,
            tensors: Vec::new(),
            ports: Vec::new(),
            metadata: Vec::new(),
        }
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a tensor, whose bytes must lie in the file and be as many as its shape and type say.
    pub(crate) fn tensor(
        &mut self,
        name: String,
        dtype: Dtype,
        shape: Vec<u64>,
        location: Location,
    ) -> Result<()> {
        if self.tensors.len() >= MAX_TENSORS {
            return Err(self.limit("the number of tensors", MAX_TENSORS));
        }
        if shape.len() > MAX_RANK {
            return Err(self.limit("the number of dimensions", MAX_RANK));
        }
        if name.len() > MAX_NAME {
            return Err(self.limit("the length of a name", MAX_NAME));
        }
        let named = match &dtype {
            Dtype::Block { name, .. } | Dtype::Other(name) => name.len() + OVERHEAD,
            _ => 0,
        };
        self.budget
            .take(name.capacity() + shape.capacity() * size_of::<u64>() + named + OVERHEAD)?;
        let tensor = Tensor { name, dtype, shape, location };
        self.check(&tensor)?;
        self.budget.push(&mut self.tensors, tensor)
    }

    fn check(&self, tensor: &Tensor) -> Result<()> {
        let (start, packed, exact) = match tensor.location {
            Location::Plain { offset, len } => (offset, len, Some(len)),
            Location::Scattered { offset, len } => (offset, len, None),
            Location::Deflated { offset, packed, len, .. } => (offset, packed, Some(len)),
            Location::Elsewhere => return Ok(()),
        };
        if start.checked_add(packed).is_none_or(|end| end > self.size) {
            return Err(self.malformed(format!("tensor `{}` lies outside the file", tensor.name)));
        }
        let (Some(len), false) = (exact, matches!(tensor.dtype, Dtype::Other(_))) else {
            return Ok(());
        };
        if tensor.dtype.bytes_of(tensor.elements()) == Some(len) {
            return Ok(());
        }
        Err(self.malformed(format!(
            "tensor `{}` has {len} bytes, which its shape and type do not give",
            tensor.name
        )))
    }

    /// Takes bytes from the budget that are held while the list is made.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<()> {
        self.budget.take(bytes)
    }

    /// Takes bytes of a name that is put together.
    pub(crate) fn name(&self, bytes: u64) -> Result<()> {
        self.budget.name(bytes)
    }

    /// Adds an input or output.
    pub(crate) fn port(&mut self, port: Port) -> Result<()> {
        self.budget.take(port.name.len() + port.shape.len() + 2 * OVERHEAD)?;
        self.budget.push(&mut self.ports, port)
    }

    /// Adds something the file says about itself.
    pub(crate) fn metadata(&mut self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (cut(key), cut(value));
        self.budget.take(key.len() + value.len() + 2 * OVERHEAD)?;
        self.budget.push(&mut self.metadata, (key.to_owned(), value.to_owned()))
    }

    /// The model, if no two tensors have one name.
    pub(crate) fn finish(mut self) -> Result<Model> {
        self.budget.take(self.tensors.len() * size_of::<&str>())?;
        let mut names: Vec<&str> = self.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.array_windows().find(|[a, b]| a == b) {
            return Err(self.malformed(format!("two tensors are called `{}`", twice[0])));
        }
        // An input that is a tensor of the file has a value: nobody has to give one.
        self.ports.retain(|port| !port.input || names.binary_search(&port.name.as_str()).is_err());
        self.metadata.sort();
        Ok(Model {
            format: self.format,
            tensors: self.tensors,
            ports: self.ports,
            metadata: self.metadata,
        })
    }

    pub(crate) fn malformed(&self, detail: impl Into<String>) -> Error {
        Error::malformed(self.format.as_str(), detail)
    }

    fn limit(&self, what: &'static str, limit: usize) -> Error {
        Error::Limit { format: self.format.as_str(), what, limit: limit as u64 }
    }
}

/// The text, cut to what is kept of one value.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_VALUE)]
}
