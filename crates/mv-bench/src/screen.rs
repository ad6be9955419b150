//! The only place that prints: results to stdout, what goes on to stderr.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is what this file is for")]

use std::fmt::Display;

/// A line of the result.
pub(crate) fn line(text: impl Display) {
    println!("{text}");
}

/// What is being done, for whoever waits.
pub(crate) fn note(text: impl Display) {
    eprintln!("{text}");
}

/// Why there is no result.
pub(crate) fn complain(error: impl Display) {
    eprintln!("error: {error}");
}
