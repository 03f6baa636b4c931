//! A whole log by its names and footers, many of them asked for at once.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::base::{expect_table, vanished};
use super::footer::Footer;
use super::layout::{Place, RunTime};
use super::parquet::read_footer;
use super::store::{Listed, ObjectStore};
use crate::error::Result;

/// So many footers are asked for at once.
const AT_ONCE: usize = 32;

/// The objects of a table's log, oldest first, tombstones included.
pub(crate) async fn list(store: &dyn ObjectStore, place: &Place) -> Result<Vec<(RunTime, Listed)>> {
    let listed = store.list(place.cdc_prefix(), None).await?;
    Ok(listed.into_iter().filter_map(|entry| Some((place.cdc_run_at(&entry.key)?, entry))).collect())
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
