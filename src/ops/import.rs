//! Taking over from the original program: what it published last becomes the beginning of our log.
//!
//! The original leaves CSV files of the version it published last, a full load without our footer, and CDC objects without
//! our footers. An import is a run over those CSV files with two allowances: it replaces a full load of another program,
//! and begins the log behind the CDC objects of another program, which stay where they are and are not part of it.
//!
//! So the log begins with one object that inserts every row, as any log does, and replaying it gives the full load. A
//! reader who has followed the original is at that state already, and goes on *after* that object.
//!
//! An import that was broken off is completed by the next one, as a run is: at once where it has the same `run_at`, else
//! when the claim of the first has expired.

use std::path::Path;

use crate::error::{Error, Result};
use crate::lake::commit::{Runner, TableLog};
use crate::lake::layout;
use crate::lake::parquet::{Written, read_writer};
use crate::lake::store::ObjectStore;
use crate::pipeline::{self, Progress};
use crate::position::Position;
use crate::report::Report;
use crate::request::Request;
use crate::source::Source;
use crate::table::TableSpec;

/// Imports the tables of `request` from `source`, the files of the version that was published last.
///
/// # Errors
/// `AlreadyRun` (kind `Config`) where one of the tables is this program's already; else those of a run.
pub async fn import(
    request: Request,
    tables: &[TableSpec],
    source: &Source,
    store: &dyn ObjectStore,
    temporary: &Path,
    progress: &dyn Progress,
) -> Result<Report> {
    let position = source.position(request.deadline).await?;
    let request = Request { identity: format!("import:{}", request.identity), inherits: true, ..request };
    for spec in request.select(tables)? {
        refuse_ours(store, spec, &request, &position).await?;
    }
    Box::pin(pipeline::run(&request, tables, source, store, temporary, progress)).await
}

/// A table that has been run has its base already; only an import of the same files may go on.
async fn refuse_ours(store: &dyn ObjectStore, spec: &TableSpec, request: &Request, position: &Position) -> Result<()> {
    let run_at = request.run_at.into();
    let runner = Runner { owner: request.identity.clone(), run_at, now: request.now, expires: request.now };
    let state = TableLog::new(store, &spec.name, &runner).read_state().await?;
    let key = layout::full_load(&spec.name);
    let full_load_is_ours = match read_writer(store, &key).await? {
        Some((Written::ByUs(footer), _)) => footer.position.as_ref() != Some(position),
        _ => false,
    };
    if state.state.head.is_some() || full_load_is_ours {
        return Err(Error::config("AlreadyRun", format!("table `{}` has been run into this lake already", spec.name))
            .hint("an import comes before the first run; choose other tables with --table, or go on with `run`"));
    }
    Ok(())
}
