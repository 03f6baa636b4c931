//! Tables: what the configuration says of them, and their way from CSV to typed Arrow batches.

mod spec;
mod types;

pub use self::spec::{Encoding, OnDuplicateKey, SchemaPolicy, TableName, TableSpec, UpdateDetection};
pub use self::types::ColumnType;
