//! A lake in memory: the reference that the other stores are compared with, and the store of fast tests.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::key::{check_key, folder_of};
use super::tag::tag_of;
use super::{ByteRange, Condition, ETag, Listed, Object, ObjectStore, Payload, Put, payload_changed};
use crate::error::Result;

/// Bodies come in pieces of this size, so that no reader gets used to whole ones.
const CHUNK: usize = 64 * 1024;

/// Objects in memory, gone with the value.
#[derive(Default)]
pub struct MemoryStore {
    objects: Mutex<BTreeMap<String, Version>>,
}

#[derive(Clone)]
struct Version {
    etag: ETag,
    bytes: Bytes,
}

impl MemoryStore {
    /// A store that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Version>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("objects", &self.objects().len()).finish()
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        check_key(key)?;
        let version = self.objects().get(key).cloned();
        Ok(version.map(|version| version.read(range)))
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        check_key(key)?;
        let bytes = load(payload).await?;
        let etag = tag_of(&bytes);
        let mut objects = self.objects();
        if !condition.holds(objects.get(key).map(|version| &version.etag)) {
            return Ok(Put::Refused);
        }
        objects.insert(key.to_owned(), Version { etag: etag.clone(), bytes });
        Ok(Put::Written(etag))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        folder_of(prefix)?;
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let objects = self.objects();
        let entries = objects.range::<str, _>((start, Bound::Unbounded));
        let found = entries.take_while(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, version)| Listed { key: key.clone(), len: version.bytes.len() as u64 }).collect())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

impl Version {
    fn read(self, range: Option<ByteRange>) -> Object {
        let len = self.bytes.len() as u64;
        let wanted = range.map_or(0..len, |range| range.resolve(len));
        let bytes = self.bytes.slice(wanted.start as usize..wanted.end as usize);
        Object { etag: self.etag, len, body: body(bytes) }
    }
}

fn body(bytes: Bytes) -> BoxStream<'static, Result<Bytes>> {
    stream::unfold(bytes, |mut rest| async move {
        let chunk = rest.split_to(rest.len().min(CHUNK));
        (!chunk.is_empty()).then_some((Ok(chunk), rest))
    })
    .boxed()
}

async fn load(payload: &Payload) -> Result<Bytes> {
    match payload {
        Payload::Memory(bytes) => Ok(bytes.clone()),
        Payload::File { path, len } | Payload::Staged { path, len, .. } => {
            let bytes = tokio::fs::read(&**path).await.map_err(|error| payload_changed(path).caused_by(error))?;
            if bytes.len() as u64 != *len { Err(payload_changed(path)) } else { Ok(bytes.into()) }
        }
    }
}
