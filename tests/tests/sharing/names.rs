//! Names of refs that break a rule, and escape sequences, from a remote and on the command line.

use std::fs;

use mv_store::{Hash, Kind, id_of};
use mv_tests::forge::{self, Block, Entry};
use mv_tests::forged::{Refs, Remote, Version, ledger};

use super::hostile::{around, no_clone, refused, victim};
use super::team::{Team, published, shared, text};

/// Puts a name into one of the lists of a record, with a version and an entry of a ledger.
type PutName<'a> = dyn Fn(&mut Refs, Hash, Hash) + 'a;

/// Every rule of ref names.
const NAMES: [&str; 38] = [
    "",
    "-f",
    "--force",
    "a..b",
    "@",
    "@{1}",
    "a@{1}b",
    "HEAD",
    "head",
    "latest",
    "refs/heads/x",
    "x.lock",
    "X.LOCK",
    "x.lock/y",
    "a b",
    "a\tb",
    "a\nb",
    "a~1",
    "a^",
    "a:b",
    "a?b",
    "a*",
    "a[b",
    "a\\b",
    "/a",
    "a/",
    "a//b",
    ".a",
    "a/.b",
    "a.",
    "con",
    "a/nul.txt",
    "COM1",
    "lpt²",
    "\u{1b}[31m",
    "a\u{202e}b",
    "a\u{200b}b",
    "a\u{a0}b",
];

#[test]
fn names_of_refs_that_break_a_rule_are_refused_wherever_they_stand() {
    let long = "n".repeat(256);
    let (hex, short) = ("a".repeat(64), "b".repeat(40));
    for name in NAMES.iter().copied().chain([&*long, &*hex, &*short]) {
        let name = name.as_bytes();
        let lists: [&PutName<'_>; 4] = [
            &|refs, version, _| {
                refs.branches.push((name.to_vec(), version));
                refs.branches.sort();
            },
            &|refs, version, _| refs.tags.push((name.to_vec(), Some(version))),
            &|refs, version, entry| refs.stages.push((name.to_vec(), version, entry)),
            &|refs, _, _| refs.head = name.to_vec(),
        ];
        let sandbox = victim();
        let before = around(&sandbox);
        for list in lists {
            let mut remote = Remote::new(&shared(&sandbox));
            let version = remote.honest();
            let entry = ledger(name, &version, b"why").bytes;
            remote.pack(&[Block::raw(Kind::Blob, &entry)]);
            let mut refs = Refs::main(version);
            list(&mut refs, version, id_of(Kind::Blob, &entry));
            remote.record(&refs);
            sandbox.mv(&["clone", text(&remote.dir), "."]).clean_fail(3);
            assert_eq!(published(&sandbox.dot()), Vec::<Vec<u8>>::new(), "{name:?}");
            fs::remove_dir_all(&remote.dir).unwrap();
        }
        around(&sandbox).assert_same(&before, "a name");
    }
}

#[test]
fn names_of_refs_that_collide_or_are_no_text_are_refused() {
    for pair in [["a", "A"], ["a", "a/b"], ["A", "a/b"], ["b", "a"], ["a", "a"]] {
        no_clone(&format!("{pair:?}"), 3, &|remote| {
            let version = remote.honest();
            let branches = pair.map(|name| (name.as_bytes().to_vec(), version)).to_vec();
            remote.record(&Refs { head: pair[0].into(), branches, ..Refs::main(version) });
        });
    }
    no_clone("not UTF-8", 3, &|remote| {
        let version = remote.honest();
        let branches = vec![(b"a\xff".to_vec(), version)];
        remote.record(&Refs { branches, ..Refs::main(version) });
    });
    no_clone("a tag without a version that is no number", 3, &|remote| {
        let version = remote.honest();
        remote.record(&Refs { tags: vec![(b"plain".to_vec(), None)], ..Refs::main(version) });
    });
}

#[test]
fn a_name_on_the_command_line_is_never_an_option_or_a_path() {
    let team = Team::new();
    for name in NAMES {
        for command in
            [&["push", "origin", "--", name][..], &["push", "origin", "--delete", "--", name]]
        {
            if name.eq_ignore_ascii_case("head") {
                continue;
            }
            team.bob.mv(command).clean_fail(2);
        }
        team.bob.mv(&["fetch", "--", name]).clean_fail(2);
        let added = team.bob.mv(&["remote", "add", "--", name, text(&team.shared())]);
        added.clean_fail(2);
    }
    team.bob.mv(&["remote", "add", "a/b", text(&team.shared())]).clean_fail(2);
    assert_eq!(team.bob.json(&["remote", "list"]).as_array().unwrap().len(), 1);
}

const ESCAPES: &str = "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\r\u{8}";

#[test]
fn escape_sequences_from_a_remote_never_reach_the_output_raw() {
    let sandbox = victim();
    let mut remote = Remote::new(&shared(&sandbox));
    let first = remote.honest();
    sandbox.ok(&["clone", text(&remote.dir), "."]);
    let blob = Block::raw(Kind::Blob, ESCAPES.as_bytes());
    let name = format!("evil{ESCAPES}");
    let entry = Entry::file(&name, blob.objects[0].0, ESCAPES.len() as u64);
    let root = forge::tree(&[entry]);
    let tree = Block::raw(Kind::Tree, &root);
    let message = format!("subject {ESCAPES}\n\nbody {ESCAPES}").into_bytes();
    let version = Version {
        parents: vec![first],
        message,
        author: "Eve\u{202e}".as_bytes().to_vec(),
        ..Version::of(tree.objects[0].0, 1, ESCAPES.len() as u64)
    };
    let second = remote.version(vec![blob, tree], &version);
    let why = ledger(b"production", &second, ESCAPES.as_bytes()).bytes;
    remote.pack(&[Block::raw(Kind::Blob, &why)]);
    let stages = vec![(b"production".to_vec(), second, id_of(Kind::Blob, &why))];
    remote.record(&Refs { stages, ..Refs::main(second) });
    // Names that nobody asks for.
    fs::write(remote.dir.join("state").join(ESCAPES), "x").unwrap();
    fs::write(remote.dir.join(ESCAPES), "x").unwrap();
    let commands: [&[&str]; 14] = [
        &["fetch", "--dry-run"],
        &["fetch"],
        &["diff", "HEAD", "origin/main"],
        &["pull"],
        &["status"],
        &["log"],
        &["show"],
        &["ls"],
        &["reflog"],
        &["stage", "history", "production"],
        &["stage", "list"],
        &["remote", "list"],
        &["push"],
        &["fsck", "--full"],
    ];
    for command in commands {
        sandbox.mv(command).expect(0).printable();
        sandbox.run(sandbox.command().arg("--json").args(command)).expect(0).printable();
        // Even where the terminal is said to have colours.
        let output = sandbox.run(sandbox.command().args(command).arg("--color=always"));
        for text in [&output.stdout, &output.stderr] {
            let raw = ["\u{1b}[31mred", "\u{1b}]0", "\u{7}", "\u{9b}", "\u{202e}", "\r", "\u{8}"];
            assert!(!raw.iter().any(|escape| text.contains(escape)), "{command:?}: {text:?}");
        }
    }
    let logged = sandbox.json(&["log"]);
    assert!(logged[0]["message"].as_str().unwrap().contains(ESCAPES));
    assert_eq!(sandbox.json(&["ls"])[0]["path"], name.as_str());
    // An author in more than one line cannot be written down.
    refused("an author with a line break", &|remote| {
        let empty = id_of(Kind::Tree, &forge::tree(&[]));
        let author = b"Eve\x1b[31m\n".to_vec();
        let id = remote.version(vec![], &Version { author, ..Version::of(empty, 0, 0) });
        remote.record(&Refs::main(id));
    });
}

#[test]
fn damage_at_a_remote_is_told_without_escape_sequences() {
    refused("a file with escapes in its name that is not there", &|remote| {
        let name = format!("evil{ESCAPES}");
        remote.entries(vec![], &[Entry::file(&name, Hash([5; 32]), 4)]);
    });
    refused("a name with escapes that is a path", &|remote| {
        let blob = Block::raw(Kind::Blob, b"evil");
        let name = format!("../{ESCAPES}");
        let entry = Entry::file(&name, blob.objects[0].0, 4);
        remote.entries(vec![blob], &[entry]);
    });
    let sandbox = victim();
    for url in [format!("/tmp/{ESCAPES}"), format!("s3://{ESCAPES}"), format!("{ESCAPES}::x")] {
        sandbox.mv(&["clone", "--", &url, "made"]).clean_fail(2);
    }
}
