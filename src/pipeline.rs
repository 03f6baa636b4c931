//! The program: what a run does, in the order in which it does it.

mod changes;
mod compare;
mod fetch;
mod files;
mod output;
mod planned;
mod publish;
mod schema;
mod steps;
mod table;
mod uploads;

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::future::join_all;
use tokio::sync::Mutex;

pub use self::planned::{Finish, Plan, finish, plan};
use crate::error::{Error, Result};
use crate::lake::commit::{LONGEST_CLAIM, Runner, StateVersion, TableLog};
use crate::lake::layout::{self, RunTime};
use crate::lake::store::{Condition, ObjectStore, Payload, Put, read_all};
use crate::position::Position;
use crate::report::{Report, SourceReport, TableReport, TableStatus};
use crate::request::{Deadline, Request, out_of_time};
use crate::source::Source;
use crate::source::archive::Archive;
use crate::source::kaggle::{Awaited, version_overdue};
use crate::table::TableSpec;
use crate::telemetry;
use crate::workspace::Workspace;

/// How long a claim holds beside the time of the upload. It is made when all is ready to be stored, so that a run that
/// dies keeps others waiting for no longer than this.
const CLAIM_TIME: Duration = Duration::from_secs(120);

/// Keeping the report may take so long, at the most: nothing depends on it.
const REPORT_TIME: Duration = Duration::from_secs(5);

/// The greatest size of a report, in bytes.
const REPORT_LIMIT: u64 = 64 * 1024 * 1024;

/// What nothing depends on is tried also when the time is up, for so much of the shell's margin.
const LATE_TIME: Duration = Duration::from_millis(250);

/// Told how a run gets on.
pub trait Progress: Send + Sync {
    /// Bytes downloaded so far, and how many there are in all where that is known.
    fn download(&self, done: u64, total: Option<u64>);

    /// A counter for the rows of a table, called with how many more were read.
    fn rows(&self, table: &str) -> Box<dyn Fn(u64) + Send + Sync>;
}

/// Nobody is watching.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn download(&self, _done: u64, _total: Option<u64>) {}

    fn rows(&self, _table: &str) -> Box<dyn Fn(u64) + Send + Sync> {
        Box::new(|_| {})
    }
}

/// Brings the tables of the lake in `store` to the newest snapshot of `source`, or to the end of the changes that it has
/// captured. `tables` are those of a source of snapshots; another one knows its own.
///
/// Faults of single tables are part of the report. An error is what keeps every table from being done: the configuration,
/// the credentials, the source.
pub async fn run(
    request: &Request,
    tables: &[TableSpec],
    source: &Source,
    store: &dyn ObjectStore,
    temporary: &Path,
    progress: &dyn Progress,
) -> Result<Report> {
    let started = Instant::now();
    let asked = Asked { request, source, store, temporary, progress, started };
    if let Source::SqlServer(sqlserver) = source {
        return Box::pin(changes::run(&asked, sqlserver)).await;
    }
    let tables = request.select(tables)?;
    let newest = async {
        match &request.planned {
            Some(position) => Ok(position.clone()),
            None => source.position(request.deadline).await,
        }
    };
    let position = match newest.await {
        Err(error) if is_not_ready(&error) => return not_ready(&asked, &tables, &error).await,
        position => position?,
    };
    let (run_at, elapsed_ms) = (RunTime::new(request.run_at), steps::milliseconds(started));
    tracing::info!(%run_at, source = source.name(), %position, elapsed_ms, "version found");
    let workspace = Workspace::create(temporary)?;
    let run = Run { request, source, store, progress, position, workspace, started, snapshots: Mutex::default() };
    let states = join_all(tables.iter().map(|spec| run.state(spec))).await;
    let is_behind = |(spec, state): &(&&TableSpec, &Result<StateVersion>)| {
        state.as_ref().is_ok_and(|state| run.is_behind(spec, state))
    };
    if let Some((spec, _)) = tables.iter().zip(&states).find(is_behind) {
        match run.snapshot(spec, &run.position).await {
            Err(error) if is_not_ready(&error) => return not_ready(&asked, &tables, &error).await,
            snapshot => drop(snapshot?),
        }
    }
    let mut reports = Vec::with_capacity(tables.len());
    for (spec, state) in tables.into_iter().zip(states) {
        reports.push(table::run(&run, spec, state).await);
    }
    let report = report(request, source, Some(run.position.clone()), reports, started);
    run.keep(&report).await;
    Ok(report)
}

/// A run as it was asked for.
struct Asked<'a> {
    request: &'a Request,
    source: &'a Source,
    store: &'a dyn ObjectStore,
    temporary: &'a Path,
    progress: &'a dyn Progress,
    started: Instant,
}

impl<'a> Asked<'a> {
    /// The run, towards `position`.
    fn run(&self, position: Position) -> Result<Run<'a>> {
        let Self { request, source, store, temporary, progress, started } = *self;
        let workspace = Workspace::create(temporary)?;
        Ok(Run { request, source, store, progress, position, workspace, started, snapshots: Mutex::default() })
    }
}

/// What the steps of one run share.
struct Run<'a> {
    request: &'a Request,
    source: &'a Source,
    store: &'a dyn ObjectStore,
    progress: &'a dyn Progress,
    position: Position,
    workspace: Workspace,
    started: Instant,
    snapshots: Mutex<HashMap<Position, Archive>>,
}

impl Run<'_> {
    async fn state(&self, spec: &TableSpec) -> Result<StateVersion> {
        let runner = self.runner(Duration::ZERO);
        self.within_deadline(TableLog::new(self.store, &spec.name, &runner).read_state()).await
    }

    /// This run at this moment, with claims that hold until an upload of that length is surely over.
    fn runner(&self, upload: Duration) -> Runner {
        let now = self.request.now + TimeDelta::from_std(self.started.elapsed()).unwrap_or_default();
        let holds =
            TimeDelta::from_std(CLAIM_TIME + upload * 2).map_or(LONGEST_CLAIM, |holds| holds.min(LONGEST_CLAIM));
        Runner {
            owner: self.request.identity.clone(),
            run_at: RunTime::new(self.request.run_at),
            now,
            expires: now + holds,
        }
    }

    /// Whether the table needs the newest snapshot.
    fn is_behind(&self, spec: &TableSpec, state: &StateVersion) -> bool {
        !self.is_current(spec, state) && (self.request.adopt_source || self.is_source_of(state))
    }

    /// The snapshot at `position`, or the part of it that a run of one planned table needs, fetched once.
    async fn snapshot(&self, spec: &TableSpec, position: &Position) -> Result<Archive> {
        let mut snapshots = self.snapshots.lock().await;
        if let Some(archive) = snapshots.get(position) {
            return Ok(archive.clone());
        }
        let (started, bytes) = (Instant::now(), AtomicU64::new(0));
        let progress = |done, total| {
            bytes.store(done, Ordering::Relaxed);
            self.progress.download(done, total);
        };
        let deadline = self.request.deadline;
        let archive = match self.request.planned_table() {
            Some(_) => self.source.snapshot_of(spec, position, &self.workspace, deadline, &progress).await?,
            None => self.source.snapshot(position, &self.workspace, deadline, &progress).await?,
        };
        let (run_at, elapsed_ms) = (RunTime::new(self.request.run_at), steps::milliseconds(started));
        tracing::info!(%run_at, %position, bytes = bytes.into_inner(), elapsed_ms, "snapshot fetched");
        snapshots.insert(position.clone(), archive.clone());
        Ok(archive)
    }

    /// Refuses to start what cannot be finished before the deadline.
    fn require_time(&self, needed: Duration) -> Result<()> {
        if self.request.deadline.allows(needed) {
            return Ok(());
        }
        let least = (self.started.elapsed() + needed).as_millis().div_ceil(1000);
        let seconds = if least == 1 { "second" } else { "seconds" };
        Err(out_of_time().hint(format!(
            "the next run does what is left; to get further than this one, a run needs at least {least} {seconds}: raise the timeout"
        )))
    }

    /// Breaks off at the deadline. What was begun is completed, or undone, by the next run.
    async fn within_deadline<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.request.deadline.bound(work).await
    }

    /// The deadline for what nothing depends on: at most `longest`, and a little when the run's time is up.
    fn late(&self, longest: Duration) -> Deadline {
        late(self.request.deadline, longest)
    }

    /// Keeps the report of a run that wrote something. Of a planned run, the last step does.
    async fn keep(&self, report: &Report) {
        if self.request.planned.is_none() {
            keep(report, self.store, self.request.deadline).await;
        }
    }
}

/// The deadline for what nothing depends on.
fn late(deadline: Deadline, longest: Duration) -> Deadline {
    let left = deadline.remaining().unwrap_or(longest);
    Deadline::within(left.clamp(LATE_TIME, longest))
}

/// Keeps the report of a run that wrote something. The data are safe already, so a fault here is only a warning.
async fn keep(report: &Report, store: &dyn ObjectStore, deadline: Deadline) {
    if !report.published() {
        return;
    }
    if let Err(error) = late(deadline, REPORT_TIME).bound(write_report(report, store)).await {
        tracing::warn!(error = %error.chain(), "the run's report could not be kept in the lake");
    }
}

/// Creates the report under the run's time, or under the next free second where a retry finds that taken by another report.
async fn write_report(report: &Report, store: &dyn ObjectStore) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(report)
        .map_err(|error| Error::internal("ReportUnwritable", "cannot write the report").caused_by(error))?;
    let payload = Payload::Memory(Bytes::from(bytes.clone()));
    let mut run_at = report.run_at;
    while store.put(&layout::run(run_at), &payload, &Condition::Absent).await? == Put::Refused {
        let there = read_all(store, &layout::run(run_at), REPORT_LIMIT).await?;
        if there.is_some_and(|(there, _)| there == bytes) {
            return Ok(());
        }
        run_at = run_at.next();
    }
    Ok(())
}

fn is_not_ready(error: &Error) -> bool {
    error.code() == "VersionNotReady"
}

/// A new version whose archive is not there yet is an outcome, not a failure: the next run finds it. It is no success either:
/// the time since the last one goes on growing. Once it has lasted for too long, the tables fail.
async fn not_ready(asked: &Asked<'_>, tables: &[&TableSpec], error: &Error) -> Result<Report> {
    tracing::warn!(error = %error.chain(), "the source is not ready");
    // None of them is read towards a position: only their states are looked at.
    let run = asked.run(Position::Version(0))?;
    let awaited = asked.source.awaited(asked.request.deadline).await.ok().flatten();
    let reports = join_all(tables.iter().map(|spec| waiting(&run, spec, awaited, error))).await;
    reports.iter().for_each(|report| table::log(report, asked.request.run_at.into()));
    Ok(report(asked.request, asked.source, None, reports, asked.started))
}

/// The report of a table that waits for a version.
async fn waiting(run: &Run<'_>, spec: &TableSpec, awaited: Option<Awaited>, error: &Error) -> TableReport {
    let state = run.state(spec).await.ok();
    let committed_before = state.as_ref().and_then(table::committed);
    let position = state.as_ref().and_then(StateVersion::position);
    let since = awaited.and_then(|awaited| awaited.since(committed_before.map(RunTime::time), position));
    let waited = since.and_then(|since| (run.request.run_at - since).to_std().ok()).unwrap_or_default();
    let report = if run.source.patience().is_some_and(|patience| waited > patience) {
        TableReport::failed(spec.name.as_str(), version_overdue(error, waited))
    } else {
        let warnings = vec![error.chain()];
        TableReport { warnings, ..TableReport::new(spec.name.as_str(), TableStatus::NotReady) }
    };
    TableReport { committed_before, waiting_since: since, ..report }
}

fn report(
    request: &Request,
    source: &Source,
    position: Option<Position>,
    tables: Vec<TableReport>,
    started: Instant,
) -> Report {
    Report {
        run_at: RunTime::new(request.run_at),
        source: SourceReport { kind: source.kind().into(), name: source.name(), position },
        status: Report::status_of(&tables),
        dry_run: request.dry_run,
        capture_age_seconds: None,
        tables,
        elapsed_ms: steps::milliseconds(started),
        peak_rss_bytes: telemetry::peak_rss_bytes(),
    }
}
