//! The remotes that a repository knows.

use std::path::Path;
use std::sync::Arc;

use mv_graph::RefName;
use mv_store::{Transport, fs as store_fs, probe};

use crate::config::{LocalConfig, RemoteConfig};
use crate::error::{Error, Result};
use crate::maintain;
use crate::remote::{Address, Known, ORIGIN, Remote};
use crate::repo::Repo;
use crate::session::Session;

/// A remote to add.
#[derive(Clone, Debug)]
pub struct AddOptions {
    /// What to call it.
    pub name: RefName,
    /// Where it is.
    pub address: Address,
    /// The user vouches for being its only writer, so that a place without honest conditional
    /// writes will do.
    pub single_writer: bool,
}

/// A remote that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteEntry {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Its branches as they were last seen, with their versions.
    pub branches: Vec<(String, mv_store::Hash)>,
}

/// Adds a remote. One that can be written to is tried: of two that create the same name, one must
/// lose, or pushes would overwrite each other.
///
/// # Errors
/// `Policy` when the name is taken, `Remote` when it cannot be reached or is unfit, `Invalid`, `Io`.
pub fn add(repo: &Repo, options: &AddOptions, session: &Session) -> Result<RemoteEntry> {
    check_name(&options.name)?;
    let mut config = repo.local_config().clone();
    if let Some(taken) =
        config.remotes.keys().find(|n| n.eq_ignore_ascii_case(options.name.as_str()))
    {
        return Err(Error::Policy { what: format!("there is a remote `{taken}` already") });
    }
    let known = Known {
        name: options.name.clone(),
        address: options.address.clone(),
        seen: None,
        accept_rewind: false,
        single_writer: options.single_writer,
    };
    // Below the directory of another project's files lies its `.mv`, which is no remote of this one.
    if let Address::Directory(path) = &options.address
        && (path == repo.root() || path.starts_with(&repo.layout().dot))
    {
        let what = format!("`{}` is this repository", path.display());
        return Err(Error::Policy { what });
    }
    let remote = Remote::connect(repo.layout(), &known, &session.connector, &session.nonces)?;
    if !options.single_writer && is_writable(&options.address) {
        probe(&*remote.transport, &session.nonces)?;
    }
    let url = options.address.to_string();
    let single_writer = options.single_writer;
    config
        .remotes
        .insert(options.name.to_string(), RemoteConfig { url: url.clone(), single_writer });
    save(repo, &config, session)?;
    Ok(RemoteEntry { name: options.name.to_string(), url, branches: Vec::new() })
}

fn is_writable(address: &Address) -> bool {
    match address {
        Address::Directory(_) => true,
        Address::Url(url) => !url.starts_with("http"),
    }
}

/// A remote's name is one component of `origin/main`.
fn check_name(name: &RefName) -> Result<()> {
    if name.as_str().contains('/') {
        return Err(Error::invalid("remote name", format!("`{name}` has a `/`")));
    }
    Ok(())
}

/// The remotes, by name.
#[must_use]
pub fn list(repo: &Repo) -> Vec<RemoteEntry> {
    let branches = |name: &str| {
        let tracked = repo.state().tracking.iter().filter(|t| t.remote.as_str() == name);
        tracked.map(|t| (t.branch.to_string(), t.target)).collect()
    };
    let remotes = repo.local_config().remotes.iter();
    remotes
        .map(|(name, config)| RemoteEntry {
            name: name.clone(),
            url: config.url.clone(),
            branches: branches(name),
        })
        .collect()
}

/// Forgets a remote, with what was seen of it. Nothing there changes.
///
/// # Errors
/// `Invalid` when there is no such remote, `Policy` when absent files are to come from it, `Io`.
pub fn remove(repo: &Repo, name: &RefName, session: &Session) -> Result<()> {
    let mut config = repo.local_config().clone();
    if config.remotes.remove(name.as_str()).is_none() {
        return Err(unknown(name.as_str()));
    }
    if config.partial.as_ref().is_some_and(|partial| partial.remote == name.as_str()) {
        let what = format!("files that are not fetched come from `{name}`");
        return Err(Error::Policy { what });
    }
    save(repo, &config, session)?;
    let seen = |state: &mv_graph::State| {
        state.remote(name.as_str()).is_some() || state.tracking.iter().any(|t| t.remote == *name)
    };
    if seen(repo.state()) {
        maintain::quietly(
            repo,
            session,
            &format!("remote remove {name}"),
            &[],
            &[],
            &mut |state| {
                state.tracking.retain(|t| t.remote != *name);
                state.remotes.retain(|r| r.remote != *name);
                Ok(())
            },
        )?;
    }
    store_fs::sweep_dir(&repo.layout().remote(name));
    Ok(())
}

fn save(repo: &Repo, config: &LocalConfig, session: &Session) -> Result<()> {
    config.save(&repo.layout().dot, &repo.layout().tmp(), &session.nonces.next())
}

fn unknown(name: &str) -> Error {
    Error::UnknownRemote { name: name.to_owned() }
}

/// Asks the named remote, else `origin`, else the only one.
///
/// # Errors
/// `UnknownRemote`, `Rewritten` when it is not what was seen before, `Remote`, `Corrupt`.
pub(crate) fn connect(
    repo: &Repo,
    name: Option<&str>,
    accept_rewind: bool,
    session: &Session,
) -> Result<Remote> {
    let (name, config) = find(repo.local_config(), name)?;
    let known = Known {
        address: Address::parse(&config.url, Path::new("/"))?,
        seen: repo.state().remote(name.as_str()).cloned(),
        accept_rewind,
        single_writer: config.single_writer,
        name,
    };
    Remote::connect(repo.layout(), &known, &session.connector, &session.nonces)
}

/// The way to the named remote, whatever is there.
///
/// # Errors
/// `UnknownRemote`, `Remote`.
pub(crate) fn open(
    repo: &Repo,
    name: Option<&str>,
    session: &Session,
) -> Result<(RefName, Arc<dyn Transport>)> {
    let (name, config) = find(repo.local_config(), name)?;
    let address = Address::parse(&config.url, Path::new("/"))?;
    Ok((name, session.connector.open(&address)?))
}

/// The named remote, else `origin`, else the only one.
pub(crate) fn find<'a>(
    config: &'a LocalConfig,
    name: Option<&str>,
) -> Result<(RefName, &'a RemoteConfig)> {
    let remotes = &config.remotes;
    let (name, found) = match name {
        Some(name) => remotes.get_key_value(name).ok_or_else(|| unknown(name))?,
        None => match (remotes.get_key_value(ORIGIN), remotes.len()) {
            (Some(origin), _) => origin,
            (None, 1) => remotes.iter().next().ok_or_else(|| unknown(ORIGIN))?,
            (None, 0) => return Err(Error::UnknownRemote { name: String::new() }),
            (None, _) => return Err(unknown(ORIGIN)),
        },
    };
    Ok((RefName::parse(name)?, found))
}
