//! A table's file in a snapshot that is Parquet already: its columns are brought to the types of the lake.

use std::fs::File;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, TimestampNanosecondType};

use super::convert::convert;
use super::file::PassError;
use super::header;
use super::parquet_open::{ParquetBatches, below_micros, open_parquet};
use super::rows::Rows;
use super::schema::{Column, TableSchema};
use super::spec::{Header, TableSpec};
use super::types::ColumnType;
use crate::error::{Error, Result};
use crate::workspace::WorkFile;

/// A Parquet file of a snapshot.
#[derive(Debug)]
pub struct ParquetTable {
    name: String,
    path: WorkFile,
}

impl ParquetTable {
    /// A file called `name` in messages, whose bytes are at `path`.
    pub fn new(name: impl Into<String>, path: impl Into<WorkFile>) -> Self {
        Self { name: name.into(), path: path.into() }
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The column names of the file.
    pub fn header(&self, spec: &TableSpec) -> Result<Vec<String>> {
        if spec.header != Header::FirstLine {
            let message = format!("`{}` is Parquet, which names its columns itself", self.name);
            let hint = format!("take `header` out of table `{}`: it is for text files", spec.name);
            return Err(Error::data("HeaderOfParquet", message).hint(hint));
        }
        let names: Vec<String> = self.reader()?.schema().fields().iter().map(|field| field.name().clone()).collect();
        header::check(&names, &self.name, 1)?;
        header::require(&names, &self.name, spec)?;
        Ok(names)
    }

    /// The stored schema, widened to hold the file's types. Declared types stand.
    pub fn infer(&self, spec: &TableSpec, stored: Option<&TableSchema>) -> Result<TableSchema> {
        let source = self.header(spec)?;
        self.refuse_finer_times(spec)?;
        let mut columns = stored.map(|stored| stored.columns.clone()).unwrap_or_default();
        for field in self.reader()?.schema().fields() {
            let name = field.name();
            let own = match (spec.columns.get(name), field.data_type()) {
                (Some(declared), _) => Column::new(name, *declared),
                (None, DataType::Null) => Column::without_values(name),
                (None, _) => Column::new(name, self.lake_type(field)?),
            };
            let is_key = spec.pk.contains(name);
            match columns.iter_mut().find(|column| column.name == *name) {
                Some(column) => *column = widened(column, own, spec.columns.contains_key(name), is_key),
                None => columns.push(own),
            }
        }
        Ok(TableSchema { columns, source })
    }

    /// Times of INT96 below the microsecond are cut only where the configuration declares a time.
    fn refuse_finer_times(&self, spec: &TableSpec) -> Result<()> {
        let cut = |name: &str| {
            matches!(spec.columns.get(name), Some(ColumnType::Timestamp | ColumnType::TimestampUtc | ColumnType::Date))
        };
        let file = File::open(&self.path).map_err(|error| self.damaged(error))?;
        match below_micros(file, cut).map_err(|error| self.damaged(error))? {
            None => Ok(()),
            Some((column, row)) => Err(finer_time(&self.name, row, &column)),
        }
    }

    /// Reads all rows in `schema`, which [`Self::infer`] gave.
    pub fn read(
        &self,
        spec: &TableSpec,
        schema: &TableSchema,
        each: &mut dyn FnMut(Rows) -> Result<()>,
    ) -> Result<(), PassError> {
        let mut line = 1;
        for batch in self.reader()? {
            let batch = batch.map_err(|error| self.damaged(error))?;
            let rows = batch.num_rows() as u64;
            let lines = (line..line + rows).collect();
            line += rows;
            each(Rows { batch: self.convert(&batch, spec, schema, line - rows)?, lines })?;
        }
        Ok(())
    }

    /// The rows in the schema, the first of them having this number in the file.
    fn convert(&self, batch: &RecordBatch, spec: &TableSpec, schema: &TableSchema, row: u64) -> Result<RecordBatch> {
        let column = |column: &Column| match batch.column_by_name(&column.name) {
            Some(array) => {
                let finer = first_finer(array).filter(|_| is_time(column) && !spec.columns.contains_key(&column.name));
                finer.map_or(Ok(()), |at| Err(finer_time(&self.name, row + at as u64, &column.name)))?;
                self.cast(array, column)
            }
            None => Ok(new_null_array(&column.column_type.arrow(), batch.num_rows())),
        };
        let columns = schema.columns.iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
        RecordBatch::try_new(schema.arrow(), columns)
            .map_err(|error| Error::internal("BadBatch", "columns of one batch do not match").caused_by(error))
    }

    fn cast(&self, array: &ArrayRef, column: &Column) -> Result<ArrayRef> {
        convert(array, column.column_type).map_err(|error| {
            Error::data(
                "CellMisfit",
                format!("`{}`: a value of `{}` is no {}", self.name, column.name, column.column_type),
            )
            .caused_by(error)
            .hint("repair the value at the source, or declare a wider type under the table's `columns`")
        })
    }

    fn lake_type(&self, field: &Field) -> Result<ColumnType> {
        let data_type = match field.data_type() {
            DataType::Dictionary(_, values) => values,
            other => other,
        };
        Ok(match data_type {
            DataType::Boolean => ColumnType::Bool,
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => ColumnType::Int64,
            DataType::UInt64 => ColumnType::Decimal { precision: 20, scale: 0 },
            DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Double,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
                if *scale >= 0 =>
            {
                ColumnType::Decimal { precision: *precision, scale: *scale }
            }
            DataType::Date32 | DataType::Date64 => ColumnType::Date,
            DataType::Timestamp(_, None) => ColumnType::Timestamp,
            DataType::Timestamp(_, Some(_)) => ColumnType::TimestampUtc,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => ColumnType::String,
            other => {
                return Err(Error::data(
                    "UnsupportedColumn",
                    format!("`{}`: column `{}` has type {other}", self.name, field.name()),
                )
                .hint("leave the column out at the source, or write it as text there"));
            }
        })
    }

    fn reader(&self) -> Result<ParquetBatches> {
        let file = File::open(&self.path).map_err(|error| self.damaged(error))?;
        open_parquet(file, None).map_err(|error| self.damaged(error))
    }

    fn damaged(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::data("UnreadableFile", format!("`{}` cannot be read as Parquet", self.name))
            .caused_by(error)
            .hint("the file is damaged: fetch it again")
    }
}

/// The error for a time that the lake's microseconds do not hold.
fn finer_time(file: &str, row: u64, column: &str) -> Error {
    Error::data("CellMisfit", format!("`{file}` row {row}: the time of `{column}` has digits below the microsecond"))
        .hint(format!("set `columns.{column}` of the table to timestamp, which cuts them, or write the times as text at the source"))
}

/// The stored column, so wide that it holds what the file has. Integers of a key stay integers where the file has them as
/// doubles, as pandas writes them beside a null.
fn widened(stored: &Column, own: Column, declared: bool, is_key: bool) -> Column {
    match (stored.known_type(), own.known_type()) {
        _ if declared => own,
        (None, _) => own,
        (Some(_), None) => stored.clone(),
        (Some(ColumnType::Int64), Some(ColumnType::Double)) if is_key => stored.clone(),
        (Some(known), Some(own)) => Column::new(&stored.name, known.join(own)),
    }
}

fn is_time(column: &Column) -> bool {
    matches!(column.column_type, ColumnType::Timestamp | ColumnType::TimestampUtc)
}

/// The row of the first time in nanoseconds that is no whole number of microseconds.
fn first_finer(array: &ArrayRef) -> Option<usize> {
    let nanos = array.as_primitive_opt::<TimestampNanosecondType>()?;
    (0..nanos.len()).find(|&row| nanos.is_valid(row) && nanos.value(row) % 1000 != 0)
}
