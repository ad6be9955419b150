//! Claims of 2^40 and more items, at every byte of every kind of record, in a process of their own,
//! so that its peak memory says what decoding them took.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use mv_graph::{
    Branch, ComponentRef, Head, Manifest, Mode, Person, RefName, RemoteSeen, Retired, Scalar,
    Source, Stage, State, Tag, Time, Tracking, Tree, TreeEntry,
};
use mv_store::{Hash, Kind, PackId, id_of};

const ID: Hash = Hash([0xab; 32]);

fn person() -> Person {
    Person { name: "Ada".into(), email: "a@b".into() }
}

fn name(text: &str) -> RefName {
    RefName::parse(text).unwrap()
}

fn tree() -> Tree {
    let entry =
        |name: &[u8], mode| TreeEntry { name: name.to_vec(), mode, id: ID, bytes: 3, files: 1 };
    Tree {
        entries: vec![entry(b"a", Mode::File), entry(b"b", Mode::Symlink), entry(b"c", Mode::Dir)],
    }
}

fn manifest() -> Manifest {
    Manifest {
        parents: vec![ID],
        components: [ComponentRef { tree: ID, files: 1, bytes: 1 }; 4],
        environment: Some(ID),
        model_name: "m".into(),
        params: vec![("a".into(), Scalar::Text("text".into())), ("b".into(), Scalar::Int(1))],
        metrics: vec![("a".into(), Scalar::float(0.5))],
        metadata: vec![("a".into(), "b".into())],
        message: "why".into(),
        author: person(),
        created: Time::default(),
        source: Some(Source {
            vcs: "git".into(),
            commit: "abc".into(),
            branch: Some("main".into()),
            dirty: false,
            url: Some("https://example.org/x".into()),
        }),
    }
}

fn state() -> State {
    let time = Time::default();
    let retired = |n| vec![Retired { pack: PackId(Hash([n; 32])), since: time, generation: 1 }];
    let tag = Tag {
        name: name("v1.0.0"),
        target: Some(ID),
        message: "m".into(),
        tagger: person(),
        created: time,
    };
    State {
        generation: 9,
        previous: ID,
        head: Head::Branch(name("main")),
        branches: vec![Branch { name: name("main"), target: ID }],
        tags: vec![tag],
        stages: vec![Stage { name: name("prod"), target: Some(ID), ledger: ID }],
        tracking: vec![Tracking { remote: name("origin"), branch: name("main"), target: ID }],
        remotes: vec![RemoteSeen { remote: name("origin"), generation: 1, record: ID }],
        packs: vec![PackId(ID)],
        condemned: retired(1),
        deleting: retired(2),
        actor: Some(person()),
        cursor: 9,
        before: 8,
        redo: vec![3],
        saved: Some(ID),
        ..State::first([1; 16], name("main"), [1; 16], time)
    }
}

fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<usize>().ok()? * 1024)
}

/// Puts each claim in place of each byte, bare and with 16 KiB of padding behind it.
fn attack(bytes: &[u8], recode: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    assert_eq!(recode(bytes).as_deref(), Some(bytes));
    for at in 5..bytes.len() {
        for claim in [1u64 << 40, 1 << 63, u64::MAX] {
            let mut hostile =
                [&bytes[..at], &[0xfd], &claim.to_le_bytes(), &bytes[at + 1..]].concat();
            for padding in [0, 1 << 14] {
                hostile.resize(hostile.len() + padding, 1);
                // A number that is no length may be this large; then the bytes are its encoding.
                if let Some(same) = recode(&hostile) {
                    assert_eq!(same, hostile, "byte {at}, claim {claim}");
                }
            }
        }
    }
}

#[test]
fn claimed_lengths_take_no_memory() {
    attack(&tree().encode().unwrap(), |b| Tree::decode(b).ok().map(|t| t.encode().unwrap()));
    attack(&manifest().encode().unwrap(), |b| {
        Manifest::decode(b).ok().map(|m| m.encode().unwrap())
    });
    let sealed = state().encode().unwrap();
    attack(&sealed[..sealed.len() - 32], |body| {
        let whole = [body, &id_of(Kind::Blob, body).0].concat();
        let state = State::decode(&whole, "state/9").ok()?;
        let bytes = state.encode().unwrap();
        Some(bytes[..bytes.len() - 32].to_vec())
    });
    if let Some(peak) = peak_memory() {
        assert!(peak < 64 << 20, "the process grew to {peak} bytes");
    }
}
