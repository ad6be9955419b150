//! The chain of state records: how a repository changes, and how its past is read.
//!
//! Each record is an object named `state/<generation>`, twenty digits, that names the hash of the
//! one before. Creating the name of the next generation is the only compare-and-swap there is:
//! of two writers one creates it, the other gets [`Error::LostRace`], reads again and decides anew.
//!
//! Race: a create that reports a failure may have worked (a lost reply, a retry inside the
//! transport that met its own first try). So after *any* failure the name is read back, and the
//! writer's nonce tells whose record it is. One failure is not forgiven: a record that is there but
//! whose directory could not be synced may vanish in a power cut, and success was not yet earned.
//!
//! A listing may lag, and old records are deleted from the front in time. So the newest record is
//! found by walking forward from the newest that is listed until there is none.

use mv_store::{Hash, Transport};

use crate::error::{Error, Result};
use crate::state::State;
use crate::wire::record_hash;

/// The generation of a repository's first record.
pub const FIRST: u64 = 1;
/// The prefix of the names.
const PREFIX: &str = "state";
/// How far a hint may lag before a listing is cheaper than walking.
const WALK: u64 = 32;
/// Records that are never deleted, counted from the newest.
pub const KEPT: u64 = 64;
/// How often a name is tried that is said to be taken and yet is not there.
const TRIES: usize = 3;

/// A state and the hash of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What was recorded.
    pub state: State,
    /// The BLAKE3 of the record's bytes, which the next record names.
    pub hash: Hash,
}

/// Something wrong with the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The record's name.
    pub name: String,
    /// What is wrong.
    pub detail: String,
}

/// The name of a generation's record.
#[must_use]
pub fn name_of(generation: u64) -> String {
    format!("{PREFIX}/{generation:020}")
}

/// Reads the record of a generation.
///
/// # Errors
/// `Absent` when there is none; [`Error::Corrupt`], [`Error::Unsupported`], `Io`.
pub fn read(transport: &dyn Transport, generation: u64) -> Result<Record> {
    let name = name_of(generation);
    let bytes = transport.read(&name, State::CAP)?;
    let record = Record { state: State::decode(&bytes, &name)?, hash: record_hash(&bytes) };
    if record.state.generation == generation {
        Ok(record)
    } else {
        let detail = format!("it says that it is generation {}", record.state.generation);
        Err(Error::corrupt("state record", name, detail))
    }
}

/// The generations that are listed, ascending. Other names below `state/` are passed over.
///
/// # Errors
/// `Io`.
pub fn generations(transport: &dyn Transport) -> Result<Vec<u64>> {
    let mut found: Vec<u64> =
        transport.list(PREFIX)?.iter().filter_map(|n| generation_of(n)).collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The generation that a name spells in the one canonical way.
fn generation_of(name: &str) -> Option<u64> {
    let digits = name.rsplit('/').next()?;
    let canonical = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if canonical { digits.parse().ok() } else { None }
}

/// Reads the newest record. A hint is a generation that was once the newest: with a good one there
/// is no listing.
///
/// # Errors
/// `Absent` when there is no record at all; those of [`read`].
pub fn newest(transport: &dyn Transport, hint: Option<u64>) -> Result<Record> {
    if let Some(hint) = hint
        && exists(transport, hint)?
        && let Some(generation) = walk_forward(transport, hint, Some(WALK))?
    {
        return read(transport, generation);
    }
    // A listing that lags behind a deletion may end with names that are gone.
    for generation in generations(transport)?.into_iter().rev() {
        if exists(transport, generation)? {
            let newest = walk_forward(transport, generation, None)?.unwrap_or(generation);
            return read(transport, newest);
        }
    }
    // One that lags behind the very first record is empty.
    if exists(transport, FIRST)? {
        let newest = walk_forward(transport, FIRST, None)?.unwrap_or(FIRST);
        return read(transport, newest);
    }
    Err(mv_store::Error::Absent { name: PREFIX.to_owned() }.into())
}

/// Reads the newest record of a chain of which an earlier record was seen before, and makes sure that
/// the chain still continues it: two requests when nothing is new.
///
/// # Errors
/// [`Error::Rewritten`] when the chain went backwards, or is another one; `Absent` when there is no
/// record at all any more; those of [`read`].
pub fn newest_since(transport: &dyn Transport, generation: u64, hash: &Hash) -> Result<Record> {
    let rewritten = |detail: String| Err(Error::Rewritten { detail });
    let mut newest = match read(transport, generation) {
        Ok(seen) if seen.hash == *hash => seen,
        Ok(_) => return rewritten(format!("generation {generation} is not what it was")),
        Err(Error::Store(mv_store::Error::Absent { .. })) => {
            // The oldest records are deleted in time, when there are many newer ones.
            return match newest(transport, None) {
                Ok(found) if found.state.generation >= generation.saturating_add(KEPT) => Ok(found),
                Ok(found) => rewritten(format!(
                    "generation {generation} was seen and is gone; the newest is {}",
                    found.state.generation
                )),
                Err(e) => Err(e),
            };
        }
        Err(e) => return Err(e),
    };
    for _ in 0..WALK {
        let next = match read(transport, newest.state.generation.saturating_add(1)) {
            Err(Error::Store(mv_store::Error::Absent { .. })) => return Ok(newest),
            other => other?,
        };
        if next.state.previous != newest.hash || next.state.repository != newest.state.repository {
            let name = name_of(next.state.generation);
            return Err(Error::corrupt(
                "state record",
                name,
                "it does not follow the one before it",
            ));
        }
        newest = next;
    }
    self::newest(transport, Some(newest.state.generation))
}

fn exists(transport: &dyn Transport, generation: u64) -> Result<bool> {
    Ok(transport.size(&name_of(generation))?.is_some())
}

/// The last generation of the unbroken run that begins at `from`; none when it is further than
/// `most` steps away.
fn walk_forward(transport: &dyn Transport, from: u64, most: Option<u64>) -> Result<Option<u64>> {
    let mut newest = from;
    while let Some(next) = newest.checked_add(1) {
        if !exists(transport, next)? {
            return Ok(Some(newest));
        }
        if most.is_some_and(|most| next - from > most) {
            return Ok(None);
        }
        newest = next;
    }
    Ok(Some(newest))
}

/// Records `next` as the generation after `before`.
///
/// The generation, the link and the repository's id are filled in; so is the cursor when it is 0
/// or points past `before`, which means "itself". After a lost race `next` must be made anew from
/// the newest record, not handed in again: its refs and packs are those of the old one. Each call
/// needs a nonce of its own.
///
/// # Errors
/// [`Error::LostRace`] when another writer was first; [`Error::Invalid`]; the transport's error
/// when nothing was recorded, or when it was recorded but may not survive a power cut.
pub fn append(transport: &dyn Transport, before: &Record, mut next: State) -> Result<Record> {
    let generation = before.state.generation.checked_add(1);
    next.generation =
        generation.ok_or_else(|| Error::invalid("generation", "there is no next one"))?;
    next.previous = before.hash;
    next.repository = before.state.repository;
    if next.cursor == 0 || next.cursor > before.state.generation {
        next.cursor = next.generation;
    }
    if next.nonce == before.state.nonce {
        return Err(Error::invalid("nonce", "it was used for the record before"));
    }
    create(transport, next)
}

/// Records the first state of a repository.
///
/// # Errors
/// As [`append`]; [`Error::LostRace`] when there is a first record already.
pub fn create_first(transport: &dyn Transport, mut state: State) -> Result<Record> {
    state.generation = FIRST;
    state.previous = Hash::ZERO;
    state.cursor = FIRST;
    state.before = 0;
    create(transport, state)
}

fn create(transport: &dyn Transport, state: State) -> Result<Record> {
    let generation = state.generation;
    let name = name_of(generation);
    let bytes = state.encode()?;
    for _ in 0..TRIES {
        let Err(failure) = transport.create(&name, &bytes, &state.nonce) else {
            return Ok(Record { hash: record_hash(&bytes), state });
        };
        if matches!(failure, mv_store::Error::Invalid { .. } | mv_store::Error::Unsupported { .. })
        {
            // Refused before anything was tried.
            return Err(failure.into());
        }
        match transport.read(&name, State::CAP) {
            Ok(found) if found == bytes => {
                return match failure {
                    failure if is_not_durable(&failure) => Err(failure.into()),
                    _ => Ok(Record { hash: record_hash(&bytes), state }),
                };
            }
            Ok(found) => return Err(judge(&found, &state, &name)),
            // Said to be taken, yet not there: the same bytes may be tried again, since whichever
            // attempt arrives first is the same record. S3 answers so to overlapping requests.
            Err(mv_store::Error::Absent { .. })
                if matches!(failure, mv_store::Error::Exists { .. }) => {}
            // Not done, and known not to be.
            Err(mv_store::Error::Absent { .. }) => return Err(failure.into()),
            // Unknown: the failure that came first says more.
            Err(unreadable) => {
                return Err(if matches!(failure, mv_store::Error::Exists { .. }) {
                    unreadable.into()
                } else {
                    failure.into()
                });
            }
        }
    }
    Err(Error::LostRace { generation })
}

/// What it means that other bytes than ours are there.
fn judge(found: &[u8], ours: &State, name: &str) -> Error {
    match State::decode(found, name) {
        Ok(theirs) if theirs.nonce == ours.nonce => {
            Error::corrupt("state record", name, "it has this writer's nonce and other content")
        }
        Ok(_) => Error::LostRace { generation: ours.generation },
        Err(damage) => damage,
    }
}

/// A directory's entry that was made and could not be synced. See the top of this file.
fn is_not_durable(failure: &mv_store::Error) -> bool {
    match failure {
        mv_store::Error::Io { action, .. } => {
            action.contains("sync") || *action == "open directory"
        }
        mv_store::Error::Remote { fault, .. } => *fault == mv_store::Fault::NotDurable,
        _ => false,
    }
}

/// The records from `newest` back to the oldest that is kept, each checked against the link that
/// the later one holds.
#[must_use]
pub fn history<'a>(transport: &'a dyn Transport, newest: &State) -> History<'a> {
    History { transport, next: earlier(newest) }
}

/// Iterator of [`history`]: the records *before* the given one, newest first.
pub struct History<'a> {
    transport: &'a dyn Transport,
    /// The generation to read next and the hash it must have.
    next: Option<(u64, Hash, [u8; 16])>,
}

fn earlier(state: &State) -> Option<(u64, Hash, [u8; 16])> {
    (state.generation > FIRST).then(|| (state.generation - 1, state.previous, state.repository))
}

impl Iterator for History<'_> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        let (generation, hash, repository) = self.next.take()?;
        match read(self.transport, generation) {
            // The oldest records are deleted in time.
            Err(Error::Store(mv_store::Error::Absent { .. })) => None,
            Err(other) => Some(Err(other)),
            Ok(record) if record.hash != hash || record.state.repository != repository => {
                let detail = "it is not the record that the next one follows";
                Some(Err(Error::corrupt("state record", name_of(generation), detail)))
            }
            Ok(record) => {
                self.next = earlier(&record.state);
                Some(Ok(record))
            }
        }
    }
}

/// Reads every record that is kept and reports all that is wrong: damage, gaps, broken links, a
/// change of the repository's id. Holds one record at a time.
///
/// # Errors
/// `Remote` when nobody answers, which says nothing about the chain.
pub fn verify(transport: &dyn Transport) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let mut listed = match generations(transport) {
        Ok(listed) => listed,
        Err(e) => {
            let detail = answered(e)?.to_string();
            return Ok(vec![Problem { name: PREFIX.to_owned(), detail }]);
        }
    };
    if let Some(last) = listed.last().copied() {
        match walk_forward(transport, last, None) {
            Ok(newest) => {
                listed.extend(newest.into_iter().flat_map(|newest| (last..=newest).skip(1)));
            }
            Err(e) => {
                let detail = answered(e)?.to_string();
                problems.push(Problem { name: name_of(last), detail });
            }
        }
    } else {
        problems.push(Problem { name: PREFIX.to_owned(), detail: "there is no record".to_owned() });
    }
    let mut before: Option<Record> = None;
    let mut expected = None;
    for generation in listed {
        let mut report =
            |detail: String| problems.push(Problem { name: name_of(generation), detail });
        if let Some(expected) = expected
            && generation != expected
        {
            report(format!(
                "the record before it is missing, and so is all since generation {expected}"
            ));
            before = None;
        }
        expected = generation.checked_add(1);
        match read(transport, generation) {
            Err(e) => {
                report(answered(e)?.to_string());
                before = None;
            }
            Ok(record) => {
                if let Some(before) = &before {
                    if record.state.previous != before.hash {
                        report("it does not follow the record before it".to_owned());
                    }
                    if record.state.repository != before.state.repository {
                        report("it belongs to another repository".to_owned());
                    }
                }
                before = Some(record);
            }
        }
    }
    Ok(problems)
}

/// An error that tells of what is there, not that nobody could tell.
fn answered(error: Error) -> Result<Error> {
    match error {
        Error::Store(mv_store::Error::Remote { .. }) => Err(error),
        other => Ok(other),
    }
}

#[cfg(test)]
mod tests;
