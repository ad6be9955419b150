//! Collecting an answer into memory that never outgrows what was asked for, however long it is.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

/// Room made for an answer before it comes; more only as it comes.
const ROOM: u64 = 8 << 20;

/// Which bytes of an answer are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    /// All; more than this many is too much.
    All(u64),
    /// So many after so many others; what follows is not waited for.
    Window {
        /// How many to drop.
        skip: u64,
        /// How many to keep.
        len: u64,
    },
    /// The last ones.
    Tail(u64),
}

/// What came.
#[derive(Debug, Default)]
pub(crate) struct Got {
    /// The bytes that were to be kept, or fewer when the answer was shorter.
    pub(crate) bytes: Vec<u8>,
    /// How many bytes passed, kept or not.
    pub(crate) passed: u64,
    /// There were more than all that were wanted; the bytes are worth nothing.
    pub(crate) over: bool,
}

/// Collects from a stream. `announced` is how long the answer says it is, which is only a hint.
pub(crate) async fn gather<E>(
    mut stream: BoxStream<'static, Result<Bytes, E>>,
    keep: Keep,
    announced: u64,
) -> Result<Got, E> {
    let (Keep::All(most) | Keep::Window { len: most, .. } | Keep::Tail(most)) = keep;
    let room = usize::try_from(most.min(announced).min(ROOM)).unwrap_or(0);
    let mut got = Got { bytes: Vec::with_capacity(room), ..Got::default() };
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    while let Some(piece) = stream.next().await {
        let mut piece = piece?;
        let before = got.passed;
        got.passed = before.saturating_add(piece.len() as u64);
        match keep {
            Keep::All(_) => {
                if piece.len() > most - got.bytes.len() {
                    got.over = true;
                    return Ok(got);
                }
                got.bytes.extend_from_slice(&piece);
            }
            Keep::Window { skip, .. } => {
                let drop = usize::try_from(skip.saturating_sub(before)).unwrap_or(usize::MAX);
                let mut rest = piece.split_off(drop.min(piece.len()));
                rest.truncate(most - got.bytes.len());
                got.bytes.extend_from_slice(&rest);
                if got.bytes.len() == most {
                    return Ok(got);
                }
            }
            Keep::Tail(_) => {
                got.bytes.extend_from_slice(&piece);
                // Moving the tail down for each piece would be quadratic.
                if got.bytes.len() > most.saturating_mul(2).saturating_add(1 << 20) {
                    got.bytes.drain(..got.bytes.len() - most);
                }
            }
        }
    }
    if matches!(keep, Keep::Tail(_)) {
        got.bytes.drain(..got.bytes.len().saturating_sub(most));
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn run(keep: Keep) -> Got {
        let pieces = ["", "abc", "defgh", "i"].map(|p| Ok::<_, Infallible>(Bytes::from(p)));
        let stream = futures_util::stream::iter(pieces).boxed();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(gather(stream, keep, 9)).unwrap()
    }

    #[test]
    fn what_is_kept_is_what_was_asked_for() {
        assert_eq!(run(Keep::All(9)).bytes, b"abcdefghi");
        assert!(run(Keep::All(8)).over && !run(Keep::All(9)).over);
        assert_eq!(run(Keep::Window { skip: 2, len: 4 }).bytes, b"cdef");
        assert_eq!(run(Keep::Window { skip: 7, len: 4 }).bytes, b"hi");
        assert_eq!(run(Keep::Tail(4)).bytes, b"fghi");
        assert_eq!(run(Keep::Tail(40)).bytes, b"abcdefghi");
    }
}
