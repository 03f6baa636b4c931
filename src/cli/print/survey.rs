//! What `init` found, as a person reads it: a table of columns for each table.

use std::fmt::Write as _;

use super::{Grid, Ink, grouped};
use crate::ops::profile::{ColumnSurvey, Survey, TableSurvey};

/// What a survey found.
pub(in crate::cli) fn survey(found: &Survey, ink: Ink) -> String {
    let mut text = String::new();
    for table in &found.tables {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}\n\n{}", heading(table), columns(table, ink));
    }
    for left_out in &found.left_out {
        let advice = left_out.error.advice().map(|advice| format!("\n  hint: {advice}")).unwrap_or_default();
        let (error, code) = (left_out.error.chain(), left_out.error.code());
        let _ = writeln!(text, "left out: {}: {error} ({code}){advice}", left_out.file);
    }
    text.trim_end().to_owned()
}

fn heading(table: &TableSurvey) -> String {
    let delimiter = match table.delimiter {
        Some('\t') => ", separated by tabs".to_owned(),
        Some(delimiter) => format!(", separated by {delimiter}"),
        None => String::new(),
    };
    let encoding = table.encoding.map(|encoding| format!(", {}", encoding.name())).unwrap_or_default();
    format!("{} ({}): {} rows{delimiter}{encoding}", table.name, table.file, grouped(table.rows))
}

fn columns(table: &TableSurvey, ink: Ink) -> String {
    let mut grid = Grid::new(&["column", "type", "nulls", "distinct", "could be"]).last_is_text();
    for column in &table.columns {
        let about = if column.exact { "" } else { "~" };
        grid.row(vec![
            column.name.clone(),
            column.column_type.to_string(),
            grouped(column.nulls),
            format!("{about}{}", grouped(column.distinct)),
            roles(table, column).join("; "),
        ]);
    }
    grid.render(ink)
}

/// What the column could be in the configuration.
fn roles(table: &TableSurvey, column: &ColumnSurvey) -> Vec<String> {
    let chosen = table.key();
    let keys = table.keys.iter().filter(|key| key.columns.contains(&column.name)).map(|key| {
        let with: Vec<&str> = key.columns.iter().filter(|other| **other != column.name).map(String::as_str).collect();
        let with = if with.is_empty() { String::new() } else { format!(" with {}", with.join(", ")) };
        match key.repeats {
            0 if chosen == Some(key) => format!("pk{with}"),
            0 => format!("also a key{with}"),
            repeats => format!("no key{with}: {} repeats", grouped(repeats)),
        }
    });
    let dates = table.dates.iter().filter(|date| date.column == column.name).map(|date| {
        let is_it = table.date_field().is_some_and(|field| field.column == column.name);
        let role = if is_it { "date_field" } else { "a date" };
        let range = date.oldest.as_ref().zip(date.newest.as_ref());
        range.map_or(role.to_owned(), |(oldest, newest)| format!("{role}, {oldest} to {newest}"))
    });
    keys.chain(dates).collect()
}
