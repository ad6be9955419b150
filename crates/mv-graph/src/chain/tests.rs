use std::sync::atomic::Ordering;

use mv_store::Transport as _;

use super::*;
use crate::testing::{Fault, MemoryTransport, name};
use crate::time::Time;

fn first() -> State {
    State::first([7; 16], name("main"), [0; 16], Time::default())
}

fn next(before: &Record, nonce: u8) -> State {
    before.state.next("commit", [nonce; 16], Time::default(), None)
}

/// A chain of this many records.
fn chain(length: u8) -> (MemoryTransport, Record) {
    let transport = MemoryTransport::default();
    let mut record = create_first(&transport, first()).unwrap();
    for nonce in 2..=length {
        record = append(&transport, &record, next(&record, nonce)).unwrap();
    }
    (transport, record)
}

fn overwrite(transport: &MemoryTransport, generation: u64, change: impl Fn(&mut Vec<u8>)) {
    change(transport.names.lock().unwrap().get_mut(&name_of(generation)).unwrap());
}

#[test]
fn records_are_linked_and_the_newest_is_found() {
    let (transport, last) = chain(5);
    assert_eq!(generations(&transport).unwrap(), [1, 2, 3, 4, 5]);
    assert_eq!(newest(&transport, None).unwrap(), last);
    assert_eq!(last.state.previous, read(&transport, 4).unwrap().hash);
    assert_eq!(verify(&transport).unwrap(), []);
    assert_eq!(name_of(42), "state/00000000000000000042");
}

#[test]
fn a_good_hint_saves_the_listing_and_a_bad_one_does_no_harm() {
    let (transport, last) = chain(60);
    for hint in [1, 30, 59, 60, 61, 1000, u64::MAX] {
        assert_eq!(newest(&transport, Some(hint)).unwrap(), last, "hint {hint}");
    }
    // The listing would be stale once; a near hint never asks for it.
    transport.fail_next(&[Fault::StaleList]);
    transport.reads.store(0, Ordering::Relaxed);
    assert_eq!(newest(&transport, Some(58)).unwrap(), last);
    assert_eq!(transport.reads.load(Ordering::Relaxed), 1);
    assert_eq!(transport.faults.lock().unwrap().len(), 1);
}

#[test]
fn a_stale_listing_hides_nothing() {
    let (transport, last) = chain(5);
    transport.fail_next(&[Fault::StaleList]);
    assert_eq!(newest(&transport, None).unwrap(), last);
}

#[test]
fn an_empty_place_has_no_newest_record() {
    let transport = MemoryTransport::default();
    assert!(matches!(newest(&transport, None), Err(Error::Store(mv_store::Error::Absent { .. }))));
    assert!(matches!(
        newest(&transport, Some(3)),
        Err(Error::Store(mv_store::Error::Absent { .. }))
    ));
    assert_eq!(verify(&transport).unwrap().len(), 1);
}

#[test]
fn of_two_writers_the_second_loses_the_race() {
    let (transport, before) = chain(1);
    append(&transport, &before, next(&before, 2)).unwrap();
    let lost = append(&transport, &before, next(&before, 3));
    assert!(matches!(lost, Err(Error::LostRace { generation: 2 })));
    assert!(matches!(
        create_first(&transport, State { nonce: [9; 16], ..first() }),
        Err(Error::LostRace { generation: 1 })
    ));
}

#[test]
fn a_create_that_worked_is_a_success_whatever_it_reported() {
    for fault in [Fault::LostReply, Fault::DuplicateReply] {
        let (transport, before) = chain(1);
        transport.fail_next(&[fault]);
        let record = append(&transport, &before, next(&before, 2)).unwrap();
        assert_eq!(read(&transport, 2).unwrap(), record, "{fault:?}");
    }
}

#[test]
fn a_create_that_did_nothing_reports_its_own_failure() {
    let (transport, before) = chain(1);
    transport.fail_next(&[Fault::NotDone]);
    assert!(matches!(
        append(&transport, &before, next(&before, 2)),
        Err(Error::Store(mv_store::Error::Io { .. }))
    ));
    assert_eq!(generations(&transport).unwrap(), [1]);
}

#[test]
fn a_record_that_may_vanish_in_a_power_cut_is_no_success() {
    let (transport, before) = chain(1);
    transport.fail_next(&[Fault::NotDurable]);
    assert!(matches!(
        append(&transport, &before, next(&before, 2)),
        Err(Error::Store(mv_store::Error::Io { .. }))
    ));
}

#[test]
fn a_name_that_is_taken_and_not_there_is_tried_again() {
    let (transport, before) = chain(1);
    transport.fail_next(&[Fault::FalseExists, Fault::FalseExists]);
    append(&transport, &before, next(&before, 2)).unwrap();
    transport.fail_next(&[Fault::FalseExists; 3]);
    let second = read(&transport, 2).unwrap();
    assert!(matches!(
        append(&transport, &second, next(&second, 3)),
        Err(Error::LostRace { generation: 3 })
    ));
}

#[test]
fn a_failure_that_cannot_be_looked_into_stays_a_failure() {
    let (transport, before) = chain(1);
    transport.fail_next(&[Fault::LostReply, Fault::ReadFails]);
    let outcome = append(&transport, &before, next(&before, 2));
    assert!(matches!(outcome, Err(Error::Store(mv_store::Error::Io { action: "write", .. }))));
}

#[test]
fn another_writers_damaged_record_is_corrupt_not_a_lost_race() {
    let (transport, before) = chain(1);
    transport.create(&name_of(2), b"garbage", &[0; 16]).unwrap();
    assert!(matches!(append(&transport, &before, next(&before, 2)), Err(Error::Corrupt { .. })));
}

#[test]
fn an_invalid_state_is_never_recorded() {
    let (transport, before) = chain(1);
    let bad = State { operation: String::new(), ..next(&before, 2) };
    assert!(matches!(append(&transport, &before, bad), Err(Error::Invalid { .. })));
    assert!(matches!(
        append(&transport, &before, next(&before, 0)),
        Err(Error::Invalid { what: "nonce", .. })
    ));
    assert_eq!(generations(&transport).unwrap(), [1]);
}

#[test]
fn a_cursor_past_the_record_before_means_the_record_itself() {
    let (transport, before) = chain(3);
    for (nonce, asked, kept) in [(10, 0, 4), (11, 5, 5), (12, 99, 6), (13, 2, 2)] {
        let before = newest(&transport, Some(before.state.generation)).unwrap();
        let record =
            append(&transport, &before, State { cursor: asked, ..next(&before, nonce) }).unwrap();
        assert_eq!(record.state.cursor, kept);
    }
}

#[test]
fn eight_writers_at_once_make_one_unbroken_chain() {
    let (transport, _) = chain(1);
    std::thread::scope(|scope| {
        for writer in 0..8u8 {
            let transport = &transport;
            scope.spawn(move || {
                let mut done = 0;
                let mut attempt = 0u8;
                while done < 10 {
                    attempt = attempt.wrapping_add(1);
                    let before = newest(transport, None).unwrap();
                    let nonce = [writer + 1, attempt, done, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                    match append(transport, &before, State { nonce, ..next(&before, 0) }) {
                        Ok(_) => done += 1,
                        Err(Error::LostRace { .. }) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    assert_eq!(generations(&transport).unwrap().len(), 81);
    assert_eq!(verify(&transport).unwrap(), []);
}

#[test]
fn the_past_is_read_backwards_until_it_was_deleted() {
    let (transport, last) = chain(6);
    let read_back = |t: &MemoryTransport| -> Vec<u64> {
        history(t, &last.state).map(|r| r.unwrap().state.generation).collect()
    };
    assert_eq!(read_back(&transport), [5, 4, 3, 2, 1]);
    transport.delete(&name_of(1)).unwrap();
    transport.delete(&name_of(2)).unwrap();
    assert_eq!(read_back(&transport), [5, 4, 3]);
    assert_eq!(verify(&transport).unwrap(), []);
}

#[test]
fn a_replaced_record_breaks_the_link() {
    let (transport, last) = chain(4);
    let other = State { nonce: [99; 16], ..read(&transport, 2).unwrap().state };
    overwrite(&transport, 2, |bytes| *bytes = other.encode().unwrap());
    let outcomes: Vec<_> = history(&transport, &last.state).map(|r| r.is_ok()).collect();
    assert_eq!(outcomes, [true, false]);
    assert_eq!(
        verify(&transport).unwrap().iter().map(|p| p.name.clone()).collect::<Vec<_>>(),
        [name_of(3)]
    );
}

#[test]
fn gaps_damage_wrong_numbers_and_strangers_are_all_reported() {
    let (transport, _) = chain(9);
    transport.delete(&name_of(3)).unwrap();
    overwrite(&transport, 5, |bytes| bytes[20] ^= 1);
    let seventh = read(&transport, 7).unwrap().state.encode().unwrap();
    overwrite(&transport, 8, |bytes| *bytes = seventh.clone());
    let stranger = State { repository: [8; 16], ..read(&transport, 9).unwrap().state };
    overwrite(&transport, 9, |bytes| *bytes = stranger.encode().unwrap());
    let names: Vec<_> = verify(&transport).unwrap().into_iter().map(|p| p.name).collect();
    assert_eq!(names, [name_of(4), name_of(5), name_of(8)]);
    overwrite(&transport, 8, |bytes| {
        *bytes = State {
            generation: 8,
            previous: record_hash(&seventh),
            ..State::decode(&seventh, "").unwrap()
        }
        .encode()
        .unwrap();
    });
    let details: Vec<_> = verify(&transport).unwrap().into_iter().map(|p| p.detail).collect();
    assert!(details.contains(&"it belongs to another repository".to_owned()), "{details:?}");
}

#[test]
fn hostile_names_and_generations_are_passed_over() {
    let (transport, last) = chain(2);
    for name in [
        "state/x",
        "state/3",
        "state/99999999999999999999",
        "state/0000000000000000000a",
        "state/-0000000000000000003",
    ] {
        transport.create(name, b"x", &[0; 16]).unwrap();
    }
    assert_eq!(newest(&transport, None).unwrap(), last);
    transport.create(&name_of(u64::MAX), b"x", &[0; 16]).unwrap();
    assert!(matches!(newest(&transport, None), Err(Error::Corrupt { .. })));
    assert!(!verify(&transport).unwrap().is_empty());
    let far =
        Record { state: State { generation: u64::MAX, ..last.state.clone() }, hash: last.hash };
    assert!(matches!(append(&transport, &far, next(&last, 77)), Err(Error::Invalid { .. })));
}

#[test]
fn a_chain_that_continues_what_was_seen_is_followed_in_two_requests_when_nothing_is_new() {
    let (transport, last) = chain(5);
    transport.reads.store(0, Ordering::Relaxed);
    assert_eq!(newest_since(&transport, 5, &last.hash).unwrap(), last);
    assert_eq!(transport.reads.load(Ordering::Relaxed), 2);
    let third = read(&transport, 3).unwrap();
    assert_eq!(newest_since(&transport, 3, &third.hash).unwrap(), last);
    let (long, end) = chain(200);
    let second = read(&long, 2).unwrap();
    assert_eq!(newest_since(&long, 2, &second.hash).unwrap(), end);
}

#[test]
fn a_chain_that_went_back_or_forked_is_noticed() {
    let (transport, last) = chain(5);
    let rewritten = |outcome| matches!(outcome, Err(Error::Rewritten { .. }));
    assert!(rewritten(newest_since(&transport, 5, &Hash::ZERO)), "another record of that number");
    transport.delete(&name_of(5)).unwrap();
    assert!(rewritten(newest_since(&transport, 5, &last.hash)), "the newest is gone");
    let all_gone = newest_since(&MemoryTransport::default(), 5, &last.hash);
    assert!(matches!(all_gone, Err(Error::Store(mv_store::Error::Absent { .. }))));
}

#[test]
fn records_that_were_deleted_in_time_are_no_rewriting() {
    let (transport, last) = chain(80);
    let early = read(&transport, 2).unwrap();
    (1..=10).for_each(|n| transport.delete(&name_of(n)).unwrap());
    assert_eq!(newest_since(&transport, 2, &early.hash).unwrap(), last);
}
