//! Downloads in spite of faults: cuts, wrong parts, damage, expired links.

use std::sync::Mutex;

use cdc_to_s3::error::Kind;
use tracing::instrument::WithSubscriber;

use super::*;
use crate::support::kaggle::Hashes;

const LEN: usize = 300_000;
const CUT: usize = 100_000;

async fn rig() -> (Rig, Vec<u8>) {
    let (rig, bytes) = (Rig::new().await, archive(LEN));
    rig.kaggle.publish(1, bytes.clone());
    (rig, bytes)
}

fn from(first: usize) -> Option<String> {
    Some(format!("bytes={first}-"))
}

/// Without hashes only the resume's own rules protect the archive.
fn cut_without_hashes() -> Fault {
    Fault { hashes: Hashes::None, ..cut_after(CUT) }
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_stopped_with_the_same_link() {
    let (rig, bytes) = rig().await;
    rig.faults(Endpoint::Storage, [cut_after(CUT), cut_after(CUT)]);
    let archive = rig.expect_archive(&bytes).await;
    assert_eq!(rig.ranges(), [None, from(CUT), from(2 * CUT)]);
    let seen = rig.kaggle.requests_for(Endpoint::Storage);
    assert_eq!(seen[1].header("if-range"), archive.etag.as_deref());
    assert_eq!(rig.count(Endpoint::DownloadDataset), 1);
}

#[tokio::test]
async fn a_silent_download_is_broken_off_and_goes_on() {
    let (rig, bytes) = rig().await;
    rig.faults(Endpoint::Storage, [Fault { stall_after: Some(CUT), ..Fault::default() }]);
    rig.expect_archive(&bytes).await;
    assert_eq!(rig.ranges(), [None, from(CUT)]);
}

#[tokio::test]
async fn a_cut_before_the_first_byte_and_a_storage_in_trouble_are_tried_again() {
    for fault in [cut_after(0), status(500), status(503), status(429), status(408)] {
        let (rig, bytes) = rig().await;
        rig.faults(Endpoint::Storage, [fault]);
        rig.expect_archive(&bytes).await;
        assert_eq!(rig.ranges(), [None, None]);
    }
}

#[tokio::test]
async fn tries_of_the_storage_are_bounded() {
    for (fault, code) in
        [(status(503), "KaggleUnavailable"), (status(429), "KaggleThrottled"), (cut_after(10), "KaggleUnavailable")]
    {
        let (rig, _) = rig().await;
        rig.faults(Endpoint::Storage, vec![fault; 9]);
        let error = rig.expect_failure(1, code).await;
        assert_eq!(error.kind(), Kind::Transient);
        assert_eq!(rig.count(Endpoint::Storage), 4);
    }
}

#[tokio::test]
async fn an_errors_body_never_gets_into_the_archive() {
    let (rig, bytes) = rig().await;
    rig.faults(Endpoint::Storage, [cut_without_hashes(), Fault { status: Some(503), ..body("PK error page") }]);
    rig.faults(Endpoint::Storage, [Fault { hashes: Hashes::None, ..Fault::default() }]);
    rig.expect_archive(&bytes).await;
    assert_eq!(rig.ranges(), [None, from(CUT), from(CUT)]);
}

#[tokio::test]
async fn a_part_other_than_the_missing_one_is_discarded_and_the_whole_fetched() {
    let last = LEN - 1;
    for wrong in [
        format!("bytes {}-{last}/{LEN}", CUT + 1),
        format!("bytes {}-{last}/{LEN}", CUT - 1),
        format!("bytes {CUT}-{}/{LEN}", last - 1),
        format!("bytes {CUT}-{last}/{}", LEN + 1),
        format!("bytes {CUT}-{last}/*"),
        "nonsense".to_owned(),
    ] {
        let (rig, bytes) = rig().await;
        let wrong = Fault { content_range: Some(wrong), ..Fault::default() };
        rig.faults(Endpoint::Storage, [cut_without_hashes(), wrong]);
        rig.expect_archive(&bytes).await;
        assert_eq!(rig.ranges(), [None, from(CUT), None]);
    }
}

#[tokio::test]
async fn a_200_to_a_range_starts_over_with_that_body() {
    let (rig, bytes) = rig().await;
    rig.faults(Endpoint::Storage, [cut_without_hashes(), Fault { ignore_range: true, ..Fault::default() }]);
    rig.expect_archive(&bytes).await;
    assert_eq!(rig.ranges(), [None, from(CUT)]);
}

#[tokio::test]
async fn an_object_replaced_between_two_requests_is_fetched_whole() {
    let (rig, _) = rig().await;
    let replacement: Vec<_> = archive(LEN).into_iter().chain([7; 50]).collect();
    rig.faults(Endpoint::Storage, [cut_without_hashes()]);
    let swap = |_, _| rig.kaggle.stage(1, replacement.clone());
    let fetched = rig.client.download(&dataset(), 1, rig.folder.path(), Deadline::NONE, &swap).await.unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == replacement);
    assert_eq!(rig.ranges(), [None, from(CUT)]);
}

#[tokio::test]
async fn a_416_discards_and_fetches_the_whole() {
    let (rig, bytes) = rig().await;
    rig.faults(Endpoint::Storage, [cut_without_hashes(), status(416)]);
    rig.expect_archive(&bytes).await;
    assert_eq!(rig.ranges(), [None, from(CUT), None]);
}

#[tokio::test]
async fn without_a_strong_validator_a_cut_download_starts_over() {
    for etag in ["", "W/\"weak\"", "unquoted"] {
        let (rig, bytes) = rig().await;
        rig.faults(Endpoint::Storage, [Fault { etag: Some(etag.to_owned()), ..cut_without_hashes() }]);
        rig.expect_archive(&bytes).await;
        assert_eq!(rig.ranges(), [None, None], "{etag}");
    }
}

#[tokio::test]
async fn a_cut_download_of_unknown_length_goes_on_with_the_length_of_the_part() {
    let (rig, bytes) = rig().await;
    rig.faults(Endpoint::Storage, [Fault { no_length: true, ..cut_after(CUT) }]);
    rig.expect_archive(&bytes).await;
    assert_eq!(rig.ranges(), [None, from(CUT)]);
}

#[tokio::test]
async fn damage_is_caught_by_whichever_hash_is_offered_and_fetched_again() {
    for hashes in [Hashes::Joined, Hashes::Lines, Hashes::Crc32c, Hashes::Md5] {
        let (rig, bytes) = rig().await;
        rig.faults(Endpoint::Storage, [Fault { corrupt: true, hashes, ..Fault::default() }]);
        rig.expect_archive(&bytes).await;
        assert_eq!(rig.ranges(), [None, None], "{hashes:?}");
    }
}

#[tokio::test]
async fn damage_in_a_resumed_part_is_caught_over_the_whole() {
    let (rig, bytes) = rig().await;
    rig.faults(Endpoint::Storage, [cut_after(CUT), Fault { corrupt: true, ..Fault::default() }]);
    rig.expect_archive(&bytes).await;
    assert_eq!(rig.ranges(), [None, from(CUT), None]);
}

#[tokio::test]
async fn lasting_damage_is_given_up() {
    let (rig, _) = rig().await;
    rig.faults(Endpoint::Storage, vec![Fault { corrupt: true, ..Fault::default() }; 9]);
    let error = rig.expect_failure(1, "DownloadCorrupt").await;
    assert_eq!(error.kind(), Kind::Transient);
    assert_eq!(rig.count(Endpoint::Storage), 3);
}

#[tokio::test]
async fn a_refused_link_is_renewed_and_the_download_goes_on() {
    for refusal in [400, 401, 403] {
        let (rig, bytes) = rig().await;
        rig.faults(Endpoint::Storage, [cut_after(CUT), status(refusal)]);
        rig.expect_archive(&bytes).await;
        assert_eq!(rig.ranges(), [None, from(CUT), from(CUT)], "{refusal}");
        assert_eq!(rig.count(Endpoint::DownloadDataset), 2);
    }
}

#[tokio::test]
async fn a_link_that_expires_during_the_download_is_renewed() {
    let (rig, bytes) = rig().await;
    rig.faults(Endpoint::Storage, [cut_after(CUT)]);
    let begun = Mutex::new(false);
    let expire_once = |_, _| {
        if !std::mem::replace(&mut *begun.lock().unwrap(), true) {
            rig.kaggle.expire_links();
        }
    };
    let fetched = rig.client.download(&dataset(), 1, rig.folder.path(), Deadline::NONE, &expire_once).await.unwrap();
    assert!(std::fs::read(&fetched.path).unwrap() == bytes);
    assert_eq!(rig.ranges(), [None, from(CUT), from(CUT)]);
    assert_eq!(rig.count(Endpoint::DownloadDataset), 2);
}

#[tokio::test]
async fn renewals_of_the_link_are_bounded() {
    let (rig, _) = rig().await;
    rig.faults(Endpoint::Storage, vec![status(403); 9]);
    let error = rig.expect_failure(1, "KaggleUnavailable").await;
    assert!(error.to_string().contains("403"), "{error}");
    assert_eq!((rig.count(Endpoint::Storage), rig.count(Endpoint::DownloadDataset)), (3, 3));
}

#[tokio::test]
async fn logs_warn_of_a_missing_hash_and_tell_no_secret() {
    let (rig, bytes) = rig().await;
    rig.faults(Endpoint::Storage, [Fault { hashes: Hashes::None, ..cut_after(CUT) }, status(403), status(503)]);
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // While there is one dispatcher only, tracing asks that of whichever thread meets a log line first (another test's,
    // which has none) and keeps the answer; with two it asks both.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    rig.expect_archive(&bytes).with_subscriber(subscriber).await;
    let told = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(told.contains("offered no hash"), "{told}");
    assert!(told.contains("waiting before the next try"), "{told}");
    for secret in ["X-Goog", TOKEN, "Bearer"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
