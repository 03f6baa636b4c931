//! An object that is uploaded while it is still being written.
//!
//! An upload begins when the file is known to be longer than one part; a shorter one is for a single PUT. Parts are read from
//! the file as they are sent, so that nothing of them stays in memory. The order to complete is answered once: S3 does not
//! promise that an upload whose completion was refused, or answered with 409, can be completed later, so that it is aborted,
//! and whoever tries again stores the file anew.

use std::ops::Range;

use aws_sdk_s3::types::CompletedPart;
use futures_util::future::{Either, select};
use futures_util::{TryStreamExt, stream};
use tokio::sync::oneshot;

use super::S3Store;
use super::upload::{MAX_PARTS, Upload};
use crate::error::{Error, Result};
use crate::lake::store::ahead::{GrowingFile, Order, Task};
use crate::lake::store::key::check_key;
use crate::lake::store::{Payload, Put};

/// The code of the error for a file that its writer gave up.
const UNFINISHED: &str = "FileUnfinished";

/// Uploads the parts of the task's file as they come, and completes the upload when told to; aborts it if that never happens.
pub(super) async fn upload_ahead(store: S3Store, task: Task) {
    let Task { key, mut file, order, abandoned } = task;
    if check_key(&key).is_err() || !is_longer(&mut file, store.options.part_size).await {
        return;
    }
    let full = store.full(&key);
    let upload = match store.begin_upload(&full).await {
        Ok(upload) => upload,
        Err(error) => return told(&key, &error),
    };
    let outcome = match select(Box::pin(upload.follow(file, order)), abandoned).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => None,
    };
    if !matches!(outcome, Some((_, Ok(Put::Written(_))))) {
        upload.abort().await;
    }
    if let Some((answer, outcome)) = outcome {
        // Nobody waits any more where the run's time is up.
        let _ = answer.send(outcome);
    }
}

async fn is_longer(file: &mut GrowingFile, len: u64) -> bool {
    file.reaches(len.saturating_add(1)).await.is_some_and(|extent| extent.len > len)
}

/// Nothing is lost: the file is stored when it is complete, and that fails with an error where this was no accident.
fn told(key: &str, error: &Error) {
    if error.code() == UNFINISHED {
        return;
    }
    tracing::warn!(key, error = %error.chain(), "an upload ahead of its completion failed; the file is uploaded again when it is complete");
}

/// The outcome of an order, and where it is waited for.
type Outcome = (oneshot::Sender<Result<Put>>, Result<Put>);

impl Upload {
    /// Sends the parts of `file`, waits for the order, and completes. `None` if the parts could not be sent.
    async fn follow(&self, file: GrowingFile, order: oneshot::Receiver<Order>) -> Option<Outcome> {
        let (parts, len) = match self.send_growing(file).await {
            Ok(sent) => sent,
            Err(error) => {
                told(&self.key, &error);
                return None;
            }
        };
        let Order { condition, answer } = order.await.ok()?;
        Some((answer, self.complete(parts, len, &condition).await))
    }

    /// Sends all parts of a file, each as soon as it is written, and gives them with the length of the whole in bytes.
    async fn send_growing(&self, file: GrowingFile) -> Result<(Vec<CompletedPart>, u64)> {
        let payload = Payload::File { path: file.path.clone(), len: u64::MAX };
        let size = self.store.options.part_size.max(1);
        let ranges = stream::try_unfold((file, 0), |(mut file, sent)| async move {
            let range = next_part(&mut file, sent, size).await?;
            Ok(range.map(|range| (range.clone(), (file, range.end))))
        });
        let sending = ranges.map_ok(|range: Range<u64>| {
            let (number, end) = (range.start / size + 1, range.end);
            let (upload, payload) = (self.clone(), payload.clone());
            async move {
                let number = i32::try_from(number).ok().filter(|_| number <= MAX_PARTS).ok_or_else(too_many)?;
                Ok((upload.send_part(&payload, number, range).await?, end))
            }
        });
        let at_once = self.store.options.concurrent_parts.max(1);
        let parts: Vec<_> = sending.try_buffered(at_once).try_collect().await?;
        let len = parts.last().map_or(0, |(_, end)| *end);
        Ok((parts.into_iter().map(|(part, _)| part).collect(), len))
    }
}

/// The part after `sent` bytes, when it is written; `None` after the last one.
async fn next_part(file: &mut GrowingFile, sent: u64, size: u64) -> Result<Option<Range<u64>>> {
    let extent = file.reaches(sent.saturating_add(size)).await.ok_or_else(unfinished)?;
    let end = extent.len.min(sent.saturating_add(size));
    Ok((end > sent).then_some(sent..end))
}

fn unfinished() -> Error {
    Error::internal(UNFINISHED, "a file was given up while it was being uploaded")
}

fn too_many() -> Error {
    Error::internal("TooManyParts", format!("a file has more than {MAX_PARTS} parts of the configured length"))
}
