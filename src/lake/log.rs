//! A whole log by its names and footers, many of them asked for at once.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::base::{expect_table, vanished};
use super::footer::Footer;
use super::layout::{self, RunTime};
use super::parquet::read_footer;
use super::store::{Listed, ObjectStore};
use crate::error::Result;
use crate::table::TableName;

/// So many footers are asked for at once.
const AT_ONCE: usize = 32;

/// The objects of a table's log, oldest first, tombstones included.
pub(crate) async fn list(store: &dyn ObjectStore, table: &TableName) -> Result<Vec<(RunTime, Listed)>> {
    let listed = store.list(&layout::cdc_prefix(table), None).await?;
    Ok(listed.into_iter().filter_map(|entry| Some((layout::cdc_run_at(table, &entry.key)?, entry))).collect())
}

/// The footers of these objects of a table's log, in their order.
pub(crate) async fn footers(
    store: &dyn ObjectStore,
    table: &TableName,
    objects: impl IntoIterator<Item = Listed>,
) -> Result<Vec<(Listed, Footer)>> {
    stream::iter(objects)
        .map(|entry| async move { footer(store, table, &entry.key).await.map(|footer| (entry, footer)) })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// The footer of an object of a table's log.
pub(crate) async fn footer(store: &dyn ObjectStore, table: &TableName, key: &str) -> Result<Footer> {
    let (footer, _) = read_footer(store, key).await?.ok_or_else(|| vanished(key))?;
    expect_table(&footer, table, key)?;
    Ok(footer)
}
