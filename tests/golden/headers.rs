//! Files whose columns have no names: `header` is `none`, and the configuration names them.

use cdc_to_s3::ops::restore::{Format, Output};
use serde_json::{Value, json};

use crate::support::lab::{FULL_LOAD, Lab, config, failure};

/// A table of files without a header, with these columns in this order.
fn headless(columns: &str) -> Value {
    json!({"header": "none", "columns": serde_json::from_str::<Value>(columns).unwrap()})
}

fn lab(columns: &str) -> Lab {
    Lab::of_t(headless(columns))
}

const COLUMNS: &str = r#"{"when": "auto", "id": "auto", "a": "string"}"#;

#[test]
fn columns_are_named_in_the_order_of_the_configuration() {
    let mut lab = lab(COLUMNS);
    lab.csv_ok("2026-01-01,1,01\n2026-01-02,2,02\n");
    assert_eq!(lab.columns(FULL_LOAD), ["when:Date32", "id:Int64", "a:Utf8"]);
    assert_eq!(lab.full_load(), ["2026-01-01|1|01", "2026-01-02|2|02"]);
    let report = lab.csv_ok("2026-01-01,1,01\n2026-01-03,2,02\n2026-01-04,3,\n");
    assert_eq!((report.inserted, report.updated, report.deleted, report.warnings.len()), (1, 1, 0, 0));
    lab.assert_verified();
}

#[test]
fn the_first_line_is_line_one_and_a_row() {
    let message = failure(&lab(r#"{"id": "int64", "v": "auto"}"#).csv("x1,a\n2,b\n"), "CellMisfit");
    assert!(message.contains("`t.csv` line 1"), "{message}");
    let message = failure(&lab(r#"{"id": "auto", "v": "auto"}"#).csv("1,a\n2,b\n2,c\n"), "DuplicateKeys");
    assert!(message.contains("2 and 3"), "{message}");
}

#[test]
fn the_number_of_cells_is_that_of_the_columns() {
    for (content, place) in [
        ("1,a,x\n2,b,y\n", "line 1: 3 fields where `columns` names 2"),
        ("\n1\n2\n", "line 2: 1 fields where `columns` names 2"),
        ("1,a\n2,b,c\n", "line 2: 3 fields"),
    ] {
        let message = failure(&lab(r#"{"id": "auto", "v": "auto"}"#).csv(content), "RaggedRow");
        assert!(message.contains(place), "{message}");
    }
}

#[test]
fn a_header_after_all_is_no_row() {
    let mut lab = lab(r#"{"id": "auto", "v": "auto"}"#);
    let message = failure(&lab.csv("ID ,other\n1,a\n"), "HeaderFound");
    assert!(message.contains("line 1") && message.contains("first_line"), "{message}");
    lab.csv_ok("1,a\n2,b\n");
    let before = lab.objects();
    failure(&lab.csv("id,v\n1,a\n2,b\n"), "HeaderFound");
    lab.assert_objects(&before);
    // What the hint says.
    lab.reconfigure(json!({"columns": {"id": "auto", "v": "auto"}}));
    let report = lab.csv_ok("id,v\n1,a\n2,b\n");
    assert_eq!((report.inserted, report.updated, report.deleted), (0, 0, 0));
}

#[test]
fn a_file_that_lost_its_header_goes_on_with_the_names_that_it_had() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n2,b\n");
    let message = failure(&lab.csv("1,a\n2,c\n"), "ColumnNotFound");
    assert!(message.contains("`header` to none") && message.contains("`columns`"), "{message}");
    lab.reconfigure(headless(r#"{"id": "auto", "v": "auto"}"#));
    let report = lab.csv_ok("1,a\n2,c\n");
    assert_eq!((report.inserted, report.updated, report.deleted), (0, 1, 0));
}

/// The values of all rows would have moved to other columns.
#[test]
fn another_order_of_the_columns_is_refused() {
    let mut lab = lab(r#"{"id": "auto", "a": "auto", "b": "auto"}"#);
    lab.csv_ok("1,x,y\n2,z,w\n");
    let before = lab.objects();
    lab.reconfigure(headless(r#"{"id": "auto", "b": "auto", "a": "auto"}"#));
    let message = failure(&lab.csv("1,x,y\n2,z,v\n"), "ColumnsReordered");
    assert!(message.contains("`id`, `a`, `b`"), "{message}");
    lab.assert_objects(&before);
    lab.reconfigure(headless(r#"{"id": "auto", "a": "auto", "b": "auto", "c": "auto"}"#));
    let report = lab.csv_ok("1,x,y,\n2,z,w,\n");
    assert_eq!((report.updated, report.schema_changes.len()), (0, 1));
}

#[test]
fn each_file_of_a_set_has_no_header() {
    let mut spec = headless(r#"{"id": "auto", "v": "auto"}"#);
    spec["file"] = json!("parts/*.csv");
    let mut lab = Lab::of_t(spec);
    let report = lab.run(&[("parts/a.csv", b"1,a\n2,b\n"), ("parts/b.csv", b"3,c\n"), ("parts/c.csv", b"")]);
    assert_eq!((report.tables[0].rows, report.tables[0].warnings.len()), (3, 1));
    assert_eq!(lab.full_load(), ["1|a", "2|b", "3|c"]);
    let message = failure(&lab.run(&[("parts/a.csv", b"1,a\n"), ("parts/b.csv", b"id,v\n")]).tables[0], "HeaderFound");
    assert!(message.contains("`parts/b.csv` line 1"), "{message}");
}

#[test]
fn quoted_first_lines_and_the_line_of_excel() {
    for (content, rows) in [
        ("sep=;\r\n\"1\";\"a\r\nb\"\r\n2;c\r\n", ["1|a\r\nb", "2|c"]),
        ("\u{feff}\"1\",\"a \"\"b\"\"\"\n2,\n", ["1|a \"b\"", "2|∅"]),
    ] {
        let mut lab = lab(r#"{"id": "auto", "v": "auto"}"#);
        lab.csv_ok(content);
        assert_eq!(lab.full_load(), rows);
    }
}

#[test]
fn parquet_names_its_columns_itself() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n");
    let parquet = lab.objects()[FULL_LOAD].clone();
    lab.reconfigure(headless(r#"{"id": "auto", "v": "auto"}"#));
    lab.approval = cdc_to_s3::request::Approval::All;
    failure(&lab.run(&[("t.parquet", &parquet)]).tables[0], "HeaderOfParquet");
}

#[test]
fn a_restored_csv_has_no_header_either() {
    let mut lab = lab(r#"{"v": "auto", "id": "auto"}"#);
    lab.csv_ok("a,1\nb,2\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    lab.restore(lab.now(), Output::File(path.clone(), Format::Csv { delimiter: None })).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "a,1\nb,2\n");
    let report = lab.csv_ok(text);
    assert_eq!((report.inserted, report.updated, report.deleted, report.schema_changes.len()), (0, 0, 0, 0));
}

#[test]
fn what_the_configuration_lacks_is_said_at_once() {
    for (table, expected) in [
        (json!({"pk": "id", "header": "none"}), "`columns` must name all columns"),
        (json!({"pk": "id", "header": "none", "columns": {"a": "auto"}}), "names `id`, which is not in `columns`"),
        (json!({"pk": "id", "header": "none", "date_field": "d", "columns": {"id": "auto"}}), "names `d`"),
        (json!({"pk": "id", "header": "none", "columns": {"id": "auto", "Ä": "auto", "ä": "auto"}}), "columns 2 and 3"),
        (json!({"pk": "id", "header": "none", "columns": {"id": "auto", "OP": "auto"}}), "`OP`, which CDC files need"),
        (json!({"pk": "id", "header": "no"}), "it can be first_line, none"),
    ] {
        let mut table = table;
        table["name"] = json!("t");
        let error = config(&json!([table]), &Value::Null).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
