//! A table's file in a snapshot, whatever its format.

use super::file::{CsvFile, PassError, Rows};
use super::parquet_file::ParquetTable;
use super::schema::TableSchema;
use super::spec::TableSpec;
use crate::error::Result;

/// The file of one table.
pub enum TableFile {
    /// CSV, compressed or not.
    Csv(CsvFile),
    /// Parquet.
    Parquet(ParquetTable),
}

impl TableFile {
    /// Its name, for messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Csv(file) => file.name(),
            Self::Parquet(file) => file.name(),
        }
    }

    /// The column names of the file.
    pub fn header(&self, spec: &TableSpec) -> Result<Vec<String>, PassError> {
        match self {
            Self::Csv(file) => file.header(spec),
            Self::Parquet(file) => Ok(file.header(spec)?),
        }
    }

    /// The narrowest schema that holds the file and everything that `stored` held.
    pub fn infer(&self, spec: &TableSpec, stored: Option<&TableSchema>) -> Result<TableSchema, PassError> {
        match self {
            Self::Csv(file) => file.infer(spec, stored),
            Self::Parquet(file) => Ok(file.infer(spec, stored)?),
        }
    }

    /// Reads all rows in `schema`, in file order.
    pub fn read(
        &self,
        spec: &TableSpec,
        schema: &TableSchema,
        each: &mut dyn FnMut(Rows) -> Result<()>,
    ) -> Result<(), PassError> {
        match self {
            Self::Csv(file) => file.read(spec, schema, each),
            Self::Parquet(file) => file.read(schema, each),
        }
    }

    /// Whether reading it without looking at all of it first may find that the stored types do not fit.
    pub fn knows_its_types(&self) -> bool {
        matches!(self, Self::Parquet(_))
    }

    /// Learns the file's encoding, after [`PassError::NotUtf8`].
    pub fn detect_encoding(&self) -> Result<()> {
        match self {
            Self::Csv(file) => file.detect_encoding(),
            Self::Parquet(_) => Ok(()),
        }
    }
}
