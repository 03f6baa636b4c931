//! Times as people write them: a year, a month, a day, a time, or a run by the stamp in its objects' names.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::error::{Error, Result};
use crate::lake::layout::{RunTime, stamp_of};
use crate::ops::history::{Period, Span};
use crate::ops::restore::At;

/// A stretch of time that a person named, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    first: DateTime<Utc>,
    last: DateTime<Utc>,
}

/// From the beginning of `since` to the end of `until`, where they are given.
pub(super) fn span(since: Option<&str>, until: Option<&str>) -> Result<Span> {
    let since = since.map(named).transpose()?.map(|named| named.first);
    let until = until.map(named).transpose()?.map(|named| named.last);
    let span = Span { since: since.unwrap_or(Span::ALL.since), until: until.unwrap_or(Span::ALL.until) };
    if span.since > span.until {
        return Err(Error::config("InvalidTime", "`--since` is later than `--until`").hint("exchange the two"));
    }
    Ok(span)
}

/// A run, or the end of what is named.
pub(super) fn at(text: &str) -> Result<At> {
    let run = RunTime::from_stamp(text).or_else(|| stamp_of(text));
    run.map_or_else(|| Ok(At::Time(named(text)?.last)), |run_at| Ok(At::Run(run_at)))
}

fn named(text: &str) -> Result<Named> {
    // A year of two digits is a slip.
    let named = time(text).or_else(|| stretch(text)).filter(|named| named.first.year() >= 1000);
    named.ok_or_else(|| {
        Error::config("InvalidTime", format!("`{text}` is not a time"))
            .hint("write 2026, 2026-03, 2026-03-31, 2026-03-31T09:00:00Z or 20260331_090000; times are UTC unless they say otherwise")
    })
}

/// A point in time; the second, or the minute, that is named belongs to it as a whole.
fn time(text: &str) -> Option<Named> {
    let offset = DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc());
    let parse = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let seconds = offset.or_else(|| ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"].into_iter().find_map(parse));
    let stamp = || RunTime::from_stamp(text).map(RunTime::time);
    if let Some(first) = seconds.or_else(stamp) {
        return Some(Named { first, last: first });
    }
    let minute = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"].into_iter().find_map(parse)?;
    Some(Named { first: minute, last: last(minute, Period::Minute) })
}

/// A day, a month or a year.
fn stretch(text: &str) -> Option<Named> {
    let (rest, period) = match text.len() {
        4 => ("-01-01", Period::Year),
        7 => ("-01", Period::Month),
        _ => ("", Period::Day),
    };
    let day = NaiveDate::parse_from_str(&format!("{text}{rest}"), "%Y-%m-%d").ok()?;
    let first = day.and_hms_opt(0, 0, 0)?.and_utc();
    Some(Named { first, last: last(first, period) })
}

/// The last second of the period that begins at `first`.
fn last(first: DateTime<Utc>, period: Period) -> DateTime<Utc> {
    period.next(first) - TimeDelta::seconds(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(text: &str) -> [String; 2] {
        let named = named(text).unwrap();
        [named.first, named.last].map(|time| RunTime::new(time).stamp())
    }

    #[test]
    fn what_is_named_belongs_to_it_as_a_whole() {
        assert_eq!(ends("2024"), ["20240101_000000", "20241231_235959"]);
        assert_eq!(ends("2024-02"), ["20240201_000000", "20240229_235959"]);
        assert_eq!(ends("2024-02-29"), ["20240229_000000", "20240229_235959"]);
        assert_eq!(ends("2024-02-29 10:30"), ["20240229_103000", "20240229_103059"]);
        assert_eq!(ends("2024-02-29T10:30:00-03:00"), ["20240229_133000", "20240229_133000"]);
        assert_eq!(ends("20240229_103000"), ["20240229_103000", "20240229_103000"]);
        for text in ["", "March", "2024-13", "2024-02-30", "24-02-03", "2024-2-3x", "20240229"] {
            assert_eq!(named(text).unwrap_err().code(), "InvalidTime", "{text}");
        }
    }

    #[test]
    fn a_run_is_named_by_its_stamp_or_its_object() {
        let run_at = RunTime::from_stamp("20240229_103000").unwrap();
        assert_eq!(at("20240229_103000").unwrap(), At::Run(run_at));
        assert_eq!(at("cdc/t/t_20240229_103000.parquet").unwrap(), At::Run(run_at));
        assert_eq!(at("2024-02-29T10:30:00Z").unwrap(), At::Time(run_at.time()));
    }

    #[test]
    fn a_span_goes_forward() {
        assert_eq!(span(Some("2024-03"), Some("2024-02")).unwrap_err().code(), "InvalidTime");
        assert!(span(Some("2024-03"), Some("2024-03")).is_ok());
    }
}
