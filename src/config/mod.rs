//! The configuration: a JSON document and the environment in, a valid [`Config`] out.
//!
//! The document is the `config.json` of the Python programs that this one replaces, plus optional keys. It is walked, not
//! deserialised, so that *all* its faults come back in one error, each with its path (`tables[1].pk`) and, for a
//! misspelt key, the one that was probably meant. What has become a [`Config`] need not be checked again.
//!
//! The environment lies over the document where both speak of the same thing, and command-line arguments
//! ([`Overrides`]) lie over both.

mod dataset;
mod environment;
mod faults;
mod json;
mod keys;
mod lake;
mod limits;
mod reference;
mod schema;
mod section;
mod source;
mod sqlserver;
mod start;
mod tables;
mod text;

use std::time::Duration;

use serde_json::Value;

pub use self::dataset::Dataset;
pub use self::environment::{
    AWS_LAMBDA_FUNCTION_NAME, CDC_CONFIG, CDC_LAKE, CDC_LOG_FORMAT, Environment, KAGGLE_API_ENDPOINT, KAGGLE_API_TOKEN,
    KAGGLE_CONFIG_DIR, KAGGLE_KEY, KAGGLE_SECRET_ID, KAGGLE_USERNAME, RUST_LOG, SQLSERVER_PASSWORD,
    SQLSERVER_SECRET_ID, SQLSERVER_USER,
};
pub(crate) use self::faults::Faults;
pub use self::lake::S3Settings;
pub use self::limits::Limits;
pub use self::reference::reference;
pub use self::schema::schema;
pub(crate) use self::section::Section;
pub use self::source::{DEFAULT_KAGGLE_ENDPOINT, SourceConfig, kaggle_endpoint};
pub use self::sqlserver::{
    DEFAULT_SQLSERVER_PORT, Encryption, SqlServerConfig, SqlServerConnection, TimesAsText, TrustedCa,
};
pub use self::text::{ConfigSource, ConfigText};
use crate::error::{Error, Result};
use crate::lake::store::LakeUrl;
use crate::table::TableSpec;

/// Seconds in each unit of the timer.
const UNITS: [(&str, f64); 8] = [
    ("seconds", 1.0),
    ("minutes", 60.0),
    ("hours", 3600.0),
    ("days", 86_400.0),
    ("second", 1.0),
    ("minute", 60.0),
    ("hour", 3600.0),
    ("day", 86_400.0),
];

/// Longer than any schedule, and short enough for arithmetic on times.
const MAX_INTERVAL_SECONDS: f64 = 366.0 * 86_400.0;

/// Everything that a person sets, valid by construction. It is data: nothing in it does work, nothing in it is secret.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is read.
    pub source: SourceConfig,
    /// Where the lake is.
    pub lake: LakeUrl,
    /// How S3 is spoken to, where the lake is there.
    pub s3: S3Settings,
    /// The time between two runs of the command line's loop, if one is set.
    pub timer: Option<Duration>,
    /// The tables of a snapshot, at least one, in the configured order; none for SQL Server, whose tables are a part of
    /// its [`SourceConfig`].
    pub tables: Vec<TableSpec>,
    /// What an archive may unpack to.
    pub limits: Limits,
}

/// What the command line says over the environment and the document.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The lake's place.
    pub lake: Option<LakeUrl>,
}

impl Config {
    /// The configuration that `text` describes, within `environment` and below `overrides`.
    ///
    /// # Errors
    /// `InvalidConfig` (kind `Config`) with every fault, or with the place where the text stops being JSON.
    pub fn from_json(text: &ConfigText, environment: &Environment, overrides: &Overrides) -> Result<Self> {
        let faults = Faults::default();
        let document = json::parse(&text.text, &faults).map_err(|error| not_json(&text.origin, error))?;
        let config = resolve(&document, environment, overrides, &faults);
        faults
            .finish("InvalidConfig", &text.origin, config)
            .map_err(|error| error.hint("correct each of them; `cdc-to-s3 config --reference` lists every key"))
    }
}

fn resolve(document: &Value, environment: &Environment, overrides: &Overrides, faults: &Faults) -> Option<Config> {
    let root = Section::of(document, "", &keys::names(&keys::ROOT), faults)?;
    // For editors only.
    root.text("$schema");
    // All parts are read before the first missing one ends the work, so that each fault is noted.
    let source = source::source(&root, environment, faults);
    let (lake, s3) = lake::lake(&root, environment, overrides, faults);
    let timer = root.section("timer", &keys::names(&keys::TIMER)).and_then(|timer| interval(&timer));
    let is_snapshot = !matches!(source, Some(SourceConfig::SqlServer(_)));
    let tables = if is_snapshot { tables::tables(&root, faults) } else { Vec::new() };
    let limits = limits(&root);
    Some(Config { source: source?, lake: lake?, s3, timer, tables, limits })
}

fn interval(timer: &Section<'_>) -> Option<Duration> {
    for key in ["unit", "value"].into_iter().filter(|key| !timer.has(key)) {
        timer.fault(key, "is missing");
    }
    let seconds_per_unit = timer.choice("unit", &UNITS);
    let seconds = timer.number("value")? * seconds_per_unit?;
    if !(seconds > 0.0 && seconds <= MAX_INTERVAL_SECONDS) {
        timer.fault("value", "must be greater than 0, and the time no longer than a year");
        return None;
    }
    Some(Duration::from_secs_f64(seconds))
}

fn limits(root: &Section<'_>) -> Limits {
    let Some(limits) = root.section("limits", &keys::names(&keys::LIMITS)) else {
        return Limits::default();
    };
    let default = Limits::default();
    Limits {
        max_uncompressed_bytes: limits.count("max_uncompressed_bytes").unwrap_or(default.max_uncompressed_bytes),
        max_compression_ratio: limits.count("max_compression_ratio").unwrap_or(default.max_compression_ratio),
    }
}

fn not_json(origin: &str, error: serde_json::Error) -> Error {
    let place = format!("{origin} is not JSON: see line {}, column {}", error.line(), error.column());
    Error::config("InvalidConfig", place)
        .hint("look for a missing or trailing comma, a missing quote, or a comment (JSON has none)")
        .caused_by(error)
}

#[cfg(test)]
mod tests;
