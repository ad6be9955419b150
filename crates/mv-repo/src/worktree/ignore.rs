//! Which files are not versioned: `.mvignore` files and what is never wanted.
//!
//! The grammar of `.mvignore` is that of `.gitignore`: the nearest file decides first, a later line
//! overrides an earlier one, `!` takes back, and a directory that is ignored is not entered, so
//! nothing below it can be taken back. The built-in list is the weakest, so that a project can
//! version its `wandb/`; only `.mv` and `.git` are beyond discussion. `.gitignore` is not read:
//! models and data are usually in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use mv_store::{BlobHasher, Hash};

use super::order::{is_below, split};
use super::patterns::Room;

/// The name of the files that say what to ignore.
pub const IGNORE_FILE: &[u8] = b".mvignore";

/// No ignore file is larger.
pub const MAX_IGNORE_FILE: u64 = 1 << 20;

/// How our temporary files in the work tree begin.
pub const TEMPORARY: &[u8] = b".mv-tmp.";

const BUILT_IN: [&[u8]; 9] = [
    b".dvc",
    b".venv",
    b"venv",
    b"__pycache__",
    b".ipynb_checkpoints",
    b"node_modules",
    b".DS_Store",
    b"mlruns",
    b"wandb",
];

/// Whether a name is a repository's own and is never versioned, whatever `.mvignore` says.
#[must_use]
pub fn is_repository(name: &[u8]) -> bool {
    name == b".mv" || name == b".git"
}

fn is_built_in(name: &[u8]) -> bool {
    BUILT_IN.contains(&name) || name.ends_with(b".pyc") || name.starts_with(TEMPORARY)
}

/// The ignore files that hold in one directory: its own and those of the directories above.
#[derive(Debug)]
pub struct Chain {
    above: Option<Arc<Chain>>,
    dir: Vec<u8>,
    matcher: Gitignore,
    /// What the files of the chain leave of it for those below.
    room: Room,
    fingerprint: Hash,
}

impl Chain {
    /// No ignore file, only the built-in list.
    #[must_use]
    pub fn root() -> Arc<Chain> {
        let mut hasher = BlobHasher::new();
        hasher.update(b"mv ignore rules 1");
        let fingerprint = hasher.finish();
        let (matcher, room) = (Gitignore::empty(), Room::new());
        Arc::new(Chain { above: None, dir: Vec::new(), matcher, room, fingerprint })
    }

    /// Adds the ignore file of a directory below. Lines that are no pattern are left out and
    /// returned with the reason.
    #[must_use]
    pub fn extend(self: &Arc<Chain>, dir: &[u8], text: &[u8]) -> (Arc<Chain>, Vec<String>) {
        let mut problems = Vec::new();
        let mut room = self.room;
        let mut builder = GitignoreBuilder::new("");
        let whole = String::from_utf8_lossy(text);
        if matches!(whole, std::borrow::Cow::Owned(_)) {
            problems.push("it is not UTF-8, some lines match nothing".to_owned());
        }
        for (number, line) in whole.trim_start_matches('\u{feff}').lines().enumerate() {
            let added = room
                .take_line(line)
                .map_err(str::to_owned)
                .and_then(|()| builder.add_line(None, line).map(drop).map_err(|e| e.to_string()));
            if let Err(why) = added {
                problems.push(format!("line {}: {}", number + 1, mv_graph::escape(&why)));
            }
            if room.is_full() {
                problems.push("nothing from that line on is read".to_owned());
                break;
            }
        }
        let matcher = builder.build().unwrap_or_else(|e| {
            problems.push(mv_graph::escape(&e.to_string()));
            Gitignore::empty()
        });
        let mut hasher = BlobHasher::new();
        hasher.update(self.fingerprint.as_bytes());
        hasher.update(&(dir.len() as u64).to_le_bytes());
        hasher.update(dir);
        hasher.update(text);
        let above = Some(Arc::clone(self));
        let fingerprint = hasher.finish();
        (Arc::new(Chain { above, dir: dir.to_vec(), matcher, room, fingerprint }), problems)
    }

    /// Whether a path is ignored, given that no directory above it is.
    #[must_use]
    pub fn ignores(&self, path: &[u8], is_dir: bool) -> bool {
        let (_, name) = split(path);
        if is_repository(name) {
            return true;
        }
        let mut chain = Some(self);
        while let Some(at) = chain {
            if is_below(path, &at.dir) {
                let relative = if at.dir.is_empty() { path } else { &path[at.dir.len() + 1..] };
                match at.matcher.matched(Path::new(OsStr::from_bytes(relative)), is_dir) {
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                    Match::None => {}
                }
            }
            chain = at.above.as_deref();
        }
        is_built_in(name)
    }

    /// A hash of all files of the chain and where they lie: equal means equal answers.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(files: &[(&str, &str)]) -> Arc<Chain> {
        files.iter().fold(Chain::root(), |chain, (dir, text)| {
            let (chain, problems) = chain.extend(dir.as_bytes(), text.as_bytes());
            assert!(problems.is_empty(), "{problems:?}");
            chain
        })
    }

    #[test]
    fn built_in_names_are_ignored_at_any_depth() {
        let chain = chain(&[]);
        for name in ["__pycache__", ".venv", "wandb", "a.pyc", ".DS_Store", ".mv-tmp.0a", ".mv"] {
            assert!(chain.ignores(name.as_bytes(), false), "{name}");
            assert!(chain.ignores(format!("a/b/{name}").as_bytes(), true), "{name}");
        }
        for name in ["venv2", "pyc", ".env", ".gitignore", ".mvignore", "mv.toml"] {
            assert!(!chain.ignores(name.as_bytes(), false), "{name}");
        }
    }

    #[test]
    fn a_project_can_take_back_the_built_in_list_but_not_the_repository() {
        let chain = chain(&[("", "!wandb/\n!.mv\n!.git/\n!*\n")]);
        assert!(!chain.ignores(b"wandb", true));
        assert!(chain.ignores(b".mv", true) && chain.ignores(b"sub/.git", true));
    }

    #[test]
    fn the_nearest_file_decides_and_later_lines_override() {
        let chain = chain(&[("", "*.log\n!keep.log\n/top\n"), ("sub", "!*.log\nsecret/\n")]);
        assert!(!chain.ignores(b"sub/x.log", false));
        assert!(chain.ignores(b"sub/secret", true) && !chain.ignores(b"sub/secret", false));
        assert!(chain.ignores(b"x.log", false) && !chain.ignores(b"keep.log", false));
        assert!(chain.ignores(b"top", false) && !chain.ignores(b"sub/top", false));
    }

    #[test]
    fn anchored_patterns_count_from_the_directory_of_their_file() {
        let chain = chain(&[("a/b", "/x\nc/*.bin\n")]);
        assert!(chain.ignores(b"a/b/x", false) && !chain.ignores(b"a/b/c/x", false));
        assert!(chain.ignores(b"a/b/c/1.bin", false) && !chain.ignores(b"c/1.bin", false));
    }

    #[test]
    fn comments_blank_lines_crlf_and_a_mark_at_the_start_are_understood() {
        let chain = chain(&[("", "\u{feff}# no\r\n\r\n*.tmp\r\n\\#odd\r\n")]);
        assert!(chain.ignores(b"a.tmp", false) && chain.ignores(b"#odd", false));
        assert!(!chain.ignores(b"# no", false));
    }

    #[test]
    fn patterns_of_strangers_take_no_stack_and_little_memory() {
        let deep = format!("{}{}\n*.tmp\n", "{a,".repeat(200_000), "}".repeat(200_000));
        let (chain, problems) = Chain::root().extend(b"", deep.as_bytes());
        assert!(chain.ignores(b"x.tmp", false));
        assert!(problems.len() == 1 && problems[0].contains("4096"), "{problems:?}");
        let many = "*a?b[c]\n".repeat(100_000);
        let (chain, problems) = chain.extend(b"d", many.as_bytes());
        assert!(chain.ignores(b"d/xaxbc", false));
        assert!(problems[0].contains("too many"), "{problems:?}");
        let (below, problems) = chain.extend(b"d/e", b"x\n");
        assert!(!below.ignores(b"d/e/x", false) && problems.len() == 2, "{problems:?}");
    }

    #[test]
    fn a_line_that_is_no_pattern_is_reported_and_the_others_hold() {
        let (chain, problems) = Chain::root().extend(b"", b"a{b\n*.tmp\n");
        assert!(chain.ignores(b"x.tmp", false));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("line 1"), "{problems:?}");
    }

    #[test]
    fn the_fingerprint_depends_on_text_and_place() {
        let all = [
            chain(&[]),
            chain(&[("", "a")]),
            chain(&[("b", "a")]),
            chain(&[("", "a"), ("b", "a")]),
        ];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert_eq!(a.fingerprint() == b.fingerprint(), i == j);
            }
        }
    }
}
