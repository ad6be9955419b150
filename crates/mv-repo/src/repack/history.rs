//! What every path was, newest first.

use std::collections::{HashMap, HashSet};

use mv_graph::reach::{self, Place, Visitor};
use mv_graph::walk::Ancestors;
use mv_graph::{Component, Manifest, RepoPath, diff};
use mv_store::{Hash, Kind, Unit};

use crate::depot::Depot;
use crate::error::Result;
use crate::maintain;
use crate::repo::Repo;
use crate::session::Session;

/// A file's content, at the path where it was first met.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) id: Hash,
    pub(super) bytes: u64,
}

/// A path and what it was, newest first.
#[derive(Clone, Debug)]
pub(super) struct PathHistory {
    pub(super) path: RepoPath,
    pub(super) component: Component,
    pub(super) contents: Vec<Content>,
}

/// All versions there are, as files.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By when they were first met, newest version first.
    pub(super) paths: Vec<PathHistory>,
    /// What branches, tags, stages and HEAD name.
    pub(super) quick: HashSet<Hash>,
    /// Chunks and list nodes that stand for files, and for nothing else.
    pub(super) parts: HashSet<Hash>,
}

impl History {
    pub(super) fn of(repo: &Repo, session: &Session) -> Result<History> {
        let store = repo.store().here();
        let named: HashSet<Hash> = repo.state().targets().into_iter().collect();
        // What a gc has dropped of other versions is no loss, and they come last.
        let roots = maintain::roots(&Depot::Here(repo), &store, &|_, _| true)?.versions;
        let kept: mv_graph::Result<HashSet<Hash>> =
            Ancestors::new(&store, &roots).map(|version| Ok(version?.0)).collect();
        let kept = kept?;
        let mut versions = Vec::new();
        let mut history = History::default();
        for id in store.ids_of(Kind::Manifest)? {
            session.progress.check()?;
            let manifest = Manifest::read(&store, &id)?;
            if named.contains(&id) {
                match diff::list(&store, &manifest) {
                    Ok(files) => history.quick.extend(files.into_iter().map(|file| file.entry.id)),
                    Err(e) if may_be_away(repo, &e) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            versions.push((!kept.contains(&id), std::cmp::Reverse(manifest.created.ns), id));
        }
        versions.sort_unstable();
        let roots: Vec<Hash> = versions.into_iter().map(|(.., id)| id).collect();
        let task = session.progress.task("finding versions", Unit::Items);
        let mut gather = Gather { repo, kept, task: &task, places: HashMap::new(), history };
        reach::visit(&store, &roots, &mut gather)?;
        Ok(gather.history)
    }
}

struct Gather<'a> {
    repo: &'a Repo,
    /// The versions of which everything must be here.
    kept: HashSet<Hash>,
    task: &'a mv_store::Task,
    /// The number of each path.
    places: HashMap<RepoPath, usize>,
    history: History,
}

impl Visitor for Gather<'_> {
    fn enter(
        &mut self,
        kind: Kind,
        id: &Hash,
        bytes: Option<u64>,
        place: &Place<'_>,
    ) -> mv_graph::Result<bool> {
        self.task.add(1);
        self.task.check()?;
        let (Kind::Blob, Some(component)) = (kind, place.component) else { return Ok(true) };
        let Some(bytes) = bytes else {
            self.history.parts.insert(*id);
            return Ok(true);
        };
        self.history.parts.remove(id);
        if let Some(path) = place.path {
            let paths = &mut self.history.paths;
            let at = *self.places.entry(path.clone()).or_insert_with(|| {
                paths.push(PathHistory { path: path.clone(), component, contents: Vec::new() });
                paths.len() - 1
            });
            paths[at].contents.push(Content { id: *id, bytes });
        }
        Ok(true)
    }

    fn problem(
        &mut self,
        _: Kind,
        _: &Hash,
        place: &Place<'_>,
        error: mv_graph::Error,
    ) -> mv_graph::Result<()> {
        let dropped = !self.kept.contains(place.manifest) && is_missing(&error);
        if dropped || may_be_away(self.repo, &error) { Ok(()) } else { Err(error) }
    }
}

/// Whether this is about something that need not be here, in a part of a repository.
fn may_be_away(repo: &Repo, error: &mv_graph::Error) -> bool {
    repo.partial().is_some() && is_missing(error)
}

fn is_missing(error: &mv_graph::Error) -> bool {
    matches!(error, mv_graph::Error::Store(mv_store::Error::Missing { .. }))
}
