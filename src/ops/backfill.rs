//! The history that a dataset has already: its old versions, oldest first, each through the pipeline of any other run.
//!
//! The run of a version has the time at which the version was made, so that objects are named as if there had been runs all
//! along, and an identity of its own, so that a second call takes up at once what one that was killed had begun. How far a
//! table is, its log says. Nothing is put before what is in a log: a table whose log begins with a later version is refused,
//! and one that moves on meanwhile is left alone.

mod passed;
mod plan;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;

use self::passed::Passed;
use crate::error::{Error, Result};
use crate::lake::layout::RunTime;
use crate::lake::store::ObjectStore;
use crate::pipeline::{self, Progress};
use crate::report::{self, TableReport, TableStatus};
use crate::request::{Approval, Deadline, Request};
use crate::source::Source;
use crate::table::TableSpec;

/// A version that is to be read.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its number.
    pub version: u64,
    /// The time of its run: when the version was made. Where Kaggle does not say, or says no later time, the second after
    /// that of the version before.
    pub run_at: RunTime,
    /// The tables that are not as far yet.
    pub tables: Vec<String>,
}

/// What became of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was read; its tables say the rest.
    Done,
    /// Kaggle has it no longer.
    Gone,
}

/// The report of a version.
#[derive(Debug, Serialize)]
pub struct VersionReport {
    /// Its number.
    pub version: u64,
    /// The time of its run.
    pub run_at: RunTime,
    /// What became of it.
    pub outcome: Outcome,
    /// What became of its tables.
    pub tables: Vec<TableReport>,
    /// Tables that were not in the dataset yet.
    pub absent: Vec<String>,
    /// Duration in milliseconds.
    pub elapsed_ms: u64,
}

/// A backfill under way.
#[derive(Debug)]
pub struct Backfill<'a> {
    source: &'a Source,
    store: &'a dyn ObjectStore,
    specs: &'a [TableSpec],
    tables: Vec<Table>,
    steps: VecDeque<Step>,
}

/// A table of a backfill.
#[derive(Debug)]
struct Table {
    name: String,
    /// Whether its log has begun.
    begun: bool,
    /// Whether a version failed, so that no later one may be read.
    stopped: bool,
    passed: Passed,
}

impl<'a> Backfill<'a> {
    /// Finds out what is left to be read of these versions. `wanted` are the tables, among `specs`; `now` is the time of a
    /// dataset whose versions have none.
    ///
    /// # Errors
    /// `LogBegun` where a log begins with a later version, `NoVersions` where there is none to read (both kind `Config`), and
    /// those of [`Kaggle::versions`](crate::source::kaggle::Kaggle::versions) and of the lake.
    pub async fn plan(
        source: &'a Source,
        store: &'a dyn ObjectStore,
        specs: &'a [TableSpec],
        wanted: &[&TableSpec],
        range: RangeInclusive<u64>,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let Source::Kaggle { client, dataset, .. } = source else { return Err(plan::no_dataset()) };
        let versions = client.versions(dataset, Deadline::NONE).await?;
        let (tables, steps) = plan::plan(store, dataset, versions, wanted, range, now).await?;
        Ok(Self { source, store, specs, tables, steps: steps.into() })
    }

    /// What is left to be read, oldest first.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &Step> {
        self.steps.iter()
    }

    /// Reads the next version; none where nothing is left. `now` is the time by this machine's clock.
    ///
    /// # Errors
    /// What keeps every table from being done; a later call begins with the same version.
    pub async fn next(
        &mut self,
        now: DateTime<Utc>,
        approve_deletes: &Approval,
        temporary: &Path,
        progress: &dyn Progress,
    ) -> Result<Option<VersionReport>> {
        let Some((step, tables)) = self.pop() else { return Ok(None) };
        let started = Instant::now();
        let identity = format!("backfill:{}:{}", self.source.name(), step.version);
        let request = Request {
            tables: Some(tables),
            approve_deletes: approve_deletes.clone(),
            ..Request::new(step.run_at.time(), identity, now, Deadline::NONE)
        };
        let source = self.source.at(step.version);
        let run = Box::pin(pipeline::run(&request, self.specs, &source, self.store, temporary, progress)).await;
        let (outcome, reports) = match run {
            Err(error) if error.code() == "VersionGone" => (Outcome::Gone, Vec::new()),
            run => (Outcome::Done, run?.tables),
        };
        let (tables, absent) = self.settle(&step, outcome, reports).await?;
        let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Some(VersionReport { version: step.version, run_at: step.run_at, outcome, tables, absent, elapsed_ms }))
    }

    /// The next version that a table needs, and the tables that do.
    fn pop(&mut self) -> Option<(Step, Vec<String>)> {
        while let Some(step) = self.steps.pop_front() {
            let stopped = |name: &&String| self.tables.iter().any(|table| table.name == **name && table.stopped);
            let tables: Vec<String> = step.tables.iter().filter(|name| !stopped(name)).cloned().collect();
            if !tables.is_empty() {
                return Some((step, tables));
            }
        }
        None
    }

    /// Notes how the tables of a version ended; gives the reports of those that were there, and the names of the others.
    async fn settle(
        &mut self,
        step: &Step,
        outcome: Outcome,
        reports: Vec<TableReport>,
    ) -> Result<(Vec<TableReport>, Vec<String>)> {
        let (mut there, mut absent) = (Vec::new(), Vec::new());
        for mut report in reports {
            let Some(table) = self.tables.iter_mut().find(|table| table.name == report.name) else { continue };
            let missing = report.error.as_ref().is_some_and(|error| error.code() == "TableMissing");
            if missing && !table.begun {
                table.passed.add(self.store, step.version).await?;
                absent.push(report.name);
                continue;
            }
            table.end(step.version, &mut report);
            there.push(report);
        }
        if outcome == Outcome::Gone {
            for table in self.tables.iter_mut().filter(|table| !table.begun && step.tables.contains(&table.name)) {
                table.passed.add(self.store, step.version).await?;
            }
        }
        Ok((there, absent))
    }
}

impl Table {
    /// Notes how a version ended.
    fn end(&mut self, version: u64, report: &mut TableReport) {
        match report.status {
            TableStatus::Changed | TableStatus::Unchanged => self.begun = true,
            TableStatus::NotReady | TableStatus::Busy => self.stopped = true,
            TableStatus::Failed => {
                self.stopped = true;
                report.warnings.push(format!(
                    "no later version was read: call again once version {version} can be, or leave it out with `--from {}`",
                    version + 1
                ));
            }
        }
    }
}

/// The exit code: that of the most serious table, else 0.
pub fn exit_code(versions: &[VersionReport]) -> u8 {
    report::exit_code(versions.iter().flat_map(|version| &version.tables))
}

/// The error for versions that cannot be put where they belong.
fn log_begun(problems: &[String], newest: Option<u64>) -> Error {
    let go_on =
        newest.map_or_else(String::new, |newest| format!(", or read only later versions with `--from {}`", newest + 1));
    Error::config("LogBegun", problems.join("; ")).hint(format!(
        "give the whole history a lake of its own, under another prefix (`--lake`){go_on}; `--table` names the tables to do"
    ))
}
