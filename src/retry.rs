//! When to try again, and how long to wait before: twice as long each time, and spread by chance.
//!
//! Who tries, what for, and how often is the caller's to say. The chance has to differ between tables and processes that were
//! refused at one moment, which a hash of what they have in common would not; nothing else depends on it.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::request::Deadline;

/// Does `work` within `deadline`, and again while it fails by a fault that may pass: `attempts` times in all, with these pauses
/// in between. A pause that does not fit before the deadline is not made: the fault is the answer then.
pub(crate) async fn retried<T, F: Future<Output = Result<T>>>(
    deadline: Deadline,
    attempts: u32,
    mut pauses: Pauses,
    work: impl Fn() -> F,
) -> Result<T> {
    for _ in 1..attempts {
        match deadline.bound(work()).await {
            Err(error) if is_passing(&error) => {
                let pause = pauses.next();
                if !deadline.allows(pause) {
                    return Err(error);
                }
                tracing::warn!(error = %error.chain(), pause_ms = pause.as_millis(), "a fault that may pass; trying again");
                tokio::time::sleep(pause).await;
            }
            answer => return answer,
        }
    }
    deadline.bound(work()).await
}

/// Whether trying again may help within the same run.
fn is_passing(error: &Error) -> bool {
    error.kind() == Kind::Transient && error.code() != "OutOfTime"
}

/// The pauses of one operation, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    first: Duration,
    longest: Duration,
    taken: u32,
}

impl Pauses {
    /// None taken yet: at most `first`, doubling up to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, taken: 0 }
    }

    /// The next one: between a half and the whole of what doubling gives.
    pub(crate) fn next(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.taken).unwrap_or(u32::MAX);
        self.taken = self.taken.saturating_add(1);
        spread(self.first.saturating_mul(factor).min(self.longest))
    }
}

/// Shortens a pause by up to a half, by chance.
fn spread(pause: Duration) -> Duration {
    // The keys of a hasher are the only chance that the standard library gives.
    let chance = RandomState::new().hash_one(()) >> 32;
    pause.mul_f64(1.0 - 0.5 * chance as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn pauses_double_stay_under_the_cap_and_are_spread_by_at_most_a_half() {
        let (first, longest) = (Duration::from_millis(50), Duration::from_secs(2));
        let mut pauses = Pauses::new(first, longest);
        for tried in 0..40 {
            let whole = first.saturating_mul(2_u32.saturating_pow(tried)).min(longest);
            let pause = pauses.next();
            assert!(pause <= whole && pause >= whole / 2, "after {tried} tries: {pause:?}");
        }
    }

    /// What `retried` makes of work that fails so often before it succeeds, and how often it tried.
    async fn tried(deadline: Deadline, failures: u32, error: fn() -> Error) -> (Result<u32>, u32) {
        let tries = std::cell::Cell::new(0);
        let pauses = Pauses::new(Duration::from_millis(2), Duration::from_millis(2));
        let work = || {
            tries.set(tries.get() + 1);
            let tried = tries.get();
            async move { if tried > failures { Ok(tried) } else { Err(error()) } }
        };
        let answer = retried(deadline, 4, pauses, work).await;
        (answer, tries.get())
    }

    #[tokio::test]
    async fn what_may_pass_is_tried_so_often_and_nothing_else_is() {
        let passing = || Error::transient("Slow", "not now");
        for failures in 0..4 {
            assert_eq!(tried(Deadline::NONE, failures, passing).await.0.unwrap(), failures + 1);
        }
        let (answer, tries) = tried(Deadline::NONE, 9, passing).await;
        assert_eq!((answer.unwrap_err().code(), tries), ("Slow", 4));
        let (answer, tries) = tried(Deadline::NONE, 9, || Error::data("Wrong", "never")).await;
        assert_eq!((answer.unwrap_err().code(), tries), ("Wrong", 1));
    }

    #[tokio::test]
    async fn no_pause_is_made_that_ends_after_the_deadline() {
        let soon = Deadline::within(Duration::from_micros(900));
        let (answer, tries) = tried(soon, 9, || Error::transient("Slow", "not now")).await;
        assert_eq!((answer.unwrap_err().code(), tries), ("Slow", 1), "the fault tells more than `OutOfTime`");
        let hangs = || async {
            std::future::pending::<()>().await;
            Ok(())
        };
        let pauses = Pauses::new(Duration::ZERO, Duration::ZERO);
        let error = retried(Deadline::within(Duration::from_millis(5)), 4, pauses, hangs).await.unwrap_err();
        assert_eq!(error.code(), "OutOfTime");
    }

    #[test]
    fn operations_that_failed_together_do_not_try_again_together() {
        let pause = || Pauses::new(Duration::from_secs(1), Duration::from_secs(1)).next();
        assert!((0..20).map(|_| pause()).collect::<HashSet<_>>().len() > 10);
        assert_eq!(Pauses::new(Duration::ZERO, Duration::from_secs(1)).next(), Duration::ZERO);
    }
}
