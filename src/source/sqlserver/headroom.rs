//! How long what comes after a position will still be kept.
//!
//! The clean-up job removes what is older than the retention. Where a login may not see that setting, the age of the
//! oldest commit that is kept stands for it: it is never longer while the job does its work, and shorter only for a capture
//! instance that is younger than the retention.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::server::CommitTime;
use crate::position::Lsn;

const SECONDS_OF_AN_HOUR: f64 = 3600.0;

/// What the headrooms of a database are reckoned with.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// The server's clock.
    pub(crate) now: DateTime<Utc>,
    /// The setting of the clean-up job, where this login may see it.
    pub(crate) retention: Option<Duration>,
    /// When commits were made, of those that the server knows.
    pub(crate) times: HashMap<Lsn, CommitTime>,
}

impl Keeping {
    /// The time until the clean-up job may remove what comes after `position`, of an instance whose low end is `low`; below
    /// zero where that time has passed, and zero where it has been removed. `None` where too little is known.
    pub(crate) fn headroom(&self, position: Lsn, low: Lsn) -> Option<TimeDelta> {
        if position.next() < low {
            return Some(TimeDelta::zero());
        }
        let kept_since = self.times.get(&low).map(|time| time.utc);
        // A position right before the low end has no time any more: the low end comes next.
        let read_until = self.times.get(&position).map(|time| time.utc).or(kept_since)?;
        let retention = self.retention.and_then(|retention| TimeDelta::from_std(retention).ok());
        let retention = retention.or_else(|| Some(self.now - kept_since?))?;
        Some(read_until + retention - self.now)
    }
}

/// A stretch of time in hours.
pub(crate) fn hours(time: TimeDelta) -> f64 {
    time.as_seconds_f64() / SECONDS_OF_AN_HOUR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lsn(number: u8) -> Lsn {
        Lsn::new([0, 0, 0, 0, 0, 0, 0, 0, 0, number])
    }

    /// The commits 10, 20 and 30 were made 30, 20 and 10 hours ago.
    fn keeping(retention_hours: Option<u64>) -> Keeping {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let time = |number: u8| {
            let utc = now - TimeDelta::hours(40 - i64::from(number));
            (lsn(number), CommitTime { local: utc.naive_utc(), utc })
        };
        let retention = retention_hours.map(|hours| Duration::from_secs(hours * 3600));
        Keeping { now, retention, times: [10, 20, 30].map(time).into() }
    }

    #[test]
    fn headroom_is_what_is_left_of_the_retention() {
        let cases = [
            (Some(72), 30, 10, Some(62.0)),
            (Some(72), 10, 10, Some(42.0)),
            // The low end comes next.
            (Some(72), 9, 10, Some(42.0)),
            // It is gone.
            (Some(72), 8, 10, Some(0.0)),
            // It is overdue, but has not been removed.
            (Some(15), 20, 10, Some(-5.0)),
            // The oldest commit is 30 hours old, so that much is kept.
            (None, 30, 10, Some(20.0)),
            (None, 10, 10, Some(0.0)),
            (None, 30, 11, None),
            (Some(72), 29, 11, None),
        ];
        for (retention, position, low, expected) in cases {
            let found = keeping(retention).headroom(lsn(position), lsn(low)).map(hours);
            assert_eq!(found, expected, "{retention:?} {position} {low}");
        }
    }
}
