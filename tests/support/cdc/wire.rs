//! The model at the other end of a line: what the stand-in database answers from.

use std::sync::Arc;

use cdc_to_s3::Kind;
use cdc_to_s3::source::sqlserver::{Lsn, OrderGrade};
use chrono::{DateTime, TimeDelta, Utc};

use super::server::{OFFSET_HOURS, mask, recorded};
use super::{Cells, Instance, Model, Question, Table, World};
use crate::support::sqlserver::{self, Access, Commit, Contents, Holdings, LsnBytes};
use crate::support::tds::{Column, Length, Request, Row, ServerError, SqlType, Value};

impl Holdings for Arc<Model> {
    fn contents(&self, request: &Request) -> Result<Arc<Contents>, ServerError> {
        let asked = |name: &str| request.text.starts_with(&format!("/* cdc-to-s3: {name} */"));
        let before = [("instances", Question::Instances), ("min lsn", Question::MinLsn)];
        let around = [("changes", Question::Changes), ("rows", Question::Rows)];
        for (name, question) in before.into_iter().chain(around) {
            if asked(name) {
                self.ask(question).map_err(told)?;
            }
        }
        let contents = contents(&self.world());
        if around.iter().any(|(name, _)| asked(name)) {
            // The rows are on their way: what happens now is too late for them.
            self.ask(Question::AfterBatch).map_err(told)?;
        }
        Ok(Arc::new(contents))
    }
}

/// What a server would say.
fn told(error: cdc_to_s3::Error) -> ServerError {
    if error.kind() == Kind::Transient { ServerError::deadlock() } else { ServerError::new(50_001, error.code()) }
}

fn bytes(lsn: Lsn) -> LsnBytes {
    *lsn.as_bytes()
}

fn contents(world: &World) -> Contents {
    let commit = |(lsn, time): (&Lsn, &DateTime<Utc>)| Commit { lsn: bytes(*lsn), time: *time, idle: false };
    Contents {
        server: world.server_name.clone(),
        cdc_enabled: world.cdc_enabled,
        snapshot_isolation: world.snapshot_isolation,
        fork: world.fork.clone(),
        retention_minutes: world.retention_minutes,
        capture_errors: world.capture_errors.clone(),
        keeps_capture_errors: world.keeps_capture_errors,
        may_read_tables: world.may_read_tables,
        ahead: TimeDelta::hours(OFFSET_HOURS),
        commits: world.mapping.iter().map(commit).collect(),
        tables: world.tables.iter().map(|(name, source)| table(world, name, source)).collect(),
        ..Contents::new("Shop", world.now)
    }
}

fn table(world: &World, name: &str, table: &Table) -> sqlserver::Table {
    let instances = world.instances.iter().filter(|instance| instance.source_object_id == table.object_id);
    sqlserver::Table {
        schema: "dbo".to_owned(),
        name: name.to_owned(),
        object_id: table.object_id,
        columns: columns(&table.columns),
        key: if world.has_key { vec!["id".to_owned()] } else { Vec::new() },
        rows: Arc::new(table.rows.iter().map(|(key, cells)| row(*key, cells, &table.columns)).collect()),
        instances: instances.map(|found| instance(world, found)).collect(),
    }
}

fn columns(names: &[String]) -> Vec<Column> {
    let column = |name: &String| {
        let length = if name == "note" { Length::Max } else { Length::Of(40) };
        Column::new(name, SqlType::NVarChar(length))
    };
    std::iter::once(Column::new("id", SqlType::BigInt)).chain(names.iter().map(column)).collect()
}

fn row(key: i64, cells: &Cells, names: &[String]) -> Row {
    let cell = |name: &String| cells.get(name).map(String::as_str).into();
    std::iter::once(Value::Int(key)).chain(names.iter().map(cell)).collect()
}

fn instance(world: &World, instance: &Instance) -> sqlserver::Instance {
    let access = match world.grade {
        _ if !world.permitted => Access::Denied,
        OrderGrade::Command => Access::Direct,
        OrderGrade::Sequence => Access::Function,
    };
    let change = |change: &super::Change| sqlserver::Change {
        start_lsn: bytes(change.commit),
        sequence: bytes(change.sequence),
        operation: change.operation.into(),
        mask: mask(change, &instance.columns),
        command: change.command.into(),
        values: row(change.key, &recorded(change), &instance.columns),
    };
    sqlserver::Instance {
        name: instance.name.clone(),
        object_id: instance.object_id,
        created: (instance.created + TimeDelta::hours(OFFSET_HOURS)).naive_utc(),
        start: instance.start.map(bytes),
        role: None,
        access,
        has_command_id: world.grade == OrderGrade::Command,
        columns: columns(&instance.columns),
        changes: sqlserver::Changes::Listed(Arc::new(instance.changes.iter().map(change).collect())),
    }
}
