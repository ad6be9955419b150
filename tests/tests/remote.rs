//! Remotes: what every transport must do, tried on each of them, and what each does when the other
//! side misbehaves.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "remote/bench.rs"]
mod bench;
#[path = "remote/conformance.rs"]
mod conformance;
#[path = "remote/faults.rs"]
mod faults;
#[path = "remote/probe.rs"]
mod probe;
#[path = "remote/server.rs"]
mod server;
#[path = "remote/web.rs"]
mod web;
