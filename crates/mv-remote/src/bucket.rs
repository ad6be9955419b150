//! [`Bucket`]: a remote in a bucket.

use std::future::Future;
use std::sync::Arc;

use mv_store::{Error, Fault, Nonce, Result, Source, Stat, Task, Transport};
use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

use crate::address::Address;
use crate::client::{Seen, UNKNOWN, watched};
use crate::engine::Engine;
use crate::fault::Blame;
use crate::gather::{Got, Keep, gather};
use crate::provider::{Stores, redactor};
use crate::settings::Settings;
use crate::upload;

/// More names than a remote has directly below any prefix.
const MOST_NAMES: usize = 4_000_000;

/// More pages than that many names fill.
const MOST_PAGES: usize = 20_000;

/// A bucket, or a prefix in one.
pub(crate) struct Bucket {
    pub(crate) stores: Stores,
    pub(crate) engine: Engine,
    pub(crate) blame: Blame,
    prefix: String,
    settings: Settings,
}

impl Bucket {
    /// Opens the bucket; no request is made.
    pub(crate) fn open(address: Address, settings: &Settings) -> Result<Bucket> {
        let blame = Blame::new(address.to_string(), redactor(settings));
        let stores = Stores::open(&address, settings, &blame)?;
        let engine = Engine::start()
            .map_err(|e| blame.remote(Fault::Unfit, &format!("no thread can be started: {e}")))?;
        Ok(Bucket { stores, engine, blame, prefix: address.prefix, settings: settings.clone() })
    }

    /// Where a name is kept.
    pub(crate) fn path(&self, name: &str) -> Result<Path> {
        check_name(name)?;
        let full = if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.prefix)
        };
        Path::parse(full).map_err(|_| Error::Invalid {
            what: "object name",
            detail: format!("`{}`", name.escape_default()),
        })
    }

    /// Runs one operation; its failure is told apart by what was seen of its requests.
    fn ask<T, F>(&self, operation: F) -> Result<(object_store::Result<T>, Seen)>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        self.engine.run(watched(operation)).ok_or_else(|| self.blame.closed())
    }

    /// Runs one operation that must work.
    pub(crate) fn must<T, F>(&self, name: &str, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        let (outcome, seen) = self.ask(operation)?;
        outcome.map_err(|e| self.blame.explain(name, &e, &seen))
    }

    /// For writes: what they need is absent only when the bucket is.
    pub(crate) fn no_bucket(&self, error: Error) -> Error {
        match error {
            Error::Absent { .. } => self.blame.remote(Fault::Unfit, "there is no such bucket"),
            other => other,
        }
    }

    /// Asks for an object or a range of it.
    fn get(
        &self,
        name: &str,
        range: Option<GetRange>,
        keep: Keep,
    ) -> Result<(object_store::Result<(Got, u64)>, Seen)> {
        let (store, path) = (Arc::clone(&self.stores.patient), self.path(name)?);
        self.ask(get(store, path, range, keep))
    }

    /// Reads everything and keeps the last `len` bytes.
    fn tail(&self, name: &str, len: u64) -> Result<(Vec<u8>, u64)> {
        let (outcome, seen) = self.get(name, None, Keep::Tail(len))?;
        let (got, _) = outcome.map_err(|e| self.blame.explain(name, &e, &seen))?;
        Ok((got.bytes, got.passed))
    }
}

/// The names that this program makes: letters, digits, `-`, `_` and single slashes.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let proper = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.split('/').all(proper) {
        Ok(())
    } else {
        Err(Error::Invalid { what: "object name", detail: format!("`{}`", name.escape_default()) })
    }
}

/// Asks for an object or a range of it and keeps of the answer what is to be kept; with it comes how
/// long the object says it is.
async fn get(
    store: Arc<dyn ObjectStore>,
    path: Path,
    range: Option<GetRange>,
    keep: Keep,
) -> object_store::Result<(Got, u64)> {
    let answer = store.get_opts(&path, GetOptions { range, ..GetOptions::default() }).await?;
    let size = answer.meta.size;
    if let Keep::All(most) = keep
        && answer.range.end - answer.range.start > most
        && size != UNKNOWN
    {
        return Ok((Got { over: true, ..Got::default() }, size));
    }
    Ok((gather(answer.into_stream(), keep, size).await?, size))
}

impl Transport for Bucket {
    fn read(&self, name: &str, cap: u64) -> Result<Vec<u8>> {
        let (outcome, seen) = self.get(name, None, Keep::All(cap))?;
        let (got, _) = outcome.map_err(|e| self.blame.explain(name, &e, &seen))?;
        if got.over {
            let detail = format!("it is larger than its limit of {cap} bytes");
            return Err(Error::corrupt("object", name, detail));
        }
        Ok(got.bytes)
    }

    fn read_range(&self, name: &str, start: u64, len: u64) -> Result<Vec<u8>> {
        let ends = |size: u64| Error::corrupt("object", name, format!("it ends at {size}"));
        let end = start.checked_add(len).ok_or_else(|| ends(u64::MAX))?;
        if len == 0 {
            return match self.size(name)? {
                None => Err(Error::Absent { name: name.to_owned() }),
                Some(size) if size < end => Err(ends(size)),
                Some(_) => Ok(Vec::new()),
            };
        }
        let (outcome, seen) =
            self.get(name, Some(GetRange::Bounded(start..end)), Keep::All(len))?;
        let (got, size) = match outcome {
            Ok(got) => got,
            Err(_) if seen.status == 416 && seen.trouble.is_none() => {
                return Err(Error::corrupt("object", name, format!("it ends before {start}")));
            }
            // It sent everything although it was asked for a range.
            Err(_) if seen.status == 200 && seen.trouble.is_none() => {
                let (outcome, seen) = self.get(name, None, Keep::Window { skip: start, len })?;
                outcome.map_err(|e| self.blame.explain(name, &e, &seen))?
            }
            Err(e) => return Err(self.blame.explain(name, &e, &seen)),
        };
        if got.bytes.len() as u64 == len && !got.over {
            return Ok(got.bytes);
        }
        if size < end {
            return Err(ends(size));
        }
        let detail = format!("it sent {} bytes where {len} were asked for", got.passed);
        Err(self.blame.remote(Fault::Unreachable, &detail))
    }

    fn read_end(&self, name: &str, len: u64) -> Result<(Vec<u8>, u64)> {
        let absent = || Error::Absent { name: name.to_owned() };
        if len == 0 {
            return Ok((Vec::new(), self.size(name)?.ok_or_else(absent)?));
        }
        let (outcome, seen) = self.get(name, Some(GetRange::Suffix(len)), Keep::All(len))?;
        let (got, size) = match outcome {
            Ok(got) => got,
            // It sent everything, knows no ranges from the end, or has nothing to send.
            Err(_) if seen.status == 200 && seen.trouble.is_none() => return self.tail(name, len),
            Err(_) if [206, 400, 416, 501].contains(&seen.status) && seen.trouble.is_none() => {
                let size = self.size(name)?.ok_or_else(absent)?;
                let start = size - len.min(size);
                return Ok((self.read_range(name, start, size - start)?, size));
            }
            Err(e) => return Err(self.blame.explain(name, &e, &seen)),
        };
        if got.bytes.len() as u64 == len.min(size) {
            return Ok((got.bytes, size));
        }
        let detail = format!("it sent {} of the last {len} bytes", got.passed);
        Err(self.blame.remote(Fault::Unreachable, &detail))
    }

    fn stat(&self, name: &str) -> Result<Option<Stat>> {
        let (store, path) = (Arc::clone(&self.stores.patient), self.path(name)?);
        match self.must(name, async move { store.head(&path).await }) {
            Ok(meta) => Ok(Some(Stat {
                len: meta.size,
                modified_ns: meta.last_modified.timestamp_nanos_opt().unwrap_or(0),
            })),
            Err(Error::Absent { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn create(&self, name: &str, bytes: &[u8], _nonce: &Nonce) -> Result<()> {
        let (store, path) = (Arc::clone(&self.stores.once), self.path(name)?);
        let payload = PutPayload::from(bytes.to_vec());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let (outcome, seen) =
            self.ask(async move { store.put_opts(&path, payload, options).await })?;
        match outcome {
            Ok(_) => Ok(()),
            Err(_) if seen.status == 501 => {
                let detail = "it refuses conditional writes (501 Not Implemented)";
                Err(self.blame.remote(Fault::Unfit, detail))
            }
            Err(e) => Err(self.no_bucket(self.blame.explain(name, &e, &seen))),
        }
    }

    fn upload(&self, name: &str, source: &dyn Source, _nonce: &Nonce, task: &Task) -> Result<()> {
        upload::upload(self, name, source, task).map_err(|e| self.no_bucket(e))
    }

    fn note(&self, name: &str, bytes: &[u8], _nonce: &Nonce) -> Result<()> {
        let (store, path) = (Arc::clone(&self.stores.patient), self.path(name)?);
        let payload = PutPayload::from(bytes.to_vec());
        let put = async move { store.put_opts(&path, payload, PutOptions::default()).await };
        self.must(name, put).map(drop).map_err(|e| self.no_bucket(e))
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let below = format!("{}/", self.path(prefix)?);
        let lister = Arc::clone(&self.stores.lister);
        let listed = below.clone();
        let pages = async move {
            let (mut found, mut token) = (Vec::new(), None::<String>);
            for _ in 0..MOST_PAGES {
                let options = PaginatedListOptions {
                    delimiter: Some("/".into()),
                    page_token: token.clone(),
                    ..PaginatedListOptions::default()
                };
                let page = lister.list_paginated(Some(&listed), options).await?;
                found.extend(page.result.objects.into_iter().map(|o| String::from(o.location)));
                found.extend(page.result.common_prefixes.into_iter().map(String::from));
                let again = page.page_token == token;
                match page.page_token {
                    None => return Ok(Some(found)),
                    Some(_) if again || found.len() > MOST_NAMES => return Ok(None),
                    next => token = next,
                }
            }
            Ok(None)
        };
        let found = self.must(prefix, pages).map_err(|e| self.no_bucket(e))?;
        let found =
            found.ok_or_else(|| self.blame.remote(Fault::Unfit, "its listing does not end"))?;
        // What is not a name directly below was not made by this program.
        let names = found.iter().filter_map(|full| full.strip_prefix(&below));
        let proper = names.filter(|rest| !rest.contains('/') && check_name(rest).is_ok());
        Ok(proper.map(|rest| format!("{prefix}/{rest}")).collect())
    }

    fn delete(&self, name: &str) -> Result<()> {
        let (store, path) = (Arc::clone(&self.stores.patient), self.path(name)?);
        // The library does not repeat a deletion whose answer was lost, but it may be.
        for _ in 0..2 {
            let (store, path) = (Arc::clone(&store), path.clone());
            let (outcome, seen) = self.ask(async move { store.delete(&path).await })?;
            match outcome {
                Ok(()) => return Ok(()),
                Err(_) if seen.status == 0 && seen.trouble.is_some() => {}
                Err(e) => {
                    return match self.blame.explain(name, &e, &seen) {
                        Error::Absent { .. } => Ok(()),
                        other => Err(other),
                    };
                }
            }
        }
        match self.must(name, async move { store.delete(&path).await }) {
            Err(Error::Absent { .. }) => Ok(()),
            other => other,
        }
    }

    fn lanes(&self) -> usize {
        16
    }

    fn condition(&self) -> &'static str {
        "If-None-Match"
    }

    fn address(&self) -> String {
        self.blame.url().to_owned()
    }
}

impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket")
            .field("prefix", &self.prefix)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
