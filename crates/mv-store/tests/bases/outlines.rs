//! Outlines are advice: whatever they say, the bytes come out that went in.

use mv_store::{Effort, Element, Hash, Kind, Outline, Part, Similar, Store, id_of};
use proptest::prelude::*;

use super::lab::{Lab, after, best, bf16, edited, f32s, reads, sound, table, trained, weights};

const ELEMENTS: [Element; 5] =
    [Element::Bf16, Element::F16, Element::F32, Element::F64, Element::Byte];

fn part(start: u64, len: u64, element: Option<Element>, similar: Vec<Similar>) -> Part {
    Part { start, len, element, similar }
}

#[test]
fn parts_that_lie_about_where_they_are_change_no_byte() {
    let bytes = f32s(&weights(600_000, 1));
    let len = bytes.len() as u64;
    let numbers = Some(Element::F32);
    let lies: Vec<Vec<(u64, u64)>> = vec![
        vec![(0, u64::MAX)],
        vec![(5, u64::MAX), (7, u64::MAX)],
        vec![(u64::MAX, u64::MAX)],
        vec![(u64::MAX, 0), (0, 0)],
        vec![(len, 10), (len + 10, 10)],
        vec![(len - 1, 10)],
        vec![(0, 0), (0, 0), (0, len)],
        vec![(1000, 200_000), (500, 300_000), (0, 100)],
        vec![(0, len), (0, len), (0, len)],
        vec![(700_001, 3), (700_001, 3), (100, 1_000_003)],
        vec![(1, 70_001), (70_002, 1), (70_003, 600_001)],
    ];
    for places in lies {
        for element in [None, numbers, Some(Element::F64)] {
            for effort in [Effort::Fast, Effort::Normal, Effort::Best] {
                let parts = places.iter().map(|(at, len)| part(*at, *len, element, Vec::new()));
                let outline = Outline { parts: parts.collect(), effort, ..Outline::default() };
                let mut lab = Lab::new();
                let (id, _) = lab.put(&bytes, &outline);
                assert_eq!(id, id_of(Kind::Blob, &bytes));
                reads(&lab.store(), &id, &bytes);
            }
        }
    }
}

#[test]
fn likenesses_that_are_not_there_or_of_another_shape_change_no_byte() {
    let mut lab = Lab::new();
    let w = weights(60_000, 2);
    let wide = f32s(&w);
    let narrow = bf16(&w);
    let text = table(180_000, 3);
    let blobs: Vec<Hash> =
        [&wide, &narrow, &text].map(|bytes| lab.put(bytes, &Outline::default()).0).to_vec();
    let next = trained(&w, 4);
    let mut targets = vec![f32s(&next), bf16(&next), f32s(&next)[1..].to_vec(), wide.clone()];
    targets[0][0] ^= 1;
    let mut made = Vec::new();
    for bytes in &targets {
        for blob in blobs.iter().copied().chain([Hash([9; 32])]) {
            for (start, len) in
                [(0, 1 << 40), (3, 10), (u64::MAX, 1), (0, 0), (179_990, 1 << 20), (1, u64::MAX)]
            {
                for element in [Element::F32, Element::Bf16] {
                    for of in ELEMENTS {
                        let similar = vec![Similar { blob, start, len, element: of }];
                        let whole = part(0, bytes.len() as u64, Some(element), similar);
                        let outline = Outline { parts: vec![whole], ..Outline::default() };
                        let snapshot = lab.store();
                        let (id, written) = lab.put_into(&snapshot, bytes, &outline);
                        made.push(written.packs.clone());
                        let all = snapshot.join(&Store::open(lab.root(), &written.packs));
                        assert!(all.get(Kind::Blob, &id, u64::MAX).unwrap() == *bytes);
                    }
                }
            }
        }
    }
}

#[test]
fn a_parent_that_is_not_there_or_is_the_file_itself_changes_nothing() {
    let mut lab = Lab::new();
    let bytes = table(700_000, 5);
    let (id, _) = lab.put(&bytes, &after(Hash([3; 32])));
    reads(&lab.store(), &id, &bytes);
    let (again, written) = lab.put(&bytes, &after(id));
    assert_eq!((again, written.packs.len()), (id, 0));
    // A parent that is a tree.
    let other = edited(&bytes, 50_000, 1);
    let (id, _) = lab.put(&other, &after(id_of(Kind::Tree, b"x")));
    reads(&lab.store(), &id, &other);
}

#[test]
fn the_same_outline_gives_the_same_packs() {
    let w = weights(500_000, 6);
    let old_table = table(3 << 20, 7);
    let new_table = edited(&old_table, 50_000, 8);
    for effort in [Effort::Fast, Effort::Normal, Effort::Best] {
        let run = || {
            let mut lab = Lab::new();
            let first = [&bf16(&w)[..], &old_table].concat();
            let part = |similar| part(0, 1_000_000, Some(Element::Bf16), similar);
            let outline = Outline { parts: vec![part(Vec::new())], effort, ..Outline::default() };
            let (id, _) = lab.put(&first, &outline);
            let second = [&bf16(&trained(&w, 9))[..], &new_table].concat();
            let similar =
                vec![Similar { blob: id, start: 0, len: 1_000_000, element: Element::Bf16 }];
            let parent = Some(id);
            let outline =
                Outline { parts: vec![part(similar)], parent, effort, ..Outline::default() };
            lab.put(&second, &outline);
            lab.packs
        };
        assert_eq!(run(), run(), "{effort:?}");
    }
}

#[test]
fn many_tiny_parts_are_stored_in_bounds() {
    let bytes = f32s(&weights(200_000, 10));
    let parts = (0..bytes.len() as u64 / 8)
        .map(|n| part(n * 8, 8, Some(Element::F32), Vec::new()))
        .collect();
    let mut lab = Lab::new();
    let (id, _) = lab.put(&bytes, &Outline { parts, ..Outline::default() });
    reads(&lab.store(), &id, &bytes);
    sound(&lab.store());
}

/// Resident bytes of this process at their highest.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[test]
#[ignore = "a quarter of a GiB; its measure is that of the whole process"]
fn memory_stays_bounded_however_large_the_file() {
    let mut lab = Lab::new();
    let bytes = table(128 << 20, 11);
    let (id, _) = lab.put(&bytes, &best());
    let next = edited(&bytes, 50_000, 12);
    let before = peak();
    let (id, _) = lab.put(&next, &after(id));
    let most = peak() - before;
    assert!(most < 300 << 20, "{most}");
    assert!(lab.store().contains(&id));
}

fn any_element() -> impl Strategy<Value = Option<Element>> {
    prop::option::of(prop::sample::select(&ELEMENTS[..]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_outline_gives_back_the_bytes(
        len in 60_000usize..500_000,
        seed in any::<u64>(),
        places in prop::collection::vec(
            (0u64..1_200_000, 0u64..1_200_000, any_element(),
             prop::collection::vec((0usize..3, 0u64..1_200_000, 0u64..1_200_000, any_element()), 0..3)),
            0..6),
        parent in 0usize..4,
        effort in 0usize..3,
        depth in prop::option::of(0u32..3),
    ) {
        let mut lab = Lab::new();
        let w = weights(len, seed);
        let old = [f32s(&w), bf16(&w), table(len, seed)].map(|bytes| lab.put(&bytes, &Outline::default()).0);
        let next = trained(&w, seed);
        let bytes = [&f32s(&next)[..len], &bf16(&next)[..len / 2], &edited(&table(len, seed), 9000, seed)].concat();
        let effort = [Effort::Fast, Effort::Normal, Effort::Best][effort];
        let parts = places.into_iter().map(|(start, len, element, similar)| {
            let similar = similar.into_iter().map(|(blob, start, len, of)| {
                Similar { blob: old[blob], start, len, element: of.unwrap_or(Element::F32) }
            });
            part(start, len, element, similar.collect())
        });
        let parent = old.get(parent).copied();
        let (id, _) = lab.put(&bytes, &Outline { parts: parts.collect(), parent, effort, depth });
        prop_assert_eq!(id, id_of(Kind::Blob, &bytes));
        prop_assert!(lab.store().get(Kind::Blob, &id, u64::MAX).unwrap() == bytes);
    }
}
