//! `mv best`: the version that scored best.

use mv_graph::Scalar;
use mv_repo::versions::{BestOptions, Version, Which, best};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::format;
use crate::json::Scalars;
use crate::suggest;
use crate::table::Table;
use crate::ui::Role;

/// Find the version with the best value of a metric
///
/// All versions that a branch, tag or stage leads to are compared. Of equal values the newest
/// version counts; one without a number (NaN, text) never wins.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv best auc\n  mv best loss --min\n  mv best auc -n 5\n  mv checkout $(mv best auc --quiet)"
)]
pub(crate) struct Args {
    /// The metric
    #[arg(value_name = "METRIC")]
    metric: String,
    /// The lowest value is the best
    #[arg(long)]
    min: bool,
    /// Show the best N versions
    #[arg(short = 'n', long = "limit", value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only this version and those before it
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// Compare all versions; this is so when nothing else is said
    #[arg(long, conflicts_with = "rev")]
    all: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    id: String,
    version: &'a str,
    metric: &'a str,
    value: serde_json::Value,
    created: String,
    message: &'a str,
    tags: &'a [String],
    params: Scalars<'a>,
    metrics: Scalars<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runners_up: Option<Vec<Document<'a>>>,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let options = BestOptions {
        metric: args.metric,
        lowest: args.min,
        count: usize::try_from(args.limit).unwrap_or(usize::MAX),
        which: args.rev.map_or(Which::All, |rev| Which::HistoryOf(vec![rev])),
    };
    let found = best(&repo, &options, &session)?;
    let ui = &context.ui;
    let metric = options.metric.as_str();
    let Some(((first, value), rest)) = found.ranked.split_first() else {
        return Err(nothing(metric, found.seen, &found.known));
    };
    if ui.json {
        let rest = rest.iter().map(|(version, value)| document(version, metric, value)).collect();
        let document = Document { runners_up: Some(rest), ..document(first, metric, value) };
        ui.document(&document)?;
        return Ok(0);
    }
    if ui.quiet {
        found.ranked.iter().for_each(|(version, _)| ui.line(version.id.to_hex()));
        return Ok(0);
    }
    if args.limit > 1 {
        let mut table = Table::new(&["version", "id", "value", "message"]);
        for (version, value) in &found.ranked {
            table.row([
                format::text(&version.version),
                version.id.short(),
                format::text(&value.to_string()),
                format::subject(&version.manifest.message),
            ]);
        }
        for (i, line) in table.lines(ui.width()).iter().enumerate() {
            if i == 0 { ui.line(ui.paint.paint(Role::Heading, line)) } else { ui.line(line) }
        }
        return Ok(0);
    }
    let name = ui.paint.paint(Role::Name, format::text(&first.version));
    let id = ui.paint.paint(Role::Id, first.id.short());
    ui.line(format!("{name} {id}"));
    let line = |name: &str, text: String| ui.line(format!("{:<9}{text}", format!("{name}:")));
    line("Value", format!("{} {}", format::text(metric), format::text(&value.to_string())));
    line("Date", first.manifest.created.to_display());
    line("Message", format::subject(&first.manifest.message));
    let params = &first.manifest.params;
    if !params.is_empty() {
        let one = |(name, value): &(String, Scalar)| {
            format!("{} {}", format::text(name), format::scalar(value))
        };
        line("Params", params.iter().map(one).collect::<Vec<_>>().join(", "));
    }
    Ok(0)
}

fn document<'a>(version: &'a Version, metric: &'a str, value: &Scalar) -> Document<'a> {
    Document {
        id: version.id.to_hex(),
        version: &version.version,
        metric,
        value: value.to_json(),
        created: version.manifest.created.to_rfc3339_utc(),
        message: &version.manifest.message,
        tags: &version.tags,
        params: Scalars(&version.manifest.params),
        metrics: Scalars(&version.manifest.metrics),
        runners_up: None,
    }
}

/// The failure when no version can win.
pub(crate) fn nothing(metric: &str, seen: bool, known: &[String]) -> Failure {
    if seen {
        return Failure::no(
            "no_value",
            format!("no version has a number for the metric `{metric}`"),
        )
        .hint(format!("see what there is with `mv metrics --all --only {metric}`"));
    }
    let failure = Failure::no("no_value", format!("no version has the metric `{metric}`"));
    match suggest::nearest(metric, known) {
        Some(name) => {
            failure.hint(format!("did you mean `{name}`? see all with `mv metrics --all`"))
        }
        None if known.is_empty() => failure.hint(
            "record one with `mv commit -m MESSAGE --metric NAME=VALUE`, or in `metrics.json`",
        ),
        None => failure.hint("see all with `mv metrics --all`"),
    }
}
