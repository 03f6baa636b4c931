//! Objects in memory that somebody with full access to the bucket can delete, which the program cannot.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cdc_to_s3::Result;
use cdc_to_s3::lake::store::{
    ByteRange, Condition, ETag, Listed, MemoryStore, Object, ObjectStore, Payload, Put, read_all,
};

const OBJECT_LIMIT: u64 = 1 << 30;

#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Arc<MemoryStore>>);

impl Shelf {
    /// Deletes an object. Nobody else may be writing.
    pub(super) async fn delete(&self, key: &str) {
        let without = copy(&self.now(), |other| other != key).await;
        *self.0.lock().unwrap() = Arc::new(without);
    }

    /// What is there, for good.
    pub(super) async fn copy(&self) -> MemoryStore {
        copy(&self.now(), |_| true).await
    }

    fn now(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

async fn copy(from: &MemoryStore, wanted: impl Fn(&str) -> bool) -> MemoryStore {
    let copy = MemoryStore::new();
    for Listed { key, .. } in from.list("", None).await.unwrap() {
        if wanted(&key) {
            let (bytes, _) = read_all(from, &key, OBJECT_LIMIT).await.unwrap().unwrap();
            let _ = put_anyway(&copy, &key, &Payload::Memory(bytes)).await.unwrap();
        }
    }
    copy
}

/// Writes an object whatever is there.
pub(super) async fn put_anyway(store: &dyn ObjectStore, key: &str, payload: &Payload) -> Result<Put> {
    let condition = tag(store, key).await?.map_or(Condition::Absent, Condition::Matches);
    store.put(key, payload, &condition).await
}

/// The tag of an object, if it is there.
pub(super) async fn tag(store: &dyn ObjectStore, key: &str) -> Result<Option<ETag>> {
    Ok(store.get(key, None).await?.map(|object| object.etag))
}

#[async_trait]
impl ObjectStore for Shelf {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        self.now().get(key, range).await
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        self.now().put(key, payload, condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        self.now().list(prefix, after).await
    }

    fn location(&self) -> String {
        "a shelf".to_owned()
    }
}
