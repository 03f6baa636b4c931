//! Times of SQL Server as numbers of microseconds.
//!
//! A `datetime` has steps of 1/300 s and stands for the millisecond that SQL Server shows for it (.000, .003, .007). The
//! seventh digit of `time`, `datetime2` and `datetimeoffset` is cut off.

use chrono::{DateTime, NaiveDateTime};
use tiberius::time::{DateTime as LegacyDateTime, DateTime2, SmallDateTime, Time};

/// From 0001-01-01, where SQL Server begins to count, to 1970-01-01.
const DAYS_TO_1970: i64 = 719_162;
/// From 1900-01-01, where its older types begin, to 1970-01-01.
const DAYS_FROM_1900: i64 = 25_567;
/// From 0001-01-01 to 9999-12-31.
const GREATEST_DAY: i64 = 3_652_058;

const MICROS_PER_DAY: i64 = 86_400_000_000;
const MICROS_PER_MINUTE: i64 = 60_000_000;

/// Days since 1970-01-01; `None` beyond the year 9999.
pub(super) fn date(days: u32) -> Option<i32> {
    let days = i64::from(days);
    if days > GREATEST_DAY { None } else { i32::try_from(days - DAYS_TO_1970).ok() }
}

/// Microseconds since midnight; `None` for what is no time of a day.
pub(super) fn time(time: Time) -> Option<i64> {
    let increments = i64::try_from(time.increments()).ok()?;
    let micros = match time.scale() {
        scale @ 0..=6 => increments.checked_mul(10_i64.pow(6 - u32::from(scale)))?,
        7 => increments / 10,
        _ => return None,
    };
    Some(micros).filter(|micros| *micros < MICROS_PER_DAY)
}

/// Microseconds since 1970-01-01.
pub(super) fn datetime2(at: DateTime2) -> Option<i64> {
    Some(i64::from(date(at.date().days())?) * MICROS_PER_DAY + time(at.time())?)
}

/// Microseconds since 1970-01-01, a whole number of milliseconds.
pub(super) fn datetime(at: LegacyDateTime) -> Option<i64> {
    let millis = (i64::from(at.seconds_fragments()) * 10 + 1) / 3;
    let micros = Some(millis * 1000).filter(|micros| *micros < MICROS_PER_DAY)?;
    legacy(i64::from(at.days()), micros)
}

/// Microseconds since 1970-01-01, a whole number of minutes.
pub(super) fn smalldatetime(at: SmallDateTime) -> Option<i64> {
    let micros = Some(i64::from(at.seconds_fragments()) * MICROS_PER_MINUTE);
    legacy(i64::from(at.days()), micros.filter(|micros| *micros < MICROS_PER_DAY)?)
}

/// Microseconds since 1970-01-01 as a time of no zone.
pub(super) fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc())
}

/// The days of the older types count from 1900 and may be negative.
fn legacy(days: i64, micros: i64) -> Option<i64> {
    let days = days - DAYS_FROM_1900;
    let in_range = (-DAYS_TO_1970..=GREATEST_DAY - DAYS_TO_1970).contains(&days);
    in_range.then(|| days * MICROS_PER_DAY + micros)
}

#[cfg(test)]
mod tests {
    use tiberius::time::Date;

    use super::*;

    fn shown(micros: Option<i64>) -> String {
        naive(micros.unwrap()).unwrap().format("%Y-%m-%d %H:%M:%S%.6f").to_string()
    }

    #[test]
    fn the_first_and_the_last_moment_of_each_type_are_exact() {
        let at = |days, increments, scale| DateTime2::new(Date::new(days), Time::new(increments, scale));
        assert_eq!(shown(datetime2(at(0, 0, 7))), "0001-01-01 00:00:00.000000");
        assert_eq!(shown(datetime2(at(3_652_058, 863_999_999_999, 7))), "9999-12-31 23:59:59.999999");
        assert_eq!(shown(datetime2(at(719_162, 86_399, 0))), "1970-01-01 23:59:59.000000");
        assert_eq!(shown(datetime(LegacyDateTime::new(-53_690, 0))), "1753-01-01 00:00:00.000000");
        assert_eq!(shown(datetime(LegacyDateTime::new(2_958_463, 25_919_999))), "9999-12-31 23:59:59.997000");
        assert_eq!(shown(smalldatetime(SmallDateTime::new(0, 0))), "1900-01-01 00:00:00.000000");
        assert_eq!(shown(smalldatetime(SmallDateTime::new(65_535, 1439))), "2079-06-06 23:59:00.000000");
    }

    #[test]
    fn a_step_of_datetime_is_the_millisecond_that_sql_server_shows() {
        let millis: Vec<_> = (0..7).map(|step| datetime(LegacyDateTime::new(25_567, step)).unwrap() / 1000).collect();
        assert_eq!(millis, [0, 3, 7, 10, 13, 17, 20]);
    }

    #[test]
    fn every_scale_of_a_time_is_read_and_its_seventh_digit_cut_off() {
        for scale in 0..=6 {
            assert_eq!(time(Time::new(10_u64.pow(u32::from(scale)), scale)), Some(1_000_000));
        }
        assert_eq!(time(Time::new(10_000_019, 7)), Some(1_000_001));
    }

    #[test]
    fn what_no_server_sends_is_no_time() {
        assert_eq!(date(3_652_059), None);
        assert_eq!(time(Time::new(86_400, 0)), None);
        assert_eq!(time(Time::new(u64::MAX, 3)), None);
        assert_eq!(time(Time::new(1, 8)), None);
        assert_eq!(datetime(LegacyDateTime::new(0, u32::MAX)), None);
        assert_eq!(datetime(LegacyDateTime::new(i32::MAX, 0)), None);
        assert_eq!(smalldatetime(SmallDateTime::new(0, 1440)), None);
    }
}
