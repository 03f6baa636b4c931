//! Objects as a whole: those of a local lake where they are, of others small ones in memory and large ones in the work folder.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::store::{ETag, Object, ObjectStore, Payload};
use crate::error::{Error, Result};
use crate::workspace::{WorkFile, Workspace};

/// Objects of at most so many bytes stay in memory.
const IN_MEMORY: u64 = 4 * 1024 * 1024;

/// All bytes of an object that is being read.
pub(crate) async fn collect(mut object: Object) -> Result<Bytes> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = object.body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes.freeze())
}

/// The object `key`, whole; `None` when there is no such object.
pub(crate) async fn fetch(
    store: &dyn ObjectStore,
    key: &str,
    workspace: &Workspace,
) -> Result<Option<(Payload, ETag)>> {
    fetch_within(store, key, workspace, IN_MEMORY).await
}

/// As [`fetch`], where an object of more than `in_memory` bytes goes to the work folder.
pub(crate) async fn fetch_within(
    store: &dyn ObjectStore,
    key: &str,
    workspace: &Workspace,
    in_memory: u64,
) -> Result<Option<(Payload, ETag)>> {
    let path = workspace.new_file("object");
    if let Some((etag, len)) = store.link(key, &path).await? {
        return Ok(Some((Payload::File { path, len }, etag)));
    }
    let Some(object) = store.get(key, None).await? else { return Ok(None) };
    let etag = object.etag.clone();
    if object.len <= in_memory.min(IN_MEMORY) {
        return Ok(Some((Payload::Memory(collect(object).await?), etag)));
    }
    let payload = spool(object, path).await.map_err(|error| match error {
        Spool::Source(error) => error,
        Spool::Disk(cause) => Error::config("DiskFull", format!("cannot spool `{key}` to the work folder"))
            .caused_by(cause)
            .hint("give the function more ephemeral storage, or set TMPDIR to a larger disk"),
    })?;
    Ok(Some((payload, etag)))
}

enum Spool {
    Source(Error),
    Disk(std::io::Error),
}

async fn spool(mut object: Object, path: WorkFile) -> Result<Payload, Spool> {
    // Never into a file that is there: it could be a second name of an object.
    let mut file = File::create_new(&path).await.map_err(Spool::Disk)?;
    while let Some(chunk) = object.body.next().await {
        file.write_all(&chunk.map_err(Spool::Source)?).await.map_err(Spool::Disk)?;
    }
    file.flush().await.map_err(Spool::Disk)?;
    Ok(Payload::File { path, len: object.len })
}
