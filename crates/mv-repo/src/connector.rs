//! How remotes are reached: directories by this crate, everything else by whoever calls it.

use std::fmt;
use std::sync::Arc;

use mv_store::{SharedDir, Transport};

use crate::address::Address;
use crate::error::Result;

/// Makes a transport of a URL; what is not a directory is the caller's to know.
pub type Connect = dyn Fn(&str) -> mv_store::Result<Arc<dyn Transport>> + Send + Sync;

/// How remotes are reached.
#[derive(Clone)]
pub struct Connector(Arc<Connect>);

impl Connector {
    /// Reaches directories by itself and everything else by `open`.
    #[must_use]
    pub fn new(open: Arc<Connect>) -> Connector {
        Connector(open)
    }

    /// Reaches directories only.
    #[must_use]
    pub fn directories() -> Connector {
        Connector(Arc::new(|url| {
            Err(mv_store::Error::Invalid {
                what: "remote address",
                detail: format!("`{url}`: this build reaches only directories"),
            })
        }))
    }

    pub(crate) fn open(&self, address: &Address) -> Result<Arc<dyn Transport>> {
        match address {
            Address::Directory(path) => Ok(Arc::new(SharedDir::open(path)?)),
            Address::Url(url) => Ok((self.0)(url)?),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
