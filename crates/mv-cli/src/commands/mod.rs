//! The commands: one file each, with its arguments, the call of the library and what is printed.

mod archive;
mod branch;
mod cat;
mod checkout;
mod commit;
mod completions;
mod config;
mod demo;
mod diff;
mod diff_json;
mod du;
mod fsck;
mod gc;
mod init;
mod log;
mod ls;
mod merge;
mod reflog;
mod reset;
mod restore;
mod shared;
mod show;
mod status;
mod tag;
mod undo;

use crate::context::Context;
use crate::failure::Result;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Status(status::Args),
    Commit(commit::Args),
    Log(log::Args),
    Show(show::Args),
    Diff(diff::Args),
    Tag(tag::Args),
    Branch(branch::Args),
    Checkout(checkout::Args),
    Restore(restore::Args),
    Reset(reset::Args),
    Merge(merge::Args),
    Undo(undo::UndoArgs),
    Redo(undo::RedoArgs),
    Reflog(reflog::Args),
    Ls(ls::Args),
    Cat(cat::Args),
    Archive(archive::Args),
    Fsck(fsck::Args),
    Gc(gc::Args),
    Du(du::Args),
    Config(config::Args),
    Completions(completions::Args),
    Demo(demo::Args),
}

/// Runs one command; the number is its exit code.
pub(crate) fn run(context: &Context<'_>, command: Command) -> Result<u8> {
    match command {
        Command::Init(args) => init::run(context, args),
        Command::Status(args) => status::run(context, &args),
        Command::Commit(args) => commit::run(context, args),
        Command::Log(args) => log::run(context, args),
        Command::Show(args) => show::run(context, &args),
        Command::Diff(args) => diff::run(context, args),
        Command::Tag(args) => tag::run(context, args),
        Command::Branch(args) => branch::run(context, &args),
        Command::Checkout(args) => checkout::run(context, args),
        Command::Restore(args) => restore::run(context, args),
        Command::Reset(args) => reset::run(context, args),
        Command::Merge(args) => merge::run(context, args),
        Command::Undo(_) => undo::undo(context),
        Command::Redo(_) => undo::redo(context),
        Command::Reflog(args) => reflog::run(context, &args),
        Command::Ls(args) => ls::run(context, &args),
        Command::Cat(args) => cat::run(context, &args),
        Command::Archive(args) => archive::run(context, args),
        Command::Fsck(args) => fsck::run(context, &args),
        Command::Gc(args) => gc::run(context, &args),
        Command::Du(_) => du::run(context),
        Command::Config(args) => config::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Demo(args) => demo::run(context, args),
    }
}
