//! The object stores: one suite for all of them, then what is particular to a folder and to S3.

mod ahead;
mod conformance;
mod folder;
mod s3;

use std::sync::Arc;

use cdc_to_s3::lake::store::{Condition, ETag, ObjectStore, Payload, Put};

/// Content in memory.
fn memory(content: &str) -> Payload {
    Payload::Memory(content.to_owned().into())
}

/// Writes `content` at a key where nothing may be, and says its tag.
async fn create(store: &dyn ObjectStore, key: &str, content: &str) -> ETag {
    match store.put(key, &memory(content), &Condition::Absent).await.expect("a write") {
        Put::Written(tag) => tag,
        Put::Refused => panic!("{key} is there already"),
    }
}

/// Adds one to the number at `counter`, however often somebody else is faster.
async fn increment(store: &Arc<dyn ObjectStore>) {
    loop {
        let (bytes, tag) = read(store.as_ref(), "counter").await.expect("a counter");
        let next: u64 = bytes.parse::<u64>().expect("a number") + 1;
        let outcome = store.put("counter", &memory(&next.to_string()), &Condition::Matches(tag)).await;
        if matches!(outcome.expect("a write"), Put::Written(_)) {
            return;
        }
    }
}

/// A small object's content and version.
async fn read(store: &dyn ObjectStore, key: &str) -> Option<(String, ETag)> {
    let found = cdc_to_s3::lake::store::read_all(store, key, 1 << 30).await.expect("a read");
    found.map(|(bytes, tag)| (String::from_utf8(bytes.to_vec()).expect("text"), tag))
}
