//! Steps 2 to 5 of the protocol for one table. Every line of it may be the last one that runs.

use std::time::Duration;

use super::compare::{Comparison, Stamp};
use super::steps::Steps;
use crate::error::Result;
use crate::lake::commit::{StateVersion, Step, TableLog};
use crate::lake::outline::BaseOutline;
use crate::lake::state::Head;
use crate::lake::store::{ETag, ObjectStore};

/// The slowest rate of upload reckoned with.
const UPLOAD_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;

/// What a comparison found, about to be stored.
pub(super) struct Publication<'a> {
    /// The state that the base was read under.
    pub(super) state: &'a StateVersion,
    /// Whether the claim in the state is ours already.
    pub(super) resumed: bool,
    pub(super) outline: &'a BaseOutline,
    pub(super) found: &'a Comparison,
    pub(super) stamp: &'a Stamp,
}

/// What became of it.
pub(super) enum Published {
    /// It is in the lake.
    Committed {
        /// The tag of the full load, if it is ours.
        full_load: Option<ETag>,
        /// Whether the head is ours: no other run had changed the state since our claim.
        is_head: bool,
    },
    /// Another run changed the state between our reading and our claim; nothing was stored.
    RaceLost,
    /// Another run took over our claim; what we had was not and will not be published.
    Overtaken,
}

impl Publication<'_> {
    /// Whether objects are to be written, or only the head moved on.
    pub(super) fn writes(&self) -> bool {
        let outline = self.outline;
        self.found.differs_from(outline.schema()) || outline.needs_checkpoint() || outline.full_load.is_none()
    }

    /// How long storing it may take on a slow line.
    pub(super) fn upload_time(&self) -> Duration {
        Duration::from_millis(self.bytes() * 1000 / UPLOAD_BYTES_PER_SECOND)
    }

    /// The length of the objects in all.
    pub(super) fn bytes(&self) -> u64 {
        let cdc = self.found.cdc.as_ref().map_or(0, |(payload, _)| payload.len());
        cdc + self.found.full_load.0.len()
    }

    /// Whether one of the objects comes to the store in parts.
    pub(super) fn is_in_parts(&self, store: &dyn ObjectStore) -> bool {
        let lengths = [self.found.cdc.as_ref().map_or(0, |(payload, _)| payload.len()), self.found.full_load.0.len()];
        lengths.into_iter().any(|len| store.takes_in_parts(len))
    }

    /// Claims, publishes, checkpoints and commits.
    pub(super) async fn store(&self, log: &TableLog<'_>) -> Result<Published> {
        if !self.writes() {
            let moved = log.commit(self.state, self.head(self.outline.etag().cloned())).await?;
            let committed = Published::Committed { full_load: None, is_head: true };
            return Ok(if moved == Step::Overtaken { Published::RaceLost } else { committed });
        }
        let (payload, footer) = &self.found.full_load;
        let mut steps = Steps::of(footer.table.as_str(), footer.run_at);
        let Some(held) = self.claim(log).await? else { return Ok(Published::RaceLost) };
        steps.done("claimed");
        if let Some((payload, footer)) = &self.found.cdc {
            if log.publish(payload, footer).await? == Step::Overtaken {
                return Ok(Published::Overtaken);
            }
            steps.wrote("changes published", &log.cdc_key(footer.run_at), payload.len());
        }
        let (ours, etag) = match log.checkpoint(payload, footer, self.outline.replaced()).await? {
            Step::Done(written) => {
                steps.wrote("full load written", &log.full_load_key(), payload.len());
                (Some(written.clone()), Some(written))
            }
            Step::Overtaken => (None, self.outline.etag().cloned()),
        };
        // A lost commit is as good: what was published is in the log that the faster run builds on.
        let committed = log.commit(&held, self.head(etag)).await?;
        steps.done("committed");
        Ok(Published::Committed { full_load: ours, is_head: committed != Step::Overtaken })
    }

    /// The state with our claim in it; `None` when another run was faster.
    async fn claim(&self, log: &TableLog<'_>) -> Result<Option<StateVersion>> {
        if self.resumed {
            return Ok(Some(self.state.clone()));
        }
        Ok(match log.claim(self.state, self.stamp.run_at, self.stamp.position.clone()).await? {
            Step::Done(claimed) => Some(claimed),
            Step::Overtaken => None,
        })
    }

    fn head(&self, full_load_etag: Option<ETag>) -> Head {
        let (found, stamp) = (self.found, self.stamp);
        Head {
            run_at: if self.writes() { stamp.run_at } else { stamp.previous_run_at.unwrap_or(stamp.run_at) },
            position: stamp.position.clone(),
            full_load_etag,
            rows: found.counts.rows,
            row_set_hash: found.set_hash.to_hex(),
            schema: found.schema.clone(),
            captured: None,
            provenance: found.provenance.clone(),
            settings: Some(stamp.settings.clone()),
        }
    }
}
