//! Keeping chains of numbers short without storing numbers whole again and again.
//!
//! When the version before lies as deep as chains may become, a new one is coded against what that is
//! coded against: the difference spans two steps of training instead of one, and costs little more,
//! since steps partly cancel out. So several versions share a base, and when they have moved too far
//! from it, the next one is coded against the whole version below and becomes a base itself.

use crate::codec::{self, Element};
use crate::encode::Base;
use crate::hash::Hash;
use crate::tables::Cover;
use crate::writer::StoreWriter;

/// A version becomes a base when a difference to the whole version is longer by less than this: it
/// takes so much more itself, and the versions after it, which are close to it, take less.
const AS_GOOD: f64 = 1.10;

/// Numbers that those of a cover are coded against, directly or not: the nearest on which a block may
/// be built that lies at most `most` deep.
pub(crate) fn nearer(
    writer: &StoreWriter<'_>,
    cover: &Cover,
    (element, chunk): (Element, &[u8]),
    most: u32,
) -> Option<Base> {
    let &[mut id] = &cover.ids[..] else { return None };
    while writer.chain(&id)?.depth >= most {
        id = writer.delta_base(&id)?;
    }
    let near = writer.chunk_as_base(id, cover.start)?;
    let below = if near.chain.depth > 0 { writer.delta_base(&id) } else { None };
    let far = below.and_then(|id| writer.chunk_as_base(id, cover.start));
    let cost = |base: &Base| codec::delta::estimate(element, chunk, base.aligned());
    match far {
        Some(far) if cost(&far) <= cost(&near) * AS_GOOD => Some(far),
        _ => Some(near),
    }
}

impl StoreWriter<'_> {
    /// A chunk as a base, from `start` on; none when it cannot be read.
    fn chunk_as_base(&self, id: Hash, start: usize) -> Option<Base> {
        let chain = self.chain(&id)?;
        let bytes = self.read_chunk(&id)?;
        Some(Base { ids: vec![id], bytes, start, chain })
    }
}
