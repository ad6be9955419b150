//! What differs between two files of tensors.
//!
//! Which tensors changed is told by the chunks of both files, so that the data is not read: of two
//! stored files, only chunks at the edges of what changed are. How far a tensor moved
//! ([`TensorStats`]) needs its data, and is computed on request.

use std::collections::{BTreeMap, HashMap};

use mv_formats::{Comparison, Dtype, Location, Model, ModelFormat, Port, Tensor, TensorStats};
use mv_store::{Progress, Task, Unit};
use rayon::prelude::*;

use super::{TextChange, pairs};
use crate::error::Result;
use crate::file_bytes::tensors::{same_tensor, side_by_side};
use crate::file_bytes::{Fault, FileBytes, shared};
use crate::session::Session;

/// Pairs of tensors that are compared to find renamed ones.
const MAX_TRIALS: usize = 10_000;
/// Added tensors that a removed one is compared with.
const TRIALS_EACH: usize = 4;

/// What differs between two files of tensors, or what one of them holds.
#[derive(Clone, Debug)]
pub struct ModelDiff {
    /// What kind of file it is; of the newer side, when there is one.
    pub format: ModelFormat,
    /// The older side in numbers; none for an added file.
    pub from: Option<ModelSummary>,
    /// The newer side in numbers; none for a deleted file.
    pub to: Option<ModelSummary>,
    /// Tensors that differ, in the order of the newer file, removed ones last. Empty when there is
    /// only one side.
    pub tensors: Vec<TensorChange>,
    /// How many tensors are the same on both sides.
    pub unchanged: usize,
    /// How many could not be compared because their bytes are not in the file.
    pub elsewhere: usize,
    /// Inputs and outputs that differ: `input x` with type and shape on each side.
    pub ports: Vec<TextChange>,
    /// What the file says about itself and says otherwise now.
    pub metadata: Vec<TextChange>,
}

/// A file of tensors in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSummary {
    /// Its tensors.
    pub tensors: u64,
    /// Elements of all of them.
    pub parameters: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Each type that occurs, with the tensors of that type and their bytes; by name.
    pub dtypes: Vec<(String, u64, u64)>,
}

/// How a tensor differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TensorChangeKind {
    /// Only the newer file has it.
    Added,
    /// Only the older file has it.
    Removed,
    /// The same bytes, type and shape under another name.
    Renamed,
    /// Another shape, and maybe another type.
    Reshaped,
    /// Another type of the same shape.
    Retyped,
    /// Other values of the same type and shape.
    Changed,
}

impl TensorChangeKind {
    /// The name used in `--json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            TensorChangeKind::Added => "added",
            TensorChangeKind::Removed => "removed",
            TensorChangeKind::Renamed => "renamed",
            TensorChangeKind::Reshaped => "reshaped",
            TensorChangeKind::Retyped => "retyped",
            TensorChangeKind::Changed => "changed",
        }
    }
}

/// A tensor that differs.
#[derive(Clone, Debug)]
pub struct TensorChange {
    /// How.
    pub kind: TensorChangeKind,
    /// What it was.
    pub from: Option<Tensor>,
    /// What it is.
    pub to: Option<Tensor>,
    /// How far it moved; only of changed tensors, when that was asked for and its type has numbers.
    pub stats: Option<TensorStats>,
}

impl TensorChange {
    /// Its name; the new one. Not escaped.
    #[must_use]
    pub fn name(&self) -> &str {
        self.to.as_ref().or(self.from.as_ref()).map_or("", |t| &t.name)
    }
}

/// A side of a comparison.
pub(super) type Side<'a> = (&'a FileBytes, &'a Model);

/// The only side in numbers.
pub(super) fn one_sided(from: Option<&Model>, to: Option<&Model>) -> Option<ModelDiff> {
    Some(ModelDiff {
        format: to.or(from)?.format,
        from: from.map(summary),
        to: to.map(summary),
        tensors: Vec::new(),
        unchanged: 0,
        elsewhere: 0,
        ports: Vec::new(),
        metadata: Vec::new(),
    })
}

/// Compares both sides, on all cores.
pub(super) fn compare(
    old: Side<'_>,
    new: Side<'_>,
    stats: bool,
    session: &Session,
) -> Result<ModelDiff, Fault> {
    let progress = &session.progress;
    let before: HashMap<&str, &Tensor> =
        old.1.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let after: HashMap<&str, &Tensor> =
        new.1.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let both: Vec<_> =
        new.1.tensors.iter().map(|to| (before.get(&*to.name).copied(), to)).collect();
    let task = progress.task("comparing tensors", Unit::Bytes);
    task.set_total(total(both.iter().map(|(_, to)| bytes_of(to))));
    let verdicts: Vec<Result<_, Fault>> = both
        .par_iter()
        .map(|&(from, to)| {
            task.add(bytes_of(to));
            match from {
                Some(from) => verdict((old.0, from), (new.0, to), progress),
                None => Ok(Some(TensorChangeKind::Added)),
            }
        })
        .collect();
    drop(task);
    let mut diff = ModelDiff {
        format: new.1.format,
        from: Some(summary(old.1)),
        to: Some(summary(new.1)),
        tensors: Vec::new(),
        unchanged: 0,
        elsewhere: 0,
        ports: text_changes(&ports(&old.1.ports), &ports(&new.1.ports)),
        metadata: text_changes(&old.1.metadata, &new.1.metadata),
    };
    for (&(from, to), verdict) in both.iter().zip(verdicts) {
        let Some(kind) = verdict? else {
            let nowhere = |tensor: &Tensor| tensor.location == Location::Elsewhere;
            let unknown = nowhere(to) || from.is_some_and(nowhere);
            diff.elsewhere += usize::from(unknown);
            diff.unchanged += usize::from(!unknown);
            continue;
        };
        let (from, to) = (from.cloned(), Some(to.clone()));
        diff.tensors.push(TensorChange { kind, from, to, stats: None });
    }
    let removed = old.1.tensors.iter().filter(|t| !after.contains_key(&*t.name));
    diff.tensors.extend(removed.map(|from| TensorChange {
        kind: TensorChangeKind::Removed,
        from: Some(from.clone()),
        to: None,
        stats: None,
    }));
    join_renamed(old.0, new.0, &mut diff.tensors, progress)?;
    if stats {
        measure(old.0, new.0, &mut diff.tensors, session)?;
    }
    Ok(diff)
}

/// How a tensor of both sides differs; none if it does not, or its bytes are elsewhere.
fn verdict(
    (old, from): (&FileBytes, &Tensor),
    (new, to): (&FileBytes, &Tensor),
    progress: &Progress,
) -> Result<Option<TensorChangeKind>, Fault> {
    if from.shape != to.shape {
        return Ok(Some(TensorChangeKind::Reshaped));
    }
    if from.dtype != to.dtype {
        return Ok(Some(TensorChangeKind::Retyped));
    }
    let equal = same_tensor((old, from), (new, to), progress)?;
    Ok((!equal).then_some(TensorChangeKind::Changed))
}

/// Turns a removed and an added tensor of the same bytes, type and shape into a renamed one.
fn join_renamed(
    old: &FileBytes,
    new: &FileBytes,
    tensors: &mut Vec<TensorChange>,
    progress: &Progress,
) -> Result<()> {
    type Key = (Dtype, Vec<u64>, u64);
    let plain = |tensor: &Tensor| match tensor.location {
        Location::Plain { offset, len } if len > 0 => {
            Some(((tensor.dtype.clone(), tensor.shape.clone(), len), offset))
        }
        _ => None,
    };
    let mut waiting = BTreeMap::<Key, Vec<(usize, u64)>>::new();
    for (at, change) in tensors.iter().enumerate() {
        if change.kind == TensorChangeKind::Added
            && let Some((key, offset)) = change.to.as_ref().and_then(plain)
        {
            waiting.entry(key).or_default().push((at, offset));
        }
    }
    let mut gone = vec![false; tensors.len()];
    let mut trials = 0;
    for at in 0..tensors.len() {
        let Some(from) = tensors[at].from.clone().filter(|_| tensors[at].to.is_none()) else {
            continue;
        };
        let Some((key, offset)) = plain(&from) else { continue };
        let Some(candidates) = waiting.get_mut(&key) else { continue };
        let mut found = None;
        for (nth, candidate) in candidates.iter().take(TRIALS_EACH).enumerate() {
            trials += 1;
            if trials > MAX_TRIALS {
                break;
            }
            if shared::same((old, offset), (new, candidate.1), key.2, progress)? {
                found = Some(nth);
                break;
            }
        }
        if let Some(nth) = found {
            let renamed = &mut tensors[candidates.remove(nth).0];
            (renamed.kind, renamed.from) = (TensorChangeKind::Renamed, Some(from));
            gone[at] = true;
        }
    }
    let mut gone = gone.into_iter();
    tensors.retain(|_| gone.next() != Some(true));
    Ok(())
}

/// How far each changed tensor moved: reads both sides, several tensors at once.
fn measure(
    old: &FileBytes,
    new: &FileBytes,
    tensors: &mut [TensorChange],
    session: &Session,
) -> Result<(), Fault> {
    let bytes = |change: &TensorChange| change.to.as_ref().map_or(0, bytes_of);
    let task = session.progress.task("measuring tensors", Unit::Bytes);
    let changed = tensors.iter().filter(|c| c.kind == TensorChangeKind::Changed);
    task.set_total(total(changed.map(bytes)));
    let changed = tensors.par_iter_mut().filter(|c| c.kind == TensorChangeKind::Changed);
    changed.try_for_each(|change| {
        let (Some(from), Some(to)) = (&change.from, &change.to) else { return Ok(()) };
        change.stats = distance((old, from), (new, to), &task, &session.progress)?;
        Ok(())
    })
}

fn distance(
    (old, from): (&FileBytes, &Tensor),
    (new, to): (&FileBytes, &Tensor),
    task: &Task,
    progress: &Progress,
) -> Result<Option<TensorStats>, Fault> {
    // In another order, or the other byte order, bytes are not numbers that can be compared; of some
    // pickles they cannot be found at all.
    let unfit = |t: &Tensor| matches!(t.location, Location::Scattered { .. } | Location::Elsewhere);
    let comparison = Comparison::new(&to.dtype).filter(|_| !unfit(from) && !unfit(to));
    let Some(mut comparison) = comparison else { return Ok(None) };
    side_by_side((old, from), (new, to), progress, &mut |left, right| {
        comparison.feed(left, right);
        task.add(right.len() as u64);
        true
    })?;
    Ok(Some(comparison.finish()))
}

fn total(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

fn summary(model: &Model) -> ModelSummary {
    let mut dtypes = BTreeMap::<String, (u64, u64)>::new();
    let (mut parameters, mut bytes) = (0_u64, 0_u64);
    for tensor in &model.tensors {
        let len = bytes_of(tensor);
        parameters = parameters.saturating_add(tensor.elements());
        bytes = bytes.saturating_add(len);
        let entry = dtypes.entry(tensor.dtype.to_string()).or_default();
        *entry = (entry.0 + 1, entry.1.saturating_add(len));
    }
    let dtypes = dtypes.into_iter().map(|(name, (n, bytes))| (name, n, bytes)).collect();
    ModelSummary { tensors: model.tensors.len() as u64, parameters, bytes, dtypes }
}

/// Bytes of a tensor's elements; 0 when they are not known.
#[must_use]
pub fn bytes_of(tensor: &Tensor) -> u64 {
    match tensor.location {
        Location::Plain { len, .. } | Location::Deflated { len, .. } => len,
        Location::Scattered { len, .. } => tensor.dtype.bytes_of(tensor.elements()).unwrap_or(len),
        Location::Elsewhere => tensor.dtype.bytes_of(tensor.elements()).unwrap_or(0),
    }
}

fn ports(ports: &[Port]) -> Vec<(String, String)> {
    let side = |p: &Port| if p.input { "input" } else { "output" };
    ports.iter().map(|p| (format!("{} {}", side(p), p.name), p.shape.clone())).collect()
}

fn text_changes(old: &[(String, String)], new: &[(String, String)]) -> Vec<TextChange> {
    pairs(old, new).map(|(name, from, to)| TextChange { name, from, to }).collect()
}
