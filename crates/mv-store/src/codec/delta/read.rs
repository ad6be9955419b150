//! The decoder of differences: refuses whatever the encoder does not write.

use std::cell::RefCell;

use super::super::bits::BitReader;
use super::super::entropy::{self, Cell, FIELD, Frequencies, SIZE};
use super::super::float;
use super::super::lanes::Lanes;
use super::super::number::{EXPONENTS, Number};
use super::super::scale::{self, CONTEXTS, GROUP, PLACES, Place, Shift};
#[cfg(target_arch = "x86_64")]
use super::has_bmi;
use super::{HEADER, LANES, MANY, MAX_MEAN};

/// Decodes a block of one kind of number.
pub(super) fn decode_as<N: Number>(
    stored: &[u8],
    base: &[u8],
    raw_len: usize,
    into: &mut Vec<u8>,
) -> Result<(), String> {
    let (header, body) = stored.split_at_checked(HEADER).ok_or("difference has no header")?;
    let n = raw_len.min(base.len()) / N::SIZE;
    if n == 0 {
        return Err("difference to an empty base".into());
    }
    let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let top = word(2);
    if usize::from(top) >= EXPONENTS {
        return Err("no such exponent".into());
    }
    let means = std::array::from_fn(|i| word(4 + 2 * i));
    if means.iter().any(|&mean| mean > MAX_MEAN) {
        return Err("no such mean".into());
    }
    let coded = n * N::SIZE;
    let start = into.len();
    thread_local! {
        static FIELDS: RefCell<Vec<Cell>> = RefCell::default();
    }
    let rest = FIELDS.with_borrow_mut(|cells| {
        cells.resize(FIELD * SIZE, Cell::default());
        let cells = cells.first_chunk_mut().ok_or("no room for tables")?;
        let (table_of, body) = read_tables::<N>(body, cells)?;
        into.resize(start + coded, 0);
        let out = &mut into[start..];
        if n >= MANY {
            read_lanes::<N, LANES>(body, &base[..coded], (top, &means), cells, &table_of, out)
        } else {
            read_lanes::<N, 1>(body, &base[..coded], (top, &means), cells, &table_of, out)
        }
    })?;
    match header[1] {
        0 if rest.len() == raw_len - coded => into.extend_from_slice(rest),
        1 if raw_len > coded => float::decode(rest, raw_len - coded, into)?,
        _ => return Err("the rest of a difference does not fit".into()),
    }
    Ok(())
}

/// Reads the tables and makes their automata; returns the table of each context and what follows.
fn read_tables<'a, N: Number>(
    body: &'a [u8],
    cells: &mut [Cell; FIELD * SIZE],
) -> Result<([u8; CONTEXTS], &'a [u8]), String> {
    let alphabet = N::alphabet();
    let mut bits = BitReader::new(body);
    let mut fields = cells.as_chunks_mut::<SIZE>().0.iter_mut();
    let mut table_of = [0; CONTEXTS];
    let mut tables = 0;
    for (context, table) in table_of.iter_mut().enumerate() {
        if context == 0 || bits.take(1)? == 0 {
            let frequencies = Frequencies::read(&mut bits, alphabet.tokens)?;
            let field = fields.next().ok_or("too many tables")?;
            entropy::decoding(&frequencies, &alphabet.raw_bits, field);
            tables += 1;
        }
        *table = tables - 1;
    }
    Ok((table_of, bits.finish()?))
}

/// Decodes all elements into `out`; returns what follows the lanes.
fn read_lanes<'a, N: Number, const L: usize>(
    body: &'a [u8],
    base: &[u8],
    (top, means): (u16, &[u16; CONTEXTS]),
    cells: &[Cell; FIELD * SIZE],
    table_of: &[u8; CONTEXTS],
    out: &mut [u8],
) -> Result<&'a [u8], String> {
    let (lengths, body) = body.split_at_checked(4 * L).ok_or("lengths of lanes are cut off")?;
    let mut sizes = [0; L];
    for (size, length) in sizes.iter_mut().zip(lengths.as_chunks().0) {
        *size = u32::from_le_bytes(*length) as usize;
    }
    let whole = sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size));
    let (body, rest) = body.split_at_checked(whole).ok_or("lanes are cut off")?;
    let lanes = Lanes::<L>::open(body, sizes)?;
    let contexts = scale::contexts();
    let places = std::array::from_fn(|place| {
        let context = usize::from(contexts[place]);
        let field = u32::from(table_of[context]) * SIZE as u32;
        field << 16 | u32::from(means[context])
    });
    run::<N, L>(lanes, base, &Guide { top: top as i16, places, cells }, out)?;
    Ok(rest)
}

/// What decoding a group needs, beside its lanes.
struct Guide<'a> {
    top: i16,
    /// For each place the mean level of its context and, above 16 bits, the begin of its table.
    places: [u32; PLACES],
    cells: &'a [Cell; FIELD * SIZE],
}

/// Decodes all groups with the instructions that the processor has.
fn run<N: Number, const L: usize>(
    lanes: Lanes<'_, L>,
    base: &[u8],
    guide: &Guide<'_>,
    out: &mut [u8],
) -> Result<(), String> {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "bmi1,bmi2,lzcnt,avx2")]
        fn with_bmi<N: Number, const L: usize>(
            lanes: Lanes<'_, L>,
            base: &[u8],
            guide: &Guide<'_>,
            out: &mut [u8],
        ) -> Result<(), String> {
            groups::<N, L>(lanes, base, guide, out)
        }
        if has_bmi() {
            // SAFETY: the processor has what the function was compiled for.
            #[expect(unsafe_code, reason = "instructions beyond the baseline were asked for")]
            return unsafe { with_bmi::<N, L>(lanes, base, guide, out) };
        }
    }
    groups::<N, L>(lanes, base, guide, out)
}

/// Decodes all groups and checks how the lanes end.
#[inline(always)]
fn groups<N: Number, const L: usize>(
    mut lanes: Lanes<'_, L>,
    base: &[u8],
    guide: &Guide<'_>,
    out: &mut [u8],
) -> Result<(), String> {
    let bytes = GROUP * N::SIZE;
    let mut shift = Shift::default();
    let whole = base.len() / bytes * bytes;
    let (base, last_parents) = base.split_at(whole);
    let (out, last_children) = out.split_at_mut(whole);
    for (parents, children) in base.chunks_exact(bytes).zip(out.chunks_exact_mut(bytes)) {
        let window = shift.window();
        let mut words = [N::Word::default(); GROUP];
        for (word, parent) in words.iter_mut().zip(parents.chunks_exact(N::SIZE)) {
            *word = N::get(parent);
        }
        let mut places = [0; GROUP];
        for (place, word) in places.iter_mut().zip(&words) {
            *place = scale::place::<N>(guide.top, *word, window);
        }
        let mut zigzags = [N::Word::default(); GROUP];
        shift.learn(group::<N, L>(&mut lanes, guide, &places, &mut zigzags));
        for ((word, zigzag), child) in
            words.into_iter().zip(zigzags).zip(children.chunks_exact_mut(N::SIZE))
        {
            N::put(N::apply(word, zigzag), child);
        }
    }
    last_group::<N, L>(&mut lanes, guide, shift, last_parents, last_children);
    lanes.finish()
}

/// Decodes the differences of a whole group; returns the sum of levels less means.
#[inline(always)]
fn group<N: Number, const L: usize>(
    lanes: &mut Lanes<'_, L>,
    guide: &Guide<'_>,
    places: &[Place; GROUP],
    zigzags: &mut [N::Word; GROUP],
) -> i32 {
    // Two short tokens fit into what is read at once.
    if N::LONG {
        rounds::<N, L, 1>(guide, places, zigzags, |lane, [field]| {
            [lanes.long_step(lane, guide.cells, field)]
        })
    } else if !lanes.is_roomy(GROUP / L) {
        rounds::<N, L, 1>(guide, places, zigzags, |lane, fields| {
            let bits = lanes.peek(lane);
            lanes.step(lane, bits, guide.cells, fields)
        })
    } else if N::SIZE <= 2 {
        rounds::<N, L, 2>(guide, places, zigzags, |lane, fields| {
            // SAFETY: there is room for a group, and of each lane no more is taken.
            #[expect(unsafe_code, reason = "see there")]
            let bits = unsafe { lanes.peek_roomy(lane) };
            lanes.step(lane, bits, guide.cells, fields)
        })
    } else {
        rounds::<N, L, 1>(guide, places, zigzags, |lane, fields| {
            // SAFETY: there is room for a group, and of each lane no more is taken.
            #[expect(unsafe_code, reason = "see there")]
            let bits = unsafe { lanes.peek_roomy(lane) };
            lanes.step(lane, bits, guide.cells, fields)
        })
    }
}

/// Goes through the lanes, with `T` tokens of one before the next.
#[inline(always)]
fn rounds<N: Number, const L: usize, const T: usize>(
    guide: &Guide<'_>,
    places: &[Place; GROUP],
    zigzags: &mut [N::Word; GROUP],
    mut step: impl FnMut(usize, [u32; T]) -> [(usize, u64); T],
) -> i32 {
    let classes = &N::alphabet().classes;
    let (mut levels, mut means) = (0i32, 0u32);
    for round in 0..GROUP / (T * L) {
        for lane in 0..L {
            let mut fields = [0; T];
            for (t, field) in fields.iter_mut().enumerate() {
                let at = (round * T + t) * L + lane;
                let place = guide.places[usize::from(places[at])];
                // The lower halves add up to less than 2^16.
                means = means.wrapping_add(place);
                *field = place >> 16;
            }
            for (t, (token, raw)) in step(lane, fields).into_iter().enumerate() {
                let at = (round * T + t) * L + lane;
                levels += classes[token].level;
                zigzags[at] = N::narrow(classes[token].least + raw);
            }
        }
    }
    levels - (means & 0xffff) as i32
}

/// Decodes fewer elements than a group has.
#[inline(never)]
fn last_group<N: Number, const L: usize>(
    lanes: &mut Lanes<'_, L>,
    guide: &Guide<'_>,
    shift: Shift,
    parents: &[u8],
    children: &mut [u8],
) {
    let words = parents.chunks_exact(N::SIZE).zip(children.chunks_exact_mut(N::SIZE));
    for (at, (parent, child)) in words.enumerate() {
        let parent = N::get(parent);
        let place = scale::place::<N>(guide.top, parent, shift.window());
        let field = guide.places[usize::from(place)] >> 16;
        let (token, raw) = lanes.long_step(at % L, guide.cells, field);
        let least = N::alphabet().classes[token].least;
        N::put(N::apply(parent, N::narrow(least + raw)), child);
    }
}
