//! `mv demo`: the whole story on a small real project that ships inside the binary.
//!
//! The project is a digit classifier that was really trained twice (`fixtures/demo`). Every step
//! is a command line, printed and then run as if it had been typed.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::format;

/// Play the whole story on a small real project
///
/// Writes the project into DIR, commits it, replaces its files by those of a second training run,
/// shows what differs, goes back to the first version and checks every byte.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mv demo\n  mv demo /tmp/try-mv")]
pub(crate) struct Args {
    /// Where to write the project; `mv-demo` here when not given
    dir: Option<PathBuf>,
}

/// One file of the project as one training run left it.
type File = (&'static str, &'static [u8]);

macro_rules! project {
    ($version:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../../fixtures/demo/", $version, "/", $name)))),+]
    };
}

/// The project after the first training.
const FIRST: &[File] = project!("v1": "README.md", "train.py", "evaluate.py", "params.yaml", "requirements.txt",
    "metrics.json", "data/train.csv", "data/test.csv", "models/model.safetensors", "models/config.json");

/// The project after more data had come and the training was changed.
const SECOND: &[File] = project!("v2": "README.md", "train.py", "evaluate.py", "params.yaml", "requirements.txt",
    "metrics.json", "data/train.csv", "data/test.csv", "models/model.safetensors", "models/config.json");

#[derive(Serialize)]
struct Document {
    dir: String,
    commands: Vec<String>,
    verified_files: usize,
    verified_bytes: usize,
}

pub(crate) fn run(context: &Context<'_>, args: Args) -> Result<u8> {
    let cwd = context.cwd()?;
    let dir = match args.dir {
        Some(dir) => cwd.join(dir),
        None => free_folder(&cwd),
    };
    if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::usage(format!(
            "`{}` is not empty",
            format::text(&dir.to_string_lossy())
        ))
        .hint("name a new folder: `mv demo FOLDER`"));
    }
    let mut story = Story { context, dir, commands: Vec::new() };
    story.play()?;
    let verified_bytes = FIRST.iter().map(|(_, bytes)| bytes.len()).sum();
    if context.ui.json {
        context.ui.document(&Document {
            dir: story.dir.to_string_lossy().into_owned(),
            commands: story.commands,
            verified_files: FIRST.len(),
            verified_bytes,
        })?;
    }
    Ok(0)
}

/// The first of `mv-demo`, `mv-demo-2` … that is not taken.
fn free_folder(cwd: &Path) -> PathBuf {
    let names = std::iter::once("mv-demo".to_owned()).chain((2..).map(|n| format!("mv-demo-{n}")));
    let mut free = names.map(|name| cwd.join(name)).filter(|dir| dir.symlink_metadata().is_err());
    free.next().unwrap_or_else(|| cwd.join("mv-demo"))
}

struct Story<'a> {
    context: &'a Context<'a>,
    dir: PathBuf,
    commands: Vec<String>,
}

impl Story<'_> {
    fn play(&mut self) -> Result<()> {
        self.tell("A digit classifier: code, data, a trained model, a lock file. It becomes a repository.");
        self.write(FIRST)?;
        self.mv(&["init", "--name", "digits"])?;
        self.tell(
            "The first training run: code, data, weights and environment become one version.",
        );
        self.mv(&["commit", "-m", "baseline on January data", "--tag", "v1.0.0"])?;
        self.tell("February data has come, the training was changed and run again: these files differ now.");
        self.write(SECOND)?;
        self.show(&["status"])?;
        self.mv(&["commit", "-m", "retrained with February data", "--bump", "auto"])?;
        self.tell("What made the second version different?");
        self.show(&["diff", "v1.0.0", "v1.1.0", "--stats"])?;
        self.show(&["log", "--oneline", "--metric", "accuracy"])?;
        self.tell("Back to the first version.");
        self.mv(&["checkout", "v1.0.0"])?;
        self.verify(FIRST)?;
        self.mv(&["checkout", "main"])?;
        self.verify(SECOND)?;
        self.mv(&["fsck", "--full"])?;
        let dir = format::text(&self.dir.to_string_lossy());
        self.tell(&format!(
            "Look around in {dir}: `mv log`, `mv show v1.0.0`, `mv du`, `mv undo`."
        ));
        Ok(())
    }

    fn tell(&self, text: &str) {
        if !self.context.ui.json {
            self.context.ui.line(format!("\n# {text}"));
        }
    }

    fn write(&self, files: &[File]) -> Result<()> {
        let failed = |path: &Path, e: std::io::Error| {
            Failure::system(format!(
                "cannot write `{}`: {e}",
                format::text(&path.to_string_lossy())
            ))
        };
        for (name, bytes) in files {
            let path = self.dir.join(name);
            let parent = path.parent().unwrap_or(&self.dir);
            fs::create_dir_all(parent).map_err(|e| failed(parent, e))?;
            fs::write(&path, bytes).map_err(|e| failed(&path, e))?;
        }
        Ok(())
    }

    /// Prints and runs a command; one that fails ends the story.
    fn mv(&mut self, words: &[&str]) -> Result<()> {
        let quote = |w: &&str| if w.contains(' ') { format!("\"{w}\"") } else { (*w).to_owned() };
        let line = format!("mv {}", words.iter().map(quote).collect::<Vec<_>>().join(" "));
        let json = self.context.ui.json;
        if !json {
            self.context.ui.line(format!("$ {line}"));
            // The command writes through streams of its own.
            self.context.ui.finish()?;
        }
        let mut args = vec!["-C".into(), self.dir.clone().into_os_string()];
        // Of a document on stdout nothing else may be printed; hints would answer nobody.
        args.push(if json { "--quiet" } else { "--no-progress" }.into());
        args.extend(words.iter().map(Into::into));
        let code = crate::ours(args, self.context.host);
        self.commands.push(line.clone());
        if code == 0 {
            Ok(())
        } else {
            Err(Failure::system(format!("`{line}` ended with exit code {code}")))
        }
    }

    /// A command that only shows something.
    fn show(&mut self, words: &[&str]) -> Result<()> {
        if self.context.ui.json { Ok(()) } else { self.mv(words) }
    }

    /// Compares the working tree with what was there, byte for byte.
    fn verify(&self, files: &[File]) -> Result<()> {
        for (name, bytes) in files {
            if fs::read(self.dir.join(name)).is_ok_and(|found| found == *bytes) {
                continue;
            }
            return Err(Failure::system(format!("`{name}` is not as it was")));
        }
        let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        if !self.context.ui.json {
            let bytes = format::bytes(total as u64);
            self.context
                .ui
                .line(format!("verified: {} files, {bytes}, byte for byte", files.len()));
        }
        Ok(())
    }
}
