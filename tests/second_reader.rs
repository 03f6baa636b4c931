//! The files of the lake as another reader sees them: pyarrow, and Python's own `csv` for what they have to hold.
//!
//! The environment is the project's (`make test` makes it); the comparison is in `second_reader.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

const SNAPSHOTS: [&str; 3] = ["v1", "v2", "v3"];

pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The interpreter that has pyarrow.
#[allow(clippy::disallowed_methods, reason = "a test is a shell of its own")]
pub(crate) fn python() -> PathBuf {
    let place = std::env::var_os("CDC_TEST_VENV").map_or_else(|| project(".venv"), PathBuf::from);
    let python = place.join("bin/python");
    assert!(python.exists(), "there is no {}: run `make test`", python.display());
    python
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn pyarrow_reads_the_rows_that_the_csv_files_hold() {
    let lake = tempfile::tempdir().unwrap();
    let config = project("examples/loyalty/config.json");
    for (hour, snapshot) in (1..).zip(SNAPSHOTS) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc-to-s3"));
        command.args(["run", "--once", "--run-at", &format!("2026-11-20T{hour:02}:00:00Z"), "--lake"]);
        command.arg(lake.path()).arg("--config").arg(&config);
        command.arg("--skip-download").arg(project("examples/loyalty").join(snapshot));
        run(&mut command);
    }
    let mut reader = Command::new(python());
    reader.arg(project("tests/second_reader.py")).arg(lake.path()).arg(&config);
    reader.args(SNAPSHOTS.map(|snapshot| project("examples/loyalty").join(snapshot)));
    let summary = run(&mut reader);
    for table in ["clientes", "produtos", "transacoes", "transacao_produto"] {
        assert!(summary.contains(&format!("{table}: ")), "{summary}");
    }
    assert!(summary.contains("timestamp[us]"), "{summary}");
}
