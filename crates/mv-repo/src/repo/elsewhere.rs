//! Where the rest is, in a part of a repository.

use std::path::Path;
use std::sync::Arc;

use mv_graph::{RefName, State};
use mv_store::OpenElsewhere;

use crate::config::LocalConfig;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::remote::{Address, Known, Remote};
use crate::session::Session;

/// How to reach what is not here, in a part of a repository.
pub(super) fn open(
    layout: &Layout,
    local: &LocalConfig,
    state: &State,
    session: &Session,
) -> Result<Option<Arc<OpenElsewhere>>> {
    let Some(partial) = &local.partial else { return Ok(None) };
    let Some(remote) = local.remotes.get(&partial.remote) else {
        let detail = format!("`{}` is no remote", partial.remote);
        return Err(Error::invalid("`partial.remote`", detail));
    };
    let known = Known {
        name: RefName::parse(&partial.remote)?,
        address: Address::parse(&remote.url, Path::new("/"))?,
        seen: state.remote(&partial.remote).cloned(),
        accept_rewind: false,
        single_writer: remote.single_writer,
    };
    let (layout, connector) = (layout.clone(), session.connector.clone());
    let nonces = session.nonces.branch();
    Ok(Some(Arc::new(move || match Remote::connect(&layout, &known, &connector, &nonces) {
        Ok(remote) => Ok(remote.store),
        Err(Error::Store(e) | Error::Graph(mv_graph::Error::Store(e))) => Err(e),
        Err(e) => Err(mv_store::Error::Remote {
            url: known.address.to_string(),
            fault: mv_store::Fault::Unfit,
            detail: e.to_string(),
        }),
    })))
}
