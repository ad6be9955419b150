//! Draws the progress of what runs: bytes, rate and remaining time, from the second second on.
//!
//! A thread asks the library's counters ten times a second. The library knows nothing of it. Without a
//! terminal nothing is drawn; only that another command is waited for is told, once.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mv_repo::WAITING;
use mv_store::{Progress, TaskSnapshot, Unit};

use crate::context::Context;
use crate::format;

const INTERVAL: Duration = Duration::from_millis(100);
/// Phases shorter than this are not worth a line.
const PATIENCE: Duration = Duration::from_secs(1);
/// How far back a rate looks.
const WINDOW: Duration = Duration::from_secs(10);
/// Columns inside a bar.
const BAR: usize = 24;

/// The drawing thread, when there is a terminal to draw on; dropping it clears the bars.
pub(crate) struct Drawing {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Drawing {
    /// Begins to watch the context's progress.
    pub(crate) fn begin(context: &Context<'_>) -> Drawing {
        let bars = context.ui.bars().cloned();
        if bars.is_none() && !context.tells_of_waiting() {
            return Drawing { thread: None };
        }
        let progress = context.progress.clone();
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let next = || stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout);
            match bars {
                Some(bars) => draw(bars, &progress, next),
                None => tell_of_waiting(&progress, next),
            }
        });
        // Without a thread the command still works, only silently.
        Drawing { thread: thread.ok().map(|t| (stop, t)) }
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            // A panic there was reported by the hook; there is nothing to add.
            drop(thread.join());
        }
    }
}

/// Draws lines until it is told to stop.
fn draw(bars: MultiProgress, progress: &Progress, next: impl Fn() -> bool) {
    let mut lines = Lines { bars, seen: HashMap::new() };
    while next() {
        lines.update(progress);
    }
    lines.clear();
}

/// Says once that another command is waited for, when that takes longer than a moment.
fn tell_of_waiting(progress: &Progress, next: impl Fn() -> bool) {
    let mut since = None;
    while next() {
        if !progress.snapshot().iter().any(|task| task.name == WAITING) {
            since = None;
        } else if since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
            // Nobody is left to tell when stderr fails.
            drop(writeln!(io::stderr(), "{WAITING}"));
            return;
        }
    }
}

/// One line for each running task.
struct Lines {
    bars: MultiProgress,
    seen: HashMap<u64, Line>,
}

struct Line {
    since: Instant,
    bar: Option<ProgressBar>,
    pace: Pace,
}

impl Lines {
    fn update(&mut self, progress: &Progress) {
        let tasks = progress.snapshot();
        self.seen.retain(|id, line| {
            let running = tasks.iter().any(|t| t.id == *id);
            if let (false, Some(bar)) = (running, &line.bar) {
                bar.finish_and_clear();
                self.bars.remove(bar);
            }
            running
        });
        let now = Instant::now();
        for task in &tasks {
            let line = self.seen.entry(task.id).or_insert_with(|| Line {
                since: now,
                bar: None,
                pace: Pace::default(),
            });
            line.pace.note(now, task.done);
            if now.duration_since(line.since) < PATIENCE {
                continue;
            }
            let bar = line.bar.get_or_insert_with(|| {
                let bar = ProgressBar::no_length();
                bar.set_style(
                    ProgressStyle::with_template("{wide_msg}")
                        .unwrap_or_else(|_| ProgressStyle::default_bar()),
                );
                self.bars.add(bar)
            });
            bar.set_message(line.pace.describe(task));
        }
    }

    fn clear(&self) {
        for line in self.seen.values() {
            if let Some(bar) = &line.bar {
                bar.finish_and_clear();
            }
        }
    }
}

/// What was done lately, for a rate that neither jumps nor remembers a slow start for ever.
#[derive(Default)]
struct Pace {
    samples: VecDeque<(Instant, u64)>,
}

impl Pace {
    fn note(&mut self, now: Instant, done: u64) {
        self.samples.push_back((now, done));
        let old = |at: Instant| now.duration_since(at) > WINDOW;
        while self.samples.len() > 2 && self.samples.front().is_some_and(|(at, _)| old(*at)) {
            self.samples.pop_front();
        }
    }

    /// Things a second, when something moved.
    fn rate(&self) -> Option<f64> {
        let ((from, first), (to, last)) = (self.samples.front()?, self.samples.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        let rate = last.saturating_sub(*first) as f64 / seconds;
        (seconds > 0.0 && rate > 0.0).then_some(rate)
    }

    /// `storing  [=====     ] 34 MB of 800 MB  19 MB/s  40s left`.
    fn describe(&self, task: &TaskSnapshot) -> String {
        let amount = |n: u64| match task.unit {
            Unit::Bytes => format::bytes(n),
            Unit::Items => n.to_string(),
        };
        let mut text = format!("{}  ", format::text(&task.name));
        match task.total {
            Some(total) => {
                text.push_str(&format!(
                    "{} {} of {}",
                    bar(task.done, total),
                    amount(task.done),
                    amount(total)
                ));
            }
            // What only waits counts nothing.
            None if task.done == 0 => {}
            None => text.push_str(&amount(task.done)),
        }
        if let Some(rate) = self.rate() {
            text.push_str(&format!("  {}/s", amount(rate.ceil() as u64)));
            if let Some(total) = task.total {
                let left = total.saturating_sub(task.done) as f64 / rate;
                text.push_str(&format!("  {} left", format::seconds(left.ceil() as u64)));
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// `[=====     ]`.
fn bar(done: u64, total: u64) -> String {
    let share = if total == 0 { 1.0 } else { done.min(total) as f64 / total as f64 };
    let full = (share * BAR as f64) as usize;
    format!("[{}{}]", "=".repeat(full), " ".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(unit: Unit, done: u64, total: Option<u64>) -> TaskSnapshot {
        TaskSnapshot { id: 1, name: "storing".into(), unit, done, total }
    }

    fn pace(start: Instant, samples: &[(u64, u64)]) -> Pace {
        let mut pace = Pace::default();
        for (seconds, done) in samples {
            pace.note(start + Duration::from_secs(*seconds), *done);
        }
        pace
    }

    #[test]
    fn a_line_shows_amount_rate_and_what_is_left() {
        let pace = pace(Instant::now(), &[(0, 0), (2, 40_000_000)]);
        assert_eq!(
            pace.describe(&task(Unit::Bytes, 40_000_000, Some(80_000_000))),
            "storing  [============            ] 40 MB of 80 MB  20 MB/s  2s left"
        );
        assert_eq!(pace.describe(&task(Unit::Bytes, 40_000_000, None)), "storing  40 MB  20 MB/s");
    }

    #[test]
    fn a_task_that_stands_still_shows_no_rate() {
        let pace = pace(Instant::now(), &[(0, 7), (3, 7)]);
        assert_eq!(pace.describe(&task(Unit::Items, 7, None)), "storing  7");
        assert_eq!(pace.describe(&task(Unit::Items, 0, None)), "storing");
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let pace = pace(Instant::now(), &[(0, 0), (100, 100), (105, 200), (110, 300)]);
        assert_eq!(pace.rate(), Some(20.0));
    }

    #[test]
    fn a_bar_is_full_when_there_is_nothing_to_do() {
        assert_eq!(bar(0, 0), format!("[{}]", "=".repeat(BAR)));
        assert_eq!(bar(9, 3), format!("[{}]", "=".repeat(BAR)));
        assert_eq!(bar(0, 3), format!("[{}]", " ".repeat(BAR)));
    }
}
