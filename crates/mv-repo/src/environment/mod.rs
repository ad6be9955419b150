//! The environment that a version was made in: interpreter, packages, system, devices.

/// A part of the environment that differs between two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentChange {
    /// What kind of part: `package`, `python` or `system`.
    pub kind: &'static str,
    /// Its name: of the package, or `python`, `os`, `kernel`, `arch`, `cpu`, `gpu`, `driver`.
    pub name: String,
    /// What it was; none when it was not there.
    pub from: Option<String>,
    /// What it is; none when it is gone.
    pub to: Option<String>,
}
