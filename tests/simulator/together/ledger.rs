//! The true history of a table: what each object that came into the lake must hold, and what readers must find.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cdc_to_s3::lake::footer::{FileKind, Footer};
use cdc_to_s3::lake::layout::{self, RunTime};
use cdc_to_s3::lake::store::ETag;
use cdc_to_s3::position::Position;
use cdc_to_s3::table::{TableSpec, UpdateDetection};

use super::super::model::{self, Changes, Snapshot};
use super::shelf::Shelf;
use crate::support::lake::{self, LogObject, Row};

/// A CDC object, and the table after it.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) key: String,
    pub(super) run_at: RunTime,
    pub(super) after: Snapshot,
}

#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) spec: TableSpec,
    /// What the source has published, or the code with which that must be refused.
    pub(super) versions: HashMap<Position, Result<Snapshot, &'static str>>,
    /// The committed versions, oldest first.
    pub(super) history: Vec<Committed>,
    /// The objects of the log that were ever there.
    known: HashMap<String, ETag>,
    pub(super) deleted: BTreeSet<String>,
    pub(super) full_load: Option<(Footer, ETag)>,
}

impl Ledger {
    pub(super) fn new(spec: TableSpec) -> Self {
        Self {
            spec,
            versions: HashMap::new(),
            history: Vec::new(),
            known: HashMap::new(),
            deleted: BTreeSet::new(),
            full_load: None,
        }
    }

    pub(super) fn is_by_content(&self) -> bool {
        self.spec.update_detection == UpdateDetection::Content
    }

    /// The last name that was ever in the log; empty before the first.
    pub(super) fn newest(&self) -> String {
        self.known.keys().max().cloned().unwrap_or_default()
    }

    /// What the log says of the table now.
    pub(super) fn replayed(&self) -> Snapshot {
        self.history.last().map(|committed| committed.after.clone()).unwrap_or_default()
    }

    /// Looks at everything that has come into the lake, and fails where it is not what it must be.
    pub(super) async fn examine(&mut self, store: &Arc<Shelf>) {
        let there: HashMap<String, ETag> = lake::log_tags(&**store, &self.spec.name).await.into_iter().collect();
        for (key, tag) in &self.known {
            assert!(self.deleted.contains(key) || there.get(key) == Some(tag), "{key} was replaced");
        }
        let mut new: Vec<_> = there.into_iter().filter(|(key, _)| !self.known.contains_key(key)).collect();
        new.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (key, tag) in new {
            let later = self.known.keys().find(|known| **known > key);
            let object = lake::log_object(&**store, key.clone()).await;
            // An object that blocks a claim's key may come before others: it holds nothing.
            assert!(later.is_none() || object.footer.kind == FileKind::Tombstone, "{key} sorts before {later:?}");
            self.known.insert(key, tag);
            if object.footer.kind == FileKind::Cdc {
                self.commit(&object);
            }
        }
        self.examine_full_load(store).await;
    }

    fn commit(&mut self, object: &LogObject) {
        let footer = &object.footer;
        let new = self.versions[footer.position.as_ref().unwrap()].as_ref().unwrap();
        let mut after = self.replayed();
        let changes = self.keyed(object);
        self.expect_changes(object, &changes, &after, new);
        let count = |letter| changes.values().filter(|change| change.0 == letter).count() as u64;
        assert_eq!((footer.inserted, footer.updated, footer.deleted), (count("I"), count("U"), count("D")));
        assert_eq!(footer.rows, new.len() as u64);
        model::apply(&mut after, &changes);
        self.history.push(Committed { key: object.key.clone(), run_at: footer.run_at, after });
    }

    /// The changes of an object, of which each key has one.
    pub(super) fn keyed(&self, object: &LogObject) -> Changes {
        let keyed = |row: &Row| lake::key_of(row, &self.spec.pk);
        let changes: Changes =
            object.changes.iter().map(|(operation, row)| (keyed(row), (operation.letter(), row.clone()))).collect();
        assert_eq!(changes.len(), object.changes.len(), "a key is twice in {}", object.key);
        changes
    }

    /// By content the changes follow from the log. By date they follow from the full load, of whose rows the log may not know
    /// the newest values; keys, and dates that were never reached before, are beyond doubt.
    fn expect_changes(&self, object: &LogObject, changes: &Changes, old: &Snapshot, new: &Snapshot) {
        let key = &object.key;
        if self.is_by_content() {
            let by_value = |changes| model::deleted_by_value(changes, &object.footer.schema);
            return assert_eq!(by_value(changes.clone()), by_value(model::diff(&self.spec, old, new)), "{key}");
        }
        let others: Vec<&Snapshot> = self.versions.values().flatten().filter(|version| *version != new).collect();
        for (id, row) in new {
            let newest = || others.iter().filter_map(|other| other.get(id)).all(|other| self.is_update(other, row));
            let change = changes.get(id);
            match old.get(id) {
                None => assert_eq!(change, Some(&("I", row.clone())), "{key}: {id:?}"),
                Some(_) if newest() => assert_eq!(change, Some(&("U", row.clone())), "{key}: {id:?}"),
                Some(_) => assert!(change.is_none_or(|change| *change == ("U", row.clone())), "{key}: {change:?}"),
            }
        }
        for id in old.keys().chain(changes.keys()).filter(|id| !new.contains_key(*id)) {
            assert!(old.contains_key(id) && changes.get(id).is_some_and(|change| change.0 == "D"), "{key}: {id:?}");
        }
    }

    fn is_update(&self, before: &Row, now: &Row) -> bool {
        before != now && model::is_update(&self.spec, before, now)
    }

    async fn examine_full_load(&mut self, store: &Arc<Shelf>) {
        let found = lake::full_load_tag(&**store, &self.spec.name).await;
        let key = layout::full_load(&self.spec.name);
        let Some(tag) = found else {
            return assert!(self.full_load.is_none() || self.deleted.contains(&key), "the full load is gone");
        };
        self.deleted.remove(&key);
        let known = self.full_load.as_ref();
        if known.is_some_and(|(_, known)| *known == tag) {
            return;
        }
        let (footer, rows) = lake::full_load(&**store, &self.spec.name).await;
        assert!(known.is_none_or(|(known, _)| known.run_at <= footer.run_at), "the full load went back");
        let rows: Snapshot = rows.into_iter().map(|row| (lake::key_of(&row, &self.spec.pk), row)).collect();
        assert_eq!(Ok(&rows), self.versions[footer.position.as_ref().unwrap()].as_ref(), "the full load");
        if self.is_by_content() {
            let log = self.history.iter().rfind(|committed| committed.run_at <= footer.run_at);
            assert_eq!(log.map(|committed| &committed.after), Some(&rows), "the full load is not what the log says");
        }
        self.full_load = Some((footer, tag));
    }
}
