//! Where the first run of a table begins.

use super::check::low_end;
use super::{Shared, ask};
use crate::error::Result;
use crate::position::Lsn;
use crate::source::sqlserver::Start;
use crate::source::sqlserver::faults;
use crate::source::sqlserver::instances::{Tracked, turn};

/// A beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// The commit after which changes are read.
    pub(super) position: Lsn,
    /// Whether all rows are read first.
    pub(super) load: bool,
}

/// Where `table` begins; `None` where the capture job has not come to the start of its instances yet.
pub(super) async fn beginning(shared: &Shared<'_>, table: &Tracked) -> Result<Option<Beginning>> {
    let fence = shared.fence;
    let Some(oldest) = table.instances.first() else { return Ok(None) };
    if turn(&table.instances, fence, fence).is_none() {
        return Ok(None);
    }
    let low = low_end(shared, oldest).await?;
    let at = |position| Some(Beginning { position, load: false });
    Ok(match &table.options.start {
        Start::Snapshot => Some(Beginning { position: fence, load: true }),
        Start::Now => at(fence),
        Start::Earliest => at(low.previous()),
        Start::Lsn(first) => {
            if *first < low || first.previous() > fence {
                let low = shared.moment(low).await;
                return Err(faults::start_out_of_range(&table.full_name(), &first.to_string(), low, fence));
            }
            at(first.previous())
        }
        Start::Time(time) => {
            let before = ask(shared.run, || shared.server().last_commit_before(*time)).await?;
            let Some(before) = before.map(|before| before.min(fence)) else {
                return Err(faults::start_unknown(&table.full_name(), *time, shared.moment(low).await));
            };
            if before.next() < low {
                let (low, wanted) = (shared.moment(low).await, time.to_string());
                return Err(faults::start_out_of_range(&table.full_name(), &wanted, low, fence));
            }
            at(before)
        }
    })
}
