//! Rows of an older schema in a newer, wider one.

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::cast;

use super::schema::{Column, TableSchema};
use crate::error::{Error, Result};

/// The columns of `batch` in the types and order of `schema`; columns that it lacks are null, others are left out.
pub fn widen(batch: &RecordBatch, schema: &TableSchema) -> Result<RecordBatch> {
    let failed =
        |error| Error::internal("CannotWiden", "rows of the lake do not fit their own wider schema").caused_by(error);
    let column = |column: &Column| match batch.column_by_name(&column.name) {
        Some(array) => cast(array, &column.column_type.arrow()).map_err(failed),
        None => Ok(new_null_array(&column.column_type.arrow(), batch.num_rows())),
    };
    let columns = schema.columns.iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
    RecordBatch::try_new(schema.arrow(), columns).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Float64Type, Schema};

    use super::*;
    use crate::table::ColumnType;

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
}
