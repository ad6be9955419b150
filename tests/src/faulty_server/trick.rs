//! What the server does wrong, and when.

use std::sync::{Arc, Barrier};

use super::bucket::{Bucket, Manners};
use super::http::{Answer, Request};

/// Which requests are meant.
#[derive(Clone, Debug)]
pub struct When {
    method: &'static str,
    path: String,
    skip: usize,
    times: usize,
}

impl When {
    /// Every request of this method whose path with its query contains this.
    #[must_use]
    pub fn each(method: &'static str, path: &str) -> When {
        When { method, path: path.to_owned(), skip: 0, times: usize::MAX }
    }

    /// The first of them only.
    #[must_use]
    pub fn first(method: &'static str, path: &str) -> When {
        When::each(method, path).times(1)
    }

    /// So many of them.
    #[must_use]
    pub fn times(mut self, times: usize) -> When {
        self.times = times;
        self
    }

    /// After so many others.
    #[must_use]
    pub fn after(mut self, skip: usize) -> When {
        self.skip = skip;
        self
    }

    /// Whether this request is meant, which counts it.
    pub(crate) fn meant(&mut self, request: &Request) -> bool {
        if request.method != self.method || !request.target.contains(&self.path) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let meant = self.times > 0;
        self.times = self.times.saturating_sub(1);
        meant
    }
}

/// What the server does wrong.
#[derive(Clone, Debug)]
pub enum Trick {
    /// Does what it was asked, and answers with this status.
    AppliedThen(u16),
    /// Does what it was asked, and closes the connection without a word.
    AppliedThenDropped,
    /// Does nothing, and answers with this status.
    Instead(u16),
    /// Does nothing, and answers with this status and body.
    Saying(u16, String),
    /// Forgets the condition of a write: overwrites and answers 200.
    IgnoreCondition,
    /// Forgets that a range was asked for: sends everything.
    IgnoreRange,
    /// Refuses ranges that count from the end.
    NoSuffix,
    /// Leaves so many of the last names out of a listing.
    Stale(usize),
    /// Sends a body that never ends.
    Endless,
    /// Announces this length, whatever comes.
    Announces(u64),
    /// Leads to another address.
    Redirect(String),
    /// Answers only when as many requests as the barrier counts have arrived.
    Together(Arc<Barrier>),
    /// Takes the request and never answers.
    Silent,
    /// Answers until the middle of the body and then nothing.
    Stalled,
    /// Answers until the middle of the body and closes the connection.
    Short,
}

impl Trick {
    /// Answers, as far as the answer is what is wrong.
    pub(crate) fn answer(&self, request: &Request, bucket: &mut Bucket) -> Answer {
        let honest = Manners::default();
        match self {
            Trick::AppliedThen(status) => {
                bucket.answer(request);
                Answer::error(*status, "Trick", "it was applied")
            }
            Trick::Instead(status) => Answer::error(*status, "Trick", "it was not applied"),
            Trick::Saying(status, body) => Answer::new(*status, body.as_bytes()),
            Trick::Redirect(to) => Answer::new(307, "").with("Location", to.as_str()),
            Trick::IgnoreCondition => {
                bucket.answer_with(request, Manners { conditions: false, ..honest })
            }
            Trick::IgnoreRange => bucket.answer_with(request, Manners { ranges: false, ..honest }),
            Trick::NoSuffix => bucket.answer_with(request, Manners { suffixes: false, ..honest }),
            Trick::Stale(names) => bucket.answer_with(request, Manners { stale: *names, ..honest }),
            Trick::Announces(len) => {
                let mut answer = bucket.answer(request);
                answer.headers.retain(|(name, _)| *name != "Content-Length");
                answer.with("Content-Length", len.to_string())
            }
            Trick::AppliedThenDropped
            | Trick::Endless
            | Trick::Together(_)
            | Trick::Silent
            | Trick::Stalled
            | Trick::Short => bucket.answer(request),
        }
    }
}
