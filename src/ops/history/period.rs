//! Stretches of the calendar, in UTC, by which changes are added up where there are too many to show one by one.

use chrono::{DateTime, Datelike, Duration, DurationRound, Months, NaiveTime, Utc};

/// How long a stretch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// Seven days from a Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// All of them, shortest first.
    pub const ALL: [Self; 6] = [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The shortest period of which at most `most` lie between two times.
    pub fn fitting(first: DateTime<Utc>, last: DateTime<Utc>, most: usize) -> Self {
        Self::ALL.into_iter().find(|period| period.starts(first, last).nth(most).is_none()).unwrap_or(Self::Year)
    }

    /// The beginning of the period that `time` is in.
    pub fn start(self, time: DateTime<Utc>) -> DateTime<Utc> {
        let day = time.date_naive();
        let first_day = match self {
            Self::Minute => return time.duration_trunc(Duration::minutes(1)).unwrap_or(time),
            Self::Hour => return time.duration_trunc(Duration::hours(1)).unwrap_or(time),
            Self::Day => Some(day),
            Self::Week => day.checked_sub_days(chrono::Days::new(day.weekday().num_days_from_monday().into())),
            Self::Month => day.with_day(1),
            Self::Year => day.with_ordinal(1),
        };
        first_day.unwrap_or(day).and_time(NaiveTime::MIN).and_utc()
    }

    /// The beginning of the period after the one that begins at `start`.
    pub fn next(self, start: DateTime<Utc>) -> DateTime<Utc> {
        let next = match self {
            Self::Minute => start.checked_add_signed(Duration::minutes(1)),
            Self::Hour => start.checked_add_signed(Duration::hours(1)),
            Self::Day => start.checked_add_signed(Duration::days(1)),
            Self::Week => start.checked_add_signed(Duration::days(7)),
            Self::Month => start.checked_add_months(Months::new(1)),
            Self::Year => start.checked_add_months(Months::new(12)),
        };
        next.unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The beginnings of the periods from the one that `first` is in to the one that `last` is in.
    pub fn starts(self, first: DateTime<Utc>, last: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        let next = move |start: &DateTime<Utc>| Some(self.next(*start));
        std::iter::successors(Some(self.start(first)), next).take_while(move |start| *start <= last)
    }

    /// The word for one of them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn periods_begin_where_the_calendar_says() {
        let starts = Period::ALL.map(|period| period.start(time("2026-11-20T15:42:07Z")).to_rfc3339());
        let days = ["2026-11-20T15:42:00", "2026-11-20T15:00:00", "2026-11-20T00:00:00", "2026-11-16T00:00:00"];
        let expected = [&days[..], &["2026-11-01T00:00:00", "2026-01-01T00:00:00"]].concat();
        assert_eq!(starts.to_vec(), expected.iter().map(|start| format!("{start}+00:00")).collect::<Vec<_>>());
        for period in Period::ALL {
            let start = period.start(time("2024-02-29T23:59:59Z"));
            assert_eq!(period.start(start), start, "{period:?}");
            let before_next = period.next(start) - Duration::seconds(1);
            assert_eq!((period.start(before_next), period.start(period.next(start))), (start, period.next(start)));
        }
    }

    #[test]
    fn the_shortest_period_is_taken_of_which_there_are_not_too_many() {
        let fitting = |first: &str, last: &str| Period::fitting(time(first), time(last), 120);
        assert_eq!(fitting("2026-11-20T09:00:00Z", "2026-11-20T09:00:00Z"), Period::Minute);
        assert_eq!(fitting("2026-11-20T09:00:00Z", "2026-11-20T15:00:00Z"), Period::Hour);
        assert_eq!(fitting("2026-11-20T09:00:00Z", "2027-01-20T15:00:00Z"), Period::Day);
        assert_eq!(fitting("2026-01-20T09:00:00Z", "2026-11-20T15:00:00Z"), Period::Week);
        assert_eq!(fitting("2020-01-20T09:00:00Z", "2026-11-20T15:00:00Z"), Period::Month);
        assert_eq!(fitting("1000-01-01T00:00:00Z", "9999-11-20T15:00:00Z"), Period::Year);
    }

    #[test]
    fn periods_follow_each_other_without_a_gap() {
        let starts: Vec<_> = Period::Month.starts(time("2025-12-31T23:00:00Z"), time("2026-02-01T00:00:00Z")).collect();
        assert_eq!(starts, ["2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"].map(time));
    }
}
