//! The login of a SQL Server: from the environment, else from Secrets Manager in the format of RDS.
//!
//! RDS keeps `{"username", "password", "host", "port", "dbname", "engine", …}`. User and password are needed; the rest
//! fills the gaps of the configuration.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::cache::Cached;
use super::{ClientFactory, Secret, manager};
use crate::config::{Environment, SQLSERVER_PASSWORD, SQLSERVER_SECRET_ID, SQLSERVER_USER};
use crate::error::{Error, Result};

/// Who logs in to a SQL Server, and where, as far as the secret says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlServerLogin {
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// The server's host name.
    pub host: Option<String>,
    /// Its TCP port.
    pub port: Option<u16>,
    /// The database.
    pub database: Option<String>,
}

/// The login of one source, resolved at the first need and kept.
pub struct LoginCache {
    origin: Origin,
    current: Cached<SqlServerLogin>,
}

enum Origin {
    Fixed(SqlServerLogin),
    Secret { id: String, secrets_manager: ClientFactory },
}

impl LoginCache {
    /// The user and password of `environment`, else the secret `secret_id`, for which `secrets_manager` makes a client.
    ///
    /// # Errors
    /// `SecretMalformed` (kind `Config`) for a user without a password, `SecretNotFound` where neither is named.
    pub(crate) fn new(
        environment: &Environment,
        secret_id: Option<&str>,
        secrets_manager: ClientFactory,
    ) -> Result<Self> {
        if let Some(login) = of_environment(environment)? {
            return Ok(Self::fixed(login));
        }
        let id = secret_id.ok_or_else(|| {
            Error::config("SecretNotFound", "nothing says who logs in to SQL Server").hint(format!(
                "name a secret in `source.secret_id` or {SQLSERVER_SECRET_ID}, or set {SQLSERVER_USER} and {SQLSERVER_PASSWORD}"
            ))
        })?;
        Ok(Self { origin: Origin::Secret { id: id.to_owned(), secrets_manager }, current: Cached::default() })
    }

    /// A login that never changes.
    pub fn fixed(login: SqlServerLogin) -> Self {
        Self { origin: Origin::Fixed(login), current: Cached::default() }
    }

    /// Whether a login that was refused may be another one by now.
    pub fn is_renewable(&self) -> bool {
        matches!(self.origin, Origin::Secret { .. })
    }

    /// The login, fetched only the first time.
    ///
    /// # Errors
    /// `SecretNotFound`, `SecretDenied`, `SecretMalformed`, `AwsNotConfigured` (kind `Config`) or `SecretUnavailable`
    /// (kind `Transient`). An error is not kept: the next call tries again.
    pub async fn login(&self) -> Result<Arc<SqlServerLogin>> {
        self.current.get(Box::pin(self.origin.fetch())).await
    }

    /// The login anew, after `stale` was refused: its password may have been rotated.
    ///
    /// # Errors
    /// As [`Self::login`].
    pub async fn renew(&self, stale: &Arc<SqlServerLogin>) -> Result<Arc<SqlServerLogin>> {
        match self.origin {
            Origin::Fixed(_) => self.login().await,
            Origin::Secret { .. } => self.current.renew(stale, Box::pin(self.origin.fetch())).await,
        }
    }
}

/// Where the login comes from, not what it is.
impl fmt::Debug for LoginCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match &self.origin {
            Origin::Fixed(_) => "fixed",
            Origin::Secret { .. } => "secret",
        };
        f.debug_struct("LoginCache").field("origin", &origin).finish_non_exhaustive()
    }
}

impl Origin {
    async fn fetch(&self) -> Result<SqlServerLogin> {
        match self {
            Self::Fixed(login) => Ok(login.clone()),
            Self::Secret { id, secrets_manager } => {
                let text = manager::text(&secrets_manager().await, id, "`source.secret_id`").await?;
                parse(&text, &format!("the secret {id}"))
            }
        }
    }
}

fn of_environment(environment: &Environment) -> Result<Option<SqlServerLogin>> {
    let place = format!("the environment ({SQLSERVER_USER}, {SQLSERVER_PASSWORD})");
    match (environment.get(SQLSERVER_USER), environment.get(SQLSERVER_PASSWORD)) {
        (None, None) => Ok(None),
        (Some(username), Some(password)) => Ok(Some(SqlServerLogin {
            username: username.to_owned(),
            password: Secret::new(password),
            host: None,
            port: None,
            database: None,
        })),
        (Some(_), None) => Err(malformed(&place, "gives a user without a password")),
        (None, Some(_)) => Err(malformed(&place, "gives a password without a user")),
    }
}

/// The login in the JSON text found at `place`.
fn parse(text: &str, place: &str) -> Result<SqlServerLogin> {
    // Not even the parser's error is kept as a cause: it has seen the text.
    let Ok(Value::Object(entries)) = serde_json::from_str(text.trim_start_matches('\u{feff}')) else {
        return Err(malformed(place, "is not a JSON object"));
    };
    let username = entry(&entries, "username").ok_or_else(|| malformed(place, "holds no `username`"))?;
    // A password may begin or end with white space.
    let password = entries.get("password").and_then(Value::as_str).filter(|text| !text.is_empty());
    let password = password.ok_or_else(|| malformed(place, "holds no `password`"))?;
    Ok(SqlServerLogin {
        username: username.to_owned(),
        password: Secret::verbatim(password),
        host: entry(&entries, "host").map(str::to_owned),
        port: port(&entries, place)?,
        database: entry(&entries, "dbname").map(str::to_owned),
    })
}

/// RDS writes a number; people write a text, too.
fn port(entries: &Map<String, Value>, place: &str) -> Result<Option<u16>> {
    let port = match entries.get("port") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(other) => other.as_u64().and_then(|port| u16::try_from(port).ok()),
    };
    match port.filter(|port| *port > 0) {
        Some(port) => Ok(Some(port)),
        None => Err(malformed(place, "holds a `port` that is none")),
    }
}

fn entry<'e>(entries: &'e Map<String, Value>, name: &str) -> Option<&'e str> {
    entries.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The complaint about what is at `place`, without its content.
fn malformed(place: &str, is_wrong: &str) -> Error {
    Error::config("SecretMalformed", format!("{place} {is_wrong}"))
        .hint(r#"give {"username": "…", "password": "…"} as RDS does, with "host", "port" and "dbname" where the configuration has none"#)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn of_secret(text: &str) -> Result<SqlServerLogin> {
        parse(text, "the secret s")
    }

    #[test]
    fn a_secret_of_rds_is_read_whole() {
        let login = of_secret(
            r#"{"username": "cdc", "password": " p;w} ", "engine": "sqlserver", "host": "db.internal", "port": 1433,
                "dbname": "Sales", "dbInstanceIdentifier": "x"}"#,
        )
        .unwrap();
        assert_eq!((login.username.as_str(), login.password.expose()), ("cdc", " p;w} "));
        assert_eq!(
            (login.host.as_deref(), login.port, login.database.as_deref()),
            (Some("db.internal"), Some(1433), Some("Sales"))
        );
        assert_eq!(of_secret(r#"{"username": "u", "password": "p", "port": "1500"}"#).unwrap().port, Some(1500));
    }

    #[test]
    fn what_is_no_login_is_refused_without_showing_it() {
        for text in [
            "hunter2",
            "[]",
            r#"{"password": "hunter2"}"#,
            r#"{"username": "hunter2", "password": ""}"#,
            r#"{"username": "u", "password": "hunter2", "port": "hunter2"}"#,
            r#"{"username": "u", "password": "hunter2", "port": 70000}"#,
        ] {
            let error = of_secret(text).unwrap_err();
            assert_eq!(error.code(), "SecretMalformed");
            let json = serde_json::to_string(&error).unwrap();
            assert!(!format!("{error:?}{json}").contains("hunter2"), "{text}");
        }
    }

    #[tokio::test]
    async fn user_and_password_of_the_environment_come_before_the_secret() {
        let unused = || -> ClientFactory { Box::new(|| async { unreachable!("no secret is needed") }.boxed()) };
        let both = Environment::from_pairs([("SQLSERVER_USER", "u"), ("SQLSERVER_PASSWORD", "hunter2")]);
        let cache = LoginCache::new(&both, Some("secret"), unused()).unwrap();
        assert_eq!(cache.login().await.unwrap().username, "u");
        assert!(!cache.is_renewable());
        assert!(!format!("{cache:?} {:?}", cache.login().await).contains("hunter2"));
        let half = Environment::from_pairs([("SQLSERVER_USER", "u")]);
        assert_eq!(LoginCache::new(&half, Some("secret"), unused()).unwrap_err().code(), "SecretMalformed");
        assert_eq!(LoginCache::new(&Environment::default(), None, unused()).unwrap_err().code(), "SecretNotFound");
    }
}
