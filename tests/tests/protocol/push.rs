//! Pushes that meet each other, fetches and clones.

use super::explore::Bounds;
use super::scenario::{Scenario, Trouble, Workshop, behind};
use super::show;

const FAILURES: Trouble = Trouble { failures: true, kills: false, stale: false, late: false };
const STALE: Trouble = Trouble { failures: false, kills: false, stale: true, late: false };
const KILLS: Trouble = Trouble { failures: false, kills: true, stale: false, late: false };
const LATE: Trouble = Trouble { failures: false, kills: false, stale: false, late: true };
const ANY: Trouble = Trouble { failures: true, kills: true, stale: true, late: true };

/// Two who push different branches, and share files with each other and with what is there.
fn two_branches(trouble: Trouble) -> Scenario {
    let mut shop = Workshop::new();
    let old = shop.repo("old", "main", &["a", "c"]);
    shop.pushed(&old);
    let (one, two) = (shop.repo("one", "one", &["a", "b"]), shop.repo("two", "two", &["c", "b"]));
    let actors = vec![
        shop.pusher("one", &one, "one").trouble(trouble).tries(2),
        shop.pusher("two", &two, "two").trouble(trouble).tries(2),
    ];
    shop.scenario(actors)
}

/// Two who continue the same branch, each in its own way.
fn one_branch(trouble: Trouble) -> Scenario {
    let mut shop = Workshop::new();
    let one = shop.repo("one", "main", &["a", "c"]);
    shop.pushed(&one);
    let two = shop.copy(&one, "two");
    shop.commit(&one, &["b"]);
    shop.commit(&two, &["d"]);
    let actors = vec![
        shop.pusher("one", &one, "main").may_fail(behind).trouble(trouble).tries(2),
        shop.pusher("two", &two, "main").may_fail(behind).trouble(trouble).tries(2),
    ];
    shop.scenario(actors)
}

/// One who deletes the branch whose files another relies on.
fn deletion(trouble: Trouble) -> Scenario {
    let mut shop = Workshop::new();
    let old = shop.repo("old", "old", &["a", "c"]);
    shop.pushed(&old);
    let one = shop.repo("one", "one", &["a", "b"]);
    let actors = vec![
        shop.pusher("one", &one, "one").trouble(trouble).tries(2),
        shop.deleter(&old, "old").tries(2).trouble(trouble),
    ];
    shop.scenario(actors)
}

/// Two who find nothing and push first.
fn empty_place(trouble: Trouble) -> Scenario {
    let mut shop = Workshop::new();
    let (one, two) = (shop.repo("one", "one", &["a", "b"]), shop.repo("two", "two", &["c", "b"]));
    let actors = vec![
        shop.pusher("one", &one, "one").trouble(trouble).tries(2),
        shop.pusher("two", &two, "two").trouble(trouble).tries(2),
    ];
    shop.scenario(actors)
}

/// One who pushes a version with a tag and a stage, while another pushes the same tag and stage with
/// an older ledger.
fn tags_and_stages(trouble: Trouble) -> Scenario {
    let mut shop = Workshop::new();
    let one = shop.repo("one", "main", &["a", "c"]);
    shop.stage(&one, "production");
    shop.pushed(&one);
    let two = shop.copy(&one, "two");
    shop.commit(&one, &["b"]);
    shop.tag(&one, "v1.0.0");
    shop.stage(&one, "production");
    shop.commit(&two, &["d"]);
    shop.stage(&two, "staging");
    let actors = vec![
        shop.pusher("one", &one, "main").may_fail(behind).trouble(trouble).tries(2),
        shop.pusher("two", &two, "main").may_fail(behind).trouble(trouble).tries(2),
    ];
    shop.scenario(actors)
}

/// One who pushes while another clones and a third fetches.
fn readers(trouble: Trouble) -> Scenario {
    let mut shop = Workshop::new();
    let one = shop.repo("one", "main", &["a", "c"]);
    shop.pushed(&one);
    let reader = shop.copy(&one, "reader");
    shop.commit(&one, &["b"]);
    let actors = vec![
        shop.pusher("one", &one, "main").trouble(trouble).tries(2),
        shop.cloner().trouble(trouble).tries(2),
        shop.fetcher(&reader).trouble(trouble).tries(2),
    ];
    shop.scenario(actors)
}

#[test]
fn pushes_to_different_branches_both_arrive() {
    show("two branches, failures", &two_branches(FAILURES), &Bounds::new(2, 1, 0));
    show("two branches, stale lists", &two_branches(STALE), &Bounds::new(Bounds::ALL, 1, 0));
    show("two branches, late", &two_branches(LATE), &Bounds::new(2, 0, 1));
}

#[test]
fn of_two_pushes_to_one_branch_one_is_told_that_it_is_behind() {
    show("one branch, failures", &one_branch(FAILURES), &Bounds::new(2, 1, 0));
}

#[test]
fn a_push_and_a_deletion_both_happen() {
    show("deletion, failures", &deletion(FAILURES), &Bounds::new(2, 1, 0));
}

#[test]
fn two_first_pushes_agree_on_one_repository() {
    show("empty place, failures", &empty_place(FAILURES), &Bounds::new(1, 1, 0));
    show("empty place, stale lists", &empty_place(STALE), &Bounds::new(Bounds::ALL, 1, 0));
}

#[test]
fn tags_and_stages_travel_with_their_versions() {
    show("tags and stages", &tags_and_stages(FAILURES), &Bounds::new(2, 1, 0));
}

#[test]
fn readers_see_one_state_whoever_pushes() {
    show("readers", &readers(Trouble::default()), &Bounds::new(2, 0, 0));
}

#[test]
fn a_push_that_was_killed_is_resumed() {
    show("kills", &two_branches(KILLS), &Bounds::new(2, 1, 0));
    show("kills in an empty place", &empty_place(KILLS), &Bounds::new(1, 1, 0));
}

#[test]
#[ignore = "takes minutes"]
fn pushes_in_depth() {
    show("two branches", &two_branches(ANY), &Bounds::new(Bounds::ALL, 1, 1));
    show("one branch", &one_branch(ANY), &Bounds::new(Bounds::ALL, 1, 1));
    show("deletion", &deletion(ANY), &Bounds::new(Bounds::ALL, 1, 1));
    show("empty place", &empty_place(ANY), &Bounds::new(Bounds::ALL, 1, 1));
    show("tags and stages", &tags_and_stages(ANY), &Bounds::new(2, 1, 1));
    show("readers", &readers(ANY), &Bounds::new(2, 1, 0));
    show("two branches, two faults", &two_branches(ANY), &Bounds::new(1, 2, 0));
}
