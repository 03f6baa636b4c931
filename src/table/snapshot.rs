//! A table's file in a snapshot, whatever its format.

use super::file::{CsvFile, PassError, Rows};
use super::findings::Findings;
use super::parquet_file::ParquetTable;
use super::provenance::Provenance;
use super::schema::TableSchema;
use super::spec::{Encoding, TableSpec};
use crate::error::{Error, Result};

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
    ) -> Result<Findings, PassError> {
        match self {
            Self::Csv(file) => file.read(spec, schema, each),
            Self::Parquet(file) => file.read(schema, each).map(|()| Findings::default()),
        }
    }

    /// Whether reading it without looking at all of it first may find that the stored types do not fit.
    pub fn knows_its_types(&self) -> bool {
        matches!(self, Self::Parquet(_))
    }

    /// Does a read of the file, once more if its encoding has to be learnt first.
    pub fn reading<T>(&self, mut read: impl FnMut(&Self) -> Result<T, PassError>) -> Result<T> {
        let unexpected = || Error::internal("UnstableFile", format!("`{}` reads differently each time", self.name()));
        match read(self) {
            Ok(value) => Ok(value),
            Err(PassError::Fatal(error)) => Err(error),
            Err(PassError::Misfit) => Err(unexpected()),
            Err(PassError::NotUtf8) => {
                self.detect_encoding()?;
                read(self).map_err(|error| if let PassError::Fatal(error) = error { error } else { unexpected() })
            }
        }
    }

    /// The beginning of the file as text, and the encoding that it is in; `None` for a file that is not text.
    pub fn beginning(&self) -> Result<Option<(String, Encoding)>> {
        match self {
            Self::Csv(file) => self.reading(|_| file.beginning()).map(Some),
            Self::Parquet(_) => Ok(None),
        }
    }

    /// The encoding that looking at all of the file has shown, where that was needed.
    pub fn detected(&self) -> Option<Encoding> {
        match self {
            Self::Csv(file) => file.detected(),
            Self::Parquet(_) => None,
        }
    }

    /// Reads the file with the guesses that an earlier run made, as far as guesses are needed.
    pub fn remember(&self, before: &Provenance) {
        if let (Self::Csv(file), Some(guess)) = (self, before.guessed_encoding.as_deref()) {
            file.remember_encoding(guess);
        }
    }

    /// What was read, and what was guessed.
    pub fn provenance(&self) -> Provenance {
        let guessed_encoding = self.detected().map(|encoding| encoding.name().to_owned());
        Provenance { files: vec![self.name().to_owned()], guessed_encoding, ..Provenance::default() }
    }

    /// Learns the file's encoding, after [`PassError::NotUtf8`].
    pub fn detect_encoding(&self) -> Result<()> {
        match self {
            Self::Csv(file) => file.detect_encoding(),
            Self::Parquet(_) => Ok(()),
        }
    }
}
