//! Builders: cells of text into typed Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};

use super::cell::{self, Reading};
use super::types::ColumnType;

/// A column under construction.
pub(crate) struct ColumnBuilder {
    reading: Reading,
    values: Values,
}

enum Values {
    Bool(BooleanBuilder),
    Int64(Int64Builder),
    Double(Float64Builder),
    Decimal { values: Decimal128Builder, precision: u8, scale: i8 },
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampUtc(TimestampMicrosecondBuilder),
    String(StringBuilder),
}

impl ColumnBuilder {
    /// A column of `column_type` whose cells are read strictly or leniently.
    pub(crate) fn new(column_type: ColumnType, reading: Reading) -> Self {
        let values = match column_type {
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
        Self { reading, values }
    }

    /// Appends cells, `None` for a null, up to one whose text does not fit the type; gives that one's place among them.
    pub(crate) fn extend<'a>(&mut self, cells: impl Iterator<Item = Option<&'a str>>) -> Option<usize> {
        let reading = self.reading;
        match &mut self.values {
            Values::Bool(values) => fill(cells, |text| cell::bool(text, reading), |value| values.append_option(value)),
            Values::Int64(values) => {
                fill(cells, |text| cell::int64(text, reading), |value| values.append_option(value))
            }
            Values::Double(values) => {
                fill(cells, |text| cell::double(text, reading), |value| values.append_option(value))
            }
            Values::Decimal { values, precision, scale } => {
                fill(cells, |text| cell::decimal(text, *precision, *scale), |value| values.append_option(value))
            }
            Values::Date(values) => fill(cells, cell::date, |value| values.append_option(value)),
            Values::Timestamp(values) => fill(cells, cell::timestamp, |value| values.append_option(value)),
            Values::TimestampUtc(values) => {
                fill(cells, |text| cell::timestamp_utc(text, reading), |value| values.append_option(value))
            }
            Values::String(values) => fill(cells, Some, |value| values.append_option(value)),
        }
    }

    /// The column so far; the builder is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
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
    parse: impl Fn(&'a str) -> Option<T>,
    mut append: impl FnMut(Option<T>),
) -> Option<usize> {
    for (place, text) in cells.enumerate() {
        let value = text.and_then(&parse);
        if value.is_none() && text.is_some() {
            return Some(place);
        }
        append(value);
    }
    None
}
