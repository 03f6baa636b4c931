//! The crash matrix of a run over captured changes: it ends, or sleeps, at each of its calls to the store, and others go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use cdc_to_s3::Kind;
use cdc_to_s3::lake::store::{MemoryStore, ObjectStore};
use cdc_to_s3::report::{TableReport, TableStatus};
use cdc_to_s3::source::sqlserver::Start;

use super::{Job, put};
use crate::support::cdc::Statement;
use crate::support::faults::{Fault, FaultyStore, Gate, Moment, Operation};
use crate::support::lake;

/// The minute of the run under attack; claims of earlier runs have expired by then.
const MINUTE: i64 = 600;

/// A database, and a lake at a point of its life.
struct Scene {
    name: &'static str,
    job: Job,
    objects: BTreeMap<String, bytes::Bytes>,
}

#[derive(Clone, Copy, Debug)]
enum Successor {
    /// The same event, delivered again.
    Twin,
    /// The next event, when the claim has expired.
    Later,
    /// The next event while the claim holds, and another one after that.
    Impatient,
}

const SUCCESSORS: [Successor; 3] = [Successor::Twin, Successor::Later, Successor::Impatient];

async fn scenes() -> Vec<Scene> {
    let mut scenes = vec![scene("first run with a load", filled()).await];
    let mut earliest = filled();
    earliest.feed.defaults.start = Start::Earliest;
    scenes.push(scene("first run without a load", earliest).await);
    let loaded = filled();
    loaded.run_ok(0).await;
    scenes.push(scene("quiet run", loaded.again()).await);
    more(&loaded, 5);
    scenes.push(scene("next run", loaded.again()).await);
    for (name, write) in [("after a claim", 0), ("after a publication", 1)] {
        scenes.push(crashed(name, filled_and_read().await, write).await);
    }
    let two = filled_and_read().await;
    {
        let mut world = two.model.world();
        world.add_column("t", "b");
        world.enable("t", "second");
        world.run("t", [put(9, &[("b", "x")])]);
        world.capture_all();
    }
    scenes.push(scene("two instances", two).await);
    scenes
}

fn filled() -> Job {
    let job = Job::new();
    job.change((1..=4).map(|key| put(key, &[("a", "x")])));
    job
}

/// A job that has read some changes, with others to come.
async fn filled_and_read() -> Job {
    let job = filled();
    job.run_ok(0).await;
    more(&job, 5);
    job.run_ok(1).await;
    more(&job, 7);
    job
}

fn more(job: &Job, key: i64) {
    job.change([put(key, &[]), put(1, &[("a", "y")])]);
    job.change([Statement::Delete(key), put(key + 1, &[("note", "n")])]);
}

async fn scene(name: &'static str, job: Job) -> Scene {
    let objects = job.objects().await;
    Scene { name, job, objects }
}

/// A run at minute 2 ended right after its write of this number.
async fn crashed(name: &'static str, job: Job, write: usize) -> Scene {
    let store = FaultyStore::new(Arc::clone(&job.store) as Arc<dyn ObjectStore>);
    store.crash_at_write(write, Moment::After);
    let report = job.attempt(&store, &lake::request(2)).await.unwrap();
    assert!(report.tables[0].error.is_some());
    more(&job, 11);
    scene(name, job).await
}

impl Scene {
    /// The same lake in a store of its own.
    async fn fresh(&self) -> Job {
        let job = Job { store: Arc::new(MemoryStore::new()), ..self.job.again() };
        job.fill(self.objects.clone()).await;
        job
    }

    async fn calls(&self) -> Vec<Operation> {
        let job = self.fresh().await;
        let store = faulty(&job);
        let report = job.attempt(&store, &lake::request(MINUTE)).await.unwrap();
        assert!(report.tables[0].error.is_none(), "{}: {report:?}", self.name);
        // The report is kept last, and nothing depends on it.
        let calls = store.calls();
        calls.iter().filter(|call| !call.key.starts_with("_runs")).map(|call| call.operation).collect()
    }
}

fn faulty(job: &Job) -> FaultyStore {
    FaultyStore::new(Arc::clone(&job.store) as Arc<dyn ObjectStore>)
}

async fn succeed(job: &Job, successor: Successor) {
    match successor {
        Successor::Twin => drop(done(job.run(MINUTE).await)),
        Successor::Later => drop(done(job.run(MINUTE + 60).await)),
        Successor::Impatient => {
            let early = job.run(MINUTE + 1).await;
            assert!(early.error.is_none(), "{early:?}");
            done(job.run(MINUTE + 60).await);
        }
    }
}

fn done(report: TableReport) -> TableReport {
    assert!(matches!(report.status, TableStatus::Changed | TableStatus::Unchanged), "{report:?}");
    report
}

async fn assert_complete(scene: &Scene, job: &Job) {
    let truth = job.model.world().truth("t");
    let end = job.model.world().max_lsn();
    job.assert_exact(&truth).await;
    job.assert_current().await;
    let state = job.state().await;
    assert_eq!((state.pending, state.head.unwrap().position.unwrap().lsn()), (None, end), "{}", scene.name);
}

#[tokio::test]
async fn a_crash_at_any_call_loses_and_repeats_no_captured_change() {
    let mut points = 0;
    for scene in scenes().await {
        for call in 0..scene.calls().await.len() {
            for moment in [Moment::Before, Moment::After] {
                for successor in SUCCESSORS {
                    let job = scene.fresh().await;
                    let store = faulty(&job);
                    store.crash(call, moment);
                    let _ = job.attempt(&store, &lake::request(MINUTE)).await;
                    succeed(&job, successor).await;
                    assert_complete(&scene, &job).await;
                    points += 1;
                }
            }
        }
    }
    eprintln!("{points} points");
    assert!(points > 200, "only {points} points");
}

#[tokio::test]
async fn a_fault_at_any_call_of_a_run_over_changes_ends_well_or_cleanly() {
    let mut points = 0;
    for scene in scenes().await {
        let calls = scene.calls().await;
        for (call, &operation) in calls.iter().enumerate() {
            let before = calls[..call].iter().filter(|other| **other == operation).count();
            for fault in [Fault::FailBefore, Fault::FailAfter, Fault::RefuseAfter] {
                let job = scene.fresh().await;
                let store = faulty(&job);
                store.script(operation, std::iter::repeat_n(Fault::Pass, before).chain([fault]));
                match job.attempt(&store, &lake::request(MINUTE)).await {
                    // A lost answer to a write is settled by reading back; only reads may fail a run.
                    Err(error) => assert_eq!((error.kind(), operation == Operation::Put), (Kind::Transient, false)),
                    Ok(report) => match &report.tables[0].error {
                        Some(error) => {
                            assert_eq!(
                                (error.kind(), operation == Operation::Put),
                                (Kind::Transient, false),
                                "{error:?}"
                            );
                        }
                        None => assert_complete(&scene, &job).await,
                    },
                }
                done(job.run(MINUTE + 60).await);
                assert_complete(&scene, &job).await;
                points += 1;
            }
        }
    }
    assert!(points > 100, "only {points} points");
}

#[tokio::test]
async fn a_run_over_changes_that_sleeps_at_any_write_does_no_harm_when_it_wakes() {
    let mut points = 0;
    for scene in scenes().await {
        let writes = scene.calls().await.iter().filter(|call| **call == Operation::Put).count();
        for write in 0..writes {
            for successor in SUCCESSORS {
                let (job, gate) = (Arc::new(scene.fresh().await), Gate::new());
                let store = faulty(&job);
                store
                    .script(Operation::Put, std::iter::repeat_n(Fault::Pass, write).chain([Fault::Hold(gate.clone())]));
                let sleeper = Arc::clone(&job);
                let sleeper = tokio::spawn(async move { sleeper.attempt(&store, &lake::request(MINUTE)).await });
                gate.reached().await;
                succeed(&job, successor).await;
                assert_complete(&scene, &job).await;
                gate.release();
                let report = sleeper.await.unwrap().unwrap().tables.remove(0);
                assert!(report.error.as_ref().is_none_or(|error| error.kind() == Kind::Conflict), "{report:?}");
                assert_complete(&scene, &job).await;
                points += 1;
            }
        }
    }
    assert!(points > 30, "only {points} points");
}
