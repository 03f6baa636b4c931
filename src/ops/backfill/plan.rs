//! Which versions are left to be read, for which tables, and under which times.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};

use super::passed::Passed;
use super::{Step, Table, log_begun};
use crate::config::Dataset;
use crate::error::{Error, Result};
use crate::lake::footer::FileKind;
use crate::lake::layout::{Place, RunTime};
use crate::lake::log;
use crate::lake::outline::BaseOutline;
use crate::lake::state::{STATE_LIMIT, State};
use crate::lake::store::{ObjectStore, read_all};
use crate::position::Position;
use crate::request::outside;
use crate::source::kaggle::VersionInfo;
use crate::table::TableSpec;

/// The versions that a log holds, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    /// With which it begins.
    first: Option<u64>,
    /// How far it goes; what a run has not ended does not count.
    last: Option<u64>,
}

/// The tables, and what is left to be read for them, oldest version first.
pub(super) async fn plan(
    store: &dyn ObjectStore,
    dataset: &Dataset,
    mut versions: Vec<VersionInfo>,
    wanted: &[&TableSpec],
    range: RangeInclusive<u64>,
    now: DateTime<Utc>,
) -> Result<(Vec<Table>, Vec<Step>)> {
    versions.reverse();
    let times = times(&versions, now);
    let ready = versions.iter().zip(times).filter(|(version, _)| version.ready && range.contains(&version.number));
    let mut steps: Vec<Step> =
        ready.map(|(version, run_at)| Step { version: version.number, run_at, tables: Vec::new() }).collect();
    if steps.is_empty() {
        return Err(no_versions(dataset, &versions, &range));
    }
    let (mut tables, mut problems, mut newest) = (Vec::new(), Vec::new(), None);
    for spec in wanted {
        let passed = Passed::read(store, &spec.name, dataset).await?;
        let (name, held) = (spec.name.to_string(), held(store, spec).await?);
        let before = |step: &&Step| held.first.is_some_and(|first| step.version < first) && !passed.has(step.version);
        if let (Some(first), Some(step)) = (held.first, steps.iter().find(before)) {
            problems.push(format!(
                "the log of `{name}` begins with version {first}: version {} cannot be put before it",
                step.version
            ));
            newest = newest.max(held.last.or(held.first));
        }
        let needed = |step: &&mut Step| held.last.is_none_or(|last| step.version > last) && !passed.has(step.version);
        steps.iter_mut().filter(needed).for_each(|step| step.tables.push(name.clone()));
        tables.push(Table { name, begun: held.first.is_some(), stopped: false, passed });
    }
    if !problems.is_empty() {
        return Err(log_begun(&problems, newest));
    }
    steps.retain(|step| !step.tables.is_empty());
    Ok((tables, steps))
}

/// The versions that the log of a table holds.
async fn held(store: &dyn ObjectStore, spec: &TableSpec) -> Result<Held> {
    let place = Place::from(&spec.name);
    let state = match read_all(store, place.state(), STATE_LIMIT).await? {
        Some((bytes, _)) => State::parse(&bytes, place.state())?,
        None => State::empty(),
    };
    let mut last = state.head.and_then(|head| head.position);
    if last.is_none() && state.pending.is_none() {
        last = BaseOutline::read(store, &spec.name).await?.position().cloned();
    }
    let last = last.map(|position| version(&spec.name, position)).transpose()?;
    let first = match first(store, &place).await? {
        Some(Position::Version(first)) => Some(first),
        // Local files came first, or the log is lost: what is before the newest version cannot be known.
        _ => last,
    };
    Ok(Held { first, last })
}

/// The position of a log's first object with changes.
async fn first(store: &dyn ObjectStore, place: &Place) -> Result<Option<Position>> {
    for (_, entry) in log::list(store, place).await? {
        let footer = log::footer(store, place, &entry.key).await?;
        if footer.kind == FileKind::Cdc {
            return Ok(footer.position);
        }
    }
    Ok(None)
}

fn version(table: impl std::fmt::Display, position: Position) -> Result<u64> {
    match position {
        Position::Version(version) => Ok(version),
        _ => Err(log_begun(
            &[format!(
                "the newest rows of `{table}` came from local files, whose place among the versions is not known"
            )],
            None,
        )),
    }
}

/// The times of the versions' runs, each later than the one before. Versions before the first that has a time get the seconds
/// before that, or before `now` where none has.
fn times(versions: &[VersionInfo], now: DateTime<Utc>) -> Vec<RunTime> {
    // A time that no run may have is none: the clock that gave it was wrong.
    let created = |version: &VersionInfo| version.created.filter(|time| outside(*time, now, false).is_none());
    let undated = versions.iter().take_while(|version| created(version).is_none()).count();
    let anchor = versions.iter().find_map(created).unwrap_or(now);
    let seconds = TimeDelta::seconds(i64::try_from(undated + 1).unwrap_or_default());
    let mut time = RunTime::new(anchor - seconds);
    let mut times = Vec::with_capacity(versions.len());
    for version in versions {
        let created = created(version).map(RunTime::new);
        time = created.map_or(time.next(), |created| created.max(time.next()));
        times.push(time);
    }
    times
}

pub(super) fn no_dataset() -> Error {
    Error::config("NoVersions", "`backfill` reads the old versions of a Kaggle dataset, and the source is none")
        .hint("set `dataset_name` in the configuration")
}

fn no_versions(dataset: &Dataset, versions: &[VersionInfo], range: &RangeInclusive<u64>) -> Error {
    let there = match versions {
        [] => "Kaggle names none".to_owned(),
        [only] => format!("there is only version {}", only.number),
        [first, .., last] => format!("there are versions from {} to {}", first.number, last.number),
    };
    let to = Some(range.end()).filter(|to| **to < u64::MAX).map_or_else(String::new, |to| format!(" to {to}"));
    Error::config(
        "NoVersions",
        format!("{dataset} has no version from {}{to} that can be read: {there}", range.start()),
    )
    .hint("choose others with `--from` and `--to`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(created: &[Option<&str>]) -> Vec<String> {
        let info = |created: &Option<&str>| {
            let created = created.map(|time| time.parse().unwrap());
            VersionInfo { number: 1, created, notes: String::new(), ready: true }
        };
        let versions: Vec<_> = created.iter().map(info).collect();
        let times = times(&versions, "2026-11-20T09:00:00Z".parse().unwrap());
        times.into_iter().map(RunTime::stamp).collect()
    }

    #[test]
    fn runs_have_the_times_of_their_versions() {
        let dated = stamps(&[Some("2024-01-01T10:00:00.9Z"), None, Some("2025-01-01T10:00:00Z")]);
        assert_eq!(dated, ["20240101_100000", "20240101_100001", "20250101_100000"]);
    }

    #[test]
    fn times_go_forward_whatever_the_versions_say() {
        let same =
            stamps(&[Some("2024-01-01T10:00:00.1Z"), Some("2024-01-01T10:00:00.9Z"), Some("2023-01-01T10:00:00Z")]);
        assert_eq!(same, ["20240101_100000", "20240101_100001", "20240101_100002"]);
    }

    #[test]
    fn times_that_no_run_may_have_count_as_none() {
        let times = stamps(&[Some("1970-01-01T00:00:00Z"), Some("2024-01-01T10:00:00Z"), Some("2226-01-01T00:00:00Z")]);
        assert_eq!(times, ["20240101_095959", "20240101_100000", "20240101_100001"]);
    }

    #[test]
    fn versions_without_a_time_stand_before_the_first_that_has_one() {
        assert_eq!(stamps(&[None, None, Some("2024-01-01T10:00:00Z")])[..2], ["20240101_095958", "20240101_095959"]);
        assert_eq!(stamps(&[None, None]), ["20261120_085958", "20261120_085959"]);
        assert!(stamps(&[]).is_empty());
    }
}
