//! The decoder of differences: refuses whatever the encoder does not write.

use std::cell::RefCell;

use super::super::bits::BitReader;
use super::super::entropy::{self, Cell, FIELD, Frequencies, SIZE};
use super::super::float;
#[cfg(target_arch = "x86_64")]
use super::super::lanes::Bmi;
use super::super::lanes::{Lanes, LowBits, Plain};
use super::super::number::{EXPONENTS, Number};
use super::super::scale::{self, CONTEXTS, GROUP, PLACES, WINDOWS};
use super::super::streams;
use super::{HEADER, LANES, MANY};

/// Elements that go through one step of decoding before the next: whole groups, in the first cache.
const STRIP: usize = 16 * GROUP;
/// Bytes of the largest element.
const MOST_SIZE: usize = 8;

/// Decodes a block of one kind of number.
pub(super) fn decode_as<N: Number>(
    stored: &[u8],
    base: &[u8],
    raw_len: usize,
    into: &mut Vec<u8>,
) -> Result<(), String> {
    let (&[_, form, low, high], mut body) =
        stored.split_first_chunk::<HEADER>().ok_or("difference has no header")?;
    let n = raw_len.min(base.len()) / N::SIZE;
    if n == 0 {
        return Err("difference to an empty base".into());
    }
    let top = u16::from_le_bytes([low, high]);
    if usize::from(top) >= EXPONENTS {
        return Err("no such exponent".into());
    }
    let windows = streams::take(&mut body, n.div_ceil(GROUP))?;
    if windows.len() != n.div_ceil(GROUP) || windows.iter().any(|&window| window >= WINDOWS) {
        return Err("no such windows".into());
    }
    let coded = n * N::SIZE;
    thread_local! {
        static FIELDS: RefCell<Vec<Cell>> = RefCell::default();
    }
    let rest = FIELDS.with_borrow_mut(|cells| {
        cells.resize(FIELD * SIZE, Cell::default());
        let cells = cells.first_chunk_mut().ok_or("no room for tables")?;
        let (table_of, body) = read_tables::<N>(body, cells)?;
        let contexts = scale::contexts();
        let fields = std::array::from_fn(|place| {
            u16::from(table_of[usize::from(contexts[place])]) * SIZE as u16
        });
        let guide = Guide { top: top as i16, windows: &windows, fields, cells };
        into.reserve(raw_len);
        if n >= MANY {
            read_lanes::<N, LANES>(body, &base[..coded], &guide, into)
        } else {
            read_lanes::<N, 1>(body, &base[..coded], &guide, into)
        }
    })?;
    match form {
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
            entropy::decoding(&frequencies, &alphabet.heads, &alphabet.raw_bits, field);
            tables += 1;
        }
        *table = tables - 1;
    }
    Ok((table_of, bits.finish()?))
}

/// What decoding needs, beside the lanes.
struct Guide<'a> {
    top: i16,
    /// One for each group.
    windows: &'a [u8],
    /// Where the table of each place begins in `cells`.
    fields: [u16; PLACES],
    cells: &'a [Cell; FIELD * SIZE],
}

/// Decodes all elements behind what `into` holds; returns what follows the lanes.
fn read_lanes<'a, N: Number, const L: usize>(
    body: &'a [u8],
    base: &[u8],
    guide: &Guide<'_>,
    into: &mut Vec<u8>,
) -> Result<&'a [u8], String> {
    let (lengths, body) = body.split_at_checked(4 * L).ok_or("lengths of lanes are cut off")?;
    let mut sizes = [0; L];
    for (size, length) in sizes.iter_mut().zip(lengths.as_chunks().0) {
        *size = u32::from_le_bytes(*length) as usize;
    }
    let whole = sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size));
    let (body, rest) = body.split_at_checked(whole).ok_or("lanes are cut off")?;
    let mut lanes = Lanes::<L>::open(body, sizes)?;
    let mut fields = [0; STRIP];
    let mut zigzags = [N::Word::default(); STRIP];
    // Not into zeros that have to be written first.
    let mut strip = [0; STRIP * MOST_SIZE];
    let strips = base.chunks(STRIP * N::SIZE).zip(guide.windows.chunks(STRIP / GROUP));
    for (parents, windows) in strips {
        find_fields::<N>(parents, windows, guide, &mut fields);
        let count = parents.len() / N::SIZE;
        if count == STRIP && !N::LONG {
            take_strip::<N, L>(&mut lanes, guide.cells, &fields, &mut zigzags);
        } else {
            take_some::<N, L>(&mut lanes, guide.cells, &fields[..count], &mut zigzags);
        }
        let children = &mut strip[..parents.len()];
        let parents = parents.chunks_exact(N::SIZE);
        for ((child, parent), zigzag) in
            children.chunks_exact_mut(N::SIZE).zip(parents).zip(&zigzags)
        {
            N::put(N::apply(N::get(parent), *zigzag), child);
        }
        into.extend_from_slice(children);
    }
    lanes.finish()?;
    Ok(rest)
}

/// Finds the table of each element.
fn find_fields<N: Number>(
    parents: &[u8],
    windows: &[u8],
    guide: &Guide<'_>,
    fields: &mut [u16; STRIP],
) {
    let groups = parents.chunks(GROUP * N::SIZE).zip(fields.as_chunks_mut::<GROUP>().0);
    for ((parents, fields), &window) in groups.zip(windows) {
        let mut places = [0; GROUP];
        for (place, parent) in places.iter_mut().zip(parents.chunks_exact(N::SIZE)) {
            *place = scale::place::<N>(guide.top, N::get(parent), window);
        }
        for (field, place) in fields.iter_mut().zip(places) {
            *field = guide.fields[usize::from(place)];
        }
    }
}

/// Takes the differences of a whole strip, with the instructions that the processor has.
fn take_strip<N: Number, const L: usize>(
    lanes: &mut Lanes<'_, L>,
    cells: &[Cell; FIELD * SIZE],
    fields: &[u16; STRIP],
    zigzags: &mut [N::Word; STRIP],
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "bmi1,bmi2,lzcnt")]
        fn with_bmi<N: Number, const L: usize>(
            lanes: &mut Lanes<'_, L>,
            cells: &[Cell; FIELD * SIZE],
            fields: &[u16; STRIP],
            zigzags: &mut [N::Word; STRIP],
            how: Bmi,
        ) {
            take::<N, L>(lanes, cells, fields, zigzags, how);
        }
        if let Some(how) = Bmi::here() {
            // SAFETY: the processor has what the function was compiled for.
            #[expect(unsafe_code, reason = "instructions beyond the baseline were asked for")]
            return unsafe { with_bmi::<N, L>(lanes, cells, fields, zigzags, how) };
        }
    }
    take::<N, L>(lanes, cells, fields, zigzags, Plain);
}

#[inline(always)]
fn take<N: Number, const L: usize>(
    lanes: &mut Lanes<'_, L>,
    cells: &[Cell; FIELD * SIZE],
    fields: &[u16; STRIP],
    zigzags: &mut [N::Word; STRIP],
    how: impl LowBits,
) {
    // Two short tokens fit into what is read at once.
    match (lanes.is_roomy(STRIP / L), N::SIZE <= 2) {
        (true, true) => rounds::<N, L, 2, true>(lanes, cells, fields, zigzags, how),
        (true, false) => rounds::<N, L, 1, true>(lanes, cells, fields, zigzags, how),
        (false, _) => rounds::<N, L, 1, false>(lanes, cells, fields, zigzags, how),
    }
}

/// Goes through the lanes, with `T` tokens of one before the next.
#[inline(always)]
fn rounds<N: Number, const L: usize, const T: usize, const ROOMY: bool>(
    lanes: &mut Lanes<'_, L>,
    cells: &[Cell; FIELD * SIZE],
    fields: &[u16; STRIP],
    zigzags: &mut [N::Word; STRIP],
    how: impl LowBits,
) {
    let rounds = fields.chunks_exact(T * L).zip(zigzags.chunks_exact_mut(T * L));
    let mut heads = lanes.heads();
    for (fields, zigzags) in rounds {
        macro_rules! visit {
            ($(($lane:expr))+) => {
                $(
                    let head = &mut heads[$lane];
                    let bits = if ROOMY {
                        // SAFETY: there is room for a strip, and of each lane no more is taken.
                        #[expect(unsafe_code, reason = "see there")]
                        unsafe {
                            lanes.peek_roomy(head)
                        }
                    } else {
                        lanes.peek(head)
                    };
                    let tables: [u16; T] = std::array::from_fn(|t| fields[t * L + $lane]);
                    let taken = head.step(bits, cells, tables, how);
                    for (t, zigzag) in taken.into_iter().enumerate() {
                        zigzags[t * L + $lane] = N::narrow(zigzag.into());
                    }
                )+
            };
        }
        // Eight pieces of code, each with its own lane, take a tenth less time than a loop.
        if L == 8 {
            visit!((0)(1 % L)(2 % L)(3 % L)(4 % L)(5 % L)(6 % L)(7 % L));
        } else {
            for lane in 0..L {
                visit!((lane));
            }
        }
    }
    lanes.advance(heads);
}

/// Takes the differences of fewer elements, or of long ones.
fn take_some<N: Number, const L: usize>(
    lanes: &mut Lanes<'_, L>,
    cells: &[Cell; FIELD * SIZE],
    fields: &[u16],
    zigzags: &mut [N::Word],
) {
    for (at, (field, zigzag)) in fields.iter().zip(zigzags).enumerate() {
        *zigzag = N::narrow(lanes.long_step(at % L, cells, *field));
    }
}
