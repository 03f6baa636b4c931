//! What a person reads: the summary of a run, of a verification, of an error. Data to stdout, the rest to stderr.

use std::fmt::Write as _;
use std::io::Write as _;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::report::{Report, TableReport, TableStatus};
use crate::verify::{TableVerification, Verification};

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::internal("ResultUnwritable", "cannot write the result").caused_by(error))?;
    stdout(&text)
}

/// Prints the summary of a run.
pub(super) fn report(report: &Report, lake: &str) -> Result<()> {
    let mut table = grid(&["table", "status", "rows", "inserted", "updated", "deleted", "silent", "time"]);
    for entry in &report.tables {
        let numbers = [entry.rows, entry.inserted, entry.updated, entry.deleted, entry.silent_changes].map(grouped);
        table.add_row(
            [vec![entry.name.clone(), status(entry)], numbers.to_vec(), vec![millis(entry.elapsed_ms)]].concat(),
        );
    }
    right_align(&mut table, 2);
    let position = report.source.position.as_ref().map(|position| format!(", {position}")).unwrap_or_default();
    let dry = if report.dry_run { " (dry run: nothing was written)" } else { "" };
    let mut text = format!(
        "{} {}{position} -> {lake}, run {}{dry}\n{table}\n",
        report.source.kind, report.source.name, report.run_at
    );
    for entry in &report.tables {
        details(&mut text, entry);
    }
    stdout(text.trim_end())
}

fn details(text: &mut String, entry: &TableReport) {
    let name = &entry.name;
    let mut line = |mark: &str, what: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark} {name}: {what}");
    };
    if let Some(key) = &entry.cdc_key {
        line("+", key);
    }
    for change in &entry.schema_changes {
        line("~", &change.to_string());
    }
    for warning in &entry.warnings {
        line("!", warning);
    }
    if let Some(error) = &entry.error {
        line("x", &format!("{} ({})", error.chain(), error.code()));
        error.advice().into_iter().for_each(|advice| line(" ", advice));
    }
}

/// Prints the summary of a verification.
pub(super) fn verification(found: &Verification, lake: &str) -> Result<()> {
    let mut table = grid(&["table", "result", "rows", "objects", "events", "silent"]);
    for entry in &found.tables {
        let numbers = [entry.rows, entry.changes, entry.events, entry.silent_changes].map(grouped);
        let result = if entry.ok { "ok" } else { "DIFFERS" };
        table.add_row([vec![entry.name.clone(), result.to_owned()], numbers.to_vec()].concat());
    }
    right_align(&mut table, 2);
    let mut text = format!("{lake}: the log, replayed, against the full load\n{table}\n");
    for entry in &found.tables {
        findings(&mut text, entry);
    }
    text.push_str(if found.ok { "every change is there exactly once" } else { "the lake is not in order" });
    stdout(&text)
}

fn findings(text: &mut String, entry: &TableVerification) {
    let error = entry.error.as_ref().map(|error| format!("x {}: {} ({})", entry.name, error.chain(), error.code()));
    let problems = entry.problems.iter().map(|problem| format!("x {}: {problem}", entry.name));
    let notes = entry.notes.iter().map(|note| format!("! {}: {note}", entry.name));
    for line in problems.chain(notes).chain(error) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    }
}

/// Prints an error and what to do about it.
pub(super) fn error(error: &Error) {
    let advice = error.advice().map(|advice| format!("\n  hint: {advice}")).unwrap_or_default();
    note(&format!("error: {} ({}){advice}", error.chain(), error.code()));
}

/// Prints a line for the person at the terminal.
pub(super) fn note(text: &str) {
    // There is nowhere to report that stderr is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A reader that has seen enough and closed the pipe is no error.
fn stdout(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::config("OutputUnwritable", "cannot write to standard output").caused_by(error))
        }
        _ => Ok(()),
    }
}

fn grid(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).set_header(header);
    table
}

fn right_align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

fn status(entry: &TableReport) -> String {
    match entry.status {
        TableStatus::Changed => "changed",
        TableStatus::Unchanged => "unchanged",
        TableStatus::NotReady => "not ready",
        TableStatus::Busy => "busy",
        TableStatus::Failed => "FAILED",
    }
    .to_owned()
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn millis(elapsed: u64) -> String {
    if elapsed < 1000 { format!("{elapsed} ms") } else { format!("{}.{:01} s", elapsed / 1000, elapsed % 1000 / 100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
