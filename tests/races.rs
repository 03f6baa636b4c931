//! Races: runs of the same event and of others at the same moment, as tasks over one store and as real processes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cdc_to_s3::lake::store::{
    ByteRange, Condition, DirStore, Listed, Object, ObjectStore, Payload, Put, S3Options, S3Store, Stager,
};
use cdc_to_s3::report::TableReport;
use cdc_to_s3::{Kind, Result};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use crate::support::emulator;
use crate::support::lake::{self, Key, Row};
use crate::support::process::{Home, rows};
use crate::support::random::Random;
use crate::support::scene::{MINUTE, Scene};

const ROUNDS_IN_MEMORY: u64 = 600;
const ROUNDS_ON_S3: u64 = 24;
const ROUNDS_OF_PROCESSES: usize = 200;
const PROCESSES: i64 = 4;

/// A store whose calls take a random time on the way there and back.
#[derive(Debug)]
struct Jittery {
    inner: Arc<dyn ObjectStore>,
    random: Mutex<Random>,
}

impl Jittery {
    async fn wait(&self) {
        let pause = self.random.lock().unwrap().below(4);
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause as u64)).await;
        }
    }
}

#[async_trait]
impl ObjectStore for Jittery {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        self.wait().await;
        let answer = self.inner.get(key, range).await;
        self.wait().await;
        answer
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        self.wait().await;
        let answer = self.inner.put(key, payload, condition).await;
        self.wait().await;
        answer
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        self.wait().await;
        self.inner.list(prefix, after).await
    }

    fn stager(&self) -> Option<Stager> {
        self.inner.stager()
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_race_publish_each_change_once() {
    let scenes = Scene::all().await;
    let rounds = (0..ROUNDS_IN_MEMORY).map(|round| {
        let scene = Arc::clone(&scenes[round as usize % scenes.len()]);
        async move { race(&scene, scene.store().await, round).await }
    });
    stream::iter(rounds).buffer_unordered(8).collect::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_that_race_on_s3_publish_each_change_once() {
    let (client, bucket) = emulator::bucket().await;
    let scenes = Scene::all().await;
    for round in 0..ROUNDS_ON_S3 {
        let scene = &scenes[round as usize % scenes.len()];
        let store = S3Store::new(client.clone(), S3Options::new(&bucket, round.to_string()));
        scene.fill(&store).await;
        race(scene, Arc::new(store), round).await;
    }
}

/// An event delivered twice, and two later ones by whose clocks the claims of the others have expired already; one of
/// them read the source before its newest version came.
async fn race(scene: &Arc<Scene>, store: Arc<dyn ObjectStore>, round: u64) {
    let runners = [(0, true), (0, true), (60, true), (120, round.is_multiple_of(2))];
    let tasks = runners.into_iter().enumerate().map(|(number, (minutes, newest))| {
        let random = Mutex::new(Random::new(round * 10 + number as u64));
        let (scene, jittery) = (Arc::clone(scene), Jittery { inner: Arc::clone(&store), random });
        tokio::spawn(async move {
            let request = lake::request(MINUTE + minutes);
            if newest { scene.run(&jittery, &request).await } else { scene.run_before_newest(&jittery, &request).await }
        })
    });
    for report in join_all(tasks).await {
        assert_lost_at_most(&report.unwrap(), scene.name, round);
    }
    let last = scene.run(&*store, &lake::request(MINUTE + 600)).await;
    assert!(last.error.is_none(), "round {round}: {last:?}");
    scene.assert_complete(&*store).await;
}

fn assert_lost_at_most(report: &TableReport, scene: &str, round: u64) {
    let conflict = report.error.as_ref().is_none_or(|error| error.kind() == Kind::Conflict);
    assert!(conflict, "{scene}, round {round}: {report:?}");
}

#[tokio::test]
async fn processes_that_race_publish_each_change_once() {
    let (home, spec) = (Home::new("lake"), lake::spec("t"));
    let store: Arc<dyn ObjectStore> = Arc::new(DirStore::new(home.path().join("lake")));
    for round in 0..ROUNDS_OF_PROCESSES {
        home.release(round, &rows(round));
        let same_event = round % 2 == 0;
        let minute = |process| 60 * round as i64 + if same_event { 0 } else { process };
        let processes: Vec<_> = (0..PROCESSES).map(|process| home.start(round, minute(process))).collect();
        let codes: Vec<_> = processes.into_iter().map(|mut process| process.wait().unwrap().code()).collect();
        assert!(codes.iter().all(|code| matches!(code, Some(0 | 3))), "round {round}: {codes:?}");
        assert!(codes.contains(&Some(0)), "round {round}: {codes:?}");
        let replayed = lake::replay(&lake::log(&*store, &spec.name).await, &spec);
        let expected: BTreeMap<Key, Row> = rows(round).into_iter().map(|row| (vec![row["id"].clone()], row)).collect();
        assert_eq!(replayed, expected, "round {round}");
        lake::assert_verified(&*store, &spec, home.path()).await;
    }
}
