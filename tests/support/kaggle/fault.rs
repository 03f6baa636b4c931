//! Faults: how one response differs from the right one. They can be combined.

use std::time::Duration;

use serde::Deserialize;

/// Changes to one response; the default changes nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Fault {
    /// This status, with the endpoint's kind of error body.
    pub(crate) status: Option<u16>,
    /// This text instead of the body.
    pub(crate) body: Option<String>,
    /// This `Location`, with 302.
    pub(crate) redirect: Option<String>,
    /// This `Retry-After`. The responses' `Date` is [`super::http::DATE`].
    pub(crate) retry_after: Option<String>,
    /// The connection ends after so many bytes of the body.
    pub(crate) cut_after: Option<usize>,
    /// Silence after so many bytes of the body.
    pub(crate) stall_after: Option<usize>,
    /// The body comes slowly.
    pub(crate) drip: Option<Drip>,
    /// This `Content-Range`, whatever is sent.
    pub(crate) content_range: Option<String>,
    /// The whole archive, though a part was asked for.
    pub(crate) ignore_range: bool,
    /// This `ETag` in place of the right one; none if it is empty. `If-Range` is compared with it.
    pub(crate) etag: Option<String>,
    /// One bit in the middle of the body is turned.
    pub(crate) corrupt: bool,
    /// No `Content-Length`.
    pub(crate) no_length: bool,
    /// Which hashes are told, and how.
    pub(crate) hashes: Hashes,
}

/// A body in small pieces with pauses.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Drip {
    /// Bytes of a piece.
    pub(crate) bytes: usize,
    /// The pause before each piece, in milliseconds.
    pub(crate) pause_ms: u64,
}

impl Drip {
    pub(super) fn pause(self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }
}

/// The forms of `x-goog-hash`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Hashes {
    /// Both hashes, joined by a comma.
    #[default]
    Joined,
    /// Both hashes, each with a header line of its own.
    Lines,
    /// CRC32C only, as composite objects have it.
    Crc32c,
    /// MD5 only.
    Md5,
    /// None at all.
    None,
}
