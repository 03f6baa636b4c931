//! Objects of the lake that somebody damaged, and what a lake does not give.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use cdc_to_s3::ops::restore::{Format, Output};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::hostile::lake::{another_value, edited, goes_on, lake};
use crate::support::lab::{FULL_LOAD, Lab, STATE, failure};

const THIRD: &str = "id,v\n1,1\n2,20\n3,30\n4,4\n";

/// What is done about an object.
#[derive(Clone, Copy)]
enum Way {
    /// Its bytes of before come back.
    Restore,
    Delete,
}

/// A code, the object, what is in its place, and what the hint says to do.
type Case = (&'static str, &'static str, Bytes, &'static [(&'static str, Way)]);

fn cases() -> Vec<Case> {
    let whole = lake().objects()[FULL_LOAD].clone();
    let mut other = Lab::new(json!([{"name": "u", "pk": "id"}]));
    other.run(&[("u.csv", b"id\n1\n")]);
    let foreign = other.objects()["full-load/u/u.parquet"].clone();
    let newer = Bytes::from(r#"{"format_version": 2, "heads": []}"#);
    vec![
        (
            "StateGarbled",
            STATE,
            "{".into(),
            &[("restore its previous version", Way::Restore), ("delete it", Way::Delete)],
        ),
        ("StateTooNew", STATE, newer, &[("deploy the version", Way::Restore)]),
        ("DamagedObject", FULL_LOAD, "no Parquet".into(), &[("restore the object's previous version", Way::Restore)]),
        (
            "EditedObject",
            FULL_LOAD,
            edited(&whole, true, another_value).into(),
            &[("restore its previous version", Way::Restore), ("delete it so that it is rebuilt", Way::Delete)],
        ),
        ("ForeignObject", FULL_LOAD, foreign, &[("move it back", Way::Restore), ("", Way::Delete)]),
    ]
}

/// The codes of which a remedy is followed here.
pub(super) fn codes() -> Vec<&'static str> {
    vec!["StateGarbled", "StateTooNew", "DamagedObject", "EditedObject", "ForeignObject", "LogGap", "NotForCsv"]
}

#[test]
fn what_was_damaged_is_put_right_as_the_hint_says() {
    for (code, key, content, ways) in cases() {
        for (words, way) in ways {
            let mut lab = lake();
            let before = lab.objects();
            lab.tamper(key, Some(content.clone()));
            let message = failure(&lab.csv(THIRD), code);
            assert!(message.contains(words), "{message}");
            match way {
                Way::Restore => lab.replace_objects(before),
                Way::Delete => lab.tamper(key, None),
            }
            goes_on(lab);
        }
    }
}

#[test]
fn a_gap_is_closed_by_the_object_of_before() {
    let mut lab = lake();
    let (before, at) = (lab.objects(), lab.now());
    let first = lab.log().remove(0);
    lab.tamper(&first, None);
    lab.tamper(FULL_LOAD, None);
    let folder = tempfile::tempdir().unwrap();
    let output = |name: &str| Output::File(folder.path().join(name), Format::Csv { delimiter: None });
    let error = lab.restore(at, output("t.csv")).unwrap_err();
    assert_eq!(error.code(), "LogGap");
    assert!(error.advice().unwrap().contains("bring the deleted objects back"), "{error:?}");
    lab.replace_objects(before);
    assert_eq!(lab.restore(at, output("t.csv")).unwrap().rows, 3);
    goes_on(lab);
}

#[test]
fn what_no_csv_holds_is_restored_as_parquet() {
    let columns: [(&str, ArrayRef); 2] =
        [("id", Arc::new(Int64Array::from(vec![1]))), ("v", Arc::new(StringArray::from(vec!["a\0b"])))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut lab = Lab::of_t(Value::Null);
    assert!(lab.run(&[("t.parquet", &bytes)]).tables[0].error.is_none());
    let folder = tempfile::tempdir().unwrap();
    let output = |name: &str, format| Output::File(folder.path().join(name), format);
    let error = lab.restore(lab.now(), output("t.csv", Format::Csv { delimiter: None })).unwrap_err();
    assert_eq!((error.code(), folder.path().join("t.csv").exists()), ("NotForCsv", false));
    assert!(error.advice().unwrap().contains(".parquet"), "{error:?}");
    assert_eq!(lab.restore(lab.now(), output("t.parquet", Format::Parquet)).unwrap().rows, 1);
    lab.assert_verified();
}
