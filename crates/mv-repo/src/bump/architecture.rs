//! Configurations: what they say of a model's architecture.

use std::collections::BTreeMap;

use mv_formats::Source;
use mv_graph::{Component, RepoPath};
use serde_json::Value;

use super::named;
use crate::error::Result;
use crate::file_bytes::failure;

/// Bytes of the largest configuration that is read.
const MAX_CONFIG: u64 = 4 << 20;
/// The keys that name an architecture, wherever they are.
const KEYS: [&str; 2] = ["architectures", "model_type"];

/// Dotted keys and what they say.
pub(super) type Architecture = BTreeMap<String, Value>;

/// Whether a file may say what a model's architecture is: `config.json` anywhere, and any JSON beside
/// the weights.
pub(super) fn is_config(path: &RepoPath, component: Component) -> bool {
    let name = path.file_name();
    name == b"config.json" || (component == Component::Model && name.ends_with(b".json"))
}

/// What a configuration says; nothing if it is not JSON or too large.
pub(super) fn read(path: &RepoPath, source: &dyn Source) -> Result<Architecture> {
    let mut found = BTreeMap::new();
    if source.size() <= MAX_CONFIG {
        let bytes = source.read(0, source.size() as usize);
        let bytes = bytes.map_err(|e| failure(e, path))?;
        // serde_json itself refuses what is nested more than 128 deep.
        if let Ok(value) = serde_json::from_slice::<Value>(&bytes) {
            collect(&value, "", &mut found);
        }
    }
    Ok(found)
}

fn collect(value: &Value, prefix: &str, found: &mut Architecture) {
    let Value::Object(fields) = value else { return };
    for (key, value) in fields {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        if KEYS.contains(&key.as_str()) {
            found.insert(name, value.clone());
        } else {
            collect(value, &name, found);
        }
    }
}

/// What the newer one says otherwise, or no longer.
pub(super) fn compare(old: &Architecture, new: &Architecture, path: &RepoPath) -> Vec<String> {
    let path = path.display_escaped();
    let differ = old.iter().filter(|(key, value)| new.get(*key) != Some(value));
    differ
        .map(|(key, from)| match new.get(key) {
            Some(to) => {
                format!("{} changed {} -> {} in {path}", named(key), shown(from), shown(to))
            }
            None => format!("{} {} removed from {path}", named(key), shown(from)),
        })
        .collect()
}

/// `"bert"`, `"BertModel"` of a list of one.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => named(text),
        Value::Array(items) => match &items[..] {
            [Value::String(only)] => named(only),
            _ => named(&value.to_string()),
        },
        other => named(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Architecture {
        let mut found = BTreeMap::new();
        collect(&serde_json::from_str(text).unwrap(), "", &mut found);
        found
    }

    #[test]
    fn only_what_names_an_architecture_counts_however_deep_it_is() {
        let path = RepoPath::from_bytes(b"models/config.json").unwrap();
        let old = of(r#"{"model_type":"bert","dropout":0.1,"vision":{"model_type":"vit"}}"#);
        let same = of(r#"{"dropout":0.2,"vision":{"model_type":"vit","x":1},"model_type":"bert"}"#);
        assert!(compare(&old, &same, &path).is_empty());
        let deep = of(r#"{"model_type":"bert","vision":{"model_type":"clip"}}"#);
        assert_eq!(
            compare(&old, &deep, &path),
            [r#""vision.model_type" changed "vit" -> "clip" in models/config.json"#]
        );
        assert_eq!(compare(&old, &of(r#"{"architectures":["A"]}"#), &path).len(), 2);
        assert!(compare(&of("{}"), &old, &path).is_empty());
    }
}
