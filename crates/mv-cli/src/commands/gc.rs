//! `mv gc`: says what nobody can reach any more, and deletes it on request.

use std::time::Duration;

use mv_repo::gc::{self, GcOptions, GcOutcome, GcPlan};
use serde::Serialize;

use crate::context::Context;
use crate::failure::Result;
use crate::format;
use crate::ui::{Role, Ui};

/// Delete what no branch, tag or recent state can reach
///
/// Prints its plan and does nothing without `--apply`. Tagged versions, and all that ever played the
/// role of a stage, are always kept.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv gc\n  mv gc --apply\n  mv gc --keep-last 50 --keep-within 90d --apply\n  mv gc --remote origin --apply"
)]
pub(crate) struct Args {
    /// Do it
    #[arg(long)]
    apply: bool,
    /// Keep what the last N commands could reach; 64 when not given
    #[arg(long, value_name = "N")]
    keep_last: Option<usize>,
    /// Keep what commands of this age could reach, such as 12w; 30d when not given
    #[arg(long, value_name = "D", value_parser = format::parse_duration)]
    keep_within: Option<Duration>,
    /// Clean up this remote instead, while others may push and clone
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Delete no pack younger than this
    #[arg(long, value_name = "D", value_parser = format::parse_duration, default_value = "1d")]
    grace: Duration,
}

#[derive(Default, Serialize)]
struct Document {
    applied: bool,
    drop_versions: Vec<VersionDocument>,
    drop_packs: Vec<PackDocument>,
    rewrite_packs: Vec<PackDocument>,
    expired_packs: Vec<PackDocument>,
    paths: Vec<PathBytes>,
    drop_records: Vec<u64>,
    free_bytes: u64,
    kept_bytes: u64,
    retired_bytes: u64,
    freed_bytes: u64,
    condemned_packs: u64,
    records_pruned: u64,
}

#[derive(Serialize)]
struct VersionDocument {
    id: String,
    version: String,
}

#[derive(Serialize)]
struct PackDocument {
    id: String,
    bytes: u64,
}

#[derive(Serialize)]
struct PathBytes {
    path: String,
    bytes: u64,
}

impl From<&GcPlan> for Document {
    fn from(plan: &GcPlan) -> Document {
        let packs = |packs: &[(mv_store::PackId, u64)]| {
            packs
                .iter()
                .map(|(id, bytes)| PackDocument { id: id.to_string(), bytes: *bytes })
                .collect()
        };
        let version = |(id, version): &(mv_store::Hash, String)| VersionDocument {
            id: id.to_hex(),
            version: version.clone(),
        };
        Document {
            applied: false,
            drop_versions: plan.drop_versions.iter().map(version).collect(),
            drop_packs: packs(&plan.drop_packs),
            rewrite_packs: packs(&plan.rewrite_packs),
            expired_packs: packs(&plan.expired_packs),
            paths: plan
                .paths
                .iter()
                .map(|(path, bytes)| PathBytes { path: path.clone(), bytes: *bytes })
                .collect(),
            drop_records: plan.drop_records.clone(),
            free_bytes: plan.free_bytes,
            kept_bytes: plan.kept_bytes,
            retired_bytes: plan.retired_bytes,
            freed_bytes: 0,
            condemned_packs: 0,
            records_pruned: 0,
        }
    }
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let options =
        GcOptions { keep_last: args.keep_last, keep_within: args.keep_within, grace: args.grace };
    let remote = args.remote.as_deref();
    let mut there = match remote {
        Some(name) => Some(gc::plan_remote(&repo, Some(name), &options, &session)?),
        None => None,
    };
    let here = match &there {
        Some(_) => None,
        None => Some(gc::plan(&repo, &options, &session)?),
    };
    let plan = there.as_ref().map(|gc| &gc.plan).or(here.as_ref());
    let ui = &context.ui;
    let mut document = plan.map(Document::from).unwrap_or_default();
    let nothing = plan.is_none_or(GcPlan::is_empty);
    if let (false, Some(plan)) = (ui.json, plan) {
        print(ui, plan);
    }
    if args.apply {
        let done = match (&mut there, &here) {
            (Some(gc), _) => gc.apply(&repo, &session)?,
            (None, Some(plan)) => gc::apply(&repo, plan, &session)?,
            (None, None) => GcOutcome::default(),
        };
        document.applied = true;
        document.freed_bytes = done.freed_bytes;
        document.condemned_packs = done.packs_condemned;
        document.records_pruned = done.records_pruned;
        if !ui.json {
            told(ui, &done);
        }
    } else if !nothing {
        let on = remote.map(|name| format!(" --remote {}", format::text(name))).unwrap_or_default();
        ui.hint(&format!("nothing was deleted; do it with `mv gc{on} --apply`"));
    }
    if ui.json {
        ui.document(&document)?;
    }
    Ok(0)
}

fn told(ui: &Ui<'_>, done: &GcOutcome) {
    let removed = format::count(done.packs_removed, "pack");
    ui.say(format!("freed {}, deleted {removed}", format::bytes(done.freed_bytes)));
    if done.packs_condemned > 0 {
        let retired = format::count(done.packs_condemned, "pack");
        ui.note(format!(
            "{retired} retired: a later `gc --apply` deletes what no running command can be reading"
        ));
    }
}

fn print(ui: &Ui<'_>, plan: &GcPlan) {
    if !plan.drop_versions.is_empty() {
        ui.line(ui.paint.paint(Role::Heading, "versions that nothing reaches"));
        for (id, version) in &plan.drop_versions {
            ui.line(format!(
                "  {} {}",
                ui.paint.paint(Role::Id, id.short()),
                format::text(version)
            ));
        }
    }
    if !plan.paths.is_empty() {
        ui.line(ui.paint.paint(Role::Heading, "their files"));
        for (path, bytes) in &plan.paths {
            ui.line(format!("  {:>7}  {}", format::bytes(*bytes), format::text(path)));
        }
    }
    for (verb, packs) in [
        ("retire", &plan.drop_packs),
        ("rewrite", &plan.rewrite_packs),
        ("delete", &plan.expired_packs),
    ] {
        if !packs.is_empty() {
            let bytes = packs.iter().map(|(_, bytes)| bytes).sum();
            ui.line(format!(
                "{verb} {}, {}",
                format::count(packs.len() as u64, "pack"),
                format::bytes(bytes)
            ));
        }
    }
    if !plan.drop_records.is_empty() {
        let records = format::count(plan.drop_records.len() as u64, "record");
        let end = plan.undo_ends.as_deref().map(|operation| {
            format!("; undo goes no further back than `{}`", format::text(operation))
        });
        ui.line(format!("forget {records} of the reflog{}", end.unwrap_or_default()));
    }
    if plan.retired_packs > 0 {
        ui.line(format!(
            "{}, {}, retired less than an hour ago: a later gc deletes them",
            format::count(plan.retired_packs, "pack"),
            format::bytes(plan.retired_bytes)
        ));
    }
    ui.line(format!(
        "{} can be freed, {} are kept",
        format::bytes(plan.free_bytes),
        format::bytes(plan.kept_bytes)
    ));
}
