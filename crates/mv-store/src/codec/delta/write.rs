//! The encoder of differences: three passes over a block.

use std::cell::RefCell;

use super::super::bits::BitWriter;
use super::super::element::Element;
use super::super::entropy::{Encoding, FIELD, Frequencies, TOKENS};
use super::super::float;
#[cfg(target_arch = "x86_64")]
use super::super::lanes::Bmi;
use super::super::lanes::LaneWriter;
use super::super::number::{EXPONENTS, Number};
use super::super::scale::{self, CONTEXTS, GROUP, MIDDLE, STEPS, WINDOWS};
use super::super::streams;
use super::{LANES, MANY};

/// Room that is used again from block to block.
#[derive(Default)]
struct Scratch {
    tokens: Vec<u8>,
    contexts: Vec<u8>,
    windows: Vec<u8>,
    lanes: Vec<u8>,
}

/// How often each token occurs, for each context.
type Counts = [[u32; TOKENS]; FIELD];

/// Encodes a block of one kind of number.
pub(super) fn encode_as<N: Number>(element: Element, raw: &[u8], base: &[u8]) -> Option<Vec<u8>> {
    let n = raw.len().min(base.len()) / N::SIZE;
    if n == 0 {
        return None;
    }
    let (coded, rest) = raw.split_at(n * N::SIZE);
    let base = &base[..coded.len()];
    // Every eighth group is enough, if there are many.
    let bytes = GROUP * N::SIZE;
    let step = if coded.len() >= 256 * bytes { 8 } else { 1 };
    let sample = || coded.chunks(bytes).zip(base.chunks(bytes)).step_by(step);
    let (top, expected) = learn::<N, _>(sample);
    let mut out = vec![element.code(), 0];
    out.extend(top.to_le_bytes());
    let packed_rest = if rest.is_empty() { None } else { float::encode(element, rest) };
    out[1] = u8::from(packed_rest.is_some());
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(|scratch| {
        let counts = classify::<N>(coded, base, top, &expected, scratch);
        streams::put(&mut out, &scratch.windows, 1, true);
        let (tables, table_of) = choose_tables(&counts, &mut out);
        if n >= MANY {
            write_lanes::<N, LANES>(coded, base, &tables, &table_of, scratch, &mut out);
        } else {
            write_lanes::<N, 1>(coded, base, &tables, &table_of, scratch, &mut out);
        }
    });
    out.extend_from_slice(packed_rest.as_deref().unwrap_or(rest));
    (out.len() < raw.len()).then_some(out)
}

/// What levels are to be expected at each step below the top.
pub(super) type Expected = [i32; STEPS];

/// Takes the top exponent and the mean levels from a sample of children and parents.
pub(super) fn learn<'a, N: Number, S>(sample: impl Fn() -> S) -> (u16, Expected)
where
    S: Iterator<Item = (&'a [u8], &'a [u8])>,
{
    let mut exponents = vec![0u32; EXPONENTS];
    let mut total = 0;
    for (_, parents) in sample() {
        for parent in parents.chunks_exact(N::SIZE) {
            exponents[N::exponent(N::get(parent)) & (EXPONENTS - 1)] += 1;
            total += 1;
        }
    }
    let mut above = total / 200;
    let mut top = EXPONENTS - 1;
    while top > 0 && exponents[top] <= above {
        above -= exponents[top];
        top -= 1;
    }
    let mut sums = [0i64; STEPS];
    let mut counts = [0i64; STEPS];
    for (children, parents) in sample() {
        for (child, parent) in children.chunks_exact(N::SIZE).zip(parents.chunks_exact(N::SIZE)) {
            let parent = N::get(parent);
            let step = scale::step::<N>(top as i16, parent) as usize % STEPS;
            sums[step] += i64::from(N::level(N::difference(N::get(child), parent)));
            counts[step] += 1;
        }
    }
    (top as u16, std::array::from_fn(|step| (sums[step] / counts[step].max(1)) as i32))
}

/// A group's window stays that of the group before unless it moved by so much: a quarter of an
/// octave is about what chance does to 64 elements.
const STAYS: i32 = 2;

/// Finds the window of each group, the token and the context of each element, and counts them.
fn classify<N: Number>(
    raw: &[u8],
    base: &[u8],
    top: u16,
    expected: &Expected,
    scratch: &mut Scratch,
) -> Box<Counts> {
    let n = raw.len() / N::SIZE;
    scratch.tokens.resize(n, 0);
    scratch.contexts.resize(n, 0);
    scratch.windows.clear();
    let mut counts = Box::new([[0; TOKENS]; FIELD]);
    let mut padded = [0; FIELD];
    padded[..STEPS].copy_from_slice(expected);
    let contexts_of = scale::contexts();
    let mut window = i32::from(MIDDLE);
    let bytes = GROUP * N::SIZE;
    let marks = scratch.tokens.chunks_mut(GROUP).zip(scratch.contexts.chunks_mut(GROUP));
    for ((children, parents), (tokens, contexts)) in
        raw.chunks(bytes).zip(base.chunks(bytes)).zip(marks)
    {
        let mut zigzags = [N::Word::default(); GROUP];
        let mut steps = [0u8; GROUP];
        let pairs = children.chunks_exact(N::SIZE).zip(parents.chunks_exact(N::SIZE));
        for ((zigzag, step), (child, parent)) in zigzags.iter_mut().zip(&mut steps).zip(pairs) {
            let parent = N::get(parent);
            *zigzag = N::difference(N::get(child), parent);
            *step = scale::step::<N>(top as i16, parent) as u8;
        }
        let count = tokens.len();
        let levels: i32 = zigzags[..count].iter().map(|&zigzag| N::level(zigzag)).sum();
        let expected: i32 =
            steps[..count].iter().map(|&step| padded[usize::from(step) % FIELD]).sum();
        let moved = (levels - expected).div_euclid(count as i32);
        let best = (i32::from(MIDDLE) + moved).clamp(0, i32::from(WINDOWS) - 1);
        if (best - window).abs() > STAYS {
            window = best;
        }
        scratch.windows.push(window as u8);
        for ((zigzag, step), (token, context)) in
            zigzags.iter().zip(steps).zip(tokens.iter_mut().zip(contexts))
        {
            *token = N::token(*zigzag);
            *context = contexts_of[usize::from((8 * step).wrapping_add(window as u8))];
            counts[usize::from(*context) % FIELD][usize::from(*token)] += 1;
        }
    }
    counts
}

/// Decides which contexts share a table, writes the tables, and returns them with each context's.
fn choose_tables(counts: &Counts, out: &mut Vec<u8>) -> (Vec<Encoding>, [u8; CONTEXTS]) {
    let mut bits = BitWriter::default();
    let mut tables = Vec::new();
    let mut table_of = [0; CONTEXTS];
    let mut context = 0;
    while context < CONTEXTS {
        let mut joined = counts[context];
        let mut cost = cost_of(&joined);
        let mut end = context + 1;
        while end < CONTEXTS {
            let next = &counts[end];
            let both = std::array::from_fn(|t| joined[t] + next[t]);
            let apart = cost_of(next);
            let together = cost_of(&both);
            if together > cost + apart {
                break;
            }
            (joined, cost, end) = (both, together, end + 1);
        }
        let frequencies = Frequencies::of_counts(&joined);
        if context > 0 {
            bits.push(0, 1);
        }
        frequencies.write(&mut bits);
        table_of[context..end].fill(tables.len() as u8);
        for _ in context + 1..end {
            bits.push(1, 1);
        }
        tables.push(Encoding::new(&frequencies));
        context = end;
    }
    out.extend(bits.finish());
    (tables, table_of)
}

/// Bits that tokens of these counts take, with their table: about 8 bits for each that occurs.
fn cost_of(counts: &[u32; TOKENS]) -> f64 {
    let mut total = 0.0;
    let mut bits = 0.0;
    for &count in counts.iter().filter(|&&c| c > 0) {
        let count = f64::from(count);
        total += count;
        bits += 8.0 - count * count.log2();
    }
    if total > 0.0 { bits + total * total.log2() } else { 0.0 }
}

/// Codes the elements from the last to the first, and appends lengths and lanes.
fn write_lanes<N: Number, const L: usize>(
    raw: &[u8],
    base: &[u8],
    tables: &[Encoding],
    table_of: &[u8; CONTEXTS],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let n = raw.len() / N::SIZE;
    // At most 9 bits of state beside the raw bits, fewer than the element has.
    let room = n.div_ceil(L) * (N::SIZE + 2) + 24;
    if scratch.lanes.len() < L * room {
        scratch.lanes.resize(L * room, 0);
    }
    let buffer = &mut scratch.lanes[..];
    let mut lanes: [LaneWriter; L] = std::array::from_fn(|l| LaneWriter::ending_at((l + 1) * room));
    let source = Marked { raw, base, tokens: &scratch.tokens, contexts: &scratch.contexts };
    push_all::<N, L>(&source, tables, table_of, &mut lanes, buffer);
    let starts: [usize; L] = std::array::from_fn(|l| lanes[l].finish(buffer));
    for (l, start) in starts.iter().enumerate() {
        out.extend((((l + 1) * room - start) as u32).to_le_bytes());
    }
    for (l, &start) in starts.iter().enumerate() {
        out.extend_from_slice(&scratch.lanes[start..(l + 1) * room]);
    }
}

/// Elements with what was found out about them.
struct Marked<'a> {
    raw: &'a [u8],
    base: &'a [u8],
    tokens: &'a [u8],
    contexts: &'a [u8],
}

/// Codes all elements with the instructions that the processor has.
fn push_all<N: Number, const L: usize>(
    source: &Marked<'_>,
    tables: &[Encoding],
    table_of: &[u8; CONTEXTS],
    lanes: &mut [LaneWriter; L],
    buffer: &mut [u8],
) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "bmi1,bmi2,lzcnt")]
        fn with_bmi<N: Number, const L: usize>(
            source: &Marked<'_>,
            tables: &[Encoding],
            table_of: &[u8; CONTEXTS],
            lanes: &mut [LaneWriter; L],
            buffer: &mut [u8],
        ) {
            push_groups::<N, L>(source, tables, table_of, lanes, buffer);
        }
        if Bmi::here().is_some() {
            // SAFETY: the processor has what the function was compiled for.
            #[expect(unsafe_code, reason = "instructions beyond the baseline were asked for")]
            return unsafe { with_bmi::<N, L>(source, tables, table_of, lanes, buffer) };
        }
    }
    push_groups::<N, L>(source, tables, table_of, lanes, buffer);
}

/// Codes all elements, from the last group to the first.
#[inline(always)]
fn push_groups<N: Number, const L: usize>(
    source: &Marked<'_>,
    tables: &[Encoding],
    table_of: &[u8; CONTEXTS],
    lanes: &mut [LaneWriter; L],
    buffer: &mut [u8],
) {
    let raw_bits = &N::alphabet().raw_bits;
    let mut writers = *lanes;
    let by_context: [&Encoding; FIELD] = std::array::from_fn(|context| {
        &tables[usize::from(table_of.get(context).copied().unwrap_or_default())]
    });
    // Takes a token: gives its raw bits and those of the state, each with how many they are.
    let push = |lane: &mut LaneWriter, zigzag: N::Word, token: u8, context: u8| {
        let table = by_context[usize::from(context) % FIELD];
        let (state, bits) = table.step(lane.state, token);
        let low = u64::from(lane.state) & ((1 << bits) - 1);
        lane.state = state;
        let raw = u32::from(raw_bits[usize::from(token)]);
        (N::wide(zigzag) & ((1 << raw) - 1), raw, low, bits)
    };
    let n = source.tokens.len();
    let whole = n / GROUP;
    for group in (0..n.div_ceil(GROUP)).rev() {
        let (at, end) = (group * GROUP, n.min((group + 1) * GROUP));
        let mut zigzags = [N::Word::default(); GROUP];
        let children = source.raw[at * N::SIZE..end * N::SIZE].chunks_exact(N::SIZE);
        let parents = source.base[at * N::SIZE..end * N::SIZE].chunks_exact(N::SIZE);
        for ((zigzag, child), parent) in zigzags.iter_mut().zip(children).zip(parents) {
            *zigzag = N::difference(N::get(child), N::get(parent));
        }
        let tokens = &source.tokens[at..end];
        let contexts = &source.contexts[at..end];
        if let (true, false, Some(tokens), Some(contexts)) =
            (group < whole, N::LONG, tokens.first_chunk::<GROUP>(), contexts.first_chunk::<GROUP>())
        {
            // Two short tokens fit into what is written at once.
            let together = if N::SIZE <= 2 { 2 } else { 1 };
            for round in (0..GROUP / (together * L)).rev() {
                for (l, lane) in writers.iter_mut().enumerate() {
                    for t in (0..together).rev() {
                        let i = (round * together + t) * L + l;
                        let (value, raw, low, bits) =
                            push(lane, zigzags[i], tokens[i], contexts[i]);
                        lane.push(value << bits | low, raw + bits);
                    }
                    lane.flush(buffer);
                }
            }
            continue;
        }
        for i in (0..end - at).rev() {
            let lane = &mut writers[i % L];
            let (value, raw, low, bits) = push(lane, zigzags[i], tokens[i], contexts[i]);
            let half = raw.min(32);
            lane.push(value >> half, raw - half);
            lane.flush(buffer);
            lane.push((value & ((1 << half) - 1)) << bits | low, half + bits);
            lane.flush(buffer);
        }
    }
    *lanes = writers;
}
