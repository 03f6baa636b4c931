//! What is wrong with a snapshot, or with what is configured of it.

mod columns;
mod files;
mod text;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use cdc_to_s3::Error;
use cdc_to_s3::request::Approval;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::hostile::forge::{Entry, archive};
use crate::support::lab::{Lab, Objects};

/// A snapshot of the dataset.
#[derive(Clone)]
enum Snapshot {
    Files(Vec<(&'static str, Vec<u8>)>),
    Zip(Vec<u8>),
}

/// What is done about an error.
enum Remedy {
    /// Keys of the table are set so.
    Set(Value),
    /// The table begins again under another name, with what is set and the key that names its file.
    NewName(Value),
    /// One run is approved.
    Approve,
    /// The source publishes this, as these words of the hint say.
    Republish(&'static str, Snapshot),
}

use Remedy::{Approve, NewName, Republish, Set};

struct Case {
    code: &'static str,
    /// What is configured of `t` at first.
    config: Value,
    /// A version that passes, if there is one.
    before: Option<Snapshot>,
    /// What is configured by the time of the error, if that is something else.
    then: Option<Value>,
    wrong: Snapshot,
    remedies: Vec<(Remedy, &'static [&'static str])>,
}

fn csv(text: &str) -> Snapshot {
    files(&[("t.csv", text.as_bytes())])
}

fn files(files: &[(&'static str, &[u8])]) -> Snapshot {
    Snapshot::Files(files.iter().map(|(name, content)| (*name, content.to_vec())).collect())
}

fn zip(entries: &[Entry]) -> Snapshot {
    Snapshot::Zip(archive(entries))
}

fn parquet(values: ArrayRef) -> Snapshot {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("v", values)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    files(&[("t.parquet", &bytes)])
}

/// An error of a first version.
fn first(code: &'static str, config: Value, wrong: Snapshot, remedies: Vec<(Remedy, &'static [&'static str])>) -> Case {
    Case { code, config, before: None, then: None, wrong, remedies }
}

/// An error of a second version.
fn later(
    code: &'static str,
    config: Value,
    before: Snapshot,
    wrong: Snapshot,
    remedies: Vec<(Remedy, &'static [&'static str])>,
) -> Case {
    Case { before: Some(before), ..first(code, config, wrong, remedies) }
}

fn cases() -> Vec<Case> {
    [files::cases(), text::cases(), columns::cases(), columns::keys()].into_iter().flatten().collect()
}

/// The codes of which a remedy is followed here.
pub(super) fn codes() -> Vec<&'static str> {
    cases().iter().map(|case| case.code).chain(["ArchiveBomb"]).collect()
}

/// Runs over a snapshot; a file of another table makes it another version each time.
fn run(lab: &mut Lab, snapshot: &Snapshot, version: &str) -> Option<Error> {
    let report = match snapshot {
        Snapshot::Files(files) => {
            let mut files: Vec<(&str, &[u8])> =
                files.iter().map(|(name, content)| (*name, content.as_slice())).collect();
            files.push(("version.txt", version.as_bytes()));
            Ok(lab.run(&files))
        }
        Snapshot::Zip(bytes) => lab.run_zip(bytes),
    };
    match report {
        Ok(mut report) => report.tables.remove(0).error,
        Err(error) => Some(error),
    }
}

/// The lake up to the error, which it is left by unchanged.
fn fail(case: &Case) -> (Lab, Error) {
    let mut lab = Lab::of_t(case.config.clone());
    if let Some(before) = &case.before {
        let error = run(&mut lab, before, "before");
        assert!(error.is_none(), "{}: {error:?}", case.code);
    }
    if let Some(then) = &case.then {
        lab.reconfigure(then.clone());
    }
    let objects: Objects = lab.objects();
    let error = run(&mut lab, &case.wrong, "wrong").unwrap_or_else(|| panic!("no {}", case.code));
    assert_eq!(error.code(), case.code, "{error:?}");
    lab.assert_objects(&objects);
    (lab, error)
}

/// Fails unless the words are in the message or its hint.
fn expect(error: &Error, words: &str) {
    let told = format!("{error} {}", error.advice().unwrap_or_default());
    assert!(told.contains(words), "{}: `{words}` is not in: {told}", error.code());
}

/// Fails unless the runbook names the setting, too.
fn expect_row(code: &str, setting: &str) {
    let advice = crate::runbook::advice(code);
    assert!(advice.contains(setting), "{code}: `{setting}` is not in the runbook: {advice}");
}

fn configured(case: &Case, more: &Value) -> Value {
    merged(case.then.as_ref().unwrap_or(&case.config), more)
}

/// Does what the error says, and looks at the lake.
fn follow(case: &Case, remedy: &Remedy, rows: &[&str]) {
    let (mut lab, error) = fail(case);
    let (mut snapshot, mut name) = (&case.wrong, "t");
    match remedy {
        Set(keys) => {
            for key in keys.as_object().unwrap().keys() {
                expect(&error, key);
                expect_row(case.code, key);
            }
            lab.reconfigure(configured(case, keys));
        }
        NewName(keys) => {
            ["new `name`", "file"].iter().for_each(|words| expect(&error, words));
            expect_row(case.code, "`name`");
            name = "t2";
            lab.reconfigure(merged(&configured(case, keys), &json!({"name": name, "file": "t.csv"})));
        }
        Approve => {
            expect(&error, "approve_deletes");
            expect_row(case.code, "approve_deletes");
            lab.approval = Approval::Tables(vec!["t".to_owned()]);
        }
        Republish(words, good) => {
            expect(&error, words);
            snapshot = good;
        }
    }
    for version in ["followed", "the next", "and the next"] {
        let error = run(&mut lab, snapshot, version);
        assert!(error.is_none(), "{}, {version}: {error:?}", case.code);
        let mut found = lab.rows(&format!("full-load/{name}/{name}.parquet"));
        found.sort();
        assert_eq!(found, rows, "{}", case.code);
        lab.assert_verified();
        lab.approval = Approval::None;
    }
}

fn merged(one: &Value, other: &Value) -> Value {
    let mut merged = one.as_object().cloned().unwrap_or_default();
    merged.extend(other.as_object().cloned().unwrap_or_default());
    Value::Object(merged)
}

fn follow_all(cases: &[Case]) {
    for case in cases {
        for (remedy, rows) in &case.remedies {
            follow(case, remedy, rows);
        }
    }
}

#[test]
fn remedies_for_files_and_their_names_work() {
    follow_all(&files::cases());
}

#[test]
fn remedies_for_text_work() {
    follow_all(&text::cases());
}

#[test]
fn remedies_for_columns_work() {
    follow_all(&columns::cases());
}

#[test]
fn remedies_for_keys_work() {
    follow_all(&columns::keys());
}

#[test]
fn limits_are_raised_where_a_file_is_right() {
    let table = json!([{"name": "t", "pk": "id"}]);
    let text: String = (0..100).map(|number| format!("{number}\n")).collect();
    let bytes = archive(&[Entry::deflated("t.csv", format!("id\n{text}").as_bytes())]);
    let mut lab = Lab::with_limits(table.clone(), json!({"max_uncompressed_bytes": 100}));
    let error = lab.run_zip(&bytes).unwrap().tables.remove(0).error.unwrap();
    assert_eq!(error.code(), "ArchiveBomb");
    expect(&error, "limits.max_uncompressed_bytes");
    expect_row("ArchiveBomb", "limits");
    lab.config = crate::support::lab::config(&table, &json!({"max_uncompressed_bytes": 1000})).unwrap();
    assert_eq!(lab.run_zip(&bytes).unwrap().tables.remove(0).rows, 100);
    lab.assert_verified();
}
