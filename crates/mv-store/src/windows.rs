//! Reading a file in windows and cutting it: at the ends of its parts, inside of numbers at fixed
//! distances from their begin, elsewhere where the content says.

use std::io::Read;
use std::path::Path;

use crate::codec::Element;
use crate::cut::SIZES;
use crate::error::{IoContext, Result};
use crate::outline::{Outline, Part};
use crate::progress::Task;

/// Raw bytes of a block of numbers. A multiple of the size of any.
pub(crate) const NUMBERS: u64 = 1 << 20;

/// One chunk of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) len: usize,
    /// The number of the part that it lies in, and where it begins there.
    pub(crate) part: Option<(usize, u64)>,
    /// The numbers that it consists of.
    pub(crate) element: Option<Element>,
}

/// Bytes of a file and where they are cut.
#[derive(Default)]
pub(crate) struct Window {
    pub(crate) bytes: Vec<u8>,
    pub(crate) cuts: Vec<Cut>,
}

impl Window {
    /// Bytes that were cut.
    pub(crate) fn used(&self) -> usize {
        self.cuts.iter().map(|cut| cut.len).sum()
    }

    /// Its chunks in order.
    pub(crate) fn chunks(&self) -> Vec<&[u8]> {
        let mut rest = &self.bytes[..];
        let take = |cut: &Cut| {
            let (chunk, after) = rest.split_at(cut.len);
            rest = after;
            chunk
        };
        self.cuts.iter().map(take).collect()
    }
}

/// The file being read.
pub(crate) struct Windows<'a> {
    pub(crate) path: &'a Path,
    pub(crate) read: &'a mut (dyn Read + Send),
    pub(crate) at_end: bool,
    pub(crate) task: &'a Task,
    pub(crate) outline: &'a Outline,
    /// Where the next window begins in the file.
    pub(crate) at: u64,
    /// The first part that may still lie ahead.
    pub(crate) part: usize,
}

impl Windows<'_> {
    /// Reads up to `more` bytes after the `rest` of the last window, and cuts what can be cut.
    pub(crate) fn next(&mut self, rest: Vec<u8>, more: usize) -> Result<Window> {
        self.task.check()?;
        let mut bytes = rest;
        if !self.at_end {
            let before = bytes.len();
            bytes.reserve(more + 1);
            // One byte beyond what is expected tells the end of a file without another window.
            let limit = (more as u64).saturating_add(1);
            let got =
                (&mut *self.read).take(limit).read_to_end(&mut bytes).at("read", self.path)?;
            self.at_end = (got as u64) < limit;
            self.task.add((bytes.len() - before) as u64);
        }
        let mut cuts = Vec::new();
        let mut rest = &bytes[..];
        while let Some(cut) = self.cut(rest).filter(|_| !rest.is_empty()) {
            cuts.push(cut);
            rest = &rest[cut.len..];
            self.at += cut.len as u64;
        }
        Ok(Window { bytes, cuts })
    }

    /// The first chunk of what lies ahead; none when more must be read to tell.
    fn cut(&mut self, rest: &[u8]) -> Option<Cut> {
        let parts = &self.outline.parts;
        while parts
            .get(self.part)
            .is_some_and(|part| part.start.saturating_add(part.len) <= self.at)
        {
            self.part += 1;
        }
        let (part, limit) = match parts.get(self.part) {
            Some(part) if part.start <= self.at => {
                (Some((self.part, self.at - part.start)), end_of(part, self.at) - self.at)
            }
            Some(next) => (None, next.start - self.at),
            None => (None, u64::MAX),
        };
        let element = part.and_then(|(n, _)| parts.get(n)?.element);
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let len = match element {
            Some(_) if rest.len() >= most => Some(most),
            // The file is shorter than its outline says.
            Some(_) => self.at_end.then_some(rest.len()),
            None if rest.len() >= most => SIZES.first_cut(&rest[..most], true),
            None => SIZES.first_cut(rest, self.at_end),
        }?;
        Some(Cut { len, part, element })
    }
}

/// Where the chunk at `at` of a part ends at the latest.
fn end_of(part: &Part, at: u64) -> u64 {
    let end = part.start.saturating_add(part.len);
    match part.element {
        Some(_) => end.min(part.start + ((at - part.start) / NUMBERS + 1) * NUMBERS),
        None => end,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Progress, Unit};

    fn part(start: u64, len: u64, element: Option<Element>) -> Part {
        Part { start, len, element, similar: Vec::new() }
    }

    /// Cuts a file in windows of a size and returns where its chunks end.
    fn cuts(bytes: &[u8], outline: &Outline, window: usize) -> Vec<(u64, Option<(usize, u64)>)> {
        let task = Progress::new().task("t", Unit::Bytes);
        let mut read = bytes;
        let path = Path::new("f");
        let mut windows =
            Windows { path, read: &mut read, at_end: false, task: &task, outline, at: 0, part: 0 };
        let mut ends = Vec::new();
        let mut current = windows.next(Vec::new(), window).unwrap();
        let mut at = 0;
        while !(windows.at_end && current.bytes.is_empty()) {
            for cut in &current.cuts {
                at += cut.len as u64;
                ends.push((at, cut.part));
            }
            let rest = current.bytes[current.used()..].to_vec();
            current = windows.next(rest, window).unwrap();
        }
        assert_eq!(at, bytes.len() as u64);
        ends
    }

    #[test]
    fn numbers_are_cut_at_fixed_distances_from_their_begin_and_parts_where_they_end() {
        let bytes = vec![7; 4 << 20];
        let parts = vec![part(100, 2_500_000, Some(Element::F32)), part(2_600_000, 50_000, None)];
        let outline = Outline { parts, ..Outline::default() };
        let ends = cuts(&bytes, &outline, 8 << 20);
        let first: Vec<u64> = ends.iter().map(|(end, _)| *end).take(6).collect();
        let mib = NUMBERS;
        assert_eq!(first, [100, 100 + mib, 100 + 2 * mib, 2_500_100, 2_600_000, 2_650_000]);
        assert_eq!(ends[1].1, Some((0, 0)));
        assert_eq!(ends[2].1, Some((0, mib)));
        assert_eq!(ends[4].1, None);
        assert_eq!(ends[5].1, Some((1, 0)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_outline_cuts_all_of_a_file_and_the_same_in_any_windows(
            len in 0usize..3_000_000,
            mut places in prop::collection::vec((0u64..4_000_000, 0u64..2_000_000, any::<bool>()), 0..6),
            window in 600_000usize..2_000_000,
        ) {
            let mut bytes = vec![0; len];
            blake3::Hasher::new().finalize_xof().fill(&mut bytes);
            places.sort_unstable();
            let mut parts: Vec<Part> = Vec::new();
            for (start, len, numbers) in places {
                if parts.last().is_none_or(|last| last.start + last.len <= start) {
                    parts.push(part(start, len, numbers.then_some(Element::Bf16)));
                }
            }
            let outline = Outline { parts, ..Outline::default() };
            prop_assert_eq!(cuts(&bytes, &outline, window), cuts(&bytes, &outline, 8 << 20));
        }
    }
}
