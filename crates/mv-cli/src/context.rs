//! What every command needs: streams, directory, progress, a session, the repository.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mv_graph::{DayEdge, RefName, Time};
use mv_remote::Settings;
use mv_repo::{Connector, PathArg, Repo, Session, Surroundings};
use mv_store::{Nonces, Progress};

use crate::args::Global;
use crate::author::{self, Partial};
use crate::failure::{Failure, Result};
use crate::host::Host;
use crate::passthrough;
use crate::signals;
use crate::suggest;
use crate::ui::Ui;

/// One run of one command.
pub(crate) struct Context<'h> {
    /// The outside world.
    pub(crate) host: &'h Host,
    /// The streams.
    pub(crate) ui: Ui<'h>,
    /// The counters that operations add to, and the flag that stops them.
    pub(crate) progress: Progress,
    global: Global,
    /// The command's name, for its help.
    command: Option<&'static str>,
    /// Names of the repository that was opened, for "did you mean".
    names: RefCell<Vec<String>>,
    /// The folder of the repository that was opened.
    root: RefCell<Option<PathBuf>>,
}

impl<'h> Context<'h> {
    /// A context without side effects.
    pub(crate) fn new(
        global: Global,
        command: Option<&'static str>,
        host: &'h Host,
    ) -> Context<'h> {
        let ui = Ui::new(&global, host);
        Context {
            host,
            ui,
            progress: Progress::new(),
            global,
            command,
            names: RefCell::default(),
            root: RefCell::default(),
        }
    }

    /// Installs the signal handlers and checks `-C`.
    pub(crate) fn prepare(&self) -> Result<()> {
        if self.host.process {
            signals::install(&self.progress);
        }
        match &self.global.directory {
            Some(dir) if !self.cwd()?.is_dir() => {
                Err(Failure::usage(format!("`{}` is not a directory", dir.display())))
            }
            _ => Ok(()),
        }
    }

    /// Whether somebody wants to know that another command is waited for.
    pub(crate) fn tells_of_waiting(&self) -> bool {
        self.host.process && !self.ui.quiet && !self.ui.json
    }

    /// The directory the command works in.
    pub(crate) fn cwd(&self) -> Result<PathBuf> {
        let cwd = self.host.cwd.as_deref();
        match &self.global.directory {
            Some(dir) if dir.is_absolute() => Ok(dir.clone()),
            dir => {
                let cwd = cwd.ok_or_else(|| {
                    Failure::system("the current directory does not exist any more")
                })?;
                Ok(dir.as_ref().map_or_else(|| cwd.to_path_buf(), |dir| cwd.join(dir)))
            }
        }
    }

    /// The present time: `MV_NOW` when it is set, for reproducible runs.
    pub(crate) fn now(&self) -> Result<Time> {
        match self.host.text_variable("MV_NOW") {
            Some(text) => self.time(text, DayEdge::Start),
            None => Ok((self.host.clock)()),
        }
    }

    /// A time of the command line, local unless it names an offset.
    pub(crate) fn time(&self, text: &str, edge: DayEdge) -> Result<Time> {
        let offset = (self.host.clock)().offset_minutes;
        Time::parse_at(text, offset, edge).map_err(|e| {
            Failure::usage(e.to_string())
                .hint("write `2026-06-01`, `2026-06-01 12:00` or `2026-06-01T12:00:00Z`")
        })
    }

    /// Everything ambient that an operation may use, without a repository's configuration.
    pub(crate) fn session(&self) -> Result<Session> {
        let seed = (self.host.random)()
            .map_err(|e| Failure::system(format!("cannot get random bytes: {e}")))?;
        Ok(Session {
            now: self.now()?,
            author: author::person(self.host, Partial::default())?,
            nonces: Nonces::from_seed(seed),
            boot_id: self.host.boot_id.clone(),
            uid: self.host.uid,
            trust_any_owner: self.host.variable("MV_TRUST_ANY_OWNER").is_some_and(|v| v != "0"),
            surroundings: self.surroundings(),
            connector: self.connector(),
            progress: self.progress.clone(),
        })
    }

    /// How remotes are reached; credentials come from the environment and are kept nowhere.
    fn connector(&self) -> Connector {
        let text = |(name, value): (&OsString, &OsString)| {
            Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
        };
        let variables: HashMap<String, String> =
            self.host.variables.iter().filter_map(text).collect();
        let settings = Settings::new(move |name| variables.get(name).cloned());
        Connector::new(Arc::new(move |url| mv_remote::open(url, &settings)))
    }

    /// What the shell and the machine tell of the environment; nothing else of the variables is
    /// looked at.
    fn surroundings(&self) -> Surroundings {
        let host = self.host;
        let folder = |name| host.variable(name).map(PathBuf::from);
        let path = host.variable("PATH").map(|path| std::env::split_paths(path).collect());
        Surroundings {
            virtual_env: folder("VIRTUAL_ENV"),
            conda_prefix: folder("CONDA_PREFIX"),
            path: path.unwrap_or_default(),
            home: folder("HOME"),
            config_home: folder("XDG_CONFIG_HOME"),
            pyenv_version: host.text_variable("PYENV_VERSION").map(str::to_owned),
            no_user_site: host.variable("PYTHONNOUSERSITE").is_some(),
            system_root: host.system_root.clone(),
            machine: host.machine.clone(),
        }
    }

    /// The repository around the directory, with a session whose author its configuration may name.
    pub(crate) fn open(&self) -> Result<(Repo, Session)> {
        let mut session = self.session()?;
        let repo = Repo::discover(&self.cwd()?, &session).map_err(refused_to_open)?;
        let config = repo.local_config();
        let user = Partial {
            name: config.get("user.name")?.map(str::to_owned),
            email: config.get("user.email")?.map(str::to_owned),
        };
        session.author = author::person(self.host, user)?;
        self.names.replace(names(&repo));
        self.root.replace(Some(repo.root().to_path_buf()));
        Ok((repo, session))
    }

    /// Paths of the command line as paths of the repository.
    pub(crate) fn paths(&self, repo: &Repo, paths: &[OsString]) -> Result<Vec<PathArg>> {
        let cwd = self.cwd()?;
        paths.iter().map(|p| Ok(repo.to_repo_path(&cwd, p)?)).collect()
    }

    /// Writes what is left and turns the outcome into an exit code.
    pub(crate) fn end(&self, result: Result<u8>) -> u8 {
        let finished = match result {
            Ok(code) => self.ui.finish().map(|()| code),
            Err(failure) => Err(self.with_hint(failure)),
        };
        finished.unwrap_or_else(|failure| self.ui.fail(&failure))
    }

    /// A revision that is unknown for a reason that can be seen: there are no versions yet, its name
    /// is known and only the step from there leads nowhere, or it is a file.
    fn better_known(&self, failure: Failure) -> Failure {
        let Some(text) = failure.unknown.clone() else { return failure };
        let told = |hint: String| Failure { unknown: None, ..failure.clone() }.hint(hint);
        let (name, step) = match text.find(STEPS) {
            Some(at) => text.split_at(at),
            None => (text.as_str(), ""),
        };
        let known = self.names.borrow().iter().any(|known| known == name);
        if name == "HEAD" && !known {
            let message = "there are no versions yet".to_owned();
            return Failure {
                message,
                ..told("make the first with `mv commit -m MESSAGE`".into())
            };
        }
        let shown = passthrough::quote(name.as_ref());
        match step.as_bytes() {
            [b'@', ..] if name == "HEAD" => {
                return told("see where it stood with `mv reflog`".to_owned());
            }
            [b'@', ..] if known => {
                return told(format!(
                    "see where it stood with `mv reflog`, or `mv stage history {shown}` for a stage"
                ));
            }
            [_, ..] if known => {
                return told(format!(
                    "list the versions before it with `mv log --oneline {shown}`"
                ));
            }
            _ => {}
        }
        match (self.file(&text), self.command) {
            (Some(_), Some(command @ ("diff" | "log" | "checkout"))) => {
                let file = passthrough::quote(text.as_ref());
                told(format!("to name a path: `mv {command} -- {file}`"))
            }
            (Some(path), Some(command @ ("ls" | "cat"))) => {
                let file = passthrough::quote(format!("HEAD:{path}").as_ref());
                told(format!("to name a path: `mv {command} {file}`"))
            }
            _ => failure,
        }
    }

    /// The path in the repository of something that is there under this name.
    fn file(&self, text: &str) -> Option<String> {
        let path = self.cwd().ok()?.join(text);
        path.symlink_metadata().ok()?;
        let root = self.root.borrow();
        Some(path.strip_prefix(root.as_deref()?).ok()?.to_str()?.to_owned())
    }

    /// Adds the near name of an unknown one, and the command's help when nothing better is known.
    fn with_hint(&self, failure: Failure) -> Failure {
        let failure = self.better_known(failure);
        let names = self.names.borrow();
        let near = failure.unknown.as_deref().and_then(|text| suggest::nearest(text, &names));
        match near {
            Some(name) => {
                let hint = format!("did you mean `{name}`? list revisions with `mv log --oneline`");
                failure.hint(hint)
            }
            None => match self.command {
                Some(command) if failure.code == "usage" && failure.hint.is_none() => {
                    failure.hint(format!("see `mv {command} --help`"))
                }
                _ => failure,
            },
        }
    }
}

/// What follows a name in a revision: `~2`, `^`, `@{1}`.
const STEPS: [char; 3] = ['~', '^', '@'];

/// The only rule that stands against opening is about who owns the folder.
fn refused_to_open(error: mv_repo::Error) -> Failure {
    let policy = matches!(error, mv_repo::Error::Policy { .. });
    let failure = Failure::from(error);
    if policy {
        failure.hint("if you trust that user: `MV_TRUST_ANY_OWNER=1 mver status`")
    } else {
        failure
    }
}

fn names(repo: &Repo) -> Vec<String> {
    let state = repo.state();
    let numbered = state.tags.iter().any(|t| t.target.is_some() && t.is_semver());
    let latest = numbered.then_some("latest");
    let head = state.head_target().map(|_| "HEAD");
    let branches = state.branches.iter().map(|b| b.name.as_str());
    let tags = state.tags.iter().filter(|t| t.target.is_some()).map(|t| t.name.as_str());
    let played = state.stages.iter().filter(|s| s.target.is_some());
    let stages = played.map(|s| s.name.as_str());
    branches.chain(tags).chain(stages).chain(head).chain(latest).map(str::to_owned).collect()
}

/// The nearest directory at or above `start` that holds `.mv`; nothing in it is read.
pub(crate) fn repository_above(start: &Path) -> Option<&Path> {
    start.ancestors().find(|dir| dir.join(".mv").symlink_metadata().is_ok_and(|m| m.is_dir()))
}

/// A name for a tag or branch.
pub(crate) fn parse_name(text: &str) -> Result<RefName> {
    RefName::parse(text).map_err(|e| Failure::usage(e.to_string()))
}
