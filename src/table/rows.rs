//! Rows on their way from records to typed batches.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::SchemaRef;

use super::batch::{BATCH_BYTES, rows_per_batch};
use super::cell::Reading;
use super::column::ColumnBuilder;
use super::findings::{Finding, Findings};
use super::records::Block;
use super::schema::{Column, TableSchema};
use super::spec::TableSpec;
use super::types::ColumnType;
use crate::error::{Error, Result};

/// Some rows of a table, with the place that each came from.
pub struct Rows {
    /// The rows, in the table's schema.
    pub batch: RecordBatch,
    /// For each row the number of the line on which it begins, from 1.
    pub lines: Vec<u64>,
}

/// Collects records into batches of a schema; columns that the file lacks are null.
pub(super) struct RowsBuilder {
    schema: SchemaRef,
    /// For each column of the schema its builder, where the file has it.
    columns: Vec<Option<ColumnBuilder>>,
    /// For each field of the file its column of the schema.
    places: Vec<usize>,
    pub(super) lines: Vec<u64>,
    /// Rows that it takes, and how much text it has taken of [`BATCH_BYTES`].
    most: usize,
    bytes: usize,
}

impl RowsBuilder {
    pub(super) fn new(spec: &TableSpec, schema: &TableSchema, names: &[String]) -> Self {
        let builder =
            |column: &Column| names.contains(&column.name).then(|| ColumnBuilder::new(column, reading(column, spec)));
        let columns = schema.columns.iter().map(builder).collect();
        let places = names.iter().filter_map(|name| schema.position(name)).collect();
        let most = rows_per_batch(schema.columns.len());
        Self { schema: schema.arrow(), columns, places, lines: Vec::new(), most, bytes: 0 }
    }

    pub(super) fn rows_left(&self) -> usize {
        self.most - self.lines.len()
    }

    pub(super) fn bytes_left(&self) -> usize {
        BATCH_BYTES.saturating_sub(self.bytes)
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows_left() == 0 || self.bytes_left() == 0
    }

    /// Appends records, or gives the column and the line of the first value that does not fit.
    pub(super) fn push(&mut self, block: &Block<'_>, spec: &TableSpec) -> Result<(), (usize, u64)> {
        let mut first: Option<(usize, usize)> = None;
        for (field, &place) in self.places.iter().enumerate() {
            let misfit = self.columns[place].as_mut().and_then(|column| column.extend(cells(block, field, spec)));
            if let Some(row) = misfit.filter(|&row| first.is_none_or(|(earlier, _)| row < earlier)) {
                first = Some((row, place));
            }
        }
        self.lines.extend_from_slice(block.lines);
        self.bytes += block.bytes;
        first.map_or(Ok(()), |(row, place)| Err((place, block.lines[row])))
    }

    /// What the cells of a column of the schema have shown so far.
    pub(super) fn finding(&self, column: usize) -> Finding {
        self.columns[column].as_ref().map(ColumnBuilder::finding).unwrap_or_default()
    }

    pub(super) fn findings(&self) -> Findings {
        Findings::new((0..self.columns.len()).map(|column| self.finding(column)).collect())
    }

    pub(super) fn finish(&mut self) -> Result<Rows> {
        let lines = std::mem::take(&mut self.lines);
        self.bytes = 0;
        let arrays: Vec<ArrayRef> = (self.columns.iter_mut().zip(self.schema.fields()))
            .map(|(column, field)| match column {
                Some(column) => column.finish(),
                None => new_null_array(field.data_type(), lines.len()),
            })
            .collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| Error::internal("BadBatch", "columns of one batch do not match").caused_by(error))?;
        Ok(Rows { batch, lines })
    }
}

/// The texts of the cells of field `index`, `None` where they mean null.
pub(super) fn cells<'a>(block: &Block<'a>, index: usize, spec: &TableSpec) -> impl Iterator<Item = Option<&'a str>> {
    block.column(index).map(move |text| (!is_null(text, spec)).then_some(text))
}

/// Whether a cell of this text is null.
#[inline]
pub(super) fn is_null(text: &str, spec: &TableSpec) -> bool {
    text.is_empty() || spec.null_values.iter().any(|null| null == text)
}

/// How the cells of a column are read. Its type was learnt from strict readings; what is allowed beyond keeps it.
pub(super) fn reading(column: &Column, spec: &TableSpec) -> Reading {
    match column.column_type {
        _ if spec.columns.contains_key(&column.name) => Reading::Lenient,
        ColumnType::TimestampUtc => Reading::Lenient,
        ColumnType::Int64 if spec.pk.contains(&column.name) => Reading::Whole,
        _ => Reading::Strict,
    }
}
