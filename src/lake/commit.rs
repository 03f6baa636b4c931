//! The commit protocol. The CDC folder is the log, the full load is its checkpoint.
//!
//! One small state object per table is changed only by compare-and-swap. A run goes through five steps, and may crash
//! before, during or after each of them:
//!
//! 1. **Enter**: read the state. A claim of our own (a redelivered event) is resumed: same object, same position. A
//!    foreign claim that has not expired means the table is busy. One that has expired is fenced first: its CDC key is
//!    occupied by a tombstone of no rows, so that its owner, should it wake, can no longer publish. If the key cannot be
//!    occupied, the owner had published after all, and its object is part of the log.
//! 2. **Claim**: write our intent into the state. It names the CDC key before that object exists.
//! 3. **Publish**: create the CDC object, only if nothing has its name. This is the atomic moment.
//! 4. **Checkpoint**: replace the full load, only if it is still the one that the changes were computed from.
//! 5. **Commit**: make our claim the head of the state.
//!
//! Between entering and claiming, the base of the comparison is read: the full load, then the log after it. Claiming
//! fails if the state changed since it was read, so the base is still right when the claim holds.
//!
//! No answer that could be ours is trusted: a refused write may be our own, retried by the transport after it had landed,
//! and a lost answer says nothing. Both are settled by reading back and comparing identities.

use std::time::Duration;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};

use super::fetch::collect;
use super::footer::{FileKind, Footer};
use super::layout::{Place, RunTime};
use super::outline::BaseOutline;
use super::parquet::{empty_file, read_footer};
use super::state::{Claim, Head, STATE_LIMIT, State};
use super::store::{Condition, ETag, ObjectStore, Payload, Put};
use crate::error::{Error, Kind, Result};
use crate::position::Position;
use crate::retry::Pauses;
use crate::table::TableSchema;

/// How often an unclear write is tried before the run gives up.
const ATTEMPTS: u32 = 4;

/// The pause after the first unclear answer; it doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The pause beyond which doubling stops.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The longest time for which any run claims a table.
pub const LONGEST_CLAIM: TimeDelta = TimeDelta::days(1);

/// How long a claim is watched whose expiry no run can have asked for, before it is taken over: a run that holds it and is
/// about to end does so meanwhile. The same for all runs, because one of the two clocks is wrong and neither tells which.
const DOUBTFUL_CLAIM_PAUSE: Duration = Duration::from_secs(5);

/// Who runs, and when.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Equal for a redelivered event.
    pub owner: String,
    /// The time that the run was asked for.
    pub run_at: RunTime,
    /// The time by this machine's clock, for the expiry of foreign claims only.
    pub now: DateTime<Utc>,
    /// When others may take over a claim of ours.
    pub expires: DateTime<Utc>,
}

/// A state object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateVersion {
    /// Its content.
    pub state: State,
    etag: Option<ETag>,
}

impl StateVersion {
    /// The source's position that the table is at.
    pub fn position(&self) -> Option<&Position> {
        self.state.head.as_ref().and_then(|head| head.position.as_ref())
    }
}

/// How a run may proceed with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Entry {
    /// No claim is in the way.
    Free,
    /// An expired claim was in the way. This is the object at its key, a tombstone or what its owner had published after all:
    /// it is part of the log, whatever a listing says (see [`BaseOutline::with`]).
    Fenced(Box<(String, Footer)>),
    /// This run, or its twin, claimed the table before: go on with the same object and position.
    Resume(Claim),
    /// Somebody else holds a claim that has not expired.
    Busy(Claim),
}

/// What became of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Step<T> {
    /// It is done, by us or by our twin.
    Done(T),
    /// Somebody else was faster; nothing of ours was or will be published.
    Overtaken,
}

/// The log of one table, as one run sees it.
#[derive(Debug)]
pub struct TableLog<'a> {
    store: &'a dyn ObjectStore,
    place: Place,
    runner: &'a Runner,
    first_pause: Duration,
    columns: Option<SchemaRef>,
}

impl<'a> TableLog<'a> {
    /// The log of the table at `place` in `store`, for `runner`.
    pub fn new(store: &'a dyn ObjectStore, place: impl Into<Place>, runner: &'a Runner) -> Self {
        Self { store, place: place.into(), runner, first_pause: FIRST_PAUSE, columns: None }
    }

    /// Gives tombstones these columns in place of those that the head names.
    #[must_use]
    pub fn with_columns(self, columns: SchemaRef) -> Self {
        Self { columns: Some(columns), ..self }
    }

    /// Tries unclear writes again at once, for a store that is not on a network.
    #[must_use]
    pub fn without_pauses(self) -> Self {
        Self { first_pause: Duration::ZERO, ..self }
    }

    /// The key of the CDC object of the run at that time.
    pub fn cdc_key(&self, run_at: RunTime) -> String {
        self.place.cdc(run_at)
    }

    /// The key of the full load.
    pub fn full_load_key(&self) -> String {
        self.place.full_load()
    }

    /// Reads the state: the one small read that an unchanged table costs.
    pub async fn read_state(&self) -> Result<StateVersion> {
        let key = self.place.state();
        let Some(object) = self.store.get(key, None).await? else {
            return Ok(StateVersion { state: State::empty(), etag: None });
        };
        if object.len > STATE_LIMIT {
            return Err(Error::internal("StateGarbled", format!("the state object `{key}` has {} bytes", object.len))
                .hint("restore its previous version"));
        }
        let etag = Some(object.etag.clone());
        Ok(StateVersion { state: State::parse(&collect(object).await?, key)?, etag })
    }

    /// Step 1: finds out whether the table can be worked on, fencing an expired claim. `schema` is that of the tombstone.
    pub async fn enter(&self, version: &StateVersion) -> Result<Entry> {
        let Some(claim) = &version.state.pending else { return Ok(Entry::Free) };
        if claim.owner == self.runner.owner {
            return Ok(Entry::Resume(claim.clone()));
        }
        let left = claim.expires - self.runner.now;
        if left > LONGEST_CLAIM {
            if self.is_alive(version, claim).await? {
                return Ok(Entry::Busy(claim.clone()));
            }
        } else if left > TimeDelta::zero() {
            return Ok(Entry::Busy(claim.clone()));
        }
        tracing::warn!(
            table = self.place.table(),
            owner = claim.owner,
            key = claim.cdc_key,
            "taking over the claim of a run that stopped"
        );
        let footer = self.occupy(claim, version.state.head.as_ref()).await?;
        Ok(Entry::Fenced(Box::new((claim.cdc_key.clone(), footer))))
    }

    /// Watches a claim whose expiry lies absurdly far ahead, and says whether the state has changed meanwhile.
    async fn is_alive(&self, version: &StateVersion, claim: &Claim) -> Result<bool> {
        tracing::warn!(
            table = self.place.table(),
            owner = claim.owner,
            expires = %claim.expires,
            "the claim of another run lasts longer than any run asks for: its clock or this one is wrong"
        );
        if !self.first_pause.is_zero() {
            tokio::time::sleep(DOUBTFUL_CLAIM_PAUSE).await;
        }
        Ok(self.read_state().await? != *version)
    }

    /// Creates an object of no rows at the key of a foreign claim, or finds one there; its footer.
    async fn occupy(&self, claim: &Claim, head: Option<&Head>) -> Result<Footer> {
        let schema = head.map(|head| head.schema.clone()).unwrap_or_default();
        let footer = self.tombstone(claim, head, schema);
        let columns = self.columns.clone().unwrap_or_else(|| super::cdc_schema(&footer.schema));
        let payload = empty_file(columns, &footer)?;
        let mut tries = Tries::new(self.first_pause);
        loop {
            match self.store.put(&claim.cdc_key, &payload, &Condition::Absent).await {
                Ok(Put::Written(_)) => return Ok(footer),
                Ok(Put::Refused) => {}
                Err(error) => tries.again(error).await?,
            }
            if let Some((there, _)) = read_footer(self.store, &claim.cdc_key).await? {
                return Ok(there);
            }
            tries.count(&claim.cdc_key).await?;
        }
    }

    fn tombstone(&self, claim: &Claim, head: Option<&Head>, schema: TableSchema) -> Footer {
        Footer {
            position: head.and_then(|head| head.position.clone()),
            previous_run_at: head.map(|head| head.run_at),
            rows: head.map_or(0, |head| head.rows),
            row_set_hash: head.map(|head| head.row_set_hash.clone()).unwrap_or_default(),
            schema,
            ..Footer::new(FileKind::Tombstone, self.place.table(), claim.run_at, &self.runner.owner)
        }
    }

    /// Whether a resumed claim still can publish: nothing of a later name is in the log, and no tombstone at its key.
    pub fn still_ours(&self, claim: &Claim, outline: &BaseOutline) -> bool {
        let later = outline.last.is_some_and(|last| last > claim.run_at);
        let fenced =
            outline.log.iter().any(|(key, footer)| *key == claim.cdc_key && footer.kind == FileKind::Tombstone);
        !later && !fenced
    }

    /// The time under which this run publishes: the one asked for, moved behind everything that is there.
    pub fn place(&self, version: &StateVersion, outline: &BaseOutline) -> RunTime {
        let head = version.state.head.as_ref().map(|head| head.run_at);
        let claimed = version.state.pending.as_ref().map(|claim| claim.run_at);
        let floor = head.max(claimed).max(outline.last).map(RunTime::next);
        floor.map_or(self.runner.run_at, |floor| floor.max(self.runner.run_at))
    }

    /// Step 2: writes our claim into the state that `version` was read as.
    pub async fn claim(
        &self,
        version: &StateVersion,
        run_at: RunTime,
        position: Option<Position>,
    ) -> Result<Step<StateVersion>> {
        let cdc_key = self.place.cdc(run_at);
        if self.place.cdc_run_at(&cdc_key) != Some(run_at) {
            return Err(unusable(&cdc_key));
        }
        let claim = Claim { run_at, position, cdc_key, owner: self.runner.owner.clone(), expires: self.runner.expires };
        self.swap(version, State { pending: Some(claim), ..version.state.clone() }).await
    }

    /// Step 3: creates the CDC object of `footer`.
    pub async fn publish(&self, payload: &Payload, footer: &Footer) -> Result<Step<()>> {
        let key = self.place.cdc(footer.run_at);
        let mut tries = Tries::new(self.first_pause);
        loop {
            match self.store.put(&key, payload, &Condition::Absent).await {
                Ok(Put::Written(_)) => return Ok(Step::Done(())),
                Ok(Put::Refused) => {}
                Err(error) => tries.again(error).await?,
            }
            match read_footer(self.store, &key).await? {
                Some((there, _)) if there.same_work(footer) => return Ok(Step::Done(())),
                Some((there, _)) if there.kind == FileKind::Tombstone => return Ok(Step::Overtaken),
                Some(_) => return Err(not_our_work(&key)),
                None => tries.count(&key).await?,
            }
        }
    }

    /// Creates a part of a first load, or finds it there: whoever read the part first has settled what it holds. Gives the
    /// footer of what is there.
    pub async fn publish_part(&self, payload: &Payload, footer: &Footer, number: u32) -> Result<Footer> {
        let key = self.place.full_load_part(number);
        let mut tries = Tries::new(self.first_pause);
        loop {
            match self.store.put(&key, payload, &Condition::Absent).await {
                Ok(Put::Written(_)) => return Ok(footer.clone()),
                Ok(Put::Refused) => {}
                Err(error) => tries.again(error).await?,
            }
            match read_footer(self.store, &key).await? {
                Some((there, _)) if there.same_load(footer) => return Ok(there),
                Some(_) => return Err(not_our_work(&key)),
                None => tries.count(&key).await?,
            }
        }
    }

    /// Step 4: replaces the full load that had the tag `replaced`; gives the tag of the one that is there now.
    pub async fn checkpoint(&self, payload: &Payload, footer: &Footer, replaced: Option<&ETag>) -> Result<Step<ETag>> {
        let key = self.place.full_load();
        let mut condition = replaced.map_or(Condition::Absent, |etag| Condition::Matches(etag.clone()));
        let mut tries = Tries::new(self.first_pause);
        loop {
            match self.store.put(&key, payload, &condition).await {
                Ok(Put::Written(etag)) => return Ok(Step::Done(etag)),
                Ok(Put::Refused) => {}
                Err(error) => tries.again(error).await?,
            }
            condition = match read_footer(self.store, &key).await? {
                // Only who holds the claim writes under its time: this is ours, or our twin's, who found the log ahead of us.
                Some((there, etag)) if there.run_at == footer.run_at => return Ok(Step::Done(etag)),
                Some((there, _)) if there.run_at > footer.run_at => return Ok(Step::Overtaken),
                Some((_, etag)) => Condition::Matches(etag),
                None => Condition::Absent,
            };
            tries.count(&key).await?;
        }
    }

    /// Step 5: makes `head` the head of the state that `version` was written as, and ends the claim. If somebody else has
    /// moved the state on, that is as good: our object is in the log that they build on.
    pub async fn commit(&self, version: &StateVersion, head: Head) -> Result<Step<StateVersion>> {
        self.swap(version, State { head: Some(head), pending: None, ..State::empty() }).await
    }

    /// Replaces the state if it is still the one read as `version`.
    async fn swap(&self, version: &StateVersion, state: State) -> Result<Step<StateVersion>> {
        let key = self.place.state();
        let bytes: Bytes = state.to_bytes()?;
        let payload = Payload::Memory(bytes);
        let condition = version.etag.clone().map_or(Condition::Absent, Condition::Matches);
        let mut tries = Tries::new(self.first_pause);
        loop {
            match self.store.put(key, &payload, &condition).await {
                Ok(Put::Written(etag)) => return Ok(Step::Done(StateVersion { state, etag: Some(etag) })),
                Ok(Put::Refused) => {}
                Err(error) => tries.again(error).await?,
            }
            let there = self.read_state().await?;
            if there.state == state && there.etag.is_some() {
                return Ok(Step::Done(there));
            }
            if there.etag != version.etag {
                return Ok(Step::Overtaken);
            }
            tries.count(key).await?;
        }
    }
}

/// The error for a key from which its run time could not be read again: nobody would find the object in the log.
fn unusable(key: &str) -> Error {
    Error::config(
        "RunTimeUnusable",
        format!("`{key}` would not be found again: its run time does not have four digits of a year"),
    )
    .hint(
        "the newest object of the log has a name far ahead of any clock: move it away, or give the table another name",
    )
}

fn not_our_work(key: &str) -> Error {
    Error::conflict("ForeignWork", format!("`{key}` exists and holds other changes than this run would publish"))
        .hint("a twin of this run worked from other data or another version of this program; the next run builds on what is there")
}

/// Bounds how often an unclear write is tried.
struct Tries {
    left: u32,
    pauses: Pauses,
}

impl Tries {
    fn new(first_pause: Duration) -> Self {
        Self { left: ATTEMPTS, pauses: Pauses::new(first_pause, LONGEST_PAUSE) }
    }

    /// After an error: passing faults are left to be settled by reading back, others end the step.
    async fn again(&mut self, error: Error) -> Result<()> {
        if error.kind() != Kind::Transient || self.left <= 1 {
            return Err(error);
        }
        tracing::warn!(error = %error.chain(), "a write has no clear answer; reading back");
        self.pause().await;
        Ok(())
    }

    /// After reading back that the write has not happened.
    async fn count(&mut self, key: &str) -> Result<()> {
        self.left -= 1;
        if self.left == 0 {
            return Err(Error::transient(
                "WriteUnsettled",
                format!("`{key}` could not be written in {ATTEMPTS} attempts"),
            )
            .hint("the object store is refusing or losing writes; the next run does what is left"));
        }
        self.pause().await;
        Ok(())
    }

    async fn pause(&mut self) {
        let pause = self.pauses.next();
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}
