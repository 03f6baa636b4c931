//! The page: what it says, that it needs nothing else, and that names in it stay names.

use cdc_to_s3::lake::layout::RunTime;
use cdc_to_s3::ops::history::{self, History, PageFacts, Span};
use cdc_to_s3::ops::history::{Change, Counts, TableHistory};
use chrono::{DateTime, Duration, Utc};

use crate::support::random::Random;

pub(super) fn made(history: &History) -> String {
    let made_at = "2026-11-20T16:00:00Z".parse().unwrap();
    history::page(history, &PageFacts { lake: "s3://meudatalake-raw/upcell".to_owned(), made_at })
}

fn change(at: DateTime<Utc>, rows: u64, counts: Counts) -> Change {
    Change {
        run_at: RunTime::new(at),
        key: Some("cdc/t/t.parquet".to_owned()),
        first_load: false,
        position: None,
        rows: Some(rows),
        counts,
        elapsed_ms: Some(40 + counts.events() / 3),
        schema_changes: Vec::new(),
    }
}

/// A table that lives for so many runs, `apart` from each other, with weekends, bursts and changes of its columns.
pub(super) fn table(name: &str, runs: i64, apart: Duration, seed: u64) -> TableHistory {
    let mut random = Random::new(seed);
    let begin: DateTime<Utc> = "2026-01-05T06:00:00Z".parse().unwrap();
    let mut rows = 4000 + random.below(3000) as u64;
    let first = Counts { inserted: rows, bytes: rows * 31, ..Counts::default() };
    let mut changes = vec![Change { first_load: true, ..change(begin, rows, first) }];
    for run in 1..runs {
        let size = if random.chance(6) { 400 } else { 90 };
        let [inserted, updated, deleted] = [size, size * 2 / 3, size / 4].map(|most| random.below(most) as u64);
        rows = rows + inserted - deleted;
        let silent_changes = if random.chance(3) { 4 } else { 0 };
        let bytes = 2300 + (inserted + updated + deleted) * 29;
        let counts = Counts { inserted, updated, deleted, silent_changes, bytes };
        let mut change = change(begin + apart * i32::try_from(run).unwrap(), rows, counts);
        if random.chance(2) {
            change.schema_changes.push(format!("added `coluna_{run}` (string)"));
        }
        if !random.chance(12) {
            changes.push(change);
        }
    }
    let mut total = Counts::default();
    for Change { counts, .. } in &changes[1..] {
        total.inserted += counts.inserted;
        total.updated += counts.updated;
        total.deleted += counts.deleted;
        total.silent_changes += counts.silent_changes;
        total.bytes += counts.bytes;
    }
    let full_load = history::FullLoad { run_at: changes.last().unwrap().run_at, rows, bytes: rows * 27 };
    TableHistory { name: name.to_owned(), full_load: Some(full_load), changes, total, ..TableHistory::default() }
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = made(&History { tables: vec![table("clientes", 300, Duration::hours(6), 1)], warnings: Vec::new() });
    for outside in ["http:", "https:", "src=", "<link", "@import", "url(", "fetch(", "import "] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn names_are_never_markup() {
    let mut evil = table("<script>alert(1)</script>", 4, Duration::days(1), 1);
    evil.changes[1].schema_changes = vec!["added `</title><img onerror=\"x\" '&` (string)".to_owned()];
    let history = History { tables: vec![evil], warnings: vec!["<b>".to_owned()] };
    let page = made(&history);
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;")
            && page.contains("&lt;img onerror=&quot;x&quot; &#39;&amp;")
    );
    assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains("<b>\n"));
}

#[test]
fn thousands_of_runs_are_added_up_and_nothing_is_lost() {
    let busy = table("pedidos", 4000, Duration::minutes(20), 7);
    let total = busy.total;
    let page = made(&History { tables: vec![busy], warnings: Vec::new() });
    let bars = page.matches("<rect class=inserted").count();
    assert!((30..=122).contains(&bars), "{bars} bars");
    assert!(page.contains("One bar is one day") && page.len() < 400_000, "{}", page.len());
    let summed: u64 = page
        .split("<tr><th>")
        .skip(1)
        .filter_map(|row| row.split("<td class=n>").nth(4)?.trim().replace(',', "").parse::<u64>().ok())
        .sum();
    assert_eq!(summed, total.updated);
}

#[test]
fn a_lake_without_changes_says_so() {
    let empty = TableHistory { name: "t".to_owned(), ..TableHistory::default() };
    assert!(made(&History { tables: vec![empty], warnings: Vec::new() }).contains("Nothing changed in this time."));
    assert!(Span::ALL.since < Span::ALL.until);
}
