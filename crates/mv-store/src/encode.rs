//! Choosing how a block is stored, cheapest question first.
//!
//! Whatever is chosen is decoded and compared before it is written: a codec that fails its own round
//! trip is not trusted with that block. Samples decide what is tried, so that bytes in which there is
//! nothing to find cost little more than hashing them.

use crate::codec::{self, Element, Encoding, START_LEN};
use crate::effort::{Effort, Levels};
use crate::error::Result;
use crate::hash::Hash;
use crate::store::Chain;

/// A difference must save this much of what the block takes without a base.
const DELTA_PAYS: f64 = 0.90;
/// What saves less is stored raw.
const FLOAT_PAYS: f64 = 0.97;
/// Numbers that compress better than any weights: patterns are looked for as well.
const PATTERNS: f64 = 0.45;
/// Stored bytes on a chain, for one raw byte, at most: three steps of training in `f32` after a whole
/// tensor are 3.1, in `bf16` 2.2.
const CHAIN_BYTES: f64 = 3.2;

/// A block as it is to be stored, proven to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) encoding: Encoding,
    /// Empty for a raw block, which is stored as it is.
    pub(crate) stored: Vec<u8>,
    pub(crate) bases: Vec<Hash>,
}

/// Objects that a block may be coded against.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) ids: Vec<Hash>,
    /// Their bytes, one after the other.
    pub(crate) bytes: Vec<u8>,
    /// Where the counterpart of the block begins in them.
    pub(crate) start: usize,
    /// What the deepest of them needs.
    pub(crate) chain: Chain,
}

impl Encoded {
    const RAW: Encoded = Encoded { encoding: Encoding::Raw, stored: Vec::new(), bases: Vec::new() };

    /// Takes what a codec gave, if it decodes to the same bytes.
    fn proven(
        encoding: Encoding,
        stored: Vec<u8>,
        raw: &[u8],
        base: Option<&Base>,
    ) -> Option<Encoded> {
        let bytes = base.map_or(&[][..], |base| &base.bytes);
        let back = codec::decode(encoding, &stored, bytes, raw.len()).ok()?;
        let bases = base.map(|base| base.ids.clone()).unwrap_or_default();
        (back == raw).then_some(Encoded { encoding, stored, bases })
    }

    /// Bytes that the block will take.
    pub(crate) fn len(&self, raw: &[u8]) -> usize {
        if self.encoding == Encoding::Raw { raw.len() } else { self.stored.len() }
    }
}

impl Base {
    /// The bytes from the counterpart's begin on.
    pub(crate) fn aligned(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// What a codec stored, after where its base begins.
    pub(crate) fn with_start(&self, stored: &[u8]) -> Vec<u8> {
        let start = u32::try_from(self.start).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(START_LEN + stored.len());
        bytes.extend_from_slice(&start.to_le_bytes());
        bytes.extend_from_slice(stored);
        bytes
    }

    /// Takes a difference that a codec made against this base, if it decodes to the same bytes.
    pub(crate) fn proven(&self, encoding: Encoding, stored: &[u8], raw: &[u8]) -> Option<Encoded> {
        Encoded::proven(encoding, self.with_start(stored), raw, Some(self))
    }
}

/// Bytes of which nothing is known.
pub(crate) fn plain(raw: &[u8], level: i32) -> Result<Encoded> {
    Ok(zstd_or_raw(codec::compress(raw, level)?, raw))
}

/// Bytes that may repeat themselves however evenly they occur.
pub(crate) fn repeating(raw: &[u8], level: i32) -> Result<Encoded> {
    Ok(zstd_or_raw(codec::compress_any(raw, level)?, raw))
}

fn zstd_or_raw(packed: Option<Vec<u8>>, raw: &[u8]) -> Encoded {
    let proven = packed.and_then(|packed| Encoded::proven(Encoding::Zstd, packed, raw, None));
    proven.unwrap_or(Encoded::RAW)
}

/// Bytes of which nothing is known, with all the work that may pay: by columns if they are a table.
pub(crate) fn at_leisure(raw: &[u8], level: i32) -> Result<Encoded> {
    let best = repeating(raw, level)?;
    let columns = codec::columns::encode(raw, level)?;
    let columns = columns.filter(|stored| stored.len() < best.len(raw));
    let columns = columns.and_then(|stored| Encoded::proven(Encoding::Columns, stored, raw, None));
    Ok(columns.unwrap_or(best))
}

/// Numbers without a base.
pub(crate) fn numbers(raw: &[u8], element: Element, effort: Effort) -> Result<Encoded> {
    let expected = codec::float::estimate(element, raw);
    let mut best = Encoded::RAW;
    if expected <= FLOAT_PAYS
        && let Some(stored) = codec::float::encode(element, raw)
        && let Some(encoded) = Encoded::proven(Encoding::Float, stored, raw, None)
    {
        best = encoded;
    }
    if expected < PATTERNS || effort == Effort::Best {
        let other = plain(raw, Levels::of(effort).chunk)?;
        if other.len(raw) < best.len(raw) {
            best = other;
        }
    }
    Ok(best)
}

/// Numbers against those that they resemble; none where that does not pay.
pub(crate) fn against(raw: &[u8], element: Element, base: &Base, of: Element) -> Option<Encoded> {
    if of != element {
        let stored = codec::cast::encode(element, raw, of, base.aligned())?;
        return base.proven(Encoding::Cast, &stored, raw);
    }
    let whole = codec::float::estimate(element, raw).min(1.0);
    if codec::delta::estimate(element, raw, base.aligned()) > whole * DELTA_PAYS {
        return None;
    }
    let stored = codec::delta::encode(element, raw, base.aligned())?;
    #[expect(clippy::cast_precision_loss, reason = "a ratio of lengths far below 2^52")]
    let (stored_len, raw_len, chain) =
        (stored.len() as f64, raw.len() as f64, base.chain.bytes as f64);
    if stored_len > raw_len * whole * DELTA_PAYS || chain + stored_len > raw_len * CHAIN_BYTES {
        return None;
    }
    base.proven(Encoding::Delta, &stored, raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_stored_raw_and_text_is_not() {
        let mut noise = vec![0; 1 << 16];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert_eq!(plain(&noise, 1).unwrap(), Encoded::RAW);
        assert_eq!(numbers(&noise, Element::Bf16, Effort::Normal).unwrap(), Encoded::RAW);
        let text = b"epoch 1, loss 0.25\n".repeat(5000);
        let encoded = plain(&text, 1).unwrap();
        assert_eq!(encoded.encoding, Encoding::Zstd);
        assert!(encoded.len(&text) < text.len() / 10);
    }
}
