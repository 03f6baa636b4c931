//! What the flags and variables of `run` do, and what it prints.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{CLIENTES, Desk, NEWER_CLIENTES, PRODUTOS, counts, expect_golden};
use crate::support::dataset::zipped;
use crate::support::kaggle::StandIn;

#[test]
fn the_summary_is_one_that_a_person_likes_to_read() {
    let desk = Desk::new();
    let run = |at| desk.run(&["run", "--lake", "lake", "--skip-download", "--run-at", at]).stdout;
    expect_golden("run-first.txt", &run("2026-11-20T09:00:00Z"));
    desk.write("data/actual/clientes.csv", NEWER_CLIENTES);
    desk.write("data/actual/produtos.csv", "idProduto;nome;preco\n1;Caneca;12.5\n1;Caneca;12.5\n");
    expect_golden("run-second.txt", &run("2026-11-20T15:00:00Z"));
}

#[test]
fn a_dry_run_says_what_would_change_and_writes_nothing() {
    let desk = Desk::new();
    let report = desk.report(&["--dry-run"]);
    assert_eq!((&report["dry_run"], counts(&report, 0)), (&json!(true), [3, 0, 0, 0]));
    assert!(!Path::new(&desk.path("lake")).exists());
    let shown = desk.run(&["run", "--once", "--lake", "lake", "--dry-run", "--skip-download"]);
    shown.expect(0, &["DRY RUN, nothing was written"]);
    assert!(!shown.stdout.contains("cdc/"), "{}", shown.stdout);
}

#[test]
fn json_is_all_of_stdout_however_much_is_logged() {
    let desk = Desk::new();
    let arguments = ["run", "--once", "--lake", "lake", "--json", "--skip-download"];
    let done = desk.run_with(&[("RUST_LOG", "info"), ("CDC_LOG_FORMAT", "json")], &arguments);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &report["source"]["kind"]), (0, &json!("local")));
    let lines: Vec<serde_json::Value> =
        done.stderr.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    assert_eq!(lines.iter().filter(|line| line["message"] == "table done").count(), 2);
}

#[test]
fn a_snapshot_comes_from_a_folder_or_a_zip() {
    let desk = Desk::new();
    assert_eq!(desk.report(&[])["source"]["name"], "data/actual");
    fs::write(desk.path("newer.zip"), zipped(&[("clientes", NEWER_CLIENTES), ("produtos", PRODUTOS)])).unwrap();
    let report = desk.report(&["newer.zip"]);
    assert_eq!((&report["source"]["name"], counts(&report, 0)), (&json!("newer.zip"), [1, 1, 1, 1]));
    assert_eq!(counts(&report, 1), [0; 4]);
}

#[test]
fn only_the_named_tables_are_done() {
    let desk = Desk::new();
    let report = desk.report(&["--table", "produtos"]);
    assert_eq!(report["tables"].as_array().unwrap().len(), 1);
    assert!(desk.lake().keys().all(|key| !key.contains("clientes")));
}

#[tokio::test(flavor = "multi_thread")]
async fn force_compares_also_where_the_version_is_the_same() {
    let (desk, kaggle) = (Desk::new(), StandIn::start("owner/slug").await.unwrap());
    let run = |more: &[&str]| {
        let arguments = ["run", "--once", "--json", "--lake", "lake"];
        desk.run_with(&[("KAGGLE_API_ENDPOINT", &kaggle.url())], &[&arguments, more].concat()).json()
    };
    kaggle.publish(1, zipped(&[("clientes", CLIENTES), ("produtos", PRODUTOS)]));
    assert_eq!(counts(&run(&[]), 0), [3, 0, 0, 0]);
    kaggle.publish(1, zipped(&[("clientes", NEWER_CLIENTES), ("produtos", PRODUTOS)]));
    assert_eq!(run(&[])["status"], "unchanged");
    assert_eq!(counts(&run(&["--force"]), 0), [1, 1, 1, 1]);
}

#[test]
fn deletes_are_approved_on_the_command_line() {
    let desk = Desk::new();
    desk.report(&[]);
    desk.write("data/actual/clientes.csv", "idCliente;qtdePontos;DtAtualizacao\nc-1;10;2025-01-10 14:03:22.123\n");
    let run = ["run", "--once", "--lake", "lake", "--skip-download"];
    desk.run(&run).expect(1, &["MassDelete", "2 of 3 rows are gone"]);
    desk.run(&[&run[..], &["--approve-deletes", "produtos"]].concat()).expect(1, &["MassDelete"]);
    assert_eq!(counts(&desk.report(&["--approve-deletes", "clientes"]), 0), [0, 0, 2, 0]);
}

#[test]
fn the_flag_lies_over_the_environment_and_that_over_dotenv() {
    let desk = Desk::new();
    let run = ["run", "--once", "--skip-download", "--table", "produtos"];
    desk.write(".env", "CDC_LAKE=from-dotenv\nCDC_CONFIG=settings.json\n");
    fs::rename(desk.path("config.json"), desk.path("settings.json")).unwrap();
    let lakes = || ["from-dotenv", "from-environment", "from-flag"].map(|name| desk.path(name).exists());
    desk.run(&run).expect(0, &[]);
    assert_eq!(lakes(), [true, false, false]);
    desk.run_with(&[("CDC_LAKE", "from-environment")], &run).expect(0, &[]);
    assert_eq!(lakes(), [true, true, false]);
    desk.run_with(&[("CDC_LAKE", "from-neither")], &[&run[..], &["--lake", "from-flag"]].concat()).expect(0, &[]);
    assert_eq!(lakes(), [true, true, true]);
    assert!(!desk.path("from-neither").exists());
}

#[test]
fn a_misspelt_variable_is_warned_about() {
    let desk = Desk::new();
    let run = ["run", "--once", "--lake", "lake", "--skip-download"];
    desk.run_with(&[("CDC_LAEK", "x")], &run).expect(0, &["`CDC_LAEK`; did you mean `CDC_LAKE`?"]);
}
