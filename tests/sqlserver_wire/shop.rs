//! A database of one captured table of orders, and the client at it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Decimal128Type, Int32Type, UInt8Type};
use cdc_to_s3::Result;
use cdc_to_s3::source::sqlserver::tds::{Settings, TdsServer};
use cdc_to_s3::source::sqlserver::{
    CaptureInstance, ChangeBatch, Images, KeyMark, Lsn, LsnRange, RowsRead, Server as _,
};
use chrono::{DateTime, TimeDelta, Utc};

use crate::support::sqlserver as stand_in;
use crate::support::sqlserver::{Access, Change, Changes, Commit, Contents, Database, Instance, Plain, Table, lsn};
use crate::support::tds::{Answers, Column, Length, Row, Server, SqlType, Value};

/// The instant at which the database's clock stands.
pub(super) fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// The commits 101 to 109, one each minute until a minute ago; the capture job was idle at 110.
pub(super) fn shop() -> Contents {
    let commit =
        |number: u64, idle| Commit { lsn: lsn(number), time: now() - TimeDelta::minutes(110 - number as i64), idle };
    let mut contents = Contents::new("shop", now());
    contents.commits = (101..110).map(|number| commit(number, false)).chain([commit(110, true)]).collect();
    contents.ahead = TimeDelta::hours(2);
    contents.tables = vec![orders()];
    contents
}

fn orders() -> Table {
    let columns = vec![
        Column::required("id", SqlType::Int),
        Column::new("total", SqlType::Money),
        Column::new("no]te", SqlType::NVarChar(Length::Max)),
    ];
    let instance = Instance {
        name: "orders v1".to_owned(),
        object_id: 500,
        created: now().naive_utc(),
        start: Some(lsn(101)),
        role: Some("cdc_reader".to_owned()),
        access: Access::Direct,
        has_command_id: true,
        columns: columns.clone(),
        changes: Changes::Listed(Arc::new((101..110).flat_map(of_commit).collect())),
    };
    Table {
        schema: "sales".to_owned(),
        name: "Order[s]".to_owned(),
        object_id: 400,
        columns,
        key: vec!["id".to_owned()],
        rows: Arc::new((0..20).rev().map(|id| row(id, "now")).collect()),
        instances: vec![instance],
    }
}

pub(super) fn row(id: i64, note: &str) -> Row {
    vec![Value::Int(id), Value::Money(id * 10_000 + 5), note.into()]
}

/// An insert, and an update of it. The statement that came later in the log was the first of its transaction.
fn of_commit(number: u64) -> Vec<Change> {
    let id = number as i64;
    let change = |operation, command, sequence, values| Change {
        start_lsn: lsn(number),
        sequence: lsn(sequence),
        operation,
        mask: vec![7],
        command,
        values,
    };
    vec![
        change(4, 2, 10 * number, row(id, "after")),
        change(3, 2, 10 * number, row(id, "before")),
        change(2, 1, 10 * number + 5, row(id, "new")),
    ]
}

/// The stand-in with the shop in it, and the line to it.
pub(super) struct Scene {
    pub(super) line: Server,
    pub(super) database: Arc<Database<Plain>>,
}

impl Scene {
    pub(super) async fn with(contents: Contents) -> Self {
        let database = Arc::new(Database::new(Plain::new(contents), "reader", "s3cret"));
        let line = Server::start(Default::default(), Arc::clone(&database) as Arc<dyn Answers>).await.unwrap();
        Self { line, database }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Contents)) {
        self.database.holdings.change(change);
    }

    /// A client with batches of at most so many rows.
    pub(super) fn client(&self, batch_rows: usize) -> TdsServer {
        client(&self.line, "s3cret", batch_rows)
    }
}

/// A client of whatever listens there.
pub(super) fn client(line: &Server, password: &str, batch_rows: usize) -> TdsServer {
    stand_in::client(line, "shop", password, Settings { batch_rows, ..Settings::default() })
}

/// A client that waits for an answer for half a second only.
pub(super) fn impatient(line: &Server, batch_rows: usize) -> TdsServer {
    let settings = Settings { batch_rows, answer_timeout: Duration::from_millis(500), ..Settings::default() };
    stand_in::client(line, "shop", "s3cret", settings)
}

pub(super) fn an_lsn(number: u64) -> Lsn {
    Lsn::new(lsn(number))
}

pub(super) fn range(from: u64, to: u64) -> LsnRange {
    LsnRange { from: an_lsn(from), to: an_lsn(to) }
}

/// The one instance of the shop.
pub(super) async fn instance(client: &TdsServer) -> CaptureInstance {
    client.instances().await.unwrap().remove(0)
}

/// Every change as `commit command operation id total note`, and the numbers of rows of the batches.
pub(super) async fn changes(client: &TdsServer, range: LsnRange, images: Images) -> Result<(Vec<String>, Vec<usize>)> {
    let instance = client.instances().await?.remove(0);
    let (mut changes, mut batches) = (Vec::new(), Vec::new());
    let mut take = |batch: ChangeBatch| {
        batches.push(batch.columns.num_rows());
        changes.extend((0..batch.columns.num_rows()).map(|nth| change_text(&batch, nth)));
        Ok(ControlFlow::Continue(()))
    };
    client.changes(&instance, range, images, &mut take).await?;
    Ok((changes, batches))
}

fn change_text(batch: &ChangeBatch, nth: usize) -> String {
    let commit = batch.start_lsn.value(nth)[9];
    let command = batch.command_id.is_valid(nth).then(|| batch.command_id.value(nth));
    let command = command.map_or_else(|| "-".to_owned(), |command| command.to_string());
    let operation =
        batch.operation.as_any().downcast_ref::<arrow::array::PrimitiveArray<UInt8Type>>().unwrap().value(nth);
    format!("{commit} {command} {operation} {}", row_text(&batch.columns, nth))
}

/// A row as `id total note`.
pub(super) fn row_text(batch: &RecordBatch, nth: usize) -> String {
    let id = batch.column(0).as_primitive::<Int32Type>().value(nth);
    let total = batch.column(1).as_primitive::<Decimal128Type>().value(nth);
    format!("{id} {total} {}", batch.column(2).as_string::<i32>().value(nth))
}

/// Every row after a mark, until so many batches have come.
pub(super) async fn rows(
    client: &TdsServer,
    after: Option<&KeyMark>,
    mut batches: usize,
) -> Result<(Vec<String>, RowsRead)> {
    let instance = client.instances().await?.remove(0);
    let mut rows = Vec::new();
    let mut take = |batch: RecordBatch| {
        rows.extend((0..batch.num_rows()).map(|nth| row_text(&batch, nth)));
        batches -= 1;
        Ok(if batches == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let read = client.rows(&instance, after, &mut take).await?;
    Ok((rows, read))
}
