//! `ddl` and `config`: texts for other programs.

use std::fs;

use serde_json::Value;

use super::{Desk, expect_golden};

#[test]
fn athena_gets_a_table_for_the_full_load_one_for_the_log_and_a_view() {
    let desk = Desk::new();
    desk.report(&[]);
    let done = desk.run(&["ddl", "--engine", "athena", "--database", "raw", "--lake", "lake", "--table", "clientes"]);
    done.expect(0, &["the lake is a folder, which Athena cannot read"]);
    let folder = desk.path("lake").canonicalize().unwrap();
    expect_golden("ddl.sql", &done.stdout.replace(folder.to_str().unwrap(), "/lake"));
}

#[test]
fn a_table_that_was_never_run_has_no_columns_to_describe() {
    let desk = Desk::new();
    fs::create_dir(desk.path("lake")).unwrap();
    desk.run(&["ddl", "--engine", "athena", "--lake", "lake"]).expect(1, &["NoData", "no table is in this lake yet"]);
    desk.report(&["--table", "produtos"]);
    let done = desk.run(&["ddl", "--engine", "athena", "--lake", "lake", "--json"]);
    done.expect(0, &["left out: `clientes`: it has no objects in this lake yet"]);
    let statements: Vec<String> = serde_json::from_str(&done.stdout).unwrap();
    assert!(statements.len() == 3 && statements[0].contains("`idproduto` bigint"), "{statements:?}");
}

#[test]
fn the_schema_and_the_reference_are_printed_whole() {
    let desk = Desk::new();
    let schema = desk.run(&["config", "--schema"]).json();
    assert_eq!(schema["else"]["properties"]["tables"]["items"]["required"], serde_json::json!(["name", "pk"]));
    let committed: Value = serde_json::from_str(include_str!("../../docs/config.schema.json")).unwrap();
    assert_eq!(schema, committed);
    desk.run(&["config", "--reference"]).expect(0, &["| `tables[].pk` | the key"]);
    desk.run(&["config"]).expect(2, &["--schema|--reference"]);
}
