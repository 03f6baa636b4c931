//! Every type with its extremes and its oddities, as values and as the text that a person would write for them.

use chrono::NaiveDate;

use crate::support::tds::{Collation, Column, Length, SqlType, Value};

/// A type, and values with their text; `None` for NULL.
pub(crate) struct Case {
    pub(crate) column: Column,
    pub(crate) values: Vec<(Value, Option<String>)>,
}

impl Case {
    fn new(name: &str, kind: SqlType) -> Self {
        Self { column: Column::new(name, kind), values: vec![(Value::Null, None)] }
    }

    fn collated(self, collation: Collation) -> Self {
        Self { column: self.column.collated(collation), ..self }
    }

    fn with(mut self, value: impl Into<Value>, text: &str) -> Self {
        self.values.push((value.into(), Some(text.to_owned())));
        self
    }

    fn texts(self, texts: &[&str]) -> Self {
        texts.iter().fold(self, |case, text| case.with(*text, text))
    }
}

/// All cases; no two have the same name.
pub(crate) fn cases() -> Vec<Case> {
    [numbers(), decimals(), times(), texts(), binaries(), others(), variants()].into_iter().flatten().collect()
}

fn numbers() -> Vec<Case> {
    let (real, float) = (Value::Real, Value::Float);
    vec![
        Case::new("bit", SqlType::Bit).with(true, "true").with(false, "false"),
        Case::new("tinyint", SqlType::TinyInt).with(0, "0").with(255, "255"),
        Case::new("smallint", SqlType::SmallInt).with(-32_768, "-32768").with(32_767, "32767"),
        Case::new("int", SqlType::Int).with(i64::from(i32::MIN), "-2147483648").with(i64::from(i32::MAX), "2147483647"),
        Case::new("bigint", SqlType::BigInt)
            .with(i64::MIN, "-9223372036854775808")
            .with(i64::MAX, "9223372036854775807")
            .with((1 << 53) + 1, "9007199254740993"),
        Case::new("real", SqlType::Real)
            .with(real(-3.402_823_5e38), "FF7FFFFF")
            .with(real(1e-45), "00000001")
            .with(real(0.1), "3DCCCCCD"),
        Case::new("float", SqlType::Float)
            .with(float(f64::MIN), "FFEFFFFFFFFFFFFF")
            .with(float(5e-324), "0000000000000001")
            .with(float(-0.0), "8000000000000000")
            .with(float(0.1), "3FB999999999999A"),
    ]
}

fn decimals() -> Vec<Case> {
    let (decimal, money) = (Value::Decimal, Value::Money);
    let nines = 10_i128.pow(38) - 1;
    vec![
        Case::new("decimal(9,0)", SqlType::Decimal(9, 0)).with(decimal(-999_999_999), "-999999999"),
        Case::new("decimal(18,2)", SqlType::Decimal(18, 2)).with(decimal(-5), "-0.05").with(decimal(0), "0.00"),
        Case::new("decimal(19,4)", SqlType::Decimal(19, 4))
            .with(decimal(9_223_372_036_854_775_807), "922337203685477.5807"),
        Case::new("decimal(28,10)", SqlType::Decimal(28, 10))
            .with(decimal(10_i128.pow(28) - 1), "999999999999999999.9999999999"),
        Case::new("decimal(38,0)", SqlType::Decimal(38, 0))
            .with(decimal(nines), "99999999999999999999999999999999999999")
            .with(decimal(-nines), "-99999999999999999999999999999999999999"),
        Case::new("numeric(38,38)", SqlType::Numeric(38, 38))
            .with(decimal(1), "0.00000000000000000000000000000000000001"),
        // Others than these come out of tiberius rounded, which the client's SQL avoids.
        Case::new("money", SqlType::Money).with(money(-12_345_000), "-1234.5000").with(money(1 << 33), "858993.4592"),
        Case::new("smallmoney", SqlType::SmallMoney).with(money(-12_345_000), "-1234.5000"),
    ]
}

/// Days since 0001-01-01.
fn day(year: i32, month: u32, day: u32) -> u32 {
    use chrono::Datelike;
    NaiveDate::from_ymd_opt(year, month, day).map_or(0, |date| date.num_days_from_ce() as u32 - 1)
}

fn days_from_1900(year: i32, month: u32, of_month: u32) -> i32 {
    day(year, month, of_month) as i32 - day(1900, 1, 1) as i32
}

const LAST_TICK: u64 = 863_999_999_999;
/// 12:34:56.1234567
const AN_INSTANT: u64 = 452_961_234_567;

fn times() -> Vec<Case> {
    let (first, last, leap) = (day(1, 1, 1), day(9999, 12, 31), day(2024, 2, 29));
    let (date, time, datetime2) = (Value::Date, Value::Time, Value::DateTime2);
    let (offset, datetime) = (Value::DateTimeOffset, Value::DateTime);
    vec![
        Case::new("date", SqlType::Date)
            .with(date(first), "0001-01-01")
            .with(date(last), "9999-12-31")
            .with(date(leap), "2024-02-29"),
        Case::new("time(0)", SqlType::Time(0)).with(time(863_990_000_000), "23:59:59.0000000"),
        Case::new("time(3)", SqlType::Time(3)).with(time(452_961_230_000), "12:34:56.1230000"),
        Case::new("time(7)", SqlType::Time(7))
            .with(time(0), "00:00:00.0000000")
            .with(time(LAST_TICK), "23:59:59.9999999"),
        Case::new("datetime2(0)", SqlType::DateTime2(0))
            .with(datetime2(leap, 10_000_000), "2024-02-29 00:00:01.0000000"),
        Case::new("datetime2(2)", SqlType::DateTime2(2))
            .with(datetime2(leap, 452_961_200_000), "2024-02-29 12:34:56.1200000"),
        Case::new("datetime2(7)", SqlType::DateTime2(7))
            .with(datetime2(first, 0), "0001-01-01 00:00:00.0000000")
            .with(datetime2(last, LAST_TICK), "9999-12-31 23:59:59.9999999"),
        Case::new("datetimeoffset(7)", SqlType::DateTimeOffset(7))
            .with(offset(leap, AN_INSTANT, 0), "2024-02-29 12:34:56.1234567 +00:00")
            .with(offset(leap, AN_INSTANT, -210), "2024-02-29 09:04:56.1234567 -03:30")
            .with(offset(leap, AN_INSTANT, 840), "2024-03-01 02:34:56.1234567 +14:00"),
        Case::new("datetimeoffset(0)", SqlType::DateTimeOffset(0))
            .with(offset(first, 0, 60), "0001-01-01 01:00:00.0000000 +01:00"),
        Case::new("datetime", SqlType::DateTime)
            .with(datetime(days_from_1900(1753, 1, 1), 0), "1753-01-01 00:00:00.000")
            .with(datetime(days_from_1900(2024, 2, 29), 1), "2024-02-29 00:00:00.003")
            .with(datetime(days_from_1900(9999, 12, 31), 25_919_999), "9999-12-31 23:59:59.997"),
        Case::new("smalldatetime", SqlType::SmallDateTime)
            .with(Value::SmallDateTime(0, 0), "1900-01-01 00:00:00.000")
            .with(Value::SmallDateTime(u16::MAX, 1439), "2079-06-06 23:59:00.000"),
    ]
}

fn texts() -> Vec<Case> {
    let long = "São Paulo, ação nº 1; ".repeat(900);
    let wide = "Zażółć gęślą jaźń 😀 日本語 ".repeat(700);
    vec![
        Case::new("char(6)", SqlType::Char(6)).with("ação", "ação  "),
        Case::new("nchar(4)", SqlType::NChar(4)).with("日本", "日本  "),
        Case::new("varchar(50)", SqlType::VarChar(Length::Of(50))).texts(&["", " ", "O'Brien; ação €"]),
        Case::new("varchar cyrillic", SqlType::VarChar(Length::Of(50)))
            .collated(Collation::Cyrillic)
            .texts(&["Привет"]),
        Case::new("varchar japanese", SqlType::VarChar(Length::Of(50)))
            .collated(Collation::Japanese)
            .texts(&["日本語ｱ"]),
        Case::new("varchar utf8", SqlType::VarChar(Length::Of(50))).collated(Collation::Utf8).texts(&["ação 日本😀"]),
        Case::new("varchar(max)", SqlType::VarChar(Length::Max)).texts(&["", &long]),
        Case::new("nvarchar(4000)", SqlType::NVarChar(Length::Of(4000))).texts(&["", "😀\u{0}\r\n\tę"]),
        Case::new("nvarchar(max)", SqlType::NVarChar(Length::Max)).texts(&["", "x", &wide]),
        Case::new("text", SqlType::Text).texts(&["", &long]),
        Case::new("ntext", SqlType::NText).texts(&["", &wide]),
        Case::new("xml", SqlType::Xml).texts(&["<a b=\"c\">ę😀</a>", ""]),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn binaries() -> Vec<Case> {
    let long: Vec<u8> = (0..20_000_u32).map(|nth| (nth % 251) as u8).collect();
    let lsn: &[u8] = &[0, 0, 0x2A, 0, 0, 0, 0x01, 0xF0, 0, 3];
    vec![
        Case::new("binary(10)", SqlType::Binary(10))
            .with(lsn, "00002A00000001F00003")
            .with(&[1_u8][..], "01000000000000000000"),
        Case::new("varbinary(128)", SqlType::VarBinary(Length::Of(128)))
            .with(&[][..], "")
            .with(&[0_u8, 0xFF][..], "00FF"),
        Case::new("varbinary(max)", SqlType::VarBinary(Length::Max)).with(&[][..], "").with(&long[..], &hex(&long)),
        Case::new("image", SqlType::Image).with(&[][..], "").with(&long[..], &hex(&long)),
        Case::new("rowversion", SqlType::RowVersion).with(&[0, 0, 0, 0, 0, 0, 7, 0xD1][..], "00000000000007D1"),
    ]
}

fn others() -> Vec<Case> {
    let guid = [0x6F, 0x96, 0x19, 0xFF, 0x8B, 0x86, 0xD0, 0x11, 0xB4, 0x2D, 0x00, 0xC0, 0x4F, 0xC9, 0x64, 0xFF];
    vec![
        Case::new("uniqueidentifier", SqlType::UniqueIdentifier)
            .with(Value::Guid(guid), "6F9619FF-8B86-D011-B42D-00C04FC964FF")
            .with(Value::Guid([0; 16]), "00000000-0000-0000-0000-000000000000"),
        // "/1/" of hierarchyid.
        Case::new("hierarchyid", SqlType::Clr("hierarchyid")).with(&[0x58_u8][..], "58"),
    ]
}

fn variants() -> Vec<Case> {
    let inside = |kind: SqlType, value: Value| Value::Variant(Box::new((kind, value)));
    let case = Case::new("sql_variant", SqlType::Variant)
        .with(inside(SqlType::Bit, Value::Bit(true)), "true")
        .with(inside(SqlType::TinyInt, Value::Int(255)), "255")
        .with(inside(SqlType::Int, Value::Int(-7)), "-7")
        .with(inside(SqlType::BigInt, Value::Int(i64::MAX)), "9223372036854775807")
        .with(inside(SqlType::Float, Value::Float(0.1)), "3FB999999999999A")
        .with(inside(SqlType::Decimal(38, 2), Value::Decimal(-12_345)), "-123.45")
        .with(inside(SqlType::Money, Value::Money(12_500)), "1.2500")
        .with(inside(SqlType::VarBinary(Length::Of(20)), Value::Bytes(vec![1, 2])), "0102")
        .with(inside(SqlType::Date, Value::Date(day(2024, 2, 29))), "2024-02-29")
        .with(inside(SqlType::Time(7), Value::Time(AN_INSTANT)), "12:34:56.1234567")
        .with(
            inside(SqlType::DateTime2(7), Value::DateTime2(day(2024, 2, 29), AN_INSTANT)),
            "2024-02-29 12:34:56.1234567",
        )
        .with(
            inside(SqlType::DateTimeOffset(7), Value::DateTimeOffset(day(2024, 2, 29), AN_INSTANT, 60)),
            "2024-02-29 13:34:56.1234567 +01:00",
        )
        .with(inside(SqlType::DateTime, Value::DateTime(days_from_1900(2024, 2, 29), 300)), "2024-02-29 00:00:01.000")
        .with(inside(SqlType::UniqueIdentifier, Value::Guid([0x11; 16])), "11111111-1111-1111-1111-111111111111")
        // The texts come last: FreeTDS 1.3 takes all that follows one for a text as well.
        .with(inside(SqlType::VarChar(Length::Of(20)), "ação".into()), "ação")
        .with(inside(SqlType::NVarChar(Length::Of(20)), "日本😀".into()), "日本😀");
    vec![case]
}
