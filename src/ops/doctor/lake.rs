//! Whether the lake can be reached, and whether its store keeps the conditions of writes: without them two runs at once could
//! overwrite each other.

use bytes::Bytes;
use chrono::DateTime;

use super::Diagnosis;
use crate::error::{Error, Result};
use crate::lake::layout::{PROBE, STATES, is_state};
use crate::lake::store::{Condition, ETag, ObjectStore, Payload, Put, read_all};

/// The content of the probe.
const CONTENT: &[u8] =
    b"Written by `cdc-to-s3 doctor` to see whether conditional writes are honoured. It may be deleted.\n";

/// A tag that no content has.
const NO_TAG: &str = "\"00000000000000000000000000000000\"";

/// Lists, writes, reads and has writes refused.
pub async fn examine(store: &dyn ObjectStore, diagnosis: &mut Diagnosis) {
    match store.list(STATES, None).await {
        Ok(listed) => {
            let tables = listed.iter().filter(|entry| is_state(&entry.key)).count();
            diagnosis.ok("lake", format!("{} is there, with the states of {tables} table(s)", store.location()));
        }
        Err(error) => return diagnosis.fault("lake", &error),
    }
    match conditions(store).await {
        Ok(()) => diagnosis.ok("lake: conditional writes", format!("honoured (tried at {PROBE})")),
        Err(error) => diagnosis.fault("lake: conditional writes", &error),
    }
    leftovers(store, diagnosis).await;
}

/// What killed runs have left of their uploads, which costs money where no rule of the bucket removes it.
async fn leftovers(store: &dyn ObjectStore, diagnosis: &mut Diagnosis) {
    let found = match store.leftovers().await {
        Ok(found) => found,
        Err(error) => return unlisted(&error, diagnosis),
    };
    let Some(oldest) = found.iter().min_by_key(|upload| upload.since) else { return };
    let since = oldest.since.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let since = since.map_or_else(String::new, |since| format!(", started at {}", since.format("%Y-%m-%dT%H:%M:%SZ")));
    diagnosis.warning(
        "lake: uploads",
        format!("{} upload(s) are neither completed nor aborted, the oldest of {}{since}", found.len(), oldest.key),
        "nothing, while a run is at work; the next run that stores the table anew aborts what killed ones have left of it. For tables \
         that are gone, give the bucket a lifecycle rule with AbortIncompleteMultipartUpload after one day (the stack's own \
         bucket has it), or use `aws s3api abort-multipart-upload`",
    );
}

/// No run needs to list uploads, but what killed ones have left then stays.
fn unlisted(error: &Error, diagnosis: &mut Diagnosis) {
    let hint = error.advice().unwrap_or("see the cause");
    diagnosis.warning("lake: uploads", format!("what killed runs have left cannot be listed: {error}"), hint);
}

async fn conditions(store: &dyn ObjectStore) -> Result<()> {
    let payload = Payload::Memory(Bytes::from_static(CONTENT));
    // Whether it was there before does not matter: from here on it is.
    let _made_or_there: Put = store.put(PROBE, &payload, &Condition::Absent).await?;
    if store.put(PROBE, &payload, &Condition::Absent).await? != Put::Refused {
        return Err(ignored("If-None-Match"));
    }
    let Some((_, tag)) = read_all(store, PROBE, u64::MAX).await? else {
        return Err(Error::internal("ProbeVanished", format!("{PROBE} was stored, but cannot be read"))
            .hint("look for a rule of the store that removes objects, and for another program that does"));
    };
    if store.put(PROBE, &payload, &Condition::Matches(ETag(NO_TAG.to_owned()))).await? != Put::Refused {
        return Err(ignored("If-Match"));
    }
    match store.put(PROBE, &payload, &Condition::Matches(tag)).await? {
        Put::Written(_) => Ok(()),
        Put::Refused => Err(Error::conflict("ProbeChanged", format!("{PROBE} was changed while it was being tried"))
            .hint("try again; if it repeats, the store does not keep the tags of its objects")),
    }
}

fn ignored(header: &str) -> Error {
    Error::config(
        "ConditionsIgnored",
        format!("the store does not honour {header}: two runs at once would lose changes"),
    )
    .hint("use Amazon S3, a store that honours conditional writes, or a folder")
}
