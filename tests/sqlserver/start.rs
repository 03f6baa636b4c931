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
async fn a_capture_job_that_never_ran_fails_the_table_after_a_while() {
    let mut job = Job::new();
    *job.model.world() = crate::support::cdc::Model::new(lake::at(0)).world().clone();
    {
        let mut world = job.model.world();
        world.create("t", &["a", "note"]);
        world.enable("t", "dbo_t");
        world.pass(60);
    }
    assert_eq!(job.run_ok(0).await.status, TableStatus::NotReady);
    job.model.world().pass(1);
    let message = job.failure(1, "CaptureNotStarted").await;
    assert!(message.contains("61 minutes") && message.contains("SQL Server Agent"), "{message}");
    // For days it is days, and the limit may be another one.
    job.model.world().pass(271 * 24 * 60);
    assert!(job.failure(2, "CaptureNotStarted").await.contains("271 days"));
    job.feed.not_ready_after = None;
    assert_eq!(job.run_ok(3).await.status, TableStatus::NotReady);
    assert!(job.objects().await.is_empty());
    job.feed.not_ready_after = Some(std::time::Duration::ZERO);
    job.change([put(1, &[])]);
    assert_eq!(job.run_ok(4).await.rows, 1);
}

#[tokio::test]
async fn an_instance_that_the_capture_job_never_comes_to_fails_its_table_only() {
    let job = Job::new();
    job.change([put(1, &[])]);
    {
        let mut world = job.model.world();
        world.create("u", &["a"]);
        world.enable("u", "dbo_u");
        world.agent = false;
        world.pass(61);
    }
    let report = job.attempt(&*job.store, &lake::request(0)).await.unwrap();
    let outcome = |name: &str| {
        let table = report.tables.iter().find(|table| table.name == name).expect("a report");
        (table.status, table.error.as_ref().map(cdc_to_s3::Error::code))
    };
    assert_eq!(outcome("dbo.t"), (TableStatus::Changed, None));
    assert_eq!(outcome("dbo.u"), (TableStatus::Failed, Some("CaptureNotStarted")));
}

#[tokio::test]
async fn a_table_that_is_not_tracked_is_told_before_the_capture_job_ever_ran() {
    let mut job = Job::new();
    *job.model.world() = crate::support::cdc::Model::new(lake::at(0)).world().clone();
    job.feed.tables = Some(vec![cdc_to_s3::source::sqlserver::TrackedTable {
        schema: "dbo".to_owned(),
        name: "t".to_owned(),
        options: Default::default(),
    }]);
    job.failure(0, "TableNotTracked").await;
}

#[tokio::test]
async fn capture_that_was_set_up_anew_and_has_not_run_is_no_source_that_is_not_ready() {
    let job = Job::new();
    job.change([put(1, &[])]);
    job.run_ok(0).await;
    let before = job.objects().await;
    *job.model.world() = crate::support::cdc::Model::new(lake::at(0)).world().clone();
    {
        let mut world = job.model.world();
        world.create("t", &["a", "note"]);
        world.enable("t", "dbo_t");
    }
    let message = job.failure(1, "SourceRewound").await;
    assert!(message.contains("has captured nothing"), "{message}");
    assert_eq!(job.objects().await, before);
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
