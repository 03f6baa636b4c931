//! Several runs over captured changes at once, interleaved at every call to the store, while the database goes on. A seed decides
//! on everything.

use std::sync::Arc;

use cdc_to_s3::Kind;
use cdc_to_s3::lake::store::ObjectStore;
use cdc_to_s3::report::TableReport;
use cdc_to_s3::request::{Deadline, Request};
use cdc_to_s3::source::sqlserver::Start;
use chrono::{DateTime, Duration, Utc};
use tokio::task::JoinHandle;

use super::{Job, put};
use crate::simulator::number;
use crate::support::cdc::Statement;
use crate::support::faults::Operation;
use crate::support::gate::{Call, Gate, Gated, Verdict, Watched};
use crate::support::lake;
use crate::support::random::Random;

/// Histories, unless `CDC_TOGETHER_SEEDS` says how many.
const SEEDS: u64 = 30;

/// So many runs live at once, at the most.
const AT_ONCE: usize = 3;

/// The moves of the clock between two events, in seconds; no sum of them comes near the time for which a claim holds.
const MOVES: [i64; 4] = [0, 0, 50, 600];

struct Life {
    job: Arc<Job>,
    random: Random,
    gate: Arc<Gate>,
    runs: Vec<(usize, JoinHandle<Option<cdc_to_s3::Result<TableReport>>>)>,
    started: usize,
    now: DateTime<Utc>,
    run_at: DateTime<Utc>,
    /// How many of 100 calls go wrong.
    faults: usize,
    /// Runs that sleep, and how many calls of others come before theirs.
    asleep: Vec<(usize, usize)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_are_interleaved_at_every_call_hold_each_captured_change_once() {
    let seeds = match number("CDC_TOGETHER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CDC_TOGETHER_SEEDS").map_or(SEEDS, |seeds| seeds / 5),
    };
    for seed in seeds {
        let ended = tokio::spawn(Box::pin(live(seed))).await;
        assert!(ended.is_ok(), "repeat it with CDC_TOGETHER_SEED={seed}");
    }
}

async fn live(seed: u64) {
    let mut random = Random::new(seed);
    let job = Job::starting(random.pick(&[Start::Snapshot, Start::Snapshot, Start::Earliest, Start::Now]));
    job.model.world().batch_rows = 1 + random.below(4);
    let (faults, runs) = (random.pick(&[0, 2, 6]), 4 + random.below(6));
    let now = lake::at(0);
    let (gate, asleep) = (Arc::default(), Vec::new());
    let mut life =
        Life { job: Arc::new(job), random, gate, runs: Vec::new(), started: 0, now, run_at: now, faults, asleep };
    while life.started < runs || !life.runs.is_empty() {
        life.gate.quiet().await;
        life.bury().await;
        match life.random.below(10) {
            0 => life.transact(),
            1 | 2 if life.started < runs && life.runs.len() < AT_ONCE => life.start(),
            _ if life.runs.is_empty() && life.started < runs => life.start(),
            _ => life.let_one_through().await,
        }
    }
    life.end().await;
}

impl Life {
    /// The database changes, and what has changed is captured at once or later.
    fn transact(&mut self) {
        let mut world = self.job.model.world();
        for _ in 0..self.random.below(4) {
            let (key, text) = (self.random.below(8) as i64, self.random.below(1000).to_string());
            let statement =
                if self.random.chance(25) { Statement::Delete(key) } else { put(key, &[("a", text.as_str())]) };
            world.run("t", [statement]);
        }
        if self.random.chance(70) {
            world.capture_all();
        }
    }

    /// A run starts: of a new event, or of the last one again.
    fn start(&mut self) {
        self.transact();
        self.now += Duration::seconds(self.random.pick(&MOVES));
        if self.random.chance(60) {
            self.run_at = self.now;
        }
        let request = request(self.run_at, self.now);
        let (number, job) = (self.gate.enrol(), Arc::clone(&self.job));
        let gated = Gated::new(Arc::clone(&self.gate), number, Arc::clone(&job.store) as Arc<dyn ObjectStore>);
        let run = Box::pin(async move {
            let report = job.attempt(&gated, &request).await;
            report.map(|mut report| report.tables.remove(0))
        });
        self.runs.push((number, tokio::spawn(Watched::new(Arc::clone(&self.gate), number, run))));
        self.started += 1;
    }

    /// One call of a run that is awake is let through, or goes wrong, or puts the run to sleep.
    async fn let_one_through(&mut self) {
        self.asleep.iter_mut().for_each(|(_, calls)| *calls -= 1);
        self.asleep.retain(|(_, calls)| *calls > 0);
        let waiting = self.gate.waiting();
        let is_awake = |call: &&Call| self.asleep.iter().all(|(run, _)| *run != call.run);
        let awake: Vec<Call> = waiting.iter().filter(is_awake).cloned().collect();
        let choices = if awake.is_empty() { waiting } else { awake };
        if choices.is_empty() {
            return;
        }
        let call = self.random.pick(&choices);
        let is_write = call.operation == Operation::Put;
        if self.random.chance(if is_write { 15 } else { 2 }) {
            return self.asleep.push((call.run, 5 + self.random.below(60)));
        }
        let verdict = match self.random.chance(self.faults) {
            true if is_write => self.random.pick(&Verdict::OF_WRITES),
            true => self.random.pick(&Verdict::OF_READS),
            false => Verdict::Pass,
        };
        self.gate.let_through(&call, verdict);
        self.gate.quiet().await;
        if is_write && !call.key.starts_with("_state/") {
            self.assert_exact().await;
        }
    }

    async fn assert_exact(&self) {
        let truth = self.job.model.world().truth("t");
        self.job.assert_exact(&truth).await;
    }

    /// A run may fail for a fault of the store or a race, never for the program's own fault.
    async fn bury(&mut self) {
        let gate = Arc::clone(&self.gate);
        let (ended, living): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.runs).into_iter().partition(|(number, _)| gate.has_ended(*number));
        self.runs = living;
        for (number, task) in ended {
            let error = match task.await.unwrap() {
                Some(Ok(report)) => report.error,
                Some(Err(error)) => Some(error),
                None => None,
            };
            let passing = |kind| matches!(kind, Kind::Transient | Kind::Conflict);
            assert!(error.as_ref().is_none_or(|error| passing(error.kind())), "run {number}: {error:?}");
        }
    }

    /// Everything is captured, and a last run, which nothing disturbs, takes the table to the end.
    async fn end(&mut self) {
        self.job.model.world().capture_all();
        self.now += Duration::hours(6);
        let report = self.job.attempt(&*self.job.store, &request(self.now, self.now)).await.unwrap();
        assert!(report.tables[0].error.is_none(), "{report:?}");
        self.assert_exact().await;
        let end = self.job.model.world().max_lsn();
        let state = self.job.state().await;
        assert_eq!((state.pending, state.head.unwrap().position.unwrap().lsn()), (None, end));
        if self.job.feed.defaults.start == Start::Snapshot {
            self.job.assert_current().await;
        }
    }
}

fn request(run_at: DateTime<Utc>, now: DateTime<Utc>) -> Request {
    Request::new(run_at, format!("event:{run_at}"), now, Deadline::NONE)
}
