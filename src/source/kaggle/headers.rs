//! What this client reads from response headers.

use std::time::Duration;

use chrono::{DateTime, FixedOffset};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, RETRY_AFTER};

/// How long the server asks to be left alone, in either form of `Retry-After`. A date is taken relative to the
/// response's own `Date`, so that nobody's clock matters; without one it says nothing.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?;
    if let Some(seconds) = number(value) {
        return Some(Duration::from_secs(seconds));
    }
    let wait = http_date(value)? - http_date(text(headers, DATE)?)?;
    Some(wait.to_std().unwrap_or(Duration::ZERO))
}

/// The length of the body, if it is told.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH)?.parse().ok()
}

/// The object's tag as sent, quotes included.
pub(super) fn etag(headers: &HeaderMap) -> Option<&str> {
    text(headers, ETAG)
}

/// Whether equal tags of this form mean equal bytes (RFC 9110, 8.8.1).
pub(super) fn is_strong(etag: &str) -> bool {
    etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"')
}

/// Which bytes of an object a 206 carries, and how many there are in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) total: u64,
}

/// `Content-Range: bytes first-last/total`; `None` for any other form, an unknown total included.
pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let (range, total) = text(headers, CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = ContentRange { first: number(first)?, last: number(last)?, total: number(total)? };
    (range.first <= range.last && range.last < range.total).then_some(range)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Digits only: `str::parse` would take a plus sign as well.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn http_date(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc2822(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_relative_to_the_response() {
        let date = (DATE, "Wed, 21 Oct 2015 07:28:00 GMT");
        let cases = [
            (vec![(RETRY_AFTER, "7")], Some(7)),
            (vec![(RETRY_AFTER, " 0 ")], Some(0)),
            (vec![(RETRY_AFTER, "Wed, 21 Oct 2015 07:28:30 GMT"), date.clone()], Some(30)),
            (vec![(RETRY_AFTER, "Wed, 21 Oct 2015 07:27:00 GMT"), date.clone()], Some(0)),
            (vec![(RETRY_AFTER, "Wed, 21 Oct 2015 07:28:30 GMT")], None),
            (vec![(RETRY_AFTER, "-3"), date.clone()], None),
            (vec![(RETRY_AFTER, "soon"), date], None),
            (vec![], None),
        ];
        for (pairs, seconds) in cases {
            assert_eq!(retry_after(&headers(&pairs)), seconds.map(Duration::from_secs), "{pairs:?}");
        }
    }

    #[test]
    fn content_range_is_taken_only_when_it_is_exact() {
        let parse = |value: &str| content_range(&headers(&[(CONTENT_RANGE, value)]));
        assert_eq!(parse("bytes 5-9/10"), Some(ContentRange { first: 5, last: 9, total: 10 }));
        let refused =
            ["bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes 5-10/10", "5-9/10", "bytes +5-9/10", "bytes -9/10"];
        for value in refused {
            assert_eq!(parse(value), None, "{value}");
        }
        assert_eq!(content_range(&HeaderMap::new()), None);
    }

    #[test]
    fn only_a_quoted_tag_is_strong() {
        assert!(is_strong("\"abc\""));
        for weak in ["W/\"abc\"", "abc", "\"\"", "\"", ""] {
            assert!(!is_strong(weak), "{weak}");
        }
    }
}
