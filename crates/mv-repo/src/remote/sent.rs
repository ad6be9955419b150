//! Packs that were sent and are in no record yet, so that a push that was cut off goes on where it
//! stopped.
//!
//! A file of pack ids in hex, one a line, in `.mv/remotes/<name>/sent`. It is advice: before a pack
//! in it is relied upon, the remote is asked whether it is there and not on its way out.

use std::path::PathBuf;

use mv_graph::State;
use mv_store::{Hash, PackId, fs as store_fs};

use crate::error::Result;
use crate::remote::Remote;
use crate::session::Session;

/// Bytes of the file, at most.
const MAX_FILE: u64 = 1 << 20;

/// The packs of one push.
#[derive(Debug)]
pub(crate) struct Sent {
    path: PathBuf,
    tmp: PathBuf,
    pub(crate) packs: Vec<PackId>,
}

impl Sent {
    /// What an earlier push left. A file that cannot be read counts as none.
    pub(crate) fn of(remote: &Remote) -> Sent {
        let path = remote.folder.join("sent");
        let bytes = store_fs::read_capped(&path, MAX_FILE).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let packs = text.lines().filter_map(Hash::from_hex).map(PackId).collect();
        Sent { path, tmp: remote.folder.join("tmp"), packs }
    }

    /// Notes a pack that is there.
    pub(crate) fn add(&mut self, pack: PackId, session: &Session) -> Result<()> {
        self.packs.push(pack);
        self.save(session)
    }

    /// Drops the packs that are not there any more, or that somebody's gc is about to delete: they
    /// must never be named by a record.
    pub(crate) fn check(&mut self, remote: &Remote, state: &State) -> Result<()> {
        let mut kept = Vec::new();
        for pack in self.packs.drain(..) {
            let retired = state.condemned.iter().chain(&state.deleting).any(|r| r.pack == pack);
            let live = state.packs.binary_search(&pack).is_ok();
            if !retired && !live && remote.transport.size(&pack.file_name())?.is_some() {
                kept.push(pack);
            }
        }
        self.packs = kept;
        Ok(())
    }

    /// Forgets all of them: they are in a record now.
    pub(crate) fn clear(&mut self) {
        self.packs.clear();
        // What stays is only asked about in vain.
        drop(store_fs::remove(&self.path));
    }

    fn save(&self, session: &Session) -> Result<()> {
        let text: String = self.packs.iter().map(|pack| format!("{pack}\n")).collect();
        let nonce = session.nonces.next();
        Ok(store_fs::replace_cache(&self.path, text.as_bytes(), &self.tmp, &nonce)?)
    }
}
