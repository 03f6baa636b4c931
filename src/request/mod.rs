//! What a run was asked to do: made once by a shell, from an event or from arguments, and passed down as a value.
//!
//! The scheduled time of an event is the time of its run, and its identity. An event that is delivered twice, or an
//! invocation that is retried, makes an equal [`Request`], by which the two recognise each other in the lake.

mod deadline;
mod event;
mod span;
mod step;

use chrono::{DateTime, SubsecRound, Utc};

pub use self::deadline::Deadline;
pub(crate) use self::deadline::out_of_time;
pub(crate) use self::span::outside;
pub use self::step::Step;
use crate::config::{ConfigSource, Faults};
use crate::error::{Error, Result};
use crate::lake::store::LakeUrl;
use crate::near::near;
use crate::position::Position;
use crate::table::{TableName, TableSpec};

/// What to do about a time that no run may have.
const FUTURE_HINT: &str = "correct the time, or the clock; if a time ahead is meant, set `allow_future` (`--allow-future`): \
                           later runs are then named after it";

/// One run, as it was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The time that the run's objects are named by, in whole seconds.
    pub run_at: DateTime<Utc>,
    /// The time by this machine's clock, for the expiry of claims, and to see whether another time can be right.
    pub now: DateTime<Utc>,
    /// What a repeated delivery of the same event has in common with the first: `event:{run_at}` where the event carries
    /// its time, else `request:{request id}`.
    pub identity: String,
    /// The tables to do, by name; all of them when there is no list.
    pub tables: Option<Vec<String>>,
    /// Where the tables are to be brought, for the part of a run that one table is: the plan has asked the source already, and
    /// another part tells what became of all.
    pub planned: Option<Position>,
    /// Whether the source is read also when its position has not changed.
    pub force: bool,
    /// Whether the run ends before it writes.
    pub dry_run: bool,
    /// The tables that may lose more rows than their limit allows.
    pub approve_deletes: Approval,
    /// Whether tables that were read from another source so far are read from this one from now on.
    pub adopt_source: bool,
    /// Whether times more than a day ahead of the clock are meant.
    pub allow_future: bool,
    /// The configuration to use in place of the function's own.
    pub config: Option<ConfigSource>,
    /// The lake to use in place of the function's own.
    pub lake: Option<LakeUrl>,
    /// When the run must have ended.
    pub deadline: Deadline,
    /// Whether what another program wrote into the tables' folders is taken over, and their logs begin with this run.
    pub inherits: bool,
}

/// Which tables may lose more rows than their `max_deleted_fraction`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// None of them.
    None,
    /// All of them.
    All,
    /// These.
    Tables(Vec<String>),
}

impl Approval {
    /// Whether `table` is among them.
    pub fn covers(&self, table: &TableName) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Tables(names) => names.iter().any(|name| name == table.as_str()),
        }
    }
}

impl Request {
    /// A run of all tables at `run_at`, which is cut to whole seconds.
    pub fn new(run_at: DateTime<Utc>, identity: impl Into<String>, now: DateTime<Utc>, deadline: Deadline) -> Self {
        Self {
            run_at: run_at.trunc_subsecs(0),
            now,
            identity: identity.into(),
            tables: None,
            planned: None,
            force: false,
            dry_run: false,
            approve_deletes: Approval::None,
            adopt_source: false,
            allow_future: false,
            config: None,
            lake: None,
            deadline,
            inherits: false,
        }
    }

    /// A run of all tables at the time that `text` names, with the identity of an event of that time. One more than a day ahead
    /// of `now` is taken only where `allow_future` is set.
    ///
    /// # Errors
    /// `InvalidEvent` (kind `Config`) for a text that is no time, or a time that no run may have.
    pub fn at(text: &str, now: DateTime<Utc>, deadline: Deadline, allow_future: bool) -> Result<Self> {
        let time = event::instant(text).map(|time| time.trunc_subsecs(0)).ok_or_else(|| {
            Error::config("InvalidEvent", format!("`{text}` is not a time"))
                .hint("write a time like 2026-11-20T09:00:00Z")
        })?;
        if let Some(why) = outside(time, now, allow_future) {
            return Err(Error::config("InvalidEvent", format!("the run's time {why}")).hint(FUTURE_HINT));
        }
        Ok(Self { allow_future, ..Self::new(time, event::identity_of(time), now, deadline) })
    }

    /// Those of `specs` that the run is to do, in their configured order.
    ///
    /// # Errors
    /// `UnknownTable` (kind `Config`) naming every table asked for or approved that is not among `specs`.
    pub fn select<'t>(&self, specs: &'t [TableSpec]) -> Result<Vec<&'t TableSpec>> {
        self.select_by(specs, |spec| spec.name.to_string())
    }

    /// The one table that this part of a planned run is.
    pub(crate) fn planned_table(&self) -> Option<&str> {
        self.planned.as_ref()?;
        self.tables.as_deref()?.first().map(String::as_str)
    }

    /// As [`Self::select`], of whatever has a name.
    pub(crate) fn select_by<'t, T>(&self, tables: &'t [T], name: impl Fn(&T) -> String) -> Result<Vec<&'t T>> {
        let faults = Faults::default();
        let names: Vec<String> = tables.iter().map(&name).collect();
        refuse_unknown("tables", self.tables.as_deref().unwrap_or_default(), &names, &faults);
        if let Approval::Tables(approved) = &self.approve_deletes {
            refuse_unknown("approve_deletes", approved, &names, &faults);
        }
        let wanted = |table: &&T| self.tables.as_ref().is_none_or(|wanted| wanted.contains(&name(table)));
        faults
            .finish("UnknownTable", "the request", Some(tables.iter().filter(wanted).collect()))
            .map_err(|error| error.hint(format!("configured are {}", names.join(", "))))
    }
}

fn refuse_unknown(key: &str, asked: &[String], names: &[String], faults: &Faults) {
    for name in asked.iter().filter(|name| !names.contains(name)) {
        match near(name, names.iter().map(String::as_str)) {
            Some(meant) => faults.add(key, format!("names the unknown table `{name}`; did you mean `{meant}`?")),
            None => faults.add(key, format!("names the unknown table `{name}`")),
        }
    }
}

#[cfg(test)]
mod tests;
