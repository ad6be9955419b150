//! `mv fsck`: checks that everything is there and is what it must be, and brings back what is not.

use mv_repo::fsck::{
    FsckOptions, FsckReport, Problem, RepairOutcome, fsck, fsck_remote, repair, repair_remote,
};
use mv_store::Share;
use serde::Serialize;

use crate::context::{Context, repository_above};
use crate::failure::{INTEGRITY, Result};
use crate::format;
use crate::ui::Ui;

/// Objects that are listed of each place they came from, at most.
const LISTED: usize = 20;

/// Check the repository, or a remote, and repair what is damaged
///
/// Follows every version to its files. With `--full` every stored byte is read and compared with
/// its id as well. With `--repair` all of that is done, and damaged or missing objects are brought
/// back from the working tree and from every remote; with `--repair --remote NAME` those of the
/// remote, from this repository.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv fsck\n  mv fsck --full\n  mv fsck --repair\n  mv fsck --remote origin --sample 1%\n  mv fsck --remote origin --repair"
)]
pub(crate) struct Args {
    /// Read and compare every stored byte
    #[arg(long)]
    full: bool,
    /// Check this remote instead, as it is there
    #[arg(long, value_name = "NAME")]
    remote: Option<String>,
    /// Read and compare a part of what is stored, drawn by chance, such as 1%
    #[arg(long, value_name = "P%", value_parser = share, conflicts_with_all = ["full", "repair"])]
    sample: Option<Share>,
    /// Bring back what is damaged or missing
    #[arg(long)]
    repair: bool,
}

fn share(text: &str) -> std::result::Result<Share, String> {
    Share::parse(text).ok_or_else(|| "write a part of all, such as 1% or 0.5%".to_owned())
}

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    checked_objects: u64,
    checked_bytes: u64,
    problems: Vec<ProblemDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<SampleDocument>,
    #[serde(flatten)]
    repair: Option<RepairDocument<'a>>,
}

#[derive(Serialize)]
struct SampleDocument {
    blocks: u64,
    of: u64,
}

#[derive(Serialize)]
struct RepairDocument<'a> {
    repaired: Vec<RepairedDocument<'a>>,
    salvaged_objects: u64,
    retired_packs: Vec<String>,
    kept_packs: Vec<String>,
}

#[derive(Serialize)]
struct RepairedDocument<'a> {
    object: String,
    from: &'a str,
}

impl<'a> From<&'a RepairOutcome> for RepairDocument<'a> {
    fn from(done: &'a RepairOutcome) -> RepairDocument<'a> {
        let packs = |packs: &[mv_store::PackId]| packs.iter().map(ToString::to_string).collect();
        let repaired = done.repaired.iter();
        RepairDocument {
            repaired: repaired
                .map(|one| RepairedDocument { object: one.object.to_hex(), from: &one.from })
                .collect(),
            salvaged_objects: done.salvaged,
            retired_packs: packs(&done.retired),
            kept_packs: packs(&done.kept),
        }
    }
}

#[derive(Serialize)]
struct ProblemDocument<'a> {
    kind: &'a str,
    object: &'a str,
    paths: &'a [String],
    detail: &'a str,
}

impl<'a> From<&'a Problem> for ProblemDocument<'a> {
    fn from(problem: &'a Problem) -> ProblemDocument<'a> {
        let Problem { kind, object, paths, detail } = problem;
        ProblemDocument { kind, object, paths, detail }
    }
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    if args.repair {
        let (repo, session) = context.open()?;
        let done = match &args.remote {
            Some(name) => repair_remote(&repo, name, &session)?,
            None => repair(&repo, &session)?,
        };
        return end(context, args, &done.report, Some(&done));
    }
    let options = FsckOptions { full: args.full, sample: args.sample };
    let report = match &args.remote {
        Some(name) => {
            let (repo, session) = context.open()?;
            fsck_remote(&repo, name, &options, &session)?
        }
        None => {
            // A damaged repository may not open, so the folder is all that is looked for.
            let cwd = context.cwd()?;
            let root = match repository_above(&cwd) {
                Some(root) => root,
                None => return Err(mv_repo::Error::NotARepository { path: cwd }.into()),
            };
            fsck(root, &options, &context.session()?)?
        }
    };
    end(context, args, &report, None)
}

fn end(
    context: &Context<'_>,
    args: &Args,
    report: &FsckReport,
    done: Option<&RepairOutcome>,
) -> Result<u8> {
    let ui = &context.ui;
    if ui.json {
        ui.document(&Document {
            ok: report.ok(),
            checked_objects: report.checked_objects,
            checked_bytes: report.checked_bytes,
            problems: report.problems.iter().map(ProblemDocument::from).collect(),
            sample: report.sampled_blocks.map(|(blocks, of)| SampleDocument { blocks, of }),
            repair: done.map(RepairDocument::from),
        })?;
    } else {
        if let Some(done) = done {
            print_repair(ui, done);
        }
        print(ui, report);
        if !report.ok() {
            ui.hint(&hint(args, report));
        }
    }
    for (remote, why) in done.iter().flat_map(|done| &done.not_asked) {
        ui.warn(format!("`{}` could not be asked: {}", format::text(remote), format::text(why)));
    }
    Ok(if report.ok() { 0 } else { INTEGRITY })
}

/// What was brought back, by the place that it came from.
fn print_repair(ui: &Ui<'_>, done: &RepairOutcome) {
    let mut places: Vec<&str> = done.repaired.iter().map(|one| one.from.as_str()).collect();
    places.sort_unstable();
    places.dedup();
    for place in places {
        let ids: Vec<_> = done.repaired.iter().filter(|one| one.from == place).collect();
        let count = format::count(ids.len() as u64, "object");
        ui.line(format!("brought back {count} from {}", format::text(place)));
        ids.iter().take(LISTED).for_each(|one| ui.line(format!("  {}", one.object)));
        if ids.len() > LISTED {
            ui.line(format!("  and {} more", ids.len() - LISTED));
        }
    }
    if done.salvaged > 0 {
        let count = format::count(done.salvaged, "sound object");
        ui.say(format!("copied {count} out of damaged packs"));
    }
    for pack in &done.lossy {
        ui.line(format!(
            "pack `{pack}` held something that no version needs and that is lost; its file stays until gc"
        ));
    }
    for pack in &done.kept {
        ui.line(format!(
            "pack `{pack}` stays in use: what could not be brought back may still be in it"
        ));
    }
}

fn hint(args: &Args, report: &FsckReport) -> String {
    let mendable = |problem: &Problem| matches!(&*problem.kind, "pack" | "object" | "ledger");
    let whole = "versions that name no damaged path are whole";
    if !report.problems.iter().any(mendable) {
        return format!("{whole}; bring damaged files back from a copy of `.mv`");
    }
    match (&args.remote, args.repair) {
        (None, false) => format!("{whole}; bring back the rest with `mv fsck --repair`"),
        (Some(name), false) => {
            let name = format::text(name);
            format!("repair it from this repository with `mv fsck --repair --remote {name}`")
        }
        (None, true) => format!(
            "{whole}; if another copy has the rest, add it with `mv remote add NAME URL`, then `mv fsck --repair`"
        ),
        (Some(_), true) => {
            "what is lacking is not here either: repair it from a repository that has it".to_owned()
        }
    }
}

fn print(ui: &Ui<'_>, report: &FsckReport) {
    for problem in &report.problems {
        let detail = format::text(&problem.detail);
        if problem.detail.contains(&problem.object) {
            ui.line(detail);
        } else {
            ui.line(format!(
                "{} `{}`: {detail}",
                format::text(&problem.kind),
                format::text(&problem.object)
            ));
        }
        problem.paths.iter().for_each(|path| ui.line(format!("  {}", format::text(path))));
    }
    let mut checked = format!(
        "checked {}, {}",
        format::count(report.checked_objects, "object"),
        format::bytes(report.checked_bytes)
    );
    if let Some((blocks, of)) = report.sampled_blocks {
        checked.push_str(&format!(", a sample of {blocks} of {}", format::count(of, "block")));
    }
    match report.problems.len() as u64 {
        0 => ui.say(format!("{checked}: all is well")),
        n => ui.say(format!("{checked}: {}", format::count(n, "problem"))),
    }
}
