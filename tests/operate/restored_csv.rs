//! A restored CSV is the table: read again it changes nothing, and another lake learns the same types from it.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use cdc_to_s3::ops::restore::{Format, Output, Restored};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::lab::{FULL_LOAD, Lab};
use crate::support::random::Random;

/// The texts of a column, and the type that is declared for it.
type Kind = (Option<&'static str>, &'static [&'static str]);

const KINDS: [Kind; 18] = [
    (None, &["0", "-7", "42", "9007199254740992"]),
    (None, &["1.5", "3.0", "1e-05", "0.30000000000000004", "1e+22"]),
    (None, &["1.5", "3", "0.1"]),
    (None, &["1.50", "3.00", "-0.10"]),
    (None, &["250.0", "250.00"]),
    (None, &["true", "FALSE", "True"]),
    (None, &["2024-01-31", "0001-01-01"]),
    (None, &["2024-01-01 10:00", "2024-02-29T23:59:59.123456", "2024-03-01"]),
    (None, &["2024-01-01T10:00:00Z", "1969-12-31 22:00:00.5+00:00"]),
    (None, &[]),
    (None, &TEXTS),
    (Some("string"), &TEXTS),
    (Some("int64"), &["+007", "9223372036854775807", "-9223372036854775808"]),
    (Some("double"), &["12,5", "7", "1e5", "-0,0"]),
    (Some("decimal(12,3)"), &["12.5", "-0.05", "007", "123456789.123"]),
    (Some("bool"), &["1", "f", "TRUE"]),
    (Some("timestamp"), &["2024-01-01", "2024-01-01 10:00:00.000001"]),
    (Some("timestamptz"), &["2024-01-01T10:00:00-03:00", "2024-01-01 10:00+05:30"]),
];

const TEXTS: [&str; 14] = [
    "x",
    " before",
    "behind ",
    "say \"so\"",
    "'so'",
    "a,b;c|d\te",
    "two\nlines",
    "old\rlines",
    "more\r\nlines",
    "back\\slash\\",
    "\\N",
    "ação",
    "007",
    "-",
];

/// What makes a key: each row's number goes into one of these.
const KEYS: [(Option<&str>, &str); 8] = [
    (None, "#"),
    (None, "2024-01-#"),
    (None, "k #"),
    (None, "1.#0"),
    (Some("int64"), "00#"),
    (Some("decimal(8,2)"), "#.5"),
    (Some("double"), "#,5"),
    (Some("timestamp"), "2024-01-# 10:00"),
];

/// A table, how its file is written, and what is configured of it.
struct Table {
    config: Map<String, Value>,
    key: &'static str,
    columns: Vec<&'static [&'static str]>,
    delimiter: char,
    quote: Option<char>,
    backslash: bool,
    encoding: &'static encoding_rs::Encoding,
}

impl Table {
    fn new(random: &mut Random) -> Self {
        let (declared, key) = random.pick(&KEYS);
        let mut types: Map<String, Value> = declared.map(|name| ("id".to_owned(), name.into())).into_iter().collect();
        let mut columns = Vec::new();
        for number in 0..1 + random.below(5) {
            let (declared, texts) = random.pick(&KINDS);
            types.extend(declared.map(|name| (format!("c{number}"), name.into())));
            columns.push(texts);
        }
        let (mut delimiter, quote) = (random.pick(&[',', ';', '\t', '|']), random.pick(&[Some('"'), Some('\''), None]));
        if key.contains(delimiter) {
            delimiter = ';';
        }
        let backslash = random.chance(40);
        let label = random.pick(&[None, Some("utf-8"), Some("windows-1252"), Some("utf-16")]);
        let config = json!({
            "sep": delimiter.to_string(), "quote": quote.map_or("none".to_owned(), String::from), "columns": types,
            "escape": if backslash { "\\" } else { "doubled" }, "encoding": label, "null_values": ["-"],
            "max_deleted_fraction": 1.0, "update_detection": "content",
        });
        let encoding =
            label.map_or(encoding_rs::UTF_8, |label| encoding_rs::Encoding::for_label(label.as_bytes()).unwrap());
        Self { config: config.as_object().unwrap().clone(), key, columns, delimiter, quote, backslash, encoding }
    }

    /// One version of the file; a cell that its dialect cannot hold is null.
    fn file(&self, random: &mut Random) -> Vec<u8> {
        let names: Vec<String> = (0..self.columns.len()).map(|number| format!("c{number}")).collect();
        let delimiter = self.delimiter.to_string();
        let mut text = format!("id{delimiter}{}\n", names.join(&delimiter));
        for number in 10..12 + random.below(6) {
            let mut cells = vec![self.cell(&self.key.replace('#', &number.to_string()))];
            cells.extend(self.columns.iter().map(|texts| match random.chance(20) || texts.is_empty() {
                true => String::new(),
                false => self.cell(random.pick(texts)),
            }));
            text += &(cells.join(&delimiter) + "\n");
        }
        match self.encoding == encoding_rs::UTF_16LE {
            true => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            false => self.encoding.encode(&text).0.into_owned(),
        }
    }

    fn cell(&self, text: &str) -> String {
        let special = |c: char| c == self.delimiter || "\r\n".contains(c);
        let escapes =
            |c: char| self.backslash && (c == '\\' || Some(c) == self.quote || self.quote.is_none() && special(c));
        let escaped: String = text.chars().flat_map(|c| escapes(c).then_some('\\').into_iter().chain([c])).collect();
        match self.quote {
            None if !self.backslash && text.contains(special) => String::new(),
            None => escaped,
            Some(quote) if self.backslash => format!("{quote}{escaped}{quote}"),
            Some(quote) => format!("{quote}{}{quote}", text.replace(quote, &format!("{quote}{quote}"))),
        }
    }

    fn declare(&mut self, types: &Map<String, Value>) {
        self.config["columns"].as_object_mut().unwrap().extend(types.clone());
    }

    fn lab(&self) -> Lab {
        Lab::of_t(Value::Object(self.config.clone()))
    }
}

fn restored(lab: &Lab) -> (Restored, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let restored = lab.restore(lab.now(), Output::File(path.clone(), Format::Csv { delimiter: None })).unwrap();
    (restored, std::fs::read(&path).unwrap())
}

/// The types that a warning says to declare.
fn to_declare(restored: &Restored) -> Map<String, Value> {
    let told = restored.warnings.iter().find_map(|warning| warning.split_once("set `columns` of the table to "));
    told.map(|(_, told)| serde_json::from_str(told.split_once(" to keep them").unwrap().0).unwrap()).unwrap_or_default()
}

fn assert_nothing_changes(lab: &mut Lab, file: &[u8]) {
    let (columns, objects) = (lab.columns(FULL_LOAD), lab.objects().len());
    let report = lab.csv_ok(file);
    assert_eq!((report.inserted, report.updated, report.deleted, report.silent_changes), (0, 0, 0, 0));
    assert_eq!((lab.columns(FULL_LOAD), lab.objects().len()), (columns, objects));
    assert!(report.schema_changes.is_empty(), "{:?}", report.schema_changes);
}

fn live(seed: u64) {
    let mut random = Random::new(seed);
    let mut table = Table::new(&mut random);
    let mut lab = table.lab();
    for _ in 0..1 + random.below(3) {
        lab.csv_ok(table.file(&mut random));
    }
    let (facts, file) = restored(&lab);
    assert!(facts.warnings.iter().all(|warning| !warning.contains("CSV does not keep")), "{:?}", facts.warnings);
    assert_nothing_changes(&mut lab, &file);
    table.declare(&to_declare(&facts));
    let mut other = table.lab();
    other.csv_ok(&file);
    assert_eq!(other.columns(FULL_LOAD), lab.columns(FULL_LOAD), "{:?}", facts.warnings);
    let sorted = |mut rows: Vec<String>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(other.full_load()), sorted(lab.full_load()));
    lab.reconfigure(Value::Object(table.config.clone()));
    assert_nothing_changes(&mut lab, &file);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restored_csv_is_the_table(seed in any::<u64>()) {
        live(seed);
    }
}

#[test]
fn what_a_csv_does_not_keep_of_a_parquet_file_is_told() {
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(Int64Array::from(vec![1, i64::MAX]))),
        ("text", Arc::new(StringArray::from(vec!["", "x"]))),
        ("number", Arc::new(Float64Array::from(vec![f64::NAN, 1.0]))),
        ("time", Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000]))),
        ("count", Arc::new(Int64Array::from(vec![i64::MIN, 5]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut lab = Lab::of_t(json!({"file": "t.*"}));
    assert!(lab.run(&[("t.parquet", &bytes)]).tables[0].error.is_none());
    let (facts, file) = restored(&lab);
    let told = facts.warnings.join("\n");
    assert!(told.contains("1 value of `text`") && told.contains("1 value of `number`"), "{told}");
    assert_eq!(Value::Object(to_declare(&facts)), json!({"id": "int64", "count": "int64"}));
    let text = String::from_utf8(file.clone()).unwrap();
    let text = text.replace("NaN", "");
    lab.reconfigure(json!({"file": "t.*", "columns": to_declare(&facts)}));
    let report = lab.csv_ok(text);
    assert_eq!((report.inserted, report.updated, report.deleted), (0, 1, 0), "the empty text and NaN are null now");
}

#[test]
fn columns_that_the_source_no_longer_has_are_not_in_the_file() {
    let mut lab = Lab::of_t(json!({"update_detection": "content"}));
    lab.csv_ok("a,id,b\n1,1,x\n2,2,y\n");
    lab.csv_ok("b,id\nx,1\nz,2\n");
    let (_, file) = restored(&lab);
    assert_eq!(String::from_utf8(file.clone()).unwrap(), "b,id\nx,1\nz,2\n");
    assert_nothing_changes(&mut lab, &file);
}
