//! `mv-bench`: how many bytes `mv` stores, how fast it is and how much memory it takes.
//!
//! Each subcommand makes its workload from a fixed seed, or from real tensors in `--data`, runs
//! the program `mver` on it in a temporary project, and prints one table. `docs/BENCHMARKS.md`
//! says how to read them. Nothing here is part of `mv`.

mod compare;
mod failure;
mod generate;
mod history;
mod measure;
mod memory;
mod micro;
mod numbers;
mod options;
mod project;
mod random;
mod screen;
mod stored;
mod table;
mod tensors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Result;

/// Measures mv: stored bytes, speed, memory
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Micro(micro::Options),
    Stored(stored::Options),
    History(history::Options),
    Memory(memory::Options),
    Compare(compare::Options),
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            screen::complain(error);
            ExitCode::from(2)
        }
    }
}

/// Whether every goal was met.
fn run(arguments: Arguments) -> Result<bool> {
    match arguments.what {
        What::Micro(options) => micro::run(&options),
        What::Stored(options) => stored::run(&options),
        What::History(options) => history::run(&options),
        What::Memory(options) => memory::run(&options),
        What::Compare(options) => compare::run(&options),
    }
}
