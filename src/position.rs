//! How far a source has been read: the value that sources, states, footers and reports share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a source; equal positions mean the same data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Position {
    /// A dataset's version number.
    Version(u64),
    /// The digest of local files, or another opaque mark.
    Mark(String),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(number) => write!(f, "{number}"),
            Self::Mark(mark) => f.write_str(mark),
        }
    }
}
