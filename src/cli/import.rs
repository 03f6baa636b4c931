//! `import`: takes over from the original program, so that the first run finds only what has really changed.

use std::path::PathBuf;

use super::bars::Bars;
use super::{Common, Shell, print, require_snapshots, run};
use crate::error::Result;
use crate::ops::import;
use crate::report::Report;
use crate::request::Request;

#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    #[command(flatten)]
    common: Common,
    /// The folder (or zip) of the CSVs of the version that was published last
    #[arg(long, value_name = "DIR")]
    last: PathBuf,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// The time that the beginning of the log is named by [default: now]
    #[arg(long, value_name = "TIME")]
    run_at: Option<String>,
    /// Take `--run-at`, and the names of objects that are there, also where they are more than a day ahead of the clock
    #[arg(long)]
    allow_future: bool,
}

pub(super) fn run(shell: &Shell, arguments: &ImportArguments) -> Result<u8> {
    shell.runtime.block_on(async {
        let common = &arguments.common;
        let config = shell.config(common).await?;
        require_snapshots(&config, "import")?;
        let tables = Some(common.tables.clone()).filter(|tables| !tables.is_empty());
        let request = run::request_at(arguments.run_at.as_deref(), arguments.allow_future)?;
        let (dry_run, allow_future) = (arguments.dry_run, arguments.allow_future);
        let request = Request { tables, dry_run, allow_future, ..request };
        let source = run::local(arguments.last.clone(), &config).await?;
        let store = shell.clients.store(&config).await;
        let bars = Bars::new();
        let temporary = std::env::temp_dir();
        let report = import::import(request, &config.tables, &source, store.as_ref(), &temporary, &bars).await;
        bars.clear();
        let report: Report = report?;
        if common.json {
            print::json(&report)?;
        } else {
            print::report(&report, &store.location(), shell.ink())?;
        }
        Ok(report.exit_code())
    })
}
