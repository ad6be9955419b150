//! What conda installed: one JSON file a package in `conda-meta`.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Deserialize;

use super::document::CondaPackage;
use super::look;
use super::site::cut;
use crate::url::without_credentials;

/// Packages that are recorded, at most.
const MAX_PACKAGES: usize = 10_000;
/// Bytes of a record that are read. Larger ones list many thousand files behind what is needed.
const MAX_RECORD: usize = 64 << 10;
const MAX_TEXT: usize = 128;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    name: Option<String>,
    version: Option<String>,
    build: Option<String>,
    channel: Option<String>,
}

/// The packages by conda's names.
pub(super) fn scan(dir: &Path, notes: &mut Vec<String>) -> BTreeMap<String, CondaPackage> {
    let mut names = look::names(dir);
    names.retain(|name| name.as_encoded_bytes().ends_with(b".json"));
    names.truncate(MAX_PACKAGES);
    let read: Vec<_> = names.par_iter().map(|name| read(&dir.join(name))).collect();
    let mut packages = BTreeMap::new();
    for (name, package) in names.iter().zip(read) {
        match package {
            Some((name, package)) => drop(packages.insert(name, package)),
            None => notes.push(format!("`{}` tells no name and version", dir.join(name).display())),
        }
    }
    packages
}

fn read(path: &Path) -> Option<(String, CondaPackage)> {
    let bytes = look::head(path, MAX_RECORD)?;
    let record: Record = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Record { channel: channel_in(&bytes), ..Record::default() });
    // The file's name is made of the same three: no name but the first part has a `-` that counts.
    let stem = path.file_stem()?.to_str()?;
    let mut parts = stem.rsplitn(3, '-');
    let (build, version, name) = (parts.next(), parts.next(), parts.next());
    let owned = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
    let name = record.name.or(owned(name)).filter(|n| !n.is_empty())?;
    let version = record.version.or(owned(version)).filter(|v| !v.is_empty())?;
    let build = record.build.or(owned(build)).unwrap_or_default();
    let channel = record.channel.map(|c| channel_name(&c)).unwrap_or_default();
    let short = |text: &str| cut(text.trim(), MAX_TEXT);
    let package =
        CondaPackage { build: short(&build), channel: short(&channel), version: short(&version) };
    Some((short(&name).to_lowercase(), package))
}

/// The channel of a record that is too long to be read whole.
fn channel_in(bytes: &[u8]) -> Option<String> {
    let key = b"\"channel\":";
    let at = memchr::memmem::find(bytes, key)? + key.len();
    let mut value = serde_json::Deserializer::from_slice(bytes.get(at..)?).into_iter::<String>();
    value.next()?.ok()
}

/// `https://conda.anaconda.org/conda-forge/linux-64` as `conda-forge`; the address of another
/// server without what lets one in.
fn channel_name(channel: &str) -> String {
    let url = without_credentials(channel);
    let url = url.trim_end_matches('/');
    let is_platform = |s: &str| s == "noarch" || s.starts_with("linux-") || s.starts_with("osx-");
    let url = match url.rsplit_once('/') {
        Some((channel, platform)) if is_platform(platform) => channel,
        _ => url,
    };
    let known = ["https://conda.anaconda.org/", "https://repo.anaconda.com/"];
    let name = known.iter().find_map(|server| url.strip_prefix(server)).unwrap_or(url);
    if name.starts_with("file:") || name.starts_with('/') {
        "local".to_owned()
    } else {
        name.to_owned()
    }
}
