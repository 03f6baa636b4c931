//! A whole log by its names and footers, many of them asked for at once.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::footer::Footer;
use super::layout::{Place, RunTime};
use super::outline::{expect_table, vanished};
use super::parquet::{Written, read_footer, read_writer};
use super::store::{Listed, ObjectStore};
use crate::error::Result;

/// So many objects are asked for at once.
pub(crate) const AT_ONCE: usize = 32;

/// The objects of a table's log, oldest first, tombstones included. Those of another program that an imported log begins after
/// are none of it; any other one is a fault where its footer is read.
pub(crate) async fn list(store: &dyn ObjectStore, place: &Place) -> Result<Vec<(RunTime, Listed)>> {
    let listed = store.list(place.cdc_prefix(), None).await?;
    let mut listed: Vec<_> =
        listed.into_iter().filter_map(|entry| Some((place.cdc_run_at(&entry.key)?, entry))).collect();
    if let Some(last) = inherited(store, &listed).await? {
        listed.retain(|(_, entry)| entry.key > last);
    }
    Ok(listed)
}

/// The last object that the log begins after, where its first one is of another program; else that one is all that is read.
async fn inherited(store: &dyn ObjectStore, listed: &[(RunTime, Listed)]) -> Result<Option<String>> {
    let Some(((_, first), later)) = listed.split_first() else { return Ok(None) };
    if !matches!(read_writer(store, &first.key).await?, Some((Written::ByOthers { .. }, _))) {
        return Ok(None);
    }
    let mut writers = stream::iter(later).map(|(_, entry)| read_writer(store, &entry.key)).buffered(AT_ONCE);
    while let Some(written) = writers.try_next().await? {
        // A tombstone may come before the object that says where the log begins.
        if let Some((Written::ByUs(footer), _)) = written
            && footer.log_begins_after.is_some()
        {
            return Ok(footer.log_begins_after);
        }
    }
    Ok(None)
}

/// Who wrote each of these objects, in their order.
pub(super) async fn writers(
    store: &dyn ObjectStore,
    keys: impl IntoIterator<Item = String>,
) -> Result<Vec<(String, Written)>> {
    let read = |key: String| async move {
        let (written, _) = read_writer(store, &key).await?.ok_or_else(|| vanished(&key))?;
        Ok((key, written))
    };
    stream::iter(keys).map(read).buffered(AT_ONCE).try_collect().await
}

/// The footers of these objects of a table's log, in their order.
pub(crate) async fn footers(
    store: &dyn ObjectStore,
    place: &Place,
    objects: impl IntoIterator<Item = Listed>,
) -> Result<Vec<(Listed, Footer)>> {
    stream::iter(objects)
        .map(|entry| async move { footer(store, place, &entry.key).await.map(|footer| (entry, footer)) })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// The footer of an object of a table's log.
pub(crate) async fn footer(store: &dyn ObjectStore, place: &Place, key: &str) -> Result<Footer> {
    let (footer, _) = read_footer(store, key).await?.ok_or_else(|| vanished(key))?;
    expect_table(&footer, place.table(), key)?;
    Ok(footer)
}
