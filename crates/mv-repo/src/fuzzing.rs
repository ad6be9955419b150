//! Doors to inner decoders, for fuzz targets only: through the commands they are too slow to reach.

use std::ops::Range;

use mv_graph::Scalar;

use crate::config::{LocalConfig, ValueFormat};
use crate::error::Result;
use crate::line_changes;
use crate::mark::Mark;
use crate::measures;
use crate::outline::Seen;
use crate::text_merge::{self, Favor, Labels};
use crate::unfinished::Unfinished;

pub use crate::worktree::fuzzing::{open_stat_cache, unpack_stat_cache};

/// Decodes the mark of a checkout and encodes it again.
#[must_use]
pub fn checkout_mark(bytes: &[u8]) -> Option<Vec<u8>> {
    Mark::decode(bytes).map(|mark| mark.encode())
}

/// Decodes the note of an unfinished merge and encodes it again.
#[must_use]
pub fn merge_note(bytes: &[u8]) -> Option<Vec<u8>> {
    Unfinished::decode(bytes).map(|merge| merge.encode())
}

/// Decodes the index of tensors and encodes it again.
#[must_use]
pub fn seen(bytes: &[u8]) -> Option<Vec<u8>> {
    Seen::decode(bytes).map(|seen| seen.encode())
}

/// Parses the bytes of a `.mv/config.toml`.
///
/// # Errors
/// `Invalid`.
pub fn local_config(bytes: &[u8]) -> Result<LocalConfig> {
    LocalConfig::parse(bytes)
}

/// The values in a file of params or metrics.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn values(
    format: ValueFormat,
    bytes: &[u8],
) -> std::result::Result<Vec<(String, Scalar)>, String> {
    measures::parse_values(format, bytes)
}

/// Whether bytes are merged by line.
#[must_use]
pub fn is_text(bytes: &[u8]) -> bool {
    text_merge::is_text(bytes)
}

/// Merges three texts; gives the text and the number of conflicts, or none when that is too much work.
#[must_use]
pub fn merge_texts(
    base: &[u8],
    ours: &[u8],
    theirs: &[u8],
    favor: Favor,
) -> Option<(Vec<u8>, usize)> {
    let merged = text_merge::merge(base, ours, theirs, favor, &labels())?;
    Some((merged.text, merged.conflicts))
}

/// Lines of one text, and lines of another instead of them.
pub type LineChanges = Vec<(Range<usize>, Range<usize>)>;

/// The lines that were changed between two texts, found in the usual way and by the shortest one.
#[must_use]
pub fn line_changes(from: &[u8], to: &[u8]) -> [Option<LineChanges>; 2] {
    [line_changes::line_changes(from, to), line_changes::shortest_changes(from, to)]
}

/// Whether a text has marker lines of [`merge_texts`].
#[must_use]
pub fn has_markers(text: &[u8]) -> bool {
    labels().are_in(text)
}

fn labels() -> Labels {
    Labels::new("ours", "theirs")
}
