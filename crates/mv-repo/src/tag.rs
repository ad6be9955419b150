//! Tags: names that do not move.

use mv_graph::{RefName, Tag};
use mv_store::Hash;

use crate::bump::{BumpChoice, Bumped, Plan};
use crate::error::{Error, Result};
use crate::repo::Repo;
use crate::session::Session;
use crate::stage;

/// A tag to make.
#[derive(Clone, Debug)]
pub struct TagOptions {
    /// Its name.
    pub name: RefName,
    /// The version it names; HEAD when none is given.
    pub rev: Option<String>,
    /// Why, for people; may be empty.
    pub message: String,
}

/// A tag to make whose name is the next number.
#[derive(Clone, Debug)]
pub struct BumpOptions {
    /// Which number.
    pub choice: BumpChoice,
    /// The version it names; HEAD when none is given.
    pub rev: Option<String>,
    /// Why, for people; may be empty. The reason for the number is added to it.
    pub message: String,
}

/// The tags, semantic versions first in their order, then the others by name. Tombstones are left out.
#[must_use]
pub fn list(repo: &Repo) -> Vec<Tag> {
    let mut tags: Vec<_> =
        repo.state().tags.iter().filter(|t| t.target.is_some()).cloned().collect();
    tags.sort_by(|a, b| match (a.version(), b.version()) {
        (Some(x), Some(y)) => x.cmp(&y).then_with(|| a.name.cmp(&b.name)),
        (x, y) => y.is_some().cmp(&x.is_some()).then_with(|| a.name.cmp(&b.name)),
    });
    tags
}

/// Makes a tag.
///
/// # Errors
/// `Policy` when the name is taken or was a deleted semantic version's, `UnknownRevision`, `LostRace`.
pub fn create(repo: &Repo, options: &TagOptions, session: &Session) -> Result<Tag> {
    let target = repo.resolve(options.rev.as_deref().unwrap_or("HEAD"), session)?;
    repo.must_be_whole(&[target])?;
    let tag = Tag {
        name: options.name.clone(),
        target: Some(target),
        message: options.message.clone(),
        tagger: session.author.clone(),
        created: session.now,
    };
    repo.advance(session, &format!("tag {}", tag.name), &[], &[target], &mut |state| {
        check_free(state, &tag.name)?;
        state.set_tag(tag.clone());
        Ok(())
    })?;
    Ok(tag)
}

/// Gives a version the next number after the highest one among its ancestors.
///
/// # Errors
/// `Policy` when the version has a number already, `Undecided` when the bytes are to decide and
/// cannot, `UnknownRevision`, `LostRace`, `Corrupt`.
pub fn bump(repo: &Repo, options: &BumpOptions, session: &Session) -> Result<(Tag, Bumped)> {
    let target = repo.resolve(options.rev.as_deref().unwrap_or("HEAD"), session)?;
    repo.must_be_whole(&[target])?;
    let manifest = repo.manifest(&target)?;
    let plan = Plan::new(repo, options.choice, &manifest.parents)?;
    check_unnumbered(repo.state(), &target)?;
    let suggestion = plan.decide(repo.store(), &manifest, &session.progress)?;
    let mut made = None;
    repo.advance(session, "tag --bump", &[], &[target], &mut |state| {
        check_unnumbered(state, &target)?;
        let bumped = plan.number(state, &suggestion)?;
        let tag = numbered(&bumped, target, &options.message, session);
        check_free(state, &tag.name)?;
        state.operation = format!("tag {}", tag.name);
        state.set_tag(tag.clone());
        made = Some((tag, bumped));
        Ok(())
    })?;
    made.ok_or_else(|| Error::invalid("tag", "it was not made"))
}

/// The tag for a number that was given.
pub(crate) fn numbered(bumped: &Bumped, target: Hash, own: &str, session: &Session) -> Tag {
    Tag {
        name: bumped.name.clone(),
        target: Some(target),
        message: bumped.message(own),
        tagger: session.author.clone(),
        created: session.now,
    }
}

/// Refuses a version that has a number: one version, one number.
fn check_unnumbered(state: &mv_graph::State, target: &Hash) -> Result<()> {
    match state.tags.iter().find(|t| t.target == Some(*target) && t.is_semver()) {
        Some(tag) => {
            Err(Error::Policy { what: format!("{} is `{}` already", target.short(), tag.name) })
        }
        None => Ok(()),
    }
}

/// Refuses a tag name that is taken: tags do not move, and the number of a semantic version is
/// never used again, not even spelled without its `v`.
pub(crate) fn check_free(state: &mv_graph::State, name: &RefName) -> Result<()> {
    stage::check_no_stage(state, name)?;
    let same =
        |t: &&Tag| t.name == *name || (name.version().is_some() && t.version() == name.version());
    let folded = name.as_str().to_lowercase();
    match state.tags.iter().find(same) {
        None => match state.tags.iter().find(|t| t.name.as_str().to_lowercase() == folded) {
            Some(twin) => {
                Err(Error::Policy { what: format!("tag `{}` differs only by case", twin.name) })
            }
            None => Ok(()),
        },
        Some(Tag { target: Some(target), name: taken, .. }) => Err(Error::Policy {
            what: format!("tag `{taken}` exists already, on {}", target.short()),
        }),
        Some(Tag { target: None, name: taken, .. }) => Err(Error::Policy {
            what: format!(
                "`{taken}` was deleted, and the number of a released version is never used again"
            ),
        }),
    }
}

/// Deletes a tag. A semantic version leaves a tombstone.
///
/// # Errors
/// `UnknownRevision`, `LostRace`.
pub fn delete(repo: &Repo, name: &RefName, session: &Session) -> Result<Option<Hash>> {
    let mut was = None;
    repo.advance(session, &format!("delete tag {name}"), &[], &[], &mut |state| {
        let tag = state.tag(name.as_str()).filter(|t| t.target.is_some()).cloned();
        let tag = tag.ok_or_else(|| mv_graph::Error::UnknownRevision { text: name.to_string() })?;
        was = tag.target;
        if tag.is_semver() {
            let created = session.now;
            state.set_tag(Tag { target: None, tagger: session.author.clone(), created, ..tag });
        } else {
            state.remove_tag(name.as_str());
        }
        Ok(())
    })?;
    Ok(was)
}
