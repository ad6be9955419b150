//! Walking the tree of a chunk list.

use super::Store;
use crate::error::Result;
use crate::list::{List, ListItem};

/// Raw bytes of a large object that are decoded at once.
const WINDOW: u64 = 8 << 20;
/// Chunks decoded at once; only hostile lists reach it before [`WINDOW`].
const WINDOW_ITEMS: usize = 1024;

/// Walks a list tree to its chunks, in order; holds one node a level.
pub(super) struct Chunks<'a> {
    store: &'a Store,
    /// Nodes being walked, top first, each with the next item's number.
    path: Vec<(List, usize)>,
    put_back: Option<ListItem>,
}

impl<'a> Chunks<'a> {
    pub(super) fn new(store: &'a Store, top: List) -> Chunks<'a> {
        Chunks { store, path: vec![(top, 0)], put_back: None }
    }

    pub(super) fn next(&mut self) -> Result<Option<ListItem>> {
        if let Some(item) = self.put_back.take() {
            return Ok(Some(item));
        }
        loop {
            let Some((list, at)) = self.path.last_mut() else { return Ok(None) };
            let Some(item) = list.items.get(*at).copied() else {
                self.path.pop();
                continue;
            };
            *at += 1;
            if list.height == 0 {
                return Ok(Some(item));
            }
            let height = list.height - 1;
            self.descend(&item, height)?;
        }
    }

    fn descend(&mut self, item: &ListItem, height: u8) -> Result<()> {
        let node = self.store.list_node(item, height)?;
        self.path.push((node, 0));
        Ok(())
    }

    /// Skips whole items that end at or before `start` and returns where the walk stands.
    pub(super) fn skip_to(&mut self, start: u64) -> Result<u64> {
        let mut at = 0;
        loop {
            let Some((list, next)) = self.path.last_mut() else { return Ok(at) };
            while let Some(item) = list.items.get(*next).filter(|item| at + item.len <= start) {
                at += item.len;
                *next += 1;
            }
            let Some(item) = list.items.get(*next).copied().filter(|_| list.height > 0) else {
                return Ok(at);
            };
            *next += 1;
            let height = list.height - 1;
            self.descend(&item, height)?;
        }
    }

    pub(super) fn next_window(&mut self) -> Result<Vec<ListItem>> {
        let mut window = Vec::new();
        let mut bytes = 0;
        while let Some(item) = self.next()? {
            let full = bytes + item.len > WINDOW || window.len() == WINDOW_ITEMS;
            if bytes > 0 && full {
                self.put_back = Some(item);
                break;
            }
            bytes += item.len;
            window.push(item);
        }
        Ok(window)
    }
}
