//! How far a source has been read: the value that sources, states, footers and reports share.

mod lsn;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::lsn::Lsn;

/// A place in a source; equal positions mean the same data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Position {
    /// A dataset's version number.
    Version(u64),
    /// A commit in a database's log, up to which everything has been examined.
    Lsn(Lsn),
    /// The digest of local files, or another opaque mark.
    Mark(String),
}

impl Position {
    /// The place in a database's log, if that is what it is.
    pub fn lsn(&self) -> Option<Lsn> {
        if let Self::Lsn(lsn) = self { Some(*lsn) } else { None }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(number) => write!(f, "{number}"),
            Self::Lsn(lsn) => lsn.fmt(f),
            Self::Mark(mark) => f.write_str(mark),
        }
    }
}
