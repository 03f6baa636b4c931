//! Values of the wire into Arrow columns: one builder a column, chosen once, and no allocation per value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int16Builder, Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::DataType;
use tiberius::ColumnData;
use tiberius::numeric::Numeric;

use super::text::{guid, text};
use super::times;
use super::types::{Carrier, utc};

/// The greatest value, in bytes. Offsets within a batch have 31 bits.
const GREATEST_VALUE: usize = 1 << 30;

/// A column of a batch that is being built.
#[derive(Debug)]
pub(super) enum Column {
    Bool(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal { digits: Decimal128Builder, scale: u8 },
    Text(StringBuilder),
    Binary(BinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    OffsetTimestamp { utc: TimestampMicrosecondBuilder, minutes: Int16Builder },
    Time(Time64MicrosecondBuilder),
}

/// Why a value does not go into its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It is of another type than the column.
    Type,
    /// It is outside the range of its type.
    Range,
    /// It is longer than [`GREATEST_VALUE`].
    TooLong,
}

impl Column {
    /// An empty column for `rows` values.
    pub(super) fn new(carrier: Carrier, rows: usize) -> Self {
        match carrier {
            Carrier::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Carrier::Int16 => Self::Int16(Int16Builder::with_capacity(rows)),
            Carrier::Int32 => Self::Int32(Int32Builder::with_capacity(rows)),
            Carrier::Int64 => Self::Int64(Int64Builder::with_capacity(rows)),
            Carrier::Float32 => Self::Float32(Float32Builder::with_capacity(rows)),
            Carrier::Float64 => Self::Float64(Float64Builder::with_capacity(rows)),
            Carrier::Decimal { precision, scale } => {
                let data_type = DataType::Decimal128(precision, scale.cast_signed());
                Self::Decimal { digits: Decimal128Builder::with_capacity(rows).with_data_type(data_type), scale }
            }
            Carrier::Text => Self::Text(StringBuilder::with_capacity(rows, rows * 8)),
            Carrier::Binary => Self::Binary(BinaryBuilder::with_capacity(rows, rows * 8)),
            Carrier::Date => Self::Date(Date32Builder::with_capacity(rows)),
            Carrier::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(rows)),
            Carrier::OffsetTimestamp => Self::OffsetTimestamp {
                utc: TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(utc()),
                minutes: Int16Builder::with_capacity(rows),
            },
            Carrier::Time => Self::Time(Time64MicrosecondBuilder::with_capacity(rows)),
        }
    }

    /// Appends a value and says how many bytes it takes, about.
    pub(super) fn append(&mut self, value: &ColumnData<'_>) -> Result<usize, Misfit> {
        match (self, value) {
            (Self::Bool(column), ColumnData::Bit(value)) => column.append_option(*value),
            (Self::Int16(column), ColumnData::I16(value)) => column.append_option(*value),
            (Self::Int16(column), ColumnData::U8(value)) => column.append_option(value.map(i16::from)),
            (Self::Int32(column), ColumnData::I32(value)) => column.append_option(*value),
            (Self::Int64(column), ColumnData::I64(value)) => column.append_option(*value),
            (Self::Float32(column), ColumnData::F32(value)) => column.append_option(*value),
            (Self::Float64(column), ColumnData::F64(value)) => column.append_option(*value),
            (Self::Decimal { digits, scale }, ColumnData::Numeric(value)) => {
                digits.append_option(value.map(|value| scaled(value, *scale)).transpose()?);
            }
            (Self::Text(column), value) => return append_text(column, value),
            (Self::Binary(column), ColumnData::Binary(Some(value))) => {
                column.append_value(fitting(value)?);
                return Ok(value.len());
            }
            (Self::Date(column), ColumnData::Date(value)) => {
                column.append_option(in_range(value.map(|value| times::date(value.days())))?);
            }
            (Self::Timestamp(column), value) if !is_null(value) => column.append_value(timestamp(value)?),
            (Self::OffsetTimestamp { utc, minutes }, ColumnData::DateTimeOffset(Some(value))) => {
                utc.append_value(times::datetime2(value.datetime2()).ok_or(Misfit::Range)?);
                minutes.append_value(value.offset());
            }
            (Self::Time(column), ColumnData::Time(value)) => {
                column.append_option(in_range(value.map(times::time))?);
            }
            (column, value) if is_null(value) => column.append_null(),
            (column, value) => column.append_narrower(value)?,
        }
        Ok(8)
    }

    /// The column's values so far, as the Arrow columns that carry them; the column is empty then.
    pub(super) fn finish(&mut self, into: &mut Vec<ArrayRef>) {
        let array: ArrayRef = match self {
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Int16(column) => Arc::new(column.finish()),
            Self::Int32(column) => Arc::new(column.finish()),
            Self::Int64(column) => Arc::new(column.finish()),
            Self::Float32(column) => Arc::new(column.finish()),
            Self::Float64(column) => Arc::new(column.finish()),
            Self::Decimal { digits, .. } => Arc::new(digits.finish()),
            Self::Text(column) => Arc::new(column.finish()),
            Self::Binary(column) => Arc::new(column.finish()),
            Self::Date(column) => Arc::new(column.finish()),
            Self::Timestamp(column) => Arc::new(column.finish()),
            Self::Time(column) => Arc::new(column.finish()),
            Self::OffsetTimestamp { utc, minutes } => {
                into.push(Arc::new(utc.finish()));
                Arc::new(minutes.finish())
            }
        };
        into.push(array);
    }

    fn append_null(&mut self) {
        match self {
            Self::Bool(column) => column.append_null(),
            Self::Int16(column) => column.append_null(),
            Self::Int32(column) => column.append_null(),
            Self::Int64(column) => column.append_null(),
            Self::Float32(column) => column.append_null(),
            Self::Float64(column) => column.append_null(),
            Self::Decimal { digits, .. } => digits.append_null(),
            Self::Text(column) => column.append_null(),
            Self::Binary(column) => column.append_null(),
            Self::Date(column) => column.append_null(),
            Self::Timestamp(column) => column.append_null(),
            Self::OffsetTimestamp { utc, minutes } => {
                utc.append_null();
                minutes.append_null();
            }
            Self::Time(column) => column.append_null(),
        }
    }

    /// A value of a narrower type than the column's: the source table may still have the type of before a change.
    fn append_narrower(&mut self, value: &ColumnData<'_>) -> Result<(), Misfit> {
        let whole = match value {
            ColumnData::U8(Some(value)) => i64::from(*value),
            ColumnData::I16(Some(value)) => i64::from(*value),
            ColumnData::I32(Some(value)) => i64::from(*value),
            ColumnData::I64(Some(value)) => *value,
            ColumnData::F32(Some(value)) => {
                let Self::Float64(column) = self else { return Err(Misfit::Type) };
                column.append_value((*value).into());
                return Ok(());
            }
            _ => return Err(Misfit::Type),
        };
        match self {
            Self::Int16(column) => column.append_value(whole.try_into().map_err(|_| Misfit::Range)?),
            Self::Int32(column) => column.append_value(whole.try_into().map_err(|_| Misfit::Range)?),
            Self::Int64(column) => column.append_value(whole),
            _ => return Err(Misfit::Type),
        }
        Ok(())
    }
}

/// Whether it is a NULL of whatever type: a variant's has none.
fn is_null(value: &ColumnData<'_>) -> bool {
    matches!(
        value,
        ColumnData::U8(None)
            | ColumnData::I16(None)
            | ColumnData::I32(None)
            | ColumnData::I64(None)
            | ColumnData::F32(None)
            | ColumnData::F64(None)
            | ColumnData::Bit(None)
            | ColumnData::String(None)
            | ColumnData::Guid(None)
            | ColumnData::Binary(None)
            | ColumnData::Numeric(None)
            | ColumnData::Xml(None)
            | ColumnData::DateTime(None)
            | ColumnData::SmallDateTime(None)
            | ColumnData::Time(None)
            | ColumnData::Date(None)
            | ColumnData::DateTime2(None)
            | ColumnData::DateTimeOffset(None)
    )
}

fn append_text(column: &mut StringBuilder, value: &ColumnData<'_>) -> Result<usize, Misfit> {
    match value {
        ColumnData::String(Some(value)) => {
            fitting(value.as_bytes())?;
            column.append_value(value.as_ref());
            Ok(value.len())
        }
        ColumnData::Guid(Some(value)) => {
            column.append_value(guid(value, &mut [0; 36]));
            Ok(36)
        }
        value => {
            let text = text(value).map_err(|_| Misfit::Range)?;
            column.append_option(text.as_deref());
            Ok(text.map_or(1, |text| text.len()))
        }
    }
}

fn timestamp(value: &ColumnData<'_>) -> Result<i64, Misfit> {
    let micros = match value {
        ColumnData::DateTime2(Some(at)) => times::datetime2(*at),
        ColumnData::DateTime(Some(at)) => times::datetime(*at),
        ColumnData::SmallDateTime(Some(at)) => times::smalldatetime(*at),
        _ => return Err(Misfit::Type),
    };
    micros.ok_or(Misfit::Range)
}

/// The digits of `value` at `scale`, which is nearly always the one that it has.
fn scaled(value: Numeric, scale: u8) -> Result<i128, Misfit> {
    let digits = value.value();
    match scale.checked_sub(value.scale()) {
        Some(0) => Ok(digits),
        Some(more) => digits.checked_mul(10_i128.pow(more.into())).ok_or(Misfit::Range),
        None => {
            let surplus = 10_i128.pow((value.scale() - scale).into());
            if digits % surplus == 0 { Ok(digits / surplus) } else { Err(Misfit::Range) }
        }
    }
}

/// NULL stays NULL; a value that could not be converted is out of range.
fn in_range<T>(converted: Option<Option<T>>) -> Result<Option<T>, Misfit> {
    match converted {
        None => Ok(None),
        Some(value) => value.map(Some).ok_or(Misfit::Range),
    }
}

fn fitting(value: &[u8]) -> Result<&[u8], Misfit> {
    if value.len() > GREATEST_VALUE { Err(Misfit::TooLong) } else { Ok(value) }
}

#[cfg(test)]
mod tests;
