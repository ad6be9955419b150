//! How much travels, in how many requests, and how a transfer that was cut off goes on.

use std::fs;
use std::sync::Arc;

use mv_repo::Error;
use mv_tests::{Random, Sandbox, damage};

use super::team::{published, sound_remote};
use super::wire::{Hand, Place, Wire};

fn lost(error: &Error) -> bool {
    matches!(error, Error::Store(mv_store::Error::Remote { .. }))
        || matches!(error, Error::Graph(mv_graph::Error::Store(mv_store::Error::Remote { .. })))
}

/// A remote with so many packs, each of one push.
fn with_packs(wire: &Arc<Wire>, packs: u64) -> Hand {
    let mut ada = Hand::new(wire);
    for n in 0..packs {
        ada.commit(&format!("data/{n}.bin"), Random::new(n).bytes(300_000));
        ada.push().unwrap();
    }
    ada
}

#[test]
fn a_small_change_of_a_large_model_travels_as_a_small_change() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let mut ada = Hand::new(&wire);
    let mut model = Random::new(7).bytes(20_000_000);
    ada.commit("models/m.bin", &model);
    assert!(ada.push().unwrap().bytes >= 20_000_000);
    let mut bob = Hand::cloned(&wire);
    assert_eq!(bob.sandbox.read("models/m.bin"), model);
    model[11_000_000..11_001_000].fill(0);
    ada.commit("models/m.bin", &model);
    wire.taken();
    let pushed = ada.push().unwrap();
    let (_, sent) = wire.taken();
    assert!(pushed.bytes < 400_000, "{pushed:?}");
    assert!(sent < 400_000, "{sent} bytes went over the wire");
    let fetched = bob.fetch().unwrap();
    let (_, received) = wire.taken();
    assert!(fetched.bytes < 400_000, "{fetched:?}");
    assert!(received < 400_000, "{received} bytes went over the wire");
    bob.pull().unwrap();
    assert_eq!(bob.sandbox.read("models/m.bin"), model);
    // The same file under another name is there already.
    ada.commit("models/copy.bin", &model);
    let pushed = ada.push().unwrap();
    assert!(pushed.bytes < 50_000, "{pushed:?}");
    assert!(pushed.already_there_bytes >= 20_000_000, "{pushed:?}");
}

#[test]
fn nothing_new_costs_a_handful_of_requests_and_nothing_is_listed() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let mut ada = with_packs(&wire, 8);
    let mut bob = Hand::cloned(&wire);
    wire.taken();
    ada.push().unwrap();
    let (asked, _) = wire.taken();
    assert!(asked.values().sum::<u64>() <= 3, "push: {asked:?}");
    bob.fetch().unwrap();
    let (asked, _) = wire.taken();
    assert!(asked.values().sum::<u64>() <= 2, "fetch: {asked:?}");
    bob.push().unwrap();
    let (asked, _) = wire.taken();
    assert!(asked.values().sum::<u64>() <= 3, "push of the other: {asked:?}");
    // With news the number does not grow with what is there.
    for n in 0..3 {
        ada.commit("train.py", format!("x = {n}"));
        ada.push().unwrap();
        let (asked, _) = wire.taken();
        assert!(asked.values().sum::<u64>() <= 8, "push of news: {asked:?}");
        assert!(!asked.contains_key("list"), "{asked:?}");
        bob.pull().unwrap();
        let (asked, _) = wire.taken();
        assert!(asked.values().sum::<u64>() <= 12, "pull of news: {asked:?}");
        assert!(!asked.contains_key("list"), "{asked:?}");
    }
}

#[test]
fn a_clone_reads_each_pack_about_once() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let mut ada = with_packs(&wire, 8);
    wire.taken();
    let mut bob = Hand::cloned(&wire);
    let (asked, bytes) = wire.taken();
    let stored: u64 = damage::packs(&place.dir).iter().map(|p| p.metadata().unwrap().len()).sum();
    assert!(bytes < stored + stored / 2, "{bytes} of {stored}: {asked:?}");
    assert!(asked.values().sum::<u64>() < 8 * 12, "{asked:?}");
    bob.sandbox.files().assert_same(&ada.sandbox.files(), "the clone");
    bob.sandbox.sound();
    // What it has of the remote's indexes is enough to push.
    bob.commit("bob.py", "bob");
    wire.taken();
    bob.push().unwrap();
    let (asked, _) = wire.taken();
    assert!(asked.values().sum::<u64>() <= 8, "{asked:?}");
    ada.pull().unwrap();
    assert_eq!(ada.sandbox.read("bob.py"), b"bob");
}

#[test]
fn a_push_that_breaks_at_any_request_shows_nothing_and_goes_on() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let mut ada = Hand::new(&wire);
    for n in 0..3 {
        ada.commit(&format!("{n}.bin"), Random::new(n).bytes(50_000));
    }
    let mut broken = 0;
    for round in 0..2 {
        // Once into nothing, once onto what is there.
        for requests in 0.. {
            wire.break_after(None, requests);
            let outcome = ada.push();
            wire.mend();
            match outcome {
                Ok(_) => break,
                Err(e) => assert!(lost(&e), "{requests}: {e:?}"),
            }
            broken += 1;
            assert!(requests < 60, "it never gets done");
            if round == 1 {
                sound_remote(&place.dir);
            }
        }
        ada.push().unwrap();
        let bob = Hand::cloned(&wire);
        bob.sandbox.files().assert_same(&ada.sandbox.files(), "what was pushed in pieces");
        ada.commit("more.bin", Random::new(99 + round).bytes(50_000));
    }
    assert!(broken > 8, "{broken}");
    ada.sandbox.sound();
    sound_remote(&place.dir);
}

#[test]
fn what_was_sent_before_the_record_failed_is_not_sent_again() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let mut ada = with_packs(&wire, 1);
    ada.commit("big.bin", Random::new(50).bytes(300_000));
    wire.taken();
    wire.break_after(Some("create"), 0);
    assert!(lost(&ada.push().unwrap_err()));
    let (asked, _) = wire.taken();
    assert_eq!(asked.get("upload"), Some(&1), "{asked:?}");
    let packs = damage::packs(&place.dir);
    wire.mend();
    ada.push().unwrap();
    let (asked, _) = wire.taken();
    assert_eq!(asked.get("upload"), None, "{asked:?}");
    assert_eq!(damage::packs(&place.dir), packs);
    sound_remote(&place.dir);
    let bob = Hand::cloned(&wire);
    bob.sandbox.files().assert_same(&ada.sandbox.files(), "the clone");
}

#[test]
fn packs_that_were_sent_and_have_vanished_are_sent_again() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let mut ada = with_packs(&wire, 1);
    let before = damage::packs(&place.dir);
    ada.commit("big.bin", Random::new(50).bytes(300_000));
    wire.break_after(Some("create"), 0);
    assert!(lost(&ada.push().unwrap_err()));
    wire.mend();
    for pack in damage::packs(&place.dir).iter().filter(|p| !before.contains(p)) {
        fs::remove_file(pack).unwrap();
    }
    ada.push().unwrap();
    sound_remote(&place.dir);
    let bob = Hand::cloned(&wire);
    bob.sandbox.files().assert_same(&ada.sandbox.files(), "the clone");
}

#[test]
fn the_notes_of_a_transfer_may_be_lost_at_any_time() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let mut ada = with_packs(&wire, 2);
    let mut bob = Hand::cloned(&wire);
    fs::remove_dir_all(ada.sandbox.dot().join("remotes")).unwrap();
    ada.commit("more.py", "more");
    ada.push().unwrap();
    fs::remove_dir_all(bob.sandbox.dot().join("remotes")).unwrap();
    bob.pull().unwrap();
    // Bytes that are no index and no list.
    for hand in [&ada, &bob] {
        for file in damage::files_below(&hand.sandbox.dot().join("remotes")) {
            damage::overwrite(&file, b"rubbish");
        }
        fs::create_dir_all(hand.sandbox.dot().join("remotes/origin")).unwrap();
        fs::write(hand.sandbox.dot().join("remotes/origin/sent"), "rubbish\n00\n").unwrap();
    }
    ada.commit("again.py", "again");
    ada.push().unwrap();
    bob.pull().unwrap();
    bob.sandbox.files().assert_same(&ada.sandbox.files(), "without notes");
    bob.sandbox.sound();
    sound_remote(&place.dir);
}

#[test]
fn a_clone_that_breaks_at_any_request_is_no_repository_and_goes_on() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let ada = with_packs(&wire, 6);
    wire.taken();
    drop(Hand::cloned(&wire));
    let (_, once) = wire.taken();
    let mut bob = Hand::without(&wire);
    let mut requests = 0;
    let mut tries = 0;
    while tries < 200 {
        wire.break_after(None, requests);
        let outcome = bob.clone_here();
        wire.mend();
        tries += 1;
        match outcome {
            Ok(_) => break,
            Err(e) => assert!(lost(&e), "{requests}: {e:?}"),
        }
        assert_eq!(published(&bob.sandbox.dot()), Vec::<Vec<u8>>::new());
        assert!([1, 2].contains(&bob.sandbox.mv(&["status"]).code), "half a clone");
        requests += 1;
    }
    bob.sandbox.files().assert_same(&ada.sandbox.files(), "the clone");
    bob.sandbox.sound();
    // And for the bytes: cut off near the end, and taken up again.
    let mut carol = Hand::without(&wire);
    wire.break_after(Some("read_range"), 5);
    assert!(lost(&carol.clone_here().unwrap_err()));
    wire.mend();
    let (_, first) = wire.taken();
    carol.clone_here().unwrap();
    let (_, second) = wire.taken();
    assert!(second < once, "{second} after {first}, {once} at once");
    carol.sandbox.files().assert_same(&ada.sandbox.files(), "the second clone");
}

#[test]
fn a_fetch_that_breaks_at_any_request_publishes_nothing_and_goes_on() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let mut ada = with_packs(&wire, 1);
    let mut bob = Hand::cloned(&wire);
    for n in 10..16 {
        ada.commit(&format!("data/{n}.bin"), Random::new(n).bytes(60_000));
        ada.push().unwrap();
    }
    let before = published(&bob.sandbox.dot());
    for requests in 0.. {
        wire.break_after(None, requests);
        let outcome = bob.fetch();
        wire.mend();
        match outcome {
            Ok(_) => break,
            Err(e) => assert!(lost(&e), "{requests}: {e:?}"),
        }
        assert!(requests < 100, "it never gets done");
        assert_eq!(published(&bob.sandbox.dot()), before, "{requests}");
    }
    bob.pull().unwrap();
    bob.sandbox.files().assert_same(&ada.sandbox.files(), "after all");
    bob.sandbox.sound();
}

/// Packs from 32 MiB on travel alone.
#[test]
#[ignore = "a hundred megabytes: some seconds"]
fn a_push_of_several_packs_sends_at_most_one_of_them_twice() {
    let place = Place::new();
    let wire = Wire::to(&place.dir);
    let mut ada = Hand::new(&wire);
    for n in 0..3 {
        ada.commit(&format!("models/{n}.bin"), Random::new(n).bytes(34_000_000));
    }
    for uploads in 0..3 {
        wire.break_after(Some("upload"), uploads.min(1));
        assert!(lost(&ada.push().unwrap_err()), "{uploads}");
    }
    wire.mend();
    wire.taken();
    let pushed = ada.push().unwrap();
    let (_, bytes) = wire.taken();
    assert!(bytes < 40_000_000, "{bytes} of the last pack: {pushed:?}");
    sound_remote(&place.dir);
    let bob = Hand::cloned(&wire);
    bob.sandbox.files().assert_same(&ada.sandbox.files(), "the clone");
}

/// The program itself, killed while it clones.
#[test]
fn a_clone_that_is_killed_is_taken_up_again() {
    let ada = Sandbox::new();
    for n in 0..4 {
        ada.write(format!("data/{n}.bin"), Random::new(n).bytes(400_000));
        ada.commit("more");
    }
    super::team::share(&ada);
    let url = super::team::shared(&ada);
    let mut random = Random::new(3);
    let bob = Sandbox::bare();
    let (mut killed, mut done) = (0, false);
    for _ in 0..12 {
        let mut child = bob.command();
        child.args(["clone", url.to_str().unwrap(), "."]);
        child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = child.spawn().unwrap();
        // A wait that no clock measures: how far the child gets is up to the scheduler.
        for _ in 0..random.below(20_000) {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        let status = child.wait().unwrap();
        killed += usize::from(!status.success());
        if status.success() {
            done = true;
            break;
        }
        let state = bob.mv(&["status"]);
        assert!([0, 1, 2].contains(&state.code), "{}", state.stderr);
    }
    if !done {
        let output = bob.mv(&["clone", url.to_str().unwrap(), "."]);
        // The last one may have been killed after its last step.
        assert!([0, 1].contains(&output.code), "after {killed}: {}", output.stderr);
    }
    bob.files().assert_same(&ada.files(), "the clone");
    bob.sound();
}
