//! Parquet files of any origin, read without trusting them.
//!
//! The reader panics on some kinds of damage. Whoever made the file is at fault then, not this program, so a panic in there
//! is an error of the file here.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchReader};
use arrow::datatypes::{
    DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;

use super::batch::rows_of_bytes;

/// The rows of a file, batch by batch; nothing more after an error.
pub(crate) struct ParquetBatches {
    schema: SchemaRef,
    reader: Option<ParquetRecordBatchReader>,
}

/// Begins to read all rows of a file, or only those that `selection` names.
pub(crate) fn open_parquet<R: ChunkReader + 'static>(
    source: R,
    selection: Option<RowSelection>,
) -> Result<ParquetBatches, ParquetError> {
    let open = || {
        let metadata = ArrowReaderMetadata::load(&source, ArrowReaderOptions::default())?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(source, in_micros(metadata)?);
        let rows = rows_per_batch(builder.metadata());
        let builder = builder.with_batch_size(rows);
        match selection {
            Some(selection) => builder.with_row_selection(selection).build(),
            None => builder.build(),
        }
    };
    let reader = catch_unwind(AssertUnwindSafe(open)).map_err(|_| damaged())??;
    Ok(ParquetBatches { schema: reader.schema(), reader: Some(reader) })
}

/// The columns of the old INT96 times, by their numbers among the file's columns. They count nanoseconds within a day, and days.
fn int96_columns(metadata: &ArrowReaderMetadata) -> Vec<usize> {
    let columns = metadata.parquet_schema();
    let is_int96 = |&leaf: &usize| {
        columns.column(leaf).physical_type() == PhysicalType::INT96 && columns.get_column_root(leaf).is_primitive()
    };
    (0..columns.num_columns()).filter(is_int96).map(|leaf| columns.get_column_root_idx(leaf)).collect()
}

/// Reads INT96 times as microseconds: as nanoseconds, 64 bits hold no year before 1677 or after 2262.
fn in_micros(metadata: ArrowReaderMetadata) -> Result<ArrowReaderMetadata, ParquetError> {
    let old = int96_columns(&metadata);
    if old.is_empty() {
        return Ok(metadata);
    }
    let micros = |(number, field): (usize, &FieldRef)| match old.contains(&number) {
        true => {
            Arc::new(Field::new(field.name(), DataType::Timestamp(TimeUnit::Microsecond, None), field.is_nullable()))
        }
        false => Arc::clone(field),
    };
    let fields: Vec<FieldRef> = metadata.schema().fields().iter().enumerate().map(micros).collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone()));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), ArrowReaderOptions::new().with_schema(schema))
}

/// The first INT96 time, by its column and the number of its row from 1, that has digits below the microsecond; columns called
/// as in `cut` may have them.
pub(crate) fn below_micros(file: File, cut: impl Fn(&str) -> bool) -> Result<Option<(String, u64)>, ParquetError> {
    let nanos = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default())?;
    let old: Vec<usize> =
        int96_columns(&nanos).into_iter().filter(|&column| !cut(nanos.schema().field(column).name())).collect();
    if old.is_empty() {
        return Ok(None);
    }
    let micros = in_micros(nanos.clone())?;
    let read = |metadata: ArrowReaderMetadata| -> Result<ParquetRecordBatchReader, ParquetError> {
        let only = ProjectionMask::roots(metadata.parquet_schema(), old.iter().copied());
        ParquetRecordBatchReaderBuilder::new_with_metadata(file.try_clone()?, metadata).with_projection(only).build()
    };
    let find = || {
        let mut row = 1;
        for (fine, coarse) in read(nanos)?.zip(read(micros)?) {
            let (fine, coarse) = (fine?, coarse?);
            if let Some((column, at)) = first_finer(&fine, &coarse) {
                return Ok(Some((column, row + at as u64)));
            }
            row += fine.num_rows() as u64;
        }
        Ok(None)
    };
    catch_unwind(AssertUnwindSafe(find)).map_err(|_| damaged())?
}

/// The column and the row of the first time that is another one in nanoseconds. Both count modulo 2^64.
fn first_finer(fine: &RecordBatch, coarse: &RecordBatch) -> Option<(String, usize)> {
    let finer = |number: usize| {
        let fine = fine.column(number).as_primitive_opt::<TimestampNanosecondType>()?;
        let coarse = coarse.column(number).as_primitive_opt::<TimestampMicrosecondType>()?;
        let differs = |&row: &usize| fine.is_valid(row) && fine.value(row) != coarse.value(row).wrapping_mul(1000);
        (0..fine.len()).find(differs)
    };
    let found = (0..fine.num_columns()).filter_map(|number| Some((number, finer(number)?)));
    let (number, row) = found.min_by_key(|(_, row)| *row)?;
    Some((fine.schema_ref().field(number).name().clone(), row))
}

/// How many rows are a batch, by the row group whose rows are the largest.
fn rows_per_batch(metadata: &ParquetMetaData) -> usize {
    let bytes = metadata.row_groups().iter().map(bytes_per_row).max().unwrap_or_default();
    rows_of_bytes(metadata.file_metadata().schema_descr().num_columns(), bytes)
}

/// The size of values before they were encoded, where the file says it; dictionaries hide it otherwise.
fn bytes_per_row(group: &RowGroupMetaData) -> u64 {
    let bytes = |column: &ColumnChunkMetaData| {
        let bytes = column.unencoded_byte_array_data_bytes().unwrap_or_else(|| column.uncompressed_size());
        u64::try_from(bytes).unwrap_or_default()
    };
    let rows = u64::try_from(group.num_rows()).unwrap_or_default();
    group.columns().iter().map(bytes).fold(0, u64::saturating_add) / rows.max(1)
}

impl ParquetBatches {
    /// The schema of the batches.
    pub(crate) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }
}

impl Iterator for ParquetBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        // A reader that failed, or panicked halfway, is not asked again.
        let mut reader = self.reader.take()?;
        let batch = catch_unwind(AssertUnwindSafe(|| reader.next())).unwrap_or_else(|_| Some(Err(damaged().into())))?;
        self.reader = batch.is_ok().then_some(reader);
        Some(batch)
    }
}

fn damaged() -> ParquetError {
    ParquetError::General("its pages are not what its footer says".to_owned())
}
