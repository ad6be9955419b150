//! What another store lacks of some versions: the one walk behind push, fetch and clone.
//!
//! An object that is there says nothing of what it refers to, because gc drops objects one by one:
//! only versions that a ref reaches are known to be complete. So the walk ends at those, and looks
//! at every tree and every file of the others.
//!
//! It goes level by level, and says of each level what it will read ([`Objects::expect`]), so that
//! a walk over a remote costs a few round trips and not one for each directory.

use std::collections::{HashMap, HashSet};

use mv_store::{Hash, Kind, Task};

use crate::component::Component;
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::objects::Objects;
use crate::path::{MAX_DEPTH, RepoPath};
use crate::tree::{Mode, Tree};

/// Directories of one level, at most; a hostile tree is refused before it costs more.
const MAX_EDGE: usize = 10_000_000;

/// How much of a directory is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// Every file below it.
    All,
    /// Some, perhaps: each entry is asked about.
    Some,
    /// None.
    None,
}

/// Which contents are wanted of a version.
pub trait Scope: Sync {
    /// How much is wanted below a directory, or of a file; none is a component's root.
    fn cover(&self, component: Component, path: Option<&RepoPath>) -> Cover;
}

/// Everything.
#[derive(Clone, Copy, Debug)]
pub struct Whole;

impl Scope for Whole {
    fn cover(&self, _: Component, _: Option<&RepoPath>) -> Cover {
        Cover::All
    }
}

/// Whether a file is wanted whatever the scope: those that say how the project's files are to be
/// read, without which a part of it would be taken for something else.
#[must_use]
pub fn is_always_wanted(name: &[u8], at_root: bool) -> bool {
    name == b".mvignore" || (at_root && name == b"mv.toml")
}

/// What to look for.
pub struct Wanted<'a> {
    /// Versions, with all before them.
    pub roots: &'a [Hash],
    /// Versions that are complete on the other side, with all before them.
    pub complete: &'a HashSet<Hash>,
    /// Whether the other side has an object.
    pub has: &'a dyn Fn(&Hash) -> bool,
    /// The same, and of a blob that is stored as a list there, whether it has all that the list names.
    pub holds: &'a dyn Fn(&Hash) -> bool,
    /// Which files' contents are wanted.
    pub scope: &'a dyn Scope,
    /// Of how many versions, counted from each root, contents and trees are wanted; all if none.
    pub depth: Option<u64>,
    /// Whether the other side may lack nothing that is not here either: then an object that is in
    /// neither place is passed over.
    pub partial: bool,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Missing {
    /// The objects that the other side lacks.
    pub objects: HashSet<Hash>,
    /// The versions that were not complete there, newest first as far as parents tell.
    pub versions: Vec<Hash>,
    /// Raw bytes of the files that were looked at and are there already.
    pub there_bytes: u64,
}

/// Finds what the other side lacks.
///
/// Memory: about 50 bytes for each object of the versions that are not complete there.
///
/// # Errors
/// `Missing` for an object that is in neither place, `Corrupt`, `Cancelled`, `Io`, `Remote`.
pub fn missing(objects: &dyn Objects, wanted: &Wanted<'_>, task: &Task) -> Result<Missing> {
    let mut walk = Walk { objects, wanted, task, found: Missing::default(), blobs: HashMap::new() };
    let manifests = walk.manifests()?;
    let mut environments = Vec::new();
    let mut edge = Vec::new();
    for (manifest, distance) in &manifests {
        environments.extend(manifest.environment);
        if wanted.depth.is_none_or(|depth| *distance < depth) {
            edge.extend(Component::ALL.map(|component| {
                let part = manifest.component(component);
                let cover = wanted.scope.cover(component, None);
                let totals = (part.files, part.bytes);
                Directory { id: part.tree, totals, component, path: None, cover, root: true }
            }));
        }
    }
    drop(manifests);
    walk.trees(edge)?;
    walk.blobs.extend(environments.into_iter().map(|id| (id, None)));
    walk.contents()?;
    Ok(walk.found)
}

struct Walk<'a> {
    objects: &'a dyn Objects,
    wanted: &'a Wanted<'a>,
    task: &'a Task,
    found: Missing,
    /// Blobs that are wanted, files' contents with the length that their tree claims.
    blobs: HashMap<Hash, Option<u64>>,
}

/// A directory to look into.
struct Directory {
    id: Hash,
    totals: (u64, u64),
    component: Component,
    /// Kept only where the scope asks for it.
    path: Option<RepoPath>,
    cover: Cover,
    root: bool,
}

impl Walk<'_> {
    fn note(&mut self, id: &Hash) {
        if !(self.wanted.has)(id) {
            self.found.objects.insert(*id);
        }
    }

    /// The versions that are not complete, each with its distance from the nearest root.
    fn manifests(&mut self) -> Result<Vec<(Manifest, u64)>> {
        let mut found = Vec::new();
        let mut seen: HashSet<Hash> = HashSet::new();
        let mut edge: Vec<Hash> = self.wanted.roots.to_vec();
        let mut distance = 0;
        while !edge.is_empty() {
            edge.retain(|id| !self.wanted.complete.contains(id) && seen.insert(*id));
            self.objects.expect(Kind::Manifest, &edge)?;
            let mut next = Vec::new();
            for id in edge {
                self.task.check()?;
                self.task.add(1);
                let manifest = Manifest::read(self.objects, &id)?;
                self.note(&id);
                self.found.versions.push(id);
                next.extend(manifest.parents.iter().copied());
                found.push((manifest, distance));
            }
            edge = next;
            distance += 1;
        }
        Ok(found)
    }

    fn trees(&mut self, mut edge: Vec<Directory>) -> Result<()> {
        // A directory that several places share is looked at once for each answer of the scope.
        let mut seen: HashSet<(Hash, Component, u8, Option<RepoPath>)> = HashSet::new();
        let mut depth = 0;
        while !edge.is_empty() {
            if depth > MAX_DEPTH {
                let detail = format!("it lies deeper than {MAX_DEPTH} directories");
                return Err(Error::corrupt("tree", edge[0].id, detail));
            }
            depth += 1;
            edge.retain(|dir| {
                let path = dir.path.clone().filter(|_| dir.cover == Cover::Some);
                seen.insert((dir.id, dir.component, dir.cover as u8 + u8::from(dir.root) * 4, path))
            });
            if edge.len() > MAX_EDGE {
                return Err(Error::corrupt("tree", "directories", "there are too many of them"));
            }
            let ids: Vec<Hash> = edge.iter().map(|dir| dir.id).collect();
            let mut next = Vec::new();
            // In parts, so that what is read ahead is read before more is.
            for (dirs, ids) in edge.chunks(4096).zip(ids.chunks(4096)) {
                self.objects.expect(Kind::Tree, ids)?;
                for dir in dirs {
                    self.task.check()?;
                    self.task.add(1);
                    self.directory(dir, &mut next)?;
                }
            }
            edge = next;
        }
        Ok(())
    }

    fn directory(&mut self, dir: &Directory, next: &mut Vec<Directory>) -> Result<()> {
        let (files, bytes) = dir.totals;
        let tree = match Tree::read_counted(self.objects, &dir.id, files, bytes) {
            Err(e) if self.may_lack(&dir.id, &e) => return Ok(()),
            other => other?,
        };
        self.note(&dir.id);
        for entry in tree.entries {
            let (mut cover, mut path) = (dir.cover, None);
            if dir.cover == Cover::Some {
                let joined = match &dir.path {
                    Some(above) => above.join(&entry.name),
                    None => RepoPath::from_bytes(&entry.name),
                };
                let below = joined.map_err(|fault| {
                    Error::corrupt(
                        "tree",
                        dir.id,
                        format!("the path of an entry is refused: {fault}"),
                    )
                })?;
                cover = self.wanted.scope.cover(dir.component, Some(&below));
                path = Some(below);
            }
            if entry.mode == Mode::Dir {
                let (component, totals) = (dir.component, (entry.files, entry.bytes));
                next.push(Directory { id: entry.id, totals, component, path, cover, root: false });
            } else if cover != Cover::None || is_always_wanted(&entry.name, dir.root) {
                self.blobs.insert(entry.id, Some(entry.bytes));
            }
        }
        Ok(())
    }

    /// An object that is nowhere is no loss in a part of a repository whose rest the other side has.
    fn may_lack(&self, id: &Hash, error: &Error) -> bool {
        let absent = matches!(error, Error::Store(mv_store::Error::Missing { .. }));
        absent && self.wanted.partial && (self.wanted.has)(id)
    }

    fn contents(&mut self) -> Result<()> {
        let blobs: Vec<(Hash, Option<u64>)> = std::mem::take(&mut self.blobs).into_iter().collect();
        for part in blobs.chunks(4096) {
            let ids: Vec<Hash> = part.iter().map(|(id, _)| *id).collect();
            self.objects.expect(Kind::Blob, &ids)?;
            for (id, bytes) in part {
                self.task.check()?;
                self.task.add(1);
                if (self.wanted.has)(id) {
                    let bytes = bytes.unwrap_or_default();
                    self.found.there_bytes = self.found.there_bytes.saturating_add(bytes);
                }
                self.note(id);
                match (bytes, self.objects.len(id)) {
                    (Some(bytes), Ok(Some(len))) if *bytes != len => {
                        let detail = format!("it has {len} bytes, a tree says {bytes}");
                        return Err(Error::corrupt("blob", id, detail));
                    }
                    _ => {}
                }
                match self.objects.children(id).map_err(Error::from) {
                    Err(e) if self.may_lack(id, &e) => {}
                    Err(e) => return Err(e),
                    Ok(children) => self.parts(id, &children.unwrap_or_default()),
                }
            }
        }
        Ok(())
    }

    /// Notes what a blob is stored as. It may be cut otherwise on the other side; where all that its list
    /// there names is there, nothing of ours is wanted. Where it is not, our list is wanted as well, or
    /// the blob itself if it is whole here.
    fn parts(&mut self, id: &Hash, parts: &[Hash]) {
        let holds = self.wanted.holds;
        let lacking: Vec<Hash> = parts.iter().filter(|part| !holds(part)).copied().collect();
        if (parts.is_empty() || !lacking.is_empty()) && !holds(id) {
            self.found.objects.insert(*id);
            self.found.objects.extend(lacking);
        }
    }
}

#[cfg(test)]
mod tests;
