//! Contexts of differences: how large a difference is to be expected.
//!
//! An optimiser moves all weights of a tensor by about the same amount, and whole rows by more or
//! less than others. Counted in units of the last place of the parent, a move therefore doubles when
//! the parent's exponent falls by one; and each group of 64 elements has a *window*, which tells how
//! far it moved beside the rest of the block. With `top` from the block's header, an element whose
//! parent has exponent `e` has
//!
//! ```text
//! below   = min(max(top - e, -1), 15)
//! context = min(max((8 below + window - 22) >> 2, 0), 23)
//! ```
//!
//! that is, contexts are half octaves, and windows eighths of one, 32 in the middle.
//!
//! Windows are written down and not learnt from the elements before: so all contexts of a block are
//! known before its first token is read, and nothing waits for it.

use super::number::Number;

/// Elements that have a window together.
pub(crate) const GROUP: usize = 64;
/// The window of a group that moved like the rest of its block.
pub(crate) const MIDDLE: u8 = 32;
/// Windows are below this.
pub(crate) const WINDOWS: u8 = 64;
/// Contexts that there are.
pub(crate) const CONTEXTS: usize = 24;
/// Steps that `below` has.
pub(crate) const STEPS: usize = 17;

/// Where an element stands on the axis of expected sizes, from which the context follows.
pub(crate) type Place = u8;
/// Places are below this.
pub(crate) const PLACES: usize = 256;

/// The context of each place.
pub(crate) fn contexts() -> [u8; PLACES] {
    std::array::from_fn(|place| ((place as i32 - 30) >> 2).clamp(0, CONTEXTS as i32 - 1) as u8)
}

/// How far an exponent is below the top: `below` + 1.
#[inline(always)]
pub(crate) fn step<N: Number>(top: i16, word: N::Word) -> i16 {
    (top - N::exponent(word) as i16).clamp(-1, STEPS as i16 - 2) + 1
}

/// The place of an exponent in a window: 8 `below` + 8 + window.
#[inline(always)]
pub(crate) fn place<N: Number>(top: i16, word: N::Word, window: u8) -> Place {
    (8 * step::<N>(top, word) + i16::from(window)) as Place
}

#[cfg(test)]
mod tests {
    use super::super::number::Bf16;
    use super::*;

    fn context(top: i16, exponent: u16, window: u8) -> u8 {
        let place = place::<Bf16>(top, exponent << 7, window);
        contexts()[usize::from(place)]
    }

    #[test]
    fn contexts_are_half_octaves() {
        assert_eq!([120, 119, 118].map(|e| context(120, e, MIDDLE)), [2, 4, 6]);
        assert_eq!([121, 130].map(|e| context(120, e, MIDDLE)), [0, 0]);
        assert_eq!([110, 109, 0].map(|e| context(120, e, MIDDLE)), [22, 23, 23]);
    }

    #[test]
    fn larger_moves_raise_the_context() {
        assert_eq!([24, 28, 32, 36, 40].map(|w| context(120, 118, w)), [4, 5, 6, 7, 8]);
        assert_eq!([0, WINDOWS - 1].map(|w| context(120, 118, w)), [0, 14]);
    }
}
