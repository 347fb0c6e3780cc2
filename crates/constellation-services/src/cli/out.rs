//! Printing: text or JSON, in colour or not, and quietly into a pipe that nobody reads.

use std::io::{self, BufRead, IsTerminal, Write};

use serde::Serialize;

use super::{CliError, args::Colour};
use crate::plan::Paint;

/// Where output goes, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Out {
    pub(super) paint: Paint,
    /// The same for standard error.
    pub(super) paint_errors: Paint,
    pub(super) json: bool,
}

impl Out {
    pub(super) fn new(colour: Colour, json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let choose = |terminal: bool| match colour {
            Colour::Always => Paint::Coloured,
            Colour::Auto if terminal && !plain => Paint::Coloured,
            Colour::Auto | Colour::Never => Paint::Plain,
        };
        Self {
            paint: choose(io::stdout().is_terminal()),
            paint_errors: choose(io::stderr().is_terminal()),
            json,
        }
    }

    /// Prints text to standard output. A reader that went away is no error.
    pub(super) fn text(&self, text: &str) -> Result<(), CliError> {
        quietly(io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()))
    }

    pub(super) fn line(&self, text: &str) -> Result<(), CliError> {
        self.text(&format!("{text}\n"))
    }

    pub(super) fn document<T: Serialize>(&self, value: &T) -> Result<(), CliError> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.text(&text)
    }

    /// Prints an error with its causes.
    pub(super) fn error(&self, error: &(dyn std::error::Error + 'static)) {
        let mut text = format!("{} {error}\n", self.paint_errors.colour("1;31", "error:"));
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(&format!("  because: {error}\n"));
            cause = error.source();
        }
        // There is nobody left to tell where this fails.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// Prints a note to standard error, where it does not mix with what a program reads.
    pub(super) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Asks, and takes nothing but `yes` for a yes.
    pub(super) fn confirm(&self, question: &str) -> Result<bool, CliError> {
        if !io::stdin().is_terminal() {
            return Err("nobody is there to be asked: say --yes if it is meant".into());
        }
        let _ = write!(io::stderr(), "{question} [yes/no] ");
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "yes" | "y"))
    }
}

fn quietly(result: io::Result<()>) -> Result<(), CliError> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Rows of text in columns; the first row is the head.
pub(super) fn table(paint: Paint, rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(cell.chars().count()))))
            .collect();
        let line = cells.join("  ");
        let line = line.trim_end();
        out.push_str(&if number == 0 { paint.colour("1", line) } else { line.to_owned() });
        out.push('\n');
    }
    out
}
