//! Copying objects from one store to another, as they are stored.
//!
//! A pack of which nearly everything is wanted travels whole, under a new name (`pack/copy.rs`). Of
//! other packs only the blocks that are needed are read, with few requests, and what is wanted of
//! them goes into new packs. Nothing is compressed again but small objects that come to share
//! blocks; everything that arrives is compared with its id before it gets its final name.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::codec::Encoding;
use crate::consolidate::small_pack;
use crate::copier::form;
use crate::error::{Error, Result};
use crate::fs::{self, TempFile};
use crate::hash::{Hash, Nonces, nonce_hex};
use crate::lanes;
use crate::pack::copy::{PackCopy, PieceHashes, check_header, header};
use crate::pack::{Block, Pack, PackId, RemoteHome, keep_index};
use crate::progress::Task;
use crate::store::ahead::runs;
use crate::store::blocks::{Blocks, Members};
use crate::store::{MAX_DEPTH, Origin, Store};
use crate::transport::{Source, Transport};
use crate::verify::verify_objects;
use crate::writer::StoreWriter;

/// A pack travels whole when at most one part in this many of it is not wanted.
const SPARE: u64 = 16;
/// The folder of packs that arrived and are not checked yet, below the receiving folder.
const UNCHECKED: &str = "unchecked";

/// What is to be copied, and how. A plan: making it touches nothing.
#[derive(Debug, Default)]
pub struct Transfer {
    parcels: Vec<Parcel>,
    /// What travels: what is wanted and what that is coded against, each with where it is taken from.
    /// Taken from elsewhere two objects might come to be coded each against the other.
    taken: HashMap<Hash, Option<(usize, u32)>>,
    /// Objects that travel.
    pub objects: u64,
    /// Stored bytes that travel, about.
    pub bytes: u64,
    /// What was wanted and is in none of the packs, sorted.
    pub missing: Vec<Hash>,
}

/// What travels of one pack.
#[derive(Debug)]
struct Parcel {
    slot: usize,
    id: PackId,
    /// The whole pack; else these blocks, ascending.
    whole: bool,
    blocks: Vec<u32>,
    bytes: u64,
}

impl Transfer {
    /// Finds the wanted objects in a store's packs, and what they are coded against that is not there
    /// yet, or needs more others there. An object that is in several packs is taken from the one where
    /// it needs the fewest others. Costs a look at each wanted object, and at the indexes of packs of
    /// which nearly all is wanted.
    ///
    /// # Errors
    /// What opening a pack gives.
    pub fn plan(source: &Store, wanted: &HashSet<Hash>, there: &Store) -> Result<Transfer> {
        let has = |base: &Hash| {
            let here = source.chain(base).map_or(MAX_DEPTH, |here| here.depth);
            there.chain(base).is_some_and(|there| there.depth <= here)
        };
        let mut found: Vec<HashMap<u32, u64>> = vec![HashMap::new(); source.pack_ids().count()];
        let mut transfer = Transfer::default();
        transfer.taken.extend(wanted.iter().map(|id| (*id, None)));
        let mut open: Vec<Hash> = wanted.iter().copied().collect();
        while let Some(id) = open.pop() {
            let Some(place) = source.origin(&id)? else {
                transfer.missing.push(id);
                continue;
            };
            transfer.objects += 1;
            let Origin { slot, block, stored_len, bases } = place;
            transfer.taken.insert(id, Some((slot, block)));
            if found[slot].insert(block, u64::from(stored_len)).is_none() {
                for base in bases.into_iter().filter(|base| !has(base)) {
                    if let Entry::Vacant(entry) = transfer.taken.entry(base) {
                        entry.insert(None);
                        open.push(base);
                    }
                }
            }
        }
        for ((slot, id), blocks) in (0..).zip(source.pack_ids()).zip(found) {
            if blocks.is_empty() {
                continue;
            }
            let pack = source.pack(slot)?;
            let bytes: u64 = blocks.values().sum();
            let nearly_all = (pack.bytes - bytes.min(pack.bytes)).saturating_mul(SPARE)
                <= pack.bytes + pack.index.bytes().len() as u64 * SPARE;
            // What comes along unasked must not need what does not: neither bases nor chunks.
            let complete = |base: Hash| {
                let along = transfer.taken.contains_key(&base) || source.has_whole_in(slot, &base);
                (along && source.contains_whole(&base)) || has(&base)
            };
            let whole = nearly_all
                && pack.index.all_bases().all(complete)
                && lists_in(pack)?.iter().all(|(id, n)| transfer.takes(id, (slot, *n)));
            let mut blocks: Vec<u32> = blocks.into_keys().collect();
            blocks.sort_unstable();
            let bytes = if whole { pack.bytes } else { bytes };
            transfer.bytes += bytes;
            transfer.parcels.push(Parcel { slot, id, whole, blocks, bytes });
        }
        transfer.missing.sort_unstable();
        Ok(transfer)
    }

    /// Whether an object travels, and from this block.
    fn takes(&self, id: &Hash, block: (usize, u32)) -> bool {
        self.taken.get(id) == Some(&Some(block))
    }

    /// Fetches everything into packs below `root`, a folder of the receiver's own, from which
    /// [`adopt`] takes them. `here` is what the receiver has. Packs get their names there when all in
    /// them was checked, one after the other, so that what has arrived stays when the rest does not.
    ///
    /// # Errors
    /// `Corrupt` for anything that is not what its id says, `Cancelled`, `Stale`, `Io`, `Remote`.
    pub fn receive(
        &self,
        source: &Store,
        here: &Store,
        root: &Path,
        nonces: &Nonces,
        task: &Task,
    ) -> Result<Vec<PackId>> {
        fs::sweep_dir(&root.join(UNCHECKED));
        let mut packs = Vec::new();
        // What objects are coded against is read from as near as possible.
        let nearest = |packs: &[PackId]| here.join(&Store::open(root, packs)).join(source);
        for parcel in self.whole_in_order(source)? {
            packs.push(receive_whole(source, parcel, &nearest(&packs), root, nonces, task)?);
        }
        if self.parcels.iter().any(|parcel| !parcel.whole) {
            let parts = |parcel: &Parcel| !parcel.whole;
            packs.extend(self.gather(source, &nearest(&packs), &parts, root, nonces, task)?);
        }
        Ok(packs)
    }

    /// The packs that travel whole, those first that others are coded against, as far as there is such
    /// an order: what has arrived need not be asked for again, block by block.
    fn whole_in_order(&self, source: &Store) -> Result<Vec<&Parcel>> {
        let mut rest: Vec<(&Parcel, HashSet<usize>)> = Vec::new();
        for parcel in self.parcels.iter().filter(|parcel| parcel.whole) {
            let bases = source.pack(parcel.slot)?.index.all_bases();
            let places = bases.filter_map(|base| self.taken.get(&base).copied().flatten());
            let needs = places.map(|(slot, _)| slot).filter(|slot| *slot != parcel.slot);
            rest.push((parcel, needs.collect()));
        }
        let mut order = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            let waits = |needs: &HashSet<usize>| rest.iter().any(|(p, _)| needs.contains(&p.slot));
            let next = rest.iter().position(|(_, needs)| !waits(needs)).unwrap_or(0);
            order.push(rest.remove(next).0);
        }
        Ok(order)
    }

    /// Sends everything to a remote in new packs; small ones are gathered first, below `scratch`.
    /// `sent` hears of each pack that is there, durably; until a state record names it, nobody reads
    /// it.
    ///
    /// # Errors
    /// `Corrupt` for anything here that is damaged, `Cancelled`, `Io`, `Remote`, or what `sent`
    /// returns.
    pub fn send(
        &self,
        source: &Store,
        to: &Recipient<'_>,
        task: &Task,
        sent: &mut dyn FnMut(PackId) -> Result<()>,
    ) -> Result<Vec<PackId>> {
        let small = self.parcels.iter().filter(|p| small_pack(p.bytes)).count();
        let alone = |p: &Parcel| p.whole && (small < 2 || !small_pack(p.bytes));
        let mut packs = Vec::new();
        for parcel in self.parcels.iter().filter(|parcel| alone(parcel)) {
            let pack = source.pack(parcel.slot)?;
            packs.push(to.take(pack, task)?);
            packs.last().map_or(Ok(()), |pack| sent(*pack))?;
        }
        if !self.parcels.iter().all(alone) {
            let quiet = crate::Progress::new().task("gathering", crate::Unit::Bytes);
            let parts = |parcel: &Parcel| !alone(parcel);
            let ids = self.gather(source, source, &parts, to.scratch, to.nonces, &quiet)?;
            let gathered = Store::open(to.scratch, &ids);
            for (slot, id) in (0..).zip(&ids) {
                packs.push(to.take(gathered.pack(slot)?, task)?);
                packs.last().map_or(Ok(()), |pack| sent(*pack))?;
                fs::remove(&to.scratch.join(id.file_name()))?;
            }
        }
        Ok(packs)
    }

    /// Copies what is taken from the blocks of some parcels into new packs below `root`.
    fn gather(
        &self,
        source: &Store,
        nearest: &Store,
        which: &dyn Fn(&Parcel) -> bool,
        root: &Path,
        nonces: &Nonces,
        task: &Task,
    ) -> Result<Vec<PackId>> {
        let writer = StoreWriter::begin(&Store::open(root, &[]), nonces)?;
        for parcel in self.parcels.iter().filter(|parcel| which(parcel)) {
            let blocks = Blocks::of(source, parcel.slot)?.with_bases_from(nearest);
            let chosen: Result<Vec<Block>> =
                parcel.blocks.iter().map(|n| blocks.block(*n)).collect();
            let runs = runs(chosen?);
            // Little is done in order, so that the same push gives the same pack.
            let busy = if runs.len() > 8 { 2 } else { 1 };
            lanes::each(source.lanes_of(parcel.slot).max(busy), &runs, |run| {
                task.check()?;
                let bytes = run.read(&*blocks.file)?;
                for block in &run.blocks {
                    let n = block.number;
                    let whole = blocks.decode(block, run.part(&bytes, block).to_vec())?;
                    let members = blocks.members(n)?;
                    let form = form(whole.encoding);
                    let ours = |id: &Hash| self.takes(id, (parcel.slot, n));
                    let fresh = members.iter().filter(|(id, _)| ours(id) && writer.take(id, form));
                    let fresh: Members = fresh.cloned().collect();
                    if !fresh.is_empty() {
                        writer.copy_block(&whole, &members, &fresh)?;
                    }
                }
                task.add(bytes.len() as u64);
                Ok(())
            })?;
        }
        Ok(writer.finish()?.packs)
    }
}

/// Whoever packs are sent to.
pub struct Recipient<'a> {
    /// Where to.
    pub transport: &'a Arc<dyn Transport>,
    /// The local folder in which the remote's indexes are kept.
    pub folder: &'a Path,
    /// A local folder for packs on their way.
    pub scratch: &'a Path,
    /// For the names of packs, which are never used twice.
    pub nonces: &'a Nonces,
}

impl Recipient<'_> {
    /// Sends packs that lie below the scratch folder, and removes them there.
    ///
    /// # Errors
    /// `Corrupt`, `Cancelled`, `Io`, `Remote`.
    pub fn take_scratch(&self, packs: &[PackId], task: &Task) -> Result<Vec<PackId>> {
        let store = Store::open(self.scratch, packs);
        let mut sent = Vec::with_capacity(packs.len());
        for (slot, id) in (0..).zip(packs) {
            sent.push(self.take(store.pack(slot)?, task)?);
            fs::remove(&self.scratch.join(id.file_name()))?;
        }
        Ok(sent)
    }

    /// Sends a pack under a name of its own.
    fn take(&self, pack: &Pack, task: &Task) -> Result<PackId> {
        let file = pack.open_file()?;
        let checking = crate::Progress::new().task("checking", crate::Unit::Bytes);
        let copy = PackCopy::new(&*file, pack.id, &self.nonces.next(), &checking)?;
        task.check()?;
        self.transport.upload(&copy.id.file_name(), &copy, &self.nonces.next(), task)?;
        let remote = RemoteHome {
            transport: Arc::clone(self.transport),
            folder: self.folder.to_path_buf(),
            nonces: self.nonces.branch(),
        };
        keep_index(&remote, copy.id, pack.index_bytes())?;
        Ok(copy.id)
    }
}

fn receive_whole(
    source: &Store,
    parcel: &Parcel,
    nearest: &Store,
    root: &Path,
    nonces: &Nonces,
    task: &Task,
) -> Result<PackId> {
    let pack = source.pack(parcel.slot)?;
    let file = pack.open_file()?;
    let nonce = nonces.next();
    let hashes = PieceHashes::new(pack.bytes, header(&nonce));
    let mut copy = TempFile::create(&root.join("tmp"), &nonce_hex(&nonce))?;
    copy.set_len(pack.bytes)?;
    let pieces: Vec<u64> = (0..hashes.pieces()).collect();
    lanes::each_with_buffer(source.lanes_of(parcel.slot), &pieces, |&piece, bytes| {
        task.check()?;
        let (start, len) = hashes.range(piece);
        bytes.resize(len, 0);
        file.read_at(bytes, start)?;
        if piece == 0 {
            check_header(bytes, parcel.id)?;
        }
        hashes.take(piece, bytes);
        copy.write_at(bytes, start)?;
        task.add(len as u64);
        Ok(())
    })?;
    let id = match hashes.finish() {
        Some((old, new)) if old == parcel.id.0 => PackId(new),
        _ => return Err(Error::corrupt("pack", parcel.id, "its bytes do not match its name")),
    };
    let unchecked = root.join(UNCHECKED);
    copy.publish_new(&unchecked.join(id.file_name()))?;
    let arrived = Store::open(&unchecked, &[id]);
    // Told by the name that it has where it came from.
    let told = |error: Error| match error {
        Error::Corrupt { what, name, detail } if name == id.to_string() => {
            Error::Corrupt { what, name: parcel.id.to_string(), detail }
        }
        other => other,
    };
    arrived.pack(0).and_then(|pack| pack.index.verify()).map_err(told)?;
    let check = verify_objects(&arrived, &nearest.join(&arrived), id, task).map_err(told)?;
    if let Some(problem) = check.problems.into_iter().next() {
        return Err(told(problem.error));
    }
    fs::move_new(&unchecked.join(id.file_name()), &root.join(id.file_name()))?;
    Ok(id)
}

/// Takes packs that [`Transfer::receive`] left below `from` into the repository folder `root`. They
/// are durable there, and nobody reads them before a state record names them.
///
/// # Errors
/// `Io`.
pub fn adopt(from: &Path, root: &Path, packs: &[PackId]) -> Result<()> {
    for pack in packs {
        let name = pack.file_name();
        match fs::move_new(&from.join(&name), &root.join(&name)) {
            // Left by a run that was cut off between the link and the removal, perhaps before the link
            // was durable.
            Err(Error::Exists { .. }) => {
                fs::sync_dir(root.join(&name).parent().unwrap_or(root))?;
                fs::remove(&from.join(&name))?;
            }
            other => other?,
        }
    }
    fs::sync_dir(&root.join("packs"))
}

/// The packs below a folder, found by listing it: only for folders that nobody else writes to.
///
/// # Errors
/// `Io`.
pub fn packs_below(root: &Path) -> Result<Vec<PackId>> {
    let transport = crate::DirTransport::open(root);
    let mut found = Vec::new();
    for folder in transport.list("packs")? {
        for name in transport.list(&folder)? {
            let id = name.rsplit('/').next().and_then(Hash::from_hex).map(PackId);
            found.extend(id.filter(|id| id.file_name() == name));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Compares every object that is stored as a list in these packs with its id, which needs its
/// chunks wherever they are in the store. A list may claim more bytes than it has: `most` bounds
/// what one object may come to. The list of the pack is what is looked at, whatever other copies there
/// are: nobody is to find one later that adds up to something else.
///
/// # Errors
/// `Corrupt`, `Missing`, `Cancelled`, `Io`.
pub fn verify_lists(store: &Store, packs: &[PackId], most: u64, task: &Task) -> Result<()> {
    for (slot, _) in (0..).zip(store.pack_ids()).filter(|(_, id)| packs.contains(id)) {
        for (id, n) in lists_in(store.pack(slot)?)? {
            let block = store.pack(slot)?.index.block(n)?;
            if block.raw_len > most {
                let detail = format!("it claims {} bytes, more than this disk has", block.raw_len);
                return Err(Error::corrupt("blob", id, detail));
            }
            store.verify_list_in(slot, &id, task)?;
        }
    }
    Ok(())
}

/// The blobs that are stored as lists in a pack, each with the number of its block.
fn lists_in(pack: &Pack) -> Result<Vec<(Hash, u32)>> {
    let mut lists = Vec::new();
    for n in 0..pack.index.objects() {
        let (place, block) = pack.index.place(n)?;
        if block.encoding == Encoding::List {
            lists.push((pack.index.id(n), place.block));
        }
    }
    Ok(lists)
}
