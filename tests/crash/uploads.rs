//! Uploads that run ahead of their completion: what a run leaves of them, and each of their parts as the one that fails.

use std::sync::Arc;

use aws_sdk_s3::Client;
use cdc_to_s3::Kind;
use cdc_to_s3::lake::store::{ObjectStore, S3ClientOptions, S3Options, S3Store, S3Timing, s3_client};
use cdc_to_s3::ops::doctor::{self, Diagnosis};
use cdc_to_s3::report::TableStatus;
use cdc_to_s3::request::Deadline;

use super::done;
use crate::support::emulator;
use crate::support::faults::{Fault, FaultyStore, Moment, Operation};
use crate::support::lake;
use crate::support::scene::{MINUTE, Scene};
use crate::support::wire::{self, Wire};

/// The Parquet files of the scenes have two parts; a state has one.
const PART: u64 = 1400;

const GONE: wire::Fault = wire::Fault::Answer(404, "<Error><Code>NoSuchUpload</Code></Error>");

const DENIED: wire::Fault = wire::Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");

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
        assert_eq!(self.left().await, Vec::<String>::new(), "{what}");
    }

    /// The keys of all uploads that are neither completed nor aborted.
    async fn left(&self) -> Vec<String> {
        let left = self.client.list_multipart_uploads().bucket(&self.name).send().await.unwrap();
        left.uploads().iter().filter_map(|upload| upload.key().map(str::to_owned)).collect()
    }

    /// Starts uploads, as a run does that is killed then.
    async fn leave<'a>(&self, keys: impl IntoIterator<Item = &'a str>) {
        for key in keys {
            self.client.create_multipart_upload().bucket(&self.name).key(key).send().await.unwrap();
        }
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
    let claimed = format!("lake/{claimed}");
    bucket.leave([claimed.as_str(), "lake/full-load/t/t.parquet", "lake/full-load/u/u.parquet"]).await;
    let uploads = |diagnosis: &Diagnosis| {
        diagnosis.checks.iter().find(|check| check.subject == "lake: uploads").map(|check| check.found.clone())
    };
    let mut diagnosis = Diagnosis::default();
    doctor::lake(&*store, &mut diagnosis).await;
    assert!(uploads(&diagnosis).is_some_and(|found| found.starts_with("3 upload(s)")), "{diagnosis:?}");
    assert!(diagnosis.is_ok());
    done(scene.run(&*store, &scene.request).await);
    assert_eq!(bucket.left().await, ["lake/full-load/u/u.parquet"], "another table's is not touched");
    scene.assert_complete(&*store).await;
}

/// A run that is killed before its claim leaves no trace but its uploads, which nobody but `doctor` had looked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_uploads_of_a_run_that_was_killed_before_its_claim_are_aborted_by_the_next_one() {
    let bucket = Bucket::new().await;
    for name in ["first run", "next run", "silent changes", "after a publication"] {
        let scene = Scene::named(name).await;
        let store = bucket.lake(&bucket.client, name);
        scene.fill(&*store).await;
        let mine = ["full-load/t/t.parquet", "cdc/t/t_20200101_000000.parquet", "_state/t.fingerprints"];
        let others =
            ["full-load/u/u.parquet", "cdc/u/u_20200101_000000.parquet", "cdc/t/notes", "_state/u.fingerprints"];
        let [mine, others] =
            [mine.to_vec(), others.to_vec()].map(|keys| keys.into_iter().map(|key| format!("{name}/{key}")));
        let others: Vec<String> = others.collect();
        bucket.leave(mine.collect::<Vec<_>>().iter().chain(&others).map(String::as_str)).await;
        done(scene.run(&*store, &scene.request).await);
        let mut left = bucket.left().await;
        left.retain(|key| key.starts_with(name));
        let mut expected = others;
        expected.sort();
        assert_eq!(left, expected, "{name}");
        scene.assert_complete(&*store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_stores_nothing_in_parts_asks_for_no_uploads() {
    let bucket = Bucket::new().await;
    let scene = Scene::named("next run").await;
    let wire = Wire::to(emulator::endpoint()).await;
    let whole = S3Store::new(bucket.over(&wire), S3Options::new(&bucket.name, "small"));
    scene.fill(&whole).await;
    done(scene.run(&whole, &scene.request).await);
    assert!(!wire.heads().iter().any(|head| head.contains("uploads")), "{:?}", wire.heads());
}

/// The right to list uploads came later than the others: a role may lack it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_list_uploads_runs_as_ever_and_doctor_says_so() {
    let bucket = Bucket::new().await;
    let scene = Scene::named("next run").await;
    let wire = Wire::to(emulator::endpoint()).await;
    let store = bucket.lake(&bucket.over(&wire), "lake");
    scene.fill(&*store).await;
    wire.harm_always("GET", "uploads", DENIED);
    done(scene.run(&*store, &scene.request).await);
    assert!(wire.harmed() > 0);
    scene.assert_complete(&*store).await;
    let mut diagnosis = Diagnosis::default();
    doctor::lake(&*store, &mut diagnosis).await;
    let check = diagnosis.checks.iter().find(|check| check.subject == "lake: uploads").expect("a warning");
    let fix = check.fix.as_deref().unwrap_or_default();
    assert!(diagnosis.is_ok() && fix.contains("allow s3:ListBucketMultipartUploads on arn:aws:s3:::"), "{check:?}");
}

/// What another run of the table may do to one that is still at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_aborted_under_the_hands_of_a_run_costs_it_a_second_one() {
    let scene = Scene::named("next run").await;
    for (method, part) in [("PUT", "/cdc/"), ("PUT", "/full-load/"), ("POST", "uploadId=")] {
        let bucket = Bucket::new().await;
        let wire = Wire::to(emulator::endpoint()).await;
        let store = bucket.lake(&bucket.over(&wire), "lake");
        scene.fill(&*bucket.lake(&bucket.client, "lake")).await;
        wire.harm(method, part, [GONE, GONE]);
        assert_eq!(done(scene.run(&*store, &scene.request).await).status, TableStatus::Changed);
        assert_eq!(wire.harmed(), 2, "{method} {part}");
        scene.assert_complete(&*store).await;
    }
    let bucket = Bucket::new().await;
    let wire = Wire::to(emulator::endpoint()).await;
    let store = bucket.lake(&bucket.over(&wire), "lake");
    scene.fill(&*bucket.lake(&bucket.client, "lake")).await;
    wire.harm_always("POST", "uploadId=", GONE);
    let lost = scene.run(&*store, &scene.request).await;
    assert_eq!((lost.status, lost.error.is_none()), (TableStatus::Busy, true), "a lost race, not a failure: {lost:?}");
    wire.mend();
    done(scene.run(&*store, &scene.request).await);
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
