//! The Lambda shell: an event in, the report out. A failed table fails the invocation, after the others were done.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::Serialize;
use serde_json::Value;

use crate::clients::Clients;
use crate::config::{AWS_LAMBDA_FUNCTION_NAME, Config, ConfigSource, Overrides, SourceConfig};
use crate::error::{Error, Kind};
use crate::lake::store::ObjectStore;
use crate::pipeline::{self, Finish, Plan, Unwatched};
use crate::report::{Report, RunStatus, TableStatus};
use crate::request::{Deadline, Request, Step};
use crate::telemetry::metrics::{Feed, SourceName};

/// The part of an invocation's time that is kept back for ending it in order.
const MARGIN_FRACTION: u32 = 20;
const MARGIN_LEAST: Duration = Duration::from_millis(500);
const MARGIN_MOST: Duration = Duration::from_secs(10);

/// No invocation is handled so long after its end.
const LONG_AGO: Duration = Duration::from_secs(24 * 3600);

/// Handles the invocations of one container.
pub struct Handler {
    clients: Clients,
    temporary: PathBuf,
}

/// What an invocation answers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// What became of a run, or of the one table of it that was asked for.
    Report(Report),
    /// What a run has to do.
    Plan(Plan),
}

/// Why an invocation failed.
#[derive(Debug)]
pub enum Failure {
    /// Nothing could be done.
    Run(Error),
    /// The one table that was asked for failed. The last step of its run reads the message again.
    Table(Error),
    /// Some tables failed; the report says which, and what was done for the others.
    Tables(Box<Report>),
}

impl Handler {
    /// A handler that works with `clients` and keeps its files below `temporary`.
    pub fn new(clients: Clients, temporary: PathBuf) -> Self {
        Self { clients, temporary }
    }

    /// Handles one invocation.
    ///
    /// # Errors
    /// [`Failure`], which becomes Lambda's error type (the [`Kind`]) and message (the whole chain of causes).
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Answer, Failure> {
        let now = wall_clock();
        let deadline = deadline(event.context.deadline(), now.into());
        let step = Step::from_event(event.payload, &event.context.request_id, now, deadline);
        let answer = match step {
            Ok(step) => Box::pin(self.step(step)).await,
            Err(error) => Err(Failure::Run(error)),
        };
        answer.inspect_err(|failure| {
            tracing::error!(kind = failure.kind().name(), error = failure.message(), "run failed");
        })
    }

    async fn step(&self, step: Step) -> Result<Answer, Failure> {
        match step {
            Step::Run(request) => {
                let report = Box::pin(self.run(&request)).await.map_err(Failure::Run)?;
                log_run(&report);
                judge(report).map(Answer::Report)
            }
            Step::Plan(request) => Box::pin(self.plan(&request)).await.map(Answer::Plan).map_err(Failure::Run),
            Step::Table(request) => {
                let report = Box::pin(self.run(&request)).await.map_err(Failure::Table)?;
                judge_table(report).map(Answer::Report)
            }
            Step::Finish { request, plan, results } => {
                let report = Box::pin(self.finish(&request, plan, results)).await.map_err(Failure::Run)?;
                log_run(&report);
                judge(report).map(Answer::Report)
            }
        }
    }

    async fn run(&self, request: &Request) -> Result<Report, Error> {
        let (config, store) = self.open(request).await?;
        let started = Instant::now();
        let outcome = self.run_configured(request, &config, store.as_ref()).await;
        self.tell(&config, store.as_ref(), |feed| match request.planned_table() {
            Some(table) => feed.emit_step(table, outcome.as_ref(), wall_clock()),
            None => feed.emit(outcome.as_ref(), started.elapsed(), wall_clock()),
        });
        outcome
    }

    async fn run_configured(
        &self,
        request: &Request,
        config: &Config,
        store: &dyn ObjectStore,
    ) -> Result<Report, Error> {
        let source = request.deadline.bound(Box::pin(self.clients.source(config))).await?;
        Box::pin(pipeline::run(request, &config.tables, &source, store, &self.temporary, &Unwatched)).await
    }

    async fn plan(&self, request: &Request) -> Result<Plan, Error> {
        let (config, store) = self.open(request).await?;
        let started = Instant::now();
        let outcome = self.plan_configured(request, &config, store.as_ref()).await;
        self.tell(&config, store.as_ref(), |feed| match &outcome {
            Ok(_) if request.dry_run => {}
            Ok(plan) => feed.emit_tables(&plan.done, wall_clock()),
            Err(error) => feed.emit(Err(error), started.elapsed(), wall_clock()),
        });
        outcome
    }

    async fn plan_configured(
        &self,
        request: &Request,
        config: &Config,
        store: &dyn ObjectStore,
    ) -> Result<Plan, Error> {
        let source = request.deadline.bound(Box::pin(self.clients.source(config))).await?;
        Box::pin(pipeline::plan(request, &config.tables, &source, store, &self.temporary)).await
    }

    async fn finish(&self, request: &Request, plan: Value, results: Vec<Value>) -> Result<Report, Error> {
        let (config, store) = self.open(request).await?;
        let started = Instant::now();
        let idle_after = match &config.source {
            SourceConfig::SqlServer(source) => source.feed.idle_after,
            SourceConfig::Kaggle { .. } => None,
        };
        let finish = Finish { plan, results, tables: &config.tables, idle_after };
        let outcome = Box::pin(pipeline::finish(request, finish, store.as_ref())).await;
        self.tell(&config, store.as_ref(), |feed| match &outcome {
            Ok(report) => feed.emit_end(report, wall_clock()),
            Err(error) => feed.emit(Err(error), started.elapsed(), wall_clock()),
        });
        outcome
    }

    /// Writes metrics of what was done.
    fn tell(&self, config: &Config, store: &dyn ObjectStore, tell: impl FnOnce(&Feed<'_>)) {
        let (source, lake) = (config.source.name(), store.location());
        let function = self.clients.environment().get(AWS_LAMBDA_FUNCTION_NAME);
        let source = SourceName::new(config.source.kind(), &source);
        tell(&Feed { source, lake: &lake, function });
    }

    async fn open(&self, request: &Request) -> Result<(Config, Arc<dyn ObjectStore>), Error> {
        let source = match &request.config {
            Some(source) => source.clone(),
            None => ConfigSource::choose(None, self.clients.environment())?,
        };
        let text = request.deadline.bound(Box::pin(self.clients.config_text(&source))).await?;
        let overrides = Overrides { lake: request.lake.clone() };
        let config = Config::from_json(&text, self.clients.environment(), &overrides)?;
        let store = self.clients.store(&config).await;
        Ok((config, store))
    }
}

fn judge(report: Report) -> Result<Report, Failure> {
    let failed = matches!(report.status, RunStatus::Partial | RunStatus::Failed);
    if failed && report.tables.iter().any(|table| table.error.is_some()) {
        return Err(Failure::Tables(Box::new(report)));
    }
    Ok(report)
}

fn judge_table(mut report: Report) -> Result<Report, Failure> {
    match report.tables.iter_mut().find_map(|table| table.error.take()) {
        Some(error) => Err(Failure::Table(error)),
        None => Ok(report),
    }
}

/// The run's figures, one line for metric filters.
fn log_run(report: &Report) {
    let total = report.totals();
    let failed = report.tables.iter().filter(|table| table.status == TableStatus::Failed).count();
    tracing::info!(
        run_at = %report.run_at,
        source = report.source.name,
        position = report.source.position.as_ref().map(tracing::field::display),
        status = report.status.name(),
        dry_run = report.dry_run,
        tables = report.tables.len(),
        failed,
        rows = total.rows,
        inserted = total.inserted,
        updated = total.updated,
        deleted = total.deleted,
        silent_changes = total.silent_changes,
        elapsed_ms = report.elapsed_ms,
        peak_rss_bytes = report.peak_rss_bytes,
        "run done"
    );
}

/// The invocation's end, less a margin. `cargo lambda watch` announces the number 600,000 where a time belongs, which would
/// be ten minutes into 1970: a time that long ago is none.
fn deadline(end: SystemTime, now: SystemTime) -> Deadline {
    match now.duration_since(end) {
        Ok(past) if past > LONG_AGO => Deadline::NONE,
        _ => {
            let left = end.duration_since(now).unwrap_or(Duration::ZERO);
            Deadline::within(left.saturating_sub(margin(left)))
        }
    }
}

fn margin(left: Duration) -> Duration {
    (left / MARGIN_FRACTION).clamp(MARGIN_LEAST, MARGIN_MOST)
}

#[expect(clippy::disallowed_methods, reason = "this is a shell: time enters here")]
fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

impl Failure {
    /// The kind of the most serious error.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Run(error) | Self::Table(error) => error.kind(),
            Self::Tables(report) => {
                let kinds = report.tables.iter().filter_map(|table| table.error.as_ref()).map(Error::kind);
                kinds.min_by_key(|kind| kind.exit_code()).unwrap_or(Kind::Internal)
            }
        }
    }

    /// What happened, with every cause and what to do.
    pub fn message(&self) -> String {
        match self {
            Self::Run(error) => described(error),
            Self::Table(error) => error.told(),
            Self::Tables(report) => {
                let failed: Vec<_> =
                    report.tables.iter().filter_map(|table| Some((&table.name, table.error.as_ref()?))).collect();
                let mut text = format!("{} of {} tables failed", failed.len(), report.tables.len());
                for (name, error) in failed {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "; `{name}`: {}", described(error));
                }
                text
            }
        }
    }
}

fn described(error: &Error) -> String {
    let advice = error.advice().map(|advice| format!(" ({advice})")).unwrap_or_default();
    format!("{}: {}{advice}", error.code(), error.chain())
}

impl From<Failure> for Diagnostic {
    fn from(failure: Failure) -> Self {
        Self { error_type: failure.kind().name().to_owned(), error_message: failure.message() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_in_1970_is_no_deadline_and_one_that_has_just_passed_is() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        assert_eq!(deadline(SystemTime::UNIX_EPOCH + Duration::from_secs(600), now).remaining(), None);
        assert_eq!(deadline(now - Duration::from_secs(1), now).remaining(), Some(Duration::ZERO));
        let left = deadline(now + Duration::from_secs(100), now).remaining().unwrap();
        assert!(left > Duration::from_secs(90) && left <= Duration::from_secs(95), "{left:?}");
    }
}
