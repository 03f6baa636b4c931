//! Settings that change while a lake is in use: what was read by the old ones is read again by the new ones, and nothing that
//! the old ones kept out of the log stays out of it.

use cdc_to_s3::report::TableStatus;
use serde_json::{Value, json};

use crate::support::lab::{FULL_LOAD, Lab};

const DATED: &str = r#"{"date_field": "d"}"#;

fn dated() -> Value {
    serde_json::from_str(DATED).unwrap()
}

/// The hint of the warning was followed, and the next run said that nothing had changed.
#[test]
fn the_same_file_is_read_again_by_another_setting() {
    let text = b"id,v\n1,\xB3\xF3d\xBC\n2,x\n";
    let mut lab = Lab::of_t(json!({"encoding": "windows-1252"}));
    lab.csv_ok(text);
    assert_eq!(lab.full_load(), ["1|³ód¼", "2|x"]);
    lab.reconfigure(json!({"encoding": "iso-8859-2"}));
    let report = lab.csv_ok(text);
    assert_eq!((report.status, report.updated), (TableStatus::Changed, 1));
    assert_eq!(lab.full_load(), ["1|łódź", "2|x"]);
    assert_eq!(lab.csv_ok(text).status, TableStatus::Unchanged);
    lab.reconfigure(json!({"encoding": "iso-8859-2", "null_values": ["x"]}));
    assert_eq!(lab.csv_ok(text).updated, 1);
    assert_eq!(lab.full_load(), ["1|łódź", "2|∅"]);
    lab.assert_verified();
}

#[test]
fn a_limit_that_changes_no_row_reads_nothing_again() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n");
    let before = lab.objects();
    lab.reconfigure(json!({"max_deleted_fraction": 0.9}));
    assert_eq!(lab.csv_ok("id,v\n1,a\n").status, TableStatus::Unchanged);
    assert_eq!(lab.objects(), before);
}

/// The warning about silent changes says so: the full load held them, so that the comparison found nothing to publish.
#[test]
fn changes_that_were_silent_are_published_once_every_change_counts() {
    let mut lab = Lab::of_t(dated());
    lab.csv_ok("id,d,v\n1,2024-01-01,x\n2,2024-01-01,y\n3,2024-01-01,z\n");
    assert_eq!(lab.csv_ok("id,d,v\n1,2024-01-02,x\n2,2024-01-01,Y\n3,2024-01-01,z\n").silent_changes, 1);
    assert_eq!(lab.csv_ok("id,d,v\n1,2024-01-02,x\n2,2024-01-01,Y\n3,2024-01-03,z\n").silent_changes, 0);
    for content in [json!({"date_field": "d", "update_detection": "content"}), json!({})] {
        lab.reconfigure(content);
        lab.assert_verified();
    }
    let report = lab.csv_ok("id,d,v\n1,2024-01-02,x\n2,2024-01-01,Y\n3,2024-01-03,z\n4,2024-01-04,w\n");
    assert_eq!((report.inserted, report.updated, report.deleted), (1, 1, 0));
    assert_eq!(lab.changes(), ["2|2024-01-01|Y|U", "4|2024-01-04|w|I"]);
    assert_eq!(report.warnings, Vec::<String>::new());
    assert_eq!(lab.verify().tables[0].silent_changes, 0);
    lab.assert_verified();
    assert_eq!(lab.csv_ok("id,d,v\n1,2024-01-02,x\n2,2024-01-01,Y\n3,2024-01-03,z\n").deleted, 1);
    lab.assert_verified();
}

/// The object from before holds a moment, the full load the text of the source, and `T` sorts behind a space.
#[test]
fn a_date_field_that_became_text_has_not_moved_on_by_that() {
    let mut lab = Lab::of_t(dated());
    lab.csv_ok("id,d,v\n1,2024-01-31T10:00:00,a\n2,2024-01-31T10:00:00,b\n");
    assert_eq!(lab.csv_ok("id,d,v\n1,2024-01-31T10:00:00,a\n2,2024-01-31T10:00:00,B\n3,unknown,c\n").silent_changes, 1);
    assert_eq!(
        lab.csv_ok("id,d,v\n1,2024-01-31T10:00:00,a2\n2,2024-01-31T10:00:00,B\n3,unknown,c\n").silent_changes,
        1
    );
    lab.assert_verified();
}

/// The number was smaller; the text of it, once another row made the column text, is greater.
#[test]
fn a_number_that_went_back_before_its_column_became_text_is_no_fault_of_the_log() {
    let mut lab = Lab::of_t(dated());
    lab.csv_ok("id,d,v\n1,10,a\n2,10,b\n");
    assert_eq!(lab.csv_ok("id,d,v\n1,2,A\n2,10,b\n").silent_changes, 1);
    lab.csv_ok("id,d,v\n1,2,A\n2,10,b\n3,x,c\n");
    lab.assert_verified();
}

#[test]
fn a_column_without_a_value_takes_the_type_that_is_declared_later() {
    for (declared, text) in [("string", "x"), ("timestamptz", "2024-01-31T10:00:00Z"), ("int64", "7")] {
        let mut lab = Lab::of_t(Value::Null);
        lab.csv_ok("id,d\n1,\n2,\n");
        lab.reconfigure(json!({"columns": {"d": declared}}));
        lab.csv_ok(format!("id,d\n1,{text}\n2,\n"));
        assert_eq!((lab.full_load().len(), lab.changes().len()), (2, 1), "{declared}");
        lab.assert_verified();
    }
}

/// The text column of nulls was cast to an instant, which Arrow refuses.
#[test]
fn a_date_field_without_a_value_gets_its_type_with_the_first() {
    for more in [dated(), json!({"date_field": "d", "update_detection": "content"})] {
        let mut lab = Lab::of_t(more);
        lab.csv_ok("id,d\n1,\n2,\n");
        lab.csv_ok("id,d\n1,2024-01-31T10:00:00Z\n2,\n");
        assert_eq!(lab.changes().len(), 1);
        lab.assert_verified();
    }
}

/// No run had stopped.
#[test]
fn a_full_load_that_is_rebuilt_completes_no_other_run() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n2,b\n");
    lab.csv_ok("id,v\n1,A\n2,b\n");
    lab.tamper(FULL_LOAD, None);
    let report = lab.csv_ok("id,v\n1,A\n2,B\n");
    assert_eq!((report.updated, report.warnings), (1, vec![]));
    lab.assert_verified();
}
