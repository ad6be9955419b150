//! What the caller decides: where variables come from, and how long to be patient.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Looks up a variable such as `AWS_ACCESS_KEY_ID`.
pub type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// How remotes are reached.
#[derive(Clone)]
pub struct Settings {
    /// Where credentials, endpoints and proxies are looked up; this crate reads no environment.
    pub variables: Variables,
    /// How long to be patient.
    pub timeouts: Timeouts,
}

/// How long a remote may take, and how often it is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be made.
    pub connect: Duration,
    /// Without a byte in either direction while an answer is awaited or read.
    pub stall: Duration,
    /// For one request with its whole answer, however steadily it comes.
    pub request: Duration,
    /// From the first try of an operation to the start of its last.
    pub retry: Duration,
    /// How often an operation is tried again; `create` never is.
    pub retries: usize,
    /// Before the first retry; each later one waits about twice as long as the one before.
    pub pause: Duration,
}

impl Settings {
    /// The usual patience, with variables from this lookup.
    pub fn new(variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Settings {
        Settings { variables: Arc::new(variables), timeouts: Timeouts::default() }
    }

    /// A variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            request: Duration::from_secs(15 * 60),
            retry: Duration::from_secs(3 * 60),
            retries: 8,
            pause: Duration::from_millis(200),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}
