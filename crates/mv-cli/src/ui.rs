//! Where words go: data to stdout, talk to stderr, one JSON document instead of text on request.
//!
//! Printing never fails in the middle of a command. The first failure of stdout is remembered,
//! later output is dropped and [`Ui::finish`] reports it: a reader that went away (`| head`) is
//! silent success, anything else (a full disk) is a failure of the system. Nothing here escapes:
//! stored text must come through `format::text` or a path's `display_escaped`.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use crate::args::{Color, Global};
use crate::failure::{Failure, Result};
use crate::format;
use crate::host::{Host, Stream};

/// How much is gathered before it is written.
const BUFFER: usize = 64 << 10;

/// The two streams and how to use them.
pub(crate) struct Ui<'h> {
    host: &'h Host,
    /// One JSON document instead of text.
    pub(crate) json: bool,
    /// Only data and errors.
    pub(crate) quiet: bool,
    /// More than usual.
    pub(crate) verbose: bool,
    /// Colours of stdout.
    pub(crate) paint: Paint,
    talk: Paint,
    bars: MultiProgress,
    /// Protects what is gathered; held while it is written, never across a call of a command.
    out: Mutex<Out>,
}

/// What is not yet written, and how writing ended.
#[derive(Default)]
struct Out {
    buffer: Vec<u8>,
    failed: Option<io::Error>,
}

/// What a piece of text is, for its colour.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// Something new.
    Added,
    /// Something gone.
    Removed,
    /// Something different.
    Changed,
    /// An id.
    Id,
    /// A name of a version, tag or branch.
    Name,
    /// A title.
    Heading,
    /// `error:`
    Error,
    /// `hint:`
    Hint,
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// No colours.
    pub(crate) fn plain() -> Paint {
        Paint { on: false }
    }

    /// The text in its colour.
    pub(crate) fn paint(self, role: Role, text: impl Display) -> String {
        if !self.on {
            return text.to_string();
        }
        let color = |c: AnsiColor| Style::new().fg_color(Some(c.into()));
        let style = match role {
            Role::Added => color(AnsiColor::Green),
            Role::Removed => color(AnsiColor::Red),
            Role::Changed | Role::Id => color(AnsiColor::Yellow),
            Role::Name => color(AnsiColor::Cyan).bold(),
            Role::Heading => Style::new().bold(),
            Role::Error => color(AnsiColor::Red).bold(),
            Role::Hint => color(AnsiColor::Cyan),
        };
        format!("{style}{text}{style:#}")
    }
}

impl<'h> Ui<'h> {
    /// The streams of `host`, used as the flags say.
    pub(crate) fn new(global: &Global, host: &'h Host) -> Ui<'h> {
        let bars = host.process
            && host.stderr.terminal
            && !(global.no_progress || global.quiet || global.json);
        let target = if bars { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Ui {
            host,
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose > 0,
            paint: Paint { on: !global.json && colored(global.color, &host.stdout, host) },
            talk: Paint { on: colored(global.color, &host.stderr, host) },
            bars: MultiProgress::with_draw_target(target),
            out: Mutex::default(),
        }
    }

    /// Where progress bars are drawn, when they are.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        (!self.bars.is_hidden()).then_some(&self.bars)
    }

    /// Columns of the terminal that data goes to, if it does.
    pub(crate) fn width(&self) -> Option<usize> {
        self.host.width.filter(|_| self.host.stdout.terminal)
    }

    /// Whether a person looks at the data.
    pub(crate) fn on_terminal(&self) -> bool {
        self.host.stdout.terminal
    }

    /// One line of data.
    pub(crate) fn line(&self, text: impl Display) {
        let mut out = self.out();
        let gathered = writeln!(out.buffer, "{text}").is_ok();
        if !gathered || out.buffer.len() >= BUFFER {
            self.flush(&mut out);
        }
    }

    /// One line that tells what was done; silent with `--quiet`.
    pub(crate) fn say(&self, text: impl Display) {
        if !self.quiet {
            self.line(text);
        }
    }

    /// The JSON document of this command; pretty for a person, one line for a program.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<()> {
        let mut data = Escaping(self.data());
        let written = if self.host.stdout.terminal {
            serde_json::to_writer_pretty(&mut data, value)
        } else {
            serde_json::to_writer(&mut data, value)
        };
        match written {
            Err(e) if !e.is_io() => return Err(Failure::system(format!("cannot write JSON: {e}"))),
            _ => self.line(""),
        }
        Ok(())
    }

    /// A writer of raw data; it fails once stdout has failed.
    pub(crate) fn data(&self) -> impl Write + Send + '_ {
        Data(self)
    }

    /// Whether stdout takes no more, so that there is no use in going on.
    pub(crate) fn ended(&self) -> bool {
        self.out().failed.is_some()
    }

    /// A remark that helps to understand what happened; silent with `--quiet` and `--json`.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.quiet && !self.json {
            self.talk(&format!("{text}\n"));
        }
    }

    /// What to do next; names a command. Silent with `--quiet` and `--json`.
    pub(crate) fn hint(&self, text: &str) {
        if !self.quiet && !self.json {
            self.talk(&self.hint_line(text));
        }
    }

    /// Something the user must know although the command goes on.
    pub(crate) fn warn(&self, text: impl Display) {
        self.talk(&format!("{} {text}\n", self.talk.paint(Role::Changed, "warning:")));
    }

    /// Reports a failure on both streams and gives its exit code.
    pub(crate) fn fail(&self, failure: &Failure) -> u8 {
        if self.json {
            let hint = failure.hint.as_deref().map(|hint| self.for_program(hint));
            self.line(failure.to_json(hint.as_deref()));
        }
        self.complain(failure)
    }

    /// Reports a failure on stderr only, after a document that tells of it too; gives its exit code.
    pub(crate) fn complain(&self, failure: &Failure) -> u8 {
        let title = self.talk.paint(Role::Error, "error:");
        let mut text = format!("{title} {}\n", format::text(&failure.message));
        for item in &failure.items {
            text.push_str(&format!("  {}\n", format::text(item)));
        }
        if let Some(hint) = &failure.hint {
            text.push_str(&self.hint_line(hint));
        }
        self.talk(&text);
        failure.exit
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// When stdout did not take everything, unless its reader went away.
    pub(crate) fn finish(&self) -> Result<()> {
        let mut out = self.out();
        self.flush(&mut out);
        match &out.failed {
            Some(e) if e.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::system(format!("cannot write to standard output: {e}")))
            }
            _ => Ok(()),
        }
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hint_line(&self, hint: &str) -> String {
        let hint = self.for_program(hint);
        format!("{} {}\n", self.talk.paint(Role::Hint, "hint:"), format::text(&hint))
    }

    /// A hint with the name that the user calls this program by.
    fn for_program(&self, hint: &str) -> String {
        match self.host.program() {
            "mver" => hint.replace("`mv ", "`mver "),
            _ => hint.to_owned(),
        }
    }

    fn talk(&self, text: &str) {
        // Data first: on a terminal the two streams are read as one text.
        self.flush(&mut self.out());
        // Nobody is left to tell when stderr fails.
        self.bars.suspend(|| drop(self.host.stderr.write_all(text.as_bytes())));
    }

    fn flush(&self, out: &mut Out) {
        let buffer = std::mem::take(&mut out.buffer);
        if out.failed.is_some() || buffer.is_empty() {
            return;
        }
        let write = || self.host.stdout.write_all(&buffer);
        let written = if self.host.stdout.terminal { self.bars.suspend(write) } else { write() };
        out.failed = written.err();
    }
}

/// Raw access to stdout through the same buffer.
struct Data<'u, 'h>(&'u Ui<'h>);

impl Write for Data<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = self.0.out();
        out.buffer.extend_from_slice(bytes);
        if out.buffer.len() >= BUFFER {
            self.0.flush(&mut out);
        }
        match &out.failed {
            Some(e) => Err(e.kind().into()),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The usual convention: the flag, then NO_COLOR, CLICOLOR_FORCE, TERM=dumb, then the terminal.
fn colored(color: Color, stream: &Stream, host: &Host) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if host.variable("NO_COLOR").is_some() => false,
        Color::Auto if host.variable("CLICOLOR_FORCE").is_some_and(|v| v != "0") => true,
        Color::Auto => stream.terminal && host.variable("TERM").is_none_or(|t| t != "dumb"),
    }
}

/// Writes invisible and control characters of JSON strings as `\\u` escapes: nothing is lost, and
/// a terminal shows what is there. serde_json escapes only those below the space, and hands over
/// whole pieces of text.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = if bytes.iter().all(|b| (b' '..0x7f).contains(b)) {
            None
        } else {
            std::str::from_utf8(bytes).ok()
        };
        let Some(text) = text else {
            self.0.write_all(bytes)?;
            return Ok(bytes.len());
        };
        let mut escaped = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            if c >= '\u{7f}' && mv_graph::is_unprintable(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    escaped.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                escaped.push(c);
            }
        }
        self.0.write_all(escaped.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
