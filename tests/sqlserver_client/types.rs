//! The golden matrix of types, from the wire to Arrow: extremes, NULL, odd values, in every way in which values can travel.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use cdc_to_s3::source::sqlserver::tds::Settings;

use super::stub::{Captured, Stub};
use super::{changes, client, insert, serve};
use crate::support::tds::{self, Collation, Length, Row, RowStyle, Server, Splits, SqlType, Value};

/// A column, its values on the wire, and what Arrow shows of them.
struct Case {
    column: Captured,
    data_type: DataType,
    values: Vec<(Value, &'static str)>,
}

const LAST_TICK: u64 = 863_999_999_999;
const LAST_DAY: u32 = 3_652_058;

fn case(type_name: &str, kind: SqlType, data_type: DataType, values: Vec<(Value, &'static str)>) -> Case {
    sized(type_name, kind, (8, 0, 0), data_type, values)
}

fn sized(
    type_name: &str,
    kind: SqlType,
    size: (i64, i64, i64),
    data_type: DataType,
    values: Vec<(Value, &'static str)>,
) -> Case {
    let name = format!("{type_name} {size:?}");
    Case { column: Captured::sized(&name, type_name, kind, size), data_type, values }
}

fn numbers() -> Vec<Case> {
    let (int, decimal) = (Value::Int, Value::Decimal);
    let nines = 10_i128.pow(38) - 1;
    vec![
        case("bit", SqlType::Bit, DataType::Boolean, vec![(true.into(), "true"), (false.into(), "false")]),
        case("tinyint", SqlType::TinyInt, DataType::Int16, vec![(int(0), "0"), (int(255), "255")]),
        case("smallint", SqlType::SmallInt, DataType::Int16, vec![(int(-32_768), "-32768"), (int(32_767), "32767")]),
        case("int", SqlType::Int, DataType::Int32, vec![(int(i32::MIN.into()), "-2147483648"), (int(-1), "-1")]),
        case(
            "bigint",
            SqlType::BigInt,
            DataType::Int64,
            vec![
                (int(i64::MIN), "-9223372036854775808"),
                (int((1 << 53) + 1), "9007199254740993"),
                (int(i64::MAX), "9223372036854775807"),
            ],
        ),
        case("real", SqlType::Real, DataType::Float32, vec![(Value::Real(0.1), "0.1"), (Value::Real(-0.0), "-0.0")]),
        case(
            "float",
            SqlType::Float,
            DataType::Float64,
            vec![
                (Value::Float(0.1), "0.1"),
                (Value::Float(5e-324), "5e-324"),
                (Value::Float(f64::MIN), "-1.7976931348623157e308"),
            ],
        ),
        sized(
            "decimal",
            SqlType::Decimal(38, 0),
            (17, 38, 0),
            DataType::Decimal128(38, 0),
            vec![
                (decimal(nines), "99999999999999999999999999999999999999"),
                (decimal(-nines), "-99999999999999999999999999999999999999"),
            ],
        ),
        sized(
            "numeric",
            SqlType::Numeric(38, 38),
            (17, 38, 38),
            DataType::Decimal128(38, 38),
            vec![
                (decimal(1), "0.00000000000000000000000000000000000001"),
                (decimal(0), "0.00000000000000000000000000000000000000"),
            ],
        ),
        sized("decimal", SqlType::Decimal(9, 2), (5, 9, 2), DataType::Decimal128(9, 2), vec![(decimal(-5), "-0.05")]),
        // As the server sends them for the query, which casts.
        sized(
            "money",
            SqlType::Decimal(19, 4),
            (8, 19, 4),
            DataType::Decimal128(19, 4),
            vec![
                (decimal(i64::MAX.into()), "922337203685477.5807"),
                (decimal(i64::MIN.into()), "-922337203685477.5808"),
            ],
        ),
        sized(
            "smallmoney",
            SqlType::Decimal(10, 4),
            (4, 10, 4),
            DataType::Decimal128(10, 4),
            vec![(decimal(i32::MAX.into()), "214748.3647"), (decimal(i32::MIN.into()), "-214748.3648")],
        ),
    ]
}

fn times() -> Vec<Case> {
    let plain = DataType::Timestamp(TimeUnit::Microsecond, None);
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let (time, datetime2) = (Value::Time, Value::DateTime2);
    vec![
        case(
            "date",
            SqlType::Date,
            DataType::Date32,
            vec![(Value::Date(0), "0001-01-01"), (Value::Date(LAST_DAY), "9999-12-31")],
        ),
        sized(
            "time",
            SqlType::Time(7),
            (5, 16, 7),
            DataType::Time64(TimeUnit::Microsecond),
            vec![(time(0), "00:00:00"), (time(LAST_TICK), "23:59:59.999999")],
        ),
        sized(
            "time",
            SqlType::Time(0),
            (3, 8, 0),
            DataType::Time64(TimeUnit::Microsecond),
            vec![(time(863_990_000_000), "23:59:59")],
        ),
        sized(
            "datetime2",
            SqlType::DateTime2(7),
            (8, 27, 7),
            plain.clone(),
            vec![
                (datetime2(0, 0), "0001-01-01T00:00:00"),
                (datetime2(LAST_DAY, LAST_TICK), "9999-12-31T23:59:59.999999"),
            ],
        ),
        sized(
            "datetime2",
            SqlType::DateTime2(3),
            (7, 23, 3),
            plain.clone(),
            vec![(datetime2(719_161, 452_961_230_000), "1969-12-31T12:34:56.123")],
        ),
        case(
            "datetime",
            SqlType::DateTime,
            plain.clone(),
            vec![
                (Value::DateTime(-53_690, 0), "1753-01-01T00:00:00"),
                (Value::DateTime(0, 1), "1900-01-01T00:00:00.003"),
                (Value::DateTime(2_958_463, 25_919_999), "9999-12-31T23:59:59.997"),
            ],
        ),
        case(
            "smalldatetime",
            SqlType::SmallDateTime,
            plain,
            vec![
                (Value::SmallDateTime(0, 0), "1900-01-01T00:00:00"),
                (Value::SmallDateTime(65_535, 1439), "2079-06-06T23:59:00"),
            ],
        ),
        sized(
            "datetimeoffset",
            SqlType::DateTimeOffset(7),
            (10, 34, 7),
            utc,
            vec![
                (Value::DateTimeOffset(0, 504_000_000_000, -840), "0001-01-01T14:00:00Z"),
                (Value::DateTimeOffset(LAST_DAY, 359_999_999_999, 840), "9999-12-31T09:59:59.999999Z"),
            ],
        ),
    ]
}

fn texts() -> Vec<Case> {
    let long = Box::leak("ação 😀 ".repeat(3000).into_boxed_str());
    let utf8 = |type_name, kind, values| case(type_name, kind, DataType::Utf8, values);
    let (of, max) = (Length::Of(40), Length::Max);
    let japanese = sized("char", SqlType::NChar(5), (5, 0, 0), DataType::Utf8, vec![("日本".into(), "日本   ")]);
    vec![
        utf8("char", SqlType::Char(5), vec![("é €".into(), "é €  ")]),
        utf8("varchar", SqlType::VarChar(of), vec![("".into(), ""), ("São Paulo ".into(), "São Paulo ")]),
        sized("varchar", SqlType::VarChar(max), (-1, 0, 0), DataType::Utf8, vec![("x".into(), "x")]),
        sized(
            "nvarchar",
            SqlType::NVarChar(of),
            (80, 0, 0),
            DataType::Utf8,
            vec![("日本 😀\u{0}".into(), "日本 😀\u{0}"), (Value::Units(vec![0x41, 0xD800]), "A\u{FFFD}")],
        ),
        sized(
            "nvarchar",
            SqlType::NVarChar(max),
            (-1, 0, 0),
            DataType::Utf8,
            vec![("".into(), ""), ((&*long).into(), long)],
        ),
        // What the query casts arrives as Unicode.
        Case { column: Captured { catalog: ("char".to_owned(), 5, 0, 0, Some(932)), ..japanese.column }, ..japanese },
        utf8("ntext", SqlType::NVarChar(max), vec![("n".into(), "n")]),
        utf8("xml", SqlType::Xml, vec![("<a b=\"é\"/>".into(), "<a b=\"é\"/>")]),
        utf8("hierarchyid", SqlType::NVarChar(Length::Of(4000)), vec![("/1/2.5/".into(), "/1/2.5/")]),
        utf8("geography", SqlType::NVarChar(max), vec![("SRID=4326;POINT (1 2)".into(), "SRID=4326;POINT (1 2)")]),
        utf8(
            "uniqueidentifier",
            SqlType::UniqueIdentifier,
            vec![(
                Value::Guid([
                    0x6F, 0x96, 0x19, 0xFF, 0x8B, 0x86, 0xD0, 0x11, 0xB4, 0x2D, 0, 0xC0, 0x4F, 0xC9, 0x64, 0xFF,
                ]),
                "6F9619FF-8B86-D011-B42D-00C04FC964FF",
            )],
        ),
        utf8(
            "sql_variant",
            SqlType::Variant,
            vec![
                (Value::Variant(Box::new((SqlType::Int, Value::Int(-5)))), "-5"),
                (
                    Value::Variant(Box::new((SqlType::Decimal(19, 4), Value::Decimal(i64::MAX.into())))),
                    "922337203685477.5807",
                ),
                (Value::Variant(Box::new((SqlType::NVarChar(of), "x".into()))), "x"),
                (
                    Value::Variant(Box::new((SqlType::DateTime2(7), Value::DateTime2(0, 1)))),
                    "0001-01-01T00:00:00.0000001",
                ),
            ],
        ),
    ]
}

fn bytes() -> Vec<Case> {
    let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
    let binary = |type_name, kind, values| case(type_name, kind, DataType::Binary, values);
    vec![
        binary("binary", SqlType::Binary(3), vec![(bytes(&[0, 255, 1]), "00ff01")]),
        binary("varbinary", SqlType::VarBinary(Length::Of(9)), vec![(bytes(&[]), ""), (bytes(&[171]), "ab")]),
        sized("varbinary", SqlType::VarBinary(Length::Max), (-1, 0, 0), DataType::Binary, vec![(bytes(&[1]), "01")]),
        binary("image", SqlType::VarBinary(Length::Max), vec![(bytes(&[2]), "02")]),
        binary("timestamp", SqlType::RowVersion, vec![(bytes(&[0, 0, 0, 0, 0, 0, 7, 209]), "00000000000007d1")]),
    ]
}

/// All values of all types beside each other; NULL first, and where a type has no more values.
fn database(cases: &[Case]) -> Stub {
    let longest = cases.iter().map(|case| case.values.len()).max().unwrap();
    let value = |case: &Case, nth: usize| match nth.checked_sub(1).and_then(|nth| case.values.get(nth)) {
        Some((value, _)) => value.clone(),
        None => Value::Null,
    };
    let row = |nth: usize| insert(nth as u32, cases.iter().map(|case| value(case, nth)));
    let rows: Vec<Row> = (0..=longest).map(row).collect();
    Stub::new(cases.iter().map(|case| case.column.clone()).collect()).with_changes(rows)
}

/// The values as Arrow shows them, NULL as `NULL`.
fn shown(array: &ArrayRef) -> Vec<String> {
    let array = array.as_primitive_opt::<TimestampMicrosecondType>().map_or_else(
        || Arc::clone(array),
        // A zone by its name would need a data base of zones to be shown.
        |times| Arc::new(times.clone().with_timezone_opt(times.timezone().map(|_| "+00:00"))),
    );
    let options = FormatOptions::default().with_null("NULL");
    let formatter = ArrayFormatter::try_new(array.as_ref(), &options).unwrap();
    (0..array.len()).map(|index| formatter.value(index).to_string()).collect()
}

async fn every_value_arrives(settings: tds::Settings) {
    let cases: Vec<Case> = [numbers(), times(), texts(), bytes()].into_iter().flatten().collect();
    let server = Server::start(settings, Arc::new(database(&cases))).await.unwrap();
    let batches = changes(&client(&server, Settings::default())).await.unwrap();
    let [batch] = batches.as_slice() else { panic!("{} batches", batches.len()) };
    for case in &cases {
        let array = batch.columns.column_by_name(&case.column.name).unwrap();
        assert_eq!(*array.data_type(), case.data_type, "{}", case.column.name);
        let mut expected = vec!["NULL"];
        expected.extend(case.values.iter().map(|(_, shown)| *shown));
        expected.resize(batch.len(), "NULL");
        assert_eq!(shown(array), expected, "{}", case.column.name);
    }
    let minutes = batch.columns.column_by_name("datetimeoffset (10, 34, 7)_offset_minutes").unwrap();
    assert_eq!(shown(minutes)[..3], ["NULL", "-840", "840"]);
}

#[tokio::test]
async fn every_value_of_every_type_arrives() {
    every_value_arrives(tds::Settings::default()).await;
}

#[tokio::test]
async fn every_value_arrives_in_rows_without_a_bitmap_and_in_chunks_of_unknown_length() {
    let rows = RowStyle { null_bitmap: false, known_length: false, chunk: 7 };
    every_value_arrives(tds::Settings { rows, ..tds::Settings::default() }).await;
}

#[tokio::test]
async fn every_value_arrives_in_packets_of_odd_sizes() {
    let splits = Splits { sizes: vec![3, 1, 500, 2, 11, 4088], ..Splits::default() };
    every_value_arrives(tds::Settings { splits, ..tds::Settings::default() }).await;
}

#[tokio::test]
async fn text_of_another_code_page_is_asked_for_as_unicode() {
    let mut column = Captured::sized("town", "varchar", SqlType::NVarChar(Length::Of(20)), (20, 0, 0));
    column.catalog.4 = Some(65001);
    column.wire = column.wire.collated(Collation::Utf8);
    let server = serve(Stub::new(vec![column]).with_changes(vec![insert(0, ["Łódź 日本".into()])])).await;
    let batches = changes(&client(&server, Settings::default())).await.unwrap();
    assert_eq!(shown(batches[0].columns.column(0)), ["Łódź 日本"]);
    let asked = server.seen().last().unwrap().request.text.clone();
    assert!(asked.contains(", CAST([town] AS nvarchar(20)) FROM cdc.[dbo_Orders_CT]"), "{asked}");
}

#[tokio::test]
async fn money_is_asked_for_as_a_decimal() {
    let columns = vec![
        Captured::new("price", "money", SqlType::Decimal(19, 4)),
        Captured::new("fee", "smallmoney", SqlType::Decimal(10, 4)),
    ];
    let server = serve(Stub::new(columns)).await;
    changes(&client(&server, Settings::default())).await.unwrap();
    let asked = server.seen().last().unwrap().request.text.clone();
    assert!(asked.contains(", CAST([price] AS decimal(19,4)), CAST([fee] AS decimal(10,4)) FROM"), "{asked}");
}
