//! Which objects make up a table's base, by their footers, and what another program has left beside them.

use std::fmt::Display;

use super::footer::{FileKind, Footer};
use super::layout::{self, Place, RunTime};
use super::log::writers;
use super::parquet::{Written, foreign, read_footer, read_writer};
use super::store::{ETag, ObjectStore};
use crate::error::{Error, Result};
use crate::position::Position;
use crate::table::{TableName, TableSchema};

/// The footers that make up the base, read in this order: the full load, then the listing of what came after it.
#[derive(Clone, Debug)]
pub struct BaseOutline {
    /// The full load, if there is one.
    pub full_load: Option<(Footer, ETag)>,
    /// The CDC objects after it, oldest first, tombstones included.
    pub log: Vec<(String, Footer)>,
    /// The run time of the newest object of the whole log, whatever it is.
    pub last: Option<RunTime>,
    /// The tag of a full load that is to be replaced and is no part of the base.
    superseded: Option<ETag>,
    /// What another program wrote into the table's folders.
    pub inherited: Inherited,
}

/// What another program left in the folders of a table.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    /// Its full load: the tag, and the rows.
    pub full_load: Option<(ETag, u64)>,
    /// The last of its CDC objects.
    pub last_cdc_key: Option<String>,
}

impl BaseOutline {
    /// Reads the outline of a table's base.
    pub async fn read(store: &dyn ObjectStore, table: &TableName) -> Result<Self> {
        let full_load = read_footer(store, &layout::full_load(table)).await?;
        if let Some((footer, _)) = &full_load {
            expect_table(footer, table.as_str(), &layout::full_load(table))?;
        }
        let as_of = full_load.as_ref().map(|(footer, _)| footer.run_at);
        Self::list(store, &table.into(), full_load, as_of).await?.begun_after(table)
    }

    /// Reads the outline of a log alone, or of its part after a run.
    pub async fn read_log(store: &dyn ObjectStore, place: &Place, after: Option<RunTime>) -> Result<Self> {
        Self::list(store, place, None, after).await?.begun_after(place.table())
    }

    /// Reads the outline of a table in whose folders another program has been writing so far.
    pub async fn read_inherited(store: &dyn ObjectStore, table: &TableName) -> Result<Self> {
        match read_writer(store, &layout::full_load(table)).await? {
            Some((Written::ByOthers { rows }, etag)) => {
                let mut outline = Self::list(store, &table.into(), None, None).await?;
                outline.inherited.full_load = Some((etag, rows));
                Ok(outline)
            }
            Some((Written::ByUs(footer), etag)) => {
                let as_of = footer.run_at;
                Self::list(store, &table.into(), Some((*footer, etag)), Some(as_of)).await
            }
            None => Self::list(store, &table.into(), None, None).await,
        }
    }

    /// Reads the outline of the whole log, whatever the full load includes of it.
    pub async fn read_all(store: &dyn ObjectStore, table: &TableName) -> Result<Self> {
        let full_load = read_footer(store, &layout::full_load(table)).await?;
        Self::list(store, &table.into(), full_load, None).await?.begun_after(table)
    }

    /// The whole log as the base, in place of the full load, which holds rows that the log does not give.
    #[must_use]
    pub fn without_full_load(mut self) -> Self {
        if let Some((footer, etag)) = self.full_load.take() {
            // A run of silent changes only has left no other object that its time could be known by.
            self.last = self.last.max(Some(footer.run_at));
            self.superseded = Some(etag);
        }
        self
    }

    /// Whether the full load may hold changes that the log does not give.
    pub fn has_silent_rows(&self) -> bool {
        self.full_load.as_ref().is_some_and(|(footer, _)| footer.has_silent_rows)
    }

    async fn list(
        store: &dyn ObjectStore,
        place: &Place,
        full_load: Option<(Footer, ETag)>,
        as_of: Option<RunTime>,
    ) -> Result<Self> {
        let after = as_of.map(|as_of| place.cdc(as_of));
        let listed = store.list(place.cdc_prefix(), after.as_deref()).await?;
        let (mut log, mut inherited, mut newest) = (Vec::new(), Inherited::default(), None);
        let keys = listed.into_iter().map(|entry| entry.key).filter(|key| place.cdc_run_at(key).is_some());
        for (key, written) in writers(store, keys).await? {
            newest = place.cdc_run_at(&key);
            match written {
                Written::ByOthers { .. } => inherited.last_cdc_key = Some(key),
                Written::ByUs(footer) => {
                    expect_table(&footer, place.table(), &key)?;
                    log.push((key, *footer));
                }
            }
        }
        Ok(Self { full_load, log, last: newest.max(as_of), superseded: None, inherited })
    }

    /// With an object of the log that was read by its key: it counts, whether the listing had it or not.
    #[must_use]
    pub fn with(mut self, (key, footer): (String, Footer)) -> Self {
        let is_included = self.full_load.as_ref().is_some_and(|(full, _)| footer.run_at <= full.run_at);
        if let Err(place) = self.log.binary_search_by(|(there, _)| there.cmp(&key))
            && !is_included
        {
            self.last = self.last.max(Some(footer.run_at));
            self.log.insert(place, (key, footer));
        }
        self
    }

    /// Accepts objects of another program only where the log says that it begins after them.
    fn begun_after(self, table: impl Display) -> Result<Self> {
        let Some(last) = &self.inherited.last_cdc_key else { return Ok(self) };
        if self.beginning().is_some_and(|begins| last <= begins) {
            return Ok(self);
        }
        tracing::warn!(%table, key = last, "another program writes into the table's folder");
        Err(foreign(last, "format_version"))
    }

    /// The last object of another program that the log begins after, where it says so. A tombstone may come before it.
    fn beginning(&self) -> Option<&String> {
        self.log.iter().find_map(|(_, footer)| footer.log_begins_after.as_ref())
    }

    /// Whether the log says which objects of another program are not part of it.
    pub fn says_where_it_begins(&self) -> bool {
        self.beginning().is_some()
    }

    /// The CDC objects that hold changes.
    pub fn changes(&self) -> impl Iterator<Item = &(String, Footer)> {
        self.log.iter().filter(|(_, footer)| footer.kind == FileKind::Cdc)
    }

    /// The part of the log up to a run, without the full load.
    #[must_use]
    pub fn up_to(&self, run_at: RunTime) -> Self {
        let log = self.log.iter().filter(|(_, footer)| footer.run_at <= run_at).cloned().collect();
        Self { full_load: None, log, last: self.last, superseded: None, inherited: Inherited::default() }
    }

    /// The footer of the newest state, that of the last change or else of the full load.
    pub fn newest(&self) -> Option<&Footer> {
        self.changes().last().map(|(_, footer)| footer).or(self.full_load.as_ref().map(|(footer, _)| footer))
    }

    /// The source's position that the base is at.
    pub fn position(&self) -> Option<&Position> {
        self.newest().and_then(|footer| footer.position.as_ref())
    }

    /// The schema that every file of the base fits into.
    pub fn schema(&self) -> Option<&TableSchema> {
        self.newest().map(|footer| &footer.schema)
    }

    /// Whether the full load is behind the log.
    pub fn needs_checkpoint(&self) -> bool {
        self.changes().next().is_some()
    }

    /// The tag of the full load.
    pub fn etag(&self) -> Option<&ETag> {
        self.full_load.as_ref().map(|(_, etag)| etag)
    }

    /// The tag of what the next checkpoint replaces, whoever wrote it.
    pub fn replaced(&self) -> Option<&ETag> {
        self.etag().or(self.superseded.as_ref()).or(self.inherited.full_load.as_ref().map(|(etag, _)| etag))
    }
}

pub(crate) fn expect_table(footer: &Footer, table: &str, key: &str) -> Result<()> {
    if footer.table == table {
        return Ok(());
    }
    Err(Error::internal("ForeignObject", format!("`{key}` belongs to table `{}`, not `{table}`", footer.table))
        .hint("it was moved by hand: move it back"))
}

/// A table is compared by the key that its rows were stored under; by another one nothing would be found again.
pub(crate) fn expect_key(footer: &Footer, pk: &[String]) -> Result<()> {
    if footer.key_columns == pk {
        return Ok(());
    }
    let (stored, table) = (footer.key_columns.join("`, `"), &footer.table);
    let message = format!("table `{table}` is stored by the key `{stored}`, and its `pk` is `{}`", pk.join("`, `"));
    Err(Error::config("PkChanged", message).hint(format!(
        "the key of a table cannot change: set `pk` to `{stored}` (in this order); or give the table a new `name`, with `file` naming its file, to start again by the new key beside the old objects"
    )))
}

pub(crate) fn vanished(key: &str) -> Error {
    Error::conflict("ObjectVanished", format!("`{key}` was there a moment ago and is gone"))
        .hint("nothing of the lake is deleted by this program: check what else deletes from it")
}
