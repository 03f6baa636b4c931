//! What a run was asked to do: made once by a shell, from an event or from arguments, and passed down as a value.

use std::time::{Duration, Instant};

/// The moment at which a run must have ended, if there is one (under Lambda: the function's own, less a margin).
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// No limit.
    pub const NONE: Self = Self(None);

    /// A limit at `instant`.
    pub fn at(instant: Instant) -> Self {
        Self(Some(instant))
    }

    /// A limit in `duration` from now.
    pub fn within(duration: Duration) -> Self {
        Self(Instant::now().checked_add(duration))
    }

    /// The time left; `None` without a limit, zero when it has passed.
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|instant| instant.saturating_duration_since(Instant::now()))
    }

    /// Whether at least `needed` is left.
    pub fn allows(self, needed: Duration) -> bool {
        self.remaining().is_none_or(|left| left >= needed)
    }
}

/// Temporary.
#[derive(Clone, Debug)]
pub struct Request {
    /// t
    pub run_at: chrono::DateTime<chrono::Utc>,
    /// t
    pub now: chrono::DateTime<chrono::Utc>,
    /// t
    pub identity: String,
    /// t
    pub force: bool,
    /// t
    pub dry_run: bool,
    /// t
    pub approve_deletes: bool,
    /// t
    pub deadline: Deadline,
}

impl Request {
    /// t
    pub fn select<'a>(
        &self,
        tables: &'a [crate::table::TableSpec],
    ) -> crate::error::Result<Vec<&'a crate::table::TableSpec>> {
        Ok(tables.iter().collect())
    }

    /// t
    pub fn approves_deletes(&self, _table: &crate::table::TableName) -> bool {
        self.approve_deletes
    }
}
