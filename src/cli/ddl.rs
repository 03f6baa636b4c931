//! `ddl`: the statements that make the tables of a lake known to a query engine.

use std::path::Path;

use clap::ValueEnum;

use super::{Common, Shell, print, require_snapshots, wall_clock};
use crate::config::Config;
use crate::ddl::{self, Described};
use crate::error::{Error, Result};
use crate::lake::base::BaseOutline;
use crate::lake::commit::{Runner, TableLog};
use crate::lake::layout::RunTime;
use crate::lake::store::{LakeUrl, ObjectStore};
use crate::table::TableSpec;
use crate::trigger::{Deadline, Request};

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
        require_snapshots(&config, "ddl")?;
        let store = shell.clients.store(&config).await;
        let now = wall_clock();
        let tables = Some(common.tables.clone()).filter(|tables| !tables.is_empty());
        let request = Request { tables, ..Request::new(now, "ddl", now, Deadline::NONE) };
        let mut described = Vec::new();
        for spec in request.select(&config.tables)? {
            described.push(describe(store.as_ref(), spec).await?);
        }
        let Engine::Athena = arguments.engine;
        let text = ddl::athena(&described, &absolute(&config)?, &arguments.database)?;
        if matches!(config.lake, LakeUrl::Dir(_)) {
            print::note("the lake is a folder, which Athena cannot read: name its bucket with --lake");
        }
        if common.json {
            print::json(&text)?
        } else {
            print::text(text.trim_end())?
        }
        Ok(0)
    })
}

/// The stored schema of a table: that of its state, or else of its newest object.
async fn describe(store: &dyn ObjectStore, spec: &TableSpec) -> Result<Described> {
    let now = wall_clock();
    let runner = Runner { owner: "ddl".to_owned(), run_at: RunTime::new(now), now, expires: now };
    let state = TableLog::new(store, &spec.name, &runner).read_state().await?;
    let schema = match state.state.head {
        Some(head) => Some(head.schema),
        None => BaseOutline::read(store, &spec.name).await?.schema().cloned(),
    };
    let schema = schema.ok_or_else(|| {
        Error::data("NoData", format!("table `{}` is not in this lake yet, so its columns are not known", spec.name))
            .hint("run it first, or choose tables with --table")
    })?;
    Ok(Described { name: spec.name.clone(), key_columns: spec.pk.clone(), schema })
}

/// The lake with its folder from the root, where it is one.
fn absolute(config: &Config) -> Result<LakeUrl> {
    let LakeUrl::Dir(path) = &config.lake else { return Ok(config.lake.clone()) };
    let found = Path::new(path).canonicalize().map_err(|error| {
        Error::config("LakeNotFound", format!("cannot find the folder {}", path.display())).caused_by(error)
    })?;
    Ok(LakeUrl::Dir(found))
}
