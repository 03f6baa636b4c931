//! Statements that make the tables of a lake known to a query engine: the full load, the log, and a view of the newest
//! state. What the tables look like is read from the lake; nothing is executed.

mod athena;

use std::sync::Arc;

use arrow::datatypes::FieldRef;

pub use self::athena::athena;
use crate::error::{Error, Result};
use crate::lake::capture::{self, CapturedTable, CapturedTables};
use crate::lake::cdc_schema;
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout::Place;
use crate::lake::outline::BaseOutline;
use crate::lake::parquet::{Description, read_description};
use crate::lake::store::ObjectStore;
use crate::source::sqlserver::MetadataColumns;
use crate::source::sqlserver::columns::{Marks, marks};
use crate::table::TableSpec;

/// A table, as far as its statements depend on it.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its name in the lake.
    pub table: String,
    /// What the engine's name for it is made of.
    pub name: String,
    /// Where its objects are.
    pub place: Place,
    /// Its key; empty where it has none.
    pub key_columns: Vec<String>,
    /// Its own columns.
    pub columns: Vec<FieldRef>,
    /// The columns of its log: its own, and those that describe a change.
    pub log: Vec<FieldRef>,
    /// Whether it has a full load.
    pub has_full_load: bool,
    /// Where its changes come from.
    pub changes: Changes,
}

/// Where the changes of a table come from, which decides what orders them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Snapshots were compared: the full load is the newest state, and the names of the log's objects order its changes.
    OfSnapshots,
    /// A database captured them: the full load is the state before them, and columns order them.
    Captured(MetadataColumns),
}

/// The tables of a lake.
#[derive(Debug)]
pub struct Tables {
    /// Those that have objects.
    pub described: Vec<Described>,
    /// The names of those that have none, and so no columns that are known.
    pub unknown: Vec<String>,
    /// The names of those whose state cannot be read, and why.
    pub unreadable: Vec<(String, Error)>,
}

/// Describes tables whose snapshots are compared.
///
/// # Errors
/// `NoData` (kind `Data`) where none of them has objects.
pub async fn snapshots(store: &dyn ObjectStore, tables: &[&TableSpec]) -> Result<Tables> {
    let mut found = Vec::new();
    for spec in tables {
        found.push((spec.name.to_string(), snapshot(store, spec).await?));
    }
    Tables::of(found)
}

/// Describes the tables of a database's captured changes whose states are in the lake, or those of `wanted`.
///
/// # Errors
/// `NoData` (kind `Data`) where none of them has objects, `UnknownTable` (kind `Config`) where there is no state of a
/// wanted one.
pub async fn captured(
    store: &dyn ObjectStore,
    schema_in_path: bool,
    metadata: MetadataColumns,
    wanted: Option<&[String]>,
) -> Result<Tables> {
    let mut found = Vec::new();
    let CapturedTables { tables, mut unreadable } = capture::tables(store, schema_in_path, wanted).await?;
    if tables.is_empty() && !unreadable.is_empty() {
        return Err(unreadable.swap_remove(0).1);
    }
    for table in tables {
        let instance = &table.captured.instance;
        let name = if schema_in_path { table.place.table() } else { &instance.table }.to_owned();
        found.push((table.place.table().to_owned(), captured_table(store, &table, name, metadata).await?));
    }
    Ok(Tables { unreadable, ..Tables::of(found)? })
}

impl Tables {
    fn of(found: Vec<(String, Option<Described>)>) -> Result<Self> {
        let unknown: Vec<String> =
            found.iter().filter(|(_, described)| described.is_none()).map(|(name, _)| name.clone()).collect();
        let described: Vec<Described> = found.into_iter().filter_map(|(_, described)| described).collect();
        if described.is_empty() {
            return Err(Error::data("NoData", "no table is in this lake yet, so no columns are known").hint(
                "let a run end first; or name the lake with --lake, if it is another one than the configuration's",
            ));
        }
        Ok(Self { described, unknown, unreadable: Vec::new() })
    }
}

async fn snapshot(store: &dyn ObjectStore, spec: &TableSpec) -> Result<Option<Described>> {
    let outline = BaseOutline::read(store, &spec.name).await?;
    Ok(outline.schema().map(|schema| Described {
        table: spec.name.to_string(),
        name: spec.name.to_string(),
        place: Place::from(&spec.name),
        key_columns: spec.pk.clone(),
        columns: schema.arrow().fields().iter().cloned().collect(),
        log: cdc_schema(schema).fields().iter().cloned().collect(),
        has_full_load: true,
        changes: Changes::OfSnapshots,
    }))
}

async fn captured_table(
    store: &dyn ObjectStore,
    CapturedTable { place, .. }: &CapturedTable,
    name: String,
    metadata: MetadataColumns,
) -> Result<Option<Described>> {
    let full_load = read_description(store, &place.full_load()).await?;
    let newest = newest_change(store, place).await?;
    let Some(key_columns) = newest.as_ref().or(full_load.as_ref()).map(|known| known.footer.key_columns.clone()) else {
        return Ok(None);
    };
    let metadata = newest.as_ref().map_or(metadata, metadata_of);
    let Marks { before, after } = marks(metadata);
    let columns = own_columns([newest.as_ref(), full_load.as_ref()], &before, &after);
    Ok(Some(Described {
        table: place.table().to_owned(),
        name,
        place: place.clone(),
        key_columns,
        log: before.into_iter().chain(columns.iter().cloned()).chain(after).collect(),
        columns,
        has_full_load: full_load.is_some(),
        changes: Changes::Captured(metadata),
    }))
}

/// The newest object of the log that holds changes.
async fn newest_change(store: &dyn ObjectStore, place: &Place) -> Result<Option<Description>> {
    let listed = store.list(place.cdc_prefix(), None).await?;
    for key in listed.iter().rev().map(|entry| &entry.key).filter(|key| place.cdc_run_at(key).is_some()) {
        let found = read_description(store, key).await?;
        if found.as_ref().is_some_and(|Description { footer: Footer { kind, .. }, .. }| *kind == FileKind::Cdc) {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Which columns describe the changes of an object.
fn metadata_of(object: &Description) -> MetadataColumns {
    let is_native =
        marks(MetadataColumns::Native).before.iter().any(|mark| object.columns.column_with_name(mark.name()).is_some());
    if is_native { MetadataColumns::Native } else { MetadataColumns::Readable }
}

/// The columns of these objects that describe no change, each once.
fn own_columns(objects: [Option<&Description>; 2], before: &[FieldRef], after: &[FieldRef]) -> Vec<FieldRef> {
    let mut own: Vec<FieldRef> = Vec::new();
    for field in objects.into_iter().flatten().flat_map(|object| object.columns.fields()) {
        let is_known = |other: &FieldRef| other.name() == field.name();
        if !before.iter().chain(after).chain(&own).any(is_known) {
            own.push(Arc::clone(field));
        }
    }
    own
}
