//! The first load: fenced, in parts, resumable, and what overlaps with the changes after it.

use std::time::{Duration, Instant};

use cdc_to_s3::Error;
use cdc_to_s3::report::TableStatus;
use cdc_to_s3::request::{Deadline, Request};

use super::{Job, put};
use crate::support::cdc::{Question, Statement};
use crate::support::lake;

/// A job over a table of so many rows.
fn filled(rows: i64) -> Job {
    let job = Job::new();
    job.change((1..=rows).map(|key| put(key, &[("a", "first"), ("note", "n")])));
    job
}

/// The time of a run in a hurry.
const TIME: Duration = Duration::from_millis(4200);

impl Job {
    /// A run with so little time that after its second batch there is just enough left to store what was read.
    fn hurried(&self, minute: i64) -> Request {
        let end = Instant::now() + TIME;
        self.model.hook(Question::AfterBatch, |_| ());
        self.model.hook(Question::AfterBatch, move |_| {
            std::thread::sleep(
                end.saturating_duration_since(Instant::now()).saturating_sub(Duration::from_millis(740)),
            );
        });
        Request { deadline: Deadline::at(end), ..lake::request(minute) }
    }
}

/// Eight seconds were kept back for storing, whatever there was to store.
#[tokio::test]
async fn a_run_of_little_time_does_little_work_and_one_of_none_is_told_how_much_it_takes() {
    let job = filled(5);
    let within = async |millis, minute| {
        let deadline = Deadline::within(Duration::from_millis(millis));
        job.attempt(&*job.store, &Request { deadline, ..lake::request(minute) }).await.unwrap().tables.remove(0)
    };
    let error = within(600, 0).await.error.expect("a fault");
    assert_eq!(error.code(), "OutOfTime");
    assert!(error.advice().unwrap().contains("a run needs at least 1 second:"), "{error:?}");
    assert!(job.objects().await.is_empty());
    let loaded = within(3000, 1).await;
    assert_eq!((loaded.error.is_none(), loaded.rows), (true, 5), "{loaded:?}");
    job.change([put(3, &[("a", "x")])]);
    let read = within(3000, 2).await;
    assert_eq!((read.error.is_none(), read.warnings.len(), read.inserted + read.updated), (true, 0, 1), "{read:?}");
    job.assert_current().await;
}

#[tokio::test]
async fn a_first_run_writes_all_rows_and_then_the_changes() {
    let job = filled(10);
    let report = job.run_ok(0).await;
    assert_eq!((report.rows, report.status), (10, TableStatus::Changed));
    assert_eq!(report.full_load_key.as_deref(), Some("full-load/t/t.parquet"));
    assert_eq!((job.loaded().await.len(), job.rows().await.len()), (10, 0));
    job.change([put(3, &[("a", "second")]), Statement::Delete(4), put(11, &[])]);
    job.run_ok(1).await;
    assert_eq!(job.rows().await.len(), 3);
    job.assert_current().await;
}

#[tokio::test]
async fn an_empty_table_has_a_load_without_rows() {
    let job = filled(0);
    job.run_ok(0).await;
    assert_eq!(job.parts().await.len(), 1);
    job.change([put(1, &[])]);
    job.run_ok(1).await;
    job.assert_current().await;
}

/// The capture job lags: what the load has read already comes again as changes, and is marked.
#[tokio::test]
async fn what_the_load_may_have_read_already_is_marked_when_it_comes_again() {
    let job = filled(2);
    job.model.world().pass(1);
    job.model.world().run("t", [put(3, &[("a", "not yet captured")])]);
    job.model.world().pass(1);
    job.run_ok(2).await;
    assert_eq!(job.loaded().await.len(), 3);
    job.model.world().capture_all();
    job.model.world().pass(1);
    job.change([put(4, &[])]);
    job.run_ok(3).await;
    let marks: Vec<_> = job.rows().await.iter().map(|row| (row.key, row.overlap)).collect();
    assert_eq!(marks, [(3, true), (4, false)]);
    job.assert_current().await;
}

#[tokio::test]
async fn changes_during_the_load_are_neither_lost_nor_torn() {
    for snapshot_isolation in [true, false] {
        let job = filled(9);
        job.model.world().snapshot_isolation = snapshot_isolation;
        for key in [1, 5, 9] {
            job.model.hook(Question::AfterBatch, move |world| {
                world.pass(1);
                world.run("t", [put(key, &[("a", "moved")]), Statement::Delete(key - 1), put(key + 20, &[])]);
                world.capture_all();
            });
        }
        let report = job.run_ok(0).await;
        assert_eq!(report.warnings.iter().any(|w| w.contains("SNAPSHOT")), !snapshot_isolation, "{report:?}");
        let one_instant = job.parts().await[0].footer().captured.as_ref().unwrap().load.as_ref().unwrap().one_instant;
        assert_eq!(one_instant, snapshot_isolation);
        job.run_ok(1).await;
        job.assert_current().await;
    }
}

#[tokio::test]
async fn a_load_whose_time_is_up_goes_on_in_the_next_run_from_where_it_ended() {
    let job = filled(20);
    let request = job.hurried(0);
    let report = job.attempt(&*job.store, &request).await.unwrap().tables.remove(0);
    assert!(report.error.is_none(), "{report:?}");
    assert!(report.warnings.iter().any(|warning| warning.contains("time was up")), "{report:?}");
    assert_eq!((report.rows, job.parts().await.len()), (9, 1));
    // Rows change between the runs, before and after the place where the load stands.
    job.change([put(1, &[("a", "again")]), put(20, &[("a", "again")]), put(30, &[]), Statement::Delete(5)]);
    assert_eq!(job.run_ok(1).await.rows, 12);
    let parts = job.parts().await;
    assert!(parts.len() > 1 && parts.windows(2).all(|pair| load(&pair[0]).last == load(&pair[1]).from));
    assert_eq!(job.rows().await.len(), 4);
    job.assert_current().await;
}

fn load(part: &cdc_to_s3::lake::parquet::ParquetFile) -> &cdc_to_s3::lake::capture::LoadPart {
    part.footer().captured.as_ref().unwrap().load.as_ref().unwrap()
}

#[tokio::test]
async fn a_table_without_a_key_is_loaded_in_one_go() {
    let job = filled(10);
    job.model.world().has_key = false;
    job.run_ok(0).await;
    job.change([put(3, &[("a", "x")])]);
    job.run_ok(1).await;
    job.assert_current().await;
}

/// A table without a key does not fit into a run: that is told, and later runs leave their time to other tables.
#[tokio::test]
async fn a_table_without_a_key_that_does_not_fit_into_one_run_is_refused_and_not_read_for_ever() {
    let job = filled(20);
    job.model.world().has_key = false;
    let hasty = |minute| Request { deadline: Deadline::within(TIME), ..lake::request(minute) };
    let failed = async |request: &Request| {
        let report = job.attempt(&*job.store, request).await.unwrap().tables.remove(0);
        let error = report.error.expect("a fault");
        assert_eq!((report.status, error.code()), (TableStatus::Failed, "LoadTooLarge"), "{error:?}");
        format!("{error} {}", error.advice().unwrap())
    };
    let told = failed(&job.hurried(0)).await;
    assert!(told.contains("after 9 rows") && told.contains("unique index"), "{told}");
    assert_eq!((job.parts().await.len(), job.model.asked(Question::Rows)), (0, 1));
    // With the same time nothing is read in vain.
    failed(&hasty(1)).await;
    assert_eq!(job.model.asked(Question::Rows), 1);
    failed(&Request { force: true, ..job.hurried(2) }).await;
    assert_eq!(job.model.asked(Question::Rows), 2);
    // A run without a limit loads it, and so does a key, in as many runs as it takes.
    let keyed = Job { store: std::sync::Arc::default(), ..job.again() };
    keyed.fill(job.objects().await).await;
    keyed.model.world().has_key = true;
    let report = keyed.attempt(&*keyed.store, &hasty(3)).await.unwrap().tables.remove(0);
    assert!(report.error.is_none(), "{report:?}");
    keyed.assert_current().await;
    job.model.world().has_key = false;
    assert_eq!(job.run_ok(4).await.rows, 20);
    job.change([put(3, &[("a", "x")])]);
    job.run_ok(5).await;
    job.assert_current().await;
}

#[tokio::test]
async fn a_foreign_full_load_is_not_taken_for_a_part() {
    let job = filled(1);
    let other = filled(1);
    other.run_ok(0).await;
    let mut objects = other.objects().await;
    let foreign = objects.remove("full-load/t/t.parquet").unwrap();
    job.change([put(7, &[])]);
    // The state is there, and its fence is another one than the foreign part's.
    let empty = Job { store: std::sync::Arc::default(), ..job.again() };
    empty.model.fail(Question::Rows, Error::data("Broken", "on purpose").hint("none"));
    empty.failure(1, "Broken").await;
    empty.fill([("full-load/t/t.parquet".to_owned(), foreign)]).await;
    assert!(empty.failure(2, "FullLoadExists").await.contains("full-load/t/t.parquet"));
}
