//! [`probe`]: whether a place keeps the promise that everything here rests on, that of any number of
//! racing [`Transport::create`] one wins. Some servers accept the condition and ignore it; two people
//! who push at once to such a place overwrite each other without a word.

use crate::error::{Error, Fault, Result};
use crate::hash::{Nonce, Nonces, nonce_hex};
use crate::transport::Transport;

/// How many race for one name.
const RACERS: usize = 8;

/// Bytes of what is written.
const LEN: usize = 64;

/// Tries out a place with a few small objects under `tmp/`, which are deleted again; nothing else is
/// written. Ten creates, a few reads and two deletions.
///
/// # Errors
/// `Remote` with [`Fault::Unfit`] when it does not keep its promises, and whatever else goes wrong.
pub fn probe(transport: &dyn Transport, nonces: &Nonces) -> Result<()> {
    let (twice, raced) = (fresh_name(nonces), fresh_name(nonces));
    let outcome = create_twice(transport, nonces, &twice)
        .and_then(|()| read_parts(transport, &twice))
        .and_then(|()| race(transport, nonces, &raced));
    let cleared = transport.delete(&twice).and(transport.delete(&raced));
    outcome.and(cleared)
}

fn fresh_name(nonces: &Nonces) -> String {
    format!("tmp/probe-{}", nonce_hex(&nonces.next()))
}

/// What is written with a nonce: bytes that nobody else writes.
fn content(nonce: &Nonce) -> Vec<u8> {
    nonce.iter().copied().cycle().take(LEN).collect()
}

/// The place is of no use, and why.
fn unfit(transport: &dyn Transport, what: &str) -> Error {
    let detail = format!("it does not honour {}: {what}", transport.condition());
    Error::Remote { url: transport.address(), fault: Fault::Unfit, detail }
}

/// Creates, and tells whether that won. The answer to a try that worked may get lost or say that the
/// name is taken: what is there then decides.
fn create(transport: &dyn Transport, name: &str, nonce: &Nonce) -> Result<bool> {
    let outcome = transport.create(name, &content(nonce), nonce);
    let Err(failed) = outcome else { return Ok(true) };
    match (transport.read(name, LEN as u64), failed) {
        (Ok(found), _) => Ok(found == content(nonce)),
        (Err(Error::Absent { .. }), Error::Exists { .. }) => Ok(false),
        // Nothing was learnt: that it cannot be read says more than that it is taken.
        (Err(unreadable), Error::Exists { .. }) => Err(unreadable),
        (_, failed) => Err(failed),
    }
}

fn create_twice(transport: &dyn Transport, nonces: &Nonces, name: &str) -> Result<()> {
    let (first, second) = (nonces.next(), nonces.next());
    if !create(transport, name, &first)? {
        return Err(unfit(transport, "a name that nobody uses was refused"));
    }
    if create(transport, name, &second)? {
        return Err(unfit(transport, "a name that was taken could be created again"));
    }
    if transport.read(name, LEN as u64)? != content(&first) {
        return Err(unfit(transport, "a refused write replaced what was there"));
    }
    Ok(())
}

/// Reads parts of what is there, in both ways.
fn read_parts(transport: &dyn Transport, name: &str) -> Result<()> {
    let whole = transport.read(name, LEN as u64)?;
    let (middle, end) = (transport.read_range(name, 5, 20)?, transport.read_end(name, 7)?);
    if whole.get(5..25) == Some(&middle)
        && whole.get(LEN - 7..) == Some(&end.0)
        && end.1 == whole.len() as u64
    {
        return Ok(());
    }
    let detail = "it does not honour ranges: a part of an object is not what the whole has there";
    Err(Error::Remote { url: transport.address(), fault: Fault::Unfit, detail: detail.to_owned() })
}

fn race(transport: &dyn Transport, nonces: &Nonces, name: &str) -> Result<()> {
    let racers: Vec<Nonce> = (0..RACERS).map(|_| nonces.next()).collect();
    let start = std::sync::Barrier::new(RACERS);
    let outcomes: Vec<Result<bool>> = std::thread::scope(|scope| {
        let threads: Vec<_> = racers
            .iter()
            .map(|nonce| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    create(transport, name, nonce)
                })
            })
            .collect();
        let joined = threads.into_iter().map(|t| t.join());
        joined.map(|end| end.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut winners = Vec::new();
    for (nonce, outcome) in racers.iter().zip(outcomes) {
        if outcome? {
            winners.push(nonce);
        }
    }
    // A conflict may make all lose; then the name is free, and the next one gets it.
    if winners.is_empty() && !create(transport, name, &racers[0])? {
        return Err(unfit(transport, "of several who created one name nobody won"));
    }
    let winner = match winners.as_slice() {
        [] => &racers[0],
        [winner] => winner,
        several => {
            let what = format!("of several who created one name {} won", several.len());
            return Err(unfit(transport, &what));
        }
    };
    if transport.read(name, LEN as u64)? != content(winner) {
        return Err(unfit(transport, "the bytes of the one who won are not there"));
    }
    Ok(())
}
