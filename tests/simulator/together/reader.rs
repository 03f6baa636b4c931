//! Readers of the lake, who keep to docs/consume.md: they list the log, remember the last name and go on after it, or start from
//! the full load and go on after its run.

use std::collections::VecDeque;
use std::sync::Arc;

use cdc_to_s3::lake::footer::FileKind;
use cdc_to_s3::lake::layout;
use cdc_to_s3::lake::store::{ObjectStore, read_all};

use super::super::model::{self, Snapshot};
use super::ledger::Ledger;
use super::shelf::Shelf;
use crate::support::lake;

const OBJECT_LIMIT: u64 = 1 << 30;

#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The last name that was read.
    last: Option<String>,
    /// Names that were listed and are still to be read.
    listed: VecDeque<String>,
    table: Snapshot,
    /// How many committed versions it has seen.
    seen: usize,
}

impl Reader {
    /// One that starts from the full load, if there is one.
    pub(super) async fn from_full_load(store: &Arc<Shelf>, ledger: &Ledger) -> Option<Self> {
        let name = &ledger.spec.name;
        lake::full_load_tag(&**store, name).await?;
        let (footer, rows) = lake::full_load(&**store, name).await;
        let table = rows.into_iter().map(|row| (lake::key_of(&row, &ledger.spec.pk), row)).collect();
        let seen = ledger.history.iter().filter(|committed| committed.run_at <= footer.run_at).count();
        Some(Self { last: Some(layout::cdc(name, footer.run_at)), listed: VecDeque::new(), table, seen })
    }

    /// One call: a listing, or an object of the last one. `false` when the object is gone, which ends the reader.
    pub(super) async fn read(&mut self, store: &Arc<Shelf>, ledger: &Ledger) -> bool {
        let Some(key) = self.listed.pop_front() else {
            let listed = store.list(&layout::cdc_prefix(&ledger.spec.name), self.last.as_deref()).await.unwrap();
            self.listed = listed.into_iter().map(|entry| entry.key).collect();
            return true;
        };
        if read_all(&**store, &key, OBJECT_LIMIT).await.unwrap().is_none() {
            assert!(ledger.deleted.contains(&key), "{key} is gone");
            return false;
        }
        self.apply(key, store, ledger).await
    }

    /// Reads all that is there, and fails where that is not the whole history. A reader who meets a gap sees it, and stops.
    pub(super) async fn read_to_the_end(&mut self, store: &Arc<Shelf>, ledger: &Ledger) {
        while self.read(store, ledger).await {
            if self.listed.is_empty() && self.is_at_the_end(store, ledger).await {
                let missed = ledger.history[self.seen..].iter().find(|next| !ledger.deleted.contains(&next.key));
                return assert!(missed.is_none(), "a reader has missed {missed:?}");
            }
        }
    }

    async fn is_at_the_end(&self, store: &Arc<Shelf>, ledger: &Ledger) -> bool {
        store.list(&layout::cdc_prefix(&ledger.spec.name), self.last.as_deref()).await.unwrap().is_empty()
    }

    /// What is read next must be the version committed next: a reader who missed one, or met one twice, sees it here.
    async fn apply(&mut self, key: String, store: &Arc<Shelf>, ledger: &Ledger) -> bool {
        let object = lake::log_object(&**store, key.clone()).await;
        if object.footer.kind == FileKind::Cdc {
            let next = ledger.history.get(self.seen).map(|committed| committed.key.as_str());
            if next.is_some_and(|next| ledger.deleted.contains(next)) {
                return false;
            }
            assert_eq!(next, Some(key.as_str()), "a reader has seen {} versions", self.seen);
            model::apply(&mut self.table, &ledger.keyed(&object));
            if ledger.is_by_content() {
                assert_eq!(self.table, ledger.history[self.seen].after, "what a reader has after {key}");
            }
            self.seen += 1;
        }
        self.last = Some(key);
        true
    }
}
