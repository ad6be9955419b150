//! Sessions for tests that call the library: fixed author, nonces from a counter, a clock that
//! moves when the test says so.

use std::sync::atomic::{AtomicU64, Ordering};

use mv_graph::{Person, Time};
use mv_repo::{Connector, Session, Surroundings};
use mv_store::{Nonces, Progress};

/// 2026-01-01T00:00:00Z, when every sandbox begins.
pub(crate) const START: i64 = 1_767_225_600;

/// Each session gets nonces of its own.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// Gives sessions, each a second later than the last.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    seconds: i64,
}

impl Clock {
    /// The next second.
    pub fn session(&mut self) -> Session {
        self.later(1)
    }

    /// That many seconds later.
    pub fn later(&mut self, seconds: i64) -> Session {
        self.seconds += seconds;
        session(self.seconds)
    }
}

/// The circumstances of a command, `seconds` after the sandbox's beginning.
#[must_use]
pub fn session(seconds: i64) -> Session {
    let mut seed = [0x5a; 32];
    seed[..8].copy_from_slice(&SESSIONS.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    seed[8..12].copy_from_slice(&std::process::id().to_le_bytes());
    Session {
        now: Time { ns: (START + seconds) * 1_000_000_000, offset_minutes: 0 },
        author: Person { name: "Ada Lovelace".into(), email: "ada@example.org".into() },
        nonces: Nonces::from_seed(seed),
        boot_id: "test-boot".into(),
        uid: 0,
        trust_any_owner: true,
        surroundings: Surroundings::default(),
        connector: Connector::directories(),
        progress: Progress::new(),
    }
}
