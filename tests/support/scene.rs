//! Lakes at interesting points of their life, and the run that is to be attacked there.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cdc_to_s3::lake::store::{Condition, MemoryStore, ObjectStore, Payload, Put, read_all};
use cdc_to_s3::report::TableReport;
use cdc_to_s3::request::Request;
use cdc_to_s3::source::Source;
use cdc_to_s3::table::{TableSpec, UpdateDetection};
use tempfile::TempDir;

use super::faults::{FaultyStore, Moment, Operation};
use super::lake::{self, Key, Row};

/// The minute at which the run under attack is asked for; claims of earlier runs have expired by then.
pub(crate) const MINUTE: i64 = 600;

/// `id`, `changed`, `name`.
type Cells = (&'static str, &'static str, &'static str);

const FIRST: &[Cells] =
    &[("1", "2024-01-01", "ana"), ("2", "2024-01-01", "bia"), ("3", "2024-01-01", "caio"), ("4", "2024-01-01", "davi")];
const SECOND: &[Cells] =
    &[("1", "2024-01-01", "ana"), ("2", "2024-01-02", "bea"), ("4", "2024-01-01", "davi"), ("5", "2024-01-02", "eva")];
const THIRD: &[Cells] =
    &[("1", "2024-01-03", "ane"), ("2", "2024-01-02", "bea"), ("3", "2024-01-03", "caio"), ("5", "2024-01-02", "eva")];
/// As [`FIRST`], but for a name that changed without its date.
const SILENT: &[Cells] =
    &[("1", "2024-01-01", "ana"), ("2", "2024-01-01", "BIA"), ("3", "2024-01-01", "caio"), ("4", "2024-01-01", "davi")];
/// As [`FIRST`], but for a key that is no number and a date that is none.
const WIDENED: &[Cells] =
    &[("1", "2024-01-01", "ana"), ("2", "2024-01-09", "bia"), ("3", "never", "caio"), ("k4", "", "x")];

/// What happened before the run under attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    Nothing,
    /// Every version but the last was committed.
    Committed,
    /// The run of the version before the last crashed right after its write of this number took effect: 0 is its claim,
    /// 1 its publication, 2 its checkpoint.
    Crashed(usize),
}

/// A lake, a source, and a run.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) spec: TableSpec,
    pub(crate) request: Request,
    pub(crate) folder: TempDir,
    versions: Vec<(Source, Vec<Row>)>,
    objects: Vec<(String, Bytes)>,
}

impl Scene {
    /// All of them.
    pub(crate) async fn all() -> Vec<Arc<Self>> {
        use UpdateDetection::{Content, Date};
        vec![
            Self::make("first run", Content, Past::Nothing, &[FIRST]).await,
            Self::make("next run", Content, Past::Committed, &[FIRST, SECOND]).await,
            Self::make("dated changes", Date, Past::Committed, &[FIRST, SECOND]).await,
            Self::make("silent changes", Date, Past::Committed, &[FIRST, SILENT]).await,
            Self::make("unchanged table", Content, Past::Committed, &[FIRST, SECOND, SECOND]).await,
            Self::make("widened key", Content, Past::Committed, &[FIRST, WIDENED]).await,
            Self::make("after a first claim", Content, Past::Crashed(0), &[FIRST, SECOND]).await,
            Self::make("after a claim", Content, Past::Crashed(0), &[FIRST, SECOND, THIRD]).await,
            Self::make("after a publication", Content, Past::Crashed(1), &[FIRST, SECOND, THIRD]).await,
            Self::make(
                "after a publication that widened the key",
                Content,
                Past::Crashed(1),
                &[FIRST, WIDENED, WIDENED],
            )
            .await,
            Self::make("after a checkpoint", Content, Past::Crashed(2), &[FIRST, SECOND, THIRD]).await,
            Self::make("after a silent claim", Date, Past::Crashed(0), &[FIRST, SILENT, THIRD]).await,
        ]
    }

    /// One of them.
    pub(crate) async fn named(name: &str) -> Arc<Self> {
        Self::all().await.into_iter().find(|scene| scene.name == name).expect("a scene")
    }

    async fn make(
        name: &'static str,
        detection: UpdateDetection,
        past: Past,
        versions: &[&'static [Cells]],
    ) -> Arc<Self> {
        let mut spec = lake::spec("t");
        spec.update_detection = detection;
        spec.date_field = (detection == UpdateDetection::Date).then(|| "changed".to_owned());
        let folder = tempfile::tempdir().unwrap();
        let versions: Vec<_> = versions.iter().enumerate().map(|(n, cells)| version(&folder, n, cells)).collect();
        let mut scene = Self { name, spec, request: lake::request(MINUTE), folder, versions, objects: Vec::new() };
        scene.live_through(past).await;
        Arc::new(scene)
    }

    async fn live_through(&mut self, past: Past) {
        let inner: Arc<dyn ObjectStore> = Arc::new(MemoryStore::new());
        let before = self.versions.len() - 1;
        for number in 0..before {
            let request = lake::request(60 * number as i64);
            let store = FaultyStore::new(Arc::clone(&inner));
            if let (Past::Crashed(write), true) = (past, number + 1 == before) {
                store.crash_at_write(write, Moment::After);
            }
            self.run_of(&store, number, &request).await;
        }
        for listed in inner.list("", None).await.unwrap() {
            let (bytes, _) = read_all(&*inner, &listed.key, listed.len).await.unwrap().unwrap();
            self.objects.push((listed.key, bytes));
        }
    }

    /// A store of its own in which the past has happened.
    pub(crate) async fn store(&self) -> Arc<MemoryStore> {
        let store = Arc::new(MemoryStore::new());
        self.fill(&*store).await;
        store
    }

    /// Lets the past happen in an empty store.
    pub(crate) async fn fill(&self, store: &dyn ObjectStore) {
        for (key, bytes) in &self.objects {
            let put = store.put(key, &Payload::Memory(bytes.clone()), &Condition::Absent).await.unwrap();
            assert!(matches!(put, Put::Written(_)), "{key}");
        }
    }

    /// Runs the newest version.
    pub(crate) async fn run(&self, store: &dyn ObjectStore, request: &Request) -> TableReport {
        self.run_of(store, self.versions.len() - 1, request).await
    }

    /// Runs the version before the newest, as a run that has asked the source earlier would; the only one of a first run.
    pub(crate) async fn run_before_newest(&self, store: &dyn ObjectStore, request: &Request) -> TableReport {
        self.run_of(store, self.versions.len().saturating_sub(2), request).await
    }

    async fn run_of(&self, store: &dyn ObjectStore, version: usize, request: &Request) -> TableReport {
        let (source, _) = &self.versions[version];
        let mut report = lake::run(store, &self.spec, source, request, self.folder.path()).await.unwrap();
        report.tables.remove(0)
    }

    /// Whether the newest version has changes that are not in the log yet, or not in the full load.
    pub(crate) fn has_changes(&self) -> bool {
        !matches!(self.name, "unchanged table" | "after a publication that widened the key")
    }

    /// The calls that an undisturbed run makes.
    pub(crate) async fn calls(&self) -> Vec<Operation> {
        let store = FaultyStore::new(self.store().await);
        let report = self.run(&store, &self.request).await;
        assert!(report.error.is_none(), "{report:?}");
        store.calls().iter().map(|call| call.operation).collect()
    }

    /// Fails unless the newest version is committed, and every change on the way to it is in the log exactly once.
    pub(crate) async fn assert_complete(&self, store: &dyn ObjectStore) {
        let (source, rows) = self.versions.last().unwrap();
        let expected: BTreeMap<Key, Row> = keyed(rows, &self.spec);
        let state = lake::state(store, &self.spec.name).await.state;
        let Source::Local { position, .. } = source else { unreachable!("a folder") };
        assert_eq!((state.pending, state.head.unwrap().position.as_ref()), (None, Some(position)), "{}", self.name);
        let log = lake::log(store, &self.spec.name).await;
        let replayed = lake::replay(&log, &self.spec);
        if self.spec.update_detection != UpdateDetection::Date {
            assert_eq!(replayed, expected, "{}", self.name);
        }
        let (_, full_load) = lake::full_load(store, &self.spec.name).await;
        assert_eq!(keyed(&full_load, &self.spec), expected, "{}", self.name);
        lake::assert_verified(store, &self.spec, self.folder.path()).await;
    }
}

fn keyed(rows: &[Row], spec: &TableSpec) -> BTreeMap<Key, Row> {
    rows.iter().map(|row| (lake::key_of(row, &spec.pk), row.clone())).collect()
}

fn version(folder: &TempDir, number: usize, cells: &[Cells]) -> (Source, Vec<Row>) {
    let columns = ["id", "changed", "name"].map(str::to_owned);
    let row = |&(id, changed, name): &Cells| -> Row {
        let cells = columns.iter().cloned().zip([id, changed, name].map(str::to_owned));
        cells.filter(|(_, text)| !text.is_empty()).collect()
    };
    let rows: Vec<Row> = cells.iter().map(row).collect();
    let path = folder.path().join(format!("v{number}"));
    lake::write_csv(&path, "t", &columns, &rows);
    (lake::local(&path), rows)
}
