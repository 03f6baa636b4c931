//! Long logs in a store that takes its time: footers are asked for many at once, and come in the order of the log.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use cdc_to_s3::Result;
use cdc_to_s3::lake::cdc_schema;
use cdc_to_s3::lake::footer::{FileKind, Footer};
use cdc_to_s3::lake::layout::{self, Place};
use cdc_to_s3::lake::outline::BaseOutline;
use cdc_to_s3::lake::parquet::empty_file;
use cdc_to_s3::lake::store::{ByteRange, Condition, Listed, MemoryStore, Object, ObjectStore, Payload, Put};

use crate::support::lake;

const OBJECTS: i64 = 640;
const RUNS: i64 = 96;
/// A store whose every answer takes a while.
#[derive(Debug, Default)]
pub(crate) struct Distant(pub(crate) MemoryStore);

/// How long an answer takes.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);

#[async_trait]
impl ObjectStore for Distant {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        tokio::time::sleep(LATENCY).await;
        self.0.get(key, range).await
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        self.0.put(key, payload, condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        self.0.list(prefix, after).await
    }

    fn location(&self) -> String {
        self.0.location()
    }
}

#[tokio::test]
async fn the_footers_of_a_long_log_are_read_many_at_once() {
    let (spec, store) = (lake::spec("t"), Distant::default());
    let mut keys = Vec::new();
    for minute in 0..OBJECTS {
        let footer = Footer::new(FileKind::Cdc, "t", lake::at(minute).into(), "event");
        let (key, payload) =
            (layout::cdc(&spec.name, footer.run_at), empty_file(cdc_schema(&footer.schema), &footer).unwrap());
        assert!(matches!(store.put(&key, &payload, &Condition::Absent).await.unwrap(), Put::Written(_)));
        keys.push(key);
    }
    for is_captured in [false, true] {
        let started = Instant::now();
        let outline = match is_captured {
            false => BaseOutline::read_all(&store, &spec.name).await.unwrap(),
            true => BaseOutline::read_log(&store, &Place::from(&spec.name), None).await.unwrap(),
        };
        let took = started.elapsed();
        assert!(took < LATENCY * (OBJECTS as u32) / 4, "{OBJECTS} footers took {took:?}");
        assert_eq!(outline.log.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
    }
}

/// `verify` reads whole objects, not only their footers.
#[tokio::test]
async fn the_objects_of_a_long_log_are_verified_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (spec, store, columns) = (lake::spec("t"), MemoryStore::new(), ["id".to_owned(), "a".to_owned()]);
    for run in 0..RUNS {
        let row = |id: i64| columns.iter().cloned().zip([id.to_string(), "x".to_owned()]).collect();
        let path = folder.path().join(run.to_string());
        lake::write_csv(&path, "t", &columns, &(0..=run).map(row).collect::<Vec<_>>());
        let report = lake::run(&store, &spec, &lake::local(&path), &lake::request(run), folder.path()).await.unwrap();
        assert_eq!(report.tables[0].inserted, 1, "{report:?}");
    }
    let started = Instant::now();
    lake::assert_verified(&Distant(store), &spec, folder.path()).await;
    let took = started.elapsed();
    assert!(took < LATENCY * (RUNS as u32), "{RUNS} objects took {took:?}");
}
