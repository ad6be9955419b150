//! `mv config`: settings of this machine for this repository.

use std::collections::BTreeMap;

use mv_repo::Repo;
use mv_repo::config::LocalConfig;
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, NO, Result};
use crate::format;

/// List, show or change settings of this repository on this machine
///
/// Kept in `.mv/config.toml`. The same keys in `~/.config/mv/config.toml` hold for every repository
/// that does not set them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv config\n  mv config user.name\n  mv config user.email ada@example.org\n  mv config --unset user.name\n\nKeys:\n  user.name, user.email    who commits"
)]
pub(crate) struct Args {
    /// The setting
    #[arg(value_name = "KEY", required_if_eq("unset", "true"))]
    key: Option<String>,
    /// Its new value
    #[arg(value_name = "VALUE", conflicts_with = "unset")]
    value: Option<String>,
    /// Remove the setting
    #[arg(long)]
    unset: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    key: &'a str,
    value: Option<&'a str>,
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let (repo, session) = context.open()?;
    let ui = &context.ui;
    let config = repo.local_config();
    let Some(key) = args.key.as_deref() else {
        if ui.json {
            ui.document(&config.list().into_iter().collect::<BTreeMap<_, _>>())?;
        } else {
            config
                .list()
                .iter()
                .for_each(|(key, value)| ui.line(format!("{key} = {}", format::text(value))));
        }
        return Ok(0);
    };
    let value = args.value.as_deref();
    if value.is_some() || args.unset {
        let mut changed = config.clone();
        match value {
            Some(value) => changed.set(key, value).map_err(with_keys)?,
            None => drop(changed.unset(key).map_err(with_keys)?),
        }
        save(&repo, &changed, &session)?;
        if ui.json {
            ui.document(&Document { key, value })?;
        }
        return Ok(0);
    }
    let value = config.get(key).map_err(with_keys)?;
    match value {
        _ if ui.json => ui.document(&Document { key, value })?,
        Some(value) => ui.line(format::text(value)),
        None => {}
    }
    if value.is_none() {
        ui.note(format!("`{key}` is not set"));
        return Ok(NO);
    }
    Ok(0)
}

fn save(repo: &Repo, config: &LocalConfig, session: &mv_repo::Session) -> Result<()> {
    let dot = repo.root().join(".mv");
    Ok(config.save(&dot, &dot.join("tmp"), &session.nonces.next())?)
}

/// The library's failure with the keys there are.
fn with_keys(error: mv_repo::Error) -> Failure {
    let unknown = matches!(error, mv_repo::Error::UnknownKey { .. });
    let failure = Failure::from(error);
    if unknown {
        failure.hint(format!("the keys are {}", LocalConfig::KEYS.join(", ")))
    } else {
        failure
    }
}
