//! What the next snapshot is compared with: the full load plus every CDC object after its run time (log replay).
//!
//! The CDC folder is the log and the full load its checkpoint. After a crash between the two the log is ahead, and
//! replaying it gives the state that readers of the log have seen. A missing full load is no loss: the whole log gives it
//! back.

use std::num::NonZero;
use std::thread;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use futures_util::{StreamExt, TryStreamExt, stream};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::fetch::fetch;
use super::fingerprints::Fingerprints;
use super::footer::{FileKind, Footer};
use super::layout;
use super::log::AT_ONCE;
use super::outline::{BaseOutline, vanished};
use super::parquet::ParquetFile;
use super::store::{ETag, ObjectStore};
use crate::ahead::{ahead, all_ahead};
use crate::diff::{Index, LookupPlan, Operation};
use crate::error::{Error, Result};
use crate::table::{BATCH_ROWS, ColumnType, OP_COLUMN, TableName, TableSchema};
use crate::workspace::Workspace;

/// Room is made ahead for so many rows of a file at most, whatever its footer says.
const MOST_RESERVED: usize = 1 << 24;

/// At most so many threads read one file.
const MOST_READERS: usize = 4;

/// The files of a base, at hand.
#[derive(Clone, Debug)]
pub struct Base {
    files: Vec<BaseFile>,
}

/// A file of a base. Of the full load mostly the fingerprints are enough.
#[derive(Clone, Debug)]
enum BaseFile {
    Whole(ParquetFile),
    Fingerprints(Fingerprints, Footer),
}

impl BaseFile {
    fn footer(&self) -> &Footer {
        match self {
            Self::Whole(file) => file.footer(),
            Self::Fingerprints(_, footer) => footer,
        }
    }

    fn whole(&self) -> Result<&ParquetFile> {
        match self {
            Self::Whole(file) => Ok(file),
            Self::Fingerprints(..) => Err(Error::internal("NotFetched", "the full load was not fetched")),
        }
    }
}

impl Base {
    /// Fetches the files of `outline`. A full load that was replaced meanwhile is a conflict.
    pub async fn fetch(
        store: &dyn ObjectStore,
        table: &TableName,
        outline: &BaseOutline,
        workspace: &Workspace,
    ) -> Result<Self> {
        let mut files = Vec::new();
        if let Some((_, expected)) = &outline.full_load {
            files.push(BaseFile::Whole(full_load(store, table, expected, workspace).await?));
        }
        files.extend(Self::fetch_log(store, outline, workspace).await?.files);
        Ok(Self { files })
    }

    /// Fetches the files of `outline`, but of the full load only these fingerprints.
    pub async fn fetch_with_fingerprints(
        store: &dyn ObjectStore,
        outline: &BaseOutline,
        fingerprints: Fingerprints,
        workspace: &Workspace,
    ) -> Result<Self> {
        let first = outline.full_load.as_ref().map(|(footer, _)| BaseFile::Fingerprints(fingerprints, footer.clone()));
        let log = Self::fetch_log(store, outline, workspace).await?.files;
        Ok(Self { files: first.into_iter().chain(log).collect() })
    }

    /// Fetches the full load, too, if it is needed for the rows of `slots`, ascending, and is not at hand. It may have been
    /// fetched early: what `early` gives in that case is taken for it.
    pub async fn complete(
        &mut self,
        slots: &[u32],
        early: impl Future<Output = Option<ParquetFile>>,
        store: &dyn ObjectStore,
        table: &TableName,
        outline: &BaseOutline,
        workspace: &Workspace,
    ) -> Result<()> {
        if let (Some(file @ BaseFile::Fingerprints(..)), Some((_, expected))) =
            (self.files.first_mut(), &outline.full_load)
            && slots.first().is_some_and(|&slot| u64::from(slot) < file_rows(file.footer()))
        {
            *file = BaseFile::Whole(match early.await {
                Some(early) => early,
                None => full_load(store, table, expected, workspace).await?,
            });
        }
        Ok(())
    }

    /// Fetches the full load ahead of [`Base::complete`], if it will probably be needed: it is not at hand, and rows were
    /// deleted the last time, too. A table that only grows never pays for what it does not need. A failure is none: the full
    /// load is fetched again if it is needed.
    pub fn early<'a>(
        &self,
        store: &'a dyn ObjectStore,
        table: &'a TableName,
        outline: &'a BaseOutline,
        workspace: &'a Workspace,
    ) -> impl Future<Output = Option<ParquetFile>> + use<'a> {
        let lacking = matches!(self.files.first(), Some(BaseFile::Fingerprints(..)));
        let wanted = lacking && outline.newest().is_some_and(|newest| newest.deleted > 0);
        let expected = outline.etag().filter(|_| wanted);
        async move { full_load(store, table, expected?, workspace).await.ok() }
    }

    /// Fetches the CDC objects of `outline` only.
    pub async fn fetch_log(store: &dyn ObjectStore, outline: &BaseOutline, workspace: &Workspace) -> Result<Self> {
        let keys: Vec<String> = outline.changes().map(|(key, _)| key.clone()).collect();
        let whole = |key: String| async move {
            let (payload, _) = fetch(store, &key, workspace).await?.ok_or_else(|| vanished(&key))?;
            ParquetFile::open(&key, payload).map(BaseFile::Whole)
        };
        let files = stream::iter(keys).map(whole).buffered(AT_ONCE).try_collect().await?;
        Ok(Self { files })
    }

    /// Fetches the full load only.
    pub async fn fetch_full_load(
        store: &dyn ObjectStore,
        table: &TableName,
        workspace: &Workspace,
    ) -> Result<ParquetFile> {
        let key = layout::full_load(table);
        let (payload, _) = fetch(store, &key, workspace).await?.ok_or_else(|| vanished(&key))?;
        ParquetFile::open(&key, payload)
    }

    /// Takes files that are already at hand: at most one full load, first, then CDC objects, oldest first.
    pub fn of(files: Vec<ParquetFile>) -> Self {
        Self { files: files.into_iter().map(BaseFile::Whole).collect() }
    }

    /// The distinct schemas of the files; the number of one is its place here.
    pub fn schemas(&self) -> Vec<&TableSchema> {
        let mut schemas: Vec<&TableSchema> = Vec::new();
        for file in &self.files {
            if !schemas.iter().any(|schema| schema.columns == file.footer().schema.columns) {
                schemas.push(&file.footer().schema);
            }
        }
        schemas
    }

    /// The index of the base's rows. `order` names the date field and the type in which its values are compared.
    ///
    /// # Errors
    /// `BadFingerprints` where the base has fingerprints that are of no use here: fetch the full load instead.
    pub fn index(&self, pk: &[String], order: Option<(&str, ColumnType)>) -> Result<Index> {
        let schemas = self.schemas();
        let mut index = Index::new();
        for file in &self.files {
            let footer = file.footer();
            let number = schemas.iter().position(|other| other.columns == footer.schema.columns);
            index.begin_file(number.unwrap_or_default());
            index.reserve(usize::try_from(file_rows(footer)).unwrap_or_default().min(MOST_RESERVED));
            match file {
                BaseFile::Whole(file) => {
                    let plan = LookupPlan::new(&footer.schema, &schemas, pk, order)?;
                    load(file, &plan, &mut index)?;
                    check(file, &index)?;
                }
                BaseFile::Fingerprints(fingerprints, _) => fingerprints.load(pk, order, footer, &mut index)?,
            }
        }
        Ok(index)
    }

    /// Gives the rows of `slots`, ascending, to `each`, with the number of their schema; rows keep their file's schema.
    pub fn rows(&self, slots: &[u32], each: &mut dyn FnMut(usize, RecordBatch) -> Result<()>) -> Result<()> {
        let schemas = self.schemas();
        let mut first = 0_u64;
        let mut rest = slots;
        for file in &self.files {
            let rows = file_rows(file.footer());
            let here = rest.partition_point(|&slot| u64::from(slot) < first + rows);
            let (mine, others) = rest.split_at(here);
            if !mine.is_empty() {
                let number = schemas.iter().position(|other| other.columns == file.footer().schema.columns);
                selected(file.whole()?, mine, first, &mut |batch| each(number.unwrap_or_default(), batch))?;
            }
            rest = others;
            first += rows;
        }
        Ok(())
    }
}

/// Gives the rows of `slots`, which are in a file whose first row has the slot `first`. Nearly every page has to be
/// unpacked for a few rows, so several threads share the file.
fn selected(
    file: &ParquetFile,
    slots: &[u32],
    first: u64,
    each: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let readers = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_READERS);
    let part = slots.len().div_ceil(readers).max(BATCH_ROWS);
    let read = |slots: &[u32]| {
        let selection = selection(slots, first);
        move |give: &mut dyn FnMut(RecordBatch) -> Result<()>| {
            file.batches(Some(selection))?.try_for_each(|batch| give(batch?))
        }
    };
    all_ahead("decode", slots.chunks(part).map(read), |mut batches| batches.try_for_each(each))
}

/// A full load, which is loaded first, must have the rows that its footer names.
fn check(file: &ParquetFile, index: &Index) -> Result<()> {
    let footer = file.footer();
    let as_written = footer.rows == index.rows() && footer.row_set_hash == index.set_hash().to_hex();
    if footer.kind != FileKind::FullLoad || as_written {
        return Ok(());
    }
    Err(Error::internal("EditedObject", format!("`{}` does not hold the rows that its footer names", file.key()))
        .hint("it was changed by hand: restore its previous version, or delete it so that it is rebuilt from the log"))
}

/// Loads the rows of a file.
fn load(file: &ParquetFile, plan: &LookupPlan, index: &mut Index) -> Result<()> {
    let decode =
        |give: &mut dyn FnMut(RecordBatch) -> Result<()>| file.batches(None)?.try_for_each(|batch| give(batch?));
    ahead("decode", decode, |mut batches| {
        batches.try_for_each(|batch| {
            let operations = operations(file, &batch)?;
            index.load(&plan.prints(&batch)?, operations.as_deref())
        })
    })
}

/// How many rows a file holds.
fn file_rows(footer: &Footer) -> u64 {
    match footer.kind {
        FileKind::FullLoad => footer.rows,
        FileKind::Cdc => footer.inserted + footer.updated + footer.deleted,
        FileKind::Tombstone => 0,
    }
}

/// The operations of a CDC batch; `None` for a full load.
pub(crate) fn operations(file: &ParquetFile, batch: &RecordBatch) -> Result<Option<Vec<Operation>>> {
    if file.footer().kind == FileKind::FullLoad {
        return Ok(None);
    }
    let bad = || {
        Error::internal("EditedObject", format!("`{}` holds an `{OP_COLUMN}` that is none of I, U, D", file.key()))
            .hint("it was changed by hand: restore its previous version")
    };
    let letters = batch.column_by_name(OP_COLUMN).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(bad)?;
    let operation = |letter: Option<&str>| letter.and_then(Operation::from_letter).ok_or_else(bad);
    letters.iter().map(operation).collect::<Result<_>>().map(Some)
}

/// The rows of `slots`, as places in the file whose first row has the slot `first`.
fn selection(slots: &[u32], first: u64) -> RowSelection {
    let mut selectors: Vec<RowSelector> = Vec::new();
    let mut at = 0;
    for place in slots.iter().map(|&slot| usize::try_from(u64::from(slot) - first).unwrap_or(usize::MAX)) {
        match selectors.last_mut() {
            Some(last) if place == at && !last.skip => last.row_count += 1,
            _ => {
                if place > at {
                    selectors.push(RowSelector::skip(place - at));
                }
                selectors.push(RowSelector::select(1));
            }
        }
        at = place + 1;
    }
    selectors.into()
}

/// The rows of `batch` at `rows`.
pub(crate) fn take(batch: &RecordBatch, rows: &UInt32Array) -> Result<RecordBatch> {
    debug_assert_eq!(rows.null_count(), 0);
    arrow::compute::take_record_batch(batch, rows)
        .map_err(|error| Error::internal("TakeRows", "cannot pick the changed rows").caused_by(error))
}

/// The full load, which must have the tag `expected`.
pub(crate) async fn full_load(
    store: &dyn ObjectStore,
    table: &TableName,
    expected: &ETag,
    workspace: &Workspace,
) -> Result<ParquetFile> {
    let key = layout::full_load(table);
    let (payload, etag) = fetch(store, &key, workspace).await?.ok_or_else(|| vanished(&key))?;
    if etag != *expected {
        return Err(Error::conflict("FullLoadMoved", format!("`{key}` was replaced while it was being read"))
            .hint("another run is at work on the table; the next run does what is left"));
    }
    ParquetFile::open(&key, payload)
}
