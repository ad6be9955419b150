//! Why a measurement could not be made: one text, with the path or command in it.

use std::fmt::Display;
use std::path::Path;

/// Any error, for a person to read.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What may fail here.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Says what was tried, and where.
pub(crate) trait At<T> {
    /// `cannot VERB PATH: error`.
    fn at(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T, E: Display> At<T> for std::result::Result<T, E> {
    fn at(self, verb: &str, path: &Path) -> Result<T> {
        self.map_err(|e| format!("cannot {verb} `{}`: {e}", path.display()).into())
    }
}
