//! The fingerprints that are kept beside the full load: used where they belong to it, ignored where they do not, and never
//! the reason for another result.

use std::path::Path;
use std::sync::Arc;

use cdc_to_s3::lake::fingerprints::WORTH_KEEPING_ROWS;
use cdc_to_s3::lake::layout;
use cdc_to_s3::lake::store::{Condition, MemoryStore, ObjectStore, Payload, Put, read_all};
use cdc_to_s3::report::{TableReport, TableStatus};
use cdc_to_s3::table::{TableSpec, UpdateDetection};

use crate::support::faults::{Call, Fault, FaultyStore, Moment, Operation};
use crate::support::lake::{self, Row};

const ROWS: u64 = WORTH_KEEPING_ROWS + 1000;
const LIMIT: u64 = 1 << 30;

/// What a version of the table holds: rows from `first` on, dates that move on every `later`th row.
struct Version {
    first: u64,
    later: u64,
}

const BEFORE: Version = Version { first: 0, later: ROWS };
const AFTER: Version = Version { first: 0, later: 7 };
const SHORTER: Version = Version { first: 100, later: 7 };

fn spec() -> TableSpec {
    TableSpec { date_field: Some("changed".to_owned()), update_detection: UpdateDetection::Date, ..lake::spec("t") }
}

fn rows(version: &Version) -> Vec<Row> {
    let row = |id: u64| {
        let later = id % version.later == 3;
        let changed = if later { "2024-05-02 10:00:00" } else { "2024-05-01 10:00:00" };
        let value = if later || id % 11 == 5 { format!("ção {id}/{}", version.later) } else { format!("ção {id}") };
        [("id", id.to_string()), ("changed", changed.to_owned()), ("value", value)]
            .map(|(name, text)| (name.to_owned(), text))
            .into_iter()
            .collect()
    };
    (version.first..ROWS).map(row).collect()
}

async fn run(store: &dyn ObjectStore, spec: &TableSpec, version: &Version, minutes: i64) -> TableReport {
    let folder = tempfile::tempdir().unwrap();
    let columns = ["id", "changed", "value"].map(str::to_owned);
    lake::write_csv(folder.path(), "t", &columns, &rows(version));
    let source = lake::local(folder.path());
    let mut report = lake::run(store, spec, &source, &lake::request(minutes), folder.path()).await.unwrap();
    report.tables.remove(0)
}

fn read_whole(calls: &[Call], key: &str) -> bool {
    // A footer is read by a range; a whole object without one.
    calls.iter().filter(|call| call.operation == Operation::Get && call.key == key).count() > 1
}

async fn replace(store: &dyn ObjectStore, key: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let (bytes, etag) = read_all(store, key, LIMIT).await.unwrap().unwrap();
    let payload = Payload::Memory(change(bytes.to_vec()).into());
    let put = store.put(key, &payload, &Condition::Matches(etag)).await.unwrap();
    assert!(matches!(put, Put::Written(_)));
}

/// Counts and the fingerprint of the snapshot.
fn found(report: &TableReport) -> (TableStatus, [u64; 4], Option<String>) {
    let counts = [report.inserted, report.updated, report.deleted, report.silent_changes];
    (report.status, counts, report.row_set_hash.clone())
}

async fn verified(store: &dyn ObjectStore, spec: &TableSpec) {
    lake::assert_verified(store, spec, Path::new(&std::env::temp_dir())).await;
}

#[tokio::test]
async fn the_next_run_reads_them_instead_of_the_full_load() {
    let (spec, store) = (spec(), FaultyStore::new(Arc::new(MemoryStore::new())));
    let key = layout::fingerprints(&spec.name);
    run(&store, &spec, &BEFORE, 0).await;
    let first = store.calls().len();
    let report = run(&store, &spec, &AFTER, 60).await;
    assert_eq!(report.status, TableStatus::Changed);
    let calls = &store.calls()[first..];
    assert!(read_whole(calls, &key) && !read_whole(calls, &layout::full_load(&spec.name)), "{calls:?}");
    let second = store.calls().len();
    let report = run(&store, &spec, &SHORTER, 120).await;
    assert_eq!(report.deleted, 100);
    assert!(
        read_whole(&store.calls()[second..], &layout::full_load(&spec.name)),
        "deleted rows come from the full load"
    );
    verified(&store, &spec).await;
}

#[tokio::test]
async fn a_small_table_has_none() {
    let (spec, store) = (lake::spec("t"), MemoryStore::new());
    let row = |id: u64| [("id".to_owned(), id.to_string())].into_iter().collect::<Row>();
    let folder = tempfile::tempdir().unwrap();
    let few: Vec<Row> = (0..WORTH_KEEPING_ROWS - 1).map(row).collect();
    lake::write_csv(folder.path(), "t", &["id".to_owned()], &few);
    let source = lake::local(folder.path());
    lake::run(&store, &spec, &source, &lake::request(0), folder.path()).await.unwrap();
    let keys: Vec<String> = store.list("_state/", None).await.unwrap().into_iter().map(|listed| listed.key).collect();
    assert_eq!(keys, [layout::state(&spec.name)]);
}

/// Whatever is done to them, the run finds what it finds without them.
#[tokio::test]
async fn damage_changes_nothing_but_the_time() {
    let spec = spec();
    let expected = {
        let store = MemoryStore::new();
        run(&store, &spec, &BEFORE, 0).await;
        found(&run(&store, &spec, &SHORTER, 60).await)
    };
    assert_eq!(expected.1[2], 100);
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let damages: [(&str, Damage); 5] = [
        ("empty", |_| Vec::new()),
        ("not Parquet", |_| b"PAR1 and nothing else".to_vec()),
        ("cut", |bytes| bytes[bytes.len() / 2..].to_vec()),
        ("a key", |bytes| flipped(bytes, 100)),
        ("the dates", |bytes| {
            // The last column's pages are the last before the footer.
            let footer = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
            let end = bytes.len() - 8 - footer;
            (1..ROWS as usize / 2).fold(bytes, |bytes, row| flipped(bytes, end - 8 * row - 2))
        }),
    ];
    for (name, damage) in damages {
        let store = MemoryStore::new();
        run(&store, &spec, &BEFORE, 0).await;
        replace(&store, &layout::fingerprints(&spec.name), damage).await;
        assert_eq!(found(&run(&store, &spec, &SHORTER, 60).await), expected, "{name}");
        verified(&store, &spec).await;
        let next = run(&store, &spec, &AFTER, 120).await;
        assert_eq!(next.inserted, 100, "{name}: the fingerprints are whole again");
    }
}

fn flipped(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 0x10;
    bytes
}

#[tokio::test]
async fn those_of_another_full_load_key_or_date_field_are_not_used() {
    let spec = spec();
    let store = MemoryStore::new();
    run(&store, &spec, &BEFORE, 0).await;
    let key = layout::fingerprints(&spec.name);
    let (stale, _) = read_all(&store, &key, LIMIT).await.unwrap().unwrap();
    run(&store, &spec, &AFTER, 60).await;
    replace(&store, &key, |_| stale.to_vec()).await;
    let report = run(&store, &spec, &BEFORE, 120).await;
    assert_eq!((report.updated, report.silent_changes > 0), (0, true), "dates went back: only silent changes");
    verified(&store, &spec).await;

    for other in [
        TableSpec { date_field: None, update_detection: UpdateDetection::Content, ..spec.clone() },
        TableSpec { date_field: Some("value".to_owned()), ..spec.clone() },
    ] {
        let (with, without) = (MemoryStore::new(), MemoryStore::new());
        run(&with, &spec, &BEFORE, 0).await;
        run(&without, &spec, &BEFORE, 0).await;
        replace(&without, &key, |_| Vec::new()).await;
        let (with, without) = (run(&with, &other, &AFTER, 60).await, run(&without, &other, &AFTER, 60).await);
        assert_eq!(found(&with), found(&without));
        assert!(with.updated > 0);
    }
}

/// Every call of a run may be its last, those for the fingerprints included.
#[tokio::test]
async fn a_crash_at_any_call_leaves_a_lake_that_the_next_run_completes() {
    let spec = spec();
    let calls = {
        let store = FaultyStore::new(Arc::new(MemoryStore::new()));
        run(&store, &spec, &BEFORE, 0).await;
        let first = store.calls().len();
        run(&store, &spec, &SHORTER, 60).await;
        store.calls().len() - first
    };
    assert!(calls > 10, "{calls}");
    for at in 0..calls {
        for moment in [Moment::Before, Moment::After] {
            let inner = Arc::new(MemoryStore::new());
            run(&*inner, &spec, &BEFORE, 0).await;
            let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
            store.crash(at, moment);
            run(&store, &spec, &SHORTER, 60).await;
            let report = run(&*inner, &spec, &SHORTER, 600).await;
            assert!(report.error.is_none(), "call {at} {moment:?}: {report:?}");
            verified(&*inner, &spec).await;
            let log = lake::log(&*inner, &spec.name).await;
            let deleted: usize = log.iter().map(|object| object.footer.deleted as usize).sum();
            assert_eq!(deleted, 100, "call {at} {moment:?}");
        }
    }
}

/// A cache that could not be read failed the table, although the full load was there.
#[tokio::test]
async fn those_that_cannot_be_read_are_a_warning_and_the_full_load_is_read() {
    let (spec, inner) = (spec(), Arc::new(MemoryStore::new()));
    let key = layout::fingerprints(&spec.name);
    run(&*inner, &spec, &BEFORE, 0).await;
    let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
    // The state, the footer of the full load, and then the fingerprints.
    store.script(Operation::Get, [Fault::Pass, Fault::Pass, Fault::FailBefore]);
    let report = run(&store, &spec, &AFTER, 60).await;
    assert_eq!((report.status, report.error.map(|error| error.code())), (TableStatus::Changed, None));
    assert_eq!(store.calls().iter().filter(|call| call.operation == Operation::Get).nth(2).unwrap().key, key);
    assert!(report.warnings.iter().any(|warning| warning.contains(&key)), "{:?}", report.warnings);
    verified(&*inner, &spec).await;
}
