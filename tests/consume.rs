//! What `docs/consume.md` tells readers to do, done: its examples for DuckDB, Polars and pandas over a lake that the
//! binary made, and its table of types. The work is in `consume.py`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::second_reader::{project, python, run};

/// A table with a column of each type, and in its second version one that widens and one that is new.
const KINDS: [&str; 2] = [
    "id,flag,whole,number,price,day,at,instant,words,grows
1,true,10,1.5,12.50,2024-01-31,2024-01-31 10:00:00.123456,2024-01-31T10:00:00Z,007,1
2,false,20,-0.25,0.05,2024-02-29,2024-02-29 00:00,2024-02-29T23:59:59.5Z,ação,2
3,,,,,,,,,
",
    "id,flag,whole,number,price,day,at,instant,words,grows,late
1,true,10,1.5,12.50,2024-01-31,2024-01-31 10:00:00.123456,2024-01-31T10:00:00Z,007,x1,new
2,true,20,-0.25,0.05,2024-02-29,2024-02-29 00:00,2024-02-29T23:59:59.5Z,ação,2,new
",
];

/// A table whose key was a number until one was none.
const KEYED: [&str; 3] = ["id,v\n1,a\n2,b\n3,c\n", "id,v\n1,a\n2,b2\nA3,c\n", "id,v\n1,a1\nA3,c\n4,d\n"];

fn run_snapshot(folder: &Path, hour: usize, config: &Path, snapshot: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdc-to-s3"));
    command.args(["run", "--once", "--lake", "lake", "--run-at", &format!("2026-11-20T{hour:02}:00:00Z"), "--config"]);
    run(command.arg(config).arg("--skip-download").arg(snapshot).current_dir(folder));
}

#[test]
fn the_examples_of_the_document_run_and_agree() {
    let folder = tempfile::tempdir().unwrap();
    let loyalty = project("examples/loyalty");
    let snapshots = ["v1", "v2", "v3"].map(|version| loyalty.join(version));
    for (hour, snapshot) in (1..).zip(&snapshots) {
        run_snapshot(folder.path(), hour, &loyalty.join("config.json"), snapshot);
    }
    let config = folder.path().join("kinds.json");
    let table = r#"{"name": "kinds", "pk": "id", "columns": {"price": "decimal(10,2)"}}"#;
    fs::write(&config, format!(r#"{{"dataset_name": "o/s", "tables": [{table}]}}"#)).unwrap();
    for (hour, content) in (1..).zip(KINDS) {
        let snapshot = folder.path().join(format!("kinds-{hour}"));
        fs::create_dir(&snapshot).unwrap();
        fs::write(snapshot.join("kinds.csv"), content).unwrap();
        run_snapshot(folder.path(), hour, &config, &snapshot);
    }
    let config = folder.path().join("keyed.json");
    fs::write(&config, r#"{"dataset_name": "o/s", "tables": [{"name": "keyed", "pk": "id"}]}"#).unwrap();
    for (hour, content) in (1..).zip(KEYED) {
        let snapshot = folder.path().join(format!("keyed-{hour}"));
        fs::create_dir(&snapshot).unwrap();
        fs::write(snapshot.join("keyed.csv"), content).unwrap();
        run_snapshot(folder.path(), hour, &config, &snapshot);
    }
    let mut ddl = Command::new(env!("CARGO_BIN_EXE_cdc-to-s3"));
    ddl.args([
        "ddl",
        "--engine",
        "athena",
        "--database",
        "raw",
        "--lake",
        "lake",
        "--table",
        "clientes",
        "--json",
        "--config",
    ]);
    let statements = run(ddl.arg(loyalty.join("config.json")).current_dir(folder.path()));
    fs::write(folder.path().join("ddl.json"), statements).unwrap();
    let mut reader = Command::new(python());
    reader.current_dir(folder.path()).arg(project("tests/consume.py")).arg(project("docs/consume.md")).arg("ddl.json");
    let said = run(reader.args(snapshots.map(|snapshot| snapshot.join("clientes.csv"))));
    assert!(said.contains("as of 02:00: 409 rows by three readers"), "{said}");
    assert!(said.contains("8 types by three readers"), "{said}");
    assert!(said.contains("a widened key: 3 rows by three readers"), "{said}");
}
