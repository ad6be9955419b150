//! `mv-bench stored`: how many bytes a version takes, as a share of its raw bytes, beside the goal of its family.
//!
//! Every row makes a project of its own, commits the versions in order, and adds up the pack files that
//! a commit made. What any version costs, whatever is in it (manifest, tree, list of chunks), is
//! measured apart: the samples are a twentieth of the models that the goals were set for.

mod files;
mod row;
mod tables;
mod weights;

use std::path::PathBuf;

use serde_json::Value;

use crate::failure::Result;
use crate::options::Place;
use crate::project::Project;
use crate::screen;
use crate::table::Table;
use crate::tensors::Tensors;

use row::Row;

/// Stored bytes of each kind of version, beside its goal
///
/// Exits with 1 when a goal is missed. Rows of weights need --data.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Only these groups, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    rows: Vec<String>,
    /// Size of the tables and of the small files; 1 is 130 MB and 20,000 files
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// The same as --scale 0.05
    #[arg(long, conflicts_with = "scale")]
    quick: bool,
    /// Two versions of a Parquet file
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
    parquet: Vec<PathBuf>,
}

/// What the groups work with.
struct Bench {
    mv: PathBuf,
    work: PathBuf,
    data: Option<PathBuf>,
    scale: f64,
    parquet: Vec<PathBuf>,
    /// What a version of one changed line takes.
    fixed: u64,
}

/// Makes the rows of one group.
type Group = fn(&Bench) -> Result<Vec<Row>>;

const GROUPS: [(&str, Group); 14] = [
    ("first", weights::first),
    ("run", weights::run),
    ("finetune", weights::finetune),
    ("family", weights::family),
    ("vocabulary", weights::vocabulary),
    ("int8", weights::int8),
    ("twin", weights::twin),
    ("container", weights::container),
    ("adam", weights::adam),
    ("csv", tables::csv),
    ("csv-first", tables::csv_first),
    ("jsonl", tables::jsonl),
    ("parquet", tables::parquet),
    ("small", files::small),
];

/// Runs the groups and prints their rows; whether every goal was met.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let known = |name: &str| GROUPS.iter().any(|(group, _)| *group == name);
    if let Some(name) = options.rows.iter().find(|name| !known(name)) {
        let groups = GROUPS.map(|(group, _)| group).join(", ");
        return Err(format!("there is no group `{name}`: {groups}").into());
    }
    let mut bench = Bench {
        mv: options.place.mv()?,
        work: options.place.work(),
        data: options.place.data(),
        scale: if options.quick { 0.05 } else { options.scale },
        parquet: options.parquet.clone(),
        fixed: 0,
    };
    bench.fixed = fixed(&bench.project()?)?;
    let mut rows = Vec::new();
    let mut failed = false;
    for (name, group) in GROUPS {
        if options.rows.is_empty() || options.rows.iter().any(|row| row == name) {
            screen::note(format_args!("{name} ..."));
            match group(&bench) {
                Ok(more) => rows.extend(more),
                Err(error) => {
                    screen::note(format_args!("{name}: {error}"));
                    failed = true;
                }
            }
        }
    }
    print(&rows, bench.fixed);
    options.place.save(&Value::Array(rows.iter().map(Row::json).collect()))?;
    Ok(!failed && rows.iter().all(|row| row.met() != Some(false)))
}

fn print(rows: &[Row], fixed: u64) {
    let mut table = Table::new(&[
        "family",
        "version",
        ">raw MB",
        ">stored kB",
        ">%",
        ">net %",
        ">whole %",
        ">goal %",
        "",
        "note",
    ]);
    rows.iter().for_each(|row| table.row(row.cells()));
    table.lines().iter().for_each(screen::line);
    screen::line("");
    screen::line(format_args!(
        "net: without the {fixed} bytes that any version of one file takes. whole: in the model that the sample was cut from."
    ));
}

/// What a version takes in which one line of one file changed.
fn fixed(project: &Project) -> Result<u64> {
    project.write("train.py", b"rate = 1\n")?;
    project.commit()?;
    project.write("train.py", b"rate = 2\n")?;
    Ok(project.commit()?.written)
}

impl Bench {
    fn project(&self) -> Result<Project> {
        Project::create(&self.mv, &self.work)
    }

    /// A file of the samples.
    fn sample(&self, name: &str) -> Result<Tensors> {
        let data = self.data.as_ref().ok_or("name the sample tensors with --data")?;
        Tensors::read(&data.join(name))
    }

    fn scaled(&self, count: u64) -> u64 {
        ((count as f64 * self.scale) as u64).max(200)
    }

    fn row(&self, family: &'static str, version: &str, raw: u64, stored: u64) -> Row {
        Row {
            family,
            version: version.to_owned(),
            raw,
            stored,
            fixed: self.fixed,
            whole: None,
            goal: None,
            note: String::new(),
        }
    }
}
