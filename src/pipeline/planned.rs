//! A run that a state machine drives, one invocation per table: the plan before, and the report after them.
//!
//! The tables themselves go the way of every run ([`super::run`]), each towards the plan's position. The state machine repeats
//! what a retry can help, so any step may run twice: a plan only reads, a table's attempts are twins with one identity,
//! and the report is the same bytes under the same name.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Unwatched, changes, is_not_ready, keep, not_ready, report, table};
use crate::error::{Error, Kind, Result};
use crate::lake::layout::RunTime;
use crate::lake::store::ObjectStore;
use crate::position::Position;
use crate::report::{Report, SourceReport, TableReport};
use crate::request::Request;
use crate::source::Source;
use crate::source::sqlserver::faults::{Moment, idle};
use crate::table::TableSpec;
use crate::telemetry;

/// What a run has to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The run's time, and with it the identity of all of its steps.
    pub run_at: RunTime,
    /// Where the data come from, and the position that every table is to be brought to.
    pub source: SourceReport,
    /// The tables that are to be done.
    pub tables: Vec<String>,
    /// The reports of those for which nothing is to be done.
    pub done: Vec<TableReport>,
    /// The age of the newest commit that a database's capture job has read, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_age_seconds: Option<u64>,
    /// Duration in milliseconds.
    pub elapsed_ms: u64,
    /// The greatest resident memory of the process so far, in bytes.
    pub peak_rss_bytes: u64,
}

/// What became of a planned run, as the state machine collected it.
#[derive(Debug)]
pub struct Finish<'a> {
    /// What the plan answered.
    pub plan: Value,
    /// What the tables' steps answered, in any order: each a report of one table, or `{table, error, cause}` with the error's
    /// name and text. Of a table without a result nothing is known.
    pub results: Vec<Value>,
    /// The configured tables of a source of snapshots, in whose order they are reported.
    pub tables: &'a [TableSpec],
    /// After how long a database's capture job counts as standing still.
    pub idle_after: Option<Duration>,
}

/// How the step of one table ended.
#[derive(Deserialize)]
#[serde(untagged)]
enum Outcome {
    Report(Box<Report>),
    Failure { table: String, error: String, cause: Option<String> },
}

/// Says what a run has to do: asks the source for its position, and leaves out the tables that are there already.
pub async fn plan(
    request: &Request,
    tables: &[TableSpec],
    source: &Source,
    store: &dyn ObjectStore,
    temporary: &Path,
) -> Result<Plan> {
    let started = Instant::now();
    let asked = Asked { request, source, store, temporary, progress: &Unwatched, started };
    let plan = match source {
        Source::SqlServer(sqlserver) => Box::pin(changes::plan(&asked, sqlserver)).await?,
        Source::Kaggle { .. } | Source::Local { .. } => snapshots(&asked, request.select(tables)?).await?,
    };
    let Plan { run_at, source, tables, done, .. } = &plan;
    let position = source.position.as_ref().map(tracing::field::display);
    tracing::info!(%run_at, source = source.name, position, tables = tables.len(), done = done.len(), "run planned");
    Ok(plan)
}

/// Puts together the report of a planned run, and keeps it in the lake if the run wrote something.
///
/// # Errors
/// `InvalidEvent` (kind `Config`) where plan or results are not what the other steps answered; `CaptureIdle` (kind `Data`) as
/// the run of one invocation.
pub async fn finish(request: &Request, finish: Finish<'_>, store: &dyn ObjectStore) -> Result<Report> {
    let plan: Plan = serde_json::from_value(finish.plan).map_err(|error| foreign("plan", error))?;
    let known = finish.results.into_iter().filter(|result| !result.is_null());
    let outcomes = known.map(|result| serde_json::from_value(result).map_err(|error| foreign("results", error)));
    let mut reports = Reports::of(outcomes.collect::<Result<_>>()?);
    let mut tables = plan.done;
    tables.extend(plan.tables.iter().map(|name| reports.take(name)));
    tables.sort_by_key(|report| finish.tables.iter().position(|spec| spec.name.as_str() == report.name));
    let age = plan.capture_age_seconds.map(Duration::from_secs);
    if let Some(age) = age.filter(|age| finish.idle_after.is_some_and(|limit| *age > limit)) {
        let fence = plan.source.position.as_ref().and_then(Position::lsn).unwrap_or_default();
        changes::tell_idle(idle(Moment(fence, None), age), &mut tables)?;
    }
    let report = Report {
        run_at: plan.run_at,
        source: plan.source,
        status: Report::status_of(&tables),
        dry_run: request.dry_run,
        capture_age_seconds: plan.capture_age_seconds,
        tables,
        elapsed_ms: plan.elapsed_ms + reports.elapsed_ms,
        peak_rss_bytes: plan.peak_rss_bytes.max(reports.peak_rss_bytes),
    };
    keep(&report, store, request.deadline).await;
    Ok(report)
}

async fn snapshots(asked: &Asked<'_>, tables: Vec<&TableSpec>) -> Result<Plan> {
    let Asked { request, source, started, .. } = *asked;
    let position = match source.position(request.deadline).await {
        Err(error) if is_not_ready(&error) => {
            return Ok(plan_of(not_ready(asked, &tables, &error).await?, Vec::new()));
        }
        position => position?,
    };
    let run = asked.run(position.clone())?;
    let states = join_all(tables.iter().map(|spec| run.state(spec))).await;
    let (mut left, mut done) = (Vec::new(), Vec::new());
    for (spec, state) in tables.into_iter().zip(states) {
        match state {
            Ok(state) if run.is_current(spec, &state) => done.push(table::unchanged(spec, &state)),
            _ => left.push(spec.name.to_string()),
        }
    }
    done.iter().for_each(|report| table::log(report, RunTime::new(request.run_at)));
    Ok(plan_of(report(request, source, Some(position), done, started), left))
}

/// The plan whose finished part is this report.
pub(super) fn plan_of(done: Report, tables: Vec<String>) -> Plan {
    Plan {
        run_at: done.run_at,
        source: done.source,
        tables,
        done: done.tables,
        capture_age_seconds: done.capture_age_seconds,
        elapsed_ms: done.elapsed_ms,
        peak_rss_bytes: telemetry::peak_rss_bytes(),
    }
}

/// The reports of the tables' steps, by table, with the longest time and the most memory that one took.
#[derive(Default)]
struct Reports {
    tables: HashMap<String, TableReport>,
    elapsed_ms: u64,
    peak_rss_bytes: u64,
}

impl Reports {
    fn of(outcomes: Vec<Outcome>) -> Self {
        let mut reports = Self::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Report(report) => {
                    reports.elapsed_ms = reports.elapsed_ms.max(report.elapsed_ms);
                    reports.peak_rss_bytes = reports.peak_rss_bytes.max(report.peak_rss_bytes);
                    reports.tables.extend(report.tables.into_iter().map(|table| (table.name.clone(), table)));
                }
                Outcome::Failure { table, error, cause } => {
                    let error = failure(&error, cause.as_deref().unwrap_or_default());
                    reports.tables.insert(table.clone(), TableReport::failed(table, error));
                }
            }
        }
        reports
    }

    /// The report of a table that was planned.
    fn take(&mut self, name: &str) -> TableReport {
        self.tables.remove(name).unwrap_or_else(|| TableReport::failed(name, unfinished("its step left no result")))
    }
}

/// The error that a table's step ended with, from the name and the text that Lambda gave them.
fn failure(name: &str, cause: &str) -> Error {
    let told: Option<Value> = serde_json::from_str(cause).ok();
    let text = told.as_ref().and_then(|told| told.get("errorMessage")?.as_str()).unwrap_or(cause);
    let kind: Option<Kind> = serde_json::from_value(Value::String(name.to_owned())).ok();
    let error = kind.and_then(|kind| Error::from_told(kind, text));
    error.unwrap_or_else(|| unfinished(&format!("its step ended with {name}: {text}")))
}

fn unfinished(why: &str) -> Error {
    Error::transient("TableUnfinished", format!("the table was not finished: {why}")).hint(
        "the next run does what is left; if it repeats, look at the table's execution, and at its timeout and memory",
    )
}

fn foreign(what: &str, error: serde_json::Error) -> Error {
    Error::config("InvalidEvent", format!("`{what}` is not what the other steps answer"))
        .hint("events/step-finish.json shows them; the state machine in template.yaml passes them on as they are")
        .caused_by(error)
}

#[cfg(test)]
mod tests;
