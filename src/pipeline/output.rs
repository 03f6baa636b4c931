//! The two files of a table under construction, each encoded on a thread of its own, and the fingerprints of the changes
//! as they were written.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::SchemaRef;

use crate::ahead::no_thread;
use crate::diff::{Operation, PrintPlan, Prints, SetHash, Verdict};
use crate::error::{Error, Result};
use crate::lake::base::take;
use crate::lake::fingerprints::{self, Origin};
use crate::lake::footer::Footer;
use crate::lake::parquet::{Encoding, ParquetWriter};
use crate::lake::store::Payload;
use crate::lake::with_op;
use crate::table::{ColumnType, Rows, TableSchema, widen};
use crate::workspace::Workspace;

/// Batches that may wait for an encoder.
const WAITING: usize = 4;

/// The full load and, once there is a change, the CDC file.
pub(super) struct Output {
    workspace: Workspace,
    full_load: Encoder,
    fingerprints: Fingerprints,
    cdc: Option<Encoder>,
    written: Written,
}

/// The file of the full load's fingerprints, for the next run.
struct Fingerprints {
    schema: SchemaRef,
    encoder: Encoder,
    orders: SetHash,
}

/// The fingerprints of the changes as they were written.
#[derive(Clone, Copy, Default)]
pub(super) struct Written {
    /// Of the inserted and updated rows.
    pub(super) present: SetHash,
    /// Of the deleted rows.
    pub(super) absent: SetHash,
    /// How many deleted rows there are.
    pub(super) deleted: u64,
}

impl Output {
    /// Begins the full load of a table with this schema, whose date field is compared in the type `order`.
    pub(super) fn create(workspace: &Workspace, schema: &TableSchema, order: Option<ColumnType>) -> Result<Self> {
        let full_load = Encoder::start(workspace.new_file("full-load.parquet"), schema.arrow(), Encoding::Table)?;
        let plain = fingerprints::schema(order);
        let path = workspace.new_file("fingerprints.parquet");
        let encoder = Encoder::start(path, SchemaRef::clone(&plain), Encoding::Plain)?;
        let fingerprints = Fingerprints { schema: plain, encoder, orders: SetHash::default() };
        Ok(Self { workspace: workspace.clone(), full_load, fingerprints, cdc: None, written: Written::default() })
    }

    /// Writes rows of the new snapshot where their verdicts say; `prints` are theirs, by `plan`.
    pub(super) fn write(&mut self, rows: &Rows, verdicts: &[Verdict], prints: &Prints, plan: &PrintPlan) -> Result<()> {
        let pick = |wanted: &dyn Fn(Verdict) -> bool| -> UInt32Array {
            let rows = (0..).zip(verdicts).filter(|(_, verdict)| wanted(**verdict));
            rows.map(|(row, _)| row).collect::<Vec<u32>>().into()
        };
        let kept = verdicts.contains(&Verdict::Dropped).then(|| pick(&|verdict| verdict != Verdict::Dropped));
        self.full_load.write(match &kept {
            Some(kept) => take(&rows.batch, kept)?,
            None => rows.batch.clone(),
        })?;
        let fingerprints = &mut self.fingerprints;
        let (batch, orders) = fingerprints::batch(&fingerprints.schema, prints, kept.as_ref())?;
        fingerprints.orders.add_all(orders);
        fingerprints.encoder.write(batch)?;
        let changed = pick(&|verdict| matches!(verdict, Verdict::Insert | Verdict::Update));
        if changed.is_empty() {
            return Ok(());
        }
        let batch = take(&rows.batch, &changed)?;
        let prints = plan.prints(&batch)?;
        prints.keys.iter().zip(&prints.contents).for_each(|(&key, &content)| self.written.present.add(key, content));
        let operation = |row: &u32| match verdicts[*row as usize] {
            Verdict::Insert => Operation::Insert,
            _ => Operation::Update,
        };
        self.write_changes(&batch, changed.values().iter().map(operation))
    }

    /// Writes rows of the old snapshot as deleted; `plan` is that of their own schema.
    pub(super) fn write_deleted(&mut self, batch: &RecordBatch, schema: &TableSchema, plan: &PrintPlan) -> Result<()> {
        let prints = plan.prints(batch)?;
        prints.keys.iter().zip(&prints.contents).for_each(|(&key, &content)| self.written.absent.add(key, content));
        self.written.deleted += prints.len() as u64;
        self.write_changes(&widen(batch, schema)?, std::iter::repeat_n(Operation::Delete, batch.num_rows()))
    }

    fn write_changes(&mut self, batch: &RecordBatch, operations: impl Iterator<Item = Operation>) -> Result<()> {
        let letters = StringArray::from_iter_values(operations.map(Operation::letter));
        let schema = with_op(&batch.schema());
        let columns = batch.columns().iter().cloned().chain([Arc::new(letters) as ArrayRef]).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|error| Error::internal("BadBatch", "columns of one batch do not match").caused_by(error))?;
        let encoder = match &mut self.cdc {
            Some(encoder) => encoder,
            none => none.insert(Encoder::start(self.workspace.new_file("cdc.parquet"), schema, Encoding::Table)?),
        };
        encoder.write(batch)
    }

    /// What the proof is made from.
    pub(super) fn written(&self) -> Written {
        self.written
    }

    /// Ends the files with their footers: the full load, and the CDC file if there were changes. The fingerprints still
    /// lack theirs: what the full load's tag is shows when it is stored.
    pub(super) fn finish(self, full_load: &Footer, cdc: &Footer) -> Result<Finished> {
        let cdc = self.cdc.map(|encoder| encoder.finish(cdc)).transpose()?;
        let full_load = self.full_load.finish(full_load)?;
        let Fingerprints { mut encoder, orders, .. } = self.fingerprints;
        Ok(Finished { full_load, cdc, fingerprints: UnboundFingerprints { file: encoder.join()?, orders } })
    }
}

/// The files of a table, complete.
pub(super) struct Finished {
    pub(super) full_load: Payload,
    pub(super) cdc: Option<Payload>,
    pub(super) fingerprints: UnboundFingerprints,
}

/// The file of the fingerprints, which lacks only what they belong to.
pub(super) struct UnboundFingerprints {
    file: ParquetWriter,
    orders: SetHash,
}

impl UnboundFingerprints {
    /// How many rows they are of.
    pub(super) fn rows(&self) -> u64 {
        self.file.rows()
    }

    /// The complete file.
    pub(super) fn bind(self, origin: &Origin) -> Result<Payload> {
        self.file.finish(origin.to_metadata(self.orders))
    }
}

/// A Parquet file under construction on a thread of its own.
pub(super) struct Encoder {
    batches: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<ParquetWriter>>>,
}

impl Encoder {
    pub(super) fn start(path: PathBuf, schema: SchemaRef, encoding: Encoding) -> Result<Self> {
        let mut writer = ParquetWriter::create(path, schema, encoding);
        let (batches, received) = sync_channel::<RecordBatch>(WAITING);
        let encode = move || {
            received.iter().try_for_each(|batch| writer.write(&batch))?;
            Ok(writer)
        };
        let thread = thread::Builder::new().name("encode".to_owned()).spawn(encode).map_err(no_thread)?;
        Ok(Self { batches: Some(batches), thread: Some(thread) })
    }

    /// Hands rows over; the error is that of the thread, should it have stopped.
    pub(super) fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok()) {
            return Ok(());
        }
        self.join().map(drop)?;
        Err(Error::internal("EncoderStopped", "a Parquet file could not be written"))
    }

    fn join(&mut self) -> Result<ParquetWriter> {
        self.batches = None;
        let ended = self.thread.take().map(JoinHandle::join);
        ended
            .and_then(Result::ok)
            .ok_or_else(|| Error::internal("Panic", "encoding ended in a panic; nothing was published"))?
    }

    pub(super) fn finish(mut self, footer: &Footer) -> Result<Payload> {
        self.join()?.finish(footer.to_metadata())
    }
}

/// Waits for the thread, so that nothing is written to the work folder any more when that is removed.
impl Drop for Encoder {
    fn drop(&mut self) {
        let _abandoned = self.join();
    }
}
