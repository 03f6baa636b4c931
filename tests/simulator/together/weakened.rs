//! A store that leaves out a protection, to see that the simulation finds what happens without it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cdc_to_s3::Result;
use cdc_to_s3::lake::footer::FileKind;
use cdc_to_s3::lake::parquet::ParquetFile;
use cdc_to_s3::lake::store::{ByteRange, Condition, ETag, Listed, MemoryStore, Object, ObjectStore, Payload, Put};
use tokio::sync::Mutex;

use super::shelf::{Shelf, put_anyway};

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// The claim in the state.
    Claim,
    /// The object that blocks the key of an expired claim.
    Fence,
    /// `If-None-Match` on the objects of the log.
    CreateOnly,
    /// `If-Match` on the full load.
    IfMatch,
    /// The compare-and-swap on the state.
    Swap,
    /// That a run which has lost the race for its claim reads everything anew before it claims again.
    ReadAnew,
}

impl Protection {
    /// Those that nothing can do without.
    pub(super) const NEEDED: [Self; 6] =
        [Self::Claim, Self::Fence, Self::CreateOnly, Self::IfMatch, Self::Swap, Self::ReadAnew];
}

/// The store of one run, less a protection.
#[derive(Debug)]
pub(super) struct Weakened {
    inner: Arc<Shelf>,
    without: Protection,
    first: Mutex<First>,
}

/// What was there when the run read the state first, and whether it has lost a race since.
#[derive(Debug, Default)]
struct First {
    objects: Option<Arc<MemoryStore>>,
    lost: bool,
}

impl Weakened {
    pub(super) fn new(inner: Arc<Shelf>, without: Protection) -> Self {
        Self { inner, without, first: Mutex::default() }
    }

    /// What the run reads from, where that is not the store.
    async fn remembered(&self, key: &str) -> Option<Arc<MemoryStore>> {
        if self.without != Protection::ReadAnew {
            return None;
        }
        let mut first = self.first.lock().await;
        if first.objects.is_none() && is_state(key) {
            first.objects = Some(Arc::new(self.inner.copy().await));
        }
        first.objects.clone().filter(|_| first.lost)
    }

    /// A write without its condition, or without any effect.
    async fn weakly(&self, key: &str, payload: &Payload) -> Option<Result<Put>> {
        let in_log = key.starts_with("cdc/");
        match self.without {
            Protection::Claim if is_state(key) && has_claim(payload) => Some(Ok(Put::Written(ETag("claimed".into())))),
            Protection::Fence if in_log && is_fence(payload) => Some(Ok(Put::Written(ETag("fenced".into())))),
            Protection::CreateOnly if in_log => Some(put_anyway(&*self.inner, key, payload).await),
            Protection::IfMatch if key.starts_with("full-load/") => Some(put_anyway(&*self.inner, key, payload).await),
            Protection::Swap if is_state(key) => Some(put_anyway(&*self.inner, key, payload).await),
            Protection::ReadAnew if is_state(key) && self.first.lock().await.lost => {
                Some(put_anyway(&*self.inner, key, payload).await)
            }
            _ => None,
        }
    }
}

#[async_trait]
impl ObjectStore for Weakened {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        match self.remembered(key).await {
            Some(remembered) => remembered.get(key, range).await,
            None => self.inner.get(key, range).await,
        }
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        if let Some(put) = self.weakly(key, payload).await {
            return put;
        }
        let put = self.inner.put(key, payload, condition).await?;
        self.first.lock().await.lost |= is_state(key) && put == Put::Refused;
        Ok(put)
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        match self.remembered(prefix).await {
            Some(remembered) => remembered.list(prefix, after).await,
            None => self.inner.list(prefix, after).await,
        }
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

fn is_state(key: &str) -> bool {
    key.starts_with("_state/") && key.ends_with(".json")
}

fn bytes(payload: &Payload) -> Bytes {
    match payload {
        Payload::Memory(bytes) => bytes.clone(),
        Payload::File { path, .. } | Payload::Staged { path, .. } => std::fs::read(&**path).unwrap().into(),
    }
}

fn has_claim(payload: &Payload) -> bool {
    let state: serde_json::Value = serde_json::from_slice(&bytes(payload)).unwrap();
    !state["pending"].is_null()
}

fn is_fence(payload: &Payload) -> bool {
    let file = ParquetFile::open("an object of the log", Payload::Memory(bytes(payload))).unwrap();
    file.footer().kind == FileKind::Tombstone
}
