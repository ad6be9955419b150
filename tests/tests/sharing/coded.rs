//! Versions that are coded against one another, on their way: in every order, over remotes that have
//! some of them, in parts of a repository, and from remotes that lie.

use mv_store::{Hash, Kind, id_of};
use mv_tests::forge::{Block, Entry};
use mv_tests::forged::Remote;
use mv_tests::{Files, Random, Sandbox, Weights, edit, table};

use super::hostile::{no_clone, no_pull};
use super::team::{cloned, head, share, shared, sound_remote};

/// Versions of weights and a table, each a step from the last; pushed one by one if it is said so.
struct Story {
    ada: Sandbox,
    versions: Vec<(String, Files)>,
    model: Weights,
    rows: Vec<u8>,
}

impl Story {
    fn new() -> Story {
        let (model, rows) = (Weights::new(2, 200, true, 1), table(300_000, 2));
        let mut story = Story { ada: Sandbox::new(), versions: Vec::new(), model, rows };
        story.step();
        story
    }

    fn step(&mut self) {
        let seed = self.versions.len() as u64;
        self.ada.write("models/m.safetensors", self.model.safetensors());
        self.ada.write("data/rows.csv", &self.rows);
        self.ada.write("train.py", format!("print({seed})\n"));
        self.versions.push((self.ada.commit("step"), self.ada.files()));
        self.model.train(seed);
        self.rows = edit(&self.rows, 400, seed);
    }

    /// All versions, in a clone.
    #[track_caller]
    fn whole(&self, clone: &Sandbox, what: &str) {
        for (id, files) in &self.versions {
            clone.ok(&["checkout", "--force", id]);
            clone.files().assert_same(files, what);
        }
        clone.ok(&["checkout", "--force", "main"]);
        clone.sound();
    }
}

fn later(sandbox: &Sandbox) {
    sandbox.advance(50 * 365 * 24 * 3600);
}

#[test]
fn versions_travel_one_by_one_and_together() {
    let mut story = Story::new();
    share(&story.ada);
    let (early, place) = (cloned(&shared(&story.ada), &[]), shared(&story.ada));
    for _ in 0..3 {
        story.step();
        story.ada.ok(&["push"]);
    }
    early.ok(&["pull"]);
    story.whole(&early, "pulled at once");
    for _ in 0..3 {
        story.step();
    }
    story.ada.ok(&["push"]);
    early.ok(&["pull"]);
    story.whole(&early, "pulled again");
    story.whole(&cloned(&place, &[]), "cloned");
    sound_remote(&place);
}

#[test]
fn only_a_later_version_there_brings_along_what_it_needs() {
    let mut story = Story::new();
    for _ in 0..4 {
        story.step();
    }
    share(&story.ada);
    let place = shared(&story.ada);
    for depth in ["1", "2", "3"] {
        let shallow = cloned(&place, &["--depth", depth]);
        shallow.files().assert_same(&story.versions[4].1, "the newest");
        shallow.sound();
        shallow.write("train.py", "print('shallow')\n");
        shallow.commit("on a shallow clone");
        shallow.sound();
        story.whole(&shallow, "older ones on demand");
    }
    sound_remote(&place);
}

#[test]
fn a_remote_is_gathered_and_cleaned_and_a_repository_repacked_between_pushes() {
    let mut story = Story::new();
    share(&story.ada);
    let place = shared(&story.ada);
    let bob = cloned(&place, &[]);
    for turn in 0..4 {
        story.step();
        story.ada.ok(&["push"]);
        match turn {
            0 => drop(story.ada.ok(&["repack", "--remote", "origin"])),
            1 => drop(story.ada.ok(&["repack"])),
            2 => {
                story.ada.ok(&["checkout", "-b", "side"]);
                story
                    .ada
                    .write("models/m.safetensors", Weights::new(2, 200, true, 9).safetensors());
                story.ada.commit("side");
                story.ada.ok(&["push", "origin", "side"]);
                story.ada.ok(&["push", "origin", "--delete", "side"]);
                story.ada.ok(&["checkout", "main"]);
                later(&story.ada);
                story.ada.ok(&["gc", "--remote", "origin", "--apply", "--keep-last", "1"]);
                story.ada.advance(7200);
                story.ada.ok(&["gc", "--remote", "origin", "--apply", "--keep-last", "1"]);
            }
            _ => {
                story.ada.ok(&["repack"]);
                later(&story.ada);
                story.ada.ok(&["gc", "--apply", "--keep-last", "1", "--grace", "0d"]);
            }
        }
        bob.ok(&["pull"]);
        story.whole(&bob, "bob");
        story.whole(&cloned(&place, &[]), "a clone");
        bob.ok(&["fsck", "--remote", "origin", "--full"]);
    }
    bob.ok(&["repack"]);
    bob.write("train.py", "print('bob')\n");
    bob.commit("bob");
    bob.ok(&["push"]);
    story.whole(&cloned(&place, &[]), "after bob");
    bob.ok(&["fsck", "--remote", "origin", "--full"]);
}

/// A gc there keeps a pack for one file in it, and with it the list of another one, whose chunks it drops.
#[test]
fn what_a_gc_left_of_a_file_on_a_remote_is_asked_for_by_nobody() {
    let ada = Sandbox::new();
    ada.write("train.py", "print(1)\n");
    ada.commit("first");
    share(&ada);
    let place = shared(&ada);
    ada.ok(&["checkout", "-b", "exp"]);
    let large = Random::new(1).bytes(3_000_000);
    ada.write("data/large.bin", &large);
    ada.commit("large");
    ada.ok(&["push", "origin", "exp"]);
    let noise = Random::new(2).bytes(6_000_000);
    ada.write("data/large.bin", [&large[..], &Random::new(3).bytes(200_000)].concat());
    ada.write("data/z.bin", &noise);
    ada.commit("larger, and z");
    ada.ok(&["push", "origin", "exp"]);
    ada.ok(&["checkout", "main"]);
    ada.write("data/z.bin", &noise);
    ada.commit("z");
    ada.ok(&["push"]);
    ada.ok(&["push", "--delete", "origin", "exp"]);
    later(&ada);
    let now = ["--keep-last", "1", "--keep-within", "0s", "--grace", "0s"];
    ada.ok(&[&["gc", "--apply", "--remote", "origin"], &now[..]].concat());
    let clone = cloned(&place, &[]);
    clone.files().assert_same(&ada.files(), "a clone");
    clone.sound();
    clone.ok(&["fsck", "--remote", "origin", "--full"]);
    // The file comes back whole, for those who push it and for those who clone it then.
    clone.write("data/large.bin", [&large[..], &Random::new(3).bytes(200_000)].concat());
    clone.commit("larger again");
    clone.sound();
    clone.ok(&["push"]);
    let clone = cloned(&place, &[]);
    assert_eq!(clone.read("data/large.bin").len(), 3_200_000);
    clone.sound();
    sound_remote(&place);
}

#[test]
fn parts_of_a_repository_commit_and_push_against_what_they_lack() {
    let mut story = Story::new();
    story.step();
    story.step();
    share(&story.ada);
    let place = shared(&story.ada);
    let parts: [&[&str]; 5] = [
        &["--only", "code"],
        &["--only", "model"],
        &["--depth", "1"],
        &["--only", "model", "--depth", "1"],
        &["--", "data"],
    ];
    for (n, part) in parts.into_iter().enumerate() {
        let clone = cloned(&place, part);
        clone.sound();
        let mut model = story.model.clone();
        model.train(100 + n as u64);
        let rows = edit(&story.rows, 300, n as u64);
        clone.write("models/m.safetensors", model.safetensors());
        clone.write("data/rows.csv", &rows);
        let id = clone.commit("from a part");
        clone.sound();
        clone.ok(&["push"]);
        let full = cloned(&place, &[]);
        assert_eq!(head(&full), id);
        assert!(full.read("models/m.safetensors") == model.safetensors(), "{part:?}");
        assert!(full.read("data/rows.csv") == rows, "{part:?}");
        story.whole(&full, "the versions before");
        clone.ok(&["repack"]);
        clone.sound();
        clone.ok(&["gc", "--apply", "--grace", "0d"]);
        assert!(clone.read("data/rows.csv") == rows);
        story.ada.ok(&["pull"]);
        clone.ok(&["checkout", "HEAD~1"]);
        clone.ok(&["checkout", "main"]);
        clone.sound();
    }
    sound_remote(&place);
}

#[test]
fn two_who_pushed_the_same_files_coded_differently_and_everybody_after_them_read_all() {
    let mut story = Story::new();
    share(&story.ada);
    let place = shared(&story.ada);
    let bob = cloned(&place, &[]);
    // Bob makes the same contents in the other order, and repacks.
    let contents: Vec<(Vec<u8>, Vec<u8>)> = (0..3)
        .map(|n| {
            story.model.train(50 + n);
            story.rows = edit(&story.rows, 300, n);
            (story.model.safetensors(), story.rows.clone())
        })
        .collect();
    let commit = |who: &Sandbox, n: usize, folder: &str| {
        who.write(format!("{folder}/m.safetensors"), &contents[n].0);
        who.write(format!("{folder}/rows.csv"), &contents[n].1);
        who.commit("step");
    };
    (0..3).for_each(|n| commit(&story.ada, n, "models"));
    (0..3).rev().for_each(|n| commit(&bob, n, "other"));
    bob.ok(&["repack"]);
    bob.ok(&["checkout", "-b", "bob"]);
    story.ada.ok(&["push"]);
    bob.ok(&["push", "origin", "bob"]);
    for who in [&story.ada, &bob] {
        who.ok(&["fetch"]);
        who.sound();
        who.ok(&["repack", "--gather"]);
        who.sound();
        who.ok(&["repack"]);
        who.sound();
        later(who);
        who.ok(&["gc", "--apply", "--keep-last", "1", "--grace", "0d"]);
        who.sound();
    }
    story.ada.ok(&["repack", "--remote", "origin"]);
    let clone = cloned(&place, &[]);
    clone.sound();
    clone.ok(&["checkout", "bob"]);
    assert!(clone.read("other/m.safetensors") == contents[0].0);
    clone.ok(&["checkout", "main"]);
    assert!(clone.read("models/rows.csv") == contents[2].1);
    sound_remote(&place);
}

/// A block of this encoding, whatever is in it, with these bases.
fn coded(encoding: u8, raw: &[u8], stored: &[u8], bases: &[Hash]) -> Block {
    Block {
        encoding,
        stored: stored.to_vec(),
        bases: bases.to_vec(),
        ..Block::raw(Kind::Blob, raw)
    }
}

/// A version of one file that is this block.
fn names(remote: &mut Remote, raw: &[u8], block: Block, more: Vec<Block>) {
    let entry = Entry::file("f.bin", id_of(Kind::Blob, raw), raw.len() as u64);
    remote.entries([vec![block], more].concat(), &[entry]);
}

#[test]
fn blocks_whose_bases_are_nowhere_or_are_themselves_are_refused() {
    let raw = b"some bytes that are said to be a difference".repeat(10);
    let own = id_of(Kind::Blob, &raw);
    let other = Block::raw(Kind::Blob, &raw[1..]);
    let there = other.objects[0].0;
    for encoding in [5, 6, 7] {
        let cases: Vec<(&str, Vec<Hash>)> = vec![
            ("nowhere", vec![Hash([7; 32])]),
            ("itself", vec![own]),
            ("none", vec![]),
            ("too many", vec![there; 513]),
            ("one that is there", vec![there]),
            ("one that is there and one that is not", vec![there, Hash([7; 32])]),
        ];
        for (what, bases) in cases {
            for stored in [&b""[..], b"\0\0\0\0", b"\xff\xff\xff\xff\x01\x02\x03", &raw] {
                let change = |remote: &mut Remote| {
                    names(remote, &raw, coded(encoding, &raw, stored, &bases), vec![other.clone()]);
                };
                no_clone(what, 3, &change);
            }
            no_pull(what, 3, &|remote| {
                names(
                    remote,
                    &raw,
                    coded(encoding, &raw, b"\0\0\0\0", &bases),
                    vec![other.clone()],
                );
            });
        }
    }
}
