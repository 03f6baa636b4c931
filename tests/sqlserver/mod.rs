//! A database that captures its changes, from the model in memory through the whole pipeline into a lake.

mod crash;
mod disk;
mod doctor;
mod histories;
mod history;
mod instances;
mod load;
mod output;
mod readers;
mod real;
mod rules;
mod start;
mod steps;
mod together;
mod uploads;
mod verify;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use cdc_to_s3::Result;
use cdc_to_s3::lake::footer::{FileKind, Footer};
use cdc_to_s3::lake::layout::Place;
use cdc_to_s3::lake::parquet::ParquetFile;
use cdc_to_s3::lake::state::State;
use cdc_to_s3::lake::store::{Condition, MemoryStore, ObjectStore, Payload, Put, read_all};
use cdc_to_s3::ops::verify::{Verification, verify_captured};
use cdc_to_s3::pipeline::{self, Unwatched};
use cdc_to_s3::report::{Report, TableReport, TableStatus};
use cdc_to_s3::request::Request;
use cdc_to_s3::source::Source;
use cdc_to_s3::source::sqlserver::tds::Settings;
use cdc_to_s3::source::sqlserver::{Feed, Lsn, Server, SqlServer, Start, TableOptions};
use cdc_to_s3::table::TableName;
use tempfile::TempDir;

use crate::support::cdc::{Cells, Change, Model, Statement, cells};
use crate::support::sqlserver::{Database, client};
use crate::support::{lake, tds};

/// A job over the table `dbo.t` with the columns `id`, `a` and `note`, which is tracked and captured.
struct Job {
    model: Arc<Model>,
    /// The model itself, or the client at the other end of a line to it.
    server: Arc<dyn Server>,
    line: Option<Arc<tds::Server>>,
    store: Arc<MemoryStore>,
    feed: Feed,
    temporary: TempDir,
}

/// A change as a reader of the lake sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    op: String,
    commit: String,
    seq: String,
    operation: i32,
    key: i64,
    cells: Cells,
    unavailable: Vec<String>,
    overlap: bool,
}

impl Job {
    fn new() -> Self {
        let model = Model::new(lake::at(0));
        {
            let mut world = model.world();
            world.create("t", &["a", "note"]);
            world.enable("t", "dbo_t");
            world.capture_all();
        }
        let model = Arc::new(model);
        Self {
            server: Arc::clone(&model) as _,
            line: None,
            model,
            store: Arc::default(),
            feed: Feed::default(),
            temporary: tempfile::tempdir().unwrap(),
        }
    }

    fn starting(start: Start) -> Self {
        let mut job = Self::new();
        job.feed.defaults = TableOptions { start, ..TableOptions::default() };
        job
    }

    /// The same job, with the real client and a line between itself and the database.
    async fn over_the_wire(mut self) -> Self {
        let database = Database::new(Arc::clone(&self.model), "reader", "s3cret");
        let line = tds::Server::start(tds::Settings::default(), Arc::new(database)).await.unwrap();
        let batch_rows = self.model.world().batch_rows;
        let answer_timeout = Duration::from_millis(500);
        let settings = Settings { batch_rows, answer_timeout, ..Settings::default() };
        self.server = Arc::new(client(&line, "Shop", "s3cret", settings));
        self.line = Some(Arc::new(line));
        self
    }

    /// The same database and configuration, with a lake of its own to be given.
    fn again(&self) -> Self {
        Self {
            model: Arc::clone(&self.model),
            server: Arc::clone(&self.server),
            line: self.line.clone(),
            store: Arc::clone(&self.store),
            feed: self.feed.clone(),
            temporary: tempfile::tempdir().unwrap(),
        }
    }

    /// Puts objects into the lake.
    async fn fill(&self, objects: impl IntoIterator<Item = (String, bytes::Bytes)>) {
        for (key, bytes) in objects {
            let put = self.store.put(&key, &Payload::Memory(bytes), &Condition::Absent).await.unwrap();
            assert!(matches!(put, Put::Written(_)), "{key}");
        }
    }

    /// One transaction, captured.
    fn change(&self, statements: impl IntoIterator<Item = Statement>) {
        let mut world = self.model.world();
        world.run("t", statements);
        world.capture_all();
    }

    fn source(&self) -> Source {
        Source::SqlServer(SqlServer {
            server: Arc::clone(&self.server),
            database: "Shop".to_owned(),
            feed: self.feed.clone(),
        })
    }

    async fn attempt(&self, store: &dyn ObjectStore, request: &Request) -> Result<Report> {
        let (source, temporary) = (self.source(), self.temporary.path());
        Box::pin(pipeline::run(request, &[], &source, store, temporary, &Unwatched)).await
    }

    /// A run of all tables asked for at that minute.
    async fn run(&self, minute: i64) -> TableReport {
        let mut report = self.attempt(&*self.store, &lake::request(minute)).await.unwrap();
        assert_eq!(report.tables.len(), 1);
        report.tables.remove(0)
    }

    /// As [`Self::run`], where nothing may fail.
    async fn run_ok(&self, minute: i64) -> TableReport {
        let report = self.run(minute).await;
        assert!(report.error.is_none(), "{report:?}");
        report
    }

    /// Fails unless the table fails with this code; the message with its hint.
    async fn failure(&self, minute: i64, code: &str) -> String {
        let report = self.run(minute).await;
        let Some(error) = &report.error else { panic!("expected {code}: {report:?}") };
        assert_eq!((report.status, error.code()), (TableStatus::Failed, code), "{error:?}");
        format!("{error} ({})", error.advice().unwrap_or_else(|| panic!("{code} has no hint")))
    }

    async fn objects(&self) -> BTreeMap<String, bytes::Bytes> {
        let mut objects = BTreeMap::new();
        for entry in self.store.list("", None).await.unwrap() {
            let (bytes, _) = read_all(&*self.store, &entry.key, u64::MAX).await.unwrap().unwrap();
            objects.insert(entry.key, bytes);
        }
        objects
    }

    /// The objects of the log, oldest first.
    async fn log(&self) -> Vec<(String, ParquetFile)> {
        let objects = self.objects().await.into_iter();
        let log = objects.filter(|(key, _)| place().cdc_run_at(key).is_some());
        log.map(|(key, bytes)| (key.clone(), ParquetFile::open(&key, Payload::Memory(bytes)).unwrap())).collect()
    }

    /// All changes in the log, in the order of its names and rows.
    async fn rows(&self) -> Vec<Row> {
        let files = self.log().await;
        let files = files.iter().filter(|(_, file)| file.footer().kind == FileKind::Cdc);
        files.flat_map(|(_, file)| batches(file)).flat_map(|batch| rows(&batch)).collect()
    }

    /// The rows of the first load, all parts.
    async fn loaded(&self) -> Vec<(i64, Cells)> {
        let mut rows = Vec::new();
        for footer_and_file in self.parts().await {
            rows.extend(batches(&footer_and_file).iter().flat_map(plain_rows));
        }
        rows
    }

    async fn parts(&self) -> Vec<ParquetFile> {
        let objects = self.objects().await;
        let parts = (1..).map_while(|number| {
            let key = place().full_load_part(number);
            Some(ParquetFile::open(&key, Payload::Memory(objects.get(&key)?.clone())).unwrap())
        });
        parts.collect()
    }

    async fn state(&self) -> State {
        let key = place().state().to_owned();
        let (bytes, _) = read_all(&*self.store, &key, u64::MAX).await.unwrap().expect("a state");
        State::parse(&bytes, &key).unwrap()
    }

    /// What somebody has who takes the first load and then all changes, by key.
    async fn replayed(&self) -> BTreeMap<i64, Cells> {
        let mut table: BTreeMap<i64, Cells> = self.loaded().await.into_iter().collect();
        for row in self.rows().await {
            if row.op == "D" {
                table.remove(&row.key);
                continue;
            }
            let mut cells = row.cells;
            let before = table.get(&row.key);
            for name in &row.unavailable {
                cells.extend(before.and_then(|before| before.get(name)).map(|text| (name.clone(), text.clone())));
            }
            table.insert(row.key, cells);
        }
        table
    }

    async fn verify(&self) -> Verification {
        verify_captured(&*self.store, self.feed.schema_in_path, None, self.temporary.path()).await.unwrap()
    }

    async fn assert_verified(&self) {
        let found = self.verify().await;
        assert!(found.ok, "{found:#?}");
    }

    /// Fails unless the log holds each change of the truth exactly once and in order, up to where it has been read.
    async fn assert_exact(&self, truth: &[Change]) {
        let log = self.log().await;
        let changes = log.iter().filter(|(_, file)| file.footer().kind == FileKind::Cdc);
        let ranges: Vec<(Lsn, Lsn)> = changes.map(|(_, file)| range(file.footer())).collect();
        let (Some(first), Some(last)) = (ranges.first(), ranges.last()) else { return };
        let within = |change: &&Change| first.0 < change.commit && change.commit <= last.1 && change.operation != 3;
        let expected: Vec<_> = truth.iter().filter(within).map(brief).collect();
        let found: Vec<_> = self
            .rows()
            .await
            .iter()
            .filter(|row| row.operation != 3)
            .map(|row| (row.commit.clone(), row.seq[28..48].to_owned(), row.key))
            .collect();
        assert_eq!(found, expected);
        self.assert_verified().await;
    }

    /// Fails unless what the lake gives is the table as it is now.
    async fn assert_current(&self) {
        assert_eq!(self.replayed().await, self.model.world().rows("t"));
        self.assert_verified().await;
    }
}

/// Where the objects of `dbo.t` are.
fn place() -> Place {
    let [database, table] = ["Shop", "t"].map(|name| TableName::parse(name).unwrap());
    Place::captured(&database, "dbo", &table, false)
}

fn put(key: i64, pairs: &[(&str, &str)]) -> Statement {
    Statement::Put(key, cells(pairs))
}

fn range(footer: &Footer) -> (Lsn, Lsn) {
    (footer.captured.as_ref().unwrap().after, footer.position.as_ref().unwrap().lsn().unwrap())
}

fn brief(change: &Change) -> (String, String, i64) {
    (change.commit.digits(), change.sequence.digits(), change.key)
}

fn footer(log: &[(String, ParquetFile)], index: usize) -> &Footer {
    log[index].1.footer()
}

fn batches(file: &ParquetFile) -> Vec<RecordBatch> {
    file.batches(None).unwrap().map(Result::unwrap).collect()
}

/// The key and the other captured columns of a batch.
fn plain_rows(batch: &RecordBatch) -> Vec<(i64, Cells)> {
    let keys = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
    let schema = batch.schema();
    let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    let others = names.into_iter().filter(|name| *name != "id" && *name != "op" && !name.starts_with('_'));
    let others: Vec<_> = others.map(|name| (name, batch.column_by_name(name).unwrap().as_string::<i32>())).collect();
    let cells = |row: usize| -> Cells {
        let cells = others.iter().filter(|(_, column)| column.is_valid(row));
        cells.map(|(name, column)| ((*name).clone(), column.value(row).to_owned())).collect()
    };
    (0..batch.num_rows()).map(|row| (keys.value(row), cells(row))).collect()
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let text = |name: &str, row: usize| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
    let unavailable = batch.column_by_name("_unavailable").unwrap().as_list::<i32>();
    let operation = batch.column_by_name("_operation").unwrap().as_primitive::<arrow::datatypes::Int32Type>();
    let described = |(row, (key, cells)): (usize, (i64, Cells))| Row {
        op: text("op", row),
        commit: text("_commit_lsn", row),
        seq: text("_seq", row),
        operation: operation.value(row),
        key,
        cells,
        unavailable: unavailable.value(row).as_string::<i32>().iter().map(|name| name.unwrap().to_owned()).collect(),
        overlap: batch.column_by_name("_overlap").unwrap().as_boolean().value(row),
    };
    plain_rows(batch).into_iter().enumerate().map(described).collect()
}
