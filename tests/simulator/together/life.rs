//! One history: several runs of the real pipeline on one table, interleaved at every call to the store, with readers, faults,
//! crashes and deletions among them. A seed decides on everything.

use std::sync::Arc;

use cdc_to_s3::Kind;
use cdc_to_s3::lake::layout;
use cdc_to_s3::lake::store::ObjectStore;
use cdc_to_s3::ops::verify::verify;
use cdc_to_s3::position::Position;
use cdc_to_s3::report::{TableReport, TableStatus};
use cdc_to_s3::request::{Deadline, Request};
use cdc_to_s3::source::Source;
use chrono::{DateTime, Duration, Utc};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::super::history::History;
use super::super::model;
use super::ledger::Ledger;
use super::reader::Reader;
use super::shelf::Shelf;
use super::weakened::{Protection, Weakened};
use crate::support::faults::Operation;
use crate::support::gate::{Call, Gate, Gated, Verdict, Watched};
use crate::support::lake;
use crate::support::random::Random;

/// So many runs live at once, at the most.
const AT_ONCE: usize = 3;

/// The moves of the clock between two events, in seconds. No sum of them comes near the time for which a claim holds, so that
/// it does not depend on the speed of the machine whether one has expired.
const MOVES: [i64; 5] = [0, 50, 300, 1200, 3600];

/// How a history is disturbed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) without: Option<Protection>,
    pub(super) deletes: bool,
}

/// A run that lives.
struct Running {
    number: usize,
    position: Position,
    /// How many versions were committed when it started.
    seen: usize,
    /// The last name in the log when it started.
    newest: String,
    /// The step before which no call of its is let through.
    sleeps_until: usize,
    task: JoinHandle<Option<TableReport>>,
}

pub(super) struct Life {
    pub(super) random: Random,
    pub(super) plan: Plan,
    history: History,
    folder: TempDir,
    pub(super) store: Arc<Shelf>,
    gate: Arc<Gate>,
    pub(super) ledger: Ledger,
    released: Vec<Source>,
    runs: Vec<Running>,
    started: usize,
    pub(super) readers: Vec<Reader>,
    request: Request,
    /// How many of 100 calls go wrong.
    faults: usize,
    step: usize,
    /// Whether somebody has deleted what the log cannot do without.
    pub(super) is_damaged: bool,
    pub(super) trace: Vec<String>,
}

/// Lives through the history of a seed, and gives its trace.
pub(super) async fn live(seed: u64, plan: Plan) -> Vec<String> {
    let mut random = Random::new(seed);
    let history = History::new(&mut random);
    let ledger = Ledger::new(history.spec.clone());
    let (faults, runs) = (random.pick(&[0, 2, 6]), 4 + random.below(7));
    let mut life = Life {
        random,
        plan,
        history,
        folder: tempfile::tempdir().unwrap(),
        store: Arc::default(),
        gate: Arc::default(),
        ledger,
        released: Vec::new(),
        runs: Vec::new(),
        started: 0,
        readers: vec![Reader::default()],
        request: request(lake::at(0), lake::at(0)),
        faults,
        step: 0,
        is_damaged: false,
        trace: Vec::new(),
    };
    life.go_through(runs).await;
    life.end().await;
    life.trace
}

impl Life {
    async fn go_through(&mut self, runs: usize) {
        self.release();
        while self.started < runs || !self.runs.is_empty() {
            self.step += 1;
            self.gate.quiet().await;
            self.bury().await;
            match self.random.below(100) {
                0..=3 => self.release(),
                4..=13 => self.read().await,
                14..=15 if self.plan.deletes => self.delete().await,
                16..=27 if self.started < runs && self.runs.len() < AT_ONCE => self.start().await,
                _ if self.runs.is_empty() && self.started < runs => self.start().await,
                _ => self.let_one_through().await,
            }
        }
    }

    /// The source publishes a version.
    fn release(&mut self) {
        let version = self.history.next(&mut self.random);
        let folder = self.folder.path().join(format!("v{}", self.released.len()));
        lake::write_csv(&folder, self.ledger.spec.name.as_str(), &version.columns, &version.rows);
        let source = lake::local(&folder);
        let snapshot = model::snapshot(&version, &self.ledger.spec);
        self.ledger.versions.insert(position(&source), snapshot);
        self.released.push(source);
        self.trace.push(format!("version {}", self.released.len()));
    }

    async fn read(&mut self) {
        if self.random.chance(10) {
            let from_full_load =
                if self.random.chance(50) { Reader::from_full_load(&self.store, &self.ledger).await } else { None };
            self.readers.push(from_full_load.unwrap_or_default());
        }
        if !self.readers.is_empty() {
            let reader = self.random.below(self.readers.len());
            self.trace.push(format!("reader {reader}"));
            if !self.readers[reader].read(&self.store, &self.ledger).await {
                self.readers.remove(reader);
            }
        }
    }

    /// A run starts: of a new event, or of one that was there already; some have asked the source before its newest version came.
    async fn start(&mut self) {
        if self.random.chance(40) {
            self.release();
        }
        if self.runs.is_empty() && self.random.chance(30) {
            lake::keep_fingerprints(&*self.store, &self.ledger.spec, self.folder.path()).await;
        }
        self.next_request();
        let newest = self.released.len() - 1;
        let version = if self.random.chance(20) { newest.saturating_sub(1) } else { newest };
        let (source, request) = (self.released[version].clone(), self.request.clone());
        let number = self.gate.enrol();
        self.trace.push(format!("run {number} of {} at {}, version {}", request.identity, request.now, version + 1));
        let inner: Arc<dyn ObjectStore> = match self.plan.without {
            Some(protection) => Arc::new(Weakened::new(Arc::clone(&self.store), protection)),
            None => Arc::clone(&self.store) as Arc<dyn ObjectStore>,
        };
        let gated = Gated::new(Arc::clone(&self.gate), number, inner);
        let (spec, folder) = (self.ledger.spec.clone(), self.folder.path().to_owned());
        let position = position(&source);
        let run = Box::pin(async move {
            let mut report = lake::run(&gated, &spec, &source, &request, &folder).await.unwrap();
            report.tables.remove(0)
        });
        let task = tokio::spawn(Watched::new(Arc::clone(&self.gate), number, run));
        let (seen, newest) = (self.ledger.history.len(), self.ledger.newest());
        self.runs.push(Running { number, position, seen, newest, sleeps_until: 0, task });
        self.started += 1;
    }

    fn next_request(&mut self) {
        let now = self.request.now + Duration::seconds(self.random.pick(&MOVES));
        let run_at = match self.random.below(6) {
            0 | 1 => self.request.run_at,
            2 => self.request.run_at - Duration::minutes(30),
            3 => self.request.run_at + Duration::seconds(1),
            _ => now,
        };
        // Some clocks are slow.
        let seen = if self.random.chance(10) { now - Duration::minutes(30) } else { now };
        self.request = request(run_at, now);
        self.request.now = seen;
    }

    /// One call of a run that is awake is let through, or goes wrong, or puts the run to sleep.
    async fn let_one_through(&mut self) {
        let waiting = self.gate.waiting();
        let is_awake =
            |call: &&Call| self.runs.iter().any(|run| run.number == call.run && run.sleeps_until <= self.step);
        let awake: Vec<Call> = waiting.iter().filter(is_awake).cloned().collect();
        let choices = if awake.is_empty() { &waiting } else { &awake };
        if choices.is_empty() {
            return;
        }
        let call = self.random.pick(choices);
        let is_write = call.operation == Operation::Put;
        if self.random.chance(if is_write { 12 } else { 2 }) {
            let until = self.step + 5 + self.random.below(80);
            self.trace.push(format!("run {} sleeps", call.run));
            self.runs.iter_mut().filter(|run| run.number == call.run).for_each(|run| run.sleeps_until = until);
            return;
        }
        let verdict = self.verdict(is_write);
        self.trace.push(format!("run {}: {:?} {}: {verdict:?}", call.run, call.operation, call.key));
        self.gate.let_through(&call, verdict);
        self.gate.quiet().await;
        if is_write {
            self.ledger.examine(&self.store).await;
        }
    }

    fn verdict(&mut self, is_write: bool) -> Verdict {
        match self.random.chance(self.faults) {
            true if is_write => self.random.pick(&Verdict::OF_WRITES),
            true => self.random.pick(&Verdict::OF_READS),
            false => Verdict::Pass,
        }
    }

    /// Takes the reports of the runs that have ended.
    async fn bury(&mut self) {
        let (ended, living): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.runs).into_iter().partition(|run| self.gate.has_ended(run.number));
        self.runs = living;
        for run in ended {
            let (number, seen, position) = (run.number, run.seen, run.position);
            match run.task.await.unwrap() {
                Some(report) => self.examine_report(number, seen, &position, &report),
                None => self.trace.push(format!("run {number} has crashed")),
            }
        }
    }

    /// A run may fail for a fault of the store, a race or the data, never for the program's own fault; and it may say that it is
    /// done only where the table was at its version at some moment of its life.
    fn examine_report(&mut self, number: usize, seen: usize, position: &Position, report: &TableReport) {
        let code = report.error.as_ref().map(cdc_to_s3::Error::code);
        self.trace.push(format!("run {number} ends {} {}", report.status.name(), code.unwrap_or_default()));
        let version = &self.ledger.versions[position];
        if let Some(error) = &report.error {
            let passing = matches!(error.kind(), Kind::Transient | Kind::Conflict);
            let refused = version.as_ref().err() == Some(&error.code())
                || matches!(error.code(), "EmptyTable" | "MassDelete")
                || self.is_damaged && error.code() == "LogGap";
            return assert!(passing || refused, "run {number}: {error:?}");
        }
        let is_done = matches!(report.status, TableStatus::Changed | TableStatus::Unchanged);
        if is_done && self.ledger.is_by_content() && version.is_ok() {
            let mut states = self.ledger.history[seen.saturating_sub(1)..].iter().map(|committed| &committed.after);
            assert!(states.any(|state| version.as_ref() == Ok(state)), "run {number}: {report:?}");
        }
    }

    /// A last run, much later, which nothing disturbs: it completes everything, or refuses the version as it must.
    async fn end(&mut self) {
        self.ledger.examine(&self.store).await;
        self.release();
        let source = self.released.last().unwrap().clone();
        let at = self.request.now + Duration::hours(6);
        let (spec, base) = (self.ledger.spec.clone(), self.base().await);
        // A full load that was deleted is written anew for a new version, or by force.
        let request = Request { force: self.plan.deletes, ..request(at, at) };
        let report = lake::run(&*self.store, &spec, &source, &request, self.folder.path()).await;
        let report = report.unwrap().tables.remove(0);
        self.ledger.examine(&self.store).await;
        let version = self.ledger.versions[&position(&source)].clone();
        let refusal = version.as_ref().map_or_else(|code| Some(*code), |new| model::refusal(&spec, &base, new));
        let code = report.error.as_ref().map(cdc_to_s3::Error::code);
        self.trace.push(format!("the last run ends {} {}", report.status.name(), code.unwrap_or_default()));
        if self.is_damaged {
            return self.expect_damage(code).await;
        }
        assert_eq!(code, refusal, "{report:?}");
        if refusal.is_none() {
            self.expect_complete(&source).await;
        }
    }

    /// The table as the next comparison starts from it.
    async fn base(&self) -> model::Snapshot {
        let mut base = model::Snapshot::new();
        let mut as_of = None;
        if self.ledger.full_load.is_some() && !self.ledger.deleted.contains(&self.full_load_key()) {
            let (footer, rows) = lake::full_load(&*self.store, &self.ledger.spec.name).await;
            base = rows.into_iter().map(|row| (lake::key_of(&row, &self.ledger.spec.pk), row)).collect();
            as_of = Some(footer.run_at);
        }
        match self.ledger.history.last() {
            Some(newest) if Some(newest.run_at) > as_of => newest.after.clone(),
            _ => base,
        }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.runs.is_empty()
    }

    /// The last name in the log when the oldest of the runs that live started.
    pub(super) fn oldest_start(&self) -> String {
        self.runs.iter().map(|run| run.newest.clone()).min().unwrap_or_else(|| self.ledger.newest())
    }

    pub(super) async fn is_verified(&self) -> bool {
        verify(&*self.store, &[&self.ledger.spec], &lake::reader(), self.folder.path()).await.unwrap().ok
    }

    pub(super) fn full_load_key(&self) -> String {
        layout::full_load(&self.ledger.spec.name)
    }
}

fn request(run_at: DateTime<Utc>, now: DateTime<Utc>) -> Request {
    Request::new(run_at, format!("event:{run_at}"), now, Deadline::NONE)
}

fn position(source: &Source) -> Position {
    let Source::Local { position, .. } = source else { unreachable!("a folder") };
    position.clone()
}
