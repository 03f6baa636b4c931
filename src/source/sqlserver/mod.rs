//! SQL Server: the changes that its own change data capture has recorded.

mod server;
pub mod tds;
mod tracked;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::position::Position;

pub use self::server::{
    CaptureInstance, CapturedColumn, ChangeBatch, CommitTime, Database, Images, KeyMark, LsnRange, MaskOrder,
    OrderGrade, RowsRead, Server, TakeChanges, TakeRows,
};
pub use self::tracked::{DEFAULT_IDLE_AFTER, Feed, MetadataColumns, Start, TableOptions, TrackedTable};
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

impl SqlServer {
    /// The end of what the capture job has read of the log.
    ///
    /// # Errors
    /// `NothingCaptured` (kind `Transient`) when it has never run.
    pub async fn position(&self) -> Result<Position> {
        let end = self.server.max_lsn().await?;
        end.map(Position::Lsn).ok_or_else(|| {
            Error::transient("NothingCaptured", format!("the capture job of {} has never run", self.database))
                .hint("start the SQL Server Agent and its capture job")
        })
    }
}
