//! The two files of a table under construction, each encoded on a thread of its own, and the fingerprints of the changes
//! as they were written.

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
use crate::lake::layout::{self, RunTime};
use crate::lake::parquet::{Encoding, ParquetWriter};
use crate::lake::store::{Payload, Stages};
use crate::lake::with_op;
use crate::table::{ColumnType, Rows, TableName, TableSchema, widen};
use crate::workspace::{WorkFile, Workspace};

/// Batches that may wait for an encoder.
const WAITING: usize = 4;

/// Where the files of a table are written, and where they go.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) table: TableName,
    /// The time of the run, which names the CDC object.
    pub(super) run_at: RunTime,
    pub(super) workspace: Workspace,
    /// Brings the files on their way to the store while they are being written, from the first change on.
    pub(super) stages: Stages,
}

impl Destination {
    /// Begins a file that is to become the object `key`.
    fn file(&self, name: &str, key: &str, schema: SchemaRef, encoding: Encoding) -> ParquetWriter {
        let path = self.workspace.new_file(name);
        let staged = self.stages.begin(key, &path);
        ParquetWriter::create(path, schema, encoding).followed_by(staged)
    }

    fn full_load(&self, schema: &TableSchema) -> Result<Encoder> {
        let key = layout::full_load(&self.table);
        Encoder::of(self.file("full-load.parquet", &key, schema.arrow(), Encoding::Table))
    }

    fn fingerprints(&self, schema: &SchemaRef) -> Result<Encoder> {
        let key = layout::fingerprints(&self.table);
        Encoder::of(self.file("fingerprints.parquet", &key, SchemaRef::clone(schema), Encoding::Plain))
    }

    fn cdc(&self, schema: SchemaRef) -> Result<Encoder> {
        let key = layout::cdc(&self.table, self.run_at);
        Encoder::of(self.file("cdc.parquet", &key, schema, Encoding::Table))
    }
}

/// The full load and, once there is a change, the CDC file.
pub(super) struct Output {
    destination: Destination,
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
    pub(super) fn create(destination: Destination, schema: &TableSchema, order: Option<ColumnType>) -> Result<Self> {
        let full_load = destination.full_load(schema)?;
        let plain = fingerprints::schema(order);
        let encoder = destination.fingerprints(&plain)?;
        let fingerprints = Fingerprints { schema: plain, encoder, orders: SetHash::default() };
        Ok(Self { destination, full_load, fingerprints, cdc: None, written: Written::default() })
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
        if verdicts.contains(&Verdict::Silent) {
            self.destination.stages.go();
        }
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

    /// Writes rows of the old snapshot as deleted; `plan` is that of `older`, their own schema.
    pub(super) fn write_deleted(
        &mut self,
        batch: &RecordBatch,
        older: &TableSchema,
        schema: &TableSchema,
        plan: &PrintPlan,
    ) -> Result<()> {
        let prints = plan.prints(batch)?;
        prints.keys.iter().zip(&prints.contents).for_each(|(&key, &content)| self.written.absent.add(key, content));
        self.written.deleted += prints.len() as u64;
        self.write_changes(&widen(batch, older, schema)?, std::iter::repeat_n(Operation::Delete, batch.num_rows()))
    }

    fn write_changes(&mut self, batch: &RecordBatch, operations: impl Iterator<Item = Operation>) -> Result<()> {
        let letters = StringArray::from_iter_values(operations.map(Operation::letter));
        let schema = with_op(&batch.schema());
        let columns = batch.columns().iter().cloned().chain([Arc::new(letters) as ArrayRef]).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(|error| Error::internal("BadBatch", "columns of one batch do not match").caused_by(error))?;
        let encoder = match &mut self.cdc {
            Some(encoder) => encoder,
            none => {
                self.destination.stages.go();
                none.insert(self.destination.cdc(schema)?)
            }
        };
        encoder.write(batch)
    }

    /// What the proof is made from.
    pub(super) fn written(&self) -> Written {
        self.written
    }

    /// The full load, which has all of its rows: only the deleted ones are still to be written.
    pub(super) fn take_full_load(&mut self) -> Encoder {
        std::mem::take(&mut self.full_load)
    }

    /// Ends the CDC file with its footer, if there were changes. The fingerprints still lack theirs: what the full load's
    /// tag is shows when it is stored.
    pub(super) fn finish(self, cdc: &Footer) -> Result<(Option<Payload>, UnboundFingerprints)> {
        let cdc = self.cdc.map(|encoder| encoder.finish(cdc)).transpose()?;
        let Fingerprints { mut encoder, orders, .. } = self.fingerprints;
        Ok((cdc, UnboundFingerprints { file: encoder.join()?, orders }))
    }
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
#[derive(Default)]
pub(super) struct Encoder {
    batches: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<ParquetWriter>>>,
}

impl Encoder {
    pub(super) fn start(path: WorkFile, schema: SchemaRef, encoding: Encoding) -> Result<Self> {
        Self::of(ParquetWriter::create(path, schema, encoding))
    }

    fn of(mut writer: ParquetWriter) -> Result<Self> {
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

    /// Ends the file with its footer.
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
