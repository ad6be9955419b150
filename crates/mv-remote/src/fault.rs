//! [`Blame`]: from what a remote did to an [`Error`] that tells a user what to do.

use mv_store::{Error, Fault};

use crate::client::Seen;
use crate::redact::Redactor;

/// Explains the failures of one remote.
#[derive(Clone)]
pub(crate) struct Blame {
    url: String,
    redactor: Redactor,
}

impl Blame {
    pub(crate) fn new(url: String, redactor: Redactor) -> Blame {
        Blame { url, redactor }
    }

    /// The address of the remote.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A failure of this remote in our own words.
    pub(crate) fn remote(&self, fault: Fault, detail: &str) -> Error {
        Error::Remote { url: self.url.clone(), fault, detail: self.redactor.clean(detail) }
    }

    /// The engine ended while somebody waited.
    pub(crate) fn closed(&self) -> Error {
        self.remote(Fault::Unreachable, "it was closed while it was used")
    }

    /// What a failed operation means.
    pub(crate) fn explain(&self, name: &str, error: &object_store::Error, seen: &Seen) -> Error {
        use object_store::Error as Theirs;
        let code = element(&seen.said, "Code");
        match error {
            Theirs::NotFound { .. } if !["NoSuchBucket", "ContainerNotFound"].contains(&code) => {
                return Error::Absent { name: name.to_owned() };
            }
            Theirs::AlreadyExists { .. }
            | Theirs::Precondition { .. }
            | Theirs::NotModified { .. } => return Error::Exists { name: name.to_owned() },
            _ => {}
        }
        match self.observed(seen) {
            Some(explained) => explained,
            None if seen.status == 0 => self.remote(Fault::Denied, &innermost(error)),
            None => {
                let detail = format!("its answer makes no sense: {}", innermost(error));
                self.remote(Fault::Unfit, &detail)
            }
        }
    }

    /// What went wrong with the last request, if anything did.
    pub(crate) fn observed(&self, seen: &Seen) -> Option<Error> {
        if seen.credentials {
            let detail = "no credentials were found: set AWS_ACCESS_KEY_ID and \
                          AWS_SECRET_ACCESS_KEY, or what your provider uses";
            return Some(self.remote(Fault::Denied, detail));
        }
        if let Some(trouble) = &seen.trouble {
            return Some(self.remote(Fault::Unreachable, trouble));
        }
        let code = element(&seen.said, "Code");
        let fault = match seen.status {
            0 | 200..=299 => return None,
            _ if ["QuotaExceeded", "InsufficientStorage", "StorageFull"]
                .iter()
                .any(|full| code.contains(full)) =>
            {
                Fault::Full
            }
            401 | 403 => Fault::Denied,
            400 if ["Token", "Credential", "Authorization", "AccessKey"]
                .iter()
                .any(|word| code.contains(word)) =>
            {
                Fault::Denied
            }
            507 => Fault::Full,
            408 | 429 | 500 | 502..=599 => Fault::Unreachable,
            _ => Fault::Unfit,
        };
        let mut detail = format!("it answered {}", phrase(seen.status));
        if !code.is_empty() {
            detail = format!("{detail} ({code})");
        }
        let message = element(&seen.said, "Message");
        if !message.is_empty() {
            detail = format!("{detail}: {message}");
        }
        if matches!(seen.status, 300..=399) {
            detail = format!("{detail}, which leads elsewhere: check the region or the address");
        }
        Some(self.remote(fault, &detail))
    }
}

/// A status as people know it.
fn phrase(status: u16) -> String {
    let reason = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

/// The text of the first element of this name in a small XML document; empty if there is none.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    xml.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).map_or("", |(text, _)| text)
}

/// The cause under all layers.
fn innermost(error: &object_store::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}
