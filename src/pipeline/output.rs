//! The two files of a table under construction, each encoded on a thread of its own, and the fingerprints of the changes
//! as they were written.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::SchemaRef;

use crate::ahead::no_thread;
use crate::diff::{Operation, PrintPlan, SetHash, Verdict};
use crate::error::{Error, Result};
use crate::lake::base::take;
use crate::lake::footer::Footer;
use crate::lake::parquet::ParquetWriter;
use crate::lake::store::Payload;
use crate::lake::with_op;
use crate::table::{Rows, TableSchema, widen};
use crate::workspace::Workspace;

/// Batches that may wait for an encoder.
const WAITING: usize = 4;

/// The full load and, once there is a change, the CDC file.
pub(super) struct Output {
    workspace: Workspace,
    full_load: Encoder,
    cdc: Option<Encoder>,
    written: Written,
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
    /// Begins the full load of a table with this schema.
    pub(super) fn create(workspace: &Workspace, schema: &TableSchema) -> Result<Self> {
        let full_load = Encoder::start(workspace.new_file("full-load.parquet"), schema.arrow())?;
        Ok(Self { workspace: workspace.clone(), full_load, cdc: None, written: Written::default() })
    }

    /// Writes rows of the new snapshot where their verdicts say.
    pub(super) fn write(&mut self, rows: &Rows, verdicts: &[Verdict], plan: &PrintPlan) -> Result<()> {
        let pick = |wanted: &dyn Fn(Verdict) -> bool| -> UInt32Array {
            let rows = (0..).zip(verdicts).filter(|(_, verdict)| wanted(**verdict));
            rows.map(|(row, _)| row).collect::<Vec<u32>>().into()
        };
        if verdicts.contains(&Verdict::Dropped) {
            self.full_load.write(take(&rows.batch, &pick(&|verdict| verdict != Verdict::Dropped))?)?;
        } else {
            self.full_load.write(rows.batch.clone())?;
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
            none => none.insert(Encoder::start(self.workspace.new_file("cdc.parquet"), schema)?),
        };
        encoder.write(batch)
    }

    /// What the proof is made from.
    pub(super) fn written(&self) -> Written {
        self.written
    }

    /// Ends both files with their footers: the full load, and the CDC file if there were changes.
    pub(super) fn finish(self, full_load: &Footer, cdc: &Footer) -> Result<(Payload, Option<Payload>)> {
        let changes = self.cdc.map(|encoder| encoder.finish(cdc)).transpose()?;
        Ok((self.full_load.finish(full_load)?, changes))
    }
}

/// A Parquet file under construction on a thread of its own.
pub(super) struct Encoder {
    batches: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<ParquetWriter>>>,
}

impl Encoder {
    pub(super) fn start(path: PathBuf, schema: SchemaRef) -> Result<Self> {
        let mut writer = ParquetWriter::create(path, schema)?;
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
        self.join()?.finish(footer)
    }
}
