//! A table's file in a snapshot, or its files, whatever their format.

use std::collections::BTreeSet;

use super::encoding::Encoding;
use super::file::{CsvFile, PassError};
use super::findings::Findings;
use super::gone::GoneFile;
use super::parquet_file::ParquetTable;
use super::provenance::Provenance;
use super::rows::Rows;
use super::schema::TableSchema;
use super::set::FileSet;
use super::spec::TableSpec;
use crate::error::{Error, Result};

/// The file, or the files, of one table.
pub enum TableFile {
    /// CSV, compressed or not.
    Csv(CsvFile),
    /// Parquet.
    Parquet(ParquetTable),
    /// Several files of one format.
    Set(FileSet),
    /// None any more, which was approved.
    Gone(GoneFile),
}

impl TableFile {
    /// A table of these files, of which `pattern` names more than one.
    ///
    /// # Errors
    /// `NoParts` (kind `Internal`) where there is none.
    pub fn of_parts(pattern: &str, mut parts: Vec<Self>) -> Result<Self> {
        match parts.pop() {
            None => Err(Error::internal("NoParts", format!("`{pattern}` names no file"))),
            Some(only) if parts.is_empty() => Ok(only),
            Some(last) => {
                parts.push(last);
                Ok(Self::Set(FileSet::new(pattern, parts)))
            }
        }
    }

    /// The file and the line, as an editor counts it, that the line of a row means.
    pub fn at(&self, line: u64) -> (&str, u64) {
        match self {
            Self::Set(set) => set.at(line),
            _ => (self.name(), line),
        }
    }

    /// The files that it consists of.
    fn parts(&self) -> &[Self] {
        match self {
            Self::Set(set) => set.parts(),
            _ => std::slice::from_ref(self),
        }
    }

    /// What there is to say of files that hold nothing, and of how the others were read.
    pub fn warnings(&self) -> Vec<String> {
        match self {
            Self::Set(set) => set.parts().iter().flat_map(Self::warnings).chain(set.warnings()).collect(),
            Self::Csv(file) => file.warnings().into_iter().chain(file.guess()).collect(),
            _ => Vec::new(),
        }
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Csv(file) => file.name(),
            Self::Parquet(file) => file.name(),
            Self::Set(set) => set.name(),
            Self::Gone(gone) => gone.name(),
        }
    }

    /// The column names of the file.
    pub fn header(&self, spec: &TableSpec) -> Result<Vec<String>, PassError> {
        match self {
            Self::Csv(file) => file.header(spec),
            Self::Parquet(file) => Ok(file.header(spec)?),
            Self::Set(set) => set.header(spec),
            Self::Gone(gone) => Ok(gone.header()),
        }
    }

    /// The narrowest schema that holds the file and everything that `stored` held.
    pub fn infer(&self, spec: &TableSpec, stored: Option<&TableSchema>) -> Result<TableSchema, PassError> {
        match self {
            Self::Csv(file) => file.infer(spec, stored),
            Self::Parquet(file) => Ok(file.infer(spec, stored)?),
            Self::Set(set) => set.infer(spec, stored),
            Self::Gone(gone) => Ok(gone.infer(spec)),
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
            Self::Parquet(file) => file.read(spec, schema, each).map(|()| Findings::default()),
            Self::Set(set) => set.read(spec, schema, each),
            Self::Gone(_) => Ok(Findings::default()),
        }
    }

    /// Whether reading it without looking at all of it first may find that the stored types do not fit.
    pub fn knows_its_types(&self) -> bool {
        self.parts().iter().any(|part| matches!(part, Self::Parquet(_)))
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
            Self::Parquet(_) | Self::Gone(_) => Ok(None),
            Self::Set(set) => set.parts().first().map_or(Ok(None), Self::beginning),
        }
    }

    /// The encoding that looking at all of the file has shown, where that was needed; of several files only where it is one.
    pub fn detected(&self) -> Option<Encoding> {
        let mut all = self.parts().iter().map(Self::guess);
        let first = all.next()??;
        all.all(|other| other == Some(first)).then_some(first)
    }

    fn guess(&self) -> Option<Encoding> {
        match self {
            Self::Csv(file) => file.detected(),
            _ => None,
        }
    }

    /// Reads the file with the guesses that an earlier run made, as far as guesses are needed.
    pub fn remember(&self, before: &Provenance) {
        for part in self.parts() {
            if let (Self::Csv(file), Some(guess)) = (part, before.guess_for(part.name())) {
                file.remember_encoding(guess);
            }
        }
    }

    /// What was read, and what was guessed.
    pub fn provenance(&self) -> Provenance {
        if let Self::Gone(gone) = self {
            return gone.provenance();
        }
        let guess = |part: &Self| Some((part.name().to_owned(), part.guess()?.name().to_owned()));
        let ends: Option<Vec<bool>> = self.parts().iter().map(Self::ends_with_line_end).collect();
        Provenance {
            files: match self {
                Self::Set(set) => set.with_rows(),
                other => vec![other.name().to_owned()],
            },
            guessed_encodings: self.parts().iter().filter_map(guess).collect(),
            ends_with_line_end: ends.map(|ends| ends.into_iter().all(|ended| ended)),
            open_ends: match self {
                Self::Set(_) => self.open_ends().into_iter().map(|(file, _)| file.to_owned()).collect(),
                _ => BTreeSet::new(),
            },
            source: None,
        }
    }

    /// The files whose text does not end with the end of a line, once they were read, and whether each is the last one.
    pub fn open_ends(&self) -> Vec<(&str, bool)> {
        let parts = self.parts();
        let open = parts.iter().enumerate().filter(|(_, part)| part.ends_with_line_end() == Some(false));
        open.map(|(index, part)| (part.name(), index + 1 == parts.len())).collect()
    }

    fn ends_with_line_end(&self) -> Option<bool> {
        match self {
            Self::Csv(file) => file.ends_with_line_end(),
            _ => None,
        }
    }

    /// Learns the file's encoding, after [`PassError::NotUtf8`].
    pub fn detect_encoding(&self) -> Result<()> {
        match self {
            Self::Csv(file) => file.detect_encoding(),
            Self::Parquet(_) | Self::Gone(_) => Ok(()),
            Self::Set(set) => set.detect_encoding(),
        }
    }
}
