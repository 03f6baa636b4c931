//! How fast the SQL Server client reads, and how much memory it needs: 1,000,000 changes of 14 columns in one transaction, from
//! a server of our own on loopback, whose rows were encoded before.
//!
//! `cargo bench --bench sqlserver` prints rows per second of wall time and of the client's own CPU time (its thread's; the
//! server has another one), and the greatest memory of the process, server included.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unused_imports
)]

#[path = "../tests/sqlserver_client/stub.rs"]
mod stub;
#[path = "../tests/support/tds/mod.rs"]
mod tds;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use cdc_to_s3::source::sqlserver::tds::Settings;
use cdc_to_s3::source::sqlserver::{Images, Lsn, LsnRange, Server as _};
use cdc_to_s3::telemetry::peak_rss_bytes;

use self::stub::{Captured, Stub, client};
use self::tds::{Answer, Encoded, Length, Row, RowStyle, SqlType, Value};

const ROWS: u64 = 1_000_000;
const PIECE: u64 = 1000;
const COMMIT: [u8; 10] = [0, 0, 0, 9, 0, 0, 0, 1, 0, 3];

fn main() {
    let port = serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = client(port, Settings::default());
        let instances = server.instances().await.unwrap();
        let lsn = Lsn::new(COMMIT);
        for _ in 0..3 {
            let (started, cpu) = (Instant::now(), cpu_nanos());
            let (mut rows, mut bytes) = (0, 0);
            let mut take = |batch: cdc_to_s3::source::sqlserver::ChangeBatch| {
                rows += batch.len() as u64;
                bytes += batch.columns.get_array_memory_size();
                Ok(ControlFlow::Continue(()))
            };
            let range = LsnRange { from: lsn, to: lsn };
            server.changes(&instances[0], range, Images::After, &mut take).await.unwrap();
            assert_eq!(rows, ROWS);
            let (wall, cpu) = (started.elapsed().as_secs_f64(), (cpu_nanos() - cpu) as f64 / 1e9);
            println!(
                "{rows} rows, {} MB in Arrow: {wall:.2} s, {:.0} rows/s; client CPU {cpu:.2} s, {:.0} rows/s; peak {} MB",
                bytes >> 20,
                rows as f64 / wall,
                rows as f64 / cpu,
                peak_rss_bytes() >> 20
            );
        }
    });
}

/// Starts the server on a thread of its own.
fn serve() -> u16 {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = tds::Server::start(tds::Settings::default(), Arc::new(database())).await.unwrap();
            sender.send(server.address().port()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().unwrap()
}

fn database() -> Stub {
    let mut stub = Stub::new(columns());
    stub.commits = vec![(COMMIT, 432_000_000_000)];
    let rows: Vec<Row> = (0..PIECE).map(row).collect();
    let bytes = tds::encode(&stub.change_columns(), &rows, RowStyle::default()).unwrap();
    stub.changes = Box::new(move |columns| {
        let bytes = bytes.clone();
        let pieces = (0..ROWS / PIECE).map(move |_| Encoded { bytes: bytes.clone(), rows: PIECE });
        Answer::encoded(columns.to_vec(), pieces)
    });
    stub.changes_counted = Some(ROWS as i64);
    stub
}

/// Fourteen columns as an order has them.
fn columns() -> Vec<Captured> {
    let nvarchar = |name, chars: u16| {
        Captured::sized(name, "nvarchar", SqlType::NVarChar(Length::Of(chars)), (i64::from(chars) * 2, 0, 0))
    };
    vec![
        Captured::new("OrderId", "bigint", SqlType::BigInt),
        Captured::new("CustomerId", "int", SqlType::Int),
        Captured::new("Status", "tinyint", SqlType::TinyInt),
        Captured::new("IsPaid", "bit", SqlType::Bit),
        Captured::sized("Amount", "decimal", SqlType::Decimal(18, 2), (9, 18, 2)),
        Captured::sized("Tax", "money", SqlType::Decimal(19, 4), (8, 19, 4)),
        Captured::new("Weight", "float", SqlType::Float),
        Captured::sized("CreatedAt", "datetime2", SqlType::DateTime2(7), (8, 27, 7)),
        Captured::sized("ChangedAt", "datetime", SqlType::DateTime, (8, 23, 3)),
        Captured::new("DueOn", "date", SqlType::Date),
        Captured::new("RowGuid", "uniqueidentifier", SqlType::UniqueIdentifier),
        nvarchar("Customer", 50),
        nvarchar("Comment", 200),
        Captured::sized("Code", "varchar", SqlType::VarChar(Length::Of(20)), (20, 0, 0)),
    ]
}

fn row(number: u64) -> Row {
    let n = number as i64;
    let seqval = [&[0, 0, 0, 9, 0, 0][..], &(number as u32).to_be_bytes()].concat();
    vec![
        Value::Bytes(COMMIT.to_vec()),
        Value::Bytes(seqval),
        Value::Int(2),
        Value::Bytes(vec![0x3F, 0xFF]),
        Value::Int(1),
        Value::Int(1_000_000_000 + n),
        Value::Int(n * 37),
        Value::Int(n % 7),
        Value::Bit(n % 2 == 0),
        Value::Decimal(i128::from(n) * 1999),
        Value::Decimal(i128::from(n) * 19_999),
        Value::Float(n as f64 * 0.37),
        Value::DateTime2(739_574, number * 10_000_000),
        Value::DateTime(46_000, number as u32 * 300),
        if n % 5 == 0 { Value::Null } else { Value::Date(739_600) },
        Value::Guid(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes()),
        Value::Text(format!("Customer number {n}")),
        if n % 3 == 0 { Value::Null } else { Value::Text(format!("Deliver order {n} to the back door, please")) },
        Value::Text(format!("C-{n:08}")),
    ]
}

/// The CPU time of this thread, in nanoseconds.
fn cpu_nanos() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}
