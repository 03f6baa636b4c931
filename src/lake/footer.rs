//! The self-description in the footer of every Parquet file of the lake.

use parquet::file::metadata::KeyValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::capture::Captured;
use super::layout::RunTime;
use crate::position::Position;
use crate::table::{Provenance, TableSchema};

/// The version of the files' format that this program writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

const PREFIX: &str = "cdc_to_s3.";

/// What a file of the lake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A snapshot.
    FullLoad,
    /// The changes of one run.
    Cdc,
    /// No rows: it occupies the name that an overtaken run had claimed.
    Tombstone,
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// What it is.
    pub kind: FileKind,
    /// The table's name.
    pub table: String,
    /// The key columns, in their configured order.
    pub key_columns: Vec<String>,
    /// The run that wrote it; for a full load, the run whose changes it includes.
    pub run_at: RunTime,
    /// Who ran: equal for a redelivered event.
    pub owner: String,
    /// The source's position after this run.
    pub position: Option<Position>,
    /// The run whose state these changes follow.
    pub previous_run_at: Option<RunTime>,
    /// Rows of the snapshot after this run.
    pub rows: u64,
    /// Inserted rows.
    pub inserted: u64,
    /// Updated rows.
    pub updated: u64,
    /// Deleted rows.
    pub deleted: u64,
    /// Rows that changed without their date field moving on; they are in the full load only.
    pub silent_changes: u64,
    /// Of a full load: whether it may hold silent changes, of this run or an earlier one, which the log does not give.
    pub has_silent_rows: bool,
    /// The order-independent fingerprint of the snapshot after this run, 32 hexadecimal digits.
    pub row_set_hash: String,
    /// The table's schema, without the `op` column.
    pub schema: TableSchema,
    /// Where a database captured the changes, or the rows of a first load; `None` where snapshots are compared.
    pub captured: Option<Captured>,
    /// In the first CDC object of a log that was begun in the folder of another program's: the key of the last object
    /// there that is not of this log.
    pub log_begins_after: Option<String>,
    /// What the snapshot was read from, and what was guessed of it.
    pub provenance: Provenance,
}

impl Footer {
    /// The footer of a file without rows, of which nothing else is known.
    pub fn new(kind: FileKind, table: impl Into<String>, run_at: RunTime, owner: impl Into<String>) -> Self {
        Self {
            kind,
            table: table.into(),
            key_columns: Vec::new(),
            run_at,
            owner: owner.into(),
            position: None,
            previous_run_at: None,
            rows: 0,
            inserted: 0,
            updated: 0,
            deleted: 0,
            silent_changes: 0,
            has_silent_rows: false,
            row_set_hash: String::new(),
            schema: TableSchema::default(),
            captured: None,
            log_begins_after: None,
            provenance: Provenance::default(),
        }
    }

    /// Whether `other` was written for the same purpose from the same data, so that one can stand for the other.
    pub fn same_work(&self, other: &Self) -> bool {
        let counts = |footer: &Self| (footer.rows, footer.inserted, footer.updated, footer.deleted);
        (self.kind, &self.owner, self.run_at, &self.position, &self.row_set_hash, counts(self))
            == (other.kind, &other.owner, other.run_at, &other.position, &other.row_set_hash, counts(other))
    }

    /// Whether `other` is the same part of the same first load, whatever rows it happened to read.
    pub fn same_load(&self, other: &Self) -> bool {
        let part = |footer: &Self| {
            let captured = footer.captured.as_ref()?;
            let load = captured.load.as_ref()?;
            Some((captured.instance.source_object_id, load.number, load.from.clone()))
        };
        (self.kind, &self.table, &self.position, part(self)) == (other.kind, &other.table, &other.position, part(other))
    }

    /// Whether metadata are those of a file of this program, readable or not.
    pub fn is_in(metadata: Option<&Vec<KeyValue>>) -> bool {
        metadata.is_some_and(|entries| entries.iter().any(|entry| entry.key.starts_with(PREFIX)))
    }

    /// As key-value metadata.
    pub fn to_metadata(&self) -> Vec<KeyValue> {
        let text = |name: &str, value: String| KeyValue::new(format!("{PREFIX}{name}"), value);
        let mut entries = vec![
            text("format_version", FORMAT_VERSION.to_string()),
            text("kind", json(&self.kind)),
            text("table", self.table.clone()),
            text("key_columns", json(&self.key_columns)),
            text("run_at", json(&self.run_at)),
            text("owner", self.owner.clone()),
            text("position", serde_json::to_string(&self.position).unwrap_or_default()),
            text("previous_run_at", json(&self.previous_run_at)),
            text("rows", self.rows.to_string()),
            text("inserted", self.inserted.to_string()),
            text("updated", self.updated.to_string()),
            text("deleted", self.deleted.to_string()),
            text("silent_changes", self.silent_changes.to_string()),
            text("row_set_hash", self.row_set_hash.clone()),
            text("schema", json(&self.schema)),
        ];
        entries.extend(self.has_silent_rows.then(|| text("has_silent_rows", json(&true))));
        entries.extend(self.captured.as_ref().map(|captured| text("captured", json(captured))));
        let provenance = Some(&self.provenance).filter(|provenance| !provenance.is_unknown());
        entries.extend(provenance.map(|provenance| text("provenance", json(provenance))));
        entries.extend(self.log_begins_after.iter().map(|key| text("log_begins_after", key.clone())));
        entries
    }

    /// From key-value metadata; the name of the entry that is missing or unreadable otherwise.
    pub fn from_metadata(metadata: Option<&Vec<KeyValue>>) -> Result<Self, &'static str> {
        let entries = Entries(metadata.map(Vec::as_slice).unwrap_or_default());
        let version: u32 = entries.parsed("format_version")?;
        if version > FORMAT_VERSION {
            return Err("format_version (written by a newer version of this program)");
        }
        Ok(Self {
            kind: entries.json("kind")?,
            table: entries.text("table")?.to_owned(),
            key_columns: entries.json("key_columns")?,
            run_at: entries.json("run_at")?,
            owner: entries.text("owner")?.to_owned(),
            position: entries.json("position")?,
            previous_run_at: entries.json("previous_run_at")?,
            rows: entries.parsed("rows")?,
            inserted: entries.parsed("inserted")?,
            updated: entries.parsed("updated")?,
            deleted: entries.parsed("deleted")?,
            silent_changes: entries.parsed("silent_changes")?,
            has_silent_rows: entries.optional("has_silent_rows")?.unwrap_or_default(),
            row_set_hash: entries.text("row_set_hash")?.to_owned(),
            schema: entries.json("schema")?,
            captured: entries.optional("captured")?,
            provenance: entries.optional("provenance")?.unwrap_or_default(),
            log_begins_after: entries.text("log_begins_after").ok().map(str::to_owned),
        })
    }
}

/// Texts are written bare and everything else as JSON, so that a person can read the metadata with any tool. Not for
/// values that may be a text or a number.
fn json(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(value) => value.to_string(),
        Err(_) => String::new(),
    }
}

struct Entries<'a>(&'a [KeyValue]);

impl Entries<'_> {
    fn text(&self, name: &'static str) -> Result<&str, &'static str> {
        let is_it = |entry: &&KeyValue| entry.key.strip_prefix(PREFIX) == Some(name);
        self.0.iter().find(is_it).and_then(|entry| entry.value.as_deref()).ok_or(name)
    }

    fn parsed<T: std::str::FromStr>(&self, name: &'static str) -> Result<T, &'static str> {
        self.text(name)?.parse().map_err(|_| name)
    }

    fn optional<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>, &'static str> {
        if self.text(name).is_ok() { self.json(name).map(Some) } else { Ok(None) }
    }

    fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<T, &'static str> {
        let text = self.text(name)?;
        let bare = || serde_json::from_value(serde_json::Value::String(text.to_owned()));
        serde_json::from_str(text).or_else(|_| bare()).map_err(|_| name)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::DateTime;

    use super::*;

    pub(crate) fn footer(kind: FileKind, seconds: i64) -> Footer {
        let run_at = RunTime::new(DateTime::from_timestamp(seconds, 0).unwrap());
        Footer {
            key_columns: vec!["id".to_owned(), "n".to_owned()],
            position: Some(Position::Version(3)),
            rows: 5,
            inserted: 2,
            updated: 1,
            silent_changes: 1,
            row_set_hash: "00".repeat(16),
            ..Footer::new(kind, "t", run_at, "event:1")
        }
    }

    #[test]
    fn a_footer_survives_the_metadata() {
        for position in [None, Some(Position::Version(3)), Some(Position::Mark("xxh3:12".to_owned()))] {
            let source = Some("kaggle:owner/slug".to_owned());
            let provenance = Provenance { files: vec!["a/t.csv".to_owned()], source, ..Provenance::default() };
            let before = Footer { position, provenance, ..footer(FileKind::Cdc, 1_700_000_000) };
            assert_eq!(Footer::from_metadata(Some(&before.to_metadata())), Ok(before));
        }
    }

    #[test]
    fn foreign_and_newer_files_are_told_apart_from_ours() {
        assert_eq!(Footer::from_metadata(None), Err("format_version"));
        let mut metadata = footer(FileKind::Cdc, 0).to_metadata();
        metadata[0].value = Some("2".to_owned());
        assert!(Footer::from_metadata(Some(&metadata)).unwrap_err().contains("newer"));
    }
}
