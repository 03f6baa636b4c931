//! Builders: cells of text into typed Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder, new_null_array,
};
use arrow::datatypes::DataType;

use super::cell::{self, Reading};
use super::findings::Finding;
use super::schema::Column;
use super::types::ColumnType;

/// A column under construction.
pub(crate) struct ColumnBuilder {
    reading: Reading,
    values: Values,
    finding: Finding,
}

enum Values {
    /// So many nulls: the column has no value yet, and no type.
    Empty(usize),
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Double(Float64Builder),
    Decimal {
        values: Decimal128Builder,
        precision: u8,
        scale: i8,
    },
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampUtc(TimestampMicrosecondBuilder),
    String(StringBuilder),
}

impl ColumnBuilder {
    /// A column whose cells are read in this way.
    pub(crate) fn new(column: &Column, reading: Reading) -> Self {
        let column_type = column.column_type;
        let values = match column_type {
            _ if column.empty => Values::Empty(0),
            ColumnType::Bool => Values::Bool(BooleanBuilder::new()),
            ColumnType::Int64 => Values::Int64(Int64Builder::new()),
            ColumnType::Double => Values::Double(Float64Builder::new()),
            ColumnType::Decimal { precision, scale } => {
                let values = Decimal128Builder::new().with_data_type(column_type.arrow());
                Values::Decimal { values, precision, scale }
            }
            ColumnType::Date => Values::Date(Date32Builder::new()),
            ColumnType::Timestamp => Values::Timestamp(TimestampMicrosecondBuilder::new()),
            ColumnType::TimestampUtc => {
                Values::TimestampUtc(TimestampMicrosecondBuilder::new().with_data_type(column_type.arrow()))
            }
            ColumnType::String => Values::String(StringBuilder::new()),
        };
        Self { reading, values, finding: Finding::default() }
    }

    /// Appends cells, `None` for a null, up to one whose text does not fit the type; gives that one's place among them.
    pub(crate) fn extend<'a>(&mut self, cells: impl Iterator<Item = Option<&'a str>>) -> Option<usize> {
        let (reading, finding) = (self.reading, &mut self.finding);
        match &mut self.values {
            Values::Empty(nulls) => fill(cells, |_| None::<()>, |_| *nulls += 1),
            Values::Bool(values) => fill(cells, |text| cell::bool(text, reading), |value| values.append_option(value)),
            Values::Int64(values) if reading == Reading::Whole => {
                let parse = |text: &str| {
                    let value = cell::int64(text, Reading::Whole)?;
                    finding.pointed |= text.ends_with(".0");
                    Some(value)
                };
                fill(cells, parse, |value| values.append_option(value))
            }
            Values::Int64(values) => {
                fill(cells, |text| cell::int64(text, reading), |value| values.append_option(value))
            }
            Values::Double(values) if reading == Reading::Lenient => {
                let parse = |text: &str| cell::double(text, reading).filter(|_| finding.separators.admit(text));
                fill(cells, parse, |value| values.append_option(value))
            }
            Values::Double(values) => {
                let parse = |text: &str| {
                    let value = cell::double(text, reading)?;
                    finding.formats.see(text, value);
                    Some(value)
                };
                fill(cells, parse, |value| values.append_option(value))
            }
            Values::Decimal { values, precision, scale } => {
                let parse =
                    |text: &str| cell::decimal(text, *precision, *scale).filter(|_| finding.separators.admit(text));
                fill(cells, parse, |value| values.append_option(value))
            }
            Values::Date(values) => fill(cells, cell::date, |value| values.append_option(value)),
            Values::Timestamp(values) => fill(cells, cell::timestamp, |value| values.append_option(value)),
            Values::TimestampUtc(values) => {
                fill(cells, |text| cell::timestamp_utc(text, reading), |value| values.append_option(value))
            }
            Values::String(values) => fill(cells, Some, |value| values.append_option(value)),
        }
    }

    /// What the cells have shown so far.
    pub(crate) fn finding(&self) -> Finding {
        self.finding
    }

    /// The column so far; the builder is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Empty(nulls) => new_null_array(&DataType::Utf8, std::mem::take(nulls)),
            Values::Bool(values) => Arc::new(values.finish()),
            Values::Int64(values) => Arc::new(values.finish()),
            Values::Double(values) => Arc::new(values.finish()),
            Values::Decimal { values, .. } => Arc::new(values.finish()),
            Values::Date(values) => Arc::new(values.finish()),
            Values::Timestamp(values) | Values::TimestampUtc(values) => Arc::new(values.finish()),
            Values::String(values) => Arc::new(values.finish()),
        }
    }
}

/// One loop for each type of column.
fn fill<'a, T>(
    cells: impl Iterator<Item = Option<&'a str>>,
    mut parse: impl FnMut(&'a str) -> Option<T>,
    mut append: impl FnMut(Option<T>),
) -> Option<usize> {
    for (place, text) in cells.enumerate() {
        let value = text.and_then(&mut parse);
        if value.is_none() && text.is_some() {
            return Some(place);
        }
        append(value);
    }
    None
}
