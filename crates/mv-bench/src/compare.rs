//! `mv-bench compare`: the same steps with the tools that one would use instead, by a script of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::failure::Result;
use crate::options::Place;

/// Side by side with other tools
///
/// Runs `PEERS run` with MV_BIN set and prints its report. The script finds the other tools on PATH
/// and by variables such as DVC_BIN or XET_PYTHON.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The script that runs all tools
    #[arg(long, value_name = "PATH")]
    peers: PathBuf,
    /// The Python that runs it; with numpy and pyarrow it can make all workloads
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Repetitions
    #[arg(long, default_value_t = 3)]
    reps: usize,
    /// More words for the script, such as --tools mv,dvc --workloads csv-edit
    #[arg(last = true)]
    words: Vec<OsString>,
}

/// Runs the script and prints its report.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("mv-bench-").tempdir_in(options.place.work())?;
    let results = folder.path().join("results.json");
    let mut command = script(options, "run")?;
    command.arg("--workdir").arg(folder.path()).arg("--reps").arg(options.reps.to_string());
    command.arg("--out").arg(&results);
    if let Some(data) = options.place.data() {
        command.arg("--data").arg(data);
    }
    // What the script says while it runs goes to stderr, so that stdout is the report alone.
    command.args(&options.words).stdout(Stdio::from(std::io::stderr()));
    ended_well(&mut command)?;
    let text = std::fs::read(&results)?;
    options.place.save(&serde_json::from_slice(&text)?)?;
    ended_well(script(options, "report")?.arg(&results))?;
    Ok(true)
}

fn script(options: &Options, verb: &str) -> Result<Command> {
    let mut command = Command::new(&options.python);
    command.arg(&options.peers).arg(verb).env("MV_BIN", options.place.mv()?);
    Ok(command)
}

fn ended_well(command: &mut Command) -> Result<()> {
    let ended = command.status().map_err(|e| format!("{command:?}: {e}"))?;
    if ended.success() { Ok(()) } else { Err(format!("{command:?}: {ended}").into()) }
}
