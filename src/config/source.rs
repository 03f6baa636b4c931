//! What is read: `dataset_name`, or a `source` of another type.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::dataset::Dataset;
use super::environment::{Environment, KAGGLE_API_ENDPOINT};
use super::faults::Faults;
use super::keys;
use super::section::Section;
use super::sqlserver::{self, SqlServerConfig};
use crate::error::Result;

/// The base URL of Kaggle's API.
pub const DEFAULT_KAGGLE_ENDPOINT: &str = "https://api.kaggle.com";

/// How long Kaggle may take to prepare a version; for a large one it takes hours.
const DEFAULT_NOT_READY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) const TYPES: [(&str, Type); 2] = [("kaggle", Type::Kaggle), ("sqlserver", Type::SqlServer)];

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConfig {
    /// A dataset of Kaggle.
    Kaggle {
        /// Its name.
        dataset: Dataset,
        /// The base URL of the API, http or https, without credentials.
        endpoint: Url,
        /// After how long a new version counts as one that does not get ready; `None` for never.
        not_ready_after: Option<Duration>,
    },
    /// A database of SQL Server.
    SqlServer(Box<SqlServerConfig>),
}

impl SourceConfig {
    /// As reports call it: `kaggle` or `sqlserver`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kaggle { .. } => "kaggle",
            Self::SqlServer(_) => "sqlserver",
        }
    }

    /// The dataset or the database; empty where only the login's secret names it.
    pub fn name(&self) -> String {
        match self {
            Self::Kaggle { dataset, .. } => dataset.to_string(),
            Self::SqlServer(sqlserver) => sqlserver.connection.database.clone().unwrap_or_default(),
        }
    }
}

/// The kinds of source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Kaggle,
    SqlServer,
}

/// The base URL of Kaggle's API in this environment.
///
/// # Errors
/// `InvalidConfig` (kind `Config`) where the variable holds something else.
pub fn kaggle_endpoint(environment: &Environment) -> Result<Url> {
    let faults = Faults::default();
    let endpoint = endpoint(environment, &faults);
    faults.finish("InvalidConfig", "the environment", endpoint)
}

pub(super) fn source(root: &Section<'_>, environment: &Environment, faults: &Faults) -> Option<SourceConfig> {
    let endpoint = endpoint(environment, faults);
    let (found, section) = source_type(root)?;
    match (found, section) {
        (Type::SqlServer, Some(section)) => {
            let source = sqlserver::sqlserver(root, &section, environment, faults)?;
            Some(SourceConfig::SqlServer(Box::new(source)))
        }
        (_, section) => {
            let limit = |section: Section<'_>| section.minutes("not_ready_after_minutes", DEFAULT_NOT_READY_AFTER);
            let not_ready_after = section.map_or(Some(DEFAULT_NOT_READY_AFTER), limit);
            Some(SourceConfig::Kaggle { dataset: dataset(root)?, endpoint: endpoint?, not_ready_after })
        }
    }
}

/// The type of source, Kaggle unless the document says otherwise, and its section.
fn source_type<'v>(root: &Section<'v>) -> Option<(Type, Option<Section<'v>>)> {
    if !root.has("source") {
        return Some((Type::Kaggle, None));
    }
    let is_kaggle = root.value("source").and_then(|source| source.get("type")).and_then(Value::as_str);
    let is_kaggle = is_kaggle.is_some_and(|name| name.trim().eq_ignore_ascii_case("kaggle"));
    let known = if is_kaggle { keys::names(&keys::KAGGLE) } else { keys::names(&keys::SQLSERVER) };
    let source = root.section("source", &known)?;
    if !source.has("type") {
        source.fault("type", "is missing: it can be kaggle, sqlserver");
    }
    Some((source.choice("type", &TYPES)?, Some(source)))
}

fn dataset(root: &Section<'_>) -> Option<Dataset> {
    let text = root.required_text("dataset_name")?;
    let dataset = text.parse().ok();
    if dataset.is_none() {
        root.fault("dataset_name", format!("is `{text}`: write it as in the address of its page, owner/slug"));
    }
    dataset
}

/// The value may carry credentials by mistake: it is not shown.
fn endpoint(environment: &Environment, faults: &Faults) -> Option<Url> {
    let text = environment.get(KAGGLE_API_ENDPOINT).unwrap_or(DEFAULT_KAGGLE_ENDPOINT);
    let url = Url::parse(text).ok().filter(is_plain_http);
    if url.is_none() {
        faults.add(KAGGLE_API_ENDPOINT, "must be an http or https URL without user name, query and fragment");
    }
    url
}

pub(super) fn is_plain_http(url: &Url) -> bool {
    let plain =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    matches!(url.scheme(), "http" | "https") && url.has_host() && plain
}
