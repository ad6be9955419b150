//! [`Web`]: a remote that a web server publishes, read with plain GET and HEAD. Nothing is assumed of
//! the server but files: ranges it does not know are cut out of whole answers, and what is newest is
//! told by [`NEWEST`] or, without it, by whatever page the server makes of the directory `state`.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, Method};
use mv_store::{Error, Fault, NEWEST, Nonce, Result, Source, Stat, Task, Transport};
use object_store::client::{
    HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpService,
};
use tokio::time::sleep;

use crate::address::{Address, Scheme};
use crate::bucket::check_name;
use crate::client::{Client, Redirects, UNKNOWN, watched};
use crate::engine::Engine;
use crate::fault::Blame;
use crate::gather::{Got, Keep, gather};
use crate::provider::redactor;
use crate::settings::{Settings, Timeouts};

/// The longest page of a directory.
const MOST_PAGE: u64 = 4 << 20;

/// How often a request is tried again at most: whoever reads has less to lose than whoever writes.
const MOST_RETRIES: usize = 4;

/// A directory that is read over HTTP.
pub(crate) struct Web {
    base: String,
    client: Client,
    engine: Engine,
    blame: Blame,
    timeouts: Timeouts,
}

/// An answer: its status, its headers, and what was kept of its body.
struct Answer {
    status: u16,
    headers: HeaderMap,
    got: Got,
}

impl Web {
    /// Opens the directory; no request is made.
    pub(crate) fn open(address: Address, settings: &Settings) -> Result<Web> {
        let base = address.to_string();
        let blame = Blame::new(base.clone(), redactor(settings));
        let plain = address.scheme == Scheme::Http;
        let client = Client::new(settings, Redirects::WithinHost, plain)
            .map_err(|e| blame.remote(Fault::Unfit, &format!("no client can be made: {e}")))?;
        let engine = Engine::start()
            .map_err(|e| blame.remote(Fault::Unfit, &format!("no thread can be started: {e}")))?;
        Ok(Web { base, client, engine, blame, timeouts: settings.timeouts })
    }

    /// Asks for a file or a range of it. Of a whole answer to a question for a range, `whole` says
    /// what is kept.
    fn ask(
        &self,
        method: Method,
        name: &str,
        range: Option<String>,
        keep: Keep,
        whole: Keep,
    ) -> Result<Answer> {
        let url = format!("{}/{name}", self.base);
        let (client, timeouts) = (self.client.clone(), self.timeouts);
        let asking = watched(async move {
            let mut tries = timeouts.retries.min(MOST_RETRIES);
            let mut pause = timeouts.pause;
            loop {
                let answer = one(&client, &method, &url, range.as_deref(), keep, whole).await;
                let again = match &answer {
                    Ok(answer) => matches!(answer.status, 408 | 429 | 500 | 502..=504),
                    Err(e) => !matches!(e.kind(), HttpErrorKind::Unknown | HttpErrorKind::Decode),
                };
                if !again || tries == 0 {
                    return answer;
                }
                tries -= 1;
                sleep(pause).await;
                pause *= 2;
            }
        });
        let (outcome, seen) = self.engine.run(asking).ok_or_else(|| self.blame.closed())?;
        match outcome {
            Ok(answer) if matches!(answer.status, 200 | 206 | 416) => Ok(answer),
            Ok(answer) if matches!(answer.status, 404 | 410) => {
                Err(Error::Absent { name: name.to_owned() })
            }
            _ => Err(self
                .blame
                .observed(&seen)
                .unwrap_or_else(|| self.blame.remote(Fault::Unfit, "its answer makes no sense"))),
        }
    }

    fn read_only(&self) -> Error {
        self.blame.remote(Fault::Unfit, "it is read-only: a web server takes no writes")
    }

    fn shorter(&self, name: &str, size: u64) -> Error {
        Error::corrupt("object", name, format!("it ends at {size}"))
    }
}

/// Makes one request and collects its answer.
async fn one(
    client: &Client,
    method: &Method,
    url: &str,
    range: Option<&str>,
    keep: Keep,
    whole: Keep,
) -> std::result::Result<Answer, HttpError> {
    let mut request = http::Request::builder().method(method).uri(url);
    if let Some(range) = range {
        request = request.header(RANGE, range);
    }
    let request: HttpRequest = request
        .body(HttpRequestBody::from(Bytes::new()))
        .map_err(|e| HttpError::new(HttpErrorKind::Unknown, e))?;
    let (parts, body) = HttpResponse::into_parts(client.call(request).await?);
    let status = parts.status.as_u16();
    let length = number(&parts.headers, CONTENT_LENGTH.as_str()).unwrap_or(UNKNOWN);
    let keep = if status == 206 { keep } else { whole };
    let got = match keep {
        _ if *method == Method::HEAD => Got::default(),
        Keep::All(most) if length > most && length != UNKNOWN => {
            Got { over: true, ..Got::default() }
        }
        keep => gather(body.bytes_stream(), keep, length).await?,
    };
    Ok(Answer { status, headers: parts.headers, got })
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Start and length of the whole that a part belongs to: `bytes 5-9/20`; of nothing, `bytes */20`.
fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, u64)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    Some((start, size.trim().parse().ok()?))
}

/// The time of a header such as `Sun, 06 Nov 1994 08:49:37 GMT`, in nanoseconds since 1970.
fn http_date(text: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let mut words = text.split_once(", ")?.1.split_ascii_whitespace();
    let day: i64 = words.next()?.parse().ok().filter(|d| (1..=31).contains(d))?;
    let month = words.next().filter(|m| m.len() == 3).and_then(|m| MONTHS.find(m))? as i64 / 3 + 1;
    let year: i64 = words.next()?.parse().ok().filter(|y| (1970..=2200).contains(y))?;
    let mut clock = words.next()?.split(':').map(|n| n.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Days since 1970 in a calendar whose years begin in March, so that leap days come last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 719_469;
    (((days * 24 + hour) * 60 + minute) * 60 + second).checked_mul(1_000_000_000)
}

/// The runs of exactly twenty digits in a page.
fn twenty_digits(page: &[u8]) -> BTreeSet<String> {
    let runs = page.split(|b| !b.is_ascii_alphanumeric() && *b != b'_');
    let numbers = runs.filter(|run| run.len() == 20 && run.iter().all(u8::is_ascii_digit));
    numbers.map(|run| String::from_utf8_lossy(run).into_owned()).collect()
}

impl Transport for Web {
    fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>> {
        check_name(name)?;
        let answer = self.ask(Method::GET, name, None, Keep::All(cap), Keep::All(cap))?;
        if answer.got.over {
            let detail = format!("it is larger than its limit of {cap} bytes");
            return Err(Error::corrupt("object", name, detail));
        }
        Ok(answer.got.bytes)
    }

    fn read_range(&self, name: &str, start: u64, len: u64) -> Result<Vec<u8>> {
        check_name(name)?;
        let end = start.checked_add(len).ok_or_else(|| self.shorter(name, u64::MAX))?;
        if len == 0 {
            return match self.size(name)? {
                None => Err(Error::Absent { name: name.to_owned() }),
                Some(size) if size < end => Err(self.shorter(name, size)),
                Some(_) => Ok(Vec::new()),
            };
        }
        let range = format!("bytes={start}-{}", end - 1);
        let window = Keep::Window { skip: start, len };
        let answer = self.ask(Method::GET, name, Some(range), Keep::All(len), window)?;
        let told = content_range(&answer.headers);
        let size = match answer.status {
            200 => answer.got.passed,
            _ => told.map_or(0, |(_, size)| size),
        };
        let right = answer.status == 200 || told.is_some_and(|(from, _)| from == Some(start));
        if right && answer.got.bytes.len() as u64 == len && !answer.got.over {
            return Ok(answer.got.bytes);
        }
        if size < end {
            return Err(self.shorter(name, size));
        }
        let detail = format!("it sent {} bytes where {len} were asked for", answer.got.passed);
        Err(self.blame.remote(Fault::Unreachable, &detail))
    }

    fn read_end(&self, name: &str, len: u64) -> Result<(Vec<u8>, u64)> {
        check_name(name)?;
        let absent = || Error::Absent { name: name.to_owned() };
        if len == 0 {
            return Ok((Vec::new(), self.size(name)?.ok_or_else(absent)?));
        }
        let range = Some(format!("bytes=-{len}"));
        let answer = self.ask(Method::GET, name, range, Keep::All(len), Keep::Tail(len))?;
        match (answer.status, content_range(&answer.headers)) {
            (200, _) => Ok((answer.got.bytes, answer.got.passed)),
            (206, Some((_, size))) if answer.got.bytes.len() as u64 == len.min(size) => {
                Ok((answer.got.bytes, size))
            }
            // An empty file has no last byte.
            (416, _) => {
                let size = self.size(name)?.ok_or_else(absent)?;
                let start = size - len.min(size);
                Ok((self.read_range(name, start, size - start)?, size))
            }
            _ => {
                let detail = format!("it sent {} of the last {len} bytes", answer.got.passed);
                Err(self.blame.remote(Fault::Unreachable, &detail))
            }
        }
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        check_name(name)?;
        let answer = match self.ask(Method::HEAD, name, None, Keep::All(0), Keep::All(0)) {
            Err(Error::Absent { .. }) => return Ok(None),
            other => other?,
        };
        let len = number(&answer.headers, CONTENT_LENGTH.as_str()).ok_or_else(|| {
            self.blame.remote(Fault::Unfit, "it does not tell how long files are")
        })?;
        let modified = answer.headers.get(LAST_MODIFIED).and_then(|v| http_date(v.to_str().ok()?));
        Ok(Some(Stat { len, modified_ns: modified.unwrap_or(0) }))
    }

    fn create(&self, _: &str, _: &[u8], _: &Nonce) -> Result<()> {
        Err(self.read_only())
    }

    fn upload(&self, _: &str, _: &dyn Source, _: &Nonce, _: &Task) -> Result<()> {
        Err(self.read_only())
    }

    fn note(&self, _: &str, _: &[u8], _: &Nonce) -> Result<()> {
        Err(self.read_only())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        if prefix != "state" {
            let detail = format!("it cannot list `{prefix}`: a web server is only read");
            return Err(self.blame.remote(Fault::Unfit, &detail));
        }
        let newest = match self.read(NEWEST, 64) {
            // Advice that is not understood is none.
            Ok(bytes) => std::str::from_utf8(&bytes)
                .ok()
                .map(|text| text.strip_suffix('\n').unwrap_or(text))
                .filter(|text| text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit()))
                .map(str::to_owned),
            Err(Error::Absent { .. } | Error::Corrupt { .. }) => None,
            Err(other) => return Err(other),
        };
        if let Some(newest) = newest {
            return Ok(vec![format!("state/{newest}")]);
        }
        let page = Keep::All(MOST_PAGE);
        let answer = match self.ask(Method::GET, "state/", None, page, page) {
            Err(Error::Absent { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        if answer.got.over {
            return Err(self.blame.remote(Fault::Unfit, "its page of `state` does not end"));
        }
        Ok(twenty_digits(&answer.got.bytes).iter().map(|n| format!("state/{n}")).collect())
    }

    fn delete(&self, _: &str) -> Result<()> {
        Err(self.read_only())
    }

    fn lanes(&self) -> usize {
        16
    }

    fn address(&self) -> String {
        self.base.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_in_any_page() {
        let page = b"<a href=\"00000000000000000001\">00000000000000000001</a> 2026-01-02 \
            <a href='./00000000000000000002'>0..</a> 123456789012345678901 x00000000000000000003";
        let found: Vec<_> = twenty_digits(page).into_iter().collect();
        assert_eq!(found, ["00000000000000000001", "00000000000000000002"]);
    }

    #[test]
    fn a_date_is_nanoseconds_since_1970() {
        let at = |text| http_date(text).map(|ns| ns / 1_000_000_000);
        assert_eq!(at("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(at("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(at("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(at("yesterday"), None);
    }
}
