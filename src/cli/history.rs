//! `history`: what changed when.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::{Common, Shell, moment, print, timeline, wall_clock};
use crate::config::{Config, SourceConfig};
use crate::error::{Error, Result};
use crate::lake::capture::{self, CapturedTables};
use crate::lake::layout::Place;
use crate::lake::store::ObjectStore;
use crate::ops::history::{self, History, PageFacts, Period, TableHistory};
use crate::request::{Deadline, Request};

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArguments {
    #[command(flatten)]
    common: Common,
    /// From the beginning of this time on: 2026, 2026-03, 2026-03-31, 2026-03-31T09:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// To the end of this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What one line stands for [default: a run, or as much as keeps the lines few]
    #[arg(long, value_name = "PERIOD")]
    by: Option<By>,
    /// Write a page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What one line of the terminal stands for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Run,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl By {
    fn period(self) -> Option<Period> {
        Some(match self {
            Self::Run => return None,
            Self::Hour => Period::Hour,
            Self::Day => Period::Day,
            Self::Week => Period::Week,
            Self::Month => Period::Month,
            Self::Year => Period::Year,
        })
    }
}

pub(super) fn run(shell: &Shell, arguments: &HistoryArguments) -> Result<u8> {
    shell.runtime.block_on(async {
        let common = &arguments.common;
        let span = moment::span(arguments.since.as_deref(), arguments.until.as_deref())?;
        let config = shell.config(common).await?;
        let now = wall_clock();
        let store = shell.clients.store(&config).await;
        let wanted = Some(common.tables.clone()).filter(|tables| !tables.is_empty());
        let (places, unreadable) = places(store.as_ref(), &config, wanted).await?;
        let mut found = history::read(store.as_ref(), &places, span).await?;
        let unread = |(name, error)| TableHistory { name, error: Some(error), ..TableHistory::default() };
        found.tables.extend(unreadable.into_iter().map(unread));
        if let Some(path) = &arguments.html {
            let page = history::page(&found, &PageFacts { lake: store.location(), made_at: now });
            write(path, &page)?;
        }
        match &arguments.html {
            _ if common.json => print::json(&found)?,
            Some(path) => print::note(&format!("written: {}", path.display())),
            None => timeline::print(&found, &store.location(), arguments.by.map(By::period), shell)?,
        }
        Ok(exit_code(&found))
    })
}

/// Where the logs are that are asked for, and of which tables that cannot be told.
async fn places(
    store: &dyn ObjectStore,
    config: &Config,
    wanted: Option<Vec<String>>,
) -> Result<(Vec<Place>, Vec<(String, Error)>)> {
    if let SourceConfig::SqlServer(sqlserver) = &config.source {
        let schema_in_path = sqlserver.feed.schema_in_path;
        let CapturedTables { tables, unreadable } = capture::tables(store, schema_in_path, wanted.as_deref()).await?;
        return Ok((tables.into_iter().map(|table| table.place).collect(), unreadable));
    }
    let now = wall_clock();
    let request = Request { tables: wanted, ..Request::new(now, "history", now, Deadline::NONE) };
    let places = request.select(&config.tables)?.into_iter().map(|spec| Place::from(&spec.name)).collect();
    Ok((places, Vec::new()))
}

fn write(path: &Path, page: &str) -> Result<()> {
    std::fs::write(path, page).map_err(|error| {
        Error::config("OutputUnwritable", format!("cannot write `{}`", path.display()))
            .caused_by(error)
            .hint("name a file in a folder that is there and can be written to")
    })
}

fn exit_code(found: &History) -> u8 {
    let errors = found.tables.iter().filter_map(|table| table.error.as_ref());
    errors.map(|error| error.kind().exit_code()).min().unwrap_or(0)
}
