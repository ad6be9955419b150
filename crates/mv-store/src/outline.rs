//! [`Outline`]: what is known of a file before it is stored, so that it is cut where its parts end and
//! coded against what it resembles.
//!
//! All of it is advice. Whatever an outline says, the bytes that come out are the bytes that went in:
//! a base is used only when decoding with it was seen to give the same bytes.

use crate::codec::Element;
use crate::effort::Effort;
use crate::hash::Hash;

/// What is known of a file before it is stored.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Its parts, ascending and disjoint. Bytes between them are cut where their content says.
    pub parts: Vec<Part>,
    /// What the file was before: runs of changed chunks are compared with it.
    pub parent: Option<Hash>,
    /// How much work is to be done.
    pub effort: Effort,
    /// How many objects deep chains of differences may become; none for what suits the effort.
    pub depth: Option<u32>,
}

/// A range of bytes that belong together: a tensor, a member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first byte.
    pub start: u64,
    /// How many.
    pub len: u64,
    /// The numbers that it consists of. Such a part is cut at fixed distances from its start, another
    /// one where its content says.
    pub element: Option<Element>,
    /// Where similar numbers are, the most promising first.
    pub similar: Vec<Similar>,
}

/// A range of a stored blob whose numbers correspond to those of a part, one to one from the start on.
/// It may be shorter or longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Similar {
    /// The blob.
    pub blob: Hash,
    /// The first byte.
    pub start: u64,
    /// How many.
    pub len: u64,
    /// What they are: the same as the part's, or wider ones that it may be rounded from.
    pub element: Element,
}
