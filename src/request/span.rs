//! Which times a run may have: one outside of them would name objects that sort wrongly for ever.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

/// How far ahead of this machine's clock a run's time may lie: clocks differ, and time zones are mistaken.
const LONGEST_LEAD: TimeDelta = TimeDelta::days(1);

/// Before this year nothing was scheduled: such a time comes from a clock that was never set, or from a slip.
const FIRST_YEAR: i32 = 2000;

/// The last year with four digits, which is what a stamp has.
const LAST_YEAR: i32 = 9999;

/// Why `time` is none that a run may have; `now` is the time by this machine's clock. One that lies ahead of it is fine where
/// that is meant.
pub(crate) fn outside(time: DateTime<Utc>, now: DateTime<Utc>, allow_future: bool) -> Option<String> {
    let stamp = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ");
    if time.year() < FIRST_YEAR {
        return Some(format!("lies before {FIRST_YEAR}"));
    }
    if time.year() > LAST_YEAR {
        return Some(format!("lies after {LAST_YEAR}"));
    }
    let is_ahead = now.checked_add_signed(LONGEST_LEAD).is_some_and(|latest| time > latest);
    (is_ahead && !allow_future)
        .then(|| format!("is {}, more than a day ahead of this machine's clock ({})", stamp(time), stamp(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_from_2000_until_a_day_ahead_are_taken() {
        let now = "2026-11-20T09:00:00Z".parse().unwrap();
        let is_taken = |time: &str, allow_future| outside(time.parse().unwrap(), now, allow_future).is_none();
        for time in ["2000-01-01T00:00:00Z", "2026-11-20T09:00:00Z", "2026-11-21T09:00:00Z"] {
            assert!(is_taken(time, false), "{time}");
        }
        for (time, if_meant) in [
            ("1999-12-31T23:59:59Z", false),
            ("1970-01-01T00:00:00Z", false),
            ("2026-11-21T09:00:01Z", true),
            ("9999-12-31T23:59:59Z", true),
            ("+10000-01-01T00:00:00Z", false),
        ] {
            assert_eq!((is_taken(time, false), is_taken(time, true)), (false, if_meant), "{time}");
        }
    }
}
