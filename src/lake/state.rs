//! The state object of a table: the head of its log and the claim that is pending, changed only by compare-and-swap.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::capture::CapturedHead;
use super::footer::FORMAT_VERSION;
use super::layout::RunTime;
use super::store::ETag;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::table::{Provenance, TableSchema};

/// The greatest size of a state object, in bytes. A schema of 4096 columns fits.
pub(crate) const STATE_LIMIT: u64 = 4 * 1024 * 1024;

/// The content of a state object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The version of this format.
    pub format_version: u32,
    /// The newest committed run; `None` before the first.
    pub head: Option<Head>,
    /// The run that is publishing, or that stopped while it was.
    pub pending: Option<Claim>,
}

/// A committed run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its time.
    pub run_at: RunTime,
    /// The source's position that the table is at.
    pub position: Option<Position>,
    /// The full load that belongs to it.
    pub full_load_etag: Option<ETag>,
    /// Rows of the snapshot.
    pub rows: u64,
    /// The fingerprint of the snapshot.
    pub row_set_hash: String,
    /// The table's schema.
    pub schema: TableSchema,
    /// How far a database's captured changes were read; `None` where snapshots are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<CapturedHead>,
    /// What the snapshot was read from, and what was guessed of it.
    #[serde(default, skip_serializing_if = "Provenance::is_unknown")]
    pub provenance: Provenance,
    /// The digest of the settings it was read by ([`TableSpec::digest`](crate::table::TableSpec::digest)), where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
}

/// A run's intent: it names the CDC object before that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The run's time, which is part of the object's name.
    pub run_at: RunTime,
    /// The source's position that it publishes.
    pub position: Option<Position>,
    /// The object that it will create.
    pub cdc_key: String,
    /// Who claims: equal for a redelivered event.
    pub owner: String,
    /// When others may take over. Serves liveness only; safety never depends on it.
    pub expires: DateTime<Utc>,
}

impl State {
    /// The state of a table that was never run.
    pub fn empty() -> Self {
        Self { format_version: FORMAT_VERSION, head: None, pending: None }
    }

    /// Reads a state object, which `key` names in errors.
    pub fn parse(bytes: &[u8], key: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let garbled = |error: serde_json::Error| {
            Error::internal("StateGarbled", format!("the state object `{key}` is not what this program writes"))
                .caused_by(error)
                .hint("restore its previous version; or, if nothing is running, delete it: the head is then read from the full load and the log")
        };
        let Version { format_version } = serde_json::from_slice(bytes).map_err(garbled)?;
        if format_version > FORMAT_VERSION {
            return Err(Error::config(
                "StateTooNew",
                format!("the state object `{key}` has format version {format_version}, newer than {FORMAT_VERSION}"),
            )
            .hint("deploy the version of this program that wrote it, or a later one"));
        }
        serde_json::from_slice(bytes).map_err(garbled)
    }

    /// The object's bytes.
    pub fn to_bytes(&self) -> Result<Bytes> {
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::internal("StateUnwritable", "cannot write the state").caused_by(error))?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_and_newer_states_are_two_errors() {
        assert_eq!(State::parse(b"{", "_state/t.json").unwrap_err().code(), "StateGarbled");
        assert_eq!(State::parse(b"{}", "_state/t.json").unwrap_err().code(), "StateGarbled");
        assert_eq!(State::parse(br#"{"format_version": 2}"#, "k").unwrap_err().code(), "StateTooNew");
        let empty = State::empty();
        assert_eq!(State::parse(&empty.to_bytes().unwrap(), "k").unwrap(), empty);
    }
}
