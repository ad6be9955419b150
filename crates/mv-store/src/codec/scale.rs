//! Contexts of differences: how large a difference is to be expected.
//!
//! An optimiser moves all weights of a tensor by about the same amount, and whole rows by more or
//! less than others. Counted in units of the last place of the parent, a move therefore doubles when
//! the parent's exponent falls by one, and the size of the moves just before tells of the row.
//!
//! Elements are taken in groups of 32. With `top` and 24 means from the block's header, and `shift`
//! 0 in the first group, an element whose parent has exponent `e` has
//!
//! ```text
//! below   = min(max(top - e, -1), 15)
//! context = min(max((8 below + 10 + (shift >> 3)) >> 2, 0), 23)
//! ```
//!
//! that is, contexts are half octaves. After a group, with the sum over its 32 elements:
//!
//! ```text
//! shift = min(max(shift + (sum(level(token) - means[context]) >> 3), -256), 255)
//! ```
//!
//! Shifts to the right round down. Levels are eighths of an octave, `shift` is in 64ths: half of
//! what a group lies above expectation is believed.

use super::number::Number;

/// Elements between changes of the shift.
pub(crate) const GROUP: usize = 32;
/// Contexts that there are.
pub(crate) const CONTEXTS: usize = 24;

/// Where an element stands on the axis of expected sizes, from which the context follows.
pub(crate) type Place = u8;
/// Places are below this.
pub(crate) const PLACES: usize = 256;

/// The context of each place.
pub(crate) fn contexts() -> [u8; PLACES] {
    std::array::from_fn(|place| ((place as i32 - 40 + 10) >> 2).clamp(0, CONTEXTS as i32 - 1) as u8)
}

/// The place of an exponent, for the window of its group: 8 `below` + 8 + window.
#[inline(always)]
pub(crate) fn place<N: Number>(top: i16, word: N::Word, window: i16) -> Place {
    let below = (top - N::exponent(word) as i16).clamp(-1, 15);
    (8 * below + 8 + window) as Place
}

/// What is known of the size of moves from the groups before.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shift(i32);

impl Shift {
    /// Where the places of the next group begin, 0 to 63.
    #[inline(always)]
    pub(crate) fn window(self) -> i16 {
        (self.0 >> 3) as i16 + 32
    }

    /// Learns from a whole group: the sum of levels less means.
    #[inline(always)]
    pub(crate) fn learn(&mut self, sum: i32) {
        self.0 = (self.0 + (sum >> 3)).clamp(-256, 255);
    }
}

#[cfg(test)]
mod tests {
    use super::super::number::Bf16;
    use super::*;

    fn context(top: i16, exponent: u16, shift: i32) -> u8 {
        let place = place::<Bf16>(top, exponent << 7, Shift(shift).window());
        contexts()[usize::from(place)]
    }

    #[test]
    fn contexts_are_half_octaves() {
        assert_eq!([120, 119, 118].map(|e| context(120, e, 0)), [2, 4, 6]);
        assert_eq!([121, 130].map(|e| context(120, e, 0)), [0, 0]);
        assert_eq!([110, 109, 0].map(|e| context(120, e, 0)), [22, 23, 23]);
    }

    #[test]
    fn larger_moves_raise_the_context() {
        assert_eq!([-64, -32, 0, 32, 64].map(|s| context(120, 118, s)), [4, 5, 6, 7, 8]);
        assert_eq!([-256, 255].map(|s| context(120, 118, s)), [0, 14]);
    }

    #[test]
    fn a_shift_follows_what_it_sees_and_stays_in_its_range() {
        let mut shift = Shift::default();
        // One octave above the mean is 64, and half of it is believed.
        shift.learn(32 * 8);
        assert_eq!(shift.0, 32);
        shift.learn(i32::MAX / 2);
        assert_eq!((shift.0, shift.window()), (255, 63));
        shift.learn(i32::MIN / 2);
        assert_eq!((shift.0, shift.window()), (-256, 0));
    }
}
