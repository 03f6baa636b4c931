//! How long to wait before the next try: twice as long each time, and spread by chance.
//!
//! Who tries, what for, and how often is the caller's to say. The chance has to differ between tables and processes that were
//! refused at one moment, which a hash of what they have in common would not; nothing else depends on it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

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
pub(crate) fn spread(pause: Duration) -> Duration {
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

    #[test]
    fn operations_that_failed_together_do_not_try_again_together() {
        let pause = || Pauses::new(Duration::from_secs(1), Duration::from_secs(1)).next();
        assert!((0..20).map(|_| pause()).collect::<HashSet<_>>().len() > 10);
        assert_eq!(Pauses::new(Duration::ZERO, Duration::from_secs(1)).next(), Duration::ZERO);
    }
}
