//! The types of DESIGN section 5, each with its edges: what a column of texts becomes, and what its cells read as.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray};
use parquet::arrow::ArrowWriter;
use parquet::data_type::{Int64Type, Int96, Int96Type};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};

use crate::support::lab::{FULL_LOAD, Lab, failure};

const INT: &str = "Int64";
const DOUBLE: &str = "Float64";
const DATE: &str = "Date32";
const TIMESTAMP: &str = "Timestamp(µs)";
const UTC: &str = "Timestamp(µs, \"UTC\")";
const BOOL: &str = "Boolean";
const TEXT: &str = "Utf8";

fn csv(cells: &[&str]) -> String {
    let lines = cells.iter().enumerate().map(|(row, cell)| format!("{row},\"{cell}\"\n"));
    format!("id,v\n{}", lines.collect::<String>())
}

/// The type of a column of these texts, and its cells.
fn column(more: Value, cells: &[&str]) -> (String, Vec<String>) {
    let mut lab = Lab::of_t(more);
    lab.csv_ok(csv(cells));
    lab.assert_verified();
    let values = lab.full_load().iter().map(|row| row.split_once('|').unwrap().1.to_owned()).collect();
    (lab.columns(FULL_LOAD)[1].strip_prefix("v:").unwrap().to_owned(), values)
}

fn learnt(cells: &[&str]) -> (String, Vec<String>) {
    column(Value::Null, cells)
}

fn declared(column_type: &str, cells: &[&str]) -> (String, Vec<String>) {
    column(json!({"columns": {"v": column_type}}), cells)
}

#[track_caller]
fn check((found_type, found): (String, Vec<String>), column_type: &str, values: &[&str]) {
    assert_eq!((found_type.as_str(), found), (column_type, values.iter().map(|&value| value.to_owned()).collect()));
}

/// These texts make a column of text, as they stand.
#[track_caller]
fn stays_text(cells: &[&str]) {
    check(learnt(cells), TEXT, cells);
}

#[test]
fn integers_are_those_that_a_double_holds_too() {
    check(learnt(&["0", "-7", "42"]), INT, &["0", "-7", "42"]);
    let edge = ["9007199254740991", "9007199254740992", "-9007199254740992"];
    check(learnt(&edge), INT, &edge);
}

#[test]
fn ids_that_a_number_would_change_stay_text() {
    stays_text(&["007", "8"]);
    stays_text(&["+1", "2"]);
    stays_text(&["-0", "1"]);
    stays_text(&[" 1", "2"]);
    stays_text(&["1_000"]);
    stays_text(&["9007199254740993", "1"]);
    stays_text(&["-9007199254740993"]);
    stays_text(&["12345678901234567890"]);
}

/// Found here: even numbers beyond 2^53 are exact doubles, so a column of ids whose last digits happen to be even became
/// a column of doubles.
#[test]
fn ids_beyond_two_to_the_53_do_not_become_doubles_by_chance() {
    stays_text(&["9007199254740994", "9007199254740996"]);
    stays_text(&["100000000000000000000"]);
    stays_text(&["1.5", "9007199254740994"]);
}

#[test]
fn doubles_keep_their_digits() {
    check(learnt(&["1.5", "-0.1", "0.0"]), DOUBLE, &["1.5", "-0.1", "0.0"]);
    check(learnt(&["1.50", "-0.10", "0.00"]), DOUBLE, &["1.5", "-0.1", "0.0"]);
    check(learnt(&["1", "2.5"]), DOUBLE, &["1.0", "2.5"]);
    check(learnt(&["1e-05", "1e+16", "0.30000000000000004"]), DOUBLE, &["0.00001", "1e16", "0.30000000000000004"]);
    check(learnt(&["0.1", "1e-05", "100000.0"]), DOUBLE, &["0.1", "0.00001", "100000.0"]);
    check(learnt(&["5e-324", "1.7976931348623157e+308"]), DOUBLE, &["5e-324", "1.7976931348623157e308"]);
}

/// Codes of diseases, versions of programs, places of a shelf: `250.0` is not `250.00`.
#[test]
fn numbers_of_which_two_texts_could_be_one_stay_text() {
    stays_text(&["250.0", "250.00"]);
    stays_text(&["1.1", "1.10"]);
    stays_text(&["1", "2.0"]);
    stays_text(&["10", "2.50"]);
    stays_text(&["0.00001", "1e-05"]);
}

/// Found here: a comma was the decimal point of one cell, and a point that of the next.
#[test]
fn what_parts_whole_and_fraction_is_decided_for_the_column() {
    for column_type in ["double", "decimal(12,3)"] {
        for cells in [["1,234", "12.50"], ["12.50", "1,234"]] {
            let mut lab = Lab::of_t(json!({"columns": {"v": column_type}}));
            let message = failure(&lab.csv(csv(&cells)), "CellMisfit");
            assert!(message.contains("line 3") && message.contains("`v`") && message.contains("comma"), "{message}");
            lab.assert_objects(&Default::default());
        }
        let mut lab = Lab::of_t(json!({"columns": {"v": column_type}}));
        let report = lab.csv_ok(csv(&["1,234", "999"]));
        assert!(report.warnings.iter().any(|told| told.contains("`v`") && told.contains("1,234")), "{report:?}");
        assert_eq!(lab.csv_ok(csv(&["1,234", "999,5"])).warnings, Vec::<String>::new());
    }
}

#[test]
fn a_declared_double_refuses_what_it_cannot_hold() {
    for cell in [
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740993.5",
        "12345678901234567890.5",
        "1234567890123.1234",
        "123456789.123456789",
        "1e400",
        "-1e400",
        "1e-400",
        "NaN",
        "inf",
    ] {
        let mut lab = Lab::of_t(json!({"columns": {"v": "double"}}));
        let message = failure(&lab.csv(csv(&["1", cell])), "CellMisfit");
        assert!(message.contains("line 3"), "{cell}: {message}");
    }
}

#[test]
fn numbers_written_in_other_ways_stay_text() {
    for cell in ["1.", ".5", "1e5", "1E-05", "1e400", "NaN", "inf", "-0.0", "0x10", "1,5", "0.12345678901234567890"] {
        stays_text(&["2.5", cell]);
    }
}

#[test]
fn dates_from_the_first_year_to_the_last() {
    check(learnt(&["0001-01-01", "2024-02-29", "9999-12-31"]), DATE, &["0001-01-01", "2024-02-29", "9999-12-31"]);
    stays_text(&["2023-02-29"]);
    stays_text(&["0000-01-01"]);
    stays_text(&["2024-1-1"]);
    stays_text(&["31/12/2024"]);
    check(learnt(&["20241231"]), INT, &["20241231"]);
}

#[test]
fn timestamps_have_up_to_nine_digits_of_which_six_count() {
    let cells = [
        "2024-02-29 23:59",
        "2024-02-29 23:59:59",
        "2024-02-29 23:59:59.1",
        "2024-02-29T23:59:59.12",
        "2024-02-29 23:59:59.123",
        "2024-02-29 23:59:59.1234",
        "2024-02-29 23:59:59.12345",
        "2024-02-29 23:59:59.123456",
        "2024-02-29 23:59:59.1234560",
        "2024-02-29 23:59:59.12345600",
        "2024-02-29 23:59:59.123456000",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59.999999",
        "2024-03-01",
    ];
    let values = [
        "2024-02-29T23:59:00",
        "2024-02-29T23:59:59",
        "2024-02-29T23:59:59.100",
        "2024-02-29T23:59:59.120",
        "2024-02-29T23:59:59.123",
        "2024-02-29T23:59:59.123400",
        "2024-02-29T23:59:59.123450",
        "2024-02-29T23:59:59.123456",
        "2024-02-29T23:59:59.123456",
        "2024-02-29T23:59:59.123456",
        "2024-02-29T23:59:59.123456",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59.999999",
        "2024-03-01T00:00:00",
    ];
    check(learnt(&cells), TIMESTAMP, &values);
}

#[test]
fn times_that_do_not_exist_or_are_too_fine_stay_text() {
    let bad = [
        "2024-01-01 24:00:00",
        "2024-01-01 23:60",
        "2024-01-01 23:59:60",
        "2024-01-01 23:59:59.",
        "2024-01-01 23:59:59.1234567",
        "2024-01-01 23:59:59.0000000000",
        "2024-01-01  10:00",
    ];
    for cell in bad {
        stays_text(&["2024-01-01 10:00", cell]);
    }
}

#[test]
fn instants_in_utc_are_their_own_type() {
    let cells = [
        "2024-01-01T10:00:00Z",
        "2024-01-01 10:00:00.5+00:00",
        "2024-01-01 10:00:00+0000",
        "2024-01-01 10:00+00",
        "2024-01-01 10:00:00 UTC",
    ];
    let values = [
        "2024-01-01T10:00:00Z",
        "2024-01-01T10:00:00.500Z",
        "2024-01-01T10:00:00Z",
        "2024-01-01T10:00:00Z",
        "2024-01-01T10:00:00Z",
    ];
    check(learnt(&cells), UTC, &values);
    stays_text(&["2024-01-01T10:00:00Z", "2024-01-01T10:00:00"]);
    stays_text(&["2024-01-01T10:00:00-03:00"]);
    check(declared("timestamptz", &["2024-01-01T10:00:00-03:00"]), UTC, &["2024-01-01T13:00:00Z"]);
}

#[test]
fn bools_are_spelt_out() {
    check(
        learnt(&["true", "False", "TRUE", "false", "FALSE", "True"]),
        BOOL,
        &["true", "false", "true", "false", "false", "true"],
    );
    check(learnt(&["0", "1"]), INT, &["0", "1"]);
    stays_text(&["true", "yes"]);
    stays_text(&["true", "1"]);
    check(declared("bool", &["1", "f", "True"]), BOOL, &["true", "false", "true"]);
}

#[test]
fn decimals_come_by_declaration_and_are_exact() {
    let cells = ["12.5", "-0.05", "+7", "0012.3400", "99999999.99"];
    let values = ["12.50", "-0.05", "7.00", "12.34", "99999999.99"];
    check(declared("decimal(10,2)", &cells), "Decimal128(10, 2)", &values);
    check(declared("decimal(10,2)", &["12,50", "7"]), "Decimal128(10, 2)", &["12.50", "7.00"]);
    let widest = "9".repeat(38);
    check(declared("decimal(38,0)", &[&widest]), "Decimal128(38, 0)", &[&widest]);
}

#[test]
fn a_declared_type_takes_what_a_person_would_accept_and_names_the_line_of_the_rest() {
    check(declared("int64", &["007", "+1", "9223372036854775807"]), INT, &["7", "1", "9223372036854775807"]);
    check(
        declared("double", &["12,5", "1E5", "9007199254740992"]),
        DOUBLE,
        &["12.5", "100000.0", "9007199254740992.0"],
    );
    check(declared("string", &["1", "2"]), TEXT, &["1", "2"]);
    let unfit = [("int64", "1.5"), ("int64", "9223372036854775808"), ("double", "NaN"), ("decimal(4,1)", "1.25")];
    let times =
        [("date", "2024-02-30"), ("timestamp", "yesterday"), ("bool", "2"), ("timestamptz", "2024-01-01 10:00")];
    for (column_type, cell) in unfit.into_iter().chain(times) {
        let mut lab = Lab::of_t(json!({"columns": {"v": column_type}}));
        let message = failure(&lab.csv(csv(&["", cell])), "CellMisfit");
        assert!(message.contains("line 3") && message.contains(column_type), "{message}");
        assert!(!message.contains(cell), "a cell's value does not belong into an error: {message}");
        assert!(lab.objects().is_empty());
    }
}

#[test]
fn null_values_and_empty_cells_are_null_in_every_type() {
    let nulls = json!({"null_values": ["NULL", "n/a", "-"]});
    check(column(nulls.clone(), &["1", "NULL", "", "n/a", "2"]), INT, &["1", "∅", "∅", "∅", "2"]);
    check(column(nulls.clone(), &["2024-01-01", "-"]), DATE, &["2024-01-01", "∅"]);
    check(column(nulls, &["null", "N/A"]), TEXT, &["null", "N/A"]);
}

#[test]
fn a_column_without_a_value_gets_its_type_with_the_first() {
    check(learnt(&["", ""]), TEXT, &["∅", "∅"]);
    for (cell, column_type) in [("5", INT), ("1.5", DOUBLE), ("2024-01-01", DATE), ("true", BOOL), ("x", TEXT)] {
        let mut lab = Lab::of_t(Value::Null);
        lab.csv_ok(csv(&["", ""]));
        assert!(lab.csv_ok(csv(&["", "", ""])).schema_changes.is_empty());
        let report = lab.csv_ok(csv(&[cell, ""]));
        let changes: Vec<String> = report.schema_changes.iter().map(ToString::to_string).collect();
        assert!(matches!(changes.as_slice(), [one] if one.starts_with("first values in `v` (")), "{changes:?}");
        assert_eq!(lab.columns(FULL_LOAD)[1], format!("v:{column_type}"));
        assert_eq!(lab.columns(lab.log().last().unwrap())[1], format!("v:{column_type}"));
        lab.assert_verified();
        assert!(lab.csv_ok(csv(&[cell, ""])).schema_changes.is_empty());
    }
}

/// A Parquet file with times as Spark wrote them for long: days of the Julian calendar and nanoseconds of the day.
fn int96(times: &[(u32, u64)]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type("message m { required int64 id; required int96 ts; }").unwrap());
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let mut ids = group.next_column().unwrap().unwrap();
    let numbers: Vec<i64> = (1..).take(times.len()).collect();
    ids.typed::<Int64Type>().write_batch(&numbers, None, None).unwrap();
    ids.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let values: Vec<Int96> =
        (times.iter()).map(|&(day, nanos)| Int96::from(vec![nanos as u32, (nanos >> 32) as u32, day])).collect();
    column.typed::<Int96Type>().write_batch(&values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    file.close().unwrap();
    bytes
}

/// Found here: read as nanoseconds, the year 1 was 1754.
#[test]
fn old_times_of_parquet_are_exact_or_refused() {
    const YEAR_1: u32 = 1_721_426;
    const YEAR_9999: u32 = 5_373_484;
    let mut lab = Lab::of_t(Value::Null);
    let report = lab.run(&[("t.parquet", &int96(&[(YEAR_1, 0), (YEAR_9999, 86_399_999_999_000)]))]).tables.remove(0);
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(lab.full_load(), ["1|0001-01-01T00:00:00", "2|9999-12-31T23:59:59.999999"]);
    lab.assert_verified();
    let finer = int96(&[(YEAR_1, 0), (2_460_000, 1_500)]);
    let mut lab = Lab::of_t(Value::Null);
    let message = failure(&lab.run(&[("t.parquet", &finer)]).tables.remove(0), "CellMisfit");
    assert!(message.contains("row 2") && message.contains("`ts`"), "{message}");
    let mut lab = Lab::of_t(json!({"columns": {"ts": "timestamp"}}));
    let report = lab.run(&[("t.parquet", &finer)]).tables.remove(0);
    assert!(report.error.is_none(), "{report:?}");
    assert_eq!(lab.full_load()[1], "2|2023-02-24T00:00:00.000001");
}

#[test]
fn nanoseconds_of_parquet_are_whole_microseconds_or_refused() {
    let file = |nanos: i64| {
        let columns: [(&str, ArrayRef); 2] = [
            ("id", Arc::new(Int64Array::from(vec![1, 2]))),
            ("ts", Arc::new(TimestampNanosecondArray::from(vec![5_000, nanos]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    };
    let mut lab = Lab::of_t(Value::Null);
    let message = failure(&lab.run(&[("t.parquet", &file(5_001))]).tables.remove(0), "CellMisfit");
    assert!(message.contains("row 2") && message.contains("`ts`"), "{message}");
    assert!(lab.run(&[("t.parquet", &file(7_000))]).tables[0].error.is_none());
    assert_eq!(lab.full_load(), ["1|1970-01-01T00:00:00.000005", "2|1970-01-01T00:00:00.000007"]);
    let mut lab = Lab::of_t(json!({"columns": {"ts": "string"}}));
    assert!(lab.run(&[("t.parquet", &file(5_001))]).tables[0].error.is_none());
    assert_eq!(lab.full_load()[1], "2|1970-01-01 00:00:00.000005001");
}

#[test]
fn a_learnt_instant_takes_any_offset() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok(csv(&["2024-01-01T10:00:00Z", "2024-01-02T10:00:00Z"]));
    let report = lab.csv_ok(csv(&["2024-01-01T07:00:00-03:00", "2024-01-02T12:30:00+02:00"]));
    assert_eq!((report.updated, report.schema_changes.len()), (1, 0));
    assert_eq!(lab.full_load(), ["0|2024-01-01T10:00:00Z", "1|2024-01-02T10:30:00Z"]);
    lab.assert_verified();
}

#[test]
fn a_column_that_loses_all_its_values_keeps_its_type() {
    for (cell, column_type) in [("5", INT), ("1.5", DOUBLE), ("2024-01-01", DATE), ("true", BOOL)] {
        let mut lab = Lab::of_t(Value::Null);
        lab.csv_ok(csv(&[cell]));
        let report = lab.csv_ok(csv(&[""]));
        assert!(report.schema_changes.is_empty());
        assert_eq!(lab.columns(FULL_LOAD)[1], format!("v:{column_type}"));
        lab.csv_ok(csv(&[cell]));
        assert_eq!(lab.columns(FULL_LOAD)[1], format!("v:{column_type}"));
        lab.assert_verified();
    }
}

#[test]
fn the_whole_column_decides_however_late_the_odd_value_comes() {
    let mut cells: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    cells.push("x".to_owned());
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    check(learnt(&cells), TEXT, &cells);
}

/// Spark wrote gzip by default for years, and Hadoop's tools write LZ4 and Brotli.
#[test]
fn a_parquet_file_is_read_whatever_its_codec() {
    use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..500));
    let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let properties = parquet::file::properties::WriterProperties::builder().set_compression(codec).build();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let mut lab = Lab::of_t(Value::Null);
        let report = lab.run(&[("t.parquet", &writer.into_inner().unwrap())]);
        assert_eq!((report.tables[0].rows, report.tables[0].error.is_none()), (500, true), "{codec}");
    }
}

/// The same text means another number, and only the file before tells.
#[test]
fn points_in_place_of_the_commas_of_before_are_said() {
    let mut lab = Lab::of_t(json!({"sep": ";", "columns": {"v": "double"}}));
    lab.csv_ok("id;v\n1;1,5\n2;2,25\n");
    let report = lab.csv_ok("id;v\n1;1.234\n2;2.250\n");
    assert!(
        report.warnings.iter().any(|warning| warning.contains("`v` had a decimal comma so far")),
        "{:?}",
        report.warnings
    );
    let report = lab.csv_ok("id;v\n1;1.234\n2;2.251\n");
    assert_eq!(report.warnings.len(), 1, "as long as it is so: {:?}", report.warnings);
    assert_eq!(lab.csv_ok("id;v\n1;1,234\n2;2,25\n").warnings, [""; 0]);
}
