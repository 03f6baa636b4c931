//! The time that a run has.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

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

    /// Does `work`, or breaks it off when the time is up: code `OutOfTime`.
    pub(crate) async fn bound<T>(self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self.remaining() {
            None => work.await,
            Some(left) => tokio::time::timeout(left, work).await.unwrap_or_else(|_| Err(out_of_time())),
        }
    }
}

/// The error for work that was broken off at its deadline, whoever was being waited for.
pub(crate) fn out_of_time() -> Error {
    Error::transient("OutOfTime", "the run's time is up")
        .hint("the next run does what is left; give the function a longer timeout or more memory if this repeats")
}
