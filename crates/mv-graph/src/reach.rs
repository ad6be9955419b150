//! What can be reached from some versions: the one room for push, fetch, gc and fsck.
//!
//! Each object is visited once, however often it is shared; so a hostile graph of trees that share
//! children costs what its objects cost, not what its paths would.

use std::collections::{HashMap, HashSet};

use mv_store::{Hash, Kind};

use crate::component::Component;
use crate::error::{Error, Result};
use crate::ledger;
use crate::manifest::Manifest;
use crate::objects::Objects;
use crate::path::RepoPath;
use crate::refs::Stage;
use crate::tree::{Mode, Tree};

/// Where an object was first met.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The version.
    pub manifest: &'a Hash,
    /// The component; none for the version itself and its environment.
    pub component: Option<Component>,
    /// The path; none for the version, its environment and a component's root.
    pub path: Option<&'a RepoPath>,
}

/// What a walk asks and tells. Every method has a default: visit everything, stop at an error.
pub trait Visitor {
    /// An object is about to be visited; `false` leaves it out with all that only it refers to.
    /// `bytes` is the length that a tree claims for a blob. Chunks and list nodes are blobs without
    /// a claim; one that turns out to be a file as well is entered again, with its length.
    ///
    /// # Errors
    /// Stops the walk.
    fn enter(
        &mut self,
        kind: Kind,
        id: &Hash,
        bytes: Option<u64>,
        place: &Place<'_>,
    ) -> Result<bool> {
        let _ = (kind, id, bytes, place);
        Ok(true)
    }

    /// An object is missing, damaged or not what a referrer says. `Ok` goes on without it.
    ///
    /// # Errors
    /// Stops the walk; by default with the error itself.
    fn problem(&mut self, kind: Kind, id: &Hash, place: &Place<'_>, error: Error) -> Result<()> {
        let _ = (kind, id, place);
        Err(error)
    }
}

/// Visits everything that can be reached from some manifests: their ancestors, trees, blobs,
/// environments, and the chunks and list nodes of blobs. Manifests come first, depth first after.
///
/// Blobs are checked for presence only; their bytes are not read. Memory: about 50 bytes for each
/// object, and the paths of the directories still to visit.
///
/// # Errors
/// What the visitor returns.
pub fn visit(objects: &dyn Objects, roots: &[Hash], visitor: &mut dyn Visitor) -> Result<()> {
    let mut walk = Walk { objects, visitor, trees: HashMap::new(), blobs: HashMap::new() };
    let mut seen: HashSet<Hash> = HashSet::new();
    let mut edge: Vec<Hash> = roots.to_vec();
    // Pushed backwards, so that the first root is visited first.
    edge.reverse();
    while let Some(id) = edge.pop() {
        if !seen.insert(id) {
            continue;
        }
        let place = Place { manifest: &id, component: None, path: None };
        if !walk.visitor.enter(Kind::Manifest, &id, None, &place)? {
            continue;
        }
        match Manifest::read(objects, &id) {
            Ok(manifest) => {
                walk.manifest(&id, &manifest)?;
                edge.extend(manifest.parents.iter().rev());
            }
            Err(error) => walk.visitor.problem(Kind::Manifest, &id, &place, error)?,
        }
    }
    Ok(())
}

/// Counts of files and bytes.
type Totals = (u64, u64);

struct Walk<'a> {
    objects: &'a dyn Objects,
    visitor: &'a mut dyn Visitor,
    /// With the totals that the first referrer claimed, so that a second cannot claim others.
    trees: HashMap<Hash, Totals>,
    /// With the claimed length; none where nothing claims one.
    blobs: HashMap<Hash, Option<u64>>,
}

impl Walk<'_> {
    fn manifest(&mut self, id: &Hash, manifest: &Manifest) -> Result<()> {
        if let Some(environment) = &manifest.environment {
            self.blob(environment, None, &Place { manifest: id, component: None, path: None })?;
        }
        for component in Component::ALL {
            let part = manifest.component(component);
            self.trees(id, component, part.tree, (part.files, part.bytes))?;
        }
        Ok(())
    }

    fn trees(
        &mut self,
        manifest: &Hash,
        component: Component,
        root: Hash,
        totals: Totals,
    ) -> Result<()> {
        let mut edge: Vec<(Hash, Totals, Option<RepoPath>)> = vec![(root, totals, None)];
        while let Some((id, totals, path)) = edge.pop() {
            let place = Place { manifest, component: Some(component), path: path.as_ref() };
            match self.trees.insert(id, totals) {
                Some(before) if before == totals => continue,
                Some(_) => {
                    let error =
                        Error::corrupt("tree", id, "two referrers claim different totals for it");
                    self.visitor.problem(Kind::Tree, &id, &place, error)?;
                    continue;
                }
                None => {}
            }
            if !self.visitor.enter(Kind::Tree, &id, None, &place)? {
                continue;
            }
            let tree = match Tree::read_counted(self.objects, &id, totals.0, totals.1) {
                Ok(tree) => tree,
                Err(error) => {
                    self.visitor.problem(Kind::Tree, &id, &place, error)?;
                    continue;
                }
            };
            self.expect(&tree);
            let first = edge.len();
            for entry in tree.entries {
                let joined = match &path {
                    Some(path) => path.join(&entry.name),
                    None => RepoPath::from_bytes(&entry.name),
                };
                let below = match joined {
                    Ok(below) => below,
                    Err(fault) => {
                        let error = Error::corrupt(
                            "tree",
                            id,
                            format!("the path of an entry is refused: {fault}"),
                        );
                        self.visitor.problem(Kind::Tree, &id, &place, error)?;
                        continue;
                    }
                };
                if entry.mode == Mode::Dir {
                    edge.push((entry.id, (entry.files, entry.bytes), Some(below)));
                } else {
                    let place = Place { path: Some(&below), ..place };
                    self.blob(&entry.id, Some(entry.bytes), &place)?;
                }
            }
            edge[first..].reverse();
        }
        Ok(())
    }

    /// Says what of a directory will be looked at next. What cannot be fetched is told of when it is
    /// looked at.
    fn expect(&self, tree: &Tree) {
        let (dirs, files): (Vec<_>, Vec<_>) =
            tree.entries.iter().partition(|entry| entry.mode == Mode::Dir);
        let trees = dirs.iter().map(|e| e.id).filter(|id| !self.trees.contains_key(id));
        drop(self.objects.expect(Kind::Tree, &trees.collect::<Vec<_>>()));
        let blobs = files.iter().map(|e| e.id).filter(|id| !self.blobs.contains_key(id));
        drop(self.objects.expect(Kind::Blob, &blobs.collect::<Vec<_>>()));
    }

    /// Visits a blob and, first to last, what it is stored as.
    fn blob(&mut self, id: &Hash, bytes: Option<u64>, place: &Place<'_>) -> Result<()> {
        match self.blobs.get(id) {
            Some(before) if bytes.is_none() || *before == bytes => return Ok(()),
            Some(Some(before)) => {
                let detail = format!(
                    "it is said to have {before} bytes and {} bytes",
                    bytes.unwrap_or_default()
                );
                return self.visitor.problem(
                    Kind::Blob,
                    id,
                    place,
                    Error::corrupt("blob", id, detail),
                );
            }
            // Met before where no length was claimed.
            Some(None) | None => {}
        }
        let known = self.blobs.insert(*id, bytes).is_some();
        if !self.visitor.enter(Kind::Blob, id, bytes, place)? || known {
            return Ok(());
        }
        let parts = match self.objects.children(id) {
            Ok(Some(parts)) => parts,
            Ok(None) if self.objects.contains(id) => return Ok(()),
            // It is here, and something that it is coded against is not.
            Ok(None) => {
                let missing = mv_store::Error::Missing { kind: Kind::Blob, id: *id };
                return self.visitor.problem(Kind::Blob, id, place, missing.into());
            }
            Err(error) => return self.visitor.problem(Kind::Blob, id, place, error.into()),
        };
        for part in parts {
            if self.blobs.contains_key(&part) {
                continue;
            }
            self.blobs.insert(part, None);
            if self.visitor.enter(Kind::Blob, &part, None, place)? && !self.objects.contains(&part)
            {
                let missing = mv_store::Error::Missing { kind: Kind::Blob, id: part };
                self.visitor.problem(Kind::Blob, &part, place, missing.into())?;
            }
        }
        Ok(())
    }
}

/// Ids by what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachable {
    /// Versions.
    pub manifests: HashSet<Hash>,
    /// Directories.
    pub trees: HashSet<Hash>,
    /// Files' contents, environments, chunks and list nodes.
    pub blobs: HashSet<Hash>,
}

impl Reachable {
    /// Whether the object is among them.
    #[must_use]
    pub fn contains(&self, id: &Hash) -> bool {
        self.blobs.contains(id) || self.trees.contains(id) || self.manifests.contains(id)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.manifests.len() + self.trees.len() + self.blobs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in no order.
    pub fn ids(&self) -> impl Iterator<Item = &Hash> {
        self.manifests.iter().chain(&self.trees).chain(&self.blobs)
    }
}

/// Everything reachable from some manifests, without what is known: a known object is taken to be
/// complete, so neither it nor what only it refers to is visited.
///
/// # Errors
/// The first missing or damaged object. Blobs must be there and are not read.
pub fn reachable(
    objects: &dyn Objects,
    roots: &[Hash],
    known: &HashSet<Hash>,
) -> Result<Reachable> {
    let mut gather = Gather { known, found: Reachable::default() };
    visit(objects, roots, &mut gather)?;
    Ok(gather.found)
}

struct Gather<'a> {
    known: &'a HashSet<Hash>,
    found: Reachable,
}

impl Visitor for Gather<'_> {
    fn enter(
        &mut self,
        kind: Kind,
        id: &Hash,
        _bytes: Option<u64>,
        _place: &Place<'_>,
    ) -> Result<bool> {
        if self.known.contains(id) {
            return Ok(false);
        }
        match kind {
            Kind::Manifest => self.found.manifests.insert(*id),
            Kind::Tree => self.found.trees.insert(*id),
            Kind::Blob | Kind::List => self.found.blobs.insert(*id),
        };
        Ok(true)
    }
}

/// What the ledgers of stages hold. The entries are needed like any object, and the versions are
/// roots like those that refs name: a stage's past is kept for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledgers {
    /// The ledgers' entries, which are blobs.
    pub entries: HashSet<Hash>,
    /// Every version that ever played a role.
    pub versions: HashSet<Hash>,
}

impl Ledgers {
    /// The ledgers of some stages.
    ///
    /// # Errors
    /// As [`Ledgers::add`].
    pub fn of(objects: &dyn Objects, stages: &[Stage]) -> Result<Ledgers> {
        let mut ledgers = Ledgers::default();
        stages.iter().try_for_each(|stage| ledgers.add(objects, stage))?;
        Ok(ledgers)
    }

    /// Adds the ledger of one stage, back to the first entry that is known. Costs an object an entry.
    ///
    /// # Errors
    /// The first entry that is missing, damaged or not what the next one says; what was read before
    /// it is added.
    pub fn add(&mut self, objects: &dyn Objects, stage: &Stage) -> Result<()> {
        self.versions.extend(stage.target);
        for entry in ledger::walk(objects, stage) {
            let (id, entry) = entry?;
            if !self.entries.insert(id) {
                break;
            }
            self.versions.extend(entry.from.into_iter().chain(entry.to));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::ComponentRef;
    use crate::testing::{Memory, manifest, name};
    use crate::tree::TreeEntry;

    fn entry(name: &str, mode: Mode, id: Hash, files: u64, bytes: u64) -> TreeEntry {
        TreeEntry { name: name.as_bytes().to_vec(), mode, id, bytes, files }
    }

    struct Sample {
        memory: Memory,
        first: Hash,
        second: Hash,
        ids: HashMap<&'static str, Hash>,
    }

    /// Two versions: `a` of two chunks below a list node, `d/b`; the second adds `c`.
    fn sample() -> Sample {
        let mut m = Memory::default();
        let mut ids = HashMap::new();
        for name in ["a", "b", "c", "chunk 1", "chunk 2", "environment"] {
            ids.insert(name, m.put(Kind::Blob, name.as_bytes()));
        }
        ids.insert("list", m.put(Kind::List, b"list"));
        m.lists.insert(ids["a"], vec![ids["chunk 1"], ids["chunk 2"], ids["list"]]);
        let empty = m.empty_component();
        ids.insert("empty", empty.tree);
        let d = m.put_tree(&Tree { entries: vec![entry("b", Mode::Exec, ids["b"], 1, 1)] });
        let mut entries =
            vec![entry("a", Mode::File, ids["a"], 1, 9), entry("d", Mode::Dir, d, 1, 1)];
        let root = m.put_tree(&Tree { entries: entries.clone() });
        let code = ComponentRef { tree: root, files: 2, bytes: 10 };
        let mut version = manifest("1", 1, &[], [code, empty, empty, empty]);
        version.environment = Some(ids["environment"]);
        let first = m.put_manifest(&version);
        entries.insert(1, entry("c", Mode::File, ids["c"], 1, 1));
        let root = m.put_tree(&Tree { entries });
        let code = ComponentRef { tree: root, files: 3, bytes: 11 };
        let second = m.put_manifest(&manifest("2", 2, &[first], [code, empty, empty, empty]));
        Sample { memory: m, first, second, ids }
    }

    #[test]
    fn everything_that_was_put_is_reached_once() {
        let s = sample();
        let found = reachable(&s.memory, &[s.second], &HashSet::new()).unwrap();
        assert_eq!(
            found.ids().copied().collect::<HashSet<_>>(),
            s.memory.objects.keys().copied().collect()
        );
        assert_eq!((found.manifests.len(), found.trees.len(), found.blobs.len()), (2, 4, 7));
        assert!(
            found.contains(&s.ids["chunk 2"]) && !found.contains(&Hash::ZERO) && found.len() == 13
        );
    }

    #[test]
    fn what_is_known_is_not_visited_nor_what_lies_behind_it() {
        let s = sample();
        let old = reachable(&s.memory, &[s.first], &HashSet::new()).unwrap();
        let known: HashSet<Hash> = old.ids().copied().collect();
        let new = reachable(&s.memory, &[s.second], &known).unwrap();
        assert_eq!((new.manifests.len(), new.trees.len(), new.blobs.len()), (1, 1, 1));
        assert!(
            reachable(&s.memory, &[s.second, s.second], &HashSet::from([s.second]))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn a_missing_object_of_any_kind_stops_the_plain_walk() {
        for id in sample().memory.objects.keys() {
            let mut s = sample();
            s.memory.objects.remove(id);
            assert!(
                reachable(&s.memory, &[s.second], &HashSet::new()).unwrap_err().is_corruption()
            );
        }
    }

    #[derive(Default)]
    struct Fsck(Vec<(Kind, Hash, Option<String>)>);

    impl Visitor for Fsck {
        fn problem(
            &mut self,
            kind: Kind,
            id: &Hash,
            place: &Place<'_>,
            _error: Error,
        ) -> Result<()> {
            self.0.push((kind, *id, place.path.map(ToString::to_string)));
            Ok(())
        }
    }

    #[test]
    fn a_visitor_that_goes_on_hears_of_every_problem_and_its_path() {
        let mut s = sample();
        for name in ["b", "chunk 2", "environment"] {
            s.memory.objects.remove(&s.ids[name]);
        }
        s.memory.objects.insert(s.ids["empty"], (Kind::Tree, b"damage".to_vec()));
        let mut fsck = Fsck::default();
        visit(&s.memory, &[s.second], &mut fsck).unwrap();
        let mut expected = vec![
            (Kind::Blob, s.ids["b"], Some("d/b".to_owned())),
            (Kind::Blob, s.ids["chunk 2"], Some("a".to_owned())),
            (Kind::Blob, s.ids["environment"], None),
            (Kind::Tree, s.ids["empty"], None),
        ];
        expected.sort();
        fsck.0.sort();
        assert_eq!(fsck.0, expected);
    }

    #[test]
    fn two_lengths_for_one_blob_and_two_totals_for_one_tree_are_problems() {
        let mut m = Memory::default();
        let blob = m.put(Kind::Blob, b"x");
        let d = m.put_tree(&Tree {
            entries: vec![entry("x", Mode::File, blob, 1, 1), entry("y", Mode::File, blob, 1, 2)],
        });
        let root = m.put_tree(&Tree {
            entries: vec![entry("d", Mode::Dir, d, 2, 3), entry("e", Mode::Dir, d, 2, 4)],
        });
        let empty = m.empty_component();
        let code = ComponentRef { tree: root, files: 4, bytes: 7 };
        let version = m.put_manifest(&manifest("1", 1, &[], [code, empty, empty, empty]));
        let mut fsck = Fsck::default();
        visit(&m, &[version], &mut fsck).unwrap();
        assert_eq!(
            fsck.0,
            [(Kind::Blob, blob, Some("d/y".into())), (Kind::Tree, d, Some("e".into()))]
        );
    }

    #[test]
    fn ledgers_name_their_entries_and_every_version_that_ever_held_the_role() {
        use crate::ledger::{LedgerEntry, MoveKind};
        let mut m = Memory::default();
        let (a, b) = (Hash([1; 32]), Hash([2; 32]));
        let mut stage = Stage { name: name("prod"), target: None, ledger: Hash::ZERO };
        let mut entries = HashSet::new();
        let mut older = Vec::new();
        for (sequence, to, kind) in
            [(1, Some(a), MoveKind::Set), (2, Some(b), MoveKind::Set), (3, None, MoveKind::Unset)]
        {
            let entry = LedgerEntry {
                stage: stage.name.clone(),
                sequence,
                previous: (sequence > 1).then_some(stage.ledger),
                from: stage.target,
                to,
                kind,
                by: crate::testing::person(),
                at: crate::Time::default(),
                reason: String::new(),
            };
            stage.ledger = m.put(Kind::Blob, &entry.encode().unwrap());
            stage.target = to;
            entries.insert(stage.ledger);
            older.push(stage.clone());
        }
        let expected = Ledgers { entries, versions: HashSet::from([a, b]) };
        assert_eq!(Ledgers::of(&m, &[stage.clone()]).unwrap(), expected);
        // Older records name older ends of the same ledger: each is one look.
        older.push(stage.clone());
        assert_eq!(Ledgers::of(&m, &older).unwrap(), expected);
        m.objects.remove(&older[0].ledger);
        let mut found = Ledgers::default();
        assert!(found.add(&m, &stage).unwrap_err().is_corruption());
        assert_eq!(found.versions, expected.versions, "what could be read is there");
    }

    #[test]
    fn an_object_used_as_another_kind_is_a_problem() {
        let mut m = Memory::default();
        let empty = m.empty_component();
        let posing = m.put(Kind::Blob, &Tree::default().encode().unwrap());
        let code = ComponentRef { tree: posing, files: 0, bytes: 0 };
        let version = m.put_manifest(&manifest("1", 1, &[], [code, empty, empty, empty]));
        assert!(reachable(&m, &[version], &HashSet::new()).unwrap_err().is_corruption());
    }

    #[test]
    fn a_graph_of_sixty_doublings_is_walked_by_its_objects() {
        let mut m = Memory::default();
        let blob = m.put(Kind::Blob, b"");
        let mut tree = m.put_tree(&Tree { entries: vec![entry("x", Mode::File, blob, 1, 0)] });
        for level in 0..60 {
            let files = 1 << level;
            let dir = |name| entry(name, Mode::Dir, tree, files, 0);
            tree = m.put_tree(&Tree { entries: vec![dir("a"), dir("b")] });
        }
        let empty = m.empty_component();
        let code = ComponentRef { tree, files: 1 << 60, bytes: 0 };
        let version = m.put_manifest(&manifest("bomb", 1, &[], [code, empty, empty, empty]));
        assert_eq!(reachable(&m, &[version], &HashSet::new()).unwrap().trees.len(), 62);
    }
}
