//! The history as one page that needs nothing else: no other file, no library, no network.
//!
//! Charts are SVG drawn here. Without scripts the page says all that it says with them; the only script shows what lies
//! under the pointer at once.

mod changes;
mod measures;
mod text;
mod time_axis;

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use self::text::{date, escape, plural};
use self::time_axis::TimeAxis;
use super::{Change, Counts, History, TableHistory, Tally, tallies};
use crate::ops::figures::{bytes, grouped, millis};

/// The page loads nothing, and a browser is told not to let it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// So many changes of the columns are listed; more are there on demand.
const LISTED: usize = 6;

/// What the page says beside the history.
#[derive(Clone, Debug)]
pub struct PageFacts {
    /// Where the lake is.
    pub lake: String,
    /// When the page was made.
    pub made_at: DateTime<Utc>,
}

/// The page as HTML.
pub fn page(history: &History, facts: &PageFacts) -> String {
    let axis = TimeAxis::of(history.changes().map(|change| change.run_at.time()));
    let mut html = head(facts);
    html += &masthead(history, facts, axis.as_ref());
    for warning in &history.warnings {
        let _ = write!(html, "<p class=note>{}</p>", escape(warning));
    }
    if let Some(axis) = &axis {
        if history.tables.len() > 1 {
            html += &overview(history, axis);
        }
        history.tables.iter().enumerate().for_each(|(number, table)| html += &section(number, table, axis));
    } else {
        html += "<p class=empty>Nothing changed in this time.</p>";
    }
    html += &foot(facts, axis.as_ref());
    html
}

fn head(facts: &PageFacts) -> String {
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\
         <meta http-equiv=Content-Security-Policy content=\"{POLICY}\">\
         <meta name=viewport content=\"width=device-width,initial-scale=1\"><meta name=color-scheme content=\"light dark\">\
         <title>What changed in {}</title>\n<style>\n{}</style></head>\n<body><main>\n",
        escape(&facts.lake),
        include_str!("page/page.css"),
    )
}

/// The title, what times it is about, and the sums.
fn masthead(history: &History, facts: &PageFacts, axis: Option<&TimeAxis>) -> String {
    let days = axis.map_or_else(String::new, |axis| {
        let (first, last) = axis.ends();
        if date(first) == date(last) { date(first) } else { format!("{} – {}", date(first), date(last)) }
    });
    let Counts { inserted, updated, deleted, silent_changes, bytes: size } = history.total();
    let objects = history.changes().filter(|change| change.key.is_some()).count();
    let mut html = format!(
        "<header><h1>What changed</h1><p class=place><b>{}</b><span>{days}</span></p></header>\n<dl class=tiles>",
        escape(&facts.lake)
    );
    let mut tile = |class: &str, label: &str, value: String| {
        let _ = write!(html, "<div class=\"{class}\"><dt>{label}</dt><dd>{value}</dd></div>");
    };
    tile("inserted", "inserted", grouped(inserted));
    tile("updated", "updated", grouped(updated));
    tile("deleted", "deleted", grouped(deleted));
    tile("silent", "changed silently", grouped(silent_changes));
    tile("", "tables", grouped(history.tables.len() as u64));
    let first_loads: u64 = history.changes().filter(|change| change.first_load).map(|change| change.counts.bytes).sum();
    tile("", "objects in the log", format!("{} <small>{}</small>", grouped(objects as u64), bytes(size + first_loads)));
    html + "</dl>\n"
}

/// One line per table.
fn overview(history: &History, axis: &TimeAxis) -> String {
    let mut html = "<div class=scroll><table class=overview><thead><tr><th>table<th class=wide>changes<th class=n>rows\
                    <th class=n>inserted<th class=n>updated<th class=n>deleted<th class=n>silent<th class=n>last change\
                    </thead><tbody>\n"
        .to_owned();
    for (number, table) in history.tables.iter().enumerate() {
        let Counts { inserted, updated, deleted, silent_changes, .. } = table.total;
        let rows = table.full_load.as_ref().map_or_else(|| "–".to_owned(), |full_load| grouped(full_load.rows));
        let last = table.changes.iter().rev().find(|change| change.counts.events() > 0);
        let last = last.map_or_else(|| "–".to_owned(), |change| date(change.run_at.time()));
        let spark = measures::spark(&tallies(&table.changes, axis.period), axis);
        let _ = write!(html, "<tr><th><a href=\"#t{number}\">{}</a><td class=wide>{spark}", escape(&table.name));
        let _ = write!(html, "<td class=n>{rows}");
        for count in [inserted, updated, deleted, silent_changes] {
            let _ = write!(html, "<td class=\"n{}\">{}", if count == 0 { " zero" } else { "" }, grouped(count));
        }
        let _ = writeln!(html, "<td class=n>{last}");
    }
    html + "</tbody></table></div>\n"
}

fn section(number: usize, table: &TableHistory, axis: &TimeAxis) -> String {
    let mut html = format!("<section id=t{number}><h2>{}</h2>", escape(&table.name));
    html += &summary(table);
    if let Some(error) = &table.error {
        let _ = write!(html, "<p class=note>This table could not be read: {}</p>", escape(&error.chain()));
    }
    let tallies = tallies(&table.changes, axis.period);
    if tallies.is_empty() {
        return html + "</section>\n";
    }
    html += &changes::chart(&tallies, axis, &table.name);
    html += &columns(&table.changes);
    let _ = write!(html, "<div class=measures>{}</div>", measures::charts(&tallies, axis));
    html + &numbers(&tallies, axis) + "</section>\n"
}

/// The table in a sentence.
fn summary(table: &TableHistory) -> String {
    let mut facts: Vec<String> = Vec::new();
    if let Some(full_load) = &table.full_load {
        facts.push(format!("{} in the full load ({})", plural(full_load.rows, "row"), bytes(full_load.bytes)));
    }
    let objects = table.changes.iter().filter(|change| change.key.is_some()).count() as u64;
    facts.push(match objects {
        0 => "no change in this time".to_owned(),
        _ => format!("{} in the log", plural(objects, "object")),
    });
    if table.tombstones > 0 {
        facts.push(plural(table.tombstones, "tombstone"));
    }
    format!("<p class=facts>{}</p>", facts.join(" · "))
}

/// The changes of the columns, under the numbers that they have in the chart.
fn columns(changes: &[Change]) -> String {
    let items = changes.iter().flat_map(|change| {
        change
            .schema_changes
            .iter()
            .map(|text| format!("<li><time>{}</time> {}", date(change.run_at.time()), code(text)))
    });
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return String::new();
    }
    let (shown, more) = items.split_at(items.len().min(LISTED));
    let mut html = format!("<ol class=columns>{}</ol>", shown.concat());
    if !more.is_empty() {
        let (start, number) = (LISTED + 1, more.len());
        let _ = write!(
            html,
            "<details><summary>{number} more</summary><ol class=columns start={start} style=\"counter-reset:item {LISTED}\">{}</ol></details>",
            more.concat()
        );
    }
    html
}

/// What stands between backquotes, as code.
fn code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) }).collect()
}

/// The numbers behind the charts.
fn numbers(tallies: &[Tally], axis: &TimeAxis) -> String {
    let mut html = format!(
        "<details><summary>The numbers, by {}</summary><div class=scroll><table class=numbers><thead><tr><th>{}<th class=n>runs\
         <th class=n>rows<th class=n>inserted<th class=n>updated<th class=n>deleted<th class=n>silent<th class=n>size\
         <th class=n>longest run</thead><tbody>\n",
        axis.period.name(),
        axis.period.name(),
    );
    for tally in tallies.iter().rev() {
        let Counts { inserted, updated, deleted, silent_changes, bytes: size } = tally.counts;
        let inserted =
            tally.first_load.map_or_else(|| grouped(inserted), |rows| format!("first load {}", grouped(rows)));
        let rows = tally.rows.map_or_else(|| "–".to_owned(), grouped);
        let cells = [grouped(tally.runs), rows, inserted, grouped(updated), grouped(deleted)];
        let longest = tally.longest_ms.map_or_else(|| "–".to_owned(), millis);
        let _ = write!(html, "<tr><th>{}", axis.label(tally.start));
        for cell in cells.into_iter().chain([grouped(silent_changes), bytes(size), longest]) {
            let _ = write!(html, "<td class=n>{cell}");
        }
        html.push('\n');
    }
    html + "</tbody></table></div></details>"
}

fn foot(facts: &PageFacts, axis: Option<&TimeAxis>) -> String {
    let each = axis.map_or_else(String::new, |axis| format!("One bar is one {}. ", axis.period.name()));
    format!(
        "<footer>{each}Times are UTC, and those of the runs that found the changes. A first load is not drawn as a change. \
         Made by cdc-to-s3 {} on {}.</footer>\n</main>\n<div id=tip hidden></div>\n<script>\n{}</script></body></html>\n",
        env!("CARGO_PKG_VERSION"),
        facts.made_at.format("%-d %b %Y, %H:%M UTC"),
        include_str!("page/page.js"),
    )
}
