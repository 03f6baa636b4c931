//! Rows of an older schema in a newer, wider one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

use super::number::NumberFormat;
use super::schema::{Column, TableSchema};
use super::types::ColumnType;
use crate::error::{Error, Result};

/// The rows of `batch`, which are in the schema `from`, in the types and order of `to`; columns that they lack are null, others
/// are left out. Doubles become the texts that the source wrote, where their format is known.
///
/// # Errors
/// `LosesDigits` (kind `Data`) where an integer has no equal double.
pub fn widen(batch: &RecordBatch, from: &TableSchema, to: &TableSchema) -> Result<RecordBatch> {
    let column = |column: &Column| {
        let Some(array) = batch.column_by_name(&column.name).filter(|array| array.null_count() < array.len()) else {
            return Ok(new_null_array(&column.column_type.arrow(), batch.num_rows()));
        };
        let format = from.column(&column.name).and_then(|column| column.format);
        let converted = match (array.data_type(), format) {
            (DataType::Float64, Some(format)) if column.column_type == ColumnType::String => Ok(texts(array, format)),
            _ => convert(array, column.column_type),
        };
        converted.map_err(|error| failed(array, column, error))
    };
    let columns = to.columns.iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
    RecordBatch::try_new(to.arrow(), columns)
        .map_err(|error| Error::internal("BadBatch", "columns of one batch do not match").caused_by(error))
}

fn failed(array: &ArrayRef, column: &Column, error: ArrowError) -> Error {
    let Column { name, column_type, .. } = column;
    if (array.data_type(), *column_type) == (&DataType::Int64, ColumnType::Double) {
        return Error::data("LosesDigits", format!("an older value of `{name}` is an integer that no double holds"))
            .hint(format!("set `columns.{name}` of the table to string, which keeps every digit"));
    }
    Error::internal("CannotWiden", format!("older values of `{name}` do not fit {column_type}")).caused_by(error)
}

/// The values of `array` in the lake's type `to`; an error where one does not fit exactly. As text, a timestamp is written as
/// CSV files mostly have it, with a space, so that the two sort together, and a double as Python writes it.
pub(crate) fn convert(array: &ArrayRef, to: ColumnType) -> Result<ArrayRef, ArrowError> {
    // A column that had no value so far is stored as text, from which Arrow casts to some types only.
    if array.logical_null_count() == array.len() {
        return Ok(new_null_array(&to.arrow(), array.len()));
    }
    let format_options = FormatOptions::new().with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"));
    let options = CastOptions { safe: false, format_options };
    let array = match array.data_type() {
        DataType::Dictionary(_, values) => cast_with_options(array, values, &options)?,
        // The names of time zones mean nothing to Arrow, which needs one to write an instant as text.
        DataType::Timestamp(unit, Some(_)) if to == ColumnType::String => {
            cast_with_options(array, &DataType::Timestamp(*unit, Some("+00:00".into())), &options)?
        }
        _ => Arc::clone(array),
    };
    if !is_exact(&array, to) {
        return Err(ArrowError::CastError(format!("a number is not exact as {to}")));
    }
    match array.data_type() {
        DataType::Float64 if to == ColumnType::String => Ok(texts(&array, NumberFormat::Repr)),
        _ => cast_with_options(&array, &to.arrow(), &options),
    }
}

fn texts(array: &ArrayRef, format: NumberFormat) -> ArrayRef {
    let values = array.as_primitive::<Float64Type>();
    Arc::new(StringArray::from_iter(values.iter().map(|value| value.map(|value| format.text(value)))))
}

/// Whether each number of a column is the same number as `to`: a cast would round it, or cut its fraction, without a word.
fn is_exact(array: &ArrayRef, to: ColumnType) -> bool {
    /// The doubles from the negative of this to below it are those that fit 64 bits.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    match (array.data_type(), to) {
        (DataType::Int64, ColumnType::Double) => {
            // A double has 53 significant bits.
            let exact = |value: i64| value == 0 || value.unsigned_abs() >> value.trailing_zeros() < 1 << 53;
            array.as_primitive::<Int64Type>().iter().flatten().all(exact)
        }
        (DataType::Float64, ColumnType::Int64) => {
            let exact = |value: f64| value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value);
            array.as_primitive::<Float64Type>().iter().flatten().all(exact)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn old_rows_take_the_new_types_and_columns() {
        let old = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let batch = RecordBatch::try_new(old, vec![Arc::new(Int64Array::from(vec![1, 2]))]).unwrap();
        let column = |name: &str, column_type| Column::new(name, column_type);
        let columns = vec![column("new", ColumnType::String), column("n", ColumnType::Double)];
        let from = TableSchema { columns: vec![column("n", ColumnType::Int64)], source: vec![] };
        let wide = widen(&batch, &from, &TableSchema { columns, source: vec![] }).unwrap();
        assert_eq!(wide.column(0).null_count(), 2);
        assert_eq!(wide.column(1).as_primitive::<Float64Type>().values(), &[1.0, 2.0]);
    }

    #[test]
    fn numbers_are_exact_in_the_other_type_or_refused() {
        let integers = |values: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
        let doubles = |values: &[f64]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
        assert!(convert(&integers(&[1, -(1 << 53), i64::MIN]), ColumnType::Double).is_ok());
        for lost in [(1 << 53) + 1, i64::MAX] {
            assert!(convert(&integers(&[1, lost]), ColumnType::Double).is_err(), "{lost}");
        }
        let whole = convert(&doubles(&[1.0, -0.0, 9e15]), ColumnType::Int64).unwrap();
        assert_eq!(whole.as_primitive::<Int64Type>().values(), &[1, 0, 9_000_000_000_000_000]);
        for lost in [1.5, f64::NAN, f64::INFINITY, 1e19] {
            assert!(convert(&doubles(&[1.0, lost]), ColumnType::Int64).is_err(), "{lost}");
        }
    }

    #[test]
    fn a_double_that_becomes_text_has_the_text_of_the_source() {
        let texts = |format: &str| {
            let column = Column { format: Some(format.parse().unwrap()), ..Column::new("n", ColumnType::Double) };
            let from = TableSchema { columns: vec![column], source: vec![] };
            let values = Arc::new(Float64Array::from(vec![250.0, 1.5]));
            let batch = RecordBatch::try_new(from.arrow(), vec![values]).unwrap();
            let to = TableSchema { columns: vec![Column::new("n", ColumnType::String)], source: vec![] };
            let wide = widen(&batch, &from, &to).unwrap();
            wide.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(texts("fixed(2)"), ["250.00", "1.50"]);
        assert_eq!(texts("repr"), ["250.0", "1.5"]);
        assert_eq!(texts("shortest"), ["250", "1.5"]);
    }

    #[test]
    fn a_timestamp_that_becomes_text_sorts_with_the_texts_of_the_source() {
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_700_000_000_000_000, 500_000]));
        let texts = convert(&array, ColumnType::String).unwrap();
        let texts: Vec<_> = texts.as_string::<i32>().iter().flatten().collect();
        assert_eq!(texts, ["2023-11-14 22:13:20", "1970-01-01 00:00:00.500"]);
    }

    #[test]
    fn a_column_without_a_value_becomes_any_type() {
        let none: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>, None]));
        for to in [ColumnType::TimestampUtc, ColumnType::Int64, ColumnType::Bool, ColumnType::Date] {
            assert_eq!(convert(&none, to).unwrap().to_data(), new_null_array(&to.arrow(), 2).to_data(), "{to}");
        }
    }

    #[test]
    fn instants_become_text_in_utc() {
        let array: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("UTC"));
        let texts = convert(&array, ColumnType::String).unwrap();
        assert_eq!(texts.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("1970-01-01T00:00:01.500Z"), None]);
    }
}
