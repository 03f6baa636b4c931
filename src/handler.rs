//! The Lambda shell: an event in, the report out. A failed table fails the invocation, after the others were done.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;

use crate::clients::Clients;
use crate::config::{AWS_LAMBDA_FUNCTION_NAME, Config, ConfigSource, Overrides};
use crate::error::{Error, Kind};
use crate::lake::store::ObjectStore;
use crate::pipeline::{self, Unwatched};
use crate::report::{Report, RunStatus, TableStatus};
use crate::telemetry::metrics::{Feed, SourceName};
use crate::trigger::{Deadline, Request};

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

/// Why an invocation failed.
#[derive(Debug)]
pub enum Failure {
    /// Nothing could be done.
    Run(Error),
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
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Report, Failure> {
        let now = wall_clock();
        let deadline = deadline(event.context.deadline(), now.into());
        let request = Request::from_event(event.payload, &event.context.request_id, now, deadline);
        let report = match request {
            Ok(request) => Box::pin(self.run(&request)).await,
            Err(error) => Err(error),
        };
        let report = report.inspect(log_run).map_err(Failure::Run).and_then(judge);
        report.inspect_err(|failure| {
            tracing::error!(kind = failure.kind().name(), error = failure.message(), "run failed");
        })
    }

    async fn run(&self, request: &Request) -> Result<Report, Error> {
        let source = match &request.config {
            Some(source) => source.clone(),
            None => ConfigSource::choose(None, self.clients.environment())?,
        };
        let text = pipeline::within(request.deadline, Box::pin(self.clients.config_text(&source))).await?;
        let overrides = Overrides { lake: request.lake.clone() };
        let config = Config::from_json(&text, self.clients.environment(), &overrides)?;
        let store = self.clients.store(&config).await;
        let started = Instant::now();
        let outcome = self.run_configured(request, &config, store.as_ref()).await;
        let (source, lake) = (config.source.name(), store.location());
        let function = self.clients.environment().get(AWS_LAMBDA_FUNCTION_NAME);
        let source = SourceName::new(config.source.kind(), &source);
        Feed { source, lake: &lake, function }.emit(outcome.as_ref(), started.elapsed(), wall_clock());
        outcome
    }

    async fn run_configured(
        &self,
        request: &Request,
        config: &Config,
        store: &dyn ObjectStore,
    ) -> Result<Report, Error> {
        let source = pipeline::within(request.deadline, Box::pin(self.clients.source(config))).await?;
        Box::pin(pipeline::run(request, &config.tables, &source, store, &self.temporary, &Unwatched)).await
    }
}

fn judge(report: Report) -> Result<Report, Failure> {
    let failed = matches!(report.status, RunStatus::Partial | RunStatus::Failed);
    if failed && report.tables.iter().any(|table| table.error.is_some()) {
        return Err(Failure::Tables(Box::new(report)));
    }
    Ok(report)
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
            Self::Run(error) => error.kind(),
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
