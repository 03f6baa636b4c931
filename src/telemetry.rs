//! What the process tells of itself: log lines and its memory.

use std::io::{IsTerminal, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::report::TableReport;

/// The namespace of the metrics.
pub const NAMESPACE: &str = "cdc-to-s3";

/// For how many hours more the database keeps the changes after a table's position, at the end of a run.
pub const RETENTION_HEADROOM_HOURS: &str = "RetentionHeadroomHours";

/// The age of the newest commit that the capture job has read, at the begin of a run, in seconds.
pub const CAPTURE_AGE_SECONDS: &str = "CaptureAgeSeconds";

/// Whether log lines are read by a log service, which takes metrics out of them.
static IS_COLLECTED: AtomicBool = AtomicBool::new(false);

/// What must not be heard, whatever is asked for: the driver of SQL Server logs rows, and messages of the server that quote
/// cells.
const SILENT: [&str; 2] = ["tiberius=off", "tiberius::tds=off"];

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, without a time: the log service adds its own. Under Lambda `span.requestId` names the
    /// invocation.
    Json,
    /// For people.
    Text,
}

/// Sends log lines to standard error. `filter` is in the syntax of `RUST_LOG`; without one, `default` is the level.
pub fn init(format: LogFormat, filter: Option<&str>, default: &str) {
    let filter = filter.map_or_else(|| default.to_owned(), str::to_owned);
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new(default));
    let filter = SILENT.iter().filter_map(|directive| directive.parse().ok()).fold(filter, EnvFilter::add_directive);
    IS_COLLECTED.store(format == LogFormat::Json, Ordering::Relaxed);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time();
    // A second initialisation (in tests) leaves the first in force.
    let _already = match format {
        LogFormat::Json => subscriber.json().flatten_event(true).with_target(false).with_span_list(false).try_init(),
        LogFormat::Text => subscriber.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

/// What a run has measured of a database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured<'a> {
    /// Its name.
    pub(crate) database: &'a str,
    /// The age of the newest captured commit.
    pub(crate) capture_age_seconds: Option<u64>,
    /// When it was measured.
    pub(crate) at: DateTime<Utc>,
}

impl Measured<'_> {
    /// Writes the metrics of the tables among the log lines, where those are JSON.
    pub(crate) fn emit(&self, tables: &[TableReport]) {
        if !IS_COLLECTED.load(Ordering::Relaxed) {
            return;
        }
        for line in tables.iter().filter_map(|table| self.line(table)) {
            // There is nowhere to report that stderr is closed.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// The metrics of a table in CloudWatch's embedded metric format; `None` where nothing was measured. See
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
    fn line(&self, table: &TableReport) -> Option<String> {
        let values = [
            (RETENTION_HEADROOM_HOURS, "None", table.headroom_hours.map(|hours| json!(hours))),
            (CAPTURE_AGE_SECONDS, "Seconds", self.capture_age_seconds.map(|seconds| json!(seconds))),
        ];
        let mut line = serde_json::Map::from_iter([
            ("Database".to_owned(), json!(self.database)),
            ("Table".to_owned(), json!(table.name)),
        ]);
        let mut metrics = Vec::new();
        for (name, unit, value) in values {
            let Some(value) = value else { continue };
            metrics.push(json!({"Name": name, "Unit": unit}));
            line.insert(name.to_owned(), value);
        }
        if metrics.is_empty() {
            return None;
        }
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["Database", "Table"]], "Metrics": metrics});
        let about = json!({"Timestamp": self.at.timestamp_millis(), "CloudWatchMetrics": [directive]});
        line.insert("_aws".to_owned(), about);
        Some(serde_json::Value::Object(line).to_string())
    }
}

/// The greatest resident memory of this process so far, in bytes; 0 where the system does not tell.
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::TableStatus;

    #[test]
    fn metrics_are_in_the_embedded_format_with_only_what_is_known() {
        let at = DateTime::from_timestamp_millis(1_800_000_000_123).unwrap();
        let measured = Measured { database: "Shop", capture_age_seconds: Some(7), at };
        let unread = TableReport::new("dbo.t", TableStatus::Unchanged);
        let table = TableReport { headroom_hours: Some(71.5), ..TableReport::new("dbo.t", TableStatus::Unchanged) };
        let line: serde_json::Value = serde_json::from_str(&measured.line(&table).unwrap()).unwrap();
        let [headroom, age] = [
            json!({"Name": "RetentionHeadroomHours", "Unit": "None"}),
            json!({"Name": "CaptureAgeSeconds", "Unit": "Seconds"}),
        ];
        let directive = json!({
            "Namespace": "cdc-to-s3",
            "Dimensions": [["Database", "Table"]],
            "Metrics": [headroom, age],
        });
        let expected = json!({
            "_aws": {"Timestamp": 1_800_000_000_123_i64, "CloudWatchMetrics": [directive]},
            "Database": "Shop",
            "Table": "dbo.t",
            "RetentionHeadroomHours": 71.5,
            "CaptureAgeSeconds": 7,
        });
        assert_eq!(line, expected);
        let line: serde_json::Value = serde_json::from_str(&measured.line(&unread).unwrap()).unwrap();
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"], json!([age]));
        assert_eq!(line.get("RetentionHeadroomHours"), None);
        assert_eq!(Measured { capture_age_seconds: None, ..measured }.line(&unread), None);
    }
}
