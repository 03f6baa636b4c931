use serde_json::json;

use super::*;
use crate::lake::store::{MemoryStore, read_all};
use crate::report::{RunStatus, TableStatus};
use crate::request::Deadline;

fn plan(tables: &[&str], done: Vec<TableReport>) -> Plan {
    Plan {
        run_at: RunTime::new("2026-11-20T09:00:00Z".parse().unwrap()),
        source: SourceReport { kind: "kaggle".into(), name: "o/s".to_owned(), position: Some(Position::Version(3)) },
        tables: tables.iter().map(|&name| name.to_owned()).collect(),
        done,
        capture_age_seconds: None,
        elapsed_ms: 5,
        peak_rss_bytes: 100,
    }
}

/// What the step of a table that changed answers.
fn changed(name: &str, elapsed_ms: u64) -> Value {
    let plan = plan(&[], Vec::new());
    let key = Some(format!("cdc/{name}/{name}_20261120_090000.parquet"));
    let table = TableReport { cdc_key: key, inserted: 2, ..TableReport::new(name, TableStatus::Changed) };
    let report = Report {
        run_at: plan.run_at,
        source: plan.source,
        status: RunStatus::Changed,
        dry_run: false,
        capture_age_seconds: None,
        tables: vec![table],
        elapsed_ms,
        peak_rss_bytes: elapsed_ms,
    };
    serde_json::to_value(report).unwrap()
}

async fn finished(plan: Plan, results: Vec<Value>, store: &MemoryStore) -> Result<Report> {
    let now = "2026-11-20T09:00:07Z".parse().unwrap();
    let request = Request::new(now, "event", now, Deadline::NONE);
    let plan = serde_json::to_value(plan).unwrap();
    finish(&request, Finish { plan, results, tables: &[], idle_after: None }, store).await
}

#[tokio::test]
async fn the_report_of_the_steps_is_kept_once_however_often_the_last_one_runs() {
    let store = MemoryStore::default();
    let unchanged = || vec![TableReport::new("a", TableStatus::Unchanged)];
    for _ in 0..2 {
        let results = vec![changed("c", 70), changed("b", 900)];
        let report = finished(plan(&["b", "c"], unchanged()), results, &store).await.unwrap();
        let names: Vec<_> = report.tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!((names, report.status), (vec!["a", "b", "c"], RunStatus::Changed));
        assert_eq!((report.elapsed_ms, report.peak_rss_bytes, report.totals().inserted), (905, 900, 4));
        let kept = read_all(&store, "_runs/20261120_090000.json", 1 << 20).await.unwrap().unwrap().0;
        assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), serde_json::to_value(&report).unwrap());
        assert!(read_all(&store, "_runs/20261120_090001.json", 1 << 20).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn failures_keep_their_kind_code_and_hint_and_what_is_missing_has_failed() {
    let told = Error::data("MassDelete", "too many: gone").hint("approve (them)").told();
    let cause = json!({"errorType": "Data", "errorMessage": told}).to_string();
    let results = vec![
        json!({"table": "a", "error": "Data", "cause": cause}),
        json!({"table": "b", "error": "Sandbox.Timedout", "cause": "{\"errorMessage\": \"timed out after 900 s\"}"}),
        json!({"table": "c", "error": "States.Timeout", "cause": null}),
        Value::Null,
    ];
    let store = MemoryStore::default();
    let report = finished(plan(&["a", "b", "c", "d"], Vec::new()), results, &store).await.unwrap();
    let errors: Vec<_> = report.tables.iter().map(|table| table.error.as_ref().unwrap()).collect();
    assert_eq!(report.status, RunStatus::Failed);
    assert_eq!((errors[0].kind(), errors[0].code()), (Kind::Data, "MassDelete"));
    assert_eq!((errors[0].to_string(), errors[0].advice()), ("too many: gone".to_owned(), Some("approve (them)")));
    assert!(errors[1].to_string().contains("timed out after 900 s"), "{}", errors[1]);
    for error in &errors[1..] {
        assert_eq!((error.kind(), error.code()), (Kind::Transient, "TableUnfinished"));
    }
    assert!(read_all(&store, "_runs/20261120_090000.json", 1 << 20).await.unwrap().is_none());
}

#[tokio::test]
async fn an_idle_capture_job_fails_a_run_that_has_nothing_else_to_say() {
    let now = "2026-11-20T09:00:07Z".parse().unwrap();
    let request = Request::new(now, "event", now, Deadline::NONE);
    let done = || vec![TableReport::new("a", TableStatus::Unchanged)];
    for (results, idle_after, code) in [
        (Vec::new(), Some(60), Some("CaptureIdle")),
        (Vec::new(), Some(6000), None),
        (Vec::new(), None, None),
        (vec![changed("b", 1)], Some(60), None),
    ] {
        let names: &[&str] = if results.is_empty() { &[] } else { &["b"] };
        let plan = Plan { capture_age_seconds: Some(600), ..plan(names, done()) };
        let told = results.len() == 1;
        let idle_after = idle_after.map(Duration::from_secs);
        let order = Finish { plan: serde_json::to_value(plan).unwrap(), results, tables: &[], idle_after };
        match finish(&request, order, &MemoryStore::default()).await {
            Err(error) => assert_eq!(Some(error.code()), code),
            Ok(report) => {
                assert_eq!(code, None);
                assert!(report.tables.iter().all(|table| table.warnings.is_empty() != told), "{report:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_no_step_answers_is_refused() {
    let store = MemoryStore::default();
    let error = finished(plan(&["a"], Vec::new()), vec![json!({"tabel": "a"})], &store).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "InvalidEvent"));
}
