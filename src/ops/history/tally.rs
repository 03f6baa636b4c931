//! Changes added up by period.

use chrono::{DateTime, Utc};

use super::{Change, Counts, Period};

/// The changes of one period.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Its beginning.
    pub start: DateTime<Utc>,
    /// How many runs changed something, a first load among them.
    pub runs: u64,
    /// Rows of the table after the last of them, where that is known.
    pub rows: Option<u64>,
    /// The rows of a first load, which is no change.
    pub first_load: Option<u64>,
    /// What happened to the rows, without a first load.
    pub counts: Counts,
    /// The longest run, in milliseconds.
    pub longest_ms: Option<u64>,
    /// How the columns changed.
    pub schema_changes: Vec<String>,
}

/// The changes, which are in the order of time, by periods; those without a change are left out.
pub fn tallies(changes: &[Change], period: Period) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = Vec::new();
    for change in changes {
        let start = period.start(change.run_at.time());
        if tallies.last().is_none_or(|last| last.start != start) {
            tallies.push(Tally { start, ..Tally::default() });
        }
        if let Some(tally) = tallies.last_mut() {
            tally.add(change);
        }
    }
    tallies
}

impl Tally {
    /// Of one change alone.
    pub fn of(change: &Change) -> Self {
        let mut tally = Self { start: change.run_at.time(), ..Self::default() };
        tally.add(change);
        tally
    }

    fn add(&mut self, change: &Change) {
        self.runs += 1;
        self.rows = change.rows;
        self.longest_ms = self.longest_ms.max(change.elapsed_ms);
        self.schema_changes.extend(change.schema_changes.iter().cloned());
        if change.first_load {
            self.first_load = change.rows;
            self.counts.bytes += change.counts.bytes;
        } else {
            self.counts.add(&change.counts);
        }
    }
}
