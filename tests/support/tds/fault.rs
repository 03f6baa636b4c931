//! Faults, scripted: what goes wrong, when, and in which exchange.

use std::time::Duration;

use super::token::ServerError;

/// The exchange that a fault waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A new connection, before the server says anything.
    Accept,
    /// A login, before it is answered.
    Login,
    /// A request with this in its text; an empty text is in every request.
    Request(String),
}

impl Stage {
    /// A request with `part` in its text.
    pub(crate) fn request(part: &str) -> Self {
        Self::Request(part.to_owned())
    }

    /// Whether a fault that waits for `self` is meant for `stage`.
    pub(super) fn meets(&self, stage: &Self) -> bool {
        match (self, stage) {
            (Self::Request(part), Self::Request(text)) => text.contains(part),
            _ => self == stage,
        }
    }
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// Instead of the answer.
    Nothing,
    /// After so many bytes of the answer, headers of packets included. Rows and values are cut wherever it happens to be.
    Bytes(usize),
    /// After so many rows.
    Rows(u64),
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// The connection ends, as it does when the server shuts down.
    Close,
    /// The connection is reset.
    Reset,
    /// Silence for ever, on an open connection.
    Stall,
    /// Silence for a time; then the answer goes on. Not after bytes.
    Wait(Duration),
    /// The server says this, and the answer is over. Not after bytes.
    Error(ServerError),
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) after: After,
    pub(crate) harm: Harm,
}

impl Fault {
    /// A fault instead of the answer.
    pub(crate) fn now(harm: Harm) -> Self {
        Self { after: After::Nothing, harm }
    }

    /// A fault after so many rows.
    pub(crate) fn after_rows(rows: u64, harm: Harm) -> Self {
        Self { after: After::Rows(rows), harm }
    }

    /// A fault after so many bytes.
    pub(crate) fn after_bytes(bytes: usize, harm: Harm) -> Self {
        Self { after: After::Bytes(bytes), harm }
    }
}
