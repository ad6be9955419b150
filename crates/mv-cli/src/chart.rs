//! A line chart made of characters: Braille dots for a terminal, plain ASCII for everything else.

use unicode_width::UnicodeWidthStr;

use crate::axis::{Axis, drawable};
use crate::table::cut;

/// What dots are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dots {
    /// Eight dots in a character.
    Braille,
    /// One star in a character.
    Ascii,
}

/// What to draw: one number for each version, the oldest first; none leaves a gap.
pub(crate) struct Chart<'a> {
    /// The numbers.
    pub(crate) numbers: &'a [Option<f64>],
    /// What to write below each, safe for a terminal; nothing where it is empty.
    pub(crate) labels: &'a [String],
}

impl Chart<'_> {
    /// The chart in lines of at most `width` columns, with `height` lines of dots.
    pub(crate) fn lines(&self, width: usize, height: usize, dots: Dots) -> Vec<String> {
        let axis = Axis::around(self.numbers.iter().flatten().copied(), (height / 3).max(2));
        let side = axis.ticks.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
        let columns = width.saturating_sub(side + 2).max(8);
        let mut canvas = Canvas::new(columns, height, dots);
        let last = self.numbers.len().saturating_sub(1);
        // One number alone stands in the middle.
        let across = |at: usize| if last == 0 { 0.5 } else { at as f64 / last as f64 };
        let mut before = None;
        for (at, number) in self.numbers.iter().enumerate() {
            let here =
                number.filter(|n| drawable(*n)).map(|n| canvas.dot(across(at), axis.place(n)));
            if let Some(here) = here {
                canvas.line(before.unwrap_or(here), here);
            }
            before = here;
        }
        let (wall, tick, corner, floor, mark) = match dots {
            Dots::Braille => ('│', '┤', '└', '─', '┴'),
            Dots::Ascii => ('|', '+', '+', '-', '+'),
        };
        let mut names: Vec<&str> = vec![""; height];
        for (number, text) in &axis.ticks {
            let row = ((1.0 - axis.place(*number)) * (height - 1) as f64).round() as usize;
            names[row] = text;
        }
        let mut lines: Vec<String> = canvas
            .rows()
            .into_iter()
            .zip(names)
            .map(|(row, name)| {
                let wall = if name.is_empty() { wall } else { tick };
                format!("{name:>side$} {wall}{row}").trim_end().to_owned()
            })
            .collect();
        let place = |at: usize| (across(at) * (columns - 1) as f64).round() as usize;
        let (marks, text) = self.below(&place, columns);
        let ground: String =
            (0..columns).map(|column| if marks.contains(&column) { mark } else { floor }).collect();
        lines.push(format!("{} {corner}{ground}", " ".repeat(side)));
        lines.push(format!("{}  {text}", " ".repeat(side)).trim_end().to_owned());
        lines
    }

    /// The labels that have room, and the columns that they belong to. The last and the first come
    /// before the others.
    fn below(&self, place: &dyn Fn(usize) -> usize, columns: usize) -> (Vec<usize>, String) {
        let mut placed: Vec<(usize, usize, String)> = Vec::new();
        let mut marks = Vec::new();
        let named: Vec<usize> =
            (0..self.labels.len()).filter(|at| !self.labels[*at].is_empty()).collect();
        let ends = named.last().into_iter().chain(named.first());
        for &at in ends.chain(named.iter().skip(1)) {
            let label = cut(&self.labels[at], (columns / 2).max(4).min(columns));
            let width = label.width();
            let start = place(at).saturating_sub(width / 2).min(columns - width.min(columns));
            let free =
                |(from, to, _): &(usize, usize, String)| start > *to || start + width < *from;
            if placed.iter().all(free) {
                marks.push(place(at));
                placed.push((start, start + width, label));
            }
        }
        placed.sort();
        let mut text = String::new();
        for (start, _, label) in placed {
            text.push_str(&" ".repeat(start.saturating_sub(text.width())));
            text.push_str(&label);
        }
        (marks, text)
    }
}

/// Dots in a grid of characters.
struct Canvas {
    columns: usize,
    rows: usize,
    dots: Dots,
    /// For each character the bits of its dots, row by row.
    cells: Vec<u8>,
}

impl Canvas {
    fn new(columns: usize, rows: usize, dots: Dots) -> Canvas {
        Canvas { columns, rows, dots, cells: vec![0; columns * rows] }
    }

    /// Dots across and down.
    fn size(&self) -> (usize, usize) {
        match self.dots {
            Dots::Braille => (self.columns * 2, self.rows * 4),
            Dots::Ascii => (self.columns, self.rows),
        }
    }

    /// The dot at a place, both between 0 and 1, from the left and from below.
    fn dot(&self, across: f64, up: f64) -> (usize, usize) {
        let (wide, high) = self.size();
        let x = (across * (wide - 1) as f64).round() as usize;
        let y = ((1.0 - up) * (high - 1) as f64).round() as usize;
        (x, y)
    }

    fn line(&mut self, from: (usize, usize), to: (usize, usize)) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        let between = |a: usize, b: usize, step: usize| {
            (a as f64 + (b as f64 - a as f64) * step as f64 / steps as f64).round() as usize
        };
        for step in 0..=steps {
            self.set(between(from.0, to.0, step), between(from.1, to.1, step));
        }
    }

    fn set(&mut self, x: usize, y: usize) {
        // The bits of a Braille character, by row and column.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let (cell, bit) = match self.dots {
            Dots::Braille => (y / 4 * self.columns + x / 2, BITS[y % 4][x % 2]),
            Dots::Ascii => (y * self.columns + x, 1),
        };
        if let Some(cell) = self.cells.get_mut(cell) {
            *cell |= bit;
        }
    }

    fn rows(&self) -> Vec<String> {
        let character = |cell: &u8| match (self.dots, *cell) {
            (_, 0) => ' ',
            (Dots::Braille, bits) => char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' '),
            (Dots::Ascii, _) => '*',
        };
        self.cells.chunks(self.columns).map(|row| row.iter().map(character).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    fn draw(numbers: &[Option<f64>], names: &[&str], width: usize, dots: Dots) -> Vec<String> {
        Chart { numbers, labels: &labels(names) }.lines(width, 5, dots)
    }

    #[test]
    fn a_rising_line_goes_from_the_lower_left_to_the_upper_right() {
        let numbers = [Some(0.0), Some(1.0), Some(2.0)];
        let lines = draw(&numbers, &["a", "b", "c"], 14, Dots::Ascii);
        assert_eq!(
            lines,
            [
                "2 +         **",
                "  |       **",
                "1 +    ***",
                "  |  **",
                "0 +**",
                "  ++----+----+",
                "   a    b    c",
            ]
            .map(str::to_owned)
            .map(|l| l),
            "{lines:#?}"
        );
    }

    #[test]
    fn every_line_fits_and_a_gap_stays_empty() {
        let numbers =
            [Some(1.0), None, Some(f64::NAN), Some(f64::INFINITY), Some(1e305), Some(2.0)];
        let names = ["v1.0.0", "", "v1.1.0", "", "", "v2.0.0-with-a-long-name"];
        for dots in [Dots::Ascii, Dots::Braille] {
            for width in [20, 40, 80, 200] {
                let lines = draw(&numbers, &names, width, dots);
                assert!(lines.iter().all(|l| l.width() <= width), "{width} {lines:#?}");
                assert_eq!(lines.len(), 7);
            }
        }
        let drawn = draw(&numbers, &names, 80, Dots::Ascii);
        assert_eq!(drawn.iter().flat_map(|l| l.chars()).filter(|c| *c == '*').count(), 2);
    }

    #[test]
    fn one_point_none_and_thousands_are_drawn() {
        let count =
            |lines: &[String]| lines.iter().flat_map(|l| l.chars()).filter(|c| *c == '*').count();
        assert_eq!(count(&draw(&[Some(0.5)], &["v1"], 40, Dots::Ascii)), 1);
        assert_eq!(count(&draw(&[None], &["v1"], 40, Dots::Ascii)), 0);
        assert_eq!(count(&draw(&[], &[], 40, Dots::Ascii)), 0);
        let many: Vec<_> = (0..10_000).map(|n| Some(f64::from(n % 7))).collect();
        let names = vec!["x"; 10_000];
        assert!(count(&draw(&many, &names, 40, Dots::Ascii)) > 100);
    }
}
