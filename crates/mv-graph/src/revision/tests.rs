use super::*;
use crate::chain::Record;
use crate::ledger::{LedgerEntry, MoveKind};
use crate::refs::{Head, Stage, Tag, Tracking};
use crate::testing::{Memory, MemoryTransport, name, person};

/// 2026-06-01T00:00:00Z.
const DAY: i64 = 1_780_272_000;

struct World {
    memory: Memory,
    transport: MemoryTransport,
    record: Record,
    nonce: u8,
}

impl World {
    fn new() -> World {
        let transport = MemoryTransport::default();
        let time = Time { ns: DAY * 1_000_000_000, offset_minutes: 0 };
        let first = State::first([1; 16], name("main"), [0; 16], time);
        let record = chain::create_first(&transport, first).unwrap();
        World { memory: Memory::default(), transport, record, nonce: 0 }
    }

    /// Records a change made at this second of the day.
    fn record(&mut self, second: i64, change: impl FnOnce(&mut State)) {
        self.nonce += 1;
        let time = Time { ns: (DAY + second) * 1_000_000_000, offset_minutes: 0 };
        let mut next = self.record.state.next("test", [self.nonce; 16], time, None);
        change(&mut next);
        self.record = chain::append(&self.transport, &self.record, next).unwrap();
    }

    /// Commits on a branch at this second.
    fn commit(&mut self, branch: &str, second: i64, parents: &[Hash]) -> Hash {
        let id = self.memory.commit(&format!("{branch} {second}"), DAY + second, parents);
        self.record(second, |state| state.set_branch(name(branch), id));
        id
    }

    fn tag(&mut self, text: &str, target: Option<Hash>) {
        self.record(50, |state| {
            let created = state.time;
            state.set_tag(Tag {
                name: name(text),
                target,
                message: String::new(),
                tagger: person(),
                created,
            });
        });
    }

    fn resolve(&self, text: &str) -> Result<Hash> {
        let view = View {
            state: &self.record.state,
            objects: &self.memory,
            transport: &self.transport,
            now: Time { ns: 0, offset_minutes: 60 },
        };
        resolve(&view, text)
    }

    #[track_caller]
    fn means(&self, text: &str, id: Hash) {
        assert_eq!(self.resolve(text).unwrap(), id, "{text}");
    }

    #[track_caller]
    fn is_unknown(&self, text: &str) {
        match self.resolve(text) {
            Err(Error::UnknownRevision { text: told }) => assert_eq!(told, text),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[track_caller]
    fn ambiguous(&self, text: &str) -> Vec<String> {
        match self.resolve(text) {
            Err(Error::Ambiguous { candidates, .. }) => {
                candidates.into_iter().map(|(name, _)| name).collect()
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn before_the_first_commit_there_is_no_head() {
    let world = World::new();
    for text in ["HEAD", "@", "main", "HEAD~1", "HEAD@{0}", "latest", ""] {
        world.is_unknown(text);
    }
}

#[test]
fn head_and_its_ancestors() {
    let mut w = World::new();
    let a = w.commit("main", 1, &[]);
    let b = w.commit("main", 2, &[a]);
    let side = w.commit("side", 3, &[a]);
    let merge = w.commit("main", 4, &[b, side]);
    for (text, id) in [
        ("HEAD", merge),
        ("@", merge),
        ("main", merge),
        ("HEAD~", b),
        ("HEAD^", b),
        ("HEAD~0", merge),
        ("HEAD^0", merge),
        ("HEAD^1", b),
        ("HEAD^2", side),
        ("HEAD~2", a),
        ("HEAD^2~1", a),
        ("HEAD^^", a),
        ("@~1", b),
        ("main^2^", a),
        ("refs/heads/side~", a),
    ] {
        w.means(text, id);
    }
    for text in [
        "HEAD~3",
        "HEAD^3",
        "HEAD~99999999999999999999",
        "HEAD~x",
        "HEAD^{tree}",
        "HEAD ",
        "HEAD~1x",
        "nope",
        "nope~1",
        "~",
        "^",
    ] {
        w.is_unknown(text);
    }
    w.record(5, |s| s.head = Head::Detached(a));
    w.means("HEAD", a);
}

#[test]
fn refs_of_every_kind_are_found_by_name() {
    let mut w = World::new();
    let a = w.commit("main", 1, &[]);
    let b = w.commit("topic/x", 2, &[a]);
    w.tag("v1.0.0", Some(a));
    w.tag("release", Some(a));
    w.record(60, |s| {
        s.stages.push(Stage { name: name("production"), target: Some(a), ledger: a });
        s.tracking.push(Tracking { remote: name("origin"), branch: name("topic/y"), target: b });
    });
    for (text, id) in [
        ("topic/x", b),
        ("v1.0.0", a),
        ("1.0.0", a),
        ("release", a),
        ("production", a),
        ("origin/topic/y", b),
        ("refs/tags/release", a),
        ("refs/stages/production", a),
        ("refs/remotes/origin/topic/y", b),
    ] {
        w.means(text, id);
    }
    for text in ["topic", "origin", "origin/x", "refs/heads/release", "refs/x", "V1.0.0", "1.0"] {
        w.is_unknown(text);
    }
}

#[test]
fn a_name_with_two_meanings_is_ambiguous_unless_they_agree() {
    let mut w = World::new();
    let a = w.commit("main", 1, &[]);
    let b = w.commit("x", 2, &[a]);
    w.tag("x", Some(a));
    assert_eq!(w.ambiguous("x"), ["refs/heads/x", "refs/tags/x"]);
    assert_eq!(w.ambiguous("x~1"), ["refs/heads/x", "refs/tags/x"]);
    assert_eq!(w.ambiguous("x@{0}"), ["refs/heads/x", "refs/tags/x"]);
    for candidate in w.ambiguous("x") {
        w.resolve(&candidate).unwrap();
    }
    w.tag("x", Some(b));
    w.means("x", b);
}

#[test]
fn versions_and_ranges_pick_the_highest_matching_tag() {
    let mut w = World::new();
    let versions = ["v0.9.0", "v1.2.0", "1.2.9", "v1.10.0", "v2.0.0-rc.1", "v3.0.0", "v1.99.0"];
    let ids: Vec<Hash> = (1..8).map(|n| w.commit("main", n, &[])).collect();
    for (tag, id) in versions.iter().zip(&ids) {
        w.tag(tag, Some(*id));
    }
    // Deleted: the number stays used and is never found.
    w.tag("v3.0.0", None);
    w.tag("v1.99.0", None);
    for (text, place) in [
        ("latest", 3),
        ("^1.2", 3),
        ("~1.2.0", 2),
        ("^0.9", 0),
        (">=1, <1.10", 2),
        (">=1,<2", 3),
        ("*", 3),
        ("1.2.*", 2),
        ("1.x", 3),
        ("=1.2.0", 1),
        (">=2.0.0-rc.1", 4),
        ("2.0.0-rc.1", 4),
        ("v1.2.9", 2),
        ("1.10.0", 3),
    ] {
        w.means(text, ids[place]);
    }
    for text in ["^2", "v3.0.0", "3.0.0", "1.99.0", "^9", ">x", "~", "^1.2~1"] {
        w.is_unknown(text);
    }
}

#[test]
fn one_version_tagged_twice_is_ambiguous_only_without_its_exact_name() {
    let mut w = World::new();
    let a = w.commit("main", 1, &[]);
    let b = w.commit("main", 2, &[a]);
    w.tag("1.0.0", Some(a));
    w.tag("v1.0.0", Some(b));
    w.means("1.0.0", a);
    w.means("v1.0.0", b);
    assert_eq!(w.ambiguous("latest"), ["refs/tags/1.0.0", "refs/tags/v1.0.0"]);
}

#[test]
fn a_timestamp_finds_the_version_made_in_that_second() {
    let mut w = World::new();
    let a = w.commit("main", 3661, &[]);
    let b = w.commit("main", 3662, &[a]);
    w.means("20260601_010101", a);
    w.means("20260601_010102", b);
    w.means("20260601_010102~1", a);
    w.is_unknown("20260601_010103");
    let twin = w.commit("side", 3661, &[]);
    let mut both = [a.to_hex(), twin.to_hex()];
    both.sort();
    let mut found = w.ambiguous("20260601_010101");
    found.sort();
    assert_eq!(found, both);
    let unreachable = w.memory.commit("lost", DAY + 7, &[]);
    w.is_unknown("20260601_000007");
    w.means(&unreachable.to_hex(), unreachable);
}

#[test]
fn an_id_is_found_by_a_unique_prefix_of_four_digits_or_more() {
    let mut w = World::new();
    let ids: Vec<Hash> = (1..600).map(|n| w.memory.commit("x", n, &[])).collect();
    let hex = ids[0].to_hex();
    w.means(&hex, ids[0]);
    w.means(&hex.to_uppercase(), ids[0]);
    w.means(&hex[..16], ids[0]);
    w.is_unknown(&hex[..3]);
    w.is_unknown(&format!("{hex}0"));
    // Trees are no versions.
    let tree = w.memory.empty_component().tree;
    w.is_unknown(&tree.to_hex());
    let shared = ids.iter().find_map(|a| {
        let prefix = a.to_hex()[..4].to_owned();
        (ids.iter().filter(|b| b.to_hex().starts_with(&prefix)).count() > 1).then_some(prefix)
    });
    let shared = shared.expect("600 ids share four digits somewhere");
    assert!(w.ambiguous(&shared).iter().all(|id| id.starts_with(&shared) && id.len() == 64));
}

#[test]
fn the_reflog_answers_by_count() {
    let mut w = World::new();
    let a = w.commit("main", 1, &[]);
    let b = w.commit("main", 2, &[a]);
    w.tag("v1.0.0", Some(a));
    let c = w.commit("main", 3, &[b]);
    w.record(4, |s| s.set_branch(name("main"), a));
    for (text, id) in [
        ("main@{0}", a),
        ("main@{1}", c),
        ("main@{2}", b),
        ("main@{3}", a),
        ("HEAD@{1}", c),
        ("@{1}", c),
        ("@@{1}", c),
        ("main@{1}~2", a),
        ("v1.0.0@{0}", a),
    ] {
        w.means(text, id);
    }
    for text in [
        "main@{4}",
        "main@{5}",
        "main@{99999999999999999999}",
        "main@{",
        "main@{}",
        "main@{1",
        "main@{-1}",
        "main@{1}x",
        "main~1@{1}",
        "nope@{0}",
        "v1.0.0@{1}",
    ] {
        w.is_unknown(text);
    }
}

#[test]
fn a_deleted_branch_answers_from_the_past() {
    let mut w = World::new();
    let a = w.commit("topic", 1, &[]);
    w.record(2, |s| {
        s.remove_branch("topic");
    });
    w.is_unknown("topic");
    w.is_unknown("topic@{0}");
    w.means("topic@{1}", a);
}

#[test]
fn the_reflog_answers_by_time_in_the_users_offset() {
    let mut w = World::new();
    let hour = 3600;
    let a = w.commit("main", hour, &[]);
    let b = w.commit("main", 12 * hour, &[a]);
    let c = w.commit("main", 30 * hour, &[b]);
    for (text, id) in [
        ("main@{2026-06-01T01:00:00Z}", a),
        ("main@{2026-06-01T11:59:59Z}", a),
        ("main@{2026-06-01T12:00:00Z}", b),
        ("main@{2026-06-01 12:59}", a),
        ("main@{2026-06-01 13:00:00}", b),
        ("main@{2026-06-01}", b),
        ("HEAD@{2026-06-02}", c),
        ("main@{2030-01-01}", c),
        ("main@{2026-06-01}~1", a),
        ("main@{20260601_120000}", b),
    ] {
        w.means(text, id);
    }
    for text in [
        "main@{2026-05-31}",
        "main@{2026-06-01T00:30:00Z}",
        "main@{yesterday}",
        "main@{2026-13-01}",
    ] {
        w.is_unknown(text);
    }
}

#[test]
fn damage_in_the_chain_is_reported_not_skipped() {
    let mut w = World::new();
    let a = w.commit("main", 1, &[]);
    w.commit("main", 2, &[a]);
    w.transport.names.lock().unwrap().get_mut(&chain::name_of(2)).unwrap()[9] ^= 1;
    assert!(w.resolve("main@{1}").unwrap_err().is_corruption());
    assert!(w.resolve("main").is_ok());
}

#[test]
fn no_text_makes_it_panic() {
    let mut w = World::new();
    let a = w.commit("main", 1, &[]);
    w.commit("main", 2, &[a]);
    let pieces = [
        "HEAD",
        "main",
        "~",
        "^",
        "@{",
        "}",
        "1",
        "@",
        "/",
        "refs/",
        "é",
        "v1.0.0",
        "*",
        "99999999999",
        " ",
        "-",
        "2026-06-01",
        "\0",
    ];
    for x in pieces {
        for y in pieces {
            for z in pieces {
                drop(w.resolve(&format!("{x}{y}{z}")));
            }
        }
    }
}

/// Gives a role to a version (or to nobody) at this second, in the ledger and in a record.
fn play(w: &mut World, stage: &str, second: i64, to: Option<Hash>) {
    let before = w.record.state.stage(stage).cloned();
    let previous = before.as_ref().map(|s| s.ledger);
    let sequence = previous.map_or(1, |id| LedgerEntry::read(&w.memory, &id).unwrap().sequence + 1);
    let entry = LedgerEntry {
        stage: name(stage),
        sequence,
        previous,
        from: before.and_then(|s| s.target),
        to,
        kind: if to.is_some() { MoveKind::Set } else { MoveKind::Unset },
        by: person(),
        at: Time { ns: (DAY + second) * 1_000_000_000, offset_minutes: 0 },
        reason: String::new(),
    };
    let ledger = w.memory.put(Kind::Blob, &entry.encode().unwrap());
    w.record(second, |s| s.set_stage(Stage { name: name(stage), target: to, ledger }));
}

#[test]
fn a_stage_answers_from_its_ledger_when_the_records_are_gone() {
    let mut w = World::new();
    let a = w.commit("main", 1, &[]);
    let b = w.commit("main", 2, &[a]);
    play(&mut w, "production", 100, Some(a));
    play(&mut w, "production", 86_500, Some(b));
    play(&mut w, "production", 2 * 86_400, None);
    play(&mut w, "production", 3 * 86_400, Some(a));
    let newest = chain::name_of(w.record.state.generation);
    w.transport.names.lock().unwrap().retain(|name, _| *name == newest);
    for (text, id) in [
        ("production", a),
        ("production@{0}", a),
        ("production@{2}", b),
        ("production@{3}", a),
        ("production@{3}~0", a),
        // The view's clock is an hour ahead: the day ends at 23:00 UTC.
        ("production@{2026-06-01}", a),
        ("production@{2026-06-02}", b),
        ("refs/stages/production@{2026-06-02T00:01:39Z}", a),
        ("production@{2026-06-02T00:01:40Z}", b),
        ("production@{20260602_000140}", b),
        ("production@{2030-01-01}", a),
    ] {
        w.means(text, id);
    }
    for text in [
        "production@{1}",
        "production@{4}",
        "production@{99999999999999999999}",
        "production@{2026-05-31}",
        "production@{2026-06-03}",
        "production@{soon}",
    ] {
        w.is_unknown(text);
    }
}

#[test]
fn a_stage_that_nobody_plays_means_nothing_now_and_something_then() {
    let mut w = World::new();
    let a = w.commit("main", 1, &[]);
    play(&mut w, "production", 100, Some(a));
    play(&mut w, "production", 200, None);
    for text in ["production", "production@{0}", "refs/stages/production"] {
        w.is_unknown(text);
    }
    w.means("production@{1}", a);
    w.means("production@{2026-06-01T00:02:00Z}", a);
}

#[test]
fn a_version_that_only_a_ledger_names_is_found_by_its_time() {
    let mut w = World::new();
    let a = w.memory.commit("once", DAY + 7, &[]);
    let b = w.commit("main", 9, &[]);
    play(&mut w, "production", 100, Some(a));
    play(&mut w, "production", 200, Some(b));
    w.means("20260601_000007", a);
}
