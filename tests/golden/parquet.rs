//! Files of a snapshot that are Parquet: each type of Arrow is exact in the lake, or refused with the setting that decides.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, DurationMicrosecondArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, IntervalYearMonthArray, LargeBinaryArray, LargeStringArray, ListArray, NullArray, RecordBatch,
    StringArray, StringViewArray, StructArray, Time32MillisecondArray, Time64MicrosecondArray, Time64NanosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt32Array, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, i256};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::support::lab::{FULL_LOAD, Lab, failure};

/// A file of two rows, 1 and 2, with the column `v`.
fn file(values: ArrayRef) -> Vec<u8> {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("v", values, true)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// The type of `v` in the lake and its values, or the message of the error.
fn read(values: &ArrayRef, declared: Option<&str>) -> Result<(String, Vec<String>), String> {
    let columns = declared.map_or(Value::Null, |declared| json!({"v": declared}));
    let mut lab = Lab::of_t(json!({"columns": columns}));
    let report = lab.run(&[("t.parquet", &file(Arc::clone(values)))]).tables.remove(0);
    if let Some(error) = &report.error {
        assert!(lab.objects().is_empty());
        return Err(failure(&report, error.code()));
    }
    lab.assert_verified();
    let again = lab.run(&[("t.parquet", &file(Arc::clone(values))), ("other.csv", b"x\n")]).tables.remove(0);
    assert_eq!((again.updated, again.error.is_none()), (0, true), "{again:?}");
    let values = lab.full_load().iter().map(|row| row.split_once('|').unwrap().1.to_owned()).collect();
    Ok((lab.columns(FULL_LOAD)[1].strip_prefix("v:").unwrap().to_owned(), values))
}

fn array(array: impl arrow::array::Array + 'static) -> ArrayRef {
    Arc::new(array)
}

fn decimal(values: [i128; 2], precision: u8, scale: i8) -> ArrayRef {
    array(Decimal128Array::from(values.to_vec()).with_precision_and_scale(precision, scale).unwrap())
}

fn wide_decimal(values: [i128; 2], precision: u8, scale: i8) -> ArrayRef {
    let values: Vec<i256> = values.into_iter().map(i256::from_i128).collect();
    array(Decimal256Array::from(values).with_precision_and_scale(precision, scale).unwrap())
}

fn half_floats() -> ArrayRef {
    cast(&array(Float32Array::from(vec![0.5, -2.0])), &DataType::Float16).unwrap()
}

#[test]
fn types_that_the_lake_holds_are_exact() {
    let nanos = TimestampNanosecondArray::from(vec![-1_000, 5_000]);
    let cases: Vec<(ArrayRef, &str, [&str; 2])> = vec![
        (array(BooleanArray::from(vec![true, false])), "Boolean", ["true", "false"]),
        (array(Int8Array::from(vec![Some(-128), None])), "Int64", ["-128", "∅"]),
        (array(UInt32Array::from(vec![u32::MAX, 0])), "Int64", ["4294967295", "0"]),
        (array(Int64Array::from(vec![i64::MIN, i64::MAX])), "Int64", ["-9223372036854775808", "9223372036854775807"]),
        (array(UInt64Array::from(vec![u64::MAX, 0])), "Decimal128(20, 0)", ["18446744073709551615", "0"]),
        (half_floats(), "Float64", ["0.5", "-2.0"]),
        (array(Float32Array::from(vec![0.1, 1.0])), "Float64", ["0.10000000149011612", "1.0"]),
        (array(Float64Array::from(vec![f64::NAN, -0.0])), "Float64", ["NaN", "-0.0"]),
        (decimal([1250, -5], 10, 2), "Decimal128(10, 2)", ["12.50", "-0.05"]),
        (wide_decimal([1250, -5], 38, 2), "Decimal128(38, 2)", ["12.50", "-0.05"]),
        (array(Date32Array::from(vec![-719_162, 2_932_896])), "Date32", ["0001-01-01", "9999-12-31"]),
        (array(Date64Array::from(vec![86_400_000, -86_400_000])), "Date32", ["1970-01-02", "1969-12-31"]),
        (
            array(TimestampSecondArray::from(vec![0, -1])),
            "Timestamp(µs)",
            ["1970-01-01T00:00:00", "1969-12-31T23:59:59"],
        ),
        (
            array(TimestampMillisecondArray::from(vec![1, 0]).with_timezone("America/Sao_Paulo")),
            "Timestamp(µs, \"UTC\")",
            ["1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00Z"],
        ),
        (array(nanos), "Timestamp(µs)", ["1969-12-31T23:59:59.999999", "1970-01-01T00:00:00.000005"]),
        (array(StringArray::from(vec!["", "x"])), "Utf8", ["", "x"]),
        (array(LargeStringArray::from(vec!["1", "x"])), "Utf8", ["1", "x"]),
        (
            array(StringViewArray::from(vec!["a string beyond twelve bytes", "x"])),
            "Utf8",
            ["a string beyond twelve bytes", "x"],
        ),
        (array(DictionaryArray::<Int32Type>::from_iter(["b", "a"])), "Utf8", ["b", "a"]),
        (
            array(DictionaryArray::new(Int32Array::from(vec![1, 0]), decimal([1250, -5], 10, 2))),
            "Decimal128(10, 2)",
            ["-0.05", "12.50"],
        ),
        (array(NullArray::new(2)), "Utf8", ["∅", "∅"]),
    ];
    for (values, column_type, expected) in cases {
        let found = read(&values, None);
        assert_eq!(found, Ok((column_type.to_owned(), expected.map(str::to_owned).to_vec())), "{}", values.data_type());
    }
}

#[test]
fn types_that_only_text_keeps_are_text_where_that_is_declared() {
    let bytes = [&b"ab"[..], "é".as_bytes()];
    let cases: Vec<(ArrayRef, [&str; 2])> = vec![
        (array(Time32MillisecondArray::from(vec![1, 86_399_999])), ["00:00:00.001", "23:59:59.999"]),
        (array(Time64MicrosecondArray::from(vec![0, 36_000_000_001])), ["00:00:00", "10:00:00.000001"]),
        (array(Time64NanosecondArray::from(vec![1, 0])), ["00:00:00.000000001", "00:00:00"]),
        (array(DurationMicrosecondArray::from(vec![1_500_000, 0])), ["PT1.5S", "P0D"]),
        (array(IntervalYearMonthArray::from(vec![14, 0])), ["1 years 2 mons", "0 years 0 mons"]),
        (array(BinaryArray::from(bytes.to_vec())), ["ab", "é"]),
        (array(LargeBinaryArray::from(bytes.to_vec())), ["ab", "é"]),
        (array(BinaryViewArray::from(bytes.to_vec())), ["ab", "é"]),
        (array(FixedSizeBinaryArray::try_from_iter(bytes.into_iter()).unwrap()), ["ab", "é"]),
        (
            wide_decimal([1, -1], 50, 45),
            ["0.000000000000000000000000000000000000000000001", "-0.000000000000000000000000000000000000000000001"],
        ),
    ];
    for (values, expected) in cases {
        let refused = read(&values, None).unwrap_err();
        assert!(refused.contains("`v`") && refused.contains("set `columns.v` of the table to string"), "{refused}");
        let found = read(&values, Some("string"));
        let expected = expected.map(str::to_owned).to_vec();
        assert_eq!(found, Ok(("Utf8".to_owned(), expected)), "{}", values.data_type());
    }
}

/// Two values, the type declared for them, and what they are then, or the hint of the error.
type Declared = (ArrayRef, Option<&'static str>, Result<[&'static str; 2], &'static str>);

#[test]
fn what_is_declared_is_exact_or_refused_with_its_row() {
    let nanos = || array(TimestampNanosecondArray::from(vec![0, 1_500]));
    let hour = || array(Date64Array::from(vec![0, 3_600_000]));
    let cases: Vec<Declared> = vec![
        (nanos(), None, Err("timestamp, which cuts them, or to string, which keeps them")),
        (nanos(), Some("timestamp"), Ok(["1970-01-01T00:00:00", "1970-01-01T00:00:00.000001"])),
        (nanos(), Some("string"), Ok(["1970-01-01 00:00:00", "1970-01-01 00:00:00.000001500"])),
        (nanos(), Some("date"), Err("timestamp, which keeps the time of day")),
        (hour(), None, Err("timestamp, which keeps the time of day")),
        (hour(), Some("timestamp"), Ok(["1970-01-01T00:00:00", "1970-01-01T01:00:00"])),
        (decimal([100, 1001], 9, 3), Some("decimal(9,2)"), Err("columns.v")),
        (decimal([100, 1000], 9, 3), Some("decimal(9,2)"), Ok(["0.10", "1.00"])),
        (wide_decimal([1, 99], 50, 1), Some("decimal(38,1)"), Ok(["0.1", "9.9"])),
        (wide_decimal([1, i128::MAX], 50, 1), Some("decimal(38,1)"), Err("columns.v")),
        (array(Int64Array::from(vec![1, (1 << 53) + 1])), Some("double"), Err("columns.v")),
        (array(Int64Array::from(vec![1, 2])), Some("bool"), Err("columns.v")),
        (array(UInt64Array::from(vec![1, u64::MAX])), Some("int64"), Err("columns.v")),
        (array(Float64Array::from(vec![1.0, 1.5])), Some("int64"), Err("columns.v")),
        (array(Float64Array::from(vec![1.0, 2.0])), Some("int64"), Ok(["1", "2"])),
        (array(StringArray::from(vec!["1", "x"])), Some("int64"), Err("columns.v")),
        (array(StringArray::from(vec!["2024-01-01", "2024-02-30"])), Some("date"), Err("timestamp")),
        (array(BinaryArray::from(vec![&b"a"[..], b"\xFF"])), Some("string"), Err("at the source")),
    ];
    for (values, declared, expected) in cases {
        match (read(&values, declared), expected) {
            (Ok((_, found)), Ok(expected)) => assert_eq!(found, expected, "{}", values.data_type()),
            (Err(message), Err(hint)) => {
                assert!(message.contains("row 2") && message.contains("`v`") && message.contains(hint), "{message}");
            }
            (found, _) => panic!("{} as {declared:?}: {found:?}", values.data_type()),
        }
    }
}

#[test]
fn a_decimal_with_more_digits_stays_a_decimal() {
    let mut lab = Lab::of_t(Value::Null);
    let steps = [(10, [1250, -5], 0), (20, [1250, 10_i128.pow(15)], 1), (9, [1250, 7], 1)];
    for (precision, values, updated) in steps {
        let report = lab.run(&[("t.parquet", &file(decimal(values, precision, 2)))]).tables.remove(0);
        assert_eq!((report.updated, report.error.is_none()), (updated, true), "{report:?}");
        lab.assert_verified();
    }
    assert_eq!(lab.columns(FULL_LOAD)[1], "v:Decimal128(20, 2)");
    assert_eq!(lab.full_load(), ["1|12.50", "2|0.07"]);
}

#[test]
fn values_of_several_parts_are_refused_whatever_is_declared() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), Some(2)]), None]);
    let field = Arc::new(Field::new("a", DataType::Int64, true));
    let record = StructArray::from(vec![(field, array(Int64Array::from(vec![1, 2])))]);
    for values in [array(list), array(record)] {
        for declared in [None, Some("string"), Some("int64")] {
            let message = read(&values, declared).unwrap_err();
            assert!(message.contains("`v`") && message.contains("leave the column out"), "{message}");
        }
    }
}
