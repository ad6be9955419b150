//! Walks over history: who came before whom.
//!
//! Times are only an order of convenience (a clock may have been wrong): no answer below depends
//! on a child being younger than its parents, except the order in which [`Ancestors`] come.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap, HashSet};

use mv_store::Hash;

use crate::error::Result;
use crate::manifest::Manifest;
use crate::objects::Objects;

/// Versions reachable from some tips, newest first, each once.
///
/// Of equal times the greater id comes first. Memory: the versions at the edge of the walk, and 32
/// bytes for each that was seen. After an error the walk goes on without the version that failed.
pub struct Ancestors<'a> {
    objects: &'a dyn Objects,
    edge: BinaryHeap<Version>,
    seen: HashSet<Hash>,
    failed: Vec<crate::Error>,
}

/// A version in the order of the walk.
struct Version {
    ns: i64,
    id: Hash,
    manifest: Box<Manifest>,
}

impl<'a> Ancestors<'a> {
    /// The tips and all before them.
    #[must_use]
    pub fn new(objects: &'a dyn Objects, tips: &[Hash]) -> Ancestors<'a> {
        let mut walk = Ancestors {
            objects,
            edge: BinaryHeap::new(),
            seen: HashSet::new(),
            failed: Vec::new(),
        };
        tips.iter().for_each(|tip| walk.push(*tip));
        walk
    }

    /// Leaves out a version and all before it that is not reached another way.
    #[must_use]
    pub fn without(mut self, ids: &[Hash]) -> Ancestors<'a> {
        self.edge.retain(|version| !ids.contains(&version.id));
        self.seen.extend(ids);
        self
    }

    fn push(&mut self, id: Hash) {
        if !self.seen.insert(id) {
            return;
        }
        match Manifest::read(self.objects, &id) {
            Ok(manifest) => self.edge.push(Version {
                ns: manifest.created.ns,
                id,
                manifest: Box::new(manifest),
            }),
            Err(error) => self.failed.push(error),
        }
    }
}

impl Iterator for Ancestors<'_> {
    type Item = Result<(Hash, Manifest)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.pop() {
            return Some(Err(error));
        }
        let Version { id, manifest, .. } = self.edge.pop()?;
        manifest.parents.iter().for_each(|parent| self.push(*parent));
        Some(Ok((id, *manifest)))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        (self.ns, self.id).cmp(&(other.ns, other.id))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Version) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// Whether `older` is `newer` or one of its ancestors.
///
/// # Errors
/// Those of [`Manifest::read`], for a version that had to be read.
pub fn is_ancestor(objects: &dyn Objects, older: &Hash, newer: &Hash) -> Result<bool> {
    reaches(&mut History::new(objects), older, newer)
}

fn reaches(history: &mut History<'_>, older: &Hash, newer: &Hash) -> Result<bool> {
    let mut edge = vec![*newer];
    let mut seen = HashSet::from([*newer]);
    while let Some(id) = edge.pop() {
        if id == *older {
            return Ok(true);
        }
        edge.extend(history.past(id)?.parents.iter().filter(|parent| seen.insert(**parent)));
    }
    Ok(false)
}

/// The best common ancestors: common to both, and no ancestor of another such. Newest first; empty
/// when the two share no history, more than one after criss-cross merges.
///
/// # Errors
/// Those of [`Manifest::read`].
pub fn merge_bases(objects: &dyn Objects, left: &Hash, right: &Hash) -> Result<Vec<Hash>> {
    let mut history = History::new(objects);
    let common = Painter::run(&mut history, left, right)?;
    // Where clocks were wrong a version may be found before the one it precedes.
    let mut best = Vec::new();
    for id in &common {
        let mut redundant = false;
        for other in common.iter().filter(|other| *other != id) {
            redundant = redundant || reaches(&mut history, id, other)?;
        }
        if !redundant {
            best.push((history.past(*id)?.ns, *id));
        }
    }
    best.sort_unstable_by(|a, b| b.cmp(a));
    Ok(best.into_iter().map(|(_, id)| id).collect())
}

const LEFT: u8 = 1;
const RIGHT: u8 = 2;
/// An ancestor of a common ancestor: common as well, but not the best.
const STALE: u8 = 4;
const QUEUED: u8 = 8;

/// Walks both histories newest first and paints each version with the sides that reach it, until
/// all that is left to visit is stale.
#[derive(Default)]
struct Painter {
    paint: HashMap<Hash, u8>,
    edge: BinaryHeap<(i64, Hash)>,
    /// How many of the edge are not stale.
    fresh: usize,
}

impl Painter {
    /// The common ancestors that were not found to be stale.
    fn run(history: &mut History<'_>, left: &Hash, right: &Hash) -> Result<HashSet<Hash>> {
        let mut painter = Painter::default();
        painter.add(history, *left, LEFT)?;
        painter.add(history, *right, RIGHT)?;
        let mut common = HashSet::new();
        while painter.fresh > 0 {
            let Some((_, id)) = painter.edge.pop() else { break };
            let here = painter.paint.entry(id).or_default();
            *here &= !QUEUED;
            let mut colour = *here;
            if colour & STALE == 0 {
                painter.fresh -= 1;
                if colour == LEFT | RIGHT {
                    common.insert(id);
                    colour |= STALE;
                }
            }
            for parent in history.past(id)?.parents.clone() {
                painter.add(history, parent, colour)?;
            }
        }
        common.retain(|id| painter.paint.get(id).is_none_or(|colour| colour & STALE == 0));
        Ok(common)
    }

    /// Adds a colour; a version that gained one is visited (again).
    fn add(&mut self, history: &mut History<'_>, id: Hash, colour: u8) -> Result<()> {
        let here = self.paint.entry(id).or_default();
        let (old, new) = (*here, *here | colour);
        if new == old {
            return Ok(());
        }
        *here = new | QUEUED;
        let counted = old & QUEUED != 0 && old & STALE == 0;
        let counts = new & STALE == 0;
        self.fresh = self.fresh + usize::from(counts) - usize::from(counted);
        if old & QUEUED == 0 {
            self.edge.push((history.past(id)?.ns, id));
        }
        Ok(())
    }
}

/// What was read of history, kept for one question.
struct History<'a> {
    objects: &'a dyn Objects,
    known: HashMap<Hash, Past>,
}

struct Past {
    ns: i64,
    parents: Vec<Hash>,
}

impl<'a> History<'a> {
    fn new(objects: &'a dyn Objects) -> History<'a> {
        History { objects, known: HashMap::new() }
    }

    fn past(&mut self, id: Hash) -> Result<&Past> {
        match self.known.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let manifest = Manifest::read(self.objects, &id)?;
                Ok(place.insert(Past { ns: manifest.created.ns, parents: manifest.parents }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Memory;

    fn subjects(memory: &Memory, tips: &[Hash]) -> Vec<String> {
        Ancestors::new(memory, tips).map(|v| v.unwrap().1.message).collect()
    }

    #[test]
    fn versions_come_newest_first_and_once() {
        let mut m = Memory::default();
        let a = m.commit("a", 1, &[]);
        let b = m.commit("b", 3, &[a]);
        let c = m.commit("c", 2, &[a]);
        let d = m.commit("d", 4, &[b, c]);
        assert_eq!(subjects(&m, &[d, c]), ["d", "b", "c", "a"]);
        assert_eq!(subjects(&m, &[]), [""; 0]);
        let without: Vec<_> =
            Ancestors::new(&m, &[d]).without(&[b]).map(|v| v.unwrap().1.message).collect();
        assert_eq!(without, ["d", "c", "a"]);
    }

    #[test]
    fn a_missing_version_is_reported_and_the_rest_still_comes() {
        let mut m = Memory::default();
        let a = m.commit("a", 1, &[]);
        let b = m.commit("b", 2, &[a]);
        let c = m.commit("c", 3, &[b, Hash([9; 32])]);
        m.objects.remove(&a);
        let outcomes: Vec<_> =
            Ancestors::new(&m, &[c]).map(|v| v.map(|v| v.1.message).ok()).collect();
        assert_eq!(outcomes, [Some("c".into()), None, Some("b".into()), None]);
    }

    #[test]
    fn a_version_is_its_own_ancestor_and_time_does_not_matter() {
        let mut m = Memory::default();
        let a = m.commit("a", 9, &[]);
        let b = m.commit("b", 5, &[a]);
        let c = m.commit("c", 7, &[a]);
        assert!(is_ancestor(&m, &a, &b).unwrap() && is_ancestor(&m, &a, &a).unwrap());
        assert!(!is_ancestor(&m, &b, &a).unwrap() && !is_ancestor(&m, &b, &c).unwrap());
    }

    #[test]
    fn merge_bases_of_the_usual_shapes() {
        let mut m = Memory::default();
        let root = m.commit("root", 1, &[]);
        let a = m.commit("a", 2, &[root]);
        let b = m.commit("b", 3, &[root]);
        assert_eq!(merge_bases(&m, &a, &b).unwrap(), [root]);
        assert_eq!(merge_bases(&m, &a, &root).unwrap(), [root]);
        assert_eq!(merge_bases(&m, &a, &a).unwrap(), [a]);
        let ab = m.commit("ab", 4, &[a, b]);
        let ba = m.commit("ba", 5, &[b, a]);
        assert_eq!(merge_bases(&m, &ab, &ba).unwrap(), [b, a], "criss-cross");
        let stranger = m.commit("stranger", 1, &[]);
        assert!(merge_bases(&m, &a, &stranger).unwrap().is_empty());
    }

    /// A history whose clocks are wrong at random: node i has some parents below i.
    fn histories() -> impl Strategy<Value = Vec<(i64, Vec<prop::sample::Index>)>> {
        prop::collection::vec(
            (0i64..6, prop::collection::vec(any::<prop::sample::Index>(), 0..3)),
            2..14,
        )
    }

    proptest! {
        #[test]
        fn merge_bases_and_ancestry_agree_with_the_definition(shape in histories(), pick: (prop::sample::Index, prop::sample::Index)) {
            let mut m = Memory::default();
            let mut ids: Vec<Hash> = Vec::new();
            let mut above: Vec<HashSet<Hash>> = Vec::new();
            for (n, (second, parents)) in shape.iter().enumerate() {
                let mut places: Vec<usize> = if n == 0 { vec![] } else { parents.iter().map(|p| p.index(n)).collect() };
                places.sort_unstable();
                places.dedup();
                let parents: Vec<Hash> = places.iter().map(|p| ids[*p]).collect();
                let id = m.commit(&format!("{n}"), *second, &parents);
                let mut all = HashSet::from([id]);
                places.iter().for_each(|p| all.extend(&above[*p]));
                ids.push(id);
                above.push(all);
            }
            let (left, right) = (pick.0.index(ids.len()), pick.1.index(ids.len()));
            let common: HashSet<Hash> = above[left].intersection(&above[right]).copied().collect();
            let place = |id: &Hash| ids.iter().position(|i| i == id).unwrap();
            let best: HashSet<Hash> = common.iter().copied()
                .filter(|id| !common.iter().any(|other| other != id && above[place(other)].contains(id)))
                .collect();
            let found = merge_bases(&m, &ids[left], &ids[right]).unwrap();
            prop_assert_eq!(found.len(), best.len());
            prop_assert_eq!(found.into_iter().collect::<HashSet<_>>(), best);
            prop_assert_eq!(is_ancestor(&m, &ids[left], &ids[right]).unwrap(), above[right].contains(&ids[left]));
            let walked: HashSet<Hash> = Ancestors::new(&m, &[ids[left]]).map(|v| v.unwrap().0).collect();
            prop_assert_eq!(&walked, &above[left]);
        }
    }

    #[test]
    #[ignore = "a measurement: run it in release"]
    fn measure_ten_thousand_versions() {
        let mut m = Memory::default();
        let mut tip = m.commit("0", 0, &[]);
        for n in 1..10_000 {
            tip = m.commit(&n.to_string(), n, &[tip]);
        }
        let start = std::time::Instant::now();
        assert_eq!(Ancestors::new(&m, &[tip]).count(), 10_000);
        println!("10,000 versions: {:?}", start.elapsed());
    }
}
