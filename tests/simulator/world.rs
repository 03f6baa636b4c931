//! One history against the real program: runs with faults, and what must hold after each of them.

use std::collections::HashMap;
use std::sync::Arc;

use cdc_to_s3::lake::footer::{FileKind, Footer};
use cdc_to_s3::lake::layout::RunTime;
use cdc_to_s3::lake::store::{ETag, MemoryStore, ObjectStore};
use cdc_to_s3::position::Position;
use cdc_to_s3::report::{TableReport, TableStatus};
use cdc_to_s3::request::{Deadline, Request};
use cdc_to_s3::source::Source;
use cdc_to_s3::table::{TableSpec, UpdateDetection};
use cdc_to_s3::{Kind, Result};
use chrono::{DateTime, Duration, Utc};
use tempfile::TempDir;

use super::history::Version;
use super::model::{self, Changes, Snapshot};
use crate::support::faults::{Fault, FaultyStore, Gate, Moment, Operation};
use crate::support::lake::{self, LogObject, Row};
use crate::support::random::Random;

/// More calls than a run makes.
const CALLS: usize = 24;

/// A lake, what has been put into it so far, and what the reference says of that.
pub(super) struct World {
    store: Arc<MemoryStore>,
    spec: TableSpec,
    folder: TempDir,
    versions: HashMap<Position, Result<Snapshot, &'static str>>,
    /// The objects of the log that have been examined, tombstones included.
    seen: HashMap<String, ETag>,
    newest: Option<RunTime>,
    replayed: Snapshot,
    full_load: Option<(Footer, ETag, Snapshot)>,
    log_after_full_load: Vec<(RunTime, Changes)>,
    request: Request,
}

impl World {
    pub(super) fn new(spec: TableSpec) -> Self {
        Self {
            store: Arc::default(),
            spec,
            folder: tempfile::tempdir().unwrap(),
            versions: HashMap::new(),
            seen: HashMap::new(),
            newest: None,
            replayed: Snapshot::new(),
            full_load: None,
            log_after_full_load: Vec::new(),
            request: lake::request(0),
        }
    }

    /// The source publishes a version.
    pub(super) fn release(&mut self, number: usize, version: &Version) -> Source {
        let folder = self.folder.path().join(format!("v{number}"));
        lake::write_csv(&folder, self.spec.name.as_str(), &version.columns, &version.rows);
        let source = lake::local(&folder);
        let Source::Local { position, .. } = &source else { unreachable!("a folder") };
        self.versions.insert(position.clone(), model::snapshot(version, &self.spec));
        source
    }

    /// One run that may meet faults, or none; sometimes a run that stands still while another one passes it.
    pub(super) async fn run_somehow(&mut self, source: &Source, random: &mut Random) {
        self.next_request(random);
        let faulty = FaultyStore::new(Arc::clone(&self.store) as Arc<dyn ObjectStore>);
        match random.below(5) {
            0 => self.run_cleanly(source).await,
            1 | 2 => {
                faulty.crash(random.below(CALLS), random.pick(&[Moment::Before, Moment::After]));
                self.run_with(&faulty, source).await;
            }
            3 if self.spec.update_detection != UpdateDetection::Date => self.zombie(faulty, source, random).await,
            _ => {
                script(&faulty, random);
                self.run_with(&faulty, source).await;
            }
        }
    }

    /// A run much later that meets no fault: it must complete everything, or refuse the version with the right error.
    pub(super) async fn run_to_the_end(&mut self, source: &Source) {
        self.request = request(self.request.run_at + Duration::hours(6), self.request.now + Duration::hours(6));
        self.run_cleanly(source).await;
        let end = lake::state(&*self.store, &self.spec.name).await.state;
        if self.refusal(source).is_none() {
            assert!(end.pending.is_none(), "{:?}", end.pending);
            assert_eq!(end.head.unwrap().position, Some(position(source).clone()));
        }
        if self.full_load.is_some() {
            lake::assert_verified(&*self.store, &self.spec, self.folder.path()).await;
        }
    }

    /// What a reader of the folder ends up with, by nothing but the listing; in date mode up to silent changes.
    pub(super) async fn assert_replay(&self) {
        let log = lake::log(&*self.store, &self.spec.name).await;
        if self.spec.update_detection != UpdateDetection::Date {
            assert_eq!(lake::replay(&log, &self.spec), self.base());
        }
        let mut types = HashMap::new();
        let columns = log.iter().flat_map(|object| &object.footer.schema.columns);
        for column in columns.filter(|column| !column.empty) {
            let known = types.entry(&column.name).or_insert(column.column_type);
            assert_eq!(known.join(column.column_type), column.column_type, "`{}` became narrower", column.name);
            *known = column.column_type;
        }
    }

    fn next_request(&mut self, random: &mut Random) {
        let now = self.request.now + Duration::minutes(random.pick(&[0, 1, 5, 20, 60]));
        let run_at = match random.below(6) {
            0 | 1 => self.request.run_at,
            2 => self.request.run_at - Duration::minutes(30),
            3 => self.request.run_at + Duration::seconds(1),
            _ => now,
        };
        self.request = request(run_at, now);
    }

    /// A run without faults, whose outcome is known beforehand.
    async fn run_cleanly(&mut self, source: &Source) {
        let state = lake::state(&*self.store, &self.spec.name).await.state;
        let (base, refusal) = (self.base(), self.refusal(source));
        let report = self.run_with(&*Arc::clone(&self.store), source).await;
        let ours = |owner: &str| owner == self.request.identity;
        let code = report.error.as_ref().map(cdc_to_s3::Error::code);
        match (&state.pending, &state.head) {
            (Some(claim), _) if ours(&claim.owner) => {
                let same_data = claim.position.as_ref() == Some(position(source));
                let overtaken = report.status == TableStatus::Busy && self.newest > Some(claim.run_at);
                let fenced = report.status == TableStatus::Busy && self.is_tombstone(&claim.cdc_key).await;
                assert!(
                    overtaken || fenced || code == if same_data { refusal } else { Some("OtherData") },
                    "{report:?}"
                );
            }
            (Some(claim), _) if claim.expires > self.request.now => assert_eq!(report.status, TableStatus::Busy),
            (None, Some(head)) if head.position.as_ref() == Some(position(source)) => {
                assert_eq!((report.status, code), (TableStatus::Unchanged, None));
            }
            _ => {
                assert_eq!(code, refusal, "{report:?}");
                if let (None, Some(Ok(new))) = (refusal, self.versions.get(position(source))) {
                    self.assert_counts(&report, &model::diff(&self.spec, &base, new));
                    assert_eq!(&self.full_load.as_ref().unwrap().2, new);
                }
            }
        }
    }

    async fn is_tombstone(&self, key: &str) -> bool {
        let log = lake::log(&*self.store, &self.spec.name).await;
        log.iter().any(|object| object.key == key && object.footer.kind == FileKind::Tombstone)
    }

    fn assert_counts(&self, report: &TableReport, expected: &Changes) {
        let count = |operation| expected.values().filter(|change| change.0 == operation).count() as u64;
        assert_eq!((report.inserted, report.updated, report.deleted), (count("I"), count("U"), count("D")));
        assert_eq!(report.cdc_key.is_some(), !expected.is_empty(), "{report:?}");
    }

    async fn run_with(&mut self, store: &dyn ObjectStore, source: &Source) -> TableReport {
        let base = self.base();
        // Most runs find the fingerprints of the full load, some those of an earlier one, or none.
        if !base.len().is_multiple_of(3) {
            lake::keep_fingerprints(&*self.store, &self.spec, self.folder.path()).await;
        }
        let refusal = self.refusal(source);
        let mut report = lake::run(store, &self.spec, source, &self.request, self.folder.path()).await.unwrap();
        let report = report.tables.remove(0);
        assert_excusable(&report, refusal);
        self.examine(Some(&base)).await;
        report
    }

    /// A run stands still at a write, wakes when another one has taken over, and goes on.
    async fn zombie(&mut self, faulty: FaultyStore, source: &Source, random: &mut Random) {
        let gate = Gate::new();
        faulty.script(
            Operation::Put,
            std::iter::repeat_n(Fault::Pass, random.below(4)).chain([Fault::Hold(gate.clone())]),
        );
        let refusal = self.refusal(source);
        let sleeper = {
            let (spec, source, request) = (self.spec.clone(), source.clone(), self.request.clone());
            let folder = self.folder.path().to_owned();
            tokio::spawn(async move { lake::run(&faulty, &spec, &source, &request, &folder).await })
        };
        let mut sleeper = sleeper;
        let report = tokio::select! {
            ended = &mut sleeper => ended,
            () = gate.reached() => {
                self.examine(None).await;
                let later = self.request.now + Duration::minutes(random.pick(&[1, 20]));
                self.request = request(random.pick(&[self.request.run_at, later]), later);
                self.run_cleanly_beside(source).await;
                gate.release();
                sleeper.await
            }
        };
        assert_excusable(&report.unwrap().unwrap().tables[0], refusal);
        self.examine(None).await;
    }

    async fn run_cleanly_beside(&mut self, source: &Source) {
        let refusal = self.refusal(source);
        let store = Arc::clone(&self.store);
        let report = lake::run(&*store, &self.spec, source, &self.request, self.folder.path()).await.unwrap();
        assert_excusable(&report.tables[0], refusal);
        self.examine(None).await;
    }

    /// What the next comparison starts from: the full load and the log after it.
    fn base(&self) -> Snapshot {
        let mut base = self.full_load.as_ref().map(|(.., rows)| rows.clone()).unwrap_or_default();
        self.log_after_full_load.iter().for_each(|(_, changes)| model::apply(&mut base, changes));
        if self.spec.update_detection != UpdateDetection::Date {
            assert_eq!(base, self.replayed, "the checkpoint and the log after it are not the whole log");
        }
        base
    }

    /// The code with which the program must refuse to go on to the version in `source`.
    fn refusal(&self, source: &Source) -> Option<&'static str> {
        match &self.versions[position(source)] {
            Ok(new) => model::refusal(&self.spec, &self.base(), new),
            Err(code) => Some(code),
        }
    }

    /// Looks at everything that has come into the lake. `base` is what the changes must follow from, where that is not
    /// what readers of the log know.
    async fn examine(&mut self, base: Option<&Snapshot>) {
        let tags = lake::log_tags(&*self.store, &self.spec.name).await;
        let kept = tags.iter().filter(|(key, tag)| self.seen.get(key) == Some(tag)).count();
        assert_eq!(kept, self.seen.len(), "an object of the log was replaced");
        for (key, tag) in tags {
            if self.seen.insert(key.clone(), tag).is_none() {
                let object = lake::log_object(&*self.store, key).await;
                if object.footer.kind == FileKind::Cdc {
                    self.examine_object(&object, base);
                }
            }
        }
        self.examine_full_load().await;
    }

    fn examine_object(&mut self, object: &LogObject, base: Option<&Snapshot>) {
        let footer = &object.footer;
        assert!(self.newest < Some(footer.run_at), "{} sorts before what was there", object.key);
        let new = self.versions[footer.position.as_ref().unwrap()].as_ref().unwrap();
        let expected = model::diff(&self.spec, base.unwrap_or(&self.replayed), new);
        let actual: Changes =
            object.changes.iter().map(|(operation, row)| self.keyed(operation.letter(), row)).collect();
        assert_eq!(actual.len(), object.changes.len(), "a key is twice in {}", object.key);
        let by_value = |changes: &Changes| model::deleted_by_value(changes.clone(), &footer.schema);
        assert_eq!(by_value(&actual), by_value(&expected), "{}", object.key);
        let count = |letter| actual.values().filter(|change| change.0 == letter).count() as u64;
        assert_eq!((footer.inserted, footer.updated, footer.deleted), (count("I"), count("U"), count("D")));
        assert_eq!(footer.rows, new.len() as u64);
        model::apply(&mut self.replayed, &actual);
        self.newest = Some(footer.run_at);
        self.log_after_full_load.push((footer.run_at, actual));
    }

    fn keyed(&self, operation: &'static str, row: &Row) -> (lake::Key, (&'static str, Row)) {
        (lake::key_of(row, &self.spec.pk), (operation, row.clone()))
    }

    async fn examine_full_load(&mut self) {
        let found = lake::full_load_tag(&*self.store, &self.spec.name).await;
        let known = self.full_load.as_ref();
        let Some(tag) = found else { return assert!(known.is_none(), "the full load is gone") };
        if known.is_some_and(|(_, known, _)| *known == tag) {
            return;
        }
        let (footer, rows) = lake::full_load(&*self.store, &self.spec.name).await;
        assert!(known.is_none_or(|(known, ..)| known.run_at <= footer.run_at), "the full load went back");
        let rows: Snapshot = rows.into_iter().map(|row| (lake::key_of(&row, &self.spec.pk), row)).collect();
        assert_eq!(Ok(&rows), self.versions[footer.position.as_ref().unwrap()].as_ref());
        self.log_after_full_load.retain(|(run_at, _)| *run_at > footer.run_at);
        self.full_load = Some((footer, tag, rows));
    }
}

/// Some calls of a run fail, or their answers get lost.
fn script(store: &FaultyStore, random: &mut Random) {
    let mut faults = |percent, choices: &[Fault]| -> Vec<Fault> {
        (0..8).map(|_| if random.chance(percent) { random.pick(choices) } else { Fault::Pass }).collect()
    };
    store.script(Operation::Put, faults(30, &[Fault::FailBefore, Fault::FailAfter, Fault::RefuseAfter]));
    store.script(Operation::Get, faults(8, &[Fault::FailBefore]));
    store.script(Operation::List, faults(8, &[Fault::FailBefore]));
}

/// A run may fail for a fault of the store, a race or the data, never for the program's own fault.
fn assert_excusable(report: &TableReport, refusal: Option<&'static str>) {
    let Some(error) = &report.error else { return };
    let excused = matches!(error.kind(), Kind::Transient | Kind::Conflict) || Some(error.code()) == refusal;
    assert!(excused, "{error:?}");
}

fn request(run_at: DateTime<Utc>, now: DateTime<Utc>) -> Request {
    Request::new(run_at, format!("event:{run_at}"), now, Deadline::NONE)
}

fn position(source: &Source) -> &Position {
    let Source::Local { position, .. } = source else { unreachable!("a folder") };
    position
}
