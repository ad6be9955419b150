//! The ledger of a stage: who gave the role to which version, when and why, for ever.
//!
//! Each move of a stage is one immutable object, a blob, that names the move before it. So a
//! ledger can only grow, and two that were moved apart show it: neither is the past of the other.
//!
//! ```text
//! stage      name              the same in every entry of a ledger
//! sequence   varint            1, 2, 3 …
//! previous   option id         the entry before; none in the first
//! from       option id         the version that played the role; equals `to` of the entry before
//! to         option id         the version that plays it from now on; none when nobody does
//! kind       enum              0 set, 1 rollback, 2 unset, 3 undo
//! by, at     person, time      who moved it, and when
//! reason     text              why, possibly empty; at most 16 KiB
//! ```
//!
//! The framing around it is in `wire.rs`, with the magic `MVld`. What one entry says of itself is
//! checked by [`LedgerEntry::validate`], what it says of the one before by [`walk`].

use mv_store::{Hash, Kind};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::objects::Objects;
use crate::person::Person;
use crate::refs::{RefName, Stage};
use crate::time::Time;
use crate::wire::{self, Wire};

/// Bytes of the longest reason.
pub const MAX_REASON: usize = 16 << 10;
/// Moves of one stage.
const MAX_SEQUENCE: u64 = 10_000_000;

/// How a stage came to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MoveKind {
    /// A version was given the role.
    Set,
    /// An earlier holder got it back.
    Rollback,
    /// It was taken from its holder and given to nobody.
    Unset,
    /// A move was undone.
    Undo,
}

impl MoveKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MoveKind::Set => "set",
            MoveKind::Rollback => "rollback",
            MoveKind::Unset => "unset",
            MoveKind::Undo => "undo",
        }
    }
}

/// One move of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The stage.
    pub stage: RefName,
    /// The number of the move; the first is 1.
    pub sequence: u64,
    /// The entry of the move before.
    pub previous: Option<Hash>,
    /// The version that played the role until then.
    pub from: Option<Hash>,
    /// The version that plays it from then on; none when nobody does.
    pub to: Option<Hash>,
    /// How it came to this.
    pub kind: MoveKind,
    /// Who moved it.
    pub by: Person,
    /// When.
    pub at: Time,
    /// Why; any text, possibly empty.
    #[serde(deserialize_with = "wire::text")]
    pub reason: String,
}

impl Wire for LedgerEntry {
    const MAGIC: [u8; 4] = *b"MVld";
    const WHAT: &'static str = "ledger entry";
    const CAP: usize = 32 << 10;
    const SEALED: bool = false;

    fn validate(&self) -> Result<()> {
        LedgerEntry::validate(self)
    }
}

impl LedgerEntry {
    /// The canonical bytes.
    ///
    /// # Errors
    /// What [`LedgerEntry::validate`] refuses.
    pub fn encode(&self) -> Result<Vec<u8>> {
        wire::encode(self)
    }

    /// The entry of canonical bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`].
    pub fn decode(bytes: &[u8]) -> Result<LedgerEntry> {
        wire::decode(bytes, wire::name_of(Kind::Blob, bytes))
    }

    /// Reads and decodes an entry.
    ///
    /// # Errors
    /// `Missing`, [`Error::Corrupt`], [`Error::Unsupported`], `Io`.
    pub fn read(objects: &dyn Objects, id: &Hash) -> Result<LedgerEntry> {
        LedgerEntry::decode(&objects.get(Kind::Blob, id, LedgerEntry::CAP as u64)?)
    }

    /// Refuses every entry that must not be stored.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        let refused = |detail: &str| Err(Error::invalid("ledger entry", detail));
        if self.sequence == 0 || self.sequence > MAX_SEQUENCE {
            return refused("its number is not between 1 and 10,000,000");
        }
        if (self.sequence == 1) != self.previous.is_none() {
            return refused("the first entry has none before it, every other has");
        }
        if self.sequence == 1 && self.from.is_some() {
            return refused("the first entry takes the role from nobody");
        }
        if [self.previous, self.from, self.to].contains(&Some(Hash::ZERO)) {
            return refused("an id in it is zero");
        }
        if self.from == self.to {
            return refused("it moves nothing");
        }
        let gives = match self.kind {
            MoveKind::Set | MoveKind::Rollback => self.to.is_some(),
            MoveKind::Unset => self.to.is_none(),
            MoveKind::Undo => true,
        };
        if !gives {
            return refused("what it is called is not what it does");
        }
        if self.reason.len() > MAX_REASON {
            return refused("its reason is longer than 16 KiB");
        }
        self.by.validate()?;
        self.at.validate()
    }
}

/// The moves of a stage, newest first, each checked against the one after it and the newest
/// against the stage itself. Ends after the first move, or after an error.
///
/// Costs one object a move and holds one at a time. It always ends: the numbers fall.
#[must_use]
pub fn walk<'a>(objects: &'a dyn Objects, stage: &'a Stage) -> Walk<'a> {
    let next = Next { id: stage.ledger, sequence: None, to: stage.target };
    Walk { objects, stage: &stage.name, next: Some(next) }
}

/// The move that was the last one at a time; none when the stage had not been moved by then.
///
/// # Errors
/// Those of [`walk`].
pub fn entry_at(
    objects: &dyn Objects,
    stage: &Stage,
    time: Time,
) -> Result<Option<(Hash, LedgerEntry)>> {
    walk(objects, stage)
        .find(|entry| entry.as_ref().map_or(true, |(_, entry)| entry.at.ns <= time.ns))
        .transpose()
}

/// Iterator of [`walk`]: ids and entries.
pub struct Walk<'a> {
    objects: &'a dyn Objects,
    stage: &'a RefName,
    next: Option<Next>,
}

/// The entry to read next and what it must say.
struct Next {
    id: Hash,
    /// None for the newest, which may have any number.
    sequence: Option<u64>,
    to: Option<Hash>,
}

impl Walk<'_> {
    fn read(&self, next: &Next) -> Result<LedgerEntry> {
        let entry = LedgerEntry::read(self.objects, &next.id)?;
        let corrupt = |detail: String| {
            Err(Error::Corrupt { what: "ledger entry", name: next.id.to_hex(), detail })
        };
        if entry.stage != *self.stage {
            return corrupt(format!("it is about `{}`, not about `{}`", entry.stage, self.stage));
        }
        if let Some(sequence) = next.sequence
            && entry.sequence != sequence
        {
            return corrupt(format!("it is number {}, not {sequence}", entry.sequence));
        }
        if entry.to != next.to {
            return corrupt("it leads to another version than the next one begins with".to_owned());
        }
        Ok(entry)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Hash, LedgerEntry)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next.take()?;
        let entry = match self.read(&next) {
            Ok(entry) => entry,
            Err(error) => return Some(Err(error)),
        };
        self.next = entry.previous.map(|id| Next {
            id,
            sequence: Some(entry.sequence.saturating_sub(1)),
            to: entry.from,
        });
        Some(Ok((next.id, entry)))
    }
}

#[cfg(test)]
mod tests;
