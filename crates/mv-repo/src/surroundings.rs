//! [`Surroundings`]: what the machine and the user's shell tell about where a model is made.
//!
//! Handed in like the clock, so that a test can be any machine. Only what is named here is looked
//! at: the process environment as a whole is never read, nor recorded.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The machine and the shell around one command. Empty by default: then only the project's own
/// `.venv` is found.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The active virtual environment: `VIRTUAL_ENV`.
    pub virtual_env: Option<PathBuf>,
    /// The active conda environment: `CONDA_PREFIX`.
    pub conda_prefix: Option<PathBuf>,
    /// The directories of `PATH`, in order.
    pub path: Vec<PathBuf>,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// Where the user's configuration lies, when not in the home: `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// The version that pyenv was told to use: `PYENV_VERSION`.
    pub pyenv_version: Option<String>,
    /// Packages in the home are not used: `PYTHONNOUSERSITE`.
    pub no_user_site: bool,
    /// Where `/proc`, `/sys`, `/etc`, `/usr` and `/opt` are: `/`. None: nothing is known of the
    /// system.
    pub system_root: Option<PathBuf>,
    /// What the kernel calls the machine.
    pub machine: Machine,
}

/// What `uname` says; empty texts are unknown.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// `Linux`, `Darwin`.
    pub system: String,
    /// The kernel's release.
    pub release: String,
    /// `x86_64`, `aarch64`.
    pub arch: String,
}

impl Surroundings {
    /// The programs of this name on `PATH`, in order. Relative entries are left out: a project must
    /// not bring its own.
    pub(crate) fn programs(&self, name: &str) -> impl Iterator<Item = PathBuf> {
        let absolute = self.path.iter().filter(|dir| dir.is_absolute());
        absolute.map(move |dir| dir.join(name)).filter(|path| is_program(path))
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
