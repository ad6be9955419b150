//! From the layout of a file to the parts that it is stored in.

use std::collections::HashMap;

use mv_formats::{Content, Layout};
use mv_store::{Element, Hash, Kind, Part, id_of};

use super::element_of;

/// Parts below this size are not worth a chunk of their own.
const SMALL: u64 = 64 << 10;
/// Small tensors that follow one another are one part, up to this size.
const GROUP: u64 = 1 << 20;
/// Numbers below this size stay among the bytes between parts.
const TINY: u64 = 4 << 10;

/// Numbers that are a part of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The number of the part.
    pub(super) part: usize,
    /// A hash of their names and inner shapes, and of how often these came before in the file: of an
    /// archive in which every entry has a tensor of one name, the third is compared with the third.
    pub(super) key: Hash,
    pub(super) element: Element,
}

/// Tensors that follow one another without a gap.
struct Group {
    start: u64,
    len: u64,
    element: Element,
    names: Vec<u8>,
}

/// The parts of a file, and which of them are numbers.
pub(super) fn parts_of(layout: &Layout) -> (Vec<Part>, Vec<Numbers>) {
    let (mut parts, mut numbers) = (Vec::new(), Vec::new());
    let mut open: Option<Group> = None;
    let mut names = HashMap::new();
    let mut close = |group: Group, parts: &mut Vec<Part>| {
        if group.len < TINY {
            return;
        }
        let before = names.entry(id_of(Kind::Blob, &group.names)).or_insert(0_u64);
        let key = match *before {
            0 => id_of(Kind::Blob, &group.names),
            before => id_of(Kind::Blob, &[&group.names[..], &before.to_le_bytes()].concat()),
        };
        *before += 1;
        numbers.push(Numbers { part: parts.len(), key, element: group.element });
        parts.push(part(group.start, group.len, Some(group.element)));
    };
    for found in &layout.parts {
        let name = found.name.as_deref().unwrap_or_default();
        let tensor = match &found.content {
            Content::Tensor { dtype, shape } => element_of(dtype, name).map(|e| (e, &shape[..])),
            Content::Opaque => None,
        };
        let Some((element, shape)) =
            tensor.filter(|(e, _)| found.len.is_multiple_of(e.size() as u64))
        else {
            open.take().into_iter().for_each(|group| close(group, &mut parts));
            if found.len >= SMALL {
                parts.push(part(found.start, found.len, None));
            }
            continue;
        };
        let joins = |group: &Group| {
            group.start + group.len == found.start
                && group.element == element
                && found.len < SMALL
                && group.len + found.len <= GROUP
        };
        match open.take() {
            Some(mut group) if joins(&group) => {
                group.len += found.len;
                describe(&mut group.names, name, shape);
                open = Some(group);
            }
            other => {
                other.into_iter().for_each(|group| close(group, &mut parts));
                let mut names = Vec::new();
                describe(&mut names, name, shape);
                let group = Group { start: found.start, len: found.len, element, names };
                // A large tensor is a part by itself.
                if found.len < SMALL { open = Some(group) } else { close(group, &mut parts) }
            }
        }
    }
    open.into_iter().for_each(|group| close(group, &mut parts));
    (parts, numbers)
}

/// What a tensor is found by: rows may be added to it, its rows stay as long as they are.
fn describe(names: &mut Vec<u8>, name: &str, shape: &[u64]) {
    names.extend_from_slice(&(name.len() as u64).to_le_bytes());
    names.extend_from_slice(name.as_bytes());
    let inner = shape.get(1..).unwrap_or_default();
    names.extend_from_slice(&(inner.len() as u64).to_le_bytes());
    inner.iter().for_each(|n| names.extend_from_slice(&n.to_le_bytes()));
}

fn part(start: u64, len: u64, element: Option<Element>) -> Part {
    Part { start, len, element, similar: Vec::new() }
}

#[cfg(test)]
mod tests {
    use mv_formats::Dtype;

    use super::*;

    fn tensor(start: u64, len: u64, name: &str, shape: &[u64]) -> mv_formats::Part {
        let content = Content::Tensor { dtype: Dtype::F32, shape: shape.to_vec() };
        mv_formats::Part { start, len, content, name: Some(name.to_owned()) }
    }

    #[test]
    fn small_tensors_that_follow_one_another_are_one_part_and_large_ones_are_alone() {
        let layout = Layout {
            parts: vec![
                tensor(100, 4000, "a", &[1000]),
                tensor(4100, 4000, "b", &[1000]),
                tensor(8100, 400_000, "c", &[100, 1000]),
                tensor(408_100, 8, "d", &[2]),
                tensor(500_000, 4096, "e", &[1024]),
            ],
        };
        let (parts, numbers) = parts_of(&layout);
        let ranges: Vec<_> = parts.iter().map(|p| (p.start, p.len)).collect();
        assert_eq!(ranges, [(100, 8000), (8100, 400_000), (500_000, 4096)]);
        assert_eq!(numbers.iter().map(|n| n.part).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn tensors_of_one_name_are_told_apart_by_their_order() {
        let keys = |count: u64| {
            let parts = (0..count).map(|n| tensor(n * 100_000, 80_000, "latent", &[100, 200]));
            let numbers = parts_of(&Layout { parts: parts.collect() }).1;
            numbers.into_iter().map(|numbers| numbers.key).collect::<Vec<_>>()
        };
        let (three, five) = (keys(3), keys(5));
        assert_eq!(three, five[..3]);
        let apart: std::collections::HashSet<_> = five.iter().collect();
        assert_eq!(apart.len(), 5);
    }

    #[test]
    fn a_tensor_with_more_rows_is_the_same_and_one_with_longer_rows_is_not() {
        let key = |name: &str, shape: &[u64]| {
            let len = shape.iter().product::<u64>() * 4;
            parts_of(&Layout { parts: vec![tensor(0, len, name, shape)] }).1[0].key
        };
        assert_eq!(key("w", &[1000, 64]), key("w", &[1064, 64]));
        assert_ne!(key("w", &[1000, 64]), key("w", &[1000, 65]));
        assert_ne!(key("w", &[1000, 64]), key("v", &[1000, 64]));
    }
}
