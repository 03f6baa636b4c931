//! One object at a time.

use std::time::Duration;

use cdc_to_s3::lake::store::{
    ByteRange, Condition, ObjectStore, Payload, Put, S3ClientOptions, S3Options, S3Store, S3Timing, read_all, s3_client,
};
use cdc_to_s3::{Error, Kind};

use super::{Bucket, SLOW_DOWN, timed, timing};
use crate::support::emulator;
use crate::support::wire::{Fault, Way, Wire};

const LEN: usize = 120_000;
/// More than the longest head of an answer, and in the middle of the body.
const MIDDLE: usize = 50_000;

/// Bytes of which no two pieces are alike.
fn content(len: usize) -> Payload {
    let numbers = (0_u64..).flat_map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    Payload::Memory(numbers.take(len).collect::<Vec<_>>().into())
}

fn bytes(payload: &Payload) -> &[u8] {
    let Payload::Memory(bytes) = payload else { panic!("in memory") };
    bytes
}

/// A bucket with an object `t`.
async fn with_object() -> (Bucket, Payload) {
    let (bucket, content) = (Bucket::new().await, content(LEN));
    written(bucket.direct().put("t", &content, &Condition::Absent).await);
    (bucket, content)
}

fn written(outcome: Result<Put, Error>) {
    assert!(matches!(outcome, Ok(Put::Written(_))), "{outcome:?}");
}

fn unavailable(error: &Error) {
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "StoreUnavailable"), "{error:?}");
}

async fn create(store: &S3Store, content: &Payload) -> Result<Put, Error> {
    store.put("new", content, &Condition::Absent).await
}

async fn read(store: &S3Store, key: &str) -> Vec<u8> {
    read_all(store, key, 1 << 30).await.unwrap().expect("an object").0.to_vec()
}

/// The value of a header in each request for the body of `t`.
fn asked(wire: &Wire, header: &str) -> Vec<Option<String>> {
    let value = |head: &String| head.lines().find_map(|line| line.strip_prefix(header).map(str::to_owned));
    wire.heads().iter().filter(|head| head.starts_with("GET ")).map(value).collect()
}

#[tokio::test]
async fn a_burst_of_slow_down_is_waited_out_and_a_lasting_one_is_transient() {
    let (bucket, content) = with_object().await;
    let store = bucket.lake(timing());
    for method in ["PUT", "GET"] {
        bucket.wire.harm(method, "", [SLOW_DOWN, SLOW_DOWN]);
    }
    written(create(&store, &content).await);
    assert!(read(&store, "new").await == bytes(&content));
    bucket.wire.harm("GET", "list-type", [SLOW_DOWN, SLOW_DOWN]);
    assert_eq!(store.list("", None).await.unwrap().len(), 2);
    assert_eq!(bucket.wire.harmed(), 6);

    bucket.wire.harm_always("PUT", "", SLOW_DOWN);
    bucket.wire.harm_always("GET", "", SLOW_DOWN);
    unavailable(&store.put("other", &content, &Condition::Absent).await.unwrap_err());
    unavailable(&store.get("t", None).await.err().unwrap());
    unavailable(&store.list("", None).await.unwrap_err());
    assert_eq!(bucket.wire.harmed(), 6 + 9, "three attempts each");
}

#[tokio::test]
async fn a_download_that_is_reset_goes_on_with_the_rest_of_the_same_version() {
    let (bucket, content) = with_object().await;
    bucket.wire.harm("GET", "/t", [Fault::Reset(Way::Down, MIDDLE), Fault::Reset(Way::Down, MIDDLE)]);
    assert!(read(&bucket.lake(timing()), "t").await == bytes(&content));
    let (ranges, tags) = (asked(&bucket.wire, "range: "), asked(&bucket.wire, "if-match: "));
    assert_eq!((ranges.len(), bucket.wire.harmed()), (3, 2), "{ranges:?}");
    let begins: Vec<usize> = ranges.iter().flatten().map(|range| begin(range)).collect();
    assert!(0 < begins[0] && begins[0] < begins[1] && begins[1] < LEN, "{ranges:?}");
    assert!(tags[0].is_none() && tags[1].is_some() && tags[1] == tags[2], "{tags:?}");
}

fn begin(range: &str) -> usize {
    range.strip_prefix("bytes=").and_then(|range| range.split_once('-')?.0.parse().ok()).expect("a range")
}

#[tokio::test]
async fn a_download_that_is_always_reset_is_transient() {
    let (bucket, _) = with_object().await;
    bucket.wire.harm("GET", "/t", [Fault::Reset(Way::Down, MIDDLE)]);
    bucket.wire.harm_always("GET", "/t", Fault::Reset(Way::Down, 0));
    let store = bucket.lake(timing());
    unavailable(&read_all(&store, "t", 1 << 30).await.unwrap_err());
}

#[tokio::test]
async fn a_download_that_stalls_is_broken_off_and_goes_on() {
    let (bucket, content) = with_object().await;
    bucket.wire.harm("GET", "/t", [Fault::Stall(Way::Down, MIDDLE)]);
    let (read, took) = timed(read(&bucket.lake(timing()), "t")).await;
    assert!(read == bytes(&content));
    assert_eq!(asked(&bucket.wire, "range: ").iter().flatten().count(), 1);
    assert!(took >= timing().stalled_after && took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_asked_for_again() {
    let (bucket, content) = with_object().await;
    bucket.wire.harm("GET", "/t", [Fault::Stall(Way::Down, 0)]);
    let (read, took) = timed(read(&bucket.lake(timing()), "t")).await;
    assert!(read == bytes(&content) && took >= timing().attempt_timeout, "{took:?}");

    bucket.wire.harm_always("GET", "/t", Fault::Stall(Way::Down, 0));
    let timing = S3Timing { attempts: 2, ..timing() };
    let (outcome, took) = timed(bucket.lake(timing).get("t", None)).await;
    unavailable(&outcome.err().unwrap());
    assert!(took < timing.attempt_timeout * 2 + Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_slow_download_that_is_still_moving_is_let_be() {
    let (bucket, content) = with_object().await;
    // Longer in all than an attempt or a stall may take, each pause longer than the window in which the SDK measures.
    bucket.wire.harm("GET", "/t", [Fault::Drip(Way::Down, LEN / 2 + 500, Duration::from_millis(1500))]);
    let (read, took) = timed(read(&bucket.lake(timing()), "t")).await;
    assert!(read == bytes(&content));
    assert_eq!(asked(&bucket.wire, "range: "), [None], "it was broken off");
    assert!(took > timing().attempt_timeout + timing().stalled_after, "{took:?}");
}

#[tokio::test]
async fn a_part_of_an_object_survives_resets_and_stalls_too() {
    let (bucket, content) = with_object().await;
    let (store, half) = (bucket.lake(timing()), LEN / 2);
    bucket.wire.harm("GET", "/t", [Fault::Reset(Way::Down, 20_000), Fault::Stall(Way::Down, 20_000)]);
    let object = store.get("t", Some(ByteRange::Suffix(half as u64))).await.unwrap().unwrap();
    let chunks: Vec<bytes::Bytes> = futures_util::TryStreamExt::try_collect(object.body).await.unwrap();
    assert!(chunks.concat() == bytes(&content)[half..]);
    assert_eq!(bucket.wire.harmed(), 2);
}

#[tokio::test]
async fn an_upload_that_is_reset_is_sent_again_and_otherwise_leaves_nothing() {
    let (bucket, content) = (Bucket::new().await, content(LEN));
    let store = bucket.lake(timing());
    bucket.wire.harm("PUT", "/new", vec![Fault::Reset(Way::Up, MIDDLE); 2]);
    written(create(&store, &content).await);
    assert!(read(&store, "new").await == bytes(&content));

    bucket.wire.harm_always("PUT", "/other", Fault::Reset(Way::Up, MIDDLE));
    unavailable(&store.put("other", &content, &Condition::Absent).await.unwrap_err());
    assert!(bucket.direct().get("other", None).await.unwrap().is_none());
    assert_eq!(bucket.wire.harmed(), 2 + 3);
}

#[tokio::test]
async fn an_upload_that_stalls_ends_with_its_attempt_and_is_sent_again() {
    let (bucket, content) = (Bucket::new().await, content(LEN));
    bucket.wire.harm("PUT", "/new", [Fault::Stall(Way::Up, MIDDLE)]);
    let (outcome, took) = timed(create(&bucket.lake(timing()), &content)).await;
    written(outcome);
    assert!(took >= timing().attempt_timeout && took < Duration::from_secs(8), "{took:?}");

    bucket.wire.harm_always("PUT", "/other", Fault::Stall(Way::Up, MIDDLE));
    let store = bucket.lake(S3Timing { attempts: 1, ..timing() });
    let (outcome, took) = timed(store.put("other", &content, &Condition::Absent)).await;
    unavailable(&outcome.unwrap_err());
    assert!(took < timing().attempt_timeout + Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_slow_upload_that_is_still_moving_is_let_be() {
    let (bucket, content) = (Bucket::new().await, content(1 << 20));
    bucket.wire.harm("PUT", "/new", [Fault::Drip(Way::Up, 32 << 10, Duration::from_millis(70))]);
    let store = bucket.lake(timing());
    let (outcome, took) = timed(create(&store, &content)).await;
    written(outcome);
    assert!(took > timing().attempt_timeout, "not slow enough to show anything: {took:?}");
    assert_eq!(bucket.wire.heads().len(), 1, "it was sent again");
    assert!(read(&store, "new").await == bytes(&content));
}

#[tokio::test]
async fn an_upload_whose_answer_is_lost_is_there_once_whatever_the_sender_is_told() {
    let (bucket, content) = (Bucket::new().await, content(LEN));
    bucket.wire.harm("PUT", "/new", [Fault::Reset(Way::Down, 0)]);
    let store = bucket.lake(timing());
    assert_eq!(create(&store, &content).await.unwrap(), Put::Refused, "the second attempt meets the first");
    assert!(read(&store, "new").await == bytes(&content));
}

#[tokio::test]
async fn an_upload_in_parts_survives_a_bad_wire_or_leaves_nothing() {
    let (bucket, content) = (Bucket::new().await, content(LEN));
    let options = S3Options { multipart_threshold: 4, part_size: 40_000, ..bucket.options() };
    let store = bucket.at(&bucket.wire.endpoint, timing(), options);
    bucket.wire.harm("POST", "uploads", [SLOW_DOWN, Fault::Reset(Way::Down, 0)]);
    bucket.wire.harm("PUT", "partNumber=1", [Fault::Reset(Way::Up, 10_000)]);
    bucket.wire.harm("PUT", "partNumber=2", [Fault::Stall(Way::Up, 10_000)]);
    bucket.wire.harm("PUT", "partNumber=3", [Fault::Reset(Way::Down, 0), SLOW_DOWN]);
    written(create(&store, &content).await);
    assert_eq!(bucket.wire.harmed(), 6);
    assert!(read(&store, "new").await == bytes(&content));

    bucket.wire.harm_always("PUT", "partNumber=2", Fault::Reset(Way::Up, 10_000));
    unavailable(&store.put("other", &content, &Condition::Absent).await.unwrap_err());
    assert!(bucket.direct().get("other", None).await.unwrap().is_none());
}

/// S3 answers the completion of a completed upload as it did before; an endpoint that does not is a test of the store's.
#[tokio::test]
async fn a_completion_whose_answer_is_lost_is_asked_for_again() {
    let (bucket, content) = (Bucket::new().await, content(LEN));
    let options = S3Options { multipart_threshold: 4, part_size: 40_000, ..bucket.options() };
    let store = bucket.at(&bucket.wire.endpoint, timing(), options);
    bucket.wire.harm("POST", "uploadId", [Fault::Reset(Way::Down, 0)]);
    written(create(&store, &content).await);
    assert_eq!(bucket.wire.harmed(), 1);
    assert!(read(&store, "new").await == bytes(&content));
}

#[tokio::test]
async fn connections_that_are_reset_at_once_are_made_again() {
    let (bucket, content) = with_object().await;
    bucket.wire.refuse(2);
    assert!(read(&bucket.lake(timing()), "t").await == bytes(&content));
    bucket.wire.refuse(usize::MAX);
    unavailable(&bucket.lake(timing()).get("t", None).await.err().unwrap());
}

#[tokio::test]
async fn nobody_there_is_transient_and_soon_told_and_passes() {
    let (bucket, content) = with_object().await;
    let store = bucket.lake(timing());
    bucket.wire.unplug().await;
    let (outcome, took) = timed(store.get("t", None)).await;
    unavailable(&outcome.err().unwrap());
    assert!(took < Duration::from_secs(2), "{took:?}");
    bucket.wire.plug_in().await;
    assert!(read(&store, "t").await == bytes(&content));
}

#[tokio::test]
async fn one_endpoint_in_trouble_does_not_take_the_retries_of_another() {
    let (bucket, content) = with_object().await;
    let timing = S3Timing { attempts: 20, backoff: Duration::ZERO, ..timing() };
    bucket.wire.refuse(usize::MAX);
    let gone = bucket.lake(timing);
    // Each of these would take a fifth of a quota that was shared.
    for _ in 0..6 {
        unavailable(&gone.get("t", None).await.err().unwrap());
    }
    let wire = Wire::to(emulator::endpoint()).await;
    wire.harm("GET", "/t", [SLOW_DOWN]);
    let sdk = emulator::sdk_config(&wire.endpoint, bucket.name.strip_prefix("lake-").unwrap());
    let client = s3_client(&sdk, &S3ClientOptions { timing, ..S3ClientOptions::default() });
    assert!(read(&S3Store::new(client, bucket.options()), "t").await == bytes(&content));
}
