//! Stages: what their ledgers say after every kind of move, that nothing takes it back, and that
//! it outlives everything else.

use std::collections::HashSet;

use mv_graph::{LedgerEntry, MoveKind, RefName, ledger};
use mv_repo::gc::{GcOptions, GcOutcome};
use mv_repo::stage::{self, Move};
use mv_repo::{Error, Repo, Session};
use mv_store::{Hash, Kind, id_of};
use mv_tests::{Random, damage, forge};

use super::lab::Lab;

const DAY: i64 = 24 * 3600;

fn name(text: &str) -> RefName {
    RefName::parse(text).unwrap()
}

/// Four versions tagged v1.0.0 to v4.0.0, each with a file of its own.
fn four() -> (Lab, [Hash; 4]) {
    let mut lab = Lab::new();
    let ids = [1, 2, 3, 4].map(|n: u64| {
        lab.sandbox.write("models/m.bin", Random::new(n).bytes(3000));
        let id = Hash::from_hex(&lab.commit(&format!("version {n}"))).unwrap();
        tag(&mut lab, &format!("v{n}.0.0"));
        id
    });
    (lab, ids)
}

fn tag(lab: &mut Lab, text: &str) {
    let (repo, session) = lab.open();
    let options = mv_repo::tag::TagOptions { name: name(text), rev: None, message: String::new() };
    mv_repo::tag::create(&repo, &options, &session).unwrap();
}

fn try_set(lab: &mut Lab, rev: &str) -> Result<bool, Error> {
    let (repo, session) = lab.open();
    let why = format!("because of {rev}");
    Ok(stage::set(&repo, &name("production"), rev, &why, &session)?.moved)
}

#[track_caller]
fn set(lab: &mut Lab, rev: &str) {
    assert!(try_set(lab, rev).unwrap());
}

fn try_rollback(lab: &mut Lab) -> Result<String, Error> {
    let (repo, session) = lab.open();
    let outcome = stage::rollback(&repo, &name("production"), "", &session)?;
    Ok(outcome.newest.to.unwrap().1)
}

fn unset(lab: &mut Lab) {
    let (repo, session) = lab.open();
    stage::unset(&repo, &name("production"), "retired", &session).unwrap();
}

fn moves(lab: &mut Lab) -> Vec<Move> {
    let (repo, _) = lab.open();
    stage::history(&repo, Some("production")).unwrap()
}

/// `set v1.0.0`, `unset nobody` …, oldest first.
fn told(lab: &mut Lab) -> Vec<String> {
    let version = |one: &Move| one.to.as_ref().map_or("nobody".to_owned(), |(_, v)| v.clone());
    moves(lab).iter().map(|one| format!("{} {}", one.kind.as_str(), version(one))).collect()
}

/// The version that plays the role; panics when its ledger does not agree.
fn holder(lab: &mut Lab) -> Option<String> {
    let (repo, _) = lab.open();
    let listed = stage::list(&repo).unwrap();
    let holder = listed.into_iter().find(|one| one.name == "production");
    holder.map(|one| one.to.unwrap().1)
}

fn gc(lab: &mut Lab) -> GcOutcome {
    let (repo, session) = lab.open();
    let options =
        GcOptions { keep_last: Some(1), keep_within: None, grace: std::time::Duration::ZERO };
    let plan = mv_repo::gc::plan(&repo, &options, &session).unwrap();
    mv_repo::gc::apply(&repo, &plan, &session).unwrap()
}

#[test]
fn every_move_is_told_with_its_author_time_and_reason() {
    let (mut lab, ids) = four();
    set(&mut lab, "v1.0.0");
    set(&mut lab, "v2.0.0");
    let found = moves(&mut lab);
    assert_eq!(found.len(), 2);
    let one = &found[1];
    assert_eq!((one.name.as_str(), one.sequence, one.kind), ("production", 2, MoveKind::Set));
    assert_eq!(one.from, Some((ids[0], "v1.0.0".to_owned())));
    assert_eq!(one.to, Some((ids[1], "v2.0.0".to_owned())));
    assert_eq!(one.reason, "because of v2.0.0");
    assert_eq!(one.by.to_string(), "Ada Lovelace <ada@example.org>");
    assert!(found[0].at < found[1].at && found[0].from.is_none());
    lab.sound();
}

#[test]
fn what_a_stage_is_already_is_no_move() {
    let (mut lab, _) = four();
    set(&mut lab, "v1.0.0");
    let generation = lab.open().0.state().generation;
    assert!(!try_set(&mut lab, "v1.0.0").unwrap());
    unset(&mut lab);
    unset(&mut lab);
    assert_eq!(told(&mut lab), ["set v1.0.0", "unset nobody"]);
    assert_eq!(lab.open().0.state().generation, generation + 1);
}

#[test]
fn a_rollback_goes_further_back_each_time_and_never_to_and_fro() {
    let (mut lab, _) = four();
    for rev in ["v1.0.0", "v2.0.0", "v3.0.0"] {
        set(&mut lab, rev);
    }
    assert_eq!(try_rollback(&mut lab).unwrap(), "v2.0.0");
    assert_eq!(try_rollback(&mut lab).unwrap(), "v1.0.0");
    let refused = try_rollback(&mut lab).unwrap_err();
    assert!(matches!(refused, Error::Policy { .. }), "{refused}");
    // What was rolled back is passed over.
    set(&mut lab, "v4.0.0");
    assert_eq!(try_rollback(&mut lab).unwrap(), "v1.0.0");
    lab.sound();
}

#[test]
fn a_rollback_after_an_undo_does_not_come_back_to_what_was_undone() {
    let (mut lab, _) = four();
    for rev in ["v1.0.0", "v2.0.0", "v3.0.0"] {
        set(&mut lab, rev);
    }
    lab.undo().unwrap();
    assert_eq!(holder(&mut lab).as_deref(), Some("v2.0.0"));
    assert_eq!(try_rollback(&mut lab).unwrap(), "v1.0.0");
    // An undone rollback counts as if it had never been.
    lab.undo().unwrap();
    assert_eq!(try_rollback(&mut lab).unwrap(), "v1.0.0");
    lab.undo().unwrap();
    lab.redo().unwrap();
    assert!(try_rollback(&mut lab).is_err());
}

#[test]
fn a_rollback_gives_a_role_that_nobody_plays_back_to_the_last_who_did() {
    let (mut lab, _) = four();
    set(&mut lab, "v1.0.0");
    set(&mut lab, "v2.0.0");
    unset(&mut lab);
    assert_eq!(holder(&mut lab), None);
    assert_eq!(try_rollback(&mut lab).unwrap(), "v2.0.0");
    assert_eq!(try_rollback(&mut lab).unwrap(), "v1.0.0");
    assert_eq!(
        told(&mut lab),
        ["set v1.0.0", "set v2.0.0", "unset nobody", "rollback v2.0.0", "rollback v1.0.0"]
    );
}

#[test]
fn undo_and_redo_move_a_stage_by_new_entries() {
    let (mut lab, _) = four();
    set(&mut lab, "v1.0.0");
    set(&mut lab, "v2.0.0");
    let mut before = moves(&mut lab);
    lab.undo().unwrap();
    lab.undo().unwrap();
    assert_eq!(holder(&mut lab), None, "the first set was undone");
    lab.redo().unwrap();
    assert_eq!(holder(&mut lab).as_deref(), Some("v1.0.0"));
    lab.redo().unwrap();
    assert_eq!(holder(&mut lab).as_deref(), Some("v2.0.0"));
    assert_eq!(
        told(&mut lab),
        ["set v1.0.0", "set v2.0.0", "undo v1.0.0", "undo nobody", "set v1.0.0", "set v2.0.0"]
    );
    let after = moves(&mut lab);
    before.extend(after[2..].iter().cloned());
    let ids = |moves: &[Move]| moves.iter().map(|one| one.id).collect::<Vec<_>>();
    assert_eq!(ids(&after), ids(&before), "no entry was rewritten");
    assert_eq!(after[2].reason, "undo: stage production -> v2.0.0");
    assert_eq!(after[5].reason, "redo: stage production -> v2.0.0");
    lab.sound();
}

#[test]
fn undoing_an_unset_and_a_rollback_gives_the_role_back() {
    let (mut lab, _) = four();
    set(&mut lab, "v1.0.0");
    set(&mut lab, "v2.0.0");
    try_rollback(&mut lab).unwrap();
    unset(&mut lab);
    lab.undo().unwrap();
    assert_eq!(holder(&mut lab).as_deref(), Some("v1.0.0"));
    lab.undo().unwrap();
    assert_eq!(holder(&mut lab).as_deref(), Some("v2.0.0"));
    lab.redo().unwrap();
    lab.redo().unwrap();
    assert_eq!(holder(&mut lab), None);
    let kinds: Vec<_> = moves(&mut lab).iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["set", "set", "rollback", "unset", "undo", "undo", "rollback", "unset"]);
}

#[test]
fn undoing_something_else_leaves_ledgers_alone() {
    let (mut lab, _) = four();
    set(&mut lab, "v1.0.0");
    let ledgers = lab.open().0.state().stages.clone();
    tag(&mut lab, "plain");
    lab.commit("another");
    lab.checkout("v1.0.0", false).unwrap();
    for _ in 0..3 {
        lab.undo().unwrap();
        assert_eq!(lab.open().0.state().stages, ledgers);
    }
    for _ in 0..3 {
        lab.redo().unwrap();
        assert_eq!(lab.open().0.state().stages, ledgers);
    }
    assert_eq!(told(&mut lab), ["set v1.0.0"]);
}

#[test]
fn of_two_who_read_the_same_stage_one_moves_it_and_the_ledger_stays_one_line() {
    let (mut lab, _) = four();
    set(&mut lab, "v1.0.0");
    let (first, session_1) = lab.open();
    let (second, session_2) = lab.open();
    let stage = name("production");
    stage::set(&first, &stage, "v2.0.0", "", &session_1).unwrap();
    let lost = stage::set(&second, &stage, "v3.0.0", "", &session_2).unwrap_err();
    assert!(matches!(lost, Error::LostRace { .. }), "{lost}");
    let lost = stage::unset(&second, &stage, "", &session_2).unwrap_err();
    assert!(matches!(lost, Error::LostRace { .. }), "{lost}");
    // Another stage is nobody's business but its own.
    stage::set(&second, &name("staging"), "v3.0.0", "", &session_2).unwrap();
    assert_eq!(told(&mut lab), ["set v1.0.0", "set v2.0.0"]);
    let sequences: Vec<u64> = moves(&mut lab).iter().map(|one| one.sequence).collect();
    assert_eq!(sequences, [1, 2]);
    lab.sound();
}

#[test]
fn of_many_who_move_a_stage_at_once_those_who_did_are_in_the_ledger_and_no_others() {
    let (mut lab, _) = four();
    let root = lab.sandbox.root().to_owned();
    let sessions: Vec<Session> = (0..8).map(|_| lab.clock.session()).collect();
    let run = |n: usize, session: &Session| {
        let rev = format!("v{}.0.0", n % 4 + 1);
        let repo = Repo::open(&root, session).unwrap();
        match stage::set(&repo, &name("production"), &rev, &n.to_string(), session) {
            Ok(outcome) => outcome.moved.then_some(outcome.newest.id),
            Err(Error::LostRace { .. }) => None,
            Err(other) => panic!("{other}"),
        }
    };
    let mut done: HashSet<Hash> = std::thread::scope(|scope| {
        let start = |(n, session)| scope.spawn(move || run(n, session));
        let running: Vec<_> = sessions.iter().enumerate().map(start).collect();
        running.into_iter().filter_map(|r| r.join().unwrap()).collect()
    });
    assert!(!done.is_empty());
    for (at, one) in (1..).zip(moves(&mut lab)) {
        assert_eq!(one.sequence, at);
        assert!(done.remove(&one.id), "a move that nobody was told of");
    }
    assert!(done.is_empty(), "a move that was told and is not there");
    lab.sound();
}

#[test]
fn gc_keeps_the_ledger_and_every_version_that_played_a_role() {
    let mut lab = Lab::new();
    lab.commit("base");
    lab.checkout_new("side").unwrap();
    let mut staged = Vec::new();
    for n in 0..2 {
        lab.sandbox.write("models/m.bin", Random::new(n).bytes(50_000));
        staged.push(lab.commit("was in production"));
        set(&mut lab, "HEAD");
    }
    lab.sandbox.write("models/m.bin", Random::new(9).bytes(50_000));
    let never = lab.commit("was not");
    lab.checkout("main", false).unwrap();
    let (repo, session) = lab.open();
    mv_repo::branch::delete(&repo, &name("side"), &session).unwrap();
    unset(&mut lab);
    let before = told(&mut lab);
    for _ in 0..3 {
        lab.clock.later(50 * 365 * DAY);
        gc(&mut lab);
    }
    let (repo, _) = lab.open();
    let there = |id: &str| repo.store().contains(&Hash::from_hex(id).unwrap());
    assert!(!there(&never), "what no stage ever named is gone");
    assert!(staged.iter().all(|id| there(id)));
    assert_eq!(told(&mut lab), before);
    lab.sound();
    lab.checkout("production@{1}", false).unwrap();
    assert_eq!(lab.sandbox.read("models/m.bin"), Random::new(1).bytes(50_000));
    lab.checkout("production@{2}", false).unwrap();
    assert_eq!(lab.sandbox.read("models/m.bin"), Random::new(0).bytes(50_000));
    assert_eq!(try_rollback(&mut lab).unwrap().len(), "20260101_000000".len());
}

#[test]
fn du_counts_the_versions_of_the_past() {
    let mut lab = Lab::new();
    lab.commit("base");
    lab.checkout_new("side").unwrap();
    lab.commit("was in production");
    set(&mut lab, "HEAD");
    unset(&mut lab);
    lab.checkout("main", false).unwrap();
    let (repo, session) = lab.open();
    mv_repo::branch::delete(&repo, &name("side"), &session).unwrap();
    let (repo, session) = lab.open();
    assert_eq!(mv_repo::du::du(&repo, &session).unwrap().versions, 2);
}

#[test]
fn the_day_s_end_on_the_user_s_clock_decides_who_played_the_role_then() {
    let (mut lab, _) = four();
    // The sandbox begins on 2026-01-01.
    let at_second = |lab: &mut Lab, second: i64, rev: &str| {
        let (repo, mut session) = lab.open();
        session.now = mv_tests::session(second).now;
        stage::set(&repo, &name("production"), rev, "", &session).unwrap();
    };
    at_second(&mut lab, 5 * DAY, "v1.0.0");
    at_second(&mut lab, 7 * DAY - 1, "v2.0.0");
    at_second(&mut lab, 7 * DAY, "v3.0.0");
    let (repo, session) = lab.open();
    let at = |text: &str, offset: i16| {
        let time = mv_graph::Time::parse_at(text, offset, mv_graph::DayEdge::End).unwrap();
        stage::at(&repo, "production", time).unwrap().map(|one| one.to.unwrap().1)
    };
    assert_eq!(at("2026-01-05", 0), None);
    assert_eq!(at("2026-01-06", 0).as_deref(), Some("v1.0.0"));
    assert_eq!(at("2026-01-07", 0).as_deref(), Some("v2.0.0"));
    assert_eq!(at("2026-01-08", 0).as_deref(), Some("v3.0.0"));
    assert_eq!(at("2026-01-07T23:59:58Z", 0).as_deref(), Some("v1.0.0"));
    assert_eq!(at("2026-01-07 23:59:59", 0).as_deref(), Some("v2.0.0"));
    // An hour further west the day ends an hour later.
    assert_eq!(at("2026-01-07", -60).as_deref(), Some("v3.0.0"));
    assert_eq!(at("2026-01-07", 60).as_deref(), Some("v1.0.0"));
    let version = |text: &str| {
        let id = repo.resolve(text, &session).unwrap();
        repo.version_of(&id, &repo.manifest(&id).unwrap())
    };
    assert_eq!(version("production@{2026-01-07}"), "v2.0.0");
    assert_eq!(version("production@{2}"), "v1.0.0");
    let unknown = stage::at(&repo, "prodction", session.now).unwrap_err();
    assert!(matches!(unknown, Error::Graph(mv_graph::Error::UnknownRevision { .. })), "{unknown}");
}

#[test]
fn a_clock_that_went_backwards_does_not_change_the_order_of_moves() {
    let (mut lab, _) = four();
    for (second, rev) in [(1000, "v1.0.0"), (500, "v2.0.0"), (2000, "v3.0.0")] {
        let (repo, mut session) = lab.open();
        session.now = mv_tests::session(second).now;
        stage::set(&repo, &name("production"), rev, "", &session).unwrap();
        stage::set(&repo.fresh(&session).unwrap(), &name("staging"), rev, "", &session).unwrap();
    }
    let (repo, _) = lab.open();
    let all = stage::history(&repo, None).unwrap();
    assert_eq!(all.len(), 6);
    for stage in ["production", "staging"] {
        let numbers: Vec<u64> =
            all.iter().filter(|one| one.name == stage).map(|one| one.sequence).collect();
        assert_eq!(numbers, [1, 2, 3], "{stage}");
    }
}

#[test]
fn a_name_that_means_something_else_is_refused_both_ways() {
    let (mut lab, _) = four();
    tag(&mut lab, "release");
    set(&mut lab, "v1.0.0");
    let mut refused = |text: &str| {
        let (repo, session) = lab.open();
        let error = stage::set(&repo, &name(text), "HEAD", "", &session).unwrap_err();
        assert!(matches!(error, Error::Policy { .. }), "{text}: {error}");
    };
    for text in ["main", "Main", "release", "v1.0.0", "9.9.9", "Production"] {
        refused(text);
    }
    let (repo, session) = lab.open();
    let branch = mv_repo::branch::create(&repo, &name("production"), None, &session);
    assert!(matches!(branch, Err(Error::Policy { .. })));
    let options =
        mv_repo::tag::TagOptions { name: name("production"), rev: None, message: String::new() };
    assert!(matches!(mv_repo::tag::create(&repo, &options, &session), Err(Error::Policy { .. })));
    assert!(lab.checkout_new("production").is_err());
    // A role that nobody plays keeps its history, not its name.
    unset(&mut lab);
    lab.checkout_new("production").unwrap();
    assert!(matches!(try_set(&mut lab, "v1.0.0"), Err(Error::Policy { .. })));
}

#[test]
fn a_reason_that_is_too_long_is_refused_and_nothing_moves() {
    let (mut lab, _) = four();
    let (repo, session) = lab.open();
    let long = "x".repeat(20_000);
    let error = stage::set(&repo, &name("production"), "HEAD", &long, &session).unwrap_err();
    assert!(error.to_string().contains("reason"), "{error}");
    assert!(lab.open().0.state().stages.is_empty());
}

/// The pack that holds an object.
fn pack_of(repo: &Repo, id: &Hash) -> std::path::PathBuf {
    let packs = repo.store().packs().unwrap();
    let holds =
        |pack: mv_store::PackId| mv_store::Store::open(&repo.layout().dot, &[pack]).contains(id);
    let pack = packs.iter().find(|pack| holds(pack.id)).unwrap();
    repo.layout().dot.join(pack.id.file_name())
}

#[test]
fn a_damaged_ledger_is_found_told_and_stands_in_nobody_else_s_way() {
    let (mut lab, _) = four();
    set(&mut lab, "v1.0.0");
    let (repo, _) = lab.open();
    let pack = pack_of(&repo, &repo.state().stages[0].ledger);
    for rev in ["v2.0.0", "v3.0.0"] {
        set(&mut lab, rev);
    }
    lab.sound();
    damage::flip(&pack, 40, 1);
    for full in [true, false] {
        let session = lab.clock.session();
        let options = mv_repo::fsck::FsckOptions { full, sample: None };
        let report = mv_repo::fsck::fsck(lab.sandbox.root(), &options, &session).unwrap();
        let ledger: Vec<_> = report.problems.iter().filter(|p| p.kind == "ledger").collect();
        assert_eq!(ledger.len(), 1, "{:?}", report.problems);
        assert_eq!(ledger[0].object, "production");
    }
    // gc does nothing when it cannot tell what to keep.
    let (repo, session) = lab.open();
    let plan = mv_repo::gc::plan(&repo, &GcOptions::default(), &session);
    assert!(plan.is_err());
    assert!(stage::history(&repo, Some("production")).is_err());
    // What does not need the damaged entry works.
    assert_eq!(holder(&mut lab).as_deref(), Some("v3.0.0"));
    set(&mut lab, "v4.0.0");
    lab.commit("goes on");
}

/// Puts a stage at a ledger of these bytes, with its own pack.
fn plant(lab: &mut Lab, entries: &[Vec<u8>], target: Hash) {
    let blocks: Vec<_> = entries.iter().map(|e| forge::Block::raw(Kind::Blob, e)).collect();
    forge::plant(&lab.sandbox.dot(), &blocks, "forged", target);
    let (repo, session) = lab.open();
    let newest = mv_graph::chain::newest(repo.transport(), None).unwrap();
    let nonce = session.nonces.next();
    let mut next = newest.state.next("forged", nonce, session.now, None);
    let ledger = id_of(Kind::Blob, entries.last().unwrap());
    next.set_stage(mv_graph::Stage { name: name("production"), target: Some(target), ledger });
    mv_graph::chain::append(repo.transport(), &newest, next).unwrap();
}

#[test]
fn a_forged_ledger_is_told_and_never_believed() {
    let (mut lab, ids) = four();
    let first = LedgerEntry {
        stage: name("staging"),
        sequence: 1,
        previous: None,
        from: None,
        to: Some(ids[0]),
        kind: MoveKind::Set,
        by: mv_graph::Person { name: "Eve".into(), email: String::new() },
        at: mv_graph::Time { ns: 0, offset_minutes: 0 },
        reason: String::new(),
    };
    let second = |previous: &LedgerEntry| LedgerEntry {
        stage: name("production"),
        sequence: 2,
        previous: Some(id_of(Kind::Blob, &previous.encode().unwrap())),
        from: Some(ids[0]),
        to: Some(ids[1]),
        ..first.clone()
    };
    let skips = LedgerEntry { sequence: 7, ..second(&first) };
    let long: Vec<u8> = [first.encode().unwrap(), vec![0; 70_000]].concat();
    let right = LedgerEntry { stage: name("production"), ..first.clone() };
    let cases: [(&str, Vec<Vec<u8>>, Hash); 5] = [
        ("another stage's", vec![first.encode().unwrap()], ids[0]),
        ("a stage's past", vec![first.encode().unwrap(), second(&first).encode().unwrap()], ids[1]),
        ("numbers skipped", vec![right.encode().unwrap(), skips.encode().unwrap()], ids[1]),
        ("another target", vec![right.encode().unwrap()], ids[3]),
        ("too long", vec![long], ids[0]),
    ];
    for (what, entries, target) in cases {
        plant(&mut lab, &entries, target);
        let report = lab.fsck();
        let ledger = report.problems.iter().filter(|p| p.kind == "ledger").count();
        assert!(ledger > 0, "{what}: {:?}", report.problems);
        let (repo, _) = lab.open();
        assert!(stage::history(&repo, None).is_err(), "{what}");
        assert!(
            ledger::walk(repo.store(), &repo.state().stages[0]).count() <= 2,
            "{what}: the walk ends"
        );
        lab.commit("others go on");
    }
}

/// What undo and redo go through, kept beside the repository.
#[derive(Default)]
struct Model {
    past: Vec<Option<String>>,
    now: Option<String>,
    future: Vec<Option<String>>,
    moves: usize,
}

impl Model {
    fn operation(&mut self, holder: Option<String>) {
        self.past.push(self.now.clone());
        self.future.clear();
        self.go(holder);
    }

    fn go(&mut self, holder: Option<String>) {
        self.moves += usize::from(holder != self.now);
        self.now = holder;
    }
}

/// Forty operations at random, after each of which the role is where it must be and the ledger has
/// grown by an entry if and only if it moved.
fn at_random(seed: u64) {
    let (mut lab, _) = four();
    let mut random = Random::new(seed);
    let mut model = Model::default();
    let mut ledger: Vec<Hash> = Vec::new();
    for turn in 0..40 {
        match random.below(10) {
            0..4 => {
                let rev = format!("v{}.0.0", random.below(4) + 1);
                if try_set(&mut lab, &rev).unwrap() {
                    model.operation(Some(rev));
                }
            }
            4 => {
                if let Ok(holder) = try_rollback(&mut lab) {
                    assert_ne!(Some(&holder), model.now.as_ref());
                    model.operation(Some(holder));
                }
            }
            5 if model.now.is_some() => {
                unset(&mut lab);
                model.operation(None);
            }
            6 => {
                tag(&mut lab, &format!("plain-{turn}"));
                model.operation(model.now.clone());
            }
            7 | 8 => {
                if let Some(before) = model.past.pop() {
                    lab.undo().unwrap();
                    model.future.push(model.now.clone());
                    model.go(before);
                }
            }
            _ => {
                if let Some(next) = model.future.pop() {
                    lab.redo().unwrap();
                    model.past.push(model.now.clone());
                    model.go(next);
                }
            }
        }
        assert_eq!(holder(&mut lab), model.now, "seed {seed}, turn {turn}");
        if model.moves > 0 {
            let grown: Vec<Hash> = moves(&mut lab).iter().map(|one| one.id).collect();
            assert_eq!(grown.len(), model.moves, "seed {seed}, turn {turn}");
            assert!(grown.starts_with(&ledger), "seed {seed}, turn {turn}: a past was rewritten");
            ledger = grown;
        }
    }
    lab.sound();
    let rollbacks = std::iter::from_fn(|| try_rollback(&mut lab).ok()).take(50).count();
    assert!(rollbacks <= model.moves, "seed {seed}: to and fro");
}

#[test]
fn whatever_is_done_the_ledger_tells_it_all_and_rollbacks_come_to_an_end() {
    (1..5).for_each(at_random);
}
