//! Records as JSON lines, and the same with one in a hundred edited.

use std::io::{self, Write};

use crate::random::Random;

/// Lines that make 74 MB.
pub(crate) const LINES: u64 = 440_000;

const WORDS: [&str; 24] = [
    "a", "the", "of", "on", "with", "near", "man", "woman", "dog", "cat", "horse", "bird", "car",
    "bus", "train", "street", "table", "window", "river", "red", "green", "small", "old", "holds",
];

/// Writes `lines` records; with `edited`, one number of each hundredth is another.
///
/// # Errors
/// Those of the writer.
pub(crate) fn write(out: &mut impl Write, lines: u64, edited: bool, seed: u64) -> io::Result<()> {
    for n in 0..lines {
        let mut r = Random::stream(seed, n);
        write!(out, r#"{{"id": "{:016x}", "text": ""#, r.number())?;
        for word in 0..6 + r.below(14) {
            let space = if word > 0 { " " } else { "" };
            write!(out, "{space}{}", r.pick(&WORDS))?;
        }
        let label = r.below(12);
        let (chosen, score) = (r.below(100) == 0, r.unit());
        let score = if edited && chosen { 1.0 - score } else { score };
        let tokens = 8 + r.below(500);
        writeln!(
            out,
            r#"", "label": {label}, "score": {score:.6}, "tokens": {tokens}, "source": "crawl-{:02}"}}"#,
            n / 10_000 % 40
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_record_in_a_hundred_is_edited() {
        let text = |edited| {
            let mut out = Vec::new();
            write(&mut out, 10_000, edited, 1).unwrap();
            String::from_utf8(out).unwrap()
        };
        let (first, second) = (text(false), text(true));
        let edits = first.lines().zip(second.lines()).filter(|(a, b)| a != b).count();
        assert!((70..=130).contains(&edits), "{edits}");
        let record: serde_json::Value =
            serde_json::from_str(first.lines().next().unwrap()).unwrap();
        assert!(record["score"].is_f64());
    }
}
