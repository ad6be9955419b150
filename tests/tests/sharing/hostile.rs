//! A remote under an enemy's hands. Whatever it holds: one clean line, the right exit code, nothing
//! published, nothing touched around, and a second try that fails in the same way.

use std::path::Path;
use std::process::Command;

use mv_store::{Hash, Kind, id_of};
use mv_tests::forge::{self, Block, Entry};
use mv_tests::forged::{Refs, Remote, Version, ledger};
use mv_tests::{Files, Output, Sandbox};

use super::team::{published, shared, text};

/// An empty project with things around it that must not change.
pub(super) fn victim() -> Sandbox {
    let sandbox = Sandbox::bare();
    std::fs::write(sandbox.outside().join("sentinel"), "do not touch").unwrap();
    std::fs::create_dir(sandbox.outside().join("x")).unwrap();
    sandbox
}

/// Everything but what the victim's repository keeps for itself.
pub(super) fn around(sandbox: &Sandbox) -> Files {
    let own = |path: &[u8]| path == b"project" || path.starts_with(b"project/.mv");
    Files::read(&sandbox.outside()).without(own)
}

/// The program with bounded address space.
fn limited(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut command: Command = sandbox.command_for(Path::new("/bin/sh"));
    command.args(["-c", "ulimit -v 1048576; exec mver \"$@\"", "sh"]).args(args);
    sandbox.run(&mut command)
}

#[track_caller]
fn fails(what: &str, output: &Output, code: i32) {
    assert_eq!(output.code, code, "{what}: {}{}", output.stdout, output.stderr);
    output.clone().clean_fail(code);
}

/// A clone of it fails, twice, and leaves no repository.
#[track_caller]
pub(super) fn no_clone(what: &str, code: i32, evil: &dyn Fn(&mut Remote)) {
    let sandbox = victim();
    let place = shared(&sandbox);
    evil(&mut Remote::new(&place));
    let before = around(&sandbox);
    let mut said = Vec::new();
    for _ in 0..2 {
        let output = limited(&sandbox, &["clone", text(&place), "."]);
        fails(what, &output, code);
        assert_eq!(published(&sandbox.dot()), Vec::<Vec<u8>>::new(), "{what}");
        around(&sandbox).assert_same(&before, what);
        said.push(output.stderr);
    }
    assert_eq!(said[0], said[1], "{what}");
}

/// A pull and a fetch of it fail, twice, and leave the repository as it was.
#[track_caller]
pub(super) fn no_pull(what: &str, code: i32, evil: &dyn Fn(&mut Remote)) {
    let sandbox = victim();
    let mut remote = Remote::new(&shared(&sandbox));
    remote.honest();
    sandbox.ok(&["clone", text(&remote.dir), "."]);
    let head = super::team::head(&sandbox);
    evil(&mut remote);
    let before = (around(&sandbox), published(&sandbox.dot()));
    let mut said = Vec::new();
    for command in ["pull", "fetch", "pull"] {
        let output = limited(&sandbox, &[command]);
        fails(what, &output, code);
        assert_eq!(published(&sandbox.dot()), before.1, "{what}: {command}");
        around(&sandbox).assert_same(&before.0, what);
        said.push(output.stderr);
    }
    assert_eq!(said[0], said[2], "{what}");
    sandbox.sound();
    let status = sandbox.json(&["status"]);
    assert_eq!((&status["clean"], &status["head"]), (&true.into(), &head.into()), "{what}");
}

#[track_caller]
pub(super) fn refused(what: &str, evil: &dyn Fn(&mut Remote)) {
    no_clone(what, 3, evil);
    no_pull(what, 3, evil);
}

/// A version whose root has these names, all of one small blob.
fn names(remote: &mut Remote, names: &[&[u8]]) {
    let blob = Block::raw(Kind::Blob, b"evil");
    let id = blob.objects[0].0;
    let entries: Vec<_> = names.iter().map(|name| Entry::file(name, id, 4)).collect();
    remote.entries(vec![blob], &entries);
}

#[test]
fn an_honest_forgery_is_taken_so_that_the_others_fail_for_their_own_reason() {
    let sandbox = victim();
    let mut remote = Remote::new(&shared(&sandbox));
    let first = remote.honest();
    sandbox.ok(&["clone", text(&remote.dir), "."]);
    assert_eq!(sandbox.read("ok.txt"), b"ok");
    let blob = Block::raw(Kind::Blob, b"more");
    let root = forge::tree(&[Entry::file("more.txt", blob.objects[0].0, 4)]);
    let tree = id_of(Kind::Tree, &root);
    let version = Version { parents: vec![first], ..Version::of(tree, 1, 4) };
    let second = remote.version(vec![blob, Block::raw(Kind::Tree, &root)], &version);
    let entry = ledger(b"production", &second, b"why").bytes;
    let role = id_of(Kind::Blob, &entry);
    remote.pack(&[Block::raw(Kind::Blob, &entry)]);
    let tags = vec![(b"v1.0.0".to_vec(), Some(second))];
    let stages = vec![(b"production".to_vec(), second, role)];
    remote.record(&Refs { tags, stages, ..Refs::main(second) });
    sandbox.ok(&["pull"]);
    assert_eq!(sandbox.read("more.txt"), b"more");
    assert_eq!(sandbox.json(&["tag"])[0]["name"], "v1.0.0");
    assert_eq!(sandbox.json(&["stage", "list"])[0]["name"], "production");
    sandbox.sound();
    super::team::sound_remote(&remote.dir);
}

#[test]
fn names_that_are_paths_or_lead_into_a_repository_are_refused() {
    let evil: [&[u8]; 23] = [
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
        b".git ",
        b"GIT~1",
        b"MV~1",
        b".git::$INDEX_ALLOCATION",
        b".g\xe2\x80\x8cit",
        b".m\xe2\x80\x8cv",
        &[b'n'; 256],
        b".MV.. .",
    ];
    for name in evil {
        refused(&String::from_utf8_lossy(name), &|remote| names(remote, &[name]));
    }
    refused("unsorted", &|remote| names(remote, &[b"b", b"a"]));
    refused("twice", &|remote| names(remote, &[b"a", b"a"]));
    // One level down.
    for (outer, inner) in
        [(b".git".as_slice(), b"config".as_slice()), (b"d", b".."), (b"d", b".mv")]
    {
        refused(&format!("{outer:?}/{inner:?}"), &|remote| {
            let blob = Block::raw(Kind::Blob, b"evil");
            let below = forge::tree(&[Entry::file(inner, blob.objects[0].0, 4)]);
            let dir = Entry::dir(outer, id_of(Kind::Tree, &below), 4, 1);
            remote.entries(vec![blob, Block::raw(Kind::Tree, &below)], &[dir]);
        });
    }
}

#[test]
fn impossible_modes_counts_and_depths_are_refused() {
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
        refused(&format!("{entry:?}"), &|remote| {
            remote.entries(vec![blob.clone()], std::slice::from_ref(&entry));
        });
    }
    refused("600 levels", &|remote| {
        let mut entry = file.clone();
        let mut blocks = vec![blob.clone()];
        for _ in 0..600 {
            let tree = forge::tree(&[entry]);
            blocks.push(Block::raw(Kind::Tree, &tree));
            entry = Entry::dir("d", id_of(Kind::Tree, &tree), 4, 1);
        }
        remote.entries(blocks, &[entry]);
    });
}

/// Forty levels of two names for one child: 2^40 files from a few kilobytes.
#[test]
fn a_tree_that_shares_its_children_without_end_fills_nothing() {
    let sandbox = victim();
    let mut remote = Remote::new(&shared(&sandbox));
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
    remote.entries(blocks, &entries);
    for only in [None, Some("--only=data")] {
        let mut args = vec!["clone", text(&remote.dir), "."];
        args.extend(only);
        let output = limited(&sandbox, &args);
        assert!([1, 3].contains(&output.code), "{} {}", output.code, output.stderr);
        output.printable();
        assert_eq!(sandbox.files().0.len(), 0);
    }
}

#[test]
fn objects_whose_bytes_are_not_their_ids_are_refused() {
    let honest = b"what the id says".as_slice();
    let id = id_of(Kind::Blob, honest);
    refused("a blob", &|remote| {
        let block = Block::claimed(Kind::Blob, b"something else!!", id);
        remote.entries(vec![block], &[Entry::file("f", id, 16)]);
    });
    refused("a tree", &|remote| {
        let tree = forge::tree(&[Entry::file("f", id, 16)]);
        let other = forge::tree(&[Entry::file("g", id, 16)]);
        let code = id_of(Kind::Tree, &tree);
        let blocks = vec![Block::raw(Kind::Blob, honest), Block::claimed(Kind::Tree, &other, code)];
        let version = remote.version(blocks, &Version::of(code, 1, 16));
        remote.record(&Refs::main(version));
    });
    refused("a manifest", &|remote| {
        let empty = id_of(Kind::Tree, &forge::tree(&[]));
        let told = Version::of(empty, 0, 0);
        let other = Version { message: b"other".to_vec(), ..told.clone() }.ink().bytes;
        let target = id_of(Kind::Manifest, &told.ink().bytes);
        let tree = Block::raw(Kind::Tree, &forge::tree(&[]));
        remote.pack(&[Block::claimed(Kind::Manifest, &other, target), tree]);
        remote.record(&Refs::main(target));
    });
    refused("the entry of a ledger", &|remote| {
        let version = remote.honest();
        let told = ledger(b"production", &version, b"why").bytes;
        let other = ledger(b"production", &version, b"who").bytes;
        let entry = id_of(Kind::Blob, &told);
        remote.pack(&[Block::claimed(Kind::Blob, &other, entry)]);
        let stages = vec![(b"production".to_vec(), version, entry)];
        remote.record(&Refs { stages, ..Refs::main(version) });
    });
    // Each chunk is what it says; the whole is not.
    let chunk = Block::raw(Kind::Blob, &[7; 1000]);
    let item = (chunk.objects[0].0, 1000u64);
    refused("the whole of a list", &|remote| {
        let list = Block::list(0, &[item, item], Hash([9; 32]));
        remote.entries(vec![chunk.clone(), list], &[Entry::file("f", Hash([9; 32]), 2000)]);
    });
    refused("a chunk of a list", &|remote| {
        let whole = id_of(Kind::Blob, &[7; 2000]);
        let lie = Block::claimed(Kind::Blob, &[8; 1000], item.0);
        remote.entries(
            vec![lie, Block::list(0, &[item, item], whole)],
            &[Entry::file("f", whole, 2000)],
        );
    });
}

#[test]
fn an_object_of_one_kind_cannot_pose_as_another() {
    let empty = id_of(Kind::Tree, &forge::tree(&[]));
    let manifest = Version::of(empty, 0, 0).ink().bytes;
    let small = forge::tree(&[Entry::file("f", id_of(Kind::Blob, b"x"), 1)]);
    let tree = Block::raw(Kind::Tree, &forge::tree(&[]));
    refused("a file as a version", &|remote| {
        let blob = Block::raw(Kind::Blob, &manifest);
        let target = blob.objects[0].0;
        remote.pack(&[blob, tree.clone()]);
        remote.record(&Refs::main(target));
    });
    refused("a file as a version, of a forged kind", &|remote| {
        let target = id_of(Kind::Blob, &manifest);
        remote.pack(&[Block::claimed(Kind::Manifest, &manifest, target), tree.clone()]);
        remote.record(&Refs::main(target));
    });
    refused("a file as a tree", &|remote| {
        let blob = Block::raw(Kind::Blob, &small);
        let entry = Entry::dir("d", blob.objects[0].0, 1, 1);
        remote.entries(vec![blob, Block::raw(Kind::Blob, b"x")], &[entry]);
    });
    refused("a tree as a file", &|remote| {
        let tree = Block::raw(Kind::Tree, &small);
        let entry = Entry::file("f", tree.objects[0].0, small.len() as u64);
        remote.entries(vec![tree, Block::raw(Kind::Blob, b"x")], &[entry]);
    });
    refused("a version as the entry of a ledger", &|remote| {
        let version = remote.honest();
        let stages = vec![(b"production".to_vec(), version, version)];
        remote.record(&Refs { stages, ..Refs::main(version) });
    });
    refused("a file as the entry of a ledger", &|remote| {
        let version = remote.honest();
        let stages = vec![(b"production".to_vec(), version, id_of(Kind::Blob, b"ok"))];
        remote.record(&Refs { stages, ..Refs::main(version) });
    });
    refused("a tag at a tree", &|remote| {
        let version = remote.honest();
        let tags = vec![(b"v1.0.0".to_vec(), Some(empty))];
        remote.record(&Refs { tags, ..Refs::main(version) });
    });
}

#[test]
fn what_is_needed_and_nowhere_is_missed() {
    let nowhere = Hash([5; 32]);
    refused("a version", &|remote| remote.record(&Refs::main(nowhere)));
    refused("a parent", &|remote| {
        let empty = id_of(Kind::Tree, &forge::tree(&[]));
        let version = Version { parents: vec![nowhere], ..Version::of(empty, 0, 0) };
        let id = remote.version(vec![], &version);
        remote.record(&Refs::main(id));
    });
    refused("a tree", &|remote| {
        let id = remote.version(vec![], &Version::of(nowhere, 1, 1));
        remote.record(&Refs::main(id));
    });
    refused("a file", &|remote| {
        remote.entries(vec![], &[Entry::file("f", nowhere, 4)]);
    });
    refused("a chunk", &|remote| {
        let list = Block::list(0, &[(nowhere, 4)], Hash([9; 32]));
        remote.entries(vec![list], &[Entry::file("f", Hash([9; 32]), 4)]);
    });
    refused("an entry of a ledger", &|remote| {
        let version = remote.honest();
        let stages = vec![(b"production".to_vec(), version, nowhere)];
        remote.record(&Refs { stages, ..Refs::main(version) });
    });
}

/// What came in vain must not stand in the way of what comes later.
#[test]
fn a_remote_that_was_mended_can_be_pulled_from_again() {
    let lying = |remote: &mut Remote| {
        let chunk = Block::raw(Kind::Blob, &[7; 1000]);
        let item = (chunk.objects[0].0, 1000u64);
        let list = Block::list(0, &[item, item], Hash([9; 32]));
        remote.entries(vec![chunk, list], &[Entry::file("f", Hash([9; 32]), 2000)]);
    };
    let path = |remote: &mut Remote| names(remote, &[b".git"]);
    let evil: [&dyn Fn(&mut Remote); 2] = [&lying, &path];
    for evil in evil {
        let sandbox = victim();
        let mut remote = Remote::new(&shared(&sandbox));
        let first = remote.honest();
        sandbox.ok(&["clone", text(&remote.dir), "."]);
        let packs = remote.packs.clone();
        evil(&mut remote);
        sandbox.mv(&["pull"]).clean_fail(3);
        remote.packs = packs;
        let blob = Block::raw(Kind::Blob, b"mended");
        let root = forge::tree(&[Entry::file("mended", blob.objects[0].0, 6)]);
        let tree = id_of(Kind::Tree, &root);
        let version = Version { parents: vec![first], ..Version::of(tree, 1, 6) };
        let second = remote.version(vec![blob, Block::raw(Kind::Tree, &root)], &version);
        remote.record(&Refs::main(second));
        sandbox.ok(&["pull"]);
        assert_eq!(sandbox.read("mended"), b"mended");
        sandbox.sound();
    }
}
