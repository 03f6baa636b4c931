//! A table's file in a snapshot that is Parquet already: its columns are brought to the types of the lake.

use std::fs::File;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field};

use super::exact::exact;
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
            let declared = spec.columns.get(name).copied();
            let own = match (declared, field.data_type()) {
                (None, DataType::Null) => Column::without_values(name),
                _ => Column::new(name, self.lake_type(field, declared)?),
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
        let cut = |name: &str| spec.columns.get(name).copied().is_some_and(is_time);
        let file = File::open(&self.path).map_err(|error| self.damaged(error))?;
        match below_micros(file, cut).map_err(|error| self.damaged(error))? {
            None => Ok(()),
            Some((column, row)) => Err(self.finer_time(row, &column, "or write the times as text at the source")),
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
            Some(array) => self.exact(array, column, spec, row),
            None => Ok(new_null_array(&column.column_type.arrow(), batch.num_rows())),
        };
        let columns = schema.columns.iter().map(column).collect::<Result<Vec<ArrayRef>>>()?;
        RecordBatch::try_new(schema.arrow(), columns)
            .map_err(|error| Error::internal("BadBatch", "columns of one batch do not match").caused_by(error))
    }

    fn exact(&self, array: &ArrayRef, column: &Column, spec: &TableSpec, row: u64) -> Result<ArrayRef> {
        let Column { name, column_type, .. } = column;
        exact(array, *column_type, spec.columns.contains_key(name)).map_err(|misfit| {
            let row = row + misfit.row as u64;
            if misfit.finer {
                return self.finer_time(row, name, "or to string, which keeps them");
            }
            let message = format!("`{}` row {row}: the value of `{name}` is no {column_type}", self.name);
            Error::data("CellMisfit", message).hint(match column_type {
                ColumnType::String => format!("write `{name}` as text at the source: its bytes are not UTF-8"),
                ColumnType::Date => {
                    format!("set `columns.{name}` of the table to timestamp, which keeps the time of day")
                }
                _ => format!("set `columns.{name}` of the table to string, which takes all, or repair the value"),
            })
        })
    }

    /// The error for a time that the lake's microseconds do not hold.
    fn finer_time(&self, row: u64, column: &str, or: &str) -> Error {
        let file = &self.name;
        Error::data(
            "CellMisfit",
            format!("`{file}` row {row}: the time of `{column}` has digits below the microsecond"),
        )
        .hint(format!("set `columns.{column}` of the table to timestamp, which cuts them, {or}"))
    }

    /// The type that the column gets: the declared one, or the narrowest that holds all values of the file's.
    fn lake_type(&self, field: &Field, declared: Option<ColumnType>) -> Result<ColumnType> {
        let kept = match Kept::of(field.data_type()) {
            Kept::Nothing => None,
            Kept::AsText => declared.filter(|declared| *declared == ColumnType::String),
            Kept::As(own) => Some(declared.unwrap_or(own)),
            Kept::IfDeclared => declared,
        };
        kept.ok_or_else(|| self.unsupported(field))
    }

    fn unsupported(&self, field: &Field) -> Error {
        let (name, data_type) = (field.name(), field.data_type());
        let error = Error::data("UnsupportedColumn", format!("`{}`: column `{name}` has type {data_type}", self.name));
        error.hint(match Kept::of(data_type) {
            Kept::Nothing => "leave the column out at the source, or write it as text there".to_owned(),
            _ => format!("set `columns.{name}` of the table to string, which keeps it as text"),
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

/// What the lake keeps of a type of Arrow.
enum Kept {
    /// All values, in this type.
    As(ColumnType),
    /// All values, but only as text, which has to be asked for.
    AsText,
    /// The values that fit a type, which has to be declared.
    IfDeclared,
    /// Values of several parts, which no text holds without a convention.
    Nothing,
}

impl Kept {
    fn of(data_type: &DataType) -> Self {
        use DataType::{Binary, BinaryView, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256, LargeBinary};
        use DataType::{
            Boolean, Int8, Int16, Int32, Int64, LargeUtf8, Null, UInt8, UInt16, UInt32, UInt64, Utf8, Utf8View,
        };
        use DataType::{Duration, FixedSizeBinary, Float16, Float32, Float64, Interval, Time32, Time64, Timestamp};
        match data_type {
            DataType::Dictionary(_, values) => Self::of(values),
            Boolean => Self::As(ColumnType::Bool),
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 => Self::As(ColumnType::Int64),
            UInt64 => Self::As(ColumnType::Decimal { precision: 20, scale: 0 }),
            Float16 | Float32 | Float64 => Self::As(ColumnType::Double),
            Decimal32(precision, scale)
            | Decimal64(precision, scale)
            | Decimal128(precision, scale)
            | Decimal256(precision, scale) => decimal(*precision, *scale).map_or(Self::IfDeclared, Self::As),
            Date32 | Date64 => Self::As(ColumnType::Date),
            Timestamp(_, None) => Self::As(ColumnType::Timestamp),
            Timestamp(_, Some(_)) => Self::As(ColumnType::TimestampUtc),
            Utf8 | LargeUtf8 | Utf8View | Null => Self::As(ColumnType::String),
            Time32(_) | Time64(_) | Interval(_) | Duration(_) => Self::AsText,
            Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => Self::AsText,
            _ => Self::Nothing,
        }
    }
}

/// The decimal of the lake that holds all values of another; digits before the point stand for a negative scale.
fn decimal(precision: u8, scale: i8) -> Option<ColumnType> {
    let zeros = if scale < 0 { scale.unsigned_abs() } else { 0 };
    let precision = precision.checked_add(zeros).filter(|precision| *precision <= 38)?;
    Some(ColumnType::Decimal { precision, scale: scale.max(0) })
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

fn is_time(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Timestamp | ColumnType::TimestampUtc)
}
