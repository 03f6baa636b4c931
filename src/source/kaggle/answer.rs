//! What the API says: JSON with camelCase names, where unknown fields are ignored and absent ones mean the default.
//!
//! Optional fields may come again as `…Nullable` and `has…`; only the plain name is read. An answer can be an error
//! although its status is 200.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::{Awaited, VersionInfo, fault};
use crate::config::Dataset;
use crate::error::{Error, Result};

/// So many versions are looked for at the most where the API lists none.
const MOST_UNLISTED: usize = 10_000;

/// The answer of `GetDataset`, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DatasetInfo {
    current_version_number: Option<u64>,
    last_updated: Option<String>,
    versions: Option<Vec<Listed>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Listed {
    version_number: Option<u64>,
    creation_date: Option<String>,
    version_notes: Option<String>,
    status: Option<String>,
}

impl DatasetInfo {
    /// The current version's number.
    pub(super) fn current(&self, dataset: &Dataset) -> Result<u64> {
        let number = self.current_version_number.filter(|&number| number > 0);
        number.ok_or_else(|| fault::answer("Kaggle", &format!("does not say which version of {dataset} is current")))
    }

    /// What is known of the current version while it is waited for; `None` where no version is current.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        let version = self.current_version_number?;
        let listed = self.versions.iter().flatten().find(|listed| listed.version_number == Some(version));
        let is_new = |listed: &&Listed| !listed.is_prepared_again();
        let made_at = listed.filter(is_new).and_then(|listed| time(listed.creation_date.as_deref()?));
        Some(Awaited { version, made_at, updated_at: time(self.last_updated.as_deref().unwrap_or_default()) })
    }

    /// The status of a version that is listed as anything but ready.
    fn unready(&self, number: u64) -> Option<String> {
        let listed = self.versions.iter().flatten().find(|version| version.version_number == Some(number))?;
        (!listed.ready()).then(|| words(listed.status.as_deref().unwrap_or_default()))
    }

    /// Why the files of a version are not there, where its status says so.
    pub(super) fn obstacle(&self, dataset: &Dataset, number: u64) -> Option<Error> {
        let status = self.unready(number)?;
        let ends_with = |name| status.to_ascii_uppercase().ends_with(name);
        Some(match () {
            () if ends_with("FAILED") => fault::version_failed(dataset, number, &status),
            () if ends_with("DELETED") => fault::version_deleted(dataset, number, &status),
            () => fault::version_not_ready(dataset, number, &status),
        })
    }

    /// The listed versions and the current one, newest first, each number once. Where none is listed, every number up to
    /// the current one may be that of a version.
    pub(super) fn versions(self) -> Vec<VersionInfo> {
        let current = self.current_version_number.unwrap_or_default();
        let mut versions: Vec<_> = self.versions.into_iter().flatten().filter_map(Listed::into_info).collect();
        if versions.is_empty() {
            versions.extend((1..=current).rev().take(MOST_UNLISTED).map(VersionInfo::unlisted));
        } else if current > 0 {
            versions.push(VersionInfo::unlisted(current));
        }
        versions.sort_by_key(|version| std::cmp::Reverse(version.number));
        versions.dedup_by_key(|version| version.number);
        versions
    }
}

impl Listed {
    /// The name of a status may come with a prefix and in any case; none at all says nothing against the version.
    fn ready(&self) -> bool {
        self.status.as_deref().is_none_or(|status| status.is_empty() || status.to_ascii_uppercase().ends_with("READY"))
    }

    /// Whether Kaggle prepares a version once more that was ready before: when it was made tells nothing of that.
    fn is_prepared_again(&self) -> bool {
        self.status.as_deref().is_some_and(|status| status.to_ascii_uppercase().ends_with("REPROCESSING"))
    }

    fn into_info(self) -> Option<VersionInfo> {
        let ready = self.ready();
        let created = self.creation_date.as_deref().and_then(time);
        Some(VersionInfo {
            number: self.version_number?,
            created,
            notes: self.version_notes.unwrap_or_default(),
            ready,
        })
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.with_timezone(&Utc))
}

/// An error told in an answer's body: `{code, message}`, the same inside `error`, or a non-empty `errorMessage`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The status that the body tells, from 400.
    pub(super) status: Option<u16>,
    /// The server's words, fit for a message; may be empty.
    pub(super) words: String,
}

impl Complaint {
    /// The complaint in a body, if it holds one.
    pub(super) fn find(body: &[u8]) -> Option<Self> {
        let outer: Value = serde_json::from_slice(body).ok()?;
        let inner = outer.get("error").filter(|inner| inner.is_object()).unwrap_or(&outer);
        let text = |name| inner.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let status = inner.get("code").and_then(Value::as_u64).filter(|&code| code >= 400);
        let status = status.map(|code| u16::try_from(code).unwrap_or(u16::MAX));
        let error_message = text("errorMessage");
        (status.is_some() || error_message.is_some())
            .then(|| Self { status, words: words(error_message.or_else(|| text("message")).unwrap_or_default()) })
    }
}

/// A server's text on one line, not too long, and without the query of any address in it (which may be a signature).
pub(super) fn words(text: &str) -> String {
    const LONGEST: usize = 300;
    let clean = |word: &str| match word.split_once('?') {
        Some((address, _)) if address.contains("://") => format!("{address}?…"),
        _ => word.to_owned(),
    };
    let line = text.split_whitespace().map(clean).collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// The `<Code>` of an object store's XML error, if it is a plain word.
pub(super) fn xml_code(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    (code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;

    fn parse(json: &str) -> DatasetInfo {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn doubled_unknown_absent_and_null_fields_are_no_obstacle() {
        let info = parse(
            r#"{"currentVersionNumber": 3, "currentVersionNumberNullable": 3, "hasCurrentVersionNumber": true,
                "ref": "o/s", "title": "t", "titleNullable": "t", "totalBytes": 1e3, "versions": null, "files": []}"#,
        );
        assert_eq!(info.current(&"o/s".parse().unwrap()).unwrap(), 3);
        assert_eq!(info.versions().iter().map(|version| version.number).collect::<Vec<_>>(), [3, 2, 1]);
        assert!(parse("{}").versions().is_empty());
        assert_eq!(parse("{}").current(&"o/s".parse().unwrap()).unwrap_err().code(), "KaggleAnswer");
    }

    #[test]
    fn versions_are_newest_first_with_times_of_any_precision() {
        let info = parse(
            r#"{"currentVersionNumber": 4, "versions": [{"versionNumber": 1, "creationDate": "2024-01-02T03:04:05Z", "status": "Ready"},
                {"versionNumber": 4, "creationDate": "2024-02-02T03:04:05.0834821Z", "versionNotes": "n"},
                {"versionNumber": 2, "creationDate": "yesterday", "status": "DatasetStatus.FAILED"}, {}]}"#,
        );
        assert_eq!(info.unready(2).as_deref(), Some("DatasetStatus.FAILED"));
        assert_eq!((info.unready(1), info.unready(4), info.unready(9)), (None, None, None));
        let versions = info.versions();
        assert_eq!(
            versions.iter().map(|v| (v.number, v.ready)).collect::<Vec<_>>(),
            [(4, true), (2, false), (1, true)]
        );
        assert_eq!(versions[0].created.unwrap().to_rfc3339(), "2024-02-02T03:04:05.083482100+00:00");
        assert_eq!((versions[0].notes.as_str(), versions[1].created), ("n", None));
        let unlisted = parse(r#"{"currentVersionNumber": 7, "versions": [{"versionNumber": 5}]}"#).versions();
        assert_eq!(unlisted.iter().map(|v| v.number).collect::<Vec<_>>(), [7, 5]);
    }

    #[test]
    fn what_is_waited_for_has_the_time_at_which_it_was_made() {
        let awaited = |listed: &str| {
            let updated = r#""lastUpdated": "2024-03-01T00:00:00.7Z""#;
            parse(&format!(r#"{{"currentVersionNumber": 2, {updated}, "versions": [{listed}]}}"#)).awaited().unwrap()
        };
        let listed = r#"{"versionNumber": 2, "creationDate": "2024-02-02T03:04:05.0834821Z", "status": "Pending"}"#;
        let (made, updated) = (time("2024-02-02T03:04:05.0834821Z"), time("2024-03-01T00:00:00.7Z"));
        assert_eq!(awaited(listed), Awaited { version: 2, made_at: made, updated_at: updated });
        assert_eq!(awaited(&listed.replace("Pending", "ReProcessing")).made_at, None, "it was ready before");
        assert_eq!(awaited(&listed.replace(": 2,", ": 1,")).made_at, None);
        assert_eq!(parse("{}").awaited(), None);
    }

    #[test]
    fn a_table_waits_since_the_version_was_made_and_not_since_before_its_newest_commit() {
        let [early, late] = ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"].map(time);
        let awaited = |made_at, updated_at| Awaited { version: 2, made_at, updated_at };
        let (before, read) = (Position::Version(1), Position::Version(2));
        assert_eq!(awaited(early, None).since(late, Some(&before)), late);
        assert_eq!(awaited(late, None).since(early, Some(&before)), late);
        assert_eq!(awaited(None, late).since(early, Some(&before)), late);
        assert_eq!(awaited(early, late).since(None, None), early);
        assert_eq!(awaited(None, early).since(None, None), None, "a dataset may be of any age at a first run");
        assert_eq!(awaited(early, early).since(early, Some(&read)), None, "nobody waits for what was read");
    }

    #[test]
    fn a_complaint_is_found_in_each_of_its_forms_and_only_there() {
        let cases = [
            (r#"{"code":401,"message":"Unauthorized"}"#, Some((Some(401), "Unauthorized"))),
            (r#"{"error":{"code":429,"message":"Too many requests"}}"#, Some((Some(429), "Too many requests"))),
            (r#"{"errorMessage":"no such\n file"}"#, Some((None, "no such file"))),
            (r#"{"code":200,"message":"fine"}"#, None),
            (r#"{"errorMessage":"","currentVersionNumber":1}"#, None),
            ("<html>", None),
        ];
        for (body, expected) in cases {
            let found = Complaint::find(body.as_bytes());
            assert_eq!(found.as_ref().map(|c| (c.status, c.words.as_str())), expected, "{body}");
        }
    }

    #[test]
    fn words_lose_signatures_line_ends_and_excess() {
        assert_eq!(words("see\n\thttps://h/p?X-Goog-Signature=abc now"), "see https://h/p?… now");
        assert_eq!(words(&"x".repeat(1000)).len(), 300);
    }

    #[test]
    fn xml_code_is_a_plain_word_or_nothing() {
        assert_eq!(xml_code(b"<Error><Code>ExpiredToken</Code></Error>").as_deref(), Some("ExpiredToken"));
        assert_eq!(xml_code(b"<Error><Code>a b</Code></Error>"), None);
        assert_eq!(xml_code(b"<html>"), None);
    }

    const CORPUS: [&str; 4] = [
        r#"{"currentVersionNumber": 3, "versions": [{"versionNumber": 3, "creationDate": "2024-01-02T03:04:05.1Z",
            "status": "READY"}, {"versionNumber": 1, "versionNotes": "first", "status": "FAILED"}]}"#,
        r#"{"code": 429, "message": "Too many requests, see https://example.com/a?signature=abc"}"#,
        r#"{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}"#,
        "<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>expired</Message></Error>",
    ];

    /// What is cut out, and what is put there.
    type Edit = (usize, usize, Vec<u8>);

    fn edited(corpus: usize, edits: &[Edit]) -> Vec<u8> {
        let mut bytes = CORPUS[corpus].as_bytes().to_vec();
        for (at, length, put) in edits {
            let at = at % (bytes.len() + 1);
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, put.iter().copied());
        }
        bytes
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 4000, ..Default::default() })]

        #[test]
        fn no_answer_panics_and_what_is_taken_from_one_is_sound(
            corpus in 0..CORPUS.len(),
            edits in proptest::collection::vec((0..300_usize, 0..8_usize, proptest::collection::vec(proptest::num::u8::ANY, 0..6)), 0..4),
        ) {
            let bytes = edited(corpus, &edits);
            if let Ok(info) = serde_json::from_slice::<DatasetInfo>(&bytes) {
                let dataset = "o/s".parse().unwrap();
                assert!(info.current(&dataset).is_ok_and(|number| number > 0) || info.current(&dataset).is_err());
                let versions = info.versions();
                assert!(versions.windows(2).all(|pair| pair[0].number > pair[1].number));
            }
            if let Some(complaint) = Complaint::find(&bytes) {
                assert!(complaint.status.is_none_or(|status| status >= 400));
                assert!(complaint.words.chars().count() <= 300 && !complaint.words.chars().any(char::is_control));
            }
            assert!(xml_code(&bytes).is_none_or(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric())));
        }
    }
}
