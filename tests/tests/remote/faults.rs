//! What a bucket does when its server misbehaves.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use mv_remote::{Settings, Timeouts};
use mv_store::{Error, Fault, Progress, Result, Source};
use mv_tests::{FaultyServer, Trick, When};

use crate::bench::{Bench, Ramp, fault, hasty, impatient, settings, task};

/// More than two parts.
const LARGE: u64 = (20 << 20) + 5;

#[test]
fn a_create_is_sent_once_whatever_comes_back() {
    for trick in [
        Trick::AppliedThen(500),
        Trick::AppliedThen(503),
        Trick::AppliedThenDropped,
        Trick::Instead(500),
        Trick::Silent,
    ] {
        let bench = Bench::patient(hasty());
        bench.server.play(When::first("PUT", ""), trick.clone());
        fault(bench.create("state/1", b"x"), Fault::Unreachable);
        let log = bench.server.take_log();
        assert_eq!(log.iter().filter(|r| r.method == "PUT").count(), 1, "{trick:?}");
        assert_eq!(log[0].if_none_match.as_deref(), Some("*"));
        // Only reading back tells.
        let applied = !matches!(trick, Trick::Instead(_));
        assert_eq!(bench.remote.read("state/1", 1).is_ok(), applied, "{trick:?}");
    }
}

#[test]
fn a_conflict_counts_as_taken_whether_or_not_it_was_applied() {
    for (trick, there) in [(Trick::AppliedThen(409), true), (Trick::Instead(409), false)] {
        let bench = Bench::bucket();
        bench.server.play(When::first("PUT", ""), trick);
        assert!(matches!(bench.create("state/1", b"x"), Err(Error::Exists { .. })));
        assert_eq!(bench.remote.read("state/1", 1).is_ok(), there);
    }
}

#[test]
fn reads_are_tried_again_and_then_given_up() {
    let bench = Bench::bucket();
    bench.put("x", b"bytes");
    bench.server.play(When::each("GET", "").times(2), Trick::Instead(503));
    assert_eq!(bench.remote.read("x", 9).unwrap(), b"bytes");
    assert_eq!(bench.requests("GET", ""), 3);
    bench.server.play(When::each("GET", ""), Trick::Instead(500));
    let said = fault(bench.remote.read("x", 9), Fault::Unreachable);
    assert!(said.contains("500 Internal Server Error"), "{said}");
    assert_eq!(bench.requests("GET", ""), 3);
}

#[test]
fn a_body_that_breaks_is_continued() {
    let bench = Bench::patient(hasty());
    let bytes = Ramp(100_000).bytes();
    bench.put("x", &bytes);
    bench.server.play(When::first("GET", ""), Trick::Short);
    assert!(bench.remote.read("x", 100_000).unwrap() == bytes);
    bench.server.play(When::first("GET", ""), Trick::Stalled);
    assert!(bench.remote.read_range("x", 5, 90_000).unwrap() == bytes[5..90_005]);
}

#[test]
fn a_body_that_always_breaks_is_given_up() {
    let bench = Bench::bucket();
    bench.put("x", &Ramp(100_000).bytes());
    bench.server.play(When::each("GET", ""), Trick::Short);
    fault(bench.remote.read_range("x", 0, 90_000), Fault::Unreachable);
    fault(bench.remote.read("x", 1 << 20), Fault::Unreachable);
}

#[test]
fn silence_ends_in_an_error() {
    for trick in [Trick::Silent, Trick::Stalled] {
        let bench = Bench::patient(Timeouts { retries: 0, ..hasty() });
        bench.put("x", &[1; 5000]);
        bench.server.play(When::each("GET", ""), trick);
        let said = fault(bench.remote.read("x", 5000), Fault::Unreachable);
        assert!(said.contains("stopped answering"), "{said}");
    }
}

#[test]
fn an_answer_that_never_ends_stops_at_the_limit() {
    let bench = Bench::bucket();
    bench.put("x", b"bytes");
    bench.server.play(When::first("GET", ""), Trick::Endless);
    assert!(matches!(bench.remote.read("x", 1 << 20), Err(Error::Corrupt { .. })));
    bench.server.play(When::first("GET", ""), Trick::Announces(1 << 50));
    assert!(matches!(bench.remote.read("x", 1 << 20), Err(Error::Corrupt { .. })));
    bench.server.play(When::first("GET", ""), Trick::Endless);
    assert!(bench.remote.read_range("x", 0, 5).is_err());
    bench.server.play(When::first("GET", "list-type"), Trick::Endless);
    let said = fault(bench.remote.list("state"), Fault::Unreachable);
    assert!(said.contains("does not end"), "{said}");
}

#[test]
fn a_whole_answer_to_a_question_for_a_range_is_cut() {
    let bench = Bench::bucket();
    bench.put("x", b"0123456789");
    bench.server.play(When::each("GET", ""), Trick::IgnoreRange);
    assert_eq!(bench.remote.read_range("x", 3, 4).unwrap(), b"3456");
    assert_eq!(bench.remote.read_end("x", 3).unwrap(), (b"789".to_vec(), 10));
    assert_eq!(bench.remote.read_end("x", 30).unwrap(), (b"0123456789".to_vec(), 10));
}

#[test]
fn a_server_without_ranges_from_the_end_is_asked_for_the_length() {
    let bench = Bench::bucket();
    bench.put("x", b"0123456789");
    bench.server.play(When::each("GET", "").times(1), Trick::NoSuffix);
    assert_eq!(bench.remote.read_end("x", 3).unwrap(), (b"789".to_vec(), 10));
}

#[test]
fn the_end_of_an_object_is_one_request() {
    let bench = Bench::bucket();
    bench.put("x", b"0123456789");
    bench.remote.read_end("x", 3).unwrap();
    let log = bench.server.take_log();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].range.as_deref(), Some("bytes=-3"));
}

#[test]
fn a_redirect_is_not_followed() {
    let (bench, elsewhere) = (Bench::bucket(), FaultyServer::start());
    elsewhere.put("team/model/x", b"forged");
    let to = format!("{}/bucket/team/model/x", elsewhere.endpoint());
    bench.server.play(When::each("GET", ""), Trick::Redirect(to));
    let said = fault(bench.remote.read("x", 9), Fault::Unfit);
    assert!(said.contains("leads elsewhere"), "{said}");
    assert!(elsewhere.take_log().is_empty());
}

#[test]
fn refusals_say_what_to_do_and_nothing_secret() {
    let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>\u{1b}[31mkey AKIATESTKEY of \
                https://me:hunter2@host/?X-Amz-Signature=hunter2 with test-secret-hunter2\r\n\
                token=hunter2</Message><StringToSign>hunter2</StringToSign></Error>";
    let bench = Bench::bucket();
    bench.put("x", b"bytes");
    for (status, expected) in [
        (401, Fault::Denied),
        (403, Fault::Denied),
        (405, Fault::Unfit),
        (501, Fault::Unfit),
        (507, Fault::Full),
        (503, Fault::Unreachable),
    ] {
        bench.server.behave();
        bench.server.play(When::each("GET", ""), Trick::Saying(status, body.to_owned()));
        let said = fault(bench.remote.read("x", 9), expected);
        assert!(said.contains(&status.to_string()), "{said}");
        assert!(said.contains("SignatureDoesNotMatch"), "{said}");
        assert!(!said.contains("AKIATESTKEY"), "{said}");
    }
}

#[test]
fn a_bucket_that_is_not_there_is_told_from_an_object_that_is_not() {
    let bench = Bench::bucket();
    let body = "<Error><Code>NoSuchBucket</Code><Message>no such bucket</Message></Error>";
    for method in ["GET", "PUT"] {
        bench.server.play(When::each(method, ""), Trick::Saying(404, body.to_owned()));
    }
    let said = fault(bench.remote.read("x", 9), Fault::Unfit);
    assert!(said.contains("NoSuchBucket"), "{said}");
    fault(bench.create("state/1", b"x"), Fault::Unfit);
    fault(bench.remote.list("state"), Fault::Unfit);
}

#[test]
fn a_listing_goes_on_over_pages_and_a_stale_one_is_only_shorter() {
    let bench = Bench::bucket();
    bench.server.set_page(3);
    for n in 0..10 {
        bench.put(&format!("state/{n}"), b"x");
    }
    assert_eq!(bench.remote.list("state").unwrap().len(), 10);
    assert_eq!(bench.requests("GET", "list-type"), 4);
    bench.server.play(When::each("GET", "list-type"), Trick::Stale(2));
    assert_eq!(bench.remote.list("state").unwrap().len(), 8);
    assert_eq!(bench.remote.read("state/9", 1).unwrap(), b"x");
}

#[test]
fn a_deletion_whose_answer_is_lost_is_repeated() {
    for trick in [Trick::AppliedThenDropped, Trick::AppliedThen(500), Trick::Silent] {
        let bench = Bench::patient(hasty());
        bench.put("x", b"x");
        bench.server.play(When::first("DELETE", ""), trick);
        bench.remote.delete("x").unwrap();
        assert_eq!(bench.requests("DELETE", ""), 2);
    }
}

#[test]
fn a_part_that_fails_is_sent_again() {
    for trick in [Trick::Instead(500), Trick::AppliedThen(503), Trick::AppliedThenDropped] {
        let (bench, progress) = (Bench::bucket(), Progress::new());
        bench.server.play(When::first("PUT", "partNumber=2"), trick);
        let (source, task) = (Ramp(LARGE), task(&progress));
        bench.remote.upload("packs/x", &source, &bench.nonces.next(), &task).unwrap();
        assert!(bench.server.objects()["team/model/packs/x"] == source.bytes());
        assert_eq!(task.done(), LARGE);
    }
}

#[test]
fn an_upload_that_fails_takes_its_parts_back() {
    let (bench, progress) = (Bench::bucket(), Progress::new());
    bench.server.play(When::each("PUT", "partNumber=2"), Trick::Instead(403));
    let sent = bench.remote.upload("packs/x", &Ramp(LARGE), &bench.nonces.next(), &task(&progress));
    fault(sent, Fault::Denied);
    assert!(bench.server.objects().is_empty() && bench.server.open_uploads() == 0);
}

#[test]
fn an_upload_whose_last_answer_is_lost_is_looked_up() {
    for trick in [Trick::AppliedThen(500), Trick::AppliedThenDropped] {
        let (bench, progress) = (Bench::bucket(), Progress::new());
        bench.server.play(When::first("POST", "uploadId"), trick);
        let (source, task) = (Ramp(LARGE), task(&progress));
        bench.remote.upload("packs/x", &source, &bench.nonces.next(), &task).unwrap();
        assert!(bench.server.objects()["team/model/packs/x"] == source.bytes());
    }
}

#[test]
fn a_cancelled_upload_stops_and_takes_its_parts_back() {
    /// Cancels when its third part is read.
    struct Cancels(Progress);
    impl Source for Cancels {
        fn len(&self) -> u64 {
            10 * LARGE
        }
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
            if offset >= 16 << 20 {
                self.0.cancel();
            }
            buffer.fill(1);
            Ok(())
        }
    }
    let (bench, progress) = (Bench::bucket(), Progress::new());
    let source = Cancels(progress.clone());
    let sent = bench.remote.upload("packs/x", &source, &bench.nonces.next(), &task(&progress));
    assert!(matches!(sent, Err(Error::Cancelled)), "{sent:?}");
    assert!(bench.server.objects().is_empty() && bench.server.open_uploads() == 0);
}

#[test]
fn a_cancelled_upload_does_not_wait_for_a_server_that_is_silent() {
    let bench = Bench::patient(Timeouts { stall: Duration::from_secs(600), ..impatient() });
    let progress = Progress::new();
    bench.server.play(When::each("PUT", ""), Trick::Silent);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            bench.remote.upload("packs/x", &Ramp(9), &bench.nonces.next(), &task(&progress))
        });
        progress.cancel();
        assert!(matches!(sending.join().unwrap(), Err(Error::Cancelled)));
    });
}

#[test]
fn a_source_that_fails_ends_the_upload_with_its_error() {
    struct Broken;
    impl Source for Broken {
        fn len(&self) -> u64 {
            LARGE
        }
        fn read_at(&self, _: &mut [u8], offset: u64) -> Result<()> {
            if offset == 0 { Ok(()) } else { Err(Error::corrupt("file", "f", "it is gone")) }
        }
    }
    let (bench, progress) = (Bench::bucket(), Progress::new());
    let sent = bench.remote.upload("packs/x", &Broken, &bench.nonces.next(), &task(&progress));
    assert!(matches!(sent, Err(Error::Corrupt { .. })), "{sent:?}");
    assert_eq!(bench.server.open_uploads(), 0);
}

#[test]
fn a_port_where_nobody_listens_is_unreachable() {
    let server = FaultyServer::start();
    let settings = settings(&server, impatient());
    let url = server.url("x");
    drop(server);
    let remote = mv_remote::open(&url, &settings).unwrap();
    fault(remote.read("x", 9), Fault::Unreachable);
    fault(remote.create("x", b"x", &[1; 16]), Fault::Unreachable);
}

#[test]
fn without_encryption_only_an_endpoint_that_says_so_is_reached() {
    let server = FaultyServer::start();
    let lookup = |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some("https://127.0.0.1:1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("keys".to_owned()),
        _ => None,
    };
    let settings = Settings { timeouts: impatient(), ..Settings::new(lookup) };
    let remote = mv_remote::open(&server.url("x"), &settings).unwrap();
    fault(remote.read("x", 9), Fault::Unreachable);
    assert!(server.take_log().is_empty());
}

#[test]
fn dropping_the_remote_anywhere_ends_its_thread() {
    let bench = Bench::bucket();
    bench.put("x", b"x");
    let clones: Vec<_> = (0..8).map(|_| Arc::clone(&bench.remote)).collect();
    drop(bench.remote);
    let threads = clones
        .into_iter()
        .map(|remote| std::thread::spawn(move || assert_eq!(remote.read("x", 1).unwrap(), b"x")));
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

#[test]
fn many_threads_have_requests_under_way_at_once() {
    let patience = Timeouts { stall: Duration::from_secs(30), retries: 0, ..impatient() };
    let bench = Bench::patient(patience);
    bench.put("x", b"x");
    // None is answered before all have arrived.
    bench.server.play(When::each("GET", ""), Trick::Together(Arc::new(Barrier::new(16))));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(bench.remote.read("x", 1).unwrap(), b"x"));
        }
    });
}
