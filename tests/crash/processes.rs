//! Real processes, killed at random moments and at chosen ones, on a folder and on S3.
//!
//! `CDC_KILLS=n` kills so many on each store.

use std::collections::BTreeMap;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use cdc_to_s3::lake::layout;
use cdc_to_s3::lake::store::{DirStore, ETag, ObjectStore, S3Options, S3Store};

use crate::simulator::number;
use crate::support::emulator;
use crate::support::lake::{self, Key, Row};
use crate::support::process::{Home, rows};
use crate::support::random::Random;

/// So many are killed by default on a folder, and on S3.
const KILLS: [u64; 2] = [40, 8];

/// A lake lives for so many versions, and then comes a new one: checks read the whole log.
const VERSIONS: usize = 30;

/// One lake in so many is of a large table, of a few versions.
const LARGE_EVERY: u64 = 8;
const LARGE_VERSIONS: usize = 4;

/// Text that hardly shrinks, for each of some forty rows: beyond 16 MiB, an object goes to S3 in parts.
const LARGE_CELL: usize = 700_000;

/// How long a process is left alone at the most before it is killed at a random moment: longer than most runs take.
const LIFETIME_MS: [usize; 2] = [120, 4000];

/// The pause between two looks for a chosen moment.
const LOOK: Duration = Duration::from_millis(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_and_repeats_nothing() {
    let mut lakes = 0;
    let killed = kill(KILLS[0], async |large, enough| {
        lakes += 1;
        let home = Home::new(&format!("lake{lakes}"));
        let store: Arc<dyn ObjectStore> = Arc::new(DirStore::new(home.path().join(format!("lake{lakes}"))));
        live(&home, &store, large, lakes, enough).await
    })
    .await;
    eprintln!("{killed} processes killed on a folder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_on_s3_loses_and_repeats_nothing() {
    let (client, bucket) = emulator::bucket().await;
    let mut lakes = 0;
    let killed = kill(KILLS[1], async |large, enough| {
        lakes += 1;
        let home = Home::on_s3(&bucket, &format!("lake{lakes}"));
        let options = S3Options::new(&bucket, format!("lake{lakes}"));
        let store: Arc<dyn ObjectStore> = Arc::new(S3Store::new(client.clone(), options));
        live(&home, &store, large, 1000 + lakes, enough).await
    })
    .await;
    eprintln!("{killed} processes killed on S3");
}

/// Lets lakes live until so many processes were killed before their end.
async fn kill(kills: u64, mut life: impl AsyncFnMut(bool, u64) -> u64) -> u64 {
    let kills = number("CDC_KILLS").unwrap_or(kills);
    let (mut killed, mut lakes) = (0, 0);
    while killed < kills {
        assert!(lakes < 8 + kills / 4, "only {killed} processes in {lakes} lakes were killed before their end");
        lakes += 1;
        killed += life(lakes % LARGE_EVERY == LARGE_EVERY / 4, kills - killed).await;
    }
    killed
}

/// One lake: in each version some runs are killed, until there were `enough`, and one gets through.
async fn live(home: &Home, store: &Arc<dyn ObjectStore>, large: bool, seed: u64, enough: u64) -> u64 {
    let (spec, mut random, mut killed) = (lake::spec("t"), Random::new(seed), 0);
    for version in 0..if large { LARGE_VERSIONS } else { VERSIONS } {
        if killed >= enough {
            break;
        }
        let (rows, minute) = (table(version, large), 60 * version as i64);
        home.release(version, &rows);
        for _ in 0..1 + random.below(2) {
            let process = home.start(version, minute);
            killed += u64::from(kill_somewhere(process, store, large, &mut random).await);
        }
        let ended = home.start(version, minute).wait().unwrap();
        assert!(ended.success(), "version {version}: {ended}");
        let replayed = lake::replay(&lake::log(&**store, &spec.name).await, &spec);
        let expected: BTreeMap<Key, Row> = rows.into_iter().map(|row| (vec![row["id"].clone()], row)).collect();
        assert!(replayed == expected, "version {version}: the log does not lead to it");
        lake::assert_verified(&**store, &spec, home.path()).await;
    }
    killed
}

/// Kills a process after a random time, or right after one of its writes was seen; whether that was before its end.
async fn kill_somewhere(mut process: Child, store: &Arc<dyn ObjectStore>, large: bool, random: &mut Random) -> bool {
    if random.chance(50) {
        let written = random.pick(&[Written::Claim, Written::Changes, Written::FullLoad]);
        let before = written.look(store).await;
        while process.try_wait().unwrap().is_none() && written.look(store).await == before {
            tokio::time::sleep(LOOK).await;
        }
    } else {
        let lifetime = random.below(LIFETIME_MS[usize::from(large)]) as u64;
        tokio::time::sleep(Duration::from_millis(lifetime)).await;
    }
    process.kill().unwrap();
    !process.wait().unwrap().success()
}

/// What a run writes, in its order.
#[derive(Clone, Copy, Debug)]
enum Written {
    Claim,
    Changes,
    FullLoad,
}

impl Written {
    /// What is there of it.
    async fn look(self, store: &Arc<dyn ObjectStore>) -> (usize, Option<ETag>) {
        let name = lake::spec("t").name;
        let key = match self {
            Self::Changes => return (store.list(&layout::cdc_prefix(&name), None).await.unwrap().len(), None),
            Self::Claim => layout::state(&name),
            Self::FullLoad => layout::full_load(&name),
        };
        (0, store.get(&key, None).await.unwrap().map(|object| object.etag))
    }
}

/// The rows of a version; of a large table with much text in each.
fn table(version: usize, large: bool) -> Vec<Row> {
    let mut rows = rows(version);
    for row in rows.iter_mut().filter(|_| large) {
        let mut random = Random::new(row["id"].parse().unwrap());
        let text: String = (0..LARGE_CELL / 16).map(|_| format!("{:016x}", random.next())).collect();
        row.insert("text".to_owned(), text);
    }
    rows
}
