//! What `verify` finds out about a lake of captured changes that somebody has changed by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cdc_to_s3::lake::store::{Condition, MemoryStore, ObjectStore, Payload, Put};
use cdc_to_s3::ops::verify::verify_captured;
use cdc_to_s3::source::sqlserver::MetadataColumns;

use super::{Job, put};
use crate::latency::{Distant, LATENCY};
use crate::support::cdc::Statement;

/// A lake with a first load and three objects in its log.
async fn filled(metadata: MetadataColumns) -> Job {
    let mut job = Job::new();
    job.feed.metadata_columns = metadata;
    job.change([put(1, &[]), put(2, &[])]);
    job.run_ok(0).await;
    for minute in 1..4 {
        job.change([put(minute, &[("a", "x")]), put(10 + minute, &[]), Statement::Delete(10 + minute)]);
        job.run_ok(minute).await;
    }
    job
}

/// What is found in the lake once `edit` has changed it.
async fn found(job: &Job, edit: impl FnOnce(&mut BTreeMap<String, Bytes>)) -> String {
    let mut objects = job.objects().await;
    edit(&mut objects);
    let edited = Job { store: Arc::default(), ..job.again() };
    edited.fill(objects).await;
    let found = edited.verify().await;
    assert_eq!(found.ok, found.tables[0].problems.is_empty() && found.tables[0].error.is_none());
    let error = found.tables[0].error.as_ref().map(cdc_to_s3::Error::code).unwrap_or_default();
    format!("{}{error}", found.tables[0].problems.join("; "))
}

/// Objects were fetched one after the other, and so were the states and the parts of a first load.
#[tokio::test]
async fn a_long_log_in_a_store_that_takes_its_time_is_verified_many_objects_at_once() {
    const WINDOWS: i64 = 96;
    let job = Job::new();
    job.change([put(0, &[])]);
    job.run_ok(0).await;
    {
        let mut world = job.model.world();
        world.window_transactions = 1;
    }
    (1..=WINDOWS).for_each(|key| job.change([put(key, &[("a", "x")])]));
    job.run_ok(1).await;
    let store = Distant(MemoryStore::new());
    for (key, bytes) in job.objects().await {
        let _written: Put = store.0.put(&key, &Payload::Memory(bytes), &Condition::Absent).await.unwrap();
    }
    let started = Instant::now();
    let found = verify_captured(&store, false, None, job.temporary.path()).await.unwrap();
    let took = started.elapsed();
    assert_eq!((found.ok, found.tables[0].changes), (true, WINDOWS as u64), "{found:?}");
    assert!(took < LATENCY * (WINDOWS as u32), "{WINDOWS} objects took {took:?}");
}

fn log(objects: &BTreeMap<String, Bytes>) -> Vec<String> {
    objects.keys().filter(|key| key.starts_with("Shop/t/cdc/")).cloned().collect()
}

#[tokio::test]
async fn an_untouched_lake_is_in_order_and_counted() {
    for metadata in [MetadataColumns::Readable, MetadataColumns::Native] {
        let job = filled(metadata).await;
        assert_eq!(found(&job, |_| {}).await, "");
        let table = job.verify().await.tables.remove(0);
        assert_eq!((table.rows, table.changes, table.events, table.tombstones), (2, 3, 9, 0));
    }
}

#[tokio::test]
async fn an_object_that_is_gone_is_a_gap_and_one_that_is_there_twice_an_overlap() {
    for metadata in [MetadataColumns::Readable, MetadataColumns::Native] {
        let job = filled(metadata).await;
        let gap = found(&job, |objects| drop(objects.remove(&log(objects)[1]))).await;
        assert!(gap.contains("a gap"), "{gap}");
        let last = found(&job, |objects| drop(objects.remove(&log(objects)[2]))).await;
        assert!(last.contains("the end of the log"), "{last}");
        let twice = found(&job, |objects| {
            let bytes = objects[&log(objects)[2]].clone();
            objects.insert("Shop/t/cdc/t_cdc_20301120_090000.parquet".to_owned(), bytes);
        })
        .await;
        assert!(twice.contains("an overlap") && twice.contains("not after the change before them"), "{twice}");
    }
}

#[tokio::test]
async fn objects_that_changed_places_are_out_of_order() {
    let job = filled(MetadataColumns::Readable).await;
    let swapped = found(&job, |objects| {
        let keys = log(objects);
        let (first, second) = (objects[&keys[0]].clone(), objects[&keys[1]].clone());
        objects.extend([(keys[0].clone(), second), (keys[1].clone(), first)]);
    })
    .await;
    assert!(swapped.contains("an overlap"), "{swapped}");
}

#[tokio::test]
async fn a_first_load_that_is_gone_is_missed() {
    let job = filled(MetadataColumns::Readable).await;
    let gone = found(&job, |objects| drop(objects.remove("full-load/t/t.parquet"))).await;
    assert!(gone.contains("the first load has 0 rows"), "{gone}");
}

#[tokio::test]
async fn a_table_that_is_not_in_the_lake_is_no_table_in_order() {
    let job = filled(MetadataColumns::Readable).await;
    let wanted = ["dbo.u".to_owned()];
    let found = verify_captured(&*job.store, false, Some(&wanted), job.temporary.path()).await.unwrap_err();
    assert_eq!(found.code(), "UnknownTable");
}
