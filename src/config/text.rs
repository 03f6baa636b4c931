//! Where the configuration's text comes from.

use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};

use super::environment::{CDC_CONFIG, Environment};
use crate::error::{Error, Result};

const DEFAULT_FILE: &str = "config.json";

/// The place of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// A file.
    Path(PathBuf),
    /// An object of S3.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// The text itself.
    Inline(String),
}

/// A configuration's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigText {
    /// Where it comes from, as errors name it.
    pub origin: String,
    /// The JSON text.
    pub text: String,
}

impl ConfigSource {
    /// What `--config` names, else what `CDC_CONFIG` does, else `config.json` in the current folder.
    ///
    /// # Errors
    /// `InvalidConfigSource` (kind `Config`) for a URL that is not `s3://bucket/key`.
    pub fn choose(flag: Option<&str>, environment: &Environment) -> Result<Self> {
        flag.or_else(|| environment.get(CDC_CONFIG)).map_or_else(|| Ok(Self::Path(DEFAULT_FILE.into())), Self::parse)
    }

    /// Inline JSON (which starts with `{`), an `s3://bucket/key` URL, or a path.
    ///
    /// # Errors
    /// `InvalidConfigSource` (kind `Config`) for another kind of URL or an incomplete one.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim().trim_start_matches('\u{feff}');
        if text.starts_with('{') {
            return Ok(Self::Inline(text.to_owned()));
        }
        let s3 = text.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        match s3.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()) {
            Some((bucket, key)) => Ok(Self::S3 { bucket: bucket.to_owned(), key: key.to_owned() }),
            None if text.contains("://") || text.is_empty() => Err(invalid_source()),
            None => Ok(Self::Path(text.into())),
        }
    }

    /// Reads the text. `fetch` reads an object of S3, given its bucket and key, and is called for no other source.
    ///
    /// # Errors
    /// `ConfigNotFound` or `ConfigUnreadable` (kind `Config`), or what `fetch` answers.
    pub async fn load<F, O>(&self, fetch: F) -> Result<ConfigText>
    where
        F: FnOnce(String, String) -> O,
        O: Future<Output = Result<Option<Vec<u8>>>>,
    {
        let bytes = match self {
            Self::Inline(text) => return Ok(ConfigText { origin: self.to_string(), text: text.clone() }),
            Self::Path(path) => read(path).await?,
            Self::S3 { bucket, key } => {
                fetch(bucket.clone(), key.clone()).await?.ok_or_else(|| not_found(&self.to_string()))?
            }
        };
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(&self.to_string(), error))?;
        Ok(ConfigText { origin: self.to_string(), text })
    }
}

/// As errors name it; never the text itself.
impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::Inline(_) => f.write_str("the inline configuration"),
        }
    }
}

async fn read(path: &Path) -> Result<Vec<u8>> {
    tokio::fs::read(path).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => not_found(&path.display().to_string()),
        _ => Error::config("ConfigUnreadable", format!("cannot read the configuration {}", path.display()))
            .hint("check that it is a file which this user may read")
            .caused_by(error),
    })
}

fn not_found(place: &str) -> Error {
    Error::config("ConfigNotFound", format!("there is no configuration at {place}"))
        .hint(format!("name it with --config or in {CDC_CONFIG}: a path, s3://bucket/key, or inline JSON"))
}

fn not_utf8(place: &str, error: std::string::FromUtf8Error) -> Error {
    // The error itself owns the bytes; the position is all that is kept of it.
    Error::config("ConfigUnreadable", format!("the configuration {place} is not UTF-8 text"))
        .hint("save it as UTF-8")
        .caused_by(error.utf8_error())
}

/// The text is not shown: a URL may carry credentials.
fn invalid_source() -> Error {
    Error::config("InvalidConfigSource", "the place of the configuration is neither a path nor s3://bucket/key")
        .hint(format!("use one of them with --config or in {CDC_CONFIG}, or inline JSON that starts with `{{`"))
}
