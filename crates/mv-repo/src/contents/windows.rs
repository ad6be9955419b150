//! [`Windows`]: the parts of a file that were read last, so that a parser's many small reads cost
//! one decoding of a chunk.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a window; windows begin at its multiples.
const WINDOW: u64 = 1 << 20;
/// Windows kept: enough for a header, a footer and two places in between.
const KEPT: usize = 4;

/// A few windows of one file.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Least recently used first. Never held while a window is fetched.
    recent: Mutex<VecDeque<(u64, Arc<Vec<u8>>)>>,
}

impl Windows {
    /// Fills `into` with the bytes from `offset` of a file of `size` bytes. `fetch` reads a start and
    /// a length that lie in the file. What spans more than two windows is fetched as it is.
    pub(super) fn read_at(
        &self,
        size: u64,
        offset: u64,
        into: &mut [u8],
        fetch: &dyn Fn(u64, u64) -> io::Result<Vec<u8>>,
    ) -> io::Result<()> {
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let len = into.len() as u64;
        let end = offset.checked_add(len).filter(|end| *end <= size).ok_or_else(short)?;
        if len >= WINDOW {
            let bytes = fetch(offset, len)?;
            into.copy_from_slice(bytes.get(..into.len()).ok_or_else(short)?);
            return Ok(());
        }
        let (mut at, mut rest) = (offset, into);
        while at < end {
            let start = at - at % WINDOW;
            let window = self.window(start, WINDOW.min(size - start), fetch)?;
            let skip = (at - start) as usize;
            let part = window.get(skip..).filter(|part| !part.is_empty()).ok_or_else(short)?;
            let take = part.len().min(rest.len());
            let (now, later) = rest.split_at_mut(take);
            now.copy_from_slice(&part[..take]);
            (at, rest) = (at + take as u64, later);
        }
        Ok(())
    }

    fn window(
        &self,
        start: u64,
        len: u64,
        fetch: &dyn Fn(u64, u64) -> io::Result<Vec<u8>>,
    ) -> io::Result<Arc<Vec<u8>>> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut recent = recent();
            if let Some(at) = recent.iter().position(|(s, _)| *s == start)
                && let Some(window) = recent.remove(at)
            {
                let bytes = Arc::clone(&window.1);
                recent.push_back(window);
                return Ok(bytes);
            }
        }
        let bytes = Arc::new(fetch(start, len)?);
        let mut recent = recent();
        if recent.len() >= KEPT {
            recent.pop_front();
        }
        recent.push_back((start, Arc::clone(&bytes)));
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn file() -> Vec<u8> {
        (0..3 * WINDOW as u32 + 77).map(|i| (i ^ (i >> 9)) as u8).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_read_gives_the_bytes_of_the_file(reads in prop::collection::vec((0..3_300_000u64, 0..2_200_000usize), 1..12)) {
            let file = file();
            let fetch = |start: u64, len: u64| Ok(file[start as usize..(start + len) as usize].to_vec());
            let windows = Windows::default();
            for (offset, len) in reads {
                let mut into = vec![0; len];
                let read = windows.read_at(file.len() as u64, offset, &mut into, &fetch);
                match file.get(offset as usize..offset as usize + len) {
                    Some(expected) => { read.unwrap(); prop_assert!(into == expected); }
                    None => prop_assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof),
                }
            }
        }
    }

    #[test]
    fn small_reads_side_by_side_fetch_once() {
        let file = file();
        let fetched = AtomicUsize::new(0);
        let fetch = |start: u64, len: u64| {
            fetched.fetch_add(1, Ordering::Relaxed);
            Ok(file[start as usize..(start + len) as usize].to_vec())
        };
        let windows = Windows::default();
        for offset in 0..1000 {
            windows.read_at(file.len() as u64, offset * 8, &mut [0; 8], &fetch).unwrap();
        }
        assert_eq!(fetched.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_fetch_that_gives_too_little_is_an_error_not_a_loop() {
        let windows = Windows::default();
        let fetch = |_, _| Ok(Vec::new());
        assert!(windows.read_at(100, 10, &mut [0; 8], &fetch).is_err());
    }
}
