//! Publishing the next state.

use mv_graph::State;
use mv_graph::chain::{self, Record};
use mv_store::{Hash, PackId, Store, Transport};

use super::Repo;
use crate::error::{Error, Result};
use crate::session::Session;

/// How many times an operation that lost a race to an unrelated one is tried again.
const RACES: usize = 8;

impl Repo {
    /// Publishes the next state. `edit` is given a copy of the newest state, changes it and refuses
    /// what no longer holds; it is called again when another operation came first.
    ///
    /// `packs` were published for this operation, and `roots` are the versions it made. If a pack
    /// that they may rely on was retired meanwhile, everything below the roots is looked up again.
    ///
    /// # Errors
    /// What `edit` returns; `LostRace` when others keep coming first or something relied upon is gone.
    pub(crate) fn advance(
        &self,
        session: &Session,
        operation: &str,
        packs: &[PackId],
        roots: &[Hash],
        edit: &mut dyn FnMut(&mut State) -> Result<()>,
    ) -> Result<Record> {
        let mut newest = self.record.clone();
        for _ in 0..RACES {
            let actor = Some(session.author.clone());
            let mut next = newest.state.next(operation, session.nonces.next(), session.now, actor);
            next.add_packs(packs);
            edit(&mut next)?;
            match chain::append(&self.transport, &newest, next) {
                Err(mv_graph::Error::LostRace { .. }) => {}
                other => return Ok(other?),
            }
            newest = chain::newest(&self.transport, None)?;
            self.revalidate(&newest, packs, roots)?;
        }
        Err(Error::LostRace { generation: newest.state.generation })
    }

    /// After a lost race: own packs must still be there and not retired, and what the new versions
    /// rely on must be in live packs.
    fn revalidate(&self, newest: &Record, packs: &[PackId], roots: &[Hash]) -> Result<()> {
        let lost = || Error::LostRace { generation: newest.state.generation };
        let state = &newest.state;
        for pack in packs {
            let retired = state.condemned.iter().chain(&state.deleting).any(|r| r.pack == *pack);
            if retired || self.transport.size(&pack.file_name())?.is_none() {
                return Err(lost());
            }
        }
        let kept = |pack: &PackId| state.packs.binary_search(pack).is_ok();
        if self.record.state.packs.iter().all(kept) {
            return Ok(());
        }
        if self.partial().is_some() {
            // What is meant to be missing cannot be told here from what is lost: do it again.
            return Err(lost());
        }
        let live: Vec<_> = state.packs.iter().chain(packs).copied().collect();
        let store = Store::open(&self.layout.dot, &live);
        let reached = mv_graph::reach::reachable(&store, roots, &Default::default());
        reached.map(drop).map_err(|e| if e.is_corruption() { lost() } else { e.into() })
    }
}
