//! What somebody else deletes from the lake: a lifecycle rule, or a hand.

use cdc_to_s3::lake::layout;
use cdc_to_s3::lake::store::ObjectStore;
use cdc_to_s3::source::Source;

use super::life::Life;
use crate::support::lake;

impl Life {
    /// A rule may strike at any moment, and takes what is older than each run that lives. Hands are used when all is at rest: who
    /// takes a claim away from a run that lives takes its protection away.
    pub(super) async fn delete(&mut self) {
        match self.random.below(6) {
            0 | 1 => self.expire().await,
            _ if !self.is_at_rest() => {}
            2 => self.take(self.full_load_key()).await,
            3 => self.take(layout::state(&self.ledger.spec.name)).await,
            4 => self.take(layout::fingerprints(&self.ledger.spec.name)).await,
            _ => {
                let log = self.log().await;
                if !log.is_empty() {
                    let key = self.random.pick(&log);
                    self.take(key).await;
                }
            }
        }
    }

    /// The oldest objects of the log go, of those that the full load includes.
    async fn expire(&mut self) {
        let name = &self.ledger.spec.name;
        if lake::full_load_tag(&*self.store, name).await.is_none() {
            return;
        }
        let (full_load, _) = lake::full_load(&*self.store, name).await;
        let until = layout::cdc(name, full_load.run_at).min(self.oldest_start());
        let old: Vec<String> = self.log().await.into_iter().filter(|key| *key <= until).collect();
        for key in old.into_iter().take(1 + self.random.below(3)) {
            self.take(key).await;
        }
    }

    async fn log(&self) -> Vec<String> {
        let listed = self.store.list(&layout::cdc_prefix(&self.ledger.spec.name), None).await.unwrap();
        listed.into_iter().map(|entry| entry.key).collect()
    }

    async fn take(&mut self, key: String) {
        self.trace.push(format!("{key} is deleted"));
        self.store.delete(&key).await;
        self.ledger.deleted.insert(key);
        self.is_damaged |= self.lacks_changes().await;
    }

    /// Whether changes are gone that the full load does not include.
    async fn lacks_changes(&self) -> bool {
        let name = &self.ledger.spec.name;
        let full_load = match lake::full_load_tag(&*self.store, name).await {
            Some(_) => Some(lake::full_load(&*self.store, name).await.0.run_at),
            None => None,
        };
        let lost = self.ledger.history.iter().filter(|committed| self.ledger.deleted.contains(&committed.key));
        lost.max_by_key(|committed| committed.run_at).is_some_and(|lost| Some(lost.run_at) > full_load)
    }

    /// The last run has come to a version that is not in the log as it is: it may have stopped for the gap, and `verify` sees it.
    pub(super) async fn expect_damage(&self, code: Option<&str>) {
        assert!(
            matches!(code, None | Some("LogGap" | "EmptyTable" | "MassDelete" | "NullKey" | "DuplicateKeys")),
            "{code:?}"
        );
        assert!(!self.is_verified().await, "nobody sees that {:?} are gone", self.ledger.deleted);
    }

    /// The version is committed, and each change on the way to it is in the log exactly once, as far as nobody has deleted it.
    pub(super) async fn expect_complete(&mut self, source: &Source) {
        let spec = &self.ledger.spec;
        let Source::Local { position, .. } = source else { unreachable!("a folder") };
        let version = self.ledger.versions[position].as_ref().unwrap();
        let state = lake::state(&*self.store, &spec.name).await.state;
        assert_eq!((state.pending, state.head.unwrap().position.as_ref()), (None, Some(position)));
        let (_, rows) = lake::full_load(&*self.store, &spec.name).await;
        let rows = rows.into_iter().map(|row| (lake::key_of(&row, &spec.pk), row)).collect();
        assert_eq!(*version, rows, "the full load");
        if self.ledger.is_by_content() {
            assert_eq!(*version, self.ledger.replayed(), "the log");
        }
        let is_whole = !self.ledger.history.iter().any(|committed| self.ledger.deleted.contains(&committed.key));
        assert_eq!(self.is_verified().await, is_whole, "without {:?}", self.ledger.deleted);
        for mut reader in std::mem::take(&mut self.readers) {
            reader.read_to_the_end(&self.store, &self.ledger).await;
        }
    }
}
