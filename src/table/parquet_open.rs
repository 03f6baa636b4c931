//! Parquet files of any origin, read without trusting them.
//!
//! The reader panics on some kinds of damage. Whoever made the file is at fault then, not this program, so a panic in there
//! is an error of the file here.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection};
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
        let builder = ParquetRecordBatchReaderBuilder::try_new(source)?;
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
