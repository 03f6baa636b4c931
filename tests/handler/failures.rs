//! Runs that do not end well: what is done all the same, what Lambda is told, and what the next run finds.

use std::time::Duration;

use cdc_to_s3::report::{Report, RunStatus, TableStatus};
use lambda_runtime::Diagnostic;
use serde_json::json;

use super::{CLIENTES, Failure, PRODUTOS, Rig, TRANSACOES, at, changes, table};

/// Of the three products one is left.
const ONE_PRODUTO: &str = "idProduto;nome;preco\n1;Caneca;12.5\n";

/// The report of a run of which some tables failed, and what Lambda is told about it.
fn failed(outcome: Result<Report, Failure>) -> (Report, Diagnostic) {
    let failure = outcome.expect_err("a failure");
    let told = Diagnostic { error_type: failure.kind().name().to_owned(), error_message: failure.message() };
    match failure {
        Failure::Tables(report) => (*report, told),
        Failure::Run(error) | Failure::Table(error) => panic!("the whole run failed: {error:?}"),
    }
}

fn told(outcome: Result<Report, Failure>) -> Diagnostic {
    outcome.expect_err("a failure").into()
}

#[tokio::test]
async fn a_table_that_fails_fails_the_invocation_after_the_others_were_done() {
    let rig = Rig::new().await;
    rig.publish(1, CLIENTES, &PRODUTOS.replace("2;Adesivo", "1;Adesivo"), TRANSACOES);
    let (report, told) = failed(rig.invoke(at(9)).await);
    assert_eq!(report.status, RunStatus::Partial);
    assert_eq!((changes(&report, "clientes"), changes(&report, "transacoes")), ([3, 0, 0], [2, 0, 0]));
    assert_eq!(told.error_type, "Data");
    for part in ["1 of 3 tables failed", "`produtos`", "DuplicateKeys", "lines 2 and 3", "on_duplicate_key"] {
        assert!(told.error_message.contains(part), "{part} is not in {}", told.error_message);
    }
    assert!(!told.error_message.contains("Adesivo"), "a cell is in {}", told.error_message);
    let written = rig.written_since(&Default::default()).await;
    assert!(!written.iter().any(|key| key.contains("produtos")), "{written:?}");
    assert_eq!(written.iter().filter(|key| key.contains("/full-load/")).count(), 2);
}

#[tokio::test]
async fn the_retry_does_only_what_is_left() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    rig.publish(2, &CLIENTES.replace("c-1;10;2025-01-10", "c-1;11;2025-01-11"), ONE_PRODUTO, TRANSACOES);
    let (first, told) = failed(rig.invoke(at(15)).await);
    assert_eq!((changes(&first, "clientes"), told.error_type.as_str()), ([0, 1, 0], "Data"));
    assert_eq!(table(&first, "produtos").error.as_ref().unwrap().code(), "MassDelete");
    let before = rig.objects().await;
    let (second, _) = failed(rig.invoke(at(15)).await);
    assert_eq!(table(&second, "clientes").status, TableStatus::Unchanged);
    assert_eq!(rig.objects().await, before);
    let approved = json!({"run_at": "2026-11-20T15:00:00Z", "approve_deletes": ["produtos"]});
    let third = rig.invoke(approved).await.unwrap();
    assert_eq!(changes(&third, "produtos"), [0, 0, 2]);
    assert_eq!(
        rig.written_since(&before).await,
        [
            "upcell/_runs/20261120_150001.json",
            "upcell/_state/produtos.json",
            "upcell/cdc/produtos/produtos_20261120_150000.parquet",
            "upcell/full-load/produtos/produtos.parquet",
        ]
    );
}

#[tokio::test]
async fn no_table_is_begun_that_cannot_be_finished_in_time() {
    let rig = Rig::new().await;
    let (report, told) = failed(rig.invoke_within(Duration::from_millis(900), at(9)).await);
    assert_eq!((report.status, told.error_type.as_str()), (RunStatus::Failed, "Transient"));
    for table in &report.tables {
        let error = table.error.as_ref().unwrap();
        assert_eq!(error.code(), "OutOfTime", "{}", table.name);
    }
    assert!(rig.objects().await.is_empty());
    let report = rig.invoke(at(9)).await.unwrap();
    assert_eq!(report.tables.iter().map(|table| table.inserted).collect::<Vec<_>>(), [3, 3, 2]);
}

#[tokio::test]
async fn a_version_whose_archive_is_not_there_yet_is_no_failure() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    let before = rig.objects().await;
    rig.kaggle.announce(2);
    let report = rig.invoke(at(15)).await.unwrap();
    assert_eq!(report.status, RunStatus::Unchanged);
    for table in &report.tables {
        assert_eq!(table.status, TableStatus::NotReady);
        assert!(table.warnings[0].contains("version 2 of owner/slug"), "{:?}", table.warnings);
    }
    assert_eq!(rig.objects().await, before);
    rig.publish(2, CLIENTES, &PRODUTOS.replace("12.5", "13.5"), TRANSACOES);
    assert_eq!(changes(&rig.invoke(at(21)).await.unwrap(), "produtos"), [0, 1, 0]);
}

#[tokio::test]
async fn lambda_is_told_the_kind_and_the_whole_chain_of_causes() {
    let rig = Rig::new().await;
    rig.kaggle.publish(1, &b"PK\x03\x04 and then nothing that a zip has"[..]);
    let failure = rig.invoke(at(9)).await.expect_err("no archive");
    let Failure::Run(error) = &failure else { panic!("a table was begun: {failure:?}") };
    let cause = std::error::Error::source(error).expect("a cause").to_string();
    let (kind, code, chain) = (error.kind().name(), error.code(), error.chain());
    let told = Diagnostic::from(failure);
    assert_eq!(told.error_type, kind);
    assert!(told.error_message.starts_with(&format!("{code}: {chain}")), "{}", told.error_message);
    assert!(chain.ends_with(&cause) && chain.len() > cause.len());
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_a_fault_of_the_configuration() {
    let rig = Rig::with(|_| super::config("lake-of-nobody-at-all").to_string()).await;
    let told = told(rig.invoke(at(9)).await);
    assert_eq!(told.error_type, "Config");
    assert!(told.error_message.contains("lake-of-nobody-at-all"), "{}", told.error_message);
}
