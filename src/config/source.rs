//! What is read: `dataset_name`, or a `source` of another type.

use url::Url;

use super::dataset::Dataset;
use super::environment::{Environment, KAGGLE_API_ENDPOINT};
use super::faults::Faults;
use super::section::Section;

/// The base URL of Kaggle's API.
pub const DEFAULT_KAGGLE_ENDPOINT: &str = "https://api.kaggle.com";

/// The keys of a `source`, of whatever type.
const KEYS: [&str; 3] = ["type", "database", "secret_id"];

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceConfig {
    /// A dataset of Kaggle.
    Kaggle {
        /// Its name.
        dataset: Dataset,
        /// The base URL of the API, http or https, without credentials.
        endpoint: Url,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Kaggle,
    SqlServer,
}

pub(super) fn source(root: &Section<'_>, environment: &Environment, faults: &Faults) -> Option<SourceConfig> {
    let endpoint = endpoint(environment, faults);
    match source_type(root)? {
        Type::Kaggle => Some(SourceConfig::Kaggle { dataset: dataset(root)?, endpoint: endpoint? }),
        Type::SqlServer => None,
    }
}

/// The type of source, Kaggle unless the document says otherwise.
fn source_type(root: &Section<'_>) -> Option<Type> {
    if !root.has("source") {
        return Some(Type::Kaggle);
    }
    let source = root.section("source", &KEYS)?;
    if !source.has("type") {
        source.fault("type", "is missing: it can be kaggle");
    }
    let found = source.choice("type", &[("kaggle", Type::Kaggle), ("sqlserver", Type::SqlServer)])?;
    if found == Type::SqlServer {
        source.fault("type", "is `sqlserver`, which is not available in this version; use a Kaggle `dataset_name`");
    }
    if found == Type::SqlServer && root.has("dataset_name") {
        root.fault("dataset_name", "does not go with a SQL Server source: give one or the other");
    }
    Some(found)
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
