//! `mv log`: the history, newest first.

use std::collections::HashSet;
use std::ffi::OsString;

use mv_graph::{DayEdge, Manifest, Scalar, Time};
use mv_repo::log::{LogEntry, LogOptions, log};
use mv_store::Hash;

use crate::commands::shared;
use crate::context::Context;
use crate::failure::Result;
use crate::format;
use crate::graph_lines::{Lanes, Row};
use crate::json::{Environments, ManifestDocument};
use crate::ui::{Role, Ui};

/// Show the history with versions, changed components and metrics
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv log\n  mv log --oneline --metric auc -n 20\n  mv log v1.0.0 --since 2026-06-01\n  mv log --graph -- data/train.csv"
)]
pub(crate) struct Args {
    /// Where to begin; the current version when not given
    #[arg(value_name = "REV")]
    rev: Option<String>,
    /// Show at most N versions
    #[arg(short = 'n', long = "limit", value_name = "N")]
    limit: Option<usize>,
    /// One line for each version
    #[arg(long)]
    oneline: bool,
    /// Draw the lines of history
    #[arg(long)]
    graph: bool,
    /// Show this metric (and no other)
    #[arg(long = "metric", value_name = "NAME")]
    metrics: Vec<String>,
    /// Only versions made at this time or later
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// Only versions made at this time or earlier
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// Only versions with a tag
    #[arg(long)]
    tags: bool,
    /// Only versions that changed one of these
    #[arg(last = true, value_name = "PATH")]
    paths: Vec<OsString>,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let time =
        |text: &Option<String>, edge| text.as_deref().map(|t| context.time(t, edge)).transpose();
    let options = LogOptions {
        rev: args.rev,
        limit: args.limit,
        since: time(&args.since, DayEdge::Start)?,
        until: time(&args.until, DayEdge::End)?,
        paths: context.paths(&repo, &args.paths)?,
        tags_only: args.tags,
    };
    let entries = log(&repo, &options, &session)?;
    let ui = &context.ui;
    if ui.json {
        let mut environments = Environments::default();
        let environments: Vec<_> =
            entries.iter().map(|e| environments.of(&repo, &e.manifest)).collect::<Result<_>>()?;
        let documents = entries.iter().zip(&environments).map(|(e, environment)| {
            ManifestDocument::new(&e.id, &e.manifest, &e.version, &e.tags, environment.as_deref())
                .in_history(&e.branches, &e.stages, &e.changed)
        });
        ui.document(&crate::json::array(documents))?;
        return Ok(0);
    }
    if entries.is_empty() {
        ui.note("no versions to show");
    }
    let page =
        Page { ui, now: session.now, metrics: &args.metrics, head: repo.state().head_target() };
    page.print(&entries, args.oneline, args.graph);
    for name in &args.metrics {
        if !entries.is_empty() && entries.iter().all(|e| e.manifest.metric(name).is_none()) {
            ui.note(format!("no version here has the metric `{}`", format::text(name)));
            let all =
                entries.iter().flat_map(|e| e.manifest.metrics.iter().map(|(n, _)| n.clone()));
            shared::near_name(ui, name, &all.collect::<Vec<_>>());
        }
    }
    Ok(0)
}

/// What all entries of one log have in common.
struct Page<'a> {
    ui: &'a Ui<'a>,
    now: Time,
    metrics: &'a [String],
    head: Option<Hash>,
}

impl Page<'_> {
    fn print(&self, entries: &[LogEntry], oneline: bool, graph: bool) {
        let shown: HashSet<Hash> = entries.iter().map(|e| e.id).collect();
        let mut lanes = Lanes::default();
        for (i, entry) in entries.iter().enumerate() {
            if self.ui.ended() {
                return;
            }
            let mut text = if oneline { vec![self.one_line(entry)] } else { self.paragraph(entry) };
            if !oneline && i + 1 < entries.len() {
                text.push(String::new());
            }
            let row = graph.then(|| {
                let parents: Vec<Hash> =
                    entry.manifest.parents.iter().filter(|p| shown.contains(p)).copied().collect();
                lanes.row(&entry.id, &parents)
            });
            self.place(&text, row.as_ref());
        }
    }

    /// Prints the lines of one version behind its lanes.
    fn place(&self, text: &[String], row: Option<&Row>) {
        let Some(row) = row else {
            text.iter().for_each(|line| self.ui.line(line));
            return;
        };
        if let Some(joins) = &row.joins {
            self.ui.line(joins.trim_end());
        }
        for (i, line) in text.iter().enumerate() {
            let lanes = if i == 0 { &row.star } else { &row.rest };
            self.ui.line(format!("{lanes}{line}").trim_end());
            if let (0, Some(forks)) = (i, &row.forks) {
                self.ui.line(forks.trim_end());
            }
        }
    }

    fn one_line(&self, entry: &LogEntry) -> String {
        let mut line = self.ui.paint.paint(Role::Id, entry.id.short());
        line.push_str(&format!(
            " {}",
            self.ui.paint.paint(Role::Name, format::text(&entry.version))
        ));
        if let Some(names) = self.names(entry) {
            line.push_str(&format!(" ({names})"));
        }
        line.push_str(&format!(" {}", format::text(entry.manifest.subject())));
        if !self.metrics.is_empty() {
            line.push_str(&format!("  {}", self.scores(&entry.manifest)));
        }
        line.truncate(line.trim_end().len());
        line
    }

    fn paragraph(&self, entry: &LogEntry) -> Vec<String> {
        let paint = self.ui.paint;
        let manifest = &entry.manifest;
        let version = paint.paint(Role::Name, format::text(&entry.version));
        let mut title = format!("version {version} {}", paint.paint(Role::Id, entry.id.short()));
        if let Some(names) = self.names(entry) {
            title.push_str(&format!(" ({names})"));
        }
        let mut lines = vec![
            title,
            format!("Author:  {}", format::text(&manifest.author.to_string())),
            format!(
                "Date:    {} ({})",
                manifest.created.to_display(),
                format::age(self.now, manifest.created)
            ),
        ];
        if !entry.changed.is_empty() {
            let changed: Vec<_> = entry.changed.iter().map(|c| c.as_str()).collect();
            lines.push(format!("Changed: {}", changed.join(", ")));
        }
        let scores = self.scores(manifest);
        if !scores.is_empty() {
            lines.push(format!("Metrics: {scores}"));
        }
        lines.push(String::new());
        lines.extend(manifest.message.trim().lines().map(format::indented));
        lines
    }

    /// `HEAD, main, v1.0.0, production`; none when nothing points here.
    fn names(&self, entry: &LogEntry) -> Option<String> {
        let head = (self.head == Some(entry.id)).then(|| "HEAD".to_owned());
        let tags = entry.tags.iter().filter(|t| **t != entry.version);
        let names = entry.branches.iter().chain(tags).chain(&entry.stages).map(|n| format::text(n));
        let names: Vec<String> = head.into_iter().chain(names).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// `auc 0.91, loss 0.3`: those asked for, else all.
    fn scores(&self, manifest: &Manifest) -> String {
        let score = |name: &str, value: &Scalar| {
            format!("{} {}", format::text(name), format::text(&value.to_string()))
        };
        let chosen: Vec<String> = if self.metrics.is_empty() {
            manifest.metrics.iter().map(|(name, value)| score(name, value)).collect()
        } else {
            let find = |name: &String| manifest.metric(name).map(|value| score(name, value));
            self.metrics.iter().filter_map(find).collect()
        };
        chosen.join(", ")
    }
}
