//! How the rows of one capture instance are asked for and read: the columns of its queries.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use tiberius::ColumnData;

use super::columns::{Column, Misfit};
use super::sql::quote;
use super::types::{Carrier, SqlType};

/// The captured columns of an instance, and how their values are selected and carried.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) columns: Vec<LayoutColumn>,
    pub(super) schema: SchemaRef,
    /// Whether the change table itself may be read, and knows command ids.
    pub(super) is_direct: bool,
}

/// One captured column.
#[derive(Debug)]
pub(super) struct LayoutColumn {
    pub(super) name: String,
    pub(super) sql_type: SqlType,
    pub(super) carrier: Carrier,
    /// What the column is called in the source table now; `None` when it is no longer there.
    pub(super) source_name: Option<String>,
}

impl Layout {
    pub(super) fn new(columns: Vec<LayoutColumn>, is_direct: bool) -> Self {
        let fields: Vec<_> = columns.iter().flat_map(|column| column.carrier.fields(&column.name)).collect();
        Self { columns, schema: Arc::new(Schema::new(fields)), is_direct }
    }

    /// What follows the columns of the change itself in a query of changes.
    pub(super) fn of_changes(&self) -> String {
        let selected = self.columns.iter().map(|column| format!(", {}", column.sql_type.select(&quote(&column.name))));
        selected.collect()
    }

    /// The columns of a query of the source table. One that it no longer has is NULL, as it is in changes.
    pub(super) fn of_rows(&self) -> String {
        let selected = self.columns.iter().map(|column| match &column.source_name {
            Some(name) => column.sql_type.select(&quote(name)),
            None => "NULL".to_owned(),
        });
        selected.collect::<Vec<_>>().join(", ")
    }

    /// The builders of a batch of at most `rows` rows.
    pub(super) fn builders(&self, rows: usize) -> Builders<'_> {
        let columns = self.columns.iter().map(|column| Column::new(column.carrier, rows)).collect();
        Builders { layout: self, columns, rows: 0, bytes: 0 }
    }
}

/// A batch of captured columns that is being built.
#[derive(Debug)]
pub(super) struct Builders<'l> {
    layout: &'l Layout,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl<'l> Builders<'l> {
    /// Appends a row.
    ///
    /// # Errors
    /// The first value that does not fit, with the name of its column. The batch is of no use then.
    pub(super) fn append<'v>(
        &mut self,
        values: impl Iterator<Item = &'v ColumnData<'static>>,
    ) -> Result<(), (Misfit, &'l str)> {
        let mut appended = 0;
        for ((column, place), value) in self.columns.iter_mut().zip(&self.layout.columns).zip(values) {
            self.bytes += column.append(value).map_err(|misfit| (misfit, place.name.as_str()))?;
            appended += 1;
        }
        self.rows += 1;
        match self.layout.columns.get(appended) {
            Some(missing) => Err((Misfit::Type, missing.name.as_str())),
            None => Ok(()),
        }
    }

    /// Rows so far.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes so far, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batch; the next one begins empty.
    ///
    /// # Errors
    /// That of Arrow, when the columns do not have the types of the schema.
    pub(super) fn finish(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.layout.schema.fields().len());
        self.columns.iter_mut().for_each(|column| column.finish(&mut arrays));
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(Arc::clone(&self.layout.schema), arrays)
    }
}
