//! The report as JSON: exactly the documented fields, with their types, in the answer and in the lake alike.

use serde_json::{Value, json};

use super::{CLIENTES, Failure, PRODUTOS, Rig, TRANSACOES, at};

/// The names of the fields of an object, in alphabetical order, each with its type.
fn shape(value: &Value) -> Vec<String> {
    let fields = value.as_object().expect("an object");
    let mut shape: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {}", type_of(value))).collect();
    shape.sort();
    shape
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "count",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

const RUN: [&str; 7] = [
    "dry_run: boolean",
    "elapsed_ms: count",
    "peak_rss_bytes: count",
    "run_at: text",
    "source: object",
    "status: text",
    "tables: list",
];

const COUNTS_AND_LISTS: [&str; 10] = [
    "bytes_written: count",
    "deleted: count",
    "dropped_rows: count",
    "elapsed_ms: count",
    "inserted: count",
    "name: text",
    "rows: count",
    "schema_changes: list",
    "silent_changes: count",
    "status: text",
];

/// The fields of a table whose keys and error have these types.
fn table_shape(cdc_key: &str, full_load_key: &str, error: &str) -> Vec<String> {
    let mut fields: Vec<String> = COUNTS_AND_LISTS.map(str::to_owned).to_vec();
    fields.extend([format!("cdc_key: {cdc_key}"), format!("full_load_key: {full_load_key}")]);
    fields.push(format!("row_set_hash: {}", if error == "null" { "text" } else { "null" }));
    fields.extend([format!("error: {error}"), "updated: count".to_owned(), "warnings: list".to_owned()]);
    fields.sort();
    fields
}

#[tokio::test]
async fn the_report_has_exactly_the_documented_fields_and_is_kept_in_the_lake() {
    let rig = Rig::new().await;
    let answer = serde_json::to_value(rig.invoke(at(9)).await.unwrap()).unwrap();
    assert_eq!(shape(&answer), RUN);
    assert_eq!(answer["source"], json!({"kind": "kaggle", "name": "owner/slug", "position": 1}));
    assert_eq!((&answer["run_at"], &answer["status"]), (&json!("2026-11-20T09:00:00Z"), &json!("changed")));
    assert!(answer["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
    for table in answer["tables"].as_array().unwrap() {
        assert_eq!(shape(table), table_shape("text", "text", "null"));
    }
    assert_eq!(answer["tables"][0]["cdc_key"], "cdc/clientes/clientes_20261120_090000.parquet");
    assert_eq!(answer["tables"][0]["full_load_key"], "full-load/clientes/clientes.parquet");
    let kept = rig.s3.get_object().bucket(&rig.bucket).key("upcell/_runs/20261120_090000.json").send().await.unwrap();
    let kept: Value = serde_json::from_slice(&kept.body.collect().await.unwrap().into_bytes()).unwrap();
    assert_eq!(kept, answer);
}

#[tokio::test]
async fn a_failed_table_reports_kind_code_message_and_hint() {
    let rig = Rig::new().await;
    rig.publish(1, CLIENTES, &PRODUTOS.replace("2;Adesivo", "1;Adesivo"), TRANSACOES);
    let Err(Failure::Tables(report)) = rig.invoke(at(9)).await else { panic!("no table failed") };
    let answer = serde_json::to_value(report).unwrap();
    assert_eq!(answer["status"], "partial");
    let produtos = &answer["tables"][1];
    assert_eq!(shape(produtos), table_shape("null", "null", "object"));
    assert_eq!((&produtos["status"], &produtos["error"]["kind"]), (&json!("failed"), &json!("Data")));
    assert_eq!(shape(&produtos["error"]), ["code: text", "hint: text", "kind: text", "message: text"]);
}

#[tokio::test]
async fn an_unchanged_table_names_no_object() {
    let rig = Rig::new().await;
    rig.invoke(at(9)).await.unwrap();
    let answer = serde_json::to_value(rig.invoke(at(15)).await.unwrap()).unwrap();
    assert_eq!(answer["status"], "unchanged");
    assert_eq!(shape(&answer["tables"][0]), table_shape("null", "null", "null"));
}
