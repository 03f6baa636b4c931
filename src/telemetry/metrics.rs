//! Metrics among the log lines, in CloudWatch's embedded metric format: the log service takes them out by itself. See
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
//!
//! One line for each table, by source and table, and one for the run, by source; its `Failed` also by lake, and its
//! `GuardTripped` also by function, which are what alarms know by name before the first run.

use std::io::Write as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::is_collected;
use crate::error::Error;
use crate::lake::layout::RunTime;
use crate::report::{Report, TableReport, TableStatus};

/// The namespace of the metrics.
pub const NAMESPACE: &str = "cdc-to-s3";

/// For how many hours more the database keeps the changes after a table's position, at the end of a run.
pub const RETENTION_HEADROOM_HOURS: &str = "RetentionHeadroomHours";

/// The age of the newest commit that the capture job has read, at the begin of a run, in seconds; where it has never read
/// any, the age of the oldest capture instance.
pub const CAPTURE_AGE_SECONDS: &str = "CaptureAgeSeconds";

/// 1 where a table, or for a run any table or the run itself, failed; else 0.
pub const FAILED: &str = "Failed";

/// 1 for a table that a guard has stopped; for a run, how many these are.
pub const GUARD_TRIPPED: &str = "GuardTripped";

/// CloudWatch takes no more characters of a dimension's value.
const LONGEST_VALUE: usize = 1024;

/// Whose metrics they are.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'a> {
    /// What is configured to be read; a report knows better.
    pub source: SourceName<'a>,
    /// The lake's place, as `s3://bucket/prefix`.
    pub lake: &'a str,
    /// The function's name, where it is one.
    pub function: Option<&'a str>,
}

/// The name of a source, by its kind.
#[derive(Clone, Copy, Debug)]
pub enum SourceName<'a> {
    /// A dataset, or a folder that stands for one.
    Dataset(&'a str),
    /// A database.
    Database(&'a str),
}

impl<'a> SourceName<'a> {
    /// The name of a source of that kind, as reports call it.
    pub fn new(kind: &str, name: &'a str) -> Self {
        if kind == "sqlserver" { Self::Database(name) } else { Self::Dataset(name) }
    }

    fn dimension(self) -> (&'static str, &'a str) {
        match self {
            Self::Dataset(name) => ("Dataset", name),
            Self::Database(name) => ("Database", name),
        }
    }
}

impl Feed<'_> {
    /// Writes the metrics of a run that took `took` and has ended at `at`, where log lines are JSON. A dry run has none:
    /// nothing has happened.
    pub fn emit(&self, outcome: Result<&Report, &Error>, took: Duration, at: DateTime<Utc>) {
        write(self.lines(outcome, took, at));
    }

    /// Writes the metrics of tables for which the plan of a run has found nothing to do.
    pub fn emit_tables(&self, tables: &[TableReport], at: DateTime<Utc>) {
        write(tables.iter().filter_map(|table| self.table(table, at)));
    }

    /// Writes the metrics of one table of a run, which had an invocation of its own.
    pub fn emit_step(&self, table: &str, outcome: Result<&Report, &Error>, at: DateTime<Utc>) {
        write(self.step_lines(table, outcome, at));
    }

    /// Writes the metrics of a run whose tables had an invocation each: of the run, and of the tables whose own did not live to.
    pub fn emit_end(&self, report: &Report, at: DateTime<Utc>) {
        write(self.end_lines(report, at));
    }

    fn step_lines(&self, table: &str, outcome: Result<&Report, &Error>, at: DateTime<Utc>) -> Vec<String> {
        match outcome {
            Ok(report) if report.dry_run => Vec::new(),
            Ok(report) => report.tables.iter().filter_map(|table| self.table(table, at)).collect(),
            Err(error) => self.failed_table(table, error, at).into_iter().collect(),
        }
    }

    fn end_lines(&self, report: &Report, at: DateTime<Utc>) -> Vec<String> {
        if report.dry_run {
            return Vec::new();
        }
        let unfinished = |table: &&TableReport| table.error.as_ref().is_some_and(Error::is_unfinished);
        let tables = report.tables.iter().filter(unfinished).map(|table| self.table(table, at));
        tables.chain([self.run(report, at)]).flatten().collect()
    }

    fn lines(&self, outcome: Result<&Report, &Error>, took: Duration, at: DateTime<Utc>) -> Vec<String> {
        match outcome {
            Ok(report) if report.dry_run => Vec::new(),
            Ok(report) => {
                let source = SourceName::new(&report.source.kind, &report.source.name);
                let feed = Feed { source, lake: self.lake, function: self.function };
                let tables = report.tables.iter().map(|table| feed.table(table, at));
                tables.chain([feed.run(report, at)]).flatten().collect()
            }
            Err(error) => self.failure(error, took, at).into_iter().collect(),
        }
    }

    /// Of a run that came to no report.
    fn failure(&self, error: &Error, took: Duration, at: DateTime<Utc>) -> Option<String> {
        let mut line = self.run_line();
        line.put("Seconds", "Seconds", json!(took.as_secs_f64()));
        line.put("PeakMemory", "Bytes", json!(super::peak_rss_bytes()));
        line.put(FAILED, "Count", json!(1));
        line.put(GUARD_TRIPPED, "Count", json!(u8::from(error.is_guard())));
        line.text(at)
    }

    /// Of a table whose run came to no report.
    fn failed_table(&self, table: &str, error: &Error, at: DateTime<Utc>) -> Option<String> {
        let mut line = Line::new();
        line.dimensions(&[self.source.dimension(), ("Table", table)]);
        line.put(FAILED, "Count", json!(1));
        line.put(GUARD_TRIPPED, "Count", json!(u8::from(error.is_guard())));
        line.text(at)
    }

    fn table(&self, table: &TableReport, at: DateTime<Utc>) -> Option<String> {
        let source = self.source.dimension();
        let mut line = Line::new();
        line.dimensions(&[source, ("Table", &table.name)]);
        let is_done = matches!(table.status, TableStatus::Changed | TableStatus::Unchanged);
        if is_done {
            line.put("Rows", "Count", json!(table.rows));
        }
        line.counts(table.inserted, table.updated, table.deleted, table.silent_changes);
        line.put("Bytes", "Bytes", json!(table.bytes_written));
        line.put("Seconds", "Seconds", seconds(table.elapsed_ms));
        if let Some(age) = age_of_success(table, is_done, at) {
            line.put("SecondsSinceLastSuccess", "Seconds", json!(age));
        }
        line.put(FAILED, "Count", json!(u8::from(table.error.is_some())));
        line.put(GUARD_TRIPPED, "Count", json!(u8::from(is_stopped(table))));
        line.text(at)
    }

    fn run(&self, report: &Report, at: DateTime<Utc>) -> Option<String> {
        let total = report.totals();
        let mut line = self.run_line();
        line.put("Rows", "Count", json!(total.rows));
        line.counts(total.inserted, total.updated, total.deleted, total.silent_changes);
        line.put("Bytes", "Bytes", json!(total.bytes_written));
        line.put("Seconds", "Seconds", seconds(report.elapsed_ms));
        line.put("PeakMemory", "Bytes", json!(report.peak_rss_bytes));
        let failed = report.tables.iter().any(|table| table.error.is_some());
        line.put(FAILED, "Count", json!(u8::from(failed)));
        let stopped = report.tables.iter().filter(|table| is_stopped(table)).count();
        line.put(GUARD_TRIPPED, "Count", json!(stopped));
        line.text(at)
    }

    fn run_line(&self) -> Line {
        let mut line = Line::new();
        line.dimensions(&[self.source.dimension()]);
        line.also("Lake", self.lake, &[FAILED]);
        if let Some(function) = self.function {
            line.also("Function", function, &[GUARD_TRIPPED]);
        }
        line
    }
}

/// How long ago the table was known to be as its source, in seconds. A table that has just been found unchanged is that,
/// but leaves no trace of it: where a run fails, only its newest commit tells, and of a table that was never read, since
/// when it waits.
fn age_of_success(table: &TableReport, is_done: bool, at: DateTime<Utc>) -> Option<i64> {
    if is_done {
        return Some(0);
    }
    let since = table.committed_before.map(RunTime::time).or(table.waiting_since)?;
    Some((at - since).num_seconds().max(0))
}

fn is_stopped(table: &TableReport) -> bool {
    table.error.as_ref().is_some_and(Error::is_guard)
}

fn seconds(elapsed_ms: u64) -> Value {
    json!(Duration::from_millis(elapsed_ms).as_secs_f64())
}

/// What a run has measured of a database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured<'a> {
    /// Its name.
    pub(crate) database: &'a str,
    /// The age of the newest captured commit, or how long there has been none.
    pub(crate) capture_age_seconds: Option<u64>,
    /// When it was measured.
    pub(crate) at: DateTime<Utc>,
}

impl Measured<'_> {
    /// Writes the metrics of the tables among the log lines, where those are JSON.
    pub(crate) fn emit(&self, tables: &[TableReport]) {
        write(tables.iter().filter_map(|table| self.line(table)));
    }

    /// The metrics of a table; `None` where nothing was measured.
    fn line(&self, table: &TableReport) -> Option<String> {
        let mut line = Line::new();
        line.dimensions(&[SourceName::Database(self.database).dimension(), ("Table", &table.name)]);
        if let Some(hours) = table.headroom_hours {
            line.put(RETENTION_HEADROOM_HOURS, "None", json!(hours));
        }
        if let Some(seconds) = self.capture_age_seconds {
            line.put(CAPTURE_AGE_SECONDS, "Seconds", json!(seconds));
        }
        line.text(self.at)
    }
}

/// A line under construction.
struct Line {
    fields: Map<String, Value>,
    dimensions: Vec<&'static str>,
    metrics: Vec<Value>,
    /// Directives beside the first: a dimension, and which of the metrics it is for.
    more: Vec<(&'static str, &'static [&'static str])>,
}

impl Line {
    fn new() -> Self {
        Self { fields: Map::new(), dimensions: Vec::new(), metrics: Vec::new(), more: Vec::new() }
    }

    /// What the metrics are by: one set of dimensions.
    fn dimensions(&mut self, dimensions: &[(&'static str, &str)]) {
        for &(name, value) in dimensions {
            self.dimensions.push(name);
            self.fields.insert(name.to_owned(), dimension_value(value).into());
        }
    }

    /// Some of the metrics, also by another dimension alone.
    fn also(&mut self, dimension: &'static str, value: &str, metrics: &'static [&'static str]) {
        self.fields.insert(dimension.to_owned(), dimension_value(value).into());
        self.more.push((dimension, metrics));
    }

    fn put(&mut self, name: &'static str, unit: &str, value: Value) {
        self.metrics.push(json!({"Name": name, "Unit": unit}));
        self.fields.insert(name.to_owned(), value);
    }

    fn counts(&mut self, inserted: u64, updated: u64, deleted: u64, silent: u64) {
        let counts = [("Inserted", inserted), ("Updated", updated), ("Deleted", deleted), ("SilentChanges", silent)];
        for (name, count) in counts {
            self.put(name, "Count", json!(count));
        }
    }

    /// The line with its newline; `None` where it would have no metrics.
    fn text(self, at: DateTime<Utc>) -> Option<String> {
        let Self { mut fields, dimensions, metrics, more } = self;
        if metrics.is_empty() {
            return None;
        }
        let of = |names: &[&str]| -> Vec<&Value> {
            metrics.iter().filter(|metric| names.iter().any(|name| metric["Name"] == *name)).collect()
        };
        let more = more.iter().map(|(dimension, names)| directive(&[*dimension], json!(of(names))));
        let directives: Vec<Value> = std::iter::once(directive(&dimensions, json!(metrics))).chain(more).collect();
        fields.insert("_aws".to_owned(), json!({"Timestamp": at.timestamp_millis(), "CloudWatchMetrics": directives}));
        Some(format!("{}\n", Value::Object(fields)))
    }
}

fn directive(dimensions: &[&str], metrics: Value) -> Value {
    json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": metrics})
}

/// As CloudWatch takes it: ASCII only, so that other characters are written as in a URL, and not without end.
fn dimension_value(text: &str) -> String {
    if text.trim().is_empty() {
        return "unknown".to_owned();
    }
    let mut value = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_control() {
            value.push(c);
        } else {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| value.push_str(&format!("%{byte:02X}")));
        }
    }
    value.truncate(LONGEST_VALUE);
    value
}

/// Writes the lines where log lines are JSON, each at once, so that no other one gets into it.
fn write(lines: impl IntoIterator<Item = String>) {
    if is_collected() {
        for line in lines {
            // There is nowhere to report that stderr is closed.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
