//! Many clones that push to one shared directory at once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mv_repo::Error;
use mv_tests::Sandbox;

use super::team::{cloned, sound_remote};
use super::wire::{Hand, Place, Wire};

/// Clones of one remote, each with a wire of its own.
fn hands(place: &Path, clones: usize) -> Vec<Hand> {
    let wire = Wire::to(place);
    let mut first = Hand::new(&wire);
    first.commit("base.txt", "base");
    first.push().unwrap();
    (0..clones).map(|_| Hand::cloned(&Wire::to(place))).collect()
}

/// The messages of all versions that a clone of the remote has.
fn messages(place: &Path, branches: &[String]) -> (Sandbox, BTreeSet<String>) {
    let look = cloned(place, &[]);
    let mut found = BTreeSet::new();
    for branch in branches {
        let log = look.json(&["log", &format!("origin/{branch}")]);
        let texts = log.as_array().unwrap().iter().map(|m| m["message"].as_str().unwrap());
        found.extend(texts.map(str::to_owned));
    }
    (look, found)
}

fn name(clone: usize, commit: usize) -> String {
    format!("{clone}-{commit}.txt")
}

/// Each to a branch of its own: nobody is ever told to fetch first.
fn own_branches(clones: usize, commits: usize) {
    let place = Place::new();
    let hands = hands(&place.dir, clones);
    std::thread::scope(|scope| {
        for (clone, mut hand) in hands.into_iter().enumerate() {
            scope.spawn(move || {
                hand.branch(&format!("b{clone}"));
                for commit in 0..commits {
                    hand.commit(&name(clone, commit), format!("{clone} {commit}"));
                    while let Err(e) = hand.push() {
                        assert!(matches!(e, Error::LostRace { .. }), "{e:?}");
                    }
                }
                hand.sandbox.sound();
            });
        }
    });
    let branches: Vec<String> = (0..clones).map(|clone| format!("b{clone}")).collect();
    let (look, found) = messages(&place.dir, &branches);
    for clone in 0..clones {
        for commit in 0..commits {
            let path = name(clone, commit);
            assert!(found.contains(&format!("write {path}")), "{path} is lost");
        }
        let last = look.json(&["ls", &format!("origin/b{clone}")]);
        assert_eq!(last.as_array().unwrap().len(), commits + 2, "{last}");
    }
    sound_remote(&place.dir);
    look.sound();
}

/// All to one branch: who loses pulls and pushes again.
fn one_branch(clones: usize, commits: usize) {
    let place = Place::new();
    let hands = hands(&place.dir, clones);
    let lost = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for (clone, mut hand) in hands.into_iter().enumerate() {
            let lost = Arc::clone(&lost);
            scope.spawn(move || {
                for commit in 0..commits {
                    hand.commit(&name(clone, commit), format!("{clone} {commit}"));
                    while let Err(e) = hand.push() {
                        match e {
                            Error::Behind { .. } => {
                                assert!(e.to_string().contains("fetch first"), "{e}");
                                lost.fetch_add(1, Ordering::Relaxed);
                                let pulled = hand.pull().unwrap();
                                assert!(pulled.merged.conflicts.is_empty());
                            }
                            Error::LostRace { .. } => {}
                            e => panic!("{e:?}"),
                        }
                    }
                }
                hand.sandbox.sound();
            });
        }
    });
    assert!(lost.load(Ordering::Relaxed) > 0, "there was no race");
    let (look, found) = messages(&place.dir, &["main".to_owned()]);
    for (clone, commit) in (0..clones).flat_map(|c| (0..commits).map(move |n| (c, n))) {
        let path = name(clone, commit);
        assert!(found.contains(&format!("write {path}")), "{path} is lost");
        assert_eq!(look.read(&path), format!("{clone} {commit}").as_bytes());
    }
    sound_remote(&place.dir);
    look.sound();
}

#[test]
fn eight_clones_push_to_their_own_branches_at_once() {
    own_branches(8, 4);
}

#[test]
fn eight_clones_push_to_one_branch_at_once() {
    one_branch(8, 3);
}

#[test]
#[ignore = "160 commits: a minute"]
fn eight_clones_push_twenty_commits_each_to_their_own_branches_at_once() {
    own_branches(8, 20);
}

#[test]
#[ignore = "160 commits and their merges: some minutes"]
fn eight_clones_push_twenty_commits_each_to_one_branch_at_once() {
    one_branch(8, 20);
}

#[test]
fn of_two_that_begin_a_remote_at_once_neither_loses_anything() {
    for _ in 0..3 {
        let place = Place::new();
        std::thread::scope(|scope| {
            for clone in 0..4 {
                let dir = &place.dir;
                scope.spawn(move || {
                    let mut hand = Hand::new(&Wire::to(dir));
                    hand.branch(&format!("b{clone}"));
                    hand.commit(&name(clone, 0), format!("{clone}"));
                    while let Err(e) = hand.push() {
                        assert!(matches!(e, Error::LostRace { .. }), "{e:?}");
                    }
                });
            }
        });
        let branches: Vec<String> = (0..4).map(|clone| format!("b{clone}")).collect();
        let (_, found) = messages(&place.dir, &branches);
        assert_eq!(found.len(), 4, "{found:?}");
        sound_remote(&place.dir);
    }
}

/// The program itself: exit codes and messages under a race.
#[test]
fn programs_that_push_at_once_succeed_or_say_fetch_first() {
    let ada = Sandbox::new();
    ada.write("base.txt", "base");
    ada.commit("base");
    super::team::share(&ada);
    let place = super::team::shared(&ada);
    let clones: Vec<Sandbox> = (0..4).map(|_| cloned(&place, &[])).collect();
    std::thread::scope(|scope| {
        for (n, clone) in clones.iter().enumerate() {
            scope.spawn(move || {
                super::team::add(clone, &name(n, 0), format!("{n}"));
                loop {
                    let output = clone.mv(&["push"]);
                    if output.code == 0 {
                        break;
                    }
                    let output = output.clean_fail(5);
                    if output.stderr.contains("fetch first") {
                        clone.ok(&["pull"]);
                    }
                }
            });
        }
    });
    let look = cloned(&place, &[]);
    for n in 0..4 {
        assert_eq!(look.read(name(n, 0)), format!("{n}").as_bytes());
    }
    sound_remote(&place);
}
