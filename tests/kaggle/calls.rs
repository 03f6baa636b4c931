//! API calls: the version check, credentials, refusals, retries.

use std::time::{Duration, Instant};

use cdc_to_s3::config::{Environment, KAGGLE_API_TOKEN};
use cdc_to_s3::error::Kind;

use super::*;

#[tokio::test]
async fn current_version_costs_one_call_with_the_right_input() {
    let rig = Rig::new().await;
    rig.kaggle.publish(3, archive(100));
    assert_eq!(rig.current().await.unwrap(), 3);
    let seen = rig.kaggle.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].method, "POST");
    assert_eq!(seen[0].path, "/v1/datasets.DatasetApiService/GetDataset");
    assert_eq!(seen[0].input, serde_json::json!({"ownerSlug": "owner", "datasetSlug": "slug"}));
    assert_eq!(seen[0].header("content-type"), Some("application/json"));
    assert_eq!(seen[0].header("user-agent"), Some(concat!("cdc-to-s3/", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn versions_are_listed_newest_first_without_the_deleted_ones() {
    let rig = Rig::new().await;
    (1..=4).for_each(|version| rig.kaggle.publish(version, archive(100)));
    rig.kaggle.remove(2);
    rig.kaggle.set_status(1, "FAILED");
    let versions = rig.client.versions(&dataset(), Deadline::NONE).await.unwrap();
    let listed: Vec<_> = versions.iter().map(|version| (version.number, version.ready)).collect();
    assert_eq!(listed, [(4, true), (3, true), (1, false)]);
    assert_eq!(versions[0].created.unwrap().to_rfc3339(), "2026-01-01T00:00:04.083+00:00");
}

#[tokio::test]
async fn each_kind_of_credentials_is_sent_in_its_form_and_anonymous_sends_none() {
    let legacy = KaggleCredentials::Legacy { username: "user".to_owned(), key: Secret::new("key") };
    let cases = [
        (token(TOKEN), Accepted::Token(TOKEN.to_owned()), Some(format!("Bearer {TOKEN}"))),
        (legacy, Accepted::Legacy("user".to_owned(), "key".to_owned()), Some("Basic dXNlcjprZXk=".to_owned())),
        (KaggleCredentials::Anonymous, Accepted::Anyone, None),
    ];
    for (credentials, accepted, expected) in cases {
        let kaggle = StandIn::start(DATASET).await.unwrap();
        kaggle.set_credentials(accepted);
        kaggle.publish(1, archive(100));
        let client = client(&kaggle.url(), CredentialCache::fixed(credentials), settings());
        assert_eq!(client.current_version(&dataset(), Deadline::NONE).await.unwrap(), 1);
        assert_eq!(kaggle.requests()[0].header("authorization").map(str::to_owned), expected);
    }
}

/// Credentials that were `old` when they were read, and have been replaced by `new` since.
async fn rotated(rig: &Rig, old: &str, new: &str) -> CredentialCache {
    let file = rig.folder.path().join("token");
    std::fs::write(&file, old).unwrap();
    let environment = Environment::from_pairs([(KAGGLE_API_TOKEN, file.to_str().unwrap())]);
    let cache = CredentialCache::new(environment, None, || unreachable!("no secret is configured"));
    cache.kaggle().await.unwrap();
    std::fs::write(&file, new).unwrap();
    cache
}

#[tokio::test]
async fn a_401_is_tried_once_more_with_rotated_credentials() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, archive(100));
    let client = client(&rig.kaggle.url(), rotated(&rig, "KGAT_old", TOKEN).await, settings());
    for calls in [2, 3] {
        assert_eq!(client.current_version(&dataset(), Deadline::NONE).await.unwrap(), 1);
        assert_eq!(rig.kaggle.requests().len(), calls);
    }
}

#[tokio::test]
async fn a_401_is_fatal_when_the_credentials_are_still_the_same_or_the_new_ones_fail_too() {
    for (later, calls) in [("KGAT_old", 1), ("KGAT_new", 2)] {
        let rig = Rig::new().await;
        let client = client(&rig.kaggle.url(), rotated(&rig, "KGAT_old", later).await, settings());
        let error = client.current_version(&dataset(), Deadline::NONE).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Config, "KaggleUnauthorized"));
        assert_eq!(rig.kaggle.requests().len(), calls);
        assert_tells_no_secret(&error);
    }
}

#[tokio::test]
async fn refusals_are_told_apart_and_not_repeated() {
    let cases = [
        (status(403), Kind::Config, "KaggleForbidden"),
        (status(404), Kind::Config, "DatasetNotFound"),
        (Fault { status: Some(404), ..body("<html>no</html>") }, Kind::Config, "DatasetNotFound"),
        (status(400), Kind::Transient, "KaggleAnswer"),
        (body("<html>maintenance</html>"), Kind::Transient, "KaggleAnswer"),
        (body("{}"), Kind::Transient, "KaggleAnswer"),
        (body(r#"{"code":403,"message":"accept the rules"}"#), Kind::Config, "KaggleForbidden"),
        (body(r#"{"code":404,"message":"none"}"#), Kind::Config, "DatasetNotFound"),
        (body(r#"{"errorMessage":"no"}"#), Kind::Transient, "KaggleAnswer"),
    ];
    for (fault, kind, code) in cases {
        let rig = Rig::new().await;
        rig.kaggle.publish(1, archive(100));
        rig.faults(Endpoint::GetDataset, [fault.clone()]);
        let error = rig.current().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code), "{fault:?}");
        assert!(error.advice().is_some());
        assert_eq!(rig.kaggle.requests().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_403_shows_the_words_of_the_server_and_where_to_act() {
    let rig = Rig::new().await;
    let words = r#"{"code":403,"message":"You must accept this dataset's rules"}"#;
    rig.faults(Endpoint::GetDataset, [Fault { status: Some(403), ..body(words) }]);
    let error = rig.current().await.unwrap_err();
    assert!(error.to_string().contains("You must accept this dataset's rules"), "{error}");
    assert!(error.advice().unwrap().contains("https://www.kaggle.com/datasets/owner/slug"));
}

#[tokio::test]
async fn passing_faults_are_tried_again() {
    let throttled = r#"{"error":{"code":429,"message":"Too many requests","status":"RESOURCE_EXHAUSTED"}}"#;
    let silent = Fault { stall_after: Some(5), ..Fault::default() };
    for fault in [status(500), status(503), status(429), status(408), body(throttled), cut_after(5), silent] {
        let rig = Rig::new().await;
        rig.kaggle.publish(1, archive(100));
        rig.faults(Endpoint::GetDataset, [fault.clone(), fault.clone()]);
        assert_eq!(rig.current().await.unwrap(), 1, "{fault:?}");
        assert_eq!(rig.kaggle.requests().len(), 3, "{fault:?}");
    }
}

#[tokio::test]
async fn tries_are_bounded_and_the_error_says_what_was_wrong() {
    for (fault, code) in
        [(status(503), "KaggleUnavailable"), (status(429), "KaggleThrottled"), (cut_after(3), "KaggleUnavailable")]
    {
        let rig = Rig::new().await;
        rig.faults(Endpoint::GetDataset, vec![fault; 9]);
        let error = rig.current().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Transient, code));
        assert_eq!(rig.kaggle.requests().len(), 4);
        assert_tells_no_secret(&error);
    }
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_unavailable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = client(&url, CredentialCache::fixed(token(TOKEN)), settings());
    let error = client.current_version(&dataset(), Deadline::NONE).await.unwrap_err();
    assert_eq!(error.code(), "KaggleUnavailable");
    assert_tells_no_secret(&error);
}

#[tokio::test]
async fn retry_after_is_a_minimum_in_both_forms() {
    for wait in ["1", "Thu, 01 Jan 2026 00:00:01 GMT"] {
        for code in [429, 503] {
            let rig = Rig::new().await;
            rig.kaggle.publish(1, archive(100));
            rig.faults(Endpoint::GetDataset, [Fault { retry_after: Some(wait.to_owned()), ..status(code) }]);
            let begun = Instant::now();
            assert_eq!(rig.current().await.unwrap(), 1);
            assert!(begun.elapsed() >= Duration::from_secs(1), "{wait}, {code}: {:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn a_retry_after_beyond_the_deadline_or_the_limit_ends_the_run_at_once() {
    for (deadline, seconds) in [(Deadline::within(Duration::from_secs(2)), "3"), (Deadline::NONE, "3600")] {
        let rig = Rig::new().await;
        rig.faults(Endpoint::GetDataset, [Fault { retry_after: Some(seconds.to_owned()), ..status(429) }]);
        let begun = Instant::now();
        let error = rig.client.current_version(&dataset(), deadline).await.unwrap_err();
        assert_eq!(error.code(), "KaggleThrottled");
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert!(error.advice().unwrap().contains(&format!("{seconds}.0 s")), "{:?}", error.advice());
    }
}

#[tokio::test]
async fn a_current_version_that_is_still_prepared_is_not_ready_and_an_unknown_status_is_no_obstacle() {
    for (told, ready) in [("BLOBS_RECEIVED", false), ("REPROCESSING", false), ("READY", true), ("", true)] {
        let rig = Rig::new().await;
        rig.kaggle.publish(1, archive(100));
        rig.kaggle.set_status(1, told);
        match rig.current().await {
            Ok(version) => assert!(ready && version == 1, "{told}"),
            Err(error) => {
                assert!(!ready, "{told}");
                assert_eq!((error.kind(), error.code()), (Kind::Transient, "VersionNotReady"));
                assert!(error.to_string().contains(told));
            }
        }
    }
}

#[tokio::test]
async fn a_current_version_that_failed_or_was_deleted_is_no_longer_waited_for() {
    for (told, code) in
        [("FAILED", "VersionFailed"), ("DatasetVersionStatus.failed", "VersionFailed"), ("DELETED", "VersionDeleted")]
    {
        let rig = Rig::new().await;
        rig.kaggle.publish(1, archive(100));
        rig.kaggle.publish(2, archive(100));
        rig.kaggle.set_status(2, told);
        let error = rig.current().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Data, code), "{told}");
        assert!(error.to_string().contains("version 2 of owner/slug"), "{error}");
        assert!(error.advice().unwrap().contains("publish another version"), "{error:?}");
        // As when the version fails between the question and the download.
        rig.faults(Endpoint::Storage, [status(404)]);
        rig.expect_failure(2, code).await;
    }
}

#[tokio::test]
async fn credentials_that_no_header_can_carry_are_refused_without_being_shown() {
    let rig = Rig::new().await;
    let client = client(&rig.kaggle.url(), CredentialCache::fixed(token("KGAT_two\nlines")), settings());
    let error = client.current_version(&dataset(), Deadline::NONE).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "KaggleUnauthorized"));
    assert_tells_no_secret(&error);
    assert!(rig.kaggle.requests().is_empty());
}

#[tokio::test]
async fn the_client_shows_its_endpoint_and_nothing_else() {
    let rig = Rig::new().await;
    assert_eq!(format!("{:?}", rig.client), format!("Kaggle {{ endpoint: {:?}, .. }}", rig.kaggle.url()));
}
