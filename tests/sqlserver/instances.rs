//! Two capture instances of one table, after its columns have changed.

use std::sync::Arc;

use super::{Job, footer, place, put};
use crate::support::cdc::Question;

/// A job whose table has got a column `b`, captured by a second instance only.
async fn widened() -> Job {
    let job = Job::new();
    job.change([put(1, &[("a", "old")])]);
    job.run_ok(0).await;
    job.change([put(2, &[("a", "old")])]);
    {
        let mut world = job.model.world();
        world.add_column("t", "b");
        world.capture_all();
    }
    job
}

#[tokio::test]
async fn a_column_that_is_not_captured_is_told_with_the_statement_that_takes_it_in() {
    let job = widened().await;
    let report = job.run_ok(1).await;
    let warning = report.warnings.iter().find(|warning| warning.contains("not captured")).expect("a warning");
    assert!(
        warning.contains("`b`") && warning.contains("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo'"),
        "{warning}"
    );
    let captured = footer(&job.log().await, 0).captured.clone().unwrap();
    assert_eq!(captured.uncaptured, ["b"]);
}

#[tokio::test]
async fn the_cut_between_two_instances_loses_and_repeats_nothing_and_no_file_mixes_them() {
    let job = widened().await;
    {
        let mut world = job.model.world();
        world.run("t", [put(3, &[("a", "x"), ("b", "unseen")])]);
        world.enable("t", "second");
        world.run("t", [put(4, &[("a", "x"), ("b", "seen")])]);
        world.run("t", [put(3, &[("b", "seen")])]);
        world.capture_all();
    }
    let report = job.run_ok(1).await;
    assert_eq!(report.cdc_keys.len(), 2);
    let log = job.log().await;
    let names: Vec<_> =
        (0..2).map(|index| footer(&log, index).captured.as_ref().unwrap().instance.name.clone()).collect();
    assert_eq!(names, ["dbo_t", "second"]);
    let has_b = |index: usize| {
        let file: &Arc<_> = &Arc::new(&log[index].1);
        file.batches(None).unwrap().schema().column_with_name("b").is_some()
    };
    assert_eq!((has_b(0), has_b(1)), (false, true));
    assert_eq!(job.rows().await.iter().map(|row| row.key).collect::<Vec<_>>(), [2, 3, 4, 3]);
    let superseded = job.run_ok(2).await.warnings;
    assert!(superseded.iter().any(|warning| warning.contains("@capture_instance = N'dbo_t'")), "{superseded:?}");
    // The old one is dropped as advised, and reading goes on.
    job.model.world().disable("dbo_t");
    job.change([put(5, &[("b", "y")])]);
    assert!(job.run_ok(3).await.warnings.is_empty());
    job.assert_current().await;
}

#[tokio::test]
async fn an_old_instance_that_is_dropped_before_it_is_read_to_its_end_is_a_gap() {
    let job = widened().await;
    {
        let mut world = job.model.world();
        world.enable("t", "second");
        world.capture_all();
        world.disable("dbo_t");
    }
    job.failure(1, "InstanceRecreated").await;
    assert!(job.rows().await.is_empty());
}

#[tokio::test]
async fn an_old_instance_that_vanishes_between_the_question_and_the_read_is_not_an_empty_one() {
    let job = widened().await;
    {
        let mut world = job.model.world();
        world.enable("t", "second");
        world.capture_all();
    }
    job.model.hook(Question::Changes, |world| world.disable("dbo_t"));
    job.failure(1, "InstanceMissing").await;
    assert!(job.rows().await.is_empty());
}

#[tokio::test]
async fn names_of_instances_say_nothing() {
    let job = Job::new();
    {
        let mut world = job.model.world();
        world.disable("dbo_t");
        world.enable("t", "a name] with 'quotes'");
        world.capture_all();
    }
    job.change([put(1, &[])]);
    job.run_ok(0).await;
    job.change([put(2, &[])]);
    job.run_ok(1).await;
    assert_eq!(footer(&job.log().await, 0).table, place().table());
    job.assert_current().await;
}
