//! The mark that a checkout leaves while it works, and until its files are known to be on disk.
//!
//! Text, ending in the BLAKE3 of the lines before, in `.mv/worktree/checkout`:
//!
//! ```text
//! checkout
//! target <id>
//! done no | yes
//! after <generation>
//! boot <boot id>
//! operation <one line>
//! check <64 hex digits>
//! ```
//!
//! A mark that is not done means that working files may be of two versions. A done mark of another
//! boot means that files may have been lost with the power: an emptied file is then reported, not
//! taken for the user's work.

use mv_graph::Mode;
use mv_store::{Hash, Kind, fs as store_fs, id_of};

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::repo::Repo;
use crate::session::Session;
use crate::snapshot::Snapshot;
use crate::unfinished::Unfinished;
use crate::worktree::LARGE;

/// A checkout that is under way, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The version being put in place.
    pub(crate) target: Hash,
    /// Whether every file was written.
    pub(crate) done: bool,
    /// The generation at which it began: a later record with HEAD at the target is its own.
    pub(crate) after: u64,
    pub(crate) boot_id: String,
    pub(crate) operation: String,
}

impl Mark {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let done = if self.done { "yes" } else { "no" };
        let boot = self.boot_id.replace(char::is_control, " ");
        let operation = self.operation.replace(char::is_control, " ");
        let text = format!(
            "checkout\ntarget {}\ndone {done}\nafter {}\nboot {boot}\noperation {operation}\n",
            self.target, self.after
        );
        let check = id_of(Kind::Blob, text.as_bytes());
        format!("{text}check {check}\n").into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Mark> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines().skip(1);
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let target = Hash::from_hex(field("target")?)?;
        let done = field("done")? == "yes";
        let after = field("after")?.parse().ok()?;
        let boot_id = field("boot")?.to_owned();
        let operation = field("operation")?.to_owned();
        let mark = Mark { target, done, after, boot_id, operation };
        (mark.encode() == bytes).then_some(mark)
    }

    /// The mark that is there, if any. A damaged one stands for a checkout of which nothing is
    /// known but that it was cut off: `checkout --force` gets out of it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn read(repo: &Repo) -> Result<Option<Mark>> {
        match Mark::check(repo.layout()) {
            Err(Error::Store(e)) if e.is_corruption() => Ok(Some(Mark {
                target: Hash::ZERO,
                done: false,
                after: 0,
                boot_id: String::new(),
                operation: "checkout".to_owned(),
            })),
            other => other,
        }
    }

    /// The mark of the repository with this layout.
    ///
    /// # Errors
    /// As [`Mark::read`].
    pub(crate) fn check(layout: &Layout) -> Result<Option<Mark>> {
        let path = layout.checkout_mark();
        let Some(bytes) = store_fs::read_capped(&path, 64 << 10)? else { return Ok(None) };
        let bad = || {
            mv_store::Error::corrupt(
                "checkout mark",
                path.display(),
                "it does not match its check sum",
            )
        };
        Ok(Some(Mark::decode(&bytes).ok_or_else(bad)?))
    }

    /// Sets the mark, durably.
    pub(crate) fn set(&self, repo: &Repo, session: &Session) -> Result<()> {
        self.set_in(repo.layout(), session)
    }

    /// The same for a repository that is still being made.
    pub(crate) fn set_in(&self, layout: &Layout, session: &Session) -> Result<()> {
        let nonce = session.nonces.next();
        Ok(store_fs::replace(&layout.checkout_mark(), &self.encode(), &layout.tmp(), &nonce)?)
    }

    /// Turns the mark into one of a finished checkout, durably.
    pub(crate) fn finish(self, repo: &Repo, session: &Session) -> Result<()> {
        let layout = repo.layout();
        let done = Mark { done: true, ..self };
        let nonce = session.nonces.next();
        Ok(store_fs::replace(&layout.checkout_mark(), &done.encode(), &layout.tmp(), &nonce)?)
    }

    pub(crate) fn clear(repo: &Repo) -> Result<()> {
        Ok(store_fs::remove(&repo.layout().checkout_mark())?)
    }

    /// The mark if it still means something: an unfinished checkout, or a finished one of an
    /// earlier boot after which files are empty, or large ones missing, that were not.
    pub(crate) fn pending(repo: &Repo, session: &Session, now: &Snapshot) -> Result<Option<Mark>> {
        let Some(mark) = Mark::read(repo)? else { return Ok(None) };
        if !mark.done && mark.is_over(repo, now) {
            drop(mark.finish(repo, session));
            return Ok(None);
        }
        let lost = || Ok::<_, Error>(lost_content(now) || Unfinished::lost_content(repo, now)?);
        if !mark.done || (mark.boot_id != session.boot_id && lost()?) {
            return Ok(Some(mark));
        }
        if mark.boot_id != session.boot_id {
            // Everything survived that boot's end; what changes from now on is the user's work.
            drop(Mark::clear(repo));
        }
        Ok(None)
    }

    /// Whether only the mark is left of a checkout that was cut off: its record is published and
    /// the working tree is what the record says.
    fn is_over(&self, repo: &Repo, now: &Snapshot) -> bool {
        let state = repo.state();
        state.generation > self.after
            && state.head_target() == Some(self.target)
            && now.candidates.iter().all(|c| c.change().is_none())
    }

    /// Refuses to go on while a checkout is unfinished.
    pub(crate) fn refuse_pending(repo: &Repo, session: &Session, now: &Snapshot) -> Result<()> {
        match Mark::pending(repo, session, now)? {
            Some(mark) => Err(Error::Unfinished { what: mark.operation }),
            None => Ok(()),
        }
    }

    pub(crate) fn describe(&self) -> String {
        if self.done {
            format!(
                "the machine stopped soon after `{}`: files that it wrote are lost",
                self.operation
            )
        } else {
            format!("`{}` was interrupted", self.operation)
        }
    }
}

/// Whether a file that has content in HEAD is as power cuts leave files: empty, or, if it is so large
/// that checkout removes the old one first, missing.
fn lost_content(now: &Snapshot) -> bool {
    now.candidates.iter().any(|c| {
        let had = c.base.is_some_and(|(_, b)| b.bytes > 0 && b.mode != Mode::Symlink);
        let missing = c.now.is_none() && c.base.is_some_and(|(_, b)| b.bytes >= LARGE);
        missing
            || had
                && c.now
                    .is_some_and(|n| n.stat.size == 0 && matches!(n.mode, Mode::File | Mode::Exec))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives_the_round_trip_and_no_flipped_bit() {
        let mark = Mark {
            target: id_of(Kind::Blob, b"x"),
            done: false,
            after: 7,
            boot_id: "b".into(),
            operation: "checkout v1\n2".into(),
        };
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Some(Mark { operation: "checkout v1 2".into(), ..mark }));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(Mark::decode(&bad), None, "{at}");
        }
    }
}
