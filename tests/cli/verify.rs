//! `verify`: a lake in order, and one that somebody has touched.

use std::fs;

use serde_json::Value;

use super::{Desk, NEWER_CLIENTES, expect_golden};

const VERIFY: [&str; 3] = ["verify", "--lake", "lake"];

/// A lake with two versions of `clientes` and one of `produtos`.
fn lake() -> Desk {
    let desk = Desk::new();
    desk.report(&["--run-at", "2026-11-20T09:00:00Z"]);
    fs::copy(desk.path("lake/full-load/clientes/clientes.parquet"), desk.path("first.parquet")).unwrap();
    desk.write("data/actual/clientes.csv", NEWER_CLIENTES);
    desk.report(&["--run-at", "2026-11-20T15:00:00Z"]);
    desk
}

#[test]
fn a_lake_in_order_exits_with_0() {
    let done = lake().run(&VERIFY);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    expect_golden("verify-clean.txt", &done.stdout);
}

#[test]
fn an_empty_lake_is_not_called_complete() {
    Desk::new().run(&VERIFY).expect(0, &["clientes: the table was never run", "there is nothing here"]);
}

#[test]
fn a_deleted_cdc_object_is_found() {
    let desk = lake();
    fs::remove_file(desk.path("lake/cdc/clientes/clientes_20261120_150000.parquet")).unwrap();
    let done = desk.run(&VERIFY);
    assert_eq!(done.code, 1);
    expect_golden("verify-deleted.txt", &done.stdout);
}

#[test]
fn an_older_full_load_put_back_is_found() {
    let desk = lake();
    fs::copy(desk.path("first.parquet"), desk.path("lake/full-load/clientes/clientes.parquet")).unwrap();
    desk.run(&VERIFY).expect(1, &["clientes  DIFFERS", "produtos  ok", "the state names another full load"]);
}

#[test]
fn an_object_that_was_edited_is_found() {
    let desk = lake();
    let path = desk.path("lake/cdc/clientes/clientes_20261120_090000.parquet");
    let mut bytes = fs::read(&path).unwrap();
    let tail = bytes.len() - 6;
    bytes[tail] ^= 0x55;
    fs::write(&path, bytes).unwrap();
    desk.run(&VERIFY).expect(1, &["FAILED", "clientes_20261120_090000.parquet"]);
}

#[test]
fn the_findings_come_as_json_too() {
    let desk = lake();
    let found = desk.run(&[&VERIFY[..], &["--json", "--table", "clientes"]].concat()).json();
    assert_eq!(found["ok"], true);
    let tables = found["tables"].as_array().unwrap();
    assert_eq!(
        (tables.len(), tables[0]["events"].as_u64(), tables[0]["silent_changes"].as_u64()),
        (1, Some(6), Some(1))
    );
    fs::remove_file(desk.path("lake/cdc/clientes/clientes_20261120_150000.parquet")).unwrap();
    let done = desk.run(&[&VERIFY[..], &["--json"]].concat());
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &found["ok"]), (1, &Value::Bool(false)));
}
