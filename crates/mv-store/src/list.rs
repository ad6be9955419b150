//! Chunk lists: how an object larger than a block names the objects that its bytes consist of.
//!
//! ```text
//! height   u8       0: items are chunks; h: items are list nodes of height h-1
//! count    u32 LE   at least 1
//! items    count x { id [32], len u64 LE }     len > 0, the raw bytes below this item
//! ```
//!
//! A long list is a tree: runs of items become nodes, objects of kind `List`, divided where an
//! item's id says so. An edit then changes the node that it falls in and the path to the top;
//! all other nodes are shared with the earlier version.

use crate::error::{Error, Result};
use crate::hash::Hash;

/// One item of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListItem {
    /// The chunk or list node.
    pub id: Hash,
    /// Raw bytes below it.
    pub len: u64,
}

/// A decoded list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List {
    pub(crate) height: u8,
    pub(crate) items: Vec<ListItem>,
}

const HEADER: usize = 5;
const ITEM: usize = 40;
/// Lists of this height reach 16 TiB and more; a higher one is hostile.
pub(crate) const MAX_HEIGHT: u8 = 6;
/// A node ends at an item whose id begins with a byte divisible by this, past the minimum.
const NODE_MIN: usize = 64;
const NODE_MAX: usize = 1024;
/// Bytes of the largest list: `NODE_MAX` items.
pub(crate) const MAX_BYTES: usize = HEADER + NODE_MAX * ITEM;

impl List {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.items.len() * ITEM);
        bytes.push(self.height);
        bytes.extend_from_slice(&u32::try_from(self.items.len()).unwrap_or(u32::MAX).to_le_bytes());
        for item in &self.items {
            bytes.extend_from_slice(&item.id.0);
            bytes.extend_from_slice(&item.len.to_le_bytes());
        }
        bytes
    }

    /// Decodes and checks: exact length, sane height, items of at least one byte that add up to
    /// `total` when that is known.
    pub(crate) fn decode(bytes: &[u8], total: Option<u64>, name: &Hash) -> Result<List> {
        let bad = |detail: &str| Error::corrupt("list", name, detail);
        let (header, body) =
            bytes.split_at_checked(HEADER).ok_or_else(|| bad("it is too short"))?;
        let height = header[0];
        let count = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
        if height > MAX_HEIGHT || count == 0 || count > NODE_MAX {
            return Err(bad("its header is out of bounds"));
        }
        if body.len() != count * ITEM {
            return Err(bad("its length does not match its count"));
        }
        let mut sum = 0u64;
        let mut items = Vec::with_capacity(count);
        for item in body.chunks_exact(ITEM) {
            let (id, len) = item.split_at(32);
            let id = Hash(id.try_into().map_err(|_| bad("an item is malformed"))?);
            let len = u64::from_le_bytes(len.try_into().map_err(|_| bad("an item is malformed"))?);
            if len == 0 {
                return Err(bad("an item is empty"));
            }
            sum = sum.checked_add(len).ok_or_else(|| bad("its lengths overflow"))?;
            items.push(ListItem { id, len });
        }
        if total.is_some_and(|t| t != sum) {
            return Err(bad("its lengths do not add up to the object's"));
        }
        Ok(List { height, items })
    }
}

/// Builds the tree over a file's chunks. `put` stores a node and returns its id; the returned list
/// is the top, which the object itself is stored as.
pub(crate) fn build(
    chunks: Vec<ListItem>,
    mut put: impl FnMut(Vec<u8>) -> Result<Hash>,
) -> Result<List> {
    let mut level = List { height: 0, items: chunks };
    while level.items.len() > NODE_MIN * 2 {
        let mut above = Vec::with_capacity(level.items.len() / NODE_MIN);
        let mut start = 0;
        for at in 0..level.items.len() {
            let len = at + 1 - start;
            let ends = (len >= NODE_MIN && level.items[at].id.0[0].is_multiple_of(64))
                || len == NODE_MAX
                || at + 1 == level.items.len();
            if ends {
                let items = level.items[start..=at].to_vec();
                let len = items.iter().map(|i| i.len).sum();
                let id = put(List { height: level.height, items }.encode())?;
                above.push(ListItem { id, len });
                start = at + 1;
            }
        }
        level = List { height: level.height + 1, items: above };
    }
    Ok(level)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::hash::{Kind, id_of};

    fn chunks(n: u32) -> Vec<ListItem> {
        (0..n)
            .map(|i| ListItem { id: id_of(Kind::Blob, &i.to_le_bytes()), len: u64::from(i) + 1 })
            .collect()
    }

    fn flatten(list: &List, nodes: &HashMap<Hash, Vec<u8>>) -> Vec<ListItem> {
        if list.height == 0 {
            return list.items.clone();
        }
        let below =
            list.items.iter().map(|i| List::decode(&nodes[&i.id], Some(i.len), &i.id).unwrap());
        below.flat_map(|node| flatten(&node, nodes)).collect()
    }

    #[test]
    fn a_tree_of_any_height_flattens_to_its_chunks() {
        for n in [1, 128, 129, 5000, 60_000] {
            let mut nodes = HashMap::new();
            let top = build(chunks(n), |bytes| {
                let id = id_of(Kind::List, &bytes);
                nodes.insert(id, bytes);
                Ok(id)
            })
            .unwrap();
            assert_eq!(flatten(&top, &nodes), chunks(n), "{n}");
        }
    }

    #[test]
    fn one_changed_chunk_changes_one_node_a_level() {
        let mut old = std::collections::HashSet::new();
        build(chunks(20_000), |b| {
            let id = id_of(Kind::List, &b);
            old.insert(id);
            Ok(id)
        })
        .unwrap();
        let mut edited = chunks(20_000);
        edited[7777].id = id_of(Kind::Blob, b"edited");
        let mut fresh = 0;
        build(edited, |b| {
            let id = id_of(Kind::List, &b);
            fresh += usize::from(!old.contains(&id));
            Ok(id)
        })
        .unwrap();
        assert!(fresh <= 4, "{fresh}");
    }

    #[test]
    fn hostile_lists_are_refused() {
        let id = Hash::ZERO;
        let good = List { height: 0, items: chunks(3) }.encode();
        assert!(List::decode(&good, Some(6), &id).is_ok());
        assert!(List::decode(&good, Some(7), &id).is_err());
        for end in 0..good.len() {
            assert!(List::decode(&good[..end], None, &id).is_err());
        }
        let mut high = good.clone();
        high[0] = 200;
        assert!(List::decode(&high, None, &id).is_err());
        let mut many = good.clone();
        many[1..5].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(List::decode(&many, None, &id).is_err());
        let mut huge = good.clone();
        huge[37..45].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(List::decode(&huge, None, &id).is_err());
        let mut empty = good;
        empty[37..45].copy_from_slice(&0u64.to_le_bytes());
        assert!(List::decode(&empty, None, &id).is_err());
    }
}
