//! The real binary as a Lambda function: it polls a Runtime API, answers, and logs for CloudWatch.

use std::io::Read;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{CLIENTES, ENOUGH, PRODUTOS, Rig, TOKEN, TRANSACOES, at, config, deadline_ms};
use crate::support::emulator;
use crate::support::runtime_api::{Outcome, RuntimeApi};

/// The process of a function, with the environment that Lambda (or `cargo lambda watch`) gives it.
struct Function {
    api: RuntimeApi,
    process: Child,
}

impl Function {
    async fn start(rig: &Rig) -> Self {
        let api = RuntimeApi::start().await;
        let address = api.address.clone();
        Self::polling(rig, api, &address)
    }

    fn polling(rig: &Rig, api: RuntimeApi, address: &str) -> Self {
        let account = rig.bucket.strip_prefix("lake-").unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_cdc-to-s3"))
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .envs([("AWS_LAMBDA_FUNCTION_NAME", "cdc-to-s3"), ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")])
            .envs([("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"), ("AWS_REGION", "us-east-1")])
            .envs([("AWS_ACCESS_KEY_ID", account), ("AWS_SECRET_ACCESS_KEY", "secret")])
            .envs([("AWS_ENDPOINT_URL", emulator::endpoint()), ("KAGGLE_SECRET_ID", super::SECRET)])
            .env("KAGGLE_API_ENDPOINT", rig.kaggle.url())
            .env("CDC_CONFIG", config(&rig.bucket).to_string())
            .env("TMPDIR", rig.temporary.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { api, process }
    }

    async fn invoke(&mut self, payload: Value) -> Outcome {
        let answered = self.api.invoke("c0ffee-1", deadline_ms(ENOUGH), payload);
        tokio::time::timeout(ENOUGH, answered).await.expect("an answer in time")
    }

    /// Ends the process, and gives its log lines.
    fn end(mut self) -> (Vec<Value>, String) {
        let mut stderr = self.process.stderr.take().unwrap();
        drop(self);
        let mut log = String::new();
        stderr.read_to_string(&mut log).unwrap();
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        (log.lines().map(line).collect(), log)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended by itself, which the test then tells in other words.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

fn lines<'l>(log: &'l [Value], message: &str) -> Vec<&'l Value> {
    log.iter().filter(|line| line["message"] == message).collect()
}

#[tokio::test]
async fn the_binary_serves_events_one_after_the_other_and_logs_its_figures() {
    let rig = Rig::new().await;
    let mut function = Function::start(&rig).await;
    let Outcome::Response(first) = function.invoke(at(9)).await else { panic!("the first run failed") };
    assert_eq!((&first["status"], &first["tables"][0]["inserted"]), (&json!("changed"), &json!(3)));
    let Outcome::Response(second) = function.invoke(at(9)).await else { panic!("the second run failed") };
    assert_eq!(second["status"], "unchanged");
    let (log, text) = function.end();
    let runs = lines(&log, "run done");
    assert_eq!((runs.len(), lines(&log, "table done").len()), (2, 6));
    assert_eq!(
        (&runs[0]["level"], &runs[0]["status"], &runs[0]["tables"]),
        (&json!("INFO"), &json!("changed"), &json!(3))
    );
    assert_eq!((&runs[0]["inserted"], &runs[1]["inserted"], &runs[0]["failed"]), (&json!(8), &json!(0), &json!(0)));
    assert_eq!((&runs[0]["span"]["requestId"], &runs[0]["position"]), (&json!("c0ffee-1"), &json!("1")));
    assert!(runs[0]["peak_rss_bytes"].as_u64().unwrap() > 0 && runs[0]["elapsed_ms"].is_u64());
    assert_tells_nothing(&text);
}

/// The steps that the log tells of a table, in order.
fn steps<'l>(log: &'l [Value], table: &str) -> Vec<&'l str> {
    log.iter().filter(|line| line["table"] == table).filter_map(|line| line["message"].as_str()).collect()
}

#[tokio::test]
async fn each_step_has_a_line_with_its_run_its_time_and_its_counts() {
    let rig = Rig::new().await;
    let mut function = Function::start(&rig).await;
    assert!(matches!(function.invoke(at(9)).await, Outcome::Response(_)));
    let (log, text) = function.end();
    let all = ["compared", "claimed", "changes published", "full load written", "committed", "table done"];
    assert_eq!((steps(&log, "clientes"), steps(&log, "produtos")), (all.to_vec(), all.to_vec()));
    for line in log.iter().filter(|line| line.get("_aws").is_none()) {
        assert_eq!(line["run_at"], "2026-11-20T09:00:00Z", "{line}");
        assert!(line["elapsed_ms"].is_u64() && line["span"]["requestId"] == "c0ffee-1", "{line}");
    }
    assert_eq!(lines(&log, "version found")[0]["position"], "1");
    assert!(lines(&log, "snapshot fetched")[0]["bytes"].as_u64().unwrap() > 100);
    let published = &lines(&log, "changes published")[0];
    assert_eq!(published["key"], "cdc/clientes/clientes_20261120_090000.parquet");
    let bytes = |message: &str| lines(&log, message)[0]["bytes"].as_u64().unwrap();
    let written = lines(&log, "table done")[0]["bytes_written"].as_u64().unwrap();
    assert_eq!(written, bytes("changes published") + bytes("full load written"));
    assert_tells_nothing(&text);
}

#[tokio::test]
async fn the_log_has_the_metrics_of_each_table_and_of_the_run() {
    let rig = Rig::new().await;
    let mut function = Function::start(&rig).await;
    assert!(matches!(function.invoke(at(9)).await, Outcome::Response(_)));
    assert!(matches!(
        function.invoke(json!({"run_at": "2026-11-20T10:00:00Z", "dry_run": true})).await,
        Outcome::Response(_)
    ));
    rig.publish(2, CLIENTES, "idProduto;nome;preco\n", TRANSACOES);
    assert!(matches!(function.invoke(at(15)).await, Outcome::Error { .. }));
    let (log, text) = function.end();
    let metrics: Vec<&Value> = log.iter().filter(|line| line.get("_aws").is_some()).collect();
    let tables: Vec<&str> = metrics.iter().filter_map(|line| line["Table"].as_str()).collect();
    assert_eq!(tables, ["clientes", "produtos", "transacoes", "clientes", "produtos", "transacoes"]);
    let produtos: Vec<&&Value> = metrics.iter().filter(|line| line["Table"] == "produtos").collect();
    assert_eq!(
        (&produtos[0]["Rows"], &produtos[0]["Inserted"], &produtos[0]["Failed"]),
        (&json!(3), &json!(3), &json!(0))
    );
    assert_eq!((&produtos[1]["Failed"], &produtos[1]["GuardTripped"]), (&json!(1), &json!(1)), "{text}");
    assert!(produtos[1]["SecondsSinceLastSuccess"].is_u64() && produtos[1].get("Rows").is_none());
    let runs: Vec<&&Value> = metrics.iter().filter(|line| line.get("Lake").is_some()).collect();
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0]["Lake"], format!("s3://{}/upcell", rig.bucket));
    assert_eq!((&runs[0]["Function"], &runs[0]["Dataset"]), (&json!("cdc-to-s3"), &json!("owner/slug")));
    assert_eq!((&runs[0]["Failed"], &runs[1]["Failed"], &runs[1]["GuardTripped"]), (&json!(0), &json!(1), &json!(1)));
    assert!(runs[0]["Bytes"].as_u64().unwrap() > 1000 && runs[0]["PeakMemory"].as_u64().unwrap() > 1 << 20);
    assert_tells_nothing(&text);
}

#[tokio::test]
async fn a_run_that_came_to_nothing_is_counted_as_failed() {
    let rig = Rig::new().await;
    rig.kaggle.set_credentials(crate::support::kaggle::Accepted::Token("another".to_owned()));
    let mut function = Function::start(&rig).await;
    assert!(matches!(function.invoke(at(9)).await, Outcome::Error { .. }));
    let (log, _) = function.end();
    let metrics: Vec<&Value> = log.iter().filter(|line| line.get("_aws").is_some()).collect();
    assert_eq!(metrics.len(), 1);
    assert_eq!((&metrics[0]["Failed"], &metrics[0]["Dataset"]), (&json!(1), &json!("owner/slug")));
}

#[tokio::test]
async fn the_binary_reports_errors_with_a_stable_type_and_lives_on() {
    let rig = Rig::new().await;
    rig.publish(1, CLIENTES, &PRODUTOS.replace("2;Adesivo", "1;Adesivo"), TRANSACOES);
    let mut function = Function::start(&rig).await;
    for (payload, expected, part) in [
        (json!({"tabels": []}), "Config", "did you mean `tables`?"),
        (json!("not an object"), "Config", "must be an object"),
        (at(9), "Data", "DuplicateKeys"),
    ] {
        let Outcome::Error { error_type, error_message } = function.invoke(payload).await else { panic!("no error") };
        assert_eq!(error_type, expected, "{error_message}");
        assert!(error_message.contains(part), "{error_message}");
    }
    rig.publish(2, CLIENTES, PRODUTOS, TRANSACOES);
    assert!(matches!(function.invoke(at(15)).await, Outcome::Response(_)));
    let (log, text) = function.end();
    assert_eq!(log.iter().filter(|line| line["level"] == "ERROR").count(), 4, "{text}");
    assert_eq!(lines(&log, "run failed").len(), 3);
    assert_eq!(lines(&log, "table failed").len(), 1);
    let failed = lines(&log, "run done").into_iter().find(|line| line["status"] == "partial").unwrap();
    assert_eq!((&failed["failed"], &failed["inserted"]), (&json!(1), &json!(5)));
    assert_tells_nothing(&text);
}

#[tokio::test]
async fn the_binary_polls_the_address_that_cargo_lambda_watch_gives_it() {
    let rig = Rig::new().await;
    let api = RuntimeApi::start().await;
    let address = format!("http://{}/cdc-to-s3", api.address);
    let mut function = Function::polling(&rig, api, &address);
    assert!(matches!(function.invoke(at(9)).await, Outcome::Response(_)));
}

#[test]
fn a_runtime_api_without_a_function_is_told_and_no_panic() {
    let binary = env!("CARGO_BIN_EXE_cdc-to-s3");
    let output = Command::new(binary).env_clear().env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9").output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), log.contains("panicked")), (Some(1), false), "{log}");
    assert!(log.contains("AWS_LAMBDA_FUNCTION_NAME"), "{log}");
}

/// No credentials, no signed link, no cell.
fn assert_tells_nothing(log: &str) {
    for text in [TOKEN, "X-Goog-Signature", "Signature=", "Caneca", "Adesivo", "c-1", "14:03:22"] {
        assert!(!log.contains(text), "{text} is in the log:\n{log}");
    }
    assert!(!log.contains("panicked"), "{log}");
}
