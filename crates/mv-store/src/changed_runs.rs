//! Runs of changed chunks, coded against the file's parent.
//!
//! A chunk that the parent has as well says where in it the writing stands. What lies between two
//! such chunks is a run: it usually has its counterpart between the same two chunks there, and
//! differs from it by an edit. So it is stored as copies out of the parent and insertions between
//! them, a few MiB at a time, as one block that several chunks share.

use std::borrow::Cow;
use std::sync::Arc;

use rayon::prelude::*;

use crate::codec::{self, Encoding};
use crate::effort::{Effort, Levels};
use crate::encode::Encoded;
use crate::error::Result;
use crate::hash::{Hash, Kind};
use crate::outline::Outline;
use crate::pack::MAX_SHARED_DIFF;
use crate::tables::Table;
use crate::windows::Window;
use crate::writer::StoreWriter;

/// Raw bytes of one record of differences, about: what a random read decodes.
const RECORD: usize = 2 << 20;
/// Bytes of the parent beyond a record's length that it may refer to, at most.
const SLACK: u64 = 512 << 10;
/// Runs below this size are not worth what their bases cost a reader.
const SHORTEST: usize = 16 << 10;
/// A record must be smaller than its raw bytes by this factor. What compresses as well without a base
/// is read more quickly without.
const PAYS: usize = 5;
/// Records in a row without a likeness after which none is looked for before the next known chunk.
const PATIENCE: u32 = 2;
/// How deep chains of differences become at a commit. Each level is copied at the speed of memory.
const DEPTH: u32 = 8;

/// What became of one chunk on its way to the pack.
pub(crate) struct Prepared {
    pub(crate) id: Hash,
    pub(crate) fate: Fate,
}

/// What is to be done with a chunk.
pub(crate) enum Fate {
    /// It is stored already.
    Known,
    /// It is new, and this is how it is stored.
    Encoded(Encoded),
    /// It is new, and so far nothing is known that it resembles.
    Fresh,
}

/// Where in a file's parent the writing stands.
pub(crate) struct Alignment<'a> {
    writer: &'a StoreWriter<'a>,
    /// The chunks of the parent; none when there is nothing to compare with.
    parent: Option<(Hash, Arc<Table>)>,
    depth: u32,
    /// The zstd level of what is inserted.
    level: i32,
    /// The byte of the parent that corresponds to the next one.
    at: u64,
    /// Records in a row that resembled nothing.
    misses: u32,
}

/// New chunks that follow one another.
struct Run {
    /// Numbers of the chunks in their window.
    first: usize,
    end: usize,
    /// Where its counterpart begins in the parent.
    at: u64,
    misses: u32,
}

/// A record of differences: the chunks `first..end` as one block.
struct Record {
    first: usize,
    end: usize,
    encoded: Encoded,
}

impl<'a> Alignment<'a> {
    pub(crate) fn new(writer: &'a StoreWriter<'a>, outline: &Outline) -> Alignment<'a> {
        let parent = outline.parent.filter(|_| outline.effort != Effort::Fast);
        let parent =
            parent.and_then(|blob| Some((blob, writer.tables.get(writer.store(), &blob)?)));
        Alignment {
            writer,
            parent,
            depth: outline.depth.map_or(DEPTH, |d| d.max(1)),
            level: Levels::of(outline.effort).chunk,
            at: 0,
            misses: 0,
        }
    }

    /// Encodes and writes the runs of a window that resemble the parent, and marks their chunks as
    /// known.
    pub(crate) fn encode(
        &mut self,
        window: &Window,
        chunks: &[&[u8]],
        prepared: &mut [Prepared],
        parallel: bool,
    ) -> Result<()> {
        let Some((blob, table)) = self.parent.clone() else { return Ok(()) };
        let runs = self.runs(&table, window, prepared);
        let records = |run: &Run| self.records((&blob, &table), run, chunks);
        let outcomes: Vec<(Vec<Record>, u64, u32)> = match parallel {
            true => runs.par_iter().map(records).collect(),
            false => runs.iter().map(records).collect(),
        };
        if let (Some(run), Some((_, at, misses))) = (runs.last(), outcomes.last())
            && run.end == chunks.len()
        {
            (self.at, self.misses) = (*at, *misses);
        }
        for record in outcomes.into_iter().flat_map(|(records, ..)| records) {
            let Record { first, end, encoded } = record;
            let members = members(&prepared[first..end], &chunks[first..end]);
            prepared[first..end].iter_mut().for_each(|chunk| chunk.fate = Fate::Known);
            let raw = joined(&chunks[first..end]);
            self.writer.append_encoded(Kind::Blob, &encoded, &raw, &members)?;
        }
        Ok(())
    }

    /// Finds the runs of a window, and follows the chunks that the parent has.
    fn runs(&mut self, table: &Table, window: &Window, prepared: &[Prepared]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut open = None;
        for (n, (cut, chunk)) in window.cuts.iter().zip(prepared).enumerate() {
            if matches!(chunk.fate, Fate::Fresh) {
                open.get_or_insert(Run { first: n, end: n, at: self.at, misses: self.misses })
                    .end = n + 1;
                self.at += cut.len as u64;
                continue;
            }
            runs.extend(open.take());
            match table.place_of(&chunk.id, self.at) {
                Some(place) => (self.at, self.misses) = (place.end, 0),
                None => self.at += cut.len as u64,
            }
        }
        runs.extend(open);
        runs
    }

    /// Divides a run into records and encodes them one after the other, each from where the one before
    /// ended in the parent.
    fn records(
        &self,
        parent: (&Hash, &Table),
        run: &Run,
        chunks: &[&[u8]],
    ) -> (Vec<Record>, u64, u32) {
        let (mut at, mut misses) = (run.at, run.misses);
        let mut records = Vec::new();
        let mut first = run.first;
        while first < run.end {
            let mut end = first + 1;
            let mut len = chunks[first].len();
            while end < run.end && len + chunks[end].len() <= RECORD {
                len += chunks[end].len();
                end += 1;
            }
            let found = if misses < PATIENCE {
                self.record(parent, at, &joined(&chunks[first..end]))
            } else {
                None
            };
            match found {
                None if len < SHORTEST => {}
                Some((encoded, next)) => {
                    records.push(Record { first, end, encoded });
                    (at, misses) = (next, 0);
                }
                // New rows have no counterpart: what follows them still has the one they pushed on.
                None => misses = misses.saturating_add(1),
            }
            first = end;
        }
        (records, at, misses)
    }

    fn record(
        &self,
        (blob, table): (&Hash, &Table),
        at: u64,
        raw: &[u8],
    ) -> Option<(Encoded, u64)> {
        let len = raw.len() as u64;
        if raw.len() < SHORTEST || len > MAX_SHARED_DIFF {
            return None;
        }
        let cover = table.cover(at..at + len + (len / 2).min(SLACK))?;
        let base = self.writer.base(blob, &cover, self.depth)?;
        let diffed = codec::diff::encode(raw, base.aligned(), raw.len() / PAYS, self.level)?;
        let encoded = base.proven(Encoding::Diff, &diffed.stored, raw)?;
        Some((encoded, at + diffed.base_end as u64))
    }
}

/// The bytes of some chunks, one after the other.
pub(crate) fn joined<'a>(chunks: &[&'a [u8]]) -> Cow<'a, [u8]> {
    match chunks {
        [only] => Cow::Borrowed(only),
        several => Cow::Owned(several.concat()),
    }
}

/// The chunks of one block, and where each begins in it.
pub(crate) fn members(prepared: &[Prepared], chunks: &[&[u8]]) -> Vec<(Hash, u32)> {
    let mut start = 0;
    let place = |(prepared, chunk): (&Prepared, &&[u8])| {
        let place = (prepared.id, start);
        // Blocks are far below 4 GiB.
        start += u32::try_from(chunk.len()).unwrap_or(0);
        place
    };
    prepared.iter().zip(chunks).map(place).collect()
}
