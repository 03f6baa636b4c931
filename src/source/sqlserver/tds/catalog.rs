//! What the catalog of a database says: its condition, its capture instances, the places and times of commits.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tiberius::Row;

use super::cells::Cells;
use super::connection::Connection;
use super::key::Key;
use super::layout::{Layout, LayoutColumn};
use super::types::SqlType;
use super::{fault, sql};
use crate::config::TimesAsText;
use crate::error::{Kind, Result};
use crate::source::sqlserver::{CaptureInstance, CapturedColumn, Database, MaskOrder, OrderGrade, Told};

/// The instances of a database, and how each is read, by the object id of its change table.
pub(super) type Instances = (Vec<CaptureInstance>, HashMap<i32, Arc<Layout>>);

/// The database that a connection is at.
pub(super) async fn database(connection: &mut Connection) -> Result<Database> {
    let doing = "asking for the database";
    let results = connection.batch(sql::DATABASE, doing).await?;
    let row = results.first().and_then(|rows| rows.first()).ok_or_else(|| fault::answer("database", doing))?;
    let cells = Cells::new(row, doing);
    Ok(Database {
        server: cells.name(0)?.to_owned(),
        name: cells.name(1)?.to_owned(),
        cdc_enabled: cells.flag(2)?,
        recovery_fork: None,
        snapshot_isolation: cells.flag(3)?,
        now: cells.utc(4)?,
        local_now: cells.local(6)?,
        mask_order: if cells.flag(5)? { MaskOrder::LowOrdinalsLast } else { MaskOrder::LowOrdinalsFirst },
    })
}

/// The rows of a question that needs a permission which a reader of changes may lack, or an object that not every server
/// has. A refusal may cost the connection.
pub(super) async fn told(connection: &mut Connection, text: &str, doing: &str) -> Result<Told<Vec<Row>>> {
    match connection.batch(text, doing).await {
        Ok(results) => Ok(Told::Said(results.into_iter().next().unwrap_or_default())),
        Err(error) if error.kind() == Kind::Transient => Err(error),
        Err(error) => {
            tracing::debug!(error = %error.chain(), "the server does not tell");
            Ok(if error.code() == fault::MISSING { Told::Unknown } else { Told::Denied })
        }
    }
}

/// The captured columns that this login may not read, by the object id of the change table.
pub(super) async fn denied_columns(connection: &mut Connection) -> Result<Vec<(i32, String)>> {
    let doing = "asking for permissions";
    let results = connection.batch(sql::DENIED_COLUMNS, doing).await?;
    let name = |row| {
        let cells = Cells::new(row, doing);
        Ok((cells.id(0)?, cells.name(1)?.to_owned()))
    };
    results.first().map_or_else(|| Ok(Vec::new()), |rows| rows.iter().map(name).collect())
}

/// The time that is the last value of the batch `text`, in UTC.
pub(super) async fn clock_of(connection: &mut Connection, text: &str, doing: &str) -> Result<DateTime<Utc>> {
    let results = connection.batch(text, doing).await?;
    let row = results.last().and_then(|rows| rows.first()).ok_or_else(|| fault::answer("time", doing))?;
    Cells::new(row, doing).utc(0)
}

/// All capture instances.
///
/// # Errors
/// `InstancesChanging` (kind `Transient`) when an instance is made or dropped meanwhile.
pub(super) async fn instances(connection: &mut Connection, as_text: TimesAsText) -> Result<Instances> {
    let doing = "asking for the capture instances";
    let results = connection.batch(sql::INSTANCES, doing).await?;
    let [heads, columns, keys, uncaptured] = results.as_slice() else {
        return Err(fault::answer("list of instances", doing));
    };
    let mut columns = columns_by_instance(columns, as_text, doing)?;
    let mut keys = names_by_instance(keys, doing)?;
    let mut uncaptured = names_by_instance(uncaptured, doing)?;
    let (mut found, mut layouts) = (Vec::new(), HashMap::new());
    for row in heads {
        let cells = Cells::new(row, doing);
        let object_id: i32 = cells.id(0)?;
        let name = cells.name(1)?;
        let (Some(schema), Some(table)) = (cells.text(3)?, cells.text(4)?) else {
            tracing::warn!(instance = name, "the login may not see the table of this capture instance: it is left out");
            continue;
        };
        let columns = columns.remove(&object_id).ok_or_else(|| fault::changing(name))?;
        let is_direct = cells.flag(8)? && cells.flag(9)?;
        let mut instance = CaptureInstance {
            name: name.to_owned(),
            schema: schema.to_owned(),
            table: table.to_owned(),
            source_object_id: cells.id(2)?,
            object_id,
            created: cells.local(6)?,
            start_lsn: cells.lsn(5)?,
            columns: columns.iter().map(|(captured, _)| captured.clone()).collect(),
            key: keys.remove(&object_id).unwrap_or_default(),
            is_ordered: false,
            uncaptured: uncaptured.remove(&object_id).unwrap_or_default(),
            role: cells.text(7)?.map(str::to_owned),
            grade: if is_direct { OrderGrade::Command } else { OrderGrade::Sequence },
        };
        let layout = Layout::new(columns.into_iter().map(|(_, column)| column).collect(), is_direct);
        instance.is_ordered = Key::of(&instance, &layout).is_some();
        found.push(instance);
        layouts.insert(object_id, Arc::new(layout));
    }
    Ok((found, layouts))
}

type Columns = Vec<(CapturedColumn, LayoutColumn)>;

fn columns_by_instance(rows: &[Row], as_text: TimesAsText, doing: &str) -> Result<HashMap<i32, Columns>> {
    let mut found: HashMap<i32, Columns> = HashMap::new();
    for row in rows {
        let cells = Cells::new(row, doing);
        let name = cells.name(1)?.to_owned();
        let sql_type = sql_type(&cells)?;
        let carrier = sql_type.carrier(as_text);
        let captured = CapturedColumn {
            name: name.clone(),
            ordinal: cells.id(2)?,
            sql_type: sql_type.declaration(),
            fields: carrier.fields(&name),
            is_large: sql_type.is_large(),
            is_computed: cells.flag(3)?,
        };
        let source_name = cells.text(10)?.map(str::to_owned);
        let column = LayoutColumn { name, sql_type, carrier, source_name };
        found.entry(cells.id(0)?).or_default().push((captured, column));
    }
    Ok(found)
}

fn sql_type(cells: &Cells<'_>) -> Result<SqlType> {
    let small = |index| Ok(cells.number(index)?.and_then(|number| number.try_into().ok()).unwrap_or(0));
    Ok(SqlType {
        name: cells.name(4)?.to_lowercase(),
        max_length: cells.number(5)?.and_then(|length| length.try_into().ok()).unwrap_or(-1),
        precision: small(6)?,
        scale: small(7)?,
        collation: cells.text(8)?.map(str::to_owned),
        code_page: cells.number(9)?.and_then(|page| page.try_into().ok()),
    })
}

fn names_by_instance(rows: &[Row], doing: &str) -> Result<HashMap<i32, Vec<String>>> {
    let mut found: HashMap<i32, Vec<String>> = HashMap::new();
    for row in rows {
        let cells = Cells::new(row, doing);
        found.entry(cells.id(0)?).or_default().push(cells.name(1)?.to_owned());
    }
    Ok(found)
}
