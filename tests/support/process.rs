//! The real binary, with a lake in a folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::lake::{Row, write_csv};

/// A folder with a configuration, a lake, and the snapshots of a table `t` with the key `id`.
#[derive(Debug)]
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let config = r#"{"dataset_name": "owner/t", "aws": {"bucket": "lake", "prefix": "p", "region": "us-east-1"},
            "timer": {"unit": "hours", "value": 1}, "tables": [{"name": "t", "pk": "id"}]}"#;
        std::fs::write(home.config(), config).unwrap();
        home
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.0.path().join("lake")
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("config.json")
    }

    fn snapshot(&self, version: usize) -> PathBuf {
        self.0.path().join(format!("v{version}"))
    }

    /// Publishes a version of the source.
    pub(crate) fn release(&self, version: usize, rows: &[Row]) {
        write_csv(&self.snapshot(version), "t", &["id".to_owned(), "name".to_owned()], rows);
    }

    /// Starts a run of `version` for the event of `minute`.
    pub(crate) fn start(&self, version: usize, minute: i64) -> Child {
        let run_at = super::lake::at(minute).to_rfc3339();
        Command::new(env!("CARGO_BIN_EXE_cdc-to-s3"))
            .args(["run", "--once", "--json", "--run-at", &run_at, "--skip-download"])
            .arg(self.snapshot(version))
            .arg("--config")
            .arg(self.config())
            .arg("--lake")
            .arg(self.lake())
            .env_clear()
            .env("TMPDIR", self.path())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }
}

/// The rows of version `version` of a table in which every version inserts, updates and deletes.
pub(crate) fn rows(version: usize) -> Vec<Row> {
    let row = |id: usize| {
        let name = if id % 7 == version % 7 { format!("name {version}") } else { "name".to_owned() };
        Row::from([("id".to_owned(), id.to_string()), ("name".to_owned(), name)])
    };
    (version * 2..version * 2 + 40).map(row).collect()
}
