//! A lake in memory and the snapshots of its tables: one call writes a snapshot and runs the whole pipeline over it.
//!
//! What comes out is printable: a row is its cells joined by `|`, null is `∅`, and in a CDC row `op` is the last cell.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use cdc_to_s3::Result;
use cdc_to_s3::config::{Config, ConfigText, Environment, Overrides};
use cdc_to_s3::lake::commit::Runner;
use cdc_to_s3::lake::layout::RunTime;
use cdc_to_s3::lake::store::{Condition, MemoryStore, ObjectStore, Payload, Put, read_all};
use cdc_to_s3::ops::restore::{At, Output, Restored, restore};
use cdc_to_s3::ops::verify::{Verification, verify};
use cdc_to_s3::pipeline::{self, Unwatched};
use cdc_to_s3::report::{Report, TableReport, TableStatus};
use cdc_to_s3::request::{Approval, Deadline, Request};
use cdc_to_s3::source::Source;
use chrono::{DateTime, TimeDelta, Utc};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A lake, its configuration, and a clock that moves on by an hour with each run.
pub(crate) struct Lab {
    pub(crate) store: MemoryStore,
    pub(crate) config: Config,
    pub(crate) approval: Approval,
    temporary: TempDir,
    runtime: Runtime,
    now: DateTime<Utc>,
    snapshots: u32,
}

/// All objects of a store.
pub(crate) type Objects = BTreeMap<String, Bytes>;

/// The configuration of these tables.
pub(crate) fn config(tables: &Value, limits: &Value) -> Result<Config> {
    let document = json!({"dataset_name": "owner/slug", "tables": tables, "limits": limits});
    let text = ConfigText { origin: "the test".to_owned(), text: document.to_string() };
    Config::from_json(&text, &Environment::from_pairs([("CDC_LAKE", "/nowhere")]), &Overrides::default())
}

impl Lab {
    /// An empty lake for these tables.
    pub(crate) fn new(tables: Value) -> Self {
        Self::with_limits(tables, Value::Null)
    }

    /// An empty lake for the table `t` with the key `id`, and what `more` sets.
    pub(crate) fn of_t(more: Value) -> Self {
        let mut table = json!({"name": "t", "pk": "id"});
        let more = more.as_object().cloned().unwrap_or_default();
        table.as_object_mut().unwrap().extend(more);
        Self::new(json!([table]))
    }

    /// An empty lake whose archives may unpack to so much.
    pub(crate) fn with_limits(tables: Value, limits: Value) -> Self {
        Self {
            store: MemoryStore::new(),
            config: config(&tables, &limits).unwrap(),
            approval: Approval::None,
            temporary: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            now: "2026-11-20T09:00:00Z".parse().unwrap(),
            snapshots: 0,
        }
    }

    /// Changes the configuration of the table `t` and leaves the lake as it is.
    pub(crate) fn reconfigure(&mut self, more: Value) {
        self.config = Self::of_t(more).config;
    }

    /// Runs over a snapshot of these files, each a path and its content, in a new folder.
    pub(crate) fn run(&mut self, files: &[(&str, &[u8])]) -> Report {
        let folder = self.new_path();
        for (name, content) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        self.run_path(&folder).unwrap()
    }

    /// Runs over a snapshot of `t.csv`, and gives the report of the table.
    pub(crate) fn csv(&mut self, content: impl AsRef<[u8]>) -> TableReport {
        self.run(&[("t.csv", content.as_ref())]).tables.remove(0)
    }

    /// As [`Self::csv`], where nothing may fail.
    pub(crate) fn csv_ok(&mut self, content: impl AsRef<[u8]>) -> TableReport {
        let report = self.csv(content);
        assert!(report.error.is_none(), "{:?}", report.error);
        report
    }

    /// Runs over a zip archive of these bytes.
    pub(crate) fn run_zip(&mut self, bytes: &[u8]) -> Result<Report> {
        let path = self.new_path();
        fs::write(&path, bytes).unwrap();
        self.run_path(&path)
    }

    /// Runs over the folder or archive at `path`.
    pub(crate) fn run_path(&mut self, path: &Path) -> Result<Report> {
        let source = Source::local(path, self.config.limits)?;
        let request = self.next_request();
        self.runtime.block_on(pipeline::run(
            &request,
            &self.config.tables,
            &source,
            &self.store,
            self.temporary.path(),
            &Unwatched,
        ))
    }

    /// Proves the lake from its objects.
    pub(crate) fn verify(&self) -> Verification {
        let tables: Vec<_> = self.config.tables.iter().collect();
        let run_at = RunTime::new(self.now);
        let runner = Runner { owner: "verify".to_owned(), run_at, now: self.now, expires: self.now };
        self.runtime.block_on(verify(&self.store, &tables, &runner, self.temporary.path())).unwrap()
    }

    /// The time of the newest run.
    pub(crate) fn now(&self) -> At {
        At::Time(self.now)
    }

    /// Writes the table `t` as it was.
    pub(crate) fn restore(&self, at: At, output: Output) -> Result<Restored> {
        let spec = &self.config.tables[0];
        self.runtime.block_on(restore(&self.store, spec, at, self.temporary.path(), output))
    }

    /// Fails unless the log gives the full load.
    pub(crate) fn assert_verified(&self) {
        let found = self.verify();
        assert!(found.ok, "{}", serde_json::to_string_pretty(&found).unwrap());
    }

    /// The columns of an object of the lake, as `name:type`.
    pub(crate) fn columns(&self, key: &str) -> Vec<String> {
        columns_of(&self.object(key))
    }

    /// The rows of an object of the lake, in file order.
    pub(crate) fn rows(&self, key: &str) -> Vec<String> {
        rows_of(&self.object(key))
    }

    /// The rows of the full load of `t`.
    pub(crate) fn full_load(&self) -> Vec<String> {
        self.rows(FULL_LOAD)
    }

    /// The rows of the newest CDC object of `t`, sorted.
    pub(crate) fn changes(&self) -> Vec<String> {
        let mut rows = self.rows(self.log().last().unwrap());
        rows.sort();
        rows
    }

    /// The keys of the CDC objects of `t`, oldest first.
    pub(crate) fn log(&self) -> Vec<String> {
        self.objects().into_keys().filter(|key| key.starts_with("cdc/t/")).collect()
    }

    /// Everything in the lake.
    pub(crate) fn objects(&self) -> Objects {
        let read = async {
            let mut objects = Objects::new();
            for entry in self.store.list("", None).await.unwrap() {
                let (bytes, _) = read_all(&self.store, &entry.key, u64::MAX).await.unwrap().unwrap();
                objects.insert(entry.key, bytes);
            }
            objects
        };
        self.runtime.block_on(read)
    }

    /// Fails unless these are the objects of the lake, byte for byte.
    #[track_caller]
    pub(crate) fn assert_objects(&self, expected: &Objects) {
        let found = self.objects();
        let keys: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
        let other: Vec<_> = keys.into_iter().filter(|&key| found.get(key) != expected.get(key)).collect();
        assert!(other.is_empty(), "written, or gone: {other:?}");
    }

    /// Makes these the objects of the lake, as somebody with full access to the bucket could.
    pub(crate) fn replace_objects(&mut self, objects: Objects) {
        self.store = MemoryStore::new();
        for (key, bytes) in objects {
            let payload = Payload::Memory(bytes);
            let put = self.store.put(&key, &payload, &Condition::Absent);
            assert!(matches!(self.runtime.block_on(put).unwrap(), Put::Written(_)));
        }
    }

    /// Puts other bytes at a key, or removes it.
    pub(crate) fn tamper(&mut self, key: &str, content: Option<Bytes>) {
        let mut objects = self.objects();
        assert!(objects.remove(key).is_some(), "{key} is not there");
        objects.extend(content.map(|bytes| (key.to_owned(), bytes)));
        self.replace_objects(objects);
    }

    fn object(&self, key: &str) -> Bytes {
        self.runtime.block_on(read_all(&self.store, key, u64::MAX)).unwrap().unwrap_or_else(|| panic!("no {key}")).0
    }

    fn new_path(&mut self) -> PathBuf {
        self.snapshots += 1;
        self.temporary.path().join(format!("snapshot-{}", self.snapshots))
    }

    fn next_request(&mut self) -> Request {
        self.now += TimeDelta::hours(1);
        let identity = format!("event:{}", self.now);
        Request { approve_deletes: self.approval.clone(), ..Request::new(self.now, identity, self.now, Deadline::NONE) }
    }
}

/// The full load of `t`.
pub(crate) const FULL_LOAD: &str = "full-load/t/t.parquet";

/// The state of `t`.
pub(crate) const STATE: &str = "_state/t.json";

/// Fails unless the table failed with this code, and gives the whole message with the hint.
pub(crate) fn failure(report: &TableReport, code: &str) -> String {
    let Some(error) = &report.error else { panic!("expected {code}, but the table is {:?}", report.status) };
    assert_eq!(report.status, TableStatus::Failed);
    assert_eq!(error.code(), code, "{error:?}");
    let hint = error.advice().unwrap_or_else(|| panic!("{code} has no hint"));
    format!("{error} ({hint})")
}

/// A zip archive of these files.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The columns of a Parquet file, as `name:type`.
pub(crate) fn columns_of(file: &Bytes) -> Vec<String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    reader.schema().fields().iter().map(|field| format!("{}:{}", field.name(), field.data_type())).collect()
}

/// The rows of a Parquet file, in order.
pub(crate) fn rows_of(file: &Bytes) -> Vec<String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap().build().unwrap();
    reader.flat_map(|batch| printed(&batch.unwrap())).collect()
}

/// An entry of a Parquet file's own metadata.
pub(crate) fn metadata_of(file: &Bytes, key: &str) -> String {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    let entries = reader.metadata().file_metadata().key_value_metadata().unwrap();
    entries.iter().find(|entry| entry.key == key).unwrap().value.clone().unwrap()
}

fn printed(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("∅");
    let arrays: Vec<ArrayRef> = batch.columns().iter().map(with_offset).collect();
    let columns: Vec<_> = arrays.iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

/// Arrow prints instants only where their time zone is an offset.
fn with_offset(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Timestamp(_, Some(_)) => {
            Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone("+00:00"))
        }
        _ => Arc::clone(array),
    }
}
