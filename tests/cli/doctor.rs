//! `doctor` on the command line: every check a line, and the exit code of the worst.

use std::sync::Arc;

use async_trait::async_trait;
use cdc_to_s3::Result;
use cdc_to_s3::lake::store::{ByteRange, Condition, Listed, MemoryStore, Object, ObjectStore, Payload, Put, read_all};
use cdc_to_s3::ops::doctor::{self, Diagnosis, Finding};
use serde_json::{Value, json};

use super::Desk;
use crate::support::cdc::{Model, Statement, cells};
use crate::support::kaggle::{Accepted, StandIn};
use crate::support::sqlserver::Database;
use crate::support::tds;

const DOCTOR: [&str; 3] = ["doctor", "--lake", "lake"];

#[tokio::test(flavor = "multi_thread")]
async fn a_job_over_snapshots_needs_its_lake_and_its_credentials() {
    let (desk, kaggle) = (Desk::new(), StandIn::start("owner/slug").await.unwrap());
    kaggle.announce(7);
    let url = kaggle.url();
    let done = desk.run_with(&[("KAGGLE_API_ENDPOINT", &url)], &DOCTOR);
    let lines = [
        "ok       configuration: 2 table(s)",
        "ok       lake: conditional writes: honoured (tried at _state/doctor)",
        "ok       source: kaggle owner/slug is at 7",
        "nothing stands in the way of a run",
    ];
    done.expect(0, &lines);
    assert_eq!(done.stdout.lines().count(), 5, "{done:?}");
    // Again, over the object that the first time has left.
    assert_eq!(desk.run_with(&[("KAGGLE_API_ENDPOINT", &url)], &DOCTOR).stdout, done.stdout);
    let left: Vec<String> = desk.lake().into_keys().filter(|key| !key.starts_with('.')).collect();
    assert_eq!(left, ["_state/doctor"]);

    kaggle.set_credentials(Accepted::Legacy("ana".to_owned(), "the right one".to_owned()));
    let environment =
        [("KAGGLE_API_ENDPOINT", url.as_str()), ("KAGGLE_USERNAME", "ana"), ("KAGGLE_KEY", "the-old-key")];
    let done = desk.run_with(&environment, &DOCTOR);
    done.expect(2, &["FAULT    source: ", "(KaggleUnauthorized); fix: ", "a run would fail"]);
    assert!(!done.stdout.contains("the-old-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_or_lake_is_a_fault() {
    let (desk, kaggle) = (Desk::new(), StandIn::start("owner/slug").await.unwrap());
    kaggle.announce(7);
    let url = kaggle.url();
    let run = |arguments: &[&str]| desk.run_with(&[("KAGGLE_API_ENDPOINT", &url)], arguments);
    run(&["doctor", "--config", "{oops"]).expect(2, &["FAULT    configuration: ", "is not JSON"]);
    run(&["doctor", "--lake", "lake", "--table", "client"])
        .expect(2, &["did you mean `clientes`?", "ok       source: "]);
    desk.write("file", "not a folder");
    let done = run(&["doctor", "--lake", "file"]);
    assert_ne!(done.code, 0);
    done.expect(done.code, &["FAULT    lake", "ok       source: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_examined_and_its_runs_write_metrics() {
    let now = "2026-11-20T12:00:00Z".parse().unwrap();
    let model = Arc::new(Model::new(now));
    {
        let mut world = model.world();
        world.create("t", &["a", "note"]);
        world.enable("t", "dbo_t");
        world.run("t", [Statement::Put(1, cells(&[("a", "x")]))]);
        world.capture_all();
    }
    let database = Database::new(Arc::clone(&model), "reader", "s3cret");
    let line = tds::Server::start(tds::Settings::default(), Arc::new(database)).await.unwrap();
    let desk = Desk::new();
    let (host, port) = ("127.0.0.1", line.address().port());
    let source = json!({"type": "sqlserver", "host": host, "port": port, "database": "Shop", "encrypt": "off"});
    desk.write("config.json", &json!({"source": source}).to_string());
    let login = [("SQLSERVER_USER", "reader"), ("SQLSERVER_PASSWORD", "s3cret"), ("CDC_LOG_FORMAT", "json")];

    desk.run_with(&login, &DOCTOR).expect(0, &["ok       dbo.t: changes: `dbo_t` can be read, in full order"]);
    let done = desk.run_with(&login, &["run", "--once", "--lake", "lake", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&report["tables"][0]["headroom_hours"], &report["capture_age_seconds"]), (&json!(72.0), &json!(0)));
    let lines = done.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let metrics: Vec<Value> = lines.filter(|line| line.get("_aws").is_some()).collect();
    assert_eq!(metrics.len(), 3, "what was measured, the table, the run");
    assert_eq!((&metrics[1]["Table"], metrics[2]["Lake"].is_string()), (&json!("dbo.t"), true));
    assert_eq!((&metrics[0]["Database"], &metrics[0]["Table"]), (&json!("Shop"), &json!("dbo.t")));
    assert_eq!((&metrics[0]["RetentionHeadroomHours"], &metrics[0]["CaptureAgeSeconds"]), (&json!(72.0), &json!(0)));

    // A run that fails because nothing is captured any more tells for how long.
    model.world().pass(16);
    let done = desk.run_with(&login, &["run", "--once", "--lake", "lake"]);
    done.expect(1, &["CaptureIdle", "\"CaptureAgeSeconds\":960"]);

    model.world().cdc_enabled = false;
    let done = desk.run_with(&login, &["doctor", "--lake", "lake", "--json"]);
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    let last = found["checks"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((done.code, &last["finding"], &last["code"]), (2, &json!("fault"), &json!("CdcDisabled")));
    desk.run_with(&[login[0], ("SQLSERVER_PASSWORD", "wrong")], &DOCTOR)
        .expect(2, &["FAULT    login: ", "(SqlServerUnauthorized); fix: "]);
}

/// A store that overwrites, whatever the condition.
#[derive(Debug, Default)]
struct Careless(MemoryStore);

#[async_trait]
impl ObjectStore for Careless {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        self.0.get(key, range).await
    }

    async fn put(&self, key: &str, payload: &Payload, _condition: &Condition) -> Result<Put> {
        let current = read_all(&self.0, key, u64::MAX).await?;
        let condition = current.map_or(Condition::Absent, |(_, tag)| Condition::Matches(tag));
        self.0.put(key, payload, &condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        self.0.list(prefix, after).await
    }

    fn location(&self) -> String {
        self.0.location()
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_a_fault() {
    let mut found = Diagnosis::default();
    doctor::lake(&Careless::default(), &mut found).await;
    let last = found.checks.last().unwrap();
    assert_eq!((last.finding, last.code), (Finding::Fault, Some("ConditionsIgnored")));
    assert_eq!(found.exit_code(), 2);
}
