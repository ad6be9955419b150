//! `mv show`: one version, whole.

use mv_graph::{Component, Manifest, Source};
use mv_repo::environment;
use mv_store::Hash;

use crate::commands::env;
use crate::context::Context;
use crate::failure::Result;
use crate::format;
use crate::json::{Environments, ManifestDocument};
use crate::table::Table;
use crate::ui::{Role, Ui};

/// Show everything that one version records
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv show\n  mv show v1.0.0 --json | jq .metrics")]
pub(crate) struct Args {
    /// The version; the current one when not given
    #[arg(value_name = "REV", default_value = "HEAD")]
    rev: String,
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let id = repo.resolve(&args.rev, &session)?;
    let manifest = repo.manifest(&id)?;
    let version = repo.version_of(&id, &manifest);
    let tags = repo.tags_of(&id);
    let ui = &context.ui;
    if ui.json {
        let environment = Environments::default().of(&repo, &manifest)?;
        let environment = environment.as_deref();
        ui.document(&ManifestDocument::new(&id, &manifest, &version, &tags, environment))?;
    } else {
        let environment = match environment::read(&repo, &manifest) {
            Ok(captured) => captured.as_ref().map(env::summary),
            Err(error) => Some(format!("not readable: {error}")),
        };
        print(ui, &id, &manifest, &version, &tags, environment);
    }
    Ok(0)
}

fn print(
    ui: &Ui<'_>,
    id: &Hash,
    manifest: &Manifest,
    version: &str,
    tags: &[String],
    environment: Option<String>,
) {
    let paint = ui.paint;
    ui.line(format!("version {}", paint.paint(Role::Name, format::text(version))));
    ui.line(format!("Id:      {}", paint.paint(Role::Id, id)));
    for parent in &manifest.parents {
        ui.line(format!("Parent:  {parent}"));
    }
    if !tags.is_empty() {
        let tags: Vec<_> = tags.iter().map(|t| format::text(t)).collect();
        ui.line(format!("Tags:    {}", tags.join(", ")));
    }
    ui.line(format!("Model:   {}", format::text(&manifest.model_name)));
    ui.line(format!("Author:  {}", format::text(&manifest.author.to_string())));
    ui.line(format!("Date:    {}", manifest.created.to_display()));
    if let Some(source) = &manifest.source {
        ui.line(format!("Source:  {}", format::text(&source_line(source))));
    }
    if let Some(environment) = environment {
        ui.line(format!("Environment: {}", format::text(&environment)));
    }
    ui.line("");
    for line in manifest.message.trim().lines() {
        ui.line(format::indented(line));
    }
    ui.line("");
    let mut parts = Table::new(&["component", ">files", ">bytes", "tree"]);
    for component in Component::ALL {
        let part = manifest.component(component);
        parts.row([
            component.as_str().to_owned(),
            part.files.to_string(),
            format::bytes(part.bytes),
            part.tree.short(),
        ]);
    }
    parts.lines(ui.width()).iter().for_each(|l| ui.line(l));
    pairs(ui, "params", manifest.params.iter().map(|(n, v)| (n.as_str(), v.to_string())));
    pairs(ui, "metrics", manifest.metrics.iter().map(|(n, v)| (n.as_str(), v.to_string())));
    pairs(ui, "metadata", manifest.metadata.iter().map(|(n, v)| (n.as_str(), v.clone())));
}

/// `git 1a2b3c4 (main, dirty) https://host/project.git`.
fn source_line(source: &Source) -> String {
    let short: String = source.commit.chars().take(12).collect();
    let branch = source.branch.as_deref().unwrap_or("no branch");
    let dirty = if source.dirty { ", dirty" } else { "" };
    let url = source.url.as_deref().map(|url| format!(" {url}")).unwrap_or_default();
    format!("{} {short} ({branch}{dirty}){url}", source.vcs)
}

/// A titled block of names and values, or nothing.
fn pairs<'a>(ui: &Ui<'_>, title: &str, pairs: impl Iterator<Item = (&'a str, String)>) {
    let mut table = Table::new(&["", ""]);
    for (name, value) in pairs {
        table.row([format!("  {}", format::text(name)), format::text(&value)]);
    }
    if !table.is_empty() {
        ui.line("");
        ui.line(ui.paint.paint(Role::Heading, title));
        table.lines(ui.width()).iter().for_each(|l| ui.line(l));
    }
}
