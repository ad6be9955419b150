//! Opening snapshots, and making others from them.

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::{Shared, Slot, Store};
use crate::error::Result;
use crate::hash::Nonces;
use crate::lanes;
use crate::pack::{Home, PackId, RemoteHome};
use crate::transport::Transport;

/// Opens a store of what is not here, when it is first needed.
pub type OpenElsewhere = dyn Fn() -> Result<Store> + Send + Sync;

/// A store that is opened when something is not here: a partial clone's remote.
pub(super) struct Elsewhere {
    open: Arc<OpenElsewhere>,
    opened: OnceLock<Store>,
    /// Taken while opening, so that it happens once.
    opening: Mutex<()>,
}

impl Elsewhere {
    pub(super) fn store(&self) -> Result<&Store> {
        if let Some(store) = self.opened.get() {
            return Ok(store);
        }
        let _turn = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = self.opened.get() {
            return Ok(store);
        }
        let store = (self.open)()?;
        Ok(self.opened.get_or_init(|| store))
    }
}

impl Store {
    /// A snapshot of the given packs below `root`. Nothing is read yet.
    #[must_use]
    pub fn open(root: &Path, packs: &[PackId]) -> Store {
        let home = Home::Local(root.to_path_buf());
        Store::of(root, packs.iter().map(|&id| Slot::new(id, &home)).collect(), None)
    }

    /// A snapshot of packs that lie on a remote. Their indexes are kept below `folder`, by pack, and
    /// fetched when they are not there; blocks are read by range.
    #[must_use]
    pub fn open_remote(
        transport: Arc<dyn Transport>,
        folder: &Path,
        packs: &[PackId],
        nonces: &Nonces,
    ) -> Store {
        let remote =
            RemoteHome { transport, folder: folder.to_path_buf(), nonces: nonces.branch() };
        let home = Home::Remote(Arc::new(remote));
        Store::of(folder, packs.iter().map(|&id| Slot::new(id, &home)).collect(), None)
    }

    fn of(root: &Path, slots: Vec<Slot>, elsewhere: Option<Arc<OpenElsewhere>>) -> Store {
        Store(Arc::new(Shared {
            root: root.to_path_buf(),
            slots,
            last: AtomicUsize::new(0),
            files: Mutex::default(),
            blocks: Mutex::default(),
            ahead: Mutex::default(),
            choices: Mutex::default(),
            complete: Mutex::default(),
            elsewhere: elsewhere.map(|open| Elsewhere {
                open,
                opened: OnceLock::new(),
                opening: Mutex::new(()),
            }),
        }))
    }

    /// The packs of this snapshot and then those of another: what both have is read from this one.
    #[must_use]
    pub fn join(&self, other: &Store) -> Store {
        let both = self.0.slots.iter().chain(&other.0.slots);
        let slots = both.map(|slot| Slot::new(slot.id, &slot.home)).collect();
        Store::of(&self.0.root, slots, None)
    }

    /// The same snapshot, reading what it lacks from a store that is opened at the first such read.
    /// [`Store::contains`], [`Store::has`] and [`Store::find`] still speak of this snapshot alone.
    #[must_use]
    pub fn with_elsewhere(&self, open: Arc<OpenElsewhere>) -> Store {
        let slots = self.0.slots.iter().map(|slot| Slot::new(slot.id, &slot.home)).collect();
        Store::of(&self.0.root, slots, Some(open))
    }

    /// The same snapshot without anything elsewhere.
    #[must_use]
    pub fn here(&self) -> Store {
        if self.0.elsewhere.is_none() { self.clone() } else { self.without(&[]) }
    }

    /// The store of what is not here, opened now if it was not; none when there is none.
    ///
    /// # Errors
    /// What opening it gives.
    pub fn elsewhere(&self) -> Result<Option<&Store>> {
        self.0.elsewhere.as_ref().map(Elsewhere::store).transpose()
    }

    /// Opens the index of every pack, several at a time when they have to be fetched.
    ///
    /// # Errors
    /// `Stale`, `Corrupt`, `Io`, `Remote` of the first pack that does not open.
    pub fn open_indexes(&self) -> Result<()> {
        let lanes = self.0.slots.iter().map(|slot| slot.home.lanes()).max().unwrap_or(1);
        let slots: Vec<usize> = (0..self.0.slots.len()).collect();
        lanes::each(lanes, &slots, |slot| self.pack(*slot).map(drop))
    }

    /// The same snapshot without some of its packs.
    #[must_use]
    pub fn without(&self, packs: &[PackId]) -> Store {
        let kept = self.0.slots.iter().filter(|slot| !packs.contains(&slot.id));
        let slots = kept.map(|slot| Slot::new(slot.id, &slot.home)).collect();
        Store::of(&self.0.root, slots, None)
    }

    /// The same snapshot with only some of its packs.
    #[must_use]
    pub fn only(&self, packs: &[PackId]) -> Store {
        let kept = self.0.slots.iter().filter(|slot| packs.contains(&slot.id));
        let slots = kept.map(|slot| Slot::new(slot.id, &slot.home)).collect();
        Store::of(&self.0.root, slots, None)
    }
}

impl Slot {
    pub(super) fn new(id: PackId, home: &Home) -> Slot {
        Slot { id, home: home.clone(), pack: OnceLock::new() }
    }
}

impl Home {
    /// How many requests are worth having under way at once.
    pub(super) fn lanes(&self) -> usize {
        match self {
            Home::Local(_) => 1,
            Home::Remote(remote) => remote.transport.lanes(),
        }
    }
}
