//! The log of a table as its footers tell it, without its rows.

use super::{Change, Counts, Span};
use crate::error::Result;
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout::RunTime;
use crate::lake::log;
use crate::lake::store::{Listed, ObjectStore};
use crate::table::TableName;

/// What the log of a table says.
pub(super) struct Log {
    pub(super) changes: Vec<Change>,
    pub(super) tombstones: u64,
}

/// Reads the footers of a log within `span`, and of what stands before it the schema.
pub(super) async fn read(store: &dyn ObjectStore, table: &TableName, span: Span) -> Result<Log> {
    let mut listed = log::list(store, table).await?;
    listed.retain(|(run_at, _)| run_at.time() <= span.until);
    let earlier = listed.partition_point(|(run_at, _)| run_at.time() < span.since);
    let within = listed.split_off(earlier).into_iter().map(|(_, entry)| entry);
    let mut before = newest(store, table, &listed).await?;
    let mut found = Log { changes: Vec::new(), tombstones: 0 };
    for (entry, footer) in log::footers(store, table, within).await? {
        if footer.kind == FileKind::Tombstone {
            found.tombstones += 1;
            continue;
        }
        found.changes.push(change(entry, &footer, before.as_ref()));
        before = Some(footer);
    }
    Ok(found)
}

/// The newest footer with changes among these objects.
async fn newest(store: &dyn ObjectStore, table: &TableName, listed: &[(RunTime, Listed)]) -> Result<Option<Footer>> {
    for (_, entry) in listed.iter().rev() {
        let footer = log::footer(store, table, &entry.key).await?;
        if footer.kind != FileKind::Tombstone {
            return Ok(Some(footer));
        }
    }
    Ok(None)
}

fn change(entry: Listed, footer: &Footer, before: Option<&Footer>) -> Change {
    let Footer { inserted, updated, deleted, silent_changes, .. } = *footer;
    let drift = before.map(|before| footer.schema.changes_since(&before.schema)).unwrap_or_default();
    Change {
        run_at: footer.run_at,
        key: Some(entry.key),
        first_load: footer.previous_run_at.is_none() && (inserted, updated, deleted) == (footer.rows, 0, 0),
        position: footer.position.clone(),
        rows: footer.rows,
        counts: Counts { inserted, updated, deleted, silent_changes, bytes: entry.len },
        elapsed_ms: None,
        schema_changes: drift.iter().map(ToString::to_string).collect(),
    }
}
