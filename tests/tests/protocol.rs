//! The protocol between those who push, fetch, clone, delete and clean up, checked by trying what
//! may happen in any order, on the real code and remotes in memory.
//!
//! `docs/CONCURRENCY.md` says why it should hold. What is tried, and what becomes of a request, is
//! in `explore.rs`; what must hold, in `judge.rs`.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod protocol {
    mod explore;
    mod judge;
    mod scenario;
    mod stage;

    mod collect;
    mod push;

    use explore::{Bounds, Report};
    use scenario::Scenario;

    /// Goes through all runs within the bounds, and tells how many there were.
    #[track_caller]
    fn show(name: &str, scenario: &Scenario, bounds: &Bounds) {
        let begun = std::time::Instant::now();
        told(name, &explore::explore(scenario, bounds), begun);
    }

    /// Goes through some runs, drawn at random.
    #[track_caller]
    fn dive(name: &str, scenario: &Scenario, bounds: &Bounds) {
        let begun = std::time::Instant::now();
        told(name, &explore::sample(scenario, bounds), begun);
    }

    #[track_caller]
    #[expect(clippy::print_stdout, reason = "how much was explored is worth seeing")]
    fn told(name: &str, report: &Report, begun: std::time::Instant) {
        let text = format!("{name}: {report}, {:.1} s", begun.elapsed().as_secs_f64());
        assert!(report.broken.is_none(), "{text}");
        println!("{text}");
    }
}
