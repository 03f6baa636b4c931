//! Several runs of the real pipeline at once, interleaved at every call to the store, with readers among them.
//!
//! A seed makes the whole history, and the same one again: `CDC_TOGETHER_SEEDS=n` runs so many, `CDC_TOGETHER_SEED=x` only that one.

mod deletions;
mod ledger;
mod life;
mod reader;
mod shelf;
mod weakened;

use self::life::{Plan, live};
use self::weakened::Protection;
use super::{failures, number};

/// How many histories `cargo test` lives through, of each kind.
const SEEDS: u64 = 60;

/// Without one of its protections the program is found out within so many seeds.
const WITHIN: u64 = 200;

const UNDISTURBED: Plan = Plan { without: None, deletes: false };

fn seeds() -> std::ops::Range<u64> {
    match number("CDC_TOGETHER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CDC_TOGETHER_SEEDS").unwrap_or(SEEDS),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_are_interleaved_at_every_call_write_one_history() {
    let failed = failures(seeds(), |seed| live(seed, UNDISTURBED)).await;
    assert!(failed.is_empty(), "histories failed; repeat one with CDC_TOGETHER_SEED: {failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_delete_is_rebuilt_or_missed_aloud() {
    let failed = failures(seeds(), |seed| live(seed, Plan { deletes: true, ..UNDISTURBED })).await;
    assert!(failed.is_empty(), "histories failed; repeat one with CDC_TOGETHER_SEED: {failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_seed_gives_the_same_trace() {
    let mut steps = 0;
    for seed in 0..12 {
        let plan = Plan { deletes: seed % 2 == 0, ..UNDISTURBED };
        let (one, other) = tokio::join!(tokio::spawn(live(seed, plan)), tokio::spawn(live(seed, plan)));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one, other, "seed {seed}");
        steps += one.len();
    }
    assert!(steps > 500, "only {steps} steps");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_one_protection_the_simulation_finds_a_history_that_breaks() {
    for protection in Protection::NEEDED {
        let plan = Plan { without: Some(protection), ..UNDISTURBED };
        let mut found = None;
        for first in (0..WITHIN).step_by(20) {
            let failed = failures(first..first + 20, |seed| live(seed, plan)).await;
            found = failed.into_iter().min();
            if found.is_some() {
                break;
            }
        }
        eprintln!("without {protection:?}: seed {found:?}");
        assert!(found.is_some(), "{protection:?} is not missed in {WITHIN} histories");
    }
}
