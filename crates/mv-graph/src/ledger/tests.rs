use proptest::prelude::*;

use super::*;
use crate::testing::{Memory, assert_hostile_bytes_are_refused, hex, name, person};

fn id(n: u8) -> Hash {
    Hash([n; 32])
}

fn sample() -> LedgerEntry {
    LedgerEntry {
        stage: name("prod"),
        sequence: 300,
        previous: Some(id(1)),
        from: Some(id(2)),
        to: Some(id(3)),
        kind: MoveKind::Rollback,
        by: person(),
        at: Time { ns: 1_000_000_000, offset_minutes: 60 },
        reason: "too slow\n".into(),
    }
}

/// A ledger of these versions, 0 for nobody; returns its entries' ids, oldest first, and the stage.
fn ledger(memory: &mut Memory, holders: &[u8]) -> (Vec<Hash>, Stage) {
    let mut ids: Vec<Hash> = Vec::new();
    let holder = |n: u8| (n > 0).then(|| id(n));
    let mut from = None;
    for (n, to) in (1..).zip(holders) {
        let entry = LedgerEntry {
            sequence: n,
            previous: ids.last().copied(),
            from,
            to: holder(*to),
            kind: if *to == 0 { MoveKind::Unset } else { MoveKind::Set },
            at: Time { ns: i64::try_from(n).unwrap() * 10, offset_minutes: 0 },
            ..sample()
        };
        from = entry.to;
        ids.push(memory.put(Kind::Blob, &entry.encode().unwrap()));
    }
    let stage = Stage { name: name("prod"), target: from, ledger: *ids.last().unwrap() };
    (ids, stage)
}

fn walked(memory: &Memory, stage: &Stage) -> Vec<Result<Hash>> {
    walk(memory, stage).map(|entry| entry.map(|(id, _)| id)).collect()
}

#[test]
fn the_bytes_of_a_ledger_entry_never_change() {
    let some = |n: &str| format!("01{}", n.repeat(32));
    let expected = [
        "4d566c64",
        "01",
        "0470726f64",
        "fb2c01", // magic, version, stage, sequence
        &some("01"),
        &some("02"),
        &some("03"), // previous, from, to
        "01",        // rollback
        "03416461",
        "03614062", // by
        "fc00943577",
        "78",                   // at
        "09746f6f20736c6f770a", // reason
    ]
    .concat();
    let bytes = sample().encode().unwrap();
    assert_eq!(hex(&bytes), expected);
    assert_eq!(LedgerEntry::decode(&bytes).unwrap(), sample());
    let first = LedgerEntry {
        sequence: 1,
        previous: None,
        from: None,
        kind: MoveKind::Set,
        reason: String::new(),
        ..sample()
    };
    let expected =
        ["4d566c64010470726f640100", "00", &some("03"), "00", "0341646103614062"].concat();
    assert!(hex(&first.encode().unwrap()).starts_with(&expected));
}

/// The entry that FORMAT.md spells out.
#[test]
fn the_example_of_the_format_s_description_is_what_is_written() {
    let manifest = "10a51128b0eb9331b87fb7d4cd1ab5d397bbbc9c5af3b17e01e14e387ccf49e9";
    let entry = LedgerEntry {
        stage: name("production"),
        sequence: 1,
        previous: None,
        from: None,
        to: Hash::from_hex(manifest),
        kind: MoveKind::Set,
        by: Person::parse("Ada <ada@example.org>").unwrap(),
        at: Time::parse("2026-01-02T03:04:05Z", 0).unwrap(),
        reason: "first".into(),
    };
    let written = "e89dd36d387aadd9d5fb035f96945ae32ae4a26f574101994638d62466adaf89";
    assert_eq!(mv_store::id_of(Kind::Blob, &entry.encode().unwrap()).to_hex(), written);
}

#[test]
fn hostile_bytes_are_refused() {
    let bytes = sample().encode().unwrap();
    let find = |needle: &[u8]| bytes.windows(needle.len()).position(|w| w == needle).unwrap();
    let lengths = [5, find(b"\x03Ada"), find(b"\x03a@b"), find(b"\x09too")];
    assert_hostile_bytes_are_refused(&bytes, &lengths, |b| {
        LedgerEntry::decode(b).map(|entry| entry.encode().unwrap())
    });
}

#[test]
fn what_must_not_be_entered_is_refused() {
    type Change = fn(&mut LedgerEntry);
    let cases: &[(&str, Change)] = &[
        ("number zero", |e| e.sequence = 0),
        ("a number beyond all", |e| e.sequence = MAX_SEQUENCE + 1),
        ("a first with one before", |e| e.sequence = 1),
        ("a later one without", |e| e.previous = None),
        ("a first that takes from somebody", |e| (e.sequence, e.previous) = (1, None)),
        ("zeros before", |e| e.previous = Some(Hash::ZERO)),
        ("zeros from", |e| e.from = Some(Hash::ZERO)),
        ("zeros to", |e| e.to = Some(Hash::ZERO)),
        ("no move", |e| e.to = e.from),
        ("a rollback to nobody", |e| e.to = None),
        ("a set to nobody", |e| (e.kind, e.to) = (MoveKind::Set, None)),
        ("an unset to somebody", |e| e.kind = MoveKind::Unset),
        ("a long reason", |e| e.reason = "x".repeat(MAX_REASON + 1)),
        ("nobody", |e| e.by = Person { name: String::new(), email: String::new() }),
        ("wild offset", |e| e.at.offset_minutes = 1440),
    ];
    for (what, change) in cases {
        let mut entry = sample();
        change(&mut entry);
        assert!(matches!(entry.encode(), Err(Error::Invalid { .. })), "{what}");
    }
    let longest = LedgerEntry {
        stage: name(&"x".repeat(255)),
        by: Person { name: "x".repeat(1024), email: "x".repeat(1024) },
        reason: "x".repeat(MAX_REASON),
        ..sample()
    };
    assert!(longest.encode().is_ok());
}

proptest! {
    #[test]
    fn any_entry_survives_the_round_trip(
        sequence in 2..=MAX_SEQUENCE,
        ids in prop::array::uniform3(prop::option::of(prop::array::uniform32(1u8..))),
        reason in "\\PC{0,40}\\n?",
        ns: i64,
        offset_minutes in -1439i16..1440,
    ) {
        let [from, to, previous] = ids.map(|id| id.map(Hash));
        prop_assume!(from != to);
        let entry = LedgerEntry {
            sequence,
            previous: previous.or(Some(id(7))),
            from,
            to,
            kind: MoveKind::Undo,
            at: Time { ns, offset_minutes },
            reason,
            ..sample()
        };
        let bytes = entry.encode().unwrap();
        prop_assert_eq!(LedgerEntry::decode(&bytes).unwrap(), entry);
    }
}

#[test]
fn a_ledger_is_walked_back_to_its_first_entry() {
    let mut memory = Memory::default();
    let (mut ids, stage) = ledger(&mut memory, &[1, 2, 0, 1]);
    ids.reverse();
    let found: Vec<Hash> = walked(&memory, &stage).into_iter().map(|id| id.unwrap()).collect();
    assert_eq!(found, ids);
}

#[test]
fn the_last_move_at_a_time_is_found_and_none_before_the_first() {
    let mut memory = Memory::default();
    let (ids, stage) = ledger(&mut memory, &[1, 2, 0]);
    let at = |ns| {
        let time = Time { ns, offset_minutes: 0 };
        entry_at(&memory, &stage, time).unwrap().map(|(id, _)| id)
    };
    let found = [9, 10, 19, 20, 30, i64::MAX].map(at);
    assert_eq!(found, [None, Some(ids[0]), Some(ids[0]), Some(ids[1]), Some(ids[2]), Some(ids[2])]);
}

#[test]
fn a_ledger_that_contradicts_itself_is_corrupt_at_that_place() {
    type Change = fn(&mut LedgerEntry, &mut Stage);
    let cases: &[(&str, Change)] = &[
        ("about `other`", |e, _| e.stage = name("other")),
        ("it is number 5, not 2", |e, _| e.sequence = 5),
        ("another version", |e, _| e.to = Some(id(9))),
    ];
    for (told, change) in cases {
        let mut memory = Memory::default();
        let (ids, mut stage) = ledger(&mut memory, &[1, 2]);
        let mut second = LedgerEntry::read(&memory, &ids[1]).unwrap();
        change(&mut second, &mut stage);
        let second = memory.put(Kind::Blob, &second.encode().unwrap());
        let third = LedgerEntry {
            sequence: 3,
            previous: Some(second),
            from: Some(id(2)),
            to: Some(id(4)),
            ..sample()
        };
        let third = memory.put(Kind::Blob, &third.encode().unwrap());
        stage = Stage { target: Some(id(4)), ledger: third, ..stage };
        let found = walked(&memory, &stage);
        assert_eq!(found.len(), 2, "{told}: the walk ends there");
        assert_eq!(*found[0].as_ref().unwrap(), third);
        let error = found[1].as_ref().unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn a_stage_that_is_not_where_its_ledger_says_is_corrupt() {
    let mut memory = Memory::default();
    let (_, stage) = ledger(&mut memory, &[1, 2]);
    for target in [None, Some(id(1))] {
        let stage = Stage { target, ..stage.clone() };
        assert!(walked(&memory, &stage)[0].as_ref().unwrap_err().is_corruption());
    }
    let posing = memory.put(Kind::Blob, b"just a file");
    let stage = Stage { ledger: posing, ..stage };
    assert!(walked(&memory, &stage)[0].as_ref().unwrap_err().is_corruption());
}

#[test]
fn a_missing_entry_ends_the_walk_with_an_error() {
    let mut memory = Memory::default();
    let (ids, stage) = ledger(&mut memory, &[1, 2, 3]);
    memory.objects.remove(&ids[1]);
    let found = walked(&memory, &stage);
    assert_eq!(found.len(), 2);
    assert!(found[1].as_ref().unwrap_err().is_corruption());
}
