//! What `doctor` says of a database, from the model in memory and over a line; and the headroom in reports.

use cdc_to_s3::Kind;
use cdc_to_s3::ops::doctor::{self, Check, Diagnosis, Finding};
use cdc_to_s3::source::sqlserver::{OrderGrade, Start};

use super::{Job, put};
use crate::support::cdc::World;
use crate::support::lake;

async fn diagnosis(job: &Job) -> Diagnosis {
    let mut found = Diagnosis::default();
    doctor::source(&job.source(), &*job.store, &lake::request(0), &mut found).await;
    found
}

#[track_caller]
fn check<'d>(found: &'d Diagnosis, subject: &str) -> &'d Check {
    let mut checks = found.checks.iter().filter(|check| check.subject == subject);
    let (Some(check), None) = (checks.next(), checks.next()) else { panic!("{subject} is not once in {found:#?}") };
    check
}

#[track_caller]
fn expect(found: &Diagnosis, subject: &str, finding: Finding, parts: &[&str]) {
    let check = check(found, subject);
    let said = format!("{} {:?} {:?}", check.found, check.fix, check.code);
    assert_eq!(check.finding, finding, "{check:#?}");
    assert_eq!(check.fix.is_none(), finding == Finding::Ok, "{check:#?}");
    parts.iter().for_each(|part| assert!(said.contains(part), "{part} is not in {said}"));
}

/// What is said after a change of the world, by the model itself and over a line.
async fn both(change: impl Fn(&mut World)) -> Diagnosis {
    let job = Job::new();
    change(&mut job.model.world());
    let found = diagnosis(&job).await;
    let wired = Job::new().over_the_wire().await;
    change(&mut wired.model.world());
    assert_eq!(diagnosis(&wired).await, found);
    found
}

#[tokio::test]
async fn a_healthy_database_has_nothing_but_good_findings() {
    let found = both(|_| {}).await;
    assert!(found.is_ok() && found.checks.iter().all(|check| check.finding == Finding::Ok), "{found:#?}");
    assert_eq!(found.exit_code(), 0);
    expect(&found, "login", Finding::Ok, &["`Shop`", "`server-1`"]);
    expect(&found, "capture job", Finding::Ok, &["0 seconds old"]);
    expect(&found, "retention", Finding::Ok, &["72 hours"]);
    expect(&found, "dbo.t: changes", Finding::Ok, &["`dbo_t`", "full order"]);
    expect(&found, "dbo.t: retention", Finding::Ok, &["no run"]);
}

#[tokio::test]
async fn what_is_not_perfect_is_a_warning_with_its_fix() {
    let found = both(|world| {
        world.snapshot_isolation = false;
        world.grade = OrderGrade::Sequence;
        world.capture_errors = Some(vec![(1105, world.now), (2628, world.now)]);
        world.add_column("t", "new");
    })
    .await;
    assert_eq!((found.is_ok(), found.exit_code()), (true, 0));
    expect(&found, "snapshot isolation", Finding::Warning, &["ALTER DATABASE [Shop] SET ALLOW_SNAPSHOT_ISOLATION ON"]);
    expect(&found, "capture job: errors", Finding::Warning, &["2 in", "error 2628", "sys.dm_cdc_errors"]);
    expect(&found, "dbo.t: changes", Finding::Warning, &["order", "SELECT on schema cdc"]);
    expect(&found, "dbo.t: captured columns", Finding::Warning, &["`new`", "sys.sp_cdc_enable_table"]);
}

#[tokio::test]
async fn facts_that_a_login_may_not_see_are_no_faults() {
    let found = both(|world| (world.capture_errors, world.retention_minutes) = (None, None)).await;
    assert_eq!(found.exit_code(), 0);
    expect(&found, "capture job: errors", Finding::Ok, &["VIEW DATABASE STATE"]);
    expect(&found, "retention", Finding::Ok, &["may not see"]);
}

#[tokio::test]
async fn errors_that_a_server_does_not_keep_are_no_missing_permission() {
    let found = both(|world| world.keeps_capture_errors = false).await;
    assert_eq!(found.exit_code(), 0);
    expect(&found, "capture job: errors", Finding::Ok, &["does not keep them"]);
    assert!(!check(&found, "capture job: errors").found.contains("VIEW DATABASE STATE"));
}

#[tokio::test]
async fn what_fails_a_run_is_a_fault_with_the_code_and_the_exit_code_of_the_run() {
    let found = both(|world| world.cdc_enabled = false).await;
    expect(&found, "change data capture", Finding::Fault, &["CdcDisabled", "sys.sp_cdc_enable_db"]);
    assert_eq!(found.exit_code(), Kind::Config.exit_code());

    let found = both(|world| world.pass(16)).await;
    expect(&found, "capture job", Finding::Fault, &["CaptureIdle", "16 minutes", "SQL Server Agent"]);
    assert_eq!(found.exit_code(), Kind::Data.exit_code());

    let found = both(|world| world.pass(271 * 24 * 60)).await;
    expect(&found, "capture job", Finding::Fault, &["CaptureIdle", "271 days"]);

    let found = both(|world| world.permitted = false).await;
    expect(&found, "dbo.t", Finding::Fault, &["CaptureUnreadable", "SELECT on schema cdc"]);

    let found = both(|world| world.may_read_tables = false).await;
    expect(&found, "dbo.t: source columns", Finding::Fault, &["`id`, `a`, `note`", "GRANT SELECT ON [dbo].[t]"]);
    assert_eq!(found.exit_code(), Kind::Config.exit_code());
}

#[tokio::test]
async fn a_table_that_is_not_tracked_is_a_fault_and_one_that_has_just_been_a_warning() {
    let mut job = Job::new();
    let [tracked, other] = ["t", "u"].map(|name| cdc_to_s3::source::sqlserver::TrackedTable {
        schema: "dbo".to_owned(),
        name: name.to_owned(),
        options: Default::default(),
    });
    job.feed.tables = Some(vec![tracked, other]);
    let found = diagnosis(&job).await;
    expect(&found, "dbo.u", Finding::Fault, &["TableNotTracked", "dbo.t"]);
    {
        let mut world = job.model.world();
        world.create("u", &["a"]);
        world.enable("u", "dbo_u");
    }
    expect(&diagnosis(&job).await, "dbo.u", Finding::Warning, &["has not come to the start"]);
    job.model.world().pass(61);
    expect(&diagnosis(&job).await, "dbo.u", Finding::Fault, &["CaptureNotStarted", "61 minutes"]);
}

#[tokio::test]
async fn the_headroom_shrinks_until_the_changes_are_gone() {
    let job = Job::starting(Start::Earliest);
    job.change([put(1, &[])]);
    let report = job.run_ok(1).await;
    assert_eq!(report.headroom_hours, Some(72.0));
    // Idle: the position stays, and the clock goes on.
    job.model.world().pass(62 * 60);
    job.change([put(2, &[])]);
    expect(
        &diagnosis(&job).await,
        "dbo.t: retention",
        Finding::Warning,
        &["unread changes in 10 hours", "by the server's clock", "sys.sp_cdc_change_job"],
    );
    let report = job.run_ok(2).await;
    assert_eq!(report.headroom_hours, Some(72.0));
    expect(&diagnosis(&job).await, "dbo.t: retention", Finding::Ok, &["72 hours of headroom", "read up to 0x"]);
    for key in 3..6 {
        job.change([put(key, &[])]);
    }
    job.model.world().clean_up(0);
    let found = diagnosis(&job).await;
    expect(&found, "dbo.t", Finding::Fault, &["ChangesLost"]);
    // The server no longer knows when that was; the state does.
    assert!(!check(&found, "dbo.t").found.contains("of unknown time"), "{found:#?}");
    let report = job.run(3).await;
    assert_eq!((report.error.unwrap().code(), report.headroom_hours), ("ChangesLost", Some(0.0)));
}

#[tokio::test]
async fn without_the_setting_the_age_of_what_is_kept_gives_the_headroom() {
    let job = Job::starting(Start::Earliest);
    job.model.world().retention_minutes = None;
    job.model.world().pass(30 * 60);
    job.change([put(1, &[])]);
    let report = job.run_ok(1).await;
    assert_eq!(report.headroom_hours, Some(30.0));
}

#[tokio::test]
async fn of_two_tables_with_the_same_objects_the_second_is_a_fault() {
    let job = Job::new();
    {
        let mut world = job.model.world();
        world.create("T", &["a"]);
        world.enable("T", "dbo_other");
        world.capture_all();
    }
    let found = diagnosis(&job).await;
    expect(&found, "dbo.t", Finding::Fault, &["NameTaken", "`dbo.T`", "schema_in_path"]);
}
