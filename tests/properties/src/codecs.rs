//! Codecs of blocks: whatever bytes they are given, and back again.
//!
//! Bytes are taken apart alike for all: the decoded length, how the bases are made, then what is
//! stored. A base is a short pattern, repeated: so few bytes reach the lanes of many elements.

use mv_store::fuzzing::{self, Form};
use mv_store::{Element, Encoding};

use crate::cursor::Cursor;
use crate::meter::peak_of;

const ELEMENTS: [Element; 5] =
    [Element::Bf16, Element::F16, Element::F32, Element::F64, Element::Byte];

/// A block, and what it may be coded against.
struct Case<'a> {
    raw_len: usize,
    element: Element,
    of: Element,
    base: Vec<u8>,
    start: u32,
    rest: &'a [u8],
}

impl<'a> Case<'a> {
    fn of(bytes: &'a [u8]) -> Case<'a> {
        let mut choices = Cursor(bytes);
        let raw_len = choices.word();
        let element = ELEMENTS[choices.number() % 5];
        let of = ELEMENTS[choices.number() % 5];
        let base_len = choices.word();
        let pattern_len = choices.word();
        let pattern = choices.bytes(pattern_len);
        let base: Vec<u8> = match pattern {
            [] => Vec::new(),
            _ => pattern.iter().copied().cycle().take(base_len).collect(),
        };
        let start = u32::from(choices.byte());
        Case { raw_len, element, of, base, start, rest: choices.0 }
    }

    /// Reads arbitrary bytes as a block of this encoding.
    fn decodes(&self, encoding: Encoding) -> Option<Vec<u8>> {
        let decode = || fuzzing::decode(encoding, self.rest, &self.base, self.raw_len);
        let (outcome, peak) = peak_of(decode);
        // Room for the output, fields of columns with where each ends, and tables of fixed size.
        let most = 40 * self.raw_len + self.rest.len() + (2 << 20);
        assert!(peak <= most, "{peak} bytes are held for {} of {encoding}", self.raw_len);
        let raw = outcome.ok()?;
        assert_eq!(raw.len(), self.raw_len);
        Some(raw)
    }

    /// Whatever a codec stores, it gives back.
    fn comes_back(&self, encoding: Encoding, raw: &[u8]) {
        let (element, of, start) = (self.element, self.of, self.start);
        let form = Form { encoding, element, of, base: &self.base, start };
        if let Some(stored) = fuzzing::encode(&form, raw) {
            let back = fuzzing::decode(encoding, &stored, &self.base, raw.len());
            assert!(back.is_ok_and(|back| back == raw), "{encoding} of {element:?}");
            let longer = [&stored[..], &[0]].concat();
            let back = fuzzing::decode(encoding, &longer, &self.base, raw.len());
            assert!(back.is_err(), "{encoding} of {element:?} with a byte too many");
        }
    }

    /// Numbers near those of the base: the rest says how near.
    fn neighbours(&self) -> Vec<u8> {
        let base = self.base.get(self.start as usize..).unwrap_or_default();
        let step = self.element.size();
        let moves = self.rest.iter().copied().chain([0]).cycle();
        let near = base.chunks(step).zip(moves).flat_map(|(word, by)| {
            let mut word = word.to_vec();
            let mut carry = u16::from(by % 16);
            for byte in &mut word {
                carry += u16::from(*byte);
                *byte = carry as u8;
                carry >>= 8;
            }
            word
        });
        let mut raw: Vec<u8> = near.take(self.raw_len).collect();
        let more = self.raw_len - raw.len();
        raw.extend_from_slice(&self.rest[..more.min(self.rest.len())]);
        raw
    }

    /// Pieces of the base, where the rest says, and bytes of the rest between them.
    fn patchwork(&self) -> Vec<u8> {
        let mut choices = Cursor(self.rest);
        let mut raw = Vec::new();
        while !choices.is_empty() && raw.len() < self.raw_len {
            let own = choices.number() % 24;
            raw.extend_from_slice(choices.bytes(own));
            let at = choices.word() % (self.base.len() + 1);
            let len = choices.word() % 8192;
            raw.extend(self.base[at..].iter().take(len));
        }
        raw.truncate(self.raw_len);
        raw
    }
}

/// Bytes as blocks by columns, and as text that is to be stored so.
pub(crate) fn columns(bytes: &[u8]) {
    let case = Case::of(bytes);
    if let Some(raw) = case.decodes(Encoding::Columns) {
        case.comes_back(Encoding::Columns, &raw);
    }
    case.comes_back(Encoding::Columns, case.rest);
    case.comes_back(Encoding::Columns, &case.rest.repeat(5));
}

/// Bytes as split floats, and as numbers.
pub(crate) fn float(bytes: &[u8]) {
    let case = Case::of(bytes);
    if let Some(raw) = case.decodes(Encoding::Float) {
        case.comes_back(Encoding::Float, &raw);
    }
    case.comes_back(Encoding::Float, case.rest);
    case.comes_back(Encoding::Float, &case.neighbours());
}

/// Bytes as differences to numbers, and as numbers beside others.
pub(crate) fn delta(bytes: &[u8]) {
    let case = Case::of(bytes);
    if let Some(raw) = case.decodes(Encoding::Delta) {
        case.comes_back(Encoding::Delta, &raw);
    }
    case.comes_back(Encoding::Delta, case.rest);
    case.comes_back(Encoding::Delta, &case.neighbours());
}

/// Bytes as a cast of numbers; each is the nearest of its type.
pub(crate) fn cast(bytes: &[u8]) {
    let mut case = Case::of(bytes);
    case.decodes(Encoding::Cast);
    case.comes_back(Encoding::Cast, case.rest);
    let Some(wide) = case.base.get(case.start as usize..) else { return };
    let n = wide.len() / case.of.size();
    case.base.truncate(case.start as usize + n * case.of.size());
    let wide = case.base[case.start as usize..].to_vec();
    for element in ELEMENTS {
        let mut stored = case.start.to_le_bytes().to_vec();
        stored.extend([element.code(), case.of.code()]);
        let raw_len = n * element.size();
        let Ok(raw) = fuzzing::decode(Encoding::Cast, &stored, &case.base, raw_len) else {
            continue;
        };
        assert!(case.of.size() > element.size() && raw.len() == raw_len);
        assert!(raw.is_empty() || element.is_rounded(&raw, case.of, &wide));
        let pairs = raw.chunks(element.size()).zip(wide.chunks(case.of.size()));
        for (narrow, wide) in pairs {
            let (number, mut near) = (value(case.of, bits(wide)), value(case.of, bits(wide)));
            if case.of == Element::F64 && element != Element::F32 {
                near = f64::from(number as f32);
            }
            assert!(is_nearest(element, bits(narrow), near), "{number} as {element:?}");
        }
    }
}

fn bits(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// The bits of exponent and mantissa.
fn shape(element: Element) -> (u32, u32) {
    match element {
        Element::Bf16 => (8, 7),
        Element::F16 => (5, 10),
        Element::F32 => (8, 23),
        Element::F64 => (11, 52),
        Element::Byte => unreachable!("bytes are no numbers that can be cast"),
    }
}

/// The number that the bits of a type stand for.
fn value(element: Element, bits: u64) -> f64 {
    if element == Element::F64 {
        return f64::from_bits(bits);
    }
    let (wide, long) = shape(element);
    let sign = if bits >> (wide + long) == 0 { 1.0 } else { -1.0 };
    let exponent = (bits >> long & ((1 << wide) - 1)) as i32;
    let mantissa = (bits & ((1 << long) - 1)) as f64 / (1u64 << long) as f64;
    let bias = (1 << (wide - 1)) - 1;
    let size = match exponent {
        0 => mantissa * 2f64.powi(1 - bias),
        e if e == (1 << wide) - 1 && mantissa == 0.0 => f64::INFINITY,
        e if e == (1 << wide) - 1 => f64::NAN,
        e => (1.0 + mantissa) * 2f64.powi(e - bias),
    };
    sign * size
}

/// Whether no other number of a type is nearer, and of two that are as near, this one is even.
fn is_nearest(element: Element, bits: u64, number: f64) -> bool {
    let (wide, long) = shape(element);
    let magnitude = bits & !(1 << (wide + long));
    let found = value(element, bits);
    if number.is_nan() {
        let kept = magnitude >> (long - 1) & 1 == 1;
        return found.is_nan() && kept && found.is_sign_negative() == number.is_sign_negative();
    }
    if found.is_nan() || found.is_sign_negative() != number.is_sign_negative() {
        return false;
    }
    let infinite = ((1u64 << wide) - 1) << long;
    // Beyond the largest number lies, for rounding, the next power of two.
    let size = |magnitude: u64| match magnitude {
        m if m == infinite => 2f64.powi(1 << (wide - 1)),
        m => value(element, m),
    };
    let number = number.abs();
    if number == f64::INFINITY {
        return magnitude == infinite;
    }
    let away = |magnitude| (size(magnitude) - number).abs();
    let even = magnitude & 1 == 0;
    let loses =
        |other: u64| away(other) < away(magnitude) || (away(other) == away(magnitude) && !even);
    let below = magnitude.checked_sub(1).is_none_or(|below| !loses(below));
    let above = magnitude == infinite || !loses(magnitude + 1);
    below && above
}

/// Bytes as differences to others, and as pieces of them with something between.
pub(crate) fn diff(bytes: &[u8]) {
    let case = Case::of(bytes);
    if let Some(raw) = case.decodes(Encoding::Diff) {
        case.comes_back(Encoding::Diff, &raw);
    }
    case.comes_back(Encoding::Diff, case.rest);
    case.comes_back(Encoding::Diff, &case.patchwork());
}

/// The bytes that [`Case::of`] takes apart to this.
fn seed(raw_len: usize, form: &Form<'_>, base_len: usize, rest: &[u8]) -> Vec<u8> {
    let place = |element| ELEMENTS.iter().position(|e| *e == element).unwrap() as u8;
    let word = |n: usize| u16::try_from(n).unwrap().to_le_bytes();
    let mut bytes = word(raw_len).to_vec();
    bytes.extend([place(form.element), place(form.of)]);
    bytes.extend(word(base_len));
    bytes.extend(word(form.base.len()));
    bytes.extend(form.base);
    bytes.push(form.start as u8);
    bytes.extend(rest);
    bytes
}

/// A stored block of raw bytes, as a seed; the base is the pattern, repeated.
fn stored(form: &Form<'_>, base_len: usize, raw: &[u8]) -> Vec<u8> {
    let base: Vec<u8> = form.base.iter().copied().cycle().take(base_len).collect();
    let rest = fuzzing::encode(&Form { base: &base, ..*form }, raw).unwrap();
    seed(raw.len(), form, base_len, &rest)
}

const fn form(encoding: Encoding, element: Element) -> Form<'static> {
    Form { encoding, element, of: Element::F32, base: &[], start: 0 }
}

fn table(rows: usize, delimiter: &str, ending: &str) -> String {
    let row = |n: usize| {
        let city = ["Lagos", "Lima", "Oslo"][n * n % 3];
        let day = format!("2026-{:02}-{:02}", n % 12 + 1, n * 7 % 28 + 1);
        let loss = format!("{}.{}", n % 9, n * 37 % 1000);
        let word = format!("w{:x}", n * n * 2_654_435_761 % 0xffff_fffb);
        [(n + 90).to_string(), city.to_owned(), day, loss, word].join(delimiter) + ending
    };
    (0..rows).map(row).collect()
}

/// Tables of all kinds of columns, stored and plain.
pub(crate) fn columns_seeds() -> Vec<Vec<u8>> {
    let form = form(Encoding::Columns, Element::Byte);
    let whole = table(60, ",", "\n");
    let odd = whole.replace("Oslo", "\"Oslo, Norway\"").replace("2026-01", "x");
    let tables = [whole[7..whole.len() - 9].to_owned(), table(40, "\t", "\r\n"), odd];
    let stored = tables.iter().filter_map(|raw| {
        let rest = fuzzing::encode(&form, raw.as_bytes())?;
        Some(seed(raw.len(), &form, 0, &rest))
    });
    let plain = tables.iter().map(|raw| seed(raw.len(), &form, 0, raw.as_bytes()));
    stored.chain(plain).collect()
}

/// Bytes of numbers that are about equally large.
fn numbers(element: Element, n: usize) -> Vec<u8> {
    let noise = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let one = |i: usize| {
        let x = (noise(i) as f64 / 4_294_967_296.0 - 0.5) / 8.0;
        match element {
            Element::Bf16 => ((x as f32).to_bits() >> 16).to_le_bytes()[..2].to_vec(),
            Element::F16 => (0x2c00 + (noise(i) % 4096) as u16).to_le_bytes().to_vec(),
            Element::F32 => (x as f32).to_le_bytes().to_vec(),
            Element::F64 => f64::from(x as f32).to_le_bytes().to_vec(),
            Element::Byte => vec![(noise(i) % 23) as u8],
        }
    };
    (0..n).flat_map(one).collect()
}

/// Planes of every form, with and without a tail.
pub(crate) fn float_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for element in ELEMENTS {
        let mut raw = numbers(element, 400);
        raw.extend(&[1, 2, 3][..element.size() / 3]);
        seeds.push(stored(&form(Encoding::Float, element), 0, &raw));
        seeds.push(seed(raw.len(), &form(Encoding::Float, element), 0, &raw));
    }
    seeds
}

/// One lane and eight, rests of both forms.
pub(crate) fn delta_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for element in ELEMENTS {
        let pattern = numbers(element, 64);
        let form = Form { base: &pattern, start: 8, ..form(Encoding::Delta, element) };
        for n in [200, 5000] {
            let base_len = (n + 8) * element.size();
            let base = pattern.iter().copied().cycle().skip(8);
            let mut raw: Vec<u8> = base.take(n * element.size()).collect();
            for (at, word) in raw.chunks_mut(element.size()).enumerate() {
                word[0] = word[0].wrapping_add((at * at % 5) as u8);
            }
            raw.extend([7].repeat(if n == 200 { 1 } else { 800 }));
            raw.truncate(raw.len() / 8 * 8);
            seeds.push(stored(&form, base_len / 8 * 8, &raw));
        }
        let moves: Vec<u8> = (0..100).map(|n| n % 7 % 5).collect();
        seeds.push(seed(300, &form, 320, &moves));
    }
    seeds
}

/// All casts, of numbers that are hard to round.
pub(crate) fn cast_seeds() -> Vec<Vec<u8>> {
    let hard = [
        0.0,
        -0.0,
        1.0,
        -0.1,
        f64::NAN,
        -f64::INFINITY,
        65_519.999,
        65_520.0,
        3.4e38,
        1e-45,
        2.98e-8,
        5.96e-8,
        6.1e-5,
        1.003_906_25,
        1e300,
        5e-324,
    ];
    let singles: Vec<u8> = hard.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect();
    let doubles: Vec<u8> = hard.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut seeds = Vec::new();
    for (of, base) in [(Element::F32, &singles), (Element::F64, &doubles)] {
        for element in [Element::Bf16, Element::F16, Element::F32] {
            let form = Form { base, of, ..form(Encoding::Cast, element) };
            let stored = [&[0; 4][..], &[element.code(), of.code()]].concat();
            seeds.push(seed(hard.len() * element.size(), &form, base.len(), &stored));
        }
    }
    seeds
}

/// Edits of a text, stored and as pieces.
pub(crate) fn diff_seeds() -> Vec<Vec<u8>> {
    let text = table(40, ",", "\n");
    let base = text.as_bytes();
    let form = Form { base, ..form(Encoding::Diff, Element::Byte) };
    let edited = text.replace("Lima", "Quito").replace("\n99,", "\nninety-nine,") + "the end\n";
    let turned = [&base[base.len() / 2..], b"between", &base[..base.len() / 2]].concat();
    let long = base.repeat(20);
    let mut seeds =
        vec![stored(&form, base.len(), edited.as_bytes()), stored(&form, base.len(), &turned)];
    seeds.push(stored(&form, long.len(), &[&long[300..], b"x", &long[..9000]].concat()));
    seeds.push(seed(
        4000,
        &form,
        base.len(),
        b"\x03one\x10\0\xff\0\x05three\x90\x01\0\x03\0\0\0\x09",
    ));
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_stored_blocks_are_decoded() {
        type Seeds = fn() -> Vec<Vec<u8>>;
        let all: [(Encoding, Seeds, usize); 5] = [
            (Encoding::Columns, columns_seeds, 3),
            (Encoding::Float, float_seeds, 5),
            (Encoding::Delta, delta_seeds, 10),
            (Encoding::Cast, cast_seeds, 5),
            (Encoding::Diff, diff_seeds, 3),
        ];
        for (encoding, seeds, least) in all {
            let decoded = |seed: &&Vec<u8>| Case::of(seed).decodes(encoding).is_some();
            let found = seeds().iter().filter(decoded).count();
            assert!(found >= least, "{encoding}: {found}");
        }
    }

    #[test]
    fn the_nearest_number_is_told_from_its_neighbours() {
        for (bits, number) in [(0x3c00, 1.0), (0x7c00, 65_520.0), (0x7bff, 65_519.9), (1, 5e-8)] {
            assert!(is_nearest(Element::F16, bits, number), "{number}");
            assert!(!is_nearest(Element::F16, bits ^ 1, number), "{number}");
        }
        assert!(is_nearest(Element::Bf16, 0x7fc0, f64::NAN));
        assert!(!is_nearest(Element::Bf16, 0x7f80, f64::NAN));
    }
}
