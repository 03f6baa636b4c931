//! `run`: as the original program did, on a timer; or once.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::Local;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::bars::Bars;
use super::{Common, Shell, print, wall_clock};
use crate::config::{Config, SourceConfig};
use crate::error::{Error, Kind, Result};
use crate::lake::store::ObjectStore;
use crate::pipeline;
use crate::report::Report;
use crate::request::{Approval, Deadline, Request};
use crate::source::Source;
use crate::telemetry::metrics::{Feed, SourceName};

/// Where the original program kept the files of the newest version.
const DEFAULT_FOLDER: &str = "data/actual";

#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    common: Common,
    /// Run once, whatever the configuration's `timer` says
    #[arg(long)]
    once: bool,
    /// Read a folder of CSVs or a zip instead of downloading [default PATH: data/actual]
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = DEFAULT_FOLDER)]
    skip_download: Option<PathBuf>,
    /// Find out what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Compare also where the source's version has not changed
    #[arg(long)]
    force: bool,
    /// Let these tables (or all) lose most of their rows or their file, be empty or cut, or be read from another path
    #[arg(long, value_name = "TABLE", num_args = 0..)]
    approve_deletes: Option<Vec<String>>,
    /// The time and identity of the run, as an event has them [default: now]
    #[arg(long, value_name = "TIME")]
    run_at: Option<String>,
    /// Take `--run-at` also where it is more than a day ahead of the clock
    #[arg(long)]
    allow_future: bool,
    /// Read the tables from this source from now on, although they came from another one so far
    #[arg(long)]
    adopt_source: bool,
}

pub(super) fn run(shell: &Shell, arguments: &RunArguments) -> Result<u8> {
    shell.runtime.block_on(async {
        let config = shell.config(&arguments.common).await?;
        let mut signals = Signals::new()?;
        let timer = config.timer.filter(|_| !arguments.once && arguments.run_at.is_none());
        loop {
            let done = tokio::select! {
                done = Box::pin(once(shell, arguments, &config)) => done,
                () = signals.end() => return Err(interrupted()),
            };
            let Some(interval) = timer else { return done.map(|report| report.exit_code()) };
            match done {
                Err(error) if error.kind() == Kind::Config => return Err(error),
                Err(error) => print::error(&error),
                Ok(_) => {}
            }
            announce(interval);
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = signals.end() => return Ok(0),
            }
        }
    })
}

async fn once(shell: &Shell, arguments: &RunArguments, config: &Config) -> Result<Report> {
    let (started, store) = (Instant::now(), shell.clients.store(config).await);
    let outcome = Box::pin(run_into(shell, arguments, config, store.as_ref())).await;
    let (source, lake) = (config.source.name(), store.location());
    let source = SourceName::new(config.source.kind(), &source);
    Feed { source, lake: &lake, function: None }.emit(outcome.as_ref(), started.elapsed(), wall_clock());
    let report = outcome?;
    if arguments.common.json {
        print::json(&report)?;
    } else {
        print::report(&report, &lake, shell.ink())?;
    }
    Ok(report)
}

async fn run_into(shell: &Shell, arguments: &RunArguments, config: &Config, store: &dyn ObjectStore) -> Result<Report> {
    let request = request(arguments)?;
    let source = match arguments.skip_download.clone() {
        Some(_) if matches!(config.source, SourceConfig::SqlServer(_)) => return Err(no_snapshot()),
        Some(path) => local(path, config).await?,
        None => shell.clients.source(config).await?,
    };
    let bars = Bars::new();
    let report = Box::pin(pipeline::run(&request, &config.tables, &source, store, &std::env::temp_dir(), &bars)).await;
    bars.clear();
    report
}

/// The files of a folder or zip.
pub(super) async fn local(path: PathBuf, config: &Config) -> Result<Source> {
    let limits = config.limits;
    tokio::task::spawn_blocking(move || Source::local(&path, limits))
        .await
        .map_err(|error| Error::internal("Panic", "reading the snapshot ended in a panic").caused_by(error))?
}

fn no_snapshot() -> Error {
    Error::config(
        "NoSnapshot",
        "`--skip-download` does not go with a SQL Server source, which has changes and no files",
    )
    .hint("leave it away")
}

/// A request of this process at the time that `text` names, or now.
pub(super) fn request_at(text: Option<&str>, allow_future: bool) -> Result<Request> {
    let now = wall_clock();
    match text {
        Some(text) => Request::at(text, now, Deadline::NONE, allow_future),
        None => {
            let identity = format!("cli:{}:{}", std::process::id(), now.timestamp_micros());
            Ok(Request::new(now, identity, now, Deadline::NONE))
        }
    }
}

fn request(arguments: &RunArguments) -> Result<Request> {
    let request = request_at(arguments.run_at.as_deref(), arguments.allow_future)?;
    let tables = arguments.common.tables.clone();
    Ok(Request {
        tables: Some(tables).filter(|tables| !tables.is_empty()),
        force: arguments.force,
        dry_run: arguments.dry_run,
        approve_deletes: approval(arguments.approve_deletes.clone()),
        adopt_source: arguments.adopt_source,
        ..request
    })
}

/// What `--approve-deletes` approves: all tables where none is named.
pub(super) fn approval(tables: Option<Vec<String>>) -> Approval {
    match tables {
        None => Approval::None,
        Some(tables) if tables.is_empty() => Approval::All,
        Some(tables) => Approval::Tables(tables),
    }
}

fn announce(interval: Duration) {
    let next = wall_clock() + interval;
    print::note(&format!("next run at {} (Ctrl-C ends)", next.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S")));
}

pub(super) fn interrupted() -> Error {
    Error::transient("Interrupted", "the run was broken off")
        .hint("nothing is lost: a later run completes what was begun")
}

/// What asks the program to end: Ctrl-C, or a service manager. Listened to all the time, also during a run.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::internal("NoSignals", "cannot wait for Ctrl-C").caused_by(error))
        };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    pub(super) async fn end(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
