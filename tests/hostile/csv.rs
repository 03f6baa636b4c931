//! CSV files that are no tables.

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use serde_json::{Value, json};

use crate::support::lab::{FULL_LOAD, Lab, failure};

/// The file must fail with this code, name itself and the place, and change nothing.
#[track_caller]
fn refuses(content: impl AsRef<[u8]>, code: &str, place: &str) -> String {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n2,b\n3,c\n");
    let before = lab.objects();
    let message = failure(&lab.csv(content), code);
    assert!(message.contains("`t.csv`") && message.contains(place), "{message}");
    lab.assert_objects(&before);
    message
}

/// One fork of the original skipped such rows, which made them deletes.
#[test]
fn ragged_rows() {
    refuses("id,v\n1,a\n2\n3,c\n", "RaggedRow", "line 3: 1 fields where the first record has 2");
    refuses("id,v\n1,a\n2,b\n3,c,d\n", "RaggedRow", "line 4: 3 fields where the first record has 2");
    refuses("id,v\n1,\"a\n\n\"\n2\n", "RaggedRow", "line 5");
}

#[test]
fn a_ragged_row_far_behind() {
    let rows: String = (0..50_000).map(|row| format!("{row},x\n")).collect();
    refuses(format!("id,v\n{rows}50000\n"), "RaggedRow", "line 50002");
}

#[test]
fn nul_characters() {
    refuses("id,v\n1,a\n2,\0\n", "NulCharacter", "line");
    refuses([b"id,v\n".as_slice(), &[0; 100]].concat(), "NulCharacter", "line");
}

#[test]
fn quotes_that_are_never_closed() {
    refuses("id,v\n1,a\n2,\"b\n3,c\n", "UnclosedQuote", "line 3");
    refuses("id,\"v\n1,a\n", "UnclosedQuote", "line 1");
}

#[test]
fn cells_without_an_end() {
    let endless = "x".repeat(100 << 20);
    refuses(format!("id,v\n1,a\n2,{endless}\n"), "RecordTooLong", "line 3");
    refuses(format!("id,v\n1,\"{endless}"), "RecordTooLong", "line 2");
    refuses(format!("id,{endless}\n"), "RecordTooLong", "line 1");
}

#[test]
fn a_large_cell_is_still_a_cell() {
    let mut lab = Lab::of_t(Value::Null);
    let large = "x".repeat(8 << 20);
    lab.csv_ok(format!("id,v\n1,{large}\n"));
    assert_eq!(lab.full_load(), [format!("1|{large}")]);
}

#[test]
fn ten_thousand_columns() {
    let names: String = (0..10_000).map(|column| format!(",c{column}")).collect();
    refuses(format!("id{names}\n"), "TooManyColumns", "line 1: it names 10001 columns, more than 4096");
}

#[test]
fn as_many_columns_as_allowed() {
    let names: String = (0..4095).map(|column| format!(",c{column}")).collect();
    let cells = ",1".repeat(4095);
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok(format!("id{names}\n1{cells}\n"));
    assert_eq!(lab.columns(FULL_LOAD).len(), 4096);
}

#[test]
fn names_that_nobody_can_tell_apart() {
    refuses("id,v,w,v\n1,a,b,c\n", "DuplicateColumnName", "columns 2 and 4");
    refuses("id,Nome,nome\n1,a,b\n", "DuplicateColumnName", "columns 2 and 3");
    for (one, other) in
        [("AÇÃO", "ação"), ("STRAẞE", "straße"), ("ΟΔΟΣ", "οδοσ"), ("οδος", "οδοσ"), ("İl", "il"), ("ıl", "IL")]
    {
        refuses(format!("id,{one},{other}\n1,a,b\n"), "DuplicateColumnName", "columns 2 and 3");
    }
    Lab::of_t(Value::Null).csv_ok("id,strasse,straße,e,é,e\u{301}\n1,a,b,c,d,e\n");
}

#[test]
fn columns_without_a_name() {
    refuses(",id,v\n0,1,a\n", "EmptyColumnName", "column 1");
    refuses("id,v,\n1,a,\n", "EmptyColumnName", "column 3");
    refuses("id,\"  \"\n1,a\n", "EmptyColumnName", "column 2");
}

#[test]
fn the_name_that_cdc_files_need() {
    for name in ["op", "OP", "Op", "oP"] {
        refuses(format!("id,{name}\n1,a\n"), "ReservedColumnName", name);
    }
}

#[test]
fn a_key_that_is_not_there() {
    let message = refuses("ID,v\n1,a\n", "ColumnNotFound", "`id`");
    assert!(message.contains("did you mean `ID`?"), "{message}");
}

/// pandas-dev/pandas#4793 and its kind: the message showed `id` twice.
#[test]
fn a_key_that_only_looks_as_if_it_were_there() {
    for (header, json, difference) in [
        ("\u{200b}id", r#""\u200bid""#, "U+200B"),
        (" id", r#"" id""#, "U+0020"),
        ("id\u{a0}", r#""id\u00a0""#, "U+00A0"),
    ] {
        let content = format!("{header},v\n1,a\n");
        let message = refuses(content.clone(), "ColumnNotFound", "looks the same");
        assert!(message.contains(json) && message.contains(difference), "{message}");
        let pk: Value = serde_json::from_str(json).unwrap();
        let mut lab = Lab::of_t(serde_json::json!({"pk": pk}));
        lab.csv_ok(content);
        assert_eq!(lab.full_load(), ["1|a"]);
    }
}

#[test]
fn files_that_are_something_else() {
    refuses([0x89, b'P', b'N', b'G', 1, 2, 3, 4], "ColumnNotFound", "`id`");
    refuses("<html><body>Sign in</body></html>", "ColumnNotFound", "`id`");
    let mut lab = Lab::of_t(Value::Null);
    let report = lab.run(&[("t.parquet", b"id,v\n1,a\n")]).tables.remove(0);
    let message = failure(&report, "UnreadableFile");
    assert!(message.contains("`t.parquet` cannot be read as Parquet"), "{message}");
}

/// Found in the field: more than 2 GiB of text in one batch was a panic. What is read, written and read back ends by bytes, too.
#[test]
fn long_cells_make_small_batches_and_row_groups() {
    let row = |id: u32, letter: &str| format!("{id},{}\n", letter.repeat(1 << 20));
    let rows = |changed: &str| (0..140).map(|id| row(id, if id == 7 { changed } else { "x" })).collect::<String>();
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok(format!("id,v\n{}", rows("x")));
    let object = lab.objects().remove(FULL_LOAD).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(object).unwrap();
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect();
    assert!(groups.len() > 1 && groups.iter().all(|&rows| (1..=132).contains(&rows)), "{groups:?}");
    let report = lab.csv_ok(format!("id,v\n{}", rows("y")));
    assert_eq!((report.inserted, report.updated, report.deleted), (0, 1, 0));
    lab.assert_verified();
}

#[test]
fn a_key_whose_rows_are_all_dropped_is_no_empty_file() {
    let mut lab = Lab::of_t(json!({"on_null_key": "drop"}));
    let text = failure(&lab.csv("id,v\n,1\n,2\n"), "EmptyTable");
    assert!(text.contains("each of its 2 rows is without a key"), "{text}");
}

#[test]
fn a_file_of_another_kind_under_the_name_of_a_table_is_told_as_that() {
    for (bytes, what) in
        [(&b"PAR1\x15\0\x15\0"[..], "it is a Parquet file"), (b"PK\x03\x04\x14\0\0\0", "it is a zip archive")]
    {
        let mut lab = Lab::of_t(Value::Null);
        let report = lab.csv(bytes);
        let error = report.error.unwrap();
        assert!(error.advice().unwrap().contains(what), "{}: {:?}", error.chain(), error.advice());
    }
}
