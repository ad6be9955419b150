//! `mv-bench micro`: the steps of a commit and of a checkout one by one, beside the limits of the machine.
//!
//! All of them run in turn, so that a slow moment of the machine hits each one alike.

mod codecs;
mod limits;
mod store;

use std::time::Instant;

use serde_json::json;

use crate::failure::Result;
use crate::options::Place;
use crate::random::Random;
use crate::screen;
use crate::table::{Table, median, number};

/// Single steps beside copying memory and hashing
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Repetitions
    #[arg(long, default_value_t = 9)]
    reps: usize,
    /// MiB of the buffers
    #[arg(long, default_value_t = 96)]
    size: usize,
    /// Only steps whose name has this in it; memory copy and hashing always run
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// One step that is timed.
struct Step<'a> {
    name: &'static str,
    /// Raw bytes that it goes through.
    bytes: u64,
    work: Box<dyn FnMut() -> Result<()> + 'a>,
}

impl<'a> Step<'a> {
    fn new(name: &'static str, bytes: usize, work: impl FnMut() -> Result<()> + 'a) -> Step<'a> {
        Step { name, bytes: bytes as u64, work: Box::new(work) }
    }
}

/// The buffers that the steps read.
struct Buffers {
    noise: Vec<u8>,
    text: Vec<u8>,
}

/// Times the steps and prints their rates.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let len = options.size << 20;
    let buffers = Buffers { noise: Random::new(1).bytes(len), text: limits::text(len)? };
    let prepared = store::prepare(&options.place.work(), &buffers)?;
    let cases = codecs::prepare(options.place.data().as_deref())?;
    let mut steps = limits::steps(&buffers)?;
    steps.extend(store::steps(&prepared));
    steps.extend(codecs::steps(&cases));
    let base = [limits::COPY, limits::HASH];
    steps.retain(|step| base.contains(&step.name) || step.name.contains(&options.only));
    let mut seconds = vec![Vec::new(); steps.len()];
    // The first round only touches the memory.
    for round in 0..=options.reps.max(1) {
        for (step, seconds) in steps.iter_mut().zip(&mut seconds) {
            let start = Instant::now();
            (step.work)()?;
            if round > 0 {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
    }
    let rates: Vec<f64> = steps
        .iter()
        .zip(&seconds)
        .map(|(step, seconds)| step.bytes as f64 / 1e9 / median(seconds).max(1e-12))
        .collect();
    let rate_of =
        |name| steps.iter().position(|step| step.name == name).map_or(1.0, |at| rates[at]);
    let [copy, hash] = base.map(rate_of);
    let mut table = Table::new(&["step", ">GB/s", ">best", ">of memcpy", ">of BLAKE3"]);
    for ((step, rate), seconds) in steps.iter().zip(&rates).zip(&seconds) {
        let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let best = step.bytes as f64 / 1e9 / least.max(1e-12);
        table.row([
            step.name.into(),
            number(*rate),
            number(best),
            number(rate / copy),
            number(rate / hash),
        ]);
    }
    table.lines().iter().for_each(screen::line);
    let entries = steps.iter().zip(&seconds);
    let entries = entries.map(|(s, t)| json!({ "step": s.name, "bytes": s.bytes, "seconds": t }));
    options.place.save(&entries.collect())?;
    Ok(true)
}
