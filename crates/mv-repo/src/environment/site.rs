//! Python packages by the records that their installers leave: `*.dist-info`, `*.egg-info`, `*.egg`.
//!
//! Of two packages of one name the one that Python would find first counts. Nothing is executed
//! and nothing but the head of each record is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::document::CondaPackage;
use super::look;
use crate::url::without_credentials;

/// Packages that are recorded, at most.
const MAX_PACKAGES: usize = 10_000;
/// Bytes of a record in which its name and version are looked for.
const MAX_HEAD: usize = 8 << 10;
/// Bytes of a `direct_url.json`.
const MAX_DIRECT_URL: usize = 16 << 10;
/// Bytes of a name, of a version, and of where a package came from.
const MAX_NAME: usize = 128;
const MAX_ORIGIN: usize = 1024;

/// What is installed.
#[derive(Debug, Default)]
pub(super) struct Packages {
    /// Versions by normal name.
    pub(super) versions: BTreeMap<String, String>,
    /// Where those came from that are not from the index.
    pub(super) origins: BTreeMap<String, String>,
}

struct Package {
    name: String,
    version: String,
    origin: Option<String>,
}

/// Reads the packages below `sites`, the earlier ones first. `conda` is what conda says it
/// installed; `root` is the project.
pub(super) fn scan(
    sites: &[PathBuf],
    conda: &BTreeMap<String, CondaPackage>,
    root: &Path,
    notes: &mut Vec<String>,
) -> Packages {
    let mut packages = Packages::default();
    for site in sites {
        let names: Vec<_> = look::names(site).into_iter().filter(|n| is_record(n)).collect();
        // A slow disk or a network is asked for many records at once.
        let read: Vec<_> =
            names.par_iter().map(|name| read(&site.join(name), conda, root)).collect();
        for (name, package) in names.iter().zip(read) {
            let Some(package) = package else {
                notes.push(format!("`{}` tells no name and version", site.join(name).display()));
                continue;
            };
            if packages.versions.len() >= MAX_PACKAGES {
                notes.push(format!("more than {MAX_PACKAGES} packages: the others are left out"));
                return packages;
            }
            if packages.versions.contains_key(&package.name) {
                continue;
            }
            if let Some(origin) = package.origin {
                packages.origins.insert(package.name.clone(), origin);
            }
            packages.versions.insert(package.name, package.version);
        }
    }
    packages
}

fn is_record(name: &std::ffi::OsStr) -> bool {
    let name = name.as_encoded_bytes();
    let ends = [&b".dist-info"[..], b".egg-info", b".egg"].iter().any(|end| name.ends_with(end));
    // pip renames what it is about to remove.
    ends && !name.starts_with(b"~")
}

fn read(record: &Path, conda: &BTreeMap<String, CondaPackage>, root: &Path) -> Option<Package> {
    let file_name = record.file_name()?.to_string_lossy();
    let (stem, kind) = file_name.rsplit_once('.')?;
    let metadata = match kind {
        "dist-info" => record.join("METADATA"),
        "egg" => record.join("EGG-INFO").join("PKG-INFO"),
        _ if record.is_file() => record.to_path_buf(),
        _ => record.join("PKG-INFO"),
    };
    let text = look::text(&metadata, MAX_HEAD).unwrap_or_default();
    let mut parts = stem.split('-');
    let (from_stem, stem_version) = (parts.next(), parts.next());
    let name = field(&text, "name").and_then(normal_name).or(from_stem.and_then(normal_name))?;
    let version = field(&text, "version").or(stem_version.filter(|v| !v.is_empty()))?;
    let version = cut(version, MAX_NAME);
    let is_wheel = kind == "dist-info";
    let origin = is_wheel.then(|| direct_url(record, root)).flatten().or_else(|| {
        // What conda installed under another name, as `torch` from `pytorch`.
        let asked = is_wheel && !conda.is_empty() && !conda.contains_key(&name);
        let installer = asked.then(|| look::text(&record.join("INSTALLER"), 64)).flatten()?;
        (installer.trim() == "conda").then(|| "conda".to_owned())
    });
    Some(Package { name, version, origin })
}

/// The value of a header; headers end at the first blank line.
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let headers = text.lines().take_while(|line| !line.trim().is_empty());
    let mut values = headers.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(key).then(|| value.trim())
    });
    values.next().filter(|value| !value.is_empty() && *value != "UNKNOWN")
}

/// The normal form of PEP 503; none for what is no name.
pub(super) fn normal_name(name: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric();
    let valid = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
        && name.bytes().next().is_some_and(plain)
        && name.bytes().last().is_some_and(plain);
    let words = name.split(['.', '_', '-']).filter(|word| !word.is_empty());
    valid.then(|| words.collect::<Vec<_>>().join("-").to_ascii_lowercase())
}

/// PEP 610: how a package was installed that did not come from the index.
#[derive(Deserialize)]
struct DirectUrl {
    url: String,
    #[serde(default)]
    subdirectory: Option<String>,
    #[serde(default)]
    vcs_info: Option<VcsInfo>,
    #[serde(default)]
    dir_info: Option<DirInfo>,
    #[serde(default)]
    archive_info: Option<ArchiveInfo>,
}

#[derive(Deserialize)]
struct VcsInfo {
    vcs: String,
    commit_id: String,
}

#[derive(Deserialize)]
struct DirInfo {
    #[serde(default)]
    editable: bool,
}

#[derive(Deserialize)]
struct ArchiveInfo {
    #[serde(default)]
    hash: Option<String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

fn direct_url(record: &Path, root: &Path) -> Option<String> {
    let bytes = look::head(&record.join("direct_url.json"), MAX_DIRECT_URL)?;
    let direct: DirectUrl = serde_json::from_slice(&bytes).ok()?;
    let editable = direct.dir_info.as_ref().is_some_and(|dir| dir.editable);
    let edit = if editable { "-e " } else { "" };
    if let Some(path) = direct.url.strip_prefix("file:") {
        // A path of this machine would tell who works on it, and make equal environments differ.
        let path = path.strip_prefix("//localhost").or(path.strip_prefix("//")).unwrap_or(path);
        return Some(cut(&format!("{edit}{}", local(Path::new(path), root)), MAX_ORIGIN));
    }
    let url = without_credentials(&direct.url);
    let url = url.split('#').next().unwrap_or_default();
    let mut origin = match &direct.vcs_info {
        Some(info) => format!("{edit}{}+{url}@{}", info.vcs, info.commit_id),
        None => format!("{edit}{url}"),
    };
    let hash = direct.archive_info.and_then(|archive| {
        let old = archive.hash.as_deref().and_then(|h| h.strip_prefix("sha256="));
        archive.hashes.get("sha256").map(String::as_str).or(old).map(str::to_owned)
    });
    if let Some(hash) = hash {
        origin.push_str(&format!("#sha256={hash}"));
    } else if let Some(below) = &direct.subdirectory {
        origin.push_str(&format!("#subdirectory={below}"));
    }
    Some(cut(&origin, MAX_ORIGIN))
}

/// `./path` in the project, else only that it was a place of this machine.
fn local(path: &Path, root: &Path) -> String {
    match path.strip_prefix(root) {
        Ok(below) if below.as_os_str().is_empty() => "./".to_owned(),
        Ok(below) => format!("./{}", below.to_string_lossy()),
        Err(_) => "local".to_owned(),
    }
}

pub(super) fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max.min(text.len()))].to_owned()
}
