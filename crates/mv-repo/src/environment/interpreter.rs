//! The Python that a project would run: found and described by looking at files, never by running
//! anything, because a shim or a wrapper of a stranger's project may be anything.
//!
//! In order: `VIRTUAL_ENV`, `CONDA_PREFIX`, `.venv` in the project, `python3` and then `python` on
//! `PATH`. A *prefix* is the folder above `bin` and `lib`; the *base* is the prefix of the Python
//! that a virtual environment was made from.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::look;
use crate::surroundings::Surroundings;

/// Bytes of an interpreter that are searched for its version: the largest have about 100 MB.
const MAX_BINARY: usize = 128 << 20;
/// Bytes of a configuration or header.
const MAX_TEXT: usize = 64 << 10;

/// One Python.
#[derive(Debug, Default)]
pub(super) struct Interpreter {
    /// `virtualenv`, `conda` or `system`.
    pub(super) kind: &'static str,
    /// `cpython` or `pypy`.
    pub(super) implementation: &'static str,
    /// `3.11.4`, or `3.11` when no more can be told.
    pub(super) version: Option<String>,
    /// Where packages are, in the order in which Python looks.
    pub(super) sites: Vec<PathBuf>,
    /// Where conda keeps its records.
    pub(super) conda_meta: Option<PathBuf>,
}

/// Finds the Python of the project at `root`; what could not be followed is told in `notes`.
pub(super) fn find(
    root: &Path,
    surroundings: &Surroundings,
    notes: &mut Vec<String>,
) -> Option<Interpreter> {
    let local = root.join(".venv");
    let active = [&surroundings.virtual_env, &surroundings.conda_prefix].into_iter().flatten();
    let prefix = active.chain([&local]).find(|prefix| is_prefix(prefix));
    if let Some(prefix) = prefix {
        return Some(describe(prefix, None, surroundings));
    }
    ["python3", "python"].into_iter().find_map(|name| on_path(name, root, surroundings, notes))
}

fn on_path(
    name: &str,
    root: &Path,
    surroundings: &Surroundings,
    notes: &mut Vec<String>,
) -> Option<Interpreter> {
    for program in surroundings.programs(name) {
        if let Some(pyenv) = pyenv_root(&program) {
            match pyenv_prefix(pyenv, root, surroundings) {
                // As pyenv itself: what it has no version for is looked for behind it.
                None => continue,
                Some(prefix) => return Some(describe(&prefix, None, surroundings)),
            }
        }
        if look::head(&program, 2).is_some_and(|head| head == b"#!") {
            notes.push(format!(
                "`{}` is a script: which Python it runs is not known",
                program.display()
            ));
            return None;
        }
        let beside = program.parent().and_then(Path::parent);
        let beside = beside.filter(|p| p.join("pyvenv.cfg").is_file() || has_conda(p));
        let real = fs::canonicalize(&program).ok()?;
        let prefix = beside.or_else(|| real.parent()?.parent())?;
        return Some(describe(prefix, Some(&real), surroundings));
    }
    None
}

/// Whether a folder is an environment at all, and not left over or elsewhere.
fn is_prefix(dir: &Path) -> bool {
    dir.is_absolute()
        && (dir.join("pyvenv.cfg").is_file() || has_conda(dir) || !libraries(dir).is_empty())
}

fn has_conda(prefix: &Path) -> bool {
    prefix.join("conda-meta").is_dir()
}

fn describe(prefix: &Path, real: Option<&Path>, surroundings: &Surroundings) -> Interpreter {
    let config = look::text(&prefix.join("pyvenv.cfg"), MAX_TEXT);
    let setting = |key| config.as_deref().and_then(|text| look::setting(text, key));
    let own = || {
        let named = ["python3", "python", "pypy3"].map(|name| prefix.join("bin").join(name));
        named.into_iter().find_map(|path| fs::canonicalize(path).ok())
    };
    let real = real.map(Path::to_path_buf).or_else(own);
    let home = setting("home").map(PathBuf::from).filter(|home| home.is_absolute());
    // What `home` names may be a symlink to where the Python really lies.
    let home = home.map(|home| fs::canonicalize(&home).unwrap_or(home));
    let base = real.as_deref().and_then(Path::parent).or(home.as_deref()).and_then(Path::parent);
    let base = base.unwrap_or(prefix);
    let told = setting("version_info").or_else(|| setting("version")).and_then(plain_version);
    let library = library(prefix, base, told.as_deref(), real.as_deref());
    let kind = match (&config, has_conda(prefix)) {
        (Some(_), _) => "virtualenv",
        (None, true) => "conda",
        (None, false) => "system",
    };
    let shares_base = setting("include-system-site-packages").is_some_and(|v| v == "true");
    let mut sites = Vec::new();
    if let Some(library) = &library {
        if kind == "virtualenv" {
            sites.extend(prefix_sites(prefix, library));
        }
        if kind != "virtualenv" || shares_base {
            sites.extend(user_site(library, surroundings));
            sites.extend(base_sites(if kind == "virtualenv" { base } else { prefix }, library));
        }
    }
    let implementation = match (&library, setting("implementation")) {
        (Some(Library { implementation, .. }), _) => implementation,
        (None, Some(name)) if name.eq_ignore_ascii_case("pypy") => "pypy",
        (None, _) => "cpython",
    };
    let conda_meta = has_conda(prefix).then(|| prefix.join("conda-meta"));
    let version = version(prefix, base, library.as_ref(), told, real.as_deref());
    Interpreter { kind, implementation, version, sites: distinct(sites), conda_meta }
}

/// The folder of one series of Python below `lib`: `python3.11`, `python3.13t`, `pypy3.10`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Library {
    name: String,
    implementation: &'static str,
    /// `3.11`
    series: String,
}

impl Library {
    fn parse(name: &OsStr) -> Option<Library> {
        let name = name.to_str()?;
        let (implementation, rest) = match name.strip_prefix("pypy") {
            Some(rest) => ("pypy", rest),
            None => ("cpython", name.strip_prefix("python")?),
        };
        let series = rest.trim_end_matches(['t', 'm', 'd', 'u']);
        let (major, minor) = series.split_once('.')?;
        let number = |s: &str| (1..=3).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        (number(major) && number(minor)).then(|| Library {
            name: name.to_owned(),
            implementation,
            series: series.to_owned(),
        })
    }

    fn order(&self) -> (u32, u32) {
        let (major, minor) = self.series.split_once('.').unwrap_or_default();
        (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
    }
}

/// The libraries of a prefix, newest first.
fn libraries(prefix: &Path) -> Vec<Library> {
    let names = ["lib", "lib64"].into_iter().flat_map(|lib| look::names(&prefix.join(lib)));
    let mut found: Vec<_> = names.filter_map(|name| Library::parse(&name)).collect();
    found.sort_by(|a, b| b.order().cmp(&a.order()).then_with(|| a.name.cmp(&b.name)));
    found.dedup();
    found
}

/// The one that is used: of the series that the environment or the interpreter's name tells, else
/// the newest.
fn library(prefix: &Path, base: &Path, told: Option<&str>, real: Option<&Path>) -> Option<Library> {
    let named = real.and_then(Path::file_name).and_then(Library::parse);
    let series = told.map(series).or(named.as_ref().map(|named| named.series.clone()));
    let all = libraries(prefix);
    let fits = |library: &&Library| series.as_ref().is_some_and(|s| *s == library.series);
    let chosen = all.iter().find(fits).or(all.first()).cloned();
    chosen.or(named).or_else(|| libraries(base).into_iter().next())
}

fn series(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn prefix_sites(prefix: &Path, library: &Library) -> Vec<PathBuf> {
    let lib = |lib: &str| prefix.join(lib).join(&library.name).join("site-packages");
    vec![lib("lib64"), lib("lib")]
}

/// Where an installed Python looks. Debian keeps its packages in folders of another name and those
/// of pip below `/usr/local`.
fn base_sites(prefix: &Path, library: &Library) -> Vec<PathBuf> {
    let shared = prefix.join("lib").join("python3").join("dist-packages");
    let local = prefix.join("local");
    if shared.is_dir() {
        let own = |prefix: &Path| prefix.join("lib").join(&library.name).join("dist-packages");
        return vec![own(&local), shared, own(prefix)];
    }
    [prefix_sites(&local, library), prefix_sites(prefix, library)].concat()
}

fn user_site(library: &Library, surroundings: &Surroundings) -> Option<PathBuf> {
    let home = surroundings.home.as_ref().filter(|_| !surroundings.no_user_site)?;
    Some(home.join(".local").join("lib").join(&library.name).join("site-packages"))
}

/// Those that exist, each once: `lib64` is often a symlink to `lib`.
fn distinct(sites: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    for site in sites.iter().filter_map(|site| fs::canonicalize(site).ok()) {
        if !seen.contains(&site) {
            seen.push(site);
        }
    }
    seen
}

/// The version, from what is most likely to be true: the header that is installed with the
/// library, what the environment was made with, the name of the installation's folder, the text
/// inside the program, and last the series alone.
fn version(
    prefix: &Path,
    base: &Path,
    library: Option<&Library>,
    told: Option<String>,
    real: Option<&Path>,
) -> Option<String> {
    if let Some(version) = conda_version(prefix) {
        return Some(version);
    }
    let Some(library) = library else { return told };
    let fits = |version: &String| {
        series(version) == library.series
            && version.split('.').nth(2).is_some_and(|p| !p.is_empty())
    };
    // Of PyPy all of these tell PyPy's own version.
    let cpython = library.implementation == "cpython";
    header_version(base, library)
        .filter(fits)
        .or(told.filter(fits))
        .or_else(|| folder_version(base).filter(|v| cpython && fits(v)))
        .or_else(|| binary_version(base, library, real).filter(|_| cpython))
        .or_else(|| Some(library.series.clone()))
}

fn conda_version(prefix: &Path) -> Option<String> {
    let names = look::names(&prefix.join("conda-meta"));
    let records = names.iter().filter_map(|name| name.to_str()?.strip_prefix("python-"));
    let mut versions = records.filter_map(|rest| plain_version(rest.split('-').next()?));
    versions.next()
}

fn header_version(base: &Path, library: &Library) -> Option<String> {
    let path = base.join("include").join(&library.name).join("patchlevel.h");
    let text = look::text(&path, MAX_TEXT)?;
    let mut values =
        text.lines().filter_map(|line| line.trim().strip_prefix("#define PY_VERSION "));
    plain_version(values.next()?.trim().trim_matches('"'))
}

/// `3.11.4` of pyenv, `cpython-3.12.3-linux-x86_64-gnu` of uv.
fn folder_version(base: &Path) -> Option<String> {
    base.file_name()?.to_str()?.split(['-', '@']).find_map(plain_version)
}

/// The version as a text of its own in the program, or in the library that it loads.
fn binary_version(base: &Path, library: &Library, real: Option<&Path>) -> Option<String> {
    let shared = base.join("lib").join(format!("lib{}.so.1.0", library.name));
    let files = real.map(Path::to_path_buf).into_iter().chain([shared]);
    files.filter_map(|file| look::head(&file, MAX_BINARY)).find_map(|bytes| {
        let start = format!("\0{}.", library.series);
        let mut found: Vec<&[u8]> = memmem::find_iter(&bytes, start.as_bytes())
            .filter_map(|at| bytes.get(at + 1..)?.iter().position(|b| *b == 0).map(|n| (at + 1, n)))
            .filter(|(_, n)| (start.len()..16).contains(n))
            .filter_map(|(at, n)| bytes.get(at..at + n))
            .filter(|text| text[start.len() - 1..][0].is_ascii_digit())
            .collect();
        found.sort_unstable();
        found.dedup();
        // More than one: then none of them can be told to be it.
        let [only] = found.as_slice() else { return None };
        plain_version(std::str::from_utf8(only).ok()?)
    })
}

/// `3.11.4`, `3.13.0rc1`; from `version_info` also what stands before `.final.0`.
fn plain_version(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.split_once(".final").map_or(text, |(version, _)| version);
    let plain = text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.contains('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+'));
    plain.then(|| text.to_owned())
}

/// The folder of pyenv when the program is one of its shims.
fn pyenv_root(program: &Path) -> Option<&Path> {
    let dir = program.parent().filter(|dir| dir.file_name() == Some(OsStr::new("shims")))?;
    dir.parent().filter(|root| root.join("versions").is_dir())
}

/// The installation that pyenv would run: of `PYENV_VERSION`, `.python-version` at or above the
/// project, or its own `version` file, the first that is there.
fn pyenv_prefix(pyenv: &Path, root: &Path, surroundings: &Surroundings) -> Option<PathBuf> {
    let named = surroundings.pyenv_version.clone();
    let named = named.or_else(|| {
        let local = root.ancestors().map(|dir| dir.join(".python-version"));
        local.chain([pyenv.join("version")]).find_map(|file| look::text(&file, MAX_TEXT))
    })?;
    let names = named.lines().flat_map(|line| line.split(':')).map(str::trim);
    let mut names = names.filter(|name| !name.is_empty() && !name.starts_with('#')).take(16);
    names.find_map(|name| installed(pyenv, name))
}

/// The installation of this name; `3.11` stands for the newest 3.11.
fn installed(pyenv: &Path, name: &str) -> Option<PathBuf> {
    let name = name.strip_prefix("python-").unwrap_or(name);
    if name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return None;
    }
    let versions = pyenv.join("versions");
    let exact = versions.join(name);
    if exact.is_dir() {
        return Some(exact);
    }
    let patch = |other: &OsStr| -> Option<u32> {
        other.to_str()?.strip_prefix(name)?.strip_prefix('.')?.parse().ok()
    };
    let newest = look::names(&versions).into_iter().filter_map(|n| Some((patch(&n)?, n))).max();
    newest.map(|(_, name)| versions.join(name))
}

#[cfg(test)]
mod tests;
