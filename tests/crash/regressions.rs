//! Bugs that the simulator and the matrix found, one test each.

use std::sync::Arc;

use cdc_to_s3::lake::store::ObjectStore;
use cdc_to_s3::report::TableStatus;

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
