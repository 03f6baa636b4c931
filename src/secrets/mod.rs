//! Credentials: where they come from, and a type that cannot be printed or serialised.
//!
//! Kaggle's are looked for where its own tools look, the first hit wins: Secrets Manager (`KAGGLE_SECRET_ID`),
//! `KAGGLE_API_TOKEN`, `KAGGLE_USERNAME` with `KAGGLE_KEY`, `~/.kaggle/access_token`, `~/.kaggle/access_token.txt`,
//! `kaggle.json` in `KAGGLE_CONFIG_DIR` or `~/.kaggle`, and else none. A place that is named but unusable is an error;
//! the search does not go on behind it, because the wrong account would be worse than no answer.
//!
//! No error of this module, and none of its causes, shows a secret or a part of one.

mod cache;
mod format;
mod local;
mod manager;
mod sqlserver;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use self::cache::Cached;
pub use self::manager::{Timing, client};
pub use self::sqlserver::{LoginCache, SqlServerLogin};
use crate::config::{Environment, KAGGLE_SECRET_ID};
use crate::error::Result;
use aws_sdk_secretsmanager::Client;
use futures_util::future::BoxFuture;

/// A secret text. It has no `Display` and no `Serialize`; its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text, without the white space around it.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Wraps a text exactly as it stands.
    pub fn verbatim(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What Kaggle accepts on the wire (two forms only).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KaggleCredentials {
    /// No credentials: public datasets only.
    Anonymous,
    /// An API token (`KGAT_…`) or OAuth access token, sent as `Bearer`.
    Token(Secret),
    /// The legacy user name and key, sent as `Basic`.
    Legacy {
        /// The user's name.
        username: String,
        /// The user's key.
        key: Secret,
    },
}

/// Kaggle's credentials, resolved at the first need and kept for the life of the process (a Lambda container).
pub struct CredentialCache {
    origin: Origin,
    current: Cached<KaggleCredentials>,
}

enum Origin {
    Fixed(KaggleCredentials),
    Found { environment: Environment, home: Option<PathBuf>, secrets_manager: ClientFactory },
}

/// Makes a client of Secrets Manager, when one is needed.
pub(crate) type ClientFactory = Box<dyn Fn() -> BoxFuture<'static, Client> + Send + Sync>;

impl CredentialCache {
    /// A cache that looks in `environment`, then below `home` (the user's home folder). `secrets_manager` makes the
    /// client, and is called only when `KAGGLE_SECRET_ID` is set.
    pub fn new(
        environment: Environment,
        home: Option<PathBuf>,
        secrets_manager: impl Fn() -> BoxFuture<'static, Client> + Send + Sync + 'static,
    ) -> Self {
        Self::of(Origin::Found { environment, home, secrets_manager: Box::new(secrets_manager) })
    }

    /// A cache of credentials that never change.
    pub fn fixed(credentials: KaggleCredentials) -> Self {
        Self::of(Origin::Fixed(credentials))
    }

    /// Kaggle's credentials, fetched only the first time.
    ///
    /// # Errors
    /// `SecretNotFound`, `SecretDenied`, `SecretMalformed`, `AwsNotConfigured` (kind `Config`) or `SecretUnavailable`
    /// (kind `Transient`). An error is not kept: the next call tries again.
    pub async fn kaggle(&self) -> Result<Arc<KaggleCredentials>> {
        self.current.get(Box::pin(self.origin.fetch())).await
    }

    /// Kaggle's credentials anew, after `stale` ones were refused: they may have been rotated. When another caller has
    /// already fetched newer ones, these are given.
    ///
    /// # Errors
    /// As [`Self::kaggle`].
    pub async fn renew_kaggle(&self, stale: &Arc<KaggleCredentials>) -> Result<Arc<KaggleCredentials>> {
        match self.origin {
            Origin::Fixed(_) => self.kaggle().await,
            Origin::Found { .. } => self.current.renew(stale, Box::pin(self.origin.fetch())).await,
        }
    }

    fn of(origin: Origin) -> Self {
        Self { origin, current: Cached::default() }
    }
}

/// Where the credentials come from, not what they are.
impl fmt::Debug for CredentialCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match &self.origin {
            Origin::Fixed(_) => "fixed",
            Origin::Found { .. } => "found",
        };
        f.debug_struct("CredentialCache").field("origin", &origin).finish_non_exhaustive()
    }
}

impl Origin {
    async fn fetch(&self) -> Result<KaggleCredentials> {
        let (environment, home, secrets_manager) = match self {
            Self::Fixed(credentials) => return Ok(credentials.clone()),
            Self::Found { environment, home, secrets_manager } => (environment, home, secrets_manager),
        };
        match environment.get(KAGGLE_SECRET_ID) {
            Some(id) => manager::kaggle(&secrets_manager().await, id).await,
            None => local::kaggle(environment, home.as_deref()).await,
        }
    }
}

#[cfg(test)]
mod tests;
