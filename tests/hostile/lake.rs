//! Objects of the lake that somebody removed, damaged, replaced or edited.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use bytes::Bytes;
use cdc_to_s3::report::TableStatus;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::KeyValue;
use serde_json::{Value, json};

use crate::support::lab::{self, FULL_LOAD, Lab, STATE, failure};

const FIRST: &str = "id,v\n1,1\n2,2\n3,3\n";
const SECOND: &str = "id,v\n1,1\n2,20\n3,3\n";
const THIRD: &str = "id,v\n1,1\n2,20\n3,30\n4,4\n";

pub(crate) fn lake() -> Lab {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok(FIRST);
    lab.csv_ok(SECOND);
    lab
}

/// With this in place of an object, the next run must fail with this code, name the object and change nothing.
#[track_caller]
fn refuses(key: &str, content: impl Into<Bytes>, code: &str) {
    let mut lab = lake();
    lab.tamper(key, Some(content.into()));
    let before = lab.objects();
    let message = failure(&lab.csv(THIRD), code);
    assert!(message.contains(&format!("`{key}`")), "{message}");
    lab.assert_objects(&before);
}

/// The next run must publish what is new since the second, and nothing else.
#[track_caller]
pub(crate) fn goes_on(mut lab: Lab) {
    let report = lab.csv_ok(THIRD);
    assert_eq!((report.inserted, report.updated, report.deleted), (1, 1, 0));
    assert_eq!(lab.changes(), ["3|30|U", "4|4|I"]);
    assert_eq!(lab.log().len(), 3);
    assert_eq!(lab.full_load(), ["1|1", "2|20", "3|30", "4|4"]);
    lab.assert_verified();
}

/// The file with its rows changed by `edit`, and its self-description kept if `ours`.
pub(crate) fn edited(bytes: &Bytes, ours: bool, edit: fn(RecordBatch) -> RecordBatch) -> Vec<u8> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let entries = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
    let schema = Arc::clone(builder.schema());
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    let batch = edit(concat_batches(&schema, &batches).unwrap());
    let mut written = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut written, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let is_ours = |entry: &KeyValue| entry.key.starts_with("cdc_to_s3.");
    entries
        .into_iter()
        .filter(|entry| ours && is_ours(entry))
        .for_each(|entry| writer.append_key_value_metadata(entry));
    writer.close().unwrap();
    written
}

pub(crate) fn another_value(batch: RecordBatch) -> RecordBatch {
    let mut columns = batch.columns().to_vec();
    let values: Vec<i64> = (0..i64::try_from(columns[1].len()).unwrap()).map(|row| row + 1000).collect();
    columns[1] = Arc::new(Int64Array::from(values)) as ArrayRef;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

fn a_row_less(batch: RecordBatch) -> RecordBatch {
    batch.slice(1, batch.num_rows() - 1)
}

#[test]
fn a_state_that_is_garbage() {
    for content in ["", "{", "null", "[]", "{\"head\": 1}", "\u{0}\u{1}", "{\"format_version\": \"1\"}"] {
        refuses(STATE, content.to_owned(), "StateGarbled");
    }
    refuses(STATE, vec![b' '; 5 << 20], "StateGarbled");
}

#[test]
fn a_state_of_a_newer_program() {
    refuses(STATE, r#"{"format_version": 2, "heads": []}"#, "StateTooNew");
}

#[test]
fn a_state_that_is_garbage_stops_no_other_table() {
    let mut lab = Lab::new(json!([{"name": "t", "pk": "id"}, {"name": "u", "pk": "id"}]));
    lab.run(&[("t.csv", FIRST.as_bytes()), ("u.csv", FIRST.as_bytes())]);
    lab.tamper(STATE, Some("{".into()));
    let report = lab.run(&[("t.csv", SECOND.as_bytes()), ("u.csv", SECOND.as_bytes())]);
    failure(&report.tables[0], "StateGarbled");
    assert_eq!((report.tables[1].status, report.tables[1].updated), (TableStatus::Changed, 1));
}

#[test]
fn a_state_that_was_deleted_is_found_again_in_the_objects() {
    let mut lab = lake();
    lab.tamper(STATE, None);
    goes_on(lab);
    let mut lab = lake();
    lab.tamper(STATE, None);
    let report = lab.csv_ok(SECOND);
    assert_eq!((report.status, report.cdc_key), (TableStatus::Unchanged, None));
    lab.assert_verified();
    goes_on(lab);
}

#[test]
fn a_full_load_that_was_deleted_is_rebuilt_from_the_log() {
    let mut lab = lake();
    lab.tamper(FULL_LOAD, None);
    goes_on(lab);
}

#[test]
fn a_state_and_a_full_load_that_were_deleted() {
    let mut lab = lake();
    lab.tamper(FULL_LOAD, None);
    lab.tamper(STATE, None);
    goes_on(lab);
}

/// Found by the simulation: what is left was taken for the whole, and changes that readers had seen were published again.
#[test]
fn a_full_load_that_is_gone_with_a_part_of_the_log_is_not_made_up() {
    for gone in [[true, false], [false, true], [true, true]] {
        let mut lab = lake();
        let log = lab.log();
        lab.tamper(FULL_LOAD, None);
        log.iter().zip(gone).filter(|(_, gone)| *gone).for_each(|(key, _)| lab.tamper(key, None));
        let before = lab.objects();
        failure(&lab.csv(THIRD), "LogGap");
        lab.assert_objects(&before);
    }
}

/// As the hint of `LogGap` says.
#[test]
fn a_table_whose_objects_are_all_gone_starts_again() {
    let mut lab = lake();
    for key in lab.log().iter().map(String::as_str).chain([FULL_LOAD, STATE]) {
        lab.tamper(key, None);
    }
    assert_eq!(lab.csv_ok(THIRD).inserted, 4);
    lab.assert_verified();
}

#[test]
fn a_full_load_that_is_truncated() {
    let whole = lake().objects()[FULL_LOAD].clone();
    for len in [0, 3, 8, whole.len() / 2, whole.len() - 1] {
        refuses(FULL_LOAD, whole.slice(..len), "DamagedObject");
    }
    refuses(FULL_LOAD, whole.slice(whole.len() / 2..).to_vec(), "DamagedObject");
}

#[test]
fn a_full_load_that_somebody_else_wrote() {
    let whole = lake().objects()[FULL_LOAD].clone();
    refuses(FULL_LOAD, edited(&whole, false, another_value), "ForeignObject");
    refuses(FULL_LOAD, edited(&whole, false, |batch| batch), "ForeignObject");
}

#[test]
fn a_full_load_of_another_table() {
    let mut other = Lab::new(json!([{"name": "u", "pk": "id"}]));
    other.run(&[("u.csv", FIRST.as_bytes())]);
    refuses(FULL_LOAD, other.objects()["full-load/u/u.parquet"].clone(), "ForeignObject");
}

#[test]
fn a_full_load_that_was_edited_by_hand() {
    let whole = lake().objects()[FULL_LOAD].clone();
    refuses(FULL_LOAD, edited(&whole, true, another_value), "EditedObject");
    refuses(FULL_LOAD, edited(&whole, true, a_row_less), "EditedObject");
}

#[test]
fn verify_tells_a_full_load_that_was_edited_by_hand() {
    let mut lab = lake();
    let whole = lab.objects()[FULL_LOAD].clone();
    lab.tamper(FULL_LOAD, Some(edited(&whole, true, another_value).into()));
    assert!(!lab.verify().ok);
}

/// Found here: an edit went unseen where the log was ahead of the full load.
#[test]
fn an_edit_is_seen_also_where_the_log_is_ahead() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok(FIRST);
    let old = lab.objects()[FULL_LOAD].clone();
    lab.csv_ok(SECOND);
    lab.tamper(FULL_LOAD, Some(edited(&old, true, another_value).into()));
    failure(&lab.csv(THIRD), "EditedObject");
}

#[test]
fn a_change_object_that_is_gone_is_told_by_verify() {
    let mut lab = lake();
    let first = lab.log().remove(0);
    lab.tamper(&first, None);
    let found = lab.verify();
    assert!(!found.ok && !found.tables[0].problems.is_empty(), "{found:?}");
}

#[test]
fn what_does_not_have_the_name_of_a_change_object_is_left_alone() {
    let mut lab = lake();
    let mut objects = lab.objects();
    for key in ["cdc/t/_SUCCESS", "cdc/t/notes.txt", "cdc/t/t_copy.parquet", "cdc/t/t_20261120_990000.parquet"] {
        objects.insert(key.to_owned(), "not ours".into());
    }
    lab.replace_objects(objects);
    let report = lab.csv_ok(THIRD);
    assert_eq!((report.inserted, report.updated, report.deleted), (1, 1, 0));
}

#[test]
fn a_foreign_file_under_the_name_of_a_change_object_stops_the_table() {
    let mut lab = lake();
    let key = "cdc/t/t_20261121_000000.parquet";
    let mut objects = lab.objects();
    objects.insert(key.to_owned(), edited(&objects[FULL_LOAD], false, |batch| batch).into());
    lab.replace_objects(objects.clone());
    let message = failure(&lab.csv(THIRD), "ForeignObject");
    assert!(message.contains(key), "{message}");
    lab.assert_objects(&objects);
}

#[test]
fn two_tables_of_one_name_are_no_configuration() {
    let tables = json!([{"name": "t", "pk": "id"}, {"name": "T", "pk": "id"}]);
    let error = lab::config(&tables, &Value::Null).unwrap_err();
    assert_eq!(error.code(), "InvalidConfig");
    assert!(error.chain().contains("tables[1].name") && error.chain().contains("tables[0]"), "{error:?}");
}
