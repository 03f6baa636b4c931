//! What many windows keep in the work folder: no more than one of them.

use cdc_to_s3::source::sqlserver::Start;

use super::{Job, put};
use crate::disk::Scales;
use crate::support::lake;

/// The peak of the work folder in a run that reads so many windows of 500 changes.
async fn peak_of(windows: i64) -> u64 {
    let job = Job::starting(Start::Now);
    let store = Scales::new(job.temporary.path());
    let run = async |minute| {
        let report = job.attempt(&store, &lake::request(minute)).await.unwrap().tables.remove(0);
        assert!(report.error.is_none(), "{report:?}");
        report
    };
    run(0).await;
    {
        let mut world = job.model.world();
        (world.batch_rows, world.window_transactions) = (100, 1);
    }
    for window in 0..windows {
        let note =
            |key: i64| format!("{:032x}", (key as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        job.change((0..500).map(|row| row + 500 * window).map(|key| put(key, &[("note", &note(key))])));
    }
    store.take_peak();
    let report = run(60).await;
    assert_eq!((report.inserted, report.cdc_keys.len() as i64), (500 * windows as u64, windows));
    store.take_peak()
}

#[tokio::test]
async fn the_file_of_a_window_is_gone_when_the_next_one_starts() {
    let (one, forty) = (peak_of(1).await, peak_of(40).await);
    assert!(one > 500 * 16, "{one} bytes are not the file of a window");
    assert!(forty <= 2 * one, "forty windows: {forty} bytes, one: {one}");
}
