//! The commands: one file each, with its arguments, the call of the library and what is printed.

mod archive;
mod best;
mod bisect;
mod bisect_changes;
mod branch;
mod cat;
mod checkout;
mod clone;
mod commit;
mod completions;
mod config;
mod demo;
mod diff;
mod diff_json;
mod diff_markdown;
mod diff_screen;
mod diff_words;
mod du;
mod env;
mod fetch;
mod fsck;
mod gc;
mod init;
mod log;
mod ls;
mod measures;
mod merge;
mod plot;
mod pull;
mod push;
mod reflog;
mod remote;
mod repack;
mod reset;
mod restore;
mod shared;
mod sharing;
mod show;
mod stage;
mod stage_json;
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
    Metrics(measures::MetricsArgs),
    Params(measures::ParamsArgs),
    Best(best::Args),
    Plot(plot::Args),
    Tag(tag::Args),
    Stage(stage::Args),
    Branch(branch::Args),
    Checkout(checkout::Args),
    Restore(restore::Args),
    Reset(reset::Args),
    Merge(merge::Args),
    Clone(clone::Args),
    Remote(remote::Args),
    Push(push::Args),
    Fetch(fetch::Args),
    Pull(pull::Args),
    Undo(undo::UndoArgs),
    Redo(undo::RedoArgs),
    Reflog(reflog::Args),
    Ls(ls::Args),
    Cat(cat::Args),
    Archive(archive::Args),
    Bisect(bisect::Args),
    Fsck(fsck::Args),
    Gc(gc::Args),
    Repack(repack::Args),
    Du(du::Args),
    Env(env::Args),
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
        Command::Metrics(args) => measures::metrics(context, args),
        Command::Params(args) => measures::params(context, args),
        Command::Best(args) => best::run(context, args),
        Command::Plot(args) => plot::run(context, args),
        Command::Tag(args) => tag::run(context, args),
        Command::Stage(args) => stage::run(context, args),
        Command::Branch(args) => branch::run(context, &args),
        Command::Checkout(args) => checkout::run(context, args),
        Command::Restore(args) => restore::run(context, args),
        Command::Reset(args) => reset::run(context, args),
        Command::Merge(args) => merge::run(context, args),
        Command::Clone(args) => clone::run(context, args),
        Command::Remote(args) => remote::run(context, args),
        Command::Push(args) => push::run(context, args),
        Command::Fetch(args) => fetch::run(context, args),
        Command::Pull(args) => pull::run(context, args),
        Command::Undo(_) => undo::undo(context),
        Command::Redo(_) => undo::redo(context),
        Command::Reflog(args) => reflog::run(context, &args),
        Command::Ls(args) => ls::run(context, &args),
        Command::Cat(args) => cat::run(context, &args),
        Command::Archive(args) => archive::run(context, args),
        Command::Bisect(args) => bisect::run(context, args),
        Command::Fsck(args) => fsck::run(context, &args),
        Command::Gc(args) => gc::run(context, &args),
        Command::Repack(args) => repack::run(context, &args),
        Command::Du(args) => du::run(context, &args),
        Command::Env(args) => env::run(context, args),
        Command::Config(args) => config::run(context, &args),
        Command::Completions(args) => completions::run(context, &args),
        Command::Demo(args) => demo::run(context, args),
    }
}
