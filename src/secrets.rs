//! Credentials: where they come from, and a type that cannot be printed or serialised.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::Result;

/// A secret text. It has no `Display` and no `Serialize`; its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text, without the white space around it.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
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

/// The credentials of this container: fetched once, and again when somebody found them refused.
#[derive(Debug)]
pub struct CredentialCache {
    current: Mutex<Arc<KaggleCredentials>>,
    next: Mutex<Vec<KaggleCredentials>>,
}

impl CredentialCache {
    /// Credentials that never change.
    pub fn fixed(credentials: KaggleCredentials) -> Self {
        Self::rotating(credentials, [])
    }

    /// Credentials that are replaced by the next of `later` at each renewal.
    pub fn rotating(first: KaggleCredentials, later: impl IntoIterator<Item = KaggleCredentials>) -> Self {
        let mut next: Vec<_> = later.into_iter().collect();
        next.reverse();
        Self { current: Mutex::new(Arc::new(first)), next: Mutex::new(next) }
    }

    /// The credentials to use.
    ///
    /// # Errors
    /// Those of their source.
    pub async fn kaggle(&self) -> Result<Arc<KaggleCredentials>> {
        Ok(Arc::clone(&*self.current.lock().await))
    }

    /// The credentials to use after `stale` was refused: fetched anew, unless another caller already did that.
    /// Equal ones come back when the source has no others.
    ///
    /// # Errors
    /// Those of their source.
    pub async fn renew_kaggle(&self, stale: &Arc<KaggleCredentials>) -> Result<Arc<KaggleCredentials>> {
        let mut current = self.current.lock().await;
        if Arc::ptr_eq(&current, stale)
            && let Some(next) = self.next.lock().await.pop()
        {
            *current = Arc::new(next);
        }
        Ok(Arc::clone(&current))
    }
}
