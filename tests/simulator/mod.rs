//! Random histories of a table, random faults, and a reference that says what each object must hold.
//!
//! A seed makes the whole history. `CDC_SIM_SEEDS=n` runs so many, `CDC_SIM_SEED=x` only that one.

mod history;
mod model;
mod together;
mod world;

use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream;

use self::history::History;
use self::world::World;
use crate::support::random::Random;

/// How many histories `cargo test` lives through.
const SEEDS: u64 = 1000;

/// Pauses between attempts make a single history wait rather than work.
const AT_ONCE: usize = 48;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_history_is_published_exactly_once_whatever_fails() {
    let seeds = match number("CDC_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("CDC_SIM_SEEDS").unwrap_or(SEEDS),
    };
    let failed: Vec<u64> = failures(seeds, live).await;
    assert!(failed.is_empty(), "histories failed; repeat one with CDC_SIM_SEED: {failed:?}");
}

/// One history, from the first version to a last run that completes it.
async fn live(seed: u64) {
    let mut random = Random::new(seed);
    let mut history = History::new(&mut random);
    let mut world = World::new(history.spec.clone());
    for number in 0..3 + random.below(5) {
        let source = world.release(number, &history.next(&mut random));
        for _ in 0..1 + random.below(3) {
            world.run_somehow(&source, &mut random).await;
        }
        if random.chance(30) {
            world.run_to_the_end(&source).await;
        }
    }
    let source = world.release(99, &history.next(&mut random));
    world.run_to_the_end(&source).await;
    world.assert_replay().await;
}

/// The seeds whose life ended in a panic.
async fn failures<F>(seeds: impl Iterator<Item = u64>, life: impl Fn(u64) -> F) -> Vec<u64>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let lives = seeds.map(|seed| {
        let task = tokio::spawn(life(seed));
        async move { task.await.is_err().then_some(seed) }
    });
    stream::iter(lives).buffer_unordered(AT_ONCE).filter_map(|failed| async move { failed }).collect().await
}

/// The number in an environment variable.
#[expect(clippy::disallowed_methods, reason = "a test process is a shell")]
pub(crate) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
