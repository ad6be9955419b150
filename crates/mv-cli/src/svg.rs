//! A line chart as one SVG file: no scripts, no fonts from elsewhere, readable on light and dark.
//!
//! All text goes through [`text`]: control characters are made visible, markup is escaped.

use std::fmt::Write as _;

use crate::axis::{Axis, drawable};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 48.0;
/// The height of what is drawn in.
const HEIGHT: f64 = 360.0;
/// Room for labels that stand at an angle.
const BOTTOM: f64 = 120.0;
/// No more labels are written below.
const MAX_LABELS: usize = 40;
/// Characters of the longest label.
const MAX_LABEL: usize = 24;
/// Characters of a name in the legend.
const MAX_NAME: usize = 48;
/// Legible on white and on black.
const COLOURS: [&str; 8] =
    ["#3b82c4", "#d9722e", "#3f9a5a", "#c8506e", "#8a6fd1", "#9c7a3c", "#2a9d9d", "#a05fa8"];

/// What to draw.
pub(crate) struct Picture<'a> {
    /// What stands on top, and is the document's title.
    pub(crate) title: &'a str,
    /// Below each place, the oldest first; nothing where it is empty.
    pub(crate) labels: &'a [String],
    /// The lines.
    pub(crate) lines: &'a [Line],
}

/// One line.
pub(crate) struct Line {
    /// Its name in the legend.
    pub(crate) name: String,
    /// One number for each place; none leaves a gap.
    pub(crate) numbers: Vec<Option<f64>>,
    /// What the point of a place tells when it is pointed at.
    pub(crate) notes: Vec<String>,
}

impl Picture<'_> {
    /// The whole file.
    pub(crate) fn render(&self) -> String {
        let legend =
            if self.lines.len() > 1 { 22.0 * self.lines.len().div_ceil(2) as f64 } else { 0.0 };
        let top = TOP + legend;
        let height = top + HEIGHT + BOTTOM;
        let numbers = self.lines.iter().flat_map(|l| l.numbers.iter().flatten().copied());
        let axis = Axis::around(numbers, 6);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<title>{}</title>\n{STYLE}",
            text(self.title, usize::MAX)
        );
        push(
            &mut out,
            format_args!("<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>"),
        );
        let title = text(self.title, 100);
        push(&mut out, format_args!("<text class=\"head\" x=\"{LEFT}\" y=\"28\">{title}</text>"));
        self.legend(&mut out);
        for (number, name) in &axis.ticks {
            let y = top + (1.0 - axis.place(*number)) * HEIGHT;
            let end = WIDTH - RIGHT;
            push(
                &mut out,
                format_args!(
                    "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
                ),
            );
            let (x, y) = (LEFT - 8.0, y + 4.0);
            push(
                &mut out,
                format_args!(
                    "<text class=\"tick\" x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{name}</text>"
                ),
            );
        }
        self.labels(&mut out, top + HEIGHT);
        for (index, line) in self.lines.iter().enumerate() {
            self.line(&mut out, line, COLOURS[index % COLOURS.len()], &axis, top);
        }
        out.push_str("</svg>\n");
        out
    }

    /// Where a place is from left to right; one alone is in the middle.
    fn x(&self, place: usize) -> f64 {
        let last = self.labels.len().saturating_sub(1);
        let part = if last == 0 { 0.5 } else { place as f64 / last as f64 };
        LEFT + 12.0 + part * (WIDTH - LEFT - RIGHT - 24.0)
    }

    /// Two names in a row, when there is more than one line.
    fn legend(&self, out: &mut String) {
        if self.lines.len() < 2 {
            return;
        }
        for (index, line) in self.lines.iter().enumerate() {
            let x = LEFT + (index % 2) as f64 * (WIDTH - LEFT) / 2.0;
            let y = TOP + 22.0 * (index / 2) as f64;
            let colour = COLOURS[index % COLOURS.len()];
            let name = text(&line.name, MAX_NAME);
            push(
                out,
                format_args!(
                    "<rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>",
                    y - 6.0
                ),
            );
            push(
                out,
                format_args!("<text class=\"tick\" x=\"{}\" y=\"{y}\">{name}</text>", x + 20.0),
            );
        }
    }

    fn labels(&self, out: &mut String, y: f64) {
        let named: Vec<usize> =
            (0..self.labels.len()).filter(|place| !self.labels[*place].is_empty()).collect();
        let every = named.len().div_ceil(MAX_LABELS).max(1);
        // Counted from the newest, which always has its label.
        for &place in named.iter().rev().step_by(every) {
            let (x, label) = (self.x(place), text(&self.labels[place], MAX_LABEL));
            let (end, below) = (y + 5.0, y + 16.0);
            push(
                out,
                format_args!(
                    "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y:.1}\" y2=\"{end:.1}\"/>"
                ),
            );
            push(
                out,
                format_args!(
                    "<text class=\"tick\" x=\"{x:.1}\" y=\"{below:.1}\" text-anchor=\"end\" transform=\"rotate(-40 {x:.1} {below:.1})\">{label}</text>"
                ),
            );
        }
    }

    /// A polyline for each run without a gap, and a point for each number.
    fn line(&self, out: &mut String, line: &Line, colour: &str, axis: &Axis, top: f64) {
        let place = |at: usize| {
            let number = (*line.numbers.get(at)?)?;
            drawable(number).then(|| (self.x(at), top + (1.0 - axis.place(number)) * HEIGHT))
        };
        let mut run: Vec<String> = Vec::new();
        for at in 0..=line.numbers.len() {
            match place(at) {
                Some((x, y)) => run.push(format!("{x:.1},{y:.1}")),
                // A lone point has no line.
                None => {
                    if run.len() > 1 {
                        let points = run.join(" ");
                        push(
                            out,
                            format_args!(
                                "<polyline class=\"line\" stroke=\"{colour}\" points=\"{points}\"/>"
                            ),
                        );
                    }
                    run.clear();
                }
            }
        }
        let radius = if line.numbers.len() > 200 { "1.5" } else { "3.5" };
        for at in 0..line.numbers.len() {
            let Some((x, y)) = place(at) else { continue };
            let note = text(line.notes.get(at).map_or("", String::as_str), usize::MAX);
            push(
                out,
                format_args!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"><title>{note}</title></circle>"
                ),
            );
        }
    }
}

const STYLE: &str = "\
<style>
text { font-family: system-ui, sans-serif; fill: #222; }
.paper { fill: #fff; }
.head { font-size: 16px; font-weight: 600; }
.tick { font-size: 12px; fill: #555; }
.grid { stroke: #ddd; }
.mark { stroke: #888; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
@media (prefers-color-scheme: dark) {
  text { fill: #eee; }
  .paper { fill: #161616; }
  .tick { fill: #aaa; }
  .grid { stroke: #383838; }
}
</style>
";

fn push(out: &mut String, element: std::fmt::Arguments<'_>) {
    writeln!(out, "{element}").expect("writing to a string cannot fail");
}

/// Stored text as the content of an element, cut to so many characters.
fn text(raw: &str, longest: usize) -> String {
    let visible = mv_graph::escape(raw);
    let count = visible.chars().count();
    let mut out = String::with_capacity(visible.len());
    let keep = if count > longest { longest.saturating_sub(1) } else { count };
    for c in visible.chars().take(keep) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // The two characters that are printable to us but that XML does not allow.
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    if count > longest {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that elements are balanced, attributes quoted, and characters legal.
    fn assert_well_formed(xml: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = xml;
        while let Some(at) = rest.find('<') {
            let (content, tag) = rest.split_at(at);
            for entity in content.split('&').skip(1) {
                let known = ["amp;", "lt;", "gt;", "quot;", "#39;"];
                assert!(known.iter().any(|k| entity.starts_with(k)), "&{entity}");
            }
            let end = tag.find('>').expect("a tag ends");
            let inner = &tag[1..end];
            assert_eq!(inner.matches('"').count() % 2, 0, "{inner}");
            assert!(!inner.contains('<') && !inner.contains('&'), "{inner}");
            if let Some(name) = inner.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closes what is open");
            } else if !inner.ends_with('/') {
                open.push(inner.split(' ').next().expect("a tag has a name"));
            }
            rest = &tag[end + 1..];
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
        let legal = |c: char| {
            c == '\n' || (c >= ' ' && !matches!(c, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}'))
        };
        assert_eq!(xml.chars().find(|c| !legal(*c)), None);
    }

    fn picture(names: &[&str], numbers: &[Option<f64>]) -> String {
        let labels: Vec<String> = (0..numbers.len()).map(|n| format!("v1.{n}.0")).collect();
        let lines: Vec<Line> = names
            .iter()
            .map(|name| Line {
                name: (*name).to_owned(),
                numbers: numbers.to_vec(),
                notes: labels.iter().map(|l| format!("{l}: {name}")).collect(),
            })
            .collect();
        Picture { title: &names.join(", "), labels: &labels, lines: &lines }.render()
    }

    #[test]
    fn a_picture_is_well_formed_and_runs_nothing() {
        let numbers = [Some(0.5), Some(0.7), None, Some(0.6), Some(f64::NAN), Some(1.0)];
        let svg = picture(&["auc"], &numbers);
        assert_well_formed(&svg);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches("<polyline").count(), 1, "two lone points have no line");
        assert!(svg.contains("<title>v1.1.0: auc</title>"));
        for word in ["<script", "href", "@import", "url("] {
            assert!(!svg.contains(word), "{word}");
        }
    }

    #[test]
    fn hostile_names_are_only_text() {
        let name = "</text><script>alert(1)</script>&\"'\u{1b}[31m\u{0}\u{ffff}\u{202e}";
        let svg = picture(&[name, "auc", "loss"], &[Some(1.0), Some(2.0)]);
        assert_well_formed(&svg);
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"));
        assert!(svg.contains(r"\x1b[31m"));
    }

    #[test]
    fn no_point_one_point_and_thousands_are_drawn() {
        assert_well_formed(&picture(&["a"], &[]));
        assert_well_formed(&picture(&["a"], &[None, Some(f64::INFINITY)]));
        let one = picture(&["a"], &[Some(0.5)]);
        assert_well_formed(&one);
        assert_eq!((one.matches("<circle").count(), one.matches("<polyline").count()), (1, 0));
        let many: Vec<Option<f64>> = (0..3000).map(|n| Some(f64::from(n))).collect();
        let svg = picture(&["a"], &many);
        assert_well_formed(&svg);
        assert!(svg.matches("rotate(").count() <= MAX_LABELS + 1);
    }
}
