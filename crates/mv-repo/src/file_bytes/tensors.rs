//! Whether two tensors have the same bytes.

use mv_formats::{Location, Tensor, TensorBytes};
use mv_store::Progress;

use super::{Fault, FileBytes, shared};

/// Whether two tensors of one type and shape have the same bytes. Of plain ones in stored files only
/// what their chunks leave open is read. Bytes in another file are looked at as that file.
///
/// # Errors
/// What reading either gives.
pub(crate) fn same_tensor(
    (old, from): (&FileBytes, &Tensor),
    (new, to): (&FileBytes, &Tensor),
    progress: &Progress,
) -> Result<bool, Fault> {
    let equal = match (from.location, to.location) {
        (Location::Elsewhere, _) | (_, Location::Elsewhere) => from.location == to.location,
        (
            Location::Plain { offset: a, len } | Location::Scattered { offset: a, len },
            Location::Plain { offset: b, len: m } | Location::Scattered { offset: b, len: m },
        ) => len == m && shared::same((old, a), (new, b), len, progress)?,
        (
            Location::Deflated { offset: a, packed, skip, len },
            Location::Deflated { offset: b, packed: p, skip: s, len: m },
        ) if (packed, skip, len) == (p, s, m)
            && shared::same((old, a), (new, b), packed, progress)? =>
        {
            true
        }
        // The same elements may be compressed otherwise.
        _ => {
            let mut equal = true;
            side_by_side((old, from), (new, to), progress, &mut |left, right| {
                equal &= left == right;
                equal
            })?;
            equal
        }
    };
    Ok(equal)
}

/// Hands the bytes of both tensors to `visit`, piece by piece, while it says so; at the end of one of
/// unequal length, a piece and an empty one.
pub(crate) fn side_by_side(
    (old, from): (&FileBytes, &Tensor),
    (new, to): (&FileBytes, &Tensor),
    progress: &Progress,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
) -> Result<(), Fault> {
    let mut left = old.told(TensorBytes::open(old, from))?;
    let mut right = new.told(TensorBytes::open(new, to))?;
    loop {
        progress.check()?;
        let (a, b) = (old.told(left.piece())?, new.told(right.piece())?);
        if a.is_none() && b.is_none() {
            return Ok(());
        }
        let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
        if !visit(a, b) || a.len() != b.len() {
            return Ok(());
        }
    }
}
