//! `mv diff`: what differs between two versions, or a version and the working tree.

use std::cell::RefCell;
use std::ffi::OsString;

use mv_graph::Component;
use mv_graph::diff::Change;
use mv_repo::diff::{DiffOptions, DiffOutcome, Opaque, View, ViewOptions, diff, view};
use mv_repo::ls::ls;
use mv_repo::{PathArg, Repo, Session};

use crate::commands::{diff_json, diff_markdown, diff_screen, diff_words, shared};
use crate::context::Context;
use crate::failure::{Failure, INTERRUPTED, NO, Result};
use crate::format;
use crate::text_diff;

/// Show what differs: code, data, tensors, packages, params and metrics
///
/// Without arguments the current version is compared with the working tree, with one that version
/// with the working tree, with two the first with the second. Model files are compared tensor by
/// tensor, tables by rows and columns.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv diff\n  mv diff v1.0.0 HEAD --stat\n  mv diff v1.0.0 v1.1.0 --only model --stats\n  mv diff HEAD~1 --only code -- train.py\n  mv diff main HEAD --md > comment.md\n  mv diff --exit-code --name-only"
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
    #[arg(long, conflicts_with_all = ["stat", "md"])]
    name_only: bool,
    /// How far each changed tensor moved; reads them
    #[arg(long, conflicts_with_all = ["stat", "name_only"])]
    stats: bool,
    /// Markdown for a pull request
    #[arg(long, visible_alias = "markdown")]
    md: bool,
    /// Unchanged lines around each change of a text
    #[arg(short = 'U', long = "unified", value_name = "N", default_value_t = text_diff::CONTEXT)]
    context: u32,
    /// Show a renamed file as deleted and added
    #[arg(long)]
    no_renames: bool,
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
    let Args { from, to, only, no_renames, .. } = args;
    let paths = context.paths(&repo, &args.paths)?;
    let (asked, asked_only) = (paths.clone(), only.clone());
    let found = diff(
        &repo,
        &DiffOptions { from, to, only, paths, no_renames, names_only: args.name_only },
        &session,
    )?;
    if found.is_empty() {
        must_be_known(context, &repo, &session, &found, args.paths.iter().zip(&asked))?;
    }
    let ui = &context.ui;
    let inside = Inside::new(&repo, &session, &found, ViewOptions { stats: args.stats });
    if ui.json {
        diff_json::print(ui, &inside)?;
    } else if args.name_only {
        found.changes.iter().for_each(|c| ui.line(c.path.display_escaped()));
    } else if args.md {
        diff_markdown::print(ui, &inside, args.stat, args.context)?;
    } else {
        diff_screen::print(ui, &inside, args.stat, args.context)?;
    }
    if let Some(failure) = inside.failed() {
        // The document is there already.
        return if ui.json { Ok(ui.complain(&failure)) } else { Err(failure) };
    }
    if found.is_empty() {
        let (from, to) = diff_words::sides(&found);
        let only: Vec<String> = asked_only.iter().map(ToString::to_string).collect();
        let place = match (only.as_slice(), asked.is_empty()) {
            ([], true) => String::new(),
            ([], false) => " in these paths".to_owned(),
            (only, true) => format!(" in {}", only.join(", ")),
            (only, false) => format!(" in {} in these paths", only.join(", ")),
        };
        ui.note(format!("no differences{place} between {from} and {to}"));
    }
    Ok(if args.exit_code && !found.is_empty() { NO } else { 0 })
}

/// Refuses a path that is in neither version and not in the working tree: a slip of the hand must
/// not look like "no differences".
fn must_be_known<'a>(
    context: &Context<'_>,
    repo: &Repo,
    session: &Session,
    found: &DiffOutcome,
    paths: impl Iterator<Item = (&'a OsString, &'a PathArg)>,
) -> Result<()> {
    let cwd = context.cwd()?;
    let mut missing =
        paths.filter(|(word, _)| cwd.join(word).symlink_metadata().is_err()).peekable();
    if missing.peek().is_none() {
        return Ok(());
    }
    let mut files = Vec::new();
    for id in [found.from.id, found.to.id].into_iter().flatten() {
        files.extend(ls(repo, &id.to_hex(), session)?);
    }
    match missing.find(|(_, path)| !files.iter().any(|file| path.covers(&file.path))) {
        Some((word, _)) => {
            let shown = format::text(&word.to_string_lossy());
            Err(Failure::usage(format!("`{shown}` matches no file on either side"))
                .hint("list the files of a version with `mv ls HEAD`"))
        }
        None => Ok(()),
    }
}

/// What was found, and a look inside each file of it. A file that cannot be read does not keep the
/// others from being shown; the first failure is remembered.
pub(crate) struct Inside<'a> {
    /// The repository.
    pub(crate) repo: &'a Repo,
    /// What differs.
    pub(crate) found: &'a DiffOutcome,
    /// How closely to look.
    pub(crate) options: ViewOptions,
    session: &'a Session,
    failed: RefCell<Option<Failure>>,
}

impl<'a> Inside<'a> {
    fn new(
        repo: &'a Repo,
        session: &'a Session,
        found: &'a DiffOutcome,
        options: ViewOptions,
    ) -> Inside<'a> {
        Inside { repo, found, options, session, failed: RefCell::default() }
    }

    /// What is inside a changed file.
    ///
    /// # Errors
    /// Only when the user asked to stop.
    pub(crate) fn view(&self, change: &Change) -> Result<View> {
        match view(self.repo, self.found, change, self.options, self.session) {
            Ok(view) => Ok(view),
            Err(error) => {
                let failure = Failure::from(error);
                if failure.exit == INTERRUPTED {
                    return Err(failure);
                }
                let why = Some(format!("cannot be read: {}", failure.message));
                self.failed.borrow_mut().get_or_insert(failure);
                Ok(View::Opaque(Opaque { why, ..Opaque::default() }))
            }
        }
    }

    /// The first failure of [`Inside::view`].
    fn failed(&self) -> Option<Failure> {
        self.failed.borrow_mut().take()
    }
}
