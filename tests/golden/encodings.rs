//! Encodings, delimiters, quotes and containers: the same rows, however the file is written.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::Int32Type;
use cdc_to_s3::request::Approval;
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::support::lab::{FULL_LOAD, Lab, failure, zip};

const TEXT: &str = "id;nome\n1;João\n2;Ação €\n";
const ROWS: [&str; 2] = ["1|João", "2|Ação €"];

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

/// Windows-1252, for what the tests write.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| if c == '€' { 0x80 } else { u8::try_from(u32::from(c)).unwrap() }).collect()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn reads(encoding: Value, content: &[u8]) {
    let mut lab = Lab::of_t(json!({"sep": ";", "encoding": encoding}));
    lab.csv_ok(content);
    assert_eq!(lab.full_load(), ROWS);
    assert_eq!(lab.columns(FULL_LOAD), ["id:Int64", "nome:Utf8"]);
}

#[test]
fn utf8_with_and_without_a_mark() {
    reads(Value::Null, TEXT.as_bytes());
    reads(Value::Null, format!("\u{feff}{TEXT}").as_bytes());
    reads(json!("utf-8"), format!("\u{feff}{TEXT}").as_bytes());
}

/// Found in the field: a key of integers became text without a word, and the second header a row.
#[test]
fn files_that_were_joined_are_no_longer_one() {
    for (content, code, line) in [
        ("\u{feff}id,v\n1,a\n\u{feff}id,v\n2,b\n", "ByteOrderMark", "line 3"),
        ("id,v\n1,\"a\nb\"\n\n\u{feff}2,b\n", "ByteOrderMark", "line 5"),
        ("id,v\r1,a\r2,b\rid,v\r3,c\r", "HeaderRepeated", "line 4"),
        ("id,v\r\n1,a\r\n\"id\",\"v\"\r\n", "HeaderRepeated", "line 3"),
    ] {
        let mut lab = Lab::of_t(json!({"columns": {"id": "string"}}));
        let message = failure(&lab.csv(content), code);
        assert!(message.contains(&format!("`t.csv` {line} ")), "{message}");
        // The same once the columns are known.
        let mut lab = Lab::of_t(Value::Null);
        lab.csv_ok("id,v\n1,a\n");
        failure(&lab.csv(content), code);
    }
}

#[test]
fn each_file_of_a_set_may_have_its_mark_and_its_header() {
    let mut lab = Lab::of_t(json!({"file": "parts/*.csv"}));
    let parts: [(&str, &[u8]); 2] =
        [("parts/a.csv", "\u{feff}id,v\n1,a\n".as_bytes()), ("parts/b.csv", "\u{feff}id,v\n2,b\n".as_bytes())];
    assert!(lab.run(&parts).tables[0].error.is_none());
    assert_eq!(lab.columns(FULL_LOAD), ["id:Int64", "v:Utf8"]);
}

#[test]
fn a_mark_inside_of_quotes_or_of_a_line_is_text() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n\"\u{feff}1\",\u{feff}a\n");
    assert_eq!(lab.full_load(), ["\u{feff}1|\u{feff}a"]);
    let mut lab = Lab::of_t(json!({"pk": "word"}));
    lab.csv_ok("word\nword\nother\n");
    assert_eq!(lab.full_load(), ["word", "other"]);
}

#[test]
fn utf16_of_both_orders_with_and_without_a_mark() {
    let marked = format!("\u{feff}{TEXT}");
    reads(Value::Null, &utf16(&marked, u16::to_le_bytes));
    reads(Value::Null, &utf16(&marked, u16::to_be_bytes));
    reads(Value::Null, &utf16(TEXT, u16::to_le_bytes));
    reads(Value::Null, &utf16(TEXT, u16::to_be_bytes));
    reads(json!("utf-16"), &utf16(&marked, u16::to_be_bytes));
    reads(json!("utf-16"), &utf16(TEXT, u16::to_le_bytes));
}

/// Found here: a declaration of UTF-16 turned off the look at the byte order.
#[test]
fn utf16_declared_without_a_mark_may_be_big_endian() {
    reads(json!("utf-16"), &utf16(TEXT, u16::to_be_bytes));
}

#[test]
fn latin1_detected_and_declared() {
    reads(Value::Null, &latin1(TEXT));
    reads(json!("latin-1"), &latin1(TEXT));
    reads(json!("windows-1252"), &latin1(TEXT));
}

#[test]
fn an_accent_that_comes_late_in_a_large_file_is_found() {
    let rows: String = (0..60_000).map(|row| format!("{row};plain\n")).collect();
    let text = format!("id;nome\n{rows}60000;João\n");
    let mut lab = Lab::of_t(json!({"sep": ";"}));
    lab.csv_ok(latin1(&text));
    assert_eq!(lab.full_load().last().unwrap(), "60000|João");
    let report = lab.csv_ok(text);
    assert_eq!((report.inserted, report.updated, report.deleted), (0, 0, 0), "the encoding is no change");
}

#[test]
fn mixed_encodings_are_refused_with_the_line() {
    let mut content = "id;nome\n1;João\n2;x\n".as_bytes().to_vec();
    content.extend(latin1("3;Ação\n"));
    let message = failure(&Lab::of_t(json!({"sep": ";"})).csv(&content), "MixedEncodings");
    assert!(message.contains("t.csv") && message.contains("line 4"), "{message}");
    let message = failure(&Lab::of_t(json!({"sep": ";", "encoding": "utf-8"})).csv(&content), "BadEncoding");
    assert!(message.contains("t.csv") && message.contains("byte 23"), "{message}");
}

/// The first run refuses a mixture, and so must one that remembers a guess.
#[test]
fn a_remembered_guess_does_not_let_a_mixture_in() {
    let mut lab = Lab::of_t(json!({"sep": ";"}));
    let warnings = lab.csv_ok(latin1("id;nome\n1;João\n2;Conceição\n")).warnings;
    assert!(warnings[0].contains("windows-1252"), "{warnings:?}");
    let before = lab.objects();
    let mixed = [latin1("id;nome\n1;João\n2;Conceição\n"), "3;Açaí\n".as_bytes().to_vec()].concat();
    failure(&lab.csv(mixed), "MixedEncodings");
    lab.assert_objects(&before);
}

/// Found here: a source that went over to UTF-8 became a wave of updates to `JoÃ£o`.
#[test]
fn a_source_that_goes_over_to_utf8_is_not_read_as_it_was() {
    let mut lab = Lab::of_t(json!({"sep": ";", "encoding": "latin-1"}));
    lab.csv_ok(latin1("id;nome\n1;João\n2;Conceição\n"));
    let before = lab.objects();
    let message = failure(&lab.csv("id;nome\n1;João\n2;Conceição\n"), "EncodingMismatch");
    assert!(message.contains("windows-1252") && message.contains("`encoding` to utf-8"), "{message}");
    lab.assert_objects(&before);
    lab.reconfigure(json!({"sep": ";", "encoding": "utf-8"}));
    assert_eq!(lab.csv_ok("id;nome\n1;João\n2;Conceição\n").updated, 0);
}

#[test]
fn utf32_is_named_with_a_way_on() {
    let utf32 = |text: &str| text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<_>>();
    for text in [format!("\u{feff}{TEXT}"), TEXT.to_owned()] {
        let message = failure(&Lab::of_t(json!({"sep": ";"})).csv(utf32(&text)), "BadEncoding");
        assert!(message.contains("`t.csv` line 1: the file is UTF-32") && message.contains("iconv"), "{message}");
    }
}

#[test]
fn line_ends_of_every_system() {
    for text in [TEXT.replace('\n', "\r\n"), TEXT.replace('\n', "\r"), TEXT.trim_end().to_owned()] {
        reads(Value::Null, text.as_bytes());
    }
    reads(Value::Null, TEXT.replace('\n', "\n\n").as_bytes());
}

#[test]
fn delimiters() {
    for (sep, written) in [(";", ";"), (",", ","), ("tab", "\t"), ("\t", "\t"), ("|", "|"), ("^", "^")] {
        let mut lab = Lab::of_t(json!({"sep": sep}));
        lab.csv_ok(TEXT.replace(';', written));
        assert_eq!(lab.full_load(), ROWS, "{sep:?}");
    }
}

#[test]
fn a_wrong_delimiter_is_told_with_the_right_one() {
    let message = failure(&Lab::of_t(Value::Null).csv(TEXT), "ColumnNotFound");
    assert!(message.contains("`;`") && message.contains("`sep`"), "{message}");
}

#[test]
fn quotes_hold_delimiters_quotes_and_line_ends() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok(
        "id,v\n1,\"a,b\"\n2,\"say \"\"hi\"\"\"\n3,\"two\nlines\"\n4,\"crlf\r\n\"\n5,\"\"\n6,in\"side\n\"7\",7\n",
    );
    let rows = ["1|a,b", "2|say \"hi\"", "3|two\nlines", "4|crlf\r\n", "5|∅", "6|in\"side", "7|7"];
    assert_eq!(lab.full_load(), rows);
}

#[test]
fn quotes_are_no_change() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v\n1,a\n2,\n");
    let report = lab.csv_ok("\"id\",\"v\"\r\n\"1\",\"a\"\r\n\"2\",\"\"\r\n");
    assert_eq!((report.updated, report.cdc_key), (0, None));
}

#[test]
fn members_of_a_zip_at_any_depth_and_compressed_once_more() {
    let mut lab = Lab::of_t(json!({"sep": ";"}));
    lab.approval = Approval::All;
    for files in [
        zip(&[("t.csv", TEXT.as_bytes())]),
        zip(&[("a/b/c/t.csv", TEXT.as_bytes()), ("a/b/other.csv", b"x")]),
        zip(&[("t.csv.gz", &gzip(TEXT.as_bytes()))]),
        zip(&[("dir/t.csv.gz", &gzip(&latin1(TEXT)))]),
    ] {
        let report = lab.run_zip(&files).unwrap().tables.remove(0);
        assert!(report.error.is_none(), "{:?}", report.error);
        assert_eq!(lab.full_load(), ROWS);
    }
    assert_eq!(lab.log().len(), 1, "the container is no change");
}

#[test]
fn a_folder_may_hold_compressed_files_too() {
    let mut lab = Lab::of_t(json!({"sep": ";"}));
    let report = lab.run(&[("x/t.csv.gz", &gzip(TEXT.as_bytes()))]);
    assert!(report.tables[0].error.is_none(), "{:?}", report.tables[0].error);
    assert_eq!(lab.full_load(), ROWS);
}

#[test]
fn the_exact_spelling_and_the_shallower_member_win() {
    let mut lab = Lab::of_t(json!({"sep": ";"}));
    let other = b"id;nome\n9;no\n".as_slice();
    lab.run_zip(&zip(&[("T.csv", other), ("x/t.csv", other), ("t.csv", TEXT.as_bytes())])).unwrap();
    assert_eq!(lab.full_load(), ROWS);
    let mut lab = Lab::of_t(json!({"sep": ";"}));
    lab.run_zip(&zip(&[("T.CSV", TEXT.as_bytes())])).unwrap();
    assert_eq!(lab.full_load(), ROWS);
    let mut lab = Lab::of_t(json!({"sep": ";"}));
    let report = lab.run_zip(&zip(&[("a/t.csv", other), ("b/t.csv", other)])).unwrap();
    let message = failure(&report.tables[0], "AmbiguousTable");
    assert!(message.contains("a/t.csv") && message.contains("b/t.csv"), "{message}");
}

fn parquet() -> Vec<u8> {
    let words: DictionaryArray<Int32Type> = [Some("João"), None, Some("João")].into_iter().collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(Int64Array::from(vec![1, 2, 9_007_199_254_740_993]))),
        ("small", Arc::new(Int32Array::from(vec![Some(-1), None, Some(3)]))),
        ("at", Arc::new(TimestampNanosecondArray::from(vec![Some(1_000), None, Some(1_700_000_000_123_456_000)]))),
        ("word", Arc::new(words)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[test]
fn parquet_members_come_in_the_types_of_the_lake() {
    let mut lab = Lab::of_t(Value::Null);
    let report = lab.run_zip(&zip(&[("data/t.parquet", &parquet())])).unwrap().tables.remove(0);
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!(lab.columns(FULL_LOAD), ["id:Int64", "small:Int64", "at:Timestamp(µs)", "word:Utf8"]);
    let rows =
        ["1|-1|1970-01-01T00:00:00.000001|João", "2|∅|∅|∅", "9007199254740993|3|2023-11-14T22:13:20.123456|João"];
    assert_eq!(lab.full_load(), rows);
    lab.assert_verified();
    let again = lab.run(&[("t.parquet", &parquet())]).tables.remove(0);
    assert_eq!((again.updated, again.cdc_key), (0, None));
}

#[test]
fn a_table_may_go_from_csv_to_parquet() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,small,at,word\n1,-1,1970-01-01 00:00:00.000001,João\n2,,,\n3,4,2024-01-01 10:00,x\n");
    failure(&lab.run(&[("t.parquet", &parquet())]).tables[0], "FileMoved");
    lab.approval = Approval::All;
    let report = lab.run(&[("t.parquet", &parquet())]).tables.remove(0);
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!((report.inserted, report.updated, report.deleted), (1, 0, 1), "{:?}", lab.changes());
    lab.assert_verified();
}

/// A version in plain ASCII came between, and the next guess was another one, by which rows changed that had not.
#[test]
fn a_guess_outlives_a_version_that_needs_none() {
    let first = b"id,v\n1,a\xE7\xE3o\n2,S\xE3o\n3,Zo\xEB \xF1and\xFA\n";
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok(first);
    lab.csv_ok("id,v\n1,acao\n2,Sao\n3,Zoe\n");
    lab.csv_ok([&first[..], b"4,\xA3\xF3d\x9F \xBF\xF3\xB3w\n"].concat());
    assert_eq!(lab.full_load()[..3], ["1|ação", "2|São", "3|Zoë ñandú"]);
}
