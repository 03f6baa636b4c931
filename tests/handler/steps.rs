//! A run in steps, as a state machine drives it: the same as in one invocation, whatever becomes of a step.

use cdc_to_s3::report::TableStatus;
use cdc_to_s3::{Error, Kind};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

use super::{CLIENTES, ENOUGH, Failure, PRODUTOS, Rig, TRANSACOES, at, changes};
use crate::support::kaggle::{Endpoint, Fault};

const TABLES: [&str; 3] = ["clientes", "produtos", "transacoes"];

/// A version in which every table differs.
fn next_version() -> [String; 3] {
    [
        CLIENTES.replace("c-1;10;2025-01-10", "c-1;11;2025-01-11"),
        PRODUTOS.replace("12.5", "13.5"),
        TRANSACOES.replace("t-2", "t-9"),
    ]
}

/// Answers of the steps, and what the state machine does of itself: passing them on.
impl Rig {
    /// What a step answers; for one that failed, what the state machine makes of it.
    async fn step(&self, step: Value) -> Result<Value, Diagnostic> {
        let answer = self.answer(ENOUGH, step).await.map_err(Diagnostic::from)?;
        Ok(serde_json::to_value(answer).unwrap())
    }

    async fn plan(&self, event: &Value) -> Value {
        self.step(json!({"step": "plan", "event": event})).await.unwrap()
    }

    async fn table(&self, event: &Value, plan: &Value, table: &str) -> Result<Value, Diagnostic> {
        self.step(table_step(event, plan, table)).await
    }

    /// Every table of the plan, failures caught.
    async fn tables(&self, event: &Value, plan: &Value) -> Vec<Value> {
        let mut results = Vec::new();
        for table in planned(plan) {
            results.push(match self.table(event, plan, &table).await {
                Ok(report) => report,
                Err(Diagnostic { error_type, error_message }) => {
                    let cause = json!({"errorType": error_type, "errorMessage": error_message}).to_string();
                    json!({"table": table, "error": error_type, "cause": cause})
                }
            });
        }
        results
    }

    async fn finish(&self, event: &Value, plan: &Value, results: Vec<Value>) -> Result<Value, Diagnostic> {
        self.step(json!({"step": "finish", "event": event, "plan": plan, "results": results})).await
    }

    /// The whole state machine, in the least number of words.
    async fn steps(&self, event: Value) -> Result<Value, Diagnostic> {
        let plan = self.plan(&event).await;
        let results = self.tables(&event, &plan).await;
        self.finish(&event, &plan, results).await
    }

    fn publish_next(&self) {
        let [clientes, produtos, transacoes] = next_version();
        self.publish(2, &clientes, &produtos, &transacoes);
    }
}

fn table_step(event: &Value, plan: &Value, table: &str) -> Value {
    let (run_at, position) = (&plan["run_at"], &plan["source"]["position"]);
    json!({"step": "table", "event": event, "run_at": run_at, "table": table, "position": position})
}

fn planned(plan: &Value) -> Vec<String> {
    let names = plan["tables"].as_array().unwrap();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Without what differs from run to run.
fn timeless(mut report: Value) -> Value {
    for place in ["elapsed_ms", "peak_rss_bytes"] {
        report.as_object_mut().unwrap().remove(place);
    }
    for table in report["tables"].as_array_mut().unwrap() {
        table.as_object_mut().unwrap().remove("elapsed_ms");
    }
    report
}

#[tokio::test]
async fn the_steps_report_and_write_what_one_invocation_does() {
    let (whole, stepped) = (Rig::new().await, Rig::new().await);
    for hour in [9, 15, 21] {
        if hour == 15 {
            whole.publish_next();
            stepped.publish_next();
        }
        let one = serde_json::to_value(whole.invoke(at(hour)).await.unwrap()).unwrap();
        let steps = stepped.steps(at(hour)).await.unwrap();
        assert_eq!(timeless(one), timeless(steps), "at {hour}");
        let keys = |objects: std::collections::BTreeMap<String, String>| objects.into_keys().collect::<Vec<_>>();
        assert_eq!(keys(whole.objects().await), keys(stepped.objects().await), "at {hour}");
    }
    assert!(stepped.objects().await.contains_key("upcell/_runs/20261120_150000.json"));
}

#[tokio::test]
async fn a_table_fetches_a_part_of_the_planned_version_and_asks_for_no_other() {
    let rig = Rig::new().await;
    let plan = rig.plan(&at(9)).await;
    assert_eq!((planned(&plan), &plan["source"]["position"]), (TABLES.map(str::to_owned).to_vec(), &json!(1)));
    rig.publish_next();
    let before = rig.kaggle.requests().len();
    let report = rig.table(&at(9), &plan, "produtos").await.unwrap();
    assert_eq!((&report["tables"][0]["inserted"], &report["source"]["position"]), (&json!(3), &json!(1)));
    let requests = rig.kaggle.requests().split_off(before);
    let asked: Vec<_> = requests.iter().map(|seen| seen.endpoint.unwrap()).collect();
    assert_eq!(asked, [Endpoint::DownloadDataset, Endpoint::Storage]);
    assert!(requests[1].header("range").unwrap().starts_with("bytes=-"));
    let runs = rig.objects().await.into_keys().filter(|key| key.contains("/_runs/")).count();
    assert_eq!(runs, 0, "the report of a part was kept");
}

#[tokio::test]
async fn an_unchanged_version_needs_no_table_step() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    let before = rig.objects().await;
    let plan = rig.plan(&at(15)).await;
    assert_eq!((planned(&plan).len(), plan["done"].as_array().unwrap().len()), (0, 3));
    let report = rig.finish(&at(15), &plan, Vec::new()).await.unwrap();
    assert_eq!((&report["status"], &report["tables"][0]["rows"]), (&json!("unchanged"), &json!(3)));
    assert_eq!(rig.objects().await, before);
    let forced = json!({"run_at": "2026-11-20T15:00:00Z", "force": true, "tables": ["produtos"]});
    assert_eq!(planned(&rig.plan(&forced).await), ["produtos"]);
}

#[tokio::test]
async fn a_version_that_is_not_ready_is_no_failure() {
    let rig = Rig::new().await;
    rig.kaggle.set_status(1, "REPROCESSING");
    let report = rig.steps(at(9)).await.unwrap();
    assert_eq!((&report["status"], &report["tables"][2]["status"]), (&json!("unchanged"), &json!("not_ready")));
}

#[tokio::test]
async fn a_table_that_fails_is_told_at_the_end_and_the_others_are_done() {
    let rig = Rig::new().await;
    rig.publish(1, CLIENTES, &PRODUTOS.replace("2;Adesivo", "1;Adesivo"), TRANSACOES);
    let plan = rig.plan(&at(9)).await;
    let results = rig.tables(&at(9), &plan).await;
    assert_eq!((&results[1]["table"], &results[1]["error"]), (&json!("produtos"), &json!("Data")));
    assert!(!results[1]["cause"].as_str().unwrap().contains("Adesivo"), "{}", results[1]);
    let told = rig.finish(&at(9), &plan, results).await.unwrap_err();
    assert_eq!(told.error_type, "Data");
    for part in ["1 of 3 tables failed", "`produtos`", "DuplicateKeys", "lines 2 and 3", "on_duplicate_key"] {
        assert!(told.error_message.contains(part), "{part} is not in {}", told.error_message);
    }
    let key = "upcell/_runs/20261120_090000.json";
    let kept = rig.s3.get_object().bucket(&rig.bucket).key(key).send().await.unwrap();
    let kept: Value = serde_json::from_slice(&kept.body.collect().await.unwrap().into_bytes()).unwrap();
    let whole = Rig::new().await;
    whole.publish(1, CLIENTES, &PRODUTOS.replace("2;Adesivo", "1;Adesivo"), TRANSACOES);
    let Err(Failure::Tables(one)) = whole.invoke(at(9)).await else { panic!("no failure") };
    assert_eq!(timeless(kept), timeless(serde_json::to_value(*one).unwrap()));
}

#[tokio::test]
async fn a_passing_fault_is_told_as_one_and_the_retry_is_the_same_run() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    rig.publish_next();
    let plan = rig.plan(&at(15)).await;
    let page = Fault { body: Some("<html>come back later</html>".to_owned()), ..Fault::default() };
    rig.kaggle.fault(Endpoint::DownloadDataset, page);
    let refused = rig.table(&at(15), &plan, "produtos").await.unwrap_err();
    assert_eq!(refused.error_type, "Transient", "{}", refused.error_message);
    assert_eq!(Error::from_told(Kind::Transient, &refused.error_message).unwrap().code(), "KaggleAnswer");
    rig.table(&at(15), &plan, "produtos").await.unwrap();
    let before = rig.objects().await;
    let again = rig.table(&at(15), &plan, "produtos").await.unwrap();
    assert_eq!((&again["tables"][0]["status"], rig.objects().await), (&json!("unchanged"), before));
}

#[tokio::test]
async fn the_steps_and_a_whole_run_of_one_event_are_twins() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    rig.publish_next();
    let plan = rig.plan(&at(15)).await;
    let event = at(15);
    let (a, b, c, whole) = tokio::join!(
        rig.answer_beside(ENOUGH, table_step(&event, &plan, "clientes")),
        rig.answer_beside(ENOUGH, table_step(&event, &plan, "produtos")),
        rig.answer_beside(ENOUGH, table_step(&event, &plan, "transacoes")),
        rig.answer_beside(ENOUGH, at(15)),
    );
    for failure in [a, b, c, whole].into_iter().filter_map(Result::err) {
        assert!(matches!(failure.kind(), Kind::Transient | Kind::Conflict), "{}", failure.message());
    }
    rig.invoke(at(15)).await.unwrap();
    let last = rig.invoke(at(15)).await.unwrap();
    assert!(last.tables.iter().all(|table| table.status == TableStatus::Unchanged), "{last:?}");
    let keys: Vec<_> = rig.objects().await.into_keys().collect();
    assert_eq!(keys.iter().filter(|key| key.contains("/cdc/") && key.contains("_20261120_15")).count(), 3, "{keys:?}");
    assert_eq!(changes(&last, "clientes"), [0, 0, 0]);
}

#[tokio::test]
async fn a_table_that_is_not_configured_and_a_step_that_is_not_one_are_refused() {
    let rig = Rig::new().await;
    let plan = rig.plan(&at(9)).await;
    let unknown = rig.table(&at(9), &plan, "cliente").await.unwrap_err();
    assert!(unknown.error_message.starts_with("UnknownTable: ") && unknown.error_type == "Config");
    let step = rig.step(json!({"step": "tabel"})).await.unwrap_err();
    assert!(step.error_message.contains("did you mean `table`?"), "{}", step.error_message);
}
