//! The history of a small database: transactions at certain times, and what change data capture records of them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value as Json;

use super::Result;
use super::sqlserver::{Access, Change, Changes, Commit, Contents, Instance, LsnBytes, Table, lsn};
use super::tds::{Column, Length, Row, SqlType, Value};

const DELETE: i64 = 1;
const INSERT: i64 = 2;
const BEFORE: i64 = 3;
const AFTER: i64 = 4;

/// Tables that are empty at first, and what becomes of them.
#[derive(Deserialize)]
pub(super) struct History {
    pub(super) database: String,
    schema: String,
    tables: Vec<Declared>,
    pub(super) moments: Vec<Moment>,
}

/// What has been committed since the moment before. Without any transaction, the capture job notes that it was idle.
#[derive(Deserialize)]
pub(super) struct Moment {
    pub(super) time: DateTime<Utc>,
    transactions: Vec<Vec<Act>>,
}

/// A table, whose first column is its key.
#[derive(Deserialize)]
struct Declared {
    name: String,
    /// Names and types.
    columns: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Act {
    table: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Insert(Vec<Json>),
    /// The row as it is afterwards.
    Update(Vec<Json>),
    /// The key.
    Delete(Json),
}

impl History {
    /// Makes the tables.
    pub(super) fn begin(&self, contents: &mut Contents) -> Result<()> {
        for (number, declared) in (1..).zip(&self.tables) {
            let columns = declared.columns.iter().map(|(name, kind)| Ok(Column::new(name, sql_type(kind)?)));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let key = columns.first().map(|column| column.name.clone());
            contents.tables.push(Table {
                schema: self.schema.clone(),
                name: declared.name.clone(),
                object_id: 100 + number,
                key: key.into_iter().collect(),
                rows: Arc::default(),
                instances: vec![self.instance(declared, 200 + number, contents, &columns)],
                columns,
            });
        }
        Ok(())
    }

    fn instance(&self, declared: &Declared, object_id: i32, contents: &Contents, columns: &[Column]) -> Instance {
        Instance {
            name: format!("{}_{}", self.schema, declared.name),
            object_id,
            created: contents.now.naive_utc(),
            start: Some(lsn(1)),
            role: None,
            access: Access::Direct,
            has_command_id: true,
            columns: columns.to_vec(),
            changes: Changes::Listed(Arc::default()),
        }
    }

    /// Lets the transactions of a moment happen, and the capture job read them.
    pub(super) fn pass(&self, contents: &mut Contents, moment: &Moment) -> Result<()> {
        contents.now = moment.time;
        for transaction in &moment.transactions {
            let number = commit(contents, moment.time, false);
            for (command, act) in (1..).zip(transaction) {
                let table = contents.tables.iter_mut().find(|table| table.name == act.table);
                act.what.apply(table.ok_or("a change of a table that is not declared")?, lsn(number), command)?;
            }
        }
        if moment.transactions.is_empty() {
            commit(contents, moment.time, true);
        }
        Ok(())
    }
}

/// Notes a commit; its number.
fn commit(contents: &mut Contents, time: DateTime<Utc>, idle: bool) -> u64 {
    let number = contents.commits.len() as u64 + 1;
    contents.commits.push(Commit { lsn: lsn(number), time, idle });
    number
}

impl What {
    /// Changes the table's rows, and adds to its change table as the command of this number in a transaction.
    fn apply(&self, table: &mut Table, start_lsn: LsnBytes, command: i64) -> Result<()> {
        let images = match self {
            Self::Insert(cells) => vec![(INSERT, insert(table, cells)?)],
            Self::Update(cells) => {
                let before = remove(table, cells.first().ok_or("a row without cells")?)?;
                vec![(BEFORE, before), (AFTER, insert(table, cells)?)]
            }
            Self::Delete(key) => vec![(DELETE, remove(table, key)?)],
        };
        let mask = vec![mask(&images)];
        let instance = table.instances.first_mut().ok_or("a table without an instance")?;
        let Changes::Listed(changes) = &mut instance.changes else { return Err("a list of changes is needed".into()) };
        let changes = Arc::make_mut(changes);
        let sequence = lsn(changes.len() as u64 + 1);
        let change =
            |(operation, values)| Change { start_lsn, sequence, operation, mask: mask.clone(), command, values };
        changes.extend(images.into_iter().map(change));
        Ok(())
    }
}

fn insert(table: &mut Table, cells: &[Json]) -> Result<Row> {
    let row: Row = table.columns.iter().zip(cells).map(|(column, cell)| value(column, cell)).collect::<Result<_>>()?;
    if cells.len() != table.columns.len() || table.rows.iter().any(|there| there.first() == row.first()) {
        return Err(format!("this row does not fit into {}: {cells:?}", table.name).into());
    }
    Arc::make_mut(&mut table.rows).push(row.clone());
    Ok(row)
}

fn remove(table: &mut Table, key: &Json) -> Result<Row> {
    let column = table.columns.first().ok_or("a table without columns")?;
    let key = value(column, key)?;
    let place = table.rows.iter().position(|row| row.first() == Some(&key));
    let place = place.ok_or_else(|| format!("{} has no row {key:?}", table.name))?;
    Ok(Arc::make_mut(&mut table.rows).remove(place))
}

/// One bit for each column that an update changed; all of them for other changes.
fn mask(images: &[(i64, Row)]) -> u8 {
    let [(_, before), (_, after)] = images else { return u8::MAX };
    let changed = (0..).zip(before.iter().zip(after)).filter(|(_, (before, after))| before != after);
    changed.fold(0, |mask, (nth, _): (u32, _)| mask | 1 << nth)
}

fn sql_type(name: &str) -> Result<SqlType> {
    match name {
        "int" => Ok(SqlType::Int),
        "money" => Ok(SqlType::Money),
        "nvarchar" => Ok(SqlType::NVarChar(Length::Of(40))),
        _ => Err(format!("no such type: {name}").into()),
    }
}

fn value(column: &Column, cell: &Json) -> Result<Value> {
    let fits = match (&column.kind, cell) {
        (_, Json::Null) => Some(Value::Null),
        (SqlType::Int, Json::Number(number)) => number.as_i64().map(Value::Int),
        // With all its four digits, so that what is left without the point is in ten-thousandths.
        (SqlType::Money, Json::String(text)) => text.replace('.', "").parse().ok().map(Value::Money),
        (SqlType::NVarChar(_), Json::String(text)) => Some(text.as_str().into()),
        _ => None,
    };
    fits.ok_or_else(|| format!("no value of {}: {cell}", column.name).into())
}
