//! A column's integers: byte planes of their distances to the least one, or of their steps.
//!
//! ```text
//! form    u8        the width, 0 to 8; plus 16 when the integers are steps
//! least   varint    zigzag
//! start   varint    zigzag; only for steps
//! planes  width x stream, one byte an integer: the lowest bytes, then the next ones
//! ```
//!
//! The planes make unsigned numbers. Each is added to `least`: that is the integer, or the step that
//! leads to it from the one before it, the first from `start`.

use super::super::streams;

/// The bit of the form that says steps.
const STEPS: u8 = 16;

/// Appends integers in whichever form is smaller.
pub(super) fn put(into: &mut Vec<u8>, integers: &[i64], level: i32) {
    let plain = planes(integers, None, level);
    let start = integers.first().copied().unwrap_or(0);
    let steps: Option<Vec<i64>> =
        integers.windows(2).map(|pair| pair[1].checked_sub(pair[0])).collect();
    let stepped = steps.and_then(|steps| {
        // The first step costs nothing when it is the least one.
        let first = steps.iter().min().copied().unwrap_or(0);
        let steps: Vec<i64> = std::iter::once(first).chain(steps).collect();
        Some(planes(&steps, Some(start.checked_sub(first)?), level))
    });
    into.extend_from_slice(&stepped.filter(|s| s.len() < plain.len()).unwrap_or(plain));
}

/// The stored form of integers, or of steps when there is a start.
fn planes(integers: &[i64], start: Option<i64>, level: i32) -> Vec<u8> {
    let least = integers.iter().min().copied().unwrap_or(0);
    let most = integers.iter().max().copied().unwrap_or(0);
    let width = (64 - most.abs_diff(least).leading_zeros()).div_ceil(8);
    let form = u8::try_from(width).expect("at most 8");
    let mut stored = vec![form + if start.is_some() { STEPS } else { 0 }];
    streams::put_varint(&mut stored, streams::zigzag(least));
    if let Some(start) = start {
        streams::put_varint(&mut stored, streams::zigzag(start));
    }
    for plane in 0..width {
        let byte = |n: &i64| (n.abs_diff(least) >> (8 * plane)).to_le_bytes()[0];
        let bytes: Vec<u8> = integers.iter().map(byte).collect();
        streams::put(&mut stored, &bytes, level, true);
    }
    stored
}

/// Takes `count` integers off the front, each of them below 2^63 in size.
pub(super) fn take(from: &mut &[u8], count: usize) -> Result<Vec<i64>, String> {
    let form = streams::take_byte(from)?;
    let width = usize::from(form & !STEPS);
    if width > 8 {
        return Err(format!("integers of form {form}"));
    }
    let least = streams::unzigzag(streams::take_varint(from)?);
    let steps = form & STEPS != 0;
    let mut last = if steps { streams::unzigzag(streams::take_varint(from)?) } else { 0 };
    let mut integers = vec![0u64; count];
    for plane in 0..width {
        let bytes = streams::take(from, count)?;
        if bytes.len() != count {
            return Err("a plane has too few bytes".into());
        }
        for (n, &byte) in integers.iter_mut().zip(&*bytes) {
            *n |= u64::from(byte) << (8 * plane);
        }
    }
    let whole = |n: u64| {
        let n = least.checked_add_unsigned(n)?;
        last = if steps { last.checked_add(n)? } else { n };
        Some(last)
    };
    integers.into_iter().map(whole).collect::<Option<_>>().ok_or_else(|| "integers overflow".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_whatever_their_range() {
        let rising: Vec<i64> = (0..5000).map(|n| 1_000_000 + 3 * n).collect();
        for integers in
            [&[][..], &[7], &[i64::MIN, i64::MAX, 0], &[-1, -1, -1], &[5, 4, 300, -70_000], &rising]
        {
            let mut stored = Vec::new();
            put(&mut stored, integers, 3);
            let mut from = &stored[..];
            assert_eq!(take(&mut from, integers.len()).unwrap(), integers);
            assert!(from.is_empty());
        }
    }

    #[test]
    fn a_constant_step_costs_nothing_a_row() {
        let mut stored = Vec::new();
        put(&mut stored, &(0..5000).map(|n| 1_000_000 + 3 * n).collect::<Vec<_>>(), 3);
        assert!(stored.len() < 10);
    }

    #[test]
    fn integers_that_overflow_are_refused() {
        let mut most = vec![1];
        streams::put_varint(&mut most, streams::zigzag(i64::MAX));
        most.extend_from_slice(&[2, 1]);
        assert!(take(&mut &most[..], 1).is_err());
        assert!(take(&mut &[9, 0][..], 1).is_err());
    }
}
