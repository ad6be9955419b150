use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::component::ComponentRef;
use crate::testing::{Memory, manifest};
use crate::trees::build_trees;

type Model = BTreeMap<RepoPath, (Component, FileEntry)>;

const DIR: u8 = 0;

/// An entry from a number: 0 an empty directory, 1 and 2 files, 3 executable, 4 a symlink.
fn entry(n: u8) -> FileEntry {
    let mode = match n {
        DIR => Mode::Dir,
        3 => Mode::Exec,
        4 => Mode::Symlink,
        _ => Mode::File,
    };
    let id = if n == DIR { Tree::default().id().unwrap() } else { Hash([n; 32]) };
    FileEntry { mode, id, bytes: u64::from(n) }
}

fn model(files: &[(&str, Component, u8)]) -> Model {
    files
        .iter()
        .map(|(path, component, n)| (path.parse().unwrap(), (*component, entry(*n))))
        .collect()
}

/// Stores a version with these files.
fn version(memory: &mut Memory, files: &Model) -> Manifest {
    let components = Component::ALL.map(|component| {
        let part = files
            .iter()
            .filter(|(_, (c, _))| *c == component)
            .map(|(path, (_, e))| (path.clone(), *e));
        build_trees(part, |tree| Ok(memory.put_tree(tree))).unwrap()
    });
    manifest("m", 1, &[], components)
}

use Component::{Code, Data, Env, Model as Weights};

fn show(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|c| format!("{} {} {}", c.kind.as_str(), c.component, c.path)).collect()
}

fn compare(from: &[(&str, Component, u8)], to: &[(&str, Component, u8)]) -> Vec<String> {
    let mut m = Memory::default();
    let (from, to) = (version(&mut m, &model(from)), version(&mut m, &model(to)));
    show(&changes(&m, Some(&from), Some(&to)).unwrap())
}

#[test]
fn a_version_is_listed_in_the_order_of_paths_across_components() {
    let mut m = Memory::default();
    let files = model(&[
        ("a/x.py", Code, 1),
        ("a/data/t.csv", Data, 2),
        ("a-b", Env, 1),
        ("models/m.bin", Weights, 3),
        ("z", Code, 4),
        ("empty", Code, DIR),
        ("a/data/u/v", Code, 1),
    ]);
    let version = version(&mut m, &files);
    let listed: Vec<_> =
        list(&m, &version).unwrap().into_iter().map(|f| (f.path, (f.component, f.entry))).collect();
    assert_eq!(listed, files.into_iter().collect::<Vec<_>>());
}

#[test]
fn each_kind_of_change_has_its_name() {
    let from = [
        ("same", Code, 1),
        ("d/gone", Code, 1),
        ("d/edited", Code, 1),
        ("mode", Code, 3),
        ("link", Code, 1),
    ];
    let to = [
        ("same", Code, 1),
        ("d/new", Data, 1),
        ("d/edited", Code, 2),
        ("mode", Code, 1),
        ("link", Code, 4),
    ];
    assert_eq!(
        compare(&from, &to),
        [
            "modified code d/edited",
            "deleted code d/gone",
            "added data d/new",
            "typechange code link",
            "modified code mode"
        ]
    );
    assert!(compare(&from, &from).is_empty());
}

#[test]
fn a_path_that_moved_between_components_is_one_change() {
    assert_eq!(compare(&[("a", Code, 1)], &[("a", Data, 1)]), ["modified data a"]);
    assert_eq!(compare(&[("a", Env, 1)], &[("a", Code, 2)]), ["modified code a"]);
    assert_eq!(compare(&[("a", Env, 1)], &[("a", Code, 4)]), ["typechange code a"]);
}

#[test]
fn files_and_directories_replace_each_other() {
    assert_eq!(
        compare(&[("a", Code, 1)], &[("a/b", Code, 1)]),
        ["deleted code a", "added code a/b"]
    );
    assert_eq!(
        compare(&[("a/b", Code, 1)], &[("a", Data, 1)]),
        ["added data a", "deleted code a/b"]
    );
    assert_eq!(compare(&[("a", Code, 1)], &[("a", Code, DIR)]), ["typechange code a"]);
}

#[test]
fn filling_an_empty_directory_is_no_change_of_its_own() {
    for component in [Code, Data] {
        let filled = [("a/b", component, 1)];
        assert_eq!(compare(&[("a", Code, DIR)], &filled), [format!("added {component} a/b")]);
    }
    assert_eq!(
        compare(&[("a/b", Code, 1)], &[("a", Code, DIR)]),
        ["added code a", "deleted code a/b"]
    );
    assert_eq!(compare(&[("a", Code, DIR)], &[]), ["deleted code a"]);
}

#[test]
fn without_a_version_everything_is_added_or_deleted() {
    let mut m = Memory::default();
    let version = version(&mut m, &model(&[("a/b", Code, 1), ("c", Data, 2)]));
    assert_eq!(
        show(&changes(&m, None, Some(&version)).unwrap()),
        ["added code a/b", "added data c"]
    );
    assert_eq!(
        show(&changes(&m, Some(&version), None).unwrap()),
        ["deleted code a/b", "deleted data c"]
    );
    assert!(changes(&m, None, None).unwrap().is_empty());
}

#[test]
fn equal_directories_are_not_read() {
    let mut m = Memory::default();
    let from = version(&mut m, &model(&[("big/a", Code, 1), ("x", Code, 1)]));
    let to = version(&mut m, &model(&[("big/a", Code, 1), ("x", Code, 2)]));
    let (_, big) = lookup(&m, &from, &"big".parse().unwrap()).unwrap().unwrap();
    m.objects.remove(&big.id);
    assert_eq!(show(&changes(&m, Some(&from), Some(&to)).unwrap()), ["modified code x"]);
}

#[test]
fn components_that_contradict_each_other_are_corrupt() {
    let mut m = Memory::default();
    for (code, data) in [
        (("a", 1), ("a", 1)),
        (("a", 1), ("a/b", 1)),
        (("a/b", 1), ("a", 4)),
        (("d/a/b", 1), ("d/a", 1)),
        (("a", DIR), ("a", DIR)),
        (("a", DIR), ("a", 1)),
    ] {
        let [code, data] = [(code, Code), (data, Data)]
            .map(|((path, n), component)| version(&mut m, &model(&[(path, component, n)])));
        let mut both = code;
        both.components[Data.index()] = *data.component(Data);
        assert!(matches!(list(&m, &both), Err(Error::Corrupt { what: "version", .. })));
    }
}

#[test]
fn a_directory_that_is_empty_in_one_component_only_is_not_empty() {
    let mut m = Memory::default();
    let mut both = version(&mut m, &model(&[("a", Code, DIR)]));
    both.components[Data.index()] = *version(&mut m, &model(&[("a/b", Data, 1)])).component(Data);
    let paths: Vec<_> = list(&m, &both).unwrap().into_iter().map(|f| f.path.to_string()).collect();
    assert_eq!(paths, ["a/b"]);
}

/// Sixty levels, each holding the level below twice.
fn bomb(m: &mut Memory, leaf: Tree, levels: u32) -> ComponentRef {
    let (mut files, _) = leaf.totals().unwrap();
    let mut tree = m.put_tree(&leaf);
    for _ in 0..levels {
        let dir = |name: &[u8]| TreeEntry {
            name: name.to_vec(),
            mode: Mode::Dir,
            id: tree,
            bytes: 0,
            files,
        };
        let next = Tree { entries: vec![dir(b"a"), dir(b"b")] };
        files *= 2;
        tree = m.put_tree(&next);
    }
    ComponentRef { tree, files, bytes: 0 }
}

#[test]
fn trees_that_share_children_without_end_are_refused_before_they_are_walked() {
    let mut m = Memory::default();
    let leaf = Tree {
        entries: vec![TreeEntry {
            name: b"x".to_vec(),
            mode: Mode::File,
            id: Hash([1; 32]),
            bytes: 0,
            files: 1,
        }],
    };
    let empty = m.empty_component();
    let honest = manifest("m", 1, &[], [bomb(&mut m, leaf, 60), empty, empty, empty]);
    assert!(matches!(list(&m, &honest), Err(Error::Corrupt { .. })));
    assert!(matches!(changes(&m, None, Some(&honest)), Err(Error::Corrupt { .. })));
    let mut lying = honest;
    lying.components[0].files = 1;
    assert!(matches!(list(&m, &lying), Err(Error::Corrupt { .. })));
    assert!(matches!(changes(&m, None, Some(&lying)), Err(Error::Corrupt { .. })));
}

#[test]
fn directories_without_files_have_a_limit_of_their_own() {
    let mut m = Memory::default();
    let empty = m.empty_component();
    let bomb = manifest("m", 1, &[], [bomb(&mut m, Tree::default(), 40), empty, empty, empty]);
    assert!(matches!(list(&m, &bomb), Err(Error::Corrupt { .. })));
    assert!(matches!(changes(&m, Some(&bomb), None), Err(Error::Corrupt { .. })));
}

#[test]
fn a_tree_deeper_than_any_path_is_corrupt() {
    for (name, levels) in [(&b"d"[..], 600), (&[b'n'; 255], 20)] {
        let mut m = Memory::default();
        let mut tree = m.put_tree(&Tree::default());
        for _ in 0..levels {
            let dir =
                TreeEntry { name: name.to_vec(), mode: Mode::Dir, id: tree, bytes: 0, files: 0 };
            tree = m.put_tree(&Tree { entries: vec![dir] });
        }
        let empty = m.empty_component();
        let deep = manifest("m", 1, &[], [ComponentRef { tree, ..empty }, empty, empty, empty]);
        assert!(matches!(list(&m, &deep), Err(Error::Corrupt { what: "path", .. })));
        assert!(matches!(changes(&m, Some(&deep), None), Err(Error::Corrupt { what: "path", .. })));
    }
}

#[test]
fn a_path_is_looked_up_without_a_listing() {
    let mut m = Memory::default();
    let version =
        version(&mut m, &model(&[("a/b/c", Data, 2), ("a/x", Code, 1), ("e", Code, DIR)]));
    let find = |path: &str| {
        lookup(&m, &version, &path.parse().unwrap()).unwrap().map(|(c, e)| (c, e.mode, e.bytes))
    };
    assert_eq!(find("a/b/c"), Some((Data, Mode::File, 2)));
    assert_eq!(find("a"), Some((Code, Mode::Dir, 1)));
    assert_eq!(find("e"), Some((Code, Mode::Dir, 0)));
    assert_eq!(find("a/b/c/d"), None);
    assert_eq!(find("b"), None);
}

/// Random versions over few names, so that collisions are common; made consistent by dropping what
/// lies below a file and empty directories that are not empty.
fn versions() -> impl Strategy<Value = Model> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "a-", "a.b"]), 1..4);
    let files = prop::collection::vec((path, 0u8..5, 0usize..4), 0..12);
    files.prop_map(|files| {
        let all: Model = files
            .into_iter()
            .map(|(path, n, c)| (path.join("/").parse().unwrap(), (Component::ALL[c], entry(n))))
            .collect();
        let below_file = |path: &RepoPath| {
            path.ancestors().any(|dir| all.get(&dir).is_some_and(|(_, e)| e.mode != Mode::Dir))
        };
        let kept: Model = all
            .iter()
            .filter(|(path, _)| !below_file(path))
            .map(|(p, v)| (p.clone(), *v))
            .collect();
        let filled =
            |path: &RepoPath| kept.keys().any(|other| other != path && other.starts_with(path));
        kept.iter()
            .filter(|(p, (_, e))| e.mode != Mode::Dir || !filled(p))
            .map(|(p, v)| (p.clone(), *v))
            .collect()
    })
}

/// What [`changes`] must find, from the two maps.
fn expected(from: &Model, to: &Model) -> Vec<Change> {
    let paths: std::collections::BTreeSet<&RepoPath> = from.keys().chain(to.keys()).collect();
    let filled = |path: &RepoPath| to.keys().any(|other| other != path && other.starts_with(path));
    let one = |path: &RepoPath| {
        let (old, new) = (from.get(path), to.get(path));
        let kind = match (old, new) {
            (Some(old), Some(new)) if old == new => return None,
            (Some(old), None) if old.1.mode == Mode::Dir && filled(path) => return None,
            (Some(old), Some(new)) if old.1.mode.same_type(new.1.mode) => ChangeKind::Modified,
            (Some(_), Some(_)) => ChangeKind::TypeChange,
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Deleted,
        };
        let component = new.or(old)?.0;
        Some(Change {
            path: path.clone(),
            component,
            kind,
            from: old.map(|o| o.1),
            to: new.map(|n| n.1),
        })
    };
    paths.into_iter().filter_map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn listing_and_comparing_agree_with_a_map(from in versions(), to in versions()) {
        let mut m = Memory::default();
        let (old, new) = (version(&mut m, &from), version(&mut m, &to));
        let listed: Model = list(&m, &old).unwrap().into_iter().map(|f| (f.path, (f.component, f.entry))).collect();
        prop_assert_eq!(&listed, &from);
        prop_assert_eq!(changes(&m, Some(&old), Some(&new)).unwrap(), expected(&from, &to));
        for (path, found) in &from {
            prop_assert_eq!(lookup(&m, &old, path).unwrap(), Some(*found));
        }
    }
}

#[test]
#[ignore = "a measurement: run it in release"]
fn measure_a_hundred_thousand_files() {
    for per_dir in [10, 100, 10_000] {
        let mut m = Memory::default();
        let file = |n: usize| -> RepoPath {
            format!("data/images/{:05}/image-{n:06}.png", n / per_dir).parse().unwrap()
        };
        let mut files: Model = (0..100_000).map(|n| (file(n), (Data, entry(1)))).collect();
        let old = version(&mut m, &files);
        files.insert(file(54_321), (Data, entry(2)));
        let new = version(&mut m, &files);
        let start = std::time::Instant::now();
        assert_eq!(list(&m, &old).unwrap().len(), 100_000);
        let listed = start.elapsed();
        let start = std::time::Instant::now();
        assert_eq!(changes(&m, Some(&old), Some(&new)).unwrap().len(), 1);
        let changed = start.elapsed();
        let start = std::time::Instant::now();
        assert_eq!(changes(&m, None, Some(&new)).unwrap().len(), 100_000);
        println!(
            "{per_dir} a directory: list {listed:?}, one change {changed:?}, all added {:?}",
            start.elapsed()
        );
    }
}
