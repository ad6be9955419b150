//! `mv ls`: the files of a version, without a checkout.

use mv_graph::diff::ListedFile;
use mv_repo::ls::ls;
use serde::Serialize;

use crate::commands::shared;
use crate::context::Context;
use crate::failure::Result;
use crate::format;
use crate::json::{self, PathDocument};

/// List the files of a version
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv ls\n  mv ls v1.0.0:models\n  mv ls HEAD --name-only | wc -l"
)]
pub(crate) struct Args {
    /// The version, and a folder or file in it; the current version when not given
    #[arg(value_name = "REV[:PATH]", default_value = "HEAD")]
    spec: String,
    /// Only the names
    #[arg(long)]
    name_only: bool,
    /// Print only the paths, each followed by a NUL byte
    #[arg(short = 'z', conflicts_with = "name_only")]
    nul: bool,
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    path: PathDocument,
    component: &'static str,
    id: String,
    bytes: u64,
    mode: &'static str,
}

impl From<&ListedFile> for Document {
    fn from(file: &ListedFile) -> Document {
        Document {
            path: PathDocument::from(&file.path),
            component: file.component.as_str(),
            id: file.entry.id.to_hex(),
            bytes: file.entry.bytes,
            mode: file.entry.mode.as_str(),
        }
    }
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let files = ls(&repo, &args.spec, &session).map_err(shared::not_in_version)?;
    let ui = &context.ui;
    if ui.json {
        ui.document(&json::array(files.iter().map(Document::from)))?;
    } else if args.nul {
        shared::raw_paths(ui, files.iter().map(|f| &f.path));
    } else {
        for file in &files {
            let path = file.path.display_escaped();
            if args.name_only {
                ui.line(path);
            } else {
                let (id, size) = (file.entry.id.short(), format::bytes(file.entry.bytes));
                ui.line(format!(
                    "{:<5}  {:<7}  {id}  {size:>7}  {path}",
                    file.component,
                    file.entry.mode.as_str()
                ));
            }
        }
    }
    Ok(0)
}
