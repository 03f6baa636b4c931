//! Where restored rows go: a new Parquet or CSV file that is there only once it is whole, or a stream of CSV.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use tempfile::NamedTempFile;

use super::csv::Csv;
use crate::error::{Error, Result};
use crate::lake::footer::Footer;
use crate::lake::parquet::{Encoding, ParquetWriter};
use crate::table::TableSchema;

/// What restored rows look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Parquet, as a full load.
    Parquet,
    /// UTF-8, quoted as in RFC 4180; null is empty, an empty text is `""`.
    Csv {
        /// Between two cells.
        delimiter: u8,
    },
}

/// Where restored rows go.
pub enum Output {
    /// A file that is not there yet.
    File(PathBuf, Format),
    /// CSV, into whatever takes bytes.
    Stream {
        /// What takes them.
        to: Box<dyn Write + Send>,
        /// Between two cells.
        delimiter: u8,
    },
}

/// What was written.
pub(super) struct Finished {
    pub(super) rows: u64,
}

/// Rows on their way out.
pub(super) struct RowWriter {
    rows: Rows,
    file: Option<(NamedTempFile, PathBuf)>,
}

enum Rows {
    Parquet(Box<ParquetWriter>),
    Csv(Csv<Box<dyn Write + Send>>),
}

impl Output {
    /// Whether it is text.
    pub(super) fn is_csv(&self) -> bool {
        !matches!(self, Self::File(_, Format::Parquet))
    }

    /// Begins the output of rows in `schema`.
    pub(super) fn begin(self, schema: &TableSchema) -> Result<RowWriter> {
        match self {
            Self::Stream { to, delimiter } => {
                Ok(RowWriter { rows: Rows::Csv(Csv::begin(to, schema, delimiter)?), file: None })
            }
            Self::File(path, format) => {
                let file = beside(&path)?;
                let rows = match format {
                    Format::Parquet => {
                        let writer = ParquetWriter::create(file.path().to_owned(), schema.arrow(), Encoding::Table);
                        Rows::Parquet(Box::new(writer))
                    }
                    Format::Csv { delimiter } => {
                        let to = File::create(file.path()).map_err(|error| unwritable(&path, error))?;
                        let to: Box<dyn Write + Send> = Box::new(BufWriter::new(to));
                        Rows::Csv(Csv::begin(to, schema, delimiter)?)
                    }
                };
                Ok(RowWriter { rows, file: Some((file, path)) })
            }
        }
    }
}

impl RowWriter {
    /// Appends rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.rows {
            Rows::Parquet(writer) => writer.write(batch),
            Rows::Csv(writer) => writer.write(batch),
        }
    }

    /// Ends the output; a file gets its name.
    pub(super) fn finish(self, footer: &Footer) -> Result<Finished> {
        let rows = match self.rows {
            Rows::Parquet(writer) => {
                let rows = writer.rows();
                writer.finish(footer.to_metadata())?;
                rows
            }
            Rows::Csv(writer) => writer.finish()?,
        };
        if let Some((file, path)) = self.file {
            file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
                std::io::ErrorKind::AlreadyExists => exists(&path),
                _ => unwritable(&path, error.error),
            })?;
        }
        Ok(Finished { rows })
    }
}

/// A file under another name in the folder of `path`, which must be free.
fn beside(path: &Path) -> Result<NamedTempFile> {
    if path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::Builder::new()
        .prefix(".restore-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(|error| unwritable(path, error))
}

fn exists(path: &Path) -> Error {
    Error::config("OutputExists", format!("`{}` is there already", path.display()))
        .hint("give another name, or move it away: nothing is overwritten")
}

fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::config("OutputUnwritable", format!("cannot write `{}`", path.display()))
        .caused_by(error)
        .hint("name a file in a folder that is there and can be written to")
}
