//! Pushes, deletions and clones while others clean up.
//!
//! No grace anywhere: what nobody names is deleted at once, so that only the protocol is left to
//! keep what is needed.

use super::explore::Bounds;
use super::scenario::{Scenario, Trouble, Workshop};
use super::{dive, show};

const NONE: Trouble = Trouble { failures: false, kills: false, stale: false, late: false };
const FAILURES: Trouble = Trouble { failures: true, kills: false, stale: false, late: false };
const STALE: Trouble = Trouble { failures: false, kills: false, stale: true, late: false };
const KILLS: Trouble = Trouble { failures: false, kills: true, stale: false, late: false };
const LATE: Trouble = Trouble { failures: false, kills: false, stale: false, late: true };
const ANY: Trouble = Trouble { failures: true, kills: true, stale: true, late: true };

/// A branch `old` that was deleted or is about to be, and whoever relies on its files.
struct Plot {
    shop: Workshop,
    old: std::path::PathBuf,
    one: std::path::PathBuf,
}

fn plot() -> Plot {
    let mut shop = Workshop::new();
    let old = shop.repo("old", "old", &["a", "c"]);
    shop.pushed(&old);
    let one = shop.repo("one", "one", &["a", "b"]);
    Plot { shop, old, one }
}

/// As [`plot`], with `old` deleted.
fn deleted() -> Plot {
    let mut plot = plot();
    plot.shop.deleted(&plot.old, "old");
    plot
}

/// One who relies on what a gc is about to drop.
fn garbage(pusher: Trouble, gc: Trouble, rounds: usize) -> Scenario {
    let Plot { mut shop, one, .. } = deleted();
    let actors = vec![
        shop.pusher("one", &one, "one").trouble(pusher).tries(2),
        shop.gc("gc", rounds).trouble(gc).tries(2),
    ];
    shop.scenario(actors)
}

/// The same, and the branch is deleted meanwhile.
fn deletion(trouble: Trouble, rounds: usize) -> Scenario {
    let Plot { mut shop, old, one } = plot();
    let actors = vec![
        shop.pusher("one", &one, "one").trouble(trouble).tries(2),
        shop.deleter(&old, "old").trouble(trouble).tries(2),
        shop.gc("gc", rounds).trouble(trouble).tries(2),
    ];
    shop.scenario(actors)
}

/// Two who clean up at once.
fn two_gcs(pusher: Trouble, gc: Trouble) -> Scenario {
    let Plot { mut shop, one, .. } = deleted();
    let actors = vec![
        shop.pusher("one", &one, "one").trouble(pusher).tries(2),
        shop.gc("gc", 1).trouble(gc).tries(2),
        shop.gc("gc2", 1).trouble(gc).tries(2),
    ];
    shop.scenario(actors)
}

/// Two pushers, a deletion and a gc: what the model has.
fn model(trouble: Trouble) -> Scenario {
    let Plot { mut shop, old, one } = plot();
    let two = shop.repo("two", "two", &["c"]);
    let actors = vec![
        shop.pusher("one", &one, "one").trouble(trouble).tries(2),
        shop.pusher("two", &two, "two").trouble(trouble).tries(2),
        shop.deleter(&old, "old").trouble(trouble).tries(2),
        shop.gc("gc", 2).trouble(trouble).tries(2),
    ];
    shop.scenario(actors)
}

/// One who reads what is about to go.
fn readers(trouble: Trouble) -> Scenario {
    let mut shop = Workshop::new();
    let old = shop.repo("old", "old", &["a", "c"]);
    let main = shop.repo("main", "main", &["a", "b", "d"]);
    shop.pushed(&main);
    shop.pushed(&old);
    shop.deleted(&old, "old");
    let reader = shop.repo("reader", "reader", &["b"]);
    let actors = vec![
        shop.cloner().trouble(trouble).tries(2),
        shop.fetcher(&reader).trouble(trouble).tries(2),
        shop.gc("gc", 1).trouble(trouble),
    ];
    shop.scenario(actors)
}

/// One who gathers small packs while another relies on them.
fn repack(trouble: Trouble) -> Scenario {
    let mut shop = Workshop::new();
    for name in ["a", "b", "c"] {
        let repo = shop.repo(name, name, &[name]);
        shop.pushed(&repo);
    }
    let one = shop.repo("one", "one", &["a", "d"]);
    let actors = vec![
        shop.pusher("one", &one, "one").trouble(trouble).tries(2),
        shop.repacker().trouble(trouble).tries(2),
        shop.gc("gc", 1).trouble(trouble),
    ];
    shop.scenario(actors)
}

#[test]
fn a_push_keeps_what_it_relies_on_from_a_gc() {
    show("garbage", &garbage(NONE, NONE, 2), &Bounds::new(Bounds::ALL, 0, 0));
    show("garbage, failures", &garbage(FAILURES, FAILURES, 1), &Bounds::new(1, 1, 0));
}

#[test]
fn a_deletion_that_lands_late_takes_nothing_that_is_needed() {
    show("garbage, late", &garbage(NONE, LATE, 2), &Bounds::new(1, 0, 1));
}

#[test]
fn a_push_that_was_killed_and_swept_is_resumed() {
    show("garbage, kills", &garbage(KILLS, NONE, 2), &Bounds::new(1, 1, 0));
}

#[test]
fn a_stale_listing_misleads_no_gc() {
    show("garbage, stale lists", &garbage(STALE, STALE, 2), &Bounds::new(1, 1, 0));
}

#[test]
fn a_branch_that_goes_takes_nothing_from_another() {
    show("deletion", &deletion(NONE, 1), &Bounds::new(1, 0, 0));
}

#[test]
fn two_gcs_do_not_work_against_each_other() {
    show("two gcs", &two_gcs(NONE, NONE), &Bounds::new(1, 0, 0));
}

#[test]
fn readers_get_all_or_hear_that_they_were_overtaken() {
    show("readers", &readers(NONE), &Bounds::new(1, 0, 0));
}

#[test]
fn packs_are_gathered_under_a_push() {
    show("repack", &repack(NONE), &Bounds::new(1, 0, 0));
}

#[test]
fn two_pushes_a_deletion_and_a_gc_at_random() {
    let bounds = Bounds { runs: 100, ..Bounds::new(5, 2, 2) };
    dive("model, at random", &model(ANY), &bounds);
}

#[test]
#[ignore = "takes minutes"]
fn collecting_in_depth() {
    show("garbage, failures", &garbage(FAILURES, FAILURES, 1), &Bounds::new(2, 1, 0));
    show("garbage, late", &garbage(NONE, LATE, 2), &Bounds::new(2, 0, 1));
    show("deletion", &deletion(NONE, 1), &Bounds::new(2, 0, 0));
    show("two gcs", &two_gcs(NONE, NONE), &Bounds::new(2, 0, 0));
    show("repack", &repack(NONE), &Bounds::new(2, 0, 0));
    show("garbage", &garbage(ANY, ANY, 2), &Bounds::new(2, 1, 1));
    show("deletion", &deletion(LATE, 2), &Bounds::new(3, 0, 1));
    show("two gcs", &two_gcs(KILLS, LATE), &Bounds::new(2, 1, 1));
    show("repack", &repack(ANY), &Bounds::new(2, 1, 0));
    show("readers", &readers(NONE), &Bounds::new(3, 0, 0));
    show("model", &model(LATE), &Bounds::new(2, 0, 1));
    dive("model, at random", &model(ANY), &Bounds { runs: 20_000, ..Bounds::new(6, 2, 2) });
}
