//! Credentials: where they come from, and a type that cannot be printed or serialised.

use std::fmt;

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
