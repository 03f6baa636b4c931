//! The forms in which a text can hold Kaggle's credentials.

use serde_json::{Map, Value};

use super::{KaggleCredentials, Secret};
use crate::error::{Error, Result};

/// What a new API token begins with.
const TOKEN_PREFIX: &str = "KGAT_";
const TOKEN_KEYS: [&str; 3] = ["token", "api_token", "KAGGLE_API_TOKEN"];
const USERNAME_KEYS: [&str; 2] = ["username", "KAGGLE_USERNAME"];
const KEY_KEYS: [&str; 2] = ["key", "KAGGLE_KEY"];

/// The credentials in the JSON text or bare `KGAT_…` token found at `place`.
pub(super) fn parse(text: &str, place: &str) -> Result<KaggleCredentials> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with(TOKEN_PREFIX) {
        return token(text, place);
    }
    // Not even the parser's error is kept as a cause: its position is all it could add, and it has seen the text.
    let Ok(Value::Object(entries)) = serde_json::from_str(text) else {
        return Err(malformed(place, "is neither a JSON object nor an API token"));
    };
    if let Some(text) = entry(&entries, &TOKEN_KEYS) {
        return token(text, place);
    }
    legacy(entry(&entries, &USERNAME_KEYS), entry(&entries, &KEY_KEYS), place)?
        .ok_or_else(|| malformed(place, "holds neither `username` and `key` nor `token`"))
}

/// The token that is the whole of `text`.
pub(super) fn token(text: &str, place: &str) -> Result<KaggleCredentials> {
    let token = text.trim_start_matches('\u{feff}').trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed(place, "is not a token: it is empty, or holds white space or other odd characters"));
    }
    Ok(KaggleCredentials::Token(Secret::new(token)))
}

/// The legacy pair; `None` when neither half is there.
pub(super) fn legacy(username: Option<&str>, key: Option<&str>, place: &str) -> Result<Option<KaggleCredentials>> {
    match (username, key) {
        (None, None) => Ok(None),
        (Some(username), Some(key)) => {
            Ok(Some(KaggleCredentials::Legacy { username: username.to_owned(), key: Secret::new(key) }))
        }
        (Some(_), None) => Err(malformed(place, "gives a user name without its key")),
        (None, Some(_)) => Err(malformed(place, "gives a key without its user name")),
    }
}

/// The complaint about what is at `place`, without its content.
pub(super) fn malformed(place: &str, is_wrong: &str) -> Error {
    Error::config("SecretMalformed", format!("{place} {is_wrong}"))
        .hint(r#"give {"username": "…", "key": "…"} as in kaggle.json, {"token": "KGAT_…"}, or the bare KGAT_ token"#)
}

fn entry<'e>(entries: &'e Map<String, Value>, names: &[&str]) -> Option<&'e str> {
    let found = names.iter().find_map(|name| entries.get(*name)?.as_str());
    found.map(str::trim).filter(|text| !text.is_empty())
}
