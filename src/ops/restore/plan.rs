//! Which objects make up a state, and whether they are all there.

use super::At;
use crate::error::{Error, Result};
use crate::lake::base::{Base, full_load};
use crate::lake::fetch::fetch_within;
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout::{Place, RunTime};
use crate::lake::log;
use crate::lake::outline::vanished;
use crate::lake::parquet::{ParquetFile, read_footer};
use crate::lake::store::{ETag, Listed, ObjectStore, Payload};
use crate::ops::history::{Wrote, wrote};
use crate::table::TableName;
use crate::workspace::Workspace;

/// So many bytes of the log may stay in memory; the rest lies in the work folder.
const IN_MEMORY: u64 = 64 * 1024 * 1024;

/// The objects to replay.
#[derive(Debug)]
pub(super) struct Plan {
    /// The full load, where the state is not older.
    pub(super) full_load: Option<(Footer, ETag)>,
    /// The CDC objects after it, oldest first.
    pub(super) log: Vec<(String, Footer)>,
    /// Where the state may be another one.
    pub(super) warnings: Vec<String>,
}

impl Plan {
    /// Finds the objects that lead to the state of `at`.
    pub(super) async fn read(store: &dyn ObjectStore, table: &TableName, at: At) -> Result<Self> {
        let place = Place::from(table);
        let listed = log::list(store, &place).await?;
        let full_load = read_footer(store, &place.full_load()).await?;
        let full_load_at = full_load.as_ref().map(|(footer, _)| footer.run_at);
        let runs = || listed.iter().map(|(run_at, _)| *run_at).chain(full_load_at);
        let first = runs().min().ok_or_else(|| never_run(store, table))?;
        let until = match at {
            At::Run(run_at) if runs().any(|run| run == run_at) => run_at,
            At::Run(run_at) if run_at < first => run_at,
            At::Run(run_at) => return Err(unknown_run(table, run_at, runs())),
            At::Time(time) => RunTime::new(time),
        };
        if until < first {
            return Err(before_history(table, until, first));
        }
        let full_load = full_load.filter(|(footer, _)| footer.run_at <= until);
        let after = full_load.as_ref().map(|(footer, _)| footer.run_at);
        let wanted = |run_at: &RunTime| *run_at <= until && after.is_none_or(|after| *run_at > after);
        let later: Vec<String> =
            listed.iter().filter(|(run_at, _)| *run_at > until).map(|(_, entry)| entry.key.clone()).collect();
        let objects: Vec<Listed> =
            listed.into_iter().filter(|(run_at, _)| wanted(run_at)).map(|(_, entry)| entry).collect();
        let footers = log::footers(store, &place, objects).await?;
        let changes = footers.into_iter().filter(|(_, footer)| footer.kind == FileKind::Cdc);
        let log = changes.map(|(entry, footer)| (entry.key, footer)).collect();
        let mut plan = Self { full_load, log, warnings: Vec::new() };
        plan.newest().ok_or_else(|| before_history(table, until, first))?;
        plan.expect_chain(table, full_load_at)?;
        plan.expect_predecessors(store, &place, &later, full_load_at, until).await?;
        Ok(plan)
    }

    /// The footer of the state.
    pub(super) fn newest(&self) -> Option<&Footer> {
        self.log.last().map(|(_, footer)| footer).or(self.full_load.as_ref().map(|(footer, _)| footer))
    }

    /// Whether an object counts silent changes, whatever the table's configuration is now.
    pub(super) fn has_silent_changes(&self) -> bool {
        let full_load = self.full_load.as_ref().is_some_and(|(footer, _)| footer.has_silent_rows);
        full_load || self.log.iter().any(|(_, footer)| footer.silent_changes > 0)
    }

    /// Fetches the objects.
    pub(super) async fn fetch(
        &self,
        store: &dyn ObjectStore,
        table: &TableName,
        workspace: &Workspace,
    ) -> Result<Base> {
        let mut files = Vec::new();
        if let Some((_, etag)) = &self.full_load {
            files.push(full_load(store, table, etag, workspace).await?);
        }
        let mut room = IN_MEMORY;
        for (key, _) in &self.log {
            let (payload, _) = fetch_within(store, key, workspace, room).await?.ok_or_else(|| vanished(key))?;
            if matches!(payload, Payload::Memory(_)) {
                room -= payload.len();
            }
            files.push(ParquetFile::open(key, payload)?);
        }
        Ok(Base::of(files))
    }

    /// Each object must go on from as many rows as the one before it had left.
    fn expect_chain(&self, table: &TableName, full_load_at: Option<RunTime>) -> Result<()> {
        let mut held = self.full_load.as_ref().map(|(footer, _)| footer.rows);
        let mut before: Option<&str> = None;
        for (key, footer) in &self.log {
            let rows = (held.unwrap_or(0) + footer.inserted).checked_sub(footer.deleted);
            let begins = held.is_some() || (footer.updated, footer.deleted) == (0, 0);
            if !begins || rows != Some(footer.rows) {
                let place = before.map_or_else(
                    || format!("objects of the log before `{key}` are missing"),
                    |before| format!("objects of the log are missing between `{before}` and `{key}`"),
                );
                return Err(gap(table, place, full_load_at));
            }
            (held, before) = (Some(footer.rows), Some(key.as_str()));
        }
        Ok(())
    }
}

impl Plan {
    /// Each object names the run that it follows. One that left no object wrote a full load only, or its object is gone;
    /// the reports of the runs tell the two apart. `later` are the objects after the state, the first of which knows what
    /// the last run before it was.
    async fn expect_predecessors(
        &mut self,
        store: &dyn ObjectStore,
        place: &Place,
        later: &[String],
        full_load_at: Option<RunTime>,
        until: RunTime,
    ) -> Result<()> {
        let mut named: Vec<RunTime> = self.log.iter().filter_map(|(_, footer)| footer.previous_run_at).collect();
        for key in later {
            let footer = log::footer(store, place, key).await?;
            if footer.kind == FileKind::Cdc {
                named.extend(footer.previous_run_at);
                break;
            }
        }
        let last = self.newest().map(|footer| footer.run_at);
        let known = |run_at: &RunTime| {
            let base = self.full_load.iter().map(|(footer, _)| footer.run_at);
            self.log.iter().map(|(_, footer)| footer.run_at).chain(base).any(|known| known == *run_at)
        };
        let unknown: Vec<RunTime> = named.into_iter().filter(|run_at| *run_at <= until && !known(run_at)).collect();
        for run_at in unknown {
            let why = match wrote(store, run_at, place.table()).await? {
                Wrote::Object(key) => {
                    return Err(gap(
                        place.table(),
                        format!("`{key}` is missing, which the run's report names"),
                        full_load_at,
                    ));
                }
                // What was silent then is told of anyhow, unless it was the last thing that happened.
                _ if Some(run_at) < last => continue,
                Wrote::FullLoad => "wrote only a full load, which was replaced since: what it changed is not restored",
                Wrote::Unknown => {
                    "has no object in the log and no report: it wrote only a full load, or its object is gone"
                }
            };
            self.warnings.push(format!("the run of {run_at} {why}"));
        }
        Ok(())
    }
}

/// The error for a log that does not lead to the state.
pub(super) fn gap(table: impl std::fmt::Display, place: String, full_load_at: Option<RunTime>) -> Error {
    let or_full_load = full_load_at.map(|at| format!(", or ask for {at} or later, which the full load holds"));
    Error::internal("LogGap", format!("`{table}` cannot be restored to that time: {place}")).hint(format!(
        "bring the deleted objects back from the bucket's older versions or a backup{}",
        or_full_load.unwrap_or_default()
    ))
}

fn never_run(store: &dyn ObjectStore, table: &TableName) -> Error {
    Error::config("NeverRun", format!("there is nothing of table `{table}` in {}", store.location()))
        .hint("check `--lake` and the table's name; a table has a history from its first run on")
}

fn before_history(table: &TableName, until: RunTime, first: RunTime) -> Error {
    Error::config("BeforeHistory", format!("the history of `{table}` begins with the run of {first}, after {until}"))
        .hint(format!("ask for {first} or later; `cdc-to-s3 history --table {table}` lists the runs"))
}

fn unknown_run(table: &TableName, run_at: RunTime, runs: impl Iterator<Item = RunTime>) -> Error {
    let before = runs.filter(|run| *run < run_at).max();
    let before = before.map_or_else(String::new, |run| format!("; the last one before it is {}", run.stamp()));
    Error::config("UnknownRun", format!("`{table}` has no object of the run {}{before}", run_at.stamp())).hint(format!(
        "a run that changed nothing wrote nothing: give the time instead, {run_at}, for the state that it found"
    ))
}
