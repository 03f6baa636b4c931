//! What killed runs over captured changes have left of their uploads: the next run of the table aborts it.

use std::sync::Mutex;

use async_trait::async_trait;
use cdc_to_s3::Result;
use cdc_to_s3::lake::store::{ByteRange, Condition, Leftover, Listed, MemoryStore, Object, ObjectStore, Payload, Put};
use cdc_to_s3::source::sqlserver::Start;

use super::{Job, put};
use crate::support::lake;

/// A store in which everything comes in parts and is written at second 100, with uploads that somebody has left.
#[derive(Debug, Default)]
struct Parts {
    inner: MemoryStore,
    left: Mutex<Vec<Leftover>>,
}

#[async_trait]
impl ObjectStore for Parts {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        self.inner.get(key, range).await
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        self.inner.put(key, payload, condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        self.inner.list(prefix, after).await
    }

    fn takes_in_parts(&self, _len: u64) -> bool {
        true
    }

    async fn written_at(&self, _key: &str) -> Result<Option<i64>> {
        Ok(Some(100))
    }

    async fn leftovers(&self) -> Result<Vec<Leftover>> {
        Ok(self.left.lock().unwrap().clone())
    }

    async fn abort(&self, leftover: &Leftover) -> Result<()> {
        self.left.lock().unwrap().retain(|left| left != leftover);
        Ok(())
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

impl Parts {
    fn leave(&self, key: &str, since: Option<i64>) {
        self.left.lock().unwrap().push(Leftover { key: key.to_owned(), id: "1".to_owned(), since });
    }

    fn left(&self) -> Vec<String> {
        self.left.lock().unwrap().iter().map(|left| left.key.clone()).collect()
    }
}

#[tokio::test]
async fn older_uploads_of_the_table_are_aborted_by_the_run_that_stores_something() {
    let job = Job::starting(Start::Snapshot);
    job.change([put(1, &[("a", "x")])]);
    let store = Parts::default();
    let run = async |minute| {
        let report = job.attempt(&store, &lake::request(minute)).await.unwrap().tables.remove(0);
        assert!(report.error.is_none(), "{report:?}");
    };
    store.leave("full-load/t/t_part_00002.parquet", Some(99));
    store.leave("full-load/u/u.parquet", Some(99));
    run(0).await;
    assert_eq!(store.left(), ["full-load/u/u.parquet"], "after a first load");

    store.leave("Shop/t/cdc/t_cdc_20200101_000000.parquet", Some(100));
    store.leave("Shop/t/cdc/t_cdc_20200101_000001.parquet", Some(101));
    store.leave("Shop/t/cdc/t_cdc_20200101_000002.parquet", None);
    run(60).await;
    assert_eq!(store.left().len(), 4, "a run that stores nothing aborts nothing");
    job.change([put(2, &[("a", "y")])]);
    run(120).await;
    let kept = [
        "full-load/u/u.parquet",
        "Shop/t/cdc/t_cdc_20200101_000001.parquet",
        "Shop/t/cdc/t_cdc_20200101_000002.parquet",
    ];
    assert_eq!(store.left(), kept, "what was started later, or nobody knows when, may be at work");
}
