//! The seam: what a SQL Server database answers about its change data capture.
//!
//! One implementation speaks TDS, another is a model in memory for tests. The rules of change data capture (windows, gaps,
//! instances, order) are all on this side of it; what is SQL, and how a type of SQL Server becomes one of Arrow, is on the
//! other.
//!
//! A call may be dropped while it waits (the run's time is up); the next call must not suffer from it. A fault that may
//! pass (deadlock, throttling, a cut connection) is an error of kind `Transient`, and the caller repeats the whole call:
//! what the first attempt had handed over is thrown away.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::time::Duration;

use arrow::array::{BinaryArray, FixedSizeBinaryArray, Int32Array, RecordBatch, TimestampMicrosecondArray, UInt8Array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::position::Lsn;

/// Takes changes, in their order; may block for as long as writing them takes.
pub type TakeChanges<'a> = &'a mut (dyn FnMut(ChangeBatch) -> Result<ControlFlow<()>> + Send);

/// Takes rows of a table, in the order of its key; may block for as long as writing them takes.
pub type TakeRows<'a> = &'a mut (dyn FnMut(RecordBatch) -> Result<ControlFlow<()>> + Send);

/// A SQL Server database whose tables are tracked.
#[async_trait]
pub trait Server: Debug + Send + Sync {
    /// What the database is, and in which condition.
    ///
    /// # Errors
    /// `CdcDisabled` is not among them: [`Database::cdc_enabled`] tells.
    async fn database(&self) -> Result<Database>;

    /// All capture instances, of one moment, those without a start among them; empty where capture is off.
    async fn instances(&self) -> Result<Vec<CaptureInstance>>;

    /// The end of what the capture job has read of the log (`sys.fn_cdc_get_max_lsn`); `None` when it never has.
    async fn max_lsn(&self) -> Result<Option<Lsn>>;

    /// The low end of what is kept of an instance (`sys.fn_cdc_get_min_lsn`); `None` for zero, which the server says of
    /// an unknown instance, of one that it does not let this login read, and of one without a start.
    async fn min_lsn(&self, instance: &CaptureInstance) -> Result<Option<Lsn>>;

    /// The commit that is the `transactions`-th after `after` (`cdc.lsn_time_mapping`), or `fence` where there are not so
    /// many up to there. Never beyond `fence`.
    async fn window_end(&self, after: Lsn, fence: Lsn, transactions: u32) -> Result<Lsn>;

    /// Gives the changes of an instance whose commits are in `range` to `take`, in the order of
    /// [`CaptureInstance::grade`], in batches of bounded size, until they are at their end or `take` breaks off.
    ///
    /// # Errors
    /// `PositionOutOfRange` (kind `Data`) where the server says that the range is not covered (313), `InstanceMissing`
    /// (kind `Data`) where the instance is gone (208).
    async fn changes(
        &self,
        instance: &CaptureInstance,
        range: LsnRange,
        images: Images,
        take: TakeChanges<'_>,
    ) -> Result<()>;

    /// Gives the rows of the source table of an instance, captured columns only, to `take`: in the order of the key those
    /// after `after`, or in no order the whole of a table without a key. In batches of bounded size, until they are at
    /// their end or `take` breaks off. Under SNAPSHOT isolation where the database allows it.
    async fn rows(&self, instance: &CaptureInstance, after: Option<&KeyMark>, take: TakeRows<'_>) -> Result<RowsRead>;

    /// The times of these commits, in their order; `None` where the server no longer knows, or never had such a commit.
    async fn commit_times(&self, lsns: &[Lsn]) -> Result<Vec<Option<CommitTime>>>;

    /// The last commit before `time`; `None` where the server knows of none.
    async fn last_commit_before(&self, time: DateTime<Utc>) -> Result<Option<Lsn>>;

    /// How long the clean-up job keeps changes; `None` where this login may not see it, or there is no such job.
    async fn retention(&self) -> Result<Option<Duration>>;

    /// What the capture job has lately failed with.
    async fn capture_errors(&self) -> Result<Told<CaptureErrors>>;

    /// The captured columns that this login may not read in their source table: the object id of the change table, and the
    /// name.
    async fn denied_columns(&self) -> Result<Vec<(i32, String)>>;
}

/// The answer to a question that not every login may ask, and not every server can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told<T> {
    /// It was answered.
    Said(T),
    /// This login may not see it.
    Denied,
    /// This server does not keep it.
    Unknown,
}

/// What the capture job has failed with in its last sessions (`sys.dm_cdc_errors`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaptureErrors {
    /// How many errors there are.
    pub count: u64,
    /// The number of the newest, and when it happened, in the server's local time.
    pub newest: Option<(i64, NaiveDateTime)>,
}

/// A database, and in which condition it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The server's name, as it calls itself (`@@SERVERNAME` or the logical server).
    pub server: String,
    /// The database's name, as it is spelt in `sys.databases`.
    pub name: String,
    /// Whether change data capture is on.
    pub cdc_enabled: bool,
    /// The restore lineage (`recovery_fork_guid`), where this login may see it.
    pub recovery_fork: Option<String>,
    /// Whether SNAPSHOT isolation is allowed.
    pub snapshot_isolation: bool,
    /// The server's clock.
    pub now: DateTime<Utc>,
    /// The same in the server's local time, in which it keeps when a capture instance was made.
    pub local_now: NaiveDateTime,
    /// Which end of an update mask holds the columns with low ordinals, as `sys.fn_cdc_is_bit_set(1, 0x0001)` says.
    pub mask_order: MaskOrder,
}

/// Which byte of an update mask holds the ordinals 1 to 8; within a byte, the lowest is the least significant bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskOrder {
    /// The last one.
    LowOrdinalsLast,
    /// The first one.
    LowOrdinalsFirst,
}

/// A capture instance, and the table that it captures.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureInstance {
    /// Its name, which need not be that of the table.
    pub name: String,
    /// The schema of the source table, as it is called now.
    pub schema: String,
    /// The source table, as it is called now.
    pub table: String,
    /// The object id of the source table.
    pub source_object_id: i32,
    /// The object id of the change table: another one when an instance was dropped and made again.
    pub object_id: i32,
    /// When it was made, in the server's local time.
    pub created: NaiveDateTime,
    /// The first commit that it may hold (`cdc.change_tables.start_lsn`), which the clean-up job moves up; `None` until
    /// the capture job has seen the instance.
    pub start_lsn: Option<Lsn>,
    /// The captured columns by rising ordinal.
    pub columns: Vec<CapturedColumn>,
    /// The names of the key's columns in the key's order; empty for a table without a key.
    pub key: Vec<String>,
    /// Whether its rows can be read in the order of the key, and so in parts.
    pub is_ordered: bool,
    /// The columns of the source table that are not captured, in its order.
    pub uncaptured: Vec<String>,
    /// The gating role, if there is one.
    pub role: Option<String>,
    /// The order in which its changes are read.
    pub grade: OrderGrade,
}

impl CaptureInstance {
    /// The Arrow columns of its batches: those of each captured column in turn, all nullable.
    pub fn arrow(&self) -> SchemaRef {
        Schema::new(self.columns.iter().flat_map(|column| column.fields.iter().cloned()).collect::<Vec<_>>()).into()
    }
}

/// A captured column.
#[derive(Clone, Debug, PartialEq)]
pub struct CapturedColumn {
    /// Its name.
    pub name: String,
    /// Its place in the update mask, from 1.
    pub ordinal: u32,
    /// Its type as a person would write it: `decimal(18,2)`, `nvarchar(max)`.
    pub sql_type: String,
    /// The Arrow columns that carry it: one, or two for a time with its offset.
    pub fields: Vec<Field>,
    /// Whether its values can be left out of a change (large types, which are NULL in a before image when unchanged).
    pub is_large: bool,
    /// Whether it is computed, and so always NULL in changes.
    pub is_computed: bool,
}

/// How fully the order of changes within a transaction is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderGrade {
    /// Read from the change table, by commit LSN, command id, sequence value, operation.
    Command,
    /// Read from the change table without a command id, or through the query function: by commit LSN, sequence value,
    /// operation.
    Sequence,
}

impl OrderGrade {
    /// As in footers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Sequence => "sequence",
        }
    }
}

/// Which images of an updated row are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Images {
    /// The row after the update.
    #[default]
    After,
    /// The row before and the row after.
    BeforeAndAfter,
}

/// A closed range of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LsnRange {
    /// The first.
    pub from: Lsn,
    /// The last.
    pub to: Lsn,
}

/// Changes, and where they stand in the log. All of one length.
#[derive(Clone, Debug)]
pub struct ChangeBatch {
    /// The captured columns, as [`CaptureInstance::arrow`] has them.
    pub columns: RecordBatch,
    /// `__$start_lsn`, the commit: 10 bytes each, never null.
    pub start_lsn: FixedSizeBinaryArray,
    /// `__$command_id`; null where it is not known.
    pub command_id: Int32Array,
    /// `__$seqval`: 10 bytes each, never null.
    pub seqval: FixedSizeBinaryArray,
    /// `__$operation`: 1 delete, 2 insert, 3 before an update, 4 after it; never null.
    pub operation: UInt8Array,
    /// `__$update_mask`.
    pub update_mask: BinaryArray,
    /// When the transaction was committed, in microseconds of UTC; null where the server no longer knows.
    pub commit_time: TimestampMicrosecondArray,
}

impl ChangeBatch {
    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.operation.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `len` of them.
    #[must_use]
    pub fn head(&self, len: usize) -> Self {
        Self {
            columns: self.columns.slice(0, len),
            start_lsn: self.start_lsn.slice(0, len),
            command_id: self.command_id.slice(0, len),
            seqval: self.seqval.slice(0, len),
            operation: self.operation.slice(0, len),
            update_mask: self.update_mask.slice(0, len),
            commit_time: self.commit_time.slice(0, len),
        }
    }
}

/// A place in a table in the order of its key: after the row with that key. Opaque to everybody but the server's client,
/// which writes and reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyMark(pub String);

/// What became of a read of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsRead {
    /// After the last row that was handed over; `None` for no rows and for a table without a key.
    pub last: Option<KeyMark>,
    /// Whether the table was read to its end.
    pub complete: bool,
    /// Whether all rows are of one instant.
    pub one_instant: bool,
    /// The server's clock when the reading under SNAPSHOT isolation began, else when it ended: no row shows a change
    /// committed later.
    pub until: DateTime<Utc>,
}

/// When a transaction was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitTime {
    /// As the server keeps it: in its local time, in steps of 3.33 milliseconds.
    pub local: NaiveDateTime,
    /// In UTC, as well as the server can tell.
    pub utc: DateTime<Utc>,
}
