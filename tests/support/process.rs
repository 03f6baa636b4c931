//! The real binary, with a lake in a folder or on S3.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::emulator;
use super::lake::{Row, write_csv};

/// A folder with a configuration, a lake somewhere, and the snapshots of a table `t` with the key `id`.
#[derive(Debug)]
pub(crate) struct Home {
    folder: tempfile::TempDir,
    lake: String,
    environment: Vec<(&'static str, String)>,
}

impl Home {
    /// One with its lake in a folder of this name in it.
    pub(crate) fn new(lake: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join(lake).display().to_string();
        Self { folder, lake, environment: Vec::new() }.configured()
    }

    /// One with its lake below `prefix` of a bucket of [`emulator::bucket`].
    pub(crate) fn on_s3(bucket: &str, prefix: &str) -> Self {
        let account = bucket.strip_prefix("lake-").unwrap();
        let environment = [
            ("AWS_ENDPOINT_URL", emulator::endpoint()),
            ("AWS_ACCESS_KEY_ID", account),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        let (folder, lake) = (tempfile::tempdir().unwrap(), format!("s3://{bucket}/{prefix}"));
        Self { folder, lake, environment: environment.into() }.configured()
    }

    fn configured(self) -> Self {
        let config = r#"{"dataset_name": "owner/t", "aws": {"bucket": "lake", "prefix": "p", "region": "us-east-1"},
            "timer": {"unit": "hours", "value": 1}, "tables": [{"name": "t", "pk": "id"}]}"#;
        std::fs::write(self.config(), config).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> PathBuf {
        self.path().join("config.json")
    }

    fn snapshot(&self, version: usize) -> PathBuf {
        self.path().join(format!("v{version}"))
    }

    /// Publishes a version of the source.
    pub(crate) fn release(&self, version: usize, rows: &[Row]) {
        let columns: Vec<String> = rows[0].keys().cloned().collect();
        write_csv(&self.snapshot(version), "t", &columns, rows);
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
            .arg(&self.lake)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
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
