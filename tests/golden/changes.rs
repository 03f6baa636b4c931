//! What counts as a change: keys, dates, content, and the rows that are none.

use cdc_to_s3::report::{TableReport, TableStatus};
use serde_json::{Value, json};

use crate::support::lab::{Lab, failure};

fn counts(report: &TableReport) -> (u64, u64, u64, u64) {
    (report.inserted, report.updated, report.deleted, report.silent_changes)
}

#[test]
fn the_first_run_inserts_every_row() {
    let mut lab = Lab::of_t(Value::Null);
    let report = lab.csv_ok("id,v\n2,b\n1,a\n");
    assert_eq!(counts(&report), (2, 0, 0, 0));
    assert_eq!(report.cdc_key.as_deref(), Some("cdc/t/t_20261120_100000.parquet"));
    assert_eq!(lab.changes(), ["1|a|I", "2|b|I"]);
}

/// The original hashed empty cells, and wrote every row of such a table as an update on every run.
#[test]
fn an_unchanged_table_without_a_date_field_yields_no_file() {
    let mut lab = Lab::of_t(json!({"null_values": ["NULL"]}));
    lab.csv_ok("id,v,w\n1,,5\n2,x,\n3,,\n");
    let before = lab.objects();
    let report = lab.csv_ok("w,id,v\n,3,NULL\n5,1,\"\"\n,2,x\n");
    assert_eq!(counts(&report), (0, 0, 0, 0));
    let written: Vec<String> =
        lab.objects().into_iter().filter(|entry| before.get(&entry.0) != Some(&entry.1)).map(|(key, _)| key).collect();
    assert_eq!(written, ["_state/t.json"], "only the state moves on to the new position");
}

#[test]
fn the_three_operations_carry_the_values_that_belong_to_them() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n2,b\n3,c\n4,d\n");
    let report = lab.csv_ok("id,v\n5,e\n4,d\n2,B\n1,a\n");
    assert_eq!(counts(&report), (1, 1, 1, 0));
    assert_eq!(lab.changes(), ["2|B|U", "3|c|D", "5|e|I"]);
    assert_eq!(lab.full_load(), ["5|e", "4|d", "2|B", "1|a"]);
    lab.assert_verified();
}

#[test]
fn a_row_that_comes_back_is_an_insert() {
    let mut lab = Lab::of_t(Value::Null);
    for (content, changes) in [
        ("id,v\n1,a\n2,b\n", vec!["1|a|I", "2|b|I"]),
        ("id,v\n1,a\n", vec!["2|b|D"]),
        ("id,v\n1,a\n2,b\n", vec!["2|b|I"]),
    ] {
        lab.csv_ok(content);
        assert_eq!(lab.changes(), changes);
        lab.assert_verified();
    }
}

#[test]
fn a_value_that_becomes_null_is_an_update_and_so_is_the_way_back() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n2,\n");
    assert_eq!(counts(&lab.csv_ok("id,v\n1,\n2,b\n")), (0, 2, 0, 0));
    assert_eq!(lab.changes(), ["1|∅|U", "2|b|U"]);
}

#[test]
fn values_do_not_move_between_columns_unseen() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,a,b\n1,x,\n2,x,y\n");
    assert_eq!(counts(&lab.csv_ok("id,a,b\n1,,x\n2,y,x\n")), (0, 2, 0, 0));
}

#[test]
fn a_date_decides_and_other_changes_are_silent() {
    let mut lab = Lab::of_t(json!({"date_field": "at"}));
    lab.csv_ok("id,v,at\n1,a,2024-01-01\n2,b,2024-01-01\n3,c,2024-01-01\n4,d,\n5,e,2024-01-01\n");
    let report = lab.csv_ok("id,v,at\n1,a,2024-01-02\n2,B,2024-01-01\n3,C,2023-12-31\n4,d,0001-01-01\n5,e,\n");
    assert_eq!(counts(&report), (0, 2, 0, 3), "1 and 4 are later; null is smallest");
    assert_eq!(lab.changes(), ["1|a|2024-01-02|U", "4|d|0001-01-01|U"]);
    assert_eq!(lab.full_load()[1], "2|B|2024-01-01", "the full load has it all the same");
    assert!(report.warnings[0].contains("3 rows changed while `at` did not move on"), "{:?}", report.warnings);
    let found = lab.verify();
    assert!(found.ok && found.tables[0].silent_changes == 3, "{found:?}");
}

/// The original forced a date conversion upon it, and lost every decrease.
#[test]
fn a_date_field_that_is_a_price_is_compared_as_a_number() {
    let mut lab = Lab::of_t(json!({"date_field": "price"}));
    lab.csv_ok("id,price\n1,9.5\n2,9.5\n3,-1\n4,100\n");
    let report = lab.csv_ok("id,price\n1,10\n2,9\n3,-0.5\n4,99.99\n");
    assert_eq!(counts(&report), (0, 2, 0, 2));
    assert_eq!(lab.changes(), ["1|10.0|U", "3|-0.5|U"]);
    assert!(!report.warnings.is_empty());
}

#[test]
fn a_date_field_that_is_text_is_compared_as_text_with_a_warning() {
    let mut lab = Lab::of_t(json!({"date_field": "at"}));
    lab.csv_ok("id,at\n1,31/12/2023\n2,01/12/2023\n");
    let report = lab.csv_ok("id,at\n1,01/01/2024\n2,02/12/2023\n");
    assert_eq!(counts(&report), (0, 1, 0, 1));
    assert!(report.warnings.iter().any(|warning| warning.contains("compared as text")), "{:?}", report.warnings);
}

#[test]
fn each_mode_publishes_what_it_says() {
    let modes = [("date", (0, 1, 0, 1), 1), ("content", (0, 2, 0, 0), 2)];
    for (mode, expected, rows) in modes {
        let mut lab = Lab::of_t(json!({"date_field": "at", "update_detection": mode}));
        lab.csv_ok("id,v,at\n1,a,1\n2,b,1\n3,c,1\n");
        let report = lab.csv_ok("id,v,at\n1,a,2\n2,B,1\n3,c,1\n");
        assert_eq!(counts(&report), expected, "{mode}");
        assert_eq!(lab.changes().len(), rows, "{mode}");
        lab.assert_verified();
    }
}

#[test]
fn decimals_and_instants_are_ordered_as_such() {
    for (column_type, old, new) in [
        ("decimal(38,2)", "99999999999999999999999999999999999.98", "99999999999999999999999999999999999.99"),
        ("timestamptz", "2024-01-01T10:00:00-03:00", "2024-01-01T14:00:00Z"),
        ("bool", "false", "true"),
        ("int64", "9223372036854775806", "9223372036854775807"),
    ] {
        for (before, after, expected) in [(old, new, (0, 1, 0, 0)), (new, old, (0, 0, 0, 1))] {
            let mut lab = Lab::of_t(json!({"date_field": "at", "columns": {"at": column_type}}));
            lab.csv_ok(format!("id,at\n1,{before}\n"));
            assert_eq!(counts(&lab.csv_ok(format!("id,at\n1,{after}\n"))), expected, "{column_type}");
        }
    }
}

#[test]
fn composite_keys_are_told_apart_by_every_part() {
    let mut lab = Lab::of_t(json!({"pk": ["a", "b"]}));
    lab.csv_ok("a,b,v\nx,yz,1\nxy,z,1\nx,z,1\n");
    let report = lab.csv_ok("b,a,v\nz,x,1\nz,xy,2\nyy,x,1\n");
    assert_eq!(counts(&report), (1, 1, 1, 0));
    assert_eq!(lab.changes(), ["xy|z|2|U", "x|yy|1|I", "x|yz|1|D"]);
    lab.assert_verified();
}

#[test]
fn repeated_keys_fail_with_the_lines_named() {
    let mut lab = Lab::of_t(Value::Null);
    let message = failure(&lab.csv("id,v\n1,a\n2,\"two\nlines\"\n1,c\n2,d\n1,e\n"), "DuplicateKeys");
    assert!(message.contains("3 rows repeat a key `id`"), "{message}");
    assert!(message.contains("lines 2 and 5, lines 3 and 6, lines 2 and 7"), "{message}");
    assert!(message.contains("on_duplicate_key"), "{message}");
    assert!(lab.objects().is_empty());
}

#[test]
fn repeated_keys_keep_the_first_or_the_last() {
    for (policy, kept) in [("first", ["1|a", "2|b"]), ("last", ["2|d", "1|e"])] {
        let mut lab = Lab::of_t(json!({"on_duplicate_key": policy}));
        let report = lab.csv_ok("id,v\n1,a\n2,b\n1,c\n2,d\n1,e\n");
        assert_eq!((report.rows, report.dropped_rows), (2, 3), "{policy}");
        assert_eq!(lab.full_load(), kept);
        assert!(report.warnings.iter().any(|warning| warning.contains("3 rows repeat a key")));
        let again = lab.csv_ok("id,v\r\n1,a\r\n2,b\r\n1,c\r\n2,d\r\n1,e\r\n");
        assert_eq!((counts(&again), again.status), ((0, 0, 0, 0), TableStatus::Unchanged), "{policy}");
        lab.assert_verified();
    }
}

#[test]
fn keys_that_are_one_value_in_two_spellings_are_repeated() {
    let mut lab = Lab::of_t(json!({"columns": {"id": "int64"}}));
    let message = failure(&lab.csv("id,v\n7,a\n007,b\n"), "DuplicateKeys");
    assert!(message.contains("lines 2 and 3"), "{message}");
}

#[test]
fn null_keys_fail_with_the_line_or_are_left_out_by_policy() {
    let mut lab = Lab::of_t(Value::Null);
    let message = failure(&lab.csv("id,v\n1,a\n,b\n"), "NullKey");
    assert!(message.contains("t.csv") && message.contains("line 3") && message.contains("`id`"), "{message}");
    let mut lab = Lab::of_t(json!({"pk": ["a", "b"]}));
    let message = failure(&lab.csv("a,b\n1,\n"), "NullKey");
    assert!(message.contains("line 2"), "{message}");
    for repeated in ["fail", "first", "last"] {
        let mut lab = Lab::of_t(json!({"on_duplicate_key": repeated}));
        failure(&lab.csv("id,v\n1,a\n,b\n,c\n"), "NullKey");
        lab.reconfigure(json!({"on_duplicate_key": repeated, "on_null_key": "drop"}));
        let report = lab.csv_ok("id,v\n1,a\n,b\n,c\n");
        assert_eq!((report.rows, report.dropped_rows), (1, 2));
        assert_eq!(report.warnings, ["2 rows have no key and were dropped by `on_null_key`"]);
        assert_eq!(lab.full_load(), ["1|a"]);
        lab.assert_verified();
    }
}
