//! Saving what a scan saw and what its caller learned since as the next stat cache.

use std::collections::BTreeMap;
use std::path::Path;

use mv_graph::{Component, Mode};
use mv_store::{Hash, Nonce};

use super::cache_writer::CacheBuilder;
use super::order::{InOrder, split};
use super::scan::Scan;
use super::scanned::ScannedDir;
use super::stat_cache::{CacheEntry, CacheHeader, CacheUpdate, DirView, StatCache};
use crate::error::Result;

/// What updates say about one directory.
#[derive(Default)]
struct Edit<'a> {
    files: BTreeMap<&'a [u8], Option<(&'a CacheEntry, i64)>>,
    /// Whether the directory itself is now versioned as an empty one, if that was said.
    empty: Option<Option<Component>>,
    /// Something was put here that no scan has held against the ignore files.
    unseen: bool,
}

impl Scan {
    /// Writes the stat cache: what the scan knows, overridden by `updates` (in any order; the
    /// last of a path counts).
    ///
    /// A file whose content neither the scan nor an update knows is left out, and then no
    /// `head` is recorded, because the entries no longer are all of it. `header.rules` is the
    /// fingerprint of the rules that chose *all* components, those of updates included;
    /// `Hash::ZERO` when they came from elsewhere, and the next scan chooses again.
    ///
    /// # Errors
    /// `Io`.
    pub fn save(
        &self,
        header: &CacheHeader,
        updates: &[CacheUpdate],
        path: &Path,
        tmp_dir: &Path,
        nonce: &Nonce,
    ) -> Result<()> {
        StatCache::write(path, &self.cache_bytes(header, updates), tmp_dir, nonce)
    }

    /// The bytes that [`Scan::save`] writes.
    #[must_use]
    pub fn cache_bytes(&self, header: &CacheHeader, updates: &[CacheUpdate]) -> Vec<u8> {
        let edits = edits(updates, self);
        let room = usize::try_from(self.len()).unwrap_or(0).saturating_mul(96).min(1 << 28) + 4096;
        let mut complete = true;
        let mut builder = CacheBuilder::new(header, room);
        let mut scanned = self.dirs.iter().enumerate().peekable();
        for (path, edit) in &edits {
            while let Some((index, dir)) = scanned.next_if(|(_, dir)| InOrder(&dir.path) < *path) {
                complete &= self.keep(index, dir, &mut builder);
            }
            let here = scanned.next_if(|(_, dir)| dir.path == path.0);
            complete &= self.edit(path.0, here, edit, &mut builder);
        }
        for (index, dir) in scanned {
            complete &= self.keep(index, dir, &mut builder);
        }
        if !complete && header.head.is_some() {
            return self.cache_bytes(&CacheHeader { head: None, ..header.clone() }, updates);
        }
        builder.finish()
    }

    /// Adds a directory as scanned and says whether all its files are known.
    fn keep(&self, index: usize, dir: &ScannedDir, builder: &mut CacheBuilder) -> bool {
        if dir.own.is_none()
            && let Some(cached) = dir.cached
        {
            let view = self.cache.view(cached);
            builder.dir(&DirView { path: &dir.path, chain: dir.chain, empty: dir.empty, ..view });
            return true;
        }
        self.edit(&dir.path, Some((index, dir)), &Edit::default(), builder)
    }

    /// Adds a directory with its edits and says whether all its files are known.
    fn edit(
        &self,
        path: &[u8],
        scanned: Option<(usize, &ScannedDir)>,
        edit: &Edit<'_>,
        builder: &mut CacheBuilder,
    ) -> bool {
        let mut complete = true;
        let mut any = false;
        let mut updates = edit.files.iter().peekable();
        let mut put = |update: &Option<(&CacheEntry, i64)>, name: &[u8]| {
            if let Some((entry, verified)) = update {
                builder.entry(name, entry, entry.stat.is_racy(*verified));
                any = true;
            }
        };
        let files = (0..).map_while(|at| self.file(scanned?.0, at));
        for file in files {
            while let Some((name, update)) = updates.next_if(|(name, _)| **name < file.name) {
                put(update, name);
            }
            if let Some((name, update)) = updates.next_if(|(name, _)| **name == file.name) {
                put(update, name);
                continue;
            }
            match file.found.known {
                None => complete = false,
                Some(id) => {
                    let found = file.found;
                    let (component, mode, stat) = (found.component, found.mode, found.stat);
                    put(&Some((&CacheEntry { component, mode, stat, id }, i64::MAX)), file.name);
                }
            }
        }
        for (name, update) in updates {
            put(update, name);
        }
        let scanned = scanned.map(|(_, dir)| dir);
        let empty = edit.empty.unwrap_or_else(|| scanned.and_then(|dir| dir.empty));
        let chain = scanned.filter(|_| !edit.unseen).map_or(Hash::ZERO, |dir| dir.chain);
        builder.close_dir(path, &chain, empty.filter(|_| !any));
        complete
    }
}

fn edits<'a>(updates: &'a [CacheUpdate], scan: &Scan) -> BTreeMap<InOrder<'a>, Edit<'a>> {
    let mut edits: BTreeMap<InOrder<'a>, Edit<'a>> = BTreeMap::new();
    for update in updates {
        let path = update.path.as_bytes();
        let (parent, name) = split(path);
        let is_file = update.entry.as_ref().filter(|entry| entry.mode != Mode::Dir);
        let is_empty = update.entry.as_ref().filter(|entry| entry.mode == Mode::Dir);
        let new = update.entry.is_some() && scan.get(&update.path).is_none();
        let dir = edits.entry(InOrder(parent)).or_default();
        dir.files.insert(name, is_file.map(|entry| (entry, update.verified_ns)));
        dir.unseen |= new;
        if is_empty.is_some() || scan.is_dir(&update.path) {
            edits.entry(InOrder(path)).or_default().empty = Some(is_empty.map(|e| e.component));
        }
    }
    // Where something appears in a directory that was not scanned, the nearest one that was has
    // got a directory that was never held against the ignore files, and is not empty any more.
    let adds = |edit: &Edit<'_>| {
        edit.files.values().any(Option::is_some) || matches!(edit.empty, Some(Some(_)))
    };
    let grown: Vec<&'a [u8]> =
        edits.iter().filter(|(_, edit)| adds(edit)).map(|(path, _)| path.0).collect();
    for mut path in grown {
        while !path.is_empty() && !scan.has_dir(path) {
            path = split(path).0;
            let around = edits.entry(InOrder(path)).or_default();
            around.unseen = true;
            around.empty = Some(None);
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mv_graph::RepoPath;
    use mv_store::{Kind, id_of};

    use super::*;
    use crate::worktree::scan::tests::{Desk, changes};
    use crate::worktree::{Root, Stat};

    /// What a checkout reports for a file that it wrote.
    fn wrote(desk: &Desk, path: &str, component: Component) -> CacheUpdate {
        let path: RepoPath = path.parse().unwrap();
        let root = Root::open(desk.dir.path()).unwrap();
        let (mode, stat) = root.stat(&path).unwrap().unwrap();
        let mode = mode.unwrap();
        let entry = match mode {
            Mode::Dir => CacheEntry { component, mode, stat: Stat::default(), id: Hash::ZERO },
            _ => {
                let bytes = fs::read(desk.dir.path().join(path.to_path())).unwrap();
                CacheEntry { component, mode, stat, id: id_of(Kind::Blob, &bytes) }
            }
        };
        CacheUpdate { path, entry: Some(entry), verified_ns: i64::MAX }
    }

    fn removed(path: &str) -> CacheUpdate {
        CacheUpdate { path: path.parse().unwrap(), entry: None, verified_ns: 0 }
    }

    fn reload(desk: &mut Desk, scan: &Scan, updates: &[CacheUpdate]) {
        let (file, tmp) = (desk.at(".mv/stat"), desk.at(".mv/tmp"));
        scan.save(&desk.header(), updates, &file, &tmp, &[0xcc; 16]).unwrap();
        StatCache::check(&file).unwrap();
        desk.cache = StatCache::load(&file);
    }

    #[test]
    fn after_a_checkout_its_updates_make_the_next_scan_equal() {
        let mut desk = Desk::new();
        for path in ["keep/a", "gone/b", "gone/deep/c", "edit", "emptied/x"] {
            desk.put(path, "old");
        }
        fs::create_dir(desk.at("filled")).unwrap();
        fs::create_dir(desk.at("grown")).unwrap();
        desk.save();
        let scan = desk.scan();

        fs::remove_dir_all(desk.at("gone")).unwrap();
        fs::remove_file(desk.at("emptied/x")).unwrap();
        for path in ["edit", "new/deep/d", "filled/e", "grown/in/f"] {
            desk.put(path, "new");
        }
        fs::create_dir_all(desk.at("hollow/inside")).unwrap();
        let mut updates = vec![removed("gone/deep/c"), removed("gone/b"), removed("emptied/x")];
        for path in ["emptied", "edit", "new/deep/d", "filled/e", "grown/in/f", "hollow/inside"] {
            updates.push(wrote(&desk, path, Component::Code));
        }
        reload(&mut desk, &scan, &updates);
        assert_eq!(changes(&desk.scan()), [""; 0]);
        assert_eq!(desk.cache.header().head, desk.header().head);
        // New directories were not yet held against the ignore files: one more save settles it.
        assert!(!desk.scan().is_current());
        let scan = desk.scan();
        reload(&mut desk, &scan, &[]);
        assert!(desk.scan().is_current());
    }

    #[test]
    fn an_unknown_file_is_left_out_and_then_no_head_is_claimed() {
        let mut desk = Desk::new();
        desk.put("a", "x");
        desk.save();
        desk.put("b", "x");
        let scan = desk.scan();
        reload(&mut desk, &scan, &[]);
        assert_eq!(desk.cache.header().head, None);
        assert_eq!(changes(&desk.scan()), ["+b"]);
    }

    #[test]
    fn a_file_that_came_by_checkout_although_it_is_ignored_is_held_against_the_ignore_files() {
        let mut desk = Desk::new();
        desk.put(".mvignore", "*.bin\nlogs/\n");
        desk.put("d/a", "x");
        desk.save();
        let scan = desk.scan();
        desk.put("d/x.bin", "x");
        desk.put("logs/y", "y");
        let updates =
            [wrote(&desk, "d/x.bin", Component::Code), wrote(&desk, "logs/y", Component::Code)];
        reload(&mut desk, &scan, &updates);
        assert_eq!(changes(&desk.scan()), ["-d/x.bin", "-logs/y"]);
    }

    #[test]
    fn the_last_update_of_a_path_counts() {
        let mut desk = Desk::new();
        desk.put("a", "x");
        let scan = desk.scan();
        let update = wrote(&desk, "a", Component::Code);
        reload(&mut desk, &scan, &[removed("a"), update.clone()]);
        assert!(desk.scan().is_unchanged());
        reload(&mut desk, &scan, &[update, removed("a")]);
        assert_eq!(changes(&desk.scan()), ["+a"]);
    }
}
