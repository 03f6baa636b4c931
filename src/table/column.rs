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

    /// Appends a cell; `false` when its text does not fit the type (a null takes its place).
    pub(crate) fn append(&mut self, text: Option<&str>) -> bool {
        macro_rules! typed {
            ($builder:expr, $parse:expr) => {{
                let value = text.and_then($parse);
                $builder.append_option(value);
                value.is_some() || text.is_none()
            }};
        }
        let reading = self.reading;
        match &mut self.values {
            Values::Bool(values) => typed!(values, |text| cell::bool(text, reading)),
            Values::Int64(values) => typed!(values, |text| cell::int64(text, reading)),
            Values::Double(values) => typed!(values, |text| cell::double(text, reading)),
            Values::Decimal { values, precision, scale } => {
                typed!(values, |text| cell::decimal(text, *precision, *scale))
            }
            Values::Date(values) => typed!(values, cell::date),
            Values::Timestamp(values) => typed!(values, cell::timestamp),
            Values::TimestampUtc(values) => typed!(values, |text| cell::timestamp_utc(text, reading)),
            Values::String(values) => {
                values.append_option(text);
                true
            }
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
