//! `doctor`: looks at everything that a run needs.

use super::{Common, Shell, print, wall_clock};
use crate::config::{Config, SourceConfig};
use crate::error::Result;
use crate::ops::doctor::{self, Diagnosis};
use crate::request::{Deadline, Request};

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(shell: &Shell, arguments: &DoctorArguments) -> Result<u8> {
    shell.runtime.block_on(async {
        let common = &arguments.common;
        let mut diagnosis = Diagnosis::default();
        match shell.config(common).await {
            Ok(config) => examine(shell, common, &config, &mut diagnosis).await,
            Err(error) => diagnosis.fault("configuration", &error),
        }
        if common.json {
            print::json(&diagnosis)?;
        } else {
            print::diagnosis(&diagnosis, shell.ink())?;
        }
        Ok(diagnosis.exit_code())
    })
}

async fn examine(shell: &Shell, common: &Common, config: &Config, diagnosis: &mut Diagnosis) {
    let now = wall_clock();
    let tables = Some(common.tables.clone()).filter(|tables| !tables.is_empty());
    let request = Request { tables, ..Request::new(now, "doctor", now, Deadline::NONE) };
    let is_snapshot = !matches!(config.source, SourceConfig::SqlServer(_));
    match request.select(&config.tables).map(|tables| tables.len()) {
        Ok(count) if is_snapshot => diagnosis.ok("configuration", format!("{count} table(s)")),
        Err(error) if is_snapshot => diagnosis.fault("configuration", &error),
        _ => diagnosis.ok("configuration", "a SQL Server source"),
    }
    let store = shell.clients.store(config).await;
    Box::pin(doctor::lake(store.as_ref(), diagnosis)).await;
    match shell.clients.source(config).await {
        Ok(source) => Box::pin(doctor::source(&source, store.as_ref(), &request, diagnosis)).await,
        Err(error) => diagnosis.fault("source", &error),
    }
}
