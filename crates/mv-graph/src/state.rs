//! [`State`]: everything about a repository that changes, as one immutable record.
//!
//! ```text
//! repository        16 bytes                   drawn once, the same in every record
//! generation        varint                     1, 2, 3 …; also in the record's name
//! previous          32 bytes                   BLAKE3 of the previous record's bytes; zero in the first
//! head              0 branch name | 1 id
//! branches          count x { name, id }                                     ascending by name
//! tags              count x { name, option id, message, person, time }       ascending by name
//! stages            count x { name, id or zeros, ledger id }                 ascending by name
//! tracking          count x { remote, branch, id }                           ascending by both
//! remotes           count x { remote, generation, record hash }              ascending by remote
//! packs             count x 32 bytes                                         ascending
//! condemned         count x { pack, since time, generation }                 ascending by pack
//! deleting          as condemned
//! nonce             16 bytes                   tells a writer its own record from another's
//! time, actor       time; option person
//! operation         text of one line           `commit`, `checkout v1.0.0` …
//! cursor, before    varints                    see the fields
//! redo              count x varint             newest last
//! saved             option id
//! touched_worktree  bool
//! ```
//!
//! The framing around it, with a checksum at the end, is in `wire.rs`. Limits: 16 MiB, 100,000 refs.

use std::collections::HashSet;

use mv_store::{Hash, Nonce, PackId};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::line::{check_line, to_line};
use crate::person::Person;
use crate::refs::{Branch, Head, RefName, RemoteSeen, Retired, Stage, Tag, Tracking};
use crate::time::Time;
use crate::wire::{self, Wire};

/// Branches, tags, stages and tracked branches of one record, together.
pub const MAX_REFS: usize = 100_000;
/// Bytes of an operation's line.
const MAX_OPERATION: usize = 1024;
/// Undone operations that can be redone.
const MAX_REDO: usize = 10_000;

/// One generation of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The repository's id.
    pub repository: [u8; 16],
    /// The number of this record; the first is 1.
    pub generation: u64,
    /// The hash of the previous record's bytes; zero in the first.
    pub previous: Hash,
    /// Where the working tree stands.
    pub head: Head,
    /// Ascending by name.
    pub branches: Vec<Branch>,
    /// Ascending by name; tombstones included.
    pub tags: Vec<Tag>,
    /// Ascending by name.
    pub stages: Vec<Stage>,
    /// Ascending by remote, then branch.
    pub tracking: Vec<Tracking>,
    /// Ascending by remote.
    pub remotes: Vec<RemoteSeen>,
    /// The live packs, ascending.
    pub packs: Vec<PackId>,
    /// Packs that new objects must not rely on; readers still may. Ascending.
    pub condemned: Vec<Retired>,
    /// Packs that are being deleted. Ascending.
    pub deleting: Vec<Retired>,
    /// Drawn by the writer.
    pub nonce: Nonce,
    /// When it was written.
    pub time: Time,
    /// Who wrote it, if somebody did.
    pub actor: Option<Person>,
    /// What was done, in one line.
    #[serde(deserialize_with = "wire::text")]
    pub operation: String,
    /// The generation whose refs and head this record equals: its own, unless undo or redo made it.
    pub cursor: u64,
    /// The cursor that a normal operation started from; 0 in the first record.
    pub before: u64,
    /// Cursors that `redo` goes to, the next one last.
    pub redo: Vec<u64>,
    /// A version that holds what a forced operation overwrote.
    pub saved: Option<Hash>,
    /// Whether the operation changed working files.
    pub touched_worktree: bool,
}

impl Wire for State {
    const MAGIC: [u8; 4] = *b"MVst";
    const WHAT: &'static str = "state record";
    const CAP: usize = 16 << 20;
    const SEALED: bool = true;

    fn validate(&self) -> Result<()> {
        State::validate(self)
    }
}

impl State {
    /// Bytes of the longest record.
    pub const CAP: u64 = <State as Wire>::CAP as u64;

    /// The state of a new repository, on a branch that does not exist yet.
    #[must_use]
    pub fn first(repository: [u8; 16], branch: RefName, nonce: Nonce, time: Time) -> State {
        State {
            repository,
            generation: 1,
            previous: Hash::ZERO,
            head: Head::Branch(branch),
            branches: Vec::new(),
            tags: Vec::new(),
            stages: Vec::new(),
            tracking: Vec::new(),
            remotes: Vec::new(),
            packs: Vec::new(),
            condemned: Vec::new(),
            deleting: Vec::new(),
            nonce,
            time,
            actor: None,
            operation: "init".to_owned(),
            cursor: 1,
            before: 0,
            redo: Vec::new(),
            saved: None,
            touched_worktree: false,
        }
    }

    /// A copy to change into the next record of a normal operation: nothing to redo, nothing saved,
    /// the cursor on itself. `chain::append` fills in the generation and the link.
    #[must_use]
    pub fn next(&self, operation: &str, nonce: Nonce, time: Time, actor: Option<Person>) -> State {
        let generation = self.generation.saturating_add(1);
        State {
            generation,
            nonce,
            time,
            actor,
            operation: to_line(operation, MAX_OPERATION),
            cursor: generation,
            before: self.cursor,
            redo: Vec::new(),
            saved: None,
            touched_worktree: false,
            ..self.clone()
        }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// What [`State::validate`] refuses, and more than 16 MiB.
    pub fn encode(&self) -> Result<Vec<u8>> {
        wire::encode(self)
    }

    /// The state of canonical bytes; `name` is for errors.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`].
    pub fn decode(bytes: &[u8], name: &str) -> Result<State> {
        wire::decode(bytes, || name.to_owned())
    }

    /// The version that the working tree is based on; none before the first commit.
    #[must_use]
    pub fn head_target(&self) -> Option<Hash> {
        match &self.head {
            Head::Branch(name) => self.branch(name.as_str()).map(|b| b.target),
            Head::Detached(id) => Some(*id),
        }
    }

    /// The branch that HEAD is on, existing or not.
    #[must_use]
    pub fn head_branch(&self) -> Option<&RefName> {
        match &self.head {
            Head::Branch(name) => Some(name),
            Head::Detached(_) => None,
        }
    }

    /// The branch of this name.
    #[must_use]
    pub fn branch(&self, name: &str) -> Option<&Branch> {
        find(&self.branches, |b| b.name.as_str().cmp(name))
    }

    /// The tag of this name, tombstones included.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&Tag> {
        find(&self.tags, |t| t.name.as_str().cmp(name))
    }

    /// The stage of this name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        find(&self.stages, |s| s.name.as_str().cmp(name))
    }

    /// What was seen of a remote's branch.
    #[must_use]
    pub fn tracked(&self, remote: &str, branch: &str) -> Option<&Tracking> {
        find(&self.tracking, |t| (t.remote.as_str(), t.branch.as_str()).cmp(&(remote, branch)))
    }

    /// What was seen of a remote.
    #[must_use]
    pub fn remote(&self, name: &str) -> Option<&RemoteSeen> {
        find(&self.remotes, |r| r.remote.as_str().cmp(name))
    }

    /// Makes or moves a branch, keeping the order.
    pub fn set_branch(&mut self, name: RefName, target: Hash) {
        let place = self.branches.binary_search_by(|b| b.name.cmp(&name));
        set(&mut self.branches, place, Branch { name, target });
    }

    /// Removes a branch; none when there is no such branch.
    pub fn remove_branch(&mut self, name: &str) -> Option<Branch> {
        let place = self.branches.binary_search_by(|b| b.name.as_str().cmp(name)).ok()?;
        Some(self.branches.remove(place))
    }

    /// Makes or replaces a tag, keeping the order. Whether it may be replaced is the caller's rule.
    pub fn set_tag(&mut self, tag: Tag) {
        let place = self.tags.binary_search_by(|t| t.name.cmp(&tag.name));
        set(&mut self.tags, place, tag);
    }

    /// Removes a tag without a tombstone; none when there is no such tag.
    pub fn remove_tag(&mut self, name: &str) -> Option<Tag> {
        let place = self.tags.binary_search_by(|t| t.name.as_str().cmp(name)).ok()?;
        Some(self.tags.remove(place))
    }

    /// Makes or moves a stage, keeping the order. Its ledger is the caller's business.
    pub fn set_stage(&mut self, stage: Stage) {
        let place = self.stages.binary_search_by(|s| s.name.cmp(&stage.name));
        set(&mut self.stages, place, stage);
    }

    /// Adds live packs, keeping the order; one that is there already stays once.
    pub fn add_packs(&mut self, packs: &[PackId]) {
        self.packs.extend_from_slice(packs);
        self.packs.sort_unstable();
        self.packs.dedup();
    }

    /// Every version that the head, a ref or a saved state names, sorted, each once. What the ledgers
    /// of stages name beside that is in [`crate::reach::Ledgers`].
    #[must_use]
    pub fn targets(&self) -> Vec<Hash> {
        let head = match &self.head {
            Head::Detached(id) => Some(*id),
            Head::Branch(_) => None,
        };
        let mut targets: Vec<Hash> = head
            .into_iter()
            .chain(self.branches.iter().map(|b| b.target))
            .chain(self.tags.iter().filter_map(|t| t.target))
            .chain(self.stages.iter().filter_map(|s| s.target))
            .chain(self.tracking.iter().map(|t| t.target))
            .chain(self.saved)
            .collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// Refuses every value that must not be recorded.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn validate(&self) -> Result<()> {
        let refused = |detail: &str| Err(Error::invalid("state", detail));
        if self.generation == 0 {
            return refused("generations begin at 1");
        }
        if (self.generation == 1) != (self.previous == Hash::ZERO) {
            return refused("the first record has no previous one, every other has");
        }
        if self.cursor == 0 || self.cursor > self.generation || self.before >= self.generation {
            return refused("its cursors point at no earlier record");
        }
        if self.redo.len() > MAX_REDO || self.redo.iter().any(|g| *g == 0 || *g >= self.generation)
        {
            return refused("its redo list points at no earlier record");
        }
        self.validate_refs()?;
        self.validate_packs()?;
        self.time.validate()?;
        self.actor.as_ref().map_or(Ok(()), Person::validate)?;
        if self.operation.is_empty() {
            return refused("its operation is empty");
        }
        check_line("operation", &self.operation, MAX_OPERATION)
    }

    fn validate_refs(&self) -> Result<()> {
        let refs = self.branches.len() + self.tags.len() + self.stages.len() + self.tracking.len();
        if refs > MAX_REFS {
            return Err(Error::invalid(
                "state",
                format!("it has {refs} refs, more than {MAX_REFS}"),
            ));
        }
        let sorted = wire::is_sorted(&self.branches, |b| &b.name)
            && wire::is_sorted(&self.tags, |t| &t.name)
            && wire::is_sorted(&self.stages, |s| &s.name)
            && wire::is_sorted(&self.remotes, |r| &r.remote)
            && self
                .tracking
                .windows(2)
                .all(|t| (&t[0].remote, &t[0].branch) < (&t[1].remote, &t[1].branch));
        if !sorted {
            return Err(Error::invalid("state", "its refs are not in strictly ascending order"));
        }
        for tag in &self.tags {
            tag.validate()?;
        }
        if self.stages.iter().any(|stage| stage.ledger == Hash::ZERO) {
            return Err(Error::invalid("state", "a stage has no ledger"));
        }
        if self.targets().first() == Some(&Hash::ZERO) {
            return Err(Error::invalid("state", "a ref points nowhere"));
        }
        let mut remotes =
            self.tracking.iter().map(|t| &t.remote).chain(self.remotes.iter().map(|r| &r.remote));
        if let Some(remote) = remotes.find(|r| r.as_str().contains('/')) {
            return Err(Error::invalid("remote name", format!("`{remote}` has a `/`")));
        }
        check_neighbours(self.branches.iter().map(|b| &b.name))?;
        check_neighbours(self.tags.iter().map(|t| &t.name))?;
        check_neighbours(self.stages.iter().map(|s| &s.name))?;
        self.tracking
            .chunk_by(|a, b| a.remote == b.remote)
            .try_for_each(|one| check_neighbours(one.iter().map(|t| &t.branch)))
    }

    fn validate_packs(&self) -> Result<()> {
        let sorted = wire::is_sorted(&self.packs, |p| p)
            && wire::is_sorted(&self.condemned, |r| &r.pack)
            && wire::is_sorted(&self.deleting, |r| &r.pack);
        if !sorted {
            return Err(Error::invalid("state", "its packs are not in strictly ascending order"));
        }
        let live = |pack: &PackId| self.packs.binary_search(pack).is_ok();
        let condemned =
            |pack: &PackId| self.condemned.binary_search_by(|r| r.pack.cmp(pack)).is_ok();
        for retired in self.condemned.iter().chain(&self.deleting) {
            retired.since.validate()?;
            if retired.generation > self.generation {
                return Err(Error::invalid("state", "a pack was retired by a later record"));
            }
            if live(&retired.pack) {
                return Err(Error::invalid(
                    "state",
                    format!("pack `{}` is live and retired", retired.pack),
                ));
            }
        }
        match self.deleting.iter().find(|r| condemned(&r.pack)) {
            Some(twice) => {
                Err(Error::invalid("state", format!("pack `{}` is retired twice", twice.pack)))
            }
            None => Ok(()),
        }
    }
}

fn find<T>(items: &[T], compare: impl Fn(&T) -> std::cmp::Ordering) -> Option<&T> {
    items.get(items.binary_search_by(compare).ok()?)
}

fn set<T>(items: &mut Vec<T>, place: std::result::Result<usize, usize>, item: T) {
    match place {
        Ok(place) => items[place] = item,
        Err(place) => items.insert(place, item),
    }
}

/// Refuses names that differ by case only, and a name that is a directory of another: both cannot
/// be files on some disks, and neither can be told apart when spoken.
fn check_neighbours<'a>(names: impl Iterator<Item = &'a RefName>) -> Result<()> {
    let mut seen = HashSet::new();
    let mut folded = Vec::new();
    for name in names {
        let lower = name.as_str().to_ascii_lowercase();
        if !seen.insert(lower.clone()) {
            return Err(Error::invalid(
                "ref name",
                format!("`{name}` differs from another by case only"),
            ));
        }
        folded.push((lower, name));
    }
    for (lower, name) in &folded {
        for (end, _) in lower.match_indices('/') {
            if seen.contains(&lower[..end]) {
                let detail =
                    format!("`{name}` lies below `{}`, which is a ref itself", &lower[..end]);
                return Err(Error::invalid("ref name", detail));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
