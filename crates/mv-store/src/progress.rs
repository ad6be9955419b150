//! Progress as plain counters: operations add, a user interface polls, nothing is drawn here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// What a task counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown with a rate.
    Bytes,
    /// Things: files, packs.
    Items,
}

/// Named counters and a cancel flag, shared by an operation and whoever watches it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cancelled: AtomicBool,
    next_id: AtomicU64,
    /// Protects the list only; counters are read and written without it.
    tasks: Mutex<Vec<Arc<Counters>>>,
}

#[derive(Debug)]
struct Counters {
    id: u64,
    name: String,
    unit: Unit,
    done: AtomicU64,
    total: AtomicU64,
}

/// One running phase; dropping it ends the phase.
#[derive(Debug)]
pub struct Task {
    counters: Arc<Counters>,
    owner: Arc<Shared>,
}

/// What a task stood at when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSnapshot {
    /// Tells two tasks of one name apart.
    pub id: u64,
    /// What is being done, for people.
    pub name: String,
    /// What is counted.
    pub unit: Unit,
    /// How much is done.
    pub done: u64,
    /// How much there is, when known.
    pub total: Option<u64>,
}

impl Progress {
    /// Counters that nobody watches yet.
    #[must_use]
    pub fn new() -> Progress {
        Progress::default()
    }

    /// Begins a phase.
    #[must_use]
    pub fn task(&self, name: &str, unit: Unit) -> Task {
        let counters = Arc::new(Counters {
            id: self.0.next_id.fetch_add(1, Ordering::Relaxed),
            name: name.to_owned(),
            unit,
            done: AtomicU64::new(0),
            total: AtomicU64::new(u64::MAX),
        });
        self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&counters));
        Task { counters, owner: Arc::clone(&self.0) }
    }

    /// Asks every operation that shares this to stop at its next safe point.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether [`Progress::cancel`] was called.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
    }

    /// Stops the caller when it was cancelled; called once a file, window or pack.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// The running tasks, oldest first.
    #[must_use]
    pub fn snapshot(&self) -> Vec<TaskSnapshot> {
        let tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks
            .iter()
            .map(|t| TaskSnapshot {
                id: t.id,
                name: t.name.clone(),
                unit: t.unit,
                done: t.done.load(Ordering::Relaxed),
                total: Some(t.total.load(Ordering::Relaxed)).filter(|&n| n != u64::MAX),
            })
            .collect()
    }
}

impl Task {
    /// Counts more as done.
    pub fn add(&self, amount: u64) {
        self.counters.done.fetch_add(amount, Ordering::Relaxed);
    }

    /// Says how much there is in all.
    pub fn set_total(&self, total: u64) {
        self.counters.total.store(total, Ordering::Relaxed);
    }

    /// How much is done.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.counters.done.load(Ordering::Relaxed)
    }

    /// Stops the caller when the operation was cancelled.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.owner.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut tasks = self.owner.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|t| t.id != self.counters.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_task_vanishes_from_the_snapshot() {
        let progress = Progress::new();
        let task = progress.task("hashing", Unit::Bytes);
        task.set_total(10);
        task.add(4);
        let seen = progress.snapshot();
        assert_eq!((seen[0].done, seen[0].total), (4, Some(10)));
        drop(task);
        assert!(progress.snapshot().is_empty());
    }

    #[test]
    fn cancelling_stops_every_holder() {
        let progress = Progress::new();
        let task = progress.task("x", Unit::Items);
        assert!(task.check().is_ok());
        let other_holder = progress.clone();
        other_holder.cancel();
        assert!(matches!(task.check(), Err(Error::Cancelled)));
    }
}
