//! A remote that a web server publishes.

use mv_store::{Error, Fault, Progress, Stat};
use mv_tests::{FaultyServer, Trick, When};

use crate::bench::{Bench, Ramp, fault, hasty, impatient, task};

const FIRST: &str = "state/00000000000000000001";
const SECOND: &str = "state/00000000000000000002";

#[test]
fn files_are_read_whole_and_in_parts() {
    let bench = Bench::web(impatient());
    bench.put("packs/ab/x", b"0123456789");
    bench.put("empty", b"");
    let remote = &bench.remote;
    assert_eq!(remote.read("packs/ab/x", 10).unwrap(), b"0123456789");
    assert!(matches!(remote.read("packs/ab/x", 9), Err(Error::Corrupt { .. })));
    assert_eq!(remote.read_range("packs/ab/x", 3, 4).unwrap(), b"3456");
    assert!(matches!(remote.read_range("packs/ab/x", 8, 3), Err(Error::Corrupt { .. })));
    assert!(matches!(remote.read_range("packs/ab/x", 10, 1), Err(Error::Corrupt { .. })));
    assert_eq!(remote.read_end("packs/ab/x", 3).unwrap(), (b"789".to_vec(), 10));
    assert_eq!(remote.read_end("packs/ab/x", 30).unwrap(), (b"0123456789".to_vec(), 10));
    assert_eq!(remote.read_end("empty", 3).unwrap(), (Vec::new(), 0));
    let stat = Stat { len: 10, modified_ns: 784_111_777_000_000_000 };
    assert_eq!(remote.stat("packs/ab/x").unwrap(), Some(stat));
    assert_eq!(remote.stat("absent").unwrap(), None);
    assert!(matches!(remote.read("absent", 9), Err(Error::Absent { .. })));
    assert!(bench.server.take_log().iter().all(|request| !request.signed));
}

#[test]
fn a_server_without_ranges_is_read_all_the_same() {
    let bench = Bench::web(impatient());
    bench.put("x", b"0123456789");
    bench.server.play(When::each("GET", ""), Trick::IgnoreRange);
    assert_eq!(bench.remote.read_range("x", 3, 4).unwrap(), b"3456");
    assert!(matches!(bench.remote.read_range("x", 8, 3), Err(Error::Corrupt { .. })));
    assert_eq!(bench.remote.read_end("x", 3).unwrap(), (b"789".to_vec(), 10));
}

#[test]
fn the_newest_record_is_the_one_that_is_noted() {
    let bench = Bench::web(impatient());
    bench.put(FIRST, b"x");
    bench.put(SECOND, b"x");
    bench.put("newest", b"00000000000000000001\n");
    assert_eq!(bench.remote.list("state").unwrap(), [FIRST]);
    assert_eq!(bench.server.take_log().len(), 1);
}

#[test]
fn without_a_note_the_page_of_the_directory_is_read() {
    let bench = Bench::web(impatient());
    assert_eq!(bench.remote.list("state").unwrap(), Vec::<String>::new());
    bench.put(FIRST, b"x");
    bench.put(SECOND, b"x");
    assert_eq!(bench.remote.list("state").unwrap(), [FIRST, SECOND]);
    bench.put("newest", b"<html>not advice</html>");
    assert_eq!(bench.remote.list("state").unwrap(), [FIRST, SECOND]);
    bench.server.play(When::each("GET", "/state/"), Trick::Endless);
    fault(bench.remote.list("state"), Fault::Unfit);
    fault(bench.remote.list("packs"), Fault::Unfit);
}

#[test]
fn every_write_is_refused_without_a_request() {
    let (bench, progress) = (Bench::web(impatient()), Progress::new());
    let (remote, nonce) = (&bench.remote, [1; 16]);
    for outcome in [
        remote.create("x", b"x", &nonce),
        remote.note("x", b"x", &nonce),
        remote.delete("x"),
        remote.upload("x", &Ramp(1), &nonce, &task(&progress)),
    ] {
        assert!(fault(outcome, Fault::Unfit).contains("read-only"));
    }
    assert!(bench.server.take_log().is_empty());
}

#[test]
fn a_redirect_is_followed_only_within_the_server() {
    let (bench, elsewhere) = (Bench::web(impatient()), FaultyServer::start());
    bench.put("x", b"here");
    elsewhere.put("team/model/x", b"forged");
    let there = elsewhere.web_url("team/model/x");
    bench.server.play(When::first("GET", "/y"), Trick::Redirect(there));
    fault(bench.remote.read("y", 9), Fault::Unfit);
    assert!(elsewhere.take_log().is_empty());
    let here = bench.server.web_url("team/model/x");
    bench.server.play(When::first("GET", "/y"), Trick::Redirect(here));
    assert_eq!(bench.remote.read("y", 9).unwrap(), b"here");
    let in_circles = bench.server.web_url("team/model/y");
    bench.server.play(When::each("GET", "/y"), Trick::Redirect(in_circles));
    fault(bench.remote.read("y", 9), Fault::Unfit);
}

#[test]
fn a_file_that_breaks_off_is_read_again_and_one_that_does_not_end_is_not() {
    let bench = Bench::web(hasty());
    bench.put("x", &[7; 100_000]);
    bench.server.play(When::first("GET", ""), Trick::Short);
    assert_eq!(bench.remote.read("x", 100_000).unwrap().len(), 100_000);
    bench.server.play(When::first("GET", ""), Trick::Stalled);
    assert_eq!(bench.remote.read("x", 100_000).unwrap().len(), 100_000);
    bench.server.play(When::each("GET", ""), Trick::Endless);
    assert!(matches!(bench.remote.read("x", 1 << 20), Err(Error::Corrupt { .. })));
    bench.server.behave();
    bench.server.play(When::each("GET", ""), Trick::Silent);
    assert!(fault(bench.remote.read("x", 1), Fault::Unreachable).contains("stopped answering"));
}
