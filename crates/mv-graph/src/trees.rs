//! From a sorted list of files to the trees of one component, bottom up.

use mv_store::Hash;

use crate::component::ComponentRef;
use crate::error::{Error, Result};
use crate::path::RepoPath;
use crate::tree::{Mode, Tree, TreeEntry};

/// What is at a path: a file, a symlink or an empty directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileEntry {
    /// What it is; `Dir` is an empty directory.
    pub mode: Mode,
    /// Its blob; for an empty directory the empty tree.
    pub id: Hash,
    /// Its length; 0 for an empty directory.
    pub bytes: u64,
}

/// Builds the trees of one component from its files, which come in the order of their paths.
///
/// `put` stores a finished tree and gives its id; children come before their parents, and equal
/// directories give equal trees. A `Dir` entry is an empty directory: its id is not looked at, and
/// when files below it follow it is an ordinary directory. No entries give the empty tree. Memory:
/// the entries of the directories along one path.
///
/// # Errors
/// [`Error::Invalid`] for paths out of order or given twice, and a file with something below it;
/// whatever `put` returns.
pub fn build_trees(
    entries: impl IntoIterator<Item = (RepoPath, FileEntry)>,
    mut put: impl FnMut(&Tree) -> Result<Hash>,
) -> Result<ComponentRef> {
    // open[0] is the root; the last one is the directory of the newest path.
    let mut open = vec![OpenDir { name: Vec::new(), tree: Tree::default() }];
    let mut last: Option<RepoPath> = None;
    for (path, entry) in entries {
        if let Some(last) = &last
            && *last >= path
        {
            return Err(Error::invalid(
                "list of files",
                format!("`{path}` does not come after `{last}`"),
            ));
        }
        let names: Vec<&[u8]> = path.components().collect();
        let (file_name, directories) =
            names.split_last().ok_or_else(|| Error::invalid("path", "it is empty"))?;
        let shared =
            open[1..].iter().zip(directories).take_while(|(dir, name)| dir.name == **name).count();
        close(&mut open, shared + 1, &mut put)?;
        for name in &directories[shared..] {
            open_dir(&mut open, name, &path)?;
        }
        if entry.mode == Mode::Dir {
            // Opened like any other: it closes empty unless something below it follows.
            open_dir(&mut open, file_name, &path)?;
        } else {
            let file = TreeEntry {
                name: file_name.to_vec(),
                mode: entry.mode,
                id: entry.id,
                bytes: entry.bytes,
                files: 1,
            };
            push(&mut open, file, &path)?;
        }
        last = Some(path);
    }
    close(&mut open, 1, &mut put)?;
    let root = open.pop().map(|dir| dir.tree).unwrap_or_default();
    let (files, bytes) = root.totals()?;
    Ok(ComponentRef { tree: put(&root)?, files, bytes })
}

struct OpenDir {
    name: Vec<u8>,
    tree: Tree,
}

fn open_dir(open: &mut Vec<OpenDir>, name: &[u8], path: &RepoPath) -> Result<()> {
    if let Some(parent) = open.last()
        && parent.tree.entries.last().is_some_and(|entry| entry.name == name)
    {
        return Err(below_a_file(path));
    }
    open.push(OpenDir { name: name.to_vec(), tree: Tree::default() });
    Ok(())
}

fn push(open: &mut [OpenDir], entry: TreeEntry, path: &RepoPath) -> Result<()> {
    let Some(dir) = open.last_mut() else { return Err(below_a_file(path)) };
    dir.tree.entries.push(entry);
    Ok(())
}

fn below_a_file(path: &RepoPath) -> Error {
    Error::invalid("list of files", format!("a directory of `{path}` is a file"))
}

/// Finishes the directories beyond the first `keep`, innermost first.
fn close(
    open: &mut Vec<OpenDir>,
    keep: usize,
    put: &mut impl FnMut(&Tree) -> Result<Hash>,
) -> Result<()> {
    while open.len() > keep {
        let Some(dir) = open.pop() else { break };
        let (files, bytes) = dir.tree.totals()?;
        let entry =
            TreeEntry { name: dir.name, mode: Mode::Dir, id: put(&dir.tree)?, bytes, files };
        if let Some(parent) = open.last_mut() {
            parent.tree.entries.push(entry);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Memory;

    fn file(n: u8) -> FileEntry {
        FileEntry { mode: Mode::File, id: Hash([n; 32]), bytes: u64::from(n) }
    }

    const DIR: FileEntry = FileEntry { mode: Mode::Dir, id: Hash::ZERO, bytes: 0 };

    fn build(entries: &[(&str, FileEntry)]) -> Result<(ComponentRef, Memory)> {
        let mut memory = Memory::default();
        let entries: Vec<(RepoPath, FileEntry)> =
            entries.iter().map(|(p, e)| (p.parse().unwrap(), *e)).collect();
        let root = build_trees(entries, |tree| Ok(memory.put_tree(tree)))?;
        Ok((root, memory))
    }

    #[test]
    fn totals_add_up_and_directories_become_trees() {
        let (root, memory) =
            build(&[("a/x", file(1)), ("a/y/z", file(2)), ("b", file(3))]).unwrap();
        assert_eq!((root.files, root.bytes), (3, 6));
        let tree = Tree::read_counted(&memory, &root.tree, 3, 6).unwrap();
        let a = tree.get(b"a").unwrap();
        assert_eq!((a.mode, a.files, a.bytes), (Mode::Dir, 2, 3));
        assert!(Tree::read_counted(&memory, &a.id, 2, 4).unwrap_err().is_corruption());
        assert_eq!(memory.objects.len(), 3);
    }

    #[test]
    fn no_files_give_the_empty_tree() {
        let (root, _) = build(&[]).unwrap();
        assert_eq!(root, ComponentRef { tree: Tree::default().id().unwrap(), files: 0, bytes: 0 });
    }

    #[test]
    fn equal_directories_share_one_tree() {
        let (_, memory) = build(&[("a/x", file(1)), ("b/x", file(1)), ("c/x", file(1))]).unwrap();
        assert_eq!(memory.objects.len(), 2);
    }

    #[test]
    fn an_empty_directory_is_kept_and_a_filled_one_is_like_any_other() {
        let (root, memory) = build(&[("a", DIR), ("b", DIR), ("b/x", file(1))]).unwrap();
        let tree = Tree::read(&memory, &root.tree).unwrap();
        assert_eq!(tree.get(b"a").unwrap().id, Tree::default().id().unwrap());
        assert_eq!(tree.get(b"b").unwrap().files, 1);
        assert_eq!(build(&[("a", DIR), ("b/x", file(1))]).unwrap().0, root);
    }

    #[test]
    fn names_are_sorted_as_bytes_within_a_directory() {
        // `a-b` sorts between `a` and `a/x` as bytes, after them as paths.
        let (root, memory) =
            build(&[("a/x", file(1)), ("a-b", file(2)), ("a.b/y", file(3)), ("ab", file(4))])
                .unwrap();
        let names: Vec<_> =
            Tree::read(&memory, &root.tree).unwrap().entries.into_iter().map(|e| e.name).collect();
        assert_eq!(names, [b"a".to_vec(), b"a-b".to_vec(), b"a.b".to_vec(), b"ab".to_vec()]);
    }

    #[test]
    fn disorder_repetition_and_files_as_directories_are_refused() {
        for entries in [
            &[("b", file(1)), ("a", file(1))][..],
            &[("a", file(1)), ("a", file(2))],
            &[("a", file(1)), ("a/b", file(2))],
            &[("d/a", file(1)), ("d/a/b/c", file(2))],
            &[("a/b", file(1)), ("a", DIR)],
        ] {
            assert!(matches!(build(entries), Err(Error::Invalid { .. })), "{entries:?}");
        }
    }

    #[test]
    fn a_failing_put_stops_the_build() {
        let entries = [("a/b".parse().unwrap(), file(1))];
        let outcome = build_trees(entries, |_| Err(Error::invalid("tree", "no")));
        assert!(outcome.is_err());
    }
}
