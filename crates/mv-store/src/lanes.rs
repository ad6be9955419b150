//! A few threads that wait for answers, where rayon's would be idle doing so.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// Calls `work` once for each item, `lanes` of them at a time, in order of their begin. The first
/// error ends it: what has begun is finished, nothing else begins.
///
/// # Errors
/// The first error that `work` returned.
pub(crate) fn each<T: Sync>(
    lanes: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    each_with_buffer(lanes, items, |item, _| work(item))
}

/// The same, with a buffer that each lane keeps: pages that come and go cost more than reading.
///
/// # Errors
/// As [`each`].
pub(crate) fn each_with_buffer<T: Sync>(
    lanes: usize,
    items: &[T],
    work: impl Fn(&T, &mut Vec<u8>) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<Error>> = Mutex::new(None);
    let run = || {
        let mut buffer = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(item, &mut buffer) {
                next.store(items.len(), Ordering::Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    match lanes.min(items.len()) {
        0 | 1 => run(),
        lanes => std::thread::scope(|scope| {
            for _ in 1..lanes {
                scope.spawn(run);
            }
            run();
        }),
    }
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once_by_any_number_of_lanes() {
        for lanes in [1, 3, 100] {
            let counts: Vec<AtomicUsize> = (0..50).map(|_| AtomicUsize::new(0)).collect();
            let items: Vec<usize> = (0..50).collect();
            each(lanes, &items, |n| {
                counts[*n].fetch_add(1, Ordering::Relaxed);
                Ok(())
            })
            .unwrap();
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn nothing_begins_after_an_error() {
        let begun = AtomicUsize::new(0);
        let outcome = each(1, &[0; 10], |_| {
            begun.fetch_add(1, Ordering::Relaxed);
            Err(Error::Cancelled)
        });
        assert!(matches!(outcome, Err(Error::Cancelled)));
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }
}
