use super::*;
use crate::testing::{assert_hostile_bytes_are_refused, hex, name, person};

fn sample() -> State {
    let time = Time { ns: 1_000_000_000, offset_minutes: 60 };
    let retired = |n: u8| Retired { pack: PackId(Hash([n; 32])), since: time, generation: 3 };
    let tag = |text: &str, target| Tag {
        name: name(text),
        target,
        message: "m".into(),
        tagger: person(),
        created: time,
    };
    State {
        repository: [1; 16],
        generation: 300,
        previous: Hash([2; 32]),
        head: Head::Branch(name("main")),
        branches: vec![Branch { name: name("main"), target: Hash([3; 32]) }],
        tags: vec![tag("v1.0.0", Some(Hash([3; 32]))), tag("v1.1.0", None)],
        stages: vec![Stage {
            name: name("prod"),
            target: Some(Hash([3; 32])),
            ledger: Hash([4; 32]),
        }],
        tracking: vec![Tracking {
            remote: name("origin"),
            branch: name("dev"),
            target: Hash([5; 32]),
        }],
        remotes: vec![RemoteSeen { remote: name("origin"), generation: 9, record: Hash([6; 32]) }],
        packs: vec![PackId(Hash([7; 32])), PackId(Hash([8; 32]))],
        condemned: vec![retired(9)],
        deleting: vec![retired(10)],
        nonce: [11; 16],
        time,
        actor: Some(person()),
        operation: "commit".into(),
        cursor: 300,
        before: 299,
        redo: vec![5, 4],
        saved: Some(Hash([12; 32])),
        touched_worktree: true,
    }
}

fn decode(bytes: &[u8]) -> Result<State> {
    State::decode(bytes, "state/x")
}

/// Damage inside a sealed record, with the seal made right again.
fn reseal(bytes: &[u8]) -> Vec<u8> {
    let body = &bytes[..bytes.len().saturating_sub(32)];
    [body, &wire::record_hash(body).0].concat()
}

#[test]
fn the_bytes_of_a_state_record_never_change() {
    let id = |byte: &str| byte.repeat(32);
    let (time, person) = ("fc0094357778", "0341646103614062");
    let expected = [
        "4d567374",
        "01",
        &"01".repeat(16),
        "fb2c01",
        &id("02"), // magic, version, repository, generation, previous
        "00",
        "046d61696e", // head
        "01",
        "046d61696e",
        &id("03"), // branches
        "02",
        "0676312e302e30",
        "01",
        &id("03"),
        "016d",
        person,
        time, // tags: v1.0.0
        "0676312e312e30",
        "00",
        "016d",
        person,
        time, // v1.1.0, a tombstone
        "01",
        "0470726f64",
        &id("03"),
        &id("04"), // stages
        "01",
        "066f726967696e",
        "03646576",
        &id("05"), // tracking
        "01",
        "066f726967696e",
        "09",
        &id("06"), // remotes
        "02",
        &id("07"),
        &id("08"), // packs
        "01",
        &id("09"),
        time,
        "03", // condemned
        "01",
        &id("0a"),
        time,
        "03", // deleting
        &"0b".repeat(16),
        time,
        "01",
        person, // nonce, time, actor
        "06636f6d6d6974",
        "fb2c01",
        "fb2b01",
        "02",
        "05",
        "04", // operation, cursor, before, redo
        "01",
        &id("0c"),
        "01", // saved, touched_worktree
    ]
    .concat();
    let bytes = sample().encode().unwrap();
    assert_eq!(hex(&bytes[..bytes.len() - 32]), expected);
    assert_eq!(hex(&bytes[bytes.len() - 32..]), GOLDEN_SEAL);
    assert_eq!(decode(&bytes).unwrap(), sample());
}

/// BLAKE3 of the bytes before it.
const GOLDEN_SEAL: &str = "6b1b3b54988950d2f37bb680d1672a0d1b39ef590f4083157a4fbffa433e1cbf";

#[test]
fn hostile_bytes_are_refused_even_under_a_right_seal() {
    let bytes = sample().encode().unwrap();
    let find = |needle: &[u8]| bytes.windows(needle.len()).position(|w| w == needle).unwrap();
    let after = |needle: &[u8]| find(needle) + needle.len();
    let ids = |byte: u8| vec![byte; 32];
    let branches = after(b"\0\x04main");
    let lengths = [
        branches - 5,             // the head's branch
        branches,                 // branches
        branches + 1,             // a branch's name
        after(&ids(3)),           // tags
        find(b"\x06v1.0.0"),      // a tag's name
        find(b"\x01m\x03Ada"),    // its message
        find(b"\x03Ada"),         // its tagger
        find(b"\x03a@b"),         // and their address
        find(b"\x04prod") - 1,    // stages
        find(b"\x04prod"),        // a stage's name
        after(&ids(4)),           // tracking
        after(&ids(4)) + 1,       // its remote
        find(b"\x03dev"),         // its branch
        after(&ids(5)),           // remotes
        after(&ids(5)) + 1,       // a remote's name
        after(&ids(6)),           // packs
        after(&ids(8)),           // condemned
        find(&ids(10)) - 1,       // deleting
        find(b"\x06commit"),      // operation
        find(b"\x06commit") + 13, // redo
    ];
    assert_hostile_bytes_are_refused(&bytes, &lengths, |b| {
        // The seal itself is made right, so it is handed back as it came.
        let body = |whole: &[u8]| whole[..whole.len() - 32].to_vec();
        let state = decode(&reseal(b))?;
        Ok([body(&state.encode().unwrap()), b[b.len() - 32..].to_vec()].concat())
    });
    assert_hostile_bytes_are_refused(&bytes, &lengths, |b| decode(b).map(|s| s.encode().unwrap()));
}

#[test]
fn a_record_with_one_wrong_bit_is_refused() {
    let bytes = sample().encode().unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let error = decode(&damaged).unwrap_err();
        assert!(
            matches!(error, Error::Corrupt { .. } | Error::Unsupported { .. }),
            "{at}: {error}"
        );
    }
}

type Change = fn(&mut State);

#[test]
fn what_must_not_be_recorded_is_refused() {
    let cases: &[(&str, Change)] = &[
        ("generation zero", |s| s.generation = 0),
        ("no previous", |s| s.previous = Hash::ZERO),
        ("previous of the first", |s| s.generation = 1),
        ("cursor ahead", |s| s.cursor = 301),
        ("cursor zero", |s| s.cursor = 0),
        ("before ahead", |s| s.before = 300),
        ("redo ahead", |s| s.redo = vec![300]),
        ("endless redo", |s| s.redo = vec![1; MAX_REDO + 1]),
        ("unsorted tags", |s| s.tags.reverse()),
        ("unsorted packs", |s| s.packs.reverse()),
        ("repeated pack", |s| s.packs[1] = s.packs[0]),
        ("tombstone of a plain tag", |s| {
            s.tags[0] = Tag { name: name("release"), target: None, ..s.tags[0].clone() }
        }),
        ("ref to nowhere", |s| s.branches[0].target = Hash::ZERO),
        ("stage without a ledger", |s| s.stages[0].ledger = Hash::ZERO),
        ("stage at nothing", |s| s.stages[0].target = Some(Hash::ZERO)),
        ("remote of two components", |s| s.remotes[0].remote = name("a/b")),
        ("live and condemned", |s| s.condemned[0].pack = s.packs[0]),
        ("condemned and deleting", |s| s.deleting[0].pack = s.condemned[0].pack),
        ("retired in the future", |s| s.deleting[0].generation = 301),
        ("no operation", |s| s.operation.clear()),
        ("operation of two lines", |s| s.operation = "a\nb".into()),
        ("nobody", |s| s.actor = Some(Person { name: String::new(), email: String::new() })),
        ("wild offset", |s| s.time.offset_minutes = -1440),
        ("too many refs", |s| {
            s.branches = (0..=MAX_REFS)
                .map(|n| Branch { name: name(&format!("b{n:06}")), target: Hash([3; 32]) })
                .collect();
        }),
    ];
    for (what, change) in cases {
        let mut state = sample();
        change(&mut state);
        assert!(matches!(state.encode(), Err(Error::Invalid { .. })), "{what}");
    }
}

#[test]
fn case_twins_and_refs_below_refs_are_refused() {
    for (names, good) in [
        (vec!["Main", "main"], false),
        (vec!["a", "a/b"], false),
        (vec!["A", "a/b"], false),
        (vec!["a", "a-b", "a/b/c"], false),
        // Unicode's tables change; a record that is valid once stays so. New names are checked where
        // they are made.
        (vec!["Ä", "ä"], true),
        (vec!["a-b", "a/b", "ab"], true),
    ] {
        let mut branches = sample();
        branches.branches.clear();
        names.iter().for_each(|n| branches.set_branch(name(n), Hash([3; 32])));
        assert_eq!(branches.encode().is_ok(), good, "branches {names:?}");
        let mut tags = sample();
        tags.tags =
            names.iter().map(|n| Tag { name: name(n), ..sample().tags[0].clone() }).collect();
        assert_eq!(tags.encode().is_ok(), good, "tags {names:?}");
    }
    let mut both = sample();
    both.set_branch(name("v1.0.0"), Hash([3; 32]));
    assert!(both.encode().is_ok(), "a branch and a tag may share a name");
}

#[test]
fn a_hundred_thousand_refs_fit_one_record() {
    let mut state = sample();
    state.tags.clear();
    state.stages.clear();
    state.tracking.clear();
    state.branches = (0..MAX_REFS)
        .map(|n| Branch { name: name(&format!("topic/b{n:06}")), target: Hash([3; 32]) })
        .collect();
    assert_eq!(decode(&state.encode().unwrap()).unwrap(), state);
}

#[test]
fn refs_are_found_made_moved_and_removed_in_order() {
    let mut state = sample();
    state.set_branch(name("a"), Hash([1; 32]));
    state.set_branch(name("z"), Hash([1; 32]));
    state.set_branch(name("a"), Hash([2; 32]));
    assert_eq!(state.branch("a").unwrap().target, Hash([2; 32]));
    assert_eq!(state.branches.len(), 3);
    assert!(state.remove_branch("z").is_some() && state.remove_branch("z").is_none());
    assert!(state.tracked("origin", "dev").is_some() && state.tracked("origin", "main").is_none());
    assert!(state.stage("prod").is_some() && state.remote("origin").is_some());
    assert_eq!(state.tag("v1.1.0").unwrap().target, None);
    state.add_packs(&[PackId(Hash([1; 32])), PackId(Hash([7; 32]))]);
    assert_eq!(state.packs.len(), 3);
    assert_eq!(state.head_target(), Some(Hash([3; 32])));
    state.encode().unwrap();
}

#[test]
fn a_stage_that_nobody_plays_is_stored_as_zeros() {
    let mut state = sample();
    let played = state.encode().unwrap();
    state.set_stage(Stage { target: None, ..state.stages[0].clone() });
    let bytes = state.encode().unwrap();
    assert_eq!(bytes.len(), played.len());
    let at = bytes.windows(5).position(|w| w == b"\x04prod").unwrap() + 5;
    assert_eq!(bytes[at..at + 32], [0; 32]);
    assert_eq!(decode(&bytes).unwrap(), state);
    assert!(!state.targets().contains(&Hash::ZERO));
}

#[test]
fn every_ref_keeps_its_version_alive() {
    let mut state = sample();
    assert_eq!(state.targets(), [3, 5, 12].map(|n| Hash([n; 32])));
    state.head = Head::Detached(Hash([1; 32]));
    assert_eq!(state.targets()[0], Hash([1; 32]));
}

#[test]
fn the_next_state_starts_clean_and_its_operation_is_one_line() {
    let next = sample().next("tag \x1b[1m\nv2", [0; 16], Time::default(), None);
    assert_eq!((next.generation, next.cursor, next.before), (301, 301, 300));
    assert!(next.redo.is_empty() && next.saved.is_none() && !next.touched_worktree);
    assert_eq!(next.operation, r"tag \x1b[1m\nv2");
}
