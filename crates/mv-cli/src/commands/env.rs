//! `mv env`: the environment that was captured with a version, and the present one against it.

use std::fs;
use std::path::PathBuf;

use mv_repo::environment::{self, Environment, EnvironmentChange, Export};
use mv_repo::{Repo, Session};
use mv_store::Hash;
use serde::Serialize;

use crate::context::Context;
use crate::failure::{self, Failure, NO, Result};
use crate::format;
use crate::json::{self, EnvironmentChangeDocument};
use crate::table::Table;
use crate::ui::{Role, Ui};

/// Show the captured environment, compare it, or write it down for pip or conda
///
/// Each commit records the Python and the packages of the active environment (`VIRTUAL_ENV`,
/// `CONDA_PREFIX`, `.venv`, else `python3` on PATH), the operating system, the processors and the
/// GPU driver. Nothing is run for that.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv env show v1.0.0\n  mv env diff v1.0.0 v1.1.0\n  mv env check v1.0.0\n  mv env export v1.0.0 -o requirements.txt\n\nExit codes of `check`: 0 Python and packages are the same, 1 they differ."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the environment of a version
    #[command(
        after_help = "Examples:\n  mv env show\n  mv env show v1.0.0 --json\n  mv env show --now"
    )]
    Show {
        /// The version; the current one when not given
        #[arg(value_name = "REV", default_value = "HEAD")]
        rev: String,
        /// Show the present environment instead
        #[arg(long, conflicts_with = "rev")]
        now: bool,
    },
    /// Compare the environments of two versions, or of one with the present
    #[command(
        after_help = "Examples:\n  mv env diff\n  mv env diff v1.0.0\n  mv env diff v1.0.0 v1.1.0"
    )]
    Diff {
        /// The older version; the current one when not given
        #[arg(value_name = "A", default_value = "HEAD")]
        from: String,
        /// The newer version; the present environment when not given
        #[arg(value_name = "B")]
        to: Option<String>,
    },
    /// Tell whether the present environment is that of a version; exit code 1 when it is not
    ///
    /// Python and the packages count. What differs of the machine is shown only.
    #[command(after_help = "Examples:\n  mv env check\n  mv env check v1.0.0 && python train.py")]
    Check {
        /// The version; the current one when not given
        #[arg(value_name = "REV", default_value = "HEAD")]
        rev: String,
    },
    /// Write the packages of a version as requirements.txt, or as environment.yml of conda
    #[command(
        after_help = "Examples:\n  mv env export > requirements.txt\n  mv env export v1.0.0 -o requirements.txt\n  mv env export --conda -o environment.yml"
    )]
    Export {
        /// The version; the current one when not given
        #[arg(value_name = "REV", default_value = "HEAD")]
        rev: String,
        /// Write into FILE instead of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Write an environment.yml with the builds that conda installed
        #[arg(long)]
        conda: bool,
    },
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    match args.action {
        Action::Show { now: true, .. } => show(context, None),
        Action::Show { rev, .. } => show(context, Some(&rev)),
        Action::Diff { from, to } => diff(context, &from, to.as_deref()),
        Action::Check { rev } => check(context, &rev),
        Action::Export { rev, output, conda } => export(context, &rev, output, conda),
    }
}

/// An environment and whose it is.
struct Side {
    /// The version; none for the present.
    id: Option<Hash>,
    label: String,
    /// The environment's own id; none for the present.
    object: Option<Hash>,
    environment: Environment,
}

impl Side {
    fn version(repo: &Repo, session: &Session, rev: &str) -> Result<Side> {
        let id = repo.resolve(rev, session)?;
        let manifest = repo.manifest(&id)?;
        let label = repo.version_of(&id, &manifest);
        let captured = environment::read(repo, &manifest)?;
        let environment = captured.ok_or_else(|| Failure::no_environment(&label))?;
        Ok(Side { id: Some(id), label, object: manifest.environment, environment })
    }

    fn present(repo: &Repo, session: &Session, ui: &Ui<'_>) -> Side {
        let mut seen = Vec::new();
        let environment =
            environment::capture_noting(repo.root(), &session.surroundings, &mut seen);
        notes(ui, &seen);
        Side { id: None, label: "the present environment".into(), object: None, environment }
    }
}

fn show(context: &Context<'_>, rev: Option<&str>) -> Result<u8> {
    let (repo, session) = context.open()?;
    let ui = &context.ui;
    let side = match rev {
        Some(rev) => Side::version(&repo, &session, rev)?,
        None => Side::present(&repo, &session, ui),
    };
    let environment = &side.environment;
    if ui.json {
        ui.document(&json::environment(side.object.as_ref(), environment))?;
        return Ok(0);
    }
    let mut table = Table::new(&["", ""]);
    let mut part = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.row([name.to_owned(), format::text(&value)]);
        }
    };
    part("python", python(environment));
    part("os", environment.os.clone());
    part("kernel", environment.kernel.clone());
    part("arch", environment.arch.clone());
    part("cpu", environment.cpu_name());
    part("gpu", Some(environment.gpu_names()).filter(|names| !names.is_empty()));
    part("driver", environment.driver.clone());
    part("cuda", environment.cuda.clone());
    let id = side.object.map(|id| format!(" {}", id.short())).unwrap_or_default();
    let title = format!("{}{id}", format::text(&side.label));
    ui.line(ui.paint.paint(Role::Heading, title));
    table.lines(ui.width()).iter().for_each(|l| ui.line(l));
    let installed = environment.installed();
    ui.line("");
    let count = format::count(installed.len() as u64, "package");
    ui.line(ui.paint.paint(Role::Heading, count));
    let mut table = Table::new(&["", "", ""]);
    for (name, version) in installed {
        let origin = environment.origins.get(name).map(String::as_str).unwrap_or_default();
        table.row([
            format!("  {}", format::text(name)),
            format::text(version),
            format::text(origin),
        ]);
    }
    table.lines(ui.width()).iter().for_each(|l| ui.line(l));
    Ok(0)
}

#[derive(Serialize)]
struct DiffDocument<'a> {
    from: Option<String>,
    to: Option<String>,
    environment: Vec<EnvironmentChangeDocument<'a>>,
}

fn diff(context: &Context<'_>, from: &str, to: Option<&str>) -> Result<u8> {
    let (repo, session) = context.open()?;
    let ui = &context.ui;
    let from = Side::version(&repo, &session, from)?;
    let to = match to {
        Some(rev) => Side::version(&repo, &session, rev)?,
        None => Side::present(&repo, &session, ui),
    };
    let changes = environment::changes(Some(&from.environment), Some(&to.environment));
    if ui.json {
        ui.document(&DiffDocument {
            from: from.id.map(|id| id.to_hex()),
            to: to.id.map(|id| id.to_hex()),
            environment: changes.iter().map(Into::into).collect(),
        })?;
        return Ok(0);
    }
    print(ui, &changes);
    if changes.is_empty() {
        let (from, to) = (format::text(&from.label), format::text(&to.label));
        ui.note(format!("no difference between {from} and {to}"));
    }
    Ok(0)
}

#[derive(Serialize)]
struct CheckDocument<'a> {
    id: Option<String>,
    version: &'a str,
    equal: bool,
    environment: Vec<EnvironmentChangeDocument<'a>>,
}

fn check(context: &Context<'_>, rev: &str) -> Result<u8> {
    let (repo, session) = context.open()?;
    let ui = &context.ui;
    let version = Side::version(&repo, &session, rev)?;
    let present = Side::present(&repo, &session, ui);
    let changes = environment::changes(Some(&version.environment), Some(&present.environment));
    let equal = !changes.iter().any(EnvironmentChange::is_software);
    let label = format::text(&version.label);
    if ui.json {
        ui.document(&CheckDocument {
            id: version.id.map(|id| id.to_hex()),
            version: &version.label,
            equal,
            environment: changes.iter().map(Into::into).collect(),
        })?;
    } else {
        if !ui.quiet {
            print(ui, &changes);
        }
        if equal {
            ui.say(format!("python and packages are those of {label}"));
        } else {
            let software: Vec<_> = changes.into_iter().filter(|c| c.is_software()).collect();
            ui.say(format!("the environment differs from {label}: {}", in_short(&software)));
            ui.hint(&format!("write down what it was with `mv env export {label}`"));
        }
    }
    Ok(if equal { 0 } else { NO })
}

#[derive(Serialize)]
struct ExportDocument<'a> {
    output: Option<&'a str>,
    lines: &'a [String],
    left_out: Vec<LeftOut<'a>>,
}

#[derive(Serialize)]
struct LeftOut<'a> {
    package: &'a str,
    reason: &'a str,
}

fn export(context: &Context<'_>, rev: &str, output: Option<PathBuf>, conda: bool) -> Result<u8> {
    let (repo, session) = context.open()?;
    let ui = &context.ui;
    let side = Side::version(&repo, &session, rev)?;
    if conda && side.environment.conda.is_empty() {
        let label = format::text(&side.label);
        return Err(Failure::usage(format!("`{label}` was not made with conda"))
            .hint(format!("write a requirements.txt with `mv env export {label}`")));
    }
    let exported = if conda {
        environment::conda_environment(&side.environment)
    } else {
        environment::requirements(&side.environment)
    };
    for (name, reason) in &exported.left_out {
        ui.warn(format!("left out `{}`: {}", format::text(name), format::text(reason)));
    }
    let lossy = output.as_ref().map(|path| path.to_string_lossy().into_owned());
    if let Some(path) = &output {
        let path = context.cwd()?.join(path);
        fs::write(&path, file(&side, &exported))
            .map_err(|source| failure::not_written(&path, &source))?;
    }
    if ui.json {
        let left_out = exported.left_out.iter();
        ui.document(&ExportDocument {
            output: lossy.as_deref(),
            lines: &exported.lines,
            left_out: left_out.map(|(package, reason)| LeftOut { package, reason }).collect(),
        })?;
    } else if let Some(path) = lossy {
        ui.say(format!("wrote {}", format::text(&path)));
    } else {
        ui.line(file(&side, &exported).trim_end());
    }
    Ok(0)
}

/// The lines under a comment that says whose they are.
fn file(side: &Side, exported: &Export) -> String {
    let python = python(&side.environment).map(|p| format!(", python {p}")).unwrap_or_default();
    let id = side.id.map(|id| format!(" ({})", id.short())).unwrap_or_default();
    let title = format::text(&format!("environment of {}{id}{python}", side.label));
    let mut text = format!("# {title}\n");
    for line in &exported.lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// What differs, the software first.
fn print(ui: &Ui<'_>, changes: &[EnvironmentChange]) {
    let kind = |change: &EnvironmentChange| match (&change.from, &change.to) {
        (None, _) => ("added", Role::Added),
        (_, None) => ("removed", Role::Removed),
        _ => ("changed", Role::Changed),
    };
    let mut table = Table::new(&["", "", ""]);
    for change in changes {
        let (word, name) = (kind(change).0.to_owned(), format::text(&change.name));
        table.row([word, name, format::text(&arrow(change))]);
    }
    for (line, change) in table.lines(ui.width()).iter().zip(changes) {
        ui.line(ui.paint.paint(kind(change).1, line));
    }
}

/// `1.26.3 -> 1.26.4`, or the one side that there is.
fn arrow(change: &EnvironmentChange) -> String {
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (from, to) => from.as_ref().or(to.as_ref()).cloned().unwrap_or_default(),
    }
}

/// `3 packages, python 3.11.4 -> 3.12.1`; safe for a terminal.
pub(crate) fn in_short(changes: &[EnvironmentChange]) -> String {
    let packages = changes.iter().filter(|c| c.kind == "package").count() as u64;
    let packages = (packages > 0).then(|| format::count(packages, "package"));
    let python = changes.iter().find(|c| c.kind == "python").map(|change| match &change.to {
        None => "no python here".to_owned(),
        Some(_) => format!("python {}", arrow(change)),
    });
    format::text(&packages.into_iter().chain(python).collect::<Vec<_>>().join(", "))
}

/// `python 3.11.4, 212 packages, Debian GNU/Linux 12, 2 x NVIDIA A100`. Not escaped.
pub(crate) fn summary(environment: &Environment) -> String {
    let python = environment.python.as_ref().map(|version| format!("python {version}"));
    let installed = environment.installed().len() as u64;
    let packages = python.as_ref().map(|_| format::count(installed, "package"));
    let gpus = Some(environment.gpu_names()).filter(|names| !names.is_empty());
    let parts = [python, packages, environment.os.clone(), gpus];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `3.11.4 (virtualenv)`. Not escaped.
fn python(environment: &Environment) -> Option<String> {
    let version = environment.python.as_ref()?;
    let pypy = environment.implementation.as_deref().filter(|name| *name != "cpython");
    let about: Vec<&str> = pypy.into_iter().chain(environment.interpreter.as_deref()).collect();
    Some(if about.is_empty() {
        version.clone()
    } else {
        format!("{version} ({})", about.join(", "))
    })
}

/// How Python and the packages differ now from those of a version; none when that had neither or
/// cannot be read. Never fails: it only adds a line to what another command says.
pub(crate) fn against_present(
    repo: &Repo,
    id: &Hash,
    session: &Session,
) -> Option<Vec<EnvironmentChange>> {
    let captured = environment::read(repo, &repo.manifest(id).ok()?).ok()??;
    captured.python.as_ref()?;
    let present = environment::capture(repo.root(), &session.surroundings);
    let mut changes = environment::changes(Some(&captured), Some(&present));
    changes.retain(EnvironmentChange::is_software);
    Some(changes)
}

/// The failure of a commit without changes; other packages than those of the version are told.
pub(crate) fn nothing_to_commit(repo: &Repo, session: &Session) -> Failure {
    let failure = Failure::from(mv_repo::Error::NothingToCommit);
    let head = repo.state().head_target();
    let changes = head.and_then(|id| against_present(repo, &id, session)).unwrap_or_default();
    if changes.is_empty() {
        return failure;
    }
    failure.hint(format!(
        "the environment differs ({}): record it with `mv commit --allow-empty -m MESSAGE`",
        in_short(&changes)
    ))
}

/// What was there but could not be read; told with `--verbose`.
pub(crate) fn notes(ui: &Ui<'_>, notes: &[String]) {
    for note in notes.iter().filter(|_| ui.verbose) {
        ui.note(format::text(note));
    }
}
