//! Tables: what the configuration says of them, and their way from CSV to typed Arrow batches.

mod batch;
pub(crate) mod cell;
mod column;
mod convert;
mod dialect;
mod file;
mod findings;
mod gone;
mod guess;
mod header;
mod marks;
mod number;
mod parquet_file;
mod parquet_open;
mod provenance;
mod records;
mod sample;
mod schema;
mod set;
mod snapshot;
mod source_name;
mod spec;
mod tail;
mod text;
mod time;
mod types;

pub use self::batch::BATCH_ROWS;
pub(crate) use self::cell::{MAX_EXACT_INT, Reading};
pub(crate) use self::convert::convert;
pub use self::convert::widen;
pub(crate) use self::dialect::{DEFAULT_DELIMITER, excel_line, shown as shown_delimiter};
pub use self::dialect::{Dialect, Escape};
pub(crate) use self::file::empty as empty_table;
pub use self::file::{CsvFile, Opener, PassError, Rows};
pub use self::findings::Findings;
pub use self::gone::GoneFile;
pub use self::header::OP_COLUMN;
pub use self::number::NumberFormat;
pub use self::parquet_file::ParquetTable;
pub(crate) use self::parquet_open::{ParquetBatches, open_parquet};
pub use self::provenance::Provenance;
pub(crate) use self::sample::Sample;
pub use self::schema::{Column, SchemaChange, TableSchema};
pub use self::set::FileSet;
pub use self::snapshot::TableFile;
pub use self::source_name::SourceName;
pub use self::spec::{
    Encoding, FileChoice, OnDuplicateKey, OnNullKey, SchemaPolicy, TableName, TableSpec, UpdateDetection,
};
pub use self::types::ColumnType;
