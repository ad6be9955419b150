//! The command line of `mv`: arguments in, operations of `mv-repo` called, one exit code out.
//!
//! What this crate promises: stdout is data and stderr is talk; every failure is one line with a
//! hint and one of the exit codes of the contract; a stranger's command line for the system's
//! `mv` reaches the system's `mv` untouched; stored text reaches a terminal only escaped.
//!
//! What it leaves to others: everything about repositories is in `mv-repo`.

mod args;
mod author;
mod axis;
mod chart;
mod child;
mod commands;
mod context;
mod csv;
mod failure;
mod format;
mod graph_lines;
mod host;
mod json;
mod memory;
mod passthrough;
mod progress;
mod reference;
mod signals;
mod suggest;
mod svg;
mod table;
mod text_diff;
mod ui;
mod value_table;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    //! A door for fuzz targets only: the whole command is too slow to reach the inner function.

    use crate::{text_diff, ui};

    /// The difference of two texts, without colours, and how many lines were added and removed.
    #[must_use]
    pub fn text_diff(from: &str, to: &str, context: u32) -> (Vec<String>, u32, u32) {
        let (lines, counts) = text_diff::unified(from, to, context, ui::Paint::plain());
        (lines, counts.added, counts.removed)
    }
}

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use crate::context::Context;
use crate::ui::Ui;

pub use crate::host::{Host, Stream};
pub use crate::passthrough::{Decision, decide};
pub use crate::reference::reference_markdown;

/// The whole program: reads the process, runs, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    memory::keep_buffers();
    let mut words = std::env::args_os();
    let host = Host::from_process(words.next().unwrap_or_default());
    std::panic::set_hook(Box::new(failure::panic_line));
    let code =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(words.collect(), &host)));
    ExitCode::from(code.unwrap_or(failure::SYSTEM))
}

/// Runs one command line (without the program's name) and returns its exit code.
#[must_use]
pub fn run(args: Vec<OsString>, host: &Host) -> u8 {
    let exists = |name: &OsStr| {
        host.cwd.as_ref().is_some_and(|cwd| cwd.join(name).symlink_metadata().is_ok())
    };
    let in_repo = host.cwd.as_deref().is_some_and(|cwd| context::repository_above(cwd).is_some());
    let ui = Ui::new(&args::guess(&args), host);
    let failure = match decide(&host.argv0, &args, &exists, in_repo) {
        Decision::System => {
            if let Some(command) = passthrough::misspelt(&args) {
                ui.hint(&format!("did you mean `mv {command}`?"));
            }
            passthrough::exec(&args, host)
        }
        Decision::Refuse { word, rest } => passthrough::refusal(&word, &rest),
        Decision::Ours => return ours(args, host),
    };
    ui.fail(&failure)
}

/// Parses and runs one of our own commands.
pub(crate) fn ours(args: Vec<OsString>, host: &Host) -> u8 {
    let guess = args::guess(&args);
    let word = passthrough::command_word(&args);
    let cli = match args::parse(args, host) {
        Ok(cli) => cli,
        Err(error) => return args::explain(&error, word, &Ui::new(&guess, host)),
    };
    let context = Context::new(cli.global, word, host);
    let result = context.prepare().and_then(|()| {
        let _drawing = progress::Drawing::begin(&context);
        commands::run(&context, cli.command)
    });
    context.end(result)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::*;
    use crate::host::tests::{Shared, host_in};

    /// Runs a command line in an empty folder: exit code, stdout, stderr.
    fn mver(line: &str) -> (u8, String, String) {
        let dir = tempfile::tempdir().unwrap();
        let (host, out, err) = host_in(dir.path());
        let code = run(line.split_whitespace().map(OsString::from).collect(), &host);
        (code, out.text(), err.text())
    }

    fn with_stdout(line: &str, writer: impl Write + Send + 'static) -> (u8, String) {
        let dir = tempfile::tempdir().unwrap();
        let (mut host, _, err) = host_in(dir.path());
        host.stdout = Stream::new(Box::new(writer), false);
        let code = run(line.split_whitespace().map(OsString::from).collect(), &host);
        (code, err.text())
    }

    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn help_and_version_are_data_and_success() {
        let (code, out, err) = mver("--help");
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains("Usage: mver") && out.contains("Examples:"), "{out}");
        assert_eq!(mver("--version").0, 0);
        assert_eq!(mver("log --help").0, 0);
    }

    #[test]
    fn no_command_prints_the_help_and_is_a_usage_failure() {
        let (code, out, _) = mver("");
        assert_eq!(code, 2);
        assert!(out.contains("Usage: mver"), "{out}");
    }

    #[test]
    fn outside_a_repository_every_command_says_so_with_a_hint() {
        for line in
            ["status", "log", "diff", "tag", "undo", "ls", "fsck", "gc", "config", "cat HEAD:x"]
        {
            let (code, out, err) = mver(line);
            assert_eq!((code, out.as_str()), (2, ""), "{line}");
            assert!(
                err.starts_with("error: ") && err.ends_with("hint: make one with `mver init`\n"),
                "{line}: {err}"
            );
            assert_eq!(err.lines().count(), 2, "{line}: {err}");
        }
    }

    #[test]
    fn with_json_a_failure_is_a_document_on_stdout() {
        let (code, out, _) = mver("status --json");
        assert_eq!(code, 2);
        assert!(out.starts_with(r#"{"error":{"code":"not_a_repository","message":"#), "{out}");
        let (code, out, _) = mver("--json no-such-command");
        assert_eq!(code, 2);
        assert!(out.starts_with(r#"{"error":{"code":"usage","#), "{out}");
        assert_eq!(mver("--json").1.matches("no command was given").count(), 1);
    }

    #[test]
    fn a_reader_that_went_away_is_silent_success() {
        let outcome = with_stdout("--help", Failing(io::ErrorKind::BrokenPipe));
        assert_eq!(outcome, (0, String::new()));
        let outcome = with_stdout("completions --markdown", Failing(io::ErrorKind::BrokenPipe));
        assert_eq!(outcome, (0, String::new()));
    }

    #[test]
    fn a_full_disk_behind_stdout_is_a_failure_of_the_system() {
        for line in ["--help", "completions bash", "completions --markdown"] {
            let (code, err) = with_stdout(line, Failing(io::ErrorKind::StorageFull));
            assert_eq!(code, 6, "{line}");
            assert!(err.starts_with("error: cannot write to standard output: "), "{err}");
        }
    }

    #[test]
    fn words_for_the_system_are_passed_on_and_a_clash_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("log"), "").unwrap();
        let go = |dir: &std::path::Path| {
            let (mut host, _, err) = host_in(dir);
            host.argv0 = "mv".into();
            (run(vec!["log".into(), "old".into()], &host), err.text())
        };
        assert!(go(dir.path()).1.starts_with("error: would execute `"));
        std::fs::create_dir(dir.path().join(".mv")).unwrap();
        let (code, err) = go(dir.path());
        assert_eq!(code, 2);
        assert!(
            err.ends_with("hint: `mver log old` for the command, `mv ./log old` for the file\n"),
            "{err}"
        );
    }

    #[test]
    fn names_that_are_no_revisions_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut runs = 0_u8;
        let mut go = |line: &str| {
            let (mut host, out, err) = host_in(dir.path());
            host.set("MV_TRUST_ANY_OWNER", "1");
            runs += 1;
            let run_number = runs;
            host.random = Box::new(move || Ok([run_number; 32]));
            let code = run(line.split_whitespace().map(OsString::from).collect(), &host);
            (code, out.text(), err.text())
        };
        assert_eq!(go("init").0, 0);
        let (code, _, err) = go("show");
        assert_eq!(code, 2);
        assert!(err.starts_with("error: there are no versions yet\n"), "{err}");
        let (code, out, _) = go("checkout -b early");
        assert_eq!(code, 0);
        assert!(out.starts_with("on branch early, no versions yet\n"), "{out}");
        assert_eq!(go("commit -m first").0, 0);
        let (code, _, err) = go("diff mv.toml");
        assert_eq!(code, 2);
        assert!(err.ends_with("hint: to name a path: `mver diff -- mv.toml`\n"), "{err}");
        let (_, _, err) = go("show HEAD~7");
        assert!(err.ends_with("`mver log --oneline HEAD`\n"), "{err}");
        let (code, out, _) = go("diff --json -- nothing");
        assert_eq!((code, out.lines().count()), (2, 1), "{out}");
        assert_eq!(go("diff -- mv.toml").0, 0);
    }

    #[test]
    fn control_bytes_of_the_command_line_do_not_reach_the_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let (host, _, err): (_, Shared, Shared) = host_in(dir.path());
        let code = run(vec!["-C".into(), "\u{1b}[2J".into(), "status".into()], &host);
        assert_eq!(code, 2);
        assert!(!err.text().contains('\u{1b}'), "{:?}", err.text());
    }
}
