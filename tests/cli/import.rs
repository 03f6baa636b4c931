//! `import`: the lake of the original program becomes ours, and the first run finds only what has changed.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::{CLIENTES, Desk, NEWER_CLIENTES, config, counts};
use crate::support::emulator;

const OLD_CHANGES: &str = "lake/cdc/clientes/clientes_20250110_180000.parquet";

/// What the original left: its CSVs, a full load and changes as pandas writes them, without our footers.
fn of_the_original() -> Desk {
    let desk = Desk::new();
    desk.write("data/last/clientes.csv", CLIENTES);
    desk.write("data/last/produtos.csv", "idProduto;nome\n1;Caneca\n2;\n");
    desk.write("data/actual/clientes.csv", NEWER_CLIENTES);
    foreign(&desk, "lake/full-load/clientes/clientes.parquet", &["c-1", "c-2", "c-3"]);
    foreign(&desk, OLD_CHANGES, &["c-3"]);
    desk
}

fn foreign(desk: &Desk, name: &str, ids: &[&str]) {
    let column: ArrayRef = Arc::new(StringArray::from(ids.to_vec()));
    let batch = RecordBatch::try_from_iter([("idCliente", column)]).unwrap();
    fs::create_dir_all(desk.path(name).parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(desk.path(name)).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn import(desk: &Desk, more: &[&str]) -> super::Done {
    desk.run(&[&["import", "--last", "data/last", "--lake", "lake", "--json"], more].concat())
}

fn verified(desk: &Desk) {
    desk.run(&["verify", "--lake", "lake"]).expect(0, &["every change is there exactly once"]);
}

#[test]
fn the_first_run_after_an_import_yields_only_real_changes() {
    let desk = of_the_original();
    let refused = desk.run(&["run", "--once", "--lake", "lake", "--skip-download", "--table", "clientes"]);
    refused.expect(1, &["ForeignObject", "cdc-to-s3 import"]);
    let report = import(&desk, &["--run-at", "2026-11-20T09:00:00Z"]).json();
    assert_eq!((counts(&report, 0), counts(&report, 1)), ([3, 0, 0, 0], [2, 0, 0, 0]));
    assert_eq!(report["tables"][0]["warnings"], json!([]));
    verified(&desk);
    let report = desk.report(&[]);
    assert_eq!((counts(&report, 0), counts(&report, 1)), ([1, 1, 1, 1], [0; 4]));
    verified(&desk);
}

#[test]
fn the_changes_of_the_original_stay_and_are_not_part_of_the_log() {
    let desk = of_the_original();
    let before = fs::read(desk.path(OLD_CHANGES)).unwrap();
    import(&desk, &[]).json();
    assert_eq!(fs::read(desk.path(OLD_CHANGES)).unwrap(), before);
    // Rebuilt from the log alone, which begins after them.
    fs::remove_file(desk.path("lake/full-load/clientes/clientes.parquet")).unwrap();
    fs::remove_file(desk.path("lake/_state/clientes.json")).unwrap();
    assert_eq!(counts(&desk.report(&["--force"]), 0), [1, 1, 1, 1]);
    verified(&desk);
    foreign(&desk, "lake/cdc/clientes/clientes_20990101_000000.parquet", &["c-9"]);
    desk.run(&["verify", "--lake", "lake"]).expect(1, &["ForeignObject", "clientes_20990101_000000"]);
}

#[test]
fn history_and_restore_begin_where_the_imported_log_does() {
    let desk = of_the_original();
    foreign(&desk, "lake/cdc/clientes/clientes_20250110_190000.parquet", &["c-2"]);
    import(&desk, &["--run-at", "2026-11-20T09:00:00Z", "--table", "clientes"]).json();
    desk.report(&["--table", "clientes", "--run-at", "2026-11-20T12:00:00Z"]);
    let history = desk.run(&["history", "--lake", "lake", "--table", "clientes", "--json"]).json();
    let changes = history["tables"][0]["changes"].as_array().unwrap();
    let inserted: Vec<_> = changes.iter().map(|change| change["inserted"].as_u64().unwrap()).collect();
    assert_eq!((&history["tables"][0]["error"], inserted), (&Value::Null, vec![3, 1]));

    let restore = |at: &str| {
        let name = format!("{at}.csv").replace(':', "-");
        desk.run(&["restore", "--lake", "lake", "--table", "clientes", "--at", at, "--output", &name]).expect(0, &[]);
        fs::read_to_string(desk.path(&name)).unwrap()
    };
    assert_eq!(restore("2026-11-20T09:00:00Z").lines().count(), 1 + 3);
    desk.run(&["restore", "--lake", "lake", "--table", "clientes", "--at", "2025-06-01", "--output", "early.csv"])
        .expect(2, &["BeforeHistory"]);

    foreign(&desk, "lake/cdc/clientes/clientes_20990101_000000.parquet", &["c-9"]);
    desk.run(&["history", "--lake", "lake", "--table", "clientes"])
        .expect(1, &["ForeignObject", "clientes_20990101_000000"]);
}

#[test]
fn the_log_begins_after_the_names_of_the_original_whatever_its_clock_said() {
    let desk = of_the_original();
    foreign(&desk, "lake/cdc/clientes/clientes_20261120_120000.parquet", &["c-1"]);
    let report = import(&desk, &["--run-at", "2026-11-20T09:00:00Z", "--table", "clientes"]).json();
    assert_eq!(report["tables"][0]["cdc_key"], "cdc/clientes/clientes_20261120_120001.parquet");
    verified(&desk);
}

#[test]
fn files_of_another_version_than_the_full_load_are_warned_about() {
    let desk = of_the_original();
    desk.write("data/last/clientes.csv", "idCliente;qtdePontos;DtAtualizacao\nc-1;10;2025-01-10 14:03:22.123\n");
    let report = import(&desk, &["--dry-run"]).json();
    let warning = report["tables"][0]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("has 3 rows"), "{warning}");
    assert!(!desk.path("lake/_state").exists());
}

#[test]
fn a_table_that_was_run_is_not_imported() {
    let desk = of_the_original();
    import(&desk, &[]).json();
    let before = desk.lake();
    import(&desk, &[]).expect(2, &["AlreadyRun", "`clientes` has been run into this lake already"]);
    // Also where its state was lost.
    fs::remove_file(desk.path("lake/_state/clientes.json")).unwrap();
    desk.write("data/last/clientes.csv", NEWER_CLIENTES);
    import(&desk, &["--table", "clientes"]).expect(2, &["AlreadyRun"]);
    assert_eq!(desk.lake().len(), before.len() - 1);
}

/// A state with a claim and nothing else.
fn claim(owner: &str, position: &Value, expires: &str) -> String {
    let pending = json!({
        "run_at": "2026-11-20T09:00:00Z", "position": position, "owner": owner,
        "cdc_key": "cdc/clientes/clientes_20261120_090000.parquet", "expires": expires,
    });
    json!({"format_version": 1, "head": null, "pending": pending}).to_string()
}

#[expect(clippy::disallowed_methods, reason = "a test process is a shell")]
fn in_an_hour() -> String {
    (chrono::Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

#[test]
fn an_import_behind_a_name_far_ahead_of_the_clock_has_to_be_meant() {
    let desk = of_the_original();
    let name = |stamp: &str| desk.path(&format!("lake/cdc/clientes/clientes_{stamp}.parquet"));
    fs::copy(original_of(&desk), name("22261120_090000")).unwrap();
    let before = desk.lake();
    import(&desk, &["--table", "clientes"])
        .expect(1, &["RunTimeAhead", "clientes_22261120_090000.parquet", "--allow-future"]);
    assert_eq!(desk.lake(), before);
    let report = import(&desk, &["--table", "clientes", "--allow-future"]).json();
    assert_eq!(report["tables"][0]["cdc_key"], json!("cdc/clientes/clientes_22261120_090001.parquet"));
    // A name after which no other can come is refused before anything is written.
    let desk = of_the_original();
    fs::copy(original_of(&desk), desk.path("lake/cdc/clientes/clientes_99991231_235959.parquet")).unwrap();
    let objects = || desk.lake().into_iter().filter(|(key, _)| !key.starts_with('.')).collect::<Vec<_>>();
    let before = objects();
    import(&desk, &["--table", "clientes", "--allow-future"]).expect(2, &["RunTimeUnusable"]);
    assert!(objects() == before, "something was written");
}

fn original_of(desk: &Desk) -> std::path::PathBuf {
    fs::read_dir(desk.path("lake/cdc/clientes")).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn an_import_that_was_broken_off_is_completed_by_the_same_command() {
    let desk = of_the_original();
    let old = fs::read(desk.path("lake/full-load/clientes/clientes.parquet")).unwrap();
    let arguments = ["--run-at", "2026-11-20T09:00:00Z", "--table", "clientes"];
    import(&desk, &arguments).json();
    let state = desk.path("lake/_state/clientes.json");
    let head: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    // As it was after the changes had been published, and before anything else.
    fs::write(desk.path("lake/full-load/clientes/clientes.parquet"), old).unwrap();
    let position = &head["head"]["position"];
    let claim = claim("import:event:2026-11-20T09:00:00Z", position, &in_an_hour());
    fs::write(&state, &claim).unwrap();
    import(&desk, &["--run-at", "2026-11-20T10:00:00Z", "--table", "clientes"]).expect(3, &["\"status\": \"busy\""]);
    assert_eq!(counts(&import(&desk, &arguments).json(), 0), [0; 4]);
    verified(&desk);
    assert_eq!(desk.lake().keys().filter(|key| key.starts_with("cdc/clientes/")).count(), 2);
}

#[test]
fn an_import_whose_place_a_run_has_taken_is_done_anew() {
    let desk = of_the_original();
    let position = json!("version:1");
    fs::create_dir_all(desk.path("lake/_state")).unwrap();
    let claim = claim("import:event:2026-11-20T09:00:00Z", &position, "2026-11-20T09:15:00Z");
    fs::write(desk.path("lake/_state/clientes.json"), claim).unwrap();
    let run = desk.run(&["run", "--once", "--lake", "lake", "--skip-download", "--table", "clientes"]);
    run.expect(1, &["ForeignObject"]);
    assert!(desk.path("lake/cdc/clientes/clientes_20261120_090000.parquet").exists(), "no tombstone");
    let done = import(&desk, &["--table", "clientes"]);
    done.expect(0, &["taking over the claim"]);
    assert_eq!(counts(&serde_json::from_str(&done.stdout).unwrap(), 0), [3, 0, 0, 0]);
    assert_eq!(counts(&desk.report(&["--table", "clientes"]), 0), [1, 1, 1, 1]);
    // Also where only the log tells what is part of it.
    fs::remove_file(desk.path("lake/full-load/clientes/clientes.parquet")).unwrap();
    desk.report(&["--table", "clientes", "--force"]);
    desk.run(&["verify", "--lake", "lake", "--table", "clientes"]).expect(0, &["every change is there exactly once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_taken_over_as_a_folder_is() {
    let (desk, (client, bucket)) = (of_the_original(), emulator::bucket().await);
    for (key, bytes) in desk.lake() {
        client.put_object().bucket(&bucket).key(format!("up/{key}")).body(bytes.into()).send().await.unwrap();
    }
    let mut config = config();
    config["aws"] = json!({"bucket": bucket, "prefix": "up", "region": "us-east-1",
        "endpoint_url": emulator::endpoint(), "path_style": true});
    desk.write("config.json", &config.to_string());
    let account = bucket.strip_prefix("lake-").unwrap();
    // With a region the SDK has no reason to ask the machine for one.
    let environment = [
        ("AWS_ACCESS_KEY_ID", account),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let run = |arguments: &[&str]| desk.run_with(&environment, arguments);
    assert_eq!(counts(&run(&["import", "--last", "data/last", "--json"]).json(), 0), [3, 0, 0, 0]);
    assert_eq!(counts(&run(&["run", "--once", "--skip-download", "--json"]).json(), 0), [1, 1, 1, 1]);
    run(&["verify"]).expect(0, &["every change is there exactly once"]);
    let location = format!("LOCATION 's3://{bucket}/up/cdc/clientes/'");
    run(&["ddl", "--engine", "athena"]).expect(0, &[&location]);
}
