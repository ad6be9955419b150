//! Making a repository.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use mv_graph::{RefName, State, chain};
use mv_store::{DirTransport, Transport, fs as store_fs};

use super::Repo;
use crate::config::{PROJECT_FILE, ProjectConfig};
use crate::error::{IoContext, Result};
use crate::layout::{Format, Layout};
use crate::session::Session;

/// How to make a repository.
#[derive(Clone, Debug, Default)]
pub struct InitOptions {
    /// The model's name; the directory's when none is given.
    pub name: Option<String>,
}

/// What `init` did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitOutcome {
    /// The project's root.
    pub root: PathBuf,
    /// Whether there was no repository before.
    pub created: bool,
    /// The model's name.
    pub name: String,
    /// Whether `.mv/` was added to the exclude file of the git repository around it.
    pub git_excluded: bool,
}

impl Repo {
    /// Makes a repository in `dir`, or finishes one whose making was cut off. One that is there
    /// stays as it is.
    ///
    /// # Errors
    /// `Io`; `Invalid` for a name that cannot be written down.
    pub fn init(dir: &Path, options: &InitOptions, session: &Session) -> Result<InitOutcome> {
        fs::create_dir_all(dir).at("create directory", dir)?;
        let root = fs::canonicalize(dir).at("open", dir)?;
        let layout = Layout::of(&root);
        let default =
            root.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let name = options.name.clone().unwrap_or(default);
        layout.check()?;
        store_fs::create_dir_durably(&layout.worktree())?;
        store_fs::create_dir_durably(&layout.dot.join("state"))?;
        store_fs::create_dir_durably(&layout.dot.join("packs"))?;
        store_fs::create_dir_durably(&layout.tmp())?;
        let transport = DirTransport::open(&layout.dot);
        // The format file comes first and the first record last: a repository is there when both
        // are, and a run that was cut off between them is finished by the next.
        if store_fs::read_capped(&layout.dot.join("format"), 1 << 20)?.is_none() {
            let format = Format::new(session.nonces.next());
            // Of several that make the repository at once, one decides on its id.
            match transport.create("format", &format.encode(), &session.nonces.next()) {
                Ok(()) | Err(mv_store::Error::Exists { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        let format = Format::read(&transport)?;
        let mut created = chain::generations(&transport)?.is_empty();
        let project = root.join(PROJECT_FILE);
        if created && fs::symlink_metadata(&project).is_err() {
            let text = ProjectConfig::default_toml(&name);
            ProjectConfig::parse(text.as_bytes())?;
            store_fs::replace(&project, text.as_bytes(), &layout.tmp(), &session.nonces.next())
                .or_else(|_| {
                    // `.mv` may be on another file system than the project.
                    fs::write(&project, &text).at("write", &project)
                })?;
        }
        if created {
            let main = RefName::parse("main")?;
            let first = State::first(format.repository, main, session.nonces.next(), session.now);
            match chain::create_first(&transport, first) {
                Err(mv_graph::Error::LostRace { .. }) => created = false,
                other => drop(other?),
            }
        }
        // Folders that another process was making at the same time may not be on disk yet.
        store_fs::sync_dir(&layout.dot)?;
        store_fs::sync_dir(&root)?;
        let name = ProjectConfig::read(&root)?.map_or(name, |config| config.name);
        let git_excluded = exclude_from_git(&root)?;
        Ok(InitOutcome { root, created, name, git_excluded })
    }
}

/// Adds `.mv/` to the exclude file of the git repository whose working tree begins at `root`, or
/// above it. Nothing is changed when the line is there.
pub(crate) fn exclude_from_git(root: &Path) -> Result<bool> {
    let Some(git) = root.ancestors().map(|dir| dir.join(".git")).find(|path| path.exists()) else {
        return Ok(false);
    };
    let Some(dir) = git_common_dir(&git) else { return Ok(false) };
    let path = dir.join("info").join("exclude");
    let bytes = match fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        other => other.at("read", &path)?,
    };
    let ours: [&[u8]; 4] = [b".mv/", b".mv", b"/.mv/", b"/.mv"];
    if bytes.split(|b| *b == b'\n').any(|line| ours.contains(&line.trim_ascii())) {
        return Ok(false);
    }
    fs::create_dir_all(dir.join("info")).at("create directory", &dir.join("info"))?;
    let line: &[u8] =
        if bytes.last().is_none_or(|b| *b == b'\n') { b".mv/\n" } else { b"\n.mv/\n" };
    let mut file =
        fs::OpenOptions::new().create(true).append(true).open(&path).at("open", &path)?;
    file.write_all(line).at("write", &path)?;
    Ok(true)
}

/// The git directory that worktrees and submodules share; `.git` may be a file that names it.
fn git_common_dir(git: &Path) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git.to_path_buf());
    }
    let text = fs::read_to_string(git).ok()?;
    let named = git.parent()?.join(text.strip_prefix("gitdir:")?.trim());
    let common = fs::read_to_string(named.join("commondir")).ok();
    Some(common.map_or(named.clone(), |common| named.join(common.trim())))
        .filter(|dir| dir.is_dir())
}
