//! What differs between two environments.

use std::collections::BTreeSet;

use super::document::Environment;

/// A part of the environment that differs between two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentChange {
    /// What kind of part: `package`, `python` or `system`.
    pub kind: &'static str,
    /// Its name: of the package, or `python`, `os`, `kernel`, `arch`, `cpu`, `gpu`, `driver`,
    /// `cuda`.
    pub name: String,
    /// What it was; none when it was not there.
    pub from: Option<String>,
    /// What it is; none when it is gone.
    pub to: Option<String>,
}

impl EnvironmentChange {
    /// Whether code may behave otherwise because of it: Python or a package, not the machine.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.kind != "system"
    }
}

/// Compares two environments; none stands for one of which nothing is known. Python comes first,
/// then packages by name, then the system.
#[must_use]
pub fn changes(from: Option<&Environment>, to: Option<&Environment>) -> Vec<EnvironmentChange> {
    let nothing = Environment::default();
    let (from, to) = (from.unwrap_or(&nothing), to.unwrap_or(&nothing));
    let mut changes = Vec::new();
    let (before, after) = (python(from), python(to));
    if !same_version(before.as_deref(), after.as_deref()) {
        changes.push(change("python", "python", before, after));
    }
    let (before, after) = (from.installed(), to.installed());
    let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let (old_detail, new_detail) = (detail(from, name), detail(to, name));
        if old == new && old_detail == new_detail {
            continue;
        }
        // Where it came from is told when the version alone does not tell them apart.
        let shown = |version: Option<&&str>, detail: Option<String>| {
            let version = (*version?).to_owned();
            Some(match detail.filter(|_| old == new) {
                Some(detail) => format!("{version} ({detail})"),
                None => version,
            })
        };
        changes.push(change("package", name, shown(old, old_detail), shown(new, new_detail)));
    }
    for ((name, before), (_, after)) in system(from).into_iter().zip(system(to)) {
        if before != after {
            changes.push(change("system", name, before, after));
        }
    }
    changes
}

fn change(
    kind: &'static str,
    name: &str,
    from: Option<String>,
    to: Option<String>,
) -> EnvironmentChange {
    EnvironmentChange { kind, name: name.to_owned(), from, to }
}

/// `3.11.4`, `3.10 (pypy)`.
fn python(environment: &Environment) -> Option<String> {
    let version = environment.python.clone()?;
    Some(match environment.implementation.as_deref() {
        None | Some("cpython") => version,
        Some(other) => format!("{version} ({other})"),
    })
}

/// Equal, or one of them is only known as a series that the other belongs to.
fn same_version(a: Option<&str>, b: Option<&str>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a == b };
    let is_series = |s: &str| s.bytes().filter(|b| *b == b'.').count() == 1;
    let belongs = |long: &str, short: &str| {
        is_series(short) && long.strip_prefix(short).is_some_and(|rest| rest.starts_with('.'))
    };
    a == b || belongs(a, b) || belongs(b, a)
}

/// The origin or build of a package.
fn detail(environment: &Environment, name: &str) -> Option<String> {
    let origin = environment.origins.get(name).cloned();
    origin
        .or_else(|| environment.conda.get(name).map(|p| p.build.clone()).filter(|b| !b.is_empty()))
}

fn system(environment: &Environment) -> [(&'static str, Option<String>); 7] {
    let gpus = (!environment.gpus.is_empty()).then(|| environment.gpu_names());
    [
        ("os", environment.os.clone()),
        ("kernel", environment.kernel.clone()),
        ("arch", environment.arch.clone()),
        ("cpu", environment.cpu_name()),
        ("gpu", gpus),
        ("driver", environment.driver.clone()),
        ("cuda", environment.cuda.clone()),
    ]
}

impl Environment {
    /// The graphics processors in one text: `2 x NVIDIA A100`.
    #[must_use]
    pub fn gpu_names(&self) -> String {
        let mut counted: Vec<(&str, usize)> = Vec::new();
        for gpu in &self.gpus {
            match counted.iter_mut().find(|(name, _)| name == gpu) {
                Some((_, count)) => *count += 1,
                None => counted.push((gpu, 1)),
            }
        }
        let shown = counted.iter().map(|(name, count)| match count {
            1 => (*name).to_owned(),
            _ => format!("{count} x {name}"),
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// The processors in one text: `8 x AMD EPYC 7B13`.
    #[must_use]
    pub fn cpu_name(&self) -> Option<String> {
        match (&self.cpu, self.cpus) {
            (Some(model), Some(count)) if count > 1 => Some(format!("{count} x {model}")),
            (Some(model), _) => Some(model.clone()),
            (None, Some(count)) => Some(format!("{count} processors")),
            (None, None) => None,
        }
    }
}
