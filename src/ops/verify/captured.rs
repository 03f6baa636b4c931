//! Proof for captured changes, from the objects alone: the log is a chain of ranges without gap or overlap, its changes
//! rise from the first to the last, and there are as many as the footers say.

use std::path::Path;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{TableVerification, Verification};
use crate::error::{Error, Result};
use crate::lake::capture::{self, Captured, CapturedHead, CapturedTable, CapturedTables};
use crate::lake::fetch::fetch;
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout::Place;
use crate::lake::log::AT_ONCE;
use crate::lake::outline::BaseOutline;
use crate::lake::parquet::ParquetFile;
use crate::lake::state::Head;
use crate::lake::store::{ETag, ObjectStore, Payload};
use crate::position::{Lsn, Position};
use crate::source::sqlserver::columns::{AFTER, BEFORE, ChangeCounts, DELETE, INSERT, SEQ_LEN};
use crate::table::OP_COLUMN;
use crate::workspace::Workspace;

/// An object of so many changes is small.
const SMALL_ROWS: u64 = 10_000;

/// Verifies the tables whose states are in the lake, or those of `wanted`.
pub async fn verify_captured(
    store: &dyn ObjectStore,
    schema_in_path: bool,
    wanted: Option<&[String]>,
    temporary: &Path,
) -> Result<Verification> {
    let workspace = Workspace::create(temporary)?;
    let mut tables = Vec::new();
    let CapturedTables { tables: captured, unreadable } = capture::tables(store, schema_in_path, wanted).await?;
    for table in captured {
        let CapturedTable { place, head, captured } = table;
        let mut found = TableVerification { name: place.table().to_owned(), ..TableVerification::default() };
        if let Err(error) = examine(store, &workspace, &place, &head, &captured, &mut found).await {
            found.error = Some(error);
        }
        found.ok = found.problems.is_empty() && found.error.is_none();
        tables.push(found);
    }
    let unread = |(name, error)| TableVerification { name, error: Some(error), ..TableVerification::default() };
    tables.extend(unreadable.into_iter().map(unread));
    Ok(Verification { ok: tables.iter().all(|table| table.ok), tables })
}

async fn examine(
    store: &dyn ObjectStore,
    workspace: &Workspace,
    place: &Place,
    head: &Head,
    captured: &CapturedHead,
    found: &mut TableVerification,
) -> Result<()> {
    let outline = BaseOutline::read_log(store, place, None).await?;
    let mut chain = Chain::default();
    let ahead = |(key, footer): (String, Footer)| async move {
        let small = small(store, &key, &footer, workspace).await?;
        Ok::<_, Error>((key, footer, small))
    };
    let mut objects = stream::iter(outline.log).map(ahead).buffered(AT_ONCE);
    while let Some((key, footer, ahead)) = objects.try_next().await? {
        match footer.kind {
            FileKind::Tombstone => found.tombstones += 1,
            FileKind::Cdc | FileKind::FullLoad => {
                found.changes += 1;
                chain.link(&key, &footer, &mut found.problems)?;
                found.events += footer.inserted + footer.updated + footer.deleted;
                let object = match ahead {
                    Some(object) => Some(object),
                    None => fetch(store, &key, workspace).await?,
                };
                let Some((payload, _)) = object else { continue };
                rows(&ParquetFile::open(&key, payload)?, &mut chain, &mut found.problems)?;
            }
        }
    }
    chain.end(head, captured, found);
    found.rows = load(store, place, head, captured, found).await?;
    Ok(())
}

/// A small object of the log with changes, to be fetched together with others; `None` for one that is fetched when it is its
/// turn, so that the work folder holds one large object at a time.
async fn small(
    store: &dyn ObjectStore,
    key: &str,
    footer: &Footer,
    workspace: &Workspace,
) -> Result<Option<(Payload, ETag)>> {
    let rows = footer.inserted + footer.updated + footer.deleted;
    if footer.kind == FileKind::Tombstone || rows > SMALL_ROWS { Ok(None) } else { fetch(store, key, workspace).await }
}

/// The end of the chain so far.
#[derive(Default)]
struct Chain {
    end: Option<Lsn>,
    seq: Option<String>,
}

impl Chain {
    /// Holds an object's range against the end of those before it.
    fn link(&mut self, key: &str, footer: &Footer, problems: &mut Vec<String>) -> Result<()> {
        let (captured, end) = range(key, footer)?;
        match self.end {
            Some(known) if known < captured.after => {
                problems.push(format!(
                    "`{key}` begins after {}, but the object before it ends at {known}: a gap",
                    captured.after
                ));
            }
            Some(known) if known > captured.after => {
                problems.push(format!(
                    "`{key}` begins after {}, but the object before it ends at {known}: an overlap",
                    captured.after
                ));
            }
            _ => {}
        }
        self.end = Some(end);
        Ok(())
    }

    fn end(&self, head: &Head, captured: &CapturedHead, found: &mut TableVerification) {
        let position = head.position.as_ref().and_then(Position::lsn).unwrap_or(Lsn::ZERO);
        let end = self.end.unwrap_or(captured.published);
        if position < end {
            found
                .notes
                .push(format!("the log is ahead of the state, which stands at {position}; the next run completes it"));
        } else if captured.published != end {
            found
                .problems
                .push(format!("the state names {} as the end of the log, which ends at {end}", captured.published));
        }
    }
}

fn range<'f>(key: &str, footer: &'f Footer) -> Result<(&'f Captured, Lsn)> {
    let captured = footer.captured.as_ref();
    let end = footer.position.as_ref().and_then(Position::lsn);
    captured.zip(end).ok_or_else(|| {
        Error::internal("ForeignObject", format!("`{key}` does not say which range of a log it holds"))
            .hint("it was written by another job: move it away")
    })
}

/// Holds the rows of an object against its footer and the rows before it.
fn rows(file: &ParquetFile, chain: &mut Chain, problems: &mut Vec<String>) -> Result<()> {
    let (key, footer) = (file.key(), file.footer());
    let (captured, end) = range(key, footer)?;
    let mut counts = ChangeCounts::default();
    let mut unordered = 0_u64;
    let mut outside = 0_u64;
    for batch in file.batches(None)? {
        let batch = batch?;
        for (seq, operation) in seqs(&batch).ok_or_else(|| damaged(key))? {
            counts.count(operation);
            // Native columns cannot tell changes apart whose order is not fully known.
            let may_equal = captured.order != "command" && seq.len() < SEQ_LEN;
            let in_order = chain.seq.as_ref().is_none_or(|last| seq > *last || may_equal && seq == *last);
            unordered += u64::from(!in_order);
            let commit = seq.get(..2 * Lsn::LEN).unwrap_or_default();
            outside += u64::from(commit <= captured.after.digits().as_str() || commit > end.digits().as_str());
            chain.seq = Some(seq);
        }
    }
    let said = ChangeCounts {
        inserted: footer.inserted,
        updated: footer.updated,
        deleted: footer.deleted,
        before_images: captured.before_images,
    };
    if counts != said {
        problems.push(format!("`{key}` does not hold the changes that its footer counts"));
    }
    for (count, what) in [(unordered, "not after the change before them"), (outside, "outside the range of the object")]
    {
        if count > 0 {
            problems.push(format!("`{key}`: {count} change(s) are {what}"));
        }
    }
    Ok(())
}

/// The order and the operation of each change, in whichever columns they are written; `None` where they are not.
fn seqs(batch: &RecordBatch) -> Option<Vec<(String, u8)>> {
    if batch.column_by_name(OP_COLUMN).is_some_and(|_| batch.column_by_name("_seq").is_some()) {
        let (seqs, operations) = (column(batch, "_seq")?.as_string_opt::<i32>()?, integers(batch, "_operation")?);
        let pairs = (0..batch.num_rows()).map(|row| (seqs.value(row).to_owned(), operations[row]));
        return Some(pairs.collect());
    }
    let [start, sequence] = ["__$start_lsn", "__$seqval"].map(|name| column(batch, name));
    let (start, sequence) = (start?.as_binary_opt::<i32>()?, sequence?.as_binary_opt::<i32>()?);
    let operations = integers(batch, "__$operation")?;
    let command = column(batch, "__$command_id")?.as_primitive_opt::<Int32Type>()?;
    let seq = |row: usize| {
        let command = if command.is_valid(row) { command.value(row) } else { 0 };
        let [start, sequence] =
            [start, sequence].map(|column| Lsn::from_slice(column.value(row)).unwrap_or(Lsn::ZERO).digits());
        format!("{start}{command:08X}{sequence}{:02X}", operations[row])
    };
    Some((0..batch.num_rows()).map(|row| (seq(row), operations[row])).collect())
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b ArrayRef> {
    batch.column_by_name(name).filter(|column| name == "__$command_id" || column.null_count() == 0)
}

fn integers(batch: &RecordBatch, name: &str) -> Option<Vec<u8>> {
    let values = column(batch, name)?.as_primitive_opt::<Int32Type>()?;
    let known = |&value: &i32| u8::try_from(value).ok().filter(|code| [INSERT, DELETE, BEFORE, AFTER].contains(code));
    values.values().iter().map(known).collect()
}

fn damaged(key: &str) -> Error {
    Error::internal("EditedObject", format!("`{key}` lacks the columns that describe changes"))
        .hint("it was changed by hand: restore its previous version")
}

/// Holds the parts of the first load against each other and the state; the rows in all.
async fn load(
    store: &dyn ObjectStore,
    place: &Place,
    head: &Head,
    captured: &CapturedHead,
    found: &mut TableVerification,
) -> Result<u64> {
    let mut rows = 0;
    let mut last: Option<Option<String>> = None;
    for (number, (key, footer)) in (1..).zip(capture::load_parts(store, place).await?) {
        let Some(part) = footer.captured.as_ref().and_then(|captured| captured.load.as_ref()) else {
            return Err(Error::internal("ForeignObject", format!("`{key}` is not a part of a first load")));
        };
        rows += footer.rows;
        let follows = last.as_ref().map_or(part.from.is_none(), |last| *last == part.from);
        if part.number != number || !follows || part.rows_so_far != rows {
            found.problems.push(format!("`{key}` does not go on where the part before it ends"));
        }
        last = Some(part.last.clone());
    }
    if captured.load.is_none() && head.rows != rows {
        found.problems.push(format!("the first load has {rows} rows, and the state says {}", head.rows));
    }
    if captured.load.is_some() {
        found.notes.push("the first load is not complete; the next run goes on with it".to_owned());
    }
    Ok(rows)
}
