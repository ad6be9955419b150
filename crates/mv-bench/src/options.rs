//! What several subcommands are told: which program to measure, where to work, where the tensors are.

use std::path::{Path, PathBuf};

use crate::failure::{At, Result};

/// The environment variable that names the folder of sample tensors.
const DATA: &str = "MV_BENCH_DATA";

/// Which program, and where.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Place {
    /// The program to measure; the `mver` beside this one when not given
    #[arg(long, value_name = "PATH")]
    mv: Option<PathBuf>,
    /// Where temporary projects are made; a memory file system keeps the disk out of the figures
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Sample tensors; $MV_BENCH_DATA when not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write the results there too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Place {
    /// The program, which must be there.
    pub(crate) fn mv(&self) -> Result<PathBuf> {
        let path = match &self.mv {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("mver"),
        };
        path.canonicalize().at("find the program", &path)
    }

    /// The folder for temporary projects.
    pub(crate) fn work(&self) -> PathBuf {
        self.work.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// The folder of sample tensors, if one was named.
    pub(crate) fn data(&self) -> Option<PathBuf> {
        self.data.clone().or_else(|| std::env::var_os(DATA).map(PathBuf::from))
    }

    /// Writes the results, if a file was named.
    pub(crate) fn save(&self, results: &serde_json::Value) -> Result<()> {
        self.json.as_deref().map_or(Ok(()), |path| save(path, results))
    }
}

fn save(path: &Path, results: &serde_json::Value) -> Result<()> {
    std::fs::write(path, format!("{results:#}\n")).at("write", path)
}
