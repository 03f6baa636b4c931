//! The log of a table as its footers tell it, without its rows.

use super::{Change, Counts, Span};
use crate::error::Result;
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout::{Place, RunTime};
use crate::lake::log;
use crate::lake::store::{Listed, ObjectStore};

/// What the log of a table says.
pub(super) struct Log {
    pub(super) changes: Vec<Change>,
    pub(super) tombstones: u64,
}

/// Reads the footers of a log within `span`, and of what stands before it the schema.
pub(super) async fn read(store: &dyn ObjectStore, place: &Place, span: Span) -> Result<Log> {
    let mut listed = log::list(store, place).await?;
    listed.retain(|(run_at, _)| run_at.time() <= span.until);
    let earlier = listed.partition_point(|(run_at, _)| run_at.time() < span.since);
    let within = listed.split_off(earlier).into_iter().map(|(_, entry)| entry);
    let mut before = newest(store, place, &listed).await?;
    let mut found = Log { changes: Vec::new(), tombstones: 0 };
    for (entry, footer) in log::footers(store, place, within).await? {
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
async fn newest(store: &dyn ObjectStore, place: &Place, listed: &[(RunTime, Listed)]) -> Result<Option<Footer>> {
    for (_, entry) in listed.iter().rev() {
        let footer = log::footer(store, place, &entry.key).await?;
        if footer.kind != FileKind::Tombstone {
            return Ok(Some(footer));
        }
    }
    Ok(None)
}

fn change(entry: Listed, footer: &Footer, before: Option<&Footer>) -> Change {
    let Footer { inserted, updated, deleted, silent_changes, .. } = *footer;
    let drift = before.map(|before| footer.schema.changes_since(&before.schema)).unwrap_or_default();
    // An object of captured changes knows nothing of the rows that did not change.
    let rows = footer.captured.is_none().then_some(footer.rows);
    Change {
        run_at: footer.run_at,
        key: Some(entry.key),
        first_load: footer.previous_run_at.is_none() && (Some(inserted), updated, deleted) == (rows, 0, 0),
        position: footer.position.clone(),
        rows,
        counts: Counts { inserted, updated, deleted, silent_changes, bytes: entry.len },
        elapsed_ms: None,
        schema_changes: drift.iter().map(ToString::to_string).collect(),
    }
}
