//! `history` and `restore` of the real binary.

use std::fs;

use serde_json::Value;

use crate::cli::{Desk, NEWER_CLIENTES, expect_golden};
use crate::support::lab::rows_of;

const HISTORY: [&str; 3] = ["history", "--lake", "lake"];
const RESTORE: [&str; 5] = ["restore", "--lake", "lake", "--table", "clientes"];

/// `clientes` in three versions, the last of which adds a column; `produtos` in one.
fn lake() -> Desk {
    let desk = Desk::new();
    desk.report(&["--run-at", "2026-11-20T09:00:00Z"]);
    desk.write("data/actual/clientes.csv", NEWER_CLIENTES);
    desk.report(&["--run-at", "2026-11-20T15:00:00Z"]);
    let third = "idCliente;qtdePontos;DtAtualizacao;cidade\nc-1;11;2025-01-11 09:00:00;\nc-2;5;2025-01-12;Évora;\n";
    desk.write("data/actual/clientes.csv", &third.replace("Évora;", "Évora"));
    desk.report(&["--run-at", "2026-12-01T09:00:00Z", "--allow-future"]);
    desk
}

/// The output without what depends on the speed of the machine and the version of a library.
fn steady(output: &str) -> String {
    let mut steady = String::new();
    for line in output.lines() {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        for index in 1..words.len() {
            if matches!(words[index], "ms" | "s" | "B" | "kB" | "kB,") {
                words[index - 1] = "#";
            }
            if words[index] == "s" {
                words[index] = "ms";
            }
        }
        steady += &(if line.starts_with('─') { "─".to_owned() } else { words.join(" ") } + "\n");
    }
    steady
}

#[test]
fn the_history_says_what_changed_when() {
    let done = lake().run_with(&[("COLUMNS", "200")], &HISTORY);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    expect_golden("history.txt", &steady(&done.stdout));
}

#[test]
fn a_month_is_asked_for_by_its_name_and_added_up() {
    let desk = lake();
    let done = desk.run(&[&HISTORY[..], &["--since", "2026-11", "--until", "2026-11", "--by", "day"]].concat());
    done.expect(0, &["by day", "2026-11-20"]);
    assert!(!done.stdout.contains("2026-12"), "{}", done.stdout);
    let none = desk.run(&[&HISTORY[..], &["--until", "2025", "--table", "clientes"]].concat());
    none.expect(0, &["nothing changed in this time"]);
    assert!(!none.stdout.contains("produtos"), "{}", none.stdout);
}

#[test]
fn bars_are_as_wide_as_the_terminal_lets_them_be() {
    let desk = lake();
    let longest = |columns| {
        let done = desk.run_with(&[("COLUMNS", columns)], &[&HISTORY[..], &["--table", "clientes"]].concat());
        done.stdout
            .lines()
            .skip(1)
            .map(|line| line.chars().filter(|glyph| "█▓░".contains(*glyph)).count())
            .max()
            .unwrap()
    };
    assert_eq!(longest("80"), 0);
    assert!((10..60).contains(&longest("130")), "{}", longest("130"));
    assert!((60..70).contains(&longest("400")), "{}", longest("400"));
}

#[test]
fn the_history_comes_as_json_too() {
    let found = lake().run(&[&HISTORY[..], &["--json"]].concat()).json();
    let clientes = &found["tables"][0];
    let changes = clientes["changes"].as_array().unwrap();
    let counts = |change: &Value| ["inserted", "updated", "deleted"].map(|name| change[name].as_u64().unwrap());
    assert_eq!(changes.iter().map(counts).collect::<Vec<_>>(), [[3, 0, 0], [1, 1, 1], [0, 1, 1]]);
    assert_eq!(changes[0]["first_load"], true);
    assert_eq!(changes[2]["schema_changes"][0], "added `cidade` (string)");
    assert_eq!(clientes["total"]["inserted"], 1);
    assert!(changes.iter().all(|change| change["elapsed_ms"].is_u64() && change["bytes"].as_u64() > Some(500)));
}

#[test]
fn silent_changes_without_an_object_are_told_from_the_report() {
    let desk = Desk::new();
    desk.report(&["--run-at", "2026-11-20T09:00:00Z"]);
    desk.write("data/actual/clientes.csv", &crate::cli::CLIENTES.replace("c-2;;", "c-2;7;"));
    desk.report(&["--run-at", "2026-11-21T09:00:00Z"]);
    let found = desk.run(&[&HISTORY[..], &["--json", "--table", "clientes"]].concat()).json();
    let silent = &found["tables"][0]["changes"][1];
    assert_eq!((&silent["key"], &silent["silent_changes"]), (&Value::Null, &Value::from(1)));
    fs::write(desk.path("lake/_runs/20261121_090000.json"), "{").unwrap();
    let done = desk.run(&[&HISTORY[..], &["--json", "--table", "clientes"]].concat()).json();
    assert_eq!(done["tables"][0]["changes"].as_array().unwrap().len(), 1);
    assert!(done["warnings"][0].as_str().unwrap().contains("_runs/20261121_090000.json"), "{}", done["warnings"]);
}

#[test]
fn a_table_whose_log_is_damaged_does_not_hide_the_others() {
    let desk = lake();
    fs::write(desk.path("lake/cdc/clientes/clientes_20261120_150000.parquet"), "no Parquet").unwrap();
    let done = desk.run(&HISTORY);
    done.expect(1, &["clientes_20261120_150000.parquet", "DamagedObject", "produtos", "first load 2"]);
}

#[test]
fn a_table_is_restored_as_csv_and_as_parquet() {
    let desk = lake();
    let with = |more: &[&str]| desk.run(&[&RESTORE[..], more].concat());
    let done = with(&["--at", "2026-11-20", "--delimiter", ";"]);
    done.expect(0, &["as of the run of 2026-11-20T15:00:00Z: 3 rows"]);
    let mut lines: Vec<_> = done.stdout.lines().collect();
    assert_eq!(lines.remove(0), "idCliente;qtdePontos;DtAtualizacao");
    lines.sort_unstable();
    // The row of `c-2` changed silently: it is in the full load of that time only.
    let dated = ["c-1;11;2025-01-11 09:00:00", "c-2;;2025-01-10 14:03:22.123", "c-4;40;2025-01-11 09:00:00"];
    assert_eq!(lines, dated);
    assert!(done.stderr.contains("in full loads only"), "{}", done.stderr);

    with(&["--at", "20261201_090000", "--output", "now.parquet"]).expect(0, &["2 rows to now.parquet, proven"]);
    let rows = |bytes: Vec<u8>| rows_of(&bytes.into());
    let restored = fs::read(desk.path("now.parquet")).unwrap();
    assert_eq!(rows(restored), rows(desk.lake()["full-load/clientes/clientes.parquet"].clone()));
    let facts = with(&["--at", "2026-11-20T09:00:00Z", "--output", "first.csv", "--json"]).json();
    assert_eq!((&facts["rows"], &facts["proven"], &facts["objects"]), (&3.into(), &true.into(), &1.into()));
    let first = fs::read_to_string(desk.path("first.csv")).unwrap();
    assert_eq!(first.lines().count(), 4);
}

#[test]
fn what_cannot_be_restored_is_said_with_what_to_do() {
    let desk = lake();
    let expect = |more: &[&str], code: i32, parts: &[&str]| {
        let before = fs::read_dir(desk.path("")).unwrap().count();
        desk.run(&[&RESTORE[..], more].concat()).expect(code, &[parts, &["hint: "]].concat());
        assert_eq!(fs::read_dir(desk.path("")).unwrap().count(), before, "a file was left by {more:?}");
    };
    expect(
        &["--at", "2026-11-19", "--output", "x.csv"],
        2,
        &["BeforeHistory", "begins with the run of 2026-11-20T09:00:00Z"],
    );
    expect(&["--at", "20261120_120000"], 2, &["UnknownRun", "the last one before it is 20261120_090000"]);
    expect(&["--at", "yesterday"], 2, &["InvalidTime"]);
    expect(&["--at", "2026-11-20", "--output", "x.xlsx"], 2, &["InvalidOutput"]);
    expect(&["--at", "2026-11-20", "--output", "no/such/folder.csv"], 2, &["OutputUnwritable"]);
    expect(&["--at", "2026-11-20", "--output", "config.json.csv", "--delimiter", "\""], 2, &["InvalidOutput"]);
    desk.write("there.csv", "precious");
    expect(&["--at", "2026-11-20", "--output", "there.csv"], 2, &["OutputExists"]);
    assert_eq!(fs::read_to_string(desk.path("there.csv")).unwrap(), "precious");
    desk.run(&["restore", "--lake", "lake", "--table", "clientse", "--at", "2026"])
        .expect(2, &["did you mean `clientes`"]);
    desk.run(&["restore", "--lake", "elsewhere", "--table", "clientes", "--at", "2026"])
        .expect(2, &["NeverRun", "hint: "]);
    desk.run(&["restore", "--lake", "lake", "--at", "2026"]).expect(2, &["--table"]);
}

#[test]
fn a_gap_in_the_log_is_found_unless_the_full_load_stands_after_it() {
    let log = "lake/cdc/clientes/clientes_2026";
    let removed = |stamp: &str, more: &[&str], code: i32, parts: &[&str]| {
        let desk = lake();
        fs::remove_file(desk.path(&format!("{log}{stamp}.parquet"))).unwrap();
        desk.run(&[&RESTORE[..], more].concat()).expect(code, parts);
    };
    removed("1120_090000", &["--at", "2026-11-20"], 1, &["LogGap", "before `cdc/clientes/clientes_20261120_150000"]);
    removed("1120_090000", &["--at", "2026-12-01"], 0, &["2 rows", "proven"]);
    // Without this object the log still chains; but the next one names its run, and the report names the object.
    let until = ["--at", "2026-11-20T15:00:00Z"];
    removed("1120_150000", &until, 1, &["LogGap", "clientes_20261120_150000.parquet` is missing"]);
    let desk = lake();
    fs::remove_file(desk.path(&format!("{log}1120_150000.parquet"))).unwrap();
    fs::remove_file(desk.path("lake/_runs/20261120_150000.json")).unwrap();
    let done = desk.run(&[&RESTORE[..], &until].concat());
    done.expect(
        0,
        &["as of the run of 2026-11-20T09:00:00Z", "! clientes: the run of 2026-11-20T15:00:00Z has no object"],
    );
    let desk = lake();
    fs::remove_file(desk.path(&format!("{log}1120_090000.parquet"))).unwrap();
    fs::remove_file(desk.path("lake/full-load/clientes/clientes.parquet")).unwrap();
    let done = desk.run(&[&RESTORE[..], &["--at", "2026"]].concat());
    done.expect(1, &["LogGap", "before", "hint: bring the deleted objects"]);
}
