//! What a run costs and writes: nothing twice, and nothing for what did not change.

use cdc_to_s3::report::{RunStatus, TableStatus};
use serde_json::json;

use super::{CLIENTES, PRODUTOS, Rig, TRANSACOES, at, changes, table};
use crate::support::kaggle::{Endpoint, Fault};

#[tokio::test]
async fn the_same_event_again_writes_nothing() {
    let rig = Rig::new().await;
    assert_eq!(rig.invoke(at(9)).await.unwrap().status, RunStatus::Changed);
    let before = rig.objects().await;
    assert_eq!(rig.invoke(at(9)).await.unwrap().status, RunStatus::Unchanged);
    assert_eq!(rig.objects().await, before);
}

#[tokio::test]
async fn an_unchanged_version_costs_one_api_call_and_one_small_read_per_table() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    let (_, seen) = (rig.proxy.take(), rig.kaggle.requests().len());
    let report = rig.invoke(at(15)).await.unwrap();
    assert_eq!(report.status, RunStatus::Unchanged);
    assert_eq!(report.tables.iter().map(|table| table.rows).collect::<Vec<_>>(), [3, 3, 2]);
    let mut asked: Vec<_> = rig.proxy.take().into_iter().map(|seen| (seen.method, seen.path)).collect();
    asked.sort();
    let state = |table| ("GET".to_owned(), format!("/{}/upcell/_state/{table}.json", rig.bucket));
    assert_eq!(asked, ["clientes", "produtos", "transacoes"].map(state));
    let calls: Vec<_> = rig.kaggle.requests().drain(seen..).map(|seen| seen.endpoint).collect();
    assert_eq!(calls, [Some(Endpoint::GetDataset)]);
}

#[tokio::test]
async fn a_version_that_differs_in_one_table_writes_objects_for_that_table_only() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    let before = rig.objects().await;
    rig.publish(2, CLIENTES, &PRODUTOS.replace("12.5", "13.5"), TRANSACOES);
    let report = rig.invoke(at(15)).await.unwrap();
    assert_eq!((changes(&report, "produtos"), table(&report, "clientes").status), ([0, 1, 0], TableStatus::Unchanged));
    let data: Vec<_> =
        rig.written_since(&before).await.into_iter().filter(|key| !key.starts_with("upcell/_state/")).collect();
    assert_eq!(
        data,
        [
            "upcell/_runs/20261120_150000.json",
            "upcell/cdc/produtos/produtos_20261120_150000.parquet",
            "upcell/full-load/produtos/produtos.parquet",
        ]
    );
}

#[tokio::test]
async fn a_dry_run_tells_the_changes_and_leaves_them_for_the_next_run() {
    let rig = Rig::new().await;
    let dry = rig.invoke(json!({"dry_run": true})).await.unwrap();
    assert_eq!((changes(&dry, "clientes"), rig.objects().await.len()), ([3, 0, 0], 0));
    assert_eq!(changes(&rig.invoke(at(9)).await.unwrap(), "clientes"), [3, 0, 0]);
}

#[tokio::test]
async fn a_run_that_slept_while_the_source_moved_on_does_not_lead_the_lake_back() {
    let rig = Rig::new().await;
    rig.publish(2, &CLIENTES.replace("c-3;30", "c-4;40"), PRODUTOS, TRANSACOES);
    rig.invoke(at(9)).await.unwrap();
    let before = rig.objects().await;
    let asked_too_early = Fault { body: Some(json!({"currentVersionNumber": 1}).to_string()), ..Fault::default() };
    rig.kaggle.fault(Endpoint::GetDataset, asked_too_early);
    let report = rig.invoke(at(15)).await.unwrap();
    assert!(report.tables.iter().all(|table| table.status == TableStatus::Busy), "{report:?}");
    assert_eq!(rig.objects().await, before);
}

#[tokio::test]
async fn a_version_that_was_withdrawn_leads_the_lake_back() {
    let rig = Rig::new().await;
    rig.publish(2, &CLIENTES.replace("c-3;30", "c-4;40"), PRODUTOS, TRANSACOES);
    rig.invoke(at(9)).await.unwrap();
    rig.kaggle.remove(2);
    rig.publish(1, CLIENTES, PRODUTOS, TRANSACOES);
    let report = rig.invoke(at(15)).await.unwrap();
    assert_eq!(changes(&report, "clientes"), [1, 0, 1]);
    assert_eq!(report.status, RunStatus::Changed);
}
