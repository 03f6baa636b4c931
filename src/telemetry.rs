//! What the process tells of itself: log lines, metrics among them, and its memory.

pub mod metrics;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;

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

/// Whether log lines are JSON, for a log service.
fn is_collected() -> bool {
    IS_COLLECTED.load(Ordering::Relaxed)
}

/// The greatest resident memory of this process so far, in bytes; 0 where the system does not tell.
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
