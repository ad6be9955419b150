//! Small inputs from a remote that claim to be huge: frames, lists, lengths.

use std::path::Path;
use std::process::Command;

use mv_store::{Hash, Kind, id_of};
use mv_tests::forge::{self, Block, Entry};
use mv_tests::forged::{Ink, Refs, Remote, Version, ledger, tree_ink};
use mv_tests::{Output, Sandbox};

use super::hostile::{refused, victim};
use super::team::{published, shared, text};

#[test]
fn frames_that_lie_about_themselves_are_refused() {
    let bytes = vec![0u8; 100_000];
    let id = id_of(Kind::Blob, &bytes);
    let honest = zstd::bulk::compress(&bytes, 1).unwrap();
    let bomb = zstd::bulk::compress(&vec![0u8; 256 << 20], 1).unwrap();
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
    let cases: [(&str, Vec<u8>, u64); 12] = [
        ("bomb", bomb.clone(), 100_000),
        ("bomb that says so", bomb, 256 << 20),
        ("declared too low", honest.clone(), 99_999),
        ("declared too high", honest.clone(), 100_001),
        ("declared beyond the limit", honest.clone(), u64::MAX),
        ("no size declared", absent, 100_000),
        ("window of 2 GiB", window, 100_000),
        ("skippable frame first", skippable, 100_000),
        ("dictionary", dictionary, 100_000),
        ("legacy frame", legacy, 100_000),
        ("two frames", [honest.clone(), honest.clone()].concat(), 100_000),
        ("cut short", honest[..honest.len() - 1].to_vec(), 100_000),
    ];
    for (what, frame, raw_len) in cases {
        refused(what, &|remote| {
            let block = Block::zstd(&frame, raw_len, id);
            remote.entries(vec![block], &[Entry::file("f", id, 100_000)]);
        });
    }
}

#[test]
fn lists_that_lie_repeat_or_loop_are_refused() {
    let chunk = Block::raw(Kind::Blob, &[7; 1000]);
    let id = chunk.objects[0].0;
    let whole = Hash([9; 32]);
    let huge: Vec<_> = (0..1000).map(|_| (id, u64::MAX / 1000)).collect();
    let cases: [(&str, Block, u64); 7] = [
        ("another length", Block::list(0, &[(id, 999)], whole), 999),
        ("a huge length", Block::list(0, &[(id, 1 << 60)], whole), 1 << 60),
        ("itself", Block::list(0, &[(whole, 1000)], whole), 1000),
        ("a chunk as a node", Block::list(1, &[(id, 1000)], whole), 1000),
        ("too high", Block::list(200, &[(id, 1000)], whole), 1000),
        ("lengths beyond 64 bits", Block::list(0, &huge, whole), 1000),
        ("nothing", Block::list(0, &[], whole), 0),
    ];
    for (what, list, bytes) in cases {
        refused(what, &|remote| {
            remote.entries(vec![chunk.clone(), list.clone()], &[Entry::file("f", whole, bytes)]);
        });
    }
    // An exabyte of one kilobyte, honestly declared: no disk has room for it.
    refused("2^60 bytes", &|remote| {
        let mut blocks = vec![chunk.clone()];
        let mut item = (id, 1000u64);
        for height in 0..5u8 {
            let mut list = Block::list(height, &vec![item; 1000], Hash::ZERO);
            let node = id_of(Kind::List, &list.stored);
            list.encoding = 0;
            list.kind = Kind::List.code();
            list.raw_len = list.stored.len() as u64;
            list.objects = vec![(node, 0)];
            blocks.push(list);
            item = (node, item.1 * 1000);
        }
        blocks.push(Block::list(5, &[item], whole));
        remote.entries(blocks, &[Entry::file("f", whole, item.1)]);
    });
}

const CLAIMS: [u64; 3] = [1 << 40, 1 << 63, u64::MAX];

/// Clones with so little memory for data that no claim can be believed.
fn starved(sandbox: &Sandbox, remote: &Path) -> Output {
    let mut command: Command = sandbox.command_for(Path::new("/bin/sh"));
    let script = "ulimit -d 131072; exec mver \"$@\"";
    sandbox.run(command.args(["-c", script, "sh", "clone", text(remote), "."]))
}

/// Each length of something, claimed to be huge.
#[track_caller]
fn lengths(what: &str, ink: &Ink, evil: &dyn Fn(&mut Remote, &[u8])) {
    let sandbox = victim();
    assert!(!ink.lengths.is_empty());
    for nth in 0..ink.lengths.len() {
        for claim in CLAIMS {
            let place = shared(&sandbox);
            let mut remote = Remote::new(&place);
            evil(&mut remote, &ink.with_length(nth, claim));
            let output = starved(&sandbox, &place);
            assert_eq!(output.code, 3, "{what} {nth} {claim}: {}", output.stderr);
            output.clean_fail(3);
            assert_eq!(published(&sandbox.dot()), Vec::<Vec<u8>>::new(), "{what} {nth} {claim}");
            std::fs::remove_dir_all(&place).unwrap();
        }
    }
}

/// A remote with a tag, a stage and a pack, and what its next record would be.
fn with_everything(remote: &mut Remote) -> Refs {
    let version = remote.honest();
    let entry = ledger(b"production", &version, b"why").bytes;
    remote.pack(&[Block::raw(Kind::Blob, &entry)]);
    let tags = vec![(b"v1.0.0".to_vec(), Some(version))];
    let stages = vec![(b"production".to_vec(), version, id_of(Kind::Blob, &entry))];
    Refs { tags, stages, ..Refs::main(version) }
}

#[test]
fn the_memory_that_is_left_is_enough_for_an_honest_clone() {
    let sandbox = victim();
    let mut remote = Remote::new(&shared(&sandbox));
    let refs = with_everything(&mut remote);
    remote.record(&refs);
    starved(&sandbox, &remote.dir).expect(0);
    sandbox.sound();
}

#[test]
fn lengths_beyond_all_bounds_in_a_state_record_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let mut remote = Remote::new(place.path());
    let refs = with_everything(&mut remote);
    let ink = remote.ink(&refs);
    lengths("record", &ink, &|remote, body| {
        with_everything(remote);
        remote.publish(body);
    });
}

#[test]
fn lengths_beyond_all_bounds_in_a_tree_are_refused() {
    let blob = Block::raw(Kind::Blob, b"evil");
    let ink = tree_ink(&[Entry::file("f", blob.objects[0].0, 4)]);
    lengths("tree", &ink, &|remote, bytes| {
        let tree = Block::raw(Kind::Tree, bytes);
        let code = tree.objects[0].0;
        let id = remote.version(vec![blob.clone(), tree], &Version::of(code, 1, 4));
        remote.record(&Refs::main(id));
    });
}

#[test]
fn lengths_beyond_all_bounds_in_a_manifest_are_refused() {
    let empty = Block::raw(Kind::Tree, &forge::tree(&[]));
    let ink = Version::of(empty.objects[0].0, 0, 0).ink();
    lengths("manifest", &ink, &|remote, bytes| {
        let manifest = Block::raw(Kind::Manifest, bytes);
        let target = manifest.objects[0].0;
        remote.pack(&[empty.clone(), manifest]);
        remote.record(&Refs::main(target));
    });
}

#[test]
fn lengths_beyond_all_bounds_in_a_ledger_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let version = Remote::new(place.path()).honest();
    let ink = ledger(b"production", &version, b"why");
    lengths("ledger", &ink, &|remote, bytes| {
        let version = remote.honest();
        let entry = Block::raw(Kind::Blob, bytes);
        let stages = vec![(b"production".to_vec(), version, entry.objects[0].0)];
        remote.pack(&[entry]);
        remote.record(&Refs { stages, ..Refs::main(version) });
    });
}

/// Every number of a pack's trailer and of its block records.
#[test]
fn numbers_beyond_all_bounds_in_a_pack_are_refused() {
    let sandbox = victim();
    let blob = Block::raw(Kind::Blob, b"evil");
    let root = forge::tree(&[Entry::file("f", blob.objects[0].0, 4)]);
    let tree = Block::raw(Kind::Tree, &root);
    let manifest = Version::of(tree.objects[0].0, 1, 4).ink().bytes;
    let target = id_of(Kind::Manifest, &manifest);
    let empty = Block::raw(Kind::Tree, &forge::tree(&[]));
    let honest = forge::pack(&[blob, tree, Block::raw(Kind::Manifest, &manifest), empty], [1; 16]);
    let end = honest.len();
    let records = end - 64 - 4 * 28;
    let mut places =
        vec![(end - 64, 4), (end - 60, 4), (end - 56, 4), (end - 52, 4), (end - 48, 8)];
    places.extend((0..4).flat_map(|n| {
        let at = records + n * 28;
        [(at, 8), (at + 8, 8), (at + 16, 4), (at + 20, 4), (at + 24, 1), (at + 25, 1)]
    }));
    for (at, width) in places {
        for claim in [u64::MAX, 1 << 63, 1 << 40, 1 << 31, 1 << 24, 0xff] {
            let mut bytes = honest.clone();
            let old = bytes[at..at + width].to_vec();
            bytes[at..at + width].copy_from_slice(&claim.to_le_bytes()[..width]);
            if bytes[at..at + width] == old[..] {
                continue;
            }
            let offset = u64::from_le_bytes(honest[end - 48..end - 40].try_into().unwrap());
            let check = id_of(Kind::Blob, &bytes[offset as usize..end - 40]);
            bytes[end - 40..end - 8].copy_from_slice(&check.0);
            let place = shared(&sandbox);
            let mut remote = Remote::new(&place);
            remote.pack_of(&bytes);
            remote.record(&Refs::main(target));
            let output = starved(&sandbox, &place);
            assert_eq!(output.code, 3, "{at} {claim}: {}", output.stderr);
            output.clean_fail(3);
            assert_eq!(published(&sandbox.dot()), Vec::<Vec<u8>>::new(), "{at} {claim}");
            std::fs::remove_dir_all(&place).unwrap();
        }
    }
}
