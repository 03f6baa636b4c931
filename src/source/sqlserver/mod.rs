//! SQL Server: the changes that its own change data capture has recorded.

pub(crate) mod columns;
pub(crate) mod faults;
pub(crate) mod headroom;
pub(crate) mod instances;
mod server;
pub mod tds;
mod tracked;

use std::sync::Arc;

pub use self::server::{
    CaptureErrors, CaptureInstance, CapturedColumn, ChangeBatch, CommitTime, Database, Images, KeyMark, LsnRange,
    MaskOrder, OrderGrade, RowsRead, Server, TakeChanges, TakeRows, Told,
};
pub use self::tracked::{
    DEFAULT_IDLE_AFTER, DEFAULT_NOT_READY_AFTER, Feed, MetadataColumns, Start, TableOptions, TrackedTable,
};
pub use crate::position::Lsn;

/// A database, and what is read of it.
#[derive(Clone, Debug)]
pub struct SqlServer {
    /// The database.
    pub server: Arc<dyn Server>,
    /// Its name as the configuration has it, for reports.
    pub database: String,
    /// What is read of it.
    pub feed: Feed,
}
