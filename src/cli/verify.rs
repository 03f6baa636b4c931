//! `verify`: replays the log and compares it with the full load.

use super::{Common, Shell, print, wall_clock};
use crate::config::{Config, SourceConfig};
use crate::error::Result;
use crate::lake::commit::Runner;
use crate::lake::layout::RunTime;
use crate::lake::store::ObjectStore;
use crate::ops::verify::{self, Verification};
use crate::request::{Deadline, Request};

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(shell: &Shell, arguments: &VerifyArguments) -> Result<u8> {
    shell.runtime.block_on(async {
        let common = &arguments.common;
        let config = shell.config(common).await?;
        let store = shell.clients.store(&config).await;
        let wanted = Some(common.tables.clone()).filter(|tables| !tables.is_empty());
        let found = Box::pin(found(store.as_ref(), &config, wanted)).await?;
        if common.json {
            print::json(&found)?;
        } else {
            print::verification(&found, &store.location(), shell.ink())?;
        }
        Ok(exit_code(&found))
    })
}

/// What is true of the lake. The source is not asked.
async fn found(store: &dyn ObjectStore, config: &Config, wanted: Option<Vec<String>>) -> Result<Verification> {
    let temporary = std::env::temp_dir();
    if let SourceConfig::SqlServer(sqlserver) = &config.source {
        let schema_in_path = sqlserver.feed.schema_in_path;
        return verify::verify_captured(store, schema_in_path, wanted.as_deref(), &temporary).await;
    }
    let now = wall_clock();
    let request = Request { tables: wanted, ..Request::new(now, "verify", now, Deadline::NONE) };
    let tables = request.select(&config.tables)?;
    let runner = Runner { owner: "verify".to_owned(), run_at: RunTime::new(now), now, expires: now };
    verify::verify(store, &tables, &runner, &temporary).await
}

/// 1 where a table differs, else what the tables that could not be examined say, else 0.
fn exit_code(found: &Verification) -> u8 {
    if found.tables.iter().any(|table| !table.problems.is_empty()) {
        return 1;
    }
    found
        .tables
        .iter()
        .filter_map(|table| table.error.as_ref())
        .map(|error| error.kind().exit_code())
        .min()
        .unwrap_or(0)
}
