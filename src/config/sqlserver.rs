//! A SQL Server source: how its server is reached, which of the tracked tables are read, and how their changes are written.

use std::collections::HashMap;
use std::path::PathBuf;

use super::environment::{Environment, SQLSERVER_SECRET_ID, SQLSERVER_USER};
use super::faults::Faults;
use super::keys;
use super::section::Section;
use super::start;
use crate::source::sqlserver::{
    DEFAULT_IDLE_AFTER, DEFAULT_NOT_READY_AFTER, Feed, Images, MetadataColumns, Start, TableOptions, TrackedTable,
};
use crate::table::{SourceName, TableName};

/// The port of SQL Server where nothing else is said.
pub const DEFAULT_SQLSERVER_PORT: u16 = 1433;

pub(super) const ENCRYPTION: [(&str, Encryption); 3] =
    [("strict", Encryption::Strict), ("required", Encryption::Required), ("off", Encryption::Off)];

pub(super) const IMAGES: [(&str, Images); 2] = [("after", Images::After), ("before_and_after", Images::BeforeAndAfter)];

pub(super) const METADATA_COLUMNS: [(&str, MetadataColumns); 2] =
    [("default", MetadataColumns::Readable), ("native", MetadataColumns::Native)];

/// A database of SQL Server that tracks changes (CDC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlServerConfig {
    /// How the server is reached.
    pub connection: SqlServerConnection,
    /// What is read of the database, and how it is written.
    pub feed: Feed,
    /// The types of time that become text with all their digits.
    pub as_text: TimesAsText,
}

/// How a SQL Server is reached. What is `None` is taken from the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlServerConnection {
    /// The server's host name or address.
    pub host: Option<String>,
    /// Its TCP port; where the secret has none either, [`DEFAULT_SQLSERVER_PORT`].
    pub port: Option<u16>,
    /// The database.
    pub database: Option<String>,
    /// The name or ARN of the secret that holds the login, in the format of RDS. User and password from the environment
    /// lie over it.
    pub secret_id: Option<String>,
    /// What of the connection is encrypted.
    pub encryption: Encryption,
    /// Certificates that are trusted beside those of the system.
    pub trust_ca: Option<TrustedCa>,
    /// The name that the server's certificate has to carry, where it is not [`Self::host`].
    pub host_in_certificate: Option<String>,
    /// Whether the connection announces that it only reads, so that a listener sends it to a secondary.
    pub read_only_intent: bool,
}

/// What of a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// All of it, from the first byte (TDS 8).
    Strict,
    /// All of it, after a negotiation in the clear (TDS 7).
    Required,
    /// Nothing, not even the login: for loopback and tunnels.
    Off,
}

/// Where additional certificates of certification authorities are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustedCa {
    /// The certificates themselves, in PEM.
    Pem(String),
    /// A file of PEM or DER.
    Path(PathBuf),
    /// An object of S3.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The object's key.
        key: String,
    },
}

/// The types of time whose values become text, with all their digits and their offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimesAsText {
    /// `datetime2`, whose seventh digit is otherwise cut off.
    pub datetime2: bool,
    /// `datetimeoffset`, which is otherwise a UTC time and a column of the offset.
    pub datetimeoffset: bool,
    /// `time`, whose seventh digit is otherwise cut off.
    pub time: bool,
}

/// The source that `section` describes, with the tables of `root`.
pub(super) fn sqlserver(
    root: &Section<'_>,
    section: &Section<'_>,
    environment: &Environment,
    faults: &Faults,
) -> Option<SqlServerConfig> {
    for (key, why) in [
        ("dataset_name", "does not go with a SQL Server source: give one or the other"),
        ("limits", "does not go with a SQL Server source, which unpacks nothing"),
    ] {
        if root.has(key) {
            root.fault(key, why);
        }
    }
    // Every part is read before the first missing one ends the work, so that each fault is noted.
    let connection = connection(section, environment);
    let feed = feed(root, section, faults);
    let as_text = as_text(section);
    Some(SqlServerConfig { connection, feed, as_text })
}

fn connection(section: &Section<'_>, environment: &Environment) -> SqlServerConnection {
    let secret_id = environment.get(SQLSERVER_SECRET_ID).or_else(|| section.text("secret_id"));
    let login_is_here = environment.get(SQLSERVER_USER).is_some();
    for key in ["host", "database"].into_iter().filter(|key| !section.has(key)) {
        if login_is_here || secret_id.is_none() {
            section.fault(key, "is missing: name it here, or give a `secret_id` whose secret does");
        }
    }
    if secret_id.is_none() && !login_is_here {
        section.fault(
            "secret_id",
            format!(
                "is missing: name a secret here or in {SQLSERVER_SECRET_ID}, or set {SQLSERVER_USER} and its password"
            ),
        );
    }
    SqlServerConnection {
        host: host(section, "host"),
        port: port(section),
        database: section.text("database").map(str::to_owned),
        secret_id: secret_id.map(str::to_owned),
        encryption: section.choice("encrypt", &ENCRYPTION).unwrap_or(Encryption::Required),
        trust_ca: trust_ca(section),
        host_in_certificate: host(section, "host_in_certificate"),
        read_only_intent: section.flag("read_only_intent").unwrap_or(false),
    }
}

/// A host name or an address; neither a port nor the name of an instance is a part of it.
fn host(section: &Section<'_>, key: &str) -> Option<String> {
    let text = if section.has(key) { section.required_text(key)? } else { return None };
    if text.contains(['\\', ',']) {
        section.fault(key, "must be a host name alone; give the port in `port`, also for a named instance");
    } else if text.contains(['/', '@']) || text.contains(char::is_whitespace) {
        section.fault(key, "must be a host name or an address");
    }
    Some(text.to_owned())
}

fn port(section: &Section<'_>) -> Option<u16> {
    let port = section.count("port")?;
    let port = u16::try_from(port).ok();
    if port.is_none() {
        section.fault("port", "must be a TCP port, 1 to 65535");
    }
    port
}

fn trust_ca(section: &Section<'_>) -> Option<TrustedCa> {
    let text = section.text("trust_ca")?;
    if text.starts_with("-----BEGIN ") {
        return Some(TrustedCa::Pem(text.to_owned()));
    }
    let s3 = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    match s3.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()) {
        Some((bucket, key)) => Some(TrustedCa::S3 { bucket: bucket.to_owned(), key: key.to_owned() }),
        None if text.contains("://") => {
            section.fault("trust_ca", "must be a path, s3://bucket/key, or certificates in PEM");
            None
        }
        None => Some(TrustedCa::Path(text.into())),
    }
}

fn as_text(section: &Section<'_>) -> TimesAsText {
    let mut found = TimesAsText::default();
    for name in section.texts("as_text").unwrap_or_default() {
        match name.trim().to_ascii_lowercase().as_str() {
            "datetime2" => found.datetime2 = true,
            "datetimeoffset" => found.datetimeoffset = true,
            "time" => found.time = true,
            _ => section.fault("as_text", format!("holds `{name}`; it can hold datetime2, datetimeoffset, time")),
        }
    }
    found
}

fn feed(root: &Section<'_>, section: &Section<'_>, faults: &Faults) -> Feed {
    let defaults = options(section, &TableOptions::default());
    let schema_in_path = section.flag("schema_in_path").unwrap_or(false);
    Feed {
        tables: tables(root, &defaults, schema_in_path, faults),
        defaults,
        metadata_columns: section.choice("metadata_columns", &METADATA_COLUMNS).unwrap_or_default(),
        schema_in_path,
        idle_after: section.minutes("idle_after_minutes", DEFAULT_IDLE_AFTER),
        not_ready_after: section.minutes("not_ready_after_minutes", DEFAULT_NOT_READY_AFTER),
    }
}

fn options(section: &Section<'_>, default: &TableOptions) -> TableOptions {
    TableOptions {
        start: start(section).unwrap_or_else(|| default.start.clone()),
        images: section.choice("images", &IMAGES).unwrap_or(default.images),
    }
}

fn start(section: &Section<'_>) -> Option<Start> {
    let text = section.text("start")?;
    start::parse(text).map_err(|is_wrong| section.fault("start", format!("is `{text}`{is_wrong}"))).ok()
}

/// The tables in their configured order, without those that have faults, which are noted.
fn tables(
    root: &Section<'_>,
    default: &TableOptions,
    schema_in_path: bool,
    faults: &Faults,
) -> Option<Vec<TrackedTable>> {
    let items = root.list("tables").filter(|items| !items.is_empty())?;
    let mut seen = HashMap::new();
    let tables = items.iter().filter_map(|(path, item)| {
        let section = Section::of(item, path, &table_keys(), faults)?;
        let table = table(&section, default, schema_in_path)?;
        let name = SourceName::new(&table.schema, &table.name);
        refuse_repeated(&section, path, &name, schema_in_path, &mut seen);
        Some(table)
    });
    Some(tables.collect())
}

/// Those of a table of any source: keys of the other kind get a fault that says more than that they are unknown.
fn table_keys() -> Vec<&'static str> {
    [keys::names(&keys::CAPTURED_TABLE), keys::names(&keys::TABLE)].concat()
}

fn table(section: &Section<'_>, default: &TableOptions, schema_in_path: bool) -> Option<TrackedTable> {
    let own = keys::names(&keys::CAPTURED_TABLE);
    for key in keys::names(&keys::TABLE).into_iter().filter(|key| !own.contains(key) && section.has(key)) {
        section.fault(key, "does not go with a SQL Server source, which knows its tables itself");
    }
    let options = options(section, default);
    let name = name(section, schema_in_path);
    let name = name?;
    Some(TrackedTable { schema: name.schema().to_owned(), name: name.table().to_owned(), options })
}

fn name(section: &Section<'_>, schema_in_path: bool) -> Option<SourceName> {
    let text = section.required_text("name")?;
    let name: Option<SourceName> =
        text.parse().map_err(|is_wrong: &str| section.fault("name", format!("is `{text}`, which {is_wrong}"))).ok();
    let name = name?;
    let parts = [Some(name.table()), schema_in_path.then(|| name.schema())];
    let unfit = parts.into_iter().flatten().find_map(|part| Some((part, TableName::parse(part).err()?)));
    if let Some((part, is_wrong)) = unfit {
        section.fault("name", format!("holds `{part}`, which {is_wrong}"));
        return None;
    }
    Some(name)
}

/// Two tables must not share a folder. Names that differ only in case would be one on some file systems.
fn refuse_repeated(
    section: &Section<'_>,
    path: &str,
    name: &SourceName,
    schema_in_path: bool,
    seen: &mut HashMap<String, (String, SourceName)>,
) {
    let folder = if schema_in_path { name.to_string() } else { name.table().to_owned() };
    let Some((first, other)) = seen.insert(folder.to_lowercase(), (path.to_owned(), name.clone())) else { return };
    if name.to_string().eq_ignore_ascii_case(&other.to_string()) {
        section.fault("name", format!("is `{name}`, the same table as {first} (case does not count)"));
    } else {
        section.fault(
            "name",
            format!("is `{name}`, whose objects would lie among those of {first}; set `source.schema_in_path` to true"),
        );
    }
}

#[cfg(test)]
mod tests;
