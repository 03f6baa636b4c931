//! What the configuration says about a SQL Server source and its tables, valid by construction.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::server::Images;
use crate::position::Lsn;

/// How long the capture job may be silent before it counts as idle. An idle database gets an entry every five minutes.
pub const DEFAULT_IDLE_AFTER: Duration = Duration::from_secs(15 * 60);

/// How long a table may wait for the capture job to start with it before that counts as a failure.
pub const DEFAULT_NOT_READY_AFTER: Duration = Duration::from_secs(60 * 60);

/// What is read of a database, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// The tables in the configured order; all tracked tables when there is no list.
    pub tables: Option<Vec<TrackedTable>>,
    /// What holds for a table that is not in a list.
    pub defaults: TableOptions,
    /// Which columns describe a change.
    pub metadata_columns: MetadataColumns,
    /// Whether the schema is part of the names in the lake.
    pub schema_in_path: bool,
    /// How long the capture job may be silent; `None` for ever.
    pub idle_after: Option<Duration>,
    /// How long the capture job may not have started with a table; `None` for ever.
    pub not_ready_after: Option<Duration>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            tables: None,
            defaults: TableOptions::default(),
            metadata_columns: MetadataColumns::default(),
            schema_in_path: false,
            idle_after: Some(DEFAULT_IDLE_AFTER),
            not_ready_after: Some(DEFAULT_NOT_READY_AFTER),
        }
    }
}

/// One table of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// How it is read.
    pub options: TableOptions,
}

/// How a table is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// Where its first run begins.
    pub start: Start,
    /// Which images of an updated row are written.
    pub images: Images,
}

/// Where the first run of a table begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With all rows, and the changes after them.
    #[default]
    Snapshot,
    /// With the oldest change that is kept.
    Earliest,
    /// With the changes after the run.
    Now,
    /// With the changes committed at this place or later.
    Lsn(Lsn),
    /// With the changes committed at this time or later.
    Time(DateTime<Utc>),
}

/// Which columns describe a change, beside those captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetadataColumns {
    /// `op`, `_commit_lsn`, `_seq`, `_commit_time`, `_operation`, `_unavailable`, `_overlap`.
    #[default]
    Readable,
    /// Those of the change table: `__$start_lsn` to `__$command_id`.
    Native,
}
