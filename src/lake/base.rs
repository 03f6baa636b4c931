//! What the next snapshot is compared with: the full load plus every CDC object after its run time (log replay).
//!
//! The CDC folder is the log and the full load its checkpoint. After a crash between the two the log is ahead, and
//! replaying it gives the state that readers of the log have seen. A missing full load is no loss: the whole log gives it
//! back.

use std::fmt::Display;
use std::num::NonZero;
use std::thread;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use super::fetch::fetch;
use super::fingerprints::Fingerprints;
use super::footer::{FileKind, Footer};
use super::layout::{self, Place, RunTime};
use super::parquet::{ParquetFile, Written, foreign, read_footer, read_writer};
use super::store::{ETag, ObjectStore};
use crate::ahead::{ahead, all_ahead};
use crate::diff::{Index, LookupPlan, Operation};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::table::{BATCH_ROWS, ColumnType, OP_COLUMN, TableName, TableSchema};
use crate::workspace::Workspace;

/// Room is made ahead for so many rows of a file at most, whatever its footer says.
const MOST_RESERVED: usize = 1 << 24;

/// At most so many threads read one file.
const MOST_READERS: usize = 4;

/// The footers that make up the base, read in this order: the full load, then the listing of what came after it.
#[derive(Clone, Debug)]
pub struct BaseOutline {
    /// The full load, if there is one.
    pub full_load: Option<(Footer, ETag)>,
    /// The CDC objects after it, oldest first, tombstones included.
    pub log: Vec<(String, Footer)>,
    /// The run time of the newest object of the whole log, whatever it is.
    pub last: Option<RunTime>,
    /// What another program wrote into the table's folders.
    pub inherited: Inherited,
}

/// What another program left in the folders of a table.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    /// Its full load: the tag, and the rows.
    pub full_load: Option<(ETag, u64)>,
    /// The last of its CDC objects.
    pub last_cdc_key: Option<String>,
}

impl BaseOutline {
    /// Reads the outline of a table's base.
    pub async fn read(store: &dyn ObjectStore, table: &TableName) -> Result<Self> {
        let full_load = read_footer(store, &layout::full_load(table)).await?;
        if let Some((footer, _)) = &full_load {
            expect_table(footer, table.as_str(), &layout::full_load(table))?;
        }
        let as_of = full_load.as_ref().map(|(footer, _)| footer.run_at);
        Self::list(store, &table.into(), full_load, as_of).await?.begun_after(table)
    }

    /// Reads the outline of a log alone, or of its part after a run.
    pub async fn read_log(store: &dyn ObjectStore, place: &Place, after: Option<RunTime>) -> Result<Self> {
        Self::list(store, place, None, after).await?.begun_after(place.table())
    }

    /// Reads the outline of a table in whose folders another program has been writing so far.
    pub async fn read_inherited(store: &dyn ObjectStore, table: &TableName) -> Result<Self> {
        match read_writer(store, &layout::full_load(table)).await? {
            Some((Written::ByOthers { rows }, etag)) => {
                let mut outline = Self::list(store, &table.into(), None, None).await?;
                outline.inherited.full_load = Some((etag, rows));
                Ok(outline)
            }
            Some((Written::ByUs(footer), etag)) => {
                let as_of = footer.run_at;
                Self::list(store, &table.into(), Some((*footer, etag)), Some(as_of)).await
            }
            None => Self::list(store, &table.into(), None, None).await,
        }
    }

    /// Reads the outline of the whole log, whatever the full load includes of it.
    pub async fn read_all(store: &dyn ObjectStore, table: &TableName) -> Result<Self> {
        let full_load = read_footer(store, &layout::full_load(table)).await?;
        Self::list(store, &table.into(), full_load, None).await?.begun_after(table)
    }

    async fn list(
        store: &dyn ObjectStore,
        place: &Place,
        full_load: Option<(Footer, ETag)>,
        as_of: Option<RunTime>,
    ) -> Result<Self> {
        let after = as_of.map(|as_of| place.cdc(as_of));
        let listed = store.list(place.cdc_prefix(), after.as_deref()).await?;
        let (mut log, mut inherited, mut newest) = (Vec::new(), Inherited::default(), None);
        for key in listed.iter().map(|entry| &entry.key).filter(|key| place.cdc_run_at(key).is_some()) {
            match read_writer(store, key).await?.ok_or_else(|| vanished(key))? {
                (Written::ByOthers { .. }, _) => inherited.last_cdc_key = Some(key.clone()),
                (Written::ByUs(footer), _) => {
                    expect_table(&footer, place.table(), key)?;
                    log.push((key.clone(), *footer));
                }
            }
            newest = place.cdc_run_at(key);
        }
        Ok(Self { full_load, log, last: newest.max(as_of), inherited })
    }

    /// Accepts objects of another program only where the log says that it begins after them.
    fn begun_after(self, table: impl Display) -> Result<Self> {
        let Some(last) = &self.inherited.last_cdc_key else { return Ok(self) };
        if self.beginning().is_some_and(|begins| last <= begins) {
            return Ok(self);
        }
        tracing::warn!(%table, key = last, "another program writes into the table's folder");
        Err(foreign(last, "format_version"))
    }

    /// The last object of another program that the log begins after, where it says so. A tombstone may come before it.
    fn beginning(&self) -> Option<&String> {
        self.log.iter().find_map(|(_, footer)| footer.log_begins_after.as_ref())
    }

    /// Whether the log says which objects of another program are not part of it.
    pub fn says_where_it_begins(&self) -> bool {
        self.beginning().is_some()
    }

    /// The CDC objects that hold changes.
    pub fn changes(&self) -> impl Iterator<Item = &(String, Footer)> {
        self.log.iter().filter(|(_, footer)| footer.kind == FileKind::Cdc)
    }

    /// The part of the log up to a run, without the full load.
    #[must_use]
    pub fn up_to(&self, run_at: RunTime) -> Self {
        let log = self.log.iter().filter(|(_, footer)| footer.run_at <= run_at).cloned().collect();
        Self { full_load: None, log, last: self.last, inherited: Inherited::default() }
    }

    /// The footer of the newest state, that of the last change or else of the full load.
    pub fn newest(&self) -> Option<&Footer> {
        self.changes().last().map(|(_, footer)| footer).or(self.full_load.as_ref().map(|(footer, _)| footer))
    }

    /// The source's position that the base is at.
    pub fn position(&self) -> Option<&Position> {
        self.newest().and_then(|footer| footer.position.as_ref())
    }

    /// The schema that every file of the base fits into.
    pub fn schema(&self) -> Option<&TableSchema> {
        self.newest().map(|footer| &footer.schema)
    }

    /// Whether the full load is behind the log.
    pub fn needs_checkpoint(&self) -> bool {
        self.changes().next().is_some()
    }

    /// The tag of the full load.
    pub fn etag(&self) -> Option<&ETag> {
        self.full_load.as_ref().map(|(_, etag)| etag)
    }

    /// The tag of what the next checkpoint replaces, whoever wrote it.
    pub fn replaced(&self) -> Option<&ETag> {
        self.etag().or(self.inherited.full_load.as_ref().map(|(etag, _)| etag))
    }
}

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
        let mut files = Vec::new();
        for (key, _) in outline.changes() {
            let (payload, _) = fetch(store, key, workspace).await?.ok_or_else(|| vanished(key))?;
            files.push(BaseFile::Whole(ParquetFile::open(key, payload)?));
        }
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
        if place > at {
            selectors.push(RowSelector::skip(place - at));
        }
        selectors.push(RowSelector::select(1));
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
async fn full_load(
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

pub(crate) fn expect_table(footer: &Footer, table: &str, key: &str) -> Result<()> {
    if footer.table == table {
        return Ok(());
    }
    Err(Error::internal("ForeignObject", format!("`{key}` belongs to table `{}`, not `{table}`", footer.table))
        .hint("it was moved by hand: move it back"))
}

fn vanished(key: &str) -> Error {
    Error::conflict("ObjectVanished", format!("`{key}` was there a moment ago and is gone"))
        .hint("nothing of the lake is deleted by this program: check what else deletes from it")
}
