//! Keeps `mv` safe as a command name: what is ours, what belongs to the system's `mv`.
//!
//! [`decide`] is a pure function of the words and two facts about the current directory. The
//! rules, in order:
//!
//! 1. called by any other name than `mv`: ours;
//! 2. the first word is neither one of our commands nor one of our global options: the system's;
//! 3. the first word is a command, a file of that name is here and more words follow: outside a
//!    repository the system's, inside one refused with both spellings;
//! 4. otherwise ours.
//!
//! `-v` is an option of both programs. It counts as ours only when a command of ours follows, so
//! that `mv -v a b` still moves a file.

use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::host::Host;
use crate::suggest;

/// The commands of this version.
pub(crate) const COMMANDS: &[&str] = &[
    "init",
    "status",
    "commit",
    "log",
    "show",
    "diff",
    "metrics",
    "params",
    "best",
    "plot",
    "tag",
    "stage",
    "branch",
    "checkout",
    "restore",
    "reset",
    "merge",
    "clone",
    "remote",
    "push",
    "fetch",
    "pull",
    "undo",
    "redo",
    "reflog",
    "ls",
    "cat",
    "archive",
    "bisect",
    "fsck",
    "gc",
    "repack",
    "du",
    "env",
    "config",
    "completions",
    "help",
    "demo",
];

/// Set for the program that is executed, so that two of us on one PATH never call each other in turn.
const GUARD: &str = "MV_PASSED_THROUGH";

/// Whose command line it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Our own command line.
    Ours,
    /// The system's `mv`, with the same words.
    System,
    /// Both are possible and one of them would move a file inside a repository.
    Refuse {
        /// The command that is also a file here.
        word: String,
        /// The words after it.
        rest: Vec<OsString>,
    },
}

/// Decides whose command line `args` (without the program's name) is.
///
/// `exists` tells whether a file or directory of that name is in the current directory.
#[must_use]
pub fn decide(
    argv0: &OsStr,
    args: &[OsString],
    exists: &dyn Fn(&OsStr) -> bool,
    in_repo: bool,
) -> Decision {
    if Path::new(argv0).file_name() != Some(OsStr::new("mv")) {
        return Decision::Ours;
    }
    let lead = Lead::of(args);
    let Some(at) = lead.word else {
        return Decision::Ours;
    };
    let word = &args[at];
    if is_help(word, args.len()) {
        return Decision::Ours;
    }
    let Some(name) = word.to_str().filter(|w| is_command(w)) else {
        return if lead.only_verbose { Decision::System } else { Decision::Ours };
    };
    let rest = &args[at + 1..];
    if lead.only_verbose && !rest.is_empty() && exists(word) {
        return if in_repo {
            Decision::Refuse { word: name.to_owned(), rest: rest.to_vec() }
        } else {
            Decision::System
        };
    }
    Decision::Ours
}

/// The first word after our global options, when it names a command of this version.
pub(crate) fn command_word(args: &[OsString]) -> Option<&'static str> {
    let word = args.get(Lead::of(args).word?)?;
    COMMANDS.iter().find(|c| *word == **c).copied()
}

/// The command that a lone word is a misspelling of. The system's `mv` needs two words, so this
/// is the one case in which it is sure to fail and our command may have been meant.
pub(crate) fn misspelt(args: &[OsString]) -> Option<String> {
    let [word] = args else { return None };
    let word = word.to_str().filter(|w| !w.starts_with('-') && !w.contains('/'))?;
    let names: Vec<String> = COMMANDS.iter().map(|c| (*c).to_owned()).collect();
    suggest::nearest(word, &names).map(str::to_owned)
}

/// The message for [`Decision::Refuse`].
pub(crate) fn refusal(word: &str, rest: &[OsString]) -> Failure {
    let rest: Vec<_> = rest.iter().map(|w| quote(w)).collect();
    let rest = rest.join(" ");
    Failure::usage(format!("`{word}` is a command of mv and also a file here"))
        .hint(format!("`mver {word} {rest}` for the command, `mv ./{word} {rest}` for the file"))
}

/// What stands before the command.
struct Lead {
    /// Where the first word is that is not one of our global options.
    word: Option<usize>,
    /// Whether the options before it, if any, are all ones that the system's `mv` has too.
    only_verbose: bool,
}

impl Lead {
    fn of(args: &[OsString]) -> Lead {
        let mut only_verbose = true;
        let mut at = 0;
        while let Some(arg) = args.get(at) {
            let bytes = arg.as_bytes();
            at += match bytes {
                b"-v" | b"--verbose" => 1,
                b"-C" | b"--color" => {
                    only_verbose = false;
                    2
                }
                b"--json" | b"-q" | b"--quiet" | b"--no-progress" => {
                    only_verbose = false;
                    1
                }
                _ if bytes.starts_with(b"--color=")
                    || bytes.starts_with(b"-C")
                    || is_cluster(bytes) =>
                {
                    only_verbose = only_verbose && bytes.iter().all(|b| b"-v".contains(b));
                    1
                }
                _ => return Lead { word: Some(at), only_verbose },
            };
        }
        Lead { word: None, only_verbose }
    }
}

/// `-qv` and the like.
fn is_cluster(bytes: &[u8]) -> bool {
    bytes.len() > 2 && bytes[0] == b'-' && bytes[1..].iter().all(|b| b"qv".contains(b))
}

/// Help and version are ours; the short forms only when they stand alone, since other systems'
/// `mv` give `-h` a meaning.
fn is_help(word: &OsStr, words: usize) -> bool {
    matches!(word.as_bytes(), b"--help" | b"--version")
        || (words == 1 && matches!(word.as_bytes(), b"-h" | b"-V"))
}

fn is_command(word: &str) -> bool {
    COMMANDS.contains(&word)
}

/// A word as a shell would read it back.
pub(crate) fn quote(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+~^{}".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Becomes the system's `mv`; returns only when that is impossible.
pub(crate) fn exec(args: &[OsString], host: &Host) -> Failure {
    let me = host.executable.as_ref().and_then(|p| p.metadata().ok());
    let path = host.variable("PATH").filter(|_| host.variable(GUARD).is_none());
    let candidates = candidates(path.unwrap_or_default(), me.as_ref());
    let mut last = None;
    for program in candidates {
        if !host.process {
            return Failure::system(format!("would execute `{}`", program.display()));
        }
        // Returns only when the program could not be executed: the next candidate may do better.
        let error = Command::new(&program).arg0("mv").args(args).env(GUARD, "1").exec();
        last = Some(format!("cannot execute `{}`: {error}", program.display()));
    }
    Failure::system(
        last.unwrap_or_else(|| "there is no other `mv` on PATH to pass this on to".to_owned()),
    )
    .hint("for a command of this program, see `mver --help`")
}

/// Every other `mv`, best first: those on PATH after our own place in it, then the usual two.
fn candidates(path: &OsStr, me: Option<&Metadata>) -> Vec<PathBuf> {
    // Relative entries are skipped: a directory that one happens to stand in must not be trusted.
    let on_path: Vec<PathBuf> = std::env::split_paths(path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("mv"))
        .collect();
    // Starting behind ourselves keeps two installed copies from calling each other in turn.
    let ours = on_path.iter().position(|p| is_me(p, me));
    let mut found = Vec::new();
    for program in on_path.iter().skip(ours.map_or(0, |i| i + 1)) {
        push(&mut found, program, me);
    }
    for program in ["/bin/mv", "/usr/bin/mv"] {
        push(&mut found, Path::new(program), me);
    }
    found
}

fn push(found: &mut Vec<PathBuf>, program: &Path, me: Option<&Metadata>) {
    let executable = program.metadata().is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0);
    if executable && !is_me(program, me) && !found.iter().any(|f| f == program) {
        found.push(program.to_path_buf());
    }
}

/// Whether a file is the program that runs: the same inode, through symlinks and hard links.
fn is_me(program: &Path, me: Option<&Metadata>) -> bool {
    let Some(me) = me else { return false };
    program.metadata().is_ok_and(|m| m.dev() == me.dev() && m.ino() == me.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    /// Decides for a directory that holds files named `log`, `status` and `push`.
    fn at(argv0: &str, line: &str, in_repo: bool) -> Decision {
        let here = ["log", "status", "push"];
        decide(OsStr::new(argv0), &words(line), &|n| here.iter().any(|h| n == *h), in_repo)
    }

    fn mv(line: &str) -> Decision {
        at("/usr/local/bin/mv", line, true)
    }

    #[test]
    fn called_as_mver_everything_is_ours() {
        for line in ["a b", "log a", "-f a b", "", "push x"] {
            assert_eq!(at("mver", line, false), Decision::Ours, "{line}");
        }
        assert_eq!(at("mv-under-test", "a b", true), Decision::Ours);
    }

    #[test]
    fn words_that_are_no_command_go_to_the_system() {
        for line in [
            "a b",
            "-f a b",
            "-t dir a",
            "-- log x",
            "-n a b",
            "./log b",
            "-T a b",
            "--backup a b",
            "Log b",
        ] {
            assert_eq!(mv(line), Decision::System, "{line}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_go_to_the_system() {
        use std::os::unix::ffi::OsStringExt;
        let args = [OsString::from_vec(vec![0xff, b'x']), OsString::from("b")];
        assert_eq!(decide(OsStr::new("mv"), &args, &|_| true, true), Decision::System);
    }

    #[test]
    fn our_commands_are_ours_when_no_file_has_their_name() {
        for line in ["init", "commit -m x", "tag v1.0.0", "help log", "push", "checkout main"] {
            assert_eq!(mv(line), Decision::Ours, "{line}");
        }
    }

    #[test]
    fn a_command_alone_is_ours_even_when_a_file_has_its_name() {
        assert_eq!(mv("log"), Decision::Ours);
        assert_eq!(at("mv", "status", false), Decision::Ours);
    }

    #[test]
    fn a_command_that_is_also_a_file_is_refused_in_a_repository() {
        let expected = Decision::Refuse { word: "log".into(), rest: words("old.log") };
        assert_eq!(mv("log old.log"), expected);
        assert!(matches!(mv("push origin"), Decision::Refuse { .. }));
    }

    #[test]
    fn a_command_that_is_also_a_file_goes_to_the_system_outside_a_repository() {
        assert_eq!(at("mv", "log old.log", false), Decision::System);
        assert_eq!(at("mv", "push origin", false), Decision::System);
    }

    #[test]
    fn our_global_options_make_it_ours() {
        for line in [
            "-C dir status",
            "--json log x",
            "-q a b",
            "--color never x",
            "--color=always log x",
            "-Cdir a",
            "-qv a b",
        ] {
            assert_eq!(mv(line), Decision::Ours, "{line}");
        }
    }

    #[test]
    fn no_words_help_and_version_are_ours() {
        for line in ["", "--help", "--version", "-h", "-V", "-v --help", "--help a"] {
            assert_eq!(mv(line), Decision::Ours, "{line}");
        }
        assert_eq!(mv("-h a b"), Decision::System);
    }

    #[test]
    fn verbose_is_ours_only_with_one_of_our_commands() {
        assert_eq!(mv("-v a b"), Decision::System);
        assert_eq!(mv("--verbose a b"), Decision::System);
        assert_eq!(mv("-v -f a b"), Decision::System);
        assert_eq!(mv("-vf a b"), Decision::System);
        assert_eq!(mv("-v diff"), Decision::Ours);
        assert_eq!(mv("-vv tag"), Decision::Ours);
        assert_eq!(mv("-v"), Decision::Ours);
        assert!(matches!(mv("-v log b"), Decision::Refuse { .. }));
    }

    #[test]
    fn only_a_lone_word_is_taken_for_a_misspelling() {
        assert_eq!(misspelt(&words("statsu")).as_deref(), Some("status"));
        assert_eq!(misspelt(&words("statsu b")), None);
        assert_eq!(misspelt(&words("./statsu")), None);
        assert_eq!(misspelt(&words("file.txt")), None);
    }

    #[test]
    fn the_refusal_names_both_spellings() {
        let failure = refusal("log", &words("old log's"));
        let hint = failure.hint.unwrap_or_default();
        assert!(hint.contains("`mver log old 'log'\\''s'` for the command"), "{hint}");
        assert!(hint.contains("`mv ./log old 'log'\\''s'` for the file"), "{hint}");
    }

    #[test]
    fn the_next_mv_on_path_is_not_ourselves_under_any_name() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let sub = dir.path().join(name);
            std::fs::create_dir(&sub).unwrap();
            sub.join("mv")
        };
        let (linked, hard, copy, system) =
            (place("symlink"), place("hard"), place("copy"), place("system"));
        let me = dir.path().join("mver");
        for file in [&me, &copy, &system] {
            std::fs::write(file, "x").unwrap();
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(&me, &linked).unwrap();
        std::fs::hard_link(&me, &hard).unwrap();
        let dirs = [&linked, &hard, &system].map(|p| p.parent().unwrap().to_path_buf());
        let path = std::env::join_paths(&dirs).unwrap();
        let meta = me.metadata().unwrap();
        assert_eq!(candidates(&path, Some(&meta))[0], system);

        // A program at the second place starts behind itself, so it never calls the first again.
        let dirs = [&copy, &hard, &system].map(|p| p.parent().unwrap().to_path_buf());
        let path = std::env::join_paths(&dirs).unwrap();
        assert_eq!(candidates(&path, Some(&meta))[0], system);
    }
}
