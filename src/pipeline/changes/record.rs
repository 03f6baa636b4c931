//! What a window has found, put into the lake: claim, publish, commit; and what footers say of it.

use std::time::Duration;

use super::table::{Cursor, Table};
use super::window::{WindowRead, store_time};
use crate::error::{Error, Result};
use crate::lake::capture::{self, Captured, CapturedHead, Instance, SourceColumn};
use crate::lake::commit::{Step, TableLog};
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout::RunTime;
use crate::lake::state::Head;
use crate::lake::store::Payload;
use crate::pipeline::steps::Steps;
use crate::position::{Lsn, Position};
use crate::source::sqlserver::{CaptureInstance, CapturedColumn};

impl Table<'_> {
    /// Stores what a window has found, or only moves the position where that is nothing.
    pub(super) async fn store(
        &mut self,
        cursor: &mut Cursor,
        instance: &CaptureInstance,
        read: WindowRead,
    ) -> Result<Step<()>> {
        let shared = self.shared;
        let position_time = shared.time_of(read.to).await?.map(|time| time.local);
        let captured = CapturedHead {
            origin: shared.origin(),
            instance: identity(instance),
            position_time,
            ..cursor.captured.clone()
        };
        if read.counts.rows() == 0 {
            let head = capture::head(cursor.head.run_at, read.to, cursor.head.rows, captured);
            return self.commit(cursor, head).await;
        }
        let upload = store_time(read.bytes);
        let runner = shared.run.runner(upload);
        let log = TableLog::new(shared.run.store, &self.place, &runner);
        let run_at =
            cursor.claim.as_ref().map_or_else(|| log.place(&cursor.version, &cursor.outline), |claim| claim.run_at);
        let footer = self.footer(cursor, instance, &read, position_time, run_at);
        let captured = CapturedHead { published: read.to, ..captured };
        let head = capture::head(run_at, read.to, cursor.head.rows, captured);
        let counts = read.counts;
        if shared.run.request.dry_run {
            self.count(counts);
            return self.commit(cursor, head).await;
        }
        let mut steps = Steps::of(self.report.name.as_str(), run_at);
        self.require_time(upload)?;
        let payload = finish(read, footer.clone()).await?;
        let held = match &cursor.claim {
            Some(_) => cursor.version.clone(),
            None => {
                let claim = log.claim(&cursor.version, run_at, footer.position.clone());
                match shared.run.within_deadline(claim).await? {
                    Step::Done(held) => held,
                    Step::Overtaken => return Ok(Step::Overtaken),
                }
            }
        };
        if shared.run.within_deadline(log.publish(&payload, &footer)).await? == Step::Overtaken {
            return Ok(Step::Overtaken);
        }
        self.count(counts);
        let key = self.place.cdc(run_at);
        steps.wrote("changes published", &key, payload.len());
        self.published(key.clone(), payload.len());
        cursor.version = held;
        let committed = self.commit(cursor, head).await?;
        if committed != Step::Overtaken {
            self.note_parts(&key, payload.len());
        }
        Ok(committed)
    }

    /// Notes an object that is settled, if it came to the store in parts.
    pub(super) fn note_parts(&mut self, key: &str, len: u64) {
        if self.shared.run.store.takes_in_parts(len) {
            self.stored_in_parts = Some(key.to_owned());
        }
    }

    /// Makes `head` the head of the state. A dry run only looks on as if it had.
    pub(super) async fn commit(&self, cursor: &mut Cursor, head: Head) -> Result<Step<()>> {
        let shared = self.shared;
        let runner = shared.run.runner(Duration::ZERO);
        let log = TableLog::new(shared.run.store, &self.place, &runner);
        if !shared.run.request.dry_run {
            match shared.run.within_deadline(log.commit(&cursor.version, head.clone())).await? {
                Step::Done(version) => cursor.version = version,
                Step::Overtaken => return Ok(Step::Overtaken),
            }
        }
        let position = head.position.as_ref().and_then(Position::lsn);
        if let (Some(position), Some(captured)) = (position, head.captured.clone()) {
            (cursor.position, cursor.captured, cursor.head, cursor.claim) = (position, captured, head, None);
        }
        Ok(Step::Done(()))
    }

    fn footer(
        &self,
        cursor: &Cursor,
        instance: &CaptureInstance,
        read: &WindowRead,
        position_time: Option<chrono::NaiveDateTime>,
        run_at: RunTime,
    ) -> Footer {
        let counts = read.counts;
        let captured = Captured {
            position_time,
            first_seq: read.first.map(|seq| seq.text()),
            last_seq: read.last.map(|seq| seq.text()),
            before_images: counts.before_images,
            overlap_until: cursor.captured.overlap_until,
            ..self.captured(instance, cursor.captured.published)
        };
        Footer {
            inserted: counts.inserted,
            updated: counts.updated,
            deleted: counts.deleted,
            previous_run_at: Some(cursor.head.run_at).filter(|time| *time != RunTime::NEVER),
            ..self.plain_footer(FileKind::Cdc, instance, run_at, read.to, captured)
        }
    }

    /// What every footer of this table says.
    pub(super) fn plain_footer(
        &self,
        kind: FileKind,
        instance: &CaptureInstance,
        run_at: RunTime,
        position: Lsn,
        captured: Captured,
    ) -> Footer {
        Footer {
            key_columns: instance.key.clone(),
            position: Some(Position::Lsn(position)),
            captured: Some(captured),
            ..Footer::new(kind, self.place.table(), run_at, &self.shared.run.request.identity)
        }
    }

    /// What a footer says of where its rows come from.
    pub(super) fn captured(&self, instance: &CaptureInstance, after: Lsn) -> Captured {
        let column =
            |column: &CapturedColumn| SourceColumn { name: column.name.clone(), sql_type: column.sql_type.clone() };
        Captured {
            origin: self.shared.origin(),
            instance: identity(instance),
            after,
            position_time: None,
            first_seq: None,
            last_seq: None,
            before_images: 0,
            order: instance.grade.name().to_owned(),
            overlap_until: None,
            columns: instance.columns.iter().map(column).collect(),
            uncaptured: instance.uncaptured.clone(),
            load: None,
        }
    }
}

/// What the lake remembers of an instance.
pub(super) fn identity(instance: &CaptureInstance) -> Instance {
    Instance {
        name: instance.name.clone(),
        object_id: instance.object_id,
        created: instance.created,
        source_object_id: instance.source_object_id,
        schema: instance.schema.clone(),
        table: instance.table.clone(),
    }
}

/// Ends the file of a window on a blocking thread.
async fn finish(read: WindowRead, footer: Footer) -> Result<Payload> {
    tokio::task::spawn_blocking(move || read.finish(&footer)).await.map_err(|error| {
        Error::internal("Panic", "writing a file ended in a panic; nothing was published").caused_by(error)
    })?
}
