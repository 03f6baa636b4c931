//! What the stand-in database holds, as plain values.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::super::tds::{Column, Request, Row, ServerError};

/// Ten bytes, compared from left to right.
pub(crate) type LsnBytes = [u8; 10];

/// The LSN that a number stands for, so that greater numbers are greater LSNs.
pub(crate) fn lsn(number: u64) -> LsnBytes {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// A database at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) server: String,
    pub(crate) database: String,
    pub(crate) cdc_enabled: bool,
    pub(crate) snapshot_isolation: bool,
    /// The restore lineage; `None` where the login may not see it.
    pub(crate) fork: Option<String>,
    /// What the clean-up job keeps; `None` where the login may not see it.
    pub(crate) retention_minutes: Option<i64>,
    /// Numbers and times, oldest first; `None` where the login may not see them.
    pub(crate) capture_errors: Option<Vec<(i64, DateTime<Utc>)>>,
    /// Whether the server keeps such errors at all.
    pub(crate) keeps_capture_errors: bool,
    /// Whether the login may read the tables themselves.
    pub(crate) may_read_tables: bool,
    /// The clock in UTC, and by how much the server's local time is ahead of it.
    pub(crate) now: DateTime<Utc>,
    pub(crate) ahead: TimeDelta,
    /// SQL Server 2022 or later.
    pub(crate) knows_time_zone: bool,
    /// What the capture job has written down of commits, by rising LSN.
    pub(crate) commits: Vec<Commit>,
    pub(crate) tables: Vec<Table>,
}

/// An entry of `cdc.lsn_time_mapping`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit {
    pub(crate) lsn: LsnBytes,
    pub(crate) time: DateTime<Utc>,
    /// Written by an idle capture job: it belongs to no transaction.
    pub(crate) idle: bool,
}

/// A table that is there to be captured.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) object_id: i32,
    pub(crate) columns: Vec<Column>,
    /// The names of the columns of its key.
    pub(crate) key: Vec<String>,
    pub(crate) rows: Arc<Vec<Row>>,
    pub(crate) instances: Vec<Instance>,
}

/// A capture instance.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub(crate) name: String,
    /// Of its change table.
    pub(crate) object_id: i32,
    /// In the server's local time.
    pub(crate) created: NaiveDateTime,
    pub(crate) start: Option<LsnBytes>,
    pub(crate) role: Option<String>,
    pub(crate) access: Access,
    pub(crate) has_command_id: bool,
    /// The captured columns as they were when the instance was made.
    pub(crate) columns: Vec<Column>,
    pub(crate) changes: Changes,
}

/// What the login may do with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read its change table, or through the query function.
    Direct,
    /// Only the latter.
    Function,
    /// Neither.
    Denied,
}

/// The changes of an instance.
#[derive(Clone, Debug)]
pub(crate) enum Changes {
    /// In any order.
    Listed(Arc<Vec<Change>>),
    /// One transaction that makes the same change so many times, with rising sequence values: for measuring.
    Repeated(Arc<Change>, u64),
}

/// A row of a change table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) start_lsn: LsnBytes,
    pub(crate) sequence: LsnBytes,
    pub(crate) operation: i64,
    pub(crate) mask: Vec<u8>,
    pub(crate) command: i64,
    /// By the columns of the instance.
    pub(crate) values: Row,
}

impl Contents {
    /// A database without tables, whose change data capture is on.
    pub(crate) fn new(database: &str, now: DateTime<Utc>) -> Self {
        Self {
            server: "stand-in".to_owned(),
            database: database.to_owned(),
            cdc_enabled: true,
            snapshot_isolation: true,
            fork: Some("6F9619FF-8B86-D011-B42D-00C04FC964FF".to_owned()),
            retention_minutes: Some(4320),
            capture_errors: Some(Vec::new()),
            keeps_capture_errors: true,
            may_read_tables: true,
            now,
            ahead: TimeDelta::zero(),
            knows_time_zone: true,
            commits: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// The end of what the capture job has read.
    pub(super) fn max_lsn(&self) -> Option<LsnBytes> {
        self.commits.last().map(|commit| commit.lsn)
    }

    /// All instances with their tables, by object id.
    pub(super) fn instances(&self) -> Vec<(&Table, &Instance)> {
        let of = |table| move |instance| (table, instance);
        let mut all: Vec<_> = self.tables.iter().flat_map(|table| table.instances.iter().map(of(table))).collect();
        all.sort_by_key(|(_, instance)| instance.object_id);
        all
    }

    pub(super) fn instance(&self, name: &str) -> Option<(&Table, &Instance)> {
        self.instances().into_iter().find(|(_, instance)| instance.name == name)
    }

    pub(super) fn local(&self, time: DateTime<Utc>) -> NaiveDateTime {
        (time + self.ahead).naive_utc()
    }
}

/// Where a database gets its contents from.
pub(crate) trait Holdings: Send + Sync + 'static {
    /// What is there when this is asked, or what the server says instead.
    fn contents(&self, request: &Request) -> Result<Arc<Contents>, ServerError>;
}

/// Contents that a test changes by hand.
pub(crate) struct Plain(Mutex<Arc<Contents>>);

impl Plain {
    pub(crate) fn new(contents: Contents) -> Self {
        Self(Mutex::new(Arc::new(contents)))
    }

    /// Changes what later requests find; those that are being answered go on with what they found.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Contents)) {
        change(Arc::make_mut(&mut self.lock()));
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Contents>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holdings for Plain {
    fn contents(&self, _request: &Request) -> Result<Arc<Contents>, ServerError> {
        Ok(Arc::clone(&self.lock()))
    }
}
