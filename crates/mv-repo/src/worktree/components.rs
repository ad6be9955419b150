//! Which component a path belongs to, as `mv.toml` says.
//!
//! The blocks of `mv.toml` are tried in order and the first that matches wins; a path that none
//! matches is code. A block matches a path when one of its patterns matches the path itself or a
//! directory above it. Within one block the grammar is that of `.gitignore`: a later pattern
//! overrides an earlier one, `!` takes back.
//!
//! All blocks are compiled into one matcher, last block first, because the matcher answers with
//! the last pattern that matches: so one question a path level answers for all blocks. Only a
//! configuration that uses `!` pays for one matcher a block. A scan asks about a directory once
//! ([`Rules::enter`]) and then per file about the file's own name only.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder, Glob};
use mv_graph::{Component, RepoPath};
use mv_store::{BlobHasher, Hash};

use super::patterns::Room;
use crate::config::{ComponentRule, PROJECT_FILE, ProjectConfig};
use crate::error::{Error, Result};

/// The compiled component rules of a project.
#[derive(Debug)]
pub struct Rules {
    blocks: Vec<Component>,
    matcher: Matcher,
    fingerprint: Hash,
}

#[derive(Debug)]
enum Matcher {
    /// One matcher for all blocks; the block's number is the "file" that a pattern came from.
    Together(Gitignore),
    /// One matcher a block, for configurations with `!`.
    Apart(Vec<Gitignore>),
}

/// The first block that matches a directory or one above it: what the files inside inherit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inherited(Option<usize>);

impl Inherited {
    /// The root directory, which no pattern matches.
    pub const ROOT: Inherited = Inherited(None);
}

impl Rules {
    /// Compiles the rules of a project.
    ///
    /// # Errors
    /// `Invalid`, naming the block and the pattern.
    pub fn new(config: &ProjectConfig) -> Result<Rules> {
        let rules = &config.components;
        let mut room = Room::new();
        let negated = rules.iter().flat_map(|r| &r.patterns).any(|p| p.starts_with('!'));
        let matcher = if negated {
            let each = rules.iter().map(|rule| compile(&[(0, rule)], &mut room));
            Matcher::Apart(each.collect::<Result<_>>()?)
        } else {
            let last_first: Vec<_> = rules.iter().enumerate().rev().collect();
            Matcher::Together(compile(&last_first, &mut room)?)
        };
        let blocks = rules.iter().map(|r| r.component).collect();
        Ok(Rules { blocks, matcher, fingerprint: fingerprint(rules) })
    }

    /// The component of one path. Costs a match for every directory above it.
    #[must_use]
    pub fn component_of(&self, path: &RepoPath, is_dir: bool) -> Component {
        let bytes = path.as_bytes();
        let mut inherited = Inherited::ROOT;
        for (at, _) in bytes.iter().enumerate().filter(|&(_, &b)| b == b'/') {
            inherited = self.enter(inherited, &bytes[..at]);
        }
        self.component_in(inherited, bytes, is_dir)
    }

    /// What the content of a directory inherits, given what the directory itself does.
    #[must_use]
    pub fn enter(&self, parent: Inherited, dir: &[u8]) -> Inherited {
        match &self.matcher {
            Matcher::Together(all) if parent.0 != Some(0) => {
                Inherited(first(parent.0, block_of(all.matched(as_path(dir), true))))
            }
            _ => parent,
        }
    }

    /// The component of a path whose directory was [entered](Rules::enter).
    #[must_use]
    pub fn component_in(&self, parent: Inherited, path: &[u8], is_dir: bool) -> Component {
        let block = match &self.matcher {
            Matcher::Together(_) if parent.0 == Some(0) => parent.0,
            Matcher::Together(all) => first(parent.0, block_of(all.matched(as_path(path), is_dir))),
            Matcher::Apart(each) => each
                .iter()
                .position(|m| m.matched_path_or_any_parents(as_path(path), is_dir).is_ignore()),
        };
        block.and_then(|b| self.blocks.get(b)).copied().unwrap_or(Component::Code)
    }

    /// A hash of the rules: equal when every path gets the same answer from the same text.
    #[must_use]
    pub fn fingerprint(&self) -> Hash {
        self.fingerprint
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

fn first(a: Option<usize>, b: Option<usize>) -> Option<usize> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn block_of(found: Match<&Glob>) -> Option<usize> {
    found.inner()?.from()?.to_str()?.parse().ok()
}

fn compile(blocks: &[(usize, &ComponentRule)], room: &mut Room) -> Result<Gitignore> {
    let too_many = |why| Error::invalid(format!("patterns in `{PROJECT_FILE}`"), why);
    room.take_matcher().map_err(too_many)?;
    let mut builder = GitignoreBuilder::new("");
    for (number, rule) in blocks {
        for pattern in &rule.patterns {
            let refuse = |why: &str| {
                let block = rule.component.as_str();
                let what =
                    format!("pattern `{pattern}` of component `{block}` in `{PROJECT_FILE}`");
                Error::invalid(what, why)
            };
            if pattern.contains(['\n', '\0']) {
                return Err(refuse("a pattern is one line of text"));
            }
            room.take_line(pattern).map_err(refuse)?;
            builder
                .add_line(Some(PathBuf::from(number.to_string())), pattern)
                .map_err(|e| refuse(&e.to_string()))?;
        }
    }
    let whole = |e: ignore::Error| Error::invalid(format!("patterns in `{PROJECT_FILE}`"), e);
    builder.build().map_err(whole)
}

fn fingerprint(rules: &[ComponentRule]) -> Hash {
    let mut hasher = BlobHasher::new();
    hasher.update(b"mv component rules 1");
    let mut text = |s: &str| {
        hasher.update(&(s.len() as u64).to_le_bytes());
        hasher.update(s.as_bytes());
    };
    for rule in rules {
        text(rule.component.as_str());
        for pattern in &rule.patterns {
            text(pattern);
        }
        text("");
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(blocks: &[(Component, &[&str])]) -> Rules {
        let components = blocks
            .iter()
            .map(|(component, patterns)| ComponentRule {
                component: *component,
                patterns: patterns.iter().map(ToString::to_string).collect(),
            })
            .collect();
        Rules::new(&ProjectConfig { components, ..ProjectConfig::default() }).unwrap()
    }

    fn of(rules: &Rules, path: &str) -> Component {
        rules.component_of(&RepoPath::from_bytes(path.as_bytes()).unwrap(), false)
    }

    #[test]
    fn patterns_of_strangers_take_no_stack_and_little_memory() {
        let compile = |pattern: String, times| {
            let patterns = vec![pattern; times];
            let rule = ComponentRule { component: Component::Data, patterns };
            Rules::new(&ProjectConfig { components: vec![rule], ..ProjectConfig::default() })
        };
        let message = |pattern, times| compile(pattern, times).unwrap_err().to_string();
        assert!(message("{a,".repeat(30) + &"}".repeat(30), 1).contains("16"));
        assert!(message("{a,b}".repeat(1000), 1).contains("4096"));
        assert!(message("*a?".into(), 100_000).contains("too many"));
        assert!(message("!a".into(), 100_000).contains("too many"));
        assert!(compile("*a?".into(), 1000).is_ok());
    }

    #[test]
    fn the_defaults_know_the_usual_layouts() {
        let rules = Rules::new(&ProjectConfig::default()).unwrap();
        for (path, component) in [
            ("requirements-dev.txt", Component::Env),
            ("docker/Dockerfile", Component::Env),
            ("environment.yaml", Component::Env),
            ("models/a/b/config.json", Component::Model),
            ("models/embeddings.npz", Component::Model),
            ("out/model.safetensors", Component::Model),
            ("data/raw/readme.txt", Component::Data),
            ("data/model.onnx", Component::Model),
            ("test.csv", Component::Data),
            ("x/embeddings.npz", Component::Data),
            ("src/models/resnet.py", Component::Code),
            ("src/data/load.py", Component::Code),
            ("train.py", Component::Code),
            ("params.yaml", Component::Code),
            ("README.md", Component::Code),
        ] {
            assert_eq!(of(&rules, path), component, "{path}");
        }
    }

    #[test]
    fn the_first_block_that_matches_wins_whatever_the_depth() {
        let first_dir = rules(&[(Component::Model, &["m/"]), (Component::Data, &["*.csv"])]);
        assert_eq!(of(&first_dir, "m/sub/x.csv"), Component::Model);
        let first_file = rules(&[(Component::Data, &["*.csv"]), (Component::Model, &["m/"])]);
        assert_eq!(of(&first_file, "m/sub/x.csv"), Component::Data);
        assert_eq!(of(&first_file, "m/sub/x.bin"), Component::Model);
    }

    #[test]
    fn a_directory_pattern_matches_what_is_below_but_no_file_of_that_name() {
        let rules = rules(&[(Component::Model, &["/models/"])]);
        assert_eq!(of(&rules, "models/a/b/c"), Component::Model);
        assert_eq!(of(&rules, "models"), Component::Code);
        assert_eq!(of(&rules, "src/models/a"), Component::Code);
        let path = RepoPath::from_bytes(b"models").unwrap();
        assert_eq!(rules.component_of(&path, true), Component::Model);
    }

    #[test]
    fn a_negated_pattern_takes_back_within_its_block_only() {
        let rules = rules(&[
            (Component::Model, &["m/", "!m/*.csv"]),
            (Component::Data, &["*.csv", "*.bin"]),
        ]);
        assert_eq!(of(&rules, "m/x.csv"), Component::Data);
        assert_eq!(of(&rules, "m/x.bin"), Component::Model);
        assert_eq!(of(&rules, "x.bin"), Component::Data);
        assert_eq!(of(&rules, "m/deep/x.csv"), Component::Model);
    }

    #[test]
    fn names_that_are_not_utf8_are_matched_too() {
        let rules = rules(&[(Component::Data, &["*.csv"])]);
        let path = RepoPath::from_bytes(b"\xff\xfe.csv").unwrap();
        assert_eq!(rules.component_of(&path, false), Component::Data);
    }

    #[test]
    fn a_bad_pattern_is_refused_by_name_and_block() {
        let components =
            vec![ComponentRule { component: Component::Data, patterns: vec!["a{b".into()] }];
        let config = ProjectConfig { components, ..ProjectConfig::default() };
        let message = Rules::new(&config).unwrap_err().to_string();
        assert!(message.contains("`a{b`") && message.contains("`data`"), "{message}");
    }

    #[test]
    fn the_fingerprint_depends_on_every_part_of_the_rules() {
        let all = [
            rules(&[]),
            rules(&[(Component::Data, &["a", "b"])]),
            rules(&[(Component::Data, &["b", "a"])]),
            rules(&[(Component::Model, &["a", "b"])]),
            rules(&[(Component::Data, &["a"]), (Component::Data, &["b"])]),
            rules(&[(Component::Data, &["ab"])]),
        ];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert_eq!(a.fingerprint() == b.fingerprint(), i == j);
            }
        }
    }
}
