//! [`TensorBytes`]: the bytes of one tensor, piece by piece.

use flate2::{Decompress, FlushDecompress, Status};

use crate::error::{Error, Result};
use crate::model::{Location, Tensor};
use crate::source::Source;

/// Bytes of a piece; a multiple of every element's size.
const PIECE: usize = 1 << 20;
/// Compressed bytes that are read at once.
const PACKED: usize = 64 << 10;

/// Hands each piece of the tensor's bytes to `out`, in order. See [`TensorBytes`].
///
/// # Errors
/// As [`TensorBytes::open`] and [`TensorBytes::piece`], and what `out` returns.
pub fn read_tensor(
    source: &dyn Source,
    tensor: &Tensor,
    out: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut bytes = TensorBytes::open(source, tensor)?;
    while let Some(piece) = bytes.piece()? {
        out(piece)?;
    }
    Ok(())
}

/// Reads the bytes of one tensor in pieces of 1 MiB, the last one shorter, so that two tensors of one
/// type can be read side by side. Bytes at [`Location::Scattered`] come as they lie in the file, not
/// in the order of the elements. Holds little more than a piece.
pub struct TensorBytes<'a> {
    source: &'a dyn Source,
    offset: u64,
    left: u64,
    piece: Vec<u8>,
    packed: Option<Packed>,
}

impl<'a> TensorBytes<'a> {
    /// Begins to read.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the bytes are in another file, or are compressed and do not unpack.
    pub fn open(source: &'a dyn Source, tensor: &Tensor) -> Result<TensorBytes<'a>> {
        let (offset, left, packed, skip) = match tensor.location {
            Location::Plain { offset, len } | Location::Scattered { offset, len } => {
                (offset, len, None, 0)
            }
            Location::Deflated { offset, packed, skip, len } => {
                (offset, len, Some(Packed::new(packed)), skip)
            }
            Location::Elsewhere => {
                let detail = format!("the bytes of `{}` are not in this file", tensor.name);
                return Err(Error::malformed("tensor", detail));
            }
        };
        let mut bytes = TensorBytes { source, offset, left: skip, piece: Vec::new(), packed };
        while bytes.left > 0 {
            bytes.fill()?;
        }
        bytes.left = left;
        Ok(bytes)
    }

    /// The next piece; none at the end. Never more bytes than the location says.
    ///
    /// # Errors
    /// [`Error::Read`] when the file has become shorter, [`Error::Malformed`] when compressed bytes
    /// are damaged or too few.
    pub fn piece(&mut self) -> Result<Option<&[u8]>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.fill()?;
        Ok(Some(&self.piece))
    }

    fn fill(&mut self) -> Result<()> {
        let len = self.left.min(PIECE as u64);
        self.piece.resize(len as usize, 0);
        match &mut self.packed {
            None => {
                self.source.read_at(self.offset, &mut self.piece)?;
                self.offset += len;
            }
            Some(packed) => packed.fill(self.source, &mut self.offset, &mut self.piece)?,
        }
        self.left -= len;
        Ok(())
    }
}

/// A deflated stream on its way out.
struct Packed {
    inflate: Decompress,
    input: Vec<u8>,
    /// Bytes of `input` that were used.
    used: usize,
    /// Compressed bytes not read yet.
    left: u64,
}

impl Packed {
    fn new(left: u64) -> Packed {
        Packed { inflate: Decompress::new(false), input: Vec::new(), used: 0, left }
    }

    /// Fills all of `into`.
    fn fill(&mut self, source: &dyn Source, offset: &mut u64, into: &mut [u8]) -> Result<()> {
        let damaged = |detail: &str| Error::malformed("zip", detail);
        let mut filled = 0;
        while filled < into.len() {
            if self.used == self.input.len() && self.left > 0 {
                let len = self.left.min(PACKED as u64);
                self.input.resize(len as usize, 0);
                source.read_at(*offset, &mut self.input)?;
                (self.used, self.left, *offset) = (0, self.left - len, *offset + len);
            }
            let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self
                .inflate
                .decompress(&self.input[self.used..], &mut into[filled..], FlushDecompress::None)
                .map_err(|_| damaged("compressed bytes are damaged"))?;
            let took = (self.inflate.total_in() - before_in) as usize;
            let gave = (self.inflate.total_out() - before_out) as usize;
            (self.used, filled) = (self.used + took, filled + gave);
            let stuck = took == 0 && gave == 0 && self.used == self.input.len() && self.left == 0;
            let ended = status == Status::StreamEnd && filled < into.len();
            if stuck || ended {
                return Err(damaged("compressed bytes end too early"));
            }
            if took == 0 && gave == 0 && self.used < self.input.len() {
                return Err(damaged("compressed bytes make no progress"));
            }
        }
        Ok(())
    }
}

/// Unpacks a deflated range that must give exactly `len` bytes. Compare `len` with a limit before.
pub(crate) fn inflate(
    source: &dyn Source,
    offset: u64,
    packed: u64,
    len: usize,
) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let mut offset = offset;
    Packed::new(packed).fill(source, &mut offset, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::dtype::Dtype;

    fn tensor(location: Location) -> Tensor {
        Tensor { name: "t".into(), dtype: Dtype::U8, shape: vec![0], location }
    }

    fn all(source: &dyn Source, location: Location) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        read_tensor(source, &tensor(location), &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut packed =
            flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).expect("memory");
        packed.finish().expect("memory")
    }

    #[test]
    fn plain_and_deflated_bytes_come_out_whole() {
        let bytes: Vec<u8> = (0..3_000_001_u32).map(|i| (i >> 3) as u8).collect();
        let plain = Location::Plain { offset: 1, len: 3_000_000 };
        assert!(all(&bytes, plain).expect("reads") == bytes[1..]);
        let packed = deflated(&bytes);
        let size = packed.len() as u64;
        for skip in [0, 1, 2_000_000, 3_000_001] {
            let len = bytes.len() as u64 - skip;
            let location = Location::Deflated { offset: 0, packed: size, skip, len };
            assert!(all(&packed, location).expect("reads") == bytes[skip as usize..]);
        }
        assert!(all(&bytes, Location::Plain { offset: 5, len: 0 }).expect("reads").is_empty());
    }

    #[test]
    fn compressed_bytes_that_are_too_few_or_damaged_are_an_error() {
        let packed = deflated(&[7; 1000]);
        let at = |packed, len| Location::Deflated { offset: 0, packed, skip: 0, len };
        let size = packed.len() as u64;
        assert!(all(&packed, at(size, 1000)).is_ok());
        assert!(all(&packed, at(size, 1001)).is_err());
        assert!(all(&packed, at(size - 3, 1000)).is_err());
        assert!(all(&vec![0xff; 100], at(100, 1)).is_err());
        assert!(all(&packed, at(0, 1)).is_err());
        assert!(all(&packed, Location::Elsewhere).is_err());
        assert!(matches!(
            all(&packed, Location::Plain { offset: 9, len: 1 << 40 }),
            Err(Error::Read(_))
        ));
    }

    #[test]
    fn a_bomb_gives_no_more_than_it_declares() {
        let packed = deflated(&vec![0; 50_000_000]);
        let location =
            Location::Deflated { offset: 0, packed: packed.len() as u64, skip: 5, len: 10 };
        assert_eq!(all(&packed, location).expect("reads"), [0; 10]);
    }
}
