//! `mv repack`: everything reads after it, takes less, and what is dropped before or after takes
//! nothing with it.

use std::path::Path;

use mv_graph::chain;
use mv_repo::WAITING;
use mv_repo::gc::{self, GcOptions};
use mv_repo::repack::repack;
use mv_store::{Outline, Progress, StoreWriter, Unit, fs};
use mv_tests::{Files, Random, Sandbox, Weights, damage, edit, table};

const HOUR: i64 = 3600;
const YEARS: i64 = 50 * 365 * 24 * HOUR;

/// Versions, each with the files that it came from.
pub(super) struct Story {
    pub(super) sandbox: Sandbox,
    pub(super) versions: Vec<(String, Files)>,
}

impl Story {
    pub(super) fn commit(&mut self, message: &str) {
        let id = self.sandbox.commit(message);
        self.versions.push((id, self.sandbox.files()));
    }

    /// Weights that are trained, a table that is edited, small files, a symlink, an empty file.
    pub(super) fn new(count: u64) -> Story {
        let mut story = Story { sandbox: Sandbox::new(), versions: Vec::new() };
        let mut model = Weights::new(2, 300, true, 1);
        let mut rows = table(400_000, 2);
        let sandbox = &story.sandbox;
        sandbox.write("requirements.txt", "numpy==1.26.4\n");
        sandbox.write("data/empty.csv", "");
        sandbox.symlink("models/latest", "m.safetensors");
        sandbox.write("models/fixed.bin", Random::new(4).bytes(150_000));
        for n in 0..count {
            let sandbox = &story.sandbox;
            sandbox.write("models/m.safetensors", model.safetensors());
            sandbox.write("models/e.npy", model.npy());
            sandbox.write("data/rows.csv", &rows);
            sandbox.write("train.py", format!("print({n})\n").repeat(20));
            model.train(n);
            rows = edit(&rows, 500, n);
            story.commit(&format!("version {n}"));
        }
        story
    }

    /// Every version comes out as it went in.
    #[track_caller]
    pub(super) fn whole(&self) {
        comes_out(&self.sandbox, &self.versions);
    }

    pub(super) fn stored(&self) -> u64 {
        self.sandbox.json(&["du"])["stored_bytes"].as_u64().unwrap()
    }

    pub(super) fn gc(&self, more: &[&str]) -> serde_json::Value {
        self.sandbox.json(&[&["gc", "--apply", "--grace", "0d"], more].concat())
    }
}

/// Versions come out as they went in, and nothing is damaged.
#[track_caller]
pub(super) fn comes_out(sandbox: &Sandbox, versions: &[(String, Files)]) {
    for (id, files) in versions {
        sandbox.ok(&["checkout", "--force", id]);
        sandbox.files().assert_same(files, id);
    }
    sandbox.ok(&["checkout", "--force", "main"]);
    sandbox.sound();
}

#[test]
fn everything_reads_after_a_repack_and_after_the_next_gc_takes_less() {
    let mut story = Story::new(5);
    let sandbox = &story.sandbox;
    sandbox.ok(&["tag", "v1.0.0", "HEAD~2"]);
    sandbox.ok(&["checkout", "-b", "side"]);
    sandbox.write("models/s.safetensors", Weights::new(1, 300, false, 9).safetensors());
    story.commit("side");
    story.sandbox.ok(&["checkout", "main"]);
    story.sandbox.write("train.py", "print('main')\n");
    story.commit("main");
    story.sandbox.ok(&["merge", "side"]);
    story.versions.push((
        story.sandbox.json(&["status"])["head"].as_str().unwrap().into(),
        story.sandbox.files(),
    ));
    let before = story.stored();
    let done = story.sandbox.json(&["repack"]);
    assert_eq!(done["packs_after"], 1, "{done}");
    story.whole();
    story.gc(&[]);
    story.whole();
    assert!(story.stored() <= before, "{} {before}", story.stored());
    // And all of it again.
    story.sandbox.write("train.py", "print('more')\n");
    story.commit("more");
    story.sandbox.json(&["repack"]);
    story.gc(&[]);
    story.gc(&[]);
    story.whole();
}

#[test]
fn a_second_repack_does_nothing() {
    let story = Story::new(3);
    story.sandbox.ok(&["repack"]);
    let packs = damage::files_below(&story.sandbox.dot().join("packs"));
    let done = story.sandbox.json(&["repack"]);
    assert_eq!(done["packs_before"], 0, "{done}");
    assert_eq!(damage::files_below(&story.sandbox.dot().join("packs")), packs);
}

#[test]
fn a_gc_that_only_deletes_what_a_repack_replaced_is_no_reason_for_another() {
    let story = Story::new(3);
    let sandbox = &story.sandbox;
    sandbox.ok(&["repack"]);
    story.gc(&[]);
    sandbox.advance(2 * HOUR);
    story.gc(&[]);
    let done = sandbox.json(&["repack"]);
    assert_eq!(done["packs_before"], 0, "{done}");
    // What a tag names now is stored to be quick to read.
    sandbox.ok(&["tag", "v1.0.0", "HEAD~2"]);
    let done = sandbox.json(&["repack"]);
    assert_ne!(done["packs_before"], 0, "{done}");
}

#[test]
fn who_commits_while_everything_is_stored_anew_neither_waits_nor_loses_anything() {
    commits_meanwhile(1);
}

#[test]
fn a_repack_is_not_lost_when_commits_merge_packs_meanwhile() {
    commits_meanwhile(9);
}

fn commits_meanwhile(count: usize) {
    let mut story = Story { sandbox: Sandbox::new(), versions: Vec::new() };
    let mut session = mv_tests::session(HOUR);
    let model = Weights::new(2, 2000, true, 1).safetensors();
    let repo = mv_repo::Repo::open(story.sandbox.root(), &session).unwrap();
    // Cut by its content alone, as by whoever knows nothing of tensors: a repack cuts it anew.
    let writer = StoreWriter::begin(repo.store(), &session.nonces).unwrap();
    let task = session.progress.task("storing", Unit::Bytes);
    writer.put_file(Path::new("m"), 0, &Outline::default(), &mut &model[..], &task).unwrap();
    let mut next = repo.state().next("forged", session.nonces.next(), session.now, None);
    next.add_packs(&writer.finish().unwrap().packs);
    chain::append(repo.transport(), repo.record(), next).unwrap();
    story.sandbox.write("models/m.safetensors", &model);
    story.commit("a model");

    let lock = story.sandbox.dot().join("worktree/lock");
    let held = fs::Lock::try_now(&lock).unwrap().unwrap();
    session.progress = Progress::new();
    let done = std::thread::scope(|scope| {
        let repack = scope.spawn(|| repack(&repo, &session).unwrap());
        let waits = || session.progress.snapshot().iter().any(|task| task.name == WAITING);
        while !waits() {
            assert!(!repack.is_finished());
            std::thread::yield_now();
        }
        // Everything is written, and the one lock is ours: others find another one.
        std::fs::remove_file(&lock).unwrap();
        story.sandbox.write("data/joined.dat", [&[7; 1000][..], &model].concat());
        story.commit("meanwhile");
        for n in 1..count {
            story.sandbox.write("train.py", format!("print({n})\n"));
            story.commit("more");
        }
        let reflog = story.sandbox.json(&["reflog"]).to_string();
        assert_eq!(reflog.contains("merge packs"), count > 1);
        drop(held);
        repack.join().unwrap()
    });
    assert_ne!(done.packs_before, 0);
    for _ in 0..2 {
        story.gc(&[]);
    }
    story.whole();
}

#[test]
fn undo_and_redo_lead_over_a_repack() {
    let story = Story::new(3);
    let sandbox = &story.sandbox;
    sandbox.ok(&["repack"]);
    let head = |n: usize| {
        assert_eq!(sandbox.json(&["status"])["head"], story.versions[n].0.as_str());
        sandbox.sound();
    };
    sandbox.ok(&["undo"]);
    head(1);
    sandbox.ok(&["redo"]);
    head(2);
    story.gc(&[]);
    sandbox.ok(&["undo"]);
    sandbox.ok(&["repack"]);
    sandbox.ok(&["redo"]);
    story.whole();
}

#[test]
fn versions_that_a_gc_dropped_do_not_hinder_a_repack() {
    let story = Story::new(6);
    let sandbox = &story.sandbox;
    sandbox.ok(&["checkout", "-b", "side", "HEAD~3"]);
    sandbox.write("models/x.bin", Random::new(7).bytes(3_000_000));
    sandbox.commit("side");
    sandbox.ok(&["checkout", "main"]);
    sandbox.ok(&["branch", "-d", "side"]);
    sandbox.advance(YEARS);
    for _ in 0..3 {
        story.gc(&["--keep-last", "1"]);
        sandbox.advance(2 * HOUR);
    }
    story.whole();
    sandbox.ok(&["repack"]);
    story.whole();
    sandbox.advance(YEARS);
    story.gc(&["--keep-last", "1"]);
    story.whole();
}

/// Drops whatever no ref names, at once.
fn drop_all(sandbox: &Sandbox) {
    let now = ["--keep-last", "1", "--keep-within", "0s", "--grace", "0s"];
    sandbox.ok(&[&["gc", "--apply"], &now[..]].concat());
    sandbox.sound();
}

/// A gc drops a version's file and keeps the pack of the version itself, for another file in it.
#[test]
fn a_dropped_version_of_which_something_is_left_does_not_hinder_a_repack() {
    let sandbox = Sandbox::new();
    sandbox.write("train.py", "print(1)\n");
    sandbox.commit("first");
    sandbox.ok(&["tag", "v1.0.0"]);
    sandbox.write("data/b.bin", Random::new(1).bytes(2_000_000));
    sandbox.commit("b");
    sandbox.write("data/c.bin", Random::new(2).bytes(4_000_000));
    sandbox.commit("c");
    sandbox.ok(&["reset", "v1.0.0"]);
    sandbox.remove("data/b.bin");
    let last = (sandbox.commit("c without b"), sandbox.files());
    drop_all(&sandbox);
    sandbox.ok(&["repack"]);
    comes_out(&sandbox, &[last]);
}

/// A gc keeps a pack for one file in it, and with it the list of another one, whose chunks it drops.
#[test]
fn what_a_gc_left_of_a_file_is_not_taken_for_the_file() {
    let sandbox = Sandbox::new();
    let mut model = Weights::new(2, 2000, true, 1);
    sandbox.write("models/m.safetensors", model.safetensors());
    sandbox.write("data/z.bin", Random::new(1).bytes(100_000));
    sandbox.commit("first");
    model.train(1);
    let mut trained = model.safetensors();
    sandbox.write("models/m.safetensors", &trained);
    sandbox.ok(&["checkout", "--force", "HEAD"]);
    let middle = trained.len() / 2;
    trained[middle..middle + 4].fill(1);
    let noise = Random::new(2).bytes(6_000_000);
    sandbox.write("models/m.safetensors", &trained);
    sandbox.write("data/z.bin", &noise);
    sandbox.ok(&["checkout", "--force", "HEAD"]);
    sandbox.write("data/z.bin", &noise);
    sandbox.commit("z alone");
    drop_all(&sandbox);
    sandbox.write("models/m.safetensors", &trained);
    let last = (sandbox.commit("the model again"), sandbox.files());
    sandbox.remove("models");
    comes_out(&sandbox, &[last]);
}

/// The versions behind a branch that starts anew are dropped, however the kept ones are coded.
fn dropped(repack: bool) {
    let story = Story::new(6);
    let sandbox = &story.sandbox;
    for (tag, at) in [("v0.1.0", 2), ("v0.2.0", 4)] {
        sandbox.ok(&["tag", tag, &story.versions[at].0]);
    }
    if repack {
        sandbox.ok(&["repack"]);
    }
    let kept: Vec<_> = story.versions[..5].to_vec();
    sandbox.ok(&["checkout", "--force", &story.versions[4].0]);
    sandbox.ok(&["branch", "-d", "main"]);
    sandbox.ok(&["checkout", "-b", "main"]);
    sandbox.advance(YEARS);
    for _ in 0..4 {
        story.gc(&["--keep-last", "1"]);
        comes_out(sandbox, &kept);
        sandbox.advance(2 * HOUR);
    }
    sandbox.ok(&["repack"]);
    comes_out(sandbox, &kept);
}

#[test]
fn a_version_that_goes_takes_nothing_with_it_that_others_need() {
    dropped(false);
    dropped(true);
}

/// Amended versions: each is coded against one that nothing reaches any more.
#[test]
fn versions_coded_against_dropped_ones_stay_whole_through_many_gcs() {
    let sandbox = Sandbox::new();
    let mut model = Weights::new(2, 300, true, 3);
    let mut rows = table(400_000, 5);
    let mut story = Story { sandbox, versions: Vec::new() };
    for n in 0..10 {
        story.sandbox.write("models/m.safetensors", model.safetensors());
        story.sandbox.write("rows.csv", &rows);
        if n == 0 {
            story.sandbox.commit("first");
        } else {
            story.sandbox.ok(&["commit", "--amend", "-m", &format!("amended {n}")]);
        }
        model.train(n);
        rows = edit(&rows, 500, n);
        if n % 3 == 2 {
            story.sandbox.advance(YEARS / 10);
            story.gc(&["--keep-last", "1"]);
            story.sandbox.sound();
        }
    }
    let head = story.sandbox.json(&["status"])["head"].as_str().unwrap().to_owned();
    story.versions.push((head, story.sandbox.files()));
    story.whole();
    let logical = model.safetensors().len() + rows.len();
    for n in 0..3 {
        story.sandbox.advance(YEARS / 10);
        story.gc(&["--keep-last", "1"]);
        story.whole();
        if n == 0 {
            story.sandbox.ok(&["repack"]);
        }
    }
    story.sandbox.advance(2 * HOUR);
    story.gc(&["--keep-last", "1"]);
    story.whole();
    assert!(story.stored() < logical as u64 * 3 / 2, "{} {logical}", story.stored());
}

#[test]
fn a_repack_that_is_cut_off_loses_nothing_and_its_packs_go_with_a_gc() {
    let story = Story::new(3);
    let sandbox = &story.sandbox;
    let state = sandbox.dot().join("state");
    let record = damage::files_below(&state).pop().unwrap();
    sandbox.ok(&["repack"]);
    // As if it had ended before its record was there.
    for later in damage::files_below(&state) {
        if later > record {
            std::fs::remove_file(later).unwrap();
        }
    }
    let packs = damage::packs(&sandbox.dot()).len();
    story.whole();
    let done = sandbox.json(&["repack"]);
    assert_ne!(done["packs_before"], 0, "{done}");
    sandbox.advance(YEARS);
    story.gc(&[]);
    sandbox.advance(2 * HOUR);
    story.gc(&[]);
    assert!(damage::packs(&sandbox.dot()).len() < packs);
    story.whole();
}

#[test]
fn a_damaged_object_stops_a_repack_and_nothing_changes() {
    let story = Story::new(3);
    let sandbox = &story.sandbox;
    let pack = damage::packs(&sandbox.dot()).remove(0);
    let block = damage::blocks(&pack).into_iter().max_by_key(|block| block.len).unwrap();
    damage::flip(&pack, block.offset + block.len / 2, 3);
    let before = damage::files_below(&sandbox.dot().join("state"));
    sandbox.mv(&["repack"]).clean_fail(3);
    assert_eq!(damage::files_below(&sandbox.dot().join("state")), before);
    damage::flip(&pack, block.offset + block.len / 2, 3);
    sandbox.ok(&["repack"]);
    story.whole();
}

/// After a repack an old version is coded against newer ones. When these go, a repack frees it of them.
#[test]
fn newer_versions_that_go_are_freed_by_a_gc_after_a_repack() {
    let mut story = Story::new(6);
    let sandbox = &story.sandbox;
    let one = story.versions[0].1.0.values().map(|node| match node {
        mv_tests::Node::File { bytes, .. } => bytes.len() as u64,
        _ => 0,
    });
    let one: u64 = one.sum();
    sandbox.ok(&["repack"]);
    sandbox.ok(&["reset", "--hard", "HEAD~5"]);
    let gc = || {
        sandbox.advance(YEARS / 10);
        story.gc(&["--keep-last", "1"]);
        comes_out(sandbox, &story.versions[..1]);
    };
    gc();
    sandbox.ok(&["repack"]);
    gc();
    gc();
    assert!(story.stored() <= one, "{} {one}", story.stored());
    story.versions.truncate(1);
    story.whole();
}

#[test]
fn a_plan_of_gc_is_what_is_freed() {
    let story = Story::new(5);
    let sandbox = &story.sandbox;
    sandbox.ok(&["checkout", "-b", "side"]);
    sandbox.write("models/x.bin", Random::new(7).bytes(3_000_000));
    sandbox.commit("side");
    sandbox.ok(&["repack"]);
    sandbox.ok(&["checkout", "main"]);
    sandbox.ok(&["branch", "-d", "side"]);
    // The packs from before the repack.
    story.gc(&[]);
    story.gc(&[]);
    let mut clock = mv_tests::Clock::default();
    let session = clock.later(YEARS);
    let repo = mv_repo::Repo::open(sandbox.root(), &session).unwrap();
    let options = GcOptions { keep_last: Some(1), ..GcOptions::default() };
    let plan = gc::plan(&repo, &options, &session).unwrap();
    assert!((3_000_000..3_300_000).contains(&plan.free_bytes), "{}", plan.free_bytes);
    gc::apply(&repo, &plan, &session).unwrap();
    let stored = story.stored();
    assert!(stored.abs_diff(plan.kept_bytes) < 100_000, "{stored} {}", plan.kept_bytes);
    story.whole();
}
