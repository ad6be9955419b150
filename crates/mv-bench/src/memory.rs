//! `mv-bench memory`: the most memory that a commit and a checkout of a file hold that is larger than memory should be.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::Result;
use crate::generate::large;
use crate::measure::{End, Watched};
use crate::options::Place;
use crate::project::Project;
use crate::screen;
use crate::table::{Table, number};

/// What no command may hold, however large the files are.
const BAR: u64 = 512 << 20;
const MODEL: &str = "model.safetensors";
const SEED: u64 = 0x4d;

/// Peak memory of a commit, a checkout and a look at a huge file
///
/// Exits with 1 when more than 512 MiB are held. Needs about four times --size of disk.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Bytes of the model
    #[arg(long, default_value_t = 4_000_000_000)]
    size: u64,
    /// TB that a sparse file claims to hold; 0 leaves it out
    #[arg(long, default_value_t = 2.0)]
    sparse_tb: f64,
    /// Seconds after which a command on the sparse file is stopped
    #[arg(long, default_value_t = 60)]
    limit: u64,
}

/// Runs the commands and prints what they held.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let (mv, work) = (options.place.mv()?, options.place.work());
    let mut seen = Vec::new();
    if options.size > 0 {
        written(options, &Project::create(&mv, &work)?, &mut seen)?;
    }
    if options.sparse_tb > 0.0 {
        sparse(options, &mv, &work, &mut seen)?;
    }
    let mut table = Table::new(&["command", ">seconds", ">peak MiB", ">bar MiB", "", ""]);
    for (name, ran) in &seen {
        let verdict = if kept(ran) { "met" } else { "MISSED" };
        table.row([
            name.clone(),
            number(ran.seconds),
            number(mebibytes(ran.peak)),
            number(mebibytes(BAR)),
            verdict.into(),
            ran.end.to_string(),
        ]);
    }
    table.lines().iter().for_each(screen::line);
    let entry = |(name, ran): &(String, Watched)| {
        json!({
            "command": name,
            "seconds": ran.seconds,
            "peak_bytes": ran.peak,
            "met": kept(ran),
            "end": ran.end.to_string(),
        })
    };
    options.place.save(&Value::Array(seen.iter().map(entry).collect()))?;
    Ok(seen.iter().all(|(_, ran)| kept(ran)))
}

/// Whether the bar was kept. A program that was stopped had shown by then what it holds.
fn kept(ran: &Watched) -> bool {
    ran.peak <= BAR && !matches!(ran.end, End::Badly(_))
}

/// Two versions of a large model, in which every tensor changed.
fn written(options: &Options, project: &Project, seen: &mut Vec<(String, Watched)>) -> Result<()> {
    let path = project.path(MODEL);
    let patience = Duration::from_secs(24 * 3600);
    for version in [1, 2] {
        screen::note(format_args!("writing version {version} ..."));
        let len = large::write(&path, options.size, version, SEED)?;
        let name = format!("commit of version {version}, {:.1} GB", len as f64 / 1e9);
        let ran = project.watch(&["--quiet", "commit", "-m", "large"], patience)?;
        project.run(&["--quiet", "tag", &format!("large-{version}")])?;
        seen.push((name, ran));
    }
    for version in [1, 2] {
        let ran = project.watch(&["--quiet", "checkout", &format!("large-{version}")], patience)?;
        seen.push((format!("checkout of version {version}"), ran));
    }
    Ok(())
}

/// Looks at a working file that claims to be larger than the disk. The repository holds a small
/// version of it, so that there is something to compare.
fn sparse(
    options: &Options,
    mv: &Path,
    work: &Path,
    seen: &mut Vec<(String, Watched)>,
) -> Result<()> {
    let project = Project::create(mv, work)?;
    let path = project.path(MODEL);
    large::write(&path, 1, 1, SEED)?;
    project.commit()?;
    let len = match large::sparse(&path, (options.sparse_tb * 1e12) as u64) {
        Ok(len) => len,
        Err(error) => {
            screen::note(format_args!("no sparse file here: {error}"));
            return Ok(());
        }
    };
    let limit = Duration::from_secs(options.limit);
    let commands: [&[&str]; 4] = [
        &["--quiet", "status"],
        &["--quiet", "diff", "--name-only"],
        &["--quiet", "diff", "--stat"],
        &["--quiet", "diff"],
    ];
    for words in commands {
        let name = format!("{}, {:.2} TB sparse", words[1..].join(" "), len as f64 / 1e12);
        seen.push((name, project.watch(words, limit)?));
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
