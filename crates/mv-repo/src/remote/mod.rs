//! A remote: a repository elsewhere, reached through a [`Transport`], and what is kept of it here.
//!
//! A remote has the layout of `.mv` and its own chain of state records. Here are kept, below
//! `.mv/remotes/<name>`: the indexes of its packs (`index/`), packs that arrived and are not in the
//! repository yet (`packs/`), the names of packs that were sent and are in no record yet (`sent`), and
//! a copy of the record that was seen last (`record`). All of it can be deleted at any time.

mod sent;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mv_graph::chain::{self, Record};
use mv_graph::{RefName, RemoteSeen, State};
use mv_store::{Hash, NEWEST, Nonces, Store, Transport, fs as store_fs, packs_below, probe};

pub use crate::address::Address;
pub use crate::connector::{Connect, Connector};
pub(crate) use sent::Sent;

use crate::error::{Error, Result};
use crate::layout::{Format, Layout};
use crate::session::Session;

/// The remote that is meant when none is named.
pub const ORIGIN: &str = "origin";

/// The copy of the record that was seen last.
const RECORD: &str = "record";

/// The state of a remote as it was when it was last asked; none when that is not known.
pub(crate) fn last_state(layout: &Layout, name: &RefName) -> Option<State> {
    let path = layout.remote(name).join(RECORD);
    let bytes = store_fs::read_capped(&path, State::CAP).ok()??;
    State::decode(&bytes, RECORD).ok()
}

/// A remote as it was when it was last asked.
pub struct Remote {
    /// What it is called here.
    pub(crate) name: RefName,
    pub(crate) transport: Arc<dyn Transport>,
    /// Below `.mv/remotes`.
    pub(crate) folder: PathBuf,
    /// None while there is no repository.
    record: Option<Record>,
    /// Its live packs.
    pub(crate) store: Store,
    /// Whether the user vouches for being its only writer.
    pub(crate) single_writer: bool,
}

/// What is known of a remote before it is asked.
pub(crate) struct Known {
    pub(crate) name: RefName,
    pub(crate) address: Address,
    pub(crate) seen: Option<RemoteSeen>,
    /// Whether a remote that was set back or exchanged is taken as it is now.
    pub(crate) accept_rewind: bool,
    pub(crate) single_writer: bool,
}

impl Known {
    /// A history that was rewritten is told with the remote's name.
    fn told(&self, error: Error) -> Error {
        match error {
            Error::Graph(mv_graph::Error::Rewritten { detail }) => {
                Error::Rewritten { remote: self.name.to_string(), detail }
            }
            other => other,
        }
    }
}

impl Remote {
    /// Asks for the newest record, in two requests when it is the one that was seen last.
    pub(crate) fn connect(
        layout: &Layout,
        known: &Known,
        connector: &Connector,
        nonces: &Nonces,
    ) -> Result<Remote> {
        let transport = connector.open(&known.address)?;
        let folder = layout.remote(&known.name);
        let record = newest(&*transport, known).map_err(|e| known.told(e))?;
        let store = open_store(&transport, &folder, record.as_ref(), nonces);
        let single_writer = known.single_writer;
        let name = known.name.clone();
        Ok(Remote { name, transport, folder, record, store, single_writer })
    }

    /// The newest record that was read; none while there is no repository.
    pub(crate) fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// The newest state.
    ///
    /// # Errors
    /// `Policy` while there is no repository.
    pub(crate) fn state(&self) -> Result<&State> {
        match &self.record {
            Some(record) => Ok(&record.state),
            None => Err(Error::Policy { what: format!("there is nothing on `{}` yet", self.name) }),
        }
    }

    /// Reads what others recorded since.
    pub(crate) fn refresh(&mut self, session: &Session) -> Result<()> {
        let newest = match &self.record {
            Some(last) => chain::newest_since(&*self.transport, last.state.generation, &last.hash)?,
            None => chain::newest(&*self.transport, None)?,
        };
        self.take(newest, session);
        Ok(())
    }

    /// Takes a record that is known to be the newest.
    pub(crate) fn take(&mut self, record: Record, session: &Session) {
        self.store = open_store(&self.transport, &self.folder, Some(&record), &session.nonces);
        self.record = Some(record);
    }

    /// Makes the repository there if there is none, after a look at whether the place keeps the
    /// promises that everything rests on.
    pub(crate) fn create(&mut self, session: &Session) -> Result<()> {
        if self.record.is_some() {
            return Ok(());
        }
        if !self.single_writer {
            probe(&*self.transport, &session.nonces)?;
        }
        let format = Format::new(session.nonces.next());
        match self.transport.create("format", &format.encode(), &session.nonces.next()) {
            // Of several that make it at once, one decides on its id.
            Ok(()) | Err(mv_store::Error::Exists { .. }) => {}
            Err(failed) => match Format::read(&*self.transport) {
                Ok(_) => {}
                Err(_) => return Err(failed.into()),
            },
        }
        let format = Format::read(&*self.transport)?;
        let main = RefName::parse("main")?;
        let first = State::first(format.repository, main, session.nonces.next(), session.now);
        match chain::create_first(&*self.transport, first) {
            Err(mv_graph::Error::LostRace { .. }) => self.refresh(session),
            other => {
                self.take(other?, session);
                Ok(())
            }
        }
    }

    /// Publishes the next record there.
    ///
    /// # Errors
    /// `LostRace`, `Remote`.
    pub(crate) fn publish(&mut self, next: State, session: &Session) -> Result<()> {
        let before = self.record.as_ref().ok_or(mv_graph::Error::LostRace { generation: 1 })?;
        let record = chain::append(&*self.transport, before, next)?;
        let text = format!("{:020}\n", record.state.generation);
        // Advice for readers that cannot list: nothing depends on it.
        drop(self.transport.note(NEWEST, text.as_bytes(), &session.nonces.next()));
        self.take(record, session);
        Ok(())
    }

    /// Keeps a copy of the newest record, for questions that are asked without the remote. Best effort:
    /// what cannot be answered then is only less well known.
    pub(crate) fn keep_record(&self, session: &Session) {
        let Some(bytes) = self.record.as_ref().and_then(|record| record.state.encode().ok()) else {
            return;
        };
        let (path, tmp) = (self.folder.join(RECORD), self.folder.join("tmp"));
        drop(store_fs::replace_cache(&path, &bytes, &tmp, &session.nonces.next()));
    }

    /// What to remember of it.
    pub(crate) fn seen(&self) -> Option<RemoteSeen> {
        self.record.as_ref().map(|record| RemoteSeen {
            remote: self.name.clone(),
            generation: record.state.generation,
            record: record.hash,
        })
    }

    /// Packs that arrived in a fetch that was not finished. Each of them was checked.
    pub(crate) fn arrived(&self) -> Result<Store> {
        Ok(Store::open(&self.folder, &packs_below(&self.folder)?))
    }

    /// Forgets the indexes of packs that are live no more.
    pub(crate) fn forget_old_indexes(&self) {
        let Some(record) = &self.record else { return };
        let state = &record.state;
        let kept = |id: &Hash| {
            state.packs.iter().any(|pack| pack.0 == *id)
                || state.condemned.iter().any(|retired| retired.pack.0 == *id)
        };
        store_fs::keep_only(&self.folder.join("index"), &kept);
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("name", &self.name).finish_non_exhaustive()
    }
}

fn newest(transport: &dyn Transport, known: &Known) -> Result<Option<Record>> {
    if let Some(seen) = &known.seen
        && !known.accept_rewind
    {
        return Ok(Some(chain::newest_since(transport, seen.generation, &seen.record)?));
    }
    let record = match chain::newest(transport, None) {
        Ok(record) => record,
        Err(mv_graph::Error::Store(mv_store::Error::Absent { .. })) => {
            if let Err(Error::Store(mv_store::Error::Unsupported { what, name })) =
                Format::read(transport)
            {
                return Err(mv_store::Error::Unsupported { what, name }.into());
            }
            return Ok(None);
        }
        Err(e) => return Err(e.into()),
    };
    // Read once, when a remote is met: it says whether this program understands what is there.
    let format = Format::read(transport)?;
    if format.repository != record.state.repository {
        let detail = "the state records belong to another repository";
        return Err(mv_store::Error::corrupt("file", "format", detail).into());
    }
    Ok(Some(record))
}

fn open_store(
    transport: &Arc<dyn Transport>,
    folder: &Path,
    record: Option<&Record>,
    nonces: &Nonces,
) -> Store {
    let packs = record.map_or(&[][..], |record| &record.state.packs);
    Store::open_remote(Arc::clone(transport), folder, packs, nonces)
}
