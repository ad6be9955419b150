//! `fsck --remote` and `fsck --repair`: damage of every kind is found on either side, and mended from
//! the other, from the working tree, or not at all; and then nothing is lost.

use std::path::{Path, PathBuf};

use mv_tests::damage::{self, Block};
use mv_tests::{Files, Random, Sandbox};
use serde_json::Value;

/// What is damaged of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Chunk,
    List,
    Tree,
    Manifest,
    Small,
    Index,
    Truncated,
    Deleted,
}

use Damage::{Chunk, Deleted, Index, List, Manifest, Small, Tree, Truncated};

const ALL: [Damage; 8] = [Chunk, List, Tree, Manifest, Small, Index, Truncated, Deleted];

/// A repository with every kind of object in one pack.
fn story() -> Sandbox {
    let sandbox = Sandbox::new();
    // Small, and larger together than all else that shares their block.
    for n in 0..5 {
        sandbox.write(format!("src/{n}.py"), Random::new(10 + n).bytes(8000));
    }
    sandbox.write("models/m.bin", Random::new(1).bytes(1_500_000));
    sandbox.commit("first");
    sandbox
}

/// The same, and pushed to a directory beside the project.
fn shared() -> (Sandbox, PathBuf) {
    let sandbox = story();
    let remote = sandbox.outside().join("remote");
    sandbox.ok(&["remote", "add", "origin", remote.to_str().unwrap()]);
    sandbox.ok(&["push", "origin"]);
    (sandbox, remote)
}

/// The largest pack of a repository folder.
fn pack(dot: &Path) -> PathBuf {
    let packs = damage::packs(dot).into_iter();
    packs.max_by_key(|pack| pack.metadata().unwrap().len()).unwrap()
}

fn block(pack: &Path, wanted: impl Fn(&Block) -> bool) -> Block {
    damage::blocks(pack).into_iter().find(wanted).unwrap()
}

fn harm(dot: &Path, damage: Damage) {
    let pack = pack(dot);
    let at = |wanted: &dyn Fn(&Block) -> bool| {
        let block = block(&pack, wanted);
        block.offset + block.len / 2
    };
    let chunk = |b: &Block| b.kind == 0 && b.encoding == 0 && b.len > 50_000;
    match damage {
        Chunk => damage::flip(&pack, at(&chunk), 3),
        // In the second item's id: the form stays sound.
        List => damage::flip(&pack, block(&pack, |b| b.encoding == 2).offset + 50, 3),
        Tree => damage::flip(&pack, at(&|b| b.kind == 1), 3),
        Manifest => damage::flip(&pack, at(&|b| b.kind == 2), 3),
        Small => damage::flip(&pack, at(&|b| b.kind == 0 && b.encoding != 2 && b.objects > 1), 3),
        Index => damage::flip(&pack, pack.metadata().unwrap().len() as usize - 400, 3),
        Truncated => damage::truncate(&pack, pack.metadata().unwrap().len() as usize - 1000),
        Deleted => std::fs::remove_file(&pack).unwrap(),
    }
}

/// Takes the files away whose content is in the large pack, so that nothing comes from them.
fn without_working_files(sandbox: &Sandbox) {
    for name in ["src", "models", "mv.toml"] {
        sandbox.remove(name);
    }
}

fn repair(sandbox: &Sandbox, more: &[&str], code: i32) -> Value {
    sandbox.mv(&[&["--json", "fsck", "--repair"], more].concat()).expect(code).json()
}

/// The places that objects were brought back from.
fn places(report: &Value) -> Vec<String> {
    let repaired = report["repaired"].as_array().unwrap().iter();
    let mut places: Vec<_> = repaired.map(|one| one["from"].as_str().unwrap().to_owned()).collect();
    places.sort();
    places.dedup();
    places
}

fn comes_out(sandbox: &Sandbox, files: &Files, what: &str) {
    sandbox.ok(&["checkout", "--force", "main"]);
    sandbox.files().assert_same(files, what);
}

#[test]
fn a_sound_remote_is_found_sound_however_thoroughly() {
    let (sandbox, _) = shared();
    for more in [&[][..], &["--full"], &["--sample", "1%"], &["--sample", "100%"]] {
        let report = sandbox.json(&[&["fsck", "--remote", "origin"], more].concat());
        assert_eq!(report["ok"], true, "{report}");
        assert!(report["checked_objects"].as_u64().unwrap() > 10, "{report}");
    }
    let output = sandbox.ok(&["fsck", "--remote", "origin", "--sample", "1%"]);
    assert!(output.stdout.contains("a sample of "), "{}", output.stdout);
    let left = damage::files_below(&sandbox.dot().join("remotes/origin/tmp"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn every_damage_of_a_remote_is_found_and_mended_from_here() {
    for damage in ALL {
        let (sandbox, remote) = shared();
        let files = sandbox.files();
        harm(&remote, damage);
        let found = sandbox.mv(&["--json", "fsck", "--remote", "origin", "--full"]).expect(3);
        assert_ne!(found.json()["problems"], serde_json::json!([]), "{damage:?}");
        let report = repair(&sandbox, &["--remote", "origin"], 0);
        assert_eq!(places(&report), ["this repository"], "{damage:?}: {report}");
        sandbox.ok(&["fsck", "--remote", "origin", "--full"]);
        sandbox.ok(&["fsck", "--remote", "origin"]);
        let other = Sandbox::bare();
        other.ok(&["clone", remote.to_str().unwrap(), "copy"]);
        let copy = Files::read(&other.root().join("copy"));
        copy.assert_same(&files, &format!("{damage:?}"));
        sandbox.sound();
    }
}

#[test]
fn a_quick_check_of_a_remote_looks_at_the_remote_and_not_at_what_is_known_of_it() {
    for damage in [Index, Truncated, Deleted, Tree, Manifest] {
        let (sandbox, remote) = shared();
        // The indexes are kept here now.
        sandbox.ok(&["fetch", "origin"]);
        harm(&remote, damage);
        sandbox.mv(&["fsck", "--remote", "origin"]).expect(3);
    }
}

#[test]
fn a_sample_of_everything_finds_a_damaged_chunk_and_names_its_file() {
    let (sandbox, remote) = shared();
    harm(&remote, Chunk);
    sandbox.ok(&["fsck", "--remote", "origin"]);
    let args = ["--json", "fsck", "--remote", "origin", "--sample", "100%"];
    let report = sandbox.mv(&args).expect(3).json();
    assert!(report["problems"].to_string().contains("models/m.bin"), "{report}");
    let sample = &report["sample"];
    assert_eq!(sample["blocks"], sample["of"], "{report}");
    harm(&sandbox.dot(), Small);
    sandbox.mv(&["fsck", "--sample", "100%"]).expect(3);
    for refused in ["0%", "101%", "x"] {
        sandbox.mv(&["fsck", "--sample", refused]).clean_fail(2);
    }
}

#[test]
fn every_damage_here_is_mended_from_a_remote() {
    for damage in ALL {
        let (sandbox, _) = shared();
        let files = sandbox.files();
        without_working_files(&sandbox);
        harm(&sandbox.dot(), damage);
        let found = sandbox.mv(&["fsck", "--full"]).expect(3);
        assert!(found.stderr.contains("mver fsck --repair"), "{}", found.stderr);
        let report = repair(&sandbox, &[], 0);
        // A damaged index names what its blocks still hold.
        let expected: &[&str] = if damage == Index { &[] } else { &["origin"] };
        assert!(damage == Index || places(&report) == expected, "{damage:?}: {report}");
        assert_eq!(report["kept_packs"], serde_json::json!([]), "{damage:?}");
        sandbox.sound();
        comes_out(&sandbox, &files, &format!("{damage:?}"));
        sandbox.ok(&["gc"]);
    }
}

#[test]
fn damaged_contents_are_mended_from_working_files_alone() {
    for damage in [Chunk, List, Small] {
        let sandbox = story();
        let files = sandbox.files();
        harm(&sandbox.dot(), damage);
        sandbox.mv(&["fsck", "--full"]).expect(3);
        let report = repair(&sandbox, &[], 0);
        assert_eq!(places(&report), ["the working tree"], "{damage:?}: {report}");
        sandbox.sound();
        sandbox.remove("models");
        sandbox.remove("src");
        comes_out(&sandbox, &files, &format!("{damage:?}"));
    }
}

#[test]
fn a_damaged_node_of_a_long_list_is_mended_from_the_file() {
    let sandbox = Sandbox::new();
    sandbox.write("models/m.bin", Random::new(3).bytes(32_000_000));
    sandbox.commit("long");
    let files = sandbox.files();
    let pack = pack(&sandbox.dot());
    let node = block(&pack, |b| b.kind == 3);
    damage::flip(&pack, node.offset + node.len / 2, 1);
    sandbox.mv(&["fsck", "--full"]).expect(3);
    let report = repair(&sandbox, &[], 0);
    assert_eq!(places(&report), ["the working tree"], "{report}");
    sandbox.sound();
    sandbox.remove("models");
    comes_out(&sandbox, &files, "long");
}

#[test]
fn an_edited_file_mends_the_chunks_that_it_still_has_and_nothing_else() {
    let sandbox = story();
    // Another file: the version's content is nowhere whole.
    let mut bytes = sandbox.read("models/m.bin");
    bytes[1_400_000] ^= 1;
    sandbox.write("models/m.bin", &bytes);
    harm(&sandbox.dot(), Chunk);
    let report = repair(&sandbox, &[], 3);
    assert_eq!(places(&report), Vec::<String>::new(), "{report}");
    assert_eq!(sandbox.read("models/m.bin"), bytes);
}

#[test]
fn without_any_sound_copy_damage_is_reported_and_nothing_is_lost() {
    for damage in ALL {
        let sandbox = story();
        let files = sandbox.files();
        without_working_files(&sandbox);
        let pack = pack(&sandbox.dot());
        harm(&sandbox.dot(), damage);
        let before = std::fs::read(&pack).ok();
        let index_only = damage == Index;
        let output = sandbox.mv(&["--json", "fsck", "--repair"]);
        assert!(output.code == 3 || (index_only && output.code == 0), "{damage:?}: {output:?}");
        assert_eq!(std::fs::read(&pack).ok(), before, "{damage:?}");
        // Again is no worse, and adds nothing.
        let count = damage::packs(&sandbox.dot()).len();
        sandbox.mv(&["fsck", "--repair"]);
        assert!(damage::packs(&sandbox.dot()).len() <= count + 1, "{damage:?}");
        // What is whole comes out: at least everything but the damaged file.
        if matches!(damage, Chunk | List | Small) {
            sandbox.mv(&["checkout", "--force", "main"]).expect(3);
            let found = sandbox.files();
            let same = |(name, node)| files.0.get(name).is_none_or(|whole| whole == node);
            assert!(found.0.iter().all(same), "{damage:?}");
            assert!(found.0.len() >= 2, "{damage:?}");
        }
    }
}

#[test]
fn when_a_copy_turns_up_later_the_rest_is_mended() {
    let (sandbox, remote) = shared();
    let files = sandbox.files();
    without_working_files(&sandbox);
    let hidden = remote.with_extension("hidden");
    std::fs::rename(&remote, &hidden).unwrap();
    harm(&sandbox.dot(), Chunk);
    harm(&sandbox.dot(), Tree);
    let output = sandbox.mv(&["fsck", "--repair"]).expect(3);
    assert!(output.stderr.contains("could not be asked"), "{}", output.stderr);
    std::fs::rename(&hidden, &remote).unwrap();
    assert_eq!(places(&repair(&sandbox, &[], 0)), ["origin"]);
    sandbox.sound();
    comes_out(&sandbox, &files, "later");
}

#[test]
fn a_remote_cannot_repair_with_wrong_bytes() {
    for damage in [Chunk, List, Tree, Manifest, Small] {
        let (sandbox, remote) = shared();
        without_working_files(&sandbox);
        harm(&remote, damage);
        harm(&sandbox.dot(), damage);
        let report = repair(&sandbox, &[], 3);
        assert_eq!(places(&report), Vec::<String>::new(), "{damage:?}: {report}");
        let report = repair(&sandbox, &["--remote", "origin"], 3);
        assert_eq!(places(&report), Vec::<String>::new(), "{damage:?}: {report}");
    }
}

#[test]
fn undo_passes_over_a_repair() {
    let (sandbox, _) = shared();
    let first = sandbox.json(&["status"])["head"].clone();
    sandbox.write("src/0.py", "print('second')\n");
    sandbox.commit("second");
    harm(&sandbox.dot(), Chunk);
    repair(&sandbox, &[], 0);
    let log = sandbox.json(&["reflog"]);
    assert!(log.to_string().contains("fsck --repair"), "{log}");
    sandbox.ok(&["undo"]);
    assert_eq!(sandbox.json(&["status"])["head"], first);
    sandbox.sound();
}

#[test]
fn with_nothing_to_repair_nothing_changes() {
    let (sandbox, remote) = shared();
    let state = |dot: &Path| damage::files_below(&dot.join("state")).len();
    let before = (state(&sandbox.dot()), state(&remote));
    assert_eq!(repair(&sandbox, &[], 0)["repaired"], serde_json::json!([]));
    assert_eq!(repair(&sandbox, &["--remote", "origin"], 0)["repaired"], serde_json::json!([]));
    assert_eq!((state(&sandbox.dot()), state(&remote)), before);
}

#[test]
fn a_remote_that_is_not_there_is_unreachable_and_an_unknown_one_a_mistake() {
    let (sandbox, _) = shared();
    sandbox.mv(&["fsck", "--remote", "nobody"]).clean_fail(2);
    let away = sandbox.outside().join("share/remote");
    std::fs::create_dir_all(&away).unwrap();
    sandbox.ok(&["remote", "add", "away", away.to_str().unwrap()]);
    sandbox.mv(&["fsck", "--remote", "away"]).clean_fail(1);
    std::fs::remove_dir_all(sandbox.outside().join("share")).unwrap();
    sandbox.mv(&["fsck", "--remote", "away"]).clean_fail(4);
    sandbox.mv(&["fsck", "--remote", "away", "--repair"]).clean_fail(4);
}

#[test]
fn a_damaged_record_of_a_remote_is_told_link_by_link() {
    let (sandbox, remote) = shared();
    sandbox.write("src/0.py", "print('second')\n");
    sandbox.commit("second");
    sandbox.ok(&["push", "origin"]);
    let records = damage::files_below(&remote.join("state"));
    damage::flip(&records[1], 60, 1);
    let report = sandbox.mv(&["--json", "fsck", "--remote", "origin"]).expect(3).json();
    let name = records[1].file_name().unwrap().to_str().unwrap();
    assert!(report["problems"].to_string().contains(name), "{report}");
}

#[test]
fn a_remote_of_which_a_pack_is_cut_off_still_gives_what_it_has() {
    let (sandbox, remote) = shared();
    sandbox.write("src/0.py", "print('second')\n");
    sandbox.commit("second");
    sandbox.ok(&["push", "origin"]);
    without_working_files(&sandbox);
    let small = damage::packs(&remote).into_iter().min_by_key(|p| p.metadata().unwrap().len());
    damage::truncate(&small.unwrap(), 100);
    harm(&sandbox.dot(), Chunk);
    assert_eq!(places(&repair(&sandbox, &[], 0)), ["origin"]);
    sandbox.sound();
    assert_eq!(places(&repair(&sandbox, &["--remote", "origin"], 0)), ["this repository"]);
    sandbox.ok(&["fsck", "--remote", "origin", "--full"]);
}

#[test]
fn two_copies_that_are_damaged_apart_mend_each_other() {
    let (sandbox, remote) = shared();
    let files = sandbox.files();
    without_working_files(&sandbox);
    harm(&sandbox.dot(), Chunk);
    harm(&remote, Small);
    harm(&remote, Tree);
    assert_eq!(places(&repair(&sandbox, &[], 0)), ["origin"]);
    assert_eq!(places(&repair(&sandbox, &["--remote", "origin"], 0)), ["this repository"]);
    sandbox.sound();
    sandbox.ok(&["fsck", "--remote", "origin", "--full"]);
    comes_out(&sandbox, &files, "apart");
    // What was taken out of use goes with the upkeep that follows.
    sandbox.advance(50 * 365 * 24 * 3600);
    sandbox.ok(&["gc", "--apply"]);
    sandbox.ok(&["gc", "--remote", "origin", "--apply"]);
    sandbox.sound();
    sandbox.ok(&["fsck", "--remote", "origin", "--full"]);
}
