//! The tests' Kaggle stand-in as a process of its own, for trying the whole program without an account.
//!
//! ```text
//! cargo run --example kaggle_stand_in -- --listen 127.0.0.1:8765 --dataset owner/slug --dir DIR
//! ```
//!
//! DIR holds one entry per version: `v1.zip`, `v2.zip`, … or folders `v1`, `v2`, … whose files are zipped in memory. It
//! prints `listening on http://…` when it is ready. The lowest version is the current one, until
//! `curl -d '{"version": 2}' http://…/_control/publish`; see `tests/support/kaggle/control.rs` for the other orders.

#[path = "../tests/support/kaggle/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
mod kaggle;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use clap::Parser;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use self::kaggle::{Accepted, StandIn};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A stand-in for Kaggle's dataset API and its storage, on loopback.
#[derive(Parser)]
struct Arguments {
    /// The API's address; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The dataset that is served, owner/slug.
    #[arg(long)]
    dataset: String,
    /// The folder with the versions.
    #[arg(long)]
    dir: PathBuf,
    /// The version that is current at the start; the lowest by default.
    #[arg(long)]
    current: Option<u64>,
    /// The user name that is accepted, with --key.
    #[arg(long, requires = "key", conflicts_with = "token")]
    username: Option<String>,
    /// The key that is accepted, with --username.
    #[arg(long, requires = "username")]
    key: Option<String>,
    /// The API token that is accepted.
    #[arg(long)]
    token: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let versions = load(&arguments.dir)?;
    let lowest = versions.keys().next().copied().ok_or("no version in the folder: it holds neither v1 nor v1.zip")?;
    let stand_in = StandIn::listen(&arguments.dataset, &arguments.listen).await?;
    stand_in.set_credentials(accepted(&arguments));
    for (version, archive) in versions {
        stand_in.stage(version, archive);
    }
    stand_in.announce(arguments.current.unwrap_or(lowest));
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on {}", stand_in.url())?;
    stdout.flush()?;
    Ok(tokio::signal::ctrl_c().await?)
}

fn accepted(arguments: &Arguments) -> Accepted {
    match (&arguments.token, &arguments.username, &arguments.key) {
        (Some(token), _, _) => Accepted::Token(token.clone()),
        (None, Some(username), Some(key)) => Accepted::Legacy(username.clone(), key.clone()),
        _ => Accepted::Anyone,
    }
}

/// The archives of all versions in `dir`.
fn load(dir: &Path) -> Result<BTreeMap<u64, Vec<u8>>> {
    let mut versions = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.strip_prefix('v').map(|rest| rest.strip_suffix(".zip").unwrap_or(rest)).map(str::parse);
        if let Some(Ok(number)) = number {
            versions.insert(number, if path.is_dir() { zipped(&path)? } else { fs::read(&path)? });
        }
    }
    Ok(versions)
}

/// The files of a folder as an archive; the same files give the same bytes.
fn zipped(folder: &Path) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, path) in files(folder, "")? {
        archive.start_file(name, options)?;
        archive.write_all(&fs::read(path)?)?;
    }
    Ok(archive.finish()?.into_inner())
}

/// All files below a folder by their relative names, in order.
fn files(folder: &Path, prefix: &str) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = format!("{prefix}{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            found.extend(files(&path, &format!("{name}/"))?);
        } else {
            found.insert(name, path);
        }
    }
    Ok(found)
}
