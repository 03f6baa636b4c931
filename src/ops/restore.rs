//! A table as it was at a time: the log replayed up to there, from its first object, or from the full load where that is
//! not newer.
//!
//! In memory is an index of the rows (what a run keeps of the previous snapshot), not the rows; they are read file by file,
//! each from where it was last written. What comes out is held against the fingerprint that the run of that time had
//! computed of its snapshot.

mod csv;
mod output;
mod plan;
mod replay;

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use self::output::{Format, Output};
use self::plan::Plan;
use crate::error::{Error, Result};
use crate::lake::layout::RunTime;
use crate::lake::store::ObjectStore;
use crate::position::Position;
use crate::table::TableSpec;
use crate::workspace::Workspace;

/// Which state of a table is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The state after this run, which must have written something.
    Run(RunTime),
    /// The state after the newest run that is not later.
    Time(DateTime<Utc>),
}

/// What was restored.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// The table's name.
    pub table: String,
    /// The run after which the table was like this.
    pub run_at: RunTime,
    /// The source's position after it.
    pub position: Option<Position>,
    /// Rows written.
    pub rows: u64,
    /// CDC objects read.
    pub objects: u64,
    /// Whether the rows begin with those of the full load.
    pub from_full_load: bool,
    /// The fingerprint of the rows written.
    pub row_set_hash: String,
    /// Whether it is the one that the run had computed of its snapshot.
    pub proven: bool,
    /// Where the rows may differ from the snapshot of that time.
    pub warnings: Vec<String>,
}

/// Writes the state of a table at a time to `output`.
///
/// # Errors
/// `NeverRun`, `BeforeHistory`, `UnknownRun` where there is no such state; `LogGap` where objects are missing; `ProofFailed`
/// where the rows are not those of the snapshot. After an error no file is there.
pub async fn restore(
    store: &dyn ObjectStore,
    spec: &TableSpec,
    at: At,
    temporary: &Path,
    output: Output,
) -> Result<Restored> {
    let plan = Plan::read(store, &spec.name, at).await?;
    let workspace = Workspace::create(temporary)?;
    let base = plan.fetch(store, &spec.name, &workspace).await?;
    let spec = spec.clone();
    tokio::task::spawn_blocking(move || {
        // The files that the base reads lie in the folder.
        let _workspace = workspace;
        replay::replay(&plan, &base, &spec, output)
    })
    .await
    .map_err(|error| Error::internal("Panic", "restoring ended in a panic").caused_by(error))?
}
