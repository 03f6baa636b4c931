//! Real processes, killed at a random moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cdc_to_s3::lake::store::{DirStore, ObjectStore};

use crate::support::lake::{self, Key, Row};
use crate::support::process::{Home, rows};
use crate::support::random::Random;

const ROUNDS: usize = 60;

/// Longer than most runs take, in a dev build.
const LIFETIME_MS: usize = 90;

#[tokio::test]
async fn a_killed_process_loses_and_repeats_nothing() {
    let (home, spec, mut random) = (Home::new(), lake::spec("t"), Random::new(7));
    let store: Arc<dyn ObjectStore> = Arc::new(DirStore::new(home.lake()));
    let mut killed = 0;
    for round in 0..ROUNDS {
        let (version, minute) = (round, 60 * round as i64);
        home.release(version, &rows(version));
        for _ in 0..1 + random.below(2) {
            let mut process = home.start(version, minute);
            tokio::time::sleep(Duration::from_millis(random.below(LIFETIME_MS) as u64)).await;
            process.kill().unwrap();
            killed += usize::from(!process.wait().unwrap().success());
        }
        let ended = home.start(version, minute).wait().unwrap();
        assert!(ended.success(), "{ended}");
        let replayed = lake::replay(&lake::log(&*store, &spec.name).await, &spec);
        let expected: BTreeMap<Key, Row> =
            rows(version).into_iter().map(|row| (vec![row["id"].clone()], row)).collect();
        assert_eq!(replayed, expected, "round {round}");
        lake::assert_verified(&*store, &spec, home.path()).await;
    }
    assert!(killed > ROUNDS / 4, "only {killed} processes were killed before their end");
}
