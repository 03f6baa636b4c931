//! Uploads in parts that killed runs have left: no object, but stored, and paid for.

use super::layout::Place;
use super::store::ObjectStore;
use crate::error::Result;

/// Aborts the uploads of the table's objects that were started no later than its object `newest` was written, both by the
/// store's clock. To be called by the run that has written that object, and after its commit; how many there were.
///
/// None of them can become an object that counts. Who started one had read the state before that commit:
///
/// - a run that has not claimed the table will not be able to, because the state has changed since it was read;
/// - a run whose claim was taken over finds its key occupied, and a full load that is newer than its own;
/// - a twin, and a run that had published before it was overtaken, find their work done.
///
/// A run that is still at work on such an upload gets `UploadAborted`, and settles that like any unclear answer. So a clock
/// of the store that errs costs such a run a second upload, and nothing else.
pub(crate) async fn abort_superseded(store: &dyn ObjectStore, place: &Place, newest: &str) -> Result<usize> {
    let Some(written) = store.written_at(newest).await? else { return Ok(0) };
    let mut aborted = 0;
    for leftover in store.leftovers().await? {
        let is_superseded = leftover.since.is_some_and(|since| since <= written) && place.holds(&leftover.key);
        if is_superseded {
            store.abort(&leftover).await?;
            aborted += 1;
            tracing::info!(table = place.table(), key = leftover.key, "aborted the upload of a run that was killed");
        }
    }
    Ok(aborted)
}
