//! Reading the changes of an instance: streamed, in batches of bounded size, complete or an error.

use std::ops::ControlFlow;

use arrow::array::{
    BinaryBuilder, FixedSizeBinaryBuilder, Int32Builder, RecordBatch, TimestampMicrosecondBuilder, UInt8Builder,
};
use futures_util::TryStreamExt;
use tiberius::{ColumnData, QueryItem, Row};

use super::cells::Cells;
use super::connection::{Connection, Settings};
use super::layout::{Builders, Layout};
use super::types::utc;
use super::{fault, sql};
use crate::error::Result;
use crate::position::Lsn;
use crate::source::sqlserver::{CaptureInstance, ChangeBatch, Images, LsnRange, TakeChanges};

/// The columns of a change that come before those captured.
const OWN_COLUMNS: usize = 5;

/// Gives the changes of `instance` in `range` to `take`. `false` when `take` broke off: the connection has an answer
/// under way then.
pub(super) async fn read(
    connection: &mut Connection,
    instance: &CaptureInstance,
    layout: &Layout,
    range: LsnRange,
    images: Images,
    settings: &Settings,
    take: TakeChanges<'_>,
) -> Result<bool> {
    let doing = &format!("reading the changes of {}.{}", instance.schema, instance.table);
    let commits = commits(connection, range, doing).await?;
    let text = query(instance, layout, images);
    let (from, to) = (range.from.as_bytes().as_slice(), range.to.as_bytes().as_slice());
    let answer = connection.driver().query(text, &[&from, &to]).await;
    let mut answer = answer.map_err(|error| fault::of(error, doing))?;
    let mut batch = Batch::new(layout, commits, settings, doing);
    let mut came = 0;
    while let Some(item) = answer.try_next().await.map_err(|error| fault::of(error, doing))? {
        let QueryItem::Row(row) = item else { continue };
        if row.result_index() > 0 {
            let counted = Cells::new(&row, doing).id(0)?;
            if came != counted {
                return Err(fault::incomplete(came, counted, doing));
            }
            batch.is_counted = true;
            continue;
        }
        came += 1;
        batch.append(&row)?;
        if batch.is_full(settings) && take(batch.finish()?)?.is_break() {
            return Ok(false);
        }
    }
    if !batch.is_counted {
        return Err(fault::cut(doing));
    }
    Ok(batch.rows.rows() == 0 || take(batch.finish()?)? == ControlFlow::Continue(()))
}

fn query(instance: &CaptureInstance, layout: &Layout, images: Images) -> String {
    let (columns, with_before) = (layout.of_changes(), images == Images::BeforeAndAfter);
    if layout.is_direct {
        sql::changes_of_table(&instance.name, &columns, with_before)
    } else {
        sql::changes_of_function(&instance.name, &columns, with_before)
    }
}

/// The commits of the range and their times, by rising LSN. There are as many as a window has transactions.
async fn commits(connection: &mut Connection, range: LsnRange, doing: &str) -> Result<Vec<(Lsn, i64)>> {
    let text = sql::commits_between(connection.facts.knows_time_zone);
    let (from, to) = (range.from.as_bytes().as_slice(), range.to.as_bytes().as_slice());
    let answer = connection.driver().query(text, &[&from, &to]).await;
    let mut answer = answer.map_err(|error| fault::of(error, doing))?;
    let mut found = Vec::new();
    while let Some(item) = answer.try_next().await.map_err(|error| fault::of(error, doing))? {
        let QueryItem::Row(row) = item else { continue };
        let cells = Cells::new(&row, doing);
        if let (Some(lsn), Some(at)) = (cells.lsn(0)?, cells.micros(1)?) {
            found.push((lsn, at));
        }
    }
    Ok(found)
}

/// A batch of changes that is being built.
struct Batch<'l> {
    rows: Builders<'l>,
    start_lsn: FixedSizeBinaryBuilder,
    seqval: FixedSizeBinaryBuilder,
    operation: UInt8Builder,
    update_mask: BinaryBuilder,
    command_id: Int32Builder,
    commit_time: TimestampMicrosecondBuilder,
    commits: Vec<(Lsn, i64)>,
    /// The commit of the last change, and its time.
    last: Option<(Lsn, Option<i64>)>,
    is_counted: bool,
    doing: &'l str,
}

impl<'l> Batch<'l> {
    fn new(layout: &'l Layout, commits: Vec<(Lsn, i64)>, settings: &Settings, doing: &'l str) -> Self {
        let rows = settings.batch_rows;
        let width = Lsn::LEN as i32;
        Self {
            rows: layout.builders(rows),
            start_lsn: FixedSizeBinaryBuilder::with_capacity(rows, width),
            seqval: FixedSizeBinaryBuilder::with_capacity(rows, width),
            operation: UInt8Builder::with_capacity(rows),
            update_mask: BinaryBuilder::with_capacity(rows, rows * 4),
            command_id: Int32Builder::with_capacity(rows),
            commit_time: TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(utc()),
            commits,
            last: None,
            is_counted: false,
            doing,
        }
    }

    fn append(&mut self, row: &Row) -> Result<()> {
        let mut values = row.cells().map(|(_, value)| value);
        let own: [Option<&ColumnData<'static>>; OWN_COLUMNS] = std::array::from_fn(|_| values.next());
        self.append_own(own)?;
        self.rows.append(values).map_err(|(misfit, column)| fault::misfit(misfit, column, self.doing))
    }

    fn append_own(&mut self, own: [Option<&ColumnData<'static>>; OWN_COLUMNS]) -> Result<()> {
        let [start_lsn, seqval, operation, update_mask, command_id] = own;
        let start_lsn = lsn(start_lsn).ok_or_else(|| fault::answer("__$start_lsn", self.doing))?;
        let seqval = lsn(seqval).ok_or_else(|| fault::answer("__$seqval", self.doing))?;
        let operation = match operation {
            Some(ColumnData::I32(Some(number @ 1..=4))) => number.to_le_bytes()[0],
            _ => return Err(fault::answer("__$operation", self.doing)),
        };
        let misbuilt = |error| fault::batch(error, self.doing);
        self.start_lsn.append_value(start_lsn.as_bytes()).map_err(misbuilt)?;
        self.seqval.append_value(seqval.as_bytes()).map_err(misbuilt)?;
        self.operation.append_value(operation);
        match update_mask {
            Some(ColumnData::Binary(mask)) => self.update_mask.append_option(mask.as_deref()),
            _ => return Err(fault::answer("__$update_mask", self.doing)),
        }
        match command_id {
            Some(ColumnData::I32(id)) => self.command_id.append_option(*id),
            _ => return Err(fault::answer("__$command_id", self.doing)),
        }
        let time = self.time_of(start_lsn);
        self.commit_time.append_option(time);
        Ok(())
    }

    /// The time of a commit. Most changes have the same one as the change before.
    fn time_of(&mut self, lsn: Lsn) -> Option<i64> {
        if let Some((last, time)) = self.last
            && last == lsn
        {
            return time;
        }
        let place = self.commits.binary_search_by_key(&lsn, |(lsn, _)| *lsn).ok();
        let time = place.and_then(|place| self.commits.get(place)).map(|(_, time)| *time);
        self.last = Some((lsn, time));
        time
    }

    fn is_full(&self, settings: &Settings) -> bool {
        self.rows.rows() >= settings.batch_rows || self.rows.bytes() >= settings.batch_bytes
    }

    fn finish(&mut self) -> Result<ChangeBatch> {
        let columns: RecordBatch = self.rows.finish().map_err(|error| fault::batch(error, self.doing))?;
        Ok(ChangeBatch {
            columns,
            start_lsn: self.start_lsn.finish(),
            command_id: self.command_id.finish(),
            seqval: self.seqval.finish(),
            operation: self.operation.finish(),
            update_mask: self.update_mask.finish(),
            commit_time: self.commit_time.finish(),
        })
    }
}

fn lsn(value: Option<&ColumnData<'static>>) -> Option<Lsn> {
    match value {
        Some(ColumnData::Binary(Some(bytes))) => Lsn::from_slice(bytes),
        _ => None,
    }
}
