//! Repositories made by an enemy: names that are paths, objects that are not what they are called,
//! bombs. Every command fails cleanly and nothing outside is touched.

use mv_store::{Hash, Kind, id_of};
use mv_tests::forge::{self, Block, Entry};
use mv_tests::{Files, Sandbox};

/// A victim's project, with things around it that must not change.
fn victim() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.outside().join("sentinel"), "do not touch").unwrap();
    std::fs::create_dir(sandbox.outside().join("x")).unwrap();
    std::fs::create_dir_all(sandbox.root().join(".git/hooks")).unwrap();
    sandbox.write(".git/config", "[core]\n");
    sandbox.write("mine.py", "mine");
    sandbox.commit("mine");
    sandbox
}

/// Everything around and in the victim's project but the repository's own bookkeeping.
fn surroundings(sandbox: &Sandbox) -> Files {
    Files::read(&sandbox.outside()).without(|path| {
        path.starts_with(b"project/.mv/tmp")
            || path.starts_with(b"project/.mv/worktree")
            || path.starts_with(b"project/.mv/state")
            || path.starts_with(b"project/.mv/packs")
    })
}

/// Runs every command that reads a version; each must fail with 3 and change nothing.
#[track_caller]
fn refused_everywhere(sandbox: &Sandbox, what: &str) {
    refused(sandbox, what, &surroundings);
}

/// As [`refused_everywhere`], for damage that shows only when a file is written: what is sound of
/// the version is put in place, and files of HEAD's that it does not have are taken away.
#[track_caller]
fn refused_after_trying(sandbox: &Sandbox, what: &str) {
    refused(sandbox, what, &outside_the_tree);
    assert!(!sandbox.exists("f"), "{what}");
}

fn outside_the_tree(sandbox: &Sandbox) -> Files {
    let in_tree = |path: &[u8]| path.starts_with(b"project/") && !path.starts_with(b"project/.");
    surroundings(sandbox).without(in_tree)
}

#[track_caller]
fn refused(sandbox: &Sandbox, what: &str, look: &dyn Fn(&Sandbox) -> Files) {
    let before = look(sandbox);
    let head = sandbox.json(&["status"])["head"].clone();
    let tar = sandbox.outside().join("out.tar");
    let tar = tar.to_str().unwrap();
    let commands: [&[&str]; 5] = [
        // First, because after a checkout that was cut off no part of a version is taken.
        &["restore", "--from", "evil", "."],
        &["checkout", "evil"],
        &["checkout", "--force", "evil"],
        &["archive", "evil", "-o", tar],
        &["fsck", "--full"],
    ];
    for command in commands {
        let output = sandbox.mv(command);
        assert_eq!(output.code, 3, "{what}: {command:?}: {}{}", output.stdout, output.stderr);
        output.printable();
        assert!(!output.stderr.contains("panicked"), "{what}: {}", output.stderr);
    }
    assert_eq!(sandbox.json(&["status"])["head"], head, "{what}");
    look(sandbox).assert_same(&before, what);
}

/// A tree with these entries, all of which name one small blob, as branch `evil`.
fn plant_names(sandbox: &Sandbox, names: &[&[u8]]) {
    let blob = Block::raw(Kind::Blob, b"evil");
    let id = blob.objects[0].0;
    let entries: Vec<_> = names.iter().map(|name| Entry::file(name, id, 4)).collect();
    plant_tree(sandbox, vec![blob], &entries);
}

fn plant_tree(sandbox: &Sandbox, mut blocks: Vec<Block>, entries: &[Entry]) {
    let tree = forge::tree(entries);
    // A version with bytes and no files cannot even be written down.
    let files = entries.iter().fold(0u64, |sum, e| sum.saturating_add(e.files)).max(1);
    let bytes = entries.iter().fold(0u64, |sum, e| sum.saturating_add(e.bytes));
    blocks.push(Block::raw(Kind::Tree, &tree));
    forge::plant_version(&sandbox.dot(), blocks, id_of(Kind::Tree, &tree), files, bytes, "evil");
}

#[test]
fn an_honest_forgery_is_accepted_so_that_the_others_fail_for_their_own_reason() {
    let sandbox = victim();
    plant_names(&sandbox, &[b"a", b"b"]);
    sandbox.sound();
    sandbox.ok(&["checkout", "evil"]);
    assert_eq!(sandbox.read("a"), b"evil");
}

#[test]
fn names_that_are_paths_are_refused() {
    let names: [&[u8]; 15] = [
        b"../x",
        b"..",
        b".",
        b"",
        b"/abs",
        b"a/../../x",
        b"a//b",
        b"a/",
        b"a/b",
        b"nul\0byte",
        b".mv",
        b".git",
        b".GIT",
        b".Mv",
        b".git.",
    ];
    for name in names {
        let sandbox = victim();
        plant_names(&sandbox, &[name]);
        refused_everywhere(&sandbox, &String::from_utf8_lossy(name));
    }
}

#[test]
fn aliases_of_the_repository_folders_are_refused() {
    let names: [&[u8]; 8] = [
        b".git ",
        b".mv.",
        b"GIT~1",
        b"MV~1",
        b".git::$INDEX_ALLOCATION",
        b".g\xe2\x80\x8cit",
        b".m\xe2\x80\x8cv",
        b".MV",
    ];
    for name in names {
        let sandbox = victim();
        plant_names(&sandbox, &[name]);
        refused_everywhere(&sandbox, &String::from_utf8_lossy(name));
    }
}

#[test]
fn a_hook_below_a_forged_git_folder_is_refused() {
    let sandbox = victim();
    let blob = Block::raw(Kind::Blob, b"#!/bin/sh\n");
    let id = blob.objects[0].0;
    let hooks = forge::tree(&[Entry { mode: 1, ..Entry::file("post-checkout", id, 10) }]);
    let git = forge::tree(&[Entry::dir("hooks", id_of(Kind::Tree, &hooks), 10, 1)]);
    let blocks = vec![blob, Block::raw(Kind::Tree, &hooks), Block::raw(Kind::Tree, &git)];
    plant_tree(&sandbox, blocks, &[Entry::dir(".git", id_of(Kind::Tree, &git), 10, 1)]);
    refused_everywhere(&sandbox, ".git/hooks/post-checkout");
}

#[test]
fn unsorted_repeated_and_overlong_names_are_refused() {
    let long = vec![b'n'; 256];
    for names in [vec![b"b".as_slice(), b"a"], vec![b"a", b"a"], vec![&long]] {
        let sandbox = victim();
        plant_names(&sandbox, &names);
        refused_everywhere(&sandbox, &format!("{names:?}"));
    }
}

#[test]
fn impossible_modes_and_counts_are_refused() {
    let blob = Block::raw(Kind::Blob, b"evil");
    let file = Entry::file("f", blob.objects[0].0, 4);
    for entry in [
        Entry { mode: 4, ..file.clone() },
        Entry { mode: 0o4755, ..file.clone() },
        Entry { files: 2, ..file.clone() },
        Entry { files: 0, ..file.clone() },
        Entry { bytes: 5, ..file.clone() },
        Entry { bytes: u64::MAX, ..file.clone() },
        Entry { mode: 3, ..file.clone() },
        Entry { mode: 2, bytes: 0, ..file.clone() },
    ] {
        let sandbox = victim();
        plant_tree(&sandbox, vec![blob.clone()], std::slice::from_ref(&entry));
        refused_after_trying(&sandbox, &format!("{entry:?}"));
    }
}

#[test]
fn a_tree_that_is_deeper_than_any_path_is_refused() {
    let sandbox = victim();
    let blob = Block::raw(Kind::Blob, b"evil");
    let mut entry = Entry::file("f", blob.objects[0].0, 4);
    let mut blocks = vec![blob];
    for _ in 0..600 {
        let tree = forge::tree(&[entry]);
        blocks.push(Block::raw(Kind::Tree, &tree));
        entry = Entry::dir("d", id_of(Kind::Tree, &tree), 4, 1);
    }
    plant_tree(&sandbox, blocks, &[entry]);
    refused_everywhere(&sandbox, "600 levels");
}

/// Forty levels of two names for one child: 2^40 files from a few kilobytes.
#[test]
fn a_tree_that_shares_its_children_without_end_is_refused_at_once() {
    let sandbox = victim();
    let blob = Block::raw(Kind::Blob, b"evil");
    let id = blob.objects[0].0;
    let mut blocks = vec![blob];
    let mut entries = vec![Entry::file("a", id, 4), Entry::file("b", id, 4)];
    for level in 1..40u32 {
        let tree = forge::tree(&entries);
        blocks.push(Block::raw(Kind::Tree, &tree));
        let child = id_of(Kind::Tree, &tree);
        let (files, bytes) = (1u64 << level, 4u64 << level);
        entries = vec![Entry::dir("a", child, bytes, files), Entry::dir("b", child, bytes, files)];
    }
    plant_tree(&sandbox, blocks, &entries);
    let before = surroundings(&sandbox);
    for command in [["checkout", "evil"], ["ls", "evil"], ["diff", "evil"]] {
        let output = sandbox.run(limited(&sandbox, 2 << 20).args(command));
        assert!([1, 3].contains(&output.code), "{command:?}: {} {}", output.code, output.stderr);
        output.printable();
    }
    surroundings(&sandbox).assert_same(&before, "2^40 files");
}

/// The program with that many KiB of address space.
fn limited(sandbox: &Sandbox, kib: u64) -> std::process::Command {
    let mut command = sandbox.command_for(std::path::Path::new("/bin/sh"));
    command.arg("-c").arg(format!("ulimit -v {kib}; exec mver \"$@\"")).arg("sh");
    command
}

#[test]
fn an_object_whose_bytes_are_not_its_id_is_refused() {
    for kind in [Kind::Blob, Kind::Tree] {
        let sandbox = victim();
        let blob = b"what the id says".as_slice();
        let id = id_of(Kind::Blob, blob);
        let (file, tree);
        let mut blocks = vec![];
        if kind == Kind::Blob {
            file = b"something else!!".as_slice();
            tree = forge::tree(&[Entry::file("f", id, 16)]);
            blocks.push(Block::raw(Kind::Tree, &tree));
        } else {
            file = blob;
            tree = forge::tree(&[Entry::file("f", id, 16)]);
            let other = forge::tree(&[Entry::file("g", id, 16)]);
            blocks.push(Block::claimed(Kind::Tree, &other, id_of(Kind::Tree, &tree)));
        }
        blocks.push(Block::claimed(Kind::Blob, file, id));
        let code = id_of(Kind::Tree, &tree);
        forge::plant_version(&sandbox.dot(), blocks, code, 1, 16, "evil");
        match kind {
            Kind::Blob => refused_after_trying(&sandbox, "a blob"),
            _ => refused_everywhere(&sandbox, "a tree"),
        }
        // A second try fails in the same way.
        sandbox.mv(&["checkout", "evil"]).clean_fail(3);
    }
}

#[test]
fn a_manifest_whose_bytes_are_not_its_id_is_refused() {
    let sandbox = victim();
    let empty = id_of(Kind::Tree, &forge::tree(&[]));
    let honest = forge::manifest(empty, 0, 0, "honest");
    let other = forge::manifest(empty, 0, 0, "other");
    let target = id_of(Kind::Manifest, &honest);
    let blocks =
        [Block::claimed(Kind::Manifest, &other, target), Block::raw(Kind::Tree, &forge::tree(&[]))];
    forge::plant(&sandbox.dot(), &blocks, "evil", target);
    sandbox.mv(&["checkout", "evil"]).clean_fail(3);
    sandbox.mv(&["log", "evil"]).clean_fail(3);
    sandbox.mv(&["fsck", "--full"]).expect(3);
}

#[test]
fn an_object_of_one_kind_cannot_pose_as_another() {
    let empty = id_of(Kind::Tree, &forge::tree(&[]));
    let manifest = forge::manifest(empty, 0, 0, "posing");
    let small = forge::tree(&[Entry::file("f", id_of(Kind::Blob, b"x"), 1)]);
    // A file whose content is a valid manifest, as a version.
    let sandbox = victim();
    let blob = Block::raw(Kind::Blob, &manifest);
    let target = blob.objects[0].0;
    forge::plant(&sandbox.dot(), &[blob], "evil", target);
    sandbox.mv(&["checkout", "evil"]).clean_fail(3);
    sandbox.mv(&["fsck", "--full"]).expect(3);
    // The same, with the kind of its block forged too.
    let sandbox = victim();
    let id = id_of(Kind::Blob, &manifest);
    forge::plant(&sandbox.dot(), &[Block::claimed(Kind::Manifest, &manifest, id)], "evil", id);
    sandbox.mv(&["checkout", "evil"]).clean_fail(3);
    sandbox.mv(&["fsck", "--full"]).expect(3);
    // A file whose content is a valid tree, as a directory; and a tree as a file.
    let sandbox = victim();
    let blob = Block::raw(Kind::Blob, &small);
    let entry = Entry::dir("d", blob.objects[0].0, 1, 1);
    plant_tree(&sandbox, vec![blob, Block::raw(Kind::Blob, b"x")], &[entry]);
    refused_everywhere(&sandbox, "a blob as a tree");
    let sandbox = victim();
    let tree = Block::raw(Kind::Tree, &small);
    let entry = Entry::file("f", tree.objects[0].0, small.len() as u64);
    plant_tree(&sandbox, vec![tree, Block::raw(Kind::Blob, b"x")], &[entry]);
    refused_after_trying(&sandbox, "a tree as a file");
}

#[test]
fn zstd_bombs_and_odd_frames_are_refused_within_bounds() {
    let bytes = vec![0u8; 100_000];
    let id = id_of(Kind::Blob, &bytes);
    let honest = zstd::bulk::compress(&bytes, 1).unwrap();
    let bomb = zstd::bulk::compress(&vec![0u8; 512 << 20], 1).unwrap();
    let mut absent = Vec::new();
    zstd::stream::copy_encode(&bytes[..], &mut absent, 1).unwrap();
    let mut window = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3];
    window.extend(&honest[6..]);
    let mut skippable = vec![0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    skippable.extend(&honest);
    let mut dictionary = honest.clone();
    dictionary[4] |= 1;
    dictionary.insert(5, 7);
    let mut legacy = honest.clone();
    legacy[..4].copy_from_slice(&[0x24, 0xb5, 0x2f, 0xfd]);
    let cases: [(&str, Vec<u8>, u64); 10] = [
        ("bomb", bomb.clone(), 100_000),
        ("bomb that says so", bomb, 512 << 20),
        ("declared too low", honest.clone(), 99_999),
        ("declared too high", honest.clone(), 100_001),
        ("declared beyond the limit", honest.clone(), u64::MAX),
        ("window of 2 GiB", window, 100_000),
        ("skippable frame first", skippable, 100_000),
        ("dictionary", dictionary, 100_000),
        ("legacy frame", legacy, 100_000),
        ("two frames", [honest.clone(), honest].concat(), 100_000),
    ];
    for (what, frame, raw_len) in cases {
        let sandbox = victim();
        let block = Block::zstd(&frame, raw_len, id);
        plant_tree(&sandbox, vec![block], &[Entry::file("f", id, 100_000)]);
        let before = outside_the_tree(&sandbox);
        for command in [["checkout", "evil"], ["fsck", "--full"], ["cat", "evil:f"]] {
            let output = sandbox.run(limited(&sandbox, 1 << 20).args(command));
            assert_eq!(output.code, 3, "{what}: {command:?}: {}", output.stderr);
            output.printable();
        }
        outside_the_tree(&sandbox).assert_same(&before, what);
        assert!(!sandbox.exists("f"), "{what}");
    }
}

#[test]
fn chunk_lists_that_lie_repeat_or_loop_are_refused() {
    let chunk = Block::raw(Kind::Blob, &[7; 1000]);
    let id = chunk.objects[0].0;
    let whole = Hash([9; 32]);
    let huge: Vec<_> = (0..1000).map(|_| (id, u64::MAX / 1000)).collect();
    let cases: [(&str, Block, u64); 6] = [
        ("another length", Block::list(0, &[(id, 999)], whole), 999),
        ("itself", Block::list(0, &[(whole, 1000)], whole), 1000),
        ("a chunk as a node", Block::list(1, &[(id, 1000)], whole), 1000),
        ("too high", Block::list(200, &[(id, 1000)], whole), 1000),
        ("lengths beyond 64 bits", Block::list(0, &huge, whole), 1000),
        ("nothing", Block::list(0, &[], whole), 0),
    ];
    for (what, list, bytes) in cases {
        let sandbox = victim();
        plant_tree(&sandbox, vec![chunk.clone(), list], &[Entry::file("f", whole, bytes)]);
        refused_after_trying(&sandbox, what);
    }
    // A petabyte of one kilobyte, honestly declared: no disk has room for it.
    let sandbox = victim();
    let mut blocks = vec![chunk];
    let mut item = (id, 1000u64);
    for height in 0..4u8 {
        let items = vec![item; 1000];
        let mut list = Block::list(height, &items, Hash::ZERO);
        let node = id_of(Kind::List, &list.stored);
        list.encoding = 0;
        list.kind = Kind::List.code();
        list.raw_len = list.stored.len() as u64;
        list.objects = vec![(node, 0)];
        blocks.push(list);
        item = (node, item.1 * 1000);
    }
    blocks.push(Block::list(4, &[item], whole));
    plant_tree(&sandbox, blocks, &[Entry::file("f", whole, item.1)]);
    let output = sandbox.mv(&["checkout", "evil"]);
    assert!([1, 3, 6].contains(&output.code), "{} {}", output.code, output.stderr);
    output.printable();
    assert!(!sandbox.exists("f"));
}

#[test]
fn lengths_beyond_all_bounds_in_a_record_are_refused_without_memory() {
    let sandbox = victim();
    let path = sandbox.dot().join("state/00000000000000000003");
    let honest = std::fs::read(sandbox.dot().join("state/00000000000000000002")).unwrap();
    // Everything behind the header, generation and previous hash, cut short by a huge count.
    for cut in [22, 54, 55, 56, 60, 61, 62, 95, 96, 97, 98, 99, 100, 101, 102] {
        for claim in [1u64 << 40, 1 << 63, u64::MAX] {
            let mut bytes = honest[..cut].to_vec();
            bytes.push(253);
            bytes.extend(claim.to_le_bytes());
            bytes.extend(&honest[cut..honest.len() - 32]);
            let seal = id_of(Kind::Blob, &bytes);
            bytes.extend(seal.0);
            std::fs::write(&path, &bytes).unwrap();
            for command in [["log", "-n1"], ["fsck", "--full"]] {
                let output = sandbox.run(limited(&sandbox, 512 << 10).args(command));
                assert_eq!(output.code, 3, "{cut} {claim}: {}", output.stderr);
                output.printable();
            }
        }
    }
}

/// Commit 1 has a symlink to a directory outside, commit 2 a directory of that name.
#[test]
fn a_symlink_that_becomes_a_directory_never_leads_outside() {
    let sandbox = Sandbox::new();
    let outside = sandbox.outside().join("sentinel");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("f"), "do not touch").unwrap();
    sandbox.symlink("d", &outside);
    let first = sandbox.commit("symlink");
    sandbox.remove("d");
    sandbox.write("d/f", "inside");
    sandbox.write("d/sub/g", "inside");
    let second = sandbox.commit("directory");
    for (id, inside) in [(&first, false), (&second, true), (&first, false), (&second, true)] {
        sandbox.ok(&["checkout", id]);
        let is_dir = sandbox.root().join("d").symlink_metadata().unwrap().is_dir();
        assert_eq!(is_dir, inside);
    }
    assert_eq!(sandbox.read("d/f"), b"inside");
    // And when the user plants the symlink himself between two versions of the directory.
    sandbox.write("d/f", "inside 2");
    let third = sandbox.commit("directory again");
    sandbox.remove("d");
    sandbox.symlink("d", &outside);
    sandbox.mv(&["checkout", &second]).clean_fail(1);
    sandbox.ok(&["checkout", "--force", &second]);
    sandbox.ok(&["checkout", &third]);
    assert_eq!(std::fs::read(outside.join("f")).unwrap(), b"do not touch");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn hostile_ref_names_are_refused_by_every_command_that_makes_one() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "a");
    sandbox.commit("a");
    let long = "n".repeat(300);
    let id = "a".repeat(64);
    for name in [
        "",
        "a..b",
        "@{1}",
        "x.lock",
        "a b",
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
        "@",
        "HEAD",
        "con",
        "a/nul.txt",
        "\u{1b}[31m",
        "a\nb",
        "a\u{202e}b",
        &id,
        &long,
    ] {
        for command in [["branch", name], ["tag", name], ["checkout", "-b"]] {
            let args: Vec<&str> =
                if command[1] == "-b" { vec!["checkout", "-b", name] } else { command.to_vec() };
            let output = sandbox.mv(&args);
            assert_eq!(output.code, 2, "{args:?}: {}{}", output.stdout, output.stderr);
            output.printable();
        }
        let output = sandbox.mv(&["commit", "--allow-empty", "-m", "x", "--tag", name]);
        assert_eq!(output.code, 2, "--tag {name:?}: {}", output.stderr);
    }
    for name in ["-f", "--force", "-d"] {
        for command in ["branch", "tag"] {
            assert_eq!(sandbox.mv(&[command, "--", name]).code, 2, "{command} -- {name}");
        }
    }
    assert_eq!(sandbox.json(&["branch"]).as_array().unwrap().len(), 1);
    assert_eq!(sandbox.json(&["tag"]).as_array().unwrap().len(), 0);
}

#[test]
fn names_that_collide_on_some_disk_are_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "a");
    sandbox.commit("a");
    sandbox.ok(&["branch", "exp/one"]);
    assert_ne!(sandbox.mv(&["branch", "exp"]).code, 0);
    assert_ne!(sandbox.mv(&["branch", "exp/one/two"]).code, 0);
    assert_ne!(sandbox.mv(&["branch", "EXP/one"]).code, 0);
    assert_ne!(sandbox.mv(&["branch", "exp/One"]).code, 0);
}

const ESCAPES: &str = "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\r\u{8}";

#[test]
fn escape_sequences_never_reach_the_output_raw() {
    let sandbox = Sandbox::new();
    let name = format!("evil{ESCAPES}.py");
    sandbox.write(&name, "1\n");
    sandbox.write("conflict.py", "1");
    let author = format!("Eve{} <eve@example.org>", "\u{9b}2J\u{202e}");
    let message = format!("subject {ESCAPES}\n\nbody {ESCAPES}");
    let first = sandbox.mv(&["commit", "-m", &message, "--author", &author]);
    if first.code != 0 {
        first.clean_fail(2);
        sandbox.ok(&["commit", "-m", &message]).printable();
    }
    sandbox.ok(&["checkout", "-b", "other"]).printable();
    sandbox.write(&name, format!("2 {ESCAPES}\n"));
    sandbox.ok(&["commit", "-m", "two"]).printable();
    sandbox.ok(&["checkout", "main"]);
    sandbox.write(&name, format!("mine {ESCAPES}\n"));
    let commands: [&[&str]; 16] = [
        &["status"],
        &["log"],
        &["log", "--oneline", "--graph"],
        &["show"],
        &["diff"],
        &["diff", "main", "other"],
        &["diff", "--stat", "main", "other"],
        &["diff", "--name-only", "main", "other"],
        &["ls"],
        &["du"],
        &["reflog"],
        &["gc"],
        &["checkout", "other"],
        &["checkout", ESCAPES],
        &["restore", ESCAPES],
        &["cat", ESCAPES],
    ];
    for command in commands {
        let output = sandbox.mv(command);
        output.printable();
        let output = sandbox.run(sandbox.command().args(command).arg("--color=always"));
        for text in [&output.stdout, &output.stderr] {
            let raw = ["\u{1b}[31mred", "\u{1b}]0", "\u{7}", "\u{9b}", "\u{202e}", "\r", "\u{8}"];
            assert!(!raw.iter().any(|escape| text.contains(escape)), "{command:?}: {text:?}");
        }
    }
    // In JSON nothing is lost and nothing is raw either.
    let listed = sandbox.mv(&["--json", "ls"]).expect(0);
    listed.printable();
    let names: Vec<_> =
        listed.json().as_array().unwrap().iter().map(|f| f["path"].clone()).collect();
    assert!(names.iter().any(|n| *n == name.as_str()), "{names:?}");
    let logged = sandbox.mv(&["--json", "log"]).expect(0);
    logged.printable();
    let found = logged.json()[0]["message"].as_str().unwrap().to_owned();
    assert_eq!(found, message);
    // Damage names the file, escaped.
    for pack in mv_tests::damage::packs(&sandbox.dot()) {
        mv_tests::damage::flip(&pack, 30, 1);
    }
    sandbox.mv(&["fsck", "--full"]).expect(3).printable();
    sandbox.mv(&["checkout", "--force", "other"]).printable();
}
