//! What changed when, per table: read from the names, lengths and footers of the log, and from the reports of the runs.
//!
//! No row is read. A run that wrote only a full load (silent changes, a new empty column) left no object in the log; its
//! report tells of it, where that is still there.

mod log;
mod page;
mod period;
mod runs;
mod tally;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

pub use self::page::{PageFacts, page};
pub use self::period::Period;
pub(crate) use self::runs::{Wrote, wrote};
pub use self::tally::{Tally, tallies};
use crate::error::{Error, Result};
use crate::lake::layout::{Place, RunTime};
use crate::lake::parquet::read_footer;
use crate::lake::store::ObjectStore;
use crate::position::Position;

/// The times that are asked for; both ends belong to it.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first.
    pub since: DateTime<Utc>,
    /// The last.
    pub until: DateTime<Utc>,
}

impl Span {
    /// All times.
    pub const ALL: Self = Self { since: DateTime::<Utc>::MIN_UTC, until: DateTime::<Utc>::MAX_UTC };

    fn contains(self, run_at: RunTime) -> bool {
        (self.since..=self.until).contains(&run_at.time())
    }
}

/// The history of a lake.
#[derive(Debug, Serialize)]
pub struct History {
    /// One entry per table, in the order of the configuration.
    pub tables: Vec<TableHistory>,
    /// What could not be read and is not needed.
    pub warnings: Vec<String>,
}

/// The history of a table.
#[derive(Debug, Default, Serialize)]
pub struct TableHistory {
    /// The table's name.
    pub name: String,
    /// The newest snapshot, whatever times are asked for; a table of captured changes has none.
    pub full_load: Option<FullLoad>,
    /// What changed, oldest first.
    pub changes: Vec<Change>,
    /// The sums over `changes`, without a first load.
    pub total: Counts,
    /// Objects that only occupy the name of an overtaken run.
    pub tombstones: u64,
    /// Why the table's history could not be read.
    pub error: Option<Error>,
}

/// The newest snapshot of a table.
#[derive(Clone, Debug, Serialize)]
pub struct FullLoad {
    /// The run whose changes it includes.
    pub run_at: RunTime,
    /// Its rows.
    pub rows: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// What one run changed.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// The run.
    pub run_at: RunTime,
    /// The object of the log; none where only the full load was written.
    pub key: Option<String>,
    /// Whether this is the table's first load: its rows are new in the lake, not in the source.
    pub first_load: bool,
    /// The source's position after it.
    pub position: Option<Position>,
    /// Rows of the table after it; not known of a database's captured changes.
    pub rows: Option<u64>,
    /// What happened to the rows.
    #[serde(flatten)]
    pub counts: Counts,
    /// How long the run worked on the table, in milliseconds, where its report says so.
    pub elapsed_ms: Option<u64>,
    /// How the columns differ from those before.
    pub schema_changes: Vec<String>,
}

/// What happened to the rows of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Rows whose key is new.
    pub inserted: u64,
    /// Rows that changed.
    pub updated: u64,
    /// Rows whose key is gone.
    pub deleted: u64,
    /// Rows that changed without their date moving on; they are in the full load only.
    pub silent_changes: u64,
    /// Bytes of the log.
    pub bytes: u64,
}

impl Counts {
    /// Inserts, updates and deletes.
    pub fn events(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }

    fn add(&mut self, other: &Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.silent_changes += other.silent_changes;
        self.bytes += other.bytes;
    }
}

impl History {
    /// The sums over the tables.
    pub fn total(&self) -> Counts {
        self.tables.iter().fold(Counts::default(), |mut sum, table| {
            sum.add(&table.total);
            sum
        })
    }

    /// All changes of all tables.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.tables.iter().flat_map(|table| &table.changes)
    }
}

/// Reads the history of `tables` within `span` from the lake in `store`. A table that cannot be read does not keep the
/// others from being read.
pub async fn read(store: &dyn ObjectStore, tables: &[Place], span: Span) -> Result<History> {
    let (mut runs, warnings) = runs::read(store, span).await?;
    let mut found = Vec::new();
    for place in tables {
        let told = runs.remove(place.table()).unwrap_or_default();
        let table = match table(store, place, span, told).await {
            Ok(table) => table,
            Err(error) => TableHistory { error: Some(error), ..TableHistory::default() },
        };
        found.push(TableHistory { name: place.table().to_owned(), ..table });
    }
    Ok(History { tables: found, warnings })
}

async fn table(
    store: &dyn ObjectStore,
    place: &Place,
    span: Span,
    told: BTreeMap<RunTime, runs::Told>,
) -> Result<TableHistory> {
    let log = log::read(store, place, span).await?;
    let mut changes = log.changes;
    runs::complete(&mut changes, told);
    let mut total = Counts::default();
    changes.iter().filter(|change| !change.first_load).for_each(|change| total.add(&change.counts));
    let full_load = full_load(store, place).await?;
    Ok(TableHistory { full_load, changes, total, tombstones: log.tombstones, ..TableHistory::default() })
}

async fn full_load(store: &dyn ObjectStore, place: &Place) -> Result<Option<FullLoad>> {
    let key = place.full_load();
    let footer = read_footer(store, &key).await?.map(|(footer, _)| footer);
    // What was loaded before the first captured change is never brought up to date.
    let Some(footer) = footer.filter(|footer| footer.captured.is_none()) else { return Ok(None) };
    let listed = store.list(&key, None).await?;
    let bytes = listed.into_iter().find(|entry| entry.key == key).map_or(0, |entry| entry.len);
    Ok(Some(FullLoad { run_at: footer.run_at, rows: footer.rows, bytes }))
}
