//! Parquet files of the lake: written to the work folder, read from memory or from there.

use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;

use super::fetch;
use super::footer::Footer;
use super::store::{ByteRange, ETag, ObjectStore, Payload};
use crate::error::{Error, Result};
use crate::table::{ParquetBatches, open_parquet};

/// Rows per row group: enough to compress well, few enough to hold one group in some tens of megabytes.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// How much of an object's end is read to find its footer; more is asked for where that is too little.
const FOOTER_GUESS: u64 = 64 * 1024;

/// A Parquet file under construction.
pub struct ParquetWriter {
    path: PathBuf,
    writer: ArrowWriter<BufWriter<File>>,
    rows: u64,
}

impl ParquetWriter {
    /// Begins a file at `path`.
    pub fn create(path: PathBuf, schema: SchemaRef) -> Result<Self> {
        let file = File::create(&path).map_err(|error| disk(&path, error))?;
        let writer = ArrowWriter::try_new(BufWriter::new(file), schema, Some(properties()?)).map_err(unwritable)?;
        Ok(Self { path, writer, rows: 0 })
    }

    /// Appends rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(unwritable)
    }

    /// How many rows it has so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file with its self-description.
    pub fn finish(mut self, footer: &Footer) -> Result<Payload> {
        for entry in footer.to_metadata() {
            self.writer.append_key_value_metadata(entry);
        }
        let file = self.writer.into_inner().map_err(unwritable)?;
        let file = file.into_inner().map_err(|error| disk(&self.path, error.into_error()))?;
        let len = file.metadata().map_err(|error| disk(&self.path, error))?.len();
        Ok(Payload::File { path: Arc::new(self.path), len })
    }
}

/// A file of no rows, in memory.
pub fn empty_file(schema: SchemaRef, footer: &Footer) -> Result<Payload> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties()?)).map_err(unwritable)?;
    for entry in footer.to_metadata() {
        writer.append_key_value_metadata(entry);
    }
    writer.close().map_err(unwritable)?;
    Ok(Payload::Memory(bytes.into()))
}

fn properties() -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(1).map_err(unwritable)?;
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_created_by(concat!("cdc-to-s3 version ", env!("CARGO_PKG_VERSION")).to_owned())
        .build())
}

/// A Parquet file of the lake, whole and at hand.
#[derive(Clone, Debug)]
pub struct ParquetFile {
    key: String,
    payload: Payload,
    footer: Footer,
}

impl ParquetFile {
    /// Takes the file that `key` names in errors, and reads its footer.
    pub fn open(key: &str, payload: Payload) -> Result<Self> {
        let metadata = match &payload {
            Payload::Memory(bytes) => ParquetMetaDataReader::new().parse_and_finish(bytes),
            Payload::File { path, .. } => {
                let file = File::open(path.as_path()).map_err(|error| disk(path, error))?;
                ParquetMetaDataReader::new().parse_and_finish(&file)
            }
        };
        let footer = footer_of(&metadata.map_err(|error| damaged(key, error))?, key)?;
        Ok(Self { key: key.to_owned(), payload, footer })
    }

    /// Its self-description.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Its key, for messages.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Reads the rows in order, or only those that `selection` names.
    pub fn batches(&self, selection: Option<RowSelection>) -> Result<Batches> {
        let reader = match &self.payload {
            Payload::Memory(bytes) => open_parquet(bytes.clone(), selection),
            Payload::File { path, .. } => {
                open_parquet(File::open(path.as_path()).map_err(|error| disk(path, error))?, selection)
            }
        };
        Ok(Batches { key: self.key.clone(), reader: reader.map_err(|error| damaged(&self.key, error))? })
    }
}

/// The rows of a file, batch by batch.
pub struct Batches {
    key: String,
    reader: ParquetBatches,
}

impl Batches {
    /// The schema of the batches.
    pub fn schema(&self) -> SchemaRef {
        self.reader.schema()
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.map_err(|error| damaged(&self.key, error)))
    }
}

/// Reads only the self-description of the object `key`; `None` when there is no such object.
pub async fn read_footer(store: &dyn ObjectStore, key: &str) -> Result<Option<(Footer, ETag)>> {
    let mut wanted = FOOTER_GUESS;
    loop {
        let Some(object) = store.get(key, Some(ByteRange::Suffix(wanted))).await? else { return Ok(None) };
        let (len, etag) = (object.len, object.etag.clone());
        let bytes: Bytes = fetch::collect(object).await?;
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&bytes, len) {
            Ok(()) => {
                let metadata = reader.finish().map_err(|error| damaged(key, error))?;
                return Ok(Some((footer_of(&metadata, key)?, etag)));
            }
            Err(ParquetError::NeedMoreData(needed)) if wanted < len => {
                wanted = len.min((needed as u64).max(wanted * 2));
            }
            Err(error) => return Err(damaged(key, error)),
        }
    }
}

fn footer_of(metadata: &ParquetMetaData, key: &str) -> Result<Footer> {
    Footer::from_metadata(metadata.file_metadata().key_value_metadata()).map_err(|entry| {
        Error::internal(
            "ForeignObject",
            format!("`{key}` was not written by this program: its footer lacks a usable {entry}"),
        )
        .hint("move the object out of the lake's folders, or give the table another name or the lake another prefix")
    })
}

fn damaged(key: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::internal("DamagedObject", format!("`{key}` cannot be read as Parquet"))
        .caused_by(error)
        .hint("restore the object's previous version")
}

fn unwritable(error: ParquetError) -> Error {
    Error::internal("ParquetUnwritable", "cannot write a Parquet file to the work folder")
        .caused_by(error)
        .hint("if the disk is full, give the function more ephemeral storage, or set TMPDIR to a larger disk")
}

fn disk(path: &std::path::Path, error: std::io::Error) -> Error {
    let code = if error.kind() == std::io::ErrorKind::StorageFull { "DiskFull" } else { "WorkFolder" };
    Error::config(code, format!("cannot use `{}`", path.display()))
        .caused_by(error)
        .hint("give the function more ephemeral storage, or set TMPDIR to a larger disk")
}
