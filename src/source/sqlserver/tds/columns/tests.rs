//! The golden matrix of types: what the wire has, and what the Arrow column says then.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int16Type, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tiberius::Uuid;
use tiberius::time::{Date, DateTime, DateTime2, DateTimeOffset, SmallDateTime, Time};
use tiberius::xml::XmlData;

use super::*;
use crate::config::TimesAsText;
use crate::source::sqlserver::tds::types::SqlType;

/// A type as the catalog describes it.
fn sql_type(name: &str, precision: u8, scale: u8) -> SqlType {
    SqlType { name: name.to_owned(), max_length: 8, precision, scale, collation: None, code_page: None }
}

fn built(carrier: Carrier, values: &[ColumnData<'static>]) -> Vec<ArrayRef> {
    let mut column = Column::new(carrier, values.len());
    for value in values {
        column.append(value).unwrap_or_else(|misfit| panic!("{value:?}: {misfit:?}"));
    }
    let mut arrays = Vec::new();
    column.finish(&mut arrays);
    arrays
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

/// Checks the values of a type, and NULL behind them.
fn check(sql_type: &SqlType, null: ColumnData<'static>, cases: &[(ColumnData<'static>, &str)]) {
    let carrier = sql_type.carrier(TimesAsText::default());
    let values: Vec<_> = cases.iter().map(|(value, _)| value.clone()).chain([null, ColumnData::String(None)]).collect();
    let arrays = built(carrier, &values);
    let fields = carrier.fields("c");
    assert_eq!(arrays.len(), fields.len());
    for (array, field) in arrays.iter().zip(&fields) {
        assert_eq!(array.data_type(), field.data_type(), "{}", sql_type.name);
        assert_eq!(array.null_count(), 2);
    }
    let expected: Vec<&str> = cases.iter().map(|(_, shown)| *shown).chain(["NULL", "NULL"]).collect();
    assert_eq!(shown(&arrays[0]), expected, "{}", sql_type.name);
}

#[test]
fn whole_numbers_and_bits() {
    check(
        &sql_type("bit", 1, 0),
        ColumnData::Bit(None),
        &[(ColumnData::Bit(Some(false)), "false"), (ColumnData::Bit(Some(true)), "true")],
    );
    check(
        &sql_type("tinyint", 3, 0),
        ColumnData::U8(None),
        &[(ColumnData::U8(Some(0)), "0"), (ColumnData::U8(Some(128)), "128"), (ColumnData::U8(Some(255)), "255")],
    );
    check(
        &sql_type("smallint", 5, 0),
        ColumnData::I16(None),
        &[(ColumnData::I16(Some(i16::MIN)), "-32768"), (ColumnData::I16(Some(i16::MAX)), "32767")],
    );
    check(
        &sql_type("int", 10, 0),
        ColumnData::I32(None),
        &[
            (ColumnData::I32(Some(i32::MIN)), "-2147483648"),
            (ColumnData::I32(Some(-1)), "-1"),
            (ColumnData::I32(Some(i32::MAX)), "2147483647"),
            (ColumnData::U8(Some(255)), "255"),
        ],
    );
    check(
        &sql_type("bigint", 19, 0),
        ColumnData::I64(None),
        &[
            (ColumnData::I64(Some(i64::MIN)), "-9223372036854775808"),
            (ColumnData::I64(Some((1 << 53) + 1)), "9007199254740993"),
            (ColumnData::I64(Some(i64::MAX)), "9223372036854775807"),
            (ColumnData::I32(Some(-7)), "-7"),
        ],
    );
}

#[test]
fn floating_point_numbers_keep_their_bits() {
    let doubles = [f64::MIN, -f64::MIN_POSITIVE, -0.0, 5e-324, 0.1, f64::MAX];
    let arrays = built(Carrier::Float64, &doubles.map(|value| ColumnData::F64(Some(value))));
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(arrays[0].as_primitive::<arrow::datatypes::Float64Type>().values()), bits(&doubles));
    check(&sql_type("real", 24, 0), ColumnData::F32(None), &[(ColumnData::F32(Some(f32::MAX)), "3.4028235e38")]);
    check(&sql_type("float", 53, 0), ColumnData::F64(None), &[(ColumnData::F32(Some(1.5)), "1.5")]);
}

#[test]
fn exact_numbers_have_all_their_digits() {
    let number = |value, scale| ColumnData::Numeric(Some(Numeric::new_with_scale(value, scale)));
    let greatest = 10_i128.pow(38) - 1;
    check(
        &sql_type("decimal", 38, 0),
        ColumnData::Numeric(None),
        &[
            (number(greatest, 0), "99999999999999999999999999999999999999"),
            (number(-greatest, 0), "-99999999999999999999999999999999999999"),
        ],
    );
    check(
        &sql_type("numeric", 38, 38),
        ColumnData::Numeric(None),
        &[
            (number(greatest, 38), "0.99999999999999999999999999999999999999"),
            (number(-1, 38), "-0.00000000000000000000000000000000000001"),
            (number(0, 38), "0.00000000000000000000000000000000000000"),
        ],
    );
    check(
        &sql_type("decimal", 5, 2),
        ColumnData::Numeric(None),
        &[(number(-1, 2), "-0.01"), (number(12, 1), "1.20"), (number(12_000, 3), "12.00")],
    );
    check(
        &sql_type("money", 19, 4),
        ColumnData::Numeric(None),
        &[
            (number(i128::from(i64::MAX), 4), "922337203685477.5807"),
            (number(i128::from(i64::MIN), 4), "-922337203685477.5808"),
        ],
    );
    check(
        &sql_type("smallmoney", 10, 4),
        ColumnData::Numeric(None),
        &[(number(i128::from(i32::MAX), 4), "214748.3647"), (number(i128::from(i32::MIN), 4), "-214748.3648")],
    );
}

#[test]
fn times_of_the_first_and_the_last_year() {
    let time = |increments, scale| Time::new(increments, scale);
    let at = |days, increments, scale| DateTime2::new(Date::new(days), time(increments, scale));
    check(
        &sql_type("date", 10, 0),
        ColumnData::Date(None),
        &[
            (ColumnData::Date(Some(Date::new(0))), "0001-01-01"),
            (ColumnData::Date(Some(Date::new(738_154))), "2021-12-31"),
            (ColumnData::Date(Some(Date::new(3_652_058))), "9999-12-31"),
        ],
    );
    check(
        &sql_type("datetime2", 27, 7),
        ColumnData::DateTime2(None),
        &[
            (ColumnData::DateTime2(Some(at(0, 0, 7))), "0001-01-01T00:00:00"),
            (ColumnData::DateTime2(Some(at(3_652_058, 863_999_999_999, 7))), "9999-12-31T23:59:59.999999"),
            (ColumnData::DateTime2(Some(at(719_161, 863_999_999_999, 7))), "1969-12-31T23:59:59.999999"),
            (ColumnData::DateTime2(Some(at(719_162, 1, 0))), "1970-01-01T00:00:01"),
            (ColumnData::DateTime2(Some(at(719_162, 1, 6))), "1970-01-01T00:00:00.000001"),
        ],
    );
    check(
        &sql_type("datetime", 23, 3),
        ColumnData::DateTime(None),
        &[
            (ColumnData::DateTime(Some(DateTime::new(-53_690, 0))), "1753-01-01T00:00:00"),
            (ColumnData::DateTime(Some(DateTime::new(0, 1))), "1900-01-01T00:00:00.003"),
            (ColumnData::DateTime(Some(DateTime::new(2_958_463, 25_919_999))), "9999-12-31T23:59:59.997"),
        ],
    );
    check(
        &sql_type("smalldatetime", 16, 0),
        ColumnData::SmallDateTime(None),
        &[
            (ColumnData::SmallDateTime(Some(SmallDateTime::new(0, 0))), "1900-01-01T00:00:00"),
            (ColumnData::SmallDateTime(Some(SmallDateTime::new(65_535, 1439))), "2079-06-06T23:59:00"),
        ],
    );
    check(
        &sql_type("time", 16, 7),
        ColumnData::Time(None),
        &[
            (ColumnData::Time(Some(time(0, 7))), "00:00:00"),
            (ColumnData::Time(Some(time(863_999_999_999, 7))), "23:59:59.999999"),
            (ColumnData::Time(Some(time(86_399, 0))), "23:59:59"),
            (ColumnData::Time(Some(time(1_234, 3))), "00:00:01.234"),
        ],
    );
}

#[test]
fn a_time_with_an_offset_is_two_columns() {
    let at = |days, increments, offset| {
        let utc = DateTime2::new(Date::new(days), Time::new(increments, 7));
        ColumnData::DateTimeOffset(Some(DateTimeOffset::new(utc, offset)))
    };
    let cases = [
        (at(0, 504_000_000_000, -840), "0001-01-01T14:00:00Z"),
        (at(719_162, 10, 330), "1970-01-01T00:00:00.000001Z"),
        (at(3_652_058, 359_999_999_999, 840), "9999-12-31T09:59:59.999999Z"),
    ];
    check(&sql_type("datetimeoffset", 34, 7), ColumnData::DateTimeOffset(None), &cases);
    let values: Vec<_> =
        cases.iter().map(|(value, _)| value.clone()).chain([ColumnData::DateTimeOffset(None)]).collect();
    let arrays = built(Carrier::OffsetTimestamp, &values);
    let minutes: Vec<Option<i16>> = arrays[1].as_primitive::<Int16Type>().iter().collect();
    assert_eq!(minutes, [Some(-840), Some(330), Some(840), None]);
    let fields = Carrier::OffsetTimestamp.fields("paid");
    assert_eq!((fields[1].name().as_str(), fields[1].data_type()), ("paid_offset_minutes", &DataType::Int16));
}

#[test]
fn times_become_text_where_that_is_asked_for() {
    let as_text = TimesAsText { datetime2: true, datetimeoffset: true, time: true };
    let utc = DateTime2::new(Date::new(719_162), Time::new(12_345_678, 7));
    for (name, value, expected) in [
        ("datetime2", ColumnData::DateTime2(Some(utc)), "1970-01-01T00:00:01.2345678"),
        (
            "datetimeoffset",
            ColumnData::DateTimeOffset(Some(DateTimeOffset::new(utc, -60))),
            "1969-12-31T23:00:01.2345678-01:00",
        ),
        ("time", ColumnData::Time(Some(Time::new(12_345_678, 7))), "00:00:01.2345678"),
    ] {
        let carrier = sql_type(name, 0, 7).carrier(as_text);
        assert_eq!(shown(&built(carrier, &[value])[0]), [expected]);
    }
}

#[test]
fn text_and_bytes() {
    let text = |text: &'static str| ColumnData::String(Some(text.into()));
    for name in ["char", "varchar", "nchar", "nvarchar", "text", "ntext", "sysname", "hierarchyid", "geography"] {
        check(
            &sql_type(name, 0, 0),
            ColumnData::String(None),
            &[(text(""), ""), (text("  São 😀\u{0}\n"), "  São 😀\u{0}\n")],
        );
    }
    let xml = |xml: &'static str| ColumnData::Xml(Some(std::borrow::Cow::Owned(XmlData::new(xml))));
    check(&sql_type("xml", 0, 0), ColumnData::Xml(None), &[(xml("<a b=\"é\"/>"), "<a b=\"é\"/>")]);
    let guid = Uuid::from_u128(0x6f96_19ff_8b86_d011_b42d_00c0_4fc9_64ff);
    check(
        &sql_type("uniqueidentifier", 0, 0),
        ColumnData::Guid(None),
        &[
            (ColumnData::Guid(Some(guid)), "6F9619FF-8B86-D011-B42D-00C04FC964FF"),
            (ColumnData::Guid(Some(Uuid::nil())), "00000000-0000-0000-0000-000000000000"),
        ],
    );
    let bytes = |bytes: &'static [u8]| ColumnData::Binary(Some(bytes.into()));
    for name in ["binary", "varbinary", "image", "timestamp"] {
        check(&sql_type(name, 0, 0), ColumnData::Binary(None), &[(bytes(b""), ""), (bytes(&[0, 171, 255]), "00abff")]);
    }
}

#[test]
fn a_variant_is_the_text_of_its_value() {
    check(
        &sql_type("sql_variant", 0, 0),
        ColumnData::String(None),
        &[
            (ColumnData::I32(Some(-5)), "-5"),
            (ColumnData::Bit(Some(true)), "1"),
            (ColumnData::String(Some("x".into())), "x"),
            (ColumnData::Numeric(Some(Numeric::new_with_scale(5_807, 4))), "0.5807"),
            (ColumnData::Binary(Some((&[1_u8, 2][..]).into())), "0x0102"),
            (ColumnData::Date(Some(Date::new(0))), "0001-01-01"),
        ],
    );
}

#[test]
fn what_does_not_fit_is_refused_and_never_bent() {
    let cases = [
        (Carrier::Int16, ColumnData::I32(Some(40_000)), Misfit::Range),
        (Carrier::Int32, ColumnData::I64(Some(1 << 40)), Misfit::Range),
        (Carrier::Int32, ColumnData::F64(Some(1.0)), Misfit::Type),
        (Carrier::Bool, ColumnData::I32(Some(1)), Misfit::Type),
        (Carrier::Date, ColumnData::Date(Some(Date::new(3_652_059))), Misfit::Range),
        (Carrier::Timestamp, ColumnData::Date(Some(Date::new(1))), Misfit::Type),
        (Carrier::Time, ColumnData::Time(Some(Time::new(86_400, 0))), Misfit::Range),
        (Carrier::Binary, ColumnData::String(Some("x".into())), Misfit::Type),
        (Carrier::Decimal { precision: 5, scale: 2 }, ColumnData::F64(Some(1.0)), Misfit::Type),
        (
            Carrier::Decimal { precision: 5, scale: 2 },
            ColumnData::Numeric(Some(Numeric::new_with_scale(1_234, 3))),
            Misfit::Range,
        ),
    ];
    for (carrier, value, expected) in cases {
        assert_eq!(Column::new(carrier, 1).append(&value), Err(expected), "{carrier:?} {value:?}");
    }
}
