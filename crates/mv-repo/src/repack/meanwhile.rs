//! What was published while everything was being stored anew.
//!
//! A commit relies on what is there: a chunk of an older file, or something that it is coded against.
//! A repack cuts files anew and writes no chunk that stands for no file any more, so what newer packs
//! need of the old ones is copied after them.

use std::collections::HashSet;

use mv_graph::reach;
use mv_graph::walk::Ancestors;
use mv_store::{Hash, Kind, PackId, Store, Transport, Unit, Written, merge_packs};

use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::maintain;
use crate::repo::Repo;
use crate::session::Session;

/// Copies what packs that are neither `old` nor `new` need of the old ones and the new ones lack.
///
/// # Errors
/// `LostRace` when a new pack was taken for abandoned, or no old one is left.
pub(super) fn copied(
    repo: &Repo,
    old: &[PackId],
    new: &[PackId],
    session: &Session,
) -> Result<Written> {
    let state = repo.state();
    let lost = || Error::LostRace { generation: state.generation };
    for pack in new {
        let retired = state.condemned.iter().chain(&state.deleting).any(|r| r.pack == *pack);
        if retired || repo.transport().size(&pack.file_name())?.is_none() {
            return Err(lost());
        }
    }
    let newer: Vec<PackId> = state.packs.iter().copied().filter(|p| !old.contains(p)).collect();
    if newer.is_empty() {
        return Ok(Written::default());
    }
    // In a part of a repository what is meant to be missing cannot be told from what is lost.
    if old.is_empty() || repo.partial().is_some() {
        return Err(lost());
    }
    let store = repo.store().here();
    let there: Vec<PackId> = newer.iter().chain(new).copied().collect();
    let there = Store::open(store.root(), &there);
    // What was stored anew is read as it is now: its old chunks are not needed.
    let all = there.join(&store.only(old));
    let mut versions = store.only(&newer).ids_of(Kind::Manifest)?;
    // What a gc has dropped of other versions is no loss.
    let roots = maintain::roots(&Depot::Here(repo), &all, &|_, _| true)?.versions;
    let kept: mv_graph::Result<HashSet<Hash>> =
        Ancestors::new(&all, &roots).map(|version| Ok(version?.0)).collect();
    let kept = kept?;
    versions.retain(|id| kept.contains(id));
    let reached = reach::reachable(&all, &versions, &HashSet::new())?;
    let mut bases = HashSet::new();
    for pack in &newer {
        bases.extend(store.bases_in(*pack)?);
    }
    let mut needed = HashSet::new();
    all.add_with_bases(&mut needed, reached.ids().chain(&bases).copied().collect())?;
    needed.retain(|id| {
        let whole = bases.contains(id);
        !(if whole { there.contains_whole(id) } else { there.contains(id) })
    });
    if needed.is_empty() {
        return Ok(Written::default());
    }
    let task = session.progress.task("copying what is newer", Unit::Bytes);
    let keep = |id: &_| needed.contains(id);
    Ok(merge_packs(store.root(), &store, old, &[], &keep, &session.nonces, &task)?)
}
