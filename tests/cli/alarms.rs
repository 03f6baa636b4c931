//! The template's alarms, held against the metrics that runs of both jobs write.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Desk, Done};
use crate::support::cdc::Model;
use crate::support::kaggle::{Accepted, StandIn};
use crate::support::sqlserver::Database;
use crate::support::tds;

const RUN: [&str; 5] = ["run", "--once", "--lake", "lake", "--json"];

/// The lines of an alarm of the template, without their indentation.
fn alarm(name: &str) -> Vec<String> {
    let template = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/template.yaml")).unwrap();
    let (_, rest) = template.split_once(&format!("\n  {name}:\n")).unwrap();
    let (alarm, _) = rest.split_once("\n\n").unwrap();
    alarm.lines().map(|line| line.trim().to_owned()).collect()
}

#[track_caller]
fn assert_says(alarm: &[String], lines: &[&str]) {
    lines.iter().for_each(|line| assert!(alarm.iter().any(|found| found == line), "{line} is not in {alarm:#?}"));
}

/// The values that these runs gave a metric by exactly these dimensions.
fn values(runs: &[&Done], metric: &str, dimensions: &Value) -> Vec<i64> {
    let lines = runs.iter().flat_map(|run| run.stderr.lines()).filter(|line| line.starts_with('{'));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_there = |line: &Value| {
        let mut directives = line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten();
        directives.any(|directive| {
            let metrics = directive["Metrics"].as_array().unwrap();
            directive["Namespace"] == "cdc-to-s3"
                && directive["Dimensions"] == json!([dimensions])
                && metrics.iter().any(|found| found["Name"] == metric)
        })
    };
    lines.filter(is_there).map(|line| line[metric].as_i64().unwrap()).collect()
}

/// Whether `NoSuccessAlarm` comes after these runs, one or more in each of its periods.
fn no_success(runs: &[&Done]) -> bool {
    let says = [
        "Namespace: cdc-to-s3",
        "MetricName: Failed",
        "- Name: Lake",
        "Statistic: Minimum",
        "ComparisonOperator: GreaterThanThreshold",
        "Threshold: 0",
        "TreatMissingData: breaching",
    ];
    assert_says(&alarm("NoSuccessAlarm"), &says);
    values(runs, "Failed", &json!(["Lake"])).into_iter().min().is_none_or(|least| least > 0)
}

/// What `CaptureAgeAlarm` looks at.
fn greatest_capture_age(run: &Done) -> Option<i64> {
    let query = r#"SELECT MAX(CaptureAgeSeconds) FROM "cdc-to-s3" WHERE "Database" = '${SqlServerDatabase}'"#;
    assert_says(&alarm("CaptureAgeAlarm"), &[query, "ComparisonOperator: GreaterThanThreshold"]);
    values(&[run], "CaptureAgeSeconds", &json!(["Database", "Table"])).into_iter().max()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_job_that_never_ran_is_no_success() {
    let model = Arc::new(Model::new("2026-11-20T12:00:00Z".parse().unwrap()));
    {
        let mut world = model.world();
        world.create("t", &["a", "note"]);
        world.enable("t", "dbo_t");
        world.pass(20);
    }
    let database = Database::new(Arc::clone(&model), "reader", "s3cret");
    let line = tds::Server::start(tds::Settings::default(), Arc::new(database)).await.unwrap();
    let desk = Desk::new();
    let (host, port) = ("127.0.0.1", line.address().port());
    let source = json!({"type": "sqlserver", "host": host, "port": port, "database": "Shop", "encrypt": "off"});
    desk.write("config.json", &json!({"source": source}).to_string());
    let login = [("SQLSERVER_USER", "reader"), ("SQLSERVER_PASSWORD", "s3cret"), ("CDC_LOG_FORMAT", "json")];
    let run = || desk.run_with(&login, &RUN);

    let waiting = run();
    waiting.expect(3, &["not_ready", "SQL Server Agent", "\"SecondsSinceLastSuccess\":"]);
    assert_eq!((no_success(&[&waiting]), greatest_capture_age(&waiting)), (false, Some(1200)));
    model.world().pass(60);
    let silent = run();
    silent.expect(1, &["CaptureNotStarted", "80 minutes", "\"SecondsSinceLastSuccess\":"]);
    assert_eq!((no_success(&[&silent, &run()]), greatest_capture_age(&silent)), (true, Some(4800)));
    model.world().capture_all();
    let done = run();
    done.expect(0, &[]);
    assert!(!no_success(&[&silent, &done]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_cannot_be_read_is_no_success() {
    let (desk, kaggle) = (Desk::new(), StandIn::start("owner/slug").await.unwrap());
    let url = kaggle.url();
    let environment = [
        ("KAGGLE_API_ENDPOINT", url.as_str()),
        ("KAGGLE_USERNAME", "ana"),
        ("KAGGLE_KEY", "a-key"),
        ("CDC_LOG_FORMAT", "json"),
    ];
    let run = || desk.run_with(&environment, &RUN);
    kaggle.set_credentials(Accepted::Legacy("ana".to_owned(), "a-key".to_owned()));
    let tables = [("clientes", super::CLIENTES), ("produtos", super::PRODUTOS)];
    kaggle.publish(1, crate::support::dataset::zipped(&tables));
    let done = run();
    done.expect(0, &[]);
    assert!(!no_success(&[&done]));

    // The version is there, its archive is not: no failure, and no success of which the time would be counted anew.
    kaggle.announce(2);
    let waiting = run();
    waiting.expect(3, &["not_ready"]);
    assert_eq!(values(&[&waiting], "SecondsSinceLastSuccess", &json!(["Dataset", "Table"])).len(), 2);

    // Once that has lasted for too long it is a failure, whose time since the last success goes on.
    let allow = |minutes: f64| {
        let mut config = super::config();
        config["source"] = json!({"type": "kaggle", "not_ready_after_minutes": minutes});
        desk.write("config.json", &config.to_string());
    };
    allow(0.0001);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let overdue = run();
    overdue.expect(1, &["VersionOverdue", "source.not_ready_after_minutes"]);
    assert_eq!(values(&[&overdue], "SecondsSinceLastSuccess", &json!(["Dataset", "Table"])).len(), 2);
    assert!(no_success(&[&overdue, &run()]));
    allow(0.0);
    run().expect(3, &["not_ready"]);

    kaggle.set_credentials(Accepted::Legacy("ana".to_owned(), "another".to_owned()));
    let refused = run();
    refused.expect(2, &["KaggleUnauthorized"]);
    assert!(no_success(&[&refused, &run()]) && !no_success(&[&done, &refused]));
}
