//! Scans of small trees, with and without a cache.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use mv_store::{Kind, id_of};

use super::*;
use crate::config::ProjectConfig;
use crate::error::Error;
use crate::worktree::stat_cache::{CacheHeader, CacheUpdate};

/// A work tree, its rules and the cache that the last [`Desk::save`] left.
pub(crate) struct Desk {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) rules: Rules,
    pub(crate) cache: StatCache,
    saves: u8,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(".mv/tmp")).unwrap();
        let rules = Rules::new(&ProjectConfig::default()).unwrap();
        Desk { dir, rules, cache: StatCache::empty(), saves: 0 }
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn put(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    pub(crate) fn try_scan(&self, threads: usize) -> Result<Scan> {
        let root = Root::open(self.dir.path())?;
        let options = ScanOptions { threads: Some(threads) };
        scan(&root, &self.rules, &self.cache, &options, &Progress::new())
    }

    /// Scans with one thread and with three, which must see the same.
    pub(crate) fn scan(&self) -> Scan {
        let (one, three) = (self.try_scan(1).unwrap(), self.try_scan(3).unwrap());
        assert!(one.files().eq(three.files()));
        assert_eq!(one.skipped(), three.skipped());
        assert_eq!(one.len(), one.files().count() as u64);
        assert_eq!(one.is_unchanged(), one.differences().unwrap().is_empty());
        one
    }

    pub(crate) fn header(&self) -> CacheHeader {
        let (boot_id, head) = ("boot".to_owned(), Some(Hash([9; 32])));
        CacheHeader { boot_id, head, rules: self.rules.fingerprint(), stamp_ns: 0 }
    }

    /// Hashes what is unknown, as a commit does, and replaces the cache. `verified_ns` decides
    /// what is racy.
    pub(crate) fn save_at(&mut self, verified_ns: i64) -> Scan {
        let scan = self.scan();
        let update = |difference: Difference| {
            let path = difference.path;
            let entry = difference.now.map(|found| CacheEntry {
                component: found.component,
                mode: found.mode,
                stat: found.stat,
                id: found.known.unwrap_or_else(|| self.id(&path, found.mode)),
            });
            CacheUpdate { path, entry, verified_ns }
        };
        let updates: Vec<_> = scan.differences().unwrap().into_iter().map(update).collect();
        self.saves += 1;
        let (file, tmp) = (self.at(".mv/stat"), self.at(".mv/tmp"));
        scan.save(&self.header(), &updates, &file, &tmp, &[self.saves; 16]).unwrap();
        StatCache::check(&file).unwrap();
        self.cache = StatCache::load(&file);
        scan
    }

    pub(crate) fn save(&mut self) -> Scan {
        self.save_at(i64::MAX)
    }

    fn id(&self, path: &RepoPath, mode: Mode) -> Hash {
        match mode {
            Mode::Dir => Hash::ZERO,
            Mode::Symlink => Hash([7; 32]),
            _ => id_of(Kind::Blob, &fs::read(self.dir.path().join(path.to_path())).unwrap()),
        }
    }
}

pub(crate) fn listing(scan: &Scan) -> Vec<String> {
    let show = |file: FileRef<'_>| {
        let known = if file.found.known.is_some() { "known" } else { "-" };
        let component = file.found.component.as_str();
        format!("{} {component} {:?} {known}", file.path().unwrap(), file.found.mode)
    };
    scan.files().map(show).collect()
}

pub(crate) fn changes(scan: &Scan) -> Vec<String> {
    let show = |d: Difference| {
        let sign = match (d.before, d.now) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        format!("{sign}{}", d.path)
    };
    scan.differences().unwrap().into_iter().map(show).collect()
}

#[test]
fn everything_is_listed_once_in_path_order_with_component_and_mode() {
    let desk = Desk::new();
    for path in ["a/z.py", "a.csv", "a-b/x", "a/b/c.bin", "models/m.bin", ".mvignore", "z"] {
        desk.put(path, "content");
    }
    fs::create_dir_all(desk.at("data/empty/deep")).unwrap();
    symlink("nowhere", desk.at("link")).unwrap();
    fs::set_permissions(desk.at("z"), fs::Permissions::from_mode(0o755)).unwrap();
    let scan = desk.scan();
    let expected = [
        ".mvignore code File -",
        "a/b/c.bin code File -",
        "a/z.py code File -",
        "a-b/x code File -",
        "a.csv data File -",
        "data/empty/deep data Dir -",
        "link code Symlink -",
        "models/m.bin model File -",
        "z code Exec -",
    ];
    assert_eq!(listing(&scan), expected);
    let paths: Vec<RepoPath> = scan.files().map(|f| f.path().unwrap()).collect();
    assert!(paths.is_sorted());
    for file in scan.files() {
        assert_eq!(scan.get(&file.path().unwrap()), Some(file.found));
    }
    assert_eq!(scan.get(&"a".parse().unwrap()), None);
    assert_eq!(scan.get(&"a/nothing".parse().unwrap()), None);
}

#[test]
fn a_saved_cache_vouches_for_every_file_and_nothing_differs() {
    let mut desk = Desk::new();
    for path in ["a/b/c", "a/d", "e"] {
        desk.put(path, path);
    }
    fs::create_dir(desk.at("empty")).unwrap();
    desk.save();
    let scan = desk.scan();
    assert!(scan.is_unchanged() && scan.is_current());
    assert!(scan.files().all(|f| f.found.known.is_some() || f.found.mode == Mode::Dir));
    assert_eq!(desk.cache.header(), &desk.header());
    assert_eq!(desk.cache.len(), 3);
    let entry = desk.cache.get(&"a/b/c".parse().unwrap()).unwrap();
    assert_eq!(entry.id, id_of(Kind::Blob, b"a/b/c"));
    assert_eq!(desk.cache.get(&"empty".parse().unwrap()).unwrap().mode, Mode::Dir);
    assert_eq!(desk.cache.get(&"a/b".parse().unwrap()), None);
}

#[test]
fn every_kind_of_change_is_a_difference_and_nothing_else_is() {
    let mut desk = Desk::new();
    for path in ["a/same", "a/edit", "a/gone", "b/c/gone", "d/to-link", "e/to-dir", "mode", "y"] {
        desk.put(path, "x");
    }
    fs::create_dir(desk.at("was-empty")).unwrap();
    desk.save();
    desk.put("a/edit", "xy");
    fs::remove_file(desk.at("a/gone")).unwrap();
    fs::remove_dir_all(desk.at("b")).unwrap();
    desk.put("a/new", "n");
    desk.put("new/dir/file", "n");
    fs::remove_file(desk.at("d/to-link")).unwrap();
    symlink("x", desk.at("d/to-link")).unwrap();
    fs::remove_file(desk.at("e/to-dir")).unwrap();
    fs::create_dir(desk.at("e/to-dir")).unwrap();
    fs::set_permissions(desk.at("mode"), fs::Permissions::from_mode(0o755)).unwrap();
    desk.put("was-empty/now", "n");
    let scan = desk.scan();
    assert_eq!(
        changes(&scan),
        [
            "~a/edit",
            "-a/gone",
            "+a/new",
            "-b/c/gone",
            "~d/to-link",
            "~e/to-dir",
            "~mode",
            "+new/dir/file",
            "-was-empty",
            "+was-empty/now"
        ]
    );
    assert!(!scan.is_current());
    desk.save();
    assert!(desk.scan().is_unchanged());
}

#[test]
fn an_entry_whose_file_was_written_at_or_after_the_stamp_is_not_trusted() {
    let mut desk = Desk::new();
    desk.put("f", "x");
    let stat = desk.scan().get(&"f".parse().unwrap()).unwrap().stat;
    desk.save_at(stat.ctime_ns);
    assert_eq!(changes(&desk.scan()), ["~f"]);
    desk.save_at(stat.ctime_ns + 1);
    assert!(desk.scan().is_unchanged());
}

#[test]
fn a_replaced_file_with_equal_size_and_mtime_is_a_difference() {
    let mut desk = Desk::new();
    desk.put("f", "one");
    desk.save();
    let old = fs::metadata(desk.at("f")).unwrap().modified().unwrap();
    desk.put("g", "two");
    fs::File::options().write(true).open(desk.at("g")).unwrap().set_modified(old).unwrap();
    fs::rename(desk.at("g"), desk.at("f")).unwrap();
    assert_eq!(changes(&desk.scan()), ["~f"]);
}

#[test]
fn ignore_files_nest_and_an_ignored_directory_is_not_entered() {
    let mut desk = Desk::new();
    desk.put(".mvignore", "*.log\nout/\n!wandb/\n");
    desk.put("sub/.mvignore", "!keep.log\n");
    for path in
        ["x.log", "sub/keep.log", "sub/x.log", "out/keep", "wandb/run", "venv/bin/python", "a.pyc"]
    {
        desk.put(path, "x");
    }
    fs::create_dir(desk.at("out/empty")).unwrap();
    let paths = ["+.mvignore", "+sub/.mvignore", "+sub/keep.log", "+wandb/run"];
    assert_eq!(changes(&desk.scan()), paths);
    desk.save();
    assert!(desk.scan().is_unchanged());
    desk.put(".mvignore", "*.log\n");
    assert_eq!(changes(&desk.scan()), ["~.mvignore", "+out/empty", "+out/keep", "-wandb/run"]);
    fs::remove_file(desk.at("sub/.mvignore")).unwrap();
    let now = changes(&desk.scan());
    assert!(now.contains(&"-sub/.mvignore".into()) && now.contains(&"-sub/keep.log".into()));
}

#[test]
fn a_directory_with_only_ignored_things_is_not_an_empty_one() {
    let desk = Desk::new();
    desk.put("d/__pycache__/x.pyc", "x");
    assert!(desk.scan().is_empty());
}

#[test]
fn new_rules_move_files_between_components_without_hashing_them() {
    let mut desk = Desk::new();
    desk.put("a/x.csv", "x");
    desk.put("a/y.py", "x");
    desk.save();
    desk.rules = Rules::new(&ProjectConfig::parse(b"component = []").unwrap()).unwrap();
    let scan = desk.scan();
    let differences = scan.differences().unwrap();
    assert_eq!(differences.len(), 1);
    let before = differences[0].before.unwrap();
    assert_eq!(before.component, Component::Data);
    let now = differences[0].now.unwrap();
    assert_eq!((now.component, now.known), (Component::Code, Some(before.id)));
    desk.save();
    assert!(desk.scan().is_unchanged());
}

#[test]
fn pipes_nested_repositories_and_linked_ignore_files_are_reported_and_not_stored() {
    let desk = Desk::new();
    let bits = rustix::fs::Mode::RUSR;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, desk.at("pipe"), fifo, bits, 0).unwrap();
    desk.put("nested/.mv/format", "x");
    desk.put("nested/file", "x");
    fs::create_dir(desk.at("sub")).unwrap();
    symlink("/dev/zero", desk.at("sub/.mvignore")).unwrap();
    desk.put("bad/.mvignore", "a{b\n");
    let scan = desk.scan();
    let skipped: Vec<String> = scan.skipped().iter().map(|s| s.path.to_string()).collect();
    assert_eq!(skipped, ["bad/.mvignore", "nested", "pipe", "sub/.mvignore"]);
    assert_eq!(changes(&scan), ["+bad/.mvignore", "+sub/.mvignore"]);
}

#[test]
fn names_that_cannot_be_stored_are_an_error_unless_ignored() {
    let desk = Desk::new();
    desk.put("sub/.GIT/x", "x");
    let error = desk.try_scan(2).unwrap_err();
    assert!(matches!(error, Error::BadName { .. }), "{error}");
    assert!(error.to_string().contains("sub/.GIT"), "{error}");
    desk.put(".mvignore", ".GIT\n");
    assert_eq!(changes(&desk.scan()), ["+.mvignore"]);
}

#[test]
fn names_that_are_not_text_are_kept_as_they_are() {
    use std::os::unix::ffi::OsStrExt;
    let mut desk = Desk::new();
    for name in [&b"\xff\xfe"[..], b"new\nline", b"-f", &[b'x'; 255]] {
        fs::write(desk.dir.path().join(std::ffi::OsStr::from_bytes(name)), "x").unwrap();
    }
    desk.save();
    let scan = desk.scan();
    assert!(scan.is_unchanged());
    let names: Vec<&[u8]> = scan.files().map(|f| f.name).collect();
    assert_eq!(names, [&b"-f"[..], b"new\nline", &[b'x'; 255], b"\xff\xfe"]);
}

#[test]
fn a_huge_directory_is_shared_between_threads() {
    let mut desk = Desk::new();
    for number in 0..10_000 {
        desk.put(&format!("huge/{number:05}"), "");
    }
    desk.put("other", "");
    assert_eq!(desk.scan().len(), 10_001);
    desk.save();
    assert!(desk.scan().is_unchanged());
    fs::remove_file(desk.at("huge/00000")).unwrap();
    fs::remove_file(desk.at("huge/04096")).unwrap();
    desk.put("huge/04095x", "");
    assert_eq!(changes(&desk.scan()), ["-huge/00000", "+huge/04095x", "-huge/04096"]);
    desk.save();
    assert!(desk.scan().is_unchanged());
}

#[test]
fn a_directory_that_cannot_be_listed_is_an_error_that_names_it() {
    let desk = Desk::new();
    fs::create_dir_all(desk.at("a/locked")).unwrap();
    fs::set_permissions(desk.at("a/locked"), fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may list everything.
    if fs::read_dir(desk.at("a/locked")).is_err() {
        let message = desk.try_scan(2).unwrap_err().to_string();
        assert!(message.contains("a/locked"), "{message}");
    }
    fs::set_permissions(desk.at("a/locked"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_cancelled_scan_stops() {
    let desk = Desk::new();
    let progress = Progress::new();
    progress.cancel();
    let root = Root::open(desk.dir.path()).unwrap();
    let stopped = scan(&root, &desk.rules, &desk.cache, &ScanOptions::default(), &progress);
    assert!(matches!(stopped, Err(Error::Store(mv_store::Error::Cancelled))));
    assert!(Root::open(Path::new("/no/such")).is_err());
}
