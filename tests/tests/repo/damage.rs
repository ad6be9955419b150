//! Damaged repositories: every flipped bit and every cut is noticed, and what is whole still comes
//! out.

use std::path::{Path, PathBuf};

use mv_repo::checkout::CheckoutOptions;
use mv_repo::fsck::FsckOptions;
use mv_repo::{Repo, Session};
use mv_tests::damage::{self, files_below};
use mv_tests::{Files, Random, Sandbox};

use super::lab::Lab;

/// A repository of a few kilobytes with every kind of object, and its newest version.
fn small() -> (Lab, Files) {
    let mut lab = Lab::empty();
    lab.sandbox.write("train.py", "print(1)\n");
    lab.commit("first");
    lab.sandbox.write("data/x.csv", "a,b\n1,2\n");
    lab.sandbox.write("models/m.bin", Random::new(1).bytes(700));
    lab.sandbox.symlink("link", "train.py");
    lab.commit("second");
    let files = lab.files();
    let bytes: u64 =
        repository_files(&lab.sandbox).iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(bytes < 8192, "{bytes}");
    (lab, files)
}

/// What must be sound: everything but unpublished files.
fn repository_files(sandbox: &Sandbox) -> Vec<PathBuf> {
    let tmp = sandbox.dot().join("tmp");
    files_below(&sandbox.dot()).into_iter().filter(|f| !f.starts_with(&tmp)).collect()
}

fn fsck_is_clean(root: &Path, session: &Session) -> bool {
    match mv_repo::fsck::fsck(root, &FsckOptions { full: true, sample: None }, session) {
        Ok(report) => report.ok(),
        Err(_) => false,
    }
}

/// Takes everything out of the tree and checks HEAD out again: true when that is said to have
/// worked. Wrong bytes are never accepted.
fn comes_out(lab: &mut Lab, files: &Files, what: &str) -> bool {
    lab.set_files(&Files::default());
    let session = lab.clock.session();
    let Ok(repo) = Repo::open(lab.sandbox.root(), &session) else { return false };
    let options =
        CheckoutOptions { target: Some("main".into()), force: true, ..CheckoutOptions::default() };
    match mv_repo::checkout::checkout(&repo, &options, &session) {
        Ok(outcome) if outcome.failed.is_empty() => {
            lab.files().assert_same(files, what);
            true
        }
        _ => false,
    }
}

fn sweep_flips(step: usize, checkouts: usize) {
    let (lab, files) = small();
    let mut turn = 0;
    for path in repository_files(&lab.sandbox) {
        let good = std::fs::read(&path).unwrap();
        let name = path.strip_prefix(lab.sandbox.dot()).unwrap().to_owned();
        for at in (0..good.len()).step_by(step) {
            turn += 1;
            let bit = (at % 8) as u8;
            damage::flip(&path, at, bit);
            let what = format!("bit {bit} of byte {at} of {}", name.display());
            let session = mv_tests::session(1000);
            assert!(!fsck_is_clean(lab.sandbox.root(), &session), "{what} was not noticed");
            damage::overwrite(&path, &good);
            if turn % checkouts == 0 {
                let mut copy = Lab { sandbox: lab.sandbox.duplicate(), clock: lab.clock.clone() };
                damage::flip(&copy.sandbox.dot().join(&name), at, bit);
                comes_out(&mut copy, &files, &what);
            }
        }
    }
    let session = mv_tests::session(1000);
    assert!(fsck_is_clean(lab.sandbox.root(), &session));
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    sweep_flips(5, 40);
}

#[test]
#[ignore = "every byte: about a minute in release"]
fn a_flipped_bit_in_every_byte_is_noticed() {
    sweep_flips(1, 3);
}

fn sweep_cuts(step: usize, checkouts: usize) {
    let (lab, files) = small();
    let mut turn = 0;
    for path in repository_files(&lab.sandbox) {
        let good = std::fs::read(&path).unwrap();
        let name = path.strip_prefix(lab.sandbox.dot()).unwrap().to_owned();
        let cuts = (0..good.len()).step_by(step).map(|len| good[..len].to_vec());
        let longer = [1, 4096].map(|more| [good.clone(), vec![b'x'; more]].concat());
        for bad in cuts.chain(longer) {
            turn += 1;
            damage::overwrite(&path, &bad);
            let what = format!("{} of {} bytes of {}", bad.len(), good.len(), name.display());
            let session = mv_tests::session(1000);
            // Nobody reads the lock's content, and a stat cache that is cut off is built anew: a power
            // cut may leave one.
            let shorter = bad.len() < good.len();
            let fine = name == Path::new("worktree/lock")
                || (shorter && name == Path::new("worktree/stat"));
            assert!(fine || !fsck_is_clean(lab.sandbox.root(), &session), "{what}: not noticed");
            damage::overwrite(&path, &good);
            if turn % checkouts == 0 {
                let mut copy = Lab { sandbox: lab.sandbox.duplicate(), clock: lab.clock.clone() };
                damage::overwrite(&copy.sandbox.dot().join(&name), &bad);
                comes_out(&mut copy, &files, &what);
            }
        }
    }
}

#[test]
fn a_file_cut_anywhere_or_made_longer_is_noticed() {
    sweep_cuts(5, 40);
}

#[test]
#[ignore = "every length: about a minute in release"]
fn a_file_cut_at_every_length_is_noticed() {
    sweep_cuts(1, 3);
}

#[test]
fn a_missing_file_is_noticed_and_a_missing_cache_is_built_again() {
    let (mut lab, files) = small();
    for path in repository_files(&lab.sandbox) {
        let good = std::fs::read(&path).unwrap();
        let name = path.strip_prefix(lab.sandbox.dot()).unwrap().to_owned();
        std::fs::remove_file(&path).unwrap();
        let session = mv_tests::session(1000);
        let newest = name == Path::new("state/00000000000000000003");
        if name.starts_with("worktree") {
            assert!(comes_out(&mut lab, &files, &name.display().to_string()), "{}", name.display());
        } else if !newest {
            // Without its newest record a chain is shorter, and sound.
            let clean = fsck_is_clean(lab.sandbox.root(), &session);
            let oldest = name == Path::new("state/00000000000000000001");
            assert!(oldest || !clean, "{} was not missed", name.display());
        }
        damage::overwrite(&path, &good);
    }
}

#[test]
fn of_a_hundred_files_with_one_damaged_the_others_come_out() {
    let sandbox = Sandbox::new();
    for n in 0..100 {
        sandbox.write(format!("data/{n:03}.bin"), Random::new(n).bytes(70_000));
    }
    sandbox.commit("hundred");
    let whole = sandbox.files();
    let pack =
        damage::packs(&sandbox.dot()).into_iter().max_by_key(|p| p.metadata().unwrap().len());
    damage::flip(&pack.unwrap(), 3_500_000, 2);
    sandbox.remove("data");
    let output = sandbox.mv(&["checkout", "--force", "main"]).clean_fail(3);
    let found = sandbox.files();
    let missing: Vec<_> = whole.0.keys().filter(|name| !found.0.contains_key(*name)).collect();
    let [missing] = missing[..] else { panic!("{missing:?}") };
    let missing = String::from_utf8(missing.clone()).unwrap();
    assert!(output.stderr.contains(&missing), "{}", output.stderr);
    assert!(found.0.iter().all(|(name, node)| whole.0[name] == *node));
    let report = sandbox.mv(&["--json", "fsck", "--full"]).expect(3).json();
    assert!(report.to_string().contains(&missing), "{report}");
}
