//! `mv fsck`: checks that everything is there and is what it must be.

use mv_repo::fsck::{FsckOptions, FsckReport, Problem, fsck};
use serde::Serialize;

use crate::context::{Context, repository_above};
use crate::failure::{INTEGRITY, Result};
use crate::format;
use crate::ui::Ui;

/// Check the repository
///
/// Follows every version to its files. With `--full` every stored byte is read and compared with
/// its id as well.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv fsck\n  mv fsck --full")]
pub(crate) struct Args {
    /// Read and compare every stored byte
    #[arg(long)]
    full: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    checked_objects: u64,
    checked_bytes: u64,
    problems: Vec<ProblemDocument<'a>>,
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
    // A damaged repository may not open, so the folder is all that is looked for.
    let cwd = context.cwd()?;
    let root = match repository_above(&cwd) {
        Some(root) => root,
        None => return Err(mv_repo::Error::NotARepository { path: cwd }.into()),
    };
    let report = fsck(root, &FsckOptions { full: args.full }, &context.session()?)?;
    let ui = &context.ui;
    let ok = report.problems.is_empty();
    if ui.json {
        ui.document(&Document {
            ok,
            checked_objects: report.checked_objects,
            checked_bytes: report.checked_bytes,
            problems: report.problems.iter().map(ProblemDocument::from).collect(),
        })?;
    } else {
        print(ui, &report);
    }
    Ok(if ok { 0 } else { INTEGRITY })
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
    let checked = format!(
        "checked {}, {}",
        format::count(report.checked_objects, "object"),
        format::bytes(report.checked_bytes)
    );
    match report.problems.len() as u64 {
        0 => ui.say(format!("{checked}: all is well")),
        n => {
            ui.say(format!("{checked}: {}", format::count(n, "problem")));
            ui.hint("versions that name no damaged path are whole; bring damaged files back from a copy of `.mv`");
        }
    }
}
