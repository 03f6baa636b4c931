//! Where the reading of a tracked table begins: `snapshot`, `earliest`, `now`, `lsn:0x…`, `time:…`.

use chrono::DateTime;

use crate::near::near;
use crate::source::sqlserver::Start;

const WORDS: [&str; 3] = ["snapshot", "earliest", "now"];

/// The start that `text` names, else what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Start, String> {
    match text.split_once(':') {
        Some((kind, lsn)) if kind.eq_ignore_ascii_case("lsn") => lsn
            .trim()
            .parse()
            .map(Start::Lsn)
            .map_err(|_| ": write an LSN as lsn:0x and its 20 hexadecimal digits".to_owned()),
        Some((kind, time)) if kind.eq_ignore_ascii_case("time") => DateTime::parse_from_rfc3339(time.trim())
            .map(|time| Start::Time(time.into()))
            .map_err(|_| ": write a time with its offset, like time:2026-11-20T09:00:00Z".to_owned()),
        _ => word(text),
    }
}

fn word(text: &str) -> Result<Start, String> {
    match text.to_ascii_lowercase().as_str() {
        "snapshot" => Ok(Start::Snapshot),
        "earliest" => Ok(Start::Earliest),
        "now" => Ok(Start::Now),
        _ => Err(match near(text, WORDS) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => "; it can be snapshot, earliest, now, lsn:0x…, time:…".to_owned(),
        }),
    }
}
