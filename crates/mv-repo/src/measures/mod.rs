//! Params and metrics out of the files that projects have anyway: `params.yaml`, `metrics.json` …
//!
//! Which files are read is said by `mv.toml` ([`ProjectConfig`]); of two files that give the same
//! name the one later in that list counts. A file that is absent gives nothing; one that cannot be
//! understood is an error, so that a version never lacks values without a word. Only regular files
//! are read, beneath the root and through no symlink.

mod flat;
mod json;
mod parse;

use std::collections::BTreeMap;
use std::io::Read as _;

use mv_graph::diff::{self, ListedFile};
use mv_graph::{FileEntry, Manifest, Mode, RepoPath, Scalar};
use mv_store::{IoContext as _, Kind, id_of};

use crate::config::ProjectConfig;
use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::worktree::{Root, read_stable};

pub use flat::{MAX_BYTES, MAX_VALUES};
#[cfg(feature = "fuzzing")]
pub(crate) use parse::parse as parse_values;

/// Bytes of the largest file that values are read from.
pub const MAX_FILE: u64 = 8 << 20;

/// Values by name.
pub type Values = BTreeMap<String, Scalar>;

/// The params and metrics that files give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// What the training was given.
    pub params: Values,
    /// What it scored.
    pub metrics: Values,
    /// Files that were not read although they have the right name, and why.
    pub left_out: Vec<(String, String)>,
}

/// What the files in the working tree give now, versioned or not.
///
/// # Errors
/// `Values` for a file that cannot be understood; `Changed` for one that is being written to;
/// `Invalid` for a broken `mv.toml`; `Io`.
pub fn of_worktree(repo: &Repo, session: &Session) -> Result<Measures> {
    let root = repo.root_dir()?;
    gather(&repo.config()?, &mut |path| {
        session.progress.check()?;
        on_disk(&root, path)
    })
}

/// What the files of a version give, whatever else was recorded with it. Which files are meant is
/// what `mv.toml` says today.
///
/// # Errors
/// `Values` for a file that cannot be understood; `Invalid`, `Missing`, `Corrupt`, `Io`.
pub fn of_files(repo: &Repo, manifest: &Manifest) -> Result<Measures> {
    gather(&repo.config()?, &mut |path| match diff::lookup(repo.store(), manifest, path)? {
        Some((_, entry)) => stored(repo, path, &entry),
        None => Ok(Source::Absent),
    })
}

/// What the files of a version in the making give. `files` is its listing, in path order: what was
/// recorded of a file is what is read, also when the file has changed since. Files that `.mvignore`
/// leaves out are taken as they are.
pub(crate) fn of_commit(
    repo: &Repo,
    snapshot: &Snapshot,
    files: &[ListedFile],
) -> Result<Measures> {
    gather(&repo.config()?, &mut |path| {
        match files.binary_search_by(|file| file.path.cmp(path)).ok().and_then(|at| files.get(at)) {
            Some(file) => recorded(repo, &snapshot.root, file),
            // A commit of some paths only does not know the others.
            None if snapshot.scan.get(path).is_some() => Ok(Source::Absent),
            None => on_disk(&snapshot.root, path),
        }
    })
}

/// The params and metrics of a version that no file gave: they were typed. What an ignored file
/// gives now counts as that file's, since nobody knows what it was then.
pub(crate) fn typed(
    repo: &Repo,
    snapshot: &Snapshot,
    manifest: &Manifest,
) -> Result<(Values, Values)> {
    let was = understood(of_files(repo, manifest))?.unwrap_or_default();
    let ignored = gather(&repo.config()?, &mut |path| match snapshot.scan.get(path) {
        Some(_) => Ok(Source::Absent),
        None => on_disk(&snapshot.root, path),
    })?;
    let rest = |all: &[(String, Scalar)], was: &Values, ignored: &Values| {
        let typed = all
            .iter()
            .filter(|(name, value)| was.get(name) != Some(value) && !ignored.contains_key(name));
        typed.cloned().collect()
    };
    Ok((
        rest(&manifest.params, &was.params, &ignored.params),
        rest(&manifest.metrics, &was.metrics, &ignored.metrics),
    ))
}

/// None where a file cannot be understood: for questions that must be answered all the same.
pub(crate) fn understood(measures: Result<Measures>) -> Result<Option<Measures>> {
    match measures {
        Err(Error::Values { .. }) => Ok(None),
        other => other.map(Some),
    }
}

/// What is under the name of a file of values.
enum Source {
    Absent,
    Bytes(Vec<u8>),
    /// Not a regular file; says what it is instead.
    Other(&'static str),
}

/// Reads all files that the configuration names.
fn gather(
    config: &ProjectConfig,
    read: &mut dyn FnMut(&RepoPath) -> Result<Source>,
) -> Result<Measures> {
    let mut measures = Measures::default();
    for (kind, files) in [("params", &config.params), ("metrics", &config.metrics)] {
        let mut values = Values::new();
        for file in files {
            let path = &file.path;
            match read(path)? {
                Source::Absent => {}
                Source::Other(what) => {
                    let why = format!("it is {what}, so no {kind} are read from it");
                    measures.left_out.push((path.to_string(), why));
                }
                Source::Bytes(bytes) => {
                    let parsed = parse::parse(file.format, &bytes);
                    values.extend(parsed.map_err(|detail| unusable(path, detail))?);
                    check_room(path, kind, &values)?;
                }
            }
        }
        match kind {
            "params" => measures.params = values,
            _ => measures.metrics = values,
        }
    }
    Ok(measures)
}

/// Refuses what several files together make too much of.
fn check_room(path: &RepoPath, kind: &str, values: &Values) -> Result<()> {
    let size = |(name, value): (&String, &Scalar)| {
        name.len() + if let Scalar::Text(text) = value { text.len() } else { 8 }
    };
    if values.len() > MAX_VALUES {
        return Err(unusable(path, format!("with it there are more than {MAX_VALUES} {kind}")));
    }
    if values.iter().map(size).sum::<usize>() > MAX_BYTES {
        return Err(unusable(path, format!("with it the {kind} have more than {MAX_BYTES} bytes")));
    }
    Ok(())
}

/// A file of a version that is stored.
fn stored(repo: &Repo, path: &RepoPath, entry: &FileEntry) -> Result<Source> {
    match entry.mode {
        Mode::File | Mode::Exec => {
            check_size(path, entry.bytes)?;
            Ok(Source::Bytes(repo.store().get(Kind::Blob, &entry.id, MAX_FILE)?))
        }
        Mode::Symlink => Ok(Source::Other("a symlink")),
        Mode::Dir => Ok(Source::Absent),
    }
}

/// A file of a version in the making: what is new is in no pack yet, so it is read again and must
/// still be what was recorded.
fn recorded(repo: &Repo, root: &Root, file: &ListedFile) -> Result<Source> {
    let entry = &file.entry;
    let regular = matches!(entry.mode, Mode::File | Mode::Exec);
    if !regular || repo.store().has(&entry.id)? {
        return stored(repo, &file.path, entry);
    }
    check_size(&file.path, entry.bytes)?;
    let bytes = read_whole(root, &file.path)?;
    if id_of(Kind::Blob, &bytes) == entry.id {
        Ok(Source::Bytes(bytes))
    } else {
        Err(Error::Changed { path: file.path.clone() })
    }
}

/// A file of the working tree as it is.
fn on_disk(root: &Root, path: &RepoPath) -> Result<Source> {
    match root.stat(path)? {
        None => Ok(Source::Absent),
        Some((Some(Mode::File | Mode::Exec), stat)) => {
            check_size(path, stat.size)?;
            Ok(Source::Bytes(read_whole(root, path)?))
        }
        Some((Some(Mode::Symlink), _)) => Ok(Source::Other("a symlink")),
        Some((Some(Mode::Dir), _)) => Ok(Source::Absent),
        Some((None, _)) => Ok(Source::Other("a special file")),
    }
}

fn read_whole(root: &Root, path: &RepoPath) -> Result<Vec<u8>> {
    let absolute = root.path().join(path.to_path());
    let (bytes, _, _) = read_stable(root, path, &mut |file, _| {
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes).at("read", &absolute)?;
        Ok(bytes)
    })?;
    check_size(path, bytes.len() as u64)?;
    Ok(bytes)
}

fn check_size(path: &RepoPath, bytes: u64) -> Result<()> {
    if bytes > MAX_FILE {
        return Err(unusable(path, format!("it is larger than {MAX_FILE} bytes")));
    }
    Ok(())
}

fn unusable(path: &RepoPath, detail: impl ToString) -> Error {
    Error::Values { path: path.clone(), detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    use mv_graph::{Component, Person, Time};
    use mv_store::{Nonces, Progress};

    use super::*;
    use crate::repo::InitOptions;

    fn session() -> Session {
        Session {
            now: Time { ns: 0, offset_minutes: 0 },
            author: Person { name: "Ada".into(), email: "ada@example.org".into() },
            nonces: Nonces::from_seed([7; 32]),
            boot_id: String::new(),
            uid: 0,
            trust_any_owner: true,
            surroundings: crate::Surroundings::default(),
            connector: crate::connector::Connector::directories(),
            progress: Progress::new(),
        }
    }

    #[test]
    fn values_are_those_of_the_content_that_is_recorded_or_the_commit_fails() {
        let dir = tempfile::tempdir().unwrap();
        let session = session();
        let root = Repo::init(dir.path(), &InitOptions::default(), &session).unwrap().root;
        let repo = Repo::open(&root, &session).unwrap();
        std::fs::write(root.join("params.yaml"), "lr: 1\n").unwrap();
        let snapshot = Snapshot::take(&repo, &session).unwrap();
        let path = RepoPath::from_bytes(b"params.yaml").unwrap();
        let id = id_of(Kind::Blob, b"lr: 1\n");
        let entry = FileEntry { mode: Mode::File, id, bytes: 6 };
        let files = [ListedFile { path: path.clone(), component: Component::Code, entry }];
        let measures = of_commit(&repo, &snapshot, &files).unwrap();
        assert_eq!(measures.params, Values::from([("lr".to_owned(), Scalar::Int(1))]));
        std::fs::write(root.join("params.yaml"), "lr: 2\n").unwrap();
        match of_commit(&repo, &snapshot, &files) {
            Err(Error::Changed { path: changed }) => assert_eq!(changed, path),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_together_may_not_give_too_much() {
        let named = |n: usize| format!("{{\"f{n}\": [{}]}}", vec!["1"; 3000].join(","));
        let config = ProjectConfig::parse(b"[params]\nfiles = [\"0.json\", \"1.json\"]").unwrap();
        let mut count = 0;
        let gathered = gather(&config, &mut |_| {
            count += 1;
            Ok(if count > 2 { Source::Absent } else { Source::Bytes(named(count).into_bytes()) })
        });
        let message = gathered.unwrap_err().to_string();
        assert!(message.contains("`1.json`") && message.contains("4096 params"), "{message}");
    }
}
