//! The real binary on the command line, in a folder of its own with an environment of its own.

mod alarms;
mod ddl;
mod doctor;
mod exits;
mod facts;
mod import;
mod init;
mod options;
mod sqlserver;
mod timer;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const CLIENTES: &str = "\
idCliente;qtdePontos;DtAtualizacao
c-1;10;2025-01-10 14:03:22.123
c-2;;2025-01-10 14:03:22.123
c-3;30;2025-01-10 14:03:22.123
";
const PRODUTOS: &str = "\
idProduto;nome
1;Caneca
2;
";
/// One insert, one update, one delete and one silent change later.
pub(crate) const NEWER_CLIENTES: &str = "\
idCliente;qtdePontos;DtAtualizacao
c-1;11;2025-01-11 09:00:00
c-2;5;2025-01-10 14:03:22.123
c-4;40;2025-01-11 09:00:00
";

/// The folder that a person works in: `config.json`, and `data/actual` with the newest files.
pub(crate) struct Desk {
    folder: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(desk.path("tmp")).unwrap();
        desk.write("config.json", &config().to_string());
        desk.write("data/actual/clientes.csv", CLIENTES);
        desk.write("data/actual/produtos.csv", PRODUTOS);
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The command, with nothing of the environment of the test.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc-to-s3"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("HOME", self.folder.path()).env("TMPDIR", self.path("tmp"));
        command
    }

    /// Does it, and checks that no work file stays behind.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(&[], arguments)
    }

    pub(crate) fn run_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Done {
        let output = self.command(arguments).envs(environment.iter().copied()).output().unwrap();
        let done = Done {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert_eq!(fs::read_dir(self.path("tmp")).unwrap().count(), 0, "work files were left: {done:?}");
        done
    }

    /// A run over `data/actual` into `lake`, which must succeed; its report.
    pub(crate) fn report(&self, more: &[&str]) -> Value {
        let arguments = ["run", "--once", "--lake", "lake", "--json", "--skip-download"];
        self.run(&[&arguments, more].concat()).json()
    }

    /// The files of the lake, by their path below it, with their content.
    pub(crate) fn lake(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path("lake"), &self.path("lake"), &mut files);
        files
    }
}

impl Done {
    /// Checks that it succeeded with JSON, the whole JSON and nothing but it.
    pub(crate) fn json(&self) -> Value {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {}", self.stdout))
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for part in parts {
            assert!(self.stdout.contains(part) || self.stderr.contains(part), "{part} is not in {self:?}");
        }
    }
}

fn config() -> Value {
    json!({
        "dataset_name": "owner/slug",
        "aws": {"bucket": "never-asked", "prefix": "upcell", "region": "us-east-1"},
        "timer": {"unit": "seconds", "value": 1},
        "tables": [
            {"name": "clientes", "sep": ";", "pk": "idCliente", "date_field": "DtAtualizacao"},
            {"name": "produtos", "sep": ";", "pk": "idProduto"},
        ],
    })
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// Inserts, updates, deletes and silent changes of a table in a report.
fn counts(report: &Value, table: usize) -> [u64; 4] {
    let table = &report["tables"][table];
    ["inserted", "updated", "deleted", "silent_changes"].map(|name| table[name].as_u64().expect("a count"))
}

/// Compares an output with the file of this name in `tests/cli/golden`. Durations are masked, and with them the width of
/// the last column.
#[track_caller]
pub(crate) fn expect_golden(name: &str, output: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/golden").join(name);
    let masked: String = output.lines().map(|line| masked(line) + "\n").collect();
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(masked == golden, "{} is not what was printed, which is:\n{masked}", path.display());
}

fn masked(line: &str) -> String {
    let without = |words: usize| line.rsplitn(words + 1, ' ').last().unwrap().trim_end();
    if line.starts_with('─') {
        "─".repeat(20)
    } else if line.ends_with(" ms") || line.ends_with(" s") {
        without(2).to_owned() + "  ~"
    } else if line.ends_with(" time") {
        without(1).to_owned() + "  ~"
    } else {
        line.to_owned()
    }
}
