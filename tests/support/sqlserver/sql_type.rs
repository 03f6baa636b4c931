//! Types as the catalog describes them.

use super::super::tds::{Collation, Column, Length, SqlType};

/// A row of `sys.columns` with its `sys.types`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) name: &'static str,
    /// In bytes; -1 for `max`.
    pub(super) max_length: i64,
    pub(super) precision: i64,
    pub(super) scale: i64,
    pub(super) collation: Option<&'static str>,
    pub(super) code_page: Option<i64>,
}

impl Described {
    pub(super) fn of(column: &Column) -> Self {
        let (name, max_length, precision, scale) = numbers(&column.kind);
        let is_text = matches!(
            column.kind,
            SqlType::Char(_)
                | SqlType::VarChar(_)
                | SqlType::NChar(_)
                | SqlType::NVarChar(_)
                | SqlType::Text
                | SqlType::NText
        );
        let (collation, code_page) = named(column.collation);
        let text = is_text.then_some(());
        Self {
            name,
            max_length,
            precision,
            scale,
            collation: text.map(|()| collation),
            code_page: text.map(|()| code_page),
        }
    }
}

fn named(collation: Collation) -> (&'static str, i64) {
    match collation {
        Collation::Latin1 => ("SQL_Latin1_General_CP1_CI_AS", 1252),
        Collation::Cyrillic => ("Cyrillic_General_CI_AS", 1251),
        Collation::Japanese => ("Japanese_CI_AS", 932),
        Collation::Utf8 => ("Latin1_General_100_CI_AS_SC_UTF8", 65_001),
    }
}

/// Name, length, precision and scale, as `sys.columns` has them.
fn numbers(kind: &SqlType) -> (&'static str, i64, i64, i64) {
    match *kind {
        SqlType::Bit => ("bit", 1, 1, 0),
        SqlType::TinyInt => ("tinyint", 1, 3, 0),
        SqlType::SmallInt => ("smallint", 2, 5, 0),
        SqlType::Int => ("int", 4, 10, 0),
        SqlType::BigInt => ("bigint", 8, 19, 0),
        SqlType::Real => ("real", 4, 24, 0),
        SqlType::Float => ("float", 8, 53, 0),
        SqlType::Decimal(precision, scale) => ("decimal", decimal(precision), precision.into(), scale.into()),
        SqlType::Numeric(precision, scale) => ("numeric", decimal(precision), precision.into(), scale.into()),
        SqlType::Money => ("money", 8, 19, 4),
        SqlType::SmallMoney => ("smallmoney", 4, 10, 4),
        SqlType::Char(chars) => ("char", chars.into(), 0, 0),
        SqlType::VarChar(length) => ("varchar", bytes(length, 1), 0, 0),
        SqlType::NChar(chars) => ("nchar", i64::from(chars) * 2, 0, 0),
        SqlType::NVarChar(length) => ("nvarchar", bytes(length, 2), 0, 0),
        SqlType::Text => ("text", 16, 0, 0),
        SqlType::NText => ("ntext", 16, 0, 0),
        SqlType::Image => ("image", 16, 0, 0),
        SqlType::Binary(len) => ("binary", len.into(), 0, 0),
        SqlType::VarBinary(length) => ("varbinary", bytes(length, 1), 0, 0),
        SqlType::RowVersion => ("timestamp", 8, 0, 0),
        SqlType::Date => ("date", 3, 10, 0),
        SqlType::Time(scale) => ("time", time(scale), 8 + fraction(scale), scale.into()),
        SqlType::DateTime => ("datetime", 8, 23, 3),
        SqlType::SmallDateTime => ("smalldatetime", 4, 16, 0),
        SqlType::DateTime2(scale) => ("datetime2", time(scale) + 3, 19 + fraction(scale), scale.into()),
        SqlType::DateTimeOffset(scale) => ("datetimeoffset", time(scale) + 5, 26 + fraction(scale), scale.into()),
        SqlType::UniqueIdentifier => ("uniqueidentifier", 16, 0, 0),
        SqlType::Xml => ("xml", -1, 0, 0),
        SqlType::Variant => ("sql_variant", 8016, 0, 0),
        SqlType::Clr(name) => (name, if name == "hierarchyid" { 892 } else { -1 }, 0, 0),
    }
}

fn bytes(length: Length, of_a_character: i64) -> i64 {
    match length {
        Length::Of(characters) => i64::from(characters) * of_a_character,
        Length::Max => -1,
    }
}

fn decimal(precision: u8) -> i64 {
    match precision {
        0..=9 => 5,
        10..=19 => 9,
        20..=28 => 13,
        _ => 17,
    }
}

fn time(scale: u8) -> i64 {
    match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    }
}

fn fraction(scale: u8) -> i64 {
    if scale == 0 { 0 } else { i64::from(scale) + 1 }
}

/// The type of a cast: those that the client writes.
pub(super) fn parse(declaration: &str) -> Option<SqlType> {
    let (name, arguments) = match declaration.split_once('(') {
        Some((name, rest)) => (name, rest.strip_suffix(')')?),
        None => (declaration, ""),
    };
    let length = || if arguments == "max" { Some(Length::Max) } else { arguments.parse().ok().map(Length::Of) };
    let number = || arguments.parse().ok();
    Some(match name {
        "bit" => SqlType::Bit,
        "tinyint" => SqlType::TinyInt,
        "smallint" => SqlType::SmallInt,
        "int" => SqlType::Int,
        "bigint" => SqlType::BigInt,
        "decimal" | "numeric" => {
            let (precision, scale) = arguments.split_once(',')?;
            SqlType::Decimal(precision.parse().ok()?, scale.parse().ok()?)
        }
        "char" => SqlType::Char(arguments.parse().ok()?),
        "varchar" => SqlType::VarChar(length()?),
        "nchar" => SqlType::NChar(arguments.parse().ok()?),
        "nvarchar" => SqlType::NVarChar(length()?),
        "binary" => SqlType::Binary(arguments.parse().ok()?),
        "varbinary" => SqlType::VarBinary(length()?),
        "date" => SqlType::Date,
        "datetime" => SqlType::DateTime,
        "datetime2" => SqlType::DateTime2(number()?),
        "datetimeoffset" => SqlType::DateTimeOffset(number()?),
        "uniqueidentifier" => SqlType::UniqueIdentifier,
        _ => return None,
    })
}
