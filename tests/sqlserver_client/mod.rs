//! The client of SQL Server over real sockets: what it asks, what it makes of the answers, and of what goes wrong.

mod faults;
mod lines;
mod reads;
mod secrets;
mod stub;
mod types;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use cdc_to_s3::source::sqlserver::tds::{Settings, TdsServer};
use cdc_to_s3::source::sqlserver::{CaptureInstance, ChangeBatch, Images, Lsn, LsnRange, Server as _};
use cdc_to_s3::{Error, Result};

use self::stub::{Captured, Stub};
use crate::support::tds;
use crate::support::tds::{Row, Server, SqlType, Value};

const FIRST: [u8; 10] = [0, 0, 0, 9, 0, 0, 0, 1, 0, 3];
const SECOND: [u8; 10] = [0, 0, 0, 9, 0, 0, 0, 2, 0, 1];

/// Whatever is committed.
fn everything() -> LsnRange {
    LsnRange { from: Lsn::ZERO.next(), to: Lsn::new([0xFF; 10]) }
}

/// Impatient, and with small batches.
fn hasty() -> Settings {
    let answer_timeout = Duration::from_millis(500);
    Settings { answer_timeout, connect_timeout: Duration::from_secs(2), batch_rows: 10, ..Settings::default() }
}

async fn serve(stub: Stub) -> Server {
    Server::start(tds::Settings::default(), Arc::new(stub)).await.unwrap()
}

fn client(server: &Server, settings: Settings) -> TdsServer {
    stub::client(server.address().port(), settings)
}

async fn instance(client: &TdsServer) -> CaptureInstance {
    client.instances().await.unwrap().remove(0)
}

/// All changes of the table, or why there are none.
async fn changes(client: &TdsServer) -> Result<Vec<ChangeBatch>> {
    let instance = client.instances().await?.remove(0);
    let mut batches = Vec::new();
    let mut take = |batch| {
        batches.push(batch);
        Ok(ControlFlow::Continue(()))
    };
    client.changes(&instance, everything(), Images::After, &mut take).await?;
    Ok(batches)
}

async fn error(client: &TdsServer) -> Error {
    changes(client).await.map(|batches| batches.len()).unwrap_err()
}

/// An insert of the commit [`FIRST`], with the values of the captured columns.
fn insert(number: u32, values: impl IntoIterator<Item = Value>) -> Row {
    change(FIRST, number, 2, values)
}

fn change(commit: [u8; 10], number: u32, operation: i64, values: impl IntoIterator<Item = Value>) -> Row {
    let seqval = [&[0, 0, 0, 9, 0, 0][..], &number.to_be_bytes()].concat();
    let own = [
        Value::Bytes(commit.to_vec()),
        Value::Bytes(seqval),
        Value::Int(operation),
        Value::Bytes(vec![3]),
        Value::Int(i64::from(number)),
    ];
    own.into_iter().chain(values).collect()
}

/// A table of a number and a text, with so many inserts.
fn orders(rows: u32) -> Stub {
    let columns = vec![
        Captured::new("id", "int", SqlType::Int),
        Captured::sized("note", "nvarchar", SqlType::NVarChar(tds::Length::Of(40)), (80, 0, 0)),
    ];
    let changes = (0..rows).map(|id| insert(id, [Value::Int(id.into()), format!("order {id}").as_str().into()]));
    Stub { commits: vec![(FIRST, 0)], ..Stub::new(columns).with_changes(changes.collect()) }
}
