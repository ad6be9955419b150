//! [`Address`]: where a remote is, checked once at the door. It cannot hold credentials.

use std::fmt;

use mv_store::{Error, Result};
use url::Url;

/// How a remote is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    S3,
    Gs,
    Az,
    Http,
    Https,
}

/// A checked address: a scheme, a bucket or a host with its port, and a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    /// The bucket, container, or `host:port`.
    pub(crate) place: String,
    /// Where below it the remote is, without slashes at its ends; as it was written, so that of a
    /// web address it is percent-encoded.
    pub(crate) prefix: String,
}

/// Longer than any address that means something.
const MOST: usize = 2048;

impl Scheme {
    const ALL: [(Scheme, &str); 5] = [
        (Scheme::S3, "s3"),
        (Scheme::Gs, "gs"),
        (Scheme::Az, "az"),
        (Scheme::Http, "http"),
        (Scheme::Https, "https"),
    ];

    /// The scheme that the text begins with.
    pub(crate) fn of(text: &str) -> Option<Scheme> {
        let (word, _) = text.split_once("://")?;
        Scheme::ALL.iter().find(|(_, name)| word.eq_ignore_ascii_case(name)).map(|(s, _)| *s)
    }

    fn name(self) -> &'static str {
        Scheme::ALL.iter().find(|(s, _)| *s == self).map_or("", |(_, name)| name)
    }
}

impl Address {
    /// Takes an address apart. Whatever might carry a secret or be taken for an option or a command
    /// is refused, and the refusal does not repeat it.
    pub(crate) fn parse(text: &str) -> Result<Address> {
        let refuse = |detail: &str| {
            Err(Error::Invalid { what: "remote address", detail: detail.to_owned() })
        };
        if text.len() > MOST {
            return refuse("it is too long");
        }
        if text.starts_with('-') {
            return refuse("it begins with `-`");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("it contains spaces or control characters");
        }
        let Some(scheme) = Scheme::of(text) else {
            return refuse(
                "only s3://, gs://, az://, http:// and https:// addresses and paths are known",
            );
        };
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        if place.contains('@') {
            return refuse("it contains a user name or password; set them as variables instead");
        }
        if text.contains(['?', '#']) {
            return refuse("it contains a query or a fragment");
        }
        if place.is_empty() {
            return refuse("it names no bucket or host");
        }
        let prefix = path.trim_end_matches('/');
        let parts = || prefix.split('/').filter(|_| !prefix.is_empty());
        if parts().any(|part| part.is_empty() || part == "." || part == "..") {
            return refuse("its path has empty or dotted parts");
        }
        match scheme {
            Scheme::Http | Scheme::Https => {
                let url = Url::parse(text).ok().filter(|url| url.has_host());
                let Some(url) = url else { return refuse("it is not a web address") };
                let place = &url[url::Position::BeforeHost..url::Position::AfterPort];
                let prefix = url.path().trim_matches('/').to_owned();
                Ok(Address { scheme, place: place.to_owned(), prefix })
            }
            Scheme::S3 | Scheme::Gs | Scheme::Az => {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
                if place.len() > 255 || !place.bytes().all(plain) || place.starts_with(['-', '.']) {
                    return refuse("its bucket has characters that buckets do not have");
                }
                if !parts().all(|part| part.bytes().all(|b| plain(b) || b"+=".contains(&b))) {
                    return refuse(
                        "its path has characters other than letters, digits and `-_.+=`",
                    );
                }
                Ok(Address { scheme, place: place.to_owned(), prefix: prefix.to_owned() })
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "{}://{}{slash}{}", self.scheme.name(), self.place, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_written_the_same_way() {
        let address = Address::parse("s3://bucket/team/model/").unwrap();
        assert_eq!((address.place.as_str(), address.prefix.as_str()), ("bucket", "team/model"));
        assert_eq!(address.to_string(), "s3://bucket/team/model");
        assert_eq!(Address::parse("S3://bucket").unwrap().to_string(), "s3://bucket");
        let web = Address::parse("https://Example.org:8443/a%20b/").unwrap();
        assert_eq!(web.to_string(), "https://example.org:8443/a%20b");
    }

    #[test]
    fn what_may_carry_secrets_or_commands_is_refused_and_not_repeated() {
        for text in [
            "s3://user:hunter2@bucket/x",
            "https://hunter2@host/x",
            "s3://bucket/x?token=hunter2",
            "https://host/x#hunter2",
            "ext::sh -c hunter2",
            "ext::hunter2",
            "-hunter2://x",
            "--hunter2=s3://x",
            "ftp://host/hunter2",
            "file:///hunter2",
            "s3:///hunter2",
            "s3://b/../hunter2",
            "s3://b//hunter2",
            "s3://b/hunter2\u{1b}[2J",
            "s3://b/hunter2\n",
            "s3://-b/hunter2",
            "http://",
            "",
        ] {
            match Address::parse(text) {
                Err(Error::Invalid { detail, .. }) => {
                    assert!(!detail.contains("hunter2"), "{text:?}: {detail}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }
}
