//! The one seam of the crate: a small object store whose writes are all conditional.
//!
//! Three implementations, held to one conformance suite: [`S3Store`], [`DirStore`] (a local folder) and
//! [`MemoryStore`]. The lake never overwrites blindly and never deletes, so the trait cannot do either. A key that one
//! of them takes, all take: what they refuse is the code `BadKey`.
//!
//! An `Err` of kind `Transient` from [`ObjectStore::put`] proves nothing: the object may have been written. Nor does
//! [`Put::Refused`] prove that somebody else wrote it, because a transport may have retried a write that had landed.
//! Who needs to know reads the object back and compares identities (see `lake::commit`).
//!
//! A content may be on its way while it is still being written (see [`Stages`]); only the `put` makes an object of it.

mod ahead;
mod dir;
mod key;
mod memory;
mod s3;
mod tag;
mod url;

use std::fmt::Debug;
use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

pub use self::ahead::{Ahead, Growth, Stager, Stages, Task, Underway};
pub use self::dir::DirStore;
pub use self::memory::MemoryStore;
pub use self::s3::{S3ClientOptions, S3Options, S3Store, S3Timing, s3_client};
pub use self::url::LakeUrl;
use crate::error::{Error, Result};
use crate::workspace::WorkFile;

/// The version of an object's content, opaque; equal tags mean equal content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ETag(pub String);

/// The condition under which a write takes effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing is there yet (`If-None-Match: *`).
    Absent,
    /// The object there has this tag (`If-Match`).
    Matches(ETag),
}

impl Condition {
    /// Whether the condition holds for an object that has the tag `current`, or is not there.
    fn holds(&self, current: Option<&ETag>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Matches(tag) => current == Some(tag),
        }
    }
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// The object is there, with this tag.
    Written(ETag),
    /// The condition did not hold (or did no longer, after a retry inside the transport).
    Refused,
}

/// The part of an object to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// These bytes; the end is cut at the object's length.
    Within(Range<u64>),
    /// The last so many bytes, or the whole of a shorter object.
    Suffix(u64),
}

impl ByteRange {
    /// The bytes that are meant in an object of `len` bytes: never beyond it, empty when there are none.
    pub fn resolve(&self, len: u64) -> Range<u64> {
        match self {
            Self::Within(range) => {
                let end = range.end.min(len);
                range.start.min(end)..end
            }
            Self::Suffix(count) => len.saturating_sub(*count)..len,
        }
    }
}

/// An object, or a part of one, being read. All of its bytes belong to the version named by `etag`.
///
/// The body is checked as it is read to its end: a reader who stops early has checked nothing.
pub struct Object {
    /// The version that `body` comes from.
    pub etag: ETag,
    /// The length of the whole object in bytes, whatever range was asked for.
    pub len: u64,
    /// The bytes asked for, in order.
    pub body: BoxStream<'static, Result<Bytes>>,
}

/// One entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The full key.
    pub key: String,
    /// Length in bytes.
    pub len: u64,
}

/// An upload that was started and neither completed nor aborted: its parts are no object, but are stored, and paid for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The key of the object that it was to become.
    pub key: String,
    /// The store's name for it.
    pub id: String,
    /// When it was started, by the store's clock, in seconds since 1970.
    pub since: Option<i64>,
}

/// The content of an object to be written: in memory, or a file of the run's work folder.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Bytes in memory.
    Memory(Bytes),
    /// A complete file that nobody writes to any more.
    File {
        /// Where it is; its last holder removes it.
        path: WorkFile,
        /// Its length in bytes.
        len: u64,
    },
    /// Such a file, which a store has followed while it was being written.
    Staged {
        /// Where it is, as above: the store may want it after all.
        path: WorkFile,
        /// Its length in bytes.
        len: u64,
        /// What was done ahead.
        ahead: Ahead,
    },
}

impl Payload {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { len, .. } | Self::Staged { len, .. } => *len,
        }
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Conditional object storage. Keys are relative to the lake's root, `/`-separated, without a leading slash.
#[async_trait]
pub trait ObjectStore: Debug + Send + Sync {
    /// Reads an object or a part of it; `None` when there is no such object.
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>>;

    /// Writes an object if `condition` holds, atomically: a reader sees the old content or all of the new.
    /// `Condition::Matches` on a missing object is [`Put::Refused`].
    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put>;

    /// All objects whose key starts with `prefix` and is greater than `after`, in ascending byte order of keys.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>>;

    /// How contents are brought here while they are being written, ahead of their [`put`](Self::put); `None` where that
    /// would save nothing. What was begun makes no object visible before the `put` of a [`Payload::Staged`].
    fn stager(&self) -> Option<Stager> {
        None
    }

    /// Gives the object a second name, `path`, where nothing is yet, instead of copying it; its version and its length in
    /// bytes are those of the result. `None` where that is not possible, or where there is no such object: see
    /// [`get`](Self::get).
    async fn link(&self, _key: &str, _path: &Path) -> Result<Option<(ETag, u64)>> {
        Ok(None)
    }

    /// The uploads that are under way or were left, of all keys; none where a store has no such thing.
    async fn leftovers(&self) -> Result<Vec<Leftover>> {
        Ok(Vec::new())
    }

    /// Whether an object of so many bytes comes here in parts, of which a killed process may leave some.
    fn takes_in_parts(&self, _len: u64) -> bool {
        false
    }

    /// When an object was written, by the store's clock, in seconds since 1970; `None` where there is no such object, or where
    /// nothing comes in parts. Of an object that came in parts it may be the start of its upload.
    async fn written_at(&self, _key: &str) -> Result<Option<i64>> {
        Ok(None)
    }

    /// Aborts an upload; one that is gone already was aborted. Whoever is still at work on it gets `UploadAborted`, and
    /// stores the object anew.
    async fn abort(&self, _leftover: &Leftover) -> Result<()> {
        Ok(())
    }

    /// The store's place as a person would write it (`s3://bucket/prefix`, `/path`), for messages.
    fn location(&self) -> String;
}

/// Reads a whole small object into memory, with its version; `None` when there is no such object.
///
/// An object of more than `limit` bytes is a `Data` error, code `ObjectTooLarge`: nothing of its body is read.
pub async fn read_all(store: &dyn ObjectStore, key: &str, limit: u64) -> Result<Option<(Bytes, ETag)>> {
    let Some(object) = store.get(key, None).await? else { return Ok(None) };
    if object.len > limit {
        let place = store.location();
        let message = format!("{key} in {place} has {} bytes, more than the {limit} expected", object.len);
        return Err(
            Error::data("ObjectTooLarge", message).hint("the object was not written by this program; look at it")
        );
    }
    let chunks: Vec<Bytes> = object.body.try_collect().await?;
    Ok(Some((join(chunks), object.etag)))
}

fn join(mut chunks: Vec<Bytes>) -> Bytes {
    match chunks.len() {
        0 => Bytes::new(),
        1 => chunks.swap_remove(0),
        _ => chunks.concat().into(),
    }
}

/// The payload's file is not what [`Payload::File`] says: a broken promise of the caller.
fn payload_changed(path: &Path) -> Error {
    Error::internal("PayloadChanged", format!("{} changed or went away while it was being stored", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_the_end_of_the_object() {
        let cases = [
            (ByteRange::Within(0..4), 10, 0..4),
            (ByteRange::Within(8..40), 10, 8..10),
            (ByteRange::Within(10..12), 10, 10..10),
            (ByteRange::Within(12..14), 10, 10..10),
            (ByteRange::Within(0..4), 0, 0..0),
            (ByteRange::Suffix(4), 10, 6..10),
            (ByteRange::Suffix(40), 10, 0..10),
            (ByteRange::Suffix(0), 10, 10..10),
        ];
        for (range, len, expected) in cases {
            assert_eq!(range.resolve(len), expected, "{range:?} of {len}");
        }
    }
}
