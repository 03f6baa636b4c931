//! Random histories: transactions overlap, the capture job lags and stops, the clean-up job runs at the worst moment,
//! instances switch, runs crash, are repeated, and meet faults, the database is restored. Whatever happens: each change is in
//! the log exactly once and in order, or the table has stopped and said why.

use cdc_to_s3::Kind;
use cdc_to_s3::lake::store::ObjectStore;
use cdc_to_s3::request::Request;
use cdc_to_s3::source::sqlserver::{Images, OrderGrade, Start};

use super::{Job, put};
use crate::support::cdc::{Backup, Change, Question, Statement, Transaction};
use crate::support::faults::{Fault, FaultyStore, INJECTED, Moment, Operation};
use crate::support::lake;
use crate::support::random::Random;
use crate::support::tds::{self, Harm, ServerError, Stage};

/// Histories, unless `CDC_SIM_SEEDS` says how many.
const SEEDS: u64 = 60;

const STEPS: usize = 40;

struct History {
    job: Job,
    random: Random,
    minute: i64,
    open: Vec<Transaction>,
    /// What was captured before a restore: that is what the log must hold then.
    truth: Option<Vec<Change>>,
    backup: Option<Backup>,
    /// What has happened that allows the table to stop.
    cleaned: bool,
    dropped: bool,
    restored: bool,
    last: Option<Request>,
}

/// How the database is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    InMemory,
    OverTheWire,
}

#[derive(Debug, PartialEq, Eq)]
enum Goes {
    On,
    Stopped,
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a soak test is asked for by the environment")]
async fn every_history_of_captured_changes_is_exact_or_stops() {
    let seeds = std::env::var("CDC_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let (mut stopped, mut changes) = (0, 0);
    for seed in 0..seeds {
        let (goes, rows) = Box::pin(live(seed, Way::InMemory)).await;
        stopped += u64::from(goes == Goes::Stopped);
        changes += rows;
    }
    eprintln!("{seeds} histories, {changes} changes, {stopped} stopped");
    assert!(changes as u64 > seeds * 5 && stopped < seeds * 3 / 4, "{changes} changes, {stopped} of {seeds} stopped");
    assert!(stopped > 0 || seeds < 50, "nothing ever stopped");
}

/// The same rules hold when each question goes through the real client, SQL and TDS.
#[tokio::test]
async fn every_history_over_the_wire_is_exact_or_stops() {
    let (mut changes, mut stopped) = (0, 0);
    for seed in 1000..1000 + SEEDS / 4 {
        let (goes, rows) = Box::pin(live(seed, Way::OverTheWire)).await;
        (changes, stopped) = (changes + rows, stopped + u64::from(goes == Goes::Stopped));
    }
    assert!(changes as u64 > SEEDS && stopped < SEEDS / 4, "{changes} changes, {stopped} stopped");
}

async fn live(seed: u64, way: Way) -> (Goes, usize) {
    let mut random = Random::new(seed);
    let start = random.pick(&[Start::Snapshot, Start::Snapshot, Start::Earliest, Start::Now]);
    let mut job = Job::starting(start);
    job.feed.defaults.images = random.pick(&[Images::After, Images::BeforeAndAfter]);
    {
        let mut world = job.model.world();
        world.grade = random.pick(&[OrderGrade::Command, OrderGrade::Sequence]);
        world.snapshot_isolation = random.chance(70);
        world.fork = random.chance(50).then(|| "fork-1".to_owned());
        world.batch_rows = 1 + random.below(4);
    }
    if way == Way::OverTheWire {
        job = job.over_the_wire().await;
    }
    let mut history = History {
        job,
        random,
        minute: 0,
        open: Vec::new(),
        truth: None,
        backup: None,
        cleaned: false,
        dropped: false,
        restored: false,
        last: None,
    };
    for _ in 0..STEPS {
        if history.step().await == Goes::Stopped {
            return (Goes::Stopped, history.job.rows().await.len());
        }
    }
    let goes = history.end().await;
    (goes, history.job.rows().await.len())
}

impl History {
    async fn step(&mut self) -> Goes {
        match self.random.below(20) {
            0..=6 => self.transact(),
            7..=9 => {
                let commits = self.random.below(6);
                self.job.model.world().capture(commits);
            }
            10 => {
                let minutes = self.random.below(4) as i64;
                self.job.model.world().pass(minutes);
            }
            11 if self.random.chance(30) => {
                let keep = self.random.below(12);
                self.job.model.world().clean_up(keep);
                self.cleaned = true;
            }
            12 if self.random.chance(40) => self.change_instances().await,
            13 if self.random.chance(30) => {
                let mut world = self.job.model.world();
                world.agent = !world.agent;
            }
            14 if self.random.chance(20) => self.back_up_or_restore(),
            _ => return self.run().await,
        }
        Goes::On
    }

    fn transact(&mut self) {
        let mut world = self.job.model.world();
        if self.random.chance(60) {
            self.open.push(Transaction::default());
        }
        for transaction in &mut self.open {
            for _ in 0..self.random.below(4) {
                let statement = statement(&mut self.random);
                world.execute(transaction, "t", statement);
            }
        }
        if !self.open.is_empty() && self.random.chance(70) {
            let which = self.random.below(self.open.len());
            world.commit(self.open.swap_remove(which));
        }
    }

    /// A second instance for a new column; or the older one goes, most often when it has been read to its end.
    async fn change_instances(&mut self) {
        let position = self.position().await;
        let mut world = self.job.model.world();
        match &world.instances[..] {
            [one] => {
                let name = format!("{}x", one.name);
                world.add_column("t", &format!("b{}", name.len()));
                world.enable("t", &name);
            }
            [old, new] => {
                let is_read = new.start.zip(position).is_some_and(|(start, position)| start <= position.next());
                let (old, reckless) = (old.name.clone(), self.random.chance(10));
                if is_read || reckless {
                    world.disable(&old);
                    self.dropped |= !is_read;
                }
            }
            _ => {}
        }
    }

    fn back_up_or_restore(&mut self) {
        let mut world = self.job.model.world();
        match self.backup.take() {
            None => self.backup = Some(world.back_up()),
            Some(backup) => {
                self.truth = Some(world.truth("t"));
                world.restore(&backup);
                world.agent = true;
                self.open.clear();
                self.restored = true;
            }
        }
    }

    async fn run(&mut self) -> Goes {
        self.minute += 5;
        let again = self.last.clone().filter(|_| self.random.chance(25));
        let request = again.unwrap_or_else(|| lake::request(self.minute));
        self.last = Some(request.clone());
        if self.random.chance(10) {
            let (question, keep) = (self.random.pick(&[Question::Changes, Question::AfterBatch]), self.random.below(8));
            self.job.model.hook(question, move |world| world.clean_up(keep));
            self.cleaned = true;
        }
        self.harm_the_line();
        let store = FaultyStore::new(std::sync::Arc::clone(&self.job.store) as std::sync::Arc<dyn ObjectStore>);
        match self.random.below(4) {
            0 => store.crash(self.random.below(14), self.random.clone().pick(&[Moment::Before, Moment::After])),
            1 => {
                let faults = [Fault::Pass, Fault::Pass, Fault::FailBefore, Fault::FailAfter, Fault::RefuseAfter];
                store.script(Operation::Put, (0..6).map(|_| self.random.pick(&faults)).collect::<Vec<_>>());
            }
            _ => {}
        }
        let errors = match self.job.attempt(&store, &request).await {
            Err(error) => vec![error],
            Ok(report) => report.tables.into_iter().filter_map(|table| table.error).collect(),
        };
        self.judge(&errors).await
    }

    /// The next answer to some query breaks off, wherever it is; the run repeats it, or ends with an error that may pass.
    fn harm_the_line(&mut self) {
        let Some(line) = self.job.line.clone() else { return };
        let faults = if self.random.chance(40) { 1 + self.random.below(2) } else { 0 };
        for _ in 0..faults {
            let after = self.random.below(30);
            let (close, reset) = (Harm::Close, Harm::Reset);
            let deadlock = Harm::Error(ServerError::deadlock());
            let harm = self.random.pick(&[
                close.clone(),
                close,
                reset.clone(),
                reset,
                deadlock.clone(),
                deadlock,
                Harm::Stall,
            ]);
            let fault = match (&harm, self.random.chance(50)) {
                (Harm::Error(_), _) | (_, true) => tds::Fault::after_rows(after as u64, harm),
                _ => tds::Fault::after_bytes(1 + after * 10, harm),
            };
            let part =
                self.random.pick(&["changes */", "rows */", "commits */", "instances */", "lsn */", "session */", ""]);
            line.fault(Stage::request(part), fault);
        }
    }

    /// An error must have a reason, and what is in the log must be right whatever came.
    async fn judge(&mut self, errors: &[cdc_to_s3::Error]) -> Goes {
        self.assert_exact().await;
        let mut goes = Goes::On;
        for error in errors {
            let excused = match error.code() {
                "ChangesLost" => self.cleaned || self.restored,
                "InstanceRecreated" | "InstanceMissing" => self.dropped || self.restored || self.cleaned,
                "SourceRewound" | "SourceRestored" | "ClaimOutdated" | "ForeignWork" => self.restored,
                "CaptureIdle" => continue,
                code => {
                    assert!(code == INJECTED || matches!(error.kind(), Kind::Transient | Kind::Conflict), "{error:?}");
                    continue;
                }
            };
            assert!(excused, "{error:?}");
            goes = Goes::Stopped;
        }
        if goes == Goes::On && self.restored && errors.is_empty() {
            // It went on after a restore: so nothing that was lost had been read.
            self.truth = None;
        }
        goes
    }

    async fn assert_exact(&self) {
        let truth = match &self.truth {
            Some(truth) => truth.clone(),
            None => self.job.model.world().truth("t"),
        };
        self.job.assert_exact(&truth).await;
    }

    async fn position(&self) -> Option<cdc_to_s3::source::sqlserver::Lsn> {
        if !self.job.objects().await.contains_key("_state/t.json") {
            return None;
        }
        self.job.state().await.head.and_then(|head| head.position).and_then(|position| position.lsn())
    }

    /// Everything is captured, and two runs come undisturbed: the second finds nothing left to do.
    async fn end(&mut self) -> Goes {
        {
            let mut world = self.job.model.world();
            world.agent = true;
            world.capture_all();
        }
        if let Some(line) = &self.job.line {
            line.mend();
        }
        self.last = None;
        for minute in [self.minute + 600, self.minute + 1200] {
            let report = match self.job.attempt(&*self.job.store, &lake::request(minute)).await {
                Err(error) => panic!("{error:?}"),
                Ok(mut report) => report.tables.remove(0),
            };
            if let Some(error) = report.error {
                let goes = self.judge(&[error]).await;
                assert_eq!(goes, Goes::Stopped);
                return goes;
            }
            self.truth = None;
        }
        self.assert_exact().await;
        let starts_with_all = matches!(self.job.feed.defaults.start, Start::Snapshot);
        if starts_with_all && self.job.model.world().instances.len() == 1 {
            let known = captured_only(&self.job);
            assert_eq!(self.job.replayed().await, known);
        }
        Goes::On
    }
}

/// The table as it is, without what no instance has captured from its beginning.
fn captured_only(job: &Job) -> std::collections::BTreeMap<i64, crate::support::cdc::Cells> {
    let mut rows = job.model.world().rows("t");
    for cells in rows.values_mut() {
        cells.retain(|name, _| matches!(name.as_str(), "a" | "note"));
    }
    rows
}

fn statement(random: &mut Random) -> Statement {
    let key = random.below(8) as i64;
    if random.chance(25) {
        return Statement::Delete(key);
    }
    let text = random.below(1000).to_string();
    let cells: Vec<(&str, &str)> =
        [("a", text.as_str()), ("note", text.as_str())].into_iter().filter(|_| random.chance(60)).collect();
    put(key, &cells)
}
