//! The text of `docs/CLI.md`, made from the definitions that the program itself uses.

use clap::{Arg, Command};

use crate::args;

/// The whole reference in Markdown. The same program always gives the same text.
#[must_use]
pub fn reference_markdown() -> String {
    let mut root = args::command("mv", Some(100));
    root.build();
    let mut out = String::from(
        "# Command line\n\nMade from the program's own definitions by `mver completions --markdown`; do not edit.\n\n",
    );
    paragraph(&mut out, &root.get_about().map(ToString::to_string).unwrap_or_default());
    code(&mut out, &root.render_usage().to_string().replace("Usage: ", ""));
    code(&mut out, &root.get_after_help().map(ToString::to_string).unwrap_or_default());
    out.push_str("## Global options\n\n");
    options(&mut out, root.get_arguments().filter(|a| !a.is_hide_set()));
    out.push_str("## Exit codes\n\n");
    out.push_str(EXIT_CODES);
    let own: Vec<Command> =
        root.get_subcommands().filter(|c| c.get_name() != "help").cloned().collect();
    for mut command in own {
        section(&mut out, &mut command);
    }
    out
}

const EXIT_CODES: &str = "\
| code | meaning |
|---|---|
| 0 | done |
| 1 | the answer is no: differences with `--exit-code`, nothing to commit, refused because work would be lost |
| 2 | usage: unknown flag, revision or path, not a repository |
| 3 | integrity: an object is corrupt or missing |
| 4 | remote: unreachable, denied, full, or unfit |
| 5 | lost a race: try again, or fetch first |
| 6 | the system failed: disk full, permission, I/O |
| 130 | interrupted |

";

fn section(out: &mut String, command: &mut Command) {
    out.push_str(&format!("## `mv {}`\n\n", command.get_name()));
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string);
    paragraph(out, &about.unwrap_or_default());
    code(out, &command.render_usage().to_string().replace("Usage: ", ""));
    options(
        out,
        command
            .get_arguments()
            .filter(|a| !a.is_hide_set() && !a.is_global_set() && a.get_id() != "help"),
    );
    actions(out, command);
    code(out, &command.get_after_help().map(ToString::to_string).unwrap_or_default());
}

/// What a command of several actions can do, such as `mv stage set`.
fn actions(out: &mut String, command: &mut Command) {
    let line = |action: &mut Command| {
        let usage = action.render_usage().to_string().replace("Usage: ", "");
        let about = action.get_about().map(ToString::to_string).unwrap_or_default();
        let own = |a: &&Arg| !a.is_positional() && !a.is_global_set() && a.get_id() != "help";
        let options: String =
            action.get_arguments().filter(own).map(|a| format!(" [{}]", spelling(a))).collect();
        format!("- `{}{options}`: {about}\n", usage.replace(" [OPTIONS]", ""))
    };
    let own = command.get_subcommands_mut().filter(|c| c.get_name() != "help");
    let lines: Vec<String> = own.map(line).collect();
    if !lines.is_empty() {
        out.push_str(&lines.concat());
        out.push('\n');
    }
}

fn options<'a>(out: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let lines: Vec<String> =
        args.map(|arg| format!("- `{}`: {}\n", spelling(arg), help(arg))).collect();
    if !lines.is_empty() {
        out.push_str(&lines.concat());
        out.push('\n');
    }
}

/// `-m, --message <MSG>`, `[PATH]...`
fn spelling(arg: &Arg) -> String {
    if arg.is_positional() {
        return arg.to_string();
    }
    let value = arg.get_action().takes_values().then(|| {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().map(|n| format!(" <{n}>")).collect::<String>()
    });
    let short = arg.get_short().map(|s| format!("-{s}"));
    let long = arg.get_long().map(|l| format!("--{l}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    format!("{}{}", flags.join(", "), value.unwrap_or_default())
}

fn help(arg: &Arg) -> String {
    let text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if !arg.get_action().takes_values() {
        return text;
    }
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
    if values.is_empty() { text } else { format!("{text} ({})", values.join(", ")) }
}

fn paragraph(out: &mut String, text: &str) {
    if !text.is_empty() {
        out.push_str(text.trim_end());
        out.push_str("\n\n");
    }
}

fn code(out: &mut String, text: &str) {
    if !text.trim().is_empty() {
        out.push_str(&format!("```text\n{}\n```\n\n", text.trim_end()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_section_and_two_runs_agree() {
        let text = reference_markdown();
        for command in crate::passthrough::COMMANDS.iter().filter(|c| **c != "help") {
            assert!(text.contains(&format!("## `mv {command}`")), "{command}");
        }
        assert_eq!(text, reference_markdown());
        assert!(!text.contains('\u{1b}'));
    }
}
