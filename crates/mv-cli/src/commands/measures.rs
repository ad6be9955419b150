//! `mv metrics` and `mv params`: what versions scored and what they were given, as a table.

use std::collections::HashSet;

use mv_graph::{Manifest, Scalar};
use mv_repo::versions::{Version, Which, versions};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::commands::shared;
use crate::context::Context;
use crate::csv;
use crate::failure::Result;
use crate::format;
use crate::json::Scalars;
use crate::ui::{Role, Ui};
use crate::value_table::{Heading, fit};

/// How many versions a terminal shows when nothing is said.
const ON_A_TERMINAL: usize = 30;

/// Compare the metrics of versions in a table
///
/// Without REV the current version and those before it are listed, newest first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv metrics\n  mv metrics v1.0.0 HEAD --only auc --only loss\n  mv metrics --all -n 50\n  mv metrics --csv > metrics.csv"
)]
pub(crate) struct MetricsArgs {
    #[command(flatten)]
    options: Options,
}

/// Compare the params of versions in a table
///
/// Without REV the current version and those before it are listed, newest first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv params\n  mv params v1.0.0 HEAD\n  mv params --only train --all\n  mv params --csv > params.csv"
)]
pub(crate) struct ParamsArgs {
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// Exactly these versions, in this order
    #[arg(value_name = "REV")]
    revs: Vec<String>,
    /// Every version that a branch, tag or stage leads to
    #[arg(long, conflicts_with = "revs")]
    all: bool,
    /// At most N versions; 30 on a terminal when not given
    #[arg(short = 'n', long = "limit", value_name = "N")]
    limit: Option<usize>,
    /// Only this column, or those that begin with NAME and a dot
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Exact values, separated by commas, for other programs
    #[arg(long)]
    csv: bool,
}

/// Which of the two is asked for.
#[derive(Clone, Copy)]
enum Kind {
    Metrics,
    Params,
}

pub(crate) fn metrics(context: &Context<'_>, args: MetricsArgs) -> Result<u8> {
    run(context, args.options, Kind::Metrics)
}

pub(crate) fn params(context: &Context<'_>, args: ParamsArgs) -> Result<u8> {
    run(context, args.options, Kind::Params)
}

fn run(context: &Context<'_>, options: Options, kind: Kind) -> Result<u8> {
    let (repo, session) = context.open()?;
    let ui = &context.ui;
    let unlimited = options.csv || ui.json || ui.width().is_none() || !options.revs.is_empty();
    let shown = options.limit.or((!unlimited).then_some(ON_A_TERMINAL));
    let which = match (options.all, options.revs.is_empty()) {
        (true, _) => Which::All,
        (false, true) => Which::Head,
        (false, false) => Which::Only(options.revs),
    };
    // One more tells whether there are more.
    let mut found = versions(&repo, &which, shown.map(|n| n.saturating_add(1)), &session)?;
    let more = shown.is_some_and(|n| found.len() > n);
    found.truncate(shown.unwrap_or(usize::MAX));
    if ui.json {
        let documents = found.iter().map(|version| Document { version, kind, only: &options.only });
        ui.document(&crate::json::array(documents))?;
        return Ok(0);
    }
    let names = columns(&found, kind, &options.only);
    if options.csv {
        print_csv(ui, &found, kind, &names);
    } else {
        let table = Page { ui, kind, head: repo.state().head_target() };
        // Where others are recorded, the lines below say which name is not.
        if !names.is_empty() || options.only.is_empty() || columns(&found, kind, &[]).is_empty() {
            table.print(&found, &names, more && options.limit.is_none());
        }
    }
    for name in &options.only {
        if !found.is_empty() && !names.iter().any(|n| is_meant(n, name)) {
            let known = columns(&found, kind, &[]);
            ui.note(format!("no version here has {} `{}`", kind.one(), format::text(name)));
            shared::near_name(ui, name, &known);
        }
    }
    Ok(0)
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Metrics => "metrics",
            Kind::Params => "params",
        }
    }

    fn one(self) -> &'static str {
        match self {
            Kind::Metrics => "the metric",
            Kind::Params => "the param",
        }
    }

    fn values(self, manifest: &Manifest) -> &[(String, Scalar)] {
        match self {
            Kind::Metrics => &manifest.metrics,
            Kind::Params => &manifest.params,
        }
    }

    fn value(self, manifest: &Manifest, name: &str) -> Option<Scalar> {
        match self {
            Kind::Metrics => manifest.metric(name),
            Kind::Params => manifest.param(name),
        }
        .cloned()
    }
}

/// Whether `--only wanted` asks for the column.
fn is_meant(name: &str, wanted: &str) -> bool {
    name.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The names of all values: in the order asked for, then those of the first version before those
/// that only others have.
fn columns(found: &[Version], kind: Kind, only: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut names: Vec<&str> = Vec::new();
    for version in found {
        let of_one = kind.values(&version.manifest).iter().map(|(name, _)| name.as_str());
        names.extend(of_one.filter(|name| seen.insert(*name)));
    }
    if only.is_empty() {
        return names.into_iter().map(str::to_owned).collect();
    }
    let mut chosen: Vec<String> = Vec::new();
    for wanted in only {
        let meant = names.iter().filter(|name| is_meant(name, wanted));
        let new: Vec<String> =
            meant.filter(|n| !chosen.iter().any(|c| c == *n)).map(|n| (*n).to_owned()).collect();
        chosen.extend(new);
    }
    chosen
}

fn print_csv(ui: &Ui<'_>, found: &[Version], kind: Kind, names: &[String]) {
    use std::io::Write as _;
    let mut data = ui.data();
    let front = ["version", "id", "tags", "branches", "created"].map(str::to_owned);
    let mut write = |fields: Vec<String>| data.write_all(csv::record(fields).as_bytes()).is_ok();
    let mut going = write(front.iter().chain(names).cloned().collect());
    for version in found {
        if !going {
            // The failure is kept by the ui and told at the end.
            return;
        }
        let manifest = &version.manifest;
        let front = [
            version.version.clone(),
            version.id.to_hex(),
            version.tags.join(" "),
            version.branches.join(" "),
            manifest.created.to_rfc3339_utc(),
        ];
        let value =
            |name: &String| kind.value(manifest, name).map(|v| v.to_string()).unwrap_or_default();
        going = write(front.into_iter().chain(names.iter().map(value)).collect());
    }
}

struct Page<'a> {
    ui: &'a Ui<'a>,
    kind: Kind,
    head: Option<mv_store::Hash>,
}

impl Page<'_> {
    fn print(&self, found: &[Version], names: &[String], more: bool) {
        let (ui, kind) = (self.ui, self.kind);
        if found.is_empty() {
            ui.note("no versions to show");
            return;
        }
        if names.is_empty() {
            ui.note(format!(
                "no {} are recorded in {}",
                kind.word(),
                format::count(found.len() as u64, "version")
            ));
            let (file, flag) = match kind {
                Kind::Metrics => ("metrics.json", "--metric auc=0.91"),
                Kind::Params => ("params.yaml", "--param lr=1e-3"),
            };
            ui.hint(&format!("write `{file}` in training, or `mv commit -m MESSAGE {flag}`"));
            return;
        }
        let rows: Vec<Heading> = found.iter().map(|v| self.heading(v)).collect();
        let value = |row: usize, name: &str| kind.value(&found.get(row)?.manifest, name);
        let fitted = fit(&rows, names, &value, ui.width());
        for (i, line) in fitted.lines.iter().enumerate() {
            if i == 0 { ui.line(ui.paint.paint(Role::Heading, line)) } else { ui.line(line) }
        }
        if fitted.left_out > 0 {
            ui.note(format!("{} of {} {} do not fit", fitted.left_out, names.len(), kind.word()));
            ui.hint(&format!(
                "choose some with `mv {} --only NAME`, or take all with `--csv`",
                kind.word()
            ));
        }
        if more {
            ui.note(format!("the newest {} versions; `-n N` shows more", found.len()));
        }
    }

    fn heading(&self, version: &Version) -> Heading {
        let head = (self.head == Some(version.id)).then(|| "HEAD".to_owned());
        let tags = version.tags.iter().filter(|tag| **tag != version.version);
        let marks =
            head.into_iter().chain(version.branches.iter().chain(tags).map(|n| format::text(n)));
        Heading {
            version: format::text(&version.version),
            id: version.id.short(),
            marks: marks.collect::<Vec<_>>().join(", "),
            date: version.manifest.created.to_display().chars().take(10).collect(),
        }
    }
}

/// One version for `--json`.
struct Document<'a> {
    version: &'a Version,
    kind: Kind,
    only: &'a [String],
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let (version, only) = (self.version, self.only);
        let chosen: Vec<(String, Scalar)>;
        let mut values = self.kind.values(&version.manifest);
        if !only.is_empty() {
            let meant = |name: &str| only.iter().any(|wanted| is_meant(name, wanted));
            chosen = values.iter().filter(|(name, _)| meant(name)).cloned().collect();
            values = &chosen;
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &version.id.to_hex())?;
        map.serialize_entry("version", &version.version)?;
        map.serialize_entry("created", &version.manifest.created.to_rfc3339_utc())?;
        map.serialize_entry("branch", &version.branches.first())?;
        map.serialize_entry("branches", &version.branches)?;
        map.serialize_entry("tags", &version.tags)?;
        map.serialize_entry(self.kind.word(), &Scalars(values))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;
    use crate::host::tests::{Shared, host_in};
    use crate::host::{Host, Stream};

    static RUNS: AtomicU8 = AtomicU8::new(0);

    fn at(dir: &std::path::Path, line: &[&str], terminal: Option<usize>) -> (u8, String, String) {
        let (mut host, out, err): (Host, Shared, Shared) = host_in(dir);
        host.set("MV_AUTHOR_NAME", "Ada");
        host.set("MV_AUTHOR_EMAIL", "ada@example.org");
        host.set("NO_COLOR", "1");
        host.set("MV_TRUST_ANY_OWNER", "1");
        host.width = terminal;
        // Each run needs random bytes of its own.
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        host.random = Box::new(move || Ok([run; 32]));
        host.stdout = Stream::new(Box::new(out.clone()), terminal.is_some());
        let code = crate::run(line.iter().map(Into::into).collect(), &host);
        (code, out.text(), err.text())
    }

    #[test]
    fn a_terminal_gets_the_newest_versions_and_what_fits_and_a_pipe_gets_all() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(at(dir.path(), &["init"], None).0, 0);
        for n in 0..32 {
            let metrics: Vec<String> = (0..9).map(|m| format!("\"score{m}\": {n}.{m}5")).collect();
            let text = format!("{{{}}}", metrics.join(","));
            std::fs::write(dir.path().join("metrics.json"), text).unwrap();
            let (code, _, err) = at(dir.path(), &["commit", "-m", "x"], None);
            assert_eq!(code, 0, "{err}");
        }
        for width in [40, 80, 200] {
            let (code, out, err) = at(dir.path(), &["metrics"], Some(width));
            assert_eq!((code, out.lines().count()), (0, 31));
            assert!(out.lines().all(|line| line.chars().count() <= width), "{out}");
            assert_eq!(err.contains("of 9 metrics do not fit"), width < 200, "{err}");
            assert!(err.contains("the newest 30 versions"), "{err}");
            let (code, out, _) = at(dir.path(), &["plot", "score1", "score2"], Some(width));
            assert_eq!(code, 0);
            assert!(out.lines().all(|line| line.chars().count() <= width), "{out}");
            assert!(out.contains('\u{28c0}') || out.contains('⠤') || out.contains('⠉'), "{out}");
        }
        let (_, out, err) = at(dir.path(), &["metrics"], None);
        assert_eq!((out.lines().count(), err.as_str()), (33, ""));
        assert!(out.lines().next().unwrap().ends_with("score8"), "{out}");
        assert_eq!(at(dir.path(), &["metrics", "-n", "5"], Some(80)).1.lines().count(), 6);
    }

    #[test]
    fn a_name_means_itself_and_what_is_below_it() {
        assert!(is_meant("train.loss", "train") && is_meant("train", "train"));
        assert!(!is_meant("training", "train") && !is_meant("a.train", "train"));
    }
}
