//! From what a user types to the version that it means.
//!
//! ```text
//! revision := base [ '@{' when '}' ] step*
//! base     := 'HEAD' | '@' | '' (before '@{')        the version checked out
//!           | branch | tag | stage | remote/branch   exact names come first
//!           | refs/heads/… refs/tags/… refs/stages/… refs/remotes/…/…     the same, never ambiguous
//!           | 1.2.0 or v1.2.0                        the tag of that version, with or without `v`
//!           | latest | range such as ^1.2 or >=1,<2  the highest matching tag that is no pre-release
//!           | YYYYMMDD_HHMMSS                        the version made in that second (UTC)
//!           | 4 to 64 hex digits                     the version whose id begins so
//! when     := n                                      the n-th earlier value of the ref
//!           | date or time                           its value then; a date alone is the day's end
//! step     := '~' [n]                                n times the first parent
//!           | '^' [n]                                the n-th parent; ^0 is the version itself
//! ```
//!
//! The reflog is the chain of state records: what a ref was at a time is what the newest record
//! that is not younger says. A record keeps the refs of its moment, so a deleted ref still answers
//! to `name@{1}` as long as the records are kept. A stage answers from its ledger, for ever.

use mv_store::{Hash, HashPrefix, Kind, Transport};
use semver::{Version, VersionReq};

use crate::chain;
use crate::error::{Error, Result};
use crate::ledger;
use crate::manifest::Manifest;
use crate::objects::Objects;
use crate::reach::Ledgers;
use crate::refs::{Stage, parse_version};
use crate::state::State;
use crate::time::{DayEdge, Time};
use crate::walk::Ancestors;

/// What a revision is looked up in.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The newest state.
    pub state: &'a State,
    /// The objects of its packs.
    pub objects: &'a dyn Objects,
    /// Where the chain of records is kept; read for `@{…}` only.
    pub transport: &'a dyn Transport,
    /// The user's clock: dates are in its offset.
    pub now: Time,
}

/// Finds the version that a text means.
///
/// # Errors
/// [`Error::UnknownRevision`]; [`Error::Ambiguous`], with every candidate in a spelling that is not;
/// those of [`Manifest::read`] and of [`chain::history`].
pub fn resolve(view: &View<'_>, text: &str) -> Result<Hash> {
    let unknown = || Error::UnknownRevision { text: text.to_owned() };
    let (base, mut steps) = split_base(text);
    let found = match steps.strip_prefix("@{") {
        Some(after) => {
            let (when, rest) = after.split_once('}').ok_or_else(unknown)?;
            steps = rest;
            past_value(view, base, when)?
        }
        None if text.is_empty() => None,
        None => base_value(view, base)?,
    };
    let mut id = found.ok_or_else(unknown)?;
    while let Some(step) = steps.chars().next() {
        let digits = steps[step.len_utf8()..].bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = steps[step.len_utf8()..].split_at(digits);
        let number: u64 =
            if number.is_empty() { 1 } else { number.parse().map_err(|_| unknown())? };
        steps = rest;
        id = match step {
            '~' => nth_first_parent(view.objects, id, number)?,
            '^' => nth_parent(view.objects, id, number)?,
            _ => None,
        }
        .ok_or_else(unknown)?;
    }
    Ok(id)
}

/// Cuts a text before its first `~`, `^` or `@{`. A range, which begins with an operator, is whole.
fn split_base(text: &str) -> (&str, &str) {
    if text.starts_with(['~', '^', '<', '>', '=']) {
        return (text, "");
    }
    let end = [text.find(['~', '^']), text.find("@{")].into_iter().flatten().min();
    text.split_at(end.unwrap_or(text.len()))
}

fn nth_first_parent(objects: &dyn Objects, mut id: Hash, number: u64) -> Result<Option<Hash>> {
    for _ in 0..number {
        match Manifest::read(objects, &id)?.parents.first() {
            Some(parent) => id = *parent,
            None => return Ok(None),
        }
    }
    Ok(Some(id))
}

fn nth_parent(objects: &dyn Objects, id: Hash, number: u64) -> Result<Option<Hash>> {
    let Some(place) = number.checked_sub(1) else { return Ok(Some(id)) };
    let parents = Manifest::read(objects, &id)?.parents;
    Ok(usize::try_from(place).ok().and_then(|place| parents.get(place).copied()))
}

fn base_value(view: &View<'_>, base: &str) -> Result<Option<Hash>> {
    let named = RefKey::all(base)
        .into_iter()
        .filter_map(|key| Some((key.full_name(), key.value(view.state)?)));
    if let Some(id) = choose(base, named.collect())? {
        return Ok(Some(id));
    }
    if let Some(wanted) = parse_version(base)
        && let Some(id) = highest_tag(view.state, base, |version| *version == wanted)?
    {
        return Ok(Some(id));
    }
    if base == "latest" {
        return highest_tag(view.state, base, |version| version.pre.is_empty());
    }
    if is_range(base) {
        let Ok(range) = VersionReq::parse(base) else { return Ok(None) };
        return highest_tag(view.state, base, |version| range.matches(version));
    }
    if let Some(time) = Time::parse_version_stamp(base) {
        return made_at(view, base, time.seconds());
    }
    match HashPrefix::parse(base) {
        None => Ok(None),
        Some(prefix) => {
            let ids = view.objects.find(&prefix, Kind::Manifest)?;
            choose(base, ids.into_iter().map(|id| (id.to_hex(), id)).collect())
        }
    }
}

/// The one id that all candidates share. More than one id is ambiguous, none is none.
fn choose(text: &str, candidates: Vec<(String, Hash)>) -> Result<Option<Hash>> {
    let Some((_, first)) = candidates.first() else { return Ok(None) };
    if candidates.iter().all(|(_, id)| id == first) {
        return Ok(Some(*first));
    }
    Err(Error::Ambiguous { text: text.to_owned(), candidates })
}

fn is_range(text: &str) -> bool {
    text.starts_with(['~', '^', '<', '>', '=']) || text.contains('*') || text.ends_with(".x")
}

/// The target of the highest version among the tags that match.
fn highest_tag(
    state: &State,
    text: &str,
    matches: impl Fn(&Version) -> bool,
) -> Result<Option<Hash>> {
    let mut best: Option<Version> = None;
    let mut candidates = Vec::new();
    for tag in &state.tags {
        let (Some(version), Some(target)) = (tag.version(), tag.target) else { continue };
        if !matches(&version) || best.as_ref().is_some_and(|best| version < *best) {
            continue;
        }
        if best.as_ref() != Some(&version) {
            candidates.clear();
            best = Some(version);
        }
        // `1.2.0` beside `v1.2.0`: the same version twice.
        candidates.push((RefKey::Tag(tag.name.as_str()).full_name(), target));
    }
    choose(text, candidates)
}

/// The version made in a second, among all that a ref or a stage's past reaches.
fn made_at(view: &View<'_>, text: &str, second: i64) -> Result<Option<Hash>> {
    let mut candidates = Vec::new();
    let mut tips = view.state.targets();
    tips.extend(Ledgers::of(view.objects, &view.state.stages)?.versions);
    for version in Ancestors::new(view.objects, &tips) {
        let (id, manifest) = version?;
        if manifest.created.seconds() == second {
            candidates.push((id.to_hex(), id));
        }
    }
    choose(text, candidates)
}

/// Which earlier value of a ref is meant.
#[derive(Clone, Copy)]
enum When {
    /// So many values ago.
    Ago(u64),
    /// What it was at a time.
    At(Time),
}

impl When {
    /// Reads what stands between `@{` and `}`; dates are in the given offset.
    fn parse(text: &str, offset_minutes: i16) -> Option<When> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().map(When::Ago);
        }
        let stamp = Time::parse_version_stamp(text);
        let time = stamp.or_else(|| Time::parse_at(text, offset_minutes, DayEdge::End).ok());
        time.map(When::At)
    }
}

/// What a ref was, by count or by time.
fn past_value(view: &View<'_>, base: &str, when: &str) -> Result<Option<Hash>> {
    let mut keys = RefKey::all(base);
    let live = keys
        .iter()
        .filter_map(|key| Some((key.full_name(), key.value(view.state)?)))
        .collect::<Vec<_>>();
    choose(base, live)?;
    let Some(when) = When::parse(when, view.now.offset_minutes) else { return Ok(None) };
    // A ref of today is followed as what it is today; one that is gone, as whatever it was.
    if let Some(key) = keys.iter().find(|key| key.value(view.state).is_some()) {
        keys = vec![*key];
    }
    // A stage remembers for itself, and for ever; also one that nobody plays now.
    if let Some(stage) = keys.iter().find_map(|key| key.stage(view.state)) {
        return past_holder(view, stage, when);
    }
    let value = |state: &State| keys.iter().find_map(|key| key.value(state));
    let time = match when {
        When::Ago(count) => return nth_value(view, count, value),
        When::At(time) => time,
    };
    if view.state.time.ns <= time.ns {
        return Ok(value(view.state));
    }
    for record in chain::history(view.transport, view.state) {
        let state = record?.state;
        if state.time.ns <= time.ns {
            return Ok(value(&state));
        }
    }
    Ok(None)
}

/// Who played a role, by its ledger. As with all refs, "nobody" is a value as well.
fn past_holder(view: &View<'_>, stage: &Stage, when: When) -> Result<Option<Hash>> {
    let time = match when {
        When::At(time) => time,
        When::Ago(0) => return Ok(stage.target),
        When::Ago(count) => {
            let place = usize::try_from(count - 1).unwrap_or(usize::MAX);
            let entry = ledger::walk(view.objects, stage).nth(place).transpose()?;
            return Ok(entry.and_then(|(_, entry)| entry.from));
        }
    };
    Ok(ledger::entry_at(view.objects, stage, time)?.and_then(|(_, entry)| entry.to))
}

/// The n-th of the distinct successive values, newest first; "not there" is a value as well.
fn nth_value(
    view: &View<'_>,
    count: u64,
    value: impl Fn(&State) -> Option<Hash>,
) -> Result<Option<Hash>> {
    let mut current = value(view.state);
    let mut left = count;
    if left == 0 {
        return Ok(current);
    }
    for record in chain::history(view.transport, view.state) {
        let earlier = value(&record?.state);
        if earlier != current {
            current = earlier;
            left -= 1;
            if left == 0 {
                return Ok(current);
            }
        }
    }
    Ok(None)
}

/// One ref by kind and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefKey<'a> {
    Head,
    Branch(&'a str),
    Tag(&'a str),
    Stage(&'a str),
    Tracking(&'a str, &'a str),
}

impl<'a> RefKey<'a> {
    /// Every ref that a text may name.
    fn all(text: &'a str) -> Vec<RefKey<'a>> {
        if matches!(text, "" | "@" | "HEAD") {
            return vec![RefKey::Head];
        }
        let tracking = |text: &'a str| {
            text.split_once('/').map(|(remote, branch)| RefKey::Tracking(remote, branch))
        };
        match text.strip_prefix("refs/").and_then(|full| full.split_once('/')) {
            Some(("heads", name)) => vec![RefKey::Branch(name)],
            Some(("tags", name)) => vec![RefKey::Tag(name)],
            Some(("stages", name)) => vec![RefKey::Stage(name)],
            Some(("remotes", name)) => tracking(name).into_iter().collect(),
            _ => {
                let mut keys = vec![RefKey::Branch(text), RefKey::Tag(text), RefKey::Stage(text)];
                keys.extend(tracking(text));
                keys
            }
        }
    }

    fn value(&self, state: &State) -> Option<Hash> {
        match self {
            RefKey::Head => state.head_target(),
            RefKey::Branch(name) => state.branch(name).map(|b| b.target),
            RefKey::Tag(name) => state.tag(name).and_then(|t| t.target),
            RefKey::Stage(name) => state.stage(name).and_then(|s| s.target),
            RefKey::Tracking(remote, branch) => state.tracked(remote, branch).map(|t| t.target),
        }
    }

    /// The stage of this name, whether somebody plays it or not.
    fn stage<'s>(&self, state: &'s State) -> Option<&'s Stage> {
        match self {
            RefKey::Stage(name) => state.stage(name),
            _ => None,
        }
    }

    /// The spelling that is never ambiguous.
    fn full_name(&self) -> String {
        match self {
            RefKey::Head => "HEAD".to_owned(),
            RefKey::Branch(name) => format!("refs/heads/{name}"),
            RefKey::Tag(name) => format!("refs/tags/{name}"),
            RefKey::Stage(name) => format!("refs/stages/{name}"),
            RefKey::Tracking(remote, branch) => format!("refs/remotes/{remote}/{branch}"),
        }
    }
}

#[cfg(test)]
mod tests;
