//! `mv plot`: metrics over versions, on the terminal or as an SVG file.

use std::path::{Path, PathBuf};

use mv_repo::versions::{Version, Which, versions};
use serde::Serialize;
use serde_json::Value;

use crate::axis::drawable;
use crate::chart::{Chart, Dots};
use crate::commands::best::nothing;
use crate::context::Context;
use crate::failure::{self, Failure, Result};
use crate::format;
use crate::svg::{Line, Picture};
use crate::ui::{Role, Ui};

/// Columns of a chart that goes to no terminal.
const WIDTH: usize = 80;
/// Lines of dots in a chart.
const HEIGHT: usize = 12;

/// Draw metrics over versions, the oldest on the left
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv plot auc\n  mv plot auc loss -n 50\n  mv plot auc --rev v1.4.0 --rev experiment\n  mv plot val.auc --all -o auc.svg"
)]
pub(crate) struct Args {
    /// The metrics
    #[arg(value_name = "METRIC", required = true)]
    metrics: Vec<String>,
    /// This version and those before it; may be given more than once
    #[arg(long = "rev", value_name = "REV")]
    revs: Vec<String>,
    /// Every version that a branch, tag or stage leads to
    #[arg(long, conflicts_with = "revs")]
    all: bool,
    /// Only the newest N versions
    #[arg(short = 'n', long = "limit", value_name = "N")]
    limit: Option<usize>,
    /// Write an SVG file instead
    #[arg(short, long, value_name = "FILE.svg")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Document<'a> {
    metrics: &'a [String],
    points: Vec<Point<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

#[derive(Serialize)]
struct Point<'a> {
    id: String,
    version: &'a str,
    tags: &'a [String],
    created: String,
    /// One for each metric; null where a version has none.
    values: Vec<Value>,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let svg = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg"));
    if let Some(path) = args.output.as_ref().filter(|path| !svg(path)) {
        return Err(Failure::usage(format!("`{}` does not end in .svg", path.display()))
            .hint("only SVG is written: `mv plot METRIC -o chart.svg`"));
    }
    let (repo, session) = context.open()?;
    let which = match (args.all, args.revs.is_empty()) {
        (true, _) => Which::All,
        (false, true) => Which::Head,
        (false, false) => Which::HistoryOf(args.revs),
    };
    let mut found = versions(&repo, &which, args.limit, &session)?;
    found.reverse();
    for metric in &args.metrics {
        check(metric, &found)?;
    }
    let ui = &context.ui;
    if let Some(path) = &args.output {
        let whole = context.cwd()?.join(path);
        std::fs::write(&whole, picture(&args.metrics, &found))
            .map_err(|source| failure::not_written(&whole, &source))?;
    }
    let output = args.output.map(|path| path.to_string_lossy().into_owned());
    if ui.json {
        let points = found.iter().map(|version| point(version, &args.metrics)).collect();
        ui.document(&Document { metrics: &args.metrics, points, output })?;
    } else if let Some(output) = output {
        let versions = format::count(found.len() as u64, "version");
        ui.say(format!("drew {versions} into {}", format::text(&output)));
    } else {
        draw(ui, &args.metrics, &found);
    }
    Ok(0)
}

/// Refuses a metric that no version has as a number.
fn check(metric: &str, found: &[Version]) -> Result<()> {
    if numbers(metric, found).iter().any(Option::is_some) {
        return Ok(());
    }
    let seen = found.iter().any(|v| v.manifest.metric(metric).is_some());
    let mut known: Vec<String> = found
        .iter()
        .flat_map(|v| v.manifest.metrics.iter().map(|(name, _)| name.clone()))
        .collect();
    known.sort();
    known.dedup();
    Err(nothing(metric, seen, &known))
}

/// The metric's number in each version; none where there is no number that can be drawn.
fn numbers(metric: &str, found: &[Version]) -> Vec<Option<f64>> {
    let number = |version: &Version| version.manifest.metric(metric)?.as_f64();
    found.iter().map(|version| number(version).filter(|n| drawable(*n))).collect()
}

/// What stands below each version: its tag; the first and the last have a name in any case.
fn labels(found: &[Version]) -> Vec<String> {
    let last = found.len().saturating_sub(1);
    let label = |(at, version): (usize, &Version)| match version.tags.first() {
        Some(tag) => format::text(tag),
        None if at == 0 || at == last => format::text(&version.version),
        None => String::new(),
    };
    found.iter().enumerate().map(label).collect()
}

fn draw(ui: &Ui<'_>, metrics: &[String], found: &[Version]) {
    let (width, dots) = match ui.width() {
        Some(width) => (width, Dots::Braille),
        None => (WIDTH, Dots::Ascii),
    };
    let labels = labels(found);
    for (i, metric) in metrics.iter().enumerate() {
        if i > 0 {
            ui.line("");
        }
        ui.line(ui.paint.paint(Role::Heading, format::text(metric)));
        let chart = Chart { numbers: &numbers(metric, found), labels: &labels };
        chart.lines(width, HEIGHT, dots).iter().for_each(|line| ui.line(line));
    }
}

fn picture(metrics: &[String], found: &[Version]) -> String {
    let line = |metric: &String| {
        let note = |version: &Version| {
            let value =
                version.manifest.metric(metric).map(ToString::to_string).unwrap_or_default();
            let message = version.manifest.subject();
            format!("{} ({}): {metric} {value}, {message}", version.version, version.id.short())
        };
        Line {
            name: metric.clone(),
            numbers: numbers(metric, found),
            notes: found.iter().map(note).collect(),
        }
    };
    let lines: Vec<Line> = metrics.iter().map(line).collect();
    Picture { title: &metrics.join(", "), labels: &labels(found), lines: &lines }.render()
}

fn point<'a>(version: &'a Version, metrics: &[String]) -> Point<'a> {
    let value = |name: &String| version.manifest.metric(name).map_or(Value::Null, |v| v.to_json());
    Point {
        id: version.id.to_hex(),
        version: &version.version,
        tags: &version.tags,
        created: version.manifest.created.to_rfc3339_utc(),
        values: metrics.iter().map(value).collect(),
    }
}
