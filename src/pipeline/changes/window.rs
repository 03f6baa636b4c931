//! One window: the changes of a closed range of commits, into one file.
//!
//! A window may end early, but only between two transactions: when the file is large enough, or when the run's time would
//! not suffice to store more.

use std::ops::ControlFlow;
use std::time::Duration;

use super::{Shared, ask};
use crate::error::{Error, Result};
use crate::lake::footer::Footer;
use crate::lake::parquet::Encoding;
use crate::lake::store::Payload;
use crate::pipeline::output::Encoder;
use crate::position::Lsn;
use crate::request::Deadline;
use crate::source::sqlserver::columns::{BEFORE, ChangeCounts, Describer, Seq};
use crate::source::sqlserver::{CaptureInstance, ChangeBatch, Images, LsnRange};
use crate::workspace::Workspace;

/// The time that storing a file may take at the least: some answers of the store, each in good time.
const STORE_TIME: Duration = Duration::from_millis(500);

/// How fast a file is expected to be stored beyond that, in bytes per second.
const UPLOAD_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;

/// How large a file becomes before the next transaction goes into another one. Bytes are those in memory, which Parquet
/// makes several times fewer.
const ENOUGH_ROWS: u64 = 2_000_000;
const ENOUGH_BYTES: u64 = 1024 * 1024 * 1024;

/// The time between the end of a read and the start of the storing at the least: some answers of the database.
const END_TIME: Duration = Duration::from_millis(250);

/// How much longer it takes to end a file of many rows: what is still to be encoded, of this many bytes at the most, at this
/// many bytes per second.
const ENCODED_LAST_BYTES: u64 = 128 * 1024 * 1024;
const ENCODED_BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;

/// The time that a window takes at the least, one with a change in it.
pub(super) const LEAST_TIME: Duration = STORE_TIME.saturating_add(END_TIME);

/// How long storing a file may take whose rows had so many bytes in memory.
pub(super) fn store_time(bytes: u64) -> Duration {
    STORE_TIME + Duration::from_millis(bytes / 2 * 1000 / UPLOAD_BYTES_PER_SECOND)
}

/// How long it may take to end the reading of such a file.
fn end_time(bytes: u64) -> Duration {
    END_TIME + Duration::from_millis(bytes.min(ENCODED_LAST_BYTES) * 1000 / ENCODED_BYTES_PER_SECOND)
}

/// Whether a file of so many rows and bytes has to end.
pub(super) fn is_enough(rows: u64, bytes: u64, deadline: Deadline) -> bool {
    rows >= ENOUGH_ROWS || bytes >= ENOUGH_BYTES || is_late(bytes, deadline)
}

/// Whether the run's time would not suffice to store more than these bytes.
pub(super) fn is_late(bytes: u64, deadline: Deadline) -> bool {
    !deadline.allows(store_time(bytes) + end_time(bytes))
}

/// What is to be read.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) instance: &'a CaptureInstance,
    pub(super) range: LsnRange,
    pub(super) images: Images,
    /// Whether it must be read to its end: another attempt has named that already.
    pub(super) whole: bool,
    pub(super) overlap_until: Option<chrono::DateTime<chrono::Utc>>,
}

/// What was read, and up to where.
pub(super) struct WindowRead {
    /// The last commit examined.
    pub(super) to: Lsn,
    pub(super) counts: ChangeCounts,
    pub(super) first: Option<Seq>,
    pub(super) last: Option<Seq>,
    pub(super) bytes: u64,
    encoder: Option<Encoder>,
}

impl WindowRead {
    /// The file, which has rows.
    pub(super) fn finish(self, footer: &Footer) -> Result<Payload> {
        let encoder = self.encoder.ok_or_else(|| Error::internal("NoRows", "a window without changes has no file"))?;
        encoder.finish(footer)
    }
}

/// Reads a window, again from its beginning where a fault may have passed.
pub(super) async fn read(shared: &Shared<'_>, window: Window<'_>) -> Result<WindowRead> {
    ask(shared.run, || attempt(shared, window)).await
}

async fn attempt(shared: &Shared<'_>, window: Window<'_>) -> Result<WindowRead> {
    let Window { instance, range, images, whole, overlap_until } = window;
    let metadata = shared.sqlserver.feed.metadata_columns;
    let mut sink = Sink {
        describer: Describer::new(instance, metadata, shared.database.mask_order, overlap_until, range)?,
        images,
        encoder: None,
        workspace: &shared.run.workspace,
        bytes: 0,
        deadline: (!whole).then_some(shared.run.request.deadline),
        cut: None,
    };
    let count = shared.run.progress.rows(&format!("{}.{}", instance.schema, instance.table));
    let mut take = |batch: ChangeBatch| {
        count(batch.len() as u64);
        sink.take(&batch)
    };
    shared.server().changes(instance, range, images, &mut take).await?;
    Ok(WindowRead {
        to: sink.cut.unwrap_or(range.to),
        counts: sink.describer.counts(),
        first: sink.describer.first(),
        last: sink.describer.last(),
        bytes: sink.bytes,
        encoder: sink.encoder,
    })
}

struct Sink<'a> {
    describer: Describer,
    images: Images,
    encoder: Option<Encoder>,
    workspace: &'a Workspace,
    bytes: u64,
    /// `None` where the window has to be read to its end.
    deadline: Option<Deadline>,
    cut: Option<Lsn>,
}

impl Sink<'_> {
    fn take(&mut self, batch: &ChangeBatch) -> Result<ControlFlow<()>> {
        if let Some(end) = self.end_within(batch) {
            self.write(&batch.head(end))?;
            self.cut = self.describer.last().map(|last| last.commit());
            return Ok(ControlFlow::Break(()));
        }
        self.write(batch)?;
        Ok(ControlFlow::Continue(()))
    }

    /// After how many changes of this batch the file ends; `None` where it goes on.
    fn end_within(&self, batch: &ChangeBatch) -> Option<usize> {
        let last = self.describer.last()?.commit();
        let deadline = self.deadline?;
        if !is_enough(self.describer.counts().rows(), self.bytes, deadline) {
            return None;
        }
        (0..batch.len()).find(|&row| batch.start_lsn.value(row) != last.as_bytes())
    }

    fn write(&mut self, batch: &ChangeBatch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.images == Images::After && batch.operation.values().contains(&BEFORE) {
            return Err(Error::internal("UnwantedImages", "the server gave before images that were not asked for"));
        }
        let rows = self.describer.describe(batch)?;
        self.bytes += rows.get_array_memory_size() as u64;
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let path = self.workspace.new_file("changes.parquet");
                none.insert(Encoder::start(path, self.describer.schema(), Encoding::Table)?)
            }
        };
        encoder.write(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_kept_back_by_what_is_to_be_stored() {
        let kept_back = |bytes| store_time(bytes) + end_time(bytes);
        assert_eq!(kept_back(0), LEAST_TIME);
        assert!(kept_back(1024 * 1024) < Duration::from_secs(1));
        assert_eq!(kept_back(ENOUGH_BYTES), Duration::from_secs(128 + 2) + LEAST_TIME);
        assert!(!is_late(0, Deadline::NONE) && is_late(0, Deadline::within(Duration::from_millis(700))));
        assert!(is_late(64 << 20, Deadline::within(Duration::from_secs(5))));
    }
}
