//! `docs/tutorial.md`, played: every command in it is run, and what it prints is compared.
//!
//! A ```` ```console ```` block holds commands after `$ ` and what they print. Commands that need
//! Python are not run: `fixtures/tutorial/runs` holds the files and the output that each of them
//! left when it was run for real. Ids, times and other things that differ from run to run are masked on
//! both sides, but an id of the document has to stand for the same thing wherever it is shown; a line `…` in
//! the document stands for any lines.
//!
//! `MV_TUTORIAL=write` writes what is printed today into the document, all of it from one run, and `MV_TUTORIAL=record`
//! runs the Python commands as well, with `python3` and the network, and keeps what they leave.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mv_tests::Sandbox;

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

/// A command of the document and the lines that follow it.
struct Step {
    /// The number of the line with the command.
    line: usize,
    command: String,
    expected: Vec<String>,
}

/// The commands of a document, and the document as pieces: text, then a step, in turn.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (at, line) in text.lines().enumerate() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => {
                    let command = command.to_owned();
                    steps.push(Step { line: at + 1, command, expected: Vec::new() });
                }
                None => steps.last_mut().unwrap().expected.push(line.to_owned()),
            },
            _ => {}
        }
    }
    steps
}

/// The document with other lines after its commands.
fn with_outputs(text: &str, outputs: &[Vec<String>]) -> String {
    let mut out = String::new();
    let (mut inside, mut number) = (false, 0);
    for line in text.lines() {
        let command = inside && line.starts_with("$ ");
        if !inside || line == "```" || command {
            out.push_str(line);
            out.push('\n');
        }
        inside = (inside && line != "```") || line == "```console";
        if command {
            for line in &outputs[number] {
                out.push_str(line);
                out.push('\n');
            }
            number += 1;
        }
    }
    out
}

/// A line without what differs from machine to machine and from day to day.
fn masked(line: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in line.trim_end().chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        out.push_str(if is_id(&word) { "ID" } else { &word });
        word.clear();
        out.push(c);
    }
    // What is stored depends on the size of the captured environment, and so on the machine.
    let parts = out.trim_end().split(", ").map(|part| match part.rsplit_once(' ') {
        Some((size, what @ ("new" | "stored"))) if size.ends_with('B') => what,
        _ if part.ends_with("B: all is well") => "all is well",
        _ => part,
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The words of a line that may be ids, without what short ones lack of long ones.
fn ids(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_id(word)).map(|id| &id[..7])
}

fn is_id(word: &str) -> bool {
    word.len() >= 7 && word.bytes().all(|b| b.is_ascii_hexdigit())
}

/// What was printed for each line of the document, itself for `…`; none when the two differ.
fn matched(expected: &[String], printed: &[String]) -> Option<Vec<String>> {
    let Some((line, rest)) = expected.split_first() else {
        return printed.is_empty().then(Vec::new);
    };
    let (first, lines) = if line == "…" {
        let mut tails = (0..=printed.len()).map(|skipped| &printed[skipped..]);
        (line, tails.find_map(|tail| matched(rest, tail))?)
    } else {
        let (first, others) = printed.split_first()?;
        (first, matched(rest, others).filter(|_| masked(line) == masked(first))?)
    };
    Some([vec![first.clone()], lines].concat())
}

/// Which id of this run each one of the document stands for, and the other way round.
#[derive(Default)]
struct Ids([BTreeMap<String, String>; 2]);

impl Ids {
    /// Two ids that are not what they were before, of a line of the document and what was printed for it.
    fn contradiction(&mut self, shown: &str, printed: &str) -> Option<String> {
        ids(shown).zip(ids(printed)).find_map(|(shown, printed)| {
            let mut note = |way: usize, from: &str, to: &str| {
                let known = self.0[way].entry(from.to_owned()).or_insert_with(|| to.to_owned());
                (known != to).then(|| format!("`{from}` is both `{known}` and `{to}`"))
            };
            note(0, shown, printed).or_else(|| note(1, printed, shown))
        })
    }
}

/// Whether a command is not run but played from the record.
fn is_recorded(command: &str) -> bool {
    ["python", "pip"].iter().any(|word| command.contains(word)) && !command.starts_with("mv ")
}

/// Puts the files of a recorded run in place and gives what it printed.
fn play(run: &Path, root: &Path) -> String {
    for name in fs::read_to_string(run.join("removed.txt")).unwrap_or_default().lines() {
        fs::remove_file(root.join(name)).unwrap();
    }
    for (name, bytes) in files_below(&run.join("files")) {
        // The build rules of some hosts ignore folders of this name.
        let target = root.join(name.replace("dot-venv", ".venv"));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
    fs::read_to_string(run.join("output.txt")).unwrap()
}

/// Keeps the files that a run changed, and what it printed.
fn record(run: &Path, root: &Path, before: &BTreeMap<String, Vec<u8>>, printed: &str) {
    drop(fs::remove_dir_all(run));
    fs::create_dir_all(run.join("files")).unwrap();
    fs::write(run.join("output.txt"), printed).unwrap();
    let is_kept = |name: &str| {
        let place = !name.starts_with(".venv/") || name.ends_with("/pyvenv.cfg");
        !name.starts_with(".mv/") && (place || name.ends_with(".dist-info/METADATA"))
    };
    let after = files_below(root);
    let gone = before.keys().filter(|name| is_kept(name) && !after.contains_key(*name));
    let gone: String = gone.map(|name| format!("{name}\n")).collect();
    if !gone.is_empty() {
        fs::write(run.join("removed.txt"), gone).unwrap();
    }
    for (name, bytes) in after {
        let package = name.ends_with(".dist-info/METADATA");
        if !is_kept(&name) || before.get(&name) == Some(&bytes) {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        let bytes = match () {
            () if package => {
                text.lines().take(3).map(|l| format!("{l}\n")).collect::<String>().into()
            }
            () if name.ends_with("/pyvenv.cfg") => {
                let lines =
                    text.lines().filter(|l| l.starts_with("version") || l.starts_with("include"));
                lines.map(|l| format!("{l}\n")).collect::<String>().into()
            }
            () => bytes,
        };
        let target = run.join("files").join(name.replace(".venv", "dot-venv"));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
}

fn files_below(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_tutorial_prints_what_it_says() {
    let mode = std::env::var("MV_TUTORIAL").unwrap_or_default();
    let document = project("docs/tutorial.md");
    let text = fs::read_to_string(&document).unwrap();
    let sandbox = Sandbox::bare();
    for (name, bytes) in files_below(&project("fixtures/tutorial/start")) {
        sandbox.write(name, bytes);
    }
    let git = ["/usr/bin/git", "/bin/git"].iter().any(|path| Path::new(path).exists());
    let (mut outputs, mut run, mut known) = (Vec::new(), 0, Ids::default());
    for step in steps(&text) {
        if step.command.starts_with("git ") && !git {
            // The rest of the document is about git, which this machine does not have.
            return;
        }
        let recorded = is_recorded(&step.command);
        run += usize::from(recorded);
        let folder = project("fixtures/tutorial/runs").join(format!("{run:02}"));
        let printed = if recorded && mode != "record" {
            sandbox.advance(1);
            play(&folder, sandbox.root())
        } else {
            let before = if recorded { files_below(sandbox.root()) } else { BTreeMap::new() };
            let mut shell = sandbox.command_for(Path::new("/bin/sh"));
            let name = std::env::var("USER").unwrap_or_else(|_| "ada".into());
            shell.args(["-c", &format!("exec 2>&1\n{}", step.command)]).env("USER", name);
            shell.env("GIT_CONFIG_NOSYSTEM", "1");
            if recorded {
                shell.env("PATH", std::env::var_os("PATH").unwrap());
            }
            let printed = sandbox.run(&mut shell).stdout;
            if recorded {
                record(&folder, sandbox.root(), &before, &printed);
            }
            printed
        };
        let printed = printed.replace(sandbox.root().to_str().unwrap(), "/home/ada/wine");
        let printed = printed.replace(sandbox.outside().to_str().unwrap(), "/home/ada");
        let printed: Vec<String> = printed.lines().map(|l| l.trim_end().to_owned()).collect();
        let same = matched(&step.expected, &printed);
        if mode.is_empty() {
            let (said, given) = (step.expected.join("\n"), printed.join("\n"));
            let (line, command) = (step.line, &step.command);
            let told = format!("--- the document\n{said}\n--- printed\n{given}");
            assert!(same.is_some(), "line {line}: {command}\n{told}");
            for (shown, printed) in step.expected.iter().zip(same.iter().flatten()) {
                let wrong = known.contradiction(shown, printed);
                assert_eq!(wrong, None, "line {line}: {command}\n{told}");
            }
        }
        outputs.push(same.unwrap_or(printed));
    }
    if !mode.is_empty() {
        fs::write(&document, with_outputs(&text, &outputs)).unwrap();
    }
}
