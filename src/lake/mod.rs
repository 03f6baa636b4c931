//! The lake: what its objects are called, what they hold, and the protocol that commits to them.

pub mod base;
pub mod capture;
pub mod commit;
pub(crate) mod fetch;
pub mod fingerprints;
pub mod footer;
pub(crate) mod gap;
pub mod layout;
pub(crate) mod log;
pub mod outline;
pub mod parquet;
pub mod state;
pub mod store;
pub(crate) mod uploads;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::table::{OP_COLUMN, TableSchema};

/// The Arrow schema of a table's CDC files: its own columns, then `op`.
pub fn cdc_schema(schema: &TableSchema) -> SchemaRef {
    with_op(&schema.arrow())
}

/// The columns of `own`, then `op`.
pub(crate) fn with_op(own: &Schema) -> SchemaRef {
    let op = Arc::new(Field::new(OP_COLUMN, DataType::Utf8, false));
    Arc::new(Schema::new(own.fields().iter().cloned().chain([op]).collect::<Vec<_>>()))
}
