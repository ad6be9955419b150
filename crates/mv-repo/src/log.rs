//! History: the versions that led to one.

use std::collections::HashMap;

use mv_graph::walk::Ancestors;
use mv_graph::{Component, Manifest, Time, diff};
use mv_store::Hash;

use crate::error::Result;
use crate::repo::{PathArg, Repo, covered};
use crate::session::Session;

/// Which versions to list.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// Where to begin; HEAD when none is given.
    pub rev: Option<String>,
    /// How many, at most.
    pub limit: Option<usize>,
    /// None before this time.
    pub since: Option<Time>,
    /// None after this time.
    pub until: Option<Time>,
    /// Only versions that change a file below one of these.
    pub paths: Vec<PathArg>,
    /// Only versions with a tag.
    pub tags_only: bool,
}

/// One version in the history.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its id.
    pub id: Hash,
    /// All that was recorded.
    pub manifest: Manifest,
    /// How it is called.
    pub version: String,
    /// The tags on it.
    pub tags: Vec<String>,
    /// The branches at it.
    pub branches: Vec<String>,
    /// The stages that it plays.
    pub stages: Vec<String>,
    /// The components that differ from its first parent's.
    pub changed: Vec<Component>,
}

/// Lists a version and its ancestors, newest first. Costs one manifest a version; with paths, the
/// trees that differ as well.
///
/// # Errors
/// `UnknownRevision`, `Corrupt`, `Io`. Before the first commit HEAD is empty, not unknown.
pub fn log(repo: &Repo, options: &LogOptions, session: &Session) -> Result<Vec<LogEntry>> {
    let tip = match options.rev.as_deref() {
        None if repo.state().head_target().is_none() => return Ok(Vec::new()),
        rev => repo.resolve(rev.unwrap_or("HEAD"), session)?,
    };
    let tags = tags_by_target(repo);
    let mut listed: HashMap<Hash, [Hash; 4]> = HashMap::new();
    let mut entries: Vec<LogEntry> = Vec::new();
    for version in Ancestors::new(repo.store(), &[tip]) {
        if options.limit.is_some_and(|limit| entries.len() >= limit) {
            break;
        }
        session.progress.check()?;
        let (id, manifest) = version?;
        let trees = manifest.components.each_ref().map(|c| c.tree);
        listed.insert(id, trees);
        if options.since.is_some_and(|since| manifest.created.ns < since.ns) {
            continue;
        }
        let late = options.until.is_some_and(|until| manifest.created.ns > until.ns);
        let names = tags.get(&id).cloned().unwrap_or_default();
        if late
            || (options.tags_only && names.is_empty())
            || !touches(repo, &manifest, &options.paths)?
        {
            continue;
        }
        let version = names
            .iter()
            .find(|name| mv_graph::parse_version(name).is_some())
            .cloned()
            .unwrap_or_else(|| manifest.created.version_stamp());
        let on =
            repo.state().branches.iter().filter(|b| b.target == id).map(|b| b.name.to_string());
        let branches = on.collect();
        let played = repo.state().stages.iter().filter(|s| s.target == Some(id));
        let stages = played.map(|s| s.name.to_string()).collect();
        entries.push(LogEntry {
            id,
            manifest,
            version,
            tags: names,
            branches,
            stages,
            changed: Vec::new(),
        });
    }
    for entry in &mut entries {
        entry.changed = changed(repo, &entry.manifest, &listed)?;
    }
    Ok(entries)
}

/// The components that differ from the first parent's; every one with files in a first version.
fn changed(
    repo: &Repo,
    manifest: &Manifest,
    listed: &HashMap<Hash, [Hash; 4]>,
) -> Result<Vec<Component>> {
    let own = manifest.components.each_ref().map(|c| c.tree);
    let Some(parent) = manifest.parents.first() else {
        return Ok(Component::ALL
            .into_iter()
            .filter(|c| manifest.component(*c).files > 0)
            .collect());
    };
    let before = match listed.get(parent) {
        Some(trees) => *trees,
        None => repo.manifest(parent)?.components.each_ref().map(|c| c.tree),
    };
    Ok(Component::ALL.into_iter().filter(|c| own[c.index()] != before[c.index()]).collect())
}

fn touches(repo: &Repo, manifest: &Manifest, paths: &[PathArg]) -> Result<bool> {
    if paths.is_empty() {
        return Ok(true);
    }
    let parent = manifest.parents.first().map(|id| repo.manifest(id)).transpose()?;
    let changes = diff::changes(repo.store(), parent.as_ref(), Some(manifest))?;
    Ok(changes.iter().any(|c| covered(paths, &c.path)))
}

/// The tags on each version, semantic versions first and highest first.
pub(crate) fn tags_by_target(repo: &Repo) -> HashMap<Hash, Vec<String>> {
    let mut tags: Vec<_> = repo.state().tags.iter().filter_map(|t| Some((t.target?, t))).collect();
    tags.sort_by(|(_, a), (_, b)| b.version().cmp(&a.version()).then_with(|| a.name.cmp(&b.name)));
    let mut by_target: HashMap<Hash, Vec<String>> = HashMap::new();
    for (target, tag) in tags {
        by_target.entry(target).or_default().push(tag.name.to_string());
    }
    by_target
}
