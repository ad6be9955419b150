//! `mv ls`: the files of a version, without a checkout.

use mv_graph::diff::ListedFile;
use mv_repo::diff::bytes_of;
use mv_repo::ls::ls;
use mv_repo::{Repo, Session};
use serde::Serialize;

use crate::commands::{diff_words, shared};
use crate::context::Context;
use crate::failure::Result;
use crate::format;
use crate::json::{self, PathDocument, TensorDocument};
use crate::table::Table;

/// List the files of a version
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv ls\n  mv ls v1.0.0:models\n  mv ls HEAD --name-only | wc -l\n  mv ls --tensors HEAD:models/net.safetensors"
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
    /// The tensors of one model file
    #[arg(long, conflicts_with_all = ["name_only", "nul"])]
    tensors: bool,
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
    if args.tensors {
        return tensors(context, &repo, args, &session);
    }
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

fn tensors(context: &Context<'_>, repo: &Repo, args: &Args, session: &Session) -> Result<u8> {
    let model = mv_repo::tensor::list(repo, &args.spec, session).map_err(shared::not_in_version)?;
    let ui = &context.ui;
    if ui.json {
        ui.document(&json::array(model.tensors.iter().map(TensorDocument::from)))?;
        return Ok(0);
    }
    let mut table = Table::new(&["tensor", "type", "shape", ">bytes"]);
    for tensor in &model.tensors {
        table.row([
            format::text(&tensor.name),
            format::text(&tensor.dtype.to_string()),
            diff_words::shape(&tensor.shape),
            format::bytes(bytes_of(tensor)),
        ]);
    }
    table.lines(ui.width()).iter().for_each(|line| ui.line(line));
    Ok(0)
}
