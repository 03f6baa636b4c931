//! Where the first run of a table begins.

use cdc_to_s3::report::TableStatus;
use cdc_to_s3::source::sqlserver::Start;
use chrono::TimeDelta;

use super::{Job, put};
use crate::support::lake;

/// The keys of the changes in the log of a job that begins with `start` after three changes, a minute apart, and sees a
/// fourth one in a second run.
async fn keys(start: impl FnOnce(&Job) -> Start) -> Vec<i64> {
    let mut job = Job::new();
    for key in 1..=3 {
        job.model.world().pass(1);
        job.change([put(key, &[])]);
    }
    job.feed.defaults.start = start(&job);
    job.run_ok(10).await;
    job.change([put(4, &[])]);
    job.run_ok(11).await;
    job.assert_verified().await;
    job.rows().await.iter().map(|row| row.key).collect()
}

#[tokio::test]
async fn each_start_begins_where_it_says() {
    let commits = |job: &Job| job.model.world().changes("dbo_t").iter().map(|change| change.commit).collect::<Vec<_>>();
    assert_eq!(keys(|_| Start::Earliest).await, [1, 2, 3, 4]);
    assert_eq!(keys(|_| Start::Now).await, [4]);
    assert_eq!(keys(|_| Start::Snapshot).await, [4]);
    assert_eq!(keys(|job| Start::Lsn(commits(job)[1])).await, [2, 3, 4]);
    assert_eq!(keys(|job| Start::Lsn(commits(job)[1].next())).await, [3, 4]);
    assert_eq!(keys(|_| Start::Time(lake::at(2))).await, [2, 3, 4]);
    assert_eq!(keys(|_| Start::Time(lake::at(2) + TimeDelta::seconds(1))).await, [3, 4]);
    assert_eq!(keys(|_| Start::Time(lake::at(60))).await, [4]);
}

#[tokio::test]
async fn a_start_before_what_is_kept_is_refused_and_never_moved() {
    for start in [Start::Lsn(crate::support::cdc::lsn(1)), Start::Time(lake::at(-60)), Start::Time(lake::at(2))] {
        let mut job = Job::new();
        for key in 1..=5 {
            job.model.world().pass(1);
            job.change([put(key, &[])]);
        }
        job.model.world().clean_up(1);
        job.feed.defaults.start = start;
        let message = job.failure(10, "StartOutOfRange").await;
        assert!(message.contains("earliest") && message.contains("by the server's clock"), "{message}");
        assert!(job.objects().await.is_empty());
    }
}

#[tokio::test]
async fn a_start_beyond_the_end_of_the_log_is_refused() {
    let mut job = Job::new();
    let end = job.model.world().max_lsn().unwrap();
    job.feed.defaults.start = Start::Lsn(end.next().next());
    job.failure(0, "StartOutOfRange").await;
    job.feed.defaults.start = Start::Lsn(end.next());
    job.run_ok(1).await;
}

#[tokio::test]
async fn an_instance_that_the_capture_job_has_not_seen_is_waited_for() {
    let job = Job::new();
    {
        let mut world = job.model.world();
        world.drop_table("t");
        world.create("t", &["a", "note"]);
        world.enable("t", "dbo_t");
    }
    let report = job.run_ok(0).await;
    assert_eq!(report.status, TableStatus::NotReady);
    assert!(job.objects().await.is_empty());
    job.change([put(1, &[])]);
    assert_eq!(job.run_ok(1).await.rows, 1);
}

#[tokio::test]
async fn a_database_whose_capture_job_never_ran_is_not_ready() {
    let job = Job::new();
    *job.model.world() = crate::support::cdc::Model::new(lake::at(0)).world().clone();
    {
        let mut world = job.model.world();
        world.create("t", &[]);
        world.enable("t", "dbo_t");
    }
    let report = job.run_ok(0).await;
    assert_eq!(report.status, TableStatus::NotReady);
    assert!(report.warnings[0].contains("Agent"));
}

#[tokio::test]
async fn a_lost_state_is_made_anew_from_the_objects_and_no_change_is_read_twice() {
    let job = Job::new();
    job.change([put(1, &[])]);
    job.run_ok(0).await;
    let before_stream = job.objects().await;
    job.change([put(2, &[])]);
    job.run_ok(1).await;
    let after_stream = job.objects().await;
    for objects in [before_stream, after_stream] {
        let job = Job { store: std::sync::Arc::default(), ..job.again() };
        job.fill(objects.into_iter().filter(|(key, _)| !key.starts_with("_state"))).await;
        job.change([put(3, &[])]);
        job.run_ok(2).await;
        job.assert_current().await;
    }
}
