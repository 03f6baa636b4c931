//! The types of SQL Server: which Arrow columns carry them, and how they are selected.
//!
//! | SQL Server | Arrow |
//! | --- | --- |
//! | `bit` | Boolean |
//! | `tinyint`, `smallint` | Int16: `tinyint` is 0 to 255, and many readers have no unsigned types |
//! | `int`, `bigint`, `real`, `float` | Int32, Int64, Float32, Float64 |
//! | `decimal(p,s)`, `numeric(p,s)` | Decimal128(p,s) |
//! | `money`, `smallmoney` | Decimal128(19,4), Decimal128(10,4) |
//! | character types, `xml`, `json` | Utf8 |
//! | `date` | Date32 |
//! | `datetime`, `smalldatetime`, `datetime2` | Timestamp in microseconds, without a zone |
//! | `datetimeoffset` | Timestamp in microseconds of UTC, and an Int16 column `…_offset_minutes` |
//! | `time` | Time64 in microseconds |
//! | `uniqueidentifier` | Utf8, in upper case |
//! | `binary`, `varbinary`, `image`, `rowversion` | Binary |
//! | `hierarchyid` | Utf8: `/1/2/` |
//! | `geometry`, `geography` | Utf8: `SRID=4326;POINT (…)` |
//! | `sql_variant` | Utf8: the text of the value |

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::config::TimesAsText;

/// The code page that the driver decodes by itself. Text of any other one comes as Unicode.
const WINDOWS_1252: i32 = 1252;

/// The type of a column as the catalog describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SqlType {
    /// The name of the system's type, in lower case: `nvarchar`, `decimal`.
    pub(super) name: String,
    /// The greatest length in bytes; -1 for `max`.
    pub(super) max_length: i16,
    /// The digits of a decimal.
    pub(super) precision: u8,
    /// Those behind the point, or the fractional digits of a second.
    pub(super) scale: u8,
    /// The collation of a character type.
    pub(super) collation: Option<String>,
    /// The code page of that collation.
    pub(super) code_page: Option<i32>,
}

/// How the values of a column are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// True or false.
    Bool,
    /// 16 bits.
    Int16,
    /// 32 bits.
    Int32,
    /// 64 bits.
    Int64,
    /// Single precision.
    Float32,
    /// Double precision.
    Float64,
    /// Exact numbers.
    Decimal {
        /// All digits.
        precision: u8,
        /// Those behind the point.
        scale: u8,
    },
    /// Text, or the text of another value.
    Text,
    /// Bytes.
    Binary,
    /// Days.
    Date,
    /// Microseconds, without a zone.
    Timestamp,
    /// Microseconds of UTC, and the minutes by which the local time is ahead.
    OffsetTimestamp,
    /// Microseconds since midnight.
    Time,
}

impl SqlType {
    /// As a person would write it: `decimal(18,2)`, `nvarchar(max)`.
    pub(super) fn declaration(&self) -> String {
        let name = &self.name;
        match name.as_str() {
            "decimal" | "numeric" => format!("{name}({},{})", self.precision, self.scale),
            "datetime2" | "datetimeoffset" | "time" => format!("{name}({})", self.scale),
            "char" | "varchar" | "binary" | "varbinary" => format!("{name}({})", self.length(1)),
            "nchar" | "nvarchar" => format!("{name}({})", self.length(2)),
            _ => name.clone(),
        }
    }

    /// What carries its values.
    pub(super) fn carrier(&self, as_text: TimesAsText) -> Carrier {
        match self.name.as_str() {
            "bit" => Carrier::Bool,
            "tinyint" | "smallint" => Carrier::Int16,
            "int" => Carrier::Int32,
            "bigint" => Carrier::Int64,
            "real" => Carrier::Float32,
            "float" => Carrier::Float64,
            "decimal" | "numeric" => Carrier::Decimal { precision: self.precision, scale: self.scale },
            "money" => Carrier::Decimal { precision: 19, scale: 4 },
            "smallmoney" => Carrier::Decimal { precision: 10, scale: 4 },
            "date" => Carrier::Date,
            "datetime" | "smalldatetime" => Carrier::Timestamp,
            "datetime2" if !as_text.datetime2 => Carrier::Timestamp,
            "datetimeoffset" if !as_text.datetimeoffset => Carrier::OffsetTimestamp,
            "time" if !as_text.time => Carrier::Time,
            "binary" | "varbinary" | "image" | "timestamp" => Carrier::Binary,
            _ => Carrier::Text,
        }
    }

    /// The expression that selects the column `quoted` in a form that arrives exactly.
    pub(super) fn select(&self, quoted: &str) -> String {
        match self.name.as_str() {
            // The driver would make a binary floating-point number of it.
            "money" => format!("CAST({quoted} AS decimal(19,4))"),
            "smallmoney" => format!("CAST({quoted} AS decimal(10,4))"),
            "char" | "varchar" if self.is_foreign() => format!("CAST({quoted} AS {})", self.as_unicode()),
            "text" | "ntext" => format!("CAST({quoted} AS nvarchar(max))"),
            "image" => format!("CAST({quoted} AS varbinary(max))"),
            "hierarchyid" => format!("{quoted}.ToString()"),
            "geometry" | "geography" => format!(
                "CASE WHEN {quoted} IS NOT NULL THEN CONCAT(N'SRID=', {quoted}.STSrid, N';', {quoted}.ToString()) END"
            ),
            "sql_variant" => variant(quoted),
            name if is_known(name) => quoted.to_owned(),
            _ => format!("CAST({quoted} AS nvarchar(max))"),
        }
    }

    /// The expression that makes a value of this type of the parameter `parameter`, which holds its text; `None` for a type
    /// that has no order, or none that a text could keep.
    pub(super) fn parse(&self, parameter: &str) -> Option<String> {
        match self.name.as_str() {
            "binary" | "varbinary" => Some(format!("CONVERT({}, {parameter}, 1)", self.declaration())),
            "timestamp" => Some(format!("CONVERT(binary(8), {parameter}, 1)")),
            "char" | "varchar" => {
                let collation = self.collation.as_deref().filter(|name| is_plain(name))?;
                Some(format!("CAST({parameter} COLLATE {collation} AS {})", self.declaration()))
            }
            "xml" | "text" | "ntext" | "image" | "sql_variant" | "geometry" | "geography" => None,
            name if is_known(name) || name == "hierarchyid" => {
                Some(format!("CAST({parameter} AS {})", self.declaration()))
            }
            _ => None,
        }
    }

    /// Whether its values may be so large that an unchanged one is left out of a change.
    pub(super) fn is_large(&self) -> bool {
        let large =
            matches!(self.name.as_str(), "text" | "ntext" | "image" | "xml" | "json" | "geometry" | "geography");
        large || self.max_length == -1
    }

    /// Whether the driver cannot be trusted with its code page. It does not know UTF-8, for one.
    fn is_foreign(&self) -> bool {
        self.code_page != Some(WINDOWS_1252)
    }

    /// A Unicode type that has room for all of it.
    fn as_unicode(&self) -> String {
        match self.max_length {
            length @ 1..=4000 => format!("nvarchar({length})"),
            _ => "nvarchar(max)".to_owned(),
        }
    }

    fn length(&self, bytes_per_character: i16) -> String {
        if self.max_length < 0 { "max".to_owned() } else { (self.max_length / bytes_per_character).to_string() }
    }
}

impl Carrier {
    /// The Arrow columns that carry a column `name`, all nullable.
    pub(super) fn fields(self, name: &str) -> Vec<Field> {
        let field = |data_type| Field::new(name, data_type, true);
        match self {
            Self::OffsetTimestamp => {
                let minutes = Field::new(format!("{name}_offset_minutes"), DataType::Int16, true);
                vec![field(utc()), minutes]
            }
            Self::Bool => vec![field(DataType::Boolean)],
            Self::Int16 => vec![field(DataType::Int16)],
            Self::Int32 => vec![field(DataType::Int32)],
            Self::Int64 => vec![field(DataType::Int64)],
            Self::Float32 => vec![field(DataType::Float32)],
            Self::Float64 => vec![field(DataType::Float64)],
            Self::Decimal { precision, scale } => {
                vec![field(DataType::Decimal128(precision, scale.cast_signed()))]
            }
            Self::Text => vec![field(DataType::Utf8)],
            Self::Binary => vec![field(DataType::Binary)],
            Self::Date => vec![field(DataType::Date32)],
            Self::Timestamp => vec![field(DataType::Timestamp(TimeUnit::Microsecond, None))],
            Self::Time => vec![field(DataType::Time64(TimeUnit::Microsecond))],
        }
    }
}

/// A time in microseconds of UTC.
pub(super) fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A money value would arrive inexactly, and text of a foreign code page garbled. Longer text than fits into a variant
/// as Unicode stays as it is.
fn variant(quoted: &str) -> String {
    let base = format!("CAST(SQL_VARIANT_PROPERTY({quoted}, 'BaseType') AS sysname)");
    format!(
        "CASE WHEN {base} IN (N'money', N'smallmoney') THEN CAST(CAST({quoted} AS decimal(19,4)) AS sql_variant) \
         WHEN {base} IN (N'char', N'varchar') AND DATALENGTH({quoted}) <= 4000 \
         THEN CAST(CAST({quoted} AS nvarchar(4000)) AS sql_variant) ELSE {quoted} END"
    )
}

/// Whether it is among the types that the driver reads as they are.
fn is_known(name: &str) -> bool {
    const KNOWN: [&str; 25] = [
        "bigint",
        "binary",
        "bit",
        "char",
        "date",
        "datetime",
        "datetime2",
        "datetimeoffset",
        "decimal",
        "float",
        "int",
        "money",
        "nchar",
        "numeric",
        "nvarchar",
        "real",
        "smalldatetime",
        "smallint",
        "smallmoney",
        "time",
        "timestamp",
        "tinyint",
        "uniqueidentifier",
        "varbinary",
        "varchar",
    ];
    KNOWN.contains(&name) || name == "xml"
}

/// The name of a collation stands in SQL without quotes.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
