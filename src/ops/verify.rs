//! Proof from the objects alone: the log, replayed in the order of its names, gives the full load.
//!
//! Nothing of the state is needed for that, and the source is not asked. A row whose content differs is excused only in
//! date mode, or in a full load that was written in it, and only where its date did not move on: such silent changes are in
//! the full load by design.

mod captured;

use std::path::Path;

use serde::Serialize;

pub use self::captured::verify_captured;
use crate::diff::{Index, Lookup, LookupPlan};
use crate::error::{Error, Result};
use crate::lake::base::Base;
use crate::lake::commit::{Runner, TableLog};
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout;
use crate::lake::outline::{BaseOutline, expect_key};
use crate::lake::parquet::ParquetFile;
use crate::lake::store::ObjectStore;
use crate::table::{TableSchema, TableSpec, UpdateDetection};
use crate::workspace::Workspace;

/// What `verify` found out about the tables of a lake.
#[derive(Debug, Serialize)]
pub struct Verification {
    /// Whether every table is in order.
    pub ok: bool,
    /// One entry per table, in the order of the configuration.
    pub tables: Vec<TableVerification>,
}

/// What `verify` found out about a table.
#[derive(Debug, Default, Serialize)]
pub struct TableVerification {
    /// The table's name.
    pub name: String,
    /// Whether the log gives the full load.
    pub ok: bool,
    /// Rows of the full load.
    pub rows: u64,
    /// Objects of the log that hold changes.
    pub changes: u64,
    /// Objects of the log that only occupy a name.
    pub tombstones: u64,
    /// Inserts, updates and deletes in the log.
    pub events: u64,
    /// Rows that differ because their date did not move on.
    pub silent_changes: u64,
    /// What is not as it should be.
    pub problems: Vec<String>,
    /// What is allowed but worth knowing.
    pub notes: Vec<String>,
    /// Why the table could not be examined.
    pub error: Option<Error>,
}

/// Verifies `tables` of the lake in `store`.
pub async fn verify(
    store: &dyn ObjectStore,
    tables: &[&TableSpec],
    runner: &Runner,
    temporary: &Path,
) -> Result<Verification> {
    let workspace = Workspace::create(temporary)?;
    let mut found = Vec::new();
    for spec in tables {
        let table = match table(store, spec, runner, &workspace).await {
            Ok(table) => table,
            Err(error) => TableVerification { error: Some(error), ..TableVerification::default() },
        };
        let ok = table.problems.is_empty() && table.error.is_none();
        found.push(TableVerification { name: spec.name.to_string(), ok, ..table });
    }
    Ok(Verification { ok: found.iter().all(|table| table.ok), tables: found })
}

async fn table(
    store: &dyn ObjectStore,
    spec: &TableSpec,
    runner: &Runner,
    workspace: &Workspace,
) -> Result<TableVerification> {
    let outline = BaseOutline::read_all(store, &spec.name).await?;
    let Some((full, etag)) = outline.full_load.clone() else {
        let mut empty = TableVerification::default();
        if outline.log.is_empty() {
            empty.notes.push("the table was never run".to_owned());
        } else {
            empty.problems.push("there is a log but no full load; run once with `--force` (or `\"force\": true` in the event) to write it".to_owned());
        }
        return Ok(empty);
    };
    expect_key(&full, &spec.pk)?;
    let mut found = outline_facts(&outline, &full);
    let state = TableLog::new(store, &spec.name, runner).read_state().await?;
    match &state.state.head {
        Some(head) if state.state.pending.is_none() && head.full_load_etag.as_ref() != Some(&etag) => {
            let key = layout::full_load(&spec.name);
            if (head.rows, &head.row_set_hash) == (full.rows, &full.row_set_hash) {
                found.notes.push(format!("`{key}` was copied or written anew; it has the rows that the state names"));
            } else {
                found.problems.push(format!("the state names another full load than `{key}`"));
            }
        }
        Some(_) => {}
        None => found.notes.push("there is no state; the next run rebuilds it from the objects".to_owned()),
    }
    if state.state.pending.is_some() {
        found.notes.push("a run has not ended; the next one completes it".to_owned());
    }
    let until = outline.up_to(full.run_at);
    let log = Base::fetch_log(store, &until, workspace).await?;
    let full = Base::fetch_full_load(store, &spec.name, workspace).await?;
    let spec_detects_content = spec.update_detection == UpdateDetection::Content;
    let spec = spec.clone();
    let compared = tokio::task::spawn_blocking(move || compare(&spec, &log, &full))
        .await
        .map_err(|error| Error::internal("Panic", "the comparison ended in a panic").caused_by(error))??;
    found.silent_changes = compared.silent;
    if spec_detects_content && compared.silent > 0 {
        found.notes.push(
            "changes from when the date field decided are not in the log yet; the next run publishes them".to_owned(),
        );
    }
    found.problems.extend(compared.problems);
    Ok(found)
}

fn outline_facts(outline: &BaseOutline, full: &Footer) -> TableVerification {
    let mut found = TableVerification { rows: full.rows, ..TableVerification::default() };
    for (_, footer) in &outline.log {
        match footer.kind {
            FileKind::Tombstone => found.tombstones += 1,
            FileKind::Cdc | FileKind::FullLoad => {
                found.changes += 1;
                found.events += footer.inserted + footer.updated + footer.deleted;
            }
        }
    }
    let ahead = outline.changes().filter(|(_, footer)| footer.run_at > full.run_at).count();
    if ahead > 0 {
        found.notes.push(format!("the log is {ahead} object(s) ahead of the full load; the next run writes it anew"));
    }
    if let Some((key, footer)) = outline.changes().next()
        && footer.updated + footer.deleted > 0
    {
        found.problems.push(format!("the log does not begin with inserts only: objects before `{key}` are missing"));
    }
    found
}

struct Compared {
    silent: u64,
    problems: Vec<String>,
}

/// Holds the rows of the full load against the index of the replayed log.
fn compare(spec: &TableSpec, log: &Base, full: &ParquetFile) -> Result<Compared> {
    let schema = &full.footer().schema;
    let order = schema.order(spec);
    Base::of(vec![full.clone()]).index(&spec.pk, order)?;
    let index = match log.index(&spec.pk, order) {
        Ok(index) => index,
        Err(error) if error.code() == "BrokenLog" => return Ok(Compared { silent: 0, problems: vec![error.chain()] }),
        Err(error) => return Err(error),
    };
    let excuses = spec.update_detection == UpdateDetection::Date || full.footer().has_silent_rows;
    // A source that writes its numbers in another format changes no number: the log keeps the older spelling, the full load
    // has the newer one once its column is text.
    let plan = LookupPlan::of_any_spelling(schema, &log.schemas(), &spec.pk, order)?;
    // Numbers and texts are in another order: what had not moved on as the one may seem to have as the other.
    let retyped = |older: &&TableSchema| order.is_some_and(|(name, own)| older.column_type(name) != Some(own));
    let retyped: Vec<bool> = log.schemas().iter().map(retyped).collect();
    let mut tally = Tally { excuses, retyped, ..Tally::default() };
    for batch in full.batches(None)? {
        let batch = batch?;
        tally.rows(&index, &plan.prints(&batch)?);
    }
    Ok(tally.compared(index.rows()))
}

#[derive(Default)]
struct Tally {
    /// Whether the full load may hold silent changes.
    excuses: bool,
    /// For each schema of the log whether its date field had another type.
    retyped: Vec<bool>,
    met: u64,
    silent: u64,
    differing: u64,
    unknown: u64,
}

impl Tally {
    fn rows(&mut self, index: &Index, rows: &Lookup) {
        for row in 0..rows.own.len() {
            match index.find(rows, row) {
                None => self.unknown += 1,
                Some(slot) => {
                    self.met += 1;
                    let same = rows.as_in(index.schema_of(slot)).contents[row] == index.content(slot);
                    let retyped = self.retyped.get(index.schema_of(slot)).copied().unwrap_or_default();
                    let excused = self.excuses && (retyped || !index.precedes(slot, &rows.own.orders, row));
                    self.silent += u64::from(!same && excused);
                    self.differing += u64::from(!same && !excused);
                }
            }
        }
    }

    fn compared(self, replayed: u64) -> Compared {
        let only_in_log = replayed - self.met;
        let counted = [
            (self.differing, "row(s) differ between log and full load"),
            (self.unknown, "row(s) of the full load are not in the log"),
            (only_in_log, "row(s) of the log are not in the full load"),
        ];
        let problems = counted.iter().filter(|(count, _)| *count > 0);
        Compared { silent: self.silent, problems: problems.map(|(count, what)| format!("{count} {what}")).collect() }
    }
}
