//! How fast the SQL Server client reads, and how much memory it needs: 1,000,000 changes of 14 columns in one transaction, from
//! a server of our own on loopback, whose rows were encoded before.
//!
//! `cargo bench --bench sqlserver` prints changes per second of wall time and of CPU time (without that of the server, which
//! has a thread of its own), and the greatest memory of the process, server included: for the client alone, and for a whole
//! run into Parquet files in a folder.
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

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use cdc_to_s3::lake::store::DirStore;
use cdc_to_s3::pipeline::{self, Unwatched};
use cdc_to_s3::request::{Deadline, Request};
use cdc_to_s3::source::Source;
use cdc_to_s3::source::sqlserver::tds::Settings;
use cdc_to_s3::source::sqlserver::{
    ChangeBatch, Feed, Images, Lsn, LsnRange, Server as _, SqlServer, Start, TableOptions,
};
use cdc_to_s3::telemetry::peak_rss_bytes;

use self::stub::{Captured, Stub, client};
use self::tds::{Answer, Column, Encoded, Length, Request as Question, Row, RowStyle, SqlType, Value};

const ROWS: u64 = 1_000_000;
const PIECE: u64 = 1000;
/// Where a sequence value begins: each piece has another one there.
const MARK: [u8; 6] = [0xA5, 0x5A, 0xC3, 0x3C, 0x99, 0x66];
const COMMIT: [u8; 10] = [0, 0, 0, 9, 0, 0, 0, 1, 0, 3];

fn main() {
    let server = serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for _ in 0..3 {
        runtime.block_on(measure("the client alone", &server, read(server.port)));
        runtime.block_on(measure("the whole job, into a folder", &server, job(server.port)));
    }
}

/// Prints how long `work` took, and what it cost this side of the wire.
async fn measure(name: &str, server: &Serving, work: impl Future<Output = u64>) {
    let (started, cpu) = (Instant::now(), cpu_seconds(server));
    let rows = work.await;
    assert_eq!(rows, ROWS);
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds(server) - cpu);
    println!(
        "{name}: {rows} changes in {wall:.2} s ({:.0} a second); {cpu:.2} s of CPU ({:.0} a second and core); peak memory {} MB",
        rows as f64 / wall,
        rows as f64 / cpu,
        peak_rss_bytes() >> 20
    );
}

/// Reads the changes into Arrow, and drops them.
async fn read(port: u16) -> u64 {
    let server = client(port, Settings::default());
    let instances = server.instances().await.unwrap();
    let mut rows = 0;
    let mut take = |batch: ChangeBatch| {
        rows += batch.len() as u64;
        Ok(ControlFlow::Continue(()))
    };
    let range = LsnRange { from: Lsn::new(COMMIT), to: Lsn::new(COMMIT) };
    server.changes(&instances[0], range, Images::After, &mut take).await.unwrap();
    rows
}

/// Brings a new lake in a folder to the end of the log.
async fn job(port: u16) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let feed = Feed { defaults: TableOptions { start: Start::Earliest, ..Default::default() }, ..Feed::default() };
    let server = Arc::new(client(port, Settings::default()));
    let source = Source::SqlServer(SqlServer { server, database: "shop".to_owned(), feed });
    let now = "2025-11-20T12:00:10Z".parse().unwrap();
    let request = Request::new(now, "bench", now, Deadline::NONE);
    let store = DirStore::new(folder.path());
    let report = pipeline::run(&request, &[], &source, &store, folder.path(), &Unwatched).await.unwrap();
    assert!(report.tables[0].error.is_none(), "{:?}", report.tables[0].error);
    report.totals().inserted
}

/// The server, on a thread of its own.
struct Serving {
    port: u16,
    thread: String,
}

/// Starts the server on a thread of its own.
fn serve() -> Serving {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = tds::Server::start(tds::Settings::default(), Arc::new(database())).await.unwrap();
            let thread = std::fs::read_link("/proc/thread-self").unwrap().display().to_string();
            sender.send(Serving { port: server.address().port(), thread }).unwrap();
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().unwrap()
}

fn database() -> Stub {
    let mut stub = Stub::new(columns());
    stub.commits = vec![(COMMIT, 432_000_000_000)];
    let rows: Vec<Row> = (0..PIECE).map(row).collect();
    let template = tds::encode(&stub.change_columns(), &rows, RowStyle::default()).unwrap();
    let places: Vec<usize> = (0..template.len()).filter(|&at| template[at..].starts_with(&MARK)).collect();
    assert_eq!(places.len() as u64, PIECE);
    stub.changes = Box::new(move |columns| {
        let (template, places) = (template.clone(), places.clone());
        let pieces = (0..ROWS / PIECE).map(move |piece| {
            let mut bytes = template.to_vec();
            places.iter().for_each(|&at| bytes[at..at + MARK.len()].copy_from_slice(&piece.to_be_bytes()[2..]));
            Encoded { bytes: bytes.into(), rows: PIECE }
        });
        Answer::encoded(columns.to_vec(), pieces)
    });
    stub.changes_counted = Some(ROWS as i64);
    with_catalog(stub)
}

/// What a run asks before it reads.
fn with_catalog(stub: Stub) -> Stub {
    let text = |name| Column::new(name, SqlType::NVarChar(Length::Of(128)));
    let lsn = || Column::new("lsn", SqlType::Binary(10));
    let at = || Value::DateTime2(739_574, 432_000_000_000);
    let database = move |_: &Question| {
        let bit = |name| Column::new(name, SqlType::Bit);
        let columns = vec![text("s"), text("n"), bit("c"), bit("i"), Column::new("t", SqlType::DateTime2(7)), bit("m")];
        let (yes, no) = (Value::Bit(true), Value::Bit(false));
        Answer::rows(columns, [vec!["DB".into(), "shop".into(), yes.clone(), no, at(), yes]])
    };
    let times = move |_: &Question| {
        let time = |name| Column::new(name, SqlType::DateTime2(3));
        Answer::rows(vec![lsn(), time("t"), time("u")], [vec![Value::Bytes(COMMIT.to_vec()), at(), at()]])
    };
    let end = move |_: &Question| {
        let columns = vec![lsn(), Column::new("n", SqlType::BigInt)];
        Answer::rows(columns, [vec![Value::Bytes(COMMIT.to_vec()), Value::Int(1)]])
    };
    stub.on("database", database)
        .on("recovery fork", move |_| Answer::value(text("f"), "fork"))
        .on("max lsn", move |_| Answer::value(lsn(), &COMMIT[..]))
        .on("min lsn", move |_| Answer::value(lsn(), &[0, 0, 0, 1, 0, 0, 0, 0, 0, 1][..]))
        .on("commit times", times)
        .on("window end", end)
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
    let seqval = [&MARK[..], &(number as u32).to_be_bytes()].concat();
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

/// The CPU time of the process but for the server's thread.
fn cpu_seconds(server: &Serving) -> f64 {
    let ticks = |path: &str| {
        let stat = std::fs::read_to_string(path).unwrap();
        // The name may hold blanks; it ends with the last bracket.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>()
    };
    (ticks("/proc/self/stat") - ticks(&format!("/proc/{}/stat", server.thread))) / 100.0
}
