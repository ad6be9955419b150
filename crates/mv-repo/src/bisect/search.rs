//! [`Search`]: which version to test next. Pure: it is handed a graph and verdicts.
//!
//! What is assumed: once bad, every version that follows is bad. The first bad version is then an
//! ancestor of every bad one and of no good one. Each step tests the version that divides those that
//! are left best; with two parents at most, a verdict removes about a third at least.

use std::collections::{HashMap, HashSet};

use mv_store::Hash;

/// What a test said of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It works; so do its ancestors.
    Good,
    /// It does not; nor does what follows it.
    Bad,
    /// It could not be tested.
    Skip,
}

/// How far a search has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There are versions left to test.
    Open,
    /// This is the first bad version.
    Found(Hash),
    /// One of these is; the others could not be tested. Oldest first.
    Among(Vec<Hash>),
}

/// A version and the places of its parents.
type Node = (Hash, Vec<usize>);

/// A search for the first bad version.
#[derive(Clone, Debug)]
pub struct Search {
    /// Parents before children.
    nodes: Vec<Node>,
    places: HashMap<Hash, usize>,
    /// Whether a version may still be the first bad one.
    suspect: Vec<bool>,
    skipped: HashSet<usize>,
    /// The youngest version that is known to be bad; always a suspect.
    bad: usize,
}

impl Search {
    /// A search among `bad`, which is bad, and its ancestors. The graph holds each of them once with
    /// its parents; parents that it does not hold are left out.
    #[must_use]
    pub fn new(graph: &[(Hash, Vec<Hash>)], bad: Hash) -> Search {
        let parents: HashMap<Hash, &[Hash]> =
            graph.iter().map(|(id, parents)| (*id, parents.as_slice())).collect();
        let (nodes, places) = parents_first(&parents, bad);
        let suspect = vec![true; nodes.len()];
        let bad = nodes.len() - 1;
        Search { nodes, places, suspect, skipped: HashSet::new(), bad }
    }

    /// The version to test; none when there is no more to learn.
    #[must_use]
    pub fn next(&self) -> Option<Hash> {
        let total = self.left();
        let counts = self.counts();
        let untested =
            |at: &usize| self.suspect[*at] && *at != self.bad && !self.skipped.contains(at);
        let best = (0..self.nodes.len())
            .filter(untested)
            // Of equals the oldest, so that a run can be repeated.
            .max_by_key(|at| (counts[*at].min(total - counts[*at]), std::cmp::Reverse(*at)))?;
        Some(self.nodes[best].0)
    }

    /// Takes a verdict into account. One on a version that is no suspect, or that would leave none,
    /// changes nothing.
    pub fn mark(&mut self, id: &Hash, verdict: Verdict) {
        let Some(&at) = self.places.get(id) else { return };
        match verdict {
            Verdict::Skip => drop(self.skipped.insert(at)),
            Verdict::Good => {
                let before = self.reached(at);
                if !before[self.bad] {
                    self.keep(|place| !before[place]);
                }
            }
            Verdict::Bad if self.suspect[at] => {
                let before = self.reached(at);
                self.keep(|place| before[place]);
                self.bad = at;
            }
            Verdict::Bad => {}
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.left() == 1 {
            return Outcome::Found(self.nodes[self.bad].0);
        }
        if self.next().is_some() {
            return Outcome::Open;
        }
        let left = (0..self.nodes.len()).filter(|at| self.suspect[*at]);
        Outcome::Among(left.map(|at| self.nodes[at].0).collect())
    }

    /// Versions that may be the first bad one.
    #[must_use]
    pub fn left(&self) -> usize {
        self.suspect.iter().filter(|suspect| **suspect).count()
    }

    /// About how many tests are needed from here on, the next one included.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.left().max(1).next_power_of_two().ilog2()
    }

    /// How many suspects each suspect reaches, itself included. Where history is a line this is a
    /// sum; behind a merge it is a walk.
    fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.nodes.len()];
        for (at, (_, parents)) in self.nodes.iter().enumerate() {
            if !self.suspect[at] {
                continue;
            }
            let mut suspects = parents.iter().filter(|parent| self.suspect[**parent]);
            counts[at] = match (suspects.next(), suspects.next()) {
                (None, _) => 1,
                (Some(only), None) => counts[*only] + 1,
                _ => {
                    let reached = self.reached(at);
                    reached.iter().zip(&self.suspect).filter(|(r, s)| **r && **s).count()
                }
            };
        }
        counts
    }

    /// The version at a place and its ancestors, down to the oldest suspect.
    fn reached(&self, at: usize) -> Vec<bool> {
        let mut reached = vec![false; self.nodes.len()];
        reached[at] = true;
        let oldest = self.suspect.iter().position(|suspect| *suspect).unwrap_or_default();
        // Parents come first: going down the list, whoever reaches a place was seen before it.
        for place in (oldest..=at).rev() {
            if reached[place] {
                self.nodes[place].1.iter().for_each(|parent| reached[*parent] = true);
            }
        }
        reached
    }

    fn keep(&mut self, stays: impl Fn(usize) -> bool) {
        for (place, suspect) in self.suspect.iter_mut().enumerate() {
            *suspect = *suspect && stays(place);
        }
    }
}

/// The tip and its ancestors, parents before children, the tip last.
fn parents_first(parents: &HashMap<Hash, &[Hash]>, tip: Hash) -> (Vec<Node>, HashMap<Hash, usize>) {
    let mut nodes: Vec<Node> = Vec::with_capacity(parents.len());
    let mut places: HashMap<Hash, usize> = HashMap::new();
    let mut entered = HashSet::from([tip]);
    // Each version with the number of its parents that were looked at.
    let mut path = vec![(tip, 0)];
    while let Some((id, looked)) = path.last_mut() {
        let above = parents.get(id).copied().unwrap_or_default();
        match above.get(*looked) {
            Some(parent) => {
                *looked += 1;
                if parents.contains_key(parent) && entered.insert(*parent) {
                    path.push((*parent, 0));
                }
            }
            None => {
                let id = *id;
                path.pop();
                let above = above.iter().filter_map(|parent| places.get(parent).copied()).collect();
                places.insert(id, nodes.len());
                nodes.push((id, above));
            }
        }
    }
    (nodes, places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(n: usize) -> Hash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(n as u64).to_be_bytes());
        Hash(bytes)
    }

    fn place(id: &Hash) -> usize {
        u64::from_be_bytes(id.0[..8].try_into().unwrap()) as usize
    }

    /// Version n follows the given earlier ones.
    fn graph(parents: &[Vec<usize>]) -> Vec<(Hash, Vec<Hash>)> {
        let entry =
            |(n, parents): (usize, &Vec<usize>)| (id(n), parents.iter().map(|p| id(*p)).collect());
        parents.iter().enumerate().map(entry).collect()
    }

    fn line(n: usize) -> Vec<Vec<usize>> {
        (0..n).map(|n| n.checked_sub(1).into_iter().collect()).collect()
    }

    /// The ancestors of each version, itself included.
    fn ancestry(parents: &[Vec<usize>]) -> Vec<HashSet<usize>> {
        let mut all: Vec<HashSet<usize>> = Vec::new();
        for (n, parents) in parents.iter().enumerate() {
            let mut own = HashSet::from([n]);
            parents.iter().for_each(|p| own.extend(&all[*p]));
            all.push(own);
        }
        all
    }

    /// Tests until there is an answer; returns it and how many tests it took.
    fn run(search: &mut Search, verdict: impl Fn(usize) -> Verdict) -> (Outcome, u32) {
        let mut tests = 0;
        while let Some(next) = search.next() {
            search.mark(&next, verdict(place(&next)));
            tests += 1;
            assert!(tests <= 10_000, "it does not come to an end");
        }
        (search.outcome(), tests)
    }

    #[test]
    fn a_line_is_halved() {
        for n in [1, 2, 3, 8, 9, 100, 1000] {
            for first_bad in [0, n / 3, n / 2, n - 1] {
                let mut search = Search::new(&graph(&line(n)), id(n - 1));
                let most = search.steps();
                let bad = |at| if at >= first_bad { Verdict::Bad } else { Verdict::Good };
                let (outcome, tests) = run(&mut search, bad);
                assert_eq!(outcome, Outcome::Found(id(first_bad)), "{first_bad} of {n}");
                assert!(tests <= most, "{tests} tests for {n}, announced {most}");
            }
        }
    }

    #[test]
    fn a_good_end_takes_itself_and_its_ancestors_out() {
        let mut search = Search::new(&graph(&line(10)), id(9));
        search.mark(&id(6), Verdict::Good);
        assert_eq!(search.left(), 3);
        search.mark(&id(8), Verdict::Good);
        assert_eq!(search.outcome(), Outcome::Found(id(9)));
        // Nothing can take out the last suspect.
        search.mark(&id(9), Verdict::Good);
        assert_eq!(search.outcome(), Outcome::Found(id(9)));
    }

    #[test]
    fn what_could_not_be_tested_stays_under_suspicion() {
        let mut search = Search::new(&graph(&line(6)), id(5));
        let verdict = |at| match at {
            0 | 1 => Verdict::Good,
            2 | 3 => Verdict::Skip,
            _ => Verdict::Bad,
        };
        let (outcome, _) = run(&mut search, verdict);
        assert_eq!(outcome, Outcome::Among(vec![id(2), id(3), id(4)]));
    }

    /// A history with one tip: every version has up to two earlier parents, the last one all that
    /// would be left over.
    fn histories() -> impl Strategy<Value = Vec<Vec<usize>>> {
        let parents = prop::collection::vec(any::<prop::sample::Index>(), 1..3);
        prop::collection::vec(parents, 1..60).prop_map(|picks| {
            let mut shape: Vec<Vec<usize>> = vec![vec![]];
            for picks in picks {
                let n = shape.len();
                // Mostly near the tip, as histories are.
                let mut own: Vec<usize> = picks.iter().map(|p| n - 1 - p.index(n.min(4))).collect();
                own.sort_unstable();
                own.dedup();
                shape.push(own);
            }
            shape
        })
    }

    proptest! {
        #[test]
        fn the_first_bad_version_of_any_history_is_found_in_few_steps(shape in histories(), pick: prop::sample::Index) {
            let above = ancestry(&shape);
            let tip = shape.len() - 1;
            let candidates: Vec<usize> = above[tip].iter().copied().collect();
            let first_bad = candidates[pick.index(candidates.len())];
            let mut search = Search::new(&graph(&shape), id(tip));
            prop_assert_eq!(search.left(), candidates.len());
            let bad = |at: usize| if above[at].contains(&first_bad) { Verdict::Bad } else { Verdict::Good };
            let (outcome, tests) = run(&mut search, bad);
            prop_assert_eq!(outcome, Outcome::Found(id(first_bad)));
            let most = (candidates.len() as f64).log(1.5).ceil() as u32 + 1;
            prop_assert!(tests <= most, "{} tests for {}", tests, candidates.len());
        }

        #[test]
        fn with_versions_skipped_the_first_bad_one_is_still_among_those_named(shape in histories(), pick: prop::sample::Index, skips: u64) {
            let above = ancestry(&shape);
            let tip = shape.len() - 1;
            let candidates: Vec<usize> = above[tip].iter().copied().collect();
            let first_bad = candidates[pick.index(candidates.len())];
            let mut search = Search::new(&graph(&shape), id(tip));
            let skipped = |at: usize| skips >> (at % 64) & 1 == 1;
            let verdict = |at: usize| match at {
                at if skipped(at) => Verdict::Skip,
                at if above[at].contains(&first_bad) => Verdict::Bad,
                _ => Verdict::Good,
            };
            match run(&mut search, verdict).0 {
                Outcome::Found(found) => prop_assert_eq!(found, id(first_bad)),
                Outcome::Among(left) => {
                    prop_assert!(left.contains(&id(first_bad)));
                    // All but the youngest bad one were skipped.
                    prop_assert!(left.iter().filter(|l| !skipped(place(l))).count() <= 1);
                }
                Outcome::Open => prop_assert!(false, "it is not open any more"),
            }
        }
    }

    #[test]
    #[ignore = "a measurement: run it in release"]
    fn measure_ten_thousand_versions_with_a_merge_every_third() {
        let shape: Vec<Vec<usize>> = (0..10_000usize)
            .map(|n| match n {
                0 => vec![],
                n if n % 3 == 0 => vec![n - 2, n - 1],
                n => vec![n - 1],
            })
            .collect();
        let start = std::time::Instant::now();
        let mut search = Search::new(&graph(&shape), id(9_999));
        let (outcome, tests) =
            run(&mut search, |at| if at >= 6_000 { Verdict::Bad } else { Verdict::Good });
        assert_eq!(outcome, Outcome::Found(id(6_000)));
        println!("{tests} tests: {:?}", start.elapsed());
    }
}
