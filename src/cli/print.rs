//! What a person reads: the summary of a run, of a verification, of an error. Data to stdout, the rest to stderr.

mod survey;

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table, TableComponent};
use serde::Serialize;

use crate::config::Environment;
use crate::error::{Error, Result};
use crate::ops::doctor::{Diagnosis, Finding};
use crate::ops::figures::{grouped, millis};
use crate::ops::verify::{TableVerification, Verification};
use crate::position::Position;
use crate::report::{Report, TableReport, TableStatus};

pub(super) use self::survey::survey;

/// Set by who wants no colours.
const NO_COLOR: &str = "NO_COLOR";

/// The first columns are text, the others are numbers.
const TEXT_COLUMNS: usize = 2;

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    stdout(&to_json(value)?)
}

/// A value as JSON.
pub(super) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Error::internal("ResultUnwritable", "cannot write the result").caused_by(error))
}

/// Prints a text that is a result itself.
pub(super) fn text(text: &str) -> Result<()> {
    stdout(text)
}

/// Prints the summary of a run.
pub(super) fn report(report: &Report, lake: &str, ink: Ink) -> Result<()> {
    stdout(&run_summary(report, lake, ink))
}

/// Prints the summary of a verification.
pub(super) fn verification(found: &Verification, lake: &str, ink: Ink) -> Result<()> {
    stdout(&verify_summary(found, lake, ink))
}

/// Prints what was looked at, a line each.
pub(super) fn diagnosis(found: &Diagnosis, ink: Ink) -> Result<()> {
    stdout(&doctor_summary(found, ink))
}

/// Prints an error and what to do about it.
pub(super) fn error(error: &Error) {
    let advice = error.advice().map(|advice| format!("\n  hint: {advice}")).unwrap_or_default();
    note(&format!("error[{}]: {}{advice}", error.code(), error.chain()));
}

/// Prints a line for the person at the terminal.
pub(super) fn note(text: &str) {
    // There is nowhere to report that stderr is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn run_summary(report: &Report, lake: &str, ink: Ink) -> String {
    let mut text = format!("{}\n{}\n", run_heading(report, lake), run_grid(report, ink));
    for entry in &report.tables {
        details(&mut text, entry, ink);
    }
    text.trim_end().to_owned()
}

fn run_heading(report: &Report, lake: &str) -> String {
    let position = match &report.source.position {
        Some(Position::Version(number)) => format!(" version {number}"),
        Some(Position::Lsn(lsn)) => format!(" {lsn}"),
        Some(Position::Mark(mark)) => format!(" {mark}"),
        None => String::new(),
    };
    let dry = if report.dry_run { "  DRY RUN, nothing was written" } else { "" };
    format!("{}{position} -> {lake}  run {}{dry}\n", report.source.name, report.run_at)
}

fn run_grid(report: &Report, ink: Ink) -> String {
    let mut grid = Grid::new(&["table", "status", "rows", "inserted", "updated", "deleted", "silent", "time"]);
    let row = |name: &str, status: &str, numbers: [u64; 5], elapsed: u64| {
        [vec![name.to_owned(), status.to_owned()], numbers.map(grouped).to_vec(), vec![millis(elapsed)]].concat()
    };
    for entry in &report.tables {
        let numbers = [entry.rows, entry.inserted, entry.updated, entry.deleted, entry.silent_changes];
        grid.row(row(&entry.name, status(entry.status), numbers, entry.elapsed_ms));
    }
    if report.tables.len() > 1 {
        let sum = report.totals();
        let numbers = [sum.rows, sum.inserted, sum.updated, sum.deleted, sum.silent_changes];
        grid.total(row("total", report.status.name(), numbers, report.elapsed_ms));
    }
    grid.render(ink)
}

/// One line for each thing that was written, and for each that a person should know.
fn details(text: &mut String, entry: &TableReport, ink: Ink) {
    if let Some(key) = &entry.cdc_key {
        remark(text, &ink.paint(Colour::Green, "+"), &format!("{}: {key}", entry.name));
    }
    remarks(text, entry, &entry.name, ink);
}

/// One line for each thing that a person should know about a table, which the lines call `name`.
pub(super) fn remarks(text: &mut String, entry: &TableReport, name: &str, ink: Ink) {
    let mut line =
        |colour: Colour, mark: &str, what: &str| remark(text, &ink.paint(colour, mark), &format!("{name}: {what}"));
    for change in &entry.schema_changes {
        line(Colour::Yellow, "~", &change.to_string());
    }
    for warning in &entry.warnings {
        line(Colour::Yellow, "!", warning);
    }
    if let Some(error) = &entry.error {
        let advice = error.advice().map(|advice| format!("\n  hint: {advice}")).unwrap_or_default();
        line(Colour::Red, "x", &format!("{} ({}){advice}", error.chain(), error.code()));
    }
}

/// A line behind its mark.
pub(super) fn remark(text: &mut String, mark: &str, what: &str) {
    text.extend([mark, " ", what, "\n"]);
}

fn verify_summary(found: &Verification, lake: &str, ink: Ink) -> String {
    let mut grid = Grid::new(&["table", "result", "rows", "objects", "events", "silent"]);
    for entry in &found.tables {
        let numbers = [entry.rows, entry.changes, entry.events, entry.silent_changes].map(grouped);
        let result = match &entry.error {
            _ if entry.ok => "ok",
            Some(_) if entry.problems.is_empty() => "FAILED",
            _ => "DIFFERS",
        };
        grid.row([vec![entry.name.clone(), result.to_owned()], numbers.to_vec()].concat());
    }
    let mut text = format!("{lake}: the log, replayed, against the full load\n\n{}\n", grid.render(ink));
    for entry in &found.tables {
        findings(&mut text, entry, ink);
    }
    text + verdict(found)
}

fn verdict(found: &Verification) -> &'static str {
    let is_there = |table: &TableVerification| table.rows > 0 || table.changes > 0 || table.tombstones > 0;
    if found.tables.iter().any(|table| !table.problems.is_empty()) {
        "the lake is not in order: objects were changed or deleted by something else"
    } else if !found.ok {
        "some tables could not be examined"
    } else if found.tables.iter().any(is_there) {
        "every change is there exactly once"
    } else {
        "there is nothing here: no table was ever run into this lake"
    }
}

fn findings(text: &mut String, entry: &TableVerification, ink: Ink) {
    let mut line = |colour: Colour, mark: &str, what: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {}: {what}", ink.paint(colour, mark), entry.name);
    };
    entry.problems.iter().for_each(|problem| line(Colour::Red, "x", problem));
    entry.notes.iter().for_each(|note| line(Colour::Yellow, "!", note));
    if let Some(error) = &entry.error {
        line(Colour::Red, "x", &format!("{} ({})", error.chain(), error.code()));
    }
}

fn doctor_summary(found: &Diagnosis, ink: Ink) -> String {
    let mut text = String::new();
    for check in &found.checks {
        let (colour, word) = match check.finding {
            Finding::Ok => (Colour::Green, "ok     "),
            Finding::Warning => (Colour::Yellow, "warning"),
            Finding::Fault => (Colour::Red, "FAULT  "),
        };
        let code = check.code.map(|code| format!(" ({code})")).unwrap_or_default();
        let fix = check.fix.as_ref().map(|fix| format!("; fix: {fix}")).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  {}: {}{code}{fix}", ink.paint(colour, word), check.subject, check.found);
    }
    text + if found.is_ok() { "nothing stands in the way of a run" } else { "a run would fail, or fail for a table" }
}

/// A table with a rule below its header, and another above its totals.
pub(super) struct Grid {
    table: Table,
    totals: bool,
}

impl Grid {
    pub(super) fn new(header: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_style(TableComponent::HeaderLines, '─').set_header(header);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for column in table.column_iter_mut().skip(TEXT_COLUMNS) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        Self { table, totals: false }
    }

    /// With text in the last column, too.
    fn last_is_text(mut self) -> Self {
        if let Some(column) = self.table.column_iter_mut().last() {
            column.set_cell_alignment(CellAlignment::Left);
        }
        self
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.table.add_row(cells);
    }

    /// The last row.
    pub(super) fn total(&mut self, cells: Vec<String>) {
        self.table.add_row(cells);
        self.totals = true;
    }

    pub(super) fn render(&self, ink: Ink) -> String {
        let mut lines: Vec<String> = self.table.lines().map(|line| line.trim_end().to_owned()).collect();
        if self.totals
            && let Some(rule) = lines.get(1).cloned()
        {
            lines.insert(lines.len() - 1, rule);
        }
        lines.iter().fold(String::new(), |text, line| text + &ink.status_words(line) + "\n")
    }
}

#[derive(Clone, Copy)]
pub(super) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Blue = 34,
}

/// Colours, where the reader is a terminal and does not refuse them (<https://no-color.org>).
#[derive(Clone, Copy)]
pub(super) struct Ink(bool);

impl Ink {
    /// No colours.
    pub(super) const NONE: Self = Self(false);

    pub(super) fn new(environment: &Environment) -> Self {
        Self(std::io::stdout().is_terminal() && environment.get(NO_COLOR).is_none())
    }

    pub(super) fn paint(self, colour: Colour, text: &str) -> String {
        if self.0 { format!("\x1b[{}m{text}\x1b[0m", colour as u8) } else { text.to_owned() }
    }

    /// The line of a table with its status in colour. Painted last, because escapes have no width.
    fn status_words(self, line: &str) -> String {
        let words = [(" FAILED ", Colour::Red), (" DIFFERS ", Colour::Red), (" changed ", Colour::Green)];
        match words.into_iter().find(|(word, _)| line.contains(word)) {
            Some((word, colour)) => line.replacen(word, &self.paint(colour, word), 1),
            None => line.to_owned(),
        }
    }
}

/// Prints data. A reader that has seen enough and closed the pipe is no error.
pub(super) fn stdout(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::config("OutputUnwritable", "cannot write to standard output").caused_by(error))
        }
        _ => Ok(()),
    }
}

fn status(status: TableStatus) -> &'static str {
    match status {
        TableStatus::NotReady => "not ready",
        TableStatus::Failed => "FAILED",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_colours_and_a_pipe_does_not() {
        let line = "clientes  FAILED  0";
        assert_eq!(Ink(false).status_words(line), line);
        assert_eq!(Ink(true).status_words(line), "clientes \x1b[31m FAILED \x1b[0m 0");
    }
}
