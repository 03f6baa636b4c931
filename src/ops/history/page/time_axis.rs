//! The times that all charts of a page have in common.

use chrono::{DateTime, Datelike, Duration, Timelike, Utc};

use super::text::date;
use crate::ops::history::Period;

/// At most so many slots, so that a bar has room to be seen.
const MOST_SLOTS: usize = 122;

/// At least so many, so that a bar does not fill the chart.
const LEAST_SLOTS: usize = 16;

/// Half of the room that a character of a label needs, in the units of a chart.
const HALF_CHARACTER: f64 = 3.5;

/// Slots of one period each.
#[derive(Clone, Debug)]
pub(super) struct TimeAxis {
    pub(super) period: Period,
    starts: Vec<DateTime<Utc>>,
    ends: (DateTime<Utc>, DateTime<Utc>),
}

impl TimeAxis {
    /// The axis that has room for all of these times; none where there is no time.
    pub(super) fn of(times: impl Iterator<Item = DateTime<Utc>>) -> Option<Self> {
        let (mut first, mut last) = (None::<DateTime<Utc>>, None::<DateTime<Utc>>);
        for time in times {
            first = Some(first.map_or(time, |first| first.min(time)));
            last = last.max(Some(time));
        }
        let ends = (first?, last?);
        let period = Period::fitting(ends.0, ends.1, MOST_SLOTS);
        let mut starts: Vec<_> = period.starts(ends.0, ends.1).collect();
        while starts.len() < LEAST_SLOTS {
            let (first, last) = (*starts.first()?, *starts.last()?);
            starts.push(period.next(last));
            starts.insert(0, period.start(first - Duration::seconds(1)));
        }
        Some(Self { period, starts, ends })
    }

    /// The number of slots.
    pub(super) fn slots(&self) -> usize {
        self.starts.len()
    }

    /// The slot that `time` is in.
    pub(super) fn slot(&self, time: DateTime<Utc>) -> usize {
        self.starts.partition_point(|start| *start <= time).saturating_sub(1)
    }

    /// The first and the last time.
    pub(super) fn ends(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        self.ends
    }

    /// The slots that have a label, with it, at least `apart` slots from each other.
    pub(super) fn ticks(&self, apart: usize) -> Vec<(usize, String)> {
        let mut ticks: Vec<(usize, String)> = Vec::new();
        for rank in 0..3 {
            for (slot, start) in self.starts.iter().enumerate() {
                let near = |(other, _): &(usize, String)| slot.abs_diff(*other) < apart.max(1);
                if self.rank(*start) == rank && !ticks.iter().any(near) {
                    ticks.push((slot, self.tick(*start)));
                }
            }
        }
        ticks.sort();
        ticks
    }

    /// How round a time is, for this period: 0 is roundest.
    fn rank(&self, start: DateTime<Utc>) -> u8 {
        let (coarse, finer) = match self.period {
            Period::Minute => (start.minute() == 0, start.minute().is_multiple_of(10)),
            Period::Hour => (start.hour() == 0, start.hour().is_multiple_of(6)),
            Period::Day => (start.day() == 1, matches!(start.day(), 8 | 15 | 22)),
            Period::Week => (start.day() <= 7 && start.month() == 1, start.day() <= 7),
            Period::Month => (start.month() == 1, start.month() % 3 == 1),
            Period::Year => (start.year() % 10 == 0, start.year() % 5 == 0),
        };
        match (coarse, finer) {
            (true, _) => 0,
            (_, true) => 1,
            _ => 2,
        }
    }

    /// The short label under a slot.
    fn tick(&self, start: DateTime<Utc>) -> String {
        let format = match self.period {
            Period::Minute => "%H:%M",
            Period::Hour if start.hour() > 0 => "%H:%M",
            Period::Hour | Period::Day => "%-d %b",
            Period::Week if start.month() == 1 && start.day() <= 7 => "%Y",
            Period::Week => "%-d %b",
            Period::Month if start.month() == 1 => "%Y",
            Period::Month => "%b",
            Period::Year => "%Y",
        };
        start.format(format).to_string()
    }

    /// The whole name of the period that begins at `start`.
    pub(super) fn label(&self, start: DateTime<Utc>) -> String {
        match self.period {
            Period::Minute | Period::Hour => start.format("%-d %b %Y, %H:%M").to_string(),
            Period::Day => start.format("%a %-d %b %Y").to_string(),
            Period::Week => format!("Week of {}", date(start)),
            Period::Month => start.format("%B %Y").to_string(),
            Period::Year => start.format("%Y").to_string(),
        }
    }
}

/// Where the middle of a label is that is to be at `x`, but stays between `left` and `right`.
pub(super) fn label_at(x: f64, label: &str, left: f64, right: f64) -> f64 {
    let half = label.chars().count() as f64 * HALF_CHARACTER;
    x.min(right - half).max(left + half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(times: &[&str]) -> TimeAxis {
        TimeAxis::of(times.iter().map(|time| time.parse().unwrap())).unwrap()
    }

    #[test]
    fn one_time_stands_in_the_middle() {
        let axis = axis(&["2026-11-20T09:30:00Z"]);
        assert_eq!((axis.period, axis.slots()), (Period::Minute, 17));
        assert_eq!(axis.slot(axis.ends().0), 8);
        assert_eq!(axis.label(axis.starts[8]), "20 Nov 2026, 09:30");
    }

    #[test]
    fn every_time_has_its_slot() {
        let axis = axis(&["2026-11-20T09:30:00Z", "2026-01-31T23:59:59Z", "2026-03-01T00:00:00Z"]);
        assert_eq!(axis.period, Period::Week);
        let slots = ["2026-01-31T23:59:59Z", "2026-03-01T00:00:00Z", "2026-11-20T09:30:00Z"];
        assert_eq!(slots.map(|time| axis.slot(time.parse().unwrap())), [0, 4, axis.slots() - 1]);
    }

    #[test]
    fn labels_are_at_round_times_and_do_not_touch() {
        let axis = axis(&["2026-09-10T00:00:00Z", "2026-11-20T00:00:00Z"]);
        let ticks = axis.ticks(6);
        assert!(ticks.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 6), "{ticks:?}");
        assert!(["1 Oct", "1 Nov", "15 Oct"].iter().all(|day| ticks.iter().any(|tick| tick.1 == *day)), "{ticks:?}");
    }

    #[test]
    fn no_time_is_no_axis() {
        assert!(TimeAxis::of(std::iter::empty()).is_none());
    }
}
