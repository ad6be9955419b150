//! `mv diff`: what differs between two versions, or a version and the working tree.

use std::ffi::OsString;

use mv_graph::diff::Change;
use mv_graph::{Component, Scalar};
use mv_repo::Repo;
use mv_repo::diff::{DiffOptions, DiffOutcome, DiffSide, ScalarChange, diff, text_of};

use crate::commands::{diff_json, shared};
use crate::context::Context;
use crate::failure::{NO, Result};
use crate::format;
use crate::table::Table;
use crate::text_diff;
use crate::ui::{Role, Ui};

/// Show what differs: files, params and metrics
///
/// Without arguments the current version is compared with the working tree, with one that version
/// with the working tree, with two the first with the second.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv diff\n  mv diff v1.0.0 HEAD --stat\n  mv diff HEAD~1 --only code -- train.py\n  mv diff --exit-code --name-only"
)]
pub(crate) struct Args {
    /// The older side
    #[arg(value_name = "A")]
    from: Option<String>,
    /// The newer side
    #[arg(value_name = "B")]
    to: Option<String>,
    /// One line for each file, with counts
    #[arg(long)]
    stat: bool,
    /// Only the names of the files
    #[arg(long, conflicts_with = "stat")]
    name_only: bool,
    /// Only this component: code, data, model or env
    #[arg(long, value_name = "COMP", value_parser = shared::component)]
    only: Vec<Component>,
    /// Exit with 1 when something differs
    #[arg(long)]
    exit_code: bool,
    /// Only these files and folders
    #[arg(last = true, value_name = "PATH")]
    paths: Vec<OsString>,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let paths = context.paths(&repo, &args.paths)?;
    let options = DiffOptions { from: args.from, to: args.to, only: args.only, paths };
    let found = diff(&repo, &options, &session)?;
    let ui = &context.ui;
    if ui.json {
        diff_json::print(ui, &repo, &found)?;
    } else if args.name_only {
        found.changes.iter().for_each(|c| ui.line(c.path.display_escaped()));
    } else {
        print(ui, &repo, &found, args.stat)?;
    }
    let same = found.changes.is_empty()
        && found.params.is_empty()
        && found.metrics.is_empty()
        && found.metadata.is_empty();
    if same {
        ui.note(format!("no differences between {} and {}", label(&found.from), label(&found.to)));
    }
    Ok(if args.exit_code && !same { NO } else { 0 })
}

fn label(side: &DiffSide) -> String {
    format::text(&side.label)
}

fn print(ui: &Ui<'_>, repo: &Repo, found: &DiffOutcome, stat: bool) -> Result<()> {
    for component in Component::ALL {
        let changes: Vec<&Change> =
            found.changes.iter().filter(|c| c.component == component).collect();
        if changes.is_empty() {
            continue;
        }
        let title = format!("{component}: {}", format::count(changes.len() as u64, "file"));
        ui.line(ui.paint.paint(Role::Heading, title));
        for change in changes {
            if ui.ended() {
                return Ok(());
            }
            file(ui, repo, change, stat)?;
        }
    }
    scalars(ui, "params", &found.params);
    scalars(ui, "metrics", &found.metrics);
    let mut notes = Table::new(&["metadata", "from", "to"]);
    let text =
        |value: &Option<String>| value.as_deref().map_or_else(|| "-".to_owned(), format::text);
    for note in &found.metadata {
        notes.row([format::text(&note.name), text(&note.from), text(&note.to)]);
    }
    block(ui, &notes);
    Ok(())
}

/// One file: its line, and the changed lines of code and lock files.
fn file(ui: &Ui<'_>, repo: &Repo, change: &Change, stat: bool) -> Result<()> {
    let word = format!("{:<10}", change.kind.as_str());
    let head =
        format!("  {} {}", ui.paint.paint(shared::role(change.kind), word), shared::shown(change));
    let text = match change.component {
        Component::Code | Component::Env => text_of(repo, change)?,
        Component::Data | Component::Model => None,
    };
    let Some((from, to)) = text else {
        ui.line(format!("{head}  {}", sizes(change)));
        return Ok(());
    };
    let (lines, counts) = text_diff::unified(&from, &to, ui.paint);
    ui.line(format!("{head}  +{} -{}", counts.added, counts.removed));
    if !stat {
        lines.iter().for_each(|l| ui.line(l));
    }
    Ok(())
}

/// `1.2 MB -> 1.3 MB`.
fn sizes(change: &Change) -> String {
    match (&change.from, &change.to) {
        (Some(from), Some(to)) if from.mode != to.mode && from.id == to.id => {
            format!("{} -> {}", from.mode.as_str(), to.mode.as_str())
        }
        (Some(from), Some(to)) => {
            format!("{} -> {}", format::bytes(from.bytes), format::bytes(to.bytes))
        }
        (Some(only), None) | (None, Some(only)) => format::bytes(only.bytes),
        (None, None) => String::new(),
    }
}

fn scalars(ui: &Ui<'_>, title: &str, changes: &[ScalarChange]) {
    let mut table = Table::new(&[title, ">from", ">to", ">delta"]);
    let text = |v: &Option<Scalar>| {
        v.as_ref().map_or_else(|| "-".to_owned(), |v| format::text(&v.to_string()))
    };
    for change in changes {
        let delta = diff_json::delta(change).map(|d| match d.as_i64() {
            Some(whole) => format!("{whole:+}"),
            None => d.as_f64().map(signed).unwrap_or_default(),
        });
        table.row([
            format::text(&change.name),
            text(&change.from),
            text(&change.to),
            delta.unwrap_or_default(),
        ]);
    }
    block(ui, &table);
}

/// A difference with as many digits as say something.
fn signed(number: f64) -> String {
    let text = format!("{number:+.6}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if number != 0.0 && number.abs() < 1e-4 { format!("{number:+.3e}") } else { short.to_owned() }
}

fn block(ui: &Ui<'_>, table: &Table) {
    if table.is_empty() {
        return;
    }
    for (i, line) in table.lines(ui.width()).iter().enumerate() {
        if i == 0 { ui.line(ui.paint.paint(Role::Heading, line)) } else { ui.line(line) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_differences_keep_their_digits() {
        assert_eq!(signed(0.5), "+0.5");
        assert_eq!(signed(-0.01), "-0.01");
        assert_eq!(signed(0.00002), "+2.000e-5");
        assert_eq!(signed(10.0), "+10");
    }
}
