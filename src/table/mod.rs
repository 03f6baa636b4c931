//! Tables: what the configuration says of them, and their way from CSV to typed Arrow batches.

pub(crate) mod cell;
mod column;
mod convert;
mod file;
mod header;
mod parquet_file;
mod records;
mod schema;
mod snapshot;
mod spec;
mod text;
mod types;

pub(crate) use self::cell::{MAX_EXACT_INT, Reading};
pub use self::convert::widen;
pub(crate) use self::file::empty as empty_table;
pub use self::file::{BATCH_ROWS, CsvFile, Opener, PassError, Rows};
pub use self::header::OP_COLUMN;
pub use self::parquet_file::ParquetTable;
pub use self::schema::{Column, SchemaChange, TableSchema};
pub use self::snapshot::TableFile;
pub use self::spec::{Encoding, OnDuplicateKey, SchemaPolicy, TableName, TableSpec, UpdateDetection};
pub use self::types::ColumnType;

/// The candidate that `word` is most likely a misspelling of, if any is near enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = |candidate: &&str| strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase()) > 0.8;
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase());
    candidates.into_iter().filter(close).min_by_key(distance)
}
