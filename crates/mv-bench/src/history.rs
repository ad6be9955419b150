//! `mv-bench history`: how quickly any version of a long history comes back, before and after `repack`.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::failure::{At, Result};
use crate::generate::run::Run;
use crate::options::Place;
use crate::project::Project;
use crate::screen;
use crate::table::{Table, median, number};
use crate::tensors::{Dtype, Tensors};

const MODEL: &str = "model.safetensors";

/// Checkout of the versions of a long training run
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Checkpoints
    #[arg(long, default_value_t = 50)]
    versions: u64,
    /// Bytes of one checkpoint
    #[arg(long, default_value_t = 100_000_000)]
    size: u64,
    /// Every how many versions one is tagged
    #[arg(long, default_value_t = 10)]
    tags: u64,
    /// Repetitions
    #[arg(long, default_value_t = 5)]
    reps: usize,
    /// Only this type: bf16 or fp32
    #[arg(long, value_parser = ["bf16", "fp32"])]
    only: Option<String>,
}

impl Options {
    fn is_tagged(&self, version: u64) -> bool {
        version.is_multiple_of(self.tags.max(1))
    }

    /// What `checkout` calls a version.
    fn name(&self, version: u64) -> String {
        if self.is_tagged(version) {
            format!("step-{version}")
        } else {
            format!("main~{}", self.versions - version)
        }
    }
}

/// Builds the histories and prints how fast each version is.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let mut results = Vec::new();
    for (name, dtype) in [("bf16", Dtype::Bf16), ("fp32", Dtype::F32)] {
        if options.only.as_deref().is_none_or(|only| only == name) {
            let history = one(options, name, dtype)?;
            history.print();
            results.push(history.json());
        }
    }
    options.place.save(&Value::Array(results))?;
    Ok(true)
}

/// What was measured of one history.
struct History {
    dtype: &'static str,
    /// Length of one checkpoint.
    len: u64,
    /// What each version stored, and how long its commit took.
    commits: Vec<(u64, f64)>,
    stops: Vec<Stop>,
    /// Seconds of each checkout, per stop.
    before: Vec<Vec<f64>>,
    repacked: Vec<Vec<f64>>,
    /// Seconds that repack took, and the bytes that it left.
    repack: f64,
    left: u64,
    /// Seconds that copying a checkpoint takes.
    copy: f64,
}

fn one(options: &Options, name: &'static str, dtype: Dtype) -> Result<History> {
    let project = Project::create(&options.place.mv()?, &options.place.work())?;
    let (len, commits) = build(options, &project, name, dtype)?;
    let stops = stops(options);
    let before = checkouts(&project, &stops, options.reps)?;
    let start = Instant::now();
    project.repack()?;
    let repack = start.elapsed().as_secs_f64();
    let repacked = checkouts(&project, &stops, options.reps)?;
    let copy = copy(&project.path(MODEL), options.reps)?;
    Ok(History {
        dtype: name,
        len,
        commits,
        stops,
        before,
        repacked,
        repack,
        left: project.stored(),
        copy,
    })
}

impl History {
    fn print(&self) {
        let rate = |seconds: f64| self.len as f64 / 1e9 / seconds.max(1e-9);
        let (stored, seconds): (Vec<u64>, Vec<f64>) = self.commits.iter().copied().unzip();
        let all = self.len * stored.len() as u64;
        screen::line(format_args!(
            "{}: {} versions of {:.1} MB, {:.1} % stored, commit {:.2} GB/s",
            self.dtype,
            stored.len(),
            self.len as f64 / 1e6,
            stored.iter().sum::<u64>() as f64 * 100.0 / all.max(1) as f64,
            rate(median(&seconds))
        ));
        let heads = ["version", "kind", ">before, GB/s", ">repacked, GB/s", ">of cp"];
        let mut table = Table::new(&heads);
        for ((stop, before), repacked) in self.stops.iter().zip(&self.before).zip(&self.repacked) {
            let (before, repacked) = (median(before), median(repacked));
            table.row([
                stop.name.clone(),
                stop.kind.to_owned(),
                number(rate(before)),
                number(rate(repacked)),
                number(self.copy / repacked),
            ]);
        }
        table.lines().iter().for_each(screen::line);
        screen::line(format_args!(
            "cp {} GB/s; repack took {:.1} s and left {:.1} MB\n",
            number(rate(self.copy)),
            self.repack,
            self.left as f64 / 1e6
        ));
    }

    fn json(&self) -> Value {
        let mut checkouts = Vec::new();
        for ((stop, before), repacked) in self.stops.iter().zip(&self.before).zip(&self.repacked) {
            let (name, kind) = (&stop.name, stop.kind);
            checkouts.push(json!({
                "version": name, "kind": kind, "before": before, "repacked": repacked,
            }));
        }
        let (stored, seconds): (Vec<u64>, Vec<f64>) = self.commits.iter().copied().unzip();
        json!({
            "dtype": self.dtype, "bytes": self.len, "stored": stored, "commit_seconds": seconds,
            "copy_seconds": self.copy, "repack_seconds": self.repack, "left_bytes": self.left,
            "checkouts": checkouts,
        })
    }
}

/// Makes and commits all versions; the length of each, and what it stored and took.
fn build(
    options: &Options,
    project: &Project,
    name: &str,
    dtype: Dtype,
) -> Result<(u64, Vec<(u64, f64)>)> {
    let sample = match options.place.data() {
        Some(data) => Some(Tensors::read(&data.join("train-fp32/v8.safetensors"))?),
        None => None,
    };
    let numbers = usize::try_from(options.size)? / dtype.bytes();
    let mut run = Run::start(sample.as_ref(), numbers, 0x41);
    let (mut len, mut commits) = (0, Vec::new());
    for version in 1..=options.versions {
        run.step(options.versions);
        len = run.save(&project.path(MODEL), dtype)?;
        let done = project.commit()?;
        commits.push((done.claimed, done.seconds));
        if options.is_tagged(version) {
            project.run(&["--quiet", "tag", &options.name(version)])?;
        }
        screen::note(format_args!("{name} {version}: {:.2} s", done.seconds));
    }
    Ok((len, commits))
}

/// A version that is checked out.
struct Stop {
    name: String,
    kind: &'static str,
}

/// Every seventh version, the tagged ones, and the newest last.
fn stops(options: &Options) -> Vec<Stop> {
    let kind = |version| match version {
        v if v == options.versions => Some("newest"),
        v if options.is_tagged(v) => Some("tag"),
        v if v % 7 == 1 => Some("every 7th"),
        _ => None,
    };
    (1..=options.versions)
        .filter_map(|version| Some(Stop { name: options.name(version), kind: kind(version)? }))
        .collect()
}

/// Goes from each to the next, round and round; the first round only warms the page cache.
fn checkouts(project: &Project, stops: &[Stop], reps: usize) -> Result<Vec<Vec<f64>>> {
    let mut seconds = vec![Vec::new(); stops.len()];
    for round in 0..=reps.max(1) {
        for (stop, seconds) in stops.iter().zip(&mut seconds) {
            let took = project.run(&["--quiet", "checkout", &stop.name])?.seconds;
            if round > 0 {
                seconds.push(took);
            }
        }
    }
    Ok(seconds)
}

/// Seconds that copying the file takes.
fn copy(path: &Path, reps: usize) -> Result<f64> {
    let to = path.with_extension("copy");
    let mut seconds = Vec::new();
    for _ in 0..=reps {
        let start = Instant::now();
        fs::copy(path, &to).at("copy", path)?;
        seconds.push(start.elapsed().as_secs_f64());
        fs::remove_file(&to).at("delete", &to)?;
    }
    Ok(median(&seconds[1..]))
}
