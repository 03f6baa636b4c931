//! What every object of the lake is called. Keys are relative to the lake's root.

use std::fmt;

use chrono::{DateTime, Duration, NaiveDateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::table::TableName;

/// The folder of the reports of all runs.
pub const RUNS: &str = "_runs/";

const STAMP: &str = "%Y%m%d_%H%M%S";
const STAMP_LEN: usize = "YYYYMMDD_HHMMSS".len();

/// The time of a run: its identity in names and footers, in whole seconds of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "DateTime<Utc>", into = "DateTime<Utc>")]
pub struct RunTime(DateTime<Utc>);

impl RunTime {
    /// The second that `time` is in.
    pub fn new(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(0))
    }

    /// One second later.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + Duration::seconds(1))
    }

    /// `YYYYMMDD_HHMMSS`, which sorts like the time.
    pub fn stamp(self) -> String {
        self.0.format(STAMP).to_string()
    }

    /// From a stamp; `None` for any other text.
    pub fn from_stamp(stamp: &str) -> Option<Self> {
        let time = NaiveDateTime::parse_from_str(stamp, STAMP).ok()?.and_utc();
        Some(Self::new(time)).filter(|run_at| run_at.stamp() == stamp)
    }

    /// The time itself.
    pub fn time(self) -> DateTime<Utc> {
        self.0
    }
}

impl From<DateTime<Utc>> for RunTime {
    fn from(time: DateTime<Utc>) -> Self {
        Self::new(time)
    }
}

impl From<RunTime> for DateTime<Utc> {
    fn from(time: RunTime) -> Self {
        time.0
    }
}

/// RFC 3339, with `Z`.
impl fmt::Display for RunTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m-%dT%H:%M:%SZ"))
    }
}

/// The newest snapshot of a table, as of its footer's run time.
pub fn full_load(table: &TableName) -> String {
    format!("full-load/{table}/{table}.parquet")
}

/// The folder of a table's log.
pub fn cdc_prefix(table: &TableName) -> String {
    format!("cdc/{table}/")
}

/// The object of a table's log that a run writes.
pub fn cdc(table: &TableName, run_at: RunTime) -> String {
    format!("cdc/{table}/{table}_{}.parquet", run_at.stamp())
}

/// The run time in the name of an object of a table's log; `None` for any other object.
pub fn cdc_run_at(table: &TableName, key: &str) -> Option<RunTime> {
    let name = key.strip_prefix(&cdc_prefix(table))?.strip_prefix(table.as_str())?;
    RunTime::from_stamp(name.strip_prefix('_')?.strip_suffix(".parquet")?)
}

/// The state of a table.
pub fn state(table: &TableName) -> String {
    format!("_state/{table}.json")
}

/// The fingerprints of a table's full load.
pub fn fingerprints(table: &TableName) -> String {
    format!("_state/{table}.fingerprints")
}

/// The report of a run.
pub fn run(run_at: RunTime) -> String {
    format!("{RUNS}{}.json", run_at.stamp())
}

/// The run time in the name of a report; `None` for any other object.
pub fn run_of(key: &str) -> Option<RunTime> {
    RunTime::from_stamp(key.strip_prefix(RUNS)?.strip_suffix(".json")?)
}

/// The run time at the end of the name of an object of any log.
pub fn stamp_of(key: &str) -> Option<RunTime> {
    let name = key.strip_suffix(".parquet")?;
    RunTime::from_stamp(name.get(name.len().checked_sub(STAMP_LEN)?..)?)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn names_are_those_of_the_design_and_give_their_time_back() {
        let table = TableName::parse("clientes").unwrap();
        let run_at = RunTime::new(Utc.with_ymd_and_hms(2026, 11, 20, 9, 5, 1).unwrap());
        let key = cdc(&table, run_at);
        assert_eq!(key, "cdc/clientes/clientes_20261120_090501.parquet");
        assert_eq!(cdc_run_at(&table, &key), Some(run_at));
        assert_eq!(full_load(&table), "full-load/clientes/clientes.parquet");
        assert_eq!(state(&table), "_state/clientes.json");
        assert_eq!(run(run_at), "_runs/20261120_090501.json");
        assert_eq!([run_of(&run(run_at)), stamp_of(&key)], [Some(run_at); 2]);
        assert_eq!([run_of("_runs/2026.json"), stamp_of("é.parquet"), stamp_of("é0261120_090501.parquet")], [None; 3]);
        assert_eq!(run_at.to_string(), "2026-11-20T09:05:01Z");
        for other in ["cdc/clientes/_SUCCESS", "cdc/clientes/clientes_2026.parquet", "cdc/x/x_20261120_090501.parquet"]
        {
            assert_eq!(cdc_run_at(&table, other), None, "{other}");
        }
    }
}
