//! A blob that is stored as a list: which copy is read, and what all copies name.
//!
//! Packs may hold several lists of one blob, each cut otherwise, and gc drops objects one by one. So a
//! list says nothing of what it names: one of which something is not here is no copy as long as there
//! is another.

use std::collections::HashSet;
use std::sync::PoisonError;

use super::bases::REMEMBERED;
use super::large::Handed;
use super::{Found, Store};
use crate::codec::Encoding;
use crate::error::{Error, Result};
use crate::hash::{Hash, Kind};
use crate::list::{List, ListItem};
use crate::progress::Task;

impl Store {
    /// Whether the object is here, and of one that is stored as a list all that it names. Costs reading
    /// the list and a look for each chunk.
    #[must_use]
    pub fn holds(&self, id: &Hash) -> bool {
        self.contains_whole(id) || self.lists(id, usize::MAX).any(|copy| self.all_of(id, &copy))
    }

    /// Whether a blob is here as a list and nowhere whole.
    pub(crate) fn is_only_list(&self, id: &Hash) -> Result<bool> {
        let Some(found) = self.locate(id)?.filter(Found::is_list) else { return Ok(false) };
        Ok(self.other_copies(Kind::Blob, id, found.slot).all(|found| found.is_list()))
    }

    /// The copies of a blob that are lists, but the one in a pack.
    fn lists(&self, id: &Hash, but: usize) -> impl Iterator<Item = Found> {
        self.other_copies(Kind::Blob, id, but).filter(Found::is_list)
    }

    /// Whether everything is here that a copy names; looked at once.
    fn all_of(&self, id: &Hash, copy: &Found) -> bool {
        let key = (copy.slot, copy.place.block);
        let seen = || self.0.complete.lock().unwrap_or_else(PoisonError::into_inner);
        if seen().contains(&key) {
            return true;
        }
        let complete = self.list_of(copy, id).is_ok_and(|list| self.is_complete(list, false));
        if complete {
            let mut seen = seen();
            if seen.len() > REMEMBERED {
                seen.clear();
            }
            seen.insert(key);
        }
        complete
    }

    /// Whether everything is here that a list names. `within` is whether it stands for a chunk: then its
    /// own chunks are no lists again.
    fn is_complete(&self, list: List, within: bool) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![list];
        while let Some(list) = open.pop() {
            for item in list.items.iter().filter(|item| seen.insert(item.id)) {
                let there = match list.height.checked_sub(1) {
                    Some(below) => self.list_node(item, below).map(|node| open.push(node)).is_ok(),
                    None if self.contains_whole(&item.id) => true,
                    None if within => false,
                    None => match self.only_listed(item) {
                        Ok(Some(list)) => self.is_complete(list, true),
                        _ => false,
                    },
                };
                if !there {
                    return false;
                }
            }
        }
        true
    }

    /// The copy to read of a blob that was found as a list, or coded against something that is not here.
    pub(super) fn better(&self, id: &Hash, found: Found) -> Found {
        let mut others = self.other_copies(Kind::Blob, id, found.slot).peekable();
        if others.peek().is_none() || (found.is_list() && self.all_of(id, &found)) {
            return found;
        }
        if let Ok(Some((whole, _))) = self.best(id) {
            return whole;
        }
        others.find(|copy| copy.is_list() && self.all_of(id, copy)).unwrap_or(found)
    }

    /// Where the list is that a blob is read from: a slot, and the number of a block in its pack.
    pub(crate) fn list_at(&self, id: &Hash) -> Result<(usize, u32)> {
        self.find_as(Kind::Blob, id).map(|found| (found.slot, found.place.block))
    }

    /// Whether a pack has an object in any way but as a list.
    pub(crate) fn has_whole_in(&self, slot: usize, id: &Hash) -> bool {
        self.locate_in(slot, id).is_ok_and(|found| found.is_some_and(|found| !found.is_list()))
    }

    /// Makes sure that the list of a blob in one pack adds up to it.
    pub(crate) fn verify_list_in(&self, slot: usize, id: &Hash, task: &Task) -> Result<()> {
        let found = self.locate_in(slot, id)?.filter(Found::is_list);
        let found = found.ok_or(Error::Missing { kind: Kind::Blob, id: *id })?;
        let out = &mut |_: &[u8]| task.check();
        self.copy_list(id, self.list_of(&found, id)?, self, &mut Handed::new(None, out))
    }

    /// The list nodes and chunks that a blob is made of; none when it is stored whole.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Io`.
    pub fn children(&self, id: &Hash) -> Result<Option<Vec<Hash>>> {
        let found = match self.find_here(Kind::Blob, id)? {
            Ok(found) => found,
            Err(elsewhere) => return elsewhere.children(id),
        };
        if !found.is_list() {
            return Ok(None);
        }
        self.parts(vec![self.sound_list(id, &found)?]).map(Some)
    }

    /// The list nodes and chunks of every list of a blob of which everything is here. They are in use as
    /// long as these lists are there, whichever of them is read.
    ///
    /// # Errors
    /// `Missing`, `Corrupt`, `Io`.
    pub fn parts_in_use(&self, id: &Hash) -> Result<Vec<Hash>> {
        let lists = self.lists(id, usize::MAX).filter_map(|copy| self.list_of(&copy, id).ok());
        self.parts(lists.filter(|list| self.is_complete(list.clone(), false)).collect())
    }

    /// What some lists name, each once.
    pub(crate) fn parts(&self, lists: Vec<List>) -> Result<Vec<Hash>> {
        // Each node is opened once, however often a hostile list repeats it.
        let mut seen = HashSet::new();
        let mut ids = Vec::new();
        // A chunk that is a file as well may be here only as a list, whose chunks are no lists again.
        let mut open: Vec<(List, bool)> = lists.into_iter().map(|list| (list, false)).collect();
        while let Some((list, within)) = open.pop() {
            for item in &list.items {
                if !seen.insert(item.id) {
                    continue;
                }
                ids.push(item.id);
                if list.height > 0 {
                    open.push((self.list_node(item, list.height - 1)?, within));
                } else if !within && let Some(listed) = self.only_listed(item)? {
                    open.push((listed, true));
                }
            }
        }
        Ok(ids)
    }

    /// The list that a chunk is stored as, when it is stored in no other way.
    fn only_listed(&self, item: &ListItem) -> Result<Option<List>> {
        match self.locate(&item.id)? {
            Some(found) if found.is_list() && self.best(&item.id)?.is_none() => {
                self.list_of(&found, &item.id).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl Found {
    pub(super) fn is_list(&self) -> bool {
        self.block.encoding == Encoding::List
    }
}
