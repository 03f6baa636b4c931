//! What an invocation may ask for: every example event, every place of a configuration, and what is refused.

use std::fs;
use std::path::Path;

use cdc_to_s3::report::{Report, RunStatus};
use cdc_to_s3::{Error, Kind};
use serde_json::{Value, json};

use super::{Answer, ENOUGH, Failure, Rig, at, config};

fn names(report: &Report) -> Vec<&str> {
    report.tables.iter().map(|table| table.name.as_str()).collect()
}

fn refusal(outcome: Result<Report, Failure>) -> Error {
    match outcome {
        Err(Failure::Run(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

/// Runs the event over an empty lake, and checks what it did.
async fn check(file: &Path) {
    let payload: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let rig = Rig::new().await;
    let answer = rig.answer(ENOUGH, payload).await;
    let name = file.file_name().unwrap().to_str().unwrap();
    let report = match answer {
        Ok(Answer::Report(report)) => report,
        Ok(Answer::Plan(plan)) => {
            assert_eq!((name, plan.tables.len(), rig.objects().await.len()), ("step-plan.json", 3, 0));
            return;
        }
        Err(Failure::Tables(report)) => {
            assert_eq!((name, report.totals().inserted, report.status), ("step-finish.json", 3, RunStatus::Partial));
            let written: Vec<_> = rig.objects().await.into_keys().collect();
            assert_eq!(written, ["upcell/_runs/20261120_090000.json"]);
            return;
        }
        Err(failure) => panic!("events/{name}: {}", failure.message()),
    };
    let written = rig.written_since(&Default::default()).await;
    assert_eq!(report.status, RunStatus::Changed);
    match name {
        "schedule.json" | "scheduler.json" => {
            assert_eq!(names(&report), ["clientes", "produtos", "transacoes"]);
            assert_eq!(
                written,
                [
                    "upcell/_runs/20261120_090000.json",
                    "upcell/_state/clientes.json",
                    "upcell/_state/produtos.json",
                    "upcell/_state/transacoes.json",
                    "upcell/cdc/clientes/clientes_20261120_090000.parquet",
                    "upcell/cdc/produtos/produtos_20261120_090000.parquet",
                    "upcell/cdc/transacoes/transacoes_20261120_090000.parquet",
                    "upcell/full-load/clientes/clientes.parquet",
                    "upcell/full-load/produtos/produtos.parquet",
                    "upcell/full-load/transacoes/transacoes.parquet",
                ]
            );
        }
        "step-table.json" => {
            assert_eq!(names(&report), ["clientes"]);
            assert_eq!(
                written,
                [
                    "upcell/_state/clientes.json",
                    "upcell/cdc/clientes/clientes_20261120_090000.parquet",
                    "upcell/full-load/clientes/clientes.parquet",
                ]
            );
        }
        "manual.json" => assert_eq!(written.len(), 10),
        "overrides.json" => {
            assert_eq!((names(&report), report.dry_run), (vec!["clientes", "transacoes"], true));
            assert_eq!(report.run_at.to_string(), "2026-11-20T09:30:00Z");
            assert_eq!(written, [""; 0], "a dry run wrote something");
        }
        other => panic!("events/{other} has no expectation here: say what it does"),
    }
}

#[tokio::test]
async fn every_example_event_does_what_it_stands_for() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("events")).unwrap() {
        check(&entry.unwrap().path()).await;
    }
}

#[tokio::test]
async fn a_configuration_is_read_from_s3() {
    let rig = Rig::with(|bucket| format!("s3://{bucket}/settings/cdc.json")).await;
    let error = refusal(rig.invoke(at(9)).await);
    assert_eq!((error.kind(), error.code()), (Kind::Config, "ConfigNotFound"));
    let text = config(&rig.bucket).to_string().into_bytes();
    rig.s3.put_object().bucket(&rig.bucket).key("settings/cdc.json").body(text.into()).send().await.unwrap();
    assert_eq!(rig.invoke(at(9)).await.unwrap().tables.len(), 3);
}

#[tokio::test]
async fn an_event_brings_its_own_configuration() {
    let rig = Rig::with(|_| "s3://no-such-bucket/nothing.json".to_owned()).await;
    let mut own = config(&rig.bucket);
    own["tables"].as_array_mut().unwrap().truncate(1);
    let report = rig.invoke(json!({"config": own})).await.unwrap();
    assert_eq!(names(&report), ["clientes"]);
}

#[tokio::test]
async fn an_event_with_an_unknown_key_is_refused_before_anything_is_asked_for() {
    let rig = Rig::new().await;
    let error = refusal(rig.invoke(json!({"table": ["clientes"]})).await);
    assert_eq!((error.kind(), error.code()), (Kind::Config, "InvalidEvent"));
    assert!(error.to_string().contains("did you mean `tables`?"), "{error}");
    assert!(rig.proxy.take().is_empty() && rig.kaggle.requests().is_empty());
}

#[tokio::test]
async fn a_table_that_is_not_configured_is_refused_with_the_near_one() {
    let rig = Rig::new().await;
    let error = refusal(rig.invoke(json!({"tables": ["cliente"]})).await);
    assert_eq!((error.kind(), error.code()), (Kind::Config, "UnknownTable"));
    assert!(error.to_string().contains("did you mean `clientes`?"), "{error}");
}
