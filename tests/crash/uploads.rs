//! Uploads that run ahead of their completion: what a run leaves of them, and each of their parts as the one that fails.

use std::sync::Arc;

use aws_sdk_s3::Client;
use cdc_to_s3::Kind;
use cdc_to_s3::doctor::{self, Diagnosis};
use cdc_to_s3::lake::store::{ObjectStore, S3ClientOptions, S3Options, S3Store, S3Timing, s3_client};
use cdc_to_s3::report::TableStatus;
use cdc_to_s3::trigger::Deadline;

use super::done;
use crate::support::emulator;
use crate::support::faults::{Fault, FaultyStore, Moment, Operation};
use crate::support::lake;
use crate::support::scene::{MINUTE, Scene};
use crate::support::wire::{self, Wire};

/// The Parquet files of the scenes have two parts; a state has one.
const PART: u64 = 1400;

const SLOW_DOWN: wire::Fault = wire::Fault::Answer(503, "<Error><Code>SlowDown</Code></Error>");

struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    async fn new() -> Self {
        let (client, name) = emulator::bucket().await;
        Self { client, name }
    }

    fn lake(&self, client: &Client, prefix: &str) -> Arc<dyn ObjectStore> {
        let options = S3Options::new(&self.name, prefix);
        Arc::new(S3Store::new(client.clone(), S3Options { multipart_threshold: PART, part_size: PART, ..options }))
    }

    /// A client whose requests go over `wire`, and that soon gives up.
    fn over(&self, wire: &Wire) -> Client {
        let sdk = emulator::sdk_config(&wire.endpoint, self.name.strip_prefix("lake-").unwrap());
        let pause = std::time::Duration::from_millis(5);
        let timing = S3Timing { attempts: 2, backoff: pause, longest_backoff: pause, ..S3Timing::default() };
        s3_client(&sdk, &S3ClientOptions { timing, ..S3ClientOptions::default() })
    }

    async fn assert_nothing_left(&self, what: &str) {
        let left = self.client.list_multipart_uploads().bucket(&self.name).send().await.unwrap();
        let keys: Vec<_> = left.uploads().iter().filter_map(|upload| upload.key()).collect();
        assert!(keys.is_empty(), "{what}: {keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_fails_at_any_write_leaves_no_upload() {
    let bucket = Bucket::new().await;
    for name in ["first run", "next run", "after a claim"] {
        let scene = Scene::named(name).await;
        let writes = scene.calls().await.iter().filter(|call| **call == Operation::Put).count();
        for write in 0..writes {
            let inner = bucket.lake(&bucket.client, &format!("{name}/{write}"));
            scene.fill(&*inner).await;
            let store = FaultyStore::new(Arc::clone(&inner));
            store.crash_at_write(write, Moment::Before);
            let _ = scene.run(&store, &scene.request).await;
            bucket.assert_nothing_left(&format!("{name}, write {write}")).await;
            done(scene.run(&*inner, &lake::request(MINUTE + 60)).await);
            scene.assert_complete(&*inner).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_stores_nothing_leaves_no_upload() {
    let bucket = Bucket::new().await;
    let scene = Scene::named("next run").await;
    let wire = Wire::to(emulator::endpoint()).await;
    let uploads = |wire: &Wire| wire.heads().iter().filter(|head| head.contains("?uploads")).count();

    let store = bucket.lake(&bucket.over(&wire), "dry");
    scene.fill(&*store).await;
    let begun = uploads(&wire);
    let mut dry = lake::request(MINUTE);
    dry.dry_run = true;
    assert_eq!(scene.run(&*store, &dry).await.status, TableStatus::Changed);
    assert_eq!(uploads(&wire), begun, "a dry run uploads nothing");

    let refused = FaultyStore::new(Arc::clone(&store));
    refused.script(Operation::Put, std::iter::repeat_n(Fault::FailBefore, 4));
    assert!(scene.run(&refused, &scene.request).await.error.is_some(), "the claim fails");
    assert!(uploads(&wire) > begun, "something was uploaded ahead");
    bucket.assert_nothing_left("a refused claim").await;

    let mut late = lake::request(MINUTE);
    late.deadline = Deadline::within(std::time::Duration::from_millis(5400));
    wire.harm_always("PUT", "/_state/", wire::Fault::Stall(wire::Way::Up, 10));
    let report = scene.run(&*store, &late).await;
    assert_eq!(report.error.map(|error| error.code()), Some("OutOfTime"));
    bucket.assert_nothing_left("a run whose time was up").await;
    wire.mend();

    done(scene.run(&*store, &lake::request(MINUTE)).await);
    let begun = uploads(&wire);
    let mut forced = lake::request(MINUTE + 60);
    forced.force = true;
    assert_eq!(scene.run(&*store, &forced).await.status, TableStatus::Unchanged);
    assert_eq!(uploads(&wire), begun, "nothing is uploaded before a change is known");
    bucket.assert_nothing_left("an unchanged table").await;
    scene.assert_complete(&*store).await;
}

/// Where no rule of the bucket removes them, the parts of a killed run stayed for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_uploads_of_a_killed_run_are_found_by_doctor_and_aborted_by_who_takes_over() {
    let bucket = Bucket::new().await;
    let scene = Scene::named("after a claim").await;
    let store = bucket.lake(&bucket.client, "lake");
    scene.fill(&*store).await;
    let claimed = lake::state(&*store, &scene.spec.name).await.state.pending.unwrap().cdc_key;
    for key in [claimed.as_str(), "full-load/t/t.parquet", "full-load/u/u.parquet"] {
        let begin = bucket.client.create_multipart_upload().bucket(&bucket.name).key(format!("lake/{key}"));
        begin.send().await.unwrap();
    }
    let uploads = |diagnosis: &Diagnosis| {
        diagnosis.checks.iter().find(|check| check.subject == "lake: uploads").map(|check| check.found.clone())
    };
    let mut diagnosis = Diagnosis::default();
    doctor::lake(&*store, &mut diagnosis).await;
    assert!(uploads(&diagnosis).is_some_and(|found| found.starts_with("3 upload(s)")), "{diagnosis:?}");
    assert!(diagnosis.is_ok());
    done(scene.run(&*store, &scene.request).await);
    let left = bucket.client.list_multipart_uploads().bucket(&bucket.name).send().await.unwrap();
    let keys: Vec<_> = left.uploads().iter().filter_map(|upload| upload.key()).collect();
    assert_eq!(keys, ["lake/full-load/u/u.parquet"], "another table's is not touched");
    scene.assert_complete(&*store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_fails_ends_well_or_cleanly() {
    let scene = Scene::named("next run").await;
    for part in ["partNumber=1&", "partNumber=2&"] {
        for object in ["/cdc/", "/full-load/"] {
            let bucket = Bucket::new().await;
            let wire = Wire::to(emulator::endpoint()).await;
            let store = bucket.lake(&bucket.over(&wire), "lake");
            scene.fill(&*bucket.lake(&bucket.client, "lake")).await;

            wire.harm_always("PUT", part, SLOW_DOWN);
            let failed = scene.run(&*store, &scene.request).await;
            assert_eq!(failed.error.map(|error| error.kind()), Some(Kind::Transient), "{part}");
            bucket.assert_nothing_left(part).await;
            wire.mend();

            // Of a part that fails in the upload ahead only, the run knows nothing.
            wire.harm("PUT", object, [SLOW_DOWN, SLOW_DOWN]);
            done(scene.run(&*store, &scene.request).await);
            assert!(wire.harmed() >= 4, "{}", wire.harmed());
            bucket.assert_nothing_left(object).await;
            scene.assert_complete(&*store).await;
        }
    }
}
