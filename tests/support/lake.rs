//! A lake as its readers see it: the log by listing the folder only, and the full load; rows as the texts they came from.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use cdc_to_s3::Result;
use cdc_to_s3::diff::{Operation, PrintPlan, SetHash};
use cdc_to_s3::lake::commit::{Runner, StateVersion, TableLog};
use cdc_to_s3::lake::fingerprints::{self, Fingerprints, Origin};
use cdc_to_s3::lake::footer::{FileKind, Footer};
use cdc_to_s3::lake::layout::{self, RunTime};
use cdc_to_s3::lake::parquet::{Encoding, ParquetFile, ParquetWriter, read_footer};
use cdc_to_s3::lake::state::State;
use cdc_to_s3::lake::store::{Condition, ETag, Listed, ObjectStore, Payload, Put, read_all};
use cdc_to_s3::ops::verify::verify;
use cdc_to_s3::pipeline::{self, Unwatched};
use cdc_to_s3::report::Report;
use cdc_to_s3::request::{Deadline, Request};
use cdc_to_s3::source::{Limits, Source};
use cdc_to_s3::table::{NumberFormat, OP_COLUMN, TableName, TableSchema, TableSpec, UpdateDetection};
use chrono::{DateTime, Duration, Utc};
use futures_util::future::BoxFuture;

const OBJECT_LIMIT: u64 = 1 << 30;

/// The cells of a row that are not null, by column, as canonical texts: `5`, `2.5`, `2024-01-31`, `2024-01-31 10:00:00`.
pub(crate) type Row = BTreeMap<String, String>;

/// The values of the key columns.
pub(crate) type Key = Vec<String>;

/// Keeps the fingerprints of the full load that is there, as a run does for a table that is large enough.
pub(crate) async fn keep_fingerprints(store: &dyn ObjectStore, spec: &TableSpec, folder: &Path) {
    let Some((footer, etag)) = read_footer(store, &layout::full_load(&spec.name)).await.unwrap() else { return };
    let order = footer.schema.order(spec);
    let plan = PrintPlan::new(&footer.schema, &footer.schema, &spec.pk, order).unwrap();
    let (key, schema) = (layout::fingerprints(&spec.name), fingerprints::schema(order.map(|(_, order)| order)));
    let (bytes, _) = read_all(store, &layout::full_load(&spec.name), OBJECT_LIMIT).await.unwrap().unwrap();
    let full_load = ParquetFile::open(&key, Payload::Memory(bytes)).unwrap();
    let mut file = ParquetWriter::create(folder.join("fingerprints.parquet"), Arc::clone(&schema), Encoding::Plain);
    let mut orders = SetHash::default();
    for batch in full_load.batches(None).unwrap() {
        let prints = plan.prints(&batch.unwrap()).unwrap();
        let (batch, of_batch) = fingerprints::batch(&schema, &prints, None).unwrap();
        file.write(&batch).unwrap();
        orders.add_all(of_batch);
    }
    let payload = file.finish(Origin::new(etag, &spec.pk, order).to_metadata(orders)).unwrap();
    let there = read_all(store, &key, OBJECT_LIMIT).await.unwrap().map(|(_, etag)| etag);
    Fingerprints::keep(store, &spec.name, &payload, there).await.unwrap();
}

/// An object of the log.
#[derive(Debug)]
pub(crate) struct LogObject {
    pub(crate) key: String,
    pub(crate) footer: Footer,
    pub(crate) changes: Vec<(Operation, Row)>,
}

/// A table with the key `id`, compared by content.
pub(crate) fn spec(name: &str) -> TableSpec {
    TableSpec::new(TableName::parse(name).unwrap(), vec!["id".to_owned()])
}

/// The time `minutes` after the beginning of all histories.
pub(crate) fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + Duration::minutes(minutes)
}

/// A run asked for at `minutes`, by a clock that is right.
pub(crate) fn request(minutes: i64) -> Request {
    Request::new(at(minutes), format!("event:{minutes}"), at(minutes), Deadline::NONE)
}

/// Writes the snapshot of a table.
pub(crate) fn write_csv(folder: &Path, table: &str, columns: &[String], rows: &[Row]) {
    fs::create_dir_all(folder).unwrap();
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let cell = |row: &Row, column: &String| row.get(column).map(|text| quoted(text)).unwrap_or_default();
    let line = |row: &Row| columns.iter().map(|column| cell(row, column)).collect::<Vec<_>>().join(",");
    let lines = std::iter::once(columns.join(",")).chain(rows.iter().map(line)).collect::<Vec<_>>();
    fs::write(folder.join(format!("{table}.csv")), lines.join("\n") + "\n").unwrap();
}

/// The snapshot in a folder.
pub(crate) fn local(folder: &Path) -> Source {
    Source::local(folder, Limits::default()).unwrap()
}

/// Runs the whole pipeline for one table.
pub(crate) async fn run(
    store: &dyn ObjectStore,
    spec: &TableSpec,
    source: &Source,
    request: &Request,
    temporary: &Path,
) -> Result<Report> {
    let run: BoxFuture<'_, Result<Report>> =
        Box::pin(pipeline::run(request, std::slice::from_ref(spec), source, store, temporary, &Unwatched));
    run.await
}

/// Somebody who only looks.
pub(crate) fn reader() -> Runner {
    Runner { owner: "reader".to_owned(), run_at: RunTime::new(at(0)), now: at(0), expires: at(0) }
}

/// The state of a table.
pub(crate) async fn state(store: &dyn ObjectStore, table: &TableName) -> StateVersion {
    TableLog::new(store, table, &reader()).read_state().await.unwrap()
}

/// Makes `state` the state of a table, which has one, as somebody with full access to the bucket could.
pub(crate) async fn replace_state(store: &dyn ObjectStore, table: &TableName, state: &State) {
    let (key, payload) = (layout::state(table), Payload::Memory(state.to_bytes().unwrap()));
    let there = tag(store, &key).await.unwrap();
    let put = store.put(&key, &payload, &Condition::Matches(there)).await.unwrap();
    assert!(matches!(put, Put::Written(_)));
}

/// Fails unless `verify` finds the table in order.
pub(crate) async fn assert_verified(store: &dyn ObjectStore, spec: &TableSpec, temporary: &Path) {
    let found = verify(store, &[spec], &reader(), temporary).await.unwrap();
    assert!(found.ok, "{found:?}");
}

/// The log of a table, tombstones included, in the order of its names.
pub(crate) async fn log(store: &dyn ObjectStore, table: &TableName) -> Vec<LogObject> {
    let mut log = Vec::new();
    for (key, _) in log_tags(store, table).await {
        log.push(log_object(store, key).await);
    }
    log
}

/// The names in the log of a table, and what is there by its tag.
pub(crate) async fn log_tags(store: &dyn ObjectStore, table: &TableName) -> Vec<(String, ETag)> {
    let mut tags = Vec::new();
    for Listed { key, .. } in store.list(&layout::cdc_prefix(table), None).await.unwrap() {
        let etag = tag(store, &key).await.unwrap();
        tags.push((key, etag));
    }
    tags
}

/// One object of the log.
pub(crate) async fn log_object(store: &dyn ObjectStore, key: String) -> LogObject {
    let file = read(store, &key).await;
    let changes = if file.footer().kind == FileKind::Cdc { changes(&file) } else { Vec::new() };
    LogObject { key, footer: file.footer().clone(), changes }
}

/// The tag of the full load, if there is one.
pub(crate) async fn full_load_tag(store: &dyn ObjectStore, table: &TableName) -> Option<ETag> {
    tag(store, &layout::full_load(table)).await
}

/// The full load of a table, which is there.
pub(crate) async fn full_load(store: &dyn ObjectStore, table: &TableName) -> (Footer, Vec<Row>) {
    let file = read(store, &layout::full_load(table)).await;
    (file.footer().clone(), rows_of(&file))
}

/// What a reader who applies the log in the order of its names ends up with. Fails where a change does not follow from
/// those before it, which is how a change that is there twice, or not at all, shows.
pub(crate) fn replay(log: &[LogObject], spec: &TableSpec) -> BTreeMap<Key, Row> {
    // In date mode a date that went back is silent, and its return is an update that readers know already.
    let may_repeat = spec.update_detection == UpdateDetection::Date;
    let mut table = BTreeMap::new();
    for (object, (operation, row)) in log.iter().flat_map(|object| object.changes.iter().map(move |c| (object, c))) {
        let key = key_of(row, &spec.pk);
        let known = match operation {
            Operation::Insert | Operation::Update => table.insert(key, row.clone()),
            Operation::Delete => table.remove(&key),
        };
        assert_eq!(known.is_none(), *operation == Operation::Insert, "{operation:?} of {row:?} in {}", object.key);
        let repeated = *operation == Operation::Update && known.as_ref() == Some(row);
        assert!(may_repeat || !repeated, "a second {row:?} in {}", object.key);
    }
    table
}

/// The key of a row; a null is an empty text.
pub(crate) fn key_of(row: &Row, pk: &[String]) -> Key {
    pk.iter().map(|column| row.get(column).cloned().unwrap_or_default()).collect()
}

async fn tag(store: &dyn ObjectStore, key: &str) -> Option<ETag> {
    store.get(key, None).await.unwrap().map(|object| object.etag)
}

async fn read(store: &dyn ObjectStore, key: &str) -> ParquetFile {
    let (bytes, _) = read_all(store, key, OBJECT_LIMIT).await.unwrap().unwrap();
    ParquetFile::open(key, Payload::Memory(bytes)).unwrap()
}

fn batches(file: &ParquetFile) -> Vec<RecordBatch> {
    file.batches(None).unwrap().map(Result::unwrap).collect()
}

fn changes(file: &ParquetFile) -> Vec<(Operation, Row)> {
    let split = |mut row: Row| (Operation::from_letter(&row.remove(OP_COLUMN).unwrap()).unwrap(), row);
    rows_of(file).into_iter().map(split).collect()
}

fn rows_of(file: &ParquetFile) -> Vec<Row> {
    batches(file).iter().flat_map(|batch| rows(batch, &file.footer().schema)).collect()
}

fn rows(batch: &RecordBatch, schema: &TableSchema) -> Vec<Row> {
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        for (index, row) in rows.iter_mut().enumerate().filter(|(index, _)| column.is_valid(*index)) {
            let format = schema.column(field.name()).and_then(|column| column.format);
            row.insert(field.name().clone(), text(column, format, index));
        }
    }
    rows
}

/// A cell as its source wrote it.
fn text(column: &dyn Array, format: Option<NumberFormat>, row: usize) -> String {
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => {
            let number = column.as_primitive::<Float64Type>().value(row);
            match format {
                Some(NumberFormat::Fixed(decimals)) => format!("{number:.*}", usize::from(decimals)),
                Some(NumberFormat::Repr) => format!("{number:?}"),
                _ => number.to_string(),
            }
        }
        DataType::Date32 => column.as_primitive::<Date32Type>().value_as_date(row).unwrap().to_string(),
        DataType::Timestamp(_, Some(_)) => {
            let time = column.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row).unwrap();
            time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
        }
        DataType::Timestamp(..) => {
            canonical(&column.as_primitive::<TimestampMicrosecondType>().value_as_datetime(row).unwrap().to_string())
        }
        DataType::Utf8 => canonical(column.as_string::<i32>().value(row)),
        other => panic!("a column of type {other}"),
    }
}

/// A midnight that became text keeps its clock.
fn canonical(text: &str) -> String {
    text.strip_suffix(" 00:00:00").unwrap_or(text).to_owned()
}
