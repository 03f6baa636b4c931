//! One table of a run: enter, compare, claim, publish, checkpoint, commit.

use std::time::{Duration, Instant};

use super::Run;
use super::compare::{Comparison, Job, Stamp, compare};
use crate::error::{Error, Result};
use crate::lake::base::{Base, BaseOutline};
use crate::lake::commit::{Entry, StateVersion, Step, TableLog};
use crate::lake::footer::Footer;
use crate::lake::layout;
use crate::lake::state::Head;
use crate::position::Position;
use crate::report::{TableReport, TableStatus};
use crate::table::{TableSchema, TableSpec};

/// How often a run enters a table anew after losing a race for its state.
const ENTRIES: u32 = 3;

/// The time that storing the results may take at the least, and the slowest rate of upload reckoned with.
const STORE_TIME: Duration = Duration::from_secs(5);
const UPLOAD_BYTES_PER_SECOND: u64 = 4 * 1024 * 1024;

/// How one entry ended.
enum Ended {
    Reported(Box<TableReport>),
    /// Another run changed the state between our reading and our claim.
    RaceLost,
}

/// Runs one table to its report; an error becomes part of it.
pub(super) async fn run(run: &Run<'_>, spec: &TableSpec, state: Result<StateVersion>) -> TableReport {
    let started = Instant::now();
    let mut report = match attempts(run, spec, state).await {
        Ok(report) => report,
        Err(error) => TableReport::failed(spec.name.as_str(), error),
    };
    report.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    log(&report);
    report
}

async fn attempts(run: &Run<'_>, spec: &TableSpec, state: Result<StateVersion>) -> Result<TableReport> {
    let log = TableLog::new(run.store, &spec.name, &run.runner);
    let mut state = state?;
    for _ in 0..ENTRIES {
        match enter(run, spec, &log, &state).await? {
            Ended::Reported(report) => return Ok(*report),
            Ended::RaceLost => state = run.state(spec).await?,
        }
    }
    let mut report = TableReport::new(spec.name.as_str(), TableStatus::Busy);
    report.warnings.push("other runs kept changing the table's state; the next run does what is left".to_owned());
    Ok(report)
}

async fn enter(run: &Run<'_>, spec: &TableSpec, log: &TableLog<'_>, state: &StateVersion) -> Result<Ended> {
    if run.is_current(state) {
        return Ok(unchanged(spec, state));
    }
    run.require_time(STORE_TIME)?;
    let claim = match run.within_deadline(entry(run, log, state)).await? {
        Entry::Busy(claim) => {
            return Ok(busy(spec, &format!("run {} holds the table until {}", claim.owner, claim.expires)));
        }
        Entry::Resume(claim) => Some(claim),
        Entry::Free => None,
    };
    let outline = run.within_deadline(BaseOutline::read(run.store, &spec.name)).await?;
    if claim.as_ref().is_some_and(|claim| !log.still_ours(claim, &outline)) {
        return Ok(busy(spec, "another run has overtaken this one"));
    }
    let position = claim.as_ref().map_or(Some(run.position.clone()), |claim| claim.position.clone());
    let stamp = Stamp {
        run_at: claim.as_ref().map_or_else(|| log.place(state, &outline), |claim| claim.run_at),
        owner: run.runner.owner.clone(),
        position,
        previous_run_at: outline.newest().map(|footer| footer.run_at),
    };
    let stored = stored_schema(state, &outline);
    let found = compare_with_base(run, spec, &outline, stored.cloned(), &stamp).await?;
    let mut report = summary(spec, &found, &stamp);
    report.warnings.extend(outline.changes().map(|(key, footer)| completed(key, footer)));
    let writes = found.differs_from(outline.schema()) || outline.needs_checkpoint() || outline.full_load.is_none();
    if run.request.dry_run {
        return Ok(Ended::Reported(Box::new(report)));
    }
    run.require_time(STORE_TIME + upload_time(&found))?;
    let stored = run.within_deadline(store(log, state, claim.is_some(), &outline, &found, &stamp, writes)).await?;
    match stored {
        Stored::Committed => {}
        Stored::RaceLost => return Ok(Ended::RaceLost),
        Stored::Overtaken => return Ok(busy(spec, "another run has overtaken this one")),
    }
    report.cdc_key = found.cdc.is_some().then(|| layout::cdc(&spec.name, stamp.run_at));
    report.full_load_key = writes.then(|| layout::full_load(&spec.name));
    Ok(Ended::Reported(Box::new(report)))
}

/// The schema of the base. Where only the source's order of columns moved on since, no file tells, but the head does.
fn stored_schema<'a>(state: &'a StateVersion, outline: &'a BaseOutline) -> Option<&'a TableSchema> {
    let base = outline.newest()?;
    let head = state.state.head.as_ref().filter(|head| head.run_at == base.run_at);
    Some(head.map(|head| &head.schema).filter(|schema| schema.columns == base.schema.columns).unwrap_or(&base.schema))
}

/// A dry run looks on as if the claim in its way had ended; fencing it would be a write.
async fn entry(run: &Run<'_>, log: &TableLog<'_>, state: &StateVersion) -> Result<Entry> {
    if run.request.dry_run { Ok(Entry::Free) } else { log.enter(state).await }
}

/// Fetches both snapshots and compares them on a blocking thread.
async fn compare_with_base(
    run: &Run<'_>,
    spec: &TableSpec,
    outline: &BaseOutline,
    stored: Option<TableSchema>,
    stamp: &Stamp,
) -> Result<Comparison> {
    let position = stamp.position.as_ref().unwrap_or(&run.position);
    let archive = run.snapshot(position).await?;
    let base = run.within_deadline(Base::fetch(run.store, &spec.name, outline, &run.workspace)).await?;
    let (deadline, progress) = (run.request.deadline, run.progress.rows(spec.name.as_str()));
    let job = Job {
        spec: spec.clone(),
        file: archive.table(&spec.name, &run.workspace)?,
        base,
        stored,
        stamp: stamp.clone(),
        approve_deletes: run.request.approve_deletes.covers(&spec.name),
        workspace: run.workspace.clone(),
        progress,
        deadline,
    };
    tokio::task::spawn_blocking(move || compare(&job)).await.map_err(|error| {
        Error::internal("Panic", "the comparison ended in a panic; nothing was published").caused_by(error)
    })?
}

enum Stored {
    Committed,
    RaceLost,
    Overtaken,
}

/// Steps 2 to 5 of the protocol. Every line of it may be the last one that runs.
async fn store(
    log: &TableLog<'_>,
    state: &StateVersion,
    resumed: bool,
    outline: &BaseOutline,
    found: &Comparison,
    stamp: &Stamp,
    writes: bool,
) -> Result<Stored> {
    let mut held = state.clone();
    let mut etag = outline.etag().cloned();
    if writes && !resumed {
        match log.claim(state, stamp.run_at, stamp.position.clone()).await? {
            Step::Done(claimed) => held = claimed,
            Step::Overtaken => return Ok(Stored::RaceLost),
        }
    }
    if let Some((payload, footer)) = &found.cdc {
        match log.publish(payload, footer).await? {
            Step::Done(()) => {}
            Step::Overtaken => return Ok(Stored::Overtaken),
        }
    }
    if writes {
        let (payload, footer) = &found.full_load;
        match log.checkpoint(payload, footer, outline.etag()).await? {
            Step::Done(written) => etag = Some(written),
            Step::Overtaken => tracing::info!(run_at = %stamp.run_at, "the full load is newer already"),
        }
    }
    let head = Head {
        run_at: if writes { stamp.run_at } else { stamp.previous_run_at.unwrap_or(stamp.run_at) },
        position: stamp.position.clone(),
        full_load_etag: etag,
        rows: found.counts.rows,
        row_set_hash: found.set_hash.to_hex(),
        schema: found.schema.clone(),
    };
    match log.commit(&held, head).await? {
        Step::Overtaken if !writes => Ok(Stored::RaceLost),
        Step::Done(()) | Step::Overtaken => Ok(Stored::Committed),
    }
}

fn upload_time(found: &Comparison) -> Duration {
    let cdc = found.cdc.as_ref().map_or(0, |(payload, _)| payload.len());
    Duration::from_secs((cdc + found.full_load.0.len()) / UPLOAD_BYTES_PER_SECOND)
}

fn summary(spec: &TableSpec, found: &Comparison, stamp: &Stamp) -> TableReport {
    let counts = found.counts;
    let changed = found.cdc.is_some() || counts.silent > 0 || !found.schema_changes.is_empty();
    tracing::debug!(table = %spec.name, run_at = %stamp.run_at, "compared");
    TableReport {
        rows: counts.rows,
        inserted: counts.inserted,
        updated: counts.updated,
        deleted: counts.deleted,
        silent_changes: counts.silent,
        dropped_rows: counts.dropped,
        schema_changes: found.schema_changes.clone(),
        warnings: found.warnings.clone(),
        ..TableReport::new(spec.name.as_str(), if changed { TableStatus::Changed } else { TableStatus::Unchanged })
    }
}

/// What an earlier run published without getting to the full load: this one's counts do not hold it again.
fn completed(key: &str, footer: &Footer) -> String {
    let Footer { inserted, updated, deleted, .. } = footer;
    format!(
        "completed a run that had stopped after publishing {inserted} inserts, {updated} updates and {deleted} deletes in {key}"
    )
}

fn unchanged(spec: &TableSpec, state: &StateVersion) -> Ended {
    let rows = state.state.head.as_ref().map_or(0, |head| head.rows);
    Ended::Reported(Box::new(TableReport { rows, ..TableReport::new(spec.name.as_str(), TableStatus::Unchanged) }))
}

fn busy(spec: &TableSpec, why: &str) -> Ended {
    let warnings = vec![format!("{why}; nothing was written, the next run does what is left")];
    Ended::Reported(Box::new(TableReport { warnings, ..TableReport::new(spec.name.as_str(), TableStatus::Busy) }))
}

fn log(report: &TableReport) {
    let TableReport { name, status, rows, inserted, updated, deleted, silent_changes, elapsed_ms, .. } = report;
    match &report.error {
        Some(error) => tracing::error!(
            table = name, kind = error.kind().name(), code = error.code(), error = %error.chain(), hint = error.advice(), elapsed_ms,
            "table failed"
        ),
        None => tracing::info!(
            table = name,
            status = status.name(),
            rows,
            inserted,
            updated,
            deleted,
            silent_changes,
            elapsed_ms,
            "table done"
        ),
    }
}

impl Run<'_> {
    /// Whether the table is at the run's position and nothing is pending.
    fn is_current(&self, state: &StateVersion) -> bool {
        let at = |position: &Position| {
            state.state.head.as_ref().is_some_and(|head| head.position.as_ref() == Some(position))
        };
        !self.request.force && state.state.pending.is_none() && at(&self.position)
    }
}
