//! The crash matrix: a run ends at each of its calls to the store, before or after the call took effect, and others go on.

mod processes;
mod regressions;
mod s3;
mod uploads;

use std::future::Future;
use std::sync::Arc;

use cdc_to_s3::lake::store::ObjectStore;
use cdc_to_s3::report::{TableReport, TableStatus};
use cdc_to_s3::{Kind, lake::store::MemoryStore};
use futures_util::{StreamExt, stream};

use crate::support::faults::{Fault, FaultyStore, Gate, Moment, Operation};
use crate::support::lake;
use crate::support::scene::{MINUTE, Scene};

const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];

/// Who comes after a crash.
#[derive(Clone, Copy, Debug)]
enum Successor {
    /// The same event, delivered again.
    Twin,
    /// The next event, when the claim has expired.
    Later,
    /// The next event while the claim holds, and another one after that.
    Impatient,
}

const SUCCESSORS: [Successor; 3] = [Successor::Twin, Successor::Later, Successor::Impatient];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_call_loses_and_repeats_nothing() {
    let mut points = Vec::new();
    for scene in Scene::all().await {
        for call in 0..scene.calls().await.len() {
            for moment in MOMENTS {
                for successor in SUCCESSORS {
                    points.push(crash(Arc::clone(&scene), call, moment, successor));
                }
            }
        }
    }
    eprintln!("{} points", points.len());
    all(points, 600).await;
}

async fn crash(scene: Arc<Scene>, call: usize, moment: Moment, successor: Successor) {
    let inner = scene.store().await;
    let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
    store.crash(call, moment);
    let _ = scene.run(&store, &scene.request).await;
    succeed(&scene, &*inner, successor).await;
    scene.assert_complete(&*inner).await;
}

async fn succeed(scene: &Scene, store: &dyn ObjectStore, successor: Successor) {
    match successor {
        Successor::Twin => drop(done(scene.run(store, &scene.request).await)),
        Successor::Later => drop(done(scene.run(store, &lake::request(MINUTE + 60)).await)),
        Successor::Impatient => {
            let held = lake::state(store, &scene.spec.name)
                .await
                .state
                .pending
                .is_some_and(|claim| claim.expires > lake::at(MINUTE + 1));
            let early = scene.run(store, &lake::request(MINUTE + 1)).await;
            assert_eq!(early.status == TableStatus::Busy, held, "{early:?}");
            done(scene.run(store, &lake::request(MINUTE + 60)).await);
        }
    }
}

fn done(report: TableReport) -> TableReport {
    assert!(matches!(report.status, TableStatus::Changed | TableStatus::Unchanged), "{report:?}");
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_at_any_single_call_ends_well_or_cleanly() {
    let mut points = Vec::new();
    for scene in Scene::all().await {
        let calls = scene.calls().await;
        for (call, &operation) in calls.iter().enumerate() {
            let before = calls[..call].iter().filter(|other| **other == operation).count();
            for fault in [Fault::FailBefore, Fault::FailAfter, Fault::RefuseAfter] {
                points.push(fail_once(Arc::clone(&scene), operation, before, fault));
            }
        }
    }
    eprintln!("{} points", points.len());
    all(points, 300).await;
}

async fn fail_once(scene: Arc<Scene>, operation: Operation, before: usize, fault: Fault) {
    let inner = scene.store().await;
    let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
    store.script(operation, std::iter::repeat_n(Fault::Pass, before).chain([fault]));
    let report = scene.run(&store, &scene.request).await;
    match &report.error {
        // A lost answer to a write is settled by reading back; only reads may fail a run.
        Some(error) => assert_eq!((error.kind(), operation == Operation::Put), (Kind::Transient, false), "{error:?}"),
        None => scene.assert_complete(&*inner).await,
    }
    done(scene.run(&*inner, &lake::request(MINUTE + 60)).await);
    scene.assert_complete(&*inner).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_sleeps_at_any_write_and_wakes_after_others_does_no_harm() {
    let mut points = Vec::new();
    for scene in Scene::all().await {
        let writes = scene.calls().await.iter().filter(|call| **call == Operation::Put).count();
        for write in 0..writes {
            for successor in SUCCESSORS {
                points.push(sleep(Arc::clone(&scene), write, successor));
            }
        }
    }
    eprintln!("{} points", points.len());
    all(points, 60).await;
}

async fn sleep(scene: Arc<Scene>, write: usize, successor: Successor) {
    let inner = scene.store().await;
    let gate = Gate::new();
    let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
    store.script(Operation::Put, std::iter::repeat_n(Fault::Pass, write).chain([Fault::Hold(gate.clone())]));
    let sleeper = Arc::clone(&scene);
    let sleeper = tokio::spawn(async move { sleeper.run(&store, &sleeper.request).await });
    gate.reached().await;
    succeed(&scene, &*inner, successor).await;
    scene.assert_complete(&*inner).await;
    gate.release();
    let report = sleeper.await.unwrap();
    assert!(report.error.as_ref().is_none_or(|error| error.kind() == Kind::Conflict), "{report:?}");
    scene.assert_complete(&*inner).await;
}

#[tokio::test]
async fn the_scenes_are_what_they_say() {
    for scene in Scene::all().await {
        let store: Arc<MemoryStore> = scene.store().await;
        let report = done(scene.run(&*store, &scene.request).await);
        assert_eq!(report.status == TableStatus::Changed, scene.has_changes(), "{}", scene.name);
        scene.assert_complete(&*store).await;
    }
}

/// Tries all points of a matrix, which must be at least so many.
async fn all<F: Future<Output = ()> + Send + 'static>(points: Vec<F>, at_least: usize) {
    assert!(points.len() >= at_least, "only {} points", points.len());
    let tries = points.into_iter().map(|point| async { tokio::spawn(point).await });
    let ended: Vec<_> = stream::iter(tries).buffer_unordered(32).collect().await;
    let failed = ended.iter().filter(|ended| ended.is_err()).count();
    assert_eq!(failed, 0, "of {} points", ended.len());
}
