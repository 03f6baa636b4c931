//! The report of a run: what the invocation returns, `--json` prints and `_runs/` keeps.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::lake::layout::RunTime;
use crate::position::Position;
use crate::table::SchemaChange;

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// At least one table changed, and none failed.
    Changed,
    /// Nothing was written, and nothing failed.
    Unchanged,
    /// Some tables failed or were busy; the others are done.
    Partial,
    /// Every table failed.
    Failed,
}

/// What became of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableStatus {
    /// Changes were published (or, in a dry run, would be).
    Changed,
    /// It is as it was.
    Unchanged,
    /// The source has a new version, but not yet its archive.
    NotReady,
    /// Another run holds the table, or has overtaken this one.
    Busy,
    /// It failed; nothing of this run was published for it, or the next run completes what was.
    Failed,
}

impl RunStatus {
    /// As in the JSON report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

impl TableStatus {
    /// As in the JSON report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::NotReady => "not_ready",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }
}

/// The sums over the tables of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows of the snapshots.
    pub rows: u64,
    /// Rows whose key is new.
    pub inserted: u64,
    /// Rows that changed.
    pub updated: u64,
    /// Rows that are gone.
    pub deleted: u64,
    /// Rows whose content changed while their date did not move on.
    pub silent_changes: u64,
    /// Bytes of the objects that were written.
    pub bytes_written: u64,
}

/// Where the data came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// `kaggle`, `local` or `sqlserver`.
    pub kind: Cow<'static, str>,
    /// The dataset, or the file or folder.
    pub name: String,
    /// The position that the run read.
    pub position: Option<Position>,
}

/// The report of a run.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// The time that the run was asked for.
    pub run_at: RunTime,
    /// Where the data came from.
    pub source: SourceReport,
    /// What became of it.
    pub status: RunStatus,
    /// Whether nothing was to be written.
    pub dry_run: bool,
    /// The age of the newest commit that a database's capture job has read, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture_age_seconds: Option<u64>,
    /// One entry per table, in the order of the configuration.
    pub tables: Vec<TableReport>,
    /// Duration in milliseconds.
    pub elapsed_ms: u64,
    /// The greatest resident memory of the process so far, in bytes.
    pub peak_rss_bytes: u64,
}

/// The report of a table.
#[derive(Debug, Serialize, Deserialize)]
pub struct TableReport {
    /// The table's name.
    pub name: String,
    /// What became of it.
    pub status: TableStatus,
    /// Rows of the snapshot.
    pub rows: u64,
    /// Rows whose key is new.
    pub inserted: u64,
    /// Rows that changed.
    pub updated: u64,
    /// Rows whose key is gone.
    pub deleted: u64,
    /// Rows that changed without their date field moving on.
    pub silent_changes: u64,
    /// Rows dropped by `on_duplicate_key` and `on_null_key`.
    pub dropped_rows: u64,
    /// The fingerprint of the snapshot, which the previous rows and the changes were proven to give.
    pub row_set_hash: Option<String>,
    /// The CDC object written; of several, the newest.
    pub cdc_key: Option<String>,
    /// All CDC objects written by a run that read more than one stretch of a database's log, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cdc_keys: Vec<String>,
    /// The full load written.
    pub full_load_key: Option<String>,
    /// How far a database's log has been read for the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// For how many hours more a database keeps the changes after that position; below zero where they may go any moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headroom_hours: Option<f64>,
    /// Bytes of the CDC objects and the full load that were written.
    #[serde(default)]
    pub bytes_written: u64,
    /// The time of the newest run before this one that is committed; `None` where there is none, or where it was not
    /// looked at.
    #[serde(skip)]
    pub committed_before: Option<RunTime>,
    /// Since when there is a table of which nothing could be read yet; `None` once something was.
    #[serde(skip)]
    pub waiting_since: Option<DateTime<Utc>>,
    /// How the columns differ from the previous snapshot's.
    pub schema_changes: Vec<SchemaChange>,
    /// What an operator should know although the table did not fail.
    pub warnings: Vec<String>,
    /// Why the table failed.
    pub error: Option<Error>,
    /// Duration in milliseconds.
    pub elapsed_ms: u64,
}

impl TableReport {
    /// A report of nothing.
    pub fn new(name: impl Into<String>, status: TableStatus) -> Self {
        Self {
            name: name.into(),
            status,
            rows: 0,
            inserted: 0,
            updated: 0,
            deleted: 0,
            silent_changes: 0,
            dropped_rows: 0,
            row_set_hash: None,
            cdc_key: None,
            cdc_keys: Vec::new(),
            full_load_key: None,
            position: None,
            headroom_hours: None,
            bytes_written: 0,
            committed_before: None,
            waiting_since: None,
            schema_changes: Vec::new(),
            warnings: Vec::new(),
            error: None,
            elapsed_ms: 0,
        }
    }

    /// The report of a table that failed.
    pub fn failed(name: impl Into<String>, error: Error) -> Self {
        Self { error: Some(error), ..Self::new(name, TableStatus::Failed) }
    }
}

impl Report {
    /// What became of a run whose tables are these.
    pub fn status_of(tables: &[TableReport]) -> RunStatus {
        let any = |status| tables.iter().any(|table| table.status == status);
        match () {
            () if !tables.is_empty() && tables.iter().all(|table| table.status == TableStatus::Failed) => {
                RunStatus::Failed
            }
            () if any(TableStatus::Failed) || any(TableStatus::Busy) => RunStatus::Partial,
            () if any(TableStatus::Changed) => RunStatus::Changed,
            () => RunStatus::Unchanged,
        }
    }

    /// The sums over the tables.
    pub fn totals(&self) -> Totals {
        self.tables.iter().fold(Totals::default(), |sum, table| Totals {
            rows: sum.rows + table.rows,
            inserted: sum.inserted + table.inserted,
            updated: sum.updated + table.updated,
            deleted: sum.deleted + table.deleted,
            silent_changes: sum.silent_changes + table.silent_changes,
            bytes_written: sum.bytes_written + table.bytes_written,
        })
    }

    /// Whether objects were written whose story the report tells.
    pub fn published(&self) -> bool {
        self.tables.iter().any(|table| table.cdc_key.is_some() || table.full_load_key.is_some())
    }

    /// The process exit code: the most serious of the failed tables' codes, 3 where something is left to be done, else 0.
    pub fn exit_code(&self) -> u8 {
        exit_code(&self.tables)
    }
}

/// The most serious exit code of these tables; see [`Report::exit_code`].
pub(crate) fn exit_code<'t>(tables: impl IntoIterator<Item = &'t TableReport>) -> u8 {
    let codes = tables.into_iter().map(|table| match (&table.error, table.status) {
        (Some(error), _) => error.kind().exit_code(),
        (None, TableStatus::Busy | TableStatus::NotReady) => Kind::Transient.exit_code(),
        (None, _) => 0,
    });
    codes.filter(|code| *code > 0).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(tables: &[TableStatus]) -> RunStatus {
        Report::status_of(&tables.iter().map(|&status| TableReport::new("t", status)).collect::<Vec<_>>())
    }

    #[test]
    fn a_status_is_called_the_same_in_logs_and_in_the_report() {
        use TableStatus::{Busy, Changed, Failed, NotReady, Unchanged};
        for status in [Busy, Changed, Failed, NotReady, Unchanged] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        for status in [RunStatus::Changed, RunStatus::Unchanged, RunStatus::Partial, RunStatus::Failed] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }

    #[test]
    fn the_status_of_a_run_follows_from_its_tables() {
        use TableStatus::{Busy, Changed, Failed, NotReady, Unchanged};
        assert_eq!(status(&[Unchanged, Changed]), RunStatus::Changed);
        assert_eq!(status(&[Unchanged, NotReady]), RunStatus::Unchanged);
        assert_eq!(status(&[Unchanged, Failed]), RunStatus::Partial);
        assert_eq!(status(&[Changed, Busy]), RunStatus::Partial);
        assert_eq!(status(&[Failed, Failed]), RunStatus::Failed);
    }
}
