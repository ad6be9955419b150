//! The bucket in memory, and what S3 answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::http::{Answer, Request};

/// When everything was written, in the two ways it is told.
const WRITTEN: [&str; 2] = ["Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37.000Z"];

/// An object.
pub(crate) struct Object {
    pub(crate) bytes: Arc<[u8]>,
    etag: String,
}

/// All objects, and the uploads in parts that are under way.
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    /// How many names one page of a listing has.
    pub(crate) page: usize,
    turn: u64,
}

/// What the bucket does as it should.
#[derive(Clone, Copy)]
pub(crate) struct Manners {
    pub(crate) conditions: bool,
    pub(crate) ranges: bool,
    pub(crate) suffixes: bool,
    /// How many of the last names a listing leaves out.
    pub(crate) stale: usize,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners { conditions: true, ranges: true, suffixes: true, stale: 0 }
    }
}

impl Default for Bucket {
    fn default() -> Bucket {
        Bucket { objects: BTreeMap::new(), uploads: BTreeMap::new(), page: 1000, turn: 0 }
    }
}

impl Bucket {
    /// Writes an object; returns its tag.
    pub(crate) fn put(&mut self, key: &str, bytes: Vec<u8>) -> String {
        self.turn += 1;
        let etag = format!("\"{:08x}\"", self.turn);
        self.objects.insert(key.to_owned(), Object { bytes: bytes.into(), etag: etag.clone() });
        etag
    }

    /// Does and answers what it is asked.
    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        self.answer_with(request, Manners::default())
    }

    /// The same, with manners.
    pub(crate) fn answer_with(&mut self, request: &Request, manners: Manners) -> Answer {
        match (request.method.as_str(), request.query("uploadId")) {
            ("GET", _) if request.query("list-type") == Some("2") => {
                self.list(request, manners.stale)
            }
            ("GET" | "HEAD", _) => self.get(request, manners),
            ("POST", None) if request.query("uploads").is_some() => self.begin_upload(&request.key),
            ("PUT", Some(id)) => self.part(request, id),
            ("POST", Some(id)) => self.complete(request, id),
            ("DELETE", Some(id)) => match self.uploads.remove(id) {
                Some(_) => Answer::new(204, ""),
                None => no_upload(),
            },
            ("PUT", None) => {
                let once = request.header("if-none-match") == Some("*");
                if once && manners.conditions && self.objects.contains_key(&request.key) {
                    return Answer::error(412, "PreconditionFailed", "the name is taken");
                }
                let etag = self.put(&request.key, request.body.clone());
                Answer::new(200, "").with("ETag", etag)
            }
            ("DELETE", None) => {
                self.objects.remove(&request.key);
                Answer::new(204, "")
            }
            _ => Answer::error(400, "InvalidRequest", "this server does not know that"),
        }
    }

    fn get(&self, request: &Request, manners: Manners) -> Answer {
        if request.key.ends_with('/') {
            return self.page(&request.key);
        }
        let Some(object) = self.objects.get(&request.key) else {
            return Answer::error(404, "NoSuchKey", "there is no such object");
        };
        let len = object.bytes.len();
        let wanted = request.header("range").filter(|_| manners.ranges);
        let told =
            |answer: Answer| answer.with("ETag", &object.etag).with("Last-Modified", WRITTEN[0]);
        let Some(wanted) = wanted.and_then(|range| range.strip_prefix("bytes=")) else {
            return told(Answer::new(200, object.bytes.to_vec()));
        };
        let (first, last) = wanted.split_once('-').unwrap_or((wanted, ""));
        let (start, end) = if first.is_empty() {
            let back: usize = last.parse().unwrap_or(0);
            (len - back.min(len), len)
        } else {
            let end = last.parse::<usize>().map_or(len, |last| (last + 1).min(len));
            (first.parse().unwrap_or(len), end)
        };
        if start >= end || (first.is_empty() && !manners.suffixes) {
            return Answer::error(416, "InvalidRange", "there is no such range")
                .with("Content-Range", format!("bytes */{len}"));
        }
        told(Answer::new(206, &object.bytes[start..end]))
            .with("Content-Range", format!("bytes {start}-{}/{len}", end - 1))
    }

    /// The page that a web server makes of a directory.
    fn page(&self, folder: &str) -> Answer {
        let below = self.objects.keys().filter_map(|key| key.strip_prefix(folder));
        let names: BTreeSet<_> = below.filter_map(|rest| rest.split('/').next()).collect();
        if names.is_empty() {
            return Answer::error(404, "NoSuchKey", "there is no such directory");
        }
        let lines = names.iter().map(|name| format!("<li><a href=\"{name}\">{name}</a></li>\n"));
        Answer::new(200, format!("<html><ul>{}</ul></html>", lines.collect::<String>()))
    }

    fn list(&self, request: &Request, stale: usize) -> Answer {
        let prefix = request.query("prefix").unwrap_or_default();
        let delimiter = request.query("delimiter").filter(|d| !d.is_empty());
        let mut found: BTreeMap<String, Option<&Object>> = BTreeMap::new();
        for (key, object) in &self.objects {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            match delimiter.and_then(|d| rest.find(d)) {
                Some(at) => found.insert(format!("{prefix}{}", &rest[..=at]), None),
                None => found.insert(key.clone(), Some(object)),
            };
        }
        let visible = found.len() - stale.min(found.len());
        let after = request.query("continuation-token").unwrap_or_default();
        let rest = found.iter().take(visible).filter(|(name, _)| name.as_str() > after);
        let page: Vec<_> = rest.clone().take(self.page).collect();
        let more = rest.count() > page.len();
        let mut xml =
            format!("<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>{more}</IsTruncated>");
        if let Some((last, _)) = page.last().filter(|_| more) {
            write!(xml, "<NextContinuationToken>{last}</NextContinuationToken>").unwrap();
        }
        for (name, object) in page {
            match object {
                Some(object) => write!(
                    xml,
                    "<Contents><Key>{name}</Key><LastModified>{}</LastModified><ETag>{}</ETag>\
                     <Size>{}</Size></Contents>",
                    WRITTEN[1],
                    object.etag.replace('"', "&quot;"),
                    object.bytes.len()
                ),
                None => {
                    write!(xml, "<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>")
                }
            }
            .unwrap();
        }
        xml.push_str("</ListBucketResult>");
        Answer::new(200, xml).with("Content-Type", "application/xml")
    }

    fn begin_upload(&mut self, key: &str) -> Answer {
        self.turn += 1;
        let id = format!("upload{}", self.turn);
        self.uploads.insert(id.clone(), BTreeMap::new());
        Answer::new(
            200,
            format!(
                "<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>{key}</Key>\
                 <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            ),
        )
    }

    fn part(&mut self, request: &Request, id: &str) -> Answer {
        let number = request.query("partNumber").and_then(|n| n.parse().ok()).unwrap_or(0);
        match self.uploads.get_mut(id) {
            Some(parts) => {
                parts.insert(number, request.body.clone());
                Answer::new(200, "").with("ETag", format!("\"part{number}\""))
            }
            None => no_upload(),
        }
    }

    fn complete(&mut self, request: &Request, id: &str) -> Answer {
        let Some(parts) = self.uploads.remove(id) else { return no_upload() };
        let listed = String::from_utf8_lossy(&request.body).matches("<PartNumber>").count();
        if listed != parts.len() {
            return Answer::error(400, "InvalidPart", "the parts are not those that were sent");
        }
        let etag = self.put(&request.key, parts.into_values().collect::<Vec<_>>().concat());
        let etag = etag.replace('"', "&quot;");
        Answer::new(
            200,
            format!(
                "<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"
            ),
        )
    }
}

fn no_upload() -> Answer {
    Answer::error(404, "NoSuchUpload", "there is no such upload")
}
