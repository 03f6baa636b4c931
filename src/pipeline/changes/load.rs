//! The first load: all rows of a table, in parts that each run goes on with, fenced by the position that changes are read
//! from afterwards.
//!
//! The fence is older than the first row that is read, so that a change the rows do not show is committed after it.
//! Changes that they do show come again where the capture job had not read them at the fence: consumers merge by key.
//!
//! Rows that have no order (the table has no key, or one whose values no text can keep) are read in one go: a place in a heap
//! is no place to go on from, because rows move within it when they grow and when it is rebuilt, and the next run would miss
//! or repeat them. What does not fit into one run is broken off in time to write that down, so that later runs refuse the
//! table at once and leave their time to the others.
//!
//! A part is created once and never replaced. Whoever finds it there goes on from where it ends, so that neither a crash
//! nor a race needs a claim.

use std::ops::ControlFlow;
use std::time::Duration;

use arrow::array::RecordBatch;

use super::table::{Cursor, Table};
use super::window::{is_enough, is_late, store_time};
use super::{Shared, ask};
use crate::error::{Error, Result};
use crate::lake::capture::{self, BrokenOff, Captured, CapturedHead, Load, LoadPart};
use crate::lake::commit::{Step, TableLog};
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout::RunTime;
use crate::lake::outline::expect_table;
use crate::lake::parquet::{Encoding, read_footer};
use crate::lake::state::Head;
use crate::pipeline::output::Encoder;
use crate::report::TableStatus;
use crate::source::sqlserver::faults;
use crate::source::sqlserver::instances::turn;
use crate::source::sqlserver::{CaptureInstance, KeyMark, RowsRead};

impl Table<'_> {
    /// The last part of a first load that is there, for a table whose state is not.
    pub(super) async fn last_part(&self) -> Result<Option<Footer>> {
        let run = self.shared.run;
        let mut last = None;
        for (key, footer) in run.within_deadline(capture::load_parts(run.store, &self.place)).await? {
            expect_table(&footer, self.name(), &key)?;
            let load = footer.captured.as_ref().and_then(|captured| captured.load.as_ref());
            let is_last = load.is_none_or(|load| load.complete);
            last = Some(footer);
            if is_last {
                break;
            }
        }
        Ok(last)
    }

    async fn part(&self, number: u32) -> Result<Option<Footer>> {
        let (run, key) = (self.shared.run, self.place.full_load_part(number));
        let found = run.within_deadline(read_footer(run.store, &key)).await?.map(|(footer, _)| footer);
        if let Some(footer) = &found {
            expect_table(footer, self.name(), &key)?;
        }
        Ok(found)
    }

    /// Goes on by one part; whether the load may go on in this run.
    pub(super) async fn load_part(&mut self, cursor: &mut Cursor) -> Result<Step<bool>> {
        let shared = self.shared;
        let load = cursor.captured.load.clone().unwrap_or_default();
        let Some(instance) = turn(&self.tracked.instances, cursor.position, shared.fence).map(|turn| turn.instance)
        else {
            return Err(self.uncovered(cursor).await);
        };
        if shared.run.request.dry_run {
            self.report.status = TableStatus::Changed;
            self.report.warnings.push("a first load would be read; its rows are not counted in a dry run".to_owned());
            return Ok(Step::Done(false));
        }
        // Part of a load that is lost cannot be made good by the changes after it.
        self.check_low_end(cursor, instance).await?;
        self.refuse_hopeless(instance, &load)?;
        let number = load.parts + 1;
        let expected = self.part_footer(cursor, instance, &load);
        let there = match self.part(number).await? {
            Some(there) if there.same_load(&expected) => there,
            Some(_) => return Err(self.load_exists(number)),
            None => self.read_part(cursor, instance, &load, expected).await?,
        };
        let head = capture::head_of(&there, 0).ok_or_else(|| self.load_exists(number))?;
        self.commit_part(cursor, head).await
    }

    async fn commit_part(&mut self, cursor: &mut Cursor, mut head: Head) -> Result<Step<bool>> {
        if let Some(captured) = &mut head.captured {
            captured.overlap_until = captured.overlap_until.max(cursor.captured.overlap_until);
            captured.published = cursor.captured.published;
        }
        Ok(match self.commit(cursor, head).await? {
            Step::Done(()) => Step::Done(true),
            Step::Overtaken => Step::Overtaken,
        })
    }

    /// Refuses what an earlier attempt with about as much time has not come to the end of. `--force` tries it again.
    fn refuse_hopeless(&self, instance: &CaptureInstance, load: &Load) -> Result<()> {
        let request = self.shared.run.request;
        let Some(broken_off) = load.broken_off.filter(|_| !instance.is_ordered && !request.force) else {
            return Ok(());
        };
        let needed = Duration::from_secs(broken_off.seconds + broken_off.seconds / 4);
        if request.deadline.allows(needed) { Ok(()) } else { Err(self.too_large(broken_off)) }
    }

    fn too_large(&self, broken_off: BrokenOff) -> Error {
        faults::load_too_large(self.name(), broken_off.rows, Duration::from_secs(broken_off.seconds))
    }

    /// Writes down that the table does not fit into one run.
    async fn break_off(&self, cursor: &mut Cursor, load: &Load, broken_off: BrokenOff) -> Error {
        let load = Some(Load { broken_off: Some(broken_off), ..load.clone() });
        let captured = CapturedHead { load, ..cursor.captured.clone() };
        let head = Head { captured: Some(captured), ..cursor.head.clone() };
        match self.commit(cursor, head).await {
            Ok(_) => self.too_large(broken_off),
            Err(error) => error,
        }
    }

    /// Reads a part and puts it into the lake; the footer of what is there then.
    async fn read_part(
        &mut self,
        cursor: &mut Cursor,
        instance: &CaptureInstance,
        load: &Load,
        footer: Footer,
    ) -> Result<Footer> {
        let shared = self.shared;
        let mut steps = self.steps();
        let has_time = shared.run.request.deadline.remaining().unwrap_or_default();
        let PartRead { encoder, rows, bytes, read } = read(shared, instance, load).await?;
        steps.counted("part of the first load read", rows, [0; 3]);
        if !read.complete && !instance.is_ordered {
            let broken_off = BrokenOff { rows, seconds: has_time.as_secs() };
            return Err(self.break_off(cursor, load, broken_off).await);
        }
        let mut footer = Footer { rows, ..footer };
        let number = load.parts + 1;
        if let Some(captured) = &mut footer.captured {
            captured.overlap_until = cursor.captured.overlap_until.max(Some(read.until));
            captured.load = Some(LoadPart {
                number,
                from: load.last.clone(),
                last: read.last.map(|mark| mark.0),
                complete: read.complete,
                one_instant: read.one_instant,
                rows_so_far: cursor.head.rows + rows,
            });
        }
        if !read.one_instant {
            self.report.warnings.push(format!(
                "the first load was read without SNAPSHOT isolation: its rows are not of one instant. The changes after it make \
                 up for that; `ALTER DATABASE [{}] SET ALLOW_SNAPSHOT_ISOLATION ON` avoids it",
                shared.database.name.replace(']', "]]")
            ));
        }
        self.require_time(store_time(bytes))?;
        let (written, runner) = (footer.clone(), shared.run.runner(Duration::ZERO));
        let payload = tokio::task::spawn_blocking(move || encoder.finish(&written)).await.map_err(|error| {
            Error::internal("Panic", "writing a file ended in a panic; nothing was published").caused_by(error)
        })??;
        let log = TableLog::new(shared.run.store, &self.place, &runner);
        let there = shared.run.within_deadline(log.publish_part(&payload, &footer, number)).await?;
        self.report.status = TableStatus::Changed;
        self.report.rows += there.rows;
        let key = self.place.full_load_part(number);
        steps.wrote("part of the first load written", &key, payload.len());
        self.report.bytes_written += payload.len();
        self.note_parts(&key, payload.len());
        self.report.full_load_key = Some(key);
        Ok(there)
    }

    /// The footer of the next part before it is read.
    fn part_footer(&self, cursor: &Cursor, instance: &CaptureInstance, load: &Load) -> Footer {
        let part = LoadPart {
            number: load.parts + 1,
            from: load.last.clone(),
            last: None,
            complete: false,
            one_instant: false,
            rows_so_far: 0,
        };
        let captured = Captured {
            position_time: cursor.captured.position_time,
            load: Some(part),
            ..self.captured(instance, cursor.position)
        };
        let run_at = RunTime::new(self.shared.run.request.run_at);
        self.plain_footer(FileKind::FullLoad, instance, run_at, cursor.position, captured)
    }

    fn load_exists(&self, number: u32) -> Error {
        let key = self.place.full_load_part(number);
        Error::config("FullLoadExists", format!("`{key}` is in the way of the first load of `{}`", self.name()))
            .hint("it is of another load or another table: move it away, or give this source a prefix of its own")
    }
}

struct PartRead {
    encoder: Encoder,
    rows: u64,
    bytes: u64,
    read: RowsRead,
}

/// Reads a part, again from its beginning where a fault may have passed.
async fn read(shared: &Shared<'_>, instance: &CaptureInstance, load: &Load) -> Result<PartRead> {
    ask(shared.run, || attempt(shared, instance, load)).await
}

async fn attempt(shared: &Shared<'_>, instance: &CaptureInstance, load: &Load) -> Result<PartRead> {
    let after = load.last.clone().map(KeyMark);
    let path = shared.run.workspace.new_file("full-load.parquet");
    let mut encoder = Encoder::start(path, instance.arrow(), Encoding::Table)?;
    let count = shared.run.progress.rows(&format!("{}.{}", instance.schema, instance.table));
    let (mut rows, mut bytes) = (0, 0);
    let deadline = shared.run.request.deadline;
    let mut take = |batch: RecordBatch| {
        count(batch.num_rows() as u64);
        rows += batch.num_rows() as u64;
        bytes += batch.get_array_memory_size() as u64;
        encoder.write(batch)?;
        // Without an order there is no place to go on from: the table is read in one go, or not at all.
        let ends = if instance.is_ordered { is_enough(rows, bytes, deadline) } else { is_late(bytes, deadline) };
        Ok(if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let read = shared.server().rows(instance, after.as_ref(), &mut take).await?;
    Ok(PartRead { encoder, rows, bytes, read })
}
