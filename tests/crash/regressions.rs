//! Bugs that the simulator and the matrix found, one test each.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cdc_to_s3::Result;
use cdc_to_s3::lake::state::State;
use cdc_to_s3::lake::store::{ByteRange, Condition, Listed, Object, ObjectStore, Payload, Put};
use cdc_to_s3::report::TableStatus;
use cdc_to_s3::request::{Deadline, Request};
use chrono::TimeDelta;

use crate::support::faults::{Fault, FaultyStore, Gate, Operation};
use crate::support::lake;
use crate::support::scene::{MINUTE, Scene};

/// A number that became text had another fingerprint in the log before than after: nothing could be replayed any more.
#[tokio::test]
async fn a_key_that_was_widened_to_text_stays_the_same_key_in_the_log() {
    let scene = Scene::named("after a publication that widened the key").await;
    let store = scene.store().await;
    let report = scene.run(&*store, &scene.request).await;
    assert_eq!((report.status, report.error.map(|error| error.code())), (TableStatus::Unchanged, None));
    scene.assert_complete(&*store).await;
}

/// A twin wrote the full load and stopped; the run itself then committed the tag of the full load before that.
#[tokio::test]
async fn the_committed_tag_is_that_of_the_full_load_that_a_twin_has_written() {
    let scene = Scene::named("next run").await;
    let inner = scene.store().await;
    let hold = |write| {
        let gate = Gate::new();
        let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
        store.script(Operation::Put, std::iter::repeat_n(Fault::Pass, write).chain([Fault::Hold(gate.clone())]));
        let scene = Arc::clone(&scene);
        (gate, tokio::spawn(async move { scene.run(&store, &scene.request).await }))
    };
    let (before_checkpoint, first) = hold(2);
    before_checkpoint.reached().await;
    // The twin finds claim and object, so that its first write is the checkpoint; it never gets to its commit.
    let (before_commit, twin) = hold(1);
    before_commit.reached().await;
    twin.abort();
    before_checkpoint.release();
    assert_eq!(first.await.unwrap().error.map(|error| error.code()), None);
    scene.assert_complete(&*inner).await;
    let committed = lake::state(&*inner, &scene.spec.name).await.state.head.unwrap().full_load_etag;
    assert_eq!(committed, lake::full_load_tag(&*inner, &scene.spec.name).await);
}

/// A dry run fenced an expired claim, which is a write.
#[tokio::test]
async fn a_dry_run_writes_nothing_even_where_it_finds_a_claim() {
    for name in ["after a claim", "after a publication", "after a checkpoint"] {
        let scene = Scene::named(name).await;
        let store = FaultyStore::new(scene.store().await);
        let mut request = lake::request(MINUTE);
        request.dry_run = true;
        let report = scene.run(&store, &request).await;
        assert_eq!((report.status, report.error.map(|error| error.code())), (TableStatus::Changed, None));
        assert_eq!(store.count(Operation::Put), 0, "{name}");
    }
}

/// A run whose full load was replaced while it read it ended as a failed table, with an alarm, although it had only lost a race.
#[tokio::test]
async fn a_full_load_that_is_replaced_while_it_is_read_is_a_lost_race() {
    let scene = Scene::named("next run").await;
    let undisturbed = FaultyStore::new(scene.store().await);
    scene.run(&undisturbed, &scene.request).await;
    let calls = undisturbed.calls();
    let gets = calls.iter().filter(|call| call.operation == Operation::Get);
    let full_load = gets.enumerate().filter(|(_, call)| call.key == "full-load/t/t.parquet").map(|(at, _)| at);
    // The footer is read first, and then the whole.
    let whole = full_load.collect::<Vec<_>>()[1];
    let (inner, gate) = (scene.store().await, Gate::new());
    let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
    store.script(Operation::Get, std::iter::repeat_n(Fault::Pass, whole).chain([Fault::Hold(gate.clone())]));
    let slower = Arc::clone(&scene);
    let slower = tokio::spawn(async move { slower.run(&store, &slower.request).await });
    gate.reached().await;
    let faster = scene.run(&*inner, &lake::request(MINUTE - 1)).await;
    assert_eq!((faster.status, faster.inserted), (TableStatus::Changed, 1));
    gate.release();
    let slower = slower.await.unwrap();
    assert_eq!((slower.status, slower.error.map(|error| error.code())), (TableStatus::Unchanged, None));
    scene.assert_complete(&*inner).await;
}

/// A claim made by a clock that is a year ahead held its table for a year.
#[tokio::test]
async fn a_claim_that_expires_absurdly_late_is_taken_over() {
    let scene = Scene::named("after a claim").await;
    for (days, busy) in [(1, true), (2, false), (365, false)] {
        let store = scene.store().await;
        let state = lake::state(&*store, &scene.spec.name).await.state;
        let mut claim = state.pending.clone().unwrap();
        claim.expires = lake::at(MINUTE) + TimeDelta::days(days);
        lake::replace_state(&*store, &scene.spec.name, &State { pending: Some(claim), ..state }).await;
        let report = scene.run(&*store, &scene.request).await;
        assert_eq!(report.status == TableStatus::Busy, busy, "{days}: {report:?}");
        if !busy {
            scene.assert_complete(&*store).await;
        }
    }
}

/// A store whose listings lack an object that is there.
#[derive(Debug)]
struct Lagging {
    inner: Arc<dyn ObjectStore>,
    hidden: String,
}

#[async_trait]
impl ObjectStore for Lagging {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        self.inner.get(key, range).await
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        self.inner.put(key, payload, condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        let listed = self.inner.list(prefix, after).await?;
        Ok(listed.into_iter().filter(|entry| entry.key != self.hidden).collect())
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

/// The object of a dead run had been read while its claim was fenced, and the listing without it was believed: its changes
/// were published twice.
#[tokio::test]
async fn an_object_that_was_found_at_a_fenced_key_counts_although_the_listing_lacks_it() {
    let scene = Scene::named("after a publication").await;
    let inner = scene.store().await;
    let hidden = lake::state(&*inner, &scene.spec.name).await.state.pending.unwrap().cdc_key;
    let store = Lagging { inner: Arc::clone(&inner) as Arc<dyn ObjectStore>, hidden };
    let report = scene.run(&store, &scene.request).await;
    assert_eq!((report.status, report.error.map(|error| error.code())), (TableStatus::Changed, None));
    scene.assert_complete(&*inner).await;
}

/// A table of some rows was given up with `OutOfTime` where less than five seconds were left.
#[tokio::test]
async fn a_short_deadline_is_enough_for_little_work_and_one_that_is_not_names_the_least() {
    let scene = Scene::named("next run").await;
    let store = scene.store().await;
    let within = |milliseconds| Deadline::within(Duration::from_millis(milliseconds));
    let hurried = Request { deadline: within(400), ..scene.request.clone() };
    let error = scene.run(&*store, &hurried).await.error.expect("no time to store anything");
    assert_eq!(error.code(), "OutOfTime");
    assert!(error.advice().unwrap().contains("at least 1 second"), "{error:?}");
    let short = Request { deadline: within(3000), ..scene.request.clone() };
    assert_eq!(scene.run(&*store, &short).await.status, TableStatus::Changed);
    scene.assert_complete(&*store).await;
}
