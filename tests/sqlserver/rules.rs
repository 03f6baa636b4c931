//! What stops a table, and how it is told: never with a clamp, always with the places in the log.

use cdc_to_s3::report::TableStatus;
use cdc_to_s3::source::sqlserver::{OrderGrade, Start, TableOptions, TrackedTable};
use cdc_to_s3::{Error, Kind};

use super::{Job, put};
use crate::support::cdc::{Question, World};
use crate::support::lake;

/// A job that has read one change; two more wait for it.
async fn read_one() -> Job {
    let job = Job::starting(Start::Earliest);
    job.change([put(1, &[])]);
    job.run_ok(0).await;
    job.change([put(2, &[])]);
    job.change([put(3, &[])]);
    job
}

/// Fails unless the run stops with this code, names the position, and leaves the lake as it was.
async fn stops(job: &Job, minute: i64, code: &str) -> String {
    let before = job.objects().await;
    let position = job.state().await.head.unwrap().position.unwrap();
    let message = job.failure(minute, code).await;
    assert!(message.contains(&position.to_string()), "{message}");
    assert_eq!(job.objects().await, before);
    message
}

#[tokio::test]
async fn changes_that_were_cleaned_away_stop_the_table_with_both_places() {
    let job = read_one().await;
    job.model.world().clean_up(0);
    let message = stops(&job, 1, "ChangesLost").await;
    let low = job.model.world().instances[0].start.unwrap().to_string();
    assert!(message.contains(&low) && message.matches("by the server's clock").count() == 2, "{message}");
}

#[tokio::test]
async fn the_low_end_at_the_position_loses_nothing_and_one_beyond_it_cannot_be_told_from_a_gap() {
    let job = read_one().await;
    job.model.world().clean_up(1);
    stops(&job, 1, "ChangesLost").await;
    let job = read_one().await;
    job.model.world().clean_up(2);
    job.run_ok(1).await;
    assert_eq!(job.rows().await.len(), 3);
    job.assert_current().await;
}

/// A change table that is read directly gives no error when a part of the range goes away.
#[tokio::test]
async fn a_clean_up_between_check_and_read_or_while_reading_is_noticed() {
    let lose = |world: &mut World| world.clean_up(0);
    for grade in [OrderGrade::Command, OrderGrade::Sequence] {
        for question in [Question::Changes, Question::AfterBatch] {
            let job = read_one().await;
            job.model.world().grade = grade;
            job.model.world().batch_rows = 1;
            job.model.hook(question, lose);
            stops(&job, 1, "ChangesLost").await;
        }
    }
}

#[tokio::test]
async fn an_instance_that_is_dropped_while_it_is_read_is_gone_and_not_empty() {
    for question in [Question::Changes, Question::AfterBatch] {
        let job = read_one().await;
        job.model.world().batch_rows = 1;
        job.model.hook(question, |world| world.disable("dbo_t"));
        stops(&job, 1, "InstanceMissing").await;
    }
}

#[tokio::test]
async fn a_table_whose_instance_is_gone_is_told_apart_from_one_that_never_had_one() {
    let job = read_one().await;
    job.model.world().disable("dbo_t");
    let mut job = job;
    let table = TrackedTable { schema: "dbo".to_owned(), name: "t".to_owned(), options: TableOptions::default() };
    job.feed.tables = Some(vec![table]);
    stops(&job, 1, "InstanceMissing").await;
    let mut other = Job::new();
    let table = TrackedTable { schema: "dbo".to_owned(), name: "T2".to_owned(), options: TableOptions::default() };
    other.feed.tables = Some(vec![table]);
    let message = other.failure(0, "TableNotTracked").await;
    assert!(message.contains("sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'T2'"), "{message}");
    assert!(message.contains("did you mean `dbo.t`"), "{message}");
}

#[tokio::test]
async fn all_tables_of_a_database_include_those_that_it_has_lost() {
    let job = read_one().await;
    {
        let mut world = job.model.world();
        world.create("u", &[]);
        world.enable("u", "dbo_u");
        world.capture_all();
        world.disable("dbo_t");
    }
    let report = job.attempt(&*job.store, &lake::request(1)).await.unwrap();
    let lost = report.tables.iter().find(|table| table.name == "dbo.t").expect("the lost table");
    assert_eq!(lost.error.as_ref().map(Error::code), Some("InstanceMissing"));
    assert_eq!(report.tables.iter().find(|table| table.name == "dbo.u").unwrap().error.as_ref().map(Error::code), None);
}

/// A state that nobody can read, or that a newer version wrote, is a matter of its own table.
#[tokio::test]
async fn a_state_of_another_table_that_cannot_be_read_is_that_tables_fault_only() {
    for (bytes, code) in [("{", "StateGarbled"), (r#"{"format_version": 99}"#, "StateTooNew")] {
        let job = read_one().await;
        job.fill([("_state/other.json".to_owned(), bytes::Bytes::from(bytes))]).await;
        let report = job.attempt(&*job.store, &lake::request(1)).await.unwrap();
        let outcome = |name: &str| {
            let table = report.tables.iter().find(|table| table.name == name).expect("a report");
            (table.status, table.error.as_ref().map(Error::code))
        };
        assert_eq!(outcome("dbo.t"), (TableStatus::Changed, None));
        assert_eq!(outcome("other"), (TableStatus::Failed, Some(code)));

        let verified = job.verify().await;
        let found: Vec<_> =
            verified.tables.iter().map(|table| (table.name.as_str(), table.error.as_ref().map(Error::code))).collect();
        assert_eq!((verified.ok, found.as_slice()), (false, [("dbo.t", None), ("other", Some(code))].as_slice()));
        let described = cdc_to_s3::ops::ddl::captured(
            &*job.store,
            false,
            cdc_to_s3::source::sqlserver::MetadataColumns::Readable,
            None,
        )
        .await
        .unwrap();
        assert_eq!((described.described.len(), described.unreadable[0].1.code()), (1, code));
        let wanted = ["dbo.other".to_owned()];
        let found =
            cdc_to_s3::ops::verify::verify_captured(&*job.store, false, Some(&wanted), job.temporary.path()).await;
        assert_eq!(found.unwrap().tables[0].error.as_ref().map(Error::code), Some(code));
    }
}

#[tokio::test]
async fn a_renamed_table_begins_anew_and_its_old_name_stops() {
    let job = read_one().await;
    job.model.world().rename("t", "renamed");
    let report = job.attempt(&*job.store, &lake::request(1)).await.unwrap();
    let outcome = |name: &str| {
        let table = report.tables.iter().find(|table| table.name == name).expect("a report");
        (table.error.as_ref().map(Error::code), table.cdc_key.clone())
    };
    assert_eq!(outcome("dbo.t"), (Some("InstanceMissing"), None));
    let key = "Shop/renamed/cdc/renamed_cdc_20260921_141420.parquet".to_owned();
    assert_eq!(outcome("dbo.renamed"), (None, Some(key)));
}

/// A table that takes the name of another one does not go on with its log.
#[tokio::test]
async fn a_table_under_the_name_of_another_one_is_another_one() {
    let job = read_one().await;
    {
        let mut world = job.model.world();
        world.create("shadow", &["a", "note"]);
        world.enable("shadow", "shadow");
        world.capture_all();
    }
    job.attempt(&*job.store, &lake::request(1)).await.unwrap();
    {
        let mut world = job.model.world();
        world.drop_table("t");
        world.rename("shadow", "t");
        world.run("t", [put(1, &[])]);
        world.capture_all();
    }
    let report = job.attempt(&*job.store, &lake::request(2)).await.unwrap();
    let table = report.tables.iter().find(|table| table.name == "dbo.t").unwrap();
    assert_eq!(table.error.as_ref().map(Error::code), Some("InstanceRecreated"));
}

#[tokio::test]
async fn one_question_finds_the_instances_of_all_tables() {
    let job = read_one().await;
    for name in ["u", "v", "w"] {
        let mut world = job.model.world();
        world.create(name, &[]);
        world.enable(name, name);
        world.capture_all();
    }
    let report = job.attempt(&*job.store, &lake::request(1)).await.unwrap();
    assert_eq!((report.tables.len(), job.model.asked(Question::Instances)), (4, 2));
}

#[tokio::test]
async fn an_instance_that_was_made_again_under_its_name_is_another_one() {
    let job = read_one().await;
    {
        let mut world = job.model.world();
        world.disable("dbo_t");
        world.enable("t", "dbo_t");
        world.capture_all();
    }
    let message = stops(&job, 1, "InstanceRecreated").await;
    assert!(message.contains("`dbo_t`"), "{message}");
}

#[tokio::test]
async fn a_table_that_was_made_again_is_another_one() {
    let job = read_one().await;
    {
        let mut world = job.model.world();
        world.drop_table("t");
        world.create("t", &["a", "note"]);
        world.enable("t", "dbo_t");
        world.capture_all();
    }
    stops(&job, 1, "InstanceRecreated").await;
}

#[tokio::test]
async fn a_log_that_ends_before_the_position_has_gone_back() {
    let job = read_one().await;
    let backup = job.model.world().back_up();
    job.change([put(4, &[])]);
    job.run_ok(1).await;
    job.model.world().restore(&backup);
    job.model.world().fork = None;
    let message = stops(&job, 2, "SourceRewound").await;
    assert!(message.contains("the database is at"), "{message}");
}

#[tokio::test]
async fn a_log_that_went_back_and_has_grown_past_the_position_is_another_history() {
    for minutes in [0, 5] {
        let job = read_one().await;
        let backup = job.model.world().back_up();
        job.change([put(4, &[])]);
        job.run_ok(1).await;
        job.model.world().restore(&backup);
        job.model.world().fork = None;
        job.model.world().pass(minutes);
        // As many entries as there were, and more: the position is there again or not, but never with its own time.
        for key in 10..14 {
            job.model.world().pass(1);
            job.change([put(key, &[])]);
        }
        stops(&job, 2, "SourceRewound").await;
    }
}

#[tokio::test]
async fn another_recovery_fork_stops_until_it_is_accepted() {
    let job = read_one().await;
    job.model.world().fork = Some("fork-2".to_owned());
    let message = stops(&job, 1, "SourceRestored").await;
    assert!(message.contains("--force"), "{message}");
    let mut request = lake::request(2);
    request.force = true;
    let report = job.attempt(&*job.store, &request).await.unwrap();
    assert_eq!(report.tables[0].error.as_ref().map(Error::code), None);
    job.change([put(4, &[])]);
    job.run_ok(3).await;
    job.assert_current().await;
}

#[tokio::test]
async fn force_does_not_accept_a_log_that_has_gone_back() {
    let job = read_one().await;
    let backup = job.model.world().back_up();
    job.change([put(4, &[])]);
    job.run_ok(1).await;
    job.model.world().restore(&backup);
    let mut request = lake::request(2);
    request.force = true;
    let report = job.attempt(&*job.store, &request).await.unwrap();
    assert_eq!(report.tables[0].error.as_ref().map(Error::code), Some("SourceRewound"));
}

#[tokio::test]
async fn a_failover_keeps_the_lineage_and_another_database_has_another() {
    let job = read_one().await;
    job.model.world().server_name = "server-2".to_owned();
    job.run_ok(1).await;
    job.model.world().fork = None;
    job.model.world().server_name = "server-3".to_owned();
    job.model.world().capture_all();
    let message = job.failure(2, "OtherDatabase").await;
    assert!(message.contains("`server-2`") && message.contains("prefix"), "{message}");
    job.assert_current().await;
}

#[tokio::test]
async fn a_login_that_may_not_read_is_no_empty_table() {
    let job = read_one().await;
    job.model.world().permitted = false;
    let message = job.failure(1, "CaptureUnreadable").await;
    assert!(message.contains("grant"), "{message}");
    job.model.world().permitted = true;
    job.run_ok(2).await;
    job.assert_current().await;
}

#[tokio::test]
async fn change_data_capture_that_is_off_fails_the_run() {
    let job = read_one().await;
    job.model.world().cdc_enabled = false;
    let error = job.attempt(&*job.store, &lake::request(1)).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("CdcDisabled", Kind::Config));
    assert!(error.advice().unwrap().contains("sp_cdc_enable_db"));
}

#[tokio::test]
async fn a_capture_job_that_stands_still_fails_the_run_once_there_is_nothing_else_to_do() {
    let job = read_one().await;
    job.model.world().agent = false;
    job.model.world().pass(20);
    let report = job.run_ok(1).await;
    assert_eq!(report.status, TableStatus::Changed);
    assert!(report.warnings.iter().any(|warning| warning.contains("capture job")), "{report:?}");
    let error = job.attempt(&*job.store, &lake::request(2)).await.unwrap_err();
    assert_eq!(error.code(), "CaptureIdle");
    assert!(error.to_string().contains("20 minutes"), "{error}");
    job.model.world().agent = true;
    job.model.world().capture_all();
    job.run_ok(3).await;
    job.assert_current().await;
}

#[tokio::test]
async fn a_quiet_database_whose_capture_job_is_alive_is_in_order() {
    let job = read_one().await;
    for minute in 1..5 {
        job.model.world().pass(10);
        job.model.world().capture_all();
        job.run_ok(minute).await;
    }
    // Idle entries move the position, so that even a long silence is no gap.
    job.model.world().clean_up(0);
    job.change([put(4, &[])]);
    job.run_ok(6).await;
    job.assert_current().await;
}

#[tokio::test]
async fn passing_faults_are_asked_again_and_nothing_comes_twice() {
    let job = read_one().await;
    job.model.world().batch_rows = 1;
    job.model.fail(Question::Changes, Error::transient("Deadlock", "1205"));
    job.model.fail(Question::AfterBatch, Error::transient("ConnectionLost", "broken pipe"));
    job.run_ok(1).await;
    assert_eq!(job.model.asked(Question::Changes), 1 + 3);
    assert_eq!(job.rows().await.len(), 3);
    job.assert_current().await;
}

#[tokio::test]
async fn faults_that_do_not_pass_are_left_to_the_next_run() {
    let job = read_one().await;
    for _ in 0..4 {
        job.model.fail(Question::Changes, Error::transient("Deadlock", "1205"));
    }
    let report = job.run(1).await;
    assert_eq!(report.error.as_ref().map(Error::code), Some("Deadlock"));
    job.run_ok(2).await;
    job.assert_current().await;
}
