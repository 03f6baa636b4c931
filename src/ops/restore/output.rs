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
use crate::table::{TableSchema, TableSpec};

/// What restored rows look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Parquet, as a full load.
    Parquet,
    /// As the table's `quote`, `escape` and `null_values` have it, so that it can be read again; null is empty, an empty text
    /// is `""`.
    Csv {
        /// Between two cells; `None` for the table's own.
        delimiter: Option<u8>,
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
        /// Between two cells; `None` for the table's own.
        delimiter: Option<u8>,
    },
}

/// What is restored.
pub(super) struct Restoring<'a> {
    /// The schema of the rows.
    pub(super) schema: &'a TableSchema,
    pub(super) spec: &'a TableSpec,
    /// Whether columns that the source no longer had are surely null.
    pub(super) only_source: bool,
}

/// What was written.
pub(super) struct Finished {
    pub(super) rows: u64,
    /// What the format does not keep.
    pub(super) warnings: Vec<String>,
}

/// Rows on their way out.
pub(super) struct RowWriter<'a> {
    rows: Rows<'a>,
    file: Option<(NamedTempFile, PathBuf)>,
}

enum Rows<'a> {
    Parquet(Box<ParquetWriter>),
    Csv(Box<Csv<'a, Box<dyn Write + Send>>>),
}

impl Output {
    /// Starts the output of a table's rows.
    pub(super) fn begin<'a>(self, table: &Restoring<'a>) -> Result<RowWriter<'a>> {
        let csv = |to, delimiter| Ok::<_, Error>(Rows::Csv(Box::new(Csv::begin(to, table, delimiter)?)));
        match self {
            Self::Stream { to, delimiter } => Ok(RowWriter { rows: csv(to, delimiter)?, file: None }),
            Self::File(path, format) => {
                let file = beside(&path)?;
                let rows = match format {
                    Format::Parquet => {
                        let writer =
                            ParquetWriter::create(file.path().to_owned(), table.schema.arrow(), Encoding::Table);
                        Rows::Parquet(Box::new(writer))
                    }
                    Format::Csv { delimiter } => {
                        let to = File::create(file.path()).map_err(|error| unwritable(&path, error))?;
                        csv(Box::new(BufWriter::new(to)), delimiter)?
                    }
                };
                Ok(RowWriter { rows, file: Some((file, path)) })
            }
        }
    }
}

impl RowWriter<'_> {
    /// Appends rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.rows {
            Rows::Parquet(writer) => writer.write(batch),
            Rows::Csv(writer) => writer.write(batch),
        }
    }

    /// Ends the output; a file gets its name.
    pub(super) fn finish(self, footer: &Footer) -> Result<Finished> {
        let finished = match self.rows {
            Rows::Parquet(writer) => {
                let rows = writer.rows();
                writer.finish(footer.to_metadata())?;
                Finished { rows, warnings: Vec::new() }
            }
            Rows::Csv(writer) => writer.finish()?,
        };
        if let Some((file, path)) = self.file {
            file.persist_noclobber(&path).map_err(|error| match error.error.kind() {
                std::io::ErrorKind::AlreadyExists => exists(&path),
                _ => unwritable(&path, error.error),
            })?;
        }
        Ok(finished)
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
