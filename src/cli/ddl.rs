//! `ddl`: the statements that make the tables of a lake known to a query engine.

use std::path::Path;

use clap::ValueEnum;

use super::{Common, Shell, print, wall_clock};
use crate::config::{Config, SourceConfig};
use crate::error::{Error, Result};
use crate::lake::store::{LakeUrl, ObjectStore};
use crate::ops::ddl::{self, Tables};
use crate::request::{Deadline, Request};

#[derive(Debug, clap::Args)]
pub(super) struct DdlArguments {
    #[command(flatten)]
    common: Common,
    /// The engine to speak to
    #[arg(long, value_enum)]
    engine: Engine,
    /// The database that the tables are created in
    #[arg(long, value_name = "NAME", default_value = "default")]
    database: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Engine {
    /// Amazon Athena, and what else reads Hive's DDL over a Glue catalog
    Athena,
}

pub(super) fn run(shell: &Shell, arguments: &DdlArguments) -> Result<u8> {
    shell.runtime.block_on(async {
        let common = &arguments.common;
        let config = shell.config(common).await?;
        let store = shell.clients.store(&config).await;
        let wanted = Some(common.tables.clone()).filter(|tables| !tables.is_empty());
        let Tables { described, unknown, unreadable } = tables(store.as_ref(), &config, wanted).await?;
        let Engine::Athena = arguments.engine;
        let script = ddl::athena(&described, &absolute(&config)?, &arguments.database)?;
        if matches!(config.lake, LakeUrl::Dir(_)) {
            print::note("the lake is a folder, which Athena cannot read: name its bucket with --lake");
        }
        unknown.iter().for_each(|name| print::note(&format!("left out: `{name}`: it has no objects in this lake yet")));
        unreadable.iter().for_each(|(name, error)| print::note(&format!("left out: `{name}`: {}", error.chain())));
        script.left_out.iter().for_each(|line| print::note(&format!("left out: {line}")));
        if common.json {
            print::json(&script.statements)?;
        } else {
            let text: Vec<String> = script.statements.iter().map(|statement| format!("{statement};")).collect();
            print::text(&text.join("\n\n"))?;
        }
        Ok(unreadable.iter().map(|(_, error)| error.kind().exit_code()).min().unwrap_or(0))
    })
}

async fn tables(store: &dyn ObjectStore, config: &Config, wanted: Option<Vec<String>>) -> Result<Tables> {
    if let SourceConfig::SqlServer(source) = &config.source {
        let feed = &source.feed;
        return ddl::captured(store, feed.schema_in_path, feed.metadata_columns, wanted.as_deref()).await;
    }
    let now = wall_clock();
    let request = Request { tables: wanted, ..Request::new(now, "ddl", now, Deadline::NONE) };
    ddl::snapshots(store, &request.select(&config.tables)?).await
}

/// The lake with its folder from the root, where it is one.
fn absolute(config: &Config) -> Result<LakeUrl> {
    let LakeUrl::Dir(path) = &config.lake else { return Ok(config.lake.clone()) };
    let found = Path::new(path).canonicalize().map_err(|error| {
        Error::config("LakeNotFound", format!("cannot find the folder {}", path.display())).caused_by(error)
    })?;
    Ok(LakeUrl::Dir(found))
}
