//! Sources: where a snapshot comes from. Both jobs end in the same value, so that the rest of the program is one.

pub mod kaggle;

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a source has been read; equal positions mean the same data.
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
