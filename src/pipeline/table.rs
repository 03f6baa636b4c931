//! One table of a run: enter, compare, claim, publish, checkpoint, commit.

use std::time::{Duration, Instant};

use super::Run;
use super::compare::{Comparison, Stamp};
use super::fetch::{Compared, compare_with_base};
use super::output::UnboundFingerprints;
use super::publish::{Publication, Published};
use super::steps::{Steps, milliseconds};
use crate::error::{Error, Kind, Result};
use crate::lake::commit::{Entry, StateVersion, Step, TableLog};
use crate::lake::fingerprints::{Fingerprints, Origin, WORTH_KEEPING_ROWS};
use crate::lake::footer::Footer;
use crate::lake::gap::expect_whole;
use crate::lake::layout::{self, Place, RunTime};
use crate::lake::outline::{BaseOutline, expect_key};
use crate::lake::state::Head;
use crate::lake::store::{ETag, Stages};
use crate::position::Position;
use crate::report::{TableReport, TableStatus};
use crate::request::outside;
use crate::table::{Provenance, TableSchema, TableSpec, UpdateDetection};

/// How often a run enters a table anew after losing a race for its state.
const ENTRIES: u32 = 3;

/// The time that storing the results may take at the least: some answers of the store, each in good time.
const STORE_TIME: Duration = Duration::from_millis(500);

/// How one entry ended.
enum Ended {
    Reported(Box<TableReport>),
    /// Another run changed the state between our reading and our claim.
    RaceLost,
}

impl From<TableReport> for Ended {
    fn from(report: TableReport) -> Self {
        Self::Reported(Box::new(report))
    }
}

/// Runs one table to its report; an error becomes part of it.
pub(super) async fn run(run: &Run<'_>, spec: &TableSpec, state: Result<StateVersion>) -> TableReport {
    let started = Instant::now();
    let committed_before = state.as_ref().ok().and_then(committed);
    let mut report = match Box::pin(attempts(run, spec, state)).await {
        Ok(report) => report,
        Err(error) => TableReport::failed(spec.name.as_str(), error),
    };
    (report.committed_before, report.elapsed_ms) = (committed_before, milliseconds(started));
    log(&report, run.request.run_at.into());
    report
}

/// The time of the newest committed run of the table with this state.
pub(super) fn committed(state: &StateVersion) -> Option<RunTime> {
    state.state.head.as_ref().map(|head| head.run_at).filter(|run_at| *run_at != RunTime::NEVER)
}

async fn attempts(run: &Run<'_>, spec: &TableSpec, state: Result<StateVersion>) -> Result<TableReport> {
    let mut state = state?;
    for _ in 0..ENTRIES {
        match Box::pin(enter(run, spec, &state)).await {
            Ok(Ended::Reported(report)) => return Ok(*report),
            Ok(Ended::RaceLost) => {}
            Err(error) if is_lost_race(&error) => {
                tracing::info!(table = %spec.name, error = %error.chain(), "another run was faster; entering the table anew");
            }
            Err(error) => return Err(error),
        }
        state = run.state(spec).await?;
    }
    Ok(busy(spec, "other runs kept changing the table's state"))
}

/// Whether another run replaced what this one was reading, or aborted what it was uploading. What is there now has to be
/// read, and compared with, instead.
pub(super) fn is_lost_race(error: &Error) -> bool {
    matches!(error.code(), "FullLoadMoved" | "ObjectChanged" | "UploadAborted")
        && matches!(error.kind(), Kind::Conflict | Kind::Transient)
}

async fn enter(run: &Run<'_>, spec: &TableSpec, state: &StateVersion) -> Result<Ended> {
    if run.is_current(spec, state) {
        return adopt(run, spec, state).await;
    }
    if !run.is_source_of(state) {
        run.refuse_other_source(spec, source_of(state))?;
    }
    run.require_time(STORE_TIME)?;
    if run.is_outdated(state).await? {
        return Ok(busy(spec, "the table is at a newer version of the source than this run").into());
    }
    let runner = run.runner(Duration::ZERO);
    let log = TableLog::new(run.store, &spec.name, &runner);
    let (claim, fenced) = match run.within_deadline(entry(run, &log, state)).await? {
        Entry::Busy(claim) => {
            return Ok(busy(spec, &format!("run {} holds the table until {}", claim.owner, claim.expires)).into());
        }
        Entry::Resume(claim) => (Some(claim), None),
        Entry::Fenced(object) => (None, Some(*object)),
        Entry::Free => (None, None),
    };
    let outline = run.within_deadline(outline(run, spec)).await?;
    if let Some((key, _)) = &fenced {
        run.abort_uploads(spec, key).await;
    }
    let mut outline = fenced.iter().cloned().fold(outline, BaseOutline::with);
    outline.newest().map_or(Ok(()), |footer| expect_key(footer, &spec.pk))?;
    if let Err(gap) = expect_whole(&outline, spec, state.state.head.as_ref()) {
        // Full load and log are read one after the other: what looks like a gap may be a run that came between.
        return if run.state(spec).await? == *state { Err(gap) } else { Ok(Ended::RaceLost) };
    }
    // Changes that were silent so far are published now that every change is to be.
    if spec.update_detection == UpdateDetection::Content && outline.has_silent_rows() {
        let log = run.within_deadline(BaseOutline::read_all(run.store, &spec.name)).await?;
        outline = fenced.into_iter().fold(log.without_full_load(), BaseOutline::with);
    }
    if claim.as_ref().is_some_and(|claim| !log.still_ours(claim, &outline)) {
        return Ok(busy(spec, "another run has overtaken this one").into());
    }
    // A head knows better: it may have adopted another source without a change that an object would tell of.
    if state.state.head.is_none() {
        run.refuse_other_source(spec, outline.newest().and_then(|footer| footer.provenance.source.as_deref()))?;
    }
    let known = provenance(state, &outline).source;
    let stamp = Stamp {
        source: run.source.identity().or(known),
        settings: spec.digest(),
        run_at: claim.as_ref().map_or_else(|| log.place(state, &outline), |claim| claim.run_at),
        owner: run.request.identity.clone(),
        position: claim.as_ref().map_or(Some(run.position.clone()), |claim| claim.position.clone()),
        previous_run_at: outline.newest().map(|footer| footer.run_at),
        log_begins_after: outline.inherited.last_cdc_key.clone().filter(|_| !outline.says_where_it_begins()),
    };
    // What is not stored is taken back, whatever becomes of the rest.
    let (stages, underway) = Stages::open(run.store, !run.request.dry_run);
    let started = Start { state, resumed: claim.is_some(), outline: &outline, stamp: &stamp };
    let ended = Box::pin(compare_and_store(run, spec, &started, stages)).await;
    run.settle(spec, underway).await;
    let Stored { ended, in_parts, .. } = ended?;
    if in_parts {
        run.abort_superseded(&Place::from(&spec.name), &layout::full_load(&spec.name)).await;
    }
    Ok(ended)
}

/// The table is where the run would bring it. A state that does not know its source yet learns it, once.
async fn adopt(run: &Run<'_>, spec: &TableSpec, state: &StateVersion) -> Result<Ended> {
    let identity = run.source.identity().filter(|_| source_of(state).is_none() && !run.request.dry_run);
    if let (Some(source), Some(head)) = (identity, &state.state.head) {
        let runner = run.runner(Duration::ZERO);
        let provenance = Provenance { source: Some(source), ..head.provenance.clone() };
        let log = TableLog::new(run.store, &spec.name, &runner);
        let head = Head { provenance, ..head.clone() };
        if run.within_deadline(log.commit(state, head)).await? == Step::Overtaken {
            return Ok(Ended::RaceLost);
        }
    }
    Ok(unchanged(spec, state).into())
}

/// The source that the state was read from, as far as it knows.
fn source_of(state: &StateVersion) -> Option<&str> {
    state.state.head.as_ref()?.provenance.source.as_deref()
}

/// Where a run begins with a table.
struct Start<'a> {
    state: &'a StateVersion,
    /// Whether the claim in the state is ours already.
    resumed: bool,
    outline: &'a BaseOutline,
    stamp: &'a Stamp,
}

/// What an entry has stored.
struct Stored {
    ended: Ended,
    /// The tag of the full load, if it is ours.
    full_load: Option<ETag>,
    /// Whether objects that came in parts are committed, and the full load and the head are ours.
    in_parts: bool,
}

impl Stored {
    fn nothing(ended: impl Into<Ended>) -> Self {
        Self { ended: ended.into(), full_load: None, in_parts: false }
    }
}

async fn compare_and_store(run: &Run<'_>, spec: &TableSpec, start: &Start<'_>, stages: Stages) -> Result<Stored> {
    let Start { state, resumed, outline, stamp } = *start;
    let stored = stored_schema(state, outline);
    let mut steps = Steps::of(spec.name.as_str(), stamp.run_at);
    let before = provenance(state, outline);
    let compared = Box::pin(compare_with_base(run, spec, outline, stored.cloned(), &before, stamp, stages)).await?;
    let Compared { found, fingerprints, replaced } = compared;
    let counts = found.counts;
    steps.counted("compared", counts.rows, [counts.inserted, counts.updated, counts.deleted]);
    let publication = Publication { state, resumed, outline, found: &found, stamp };
    let stored = finish(run, spec, &publication).await?;
    if let Some(etag) = stored.full_load.clone().filter(|_| fingerprints.rows() >= WORTH_KEEPING_ROWS) {
        let origin = Origin::new(etag, &spec.pk, found.schema.order(spec));
        keep(run, spec, fingerprints, &origin, replaced).await;
    }
    Ok(stored)
}

/// Keeps the fingerprints of the full load for the next run, which is only slower without them.
async fn keep(
    run: &Run<'_>,
    spec: &TableSpec,
    fingerprints: UnboundFingerprints,
    origin: &Origin,
    replaced: Option<ETag>,
) {
    let kept = async {
        let payload = fingerprints.bind(origin)?;
        Fingerprints::keep(run.store, &spec.name, &payload, replaced).await
    };
    if let Err(error) = run.within_deadline(kept).await {
        tracing::warn!(table = %spec.name, error = %error.chain(), "the table's fingerprints could not be kept; the next run reads the full load");
    }
}

/// Stores what was found, unless it is only to be told.
async fn finish(run: &Run<'_>, spec: &TableSpec, publication: &Publication<'_>) -> Result<Stored> {
    let Publication { found, stamp, outline, .. } = *publication;
    let mut report = summary(spec, found);
    if let Some((_, rows)) = outline.inherited.full_load.as_ref().filter(|(_, rows)| *rows != found.counts.rows) {
        report.warnings.push(format!(
            "the full load that is replaced has {rows} rows: make sure that the files are those of the version published last"
        ));
    }
    report.warnings.extend(unfinished(publication.state, outline).map(|(key, footer)| completed(key, footer)));
    if run.request.dry_run {
        return Ok(Stored::nothing(report));
    }
    run.require_time(STORE_TIME + publication.upload_time())?;
    let runner = run.runner(publication.upload_time());
    let log = TableLog::new(run.store, &spec.name, &runner);
    let (full_load, is_head) = match run.within_deadline(publication.store(&log)).await? {
        Published::Committed { full_load, is_head } => (full_load, is_head),
        Published::RaceLost => return Ok(Stored::nothing(Ended::RaceLost)),
        Published::Overtaken => return Ok(Stored::nothing(busy(spec, "another run has overtaken this one"))),
    };
    report.cdc_key = found.cdc.is_some().then(|| layout::cdc(&spec.name, stamp.run_at));
    report.full_load_key = publication.writes().then(|| layout::full_load(&spec.name));
    report.bytes_written = if publication.writes() { publication.bytes() } else { 0 };
    let in_parts = is_head && full_load.is_some() && publication.is_in_parts(run.store);
    Ok(Stored { ended: report.into(), full_load, in_parts })
}

async fn outline(run: &Run<'_>, spec: &TableSpec) -> Result<BaseOutline> {
    if !run.request.inherits {
        return BaseOutline::read(run.store, &spec.name).await;
    }
    let outline = BaseOutline::read_inherited(run.store, &spec.name).await?;
    if let Some(key) = &outline.inherited.last_cdc_key {
        refuse_far_ahead(run, spec, key)?;
    }
    Ok(outline)
}

/// Every later object is named after the last one that is there, so that a name from a wrong clock would stay for ever.
fn refuse_far_ahead(run: &Run<'_>, spec: &TableSpec, key: &str) -> Result<()> {
    let time = layout::cdc_run_at(&spec.name, key).map(RunTime::time).filter(|time| *time > run.request.now);
    let Some(why) = time.and_then(|time| outside(time, run.request.now, run.request.allow_future)) else {
        return Ok(());
    };
    Err(Error::data("RunTimeAhead", format!("the time in the name of `{key}` {why}")).hint(
        "move the object away or rename it; if such names are meant, import with `--allow-future`: later ones are named after them",
    ))
}

/// The schema of the base. Where only the source's order of columns moved on since, no file tells, but the head does.
fn stored_schema<'a>(state: &'a StateVersion, outline: &'a BaseOutline) -> Option<&'a TableSchema> {
    let base = outline.newest()?;
    let head = state.state.head.as_ref().filter(|head| head.run_at == base.run_at);
    Some(head.map(|head| &head.schema).filter(|schema| schema.has_columns_of(&base.schema)).unwrap_or(&base.schema))
}

/// What the base was read from. The head knows it of the newest run, also of one that wrote no object.
fn provenance(state: &StateVersion, outline: &BaseOutline) -> Provenance {
    let head = state.state.head.as_ref().map(|head| &head.provenance).filter(|provenance| !provenance.is_unknown());
    head.or(outline.newest().map(|footer| &footer.provenance)).cloned().unwrap_or_default()
}

/// A dry run looks on as if the claim in its way had ended; fencing it would be a write.
async fn entry(run: &Run<'_>, log: &TableLog<'_>, state: &StateVersion) -> Result<Entry> {
    if run.request.dry_run { Ok(Entry::Free) } else { log.enter(state).await }
}

fn summary(spec: &TableSpec, found: &Comparison) -> TableReport {
    let counts = found.counts;
    let changed = found.cdc.is_some() || counts.silent > 0 || !found.schema_changes.is_empty();
    TableReport {
        rows: counts.rows,
        inserted: counts.inserted,
        updated: counts.updated,
        deleted: counts.deleted,
        silent_changes: counts.silent,
        dropped_rows: counts.dropped,
        row_set_hash: Some(found.set_hash.to_hex()),
        schema_changes: found.schema_changes.clone(),
        warnings: found.warnings.clone(),
        ..TableReport::new(spec.name.as_str(), if changed { TableStatus::Changed } else { TableStatus::Unchanged })
    }
}

/// The objects of runs that stopped before they committed: those after the head. Without a state nothing tells of a run that
/// has not ended, unless a full load is behind the log.
fn unfinished<'a>(
    state: &StateVersion,
    outline: &'a BaseOutline,
) -> impl Iterator<Item = &'a (String, Footer)> + use<'a> {
    let (head, is_known) = (committed(state), state.state.pending.is_some() || outline.full_load.is_some());
    outline.changes().filter(move |(_, footer)| head.map_or(is_known, |head| footer.run_at > head))
}

/// What an earlier run published without getting to the full load: this one's counts do not hold it again.
fn completed(key: &str, footer: &Footer) -> String {
    let Footer { inserted, updated, deleted, .. } = footer;
    format!(
        "completed a run that had stopped after publishing {inserted} inserts, {updated} updates and {deleted} deletes in {key}"
    )
}

pub(super) fn unchanged(spec: &TableSpec, state: &StateVersion) -> TableReport {
    let head = state.state.head.as_ref();
    let (rows, row_set_hash) = (head.map_or(0, |head| head.rows), head.map(|head| head.row_set_hash.clone()));
    TableReport { rows, row_set_hash, ..TableReport::new(spec.name.as_str(), TableStatus::Unchanged) }
}

fn busy(spec: &TableSpec, why: &str) -> TableReport {
    let warnings = vec![format!("{why}; nothing was written, the next run does what is left")];
    TableReport { warnings, ..TableReport::new(spec.name.as_str(), TableStatus::Busy) }
}

pub(super) fn log(report: &TableReport, run_at: RunTime) {
    let TableReport { name, status, rows, inserted, updated, deleted, silent_changes, elapsed_ms, .. } = report;
    match &report.error {
        Some(error) => tracing::error!(
            table = name, %run_at, kind = error.kind().name(), code = error.code(), error = %error.chain(), hint = error.advice(), elapsed_ms,
            "table failed"
        ),
        None => tracing::info!(
            table = name,
            %run_at,
            status = status.name(),
            rows,
            inserted,
            updated,
            deleted,
            silent_changes,
            bytes_written = report.bytes_written,
            elapsed_ms,
            "table done"
        ),
    }
}

impl Run<'_> {
    /// Whether the table is at the run's position, read by the same settings, and nothing is pending.
    pub(super) fn is_current(&self, spec: &TableSpec, state: &StateVersion) -> bool {
        let settings = state.state.head.as_ref().and_then(|head| head.settings.as_ref());
        !self.request.force
            && settings.is_none_or(|settings| *settings == spec.digest())
            && state.state.pending.is_none()
            && state.position() == Some(&self.position)
            && self.is_source_of(state)
    }

    /// Whether the state was read from this run's source, as far as both are known.
    pub(super) fn is_source_of(&self, state: &StateVersion) -> bool {
        source_of(state).is_none_or(|known| self.is_source(known))
    }

    fn is_source(&self, known: &str) -> bool {
        self.source.identity().is_none_or(|mine| mine.eq_ignore_ascii_case(known))
    }

    /// The rows of another source are no changes of this one, and its versions have the same numbers.
    fn refuse_other_source(&self, spec: &TableSpec, known: Option<&str>) -> Result<()> {
        let Some(known) = known.filter(|known| !self.request.adopt_source && !self.is_source(known)) else {
            return Ok(());
        };
        let (name, mine) = (&spec.name, self.source.identity().unwrap_or_default());
        let message = format!("table `{name}` of this lake was read from {known} so far, and this run reads {mine}");
        Err(Error::config("OtherSource", message).hint(
            "give the other source a lake of its own (another prefix, `--lake`); if it is the same data under another name, run \
             once with `--adopt-source` (`\"adopt_source\": true` in the event)",
        ))
    }

    /// Whether the source moved on since this run asked it: the table is at a newer version already, and going back to an
    /// older one would publish changes that the source never made. A newest version that was withdrawn is another matter.
    async fn is_outdated(&self, state: &StateVersion) -> Result<bool> {
        match (state.position(), &self.position) {
            (Some(Position::Version(head)), Position::Version(mine)) if head > mine => {
                Ok(self.source.newest(self.request.deadline).await? != self.position)
            }
            _ => Ok(false),
        }
    }
}
