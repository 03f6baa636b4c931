//! What the lake records about changes that a database captured itself: in the footers of its objects, and in the head of
//! its states.
//!
//! The objects of a log are a chain: each holds every change after the end of the one before it and up to its own end, its
//! position. Ranges without changes are examined without an object, and belong to the range of the next one.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::footer::Footer;
use super::layout::{Place, RunTime, STATES, is_state};
use super::log::AT_ONCE;
use super::outline::vanished;
use super::parquet::read_footer;
use super::state::{Head, STATE_LIMIT, State};
use super::store::{Listed, ObjectStore, read_all};
use crate::error::{Error, Result};
use crate::position::{Lsn, Position};
use crate::table::{Provenance, TableName, TableSchema};

/// The database that changes come from. An LSN means nothing in another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The server's name, as it calls itself.
    pub server: String,
    /// The database's name.
    pub database: String,
    /// The restore lineage, where it is known.
    pub recovery_fork: Option<String>,
}

/// The capture instance that recorded changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// The object id of its change table.
    pub object_id: i32,
    /// When it was made, in the server's local time.
    pub created: NaiveDateTime,
    /// The object id of the source table.
    pub source_object_id: i32,
    /// The schema of the source table.
    pub schema: String,
    /// The name of the source table.
    pub table: String,
}

/// A captured column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceColumn {
    /// Its name.
    pub name: String,
    /// Its type in the database.
    #[serde(rename = "type")]
    pub sql_type: String,
}

/// What the footer of an object with captured changes, or of a part of a first load, says beside the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The database.
    pub origin: Origin,
    /// The capture instance.
    pub instance: Instance,
    /// The commit after which the examined range begins; it ends with the footer's position.
    pub after: Lsn,
    /// When the position was committed, in the server's local time.
    pub position_time: Option<NaiveDateTime>,
    /// The least `_seq`.
    pub first_seq: Option<String>,
    /// The greatest `_seq`.
    pub last_seq: Option<String>,
    /// Rows that show an updated row as it was before; they are counted nowhere else.
    pub before_images: u64,
    /// How fully the order within a transaction is known: `command` or `sequence`.
    pub order: String,
    /// Changes committed up to this time may be in the first load already.
    pub overlap_until: Option<DateTime<Utc>>,
    /// The captured columns.
    pub columns: Vec<SourceColumn>,
    /// The columns of the table that were not captured.
    pub uncaptured: Vec<String>,
    /// Which part of the first load it is.
    pub load: Option<LoadPart>,
}

/// A part of a first load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPart {
    /// Its number, from 1.
    pub number: u32,
    /// After which row it begins, in the order of the key.
    pub from: Option<String>,
    /// With which row it ends.
    pub last: Option<String>,
    /// Whether it is the last one.
    pub complete: bool,
    /// Whether its rows are of one instant.
    pub one_instant: bool,
    /// Rows of this part and those before it.
    pub rows_so_far: u64,
}

/// How far the captured changes of a table were read: a part of its head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturedHead {
    /// The database.
    pub origin: Origin,
    /// The capture instance read last.
    pub instance: Instance,
    /// When the position was committed, in the server's local time: another time means another history.
    pub position_time: Option<NaiveDateTime>,
    /// The end of the newest object, or where the first one begins.
    pub published: Lsn,
    /// Changes committed up to this time may be in the first load already.
    pub overlap_until: Option<DateTime<Utc>>,
    /// How far the first load has come; `None` when it is complete, or was not wanted.
    pub load: Option<Load>,
}

/// A first load that is not complete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// The parts that are there.
    pub parts: u32,
    /// The row with which the last of them ends, in the order of the key.
    pub last: Option<String>,
    /// What became of the newest attempt, where a table whose rows have no order did not fit into one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_off: Option<BrokenOff>,
}

/// A load that had to be broken off with no place to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenOff {
    /// The rows that it had read.
    pub rows: u64,
    /// The time that it had, in seconds.
    pub seconds: u64,
}

impl Captured {
    /// The head of a table whose newest object has this footer.
    fn head(&self, end: Lsn) -> CapturedHead {
        let unfinished = self.load.as_ref().filter(|load| !load.complete);
        CapturedHead {
            origin: self.origin.clone(),
            instance: self.instance.clone(),
            position_time: self.position_time,
            published: end,
            overlap_until: self.overlap_until,
            load: unfinished.map(|load| Load { parts: load.number, last: load.last.clone(), broken_off: None }),
        }
    }
}

/// The head of a table whose newest object has this footer; `None` where it is not one of captured changes. `rows` are
/// those of the first load where the footer is of a later object.
pub fn head_of(footer: &Footer, rows: u64) -> Option<Head> {
    let captured = footer.captured.as_ref()?;
    let end = footer.position.as_ref()?.lsn()?;
    let load = captured.load.as_ref();
    let run_at = if load.is_some() { RunTime::NEVER } else { footer.run_at };
    let rows = load.map_or(rows, |load| load.rows_so_far);
    Some(head(run_at, end, rows, captured.head(end)))
}

/// A head at `position`.
pub fn head(run_at: RunTime, position: Lsn, rows: u64, captured: CapturedHead) -> Head {
    Head {
        run_at,
        position: Some(Position::Lsn(position)),
        full_load_etag: None,
        rows,
        row_set_hash: String::new(),
        schema: TableSchema::default(),
        captured: Some(captured),
        provenance: Provenance::default(),
        settings: None,
    }
}

/// A table of captured changes in a lake.
pub(crate) struct CapturedTable {
    pub(crate) place: Place,
    pub(crate) head: Head,
    pub(crate) captured: CapturedHead,
}

/// What the states of a lake say of tables of captured changes.
#[derive(Default)]
pub(crate) struct CapturedTables {
    /// The tables.
    pub(crate) tables: Vec<CapturedTable>,
    /// What is known of a table whose state cannot be read: its name in the state's key, and why. It may as well be one whose
    /// snapshots are compared.
    pub(crate) unreadable: Vec<(String, Error)>,
}

/// The tables of captured changes whose states are in the lake, or those of `wanted`. One state that cannot be read keeps no
/// other table from being found.
///
/// # Errors
/// `UnknownTable` (kind `Config`) where there is no state of one that is wanted.
pub(crate) async fn tables(
    store: &dyn ObjectStore,
    schema_in_path: bool,
    wanted: Option<&[String]>,
) -> Result<CapturedTables> {
    let mut found = CapturedTables::default();
    let states = store.list(STATES, None).await?.into_iter().filter(|entry| is_state(&entry.key));
    let read = |entry: Listed| async move { (table(store, &entry.key, schema_in_path).await, entry) };
    let mut read = stream::iter(states).map(read).buffered(AT_ONCE);
    while let Some((state, entry)) = read.next().await {
        match state {
            Ok(None) => {}
            Ok(Some(table)) => {
                if wanted.is_none_or(|wanted| wanted.iter().any(|name| name == table.place.table())) {
                    found.tables.push(table);
                }
            }
            Err(error) => {
                let name = name_of_state(&entry.key);
                if wanted.is_none_or(|wanted| wanted.iter().any(|wanted| is_name_of(name, wanted))) {
                    found.unreadable.push((name.to_owned(), error));
                }
            }
        }
    }
    refuse_unknown(wanted.unwrap_or_default(), &found)?;
    Ok(found)
}

/// The table of captured changes with this state; `None` where it is of another kind, or was never run.
///
/// # Errors
/// `StateGarbled`, `StateTooNew`, and those of the store.
pub(crate) async fn table(store: &dyn ObjectStore, key: &str, schema_in_path: bool) -> Result<Option<CapturedTable>> {
    let Some((bytes, _)) = read_all(store, key, STATE_LIMIT).await? else { return Ok(None) };
    let Some(head) = State::parse(&bytes, key)?.head else { return Ok(None) };
    let Some(captured) = head.captured.clone() else { return Ok(None) };
    Ok(Some(CapturedTable { place: place(&captured, schema_in_path)?, head, captured }))
}

/// The parts of a table's first load by their footers, from the first one on, as far as they are there without a gap.
pub(crate) async fn load_parts(store: &dyn ObjectStore, place: &Place) -> Result<Vec<(String, Footer)>> {
    let there = store.list(place.full_load_prefix(), None).await?;
    let there: HashSet<String> = there.into_iter().map(|entry| entry.key).collect();
    let keys = (1..).map(|number| place.full_load_part(number)).take_while(|key| there.contains(key));
    let read = |key: String| async move {
        let (footer, _) = read_footer(store, &key).await?.ok_or_else(|| vanished(&key))?;
        Ok((key, footer))
    };
    stream::iter(keys.collect::<Vec<_>>()).map(read).buffered(AT_ONCE).try_collect().await
}

/// What the key of a state calls its table: `schema.table`, or the table alone where the schema is not in the keys.
pub(crate) fn name_of_state(key: &str) -> &str {
    let name = key.strip_prefix(STATES).unwrap_or(key);
    name.strip_suffix(".json").unwrap_or(name)
}

/// Whether a table may be the one of this name in the key of a state.
fn is_name_of(name: &str, table: &str) -> bool {
    name == table || table.strip_suffix(name).is_some_and(|schema| schema.ends_with('.'))
}

fn refuse_unknown(wanted: &[String], found: &CapturedTables) -> Result<()> {
    let is_known = |wanted: &str| {
        found.tables.iter().any(|table| table.place.table() == wanted)
            || found.unreadable.iter().any(|(name, _)| is_name_of(name, wanted))
    };
    let unknown = wanted.iter().find(|name| !is_known(name));
    unknown.map_or(Ok(()), |name| {
        Err(Error::config("UnknownTable", format!("there is no state of a table `{name}` in the lake"))
            .hint("write it as schema.table; a table that was never run has no state"))
    })
}

fn place(captured: &CapturedHead, schema_in_path: bool) -> Result<Place> {
    let parse = |name: &str| {
        TableName::parse(name)
            .map_err(|is_wrong| Error::internal("StateGarbled", format!("a state names `{name}`, which {is_wrong}")))
    };
    let (database, table) = (parse(&captured.origin.database)?, parse(&captured.instance.table)?);
    Ok(Place::captured(&database, &captured.instance.schema, &table, schema_in_path))
}
