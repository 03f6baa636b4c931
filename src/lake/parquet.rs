//! Parquet files of the lake: written to the work folder, read from memory or from there.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::{ArrowWriter, parquet_to_arrow_schema};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::fetch;
use super::footer::Footer;
use super::store::{Ahead, ByteRange, ETag, Growth, ObjectStore, Payload};
use crate::diff::distinct;
use crate::error::{Error, Result};
use crate::table::{BATCH_ROWS, ParquetBatches, open_parquet};
use crate::workspace::WorkFile;

/// Rows per row group: enough to compress well, few enough to hold one group in some tens of megabytes.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// Bytes that a row group may take up, as arrays before it is encoded and as pages that wait for its end: rows of up to a
/// kilobyte fill it, of larger ones it has fewer. Whoever reads the file holds about as much.
const ROW_GROUP_BYTES: usize = 128 * 1024 * 1024;
const ROW_GROUP_PAGES: usize = 32 * 1024 * 1024;

/// How much of an object's end is read to find its footer; more is asked for where that is too little.
const FOOTER_GUESS: u64 = 64 * 1024;

/// Bytes that are written to the work folder at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Bytes of a data page before compression: small enough for the allocator to hand out the same memory again, where Parquet's
/// usual megabyte is mapped and unmapped for each page. Files stay as small.
const PAGE_BYTES: usize = 128 * 1024;

/// The level of Zstandard: higher ones save little and cost much.
const COMPRESSION_LEVEL: i32 = 1;

/// Tables of more columns are written without dictionaries and by Snappy. The writer keeps the tables of both for each column
/// from the first value to the end of a row group: 70 KB for a dictionary, and for Zstandard 20 KB at first, half a megabyte
/// once a page was full; Snappy needs a few kilobytes.
const WIDE_COLUMNS: usize = 512;

/// A Parquet file under construction.
pub struct ParquetWriter {
    path: WorkFile,
    schema: SchemaRef,
    encoding: Encoding,
    /// Begun with the first rows, which decide on its settings.
    writer: Option<ArrowWriter<Output>>,
    rows: u64,
    /// Bytes of arrays in the row group that is not ended yet.
    group_bytes: usize,
    growth: Option<Growth>,
    ahead: Option<Ahead>,
}

type Output = BufWriter<Followed>;

impl ParquetWriter {
    /// Begins a file at `path`.
    pub fn create(path: impl Into<WorkFile>, schema: SchemaRef, encoding: Encoding) -> Self {
        Self { path: path.into(), schema, encoding, writer: None, rows: 0, group_bytes: 0, growth: None, ahead: None }
    }

    /// Lets a store follow the file, which has no rows yet (see [`Stages::begin`](super::store::Stages::begin)).
    #[must_use]
    pub fn followed_by(self, staged: Option<(Growth, Ahead)>) -> Self {
        let (growth, ahead) = staged.unzip();
        Self { growth, ahead, ..self }
    }

    /// Appends rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(begin(&self.path, self.growth.take(), self.encoding, batch)?),
        };
        writer.write(batch).map_err(unwritable)?;
        // A group may have ended in between: then it holds no more than what is left of this batch.
        let before = if writer.in_progress_rows() > batch.num_rows() { self.group_bytes } else { 0 };
        self.group_bytes = before + batch.get_array_memory_size();
        if self.group_bytes > ROW_GROUP_BYTES || writer.memory_size() > ROW_GROUP_PAGES {
            writer.flush().map_err(unwritable)?;
            self.group_bytes = 0;
        }
        Ok(())
    }

    /// How many rows it has so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Ends the file with its self-description.
    pub fn finish(self, metadata: impl IntoIterator<Item = KeyValue>) -> Result<Payload> {
        let mut writer = match self.writer {
            Some(writer) => writer,
            None => begin(&self.path, self.growth, self.encoding, &RecordBatch::new_empty(self.schema))?,
        };
        for entry in metadata {
            writer.append_key_value_metadata(entry);
        }
        let file = writer.into_inner().map_err(unwritable)?;
        let Followed { file, growth } = file.into_inner().map_err(|error| disk(&self.path, error.into_error()))?;
        let len = file.metadata().map_err(|error| disk(&self.path, error))?.len();
        if let Some(growth) = growth {
            growth.complete();
        }
        let path = self.path;
        Ok(match self.ahead {
            Some(ahead) => Payload::Staged { path, len, ahead },
            None => Payload::File { path, len },
        })
    }
}

/// A file that tells how it grows.
struct Followed {
    file: File,
    growth: Option<Growth>,
}

impl Write for Followed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if let Some(growth) = &self.growth {
            growth.grow(written);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Opens the file for rows that look like those of `sample`.
fn begin(path: &Path, growth: Option<Growth>, encoding: Encoding, sample: &RecordBatch) -> Result<ArrowWriter<Output>> {
    let file = File::create(path).map_err(|error| disk(path, error))?;
    let file = BufWriter::with_capacity(WRITE_BYTES, Followed { file, growth });
    ArrowWriter::try_new(file, sample.schema(), Some(encoding.properties(sample)?)).map_err(unwritable)
}

/// A file of no rows, in memory.
pub fn empty_file(schema: SchemaRef, footer: &Footer) -> Result<Payload> {
    let mut bytes = Vec::new();
    let properties = Encoding::Table.properties(&RecordBatch::new_empty(SchemaRef::clone(&schema)))?;
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).map_err(unwritable)?;
    for entry in footer.to_metadata() {
        writer.append_key_value_metadata(entry);
    }
    writer.close().map_err(unwritable)?;
    Ok(Payload::Memory(bytes.into()))
}

/// How the values of a file are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// For rows of a table: compressed, with dictionaries where values repeat.
    Table,
    /// For numbers that look random: as they are.
    Plain,
}

impl Encoding {
    /// The settings for a file whose rows look like those of `sample`.
    fn properties(self, sample: &RecordBatch) -> Result<WriterProperties> {
        let builder = WriterProperties::builder()
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_write_batch_size(BATCH_ROWS)
            .set_data_page_size_limit(PAGE_BYTES)
            .set_created_by(concat!("cdc-to-s3 version ", env!("CARGO_PKG_VERSION")).to_owned());
        Ok(match self {
            Self::Table => tabular(builder, sample)?,
            Self::Plain => builder
                .set_compression(Compression::UNCOMPRESSED)
                .set_dictionary_enabled(false)
                .set_statistics_enabled(EnabledStatistics::None)
                .set_offset_index_disabled(true),
        }
        .build())
    }
}

/// A dictionary of values that hardly repeat costs time and saves nothing.
fn tabular(builder: WriterPropertiesBuilder, sample: &RecordBatch) -> Result<WriterPropertiesBuilder> {
    let is_wide = sample.num_columns() > WIDE_COLUMNS;
    let level = ZstdLevel::try_new(COMPRESSION_LEVEL).map_err(unwritable)?;
    let compression = if is_wide { Compression::SNAPPY } else { Compression::ZSTD(level) };
    let mut builder = builder.set_compression(compression).set_statistics_enabled(EnabledStatistics::Chunk);
    for (field, column) in sample.schema().fields().iter().zip(sample.columns()) {
        let path = ColumnPath::new(vec![field.name().clone()]);
        builder = builder.set_column_dictionary_enabled(path, !is_wide && repeats(column));
    }
    Ok(builder)
}

/// Whether at least half of the values have occurred before.
fn repeats(column: &ArrayRef) -> bool {
    distinct(column.as_ref()).is_none_or(|distinct| distinct * 2 <= column.len())
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
            Payload::File { path, .. } | Payload::Staged { path, .. } => {
                let file = File::open(path).map_err(|error| disk(path, error))?;
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
        open_batches(&self.key, &self.payload, selection)
    }
}

/// Reads the rows of the Parquet file that `key` names in errors, or only those of `selection`.
pub(super) fn open_batches(key: &str, payload: &Payload, selection: Option<RowSelection>) -> Result<Batches> {
    let reader = match payload {
        Payload::Memory(bytes) => open_parquet(bytes.clone(), selection),
        Payload::File { path, .. } | Payload::Staged { path, .. } => {
            open_parquet(File::open(path).map_err(|error| disk(path, error))?, selection)
        }
    };
    Ok(Batches { key: key.to_owned(), reader: reader.map_err(|error| damaged(key, error))? })
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
    let Some((metadata, etag)) = read_metadata(store, key).await? else { return Ok(None) };
    Ok(Some((footer_of(&metadata, key)?, etag)))
}

/// Who wrote an object.
#[derive(Clone, Debug)]
pub enum Written {
    /// This program, which describes itself.
    ByUs(Box<Footer>),
    /// Another one: the object says nothing of itself but how many rows it has.
    ByOthers {
        /// Its rows.
        rows: u64,
    },
}

/// Reads who wrote the Parquet object `key`; `None` when there is no such object.
pub async fn read_writer(store: &dyn ObjectStore, key: &str) -> Result<Option<(Written, ETag)>> {
    let Some((metadata, etag)) = read_metadata(store, key).await? else { return Ok(None) };
    let file = metadata.file_metadata();
    if !Footer::is_in(file.key_value_metadata()) {
        let rows = u64::try_from(file.num_rows()).unwrap_or_default();
        return Ok(Some((Written::ByOthers { rows }, etag)));
    }
    Ok(Some((Written::ByUs(Box::new(footer_of(&metadata, key)?)), etag)))
}

/// What an object says of itself.
#[derive(Clone, Debug)]
pub struct Description {
    /// Its columns.
    pub columns: SchemaRef,
    /// Its footer.
    pub footer: Footer,
}

/// Reads what the object `key` says of itself, its columns included; `None` when there is no such object.
pub async fn read_description(store: &dyn ObjectStore, key: &str) -> Result<Option<Description>> {
    let Some((metadata, _)) = read_metadata(store, key).await? else { return Ok(None) };
    let file = metadata.file_metadata();
    let columns =
        parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata()).map_err(|error| damaged(key, error))?;
    Ok(Some(Description { columns: Arc::new(columns), footer: footer_of(&metadata, key)? }))
}

/// Reads only the metadata of the Parquet object `key`; `None` when there is no such object.
pub(super) async fn read_metadata(store: &dyn ObjectStore, key: &str) -> Result<Option<(ParquetMetaData, ETag)>> {
    let mut wanted = FOOTER_GUESS;
    loop {
        let Some(object) = store.get(key, Some(ByteRange::Suffix(wanted))).await? else { return Ok(None) };
        let (len, etag) = (object.len, object.etag.clone());
        let bytes: Bytes = fetch::collect(object).await?;
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&bytes, len) {
            Ok(()) => {
                let metadata = reader.finish().map_err(|error| damaged(key, error))?;
                return Ok(Some((metadata, etag)));
            }
            Err(ParquetError::NeedMoreData(needed)) if wanted < len => {
                wanted = len.min((needed as u64).max(wanted * 2));
            }
            Err(error) => return Err(damaged(key, error)),
        }
    }
}

fn footer_of(metadata: &ParquetMetaData, key: &str) -> Result<Footer> {
    Footer::from_metadata(metadata.file_metadata().key_value_metadata()).map_err(|entry| foreign(key, entry))
}

/// The error for an object of another program that is in the way.
pub(super) fn foreign(key: &str, entry: &str) -> Error {
    Error::internal(
        "ForeignObject",
        format!("`{key}` was not written by this program: its footer lacks a usable {entry}"),
    )
    .hint("take over what the original program wrote with `cdc-to-s3 import`; or move the object out of the lake's folders, or give the table another name or the lake another prefix")
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

fn disk(path: &Path, error: io::Error) -> Error {
    let code = if error.kind() == io::ErrorKind::StorageFull { "DiskFull" } else { "WorkFolder" };
    Error::config(code, format!("cannot use `{}`", path.display()))
        .caused_by(error)
        .hint("give the function more ephemeral storage, or set TMPDIR to a larger disk")
}
