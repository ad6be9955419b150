//! The probe tells places that keep their promises from those that do not.

use mv_store::{DirTransport, Fault, Nonces, probe};
use mv_tests::{Trick, When};

use crate::bench::{Bench, fault};

#[test]
fn a_directory_passes_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    probe(&DirTransport::open(dir.path()), &Nonces::from_seed([1; 32])).unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_honest_bucket_passes_and_nothing_is_left() {
    let bench = Bench::bucket();
    probe(bench.remote.as_ref(), &bench.nonces).unwrap();
    assert!(bench.server.objects().is_empty());
}

#[test]
fn a_bucket_that_ignores_conditions_is_refused_and_nothing_is_left() {
    let bench = Bench::bucket();
    bench.server.play(When::each("PUT", ""), Trick::IgnoreCondition);
    let said = fault(probe(bench.remote.as_ref(), &bench.nonces), Fault::Unfit);
    assert!(said.contains("does not honour If-None-Match"), "{said}");
    assert!(bench.server.objects().is_empty());
}

#[test]
fn a_bucket_that_ignores_conditions_only_in_a_race_is_refused() {
    let bench = Bench::bucket();
    bench.server.play(When::each("PUT", "").after(2), Trick::IgnoreCondition);
    let said = fault(probe(bench.remote.as_ref(), &bench.nonces), Fault::Unfit);
    assert!(said.contains("of several who created one name 8 won"), "{said}");
}

#[test]
fn a_bucket_that_refuses_conditional_writes_is_refused_at_once() {
    let bench = Bench::bucket();
    bench.server.play(When::each("PUT", ""), Trick::Instead(501));
    let said = fault(probe(bench.remote.as_ref(), &bench.nonces), Fault::Unfit);
    assert!(said.contains("refuses conditional writes"), "{said}");
    assert_eq!(bench.requests("PUT", ""), 1);
}

#[test]
fn a_lost_answer_does_not_make_an_honest_bucket_dishonest() {
    let bench = Bench::bucket();
    bench.server.play(When::each("PUT", "").times(6), Trick::AppliedThen(503));
    probe(bench.remote.as_ref(), &bench.nonces).unwrap();
}

#[test]
fn a_bucket_without_room_or_rights_is_not_called_dishonest() {
    for (status, expected) in [(403, Fault::Denied), (507, Fault::Full), (503, Fault::Unreachable)]
    {
        let bench = Bench::bucket();
        bench.server.play(When::each("PUT", ""), Trick::Instead(status));
        fault(probe(bench.remote.as_ref(), &bench.nonces), expected);
    }
}
