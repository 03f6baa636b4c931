//! The column types of the lake, and how they widen.

use std::fmt;
use std::str::FromStr;

use arrow::datatypes::{DataType, TimeUnit};

/// The type of a column in every file of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `true` or `false`.
    Bool,
    /// A 64-bit integer.
    Int64,
    /// A 64-bit float.
    Double,
    /// A decimal of `precision` digits (1 to 38), `scale` of them after the point.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// A calendar day.
    Date,
    /// A point in local time, in microseconds.
    Timestamp,
    /// An instant in UTC, in microseconds.
    TimestampUtc,
    /// Text.
    String,
}

impl ColumnType {
    /// The Arrow type that carries it.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int64 => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::String => DataType::Utf8,
        }
    }

    /// The type carried by an Arrow type of one of our own files.
    pub fn from_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int64 => Self::Int64,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(precision, scale) => Self::Decimal { precision: *precision, scale: *scale },
            DataType::Date32 => Self::Date,
            DataType::Timestamp(TimeUnit::Microsecond, None) => Self::Timestamp,
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Self::TimestampUtc,
            DataType::Utf8 => Self::String,
            _ => return None,
        })
    }

    /// The narrowest type that holds the values of both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Int64, Self::Double) | (Self::Double, Self::Int64) => Self::Double,
            (Self::Date, Self::Timestamp) | (Self::Timestamp, Self::Date) => Self::Timestamp,
            (Self::Decimal { precision, scale }, Self::Decimal { precision: other, scale: same }) if scale == same => {
                Self::Decimal { precision: precision.max(other), scale }
            }
            _ => Self::String,
        }
    }
}

/// `bool`, `int64`, `double`, `decimal(p,s)`, `date`, `timestamp`, `timestamptz`, `string`.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int64 => f.write_str("int64"),
            Self::Double => f.write_str("double"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::TimestampUtc => f.write_str("timestamptz"),
            Self::String => f.write_str("string"),
        }
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        Ok(match text.as_str() {
            "bool" | "boolean" => Self::Bool,
            "int" | "int64" | "bigint" | "integer" | "long" => Self::Int64,
            "double" | "float" | "float64" => Self::Double,
            "date" => Self::Date,
            "timestamp" | "datetime" => Self::Timestamp,
            "timestamptz" => Self::TimestampUtc,
            "string" | "text" | "str" => Self::String,
            _ => return decimal(&text),
        })
    }
}

fn decimal(text: &str) -> Result<ColumnType, String> {
    let unknown = || {
        format!(
            "`{text}` is not a column type: use bool, int64, double, decimal(p,s), date, timestamp, timestamptz or string"
        )
    };
    let inner = text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(unknown)?;
    let (precision, scale) = inner.split_once(',').unwrap_or((inner, "0"));
    let precision: u8 = precision.trim().parse().map_err(|_| unknown())?;
    let scale: i8 = scale.trim().parse().map_err(|_| unknown())?;
    if !(1..=38).contains(&precision) || scale < 0 || scale.unsigned_abs() > precision {
        return Err(format!("`{text}`: a decimal has 1 to 38 digits, and at most that many after the point"));
    }
    Ok(ColumnType::Decimal { precision, scale })
}
