//! Remotes over the network: [`mv_store::Transport`] for buckets (`s3://`, and `gs://` and `az://`
//! when built with the features `gcs` and `azure`) and, read-only, for directories that a web server
//! publishes (`http://`, `https://`).
//!
//! What this crate promises:
//!
//! - callers are plain threads; the one asynchronous thread of a remote is its own affair;
//! - every request ends: connecting, silence, the whole request and all retries have limits;
//! - an answer never takes more memory than the caller allows, however long it is;
//! - credentials come from the lookup in [`Settings`], are never kept elsewhere, and no error text
//!   contains them, whatever the server says.
//!
//! What it leaves to others: directories (`mv_store::DirTransport`), whether a remote keeps the
//! promise of create-if-absent ([`mv_store::probe`]), and everything that the objects mean.
//!
//! Modules are listed bottom-up; each uses only those above it.

mod address;
mod settings;

mod redact;

mod client;
mod engine;
mod fault;
mod gather;

mod provider;

mod bucket;
mod upload;

mod web;

use std::sync::Arc;

use mv_store::{Result, Transport};

use crate::address::{Address, Scheme};
use crate::bucket::Bucket;
use crate::web::Web;

pub use crate::settings::{Settings, Timeouts, Variables};

/// Opens the remote at an address; no request is made before the first call of the transport.
///
/// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, and read-only `http://` and
/// `https://` addresses of a published directory.
///
/// # Errors
/// `Invalid` for an address that is none of these or carries what it must not (credentials, a
/// query), or for variables that contradict each other; `Remote` when the thread or the TLS roots of
/// this machine are not to be had.
pub fn open(url: &str, settings: &Settings) -> Result<Arc<dyn Transport>> {
    let address = Address::parse(url)?;
    match address.scheme {
        Scheme::Http | Scheme::Https => Ok(Arc::new(Web::open(address, settings)?)),
        Scheme::S3 | Scheme::Gs | Scheme::Az => Ok(Arc::new(Bucket::open(address, settings)?)),
    }
}

/// Whether an address is one that [`open`] takes rather than a path, by its scheme alone.
#[must_use]
pub fn is_address(text: &str) -> bool {
    Scheme::of(text).is_some()
}
