//! Kaggle's credentials in the environment and in the user's home folder.

use std::io::ErrorKind;
use std::path::Path;

use super::KaggleCredentials;
use super::format::{legacy, malformed, parse, token};
use crate::config::{Environment, KAGGLE_API_TOKEN, KAGGLE_CONFIG_DIR, KAGGLE_KEY, KAGGLE_USERNAME};
use crate::error::{Error, Result};

const FOLDER: &str = ".kaggle";
const TOKEN_FILES: [&str; 2] = ["access_token", "access_token.txt"];
const LEGACY_FILE: &str = "kaggle.json";

/// The first credentials found in `environment`, then below `home`.
pub(super) async fn kaggle(environment: &Environment, home: Option<&Path>) -> Result<KaggleCredentials> {
    if let Some(value) = environment.get(KAGGLE_API_TOKEN) {
        return token_or_file(value).await;
    }
    let place = format!("the environment ({KAGGLE_USERNAME}, {KAGGLE_KEY})");
    if let Some(pair) = legacy(environment.get(KAGGLE_USERNAME), environment.get(KAGGLE_KEY), &place)? {
        return Ok(pair);
    }
    let folder = home.map(|home| home.join(FOLDER));
    for path in folder.iter().flat_map(|folder| TOKEN_FILES.map(|name| folder.join(name))) {
        if let Some(text) = read(&path).await? {
            return token(&text, &path.display().to_string());
        }
    }
    let folder = environment.get(KAGGLE_CONFIG_DIR).map(Into::into).or(folder);
    let Some(path) = folder.map(|folder| folder.join(LEGACY_FILE)) else { return Ok(KaggleCredentials::Anonymous) };
    match read(&path).await? {
        Some(text) => parse(&text, &path.display().to_string()),
        None => Ok(KaggleCredentials::Anonymous),
    }
}

/// `value` is a token, or the path of a file that holds one. It is not shown, since nobody knows which.
async fn token_or_file(value: &str) -> Result<KaggleCredentials> {
    // What cannot be a file's name at all, such as a very long token, is an error here and so no file.
    let is_file = tokio::fs::try_exists(value).await.unwrap_or(false);
    if is_file && let Some(text) = read(Path::new(value)).await? {
        return token(&text, &format!("the file named by {KAGGLE_API_TOKEN}"));
    }
    // No token has a slash in it: this was meant to be a path.
    if value.contains(['/', '\\']) {
        return Err(Error::config("SecretNotFound", format!("{KAGGLE_API_TOKEN} names a file that is not there"))
            .hint(format!("put the token itself, or the path of a readable file, into {KAGGLE_API_TOKEN}")));
    }
    token(value, KAGGLE_API_TOKEN)
}

/// The text of a file; `None` when there is none.
async fn read(path: &Path) -> Result<Option<String>> {
    let bytes = match tokio::fs::read(path).await {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    };
    warn_if_open_to_others(path).await;
    // The conversion's error would own the bytes: only the fact is kept.
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(malformed(&path.display().to_string(), "is not UTF-8 text")),
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::config("SecretDenied", format!("cannot read {}", path.display()))
        .hint("make it a file that this user may read, or remove it")
        .caused_by(error)
}

#[cfg(unix)]
async fn warn_if_open_to_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let others_may_read = tokio::fs::metadata(path).await.is_ok_and(|file| file.permissions().mode() & 0o044 != 0);
    if others_may_read {
        tracing::warn!(path = %path.display(), "credentials are readable by other users; chmod 600 the file");
    }
}

#[cfg(not(unix))]
async fn warn_if_open_to_others(_path: &Path) {}
