//! Schema drift: one schema per table in all of its files, learnt once and only widened.

use cdc_to_s3::ops::restore::{Format, Output};
use cdc_to_s3::report::{TableReport, TableStatus};
use serde_json::{Value, json};

use crate::support::lab::{FULL_LOAD, Lab, failure};

fn drift(report: &TableReport) -> Vec<String> {
    report.schema_changes.iter().map(ToString::to_string).collect()
}

fn counts(report: &TableReport) -> (u64, u64, u64, u64) {
    (report.inserted, report.updated, report.deleted, report.silent_changes)
}

#[test]
fn an_added_column_goes_to_the_end_and_is_null_before() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,a\n1,x\n2,y\n");
    let report = lab.csv_ok("b,id,a\n7,1,x\n,2,y\n");
    assert_eq!(drift(&report), ["added `b` (int64)"]);
    assert_eq!(counts(&report), (0, 1, 0, 0));
    assert_eq!(lab.columns(FULL_LOAD), ["id:Int64", "a:Utf8", "b:Int64"]);
    assert_eq!(lab.full_load(), ["1|x|7", "2|y|∅"]);
    assert_eq!(lab.changes(), ["1|x|7|U"]);
    lab.assert_verified();
}

#[test]
fn a_removed_column_is_null_and_finds_its_place_when_it_comes_back() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,a,b\n1,x,5\n2,y,\n");
    let report = lab.csv_ok("id,b\n1,5\n2,\n");
    assert_eq!(drift(&report), ["removed `a`"]);
    assert_eq!(lab.changes(), ["1|∅|5|U", "2|∅|∅|U"]);
    let report = lab.csv_ok("b,a,id\n5,x,1\n,y,2\n");
    assert_eq!(drift(&report), ["added `a` (string)", "columns reordered"]);
    assert_eq!(lab.full_load(), ["1|x|5", "2|y|∅"]);
    assert_eq!(lab.columns(FULL_LOAD), ["id:Int64", "a:Utf8", "b:Int64"]);
    lab.assert_verified();
}

#[test]
fn deleted_rows_keep_the_values_of_a_column_that_is_gone() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,a\n1,x\n2,y\n3,z\n");
    lab.csv_ok("id\n1\n2\n");
    assert_eq!(lab.changes(), ["1|∅|U", "2|∅|U", "3|z|D"]);
    lab.assert_verified();
}

/// Found here: what was reported came from the files, which a mere new order does not touch, so it came up again and
/// again.
#[test]
fn another_order_is_no_change_and_is_reported_once() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,a,b\n1,x,5\n");
    let report = lab.csv_ok("b,id,a\n5,1,x\n");
    assert_eq!((drift(&report), counts(&report)), (vec!["columns reordered".to_owned()], (0, 0, 0, 0)));
    assert_eq!(report.cdc_key, None);
    let report = lab.csv_ok("b,id,a\r\n5,1,x\r\n");
    assert_eq!((drift(&report), report.status), (vec![], TableStatus::Unchanged));
    assert_eq!(lab.columns(FULL_LOAD), ["id:Int64", "a:Utf8", "b:Int64"]);
}

#[test]
fn widening_rewrites_no_row_that_means_the_same() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,1\n2,2\n3,3\n");
    let report = lab.csv_ok("id,v\n1,1.0\n2,2.5\n3,3.0\n");
    assert_eq!(drift(&report), ["widened `v` from int64 to double"]);
    assert_eq!(lab.changes(), ["2|2.5|U"]);
    let report = lab.csv_ok("id,v\n1,1.0\n2,2.5\n3,three\n4,4\n");
    assert_eq!(drift(&report), ["widened `v` from double to string"]);
    assert_eq!(lab.changes(), ["3|three|U", "4|4|I"]);
    assert_eq!(lab.full_load(), ["1|1.0", "2|2.5", "3|three", "4|4"]);
    lab.assert_verified();
}

/// A publisher whose tool writes the same numbers with more digits has changed nothing; codes whose last zero comes to mean
/// something have changed.
#[test]
fn another_format_of_all_numbers_is_no_change_and_of_some_is_one() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,250.0\n2,401.9\n3,1.9\n");
    let report = lab.csv_ok("id,v\n1,250.00\n2,401.90\n3,1.90\n");
    assert_eq!((counts(&report), drift(&report)), ((0, 0, 0, 0), vec![]));
    let report = lab.csv_ok("id,v\n1,250.0\n2,401.9\n3,1.9\n");
    assert_eq!((counts(&report), drift(&report)), ((0, 0, 0, 0), vec![]));
    let report = lab.csv_ok("id,v\n1,250.00\n2,401.9\n3,1.90\n");
    assert_eq!(drift(&report), ["widened `v` from double to string"]);
    assert_eq!(lab.changes(), ["1|250.00|U", "3|1.90|U"]);
    lab.assert_verified();
}

/// The rows that a run deletes have the texts that their source wrote.
#[test]
fn a_deleted_number_becomes_the_text_that_it_was() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,2.50\n2,10.00\n3,7.00\n");
    lab.csv_ok("id,v\n1,2.50\n3,n/a\n");
    assert_eq!(lab.changes(), ["2|10.00|D", "3|n/a|U"]);
    lab.assert_verified();
}

#[test]
fn an_integer_that_no_double_holds_is_kept_or_refused() {
    let mut lab = Lab::of_t(json!({"columns": {"v": "int64"}}));
    lab.csv_ok("id,v\n1,9007199254740993\n2,5\n");
    let before = lab.objects();
    lab.reconfigure(json!({"columns": {"v": "double"}}));
    failure(&lab.csv("id,v\n1,9007199254740993\n2,5.5\n"), "CellMisfit");
    let message = failure(&lab.csv("id,v\n2,5.5\n"), "LosesDigits");
    assert!(message.contains("`v`"), "{message}");
    lab.assert_objects(&before);
    lab.reconfigure(json!({"columns": {"v": "string"}}));
    lab.csv_ok("id,v\n1,9007199254740993\n2,5.5\n");
    assert_eq!(lab.changes(), ["2|5.5|U"]);
    lab.assert_verified();
}

#[test]
fn a_text_keeps_its_own_form_once_the_column_is_text() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,1.5\n2,x\n");
    lab.csv_ok("id,v\n1,1.50\n2,x\n");
    assert_eq!(lab.changes(), ["1|1.50|U"]);
}

#[test]
fn dates_widen_to_timestamps_and_these_to_text() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,2024-01-01\n2,2024-01-02\n");
    let report = lab.csv_ok("id,v\n1,2024-01-01\n2,2024-01-02 10:00\n");
    assert_eq!(drift(&report), ["widened `v` from date to timestamp"]);
    assert_eq!(lab.changes(), ["2|2024-01-02T10:00:00|U"]);
    let report = lab.csv_ok("id,v\n1,2024-01-01\n2,2024-01-02 10:00:00\n3,soon\n");
    assert_eq!(drift(&report), ["widened `v` from timestamp to string"]);
    assert_eq!(lab.changes(), ["3|soon|I"]);
    lab.assert_verified();
}

#[test]
fn types_that_have_nothing_in_common_become_text() {
    for (before, after) in [("true", "1"), ("5", "2024-01-01"), ("2024-01-01 10:00", "2024-01-01T10:00:00Z")] {
        let mut lab = Lab::of_t(Value::Null);
        lab.csv_ok(format!("id,v\n1,{before}\n"));
        lab.csv_ok(format!("id,v\n1,{before}\n2,{after}\n"));
        assert_eq!(lab.columns(FULL_LOAD)[1], "v:Utf8");
        assert_eq!(lab.changes(), [format!("2|{after}|I")]);
        lab.assert_verified();
    }
}

/// Found here: Arrow knows no time zone by its name, so an old instant could not become text and the table failed.
#[test]
fn instants_of_deleted_rows_become_text_too() {
    let mut lab = Lab::of_t(json!({"date_field": "v"}));
    lab.csv_ok("id,v\n1,2024-01-01T10:00:00Z\n2,2024-01-02T10:00:00Z\n");
    let report = lab.csv_ok("id,v\n1,2024-01-01T10:00:00Z\n3,tomorrow\n");
    assert_eq!(counts(&report), (1, 0, 1, 0));
    assert_eq!(lab.changes(), ["2|2024-01-02T10:00:00Z|D", "3|tomorrow|I"]);
    lab.assert_verified();
}

/// Found here: in date mode every row of a widened date field was an update, because `1.50` is the greater text.
#[test]
fn a_date_field_that_is_widened_updates_no_row_that_means_the_same() {
    let mut lab = Lab::of_t(json!({"date_field": "v"}));
    lab.csv_ok("id,v\n1,1.50\n2,2.50\n3,3\n");
    let report = lab.csv_ok("id,v\n1,1.50\n2,2.50\n3,3\n4,unknown\n");
    assert_eq!(counts(&report), (1, 0, 0, 0));
    lab.assert_verified();
}

/// Found here: replaying the log, an update or delete of a key that was a number when it was inserted did not find it.
#[test]
fn a_key_that_is_widened_is_still_the_same_key() {
    for (keys, columns) in [
        (["1", "2", "3", "4"], ["Int64", "Utf8"]),
        (["1.5", "2.25", "3.0", "4.75"], ["Utf8", "Utf8"]),
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"], ["Date32", "Utf8"]),
        (["2024-01-01 10:00", "2024-01-02 10:00", "2024-01-03 10:00", "2024-01-04 10:00"], ["Utf8", "Utf8"]),
    ] {
        let mut lab = Lab::of_t(Value::Null);
        let [a, b, c, d] = keys;
        lab.csv_ok(format!("id,v\n{a},x\n{b},x\n{c},x\n{d},x\n"));
        assert_eq!(lab.columns(FULL_LOAD)[0], format!("id:{}", columns[0]));
        let report = lab.csv_ok(format!("id,v\n{a},x\n{b},y\n{d},x\nA1,x\n"));
        assert_eq!(counts(&report), (1, 1, 1, 0), "{:?}", lab.changes());
        assert_eq!(lab.columns(FULL_LOAD)[0], format!("id:{}", columns[1]));
        lab.assert_verified();
        let report = lab.csv_ok(format!("id,v\n{b},z\n{d},y\nA1,y\n"));
        assert_eq!(counts(&report), (0, 3, 1, 0), "{:?}", lab.changes());
        lab.assert_verified();
    }
}

#[test]
fn two_codes_are_two_keys() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1.1,x\n1.10,y\n1.2,z\n");
    assert_eq!(lab.full_load(), ["1.1|x", "1.10|y", "1.2|z"]);
    let report = lab.csv_ok("id,v\n1.10,y\n1.100,x\n1.2,z\n");
    assert_eq!(counts(&report), (1, 0, 1, 0));
    assert_eq!(lab.changes(), ["1.100|x|I", "1.1|x|D"]);
    lab.assert_verified();
}

/// pandas writes integers as `1.0` once a cell of their column is empty.
#[test]
fn an_integer_key_written_with_a_point_is_the_same_key_and_reported() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n2,b\n3,c\n");
    let report = lab.csv_ok("id,v\n1.0,a\n2.0,x\n3.0,c\n");
    assert_eq!((counts(&report), report.warnings.len()), ((0, 1, 0, 0), 1));
    assert!(report.warnings[0].contains("`id`") && report.warnings[0].contains("1.0"), "{report:?}");
    assert_eq!(lab.columns(FULL_LOAD)[0], "id:Int64");
    let report = lab.csv_ok("id,v\n1,a\n2,x\n3,c\nA5,e\n");
    assert_eq!((counts(&report), report.warnings.len()), ((1, 0, 0, 0), 0));
    let report = lab.csv_ok("id,v\n1,a\n2.0,x\n3,c\nA5,e\n");
    assert_eq!(counts(&report), (1, 0, 1, 0), "as text it is another key");
    lab.assert_verified();
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n2,b\n");
    failure(&lab.csv("id,v\n1,a\n2,b\n2.0,c\n"), "DuplicateKeys");
}

/// Found here: the key was looked for among rows that had another, and the objects were said to be edited by hand.
#[test]
fn another_key_is_named_and_a_new_table_begins_with_it() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,code,v\n1,a,x\n2,b,y\n");
    let before = lab.objects();
    lab.reconfigure(json!({"pk": "code"}));
    let report = lab.csv("id,code,v\n1,a,z\n2,b,y\n");
    let message = failure(&report, "PkChanged");
    assert!(message.contains("`id`") && message.contains("`code`"), "{message}");
    lab.assert_objects(&before);
    lab.reconfigure(json!({"pk": "id"}));
    lab.csv_ok("id,code,v\n1,a,z\n2,b,y\n");
    lab.assert_verified();
}

#[test]
fn a_key_of_a_declared_type_keeps_it_or_fails() {
    let mut lab = Lab::of_t(json!({"columns": {"id": "double"}}));
    lab.csv_ok("id,v\n1.5,a\n2.5,b\n");
    let before = lab.objects();
    failure(&lab.csv("id,v\n1.5,a\nA5,b\n"), "CellMisfit");
    lab.reconfigure(Value::Null);
    failure(&lab.csv("id,v\n1.5,a\nA5,b\n"), "KeyTypeChanged");
    lab.reconfigure(json!({"columns": {"id": "string"}}));
    failure(&lab.csv("id,v\n1.5,a\nA5,b\n"), "KeyTypeChanged");
    lab.assert_objects(&before);
}

/// The base of a run is the full load and the log after it; both may be older than the key's type.
#[test]
fn a_log_that_is_ahead_of_the_full_load_is_replayed_across_a_widened_key() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,x\n2,x\n3,x\n");
    let before = lab.objects();
    lab.csv_ok("id,v\n1,y\n2,x\nA1,x\n");
    let mut after = lab.objects();
    for key in [FULL_LOAD, "_state/t.json"] {
        after.insert(key.to_owned(), before[key].clone());
    }
    lab.replace_objects(after);
    let report = lab.csv_ok("id,v\n1,y\n2,y\nA1,x\n");
    assert_eq!(counts(&report), (0, 1, 0, 0));
    assert_eq!(lab.full_load(), ["1|y", "2|y", "A1|x"]);
    lab.assert_verified();
}

#[test]
fn a_frozen_schema_refuses_every_drift() {
    let drifts = [
        ("id,v,w\n1,1,1\n", "added `w`"),
        ("id\n1\n", "removed `v`"),
        ("v,id\n1,1\n", "reordered"),
        ("id,v\n1,x\n", "widened `v` from int64 to string"),
    ];
    for (content, what) in drifts {
        let mut lab = Lab::of_t(json!({"schema": "freeze"}));
        lab.csv_ok("id,v\n1,1\n");
        let before = lab.objects();
        let message = failure(&lab.csv(content), "SchemaFrozen");
        assert!(message.contains(what), "{message}");
        lab.assert_objects(&before);
    }
}

#[test]
fn a_frozen_schema_lets_rows_change() {
    let mut lab = Lab::of_t(json!({"schema": "freeze"}));
    lab.csv_ok("id,v\n1,1\n");
    assert_eq!(counts(&lab.csv_ok("id,v\n1,2\n2,2\n")), (1, 1, 0, 0));
}

#[test]
fn a_declared_type_may_widen_the_stored_one_and_not_narrow_it() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,1\n2,2\n");
    lab.reconfigure(json!({"columns": {"v": "double"}}));
    let report = lab.csv_ok("id,v\n1,1\n2,3\n");
    assert_eq!(drift(&report), ["widened `v` from int64 to double"]);
    assert_eq!(lab.changes(), ["2|3.0|U"]);
    for narrower in ["int64", "date", "decimal(10,2)"] {
        lab.reconfigure(json!({"columns": {"v": narrower}}));
        let before = lab.objects();
        let message = failure(&lab.csv("id,v\n1,1\n2,4\n"), "SchemaNarrowed");
        assert!(message.contains("`v` is stored as double") && message.contains(narrower), "{message}");
        lab.assert_objects(&before);
    }
}

/// Found here: a declared decimal could not get more digits, and one of a Parquet file became text.
#[test]
fn a_decimal_gets_more_digits_before_the_point_and_no_others_behind_it() {
    let declared = |column_type: &str| json!({"columns": {"id": column_type, "v": column_type}});
    let mut lab = Lab::of_t(declared("decimal(5,2)"));
    lab.csv_ok("id,v\n1.5,1.50\n2,999.99\n3,\n");
    let first = lab.now();
    lab.reconfigure(declared("decimal(12,2)"));
    let report = lab.csv_ok("id,v\n1.5,1.5\n2,1000000000\n");
    let widened = |name: &str| format!("widened `{name}` from decimal(5,2) to decimal(12,2)");
    assert_eq!((drift(&report), counts(&report)), (vec![widened("id"), widened("v")], (0, 1, 1, 0)));
    assert_eq!(lab.changes(), ["2.00|1000000000.00|U", "3.00|∅|D"]);
    lab.assert_verified();
    let folder = tempfile::tempdir().unwrap();
    let restored = lab.restore(first, Output::File(folder.path().join("t.parquet"), Format::Parquet)).unwrap();
    assert!(restored.proven, "{restored:?}");
    for (narrower, code) in [("decimal(11,2)", "KeyTypeChanged"), ("decimal(13,3)", "KeyTypeChanged")] {
        lab.reconfigure(declared(narrower));
        failure(&lab.csv("id,v\n1.5,1.5\n2,7\n"), code);
    }
    for narrower in ["decimal(11,2)", "decimal(13,3)"] {
        lab.reconfigure(json!({"columns": {"id": "decimal(12,2)", "v": narrower}}));
        failure(&lab.csv("id,v\n1.5,1.5\n2,7\n"), "SchemaNarrowed");
    }
}

/// Found here: the two names were put side by side into the table's files, where no query engine tells them apart.
#[test]
fn a_column_that_comes_back_in_another_case_is_refused() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,Nome\n1,x\n");
    let before = lab.objects();
    let message = failure(&lab.csv("id,nome\n1,x\n"), "ColumnCaseChanged");
    assert!(message.contains("`nome`") && message.contains("`Nome`"), "{message}");
    lab.assert_objects(&before);
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,οδος\n1,x\n");
    failure(&lab.csv("id,ΟΔΟΣ\n1,x\n"), "ColumnCaseChanged");
    failure(&lab.csv("id,οδοσ\n1,x\n"), "ColumnCaseChanged");
}

#[test]
fn every_file_of_a_table_fits_the_newest_schema() {
    let mut lab = Lab::of_t(Value::Null);
    let versions = [
        "id,a,b\n1,1,x\n2,2,y\n3,3,z\n",
        "id,b,a,c\n1,x,1.5,2024-01-01\n2,y,2,\n",
        "id,c,a\n1,2024-01-01 10:00,1.5\n2,,2\n4,,7\n",
        "id,a,b,c,d\n1,n/a,true,2024-01-01 10:00,\n2,2,,,\n4,8,,,\n",
    ];
    for version in versions {
        lab.csv_ok(version);
        lab.assert_verified();
    }
    let newest = ["id:Int64", "a:Utf8", "b:Utf8", "c:Timestamp(µs)", "d:Utf8"];
    assert_eq!(lab.columns(FULL_LOAD), newest);
    let narrower = |found: &str, newest: &str| {
        let wider = match found {
            "Int64" => &["Int64", "Float64", "Utf8"][..],
            "Float64" => &["Float64", "Utf8"],
            "Date32" => &["Date32", "Timestamp(µs)", "Utf8"],
            "Timestamp(µs)" => &["Timestamp(µs)", "Utf8"],
            _ => &["Utf8"],
        };
        wider.contains(&newest)
    };
    let log = lab.log();
    assert_eq!(log.len(), versions.len());
    for key in log {
        let mut columns = lab.columns(&key);
        assert_eq!(columns.pop().unwrap(), "op:Utf8", "{key}");
        for (column, newest) in columns.iter().zip(newest) {
            let ((name, found), (newest_name, newest)) =
                (column.split_once(':').unwrap(), newest.split_once(':').unwrap());
            assert_eq!(name, newest_name, "{key}");
            assert!(narrower(found, newest), "{key}: {column} does not fit {newest}");
        }
    }
}
