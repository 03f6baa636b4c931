//! What the database answers.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BinaryArray, FixedSizeBinaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field};
use async_trait::async_trait;
use cdc_to_s3::source::sqlserver::{
    CaptureErrors, CaptureInstance, CapturedColumn, ChangeBatch, CommitTime, Database, Images, KeyMark, Lsn, LsnRange,
    MaskOrder, OrderGrade, RowsRead, Server, TakeChanges, TakeRows, Told,
};
use cdc_to_s3::{Error, Result};
use chrono::{DateTime, TimeDelta, Utc};

use super::{Cells, Change, Instance, Model, Question, World};

/// The server's clock is so far ahead of UTC.
pub(super) const OFFSET_HOURS: i64 = 2;

#[async_trait]
impl Server for Model {
    async fn database(&self) -> Result<Database> {
        let world = self.world();
        Ok(Database {
            server: world.server_name.clone(),
            name: "Shop".to_owned(),
            cdc_enabled: world.cdc_enabled,
            recovery_fork: world.fork.clone(),
            snapshot_isolation: world.snapshot_isolation,
            now: world.now,
            local_now: commit_time(world.now).local,
            mask_order: MaskOrder::LowOrdinalsLast,
        })
    }

    async fn instances(&self) -> Result<Vec<CaptureInstance>> {
        self.ask(Question::Instances)?;
        let world = self.world();
        Ok(world.instances.iter().map(|instance| described(&world, instance)).collect())
    }

    async fn max_lsn(&self) -> Result<Option<Lsn>> {
        Ok(self.world().max_lsn())
    }

    async fn min_lsn(&self, instance: &CaptureInstance) -> Result<Option<Lsn>> {
        self.ask(Question::MinLsn)?;
        let world = self.world();
        Ok(find(&world, instance).filter(|_| world.permitted).and_then(|instance| instance.start))
    }

    async fn window_end(&self, after: Lsn, fence: Lsn, transactions: u32) -> Result<Lsn> {
        let world = self.world();
        let transactions = transactions.min(world.window_transactions);
        let commits = world.mapping.keys().filter(|lsn| **lsn > after && **lsn <= fence);
        Ok(commits.take(transactions as usize).nth(transactions as usize - 1).copied().unwrap_or(fence))
    }

    async fn changes(
        &self,
        instance: &CaptureInstance,
        range: LsnRange,
        images: Images,
        take: TakeChanges<'_>,
    ) -> Result<()> {
        self.ask(Question::Changes)?;
        let mut given = 0;
        loop {
            let batch = {
                let world = self.world();
                let Some(found) = find(&world, instance) else {
                    return Err(Error::data("InstanceMissing", "invalid object name"));
                };
                // A change table read directly gives what is there; the query function looks at the range.
                let (low, high) = (found.start, world.max_lsn());
                let outside = low.is_none_or(|low| range.from < low) || high.is_none_or(|high| range.to > high);
                if world.grade == OrderGrade::Sequence && outside {
                    return Err(Error::data("PositionOutOfRange", "an insufficient number of arguments"));
                }
                let mut changes: Vec<&Change> = found
                    .changes
                    .iter()
                    .filter(|change| range.from <= change.commit && change.commit <= range.to)
                    .filter(|change| images == Images::BeforeAndAfter || change.operation != 3)
                    .collect();
                match world.grade {
                    OrderGrade::Command => changes.sort_by_key(|c| (c.commit, c.command, c.sequence, c.operation)),
                    OrderGrade::Sequence => changes.sort_by_key(|c| (c.commit, c.sequence, c.operation)),
                }
                let rest = &changes[given.min(changes.len())..];
                if rest.is_empty() {
                    return Ok(());
                }
                let batch = &rest[..rest.len().min(world.batch_rows)];
                given += batch.len();
                changes_batch(&world, found, batch)
            };
            if take(batch)? == ControlFlow::Break(()) {
                return Ok(());
            }
            self.ask(Question::AfterBatch)?;
        }
    }

    async fn rows(&self, instance: &CaptureInstance, after: Option<&KeyMark>, take: TakeRows<'_>) -> Result<RowsRead> {
        self.ask(Question::Rows)?;
        let mut last: Option<i64> = after.map(|mark| mark.0.parse().unwrap());
        let (began, one_instant, table) = {
            let world = self.world();
            (world.now, world.snapshot_isolation, world.tables[&instance.table].clone())
        };
        loop {
            let (batch, key) = {
                let world = self.world();
                // Under SNAPSHOT isolation the rows are those of the beginning.
                let table = if one_instant { &table } else { &world.tables[&instance.table] };
                let rest = table.rows.iter().filter(|(key, _)| last.is_none_or(|last| **key > last));
                let rows: Vec<(i64, &Cells)> = rest.take(world.batch_rows).map(|(key, cells)| (*key, cells)).collect();
                let Some((key, _)) = rows.last() else { break };
                let columns = captured_names(instance);
                (rows_batch(instance, &columns, &rows), *key)
            };
            last = Some(key);
            if take(batch)? == ControlFlow::Break(()) {
                return Ok(RowsRead {
                    last: mark(instance, last),
                    complete: false,
                    one_instant,
                    until: self.until(began),
                });
            }
            self.ask(Question::AfterBatch)?;
        }
        Ok(RowsRead { last: mark(instance, last), complete: true, one_instant, until: self.until(began) })
    }

    async fn commit_times(&self, lsns: &[Lsn]) -> Result<Vec<Option<CommitTime>>> {
        let world = self.world();
        Ok(lsns.iter().map(|lsn| world.mapping.get(lsn).copied().map(commit_time)).collect())
    }

    async fn last_commit_before(&self, time: DateTime<Utc>) -> Result<Option<Lsn>> {
        let world = self.world();
        Ok(world.mapping.iter().filter(|(_, at)| **at < time).map(|(lsn, _)| *lsn).next_back())
    }

    async fn retention(&self) -> Result<Option<Duration>> {
        Ok(self.world().retention_minutes.map(|minutes| Duration::from_secs(minutes.unsigned_abs() * 60)))
    }

    async fn capture_errors(&self) -> Result<Told<CaptureErrors>> {
        let world = self.world();
        if !world.keeps_capture_errors {
            return Ok(Told::Unknown);
        }
        let errors = |errors: &Vec<(i64, DateTime<Utc>)>| CaptureErrors {
            count: errors.len() as u64,
            newest: errors.last().map(|(number, time)| (*number, commit_time(*time).local)),
        };
        Ok(world.capture_errors.as_ref().map_or(Told::Denied, |found| Told::Said(errors(found))))
    }

    async fn denied_columns(&self) -> Result<Vec<(i32, String)>> {
        let world = self.world();
        let denied = world.instances.iter().filter(|_| !world.may_read_tables);
        let of = |instance: &Instance| described(&world, instance).columns;
        Ok(denied.flat_map(|found| of(found).into_iter().map(|column| (found.object_id, column.name))).collect())
    }
}

impl Model {
    fn until(&self, began: DateTime<Utc>) -> DateTime<Utc> {
        let world = self.world();
        if world.snapshot_isolation { began } else { world.now }
    }
}

fn mark(instance: &CaptureInstance, last: Option<i64>) -> Option<KeyMark> {
    last.filter(|_| !instance.key.is_empty()).map(|key| KeyMark(key.to_string()))
}

fn commit_time(utc: DateTime<Utc>) -> CommitTime {
    CommitTime { local: (utc + TimeDelta::hours(OFFSET_HOURS)).naive_utc(), utc }
}

fn find<'w>(world: &'w World, instance: &CaptureInstance) -> Option<&'w Instance> {
    world.instances.iter().find(|found| found.object_id == instance.object_id)
}

fn described(world: &World, instance: &Instance) -> CaptureInstance {
    let column = |(ordinal, name): (u32, &String)| CapturedColumn {
        name: name.clone(),
        ordinal,
        sql_type: if name == "note" { "nvarchar(max)" } else { "nvarchar(40)" }.to_owned(),
        fields: vec![Field::new(name, DataType::Utf8, true)],
        is_large: name == "note",
        is_computed: false,
    };
    let id = CapturedColumn {
        name: "id".to_owned(),
        ordinal: 1,
        sql_type: "bigint".to_owned(),
        fields: vec![Field::new("id", DataType::Int64, true)],
        is_large: false,
        is_computed: false,
    };
    let columns = &world.tables[&instance.table].columns;
    CaptureInstance {
        name: instance.name.clone(),
        schema: "dbo".to_owned(),
        table: instance.table.clone(),
        source_object_id: instance.source_object_id,
        object_id: instance.object_id,
        created: commit_time(instance.created).local,
        start_lsn: instance.start,
        columns: std::iter::once(id).chain((2..).zip(&instance.columns).map(column)).collect(),
        key: if world.has_key { vec!["id".to_owned()] } else { Vec::new() },
        is_ordered: world.has_key,
        uncaptured: columns.iter().filter(|name| !instance.columns.contains(name)).cloned().collect(),
        role: None,
        grade: world.grade,
    }
}

fn captured_names(instance: &CaptureInstance) -> Vec<String> {
    instance.columns.iter().skip(1).map(|column| column.name.clone()).collect()
}

fn rows_batch(instance: &CaptureInstance, columns: &[String], rows: &[(i64, &Cells)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(key, _)| *key)));
    let column = |name: &String| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(|(_, cells)| cells.get(name).map(String::as_str))))
    };
    let arrays = std::iter::once(ids).chain(columns.iter().map(column)).collect();
    RecordBatch::try_new(instance.arrow(), arrays).unwrap()
}

fn changes_batch(world: &World, instance: &Instance, changes: &[&Change]) -> ChangeBatch {
    let instance = described(world, instance);
    let names = captured_names(&instance);
    let rows: Vec<(i64, Cells)> = changes.iter().map(|change| (change.key, recorded(change))).collect();
    let rows: Vec<(i64, &Cells)> = rows.iter().map(|(key, cells)| (*key, cells)).collect();
    let binary = |lsn: fn(&Change) -> Lsn| {
        FixedSizeBinaryArray::try_from_iter(changes.iter().map(|change| lsn(change).as_bytes().to_vec())).unwrap()
    };
    let time = |change: &&Change| world.mapping.get(&change.commit).map(DateTime::timestamp_micros);
    let with_command = world.grade == OrderGrade::Command;
    ChangeBatch {
        columns: rows_batch(&instance, &names, &rows),
        start_lsn: binary(|change| change.commit),
        command_id: changes.iter().map(|change| with_command.then_some(change.command)).collect::<Int32Array>(),
        seqval: binary(|change| change.sequence),
        operation: changes.iter().map(|change| change.operation).collect::<Vec<u8>>().into(),
        update_mask: BinaryArray::from_iter_values(changes.iter().map(|change| mask(change, &names))),
        commit_time: changes.iter().map(time).collect::<TimestampMicrosecondArray>(),
    }
}

/// A large value that an update does not set is NULL in its images.
pub(super) fn recorded(change: &Change) -> Cells {
    let mut cells = change.cells.clone();
    if matches!(change.operation, 3 | 4) && !change.set.iter().any(|name| name == "note") {
        cells.remove("note");
    }
    cells
}

pub(super) fn mask(change: &Change, names: &[String]) -> Vec<u8> {
    let mut mask = vec![0_u8; (names.len() + 1).div_ceil(8)];
    let len = mask.len();
    let all = matches!(change.operation, 1 | 2);
    for (bit, name) in (1..).zip(names) {
        if all || change.set.contains(name) {
            mask[len - 1 - bit / 8] |= 1 << (bit % 8);
        }
    }
    mask[len - 1] |= u8::from(all);
    mask
}
