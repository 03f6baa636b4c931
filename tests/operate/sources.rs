//! Which source a lake belongs to: another dataset has versions of the same numbers, and other rows.

use std::sync::Arc;

use cdc_to_s3::lake::state::State;
use cdc_to_s3::lake::store::MemoryStore;
use cdc_to_s3::pipeline::{self, Unwatched};
use cdc_to_s3::report::{TableReport, TableStatus};
use cdc_to_s3::request::Request;
use cdc_to_s3::secrets::{CredentialCache, KaggleCredentials};
use cdc_to_s3::source::kaggle::{Kaggle, Settings};
use cdc_to_s3::source::{Limits, Source};
use cdc_to_s3::table::TableSpec;
use tempfile::TempDir;

use crate::support::dataset::zipped;
use crate::support::kaggle::{Endpoint, StandIn};
use crate::support::lake;

/// A lake, and datasets that could fill it.
struct Bench {
    store: MemoryStore,
    spec: TableSpec,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { store: MemoryStore::new(), spec: lake::spec("t"), folder: tempfile::tempdir().unwrap() }
    }

    async fn run(&self, source: &Source, request: &Request) -> TableReport {
        let specs = std::slice::from_ref(&self.spec);
        let run = pipeline::run(request, specs, source, &self.store, self.folder.path(), &Unwatched);
        Box::pin(run).await.unwrap().tables.remove(0)
    }

    async fn recorded(&self) -> Option<String> {
        lake::state(&self.store, &self.spec.name).await.state.head.unwrap().provenance.source
    }
}

/// A dataset of one version with these rows.
async fn dataset(name: &str, rows: &str) -> (StandIn, Source) {
    let kaggle = StandIn::start(name).await.unwrap();
    kaggle.publish(1, zipped(&[("t", rows)]));
    let credentials = Arc::new(CredentialCache::fixed(KaggleCredentials::Anonymous));
    let client = Arc::new(Kaggle::new(&kaggle.url(), credentials, Settings::default()).unwrap());
    let source = Source::Kaggle {
        client,
        dataset: name.parse().unwrap(),
        limits: Limits::default(),
        version: None,
        not_ready_after: None,
    };
    (kaggle, source)
}

fn downloads(kaggle: &StandIn) -> usize {
    kaggle.requests().iter().filter(|seen| seen.endpoint == Some(Endpoint::DownloadDataset)).count()
}

#[tokio::test]
async fn another_dataset_at_the_same_version_is_refused_until_it_is_adopted() {
    let bench = Bench::new();
    let (_first, ours) = dataset("owner/ours", "id,a\n1,x\n2,y\n").await;
    let (other, theirs) = dataset("owner/theirs", "id,a\n1,x\n3,z\n").await;
    assert_eq!(bench.run(&ours, &lake::request(0)).await.inserted, 2);
    assert_eq!(bench.recorded().await.as_deref(), Some("kaggle:owner/ours"));
    let refused = bench.run(&theirs, &lake::request(60)).await;
    let error = refused.error.expect("another source");
    assert_eq!((refused.status, error.code(), downloads(&other)), (TableStatus::Failed, "OtherSource", 0));
    assert!(error.to_string().contains("owner/ours") && error.to_string().contains("owner/theirs"), "{error}");
    assert!(error.advice().unwrap().contains("--adopt-source"));
    assert_eq!(bench.run(&ours, &lake::request(120)).await.status, TableStatus::Unchanged);
    let adopting = Request { adopt_source: true, ..lake::request(180) };
    let adopted = bench.run(&theirs, &adopting).await;
    assert_eq!((adopted.error.map(|error| error.code()), adopted.inserted, adopted.deleted), (None, 1, 1));
    assert_eq!(bench.run(&theirs, &lake::request(240)).await.status, TableStatus::Unchanged);
    let refused = bench.run(&ours, &lake::request(300)).await;
    assert_eq!(refused.error.map(|error| error.code()), Some("OtherSource"));
    lake::assert_verified(&bench.store, &bench.spec, bench.folder.path()).await;
}

#[tokio::test]
async fn a_source_that_is_adopted_without_a_change_stays_adopted() {
    let bench = Bench::new();
    let rows = "id,a\n1,x\n";
    let (_first, ours) = dataset("owner/ours", rows).await;
    let (kaggle, renamed) = dataset("owner/renamed", rows).await;
    bench.run(&ours, &lake::request(0)).await;
    let adopting = Request { adopt_source: true, ..lake::request(60) };
    assert_eq!(bench.run(&renamed, &adopting).await.status, TableStatus::Unchanged);
    assert_eq!(bench.recorded().await.as_deref(), Some("kaggle:owner/renamed"));
    kaggle.publish(2, zipped(&[("t", "id,a\n1,x\n2,y\n")]));
    assert_eq!(bench.run(&renamed, &lake::request(120)).await.inserted, 1);
    // The objects tell it, too, where the state is lost.
    lake::replace_state(&bench.store, &bench.spec.name, &State::empty()).await;
    let refused = bench.run(&ours, &lake::request(180)).await;
    assert_eq!(refused.error.map(|error| error.code()), Some("OtherSource"));
}

#[tokio::test]
async fn files_at_hand_go_into_the_lake_of_a_dataset_and_back() {
    let bench = Bench::new();
    let rows = "id,a\n1,x\n2,y\n";
    let (kaggle, source) = dataset("owner/ours", rows).await;
    let files = |name: &str, rows: &str| {
        let folder = bench.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("t.csv"), rows).unwrap();
        lake::local(&folder)
    };
    assert_eq!(bench.run(&files("here", rows), &lake::request(0)).await.inserted, 2);
    assert_eq!(bench.recorded().await, None);
    assert_eq!(bench.run(&source, &lake::request(60)).await.status, TableStatus::Unchanged);
    assert_eq!(bench.recorded().await.as_deref(), Some("kaggle:owner/ours"));
    assert_eq!(bench.run(&files("there", "id,a\n1,x\n"), &lake::request(120)).await.deleted, 1);
    assert_eq!(bench.recorded().await.as_deref(), Some("kaggle:owner/ours"));
    kaggle.publish(2, zipped(&[("t", rows)]));
    assert_eq!(bench.run(&source, &lake::request(180)).await.inserted, 1);
}

#[tokio::test]
async fn a_lake_that_does_not_know_its_source_learns_it_once() {
    let bench = Bench::new();
    let (kaggle, source) = dataset("owner/ours", "id,a\n1,x\n").await;
    bench.run(&source, &lake::request(0)).await;
    let mut state = lake::state(&bench.store, &bench.spec.name).await.state;
    state.head.as_mut().unwrap().provenance.source = None;
    lake::replace_state(&bench.store, &bench.spec.name, &state).await;
    let before = downloads(&kaggle);
    assert_eq!(bench.run(&source, &lake::request(60)).await.status, TableStatus::Unchanged);
    assert_eq!(bench.recorded().await.as_deref(), Some("kaggle:owner/ours"));
    assert_eq!(downloads(&kaggle), before, "nothing is fetched for that");
    let (_other, theirs) = dataset("owner/theirs", "id,a\n1,x\n").await;
    let refused = bench.run(&theirs, &lake::request(120)).await;
    assert_eq!(refused.error.map(|error| error.code()), Some("OtherSource"));
}
