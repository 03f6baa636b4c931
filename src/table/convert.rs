//! Rows of an older schema in a newer, wider one.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;

use super::schema::{Column, TableSchema};
use super::types::ColumnType;
use crate::error::{Error, Result};

/// The columns of `batch` in the types and order of `schema`; columns that it lacks are null, others are left out.
pub fn widen(batch: &RecordBatch, schema: &TableSchema) -> Result<RecordBatch> {
    let failed =
        |error| Error::internal("CannotWiden", "rows of the lake do not fit their own wider schema").caused_by(error);
    let column = |column: &Column| match batch.column_by_name(&column.name) {
        Some(array) => convert(array, column.column_type).map_err(failed),
        None => Ok(new_null_array(&column.column_type.arrow(), batch.num_rows())),
    };
    let columns = schema.columns.iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
    RecordBatch::try_new(schema.arrow(), columns).map_err(failed)
}

/// The values of `array` in the lake's type `to`; an error where one does not fit. As text, a timestamp is written as CSV
/// files mostly have it, with a space, so that the two sort together.
pub(crate) fn convert(array: &ArrayRef, to: ColumnType) -> Result<ArrayRef, ArrowError> {
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
    cast_with_options(&array, &to.arrow(), &options)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field, Float64Type, Schema};

    use super::*;

    #[test]
    fn old_rows_take_the_new_types_and_columns() {
        let old = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        let batch = RecordBatch::try_new(old, vec![Arc::new(Int64Array::from(vec![1, 2]))]).unwrap();
        let column = |name: &str, column_type| Column { name: name.to_owned(), column_type };
        let columns = vec![column("new", ColumnType::String), column("n", ColumnType::Double)];
        let wide = widen(&batch, &TableSchema { columns, source: vec![] }).unwrap();
        assert_eq!(wide.column(0).null_count(), 2);
        assert_eq!(wide.column(1).as_primitive::<Float64Type>().values(), &[1.0, 2.0]);
    }

    #[test]
    fn a_timestamp_that_becomes_text_sorts_with_the_texts_of_the_source() {
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_700_000_000_000_000, 500_000]));
        let texts = convert(&array, ColumnType::String).unwrap();
        let texts: Vec<_> = texts.as_string::<i32>().iter().flatten().collect();
        assert_eq!(texts, ["2023-11-14 22:13:20", "1970-01-01 00:00:00.500"]);
    }

    #[test]
    fn instants_become_text_in_utc() {
        let array: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("UTC"));
        let texts = convert(&array, ColumnType::String).unwrap();
        assert_eq!(texts.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("1970-01-01T00:00:01.500Z"), None]);
    }
}
