//! `mv completions`: the script that teaches a shell our words.

use std::io::Write;

use clap_complete::Shell;

use crate::args;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::reference::reference_markdown;

/// Print the completion script of a shell
///
/// The script is for the name this program was called by: `mver completions bash` completes
/// `mver`, `mv completions bash` completes `mv`, where file names are still completed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mver completions bash > ~/.local/share/bash-completion/completions/mver\n  mver completions zsh > ~/.zfunc/_mver\n  mver completions fish > ~/.config/fish/completions/mver.fish"
)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL", value_enum, required_unless_present = "markdown")]
    shell: Option<Shell>,
    /// Print the reference of all commands instead
    #[arg(long, hide = true)]
    markdown: bool,
}

pub(crate) fn run(context: &Context<'_>, args: &Args) -> Result<u8> {
    let mut script = Vec::new();
    match args.shell {
        Some(shell) if !args.markdown => {
            let program = context.host.program();
            clap_complete::generate(shell, &mut args::command(program, None), program, &mut script);
        }
        _ => script.extend_from_slice(reference_markdown().as_bytes()),
    }
    let written = context.ui.data().write_all(&script);
    match written {
        // What stdout itself refuses is told at the end.
        Err(e) if !context.ui.ended() => {
            Err(Failure::system(format!("cannot write the script: {e}")))
        }
        _ => Ok(0),
    }
}
