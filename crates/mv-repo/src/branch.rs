//! Branches: names that move with each commit.

use mv_graph::{Head, RefName, State};
use mv_store::Hash;

use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::session::Session;
use crate::stage;

/// The branches by name, each with its version and whether HEAD is on it.
#[must_use]
pub fn list(repo: &Repo) -> Vec<(String, Hash, bool)> {
    let current = repo.state().head_branch();
    let row = |b: &mv_graph::Branch| (b.name.to_string(), b.target, current == Some(&b.name));
    repo.state().branches.iter().map(row).collect()
}

/// Makes a branch at a version; HEAD stays.
///
/// # Errors
/// `Policy` when the name is taken, `UnknownRevision`, `LostRace`.
pub fn create(repo: &Repo, name: &RefName, rev: Option<&str>, session: &Session) -> Result<Hash> {
    let target = repo.resolve(rev.unwrap_or("HEAD"), session)?;
    repo.must_be_whole(&[target])?;
    repo.advance(session, &format!("branch {name}"), &[], &[target], &mut |state| {
        check_free(state, name)?;
        state.set_branch(name.clone(), target);
        Ok(())
    })?;
    Ok(target)
}

pub(crate) fn check_free(state: &State, name: &RefName) -> Result<()> {
    stage::check_no_stage(state, name)?;
    let unborn = matches!(&state.head, Head::Branch(head) if head == name);
    if state.branch(name.as_str()).is_some() || unborn {
        return Err(Error::Policy { what: format!("branch `{name}` exists already") });
    }
    let folded = name.as_str().to_lowercase();
    match state.branches.iter().find(|b| b.name.as_str().to_lowercase() == folded) {
        Some(twin) => {
            let what = format!("branch `{}` differs only by case", twin.name);
            Err(Error::Policy { what })
        }
        None => Ok(()),
    }
}

/// Deletes a branch. Its versions stay reachable through the reflog for a while.
///
/// # Errors
/// `Policy` for the branch that HEAD is on, `UnknownRevision`, `LostRace`.
pub fn delete(repo: &Repo, name: &RefName, session: &Session) -> Result<Hash> {
    let mut was = Hash::ZERO;
    repo.advance(session, &format!("delete branch {name}"), &[], &[], &mut |state| {
        if state.head_branch() == Some(name) {
            return Err(Error::Policy { what: format!("`{name}` is the current branch") });
        }
        let gone = state.remove_branch(name.as_str());
        was =
            gone.ok_or_else(|| mv_graph::Error::UnknownRevision { text: name.to_string() })?.target;
        Ok(())
    })?;
    Ok(was)
}

/// Renames a branch, the current one when `old` is none; HEAD follows.
///
/// # Errors
/// `Policy` when the new name is taken, `UnknownRevision`, `LostRace`.
pub fn rename(repo: &Repo, old: Option<&RefName>, new: &RefName, session: &Session) -> Result<()> {
    let old = match old.or(repo.state().head_branch()) {
        Some(old) => old.clone(),
        None => return Err(Error::Policy { what: "HEAD is on no branch".into() }),
    };
    repo.advance(session, &format!("rename branch {old} to {new}"), &[], &[], &mut |state| {
        check_free(state, new)?;
        let on_it = state.head_branch() == Some(&old);
        match state.remove_branch(old.as_str()) {
            Some(branch) => state.set_branch(new.clone(), branch.target),
            None if on_it => {}
            None => return Err(mv_graph::Error::UnknownRevision { text: old.to_string() }.into()),
        }
        if on_it {
            state.head = Head::Branch(new.clone());
        }
        Ok(())
    })?;
    Ok(())
}
