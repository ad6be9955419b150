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

    mod push;
}
