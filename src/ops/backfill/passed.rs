//! The versions that were passed over before a table's log began: the table was not in them, or they were gone.
//!
//! No object of the log tells of them. They are remembered so that a second call can tell them from versions that nobody has
//! looked at. What cannot be read is as good as missing: then such a table is refused, and nothing else happens.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config::Dataset;
use crate::error::{Error, Result};
use crate::lake::layout;
use crate::lake::store::{Condition, ETag, ObjectStore, Payload, Put, read_all};
use crate::table::TableName;

/// The greatest size of such an object, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// The versions that a table's backfill passed over.
#[derive(Debug)]
pub(super) struct Passed {
    key: String,
    list: List,
    etag: Option<ETag>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct List {
    dataset: String,
    versions: BTreeSet<u64>,
}

impl Passed {
    /// Reads what an earlier call has noted of this dataset.
    pub(super) async fn read(store: &dyn ObjectStore, table: &TableName, dataset: &Dataset) -> Result<Self> {
        let key = layout::passed_over(table);
        let found = read_all(store, &key, LIMIT).await?;
        let (bytes, etag) = found.map_or((None, None), |(bytes, etag)| (Some(bytes), Some(etag)));
        let dataset = dataset.to_string();
        let list = bytes.and_then(|bytes| serde_json::from_slice::<List>(&bytes).ok());
        let list = list.filter(|list| list.dataset == dataset).unwrap_or(List { dataset, versions: BTreeSet::new() });
        Ok(Self { key, list, etag })
    }

    /// Whether this version was passed over.
    pub(super) fn has(&self, version: u64) -> bool {
        self.list.versions.contains(&version)
    }

    /// Notes one more.
    pub(super) async fn add(&mut self, store: &dyn ObjectStore, version: u64) -> Result<()> {
        self.list.versions.insert(version);
        let bytes = serde_json::to_vec(&self.list)
            .map_err(|error| Error::internal("ReportUnwritable", "cannot write a list of versions").caused_by(error))?;
        let condition = self.etag.clone().map_or(Condition::Absent, Condition::Matches);
        // Somebody else who was faster has noted the same.
        if let Put::Written(etag) = store.put(&self.key, &Payload::Memory(bytes.into()), &condition).await? {
            self.etag = Some(etag);
        }
        Ok(())
    }
}
