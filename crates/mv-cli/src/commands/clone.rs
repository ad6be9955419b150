//! `mv clone`: makes a repository from a remote.

use std::path::PathBuf;

use mv_graph::{Component, RepoPath};
use mv_repo::Address;
use mv_repo::clone::{CloneOptions, clone};
use serde::Serialize;

use crate::commands::{shared, sharing};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::format;

/// Make a repository from a remote, in a new directory
///
/// All versions come along. With `--only`, `--depth` or paths, not all of their files do: what is not
/// fetched stays on the remote, counts as unchanged, and comes when a command needs it. A clone that
/// was cut off goes on when the same command is run again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv clone /mnt/team/churn\n  mv clone s3://models/churn churn --rev v1.2.0\n  mv clone /mnt/team/churn --only code --only model\n  mv clone /mnt/team/churn --depth 1 -- models/net.safetensors"
)]
pub(crate) struct Args {
    /// Where from: a directory, s3://bucket/prefix, https://…
    #[arg(value_name = "URL")]
    url: String,
    /// The directory to make; the last part of the address when not given
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The version or branch to check out
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// Only files of this component: code, data, model or env
    #[arg(long, value_name = "COMP", value_parser = shared::component)]
    only: Vec<Component>,
    /// The files of only the newest N versions of each branch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    depth: Option<u64>,
    /// Only these files and folders
    #[arg(last = true, value_name = "PATH")]
    paths: Vec<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    path: String,
    remote: &'a str,
    url: &'a str,
    branch: Option<&'a str>,
    id: Option<String>,
    version: Option<&'a str>,
    objects: u64,
    bytes: u64,
    files: u64,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let cwd = context.cwd()?;
    let address = Address::parse(&args.url, &cwd)?;
    let dir = match &args.dir {
        Some(dir) => cwd.join(dir),
        None => cwd.join(last_part(&address)?),
    };
    let paths: std::result::Result<Vec<RepoPath>, Failure> = args
        .paths
        .iter()
        .map(|path| {
            let plain = path.trim_end_matches('/').trim_start_matches("./");
            RepoPath::from_bytes(plain.as_bytes())
                .map_err(|why| Failure::usage(format!("`{path}`: {why}")))
        })
        .collect();
    let session = context.session()?;
    let options = CloneOptions {
        address,
        dir,
        rev: args.rev,
        only: args.only,
        paths: paths?,
        depth: args.depth,
    };
    let done = clone(&options, &session).map_err(failed)?;
    let ui = &context.ui;
    let checkout = done.checkout.as_ref();
    if ui.json {
        ui.document(&Document {
            path: done.root.to_string_lossy().into_owned(),
            remote: "origin",
            url: &done.url,
            branch: checkout.and_then(|c| c.branch.as_deref()),
            id: checkout.map(|c| c.id.to_hex()),
            version: checkout.map(|c| c.version.as_str()),
            objects: done.objects,
            bytes: done.bytes,
            files: checkout.map_or(0, |c| c.written),
        })?;
    } else {
        let root = format::text(&done.root.to_string_lossy());
        ui.say(format!("cloned {} into {root}", format::text(&done.url)));
        ui.say(format!("received: {}", sharing::amount(done.objects, done.bytes, 0, "")));
        match checkout {
            None => ui.note("there are no versions yet"),
            Some(c) => {
                let (branch, version) = (c.branch.as_deref(), Some(c.version.as_str()));
                ui.say(shared::position(ui, branch, Some(&c.id), version));
                ui.say(shared::moved(c.written, c.removed, Some(c.bytes)));
            }
        }
    }
    Ok(checkout.map_or(0, |c| shared::failed(ui, &c.failed)))
}

/// The name of the directory when none is given.
fn last_part(address: &Address) -> Result<String> {
    let text = address.to_string();
    let name = text.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    match name {
        "" | ".mv" => Err(Failure::usage(format!("`{text}` has no name to call the directory by"))
            .hint("name it: `mv clone URL DIR`")),
        name => Ok(name.to_owned()),
    }
}

fn failed(error: mv_repo::Error) -> Failure {
    let failure = sharing::failed(error, None);
    match failure.code {
        "policy" if failure.message.contains("not empty") => {
            failure.hint("name another directory: `mv clone URL DIR`")
        }
        "policy" if failure.message.contains("repository already") => {
            failure.hint("bring it up to date from within with `mv pull`")
        }
        "remote_unreachable" if failure.message.ends_with("there is no repository") => failure
            .hint("check the address; a new remote is made from a project: `mv remote add origin URL`, then `mv push`"),
        _ => failure,
    }
}
