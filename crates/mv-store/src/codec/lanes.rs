//! Bit streams of the entropy coder: several side by side, so that a processor can work on all.
//!
//! A lane is a string of bits, the lowest bit of a byte first. It begins with zeros and a one, so
//! many that the lane ends with a byte; then 9 bits, the first state. For each element follow the
//! bits of the next state and the raw bits of the token. After the last element the state is 0.
//! The encoder starts there and works from the end to the begin.

use super::entropy::{Cell, FIELD, LOG, SIZE};
use super::token::{Alphabet, SHORTS, WORDS};

/// Bits of a token in a lane, at most, where tokens are read without a look at where the bytes end.
const TOKEN: usize = 40;

/// Bits that are there at once, at least.
const AT_ONCE: usize = 57;

// What is read without a look rests on these.
const _: () = assert!(longest(&WORDS) <= TOKEN && 2 * longest(&SHORTS) < AT_ONCE);

/// Bits that the longest token takes, with its state.
const fn longest(alphabet: &Alphabet) -> usize {
    LOG as usize + alphabet.raw_bits[alphabet.tokens - 1] as usize
}

/// Writes one lane from its end to its begin.
#[derive(Clone, Copy)]
pub(crate) struct LaneWriter {
    /// The state, [`SIZE`] to twice that.
    pub(crate) state: u32,
    held: u64,
    count: u32,
    /// Where the written bytes begin.
    at: usize,
}

impl LaneWriter {
    /// Starts a lane that ends at `end`.
    pub(crate) fn ending_at(end: usize) -> Self {
        LaneWriter { state: SIZE as u32, held: 0, count: 0, at: end }
    }

    /// Puts bits in front of those before; with those that wait there are at most 64.
    #[inline(always)]
    pub(crate) fn push(&mut self, bits: u64, count: u32) {
        self.held = self.held << count | bits;
        self.count += count;
    }

    /// Writes whole bytes, up to 7 bits wait; there are 8 bytes of room in front.
    #[inline(always)]
    pub(crate) fn flush(&mut self, buffer: &mut [u8]) {
        let top = self.held.wrapping_shl(64 - self.count);
        buffer[self.at - 8..self.at].copy_from_slice(&top.to_le_bytes());
        self.at -= (self.count >> 3) as usize;
        self.count &= 7;
    }

    /// Puts the state and the first one in front; returns where the lane begins.
    pub(crate) fn finish(mut self, buffer: &mut [u8]) -> usize {
        let state = u64::from(self.state) - SIZE as u64;
        self.push(state << 1 | 1, LOG + 1);
        self.flush(buffer);
        if self.count > 0 {
            self.at -= 1;
            buffer[self.at] = (self.held << (8 - self.count)) as u8;
        }
        self.at
    }
}

/// Reads `N` lanes that lie one behind the other.
pub(crate) struct Lanes<'a, const N: usize> {
    bytes: &'a [u8],
    heads: [Head; N],
    /// Where each ends, in bytes.
    ends: [usize; N],
}

/// How far a lane is read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Head {
    state: u32,
    /// Where it goes on, in bits.
    at: usize,
}

impl Head {
    /// Takes `T` tokens of a lane, in the tables that begin at `fields`, from the lane's next `bits`:
    /// at most 56 are taken.
    ///
    /// Gives their numbers.
    #[inline(always)]
    pub(crate) fn step<const T: usize>(
        &mut self,
        mut bits: u64,
        cells: &[Cell; FIELD * SIZE],
        fields: [u16; T],
        how: impl LowBits,
    ) -> [u32; T] {
        let Head { mut state, at } = *self;
        let mut taken = [0; T];
        // A one above all bits: the zeros that come above it count what is taken.
        bits |= 1 << 63;
        for (taken, field) in taken.iter_mut().zip(fields) {
            let cell = cells[(u32::from(field) + state) as usize & (FIELD * SIZE - 1)];
            let (low, raw) = cell.counts();
            state = cell.next() + how.low_bits(bits, low) as u32;
            bits = bits.wrapping_shr(low);
            *taken = cell.head().wrapping_shl(raw) | how.low_bits(bits, raw) as u32;
            bits = bits.wrapping_shr(raw);
        }
        *self = Head { state, at: at + bits.leading_zeros() as usize };
        taken
    }
}

impl<'a, const N: usize> Lanes<'a, N> {
    /// Opens lanes of these lengths at the begin of `bytes`.
    pub(crate) fn open(bytes: &'a [u8], lengths: [usize; N]) -> Result<Self, String> {
        let mut lanes = Lanes { bytes, heads: [Head::default(); N], ends: [0; N] };
        let mut start = 0usize;
        for (lane, length) in lengths.into_iter().enumerate() {
            let end = start.saturating_add(length);
            let first = match bytes.get(start..end) {
                Some([first, ..]) if *first != 0 => first.trailing_zeros() as usize + 1,
                _ => return Err("a lane has no begin".into()),
            };
            lanes.heads[lane].at = 8 * start + first;
            lanes.ends[lane] = end;
            lanes.heads[lane].state = lanes.peek(&lanes.heads[lane]) as u32 & (SIZE as u32 - 1);
            lanes.heads[lane].at += LOG as usize;
            start = end;
        }
        Ok(lanes)
    }

    /// The next bits of a lane, at least 57; behind the bytes there are zeros.
    #[inline(always)]
    pub(crate) fn peek(&self, lane: &Head) -> u64 {
        load(self.bytes, lane.at >> 3) >> (lane.at & 7)
    }

    /// Whether bytes are left for `tokens` of each lane, of [`TOKEN`] bits, and 8 more.
    #[inline(always)]
    pub(crate) fn is_roomy(&self, tokens: usize) -> bool {
        let most = self.heads.iter().fold(0, |most, lane| most.max(lane.at >> 3));
        most + TOKEN / 8 * tokens + 8 <= self.bytes.len()
    }

    /// The same as [`Lanes::peek`], without looking where the bytes end.
    ///
    /// # Safety
    ///
    /// Since [`Lanes::is_roomy`] was true, fewer tokens were taken of the lane than it was asked for.
    #[inline(always)]
    #[expect(unsafe_code, reason = "a comparison for each load takes a sixth of the time")]
    pub(crate) unsafe fn peek_roomy(&self, lane: &Head) -> u64 {
        let at = lane.at;
        debug_assert!((at >> 3) + 8 <= self.bytes.len(), "`is_roomy` was asked");
        // SAFETY: the caller promises that 8 bytes are left.
        let eight = unsafe { self.bytes.as_ptr().add(at >> 3).cast::<[u8; 8]>().read() };
        u64::from_le_bytes(eight) >> (at & 7)
    }

    /// How far the lanes are read, to be taken further apart from them.
    pub(crate) fn heads(&self) -> [Head; N] {
        self.heads
    }

    /// Goes on from there.
    pub(crate) fn advance(&mut self, heads: [Head; N]) {
        self.heads = heads;
    }

    /// Takes a token of a lane with up to 61 raw bits, and gives its number.
    #[inline(always)]
    pub(crate) fn long_step(
        &mut self,
        lane: usize,
        cells: &[Cell; FIELD * SIZE],
        field: u16,
    ) -> u64 {
        let cell = cells[(u32::from(field) + self.heads[lane].state) as usize & (FIELD * SIZE - 1)];
        let (state, raw) = (cell.state_bits(), cell.raw_bits());
        self.heads[lane].state =
            cell.next() + Plain.low_bits(self.peek(&self.heads[lane]), state) as u32;
        self.heads[lane].at += state as usize;
        let low = raw.min(32);
        let mut value = Plain.low_bits(self.peek(&self.heads[lane]), low);
        self.heads[lane].at += low as usize;
        value |= Plain.low_bits(self.peek(&self.heads[lane]), raw - low) << low;
        self.heads[lane].at += (raw - low) as usize;
        u64::from(cell.head()).wrapping_shl(raw) | value
    }

    /// Checks that every lane ends where and as it must.
    pub(crate) fn finish(self) -> Result<(), String> {
        let mut lanes = self.ends.iter().zip(self.heads);
        if lanes.all(|(end, lane)| lane.at == 8 * end && lane.state == 0) {
            return Ok(());
        }
        Err("a lane does not end with its last element".into())
    }
}

/// How the lowest bits of a word are taken. A count is what the lowest byte says, below 64.
pub(crate) trait LowBits: Copy {
    /// So many of the lowest bits.
    fn low_bits(self, bits: u64, count: u32) -> u64;
}

/// As any processor can.
#[derive(Clone, Copy)]
pub(crate) struct Plain;

impl LowBits for Plain {
    #[inline(always)]
    fn low_bits(self, bits: u64, count: u32) -> u64 {
        bits & (1u64.wrapping_shl(count) - 1)
    }
}

/// The bit manipulation instructions of x86-64. Who has one of these runs where they are.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Bmi(());

#[cfg(target_arch = "x86_64")]
impl Bmi {
    /// Them, if the processor has them.
    pub(crate) fn here() -> Option<Bmi> {
        #[cfg(test)]
        if BASELINE.get() {
            return None;
        }
        let all = is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt");
        all.then_some(Bmi(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl LowBits for Bmi {
    #[inline(always)]
    #[expect(unsafe_code, reason = "compilers add a needless instruction to the count")]
    fn low_bits(self, bits: u64, count: u32) -> u64 {
        // SAFETY: a `Bmi` is made only where the processor has this.
        unsafe { std::arch::x86_64::_bzhi_u64(bits, count) }
    }
}

#[cfg(test)]
thread_local! {
    /// Whether to do without the instructions of newer processors.
    pub(crate) static BASELINE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Eight bytes from `at` on, little-endian.
#[inline(always)]
fn load(bytes: &[u8], at: usize) -> u64 {
    match bytes.get(at..at.wrapping_add(8)).and_then(|b| b.first_chunk()) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => load_at_end(bytes, at),
    }
}

#[cold]
#[inline(never)]
fn load_at_end(bytes: &[u8], at: usize) -> u64 {
    let left = bytes.get(at..).unwrap_or_default();
    let mut eight = [0; 8];
    for (to, from) in eight.iter_mut().zip(left) {
        *to = *from;
    }
    u64::from_le_bytes(eight)
}
