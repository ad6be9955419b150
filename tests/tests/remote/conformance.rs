//! What every transport must do. Each check starts with names that nobody used.

use mv_store::{DirTransport, Error, NEWEST, Nonces, Progress, Transport, nonce_hex, probe};

use crate::bench::{Bench, Ramp, task};

/// All checks; `run` makes the names of this run.
pub(crate) fn conforms(transport: &dyn Transport, nonces: &Nonces) {
    let run = nonce_hex(&nonces.next());
    let name = |what: &str| format!("tmp/{what}-{run}");
    an_absent_object_is_absent(transport, &name("absent"));
    a_created_object_is_there(transport, nonces, &name("created"));
    of_many_racers_one_wins(transport, nonces, &name("raced"));
    parts_are_exact(transport, nonces, &name("parts"));
    an_empty_object_is_an_object(transport, nonces, &name("empty"));
    limits_hold(transport, nonces, &name("limits"));
    a_listing_has_what_is_directly_below(transport, nonces, &format!("tmp/list-{run}"));
    advice_is_replaced(transport, nonces);
    an_upload_arrives_whole(transport, nonces, &name("upload"));
    names_that_are_paths_are_refused(transport, nonces);
    probe(transport, nonces).unwrap();
}

fn is_absent<T: std::fmt::Debug>(outcome: mv_store::Result<T>) {
    assert!(matches!(outcome, Err(Error::Absent { .. })), "{outcome:?}");
}

fn is_corrupt<T: std::fmt::Debug>(outcome: mv_store::Result<T>) {
    assert!(matches!(outcome, Err(Error::Corrupt { .. })), "{outcome:?}");
}

fn an_absent_object_is_absent(transport: &dyn Transport, name: &str) {
    is_absent(transport.read(name, 10));
    is_absent(transport.read_range(name, 0, 1));
    is_absent(transport.read_end(name, 1));
    assert_eq!(transport.stat(name).unwrap(), None);
    transport.delete(name).unwrap();
}

fn a_created_object_is_there(transport: &dyn Transport, nonces: &Nonces, name: &str) {
    transport.create(name, b"first", &nonces.next()).unwrap();
    assert_eq!(transport.read(name, 5).unwrap(), b"first");
    assert_eq!(transport.size(name).unwrap(), Some(5));
    assert!(transport.stat(name).unwrap().unwrap().modified_ns > 0);
    let again = transport.create(name, b"second", &nonces.next());
    assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    assert_eq!(transport.read(name, 10).unwrap(), b"first");
    transport.delete(name).unwrap();
    assert_eq!(transport.size(name).unwrap(), None);
    transport.create(name, b"third", &nonces.next()).unwrap();
    transport.delete(name).unwrap();
}

fn of_many_racers_one_wins(transport: &dyn Transport, nonces: &Nonces, name: &str) {
    let winners: Vec<u8> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16u8)
            .map(|n| scope.spawn(move || transport.create(name, &[n], &nonces.next()).is_ok()))
            .collect();
        let outcomes = threads.into_iter().map(|t| t.join().unwrap());
        (0..).zip(outcomes).filter(|(_, won)| *won).map(|(n, _)| n).collect()
    });
    assert_eq!(winners.len(), 1);
    assert_eq!(transport.read(name, 1).unwrap(), winners);
    transport.delete(name).unwrap();
}

fn parts_are_exact(transport: &dyn Transport, nonces: &Nonces, name: &str) {
    transport.create(name, b"0123456789", &nonces.next()).unwrap();
    assert_eq!(transport.read_range(name, 0, 10).unwrap(), b"0123456789");
    assert_eq!(transport.read_range(name, 3, 4).unwrap(), b"3456");
    assert_eq!(transport.read_range(name, 10, 0).unwrap(), b"");
    is_corrupt(transport.read_range(name, 8, 3));
    is_corrupt(transport.read_range(name, 10, 1));
    is_corrupt(transport.read_range(name, u64::MAX, 2));
    assert_eq!(transport.read_end(name, 3).unwrap(), (b"789".to_vec(), 10));
    assert_eq!(transport.read_end(name, 10).unwrap(), (b"0123456789".to_vec(), 10));
    assert_eq!(transport.read_end(name, 99).unwrap(), (b"0123456789".to_vec(), 10));
    assert_eq!(transport.read_end(name, 0).unwrap(), (Vec::new(), 10));
    transport.delete(name).unwrap();
}

fn an_empty_object_is_an_object(transport: &dyn Transport, nonces: &Nonces, name: &str) {
    transport.create(name, b"", &nonces.next()).unwrap();
    assert_eq!(transport.read(name, 0).unwrap(), b"");
    assert_eq!(transport.read_range(name, 0, 0).unwrap(), b"");
    assert_eq!(transport.read_end(name, 8).unwrap(), (Vec::new(), 0));
    assert_eq!(transport.size(name).unwrap(), Some(0));
    transport.delete(name).unwrap();
}

fn limits_hold(transport: &dyn Transport, nonces: &Nonces, name: &str) {
    transport.create(name, &[7; 1000], &nonces.next()).unwrap();
    assert_eq!(transport.read(name, 1000).unwrap().len(), 1000);
    is_corrupt(transport.read(name, 999));
    is_corrupt(transport.read(name, 0));
    transport.delete(name).unwrap();
}

fn a_listing_has_what_is_directly_below(transport: &dyn Transport, nonces: &Nonces, at: &str) {
    assert_eq!(transport.list(at).unwrap(), Vec::<String>::new());
    let names = ["a", "b", "ab/c", "ab/d", "e/f/g"].map(|n| format!("{at}/{n}"));
    for name in &names {
        transport.create(name, b"x", &nonces.next()).unwrap();
    }
    // A neighbour whose name begins the same is not below.
    let neighbour = format!("{at}x");
    transport.create(&neighbour, b"x", &nonces.next()).unwrap();
    let mut found = transport.list(at).unwrap();
    found.sort();
    assert_eq!(found, ["a", "ab", "b", "e"].map(|n| format!("{at}/{n}")));
    for name in names.iter().chain([&neighbour]) {
        transport.delete(name).unwrap();
    }
}

fn advice_is_replaced(transport: &dyn Transport, nonces: &Nonces) {
    for advice in [b"00000000000000000001\n", b"00000000000000000002\n"] {
        transport.note(NEWEST, advice, &nonces.next()).unwrap();
        assert_eq!(transport.read(NEWEST, 64).unwrap(), advice);
    }
    transport.delete(NEWEST).unwrap();
}

fn an_upload_arrives_whole(transport: &dyn Transport, nonces: &Nonces, name: &str) {
    let progress = Progress::new();
    for (turn, len) in [0u64, 1, 8 << 20, (8 << 20) + 1, (19 << 20) + 7].into_iter().enumerate() {
        let (name, source, task) = (format!("{name}-{turn}"), Ramp(len), task(&progress));
        transport.upload(&name, &source, &nonces.next(), &task).unwrap();
        assert_eq!(task.done(), len);
        assert_eq!(transport.size(&name).unwrap(), Some(len));
        assert!(transport.read(&name, len).unwrap() == source.bytes());
        transport.delete(&name).unwrap();
    }
}

fn names_that_are_paths_are_refused(transport: &dyn Transport, nonces: &Nonces) {
    for name in ["", "/x", "../x", "a//b", "a/..", "a\0b", "a/./b", "a b", "a?b", "a%2fb"] {
        let read = transport.read(name, 1);
        assert!(matches!(read, Err(Error::Invalid { .. })), "{name:?}: {read:?}");
        assert!(transport.create(name, b"", &nonces.next()).is_err(), "{name:?}");
    }
}

#[test]
fn a_directory_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&DirTransport::open(dir.path()), &Nonces::from_seed([1; 32]));
}

#[test]
fn a_bucket_conforms() {
    let bench = Bench::bucket();
    conforms(bench.remote.as_ref(), &bench.nonces);
    assert!(bench.server.objects().is_empty() && bench.server.open_uploads() == 0);
    assert!(bench.server.take_log().iter().all(|request| request.signed));
}
