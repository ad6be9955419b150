//! Behaviour of one repository, seen from outside: commits, checkouts, undo, upkeep, damage and
//! hostile bytes. Names of tests are sentences.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod repo {
    mod lab;

    mod bases;
    mod bisect;
    mod bump;
    mod checkout_table;
    mod coded;
    mod coded_histories;
    mod damage;
    mod diff;
    mod environment;
    mod hostile;
    mod measures;
    mod merge;
    mod merge_table;
    mod model;
    mod names;
    mod parallel;
    mod repack;
    mod repair;
    mod stage;
    mod stage_policy;
    mod undo;
    mod upkeep;
}
