//! The job in steps: one place in the log for all tables, whatever is captured meanwhile.

use cdc_to_s3::Kind;
use cdc_to_s3::pipeline::{Finish, Plan, finish, plan};
use cdc_to_s3::position::Position;
use cdc_to_s3::report::{Report, RunStatus, TableStatus};
use cdc_to_s3::request::Request;
use cdc_to_s3::source::sqlserver::{Lsn, Start};
use cdc_to_s3::{Error, Result};
use serde_json::to_value;

use super::{Job, put};
use crate::support::lake;

impl Job {
    async fn plan(&self, minute: i64) -> Plan {
        let request = lake::request(minute);
        plan(&request, &[], &self.source(), &*self.store, self.temporary.path()).await.unwrap()
    }

    /// The step of the one table, towards the plan's place in the log.
    async fn table_step(&self, minute: i64, planned: Option<Position>) -> Result<Report> {
        let tables = Some(vec!["dbo.t".to_owned()]);
        self.attempt(&*self.store, &Request { planned, tables, ..lake::request(minute) }).await
    }
}

fn only(report: &Report) -> (TableStatus, Option<&Error>) {
    assert_eq!(report.tables.len(), 1);
    (report.tables[0].status, report.tables[0].error.as_ref())
}

#[tokio::test]
async fn a_table_is_read_up_to_the_plans_place_and_no_further() {
    let job = Job::starting(Start::Earliest);
    job.change([put(1, &[])]);
    let first = job.plan(0).await;
    assert_eq!((first.tables.as_slice(), first.done.len()), (["dbo.t".to_owned()].as_slice(), 0));
    job.change([put(2, &[])]);
    let report = job.table_step(0, first.source.position.clone()).await.unwrap();
    assert_eq!((only(&report).0, job.rows().await.len()), (TableStatus::Changed, 1));
    assert_eq!(job.state().await.head.unwrap().position, first.source.position);
    let again = job.table_step(0, first.source.position.clone()).await.unwrap();
    assert_eq!((only(&again).0, job.rows().await.len()), (TableStatus::Unchanged, 1));
    let second = job.plan(1).await;
    job.table_step(1, second.source.position).await.unwrap();
    assert_eq!(job.rows().await.len(), 2);
    job.assert_current().await;
}

#[tokio::test]
async fn the_report_at_the_end_is_that_of_the_whole_run() {
    let (stepped, whole) = (Job::starting(Start::Earliest), Job::starting(Start::Earliest));
    for job in [&stepped, &whole] {
        job.change([put(1, &[]), put(2, &[])]);
    }
    let planned = stepped.plan(0).await;
    let step = stepped.table_step(0, planned.source.position.clone()).await.unwrap();
    let order = Finish {
        plan: to_value(&planned).unwrap(),
        results: vec![to_value(&step).unwrap()],
        tables: &[],
        idle_after: None,
    };
    let told = finish(&lake::request(0), order, &*stepped.store).await.unwrap();
    let one = whole.attempt(&*whole.store, &lake::request(0)).await.unwrap();
    assert_eq!((told.status, &told.source), (RunStatus::Changed, &one.source));
    let [told, one] = [told, one].map(|mut report| {
        let mut table = report.tables.remove(0);
        table.elapsed_ms = 0;
        (to_value(table).unwrap(), report.capture_age_seconds)
    });
    assert_eq!(told, one);
    let keys = [stepped.objects().await.into_keys().collect::<Vec<_>>(), whole.objects().await.into_keys().collect()];
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn a_capture_job_that_never_ran_is_told_by_the_tables_own_step() {
    let job = Job::starting(Start::Earliest);
    *job.model.world() = crate::support::cdc::Model::new(lake::at(0)).world().clone();
    {
        let mut world = job.model.world();
        world.create("t", &["a", "note"]);
        world.enable("t", "dbo_t");
    }
    let first = job.plan(0).await;
    assert_eq!(first.tables, ["dbo.t"]);
    let waiting = job.table_step(0, first.source.position.clone()).await.unwrap();
    assert_eq!(only(&waiting).0, TableStatus::NotReady);
    job.model.world().pass(61);
    let failed = job.table_step(0, first.source.position).await.unwrap();
    assert_eq!(only(&failed).1.map(Error::code), Some("CaptureNotStarted"));
    let second = job.plan(1).await;
    job.model.world().capture_all();
    // Read up to where the plan was: nothing yet. The next plan has it.
    job.table_step(1, second.source.position).await.unwrap();
    let third = job.plan(2).await;
    job.change([put(1, &[])]);
    job.table_step(2, third.source.position).await.unwrap();
    let fourth = job.plan(3).await;
    job.table_step(3, fourth.source.position).await.unwrap();
    assert_eq!(job.rows().await.len(), 1);
}

#[tokio::test]
async fn a_step_that_comes_after_a_later_run_does_nothing() {
    let job = Job::starting(Start::Earliest);
    job.change([put(1, &[])]);
    let old = job.plan(0).await;
    job.change([put(2, &[])]);
    job.run_ok(1).await;
    let before = job.objects().await;
    let late = job.table_step(0, old.source.position).await.unwrap();
    assert!(matches!(only(&late), (TableStatus::Unchanged, None)), "{late:?}");
    assert_eq!(job.objects().await, before);
}

#[tokio::test]
async fn a_database_that_is_behind_the_plan_may_pass() {
    let job = Job::starting(Start::Earliest);
    job.change([put(1, &[])]);
    let error = job.table_step(0, Some(Position::Lsn(Lsn::new([255; 10])))).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "BehindPlan"));
    let other = job.table_step(0, Some(Position::Version(3))).await.unwrap_err();
    assert_eq!((other.kind(), other.code()), (Kind::Config, "InvalidEvent"));
    assert!(job.objects().await.is_empty());
}
