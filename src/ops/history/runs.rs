//! What the reports in `_runs/` add to the log: durations, and runs that wrote only a full load.

use std::collections::BTreeMap;

use chrono::Duration;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::{Change, Counts, Span};
use crate::error::Result;
use crate::lake::layout::{self, RunTime};
use crate::lake::store::{ObjectStore, read_all};
use crate::position::Position;

/// The greatest size of a report, in bytes.
const REPORT_LIMIT: u64 = 16 * 1024 * 1024;

/// So many reports are asked for at once.
const AT_ONCE: usize = 32;

/// An object may be named later than the run that was asked for, and so than its report.
const MARGIN: Duration = Duration::days(1);

/// What is read of a report; whatever else it says does not matter here.
#[derive(Deserialize)]
struct Report {
    run_at: RunTime,
    #[serde(default)]
    source: Source,
    tables: Vec<Table>,
}

#[derive(Default, Deserialize)]
struct Source {
    position: Option<Position>,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    rows: Option<u64>,
    #[serde(default)]
    silent_changes: u64,
    cdc_key: Option<String>,
    full_load_key: Option<String>,
    #[serde(default)]
    schema_changes: Vec<String>,
    elapsed_ms: Option<u64>,
}

/// What a run's report says of a table.
pub(super) struct Told {
    position: Option<Position>,
    table: Table,
}

/// What a run wrote of a table, by its report.
pub(crate) enum Wrote {
    /// This object of the log.
    Object(String),
    /// A full load and no object of the log.
    FullLoad,
    /// There is no report that says.
    Unknown,
}

/// What the run of that time wrote of `table`.
pub(crate) async fn wrote(store: &dyn ObjectStore, run_at: RunTime, table: &str) -> Result<Wrote> {
    let Ok(report) = report(store, layout::run(run_at)).await? else { return Ok(Wrote::Unknown) };
    let entry = report.tables.into_iter().find(|entry| entry.name == table);
    Ok(match entry {
        Some(Table { cdc_key: Some(key), .. }) => Wrote::Object(key),
        Some(Table { full_load_key: Some(_), .. }) => Wrote::FullLoad,
        _ => Wrote::Unknown,
    })
}

/// The reports of the runs that wrote something, by table and run.
type ByTable = BTreeMap<String, BTreeMap<RunTime, Told>>;

/// Reads the reports within `span`; what is no report is named in the warnings.
pub(super) async fn read(store: &dyn ObjectStore, span: Span) -> Result<(ByTable, Vec<String>)> {
    let since = span.since.checked_sub_signed(MARGIN).unwrap_or(span.since);
    let until = span.until.checked_add_signed(MARGIN).unwrap_or(span.until);
    let within = |key: &String| layout::run_of(key).is_some_and(|at| (since..=until).contains(&at.time()));
    let listed = store.list(layout::RUNS, None).await?;
    let reports: Vec<Result<Report, String>> = stream::iter(listed.into_iter().map(|entry| entry.key).filter(within))
        .map(|key| report(store, key))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let (mut found, mut warnings) = (ByTable::new(), Vec::new());
    for report in reports {
        match report {
            Ok(report) => enter(&mut found, report, span),
            Err(warning) => warnings.push(warning),
        }
    }
    Ok((found, warnings))
}

async fn report(store: &dyn ObjectStore, key: String) -> Result<Result<Report, String>> {
    let unusable = |why: &str| format!("`{key}` {why}; what it says is left out");
    let Some((bytes, _)) = read_all(store, &key, REPORT_LIMIT).await? else { return Ok(Err(unusable("is gone"))) };
    Ok(serde_json::from_slice(&bytes).map_err(|_| unusable("is not the report of a run")))
}

/// The tables of which the run wrote something, under the time of what it wrote.
fn enter(found: &mut ByTable, report: Report, span: Span) {
    for table in report.tables {
        let wrote = match (&table.cdc_key, &table.full_load_key) {
            (Some(key), _) => layout::stamp_of(key),
            (None, Some(_)) => Some(report.run_at).filter(|&run_at| span.contains(run_at)),
            (None, None) => None,
        };
        if let Some(run_at) = wrote {
            let told = Told { position: report.source.position.clone(), table };
            found.entry(told.table.name.clone()).or_default().insert(run_at, told);
        }
    }
}

/// Adds what the reports tell to the changes in the log.
pub(super) fn complete(changes: &mut Vec<Change>, mut told: BTreeMap<RunTime, Told>) {
    for change in changes.iter_mut() {
        let report = told.remove(&change.run_at).filter(|told| told.table.cdc_key == change.key);
        change.elapsed_ms = report.and_then(|told| told.table.elapsed_ms);
    }
    changes.extend(told.into_iter().filter_map(|(run_at, told)| of_full_load(run_at, told)));
    changes.sort_by_key(|change| change.run_at);
    let mut known: Vec<String> = Vec::new();
    for change in changes.iter_mut() {
        // The next object differs from the one before it also by what the run between them had told already.
        if change.key.is_some() {
            change.schema_changes.retain(|text| !known.contains(text));
            known.clear();
        } else {
            known.extend(change.schema_changes.iter().cloned());
        }
    }
}

/// A run that wrote a full load and no object of the log.
fn of_full_load(run_at: RunTime, Told { position, table }: Told) -> Option<Change> {
    let worth_telling = table.cdc_key.is_none() && (table.silent_changes > 0 || !table.schema_changes.is_empty());
    worth_telling.then(|| Change {
        run_at,
        key: None,
        first_load: false,
        position,
        rows: table.rows,
        counts: Counts { silent_changes: table.silent_changes, ..Counts::default() },
        elapsed_ms: table.elapsed_ms,
        schema_changes: table.schema_changes,
    })
}
