//! What stands in the way of a run: each thing that it needs is looked at, and each finding says what to do.
//!
//! Nothing is changed but one small object of the lake, [`PROBE`](crate::lake::layout::PROBE), which shows whether the
//! store keeps the conditions of writes.

mod lake;
mod sqlserver;

use serde::Serialize;

pub use self::lake::examine as lake;
use crate::error::{Error, Kind};
use crate::lake::store::ObjectStore;
use crate::request::Request;
use crate::source::Source;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// As it should be.
    Ok,
    /// A run goes on, but somebody should know.
    Warning,
    /// A run fails, in whole or for one table.
    Fault,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at; behind a colon what of a table.
    pub subject: String,
    /// How serious it is.
    pub finding: Finding,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub fix: Option<String>,
    /// The code of the error that a run ends with.
    pub code: Option<&'static str>,
    /// The kind of that error.
    #[serde(skip)]
    pub kind: Option<Kind>,
}

/// Everything that was looked at, in that order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// The checks.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// Whether nothing is at fault.
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| check.finding != Finding::Fault)
    }

    /// The process exit code: that of the most serious fault's kind, else 0.
    pub fn exit_code(&self) -> u8 {
        self.checks.iter().filter_map(|check| check.kind).map(Kind::exit_code).min().unwrap_or(0)
    }

    /// Something is as it should be.
    pub fn ok(&mut self, subject: impl Into<String>, found: impl Into<String>) {
        self.push(subject, Finding::Ok, found, None);
    }

    /// Somebody should know.
    pub fn warning(&mut self, subject: impl Into<String>, found: impl Into<String>, fix: impl Into<String>) {
        self.push(subject, Finding::Warning, found, Some(fix.into()));
    }

    /// A run ends with this error.
    pub fn fault(&mut self, subject: impl Into<String>, error: &Error) {
        self.push(subject, Finding::Fault, error.chain(), error.advice().map(str::to_owned));
        if let Some(check) = self.checks.last_mut() {
            (check.code, check.kind) = (Some(error.code()), Some(error.kind()));
        }
    }

    fn push(&mut self, subject: impl Into<String>, finding: Finding, found: impl Into<String>, fix: Option<String>) {
        let (subject, found) = (subject.into(), found.into());
        self.checks.push(Check { subject, finding, found, fix, code: None, kind: None });
    }
}

/// Looks at the source: whether it answers, and of a database everything that its changes depend on.
pub async fn source(source: &Source, store: &dyn ObjectStore, request: &Request, diagnosis: &mut Diagnosis) {
    if let Source::SqlServer(sqlserver) = source {
        return Box::pin(sqlserver::examine(sqlserver, store, request, diagnosis)).await;
    }
    match source.position(request.deadline).await {
        Ok(position) => diagnosis.ok("source", format!("{} {} is at {position}", source.kind(), source.name())),
        Err(error) => diagnosis.fault("source", &error),
    }
}
