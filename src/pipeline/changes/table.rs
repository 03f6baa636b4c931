//! One table of a run: enter, check the history, begin or load, and then window by window: read, claim, publish, commit.
//!
//! Every line may be the last one that runs. What was read is examined as a range after the state's position; a state only
//! moves on by compare-and-swap past changes that are in the log, or past a range that had none.

use std::time::{Duration, Instant};

use super::record::identity;
use super::start::{Beginning, beginning};
use super::window::{self, LEAST_TIME, Window};
use super::{Shared, ask};
use crate::error::{Error, Result};
use crate::lake::capture::{self, CapturedHead, Load};
use crate::lake::commit::{Entry, StateVersion, Step, TableLog};
use crate::lake::footer::Footer;
use crate::lake::layout::{Place, RunTime};
use crate::lake::outline::BaseOutline;
use crate::lake::state::{Claim, Head};
use crate::ops::figures::span;
use crate::pipeline::steps::{Steps, milliseconds};
use crate::pipeline::table::{committed, is_lost_race};
use crate::position::{Lsn, Position};
use crate::report::{TableReport, TableStatus};
use crate::source::sqlserver::LsnRange;
use crate::source::sqlserver::columns::{ChangeCounts, change_schema};
use crate::source::sqlserver::faults;
use crate::source::sqlserver::instances::{Tracked, Turn, turn};

/// How often a run enters a table anew after losing a race for its state.
const ENTRIES: u32 = 3;

/// Commits in one window, at the most.
const WINDOW_TRANSACTIONS: u32 = 100_000;

/// Runs one table to its report; an error becomes part of it.
pub(super) async fn run(shared: &Shared<'_>, tracked: &Tracked, place: Result<Place>) -> TableReport {
    let started = Instant::now();
    let report = TableReport::new(tracked.full_name(), TableStatus::Unchanged);
    let mut report = match place {
        Err(error) => TableReport::failed(tracked.full_name(), error),
        Ok(place) => {
            let (longest_step, stored_in_parts) = (Duration::ZERO, None);
            let mut table = Table { shared, tracked, place, report, has_moved: false, longest_step, stored_in_parts };
            if let Err(error) = table.attempts().await {
                table.report.status = TableStatus::Failed;
                table.report.error = Some(error);
            }
            if let Some(newest) = &table.stored_in_parts {
                shared.run.abort_superseded(&table.place, newest).await;
            }
            table.report
        }
    };
    report.elapsed_ms = milliseconds(started);
    crate::pipeline::table::log(&report, shared.run.request.run_at.into());
    report
}

/// One table, and what is to be reported of it.
pub(super) struct Table<'a> {
    pub(super) shared: &'a Shared<'a>,
    pub(super) tracked: &'a Tracked,
    pub(super) place: Place,
    pub(super) report: TableReport,
    /// Whether this run has moved the position, with changes or without.
    has_moved: bool,
    /// The time of the longest part of a load, or window, of this run.
    longest_step: Duration,
    /// The newest committed object of this run that came to the store in parts.
    pub(super) stored_in_parts: Option<String>,
}

/// Where a run stands with a table.
pub(super) struct Cursor {
    /// The state as it was read or written last.
    pub(super) version: StateVersion,
    /// The head, with what the log is ahead of it.
    pub(super) head: Head,
    /// How far the changes were read: a part of the head.
    pub(super) captured: CapturedHead,
    /// The range's end.
    pub(super) position: Lsn,
    /// Our own claim, to be resumed.
    pub(super) claim: Option<Claim>,
    pub(super) outline: BaseOutline,
}

/// How an attempt, or a step of it, ended.
pub(super) enum Ended {
    /// There is nothing more to do in this run.
    Done,
    /// Another run changed the state between our reading and our write.
    RaceLost,
}

impl Table<'_> {
    async fn attempts(&mut self) -> Result<()> {
        for _ in 0..ENTRIES {
            match Box::pin(self.enter()).await {
                Ok(Ended::Done) => return Ok(()),
                Ok(Ended::RaceLost) => {}
                Err(error) if is_lost_race(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.busy("other runs kept changing the table's state");
        Ok(())
    }

    async fn enter(&mut self) -> Result<Ended> {
        let shared = self.shared;
        self.require_time(LEAST_TIME)?;
        let runner = shared.run.runner(Duration::ZERO);
        let mut log = TableLog::new(shared.run.store, &self.place, &runner);
        if let Some(newest) = self.tracked.newest() {
            log = log.with_columns(change_schema(newest, shared.sqlserver.feed.metadata_columns)?);
        }
        let version = shared.run.within_deadline(log.read_state()).await?;
        self.report.committed_before = self.report.committed_before.or(committed(&version));
        let entry = if shared.run.request.dry_run {
            Entry::Free
        } else {
            shared.run.within_deadline(log.enter(&version)).await?
        };
        let (claim, fenced) = match entry {
            Entry::Busy(claim) => {
                self.busy(&format!("run {} holds the table until {}", claim.owner, claim.expires));
                return Ok(Ended::Done);
            }
            Entry::Resume(claim) => (Some(claim), None),
            Entry::Fenced(object) => (None, Some(*object)),
            Entry::Free => (None, None),
        };
        Box::pin(self.go_into(version, claim, fenced, &log)).await
    }

    /// Finds out where the table stands, and goes on from there.
    async fn go_into(
        &mut self,
        version: StateVersion,
        claim: Option<Claim>,
        fenced: Option<(String, Footer)>,
        log: &TableLog<'_>,
    ) -> Result<Ended> {
        let shared = self.shared;
        let after = version.state.head.as_ref().map(|head| head.run_at);
        let outline = shared.run.within_deadline(BaseOutline::read_log(shared.run.store, &self.place, after)).await?;
        let outline = fenced.into_iter().fold(outline, BaseOutline::with);
        if claim.as_ref().is_some_and(|claim| !log.still_ours(claim, &outline)) {
            self.busy("another run has overtaken this one");
            return Ok(Ended::Done);
        }
        match self.head(&version, &outline).await? {
            Some(head) => {
                // What a claim of ours was to publish is there: only the state has to follow.
                let claim = claim.filter(|claim| outline.changes().last().is_none_or(|(key, _)| *key != claim.cdc_key));
                let is_behind = version.state.pending.is_some() || version.state.head.as_ref() != Some(&head);
                let mut cursor = self.cursor(version, head.clone(), claim, outline)?;
                self.report.position = Some(Position::Lsn(cursor.position));
                self.check_history(&cursor).await?;
                if cursor.claim.is_none() && is_behind && self.commit(&mut cursor, head).await? == Step::Overtaken {
                    return Ok(Ended::RaceLost);
                }
                self.go_on(cursor).await
            }
            None => Box::pin(self.begin(version, outline)).await,
        }
    }

    /// The head with what the objects are ahead of it; `None` for a table that was never read.
    async fn head(&mut self, version: &StateVersion, outline: &BaseOutline) -> Result<Option<Head>> {
        let known = version.state.head.clone();
        if let Some((key, footer)) = outline.changes().last() {
            let rows = match &known {
                Some(head) => head.rows,
                None => self.last_part().await?.and_then(|part| capture::head_of(&part, 0)).map_or(0, |head| head.rows),
            };
            let ahead = capture::head_of(footer, rows).ok_or_else(|| self.foreign(key))?;
            self.report.warnings.push(format!("completed a run that had stopped after publishing {key}"));
            return Ok(Some(ahead));
        }
        if known.is_some() {
            return Ok(known);
        }
        let Some(footer) = self.last_part().await? else { return Ok(None) };
        Ok(Some(capture::head_of(&footer, 0).ok_or_else(|| self.foreign(&self.place.full_load()))?))
    }

    fn cursor(&self, version: StateVersion, head: Head, claim: Option<Claim>, outline: BaseOutline) -> Result<Cursor> {
        let captured = head.captured.clone().ok_or_else(|| self.foreign(self.place.state()))?;
        let position =
            head.position.as_ref().and_then(Position::lsn).ok_or_else(|| self.foreign(self.place.state()))?;
        Ok(Cursor { version, head, captured, position, claim, outline })
    }

    fn foreign(&self, key: &str) -> Error {
        Error::internal(
            "ForeignObject",
            format!("`{key}` does not belong to the captured changes of `{}`", self.name()),
        )
        .hint("give this source a prefix of its own")
    }

    /// Begins a table that was never read.
    async fn begin(&mut self, version: StateVersion, outline: BaseOutline) -> Result<Ended> {
        let shared = self.shared;
        if self.tracked.is_untracked() {
            return Err(self.not_tracked());
        }
        let Some(beginning) = beginning(shared, self.tracked).await? else {
            return self.wait_for_capture();
        };
        let Beginning { position, load } = beginning;
        let Some(first) = turn(&self.tracked.instances, position, shared.fence) else {
            return Err(Error::internal(
                "NoInstance",
                format!("no capture instance of `{}` begins before {position}", self.name()),
            ));
        };
        let captured = CapturedHead {
            origin: shared.origin(),
            instance: identity(first.instance),
            position_time: shared.time_of(position).await?.map(|time| time.local),
            published: position,
            overlap_until: None,
            load: load.then(Load::default),
        };
        let head = capture::head(RunTime::NEVER, position, 0, captured);
        let mut cursor = self.cursor(version, head.clone(), None, outline)?;
        match self.commit(&mut cursor, head).await? {
            Step::Overtaken => Ok(Ended::RaceLost),
            Step::Done(()) => self.go_on(cursor).await,
        }
    }

    /// There is nothing to read from yet: a matter of moments, or of a capture job that does not run.
    fn wait_for_capture(&mut self) -> Result<Ended> {
        let shared = self.shared;
        let waited = shared.waited(self.tracked).unwrap_or_default();
        self.report.waiting_since = Some(shared.database.now - waited);
        if shared.sqlserver.feed.not_ready_after.is_some_and(|limit| waited > limit) {
            return Err(faults::not_started(self.name(), waited));
        }
        self.report.status = TableStatus::NotReady;
        self.report.warnings.push(format!(
            "the capture job has not started with the table yet, which has been tracked for {}; start SQL Server Agent if it \
             is not running",
            span(waited)
        ));
        Ok(Ended::Done)
    }

    /// The first load where it is not complete, then the windows up to the fence.
    async fn go_on(&mut self, mut cursor: Cursor) -> Result<Ended> {
        self.report.position = Some(Position::Lsn(cursor.position));
        self.advise(&cursor);
        while cursor.captured.load.is_some() {
            if self.stops_here()? {
                return Ok(Ended::Done);
            }
            let started = Instant::now();
            let loaded = Box::pin(self.load_part(&mut cursor)).await?;
            self.longest_step = self.longest_step.max(started.elapsed());
            match loaded {
                Step::Overtaken => return Ok(Ended::RaceLost),
                Step::Done(true) => {}
                Step::Done(false) => return Ok(Ended::Done),
            }
        }
        while cursor.position < self.shared.fence || cursor.claim.is_some() {
            if self.stops_here()? {
                break;
            }
            let started = Instant::now();
            if let Step::Overtaken = Box::pin(self.window(&mut cursor)).await? {
                return Ok(Ended::RaceLost);
            }
            self.longest_step = self.longest_step.max(started.elapsed());
            self.has_moved = true;
            self.report.position = Some(Position::Lsn(cursor.position));
        }
        Ok(Ended::Done)
    }

    /// Whether the run's time is up. That is an error only where nothing was done; once something was, there must also be time
    /// for a step as long as the longest so far.
    fn stops_here(&mut self) -> Result<bool> {
        match self.require_time(LEAST_TIME + self.longest_step) {
            Ok(()) => Ok(false),
            Err(error) if self.report.status == TableStatus::Unchanged && !self.has_moved => Err(error),
            Err(_) => {
                self.report.warnings.push("the run's time was up; the next run goes on from here".to_owned());
                Ok(true)
            }
        }
    }

    /// One window: read, claimed, published and committed; or, without changes, only the position moved on.
    async fn window(&mut self, cursor: &mut Cursor) -> Result<Step<()>> {
        let shared = self.shared;
        let claimed = cursor.claim.as_ref().map(|claim| self.claimed(claim)).transpose()?;
        let Some(Turn { instance, end }) =
            turn(&self.tracked.instances, cursor.position, claimed.unwrap_or(shared.fence))
        else {
            return Err(self.uncovered(cursor).await);
        };
        if instance.source_object_id != cursor.captured.instance.source_object_id {
            return Err(self.replaced(cursor, instance));
        }
        self.check_low_end(cursor, instance).await?;
        let end = match claimed {
            Some(claimed) if claimed == end => end,
            Some(_) => return Err(self.claim_outdated(cursor)),
            None => ask(shared.run, || shared.server().window_end(cursor.position, end, WINDOW_TRANSACTIONS))
                .await?
                .min(end),
        };
        let window = Window {
            instance,
            range: LsnRange { from: cursor.position.next(), to: end },
            images: self.tracked.options.images,
            whole: claimed.is_some(),
            overlap_until: cursor.captured.overlap_until,
        };
        let mut steps = self.steps();
        let read = match window::read(shared, window).await {
            Ok(read) => read,
            Err(error) => return Err(self.classified(cursor, instance, error).await),
        };
        if read.counts.rows() > 0 {
            let ChangeCounts { inserted, updated, deleted, .. } = read.counts;
            steps.counted("window read", read.counts.rows(), [inserted, updated, deleted]);
        }
        // The clean-up job may have removed a part of the range while it was being read.
        self.check_low_end(cursor, instance).await?;
        self.store(cursor, instance, read).await
    }

    /// The steps of this table from here on.
    pub(super) fn steps(&self) -> Steps {
        Steps::of(self.report.name.as_str(), self.shared.run.request.run_at.into())
    }

    pub(super) fn count(&mut self, counts: ChangeCounts) {
        self.report.status = TableStatus::Changed;
        self.report.inserted += counts.inserted;
        self.report.updated += counts.updated;
        self.report.deleted += counts.deleted;
    }

    pub(super) fn published(&mut self, key: String, bytes: u64) {
        self.report.bytes_written += bytes;
        self.report.cdc_keys.push(key.clone());
        self.report.cdc_key = Some(key);
    }

    fn busy(&mut self, why: &str) {
        if self.report.status == TableStatus::Unchanged {
            self.report.status = TableStatus::Busy;
        }
        self.report.warnings.push(format!("{why}; the next run does what is left"));
    }

    pub(super) fn name(&self) -> &str {
        self.place.table()
    }

    pub(super) fn require_time(&self, needed: Duration) -> Result<()> {
        self.shared.run.require_time(needed)
    }
}
