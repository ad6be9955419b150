//! Copying blocks as they are stored, so that everything they are coded against is there too.
//!
//! A block that is coded against others is copied after these: from wherever their copies of least
//! depth are. What cannot be brought along that way is stored by itself. So what was copied can be
//! decoded with what the receiver has, whatever order the blocks come in; but lists come last, because
//! nothing can be coded against an object that is there as a list.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use crate::codec::Encoding;
use crate::effort::SMALL;
use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::pack::Stored;
use crate::store::blocks::{Blocks, Members, WholeBlock};
use crate::store::{Chain, MAX_DEPTH, Store};
use crate::writer::{Form, StoreWriter};

/// Copies blocks into a writer. Shared between threads by reference.
pub(crate) struct Copier<'a> {
    writer: &'a StoreWriter<'a>,
    /// Where bases are that have to come along.
    nearest: &'a Store,
    /// The packs that bases were brought from. Held while a block with bases is copied: of two blocks
    /// that are each coded against the other only one may be.
    turn: Mutex<Opened<'a>>,
}

/// Packs by their number in the store.
type Opened<'a> = HashMap<usize, Blocks<'a>>;

impl<'a> Copier<'a> {
    pub(crate) fn new(writer: &'a StoreWriter<'a>, nearest: &'a Store) -> Copier<'a> {
        Copier { writer, nearest, turn: Mutex::default() }
    }

    /// Copies the objects of a block that are wanted and that the writer lacks.
    ///
    /// # Errors
    /// `Corrupt` if an object does not match its id, `Io`.
    pub(crate) fn copy(
        &self,
        block: &WholeBlock,
        members: &Members,
        wanted: &dyn Fn(&Hash) -> bool,
    ) -> Result<()> {
        if block.bases.is_empty() {
            let fresh = self.fresh(block, members, wanted);
            return if fresh.is_empty() {
                Ok(())
            } else {
                self.writer.copy_block(block, members, &fresh)
            };
        }
        let mut opened = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let depth = self.nearest.depth_over(&block.bases);
        for (id, _) in members.iter().filter(|(id, _)| wanted(id)) {
            // A copy that needs fewer others is taken instead.
            if self.nearest.chain(id).is_some_and(|chain| chain.depth < depth) {
                self.bring(id, wanted, MAX_DEPTH, &mut opened)?;
            }
        }
        self.copy_after_bases(block, members, wanted, MAX_DEPTH, &mut opened)
    }

    /// Whether the receiver has an object of a block: if it is no list, then whole, and needing no more
    /// others than where it is taken from, for other objects there may be coded against it.
    pub(crate) fn there(&self, id: &Hash, form: Form) -> bool {
        if form == Form::List {
            return self.writer.has(id);
        }
        let deeper = |there: Chain| {
            let here = self.nearest.chain(id).map_or(MAX_DEPTH, |here| here.depth);
            there.depth > here
        };
        self.writer.took_whole(id)
            || self.writer.store().chain(id).is_some_and(|there| !deeper(there))
    }

    fn fresh(
        &self,
        block: &WholeBlock,
        members: &Members,
        wanted: &dyn Fn(&Hash) -> bool,
    ) -> Members {
        let form = form(block.encoding);
        let takes = |id: &Hash| wanted(id) && !self.there(id, form) && self.writer.take(id, form);
        members.iter().filter(|(id, _)| takes(id)).cloned().collect()
    }

    /// `left` is how many blocks deep bases may still be brought along.
    fn copy_after_bases(
        &self,
        block: &WholeBlock,
        members: &Members,
        wanted: &dyn Fn(&Hash) -> bool,
        left: u32,
        opened: &mut Opened<'a>,
    ) -> Result<()> {
        let mut along = true;
        for base in &block.bases {
            let fits = |chain: Chain| chain.depth < MAX_DEPTH;
            along = along
                && self.bring(base, wanted, left, opened)?
                && self.writer.chain(base).is_none_or(fits);
        }
        let fresh = self.fresh(block, members, wanted);
        if fresh.is_empty() {
            return Ok(());
        }
        if along {
            self.writer.copy_block(block, members, &fresh)
        } else {
            self.writer.put_apart(block, &fresh)
        }
    }

    /// Makes sure that the receiver has an object; says whether it does. What else is wanted of its
    /// block comes along, so that blocks that several objects share stay what they are.
    fn bring(
        &self,
        id: &Hash,
        wanted: &dyn Fn(&Hash) -> bool,
        left: u32,
        opened: &mut Opened<'a>,
    ) -> Result<bool> {
        if self.there(id, Form::Whole) {
            return Ok(true);
        }
        let Some(left) = left.checked_sub(1) else { return Ok(false) };
        let (block, members) = match self.sound_block(id, opened) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            Err(e @ (Error::Cancelled | Error::Remote { .. })) => return Err(e),
            // What cannot be read is not brought along.
            Err(_) => return Ok(false),
        };
        let wanted = |member: &Hash| member == id || wanted(member);
        self.copy_after_bases(&block, &members, &wanted, left, opened)?;
        Ok(self.writer.took_whole(id))
    }

    /// The best block of an object, if it is sound there: only then may it be claimed.
    fn sound_block(
        &self,
        id: &Hash,
        opened: &mut Opened<'a>,
    ) -> Result<Option<(WholeBlock, Members)>> {
        let Some((slot, number)) = self.nearest.block_of(id)? else { return Ok(None) };
        let blocks = match opened.entry(slot) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Blocks::of(self.nearest, slot)?),
        };
        let (block, members) = (blocks.read(number)?, blocks.members(number)?);
        let sound = members.iter().any(|(member, range)| member == id && block.has(id, range));
        Ok(sound.then_some((block, members)))
    }
}

impl StoreWriter<'_> {
    /// Copies the `fresh` ones of a block's objects, which this writer has claimed. The block is taken
    /// as it is when that carries nothing else; small objects come to share other blocks.
    ///
    /// # Errors
    /// `Corrupt` if an object does not match its id, `Io`.
    pub(crate) fn copy_block(
        &self,
        block: &WholeBlock,
        members: &Members,
        fresh: &Members,
    ) -> Result<()> {
        let all = fresh.len() == members.len();
        let shares =
            matches!(block.encoding, Encoding::Raw | Encoding::Zstd) && block.raw().len() < SMALL;
        if block.encoding != Encoding::List && (!all || shares) {
            return self.put_apart(block, fresh);
        }
        check(block, fresh)?;
        let members: Vec<_> = fresh.iter().map(|(id, range)| (*id, at32(range.start))).collect();
        let form = Stored {
            kind: block.kind,
            encoding: block.encoding,
            bytes: &block.stored,
            raw_len: block.raw_len,
            bases: &block.bases,
        };
        self.append_stored(&form, &members)
    }

    /// Stores objects of a block, which this writer has claimed, without the block's other ones.
    ///
    /// # Errors
    /// `Corrupt` if an object does not match its id, `Io`.
    pub(crate) fn put_apart(&self, block: &WholeBlock, fresh: &Members) -> Result<()> {
        check(block, fresh)?;
        fresh.iter().try_for_each(|(id, range)| {
            self.put_claimed(block.kind, *id, block.raw().get(range.clone()).unwrap_or_default())
        })
    }
}

pub(crate) fn form(encoding: Encoding) -> Form {
    if encoding == Encoding::List { Form::List } else { Form::Whole }
}

fn check(block: &WholeBlock, members: &Members) -> Result<()> {
    match members.iter().find(|(id, range)| !block.has(id, range)) {
        Some((id, _)) => Err(Error::corrupt("object", id, "its bytes do not match its id")),
        None => Ok(()),
    }
}

fn at32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
