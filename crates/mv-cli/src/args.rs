//! The command line as clap sees it: the root, the global flags, and how its complaints are told.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::commands::Command;
use crate::failure::{Failure, USAGE};
use crate::host::Host;
use crate::ui::Ui;

const ABOUT: &str = "Version ML projects: code, data, models and environment in one commit";

const EXAMPLES: &str = "\
Examples:
  mv init                                  begin in a project folder
  mv commit -m \"baseline, lr 1e-3\" --tag v1.0.0
  mv status                                what changed since
  mv diff v1.0.0                           the same, line by line
  mv checkout v1.0.0                       the exact past state
  mv undo                                  take the last command back

Any other command line (`mv a b`) is passed to the system's mv; `mver` is this program without that.

Environment:
  MV_AUTHOR_NAME, MV_AUTHOR_EMAIL          who commits
  MV_NOW                                   the time to use (RFC 3339), for reproducible runs
  MV_TRUST_ANY_OWNER=1                     open repositories of other users
  NO_COLOR                                 no colours";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "mv",
    version,
    about = ABOUT,
    after_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = false,
    max_term_width = 100,
    infer_subcommands = false
)]
pub(crate) struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Work in DIR instead of the current directory
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(crate) directory: Option<PathBuf>,
    /// Print one JSON document, errors included
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print only data and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t)]
    pub(crate) color: Color,
    /// Draw no progress bars
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    #[default]
    Auto,
    /// Even into a file.
    Always,
    /// Not at all.
    Never,
}

/// The command line with the name the user typed.
pub(crate) fn command(program: &'static str, width: Option<usize>) -> clap::Command {
    Cli::command().name(program).bin_name(program).term_width(width.unwrap_or(100).min(100))
}

/// Reads the words.
pub(crate) fn parse(args: Vec<OsString>, host: &Host) -> Result<Cli, clap::Error> {
    let mut command = command(host.program(), host.width);
    let words = std::iter::once(OsString::from(host.program())).chain(args);
    let matches = command.try_get_matches_from_mut(words)?;
    Cli::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

/// The global flags as far as they can be seen before the words are understood.
pub(crate) fn guess(args: &[OsString]) -> Global {
    let before = || args.iter().take_while(|a| *a != "--");
    let has = |flags: &[&str]| before().any(|a| flags.iter().any(|f| a == OsStr::new(f)));
    Global {
        json: has(&["--json"]),
        color: if has(&["--color=never"]) { Color::Never } else { Color::Auto },
        ..Global::default()
    }
}

/// Prints what clap has to say, in this program's form, and gives the exit code.
///
/// `word` is the command that was meant, as far as it can be seen.
pub(crate) fn explain(error: &clap::Error, word: Option<&str>, ui: &Ui<'_>) -> u8 {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => print(&text, ui, 0),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
            if !ui.json =>
        {
            print(&text, ui, USAGE)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            ui.fail(&Failure::usage("no command was given").hint("see `mv --help`"))
        }
        _ => ui.fail(&complaint(&text, word)),
    }
}

fn print(text: &str, ui: &Ui<'_>, code: u8) -> u8 {
    ui.line(text.trim_end());
    match ui.finish() {
        Ok(()) => code,
        Err(failure) => ui.fail(&failure),
    }
}

/// clap's paragraphs as one line and one hint.
fn complaint(text: &str, word: Option<&str>) -> Failure {
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let first = paragraphs.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let message = first.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let (mut tip, mut usage) = (None, None);
    for paragraph in paragraphs {
        for line in paragraph.lines().map(str::trim) {
            tip = tip.or(line.strip_prefix("tip: ").map(str::to_owned));
            usage = usage.or(line.strip_prefix("Usage: ").map(help_of));
        }
    }
    let help = usage.or(word.map(|w| format!("see `mv {w} --help`")));
    let help = help.unwrap_or_else(|| "see `mv --help`".to_owned());
    let tip = tip.map(|tip| nearest_first(&tip));
    let hint = tip.map_or(help.clone(), |tip| format!("{}; {help}", backticks(&tip)));
    Failure::usage(backticks(&message)).hint(hint)
}

/// clap lists several near names with the nearest one last; people read the first.
fn nearest_first(tip: &str) -> String {
    match tip.split_once(" exist: ") {
        Some((what, names)) => {
            let names: Vec<&str> = names.split(", ").collect();
            let names = names.into_iter().rev().collect::<Vec<_>>().join(", ");
            format!("{what} exist: {names}")
        }
        None => tip.to_owned(),
    }
}

/// The help of the command that a usage line is about.
fn help_of(usage: &str) -> String {
    let words = usage
        .split_whitespace()
        .take_while(|w| w.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let words: Vec<_> = words.take_while(|w| !w.starts_with('-')).collect();
    format!("see `{} --help`", words.join(" "))
}

/// clap quotes with apostrophes, this program with backticks; apostrophes inside words stay.
fn backticks(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let opens = |i: usize| i == 0 || matches!(chars[i - 1], ' ' | '(' | '[');
    let closes = |i: usize| {
        chars.get(i + 1).is_none_or(|c| matches!(c, ' ' | ',' | '.' | ':' | ';' | ')' | ']'))
    };
    let tick = |(i, &c): (usize, &char)| if c == '\'' && (opens(i) || closes(i)) { '`' } else { c };
    chars.iter().enumerate().map(tick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passthrough::{self, COMMANDS};

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn complaint_about(line: &str) -> Failure {
        let host = crate::host::tests::host();
        let args = words(line);
        let word = passthrough::command_word(&args);
        complaint(&parse(args, &host).unwrap_err().render().to_string(), word)
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_pass_through_knows_exactly_the_commands_there_are() {
        let mut defined: Vec<String> =
            Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
        defined.push("help".into());
        let mut known: Vec<String> = COMMANDS.iter().map(|c| (*c).to_owned()).collect();
        defined.sort();
        known.sort();
        assert_eq!(defined, known);
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example"), "{}", command.get_name());
        }
    }

    #[test]
    fn of_several_near_commands_the_nearest_is_named_first() {
        let hint = complaint_about("comit").hint.unwrap();
        assert!(hint.starts_with("some similar subcommands exist: `commit`, "), "{hint}");
        assert!(hint.ends_with("; see `mver --help`"), "{hint}");
    }

    #[test]
    fn a_misspelt_command_is_one_line_with_the_near_one() {
        let failure = complaint_about("archve");
        assert_eq!(failure.message, "unrecognized subcommand `archve`");
        assert_eq!(
            failure.hint.unwrap(),
            "a similar subcommand exists: `archive`; see `mver --help`"
        );
    }

    #[test]
    fn an_unknown_flag_names_the_help_of_its_command() {
        let failure = complaint_about("commit --no-such-thing");
        assert_eq!(failure.message, "unexpected argument `--no-such-thing` found");
        assert!(failure.hint.unwrap().ends_with("see `mver commit --help`"));
    }

    #[test]
    fn a_missing_value_names_the_help_of_its_command() {
        let failure = complaint_about("-q commit -m");
        assert_eq!(failure.hint.unwrap(), "see `mv commit --help`");
    }

    #[test]
    fn missing_arguments_are_told_on_one_line() {
        let failure = complaint_about("restore");
        assert_eq!(
            failure.message,
            "the following required arguments were not provided: <PATH>..."
        );
    }

    #[test]
    fn global_flags_are_seen_before_parsing_but_not_behind_two_dashes() {
        assert!(guess(&words("log --json --nope")).json);
        assert!(!guess(&words("log -- --json")).json);
    }

    #[test]
    fn apostrophes_inside_words_are_kept() {
        assert_eq!(backticks("value 'it's' for '--x'"), "value `it's` for `--x`");
    }
}
