//! What the end-to-end tests share: a [`Sandbox`] that runs the program, [`Files`] that are
//! compared byte by byte, damage to stored files, a forger of hostile repositories, and a remote in
//! memory whose every operation a test may hold up.
//!
//! Tests only: everything here panics when the machine does not play along.

#![allow(clippy::unwrap_used, reason = "a test library fails by panicking")]

pub mod damage;
mod faulty_server;
mod files;
pub mod forge;
pub mod forged;
pub mod memory_transport;
mod random;
mod sandbox;
mod session;
mod weights;

pub use faulty_server::{FaultyServer, Logged, Trick, When};
pub use files::{Files, Node, write_node};
pub use random::Random;
pub use sandbox::{Output, Sandbox};
pub use session::{Clock, session};
pub use weights::{Weights, edit, table};
