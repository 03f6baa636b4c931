//! `run`: as the original program did, on a timer; or once.

use std::path::PathBuf;
use std::time::Duration;

use chrono::Local;

use super::bars::Bars;
use super::{Common, Shell, print, wall_clock};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::pipeline;
use crate::report::Report;
use crate::source::Source;
use crate::trigger::{Approval, Deadline, Request};

/// Where the original program kept the files of the newest version.
const DEFAULT_FOLDER: &str = "data/actual";

#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    #[command(flatten)]
    common: Common,
    /// Run once, whatever the configuration's `timer` says
    #[arg(long)]
    once: bool,
    /// Take the snapshot from a folder of CSVs or a zip instead of downloading it
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = DEFAULT_FOLDER)]
    skip_download: Option<PathBuf>,
    /// Find out what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Compare also where the source's version has not changed
    #[arg(long)]
    force: bool,
    /// Let tables lose more rows than `max_deleted_fraction`: these, or all of them
    #[arg(long, value_name = "TABLE", num_args = 0..)]
    approve_deletes: Option<Vec<String>>,
    /// The run's time and identity, like that of a scheduled event [default: now]
    #[arg(long, value_name = "TIME")]
    run_at: Option<String>,
}

pub(super) fn run(shell: &Shell, arguments: &RunArguments) -> Result<u8> {
    shell.runtime.block_on(async {
        let config = shell.config(&arguments.common).await?;
        let timer = config.timer.filter(|_| !arguments.once && arguments.run_at.is_none());
        loop {
            let done = Box::pin(once(shell, arguments, &config)).await;
            let Some(interval) = timer else { return done.map(|report| report.exit_code()) };
            match done {
                Err(error) if error.kind() == Kind::Config => return Err(error),
                Err(error) => print::error(&error),
                Ok(_) => {}
            }
            if !wait(interval).await? {
                return Ok(0);
            }
        }
    })
}

async fn once(shell: &Shell, arguments: &RunArguments, config: &Config) -> Result<Report> {
    let request = request(arguments)?;
    let source = match arguments.skip_download.clone() {
        Some(path) => local(path, config).await?,
        None => shell.clients.source(config).await?,
    };
    let store = shell.clients.store(config).await;
    let bars = Bars::new();
    let report =
        Box::pin(pipeline::run(&request, &config.tables, &source, store.as_ref(), &std::env::temp_dir(), &bars)).await;
    bars.clear();
    let report = report?;
    if arguments.common.json {
        print::json(&report)?;
    } else {
        print::report(&report, &store.location())?;
    }
    Ok(report)
}

async fn local(path: PathBuf, config: &Config) -> Result<Source> {
    let limits = config.limits;
    tokio::task::spawn_blocking(move || Source::local(&path, limits))
        .await
        .map_err(|error| Error::internal("Panic", "reading the snapshot ended in a panic").caused_by(error))?
}

fn request(arguments: &RunArguments) -> Result<Request> {
    let now = wall_clock();
    let request = match &arguments.run_at {
        Some(text) => Request::at(text, now, Deadline::NONE)?,
        None => {
            let identity = format!("cli:{}:{}", std::process::id(), now.timestamp_micros());
            Request::new(now, identity, now, Deadline::NONE)
        }
    };
    let tables = arguments.common.tables.clone();
    Ok(Request {
        tables: Some(tables).filter(|tables| !tables.is_empty()),
        force: arguments.force,
        dry_run: arguments.dry_run,
        approve_deletes: match arguments.approve_deletes.clone() {
            None => Approval::None,
            Some(tables) if tables.is_empty() => Approval::All,
            Some(tables) => Approval::Tables(tables),
        },
        ..request
    })
}

/// Waits for the next run; `false` when the user ends the loop instead.
async fn wait(interval: Duration) -> Result<bool> {
    let next = wall_clock() + interval;
    print::note(&format!("next run at {} (Ctrl-C ends)", next.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S")));
    tokio::select! {
        () = tokio::time::sleep(interval) => Ok(true),
        ended = tokio::signal::ctrl_c() => {
            ended.map_err(|error| Error::internal("NoSignals", "cannot wait for Ctrl-C").caused_by(error))?;
            Ok(false)
        }
    }
}
