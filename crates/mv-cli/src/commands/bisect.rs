//! `mv bisect`: finds the version that made it worse.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use mv_graph::Scalar;
use mv_repo::bisect::metric::{self, Fall, MetricOptions, MetricOutcome, Worse};
use mv_repo::bisect::{self, Ends, Outcome, Scratch, Search, Verdict};
use mv_repo::{Repo, Session};
use mv_store::{Hash, nonce_hex};
use serde::Serialize;
use serde_json::{Number, Value};

use crate::child::{self, Ended};
use crate::commands::bisect_changes::{self, ChangesDocument};
use crate::context::Context;
use crate::failure::{Failure, NO, Result};
use crate::format;
use crate::ui::{Role, Ui};

/// What a command ends with to say that a version cannot be tested.
const SKIP: i32 = 125;

/// Find the version that made it worse
///
/// With --metric nothing is run: what the versions recorded is compared, each with the measured one
/// before it. `mv bisect run` tests versions with a command of yours.
#[derive(Debug, clap::Args)]
#[command(
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  mv bisect --metric accuracy --drop 0.01\n  mv bisect --metric val_loss --rise 0.05 v1.0.0 HEAD\n  mv bisect run -- python evaluate.py --at-least 0.9"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Sub>,
    /// The metric that became worse
    #[arg(long, value_name = "NAME", required = true)]
    metric: Option<String>,
    /// By how much it fell, at least
    #[arg(long, value_name = "X", conflicts_with = "rise", required_unless_present = "rise")]
    drop: Option<f64>,
    /// By how much it rose, at least, where low is good
    #[arg(long, value_name = "X")]
    rise: Option<f64>,
    /// Where to begin; the oldest version when not given
    good: Option<String>,
    /// Where to end; the current version when not given
    bad: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Sub {
    Run(RunArgs),
}

/// Test versions with a command until the first bad one is known
///
/// CMD runs in a private folder that holds the version, never in the working tree; MV_PROJECT,
/// MV_VERSION and MV_ID name the project and the version. It ends with 0 for good, 125 for "cannot be
/// tested", 1 to 127 for bad; anything else stops the search. Both ends are tested first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mv bisect run -- python evaluate.py --at-least 0.9\n  mv bisect run --good v1.0.0 -- sh -c 'test -f models/clf.onnx || exit 125; pytest -q'"
)]
struct RunArgs {
    /// A version that works; the oldest when not given
    #[arg(long, value_name = "REV")]
    good: Option<String>,
    /// A version that does not; the current one when not given
    #[arg(long, value_name = "REV")]
    bad: Option<String>,
    /// The command and its arguments
    #[arg(
        value_name = "CMD",
        required = true,
        num_args = 1..,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    command: Vec<OsString>,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    if let Some(Sub::Run(args)) = args.command {
        return Testing::begin(context, args)?.run();
    }
    let (worse, by) = match (args.drop, args.rise) {
        (_, Some(by)) => (Worse::Higher, by),
        (by, None) => (Worse::Lower, by.unwrap_or_default()),
    };
    let metric = args.metric.unwrap_or_default();
    let ends = Ends { good: args.good, bad: args.bad };
    by_metric(context, &MetricOptions { metric, worse, by, ends })
}

#[derive(Serialize)]
struct MetricDocument<'a> {
    metric: &'a str,
    measured: usize,
    first: Option<FallDocument<'a>>,
    others: Vec<FallDocument<'a>>,
    changes: Option<ChangesDocument<'a>>,
}

#[derive(Serialize)]
struct FallDocument<'a> {
    id: String,
    version: &'a str,
    from: Value,
    /// The text `NaN` when the metric is no number any more; then there is no delta.
    to: Value,
    delta: Option<Number>,
    previous: VersionDocument<'a>,
    versions_between: usize,
}

#[derive(Serialize)]
struct VersionDocument<'a> {
    id: String,
    version: &'a str,
}

impl<'a> From<&'a Fall> for FallDocument<'a> {
    fn from(fall: &'a Fall) -> FallDocument<'a> {
        FallDocument {
            id: fall.id.to_hex(),
            version: &fall.version,
            from: Scalar::float(fall.from).to_json(),
            to: Scalar::float(fall.to).to_json(),
            delta: Number::from_f64(fall.to - fall.from),
            previous: VersionDocument {
                id: fall.previous.to_hex(),
                version: &fall.previous_version,
            },
            versions_between: fall.between,
        }
    }
}

fn by_metric(context: &Context<'_>, options: &MetricOptions) -> Result<u8> {
    let ui = &context.ui;
    let (repo, session) = context.open()?;
    let found = metric::search(&repo, options, &session)?;
    let first = found.falls.first();
    let changes = match first {
        Some(fall) => Some(bisect::difference(&repo, &fall.previous, &fall.id, &session)?),
        None => None,
    };
    if ui.json {
        ui.document(&MetricDocument {
            metric: &options.metric,
            measured: found.measured,
            first: first.map(Into::into),
            others: found.falls.iter().skip(1).map(Into::into).collect(),
            changes: changes.as_ref().map(Into::into),
        })?;
    } else if let (Some(first), Some(changes)) = (first, &changes) {
        print_fall(ui, &repo, options, first)?;
        bisect_changes::print(ui, changes, &first.previous_version);
        print_others(ui, &found);
    } else {
        let verb = if options.worse == Worse::Lower { "fell" } else { "rose" };
        let measured = format::count(found.measured as u64, "measured version");
        let metric = format::text(&options.metric);
        ui.say(format!("{metric} never {verb} by {} or more in {measured}", options.by));
    }
    Ok(if first.is_some() { 0 } else { NO })
}

fn print_fall(ui: &Ui<'_>, repo: &Repo, options: &MetricOptions, fall: &Fall) -> Result<()> {
    let verb = match options.worse {
        _ if fall.to.is_nan() => "went",
        Worse::Lower => "fell",
        Worse::Higher => "rose",
    };
    let metric = format::text(&options.metric);
    ui.line(format!("{metric} {verb} {} at {}", step(fall), name(ui, &fall.version, &fall.id)));
    if fall.between > 0 {
        let count = format::count(fall.between as u64, "version");
        ui.line(format!("{count} without a number for it came in between"));
    }
    version(ui, repo, &fall.id)
}

/// `0.92 -> 0.9 (-0.02)`.
fn step(fall: &Fall) -> String {
    let delta = fall.to - fall.from;
    let delta =
        if delta.is_nan() { String::new() } else { format!(" ({})", format::signed(delta)) };
    let number = |n: f64| if n.is_nan() { "NaN".to_owned() } else { n.to_string() };
    format!("{} -> {}{delta}", number(fall.from), number(fall.to))
}

fn print_others(ui: &Ui<'_>, found: &MetricOutcome) {
    const SHOWN: usize = 5;
    let others = found.falls.iter().skip(1);
    for fall in others.take(SHOWN) {
        let name = name(ui, &fall.version, &fall.id);
        ui.line(format!("also at {name}: {}", step(fall)));
    }
    let more = found.falls.len().saturating_sub(1 + SHOWN);
    if more > 0 {
        ui.line(format!("and at {}", format::count(more as u64, "more version")));
    }
}

fn name(ui: &Ui<'_>, version: &str, id: &Hash) -> String {
    let version = ui.paint.paint(Role::Name, format::text(version));
    format!("{version} ({})", ui.paint.paint(Role::Id, id.short()))
}

/// When, who and why.
fn version(ui: &Ui<'_>, repo: &Repo, id: &Hash) -> Result<()> {
    let manifest = repo.manifest(id)?;
    let day: String = manifest.created.to_display().chars().take(10).collect();
    let author = format::text(&manifest.author.name);
    ui.line(format!("  {day}  {author}  {}", format::subject(&manifest.message)));
    Ok(())
}

#[derive(Serialize)]
struct RunDocument<'a> {
    first: Option<VersionDocument<'a>>,
    /// What is left when some could not be tested; then `first` is null.
    candidates: Vec<VersionDocument<'a>>,
    tested: Vec<TestDocument<'a>>,
    changes: Option<ChangesDocument<'a>>,
}

#[derive(Serialize)]
struct TestDocument<'a> {
    id: String,
    version: &'a str,
    verdict: &'static str,
    exit: i32,
}

/// One version that was tested.
struct Test {
    id: Hash,
    version: String,
    verdict: Verdict,
    exit: i32,
}

/// A search by a command.
struct Testing<'a> {
    context: &'a Context<'a>,
    repo: Repo,
    session: Session,
    program: PathBuf,
    args: Vec<OsString>,
    good: Hash,
    bad: Hash,
    search: Search,
    scratch: Scratch,
    tests: Vec<Test>,
}

impl<'a> Testing<'a> {
    fn begin(context: &'a Context<'a>, args: RunArgs) -> Result<Testing<'a>> {
        let (repo, session) = context.open()?;
        let mut words = args.command.into_iter();
        let program = child::find(&words.next().unwrap_or_default(), context.host)?;
        let ends = Ends { good: args.good, bad: args.bad };
        let (good, bad, search) = bisect::begin(&repo, &ends, &session)?;
        let temporary = context.host.variable("TMPDIR").map(PathBuf::from);
        let temporary = temporary.filter(|dir| dir.is_absolute()).unwrap_or("/tmp".into());
        let nonce = nonce_hex(&session.nonces.next());
        let scratch = Scratch::create(&temporary.join(format!("mv-bisect-{nonce}")))?;
        let args = words.collect();
        let tests = Vec::new();
        Ok(Testing { context, repo, session, program, args, good, bad, search, scratch, tests })
    }

    fn run(mut self) -> Result<u8> {
        let ui = &self.context.ui;
        ui.note("testing both ends");
        self.end(self.bad, Verdict::Bad)?;
        self.end(self.good, Verdict::Good)?;
        self.search.mark(&self.good, Verdict::Good);
        while let Some(next) = self.search.next() {
            let version = self.version_of(&next)?;
            let steps = self.search.steps().saturating_sub(1);
            let rest = match steps {
                0 => "the last".to_owned(),
                steps => format!("about {steps} more"),
            };
            ui.note(format!("testing {} ({rest})", name(ui, &version, &next)));
            let verdict = self.test(next)?;
            self.search.mark(&next, verdict);
        }
        self.answer()
    }

    /// Tests a version that is said to be good or bad.
    fn end(&mut self, id: Hash, claimed: Verdict) -> Result<()> {
        let found = self.test(id)?;
        if found == claimed {
            return Ok(());
        }
        let version = self.version_of(&id)?;
        let version = format!("{version} ({})", id.short());
        let (message, hint) = match (claimed, found) {
            (_, Verdict::Skip) => (
                format!(
                    "{version}, an end of the search, cannot be tested: the command ended with 125"
                ),
                "choose other ends: `mv bisect run --good REV --bad REV -- CMD`",
            ),
            (Verdict::Bad, _) => (
                format!("{version} is good: there is nothing to search for"),
                "name a version that is bad: `mv bisect run --bad REV -- CMD`",
            ),
            _ => (
                format!("{version} is bad already"),
                "name a version that is good: `mv bisect run --good REV -- CMD`",
            ),
        };
        Err(Failure::no("no_answer", message).hint(hint))
    }

    /// Puts a version in place and runs the command on it.
    fn test(&mut self, id: Hash) -> Result<Verdict> {
        let context = self.context;
        self.scratch.put(&self.repo, &id, &self.session)?;
        let version = self.version_of(&id)?;
        let hex = id.to_hex();
        let variables: [(&str, &OsStr); 3] = [
            ("MV_PROJECT", self.repo.root().as_os_str()),
            ("MV_VERSION", OsStr::new(&version)),
            ("MV_ID", OsStr::new(&hex)),
        ];
        let files = self.scratch.files();
        let ended = child::run(
            &self.program,
            &self.args,
            &files,
            &variables,
            context.ui.quiet,
            context.host,
            &context.progress,
        )?;
        let (verdict, exit) = match ended {
            Ended::Code(0) => (Verdict::Good, 0),
            Ended::Code(SKIP) => (Verdict::Skip, SKIP),
            Ended::Code(code @ 1..=127) => (Verdict::Bad, code),
            Ended::Code(code) => return Err(stopped(&self.program, &version, "ended with", code)),
            Ended::Signal(n) => {
                return Err(stopped(&self.program, &version, "was ended by signal", n));
            }
        };
        let id_shown = name(&context.ui, &version, &id);
        context.ui.note(format!("{id_shown} is {}", word(verdict)));
        self.tests.push(Test { id, version, verdict, exit });
        Ok(verdict)
    }

    fn version_of(&self, id: &Hash) -> Result<String> {
        Ok(self.repo.version_of(id, &self.repo.manifest(id)?))
    }

    fn answer(&self) -> Result<u8> {
        let ui = &self.context.ui;
        let (first, candidates) = match self.search.outcome() {
            Outcome::Found(id) => (Some(id), Vec::new()),
            Outcome::Among(ids) => (None, ids),
            Outcome::Open => (None, Vec::new()),
        };
        let parent = match first {
            Some(id) => self.repo.manifest(&id)?.parents.first().copied(),
            None => None,
        };
        let changes = match first.zip(parent) {
            Some((id, parent)) => {
                Some(bisect::difference(&self.repo, &parent, &id, &self.session)?)
            }
            None => None,
        };
        let named = |id: &Hash| Ok::<_, Failure>((*id, self.version_of(id)?));
        let first = first.as_ref().map(named).transpose()?;
        let candidates: Vec<_> = candidates.iter().map(named).collect::<Result<_>>()?;
        fn document((id, version): &(Hash, String)) -> VersionDocument<'_> {
            VersionDocument { id: id.to_hex(), version }
        }
        if ui.json {
            let tested = self.tests.iter().map(|test| TestDocument {
                id: test.id.to_hex(),
                version: &test.version,
                verdict: word(test.verdict),
                exit: test.exit,
            });
            ui.document(&RunDocument {
                first: first.as_ref().map(document),
                candidates: candidates.iter().map(document).collect(),
                tested: tested.collect(),
                changes: changes.as_ref().map(Into::into),
            })?;
        } else if let Some((id, first)) = &first {
            ui.line(format!("{} is the first bad version", name(ui, first, id)));
            version(ui, &self.repo, id)?;
            if let (Some(changes), Some(parent)) = (&changes, parent) {
                bisect_changes::print(ui, changes, &self.version_of(&parent)?);
            }
        } else {
            ui.line("one of these is the first bad version; the others could not be tested:");
            for (id, version) in &candidates {
                ui.line(format!("  {}", name(ui, version, id)));
            }
        }
        Ok(if first.is_some() { 0 } else { NO })
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Bad => "bad",
        Verdict::Skip => "skipped",
    }
}

fn stopped(program: &Path, version: &str, how: &str, number: i32) -> Failure {
    let program = program.to_string_lossy();
    Failure::no("stopped", format!("`{program}` {how} {number} on {version}: the search stopped"))
        .hint("end with 125 for a version that cannot be tested, as `mv bisect run --help` says")
}
