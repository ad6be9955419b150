//! `mv reflog`: every change of the repository, newest first.

use mv_repo::reflog::{ReflogEntry, reflog};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Result;
use crate::format;
use crate::json;
use crate::table::Table;

/// List every command that changed the repository, newest first
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv reflog\n  mv reflog -n 5\n  mv checkout main@{1}              # where main was before its last move"
)]
pub(crate) struct Args {
    /// Show at most N entries
    #[arg(short = 'n', long = "limit", value_name = "N")]
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Document<'a> {
    generation: u64,
    time: String,
    actor: &'a str,
    operation: &'a str,
    head: Option<String>,
    branch: Option<&'a str>,
}

impl<'a> From<&'a ReflogEntry> for Document<'a> {
    fn from(entry: &'a ReflogEntry) -> Document<'a> {
        Document {
            generation: entry.generation,
            time: entry.time.to_rfc3339_utc(),
            actor: &entry.actor,
            operation: &entry.operation,
            head: entry.head.map(|id| id.to_hex()),
            branch: entry.branch.as_deref(),
        }
    }
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let (repo, _) = context.open()?;
    let entries = reflog(&repo, args.limit)?;
    let ui = &context.ui;
    if ui.json {
        ui.document(&json::array(entries.iter().map(Document::from)))?;
        return Ok(0);
    }
    let mut table = Table::new(&[">", "", "", "", ""]);
    for entry in &entries {
        table.row([
            entry.generation.to_string(),
            entry.time.to_display(),
            entry.head.map(|id| id.short()).unwrap_or_default(),
            entry.branch.as_deref().map(format::text).unwrap_or_default(),
            format::text(&entry.operation),
        ]);
    }
    table.lines(ui.width()).iter().for_each(|l| ui.line(l));
    Ok(0)
}
