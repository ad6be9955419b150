//! NOT MEASURED YET: the codecs of numbers, which `mv-store` does not have so far.
//!
//! They will be reached through a feature of `mv-store` that opens its inner codecs, and be measured
//! here one thread each, on blocks of 1 MiB of `train-bf16` and `train-fp32` of the samples:
//!
//! - `full` encode and decode, bf16 and fp32;
//! - `delta` encode and decode, bf16 and fp32, v8 against v7;
//! - `cast` encode and decode, bf16 from fp32;
//! - `int8` delta encode and decode;
//! - the estimate that chooses between `full` and `delta`, per block;
//! - the byte delta of an edited text, encode and decode.

use super::{Buffers, Step};

/// The steps: none so far.
pub(super) fn steps(_buffers: &Buffers) -> Vec<Step<'_>> {
    Vec::new()
}
