//! What runs leave of their uploads, taken back. Nothing depends on it.

use std::time::Duration;

use super::Run;
use crate::lake::layout::{self, Place};
use crate::lake::store::Underway;
use crate::lake::uploads::abort_superseded;
use crate::table::TableSpec;

/// Taking back what was not stored may take so long, at the most: nothing depends on it.
const SETTLE_TIME: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Waits until nothing is left of what was brought to the store and not stored: uploads, temporary files.
    pub(super) async fn settle(&self, spec: &TableSpec, underway: Underway) {
        let ended = async {
            underway.ended().await;
            Ok(())
        };
        if self.late(SETTLE_TIME).bound(ended).await.is_err() {
            tracing::warn!(table = %spec.name, "parts of an upload may stay in the lake until a lifecycle rule removes them");
        }
    }

    /// Aborts what the owner of a fenced claim has left of its uploads: it cannot publish any more. Nothing depends on it, and
    /// the right to list uploads may be missing.
    pub(super) async fn abort_uploads(&self, spec: &TableSpec, cdc_key: &str) {
        let keys = [cdc_key.to_owned(), layout::full_load(&spec.name), layout::fingerprints(&spec.name)];
        let aborted = async {
            for leftover in self.store.leftovers().await?.iter().filter(|leftover| keys.contains(&leftover.key)) {
                self.store.abort(leftover).await?;
                tracing::info!(table = %spec.name, key = leftover.key, "aborted the upload of a run that stopped");
            }
            Ok(())
        };
        if let Err(error) = self.late(SETTLE_TIME).bound(aborted).await {
            tracing::debug!(table = %spec.name, error = %error.chain(), "uploads of a run that stopped may be left");
        }
    }

    /// Aborts what earlier runs of the table have left of their uploads, after this one has committed the object `newest` (see
    /// [`abort_superseded`]). A run that stored nothing in parts does not look for any.
    pub(super) async fn abort_superseded(&self, place: &Place, newest: &str) {
        let aborted = abort_superseded(self.store, place, newest);
        if let Err(error) = self.late(SETTLE_TIME).bound(aborted).await {
            let (table, hint) = (place.table(), error.advice().filter(|_| error.code() != "OutOfTime"));
            tracing::warn!(table, error = %error.chain(), hint, "uploads of runs that were killed may be left in the lake");
        }
    }
}
