//! What is particular to S3: the answers that no emulator gives, and what becomes of a multipart upload.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use cdc_to_s3::lake::store::{
    ByteRange, Condition, ETag, ObjectStore, Payload, Put, S3ClientOptions, S3Options, S3Store, read_all, s3_client,
};
use cdc_to_s3::{Error, Kind};

use super::{create, memory, read};
use crate::support::emulator;
use crate::support::script::{Answer, Server};

/// CRC-64/NVME of `content`, as S3 writes it.
const CONTENT_CRC64: &str = "lhVdXyVQTGE=";

/// The production client with pauses that a test can wait for.
pub(super) fn client(endpoint: &str) -> Client {
    let client = s3_client(&emulator::sdk_config(endpoint, "000000000042"), &S3ClientOptions::default());
    let retry = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    Client::from_conf(
        client.config().to_builder().retry_config(retry.with_max_backoff(Duration::from_millis(5))).build(),
    )
}

async fn scripted(answers: impl IntoIterator<Item = Answer>) -> (Server, S3Store) {
    let server = Server::start(answers).await;
    let store = S3Store::new(client(&server.endpoint), S3Options::new("bucket", "lake"));
    (server, store)
}

/// A store for which ten bytes are three parts, one after the other so that answers find their requests.
async fn scripted_in_parts(answers: impl IntoIterator<Item = Answer>) -> (Server, S3Store) {
    let server = Server::start(answers).await;
    let options =
        S3Options { multipart_threshold: 4, part_size: 4, concurrent_parts: 1, ..S3Options::new("bucket", "lake") };
    let store = S3Store::new(client(&server.endpoint), options);
    (server, store)
}

fn object(content: &str) -> Answer {
    Answer::status(200).header("etag", "\"v1\"").body(content.to_owned())
}

fn partial(content: &str, range: &str) -> Answer {
    Answer::status(206).header("etag", "\"v1\"").header("content-range", range).body(content.to_owned())
}

fn tag(tag: &str) -> ETag {
    ETag(tag.to_owned())
}

async fn put_error(answers: impl IntoIterator<Item = Answer>) -> Error {
    let (_server, store) = scripted(answers).await;
    store.put("t", &memory("content"), &Condition::Absent).await.unwrap_err()
}

#[tokio::test]
async fn a_write_carries_its_condition_and_its_checksum() {
    let (server, store) = scripted([object(""), object("")]).await;
    let written = Put::Written(tag("\"v1\""));
    assert_eq!(store.put("a/t", &memory("content"), &Condition::Absent).await.unwrap(), written);
    let condition = Condition::Matches(tag("\"v0\""));
    assert_eq!(store.put("a/t", &memory("content"), &condition).await.unwrap(), written);
    let asked = server.asked();
    assert_eq!((asked[0].method.as_str(), asked[0].target.split('?').next().unwrap()), ("PUT", "/bucket/lake/a/t"));
    assert_eq!((asked[0].header("if-none-match"), asked[0].header("if-match")), ("*", ""));
    assert_eq!((asked[1].header("if-none-match"), asked[1].header("if-match")), ("", "\"v0\""));
    assert_eq!(asked[0].header("x-amz-checksum-crc64nvme"), CONTENT_CRC64);
}

#[tokio::test]
async fn a_kms_key_is_asked_for_where_one_is_configured() {
    let server = Server::start([object("")]).await;
    let options = S3Options { kms_key_id: Some("alias/lake".to_owned()), ..S3Options::new("bucket", "lake") };
    let store = S3Store::new(client(&server.endpoint), options);
    let _ = store.put("t", &memory("content"), &Condition::Absent).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].header("x-amz-server-side-encryption"), "aws:kms");
    assert_eq!(asked[0].header("x-amz-server-side-encryption-aws-kms-key-id"), "alias/lake");
}

#[tokio::test]
async fn a_conflicting_write_leaves_the_outcome_open() {
    let error = put_error([Answer::error(409, "ConditionalRequestConflict")]).await;
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "StoreConflict"));
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_refused_when_the_transport_repeats_it() {
    let answers = [object("").body("cut").cut_after(0), Answer::error(412, "PreconditionFailed")];
    let (server, store) = scripted(answers).await;
    assert_eq!(store.put("t", &memory("content"), &Condition::Absent).await.unwrap(), Put::Refused);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_replacement_of_nothing_is_told_from_a_missing_bucket() {
    let answers = [Answer::error(404, "NoSuchKey"), Answer::error(404, "NoSuchBucket")];
    let (_server, store) = scripted(answers).await;
    let condition = Condition::Matches(tag("\"v0\""));
    assert_eq!(store.put("t", &memory("content"), &condition).await.unwrap(), Put::Refused);
    let error = store.put("t", &memory("content"), &condition).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "NoSuchBucket"));
}

#[tokio::test]
async fn a_missing_permission_is_named_with_the_key() {
    let error = put_error([Answer::error(403, "AccessDenied")]).await;
    assert_eq!((error.kind(), error.code()), (Kind::Config, "StoreDenied"));
    let hint = error.advice().unwrap();
    assert!(hint.contains("s3:PutObject") && hint.contains("arn:aws:s3:::bucket/lake/t"), "{hint}");
    assert!(hint.contains("kms:GenerateDataKey"), "{hint}");

    let denied = Answer::error(403, "AccessDenied");
    let (_server, store) = scripted([denied.clone(), denied.clone(), denied]).await;
    let error = store.get("t", None).await.err().unwrap();
    let hint = error.advice().unwrap();
    assert!(
        hint.contains("s3:GetObject") && hint.contains("s3:ListBucket") && hint.contains("does not exist"),
        "{hint}"
    );
    let error = store.list("cdc/", None).await.unwrap_err();
    assert!(error.advice().unwrap().contains("allow s3:ListBucket on arn:aws:s3:::bucket"));
}

#[tokio::test]
async fn a_403_for_an_object_that_the_listing_does_not_show_is_its_absence() {
    let listing = |keys: &str| {
        Answer::status(200)
            .header("content-type", "application/xml")
            .body(format!("<ListBucketResult>{keys}</ListBucketResult>"))
    };
    let denied = || Answer::error(403, "AccessDenied");
    let (server, store) = scripted([denied(), listing("<Contents><Key>lake/t2</Key></Contents>")]).await;
    assert!(store.get("t", None).await.unwrap().is_none());
    assert!(server.asked()[1].target.contains("prefix=lake%2Ft"), "{}", server.asked()[1].target);

    let (_server, store) = scripted([denied(), listing("<Contents><Key>lake/t</Key></Contents>")]).await;
    assert_eq!(store.get("t", None).await.err().unwrap().code(), "StoreDenied");
}

#[tokio::test]
async fn errors_that_a_person_must_mend_are_told_apart() {
    let cases = [
        (Answer::error(301, "PermanentRedirect"), "WrongRegion"),
        (Answer::error(400, "ExpiredToken"), "NoCredentials"),
        (Answer::error(403, "InvalidAccessKeyId"), "NoCredentials"),
        (Answer::error(400, "KMS.DisabledException"), "StoreDenied"),
    ];
    for (answer, code) in cases {
        let error = put_error([answer]).await;
        assert_eq!((error.kind(), error.code()), (Kind::Config, code), "{error:?}");
    }
}

#[tokio::test]
async fn a_service_that_wants_less_is_asked_again_and_one_that_stays_down_is_transient() {
    let slow = || Answer::error(503, "SlowDown");
    let (server, store) = scripted([slow(), slow(), object("")]).await;
    assert_eq!(store.put("t", &memory("x"), &Condition::Absent).await.unwrap(), Put::Written(tag("\"v1\"")));
    assert_eq!(server.asked().len(), 3);
    let error = put_error([slow(), slow(), slow()]).await;
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "StoreUnavailable"));
}

#[tokio::test]
async fn nobody_there_is_transient_and_no_credentials_are_not() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let store = S3Store::new(client(&endpoint), S3Options::new("bucket", ""));
    let error = store.get("t", None).await.err().unwrap();
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "StoreUnavailable"));

    let empty = aws_sdk_s3::config::SharedCredentialsProvider::new(NoCredentials);
    let config = emulator::sdk_config(&endpoint, "000000000042").into_builder().credentials_provider(empty).build();
    let store = S3Store::new(s3_client(&config, &S3ClientOptions::default()), S3Options::new("bucket", ""));
    let error = store.get("t", None).await.err().unwrap();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "NoCredentials"), "{error:?}");
}

#[derive(Debug)]
struct NoCredentials;

impl aws_sdk_s3::config::ProvideCredentials for NoCredentials {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = aws_credential_types::provider::error::CredentialsError::not_loaded("none here");
        aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_resumed_from_the_same_version() {
    let answers = [
        object("0123456789").cut_after(4),
        partial("456789", "bytes 4-9/10").cut_after(3),
        partial("789", "bytes 7-9/10"),
    ];
    let (server, store) = scripted(answers).await;
    assert_eq!(read(&store, "t").await.unwrap(), ("0123456789".to_owned(), tag("\"v1\"")));
    let asked = server.asked();
    assert_eq!((asked[1].header("range"), asked[1].header("if-match")), ("bytes=4-9", "\"v1\""));
    assert_eq!((asked[2].header("range"), asked[2].header("if-match")), ("bytes=7-9", "\"v1\""));
}

#[tokio::test]
async fn a_range_that_breaks_off_is_resumed_within_the_object() {
    let (server, store) =
        scripted([partial("6789", "bytes 6-9/10").cut_after(1), partial("789", "bytes 7-9/10")]).await;
    let object = store.get("t", Some(ByteRange::Suffix(4))).await.unwrap().unwrap();
    assert_eq!(object.len, 10);
    let chunks: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(object.body).await.unwrap();
    assert_eq!(chunks.concat(), b"6789");
    assert_eq!(server.asked()[1].header("range"), "bytes=7-9");
}

#[tokio::test]
async fn bytes_that_were_not_asked_for_are_refused() {
    for answer in [object("0123456789"), partial("0123", "bytes 0-3/10"), partial("4567", "bytes 4-7/nonsense")] {
        let (_server, store) = scripted([answer]).await;
        let error = store.get("t", Some(ByteRange::Within(4..8))).await.err().unwrap();
        assert_eq!((error.kind(), error.code()), (Kind::Internal, "BadAnswer"));
    }
    let (_server, store) = scripted([object("0123456789").cut_after(4), object("0123456789")]).await;
    assert_eq!(read_all(&store, "t", 100).await.unwrap_err().code(), "BadAnswer");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_continued_with_another_version() {
    let (_server, store) =
        scripted([object("0123456789").cut_after(4), Answer::error(412, "PreconditionFailed")]).await;
    let error = read_all(&store, "t", 100).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "ObjectChanged"));
}

#[tokio::test]
async fn a_body_that_always_breaks_off_is_given_up() {
    let stuck = || partial("456789", "bytes 4-9/10").cut_after(0);
    let answers = std::iter::once(object("0123456789").cut_after(4)).chain((0..40).map(|_| stuck()));
    let (_server, store) = scripted(answers).await;
    let error = read_all(&store, "t", 100).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "StoreUnavailable"));
}

#[tokio::test]
async fn a_body_without_its_checksum_is_an_error_after_the_last_byte() {
    let (server, store) = scripted([
        object("content").header("x-amz-checksum-crc64nvme", CONTENT_CRC64),
        object("c0ntent").header("x-amz-checksum-crc64nvme", CONTENT_CRC64),
    ])
    .await;
    assert_eq!(read(&store, "t").await.unwrap().0, "content");
    let error = read_all(&store, "t", 100).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "ChecksumMismatch"));
    assert_eq!(server.asked()[0].header("x-amz-checksum-mode"), "ENABLED");
    assert_eq!(server.asked().len(), 2, "a damaged object is not resumed");
}

pub(super) fn begun() -> Answer {
    let body = "<InitiateMultipartUploadResult><UploadId>up-1</UploadId></InitiateMultipartUploadResult>";
    Answer::status(200).body(body)
}

pub(super) fn part() -> Answer {
    Answer::status(200).header("etag", "\"part\"")
}

pub(super) fn completed() -> Answer {
    Answer::status(200).body("<CompleteMultipartUploadResult><ETag>\"v1-3\"</ETag></CompleteMultipartUploadResult>")
}

async fn put_ten_bytes(answers: impl IntoIterator<Item = Answer>) -> (Server, Result<Put, Error>) {
    let (server, store) = scripted_in_parts(answers).await;
    let outcome = store.put("t", &memory("0123456789"), &Condition::Absent).await;
    (server, outcome)
}

pub(super) fn aborts(server: &Server) -> usize {
    let asked = server.asked();
    asked.iter().filter(|asked| asked.method == "DELETE" && asked.target.contains("uploadId=up-1")).count()
}

#[tokio::test]
async fn an_upload_in_parts_puts_its_condition_on_the_completion() {
    let (server, outcome) = put_ten_bytes([begun(), part(), part(), part(), completed()]).await;
    assert_eq!(outcome.unwrap(), Put::Written(tag("\"v1-3\"")));
    let asked = server.asked();
    assert_eq!(asked[0].header("x-amz-checksum-algorithm"), "CRC64NVME");
    assert_eq!(asked[0].header("x-amz-checksum-type"), "FULL_OBJECT");
    assert!(asked[3].target.contains("partNumber=3"));
    assert_eq!((asked[4].header("if-none-match"), asked[4].header("x-amz-mp-object-size")), ("*", "10"));
    assert_eq!(aborts(&server), 0);
}

#[tokio::test]
async fn an_upload_in_parts_that_does_not_succeed_is_aborted() {
    let slow = || Answer::error(503, "SlowDown");
    let done = || Answer::status(204);
    let to_completion = |answer: Answer| vec![begun(), part(), part(), part(), answer, done()];

    let (server, outcome) = put_ten_bytes(to_completion(Answer::error(412, "PreconditionFailed"))).await;
    assert_eq!((outcome.unwrap(), aborts(&server)), (Put::Refused, 1));

    let (server, outcome) = put_ten_bytes(to_completion(Answer::error(200, "PreconditionFailed"))).await;
    assert_eq!((outcome.unwrap(), aborts(&server)), (Put::Refused, 1), "an error in an answer of status 200");

    let (server, outcome) = put_ten_bytes(to_completion(Answer::error(409, "ConditionalRequestConflict"))).await;
    assert_eq!((outcome.unwrap_err().code(), aborts(&server)), ("StoreConflict", 1));

    let (server, outcome) = put_ten_bytes(to_completion(Answer::error(404, "NoSuchUpload"))).await;
    assert_eq!((outcome.unwrap_err().code(), aborts(&server)), ("UploadAborted", 1));

    let (server, outcome) = put_ten_bytes([begun(), part(), slow(), slow(), slow(), done()]).await;
    assert_eq!((outcome.unwrap_err().code(), aborts(&server)), ("StoreUnavailable", 1));
}

#[tokio::test]
async fn an_abort_that_fails_does_not_hide_the_outcome() {
    let answers =
        [begun(), part(), part(), part(), Answer::error(412, "PreconditionFailed"), Answer::error(403, "AccessDenied")];
    let (server, outcome) = put_ten_bytes(answers).await;
    assert_eq!((outcome.unwrap(), aborts(&server)), (Put::Refused, 1));
}

#[tokio::test]
async fn no_upload_is_left_in_the_bucket() {
    let (client, bucket) = emulator::bucket().await;
    let options = S3Options { multipart_threshold: 4, part_size: 4, ..S3Options::new(&bucket, "") };
    let store = S3Store::new(client.clone(), options);
    create(&store, "t", "0123456789").await;
    assert_eq!(store.put("t", &memory("abcdefghij"), &Condition::Absent).await.unwrap(), Put::Refused);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short");
    std::fs::write(&path, "01234").unwrap();
    let payload = Payload::File { path: path.into(), len: 10 };
    assert_eq!(store.put("new", &payload, &Condition::Absent).await.unwrap_err().code(), "PayloadChanged");
    let left = client.list_multipart_uploads().bucket(&bucket).send().await.unwrap();
    assert_eq!(left.uploads().len(), 0);
    assert_eq!(read(&store, "t").await.unwrap().0, "0123456789");
}

#[tokio::test]
async fn keys_outside_the_prefix_and_markers_of_folders_are_not_listed() {
    let (client, bucket) = emulator::bucket().await;
    for key in ["lake/t", "lake2/t", "lake/", "lake/cdc/", "lak"] {
        client.put_object().bucket(&bucket).key(key).send().await.unwrap();
    }
    let store = S3Store::new(client, S3Options::new(&bucket, "/lake/"));
    let keys: Vec<String> = store.list("", None).await.unwrap().into_iter().map(|listed| listed.key).collect();
    assert_eq!(keys, ["t"]);
    assert_eq!(store.location(), format!("s3://{bucket}/lake"));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named() {
    let (client, _) = emulator::bucket().await;
    let store = S3Store::new(client, S3Options::new("nobody-has-this-bucket", "lake"));
    let errors = [
        store.put("t", &memory("x"), &Condition::Absent).await.unwrap_err(),
        store.get("t", None).await.err().unwrap(),
        store.list("", None).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.code()), (Kind::Config, "NoSuchBucket"));
        assert!(error.advice().unwrap().contains("nobody-has-this-bucket"));
    }
}
