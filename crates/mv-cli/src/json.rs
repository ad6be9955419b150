//! The documents that `--json` prints: one struct each, so that the keys can be read here.
//!
//! Bytes are integers, times RFC 3339 in UTC, ids 64 hex digits. A path that is not UTF-8 is
//! given lossily in `path` and exactly in `path_hex`.

use std::collections::HashMap;
use std::rc::Rc;

use mv_formats::Tensor;
use mv_graph::diff::Change;
use mv_graph::{Component, Manifest, RepoPath, Scalar, Source};
use mv_repo::Repo;
use mv_repo::diff::bytes_of;
use mv_repo::environment::{Environment, EnvironmentChange, MAX_ENVIRONMENT};
use mv_store::{Encodings, Hash, Kind};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::failure::Result;

/// A path, with its bytes when they are not UTF-8.
#[derive(Serialize)]
pub(crate) struct PathDocument {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl From<&RepoPath> for PathDocument {
    fn from(path: &RepoPath) -> PathDocument {
        let bytes = path.as_bytes();
        let hex = || bytes.iter().map(|b| format!("{b:02x}")).collect();
        PathDocument {
            path: String::from_utf8_lossy(bytes).into_owned(),
            path_hex: std::str::from_utf8(bytes).is_err().then(hex),
        }
    }
}

/// One tensor of a model file.
#[derive(Serialize)]
pub(crate) struct TensorDocument<'a> {
    name: &'a str,
    dtype: String,
    shape: &'a [u64],
    bytes: u64,
}

impl<'a> From<&'a Tensor> for TensorDocument<'a> {
    fn from(tensor: &'a Tensor) -> TensorDocument<'a> {
        TensorDocument {
            name: &tensor.name,
            dtype: tensor.dtype.to_string(),
            shape: &tensor.shape,
            bytes: bytes_of(tensor),
        }
    }
}

/// One change in `status`.
#[derive(Serialize)]
pub(crate) struct ChangeDocument {
    #[serde(flatten)]
    path: PathDocument,
    component: &'static str,
    change: &'static str,
}

impl From<&Change> for ChangeDocument {
    fn from(change: &Change) -> ChangeDocument {
        let path = PathDocument::from(&change.path);
        ChangeDocument { path, component: change.component.as_str(), change: change.kind.as_str() }
    }
}

/// One version, whole.
#[derive(Serialize)]
pub(crate) struct ManifestDocument<'a> {
    id: String,
    parents: Vec<String>,
    model_name: &'a str,
    version: &'a str,
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    branches: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<&'a [String]>,
    message: &'a str,
    author: AuthorDocument<'a>,
    created: String,
    components: Parts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<Vec<&'static str>>,
    environment: Option<&'a Value>,
    params: Scalars<'a>,
    metrics: Scalars<'a>,
    metadata: Texts<'a>,
    source: Option<SourceDocument<'a>>,
}

impl<'a> ManifestDocument<'a> {
    /// What `show` prints; `environment` is what [`Environments::of`] found.
    pub(crate) fn new(
        id: &Hash,
        manifest: &'a Manifest,
        version: &'a str,
        tags: &'a [String],
        environment: Option<&'a Value>,
    ) -> Self {
        ManifestDocument {
            id: id.to_hex(),
            parents: manifest.parents.iter().map(Hash::to_hex).collect(),
            model_name: &manifest.model_name,
            version,
            tags,
            branches: None,
            stages: None,
            message: &manifest.message,
            author: AuthorDocument { name: &manifest.author.name, email: &manifest.author.email },
            created: manifest.created.to_rfc3339_utc(),
            components: Parts(manifest),
            changed: None,
            environment,
            params: Scalars(&manifest.params),
            metrics: Scalars(&manifest.metrics),
            metadata: Texts(&manifest.metadata),
            source: manifest.source.as_ref().map(SourceDocument::from),
        }
    }

    /// Adds what only `log` knows.
    #[must_use]
    pub(crate) fn in_history(
        mut self,
        branches: &'a [String],
        stages: &'a [String],
        changed: &[Component],
    ) -> Self {
        self.branches = Some(branches);
        self.stages = Some(stages);
        self.changed = Some(changed.iter().map(|c| c.as_str()).collect());
        self
    }
}

#[derive(Serialize)]
struct AuthorDocument<'a> {
    name: &'a str,
    email: &'a str,
}

#[derive(Serialize)]
struct SourceDocument<'a> {
    vcs: &'a str,
    commit: &'a str,
    branch: Option<&'a str>,
    dirty: bool,
    url: Option<&'a str>,
}

impl<'a> From<&'a Source> for SourceDocument<'a> {
    fn from(source: &'a Source) -> SourceDocument<'a> {
        SourceDocument {
            vcs: &source.vcs,
            commit: &source.commit,
            branch: source.branch.as_deref(),
            dirty: source.dirty,
            url: source.url.as_deref(),
        }
    }
}

/// The four components of a manifest by name.
struct Parts<'a>(&'a Manifest);

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Part {
            id: String,
            files: u64,
            bytes: u64,
        }
        let mut map = serializer.serialize_map(Some(4))?;
        for component in Component::ALL {
            let part = self.0.component(component);
            let part = Part { id: part.tree.to_hex(), files: part.files, bytes: part.bytes };
            map.serialize_entry(component.as_str(), &part)?;
        }
        map.end()
    }
}

/// Params or metrics as an object.
pub(crate) struct Scalars<'a>(pub(crate) &'a [(String, Scalar)]);

impl Serialize for Scalars<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value.to_json())))
    }
}

/// Metadata as an object.
struct Texts<'a>(&'a [(String, String)]);

impl Serialize for Texts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// What each encoding made of some bytes.
pub(crate) struct ByEncoding<'a>(pub(crate) &'a [Encodings]);

#[derive(Serialize)]
struct EncodingDocument {
    raw_bytes: u64,
    stored_bytes: u64,
}

impl Serialize for ByEncoding<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let document = |&Encodings { encoding, raw_bytes, stored_bytes }: &Encodings| {
            (encoding.to_string(), EncodingDocument { raw_bytes, stored_bytes })
        };
        serializer.collect_map(self.0.iter().map(document))
    }
}

/// Something that was not recorded, and why.
#[derive(Serialize)]
pub(crate) struct Skipped<'a> {
    path: &'a str,
    reason: &'a str,
}

impl<'a> From<&'a (String, String)> for Skipped<'a> {
    fn from((path, reason): &'a (String, String)) -> Skipped<'a> {
        Skipped { path, reason }
    }
}

/// An array written from an iterator, without building it first.
pub(crate) fn array<T: Serialize, I: Iterator<Item = T>>(items: I) -> impl Serialize {
    Array(std::cell::RefCell::new(Some(items)))
}

struct Array<I>(std::cell::RefCell<Option<I>>);

impl<T: Serialize, I: Iterator<Item = T>> Serialize for Array<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let items = self.0.borrow_mut().take();
        serializer.collect_seq(items.into_iter().flatten())
    }
}

/// Captured environments, each read once however many versions share it.
#[derive(Default)]
pub(crate) struct Environments(HashMap<Hash, Rc<Value>>);

impl Environments {
    /// The environment of a version; of one that cannot be understood only its id.
    pub(crate) fn of(&mut self, repo: &Repo, manifest: &Manifest) -> Result<Option<Rc<Value>>> {
        let Some(id) = manifest.environment else { return Ok(None) };
        if let Some(known) = self.0.get(&id) {
            return Ok(Some(Rc::clone(known)));
        }
        let bytes = repo.store().get(Kind::Blob, &id, MAX_ENVIRONMENT)?;
        let captured = Environment::decode(&bytes, &id).unwrap_or_default();
        let document = Rc::new(environment(Some(&id), &captured));
        self.0.insert(id, Rc::clone(&document));
        Ok(Some(document))
    }
}

/// `{"id","python","os","packages",…}`: what was captured, with what conda alone installed among
/// the packages. The present environment has no id.
pub(crate) fn environment(id: Option<&Hash>, captured: &Environment) -> Value {
    let packages: serde_json::Map<String, Value> =
        captured.installed().into_iter().map(|(name, v)| (name.to_owned(), v.into())).collect();
    let mut document = serde_json::Map::new();
    document.insert("id".to_owned(), id.map(Hash::to_hex).into());
    document.insert("python".to_owned(), captured.python.clone().into());
    document.insert("os".to_owned(), captured.os.clone().into());
    document.insert("packages".to_owned(), packages.into());
    if let Ok(Value::Object(fields)) = serde_json::to_value(captured) {
        for (key, value) in fields {
            document.entry(key).or_insert(value);
        }
    }
    document.into()
}

/// A part of the environment that differs: a package, or another part under its own name.
#[derive(Serialize)]
pub(crate) struct EnvironmentChangeDocument<'a> {
    package: &'a str,
    kind: &'a str,
    from: Option<&'a str>,
    to: Option<&'a str>,
}

impl<'a> From<&'a EnvironmentChange> for EnvironmentChangeDocument<'a> {
    fn from(change: &'a EnvironmentChange) -> EnvironmentChangeDocument<'a> {
        EnvironmentChangeDocument {
            package: &change.name,
            kind: change.kind,
            from: change.from.as_deref(),
            to: change.to.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_utf_8_is_given_exactly_in_hex() {
        let path = RepoPath::from_bytes(b"a\xff").unwrap();
        let text = serde_json::to_string(&PathDocument::from(&path)).unwrap();
        assert_eq!(text, "{\"path\":\"a\u{fffd}\",\"path_hex\":\"61ff\"}");
        let path = RepoPath::from_bytes("ü".as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&PathDocument::from(&path)).unwrap(), r#"{"path":"ü"}"#);
    }

    #[test]
    fn an_array_is_written_from_an_iterator() {
        assert_eq!(serde_json::to_string(&array([1, 2].iter())).unwrap(), "[1,2]");
    }
}
