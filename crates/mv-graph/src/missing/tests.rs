use std::cell::RefCell;

use mv_store::{HashPrefix, Progress, Unit};

use super::*;
use crate::component::ComponentRef;
use crate::testing::{Memory, manifest};
use crate::tree::TreeEntry;

fn entry(name: &str, mode: Mode, id: Hash, files: u64, bytes: u64) -> TreeEntry {
    TreeEntry { name: name.as_bytes().to_vec(), mode, id, bytes, files }
}

struct Sample {
    memory: Memory,
    first: Hash,
    second: Hash,
    weights: Hash,
    chunk: Hash,
    rules: Hash,
}

/// Two versions: `code/.mvignore`, `code/d/train`, and a model of one chunk that the second changes.
fn sample() -> Sample {
    let mut m = Memory::default();
    let empty = m.empty_component();
    let rules = m.put(Kind::Blob, b"rules");
    let train = m.put(Kind::Blob, b"train");
    let d = m.put_tree(&Tree { entries: vec![entry("train", Mode::File, train, 1, 5)] });
    let entries = vec![entry(".mvignore", Mode::File, rules, 1, 5), entry("d", Mode::Dir, d, 1, 5)];
    let code = ComponentRef { tree: m.put_tree(&Tree { entries }), files: 2, bytes: 10 };
    let model = |m: &mut Memory, name: &str| {
        let weights = m.put(Kind::Blob, name.as_bytes());
        let chunk = m.put(Kind::Blob, format!("chunk of {name}").as_bytes());
        m.lists.insert(weights, vec![chunk]);
        let entries = vec![entry("w", Mode::File, weights, 1, 9)];
        let tree = m.put_tree(&Tree { entries });
        (ComponentRef { tree, files: 1, bytes: 9 }, weights, chunk)
    };
    let (old, ..) = model(&mut m, "weights 1");
    let (new, weights, chunk) = model(&mut m, "weights 2");
    let first = m.put_manifest(&manifest("1", 1, &[], [code, empty, old, empty]));
    let second = m.put_manifest(&manifest("2", 2, &[first], [code, empty, new, empty]));
    Sample { memory: m, first, second, weights, chunk, rules }
}

fn find(s: &Sample, has: &dyn Fn(&Hash) -> bool, change: impl Fn(&mut Wanted<'_>)) -> Missing {
    let complete = HashSet::new();
    let roots = [s.second];
    let mut wanted = Wanted {
        roots: &roots,
        complete: &complete,
        has,
        holds: has,
        scope: &Whole,
        depth: None,
        partial: false,
    };
    change(&mut wanted);
    missing(&s.memory, &wanted, &Progress::new().task("test", Unit::Items)).unwrap()
}

#[test]
fn everything_is_missing_where_nothing_is() {
    let s = sample();
    let found = find(&s, &|_| false, |_| {});
    assert_eq!(found.objects, s.memory.objects.keys().copied().collect());
    assert_eq!(found.versions, [s.second, s.first]);
}

#[test]
fn what_is_there_does_not_travel_but_what_it_refers_to_is_looked_at() {
    let s = sample();
    let (complete, roots) = (HashSet::new(), [s.second]);
    let mut wanted = Wanted {
        roots: &roots,
        complete: &complete,
        has: &|id| *id != s.chunk,
        holds: &|id| ![s.chunk, s.weights].contains(id),
        scope: &Whole,
        depth: None,
        partial: false,
    };
    let task = Progress::new().task("test", Unit::Items);
    let found = missing(&s.memory, &wanted, &task).unwrap();
    let both = HashSet::from([s.weights, s.chunk]);
    assert_eq!(found.objects, both, "a file was there and a chunk of it not");
    // The list there is another one, of which everything is there.
    wanted.holds = wanted.has;
    assert!(missing(&s.memory, &wanted, &task).unwrap().objects.is_empty());
}

#[test]
fn a_file_of_which_only_a_useless_list_is_there_travels_whole() {
    let s = sample();
    let (complete, roots) = (HashSet::new(), [s.second]);
    let wanted = Wanted {
        roots: &roots,
        complete: &complete,
        has: &|_| true,
        holds: &|id| *id != s.rules,
        scope: &Whole,
        depth: None,
        partial: false,
    };
    let task = Progress::new().task("test", Unit::Items);
    let found = missing(&s.memory, &wanted, &task).unwrap();
    assert_eq!(found.objects, HashSet::from([s.rules]));
}

#[test]
fn a_version_that_is_complete_there_ends_the_walk() {
    let s = sample();
    let complete = HashSet::from([s.first]);
    let roots = [s.second];
    let wanted = Wanted {
        roots: &roots,
        complete: &complete,
        has: &|_| false,
        holds: &|_| false,
        scope: &Whole,
        depth: None,
        partial: false,
    };
    let task = Progress::new().task("test", Unit::Items);
    let found = missing(&s.memory, &wanted, &task).unwrap();
    assert_eq!(found.versions, [s.second]);
    assert!(!found.objects.contains(&s.first));
}

struct OnlyCode;

impl Scope for OnlyCode {
    fn cover(&self, component: Component, path: Option<&RepoPath>) -> Cover {
        match (component, path) {
            (Component::Code, None) => Cover::Some,
            (Component::Code, Some(path)) if path.as_bytes().starts_with(b"d") => Cover::All,
            _ => Cover::None,
        }
    }
}

#[test]
fn a_scope_leaves_contents_out_and_keeps_directories_and_rules() {
    let s = sample();
    let found = find(&s, &|_| false, |wanted| wanted.scope = &OnlyCode);
    assert!(!found.objects.contains(&s.weights) && !found.objects.contains(&s.chunk));
    assert!(found.objects.contains(&s.rules), "the rules of a project are always wanted");
    let left_out: Vec<_> =
        s.memory.objects.iter().filter(|(id, _)| !found.objects.contains(id)).collect();
    assert!(left_out.iter().all(|(_, (kind, _))| *kind == Kind::Blob), "no tree is left out");
    assert_eq!(left_out.len(), 4);
}

#[test]
fn with_a_depth_older_versions_come_without_their_contents() {
    let s = sample();
    let found = find(&s, &|_| false, |wanted| wanted.depth = Some(1));
    assert_eq!(found.versions, [s.second, s.first], "all versions come");
    assert!(found.objects.contains(&s.first) && found.objects.contains(&s.chunk));
    assert_eq!(found.objects.len(), s.memory.objects.len() - 3, "one tree, one file, one chunk");
}

#[test]
fn in_a_part_of_a_repository_what_only_the_other_side_has_is_no_loss() {
    let mut s = sample();
    s.memory.objects.remove(&s.weights);
    let complete = HashSet::new();
    let roots = [s.second];
    let mut wanted = Wanted {
        roots: &roots,
        complete: &complete,
        has: &|id| *id == s.weights,
        holds: &|id| *id == s.weights,
        scope: &Whole,
        depth: None,
        partial: true,
    };
    let task = Progress::new().task("test", Unit::Items);
    assert!(missing(&s.memory, &wanted, &task).is_ok());
    wanted.has = &|_| false;
    assert!(missing(&s.memory, &wanted, &task).unwrap_err().is_corruption());
}

/// Counts the levels that are announced.
struct Announced<'a>(&'a Memory, RefCell<Vec<(Kind, usize)>>);

impl Objects for Announced<'_> {
    fn get(&self, kind: Kind, id: &Hash, cap: u64) -> mv_store::Result<Vec<u8>> {
        self.0.get(kind, id, cap)
    }
    fn contains(&self, id: &Hash) -> bool {
        self.0.contains(id)
    }
    fn children(&self, id: &Hash) -> mv_store::Result<Option<Vec<Hash>>> {
        self.0.children(id)
    }
    fn expect(&self, kind: Kind, ids: &[Hash]) -> mv_store::Result<()> {
        self.1.borrow_mut().push((kind, ids.len()));
        Ok(())
    }
    fn find(&self, prefix: &HashPrefix, kind: Kind) -> mv_store::Result<Vec<Hash>> {
        self.0.find(prefix, kind)
    }
}

#[test]
fn each_level_is_announced_before_it_is_read() {
    let s = sample();
    let announced = Announced(&s.memory, RefCell::default());
    let complete = HashSet::new();
    let wanted = Wanted {
        roots: &[s.second],
        complete: &complete,
        has: &|_| false,
        holds: &|_| false,
        scope: &Whole,
        depth: None,
        partial: false,
    };
    missing(&announced, &wanted, &Progress::new().task("test", Unit::Items)).unwrap();
    let levels = announced.1.into_inner();
    let of = |kind| levels.iter().filter(|(k, n)| *k == kind && *n > 0).count();
    assert_eq!((of(Kind::Manifest), of(Kind::Tree), of(Kind::Blob)), (2, 2, 1), "{levels:?}");
}
