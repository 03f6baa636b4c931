//! One log line for each step of a run, with its counts and its time: never a cell.

use std::time::Instant;

use crate::lake::layout::RunTime;

/// The steps of one table, each with the time since the one before.
pub(super) struct Steps {
    table: String,
    run_at: RunTime,
    before: Instant,
}

impl Steps {
    /// The steps of `table` from here on.
    pub(super) fn of(table: impl Into<String>, run_at: RunTime) -> Self {
        Self { table: table.into(), run_at, before: Instant::now() }
    }

    /// A step that wrote nothing is done.
    pub(super) fn done(&mut self, step: &str) {
        let (elapsed_ms, Self { table, run_at, .. }) = (self.lap(), self);
        tracing::info!(table, %run_at, elapsed_ms, "{step}");
    }

    /// A step that counted changes is done.
    pub(super) fn counted(&mut self, step: &str, rows: u64, [inserted, updated, deleted]: [u64; 3]) {
        let (elapsed_ms, Self { table, run_at, .. }) = (self.lap(), self);
        tracing::info!(table, %run_at, rows, inserted, updated, deleted, elapsed_ms, "{step}");
    }

    /// A step that wrote an object is done.
    pub(super) fn wrote(&mut self, step: &str, key: &str, bytes: u64) {
        let (elapsed_ms, Self { table, run_at, .. }) = (self.lap(), self);
        tracing::info!(table, %run_at, key, bytes, elapsed_ms, "{step}");
    }

    fn lap(&mut self) -> u64 {
        let elapsed = milliseconds(self.before);
        self.before = Instant::now();
        elapsed
    }
}

/// The time since `start`.
pub(super) fn milliseconds(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
