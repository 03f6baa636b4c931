//! How far the run was from losing changes, and how old the newest captured commit is: for alarms. Nothing depends on it.

use std::collections::HashMap;
use std::time::Duration;

use super::Shared;
use crate::error::Result;
use crate::position::{Lsn, Position};
use crate::report::TableReport;
use crate::source::sqlserver::headroom::{Keeping, hours};
use crate::source::sqlserver::instances::{Tracked, turn};

impl Shared<'_> {
    /// Puts the headroom of each table that has a position into its report. What cannot be found out is left out.
    pub(super) async fn measure(&self, tables: &[Tracked], reports: &mut [TableReport]) {
        let places: Vec<(usize, Lsn, Lsn)> = (0..)
            .zip(&*reports)
            .filter_map(|(index, report)| {
                let table = tables.iter().find(|table| table.full_name() == report.name)?;
                let position = report.position.as_ref().and_then(Position::lsn)?;
                Some((index, position, self.low_end_after(table, position)?))
            })
            .collect();
        if places.is_empty() {
            return;
        }
        match self.keeping(&places).await {
            Ok(keeping) => {
                for (index, position, low) in places {
                    let headroom = keeping.headroom(position, low).map(hours);
                    if let Some(report) = reports.get_mut(index) {
                        report.headroom_hours = headroom;
                    }
                }
            }
            Err(error) => tracing::warn!(error = %error.chain(), "the retention headroom could not be found out"),
        }
    }

    /// The low end of the instance that serves what comes after `position`, as of the begin of the run.
    fn low_end_after(&self, table: &Tracked, position: Lsn) -> Option<Lsn> {
        let serving = turn(&table.instances, position, self.fence).map(|turn| turn.instance);
        serving.or(table.instances.first())?.start_lsn
    }

    async fn keeping(&self, places: &[(usize, Lsn, Lsn)]) -> Result<Keeping> {
        let mut lsns: Vec<Lsn> = places.iter().flat_map(|(_, position, low)| [*position, *low]).collect();
        lsns.sort();
        lsns.dedup();
        let server = self.server();
        let found = self.run.within_deadline(server.commit_times(&lsns)).await?;
        let times: HashMap<_, _> = lsns.into_iter().zip(found).filter_map(|(lsn, time)| Some((lsn, time?))).collect();
        let retention = self.run.within_deadline(server.retention()).await?;
        Ok(Keeping { now: self.database.now, retention, times })
    }

    /// Where the capture job has never written anything: for how long it could have, in seconds.
    pub(super) fn silence(&self, tables: &[Tracked]) -> Option<u64> {
        tables.iter().filter_map(|table| self.waited(table)).max().map(|waited| waited.as_secs())
    }

    /// How long the capture job has had to start with the table.
    pub(super) fn waited(&self, table: &Tracked) -> Option<Duration> {
        Some((self.database.local_now - table.since()?).to_std().unwrap_or_default())
    }

    /// The age of the newest commit that the capture job has read, in seconds.
    pub(super) fn capture_age(&self) -> Option<u64> {
        let age = self.database.now - self.fence_time?.utc;
        Some(age.num_seconds().max(0).unsigned_abs())
    }
}
