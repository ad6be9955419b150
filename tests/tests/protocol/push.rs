//! Pushes that meet each other.

use super::explore::{Bounds, explore};
use super::scenario::{Scenario, Trouble, Workshop};

const FAILURES: Trouble = Trouble { failures: true, kills: false, stale: false, late: false };

/// Two who push different branches, and share files with each other and with what is there.
fn two_branches() -> Scenario {
    let mut shop = Workshop::new();
    let old = shop.repo("old", "main", &["a", "c"]);
    shop.pushed(&old);
    let (one, two) = (shop.repo("one", "one", &["a", "b"]), shop.repo("two", "two", &["c", "b"]));
    let actors = vec![
        shop.pusher("one", &one, "one").trouble(FAILURES),
        shop.pusher("two", &two, "two").trouble(FAILURES),
    ];
    shop.scenario(actors)
}

#[test]
fn two_push_different_branches() {
    let start = std::time::Instant::now();
    let report = explore(&two_branches(), &Bounds::new(Bounds::ALL, 0, 0));
    println!("{report} {:?}", start.elapsed());
    assert!(report.broken.is_none());
}
