//! What the machine can do with bytes: copy, hash, cut, compress.

use std::hint::black_box;

use mv_store::cut::SIZES;

use crate::failure::Result;
use crate::generate::table::{self, Change};

use super::{Buffers, Step};

/// The step that all others are compared with.
pub(super) const COPY: &str = "memcpy";
/// The step that a commit cannot do without.
pub(super) const HASH: &str = "BLAKE3, one thread";
/// Bytes of a block that is hashed or compressed at once.
const BLOCK: usize = 1 << 20;
/// Bytes of a block of text, as a chunk has them.
const CHUNK: usize = 256 << 10;

/// A CSV of this length.
pub(super) fn text(len: usize) -> Result<Vec<u8>> {
    let mut text = Vec::with_capacity(len + (1 << 20));
    // A row has about 149 bytes.
    table::write(&mut text, len as u64 / 140, Change::None, 1)?;
    text.truncate(len);
    Ok(text)
}

/// The steps, each on one thread unless its name says otherwise.
pub(super) fn steps(buffers: &Buffers) -> Result<Vec<Step<'_>>> {
    let Buffers { noise, text } = buffers;
    let mut copy = vec![0_u8; noise.len()];
    let frames: Vec<Vec<u8>> = text
        .chunks(CHUNK)
        .map(|block| zstd::bulk::compress(block, 1))
        .collect::<std::io::Result<_>>()?;
    let mut encoder = zstd::bulk::Compressor::new(1)?;
    let mut decoder = zstd::bulk::Decompressor::new()?;
    let mut room = vec![0_u8; zstd::zstd_safe::compress_bound(CHUNK)];
    let mut raw = vec![0_u8; CHUNK];
    Ok(vec![
        Step::new(COPY, noise.len(), move || {
            copy.copy_from_slice(black_box(noise));
            black_box(&copy);
            Ok(())
        }),
        Step::new(HASH, noise.len(), move || {
            noise.chunks(BLOCK).for_each(|block| {
                black_box(blake3::hash(block));
            });
            Ok(())
        }),
        Step::new("BLAKE3, all threads", noise.len(), move || {
            black_box(blake3::Hasher::new().update_rayon(noise).finalize());
            Ok(())
        }),
        Step::new("cut, noise", noise.len(), move || cut(noise)),
        Step::new("cut, text", text.len(), move || cut(text)),
        Step::new("zstd 1 encode, text", text.len(), move || {
            for block in text.chunks(CHUNK) {
                black_box(encoder.compress_to_buffer(block, &mut room[..])?);
            }
            Ok(())
        }),
        Step::new("zstd decode, text", text.len(), move || {
            for frame in &frames {
                black_box(decoder.decompress_to_buffer(frame, &mut raw[..])?);
            }
            Ok(())
        }),
    ])
}

fn cut(mut data: &[u8]) -> Result<()> {
    while let Some(len @ 1..) = SIZES.first_cut(black_box(data), true) {
        data = &data[len..];
    }
    Ok(())
}
