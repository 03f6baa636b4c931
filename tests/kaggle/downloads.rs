//! Downloads that go well, and those that cannot.

use std::sync::Mutex;
use std::time::Instant;

use cdc_to_s3::error::Kind;

use super::*;
use crate::support::kaggle::{Drip, Hashes};

#[tokio::test]
async fn a_download_is_pinned_and_goes_to_storage_without_credentials() {
    let rig = Rig::new().await;
    let old = archive(300_000);
    rig.kaggle.publish(1, old.clone());
    rig.kaggle.publish(2, archive(100));
    let fetched = rig.expect_archive(&old).await;
    let seen = rig.kaggle.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].path, "/v1/datasets.DatasetApiService/DownloadDataset");
    let input = serde_json::json!({"ownerSlug": "owner", "datasetSlug": "slug", "datasetVersionNumber": 1});
    assert_eq!(seen[0].input, input);
    assert_eq!((seen[1].method.as_str(), seen[1].endpoint), ("GET", Some(Endpoint::Storage)));
    assert_eq!(seen[1].header("accept-encoding"), Some("identity"));
    for absent in ["authorization", "content-type", "content-length", "range", "referer", "cookie"] {
        assert_eq!(seen[1].header(absent), None, "{absent}");
    }
    assert!(fetched.etag.unwrap().starts_with('"'));
}

#[tokio::test]
async fn a_second_version_beside_the_first_has_its_own_file() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, archive(100));
    rig.kaggle.publish(2, archive(200));
    let (one, two) = (rig.download(1).await.unwrap(), rig.download(2).await.unwrap());
    assert_eq!((one.len, two.len), (100, 200));
    assert!(one.path.exists() && two.path.exists());
}

#[tokio::test]
async fn progress_ends_at_the_whole_length() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, archive(300_000));
    let told = Mutex::new(Vec::new());
    let progress = |done, total| told.lock().unwrap().push((done, total));
    rig.client.download(&dataset(), 1, rig.folder.path(), Deadline::NONE, &progress).await.unwrap();
    let told = told.into_inner().unwrap();
    assert_eq!(told.last(), Some(&(300_000, Some(300_000))));
    assert!(told.is_sorted());
}

#[tokio::test]
async fn an_archive_of_unknown_length_or_with_any_form_of_hashes_is_taken() {
    let faults = [
        Fault { no_length: true, ..Fault::default() },
        Fault { no_length: true, hashes: Hashes::None, ..Fault::default() },
        Fault { hashes: Hashes::Lines, ..Fault::default() },
        Fault { hashes: Hashes::Crc32c, ..Fault::default() },
        Fault { hashes: Hashes::Md5, ..Fault::default() },
        Fault { hashes: Hashes::None, ..Fault::default() },
    ];
    for fault in faults {
        let rig = Rig::new().await;
        let bytes = archive(200_000);
        rig.kaggle.publish(1, bytes.clone());
        rig.faults(Endpoint::Storage, [fault]);
        rig.expect_archive(&bytes).await;
        assert_eq!(rig.count(Endpoint::Storage), 1);
    }
}

#[tokio::test]
async fn a_slow_body_is_waited_for_as_long_as_it_moves() {
    let rig = Rig::new().await;
    let bytes = archive(1_000);
    rig.kaggle.publish(1, bytes.clone());
    rig.faults(Endpoint::Storage, [Fault { drip: Some(Drip { bytes: 100, pause_ms: 60 }), ..Fault::default() }]);
    rig.expect_archive(&bytes).await;
    assert_eq!(rig.count(Endpoint::Storage), 1);
}

#[tokio::test]
async fn the_deadline_ends_a_slow_download_and_leaves_nothing_behind() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, archive(100_000));
    rig.faults(Endpoint::Storage, [Fault { drip: Some(Drip { bytes: 10, pause_ms: 50 }), ..Fault::default() }]);
    let (begun, deadline) = (Instant::now(), Deadline::within(Duration::from_millis(600)));
    let error = rig.client.download(&dataset(), 1, rig.folder.path(), deadline, &|_, _| {}).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "OutOfTime"));
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(files(rig.folder.path()), [""; 0]);
}

#[tokio::test]
async fn an_announced_version_without_archive_is_not_ready_yet() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, archive(100));
    rig.kaggle.announce(2);
    let error = rig.expect_failure(2, "VersionNotReady").await;
    assert_eq!(error.kind(), Kind::Transient);
}

#[tokio::test]
async fn an_old_version_without_archive_is_gone() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, archive(100));
    rig.kaggle.publish(2, archive(100));
    rig.kaggle.remove(1);
    let error = rig.expect_failure(1, "VersionGone").await;
    assert_eq!(error.kind(), Kind::Data);
}

#[tokio::test]
async fn a_404_of_the_storage_is_judged_like_one_of_the_api() {
    for (version, code) in [(1, "VersionGone"), (2, "VersionNotReady")] {
        let rig = Rig::new().await;
        rig.kaggle.publish(1, archive(100));
        rig.kaggle.publish(2, archive(100));
        rig.faults(Endpoint::Storage, [status(404)]);
        rig.expect_failure(version, code).await;
    }
}

#[tokio::test]
async fn a_missing_dataset_is_told_from_a_missing_version() {
    let rig = Rig::new().await;
    let other = "owner/other".parse().unwrap();
    let error = rig.client.download(&other, 1, rig.folder.path(), Deadline::NONE, &|_, _| {}).await.unwrap_err();
    assert_eq!(error.code(), "DatasetNotFound");
}

#[tokio::test]
async fn refusals_of_the_download_call_are_told_apart() {
    let cases = [
        (status(401), "KaggleUnauthorized"),
        (status(403), "KaggleForbidden"),
        (body(r#"{"code":403,"message":"rules"}"#), "KaggleForbidden"),
        (body("<html>hello</html>"), "KaggleAnswer"),
        (Fault { redirect: Some("ftp://elsewhere/a".to_owned()), ..Fault::default() }, "KaggleAnswer"),
        (Fault { redirect: Some("http://user:word@127.0.0.1/a".to_owned()), ..Fault::default() }, "KaggleAnswer"),
    ];
    for (fault, code) in cases {
        let rig = Rig::new().await;
        rig.kaggle.publish(1, archive(100));
        rig.faults(Endpoint::DownloadDataset, [fault]);
        rig.expect_failure(1, code).await;
        assert_eq!(rig.count(Endpoint::Storage), 0);
    }
}

#[tokio::test]
async fn a_page_in_place_of_the_archive_is_a_clear_error_and_not_repeated() {
    for page in ["<html>sign in</html>", r#"{"code":404,"message":"none"}"#, "P", "PX and more than twenty-two bytes"] {
        let rig = Rig::new().await;
        rig.kaggle.publish(1, archive(100));
        rig.faults(Endpoint::Storage, vec![body(page); if page == "P" { 9 } else { 1 }]);
        let code = if page == "P" { "DownloadCorrupt" } else { "KaggleAnswer" };
        rig.expect_failure(1, code).await;
    }
}

#[tokio::test]
async fn credentials_travel_to_the_apis_own_origin_only() {
    let rig = Rig::new().await;
    rig.kaggle.announce(1);
    let redirect = |url| Fault { redirect: Some(format!("{url}/elsewhere")), ..Fault::default() };
    rig.faults(Endpoint::DownloadDataset, [redirect(rig.kaggle.url())]);
    rig.download(1).await.unwrap_err();
    rig.faults(Endpoint::DownloadDataset, [redirect(rig.kaggle.storage_url()), status(404)]);
    rig.download(1).await.unwrap_err();
    let seen = rig.kaggle.requests().into_iter().filter(|seen| seen.path == "/elsewhere");
    let authorised: Vec<_> = seen.map(|seen| seen.header("authorization").is_some()).collect();
    assert_eq!(authorised, [true, false]);
}

#[tokio::test]
async fn redirects_of_the_storage_are_followed_but_not_for_ever() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, archive(100));
    let again = Fault { redirect: Some("/again".to_owned()), ..Fault::default() };
    rig.faults(Endpoint::Storage, vec![again; 9]);
    rig.expect_failure(1, "KaggleAnswer").await;
    assert_eq!(rig.count(Endpoint::Storage), 5);
}

#[tokio::test]
async fn too_small_a_disk_is_noticed_before_the_first_byte() {
    let rig = Rig::with(Settings { disk_margin: u64::MAX, ..settings() }).await;
    rig.kaggle.publish(1, archive(100));
    let error = rig.expect_failure(1, "DiskFull").await;
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.advice().unwrap().contains("EphemeralStorage"));
}

#[tokio::test]
async fn a_missing_work_folder_is_an_error_of_the_configuration() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, archive(100));
    let nowhere = rig.folder.path().join("nowhere");
    let error = rig.client.download(&dataset(), 1, &nowhere, Deadline::NONE, &|_, _| {}).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "WorkFolder"));
    assert!(rig.kaggle.requests().is_empty());
}

#[tokio::test]
async fn a_storage_that_cannot_be_reached_is_told_without_its_link() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, archive(100));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let link = format!("http://{}/kaggle-data-sets/1?X-Goog-Signature=abc", listener.local_addr().unwrap());
    drop(listener);
    rig.faults(Endpoint::DownloadDataset, [Fault { redirect: Some(link), ..Fault::default() }]);
    let error = rig.expect_failure(1, "KaggleUnavailable").await;
    assert!(error.to_string().contains("storage cannot be reached"), "{error}");
}
