//! What every object of the lake is called. Keys are relative to the lake's root.

use std::fmt;

use chrono::{DateTime, Duration, NaiveDateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::table::TableName;

/// The folder of all states.
pub const STATES: &str = "_state/";
/// The folder of the reports of all runs.
pub const RUNS: &str = "_runs/";

/// The object at which `doctor` tries whether conditional writes are honoured.
pub const PROBE: &str = "_state/doctor";

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

    /// Before every run: the time of a head without an object.
    pub const NEVER: Self = Self(DateTime::UNIX_EPOCH);

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

/// Where the objects of one table are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    table: String,
    stem: String,
    full_load: String,
    cdc: String,
    state: String,
}

/// The place of a table whose snapshots are compared.
impl From<&TableName> for Place {
    fn from(table: &TableName) -> Self {
        Self {
            table: table.to_string(),
            stem: table.to_string(),
            full_load: format!("full-load/{table}/{table}"),
            cdc: format!("cdc/{table}/"),
            state: format!("_state/{table}.json"),
        }
    }
}

impl From<&Self> for Place {
    fn from(place: &Self) -> Self {
        place.clone()
    }
}

impl Place {
    /// The place of a table whose changes a database captures; with the table's schema among the folders or without.
    /// Without, two tables of one name are at one place; with it, the schema must be fit for a key.
    pub fn captured(database: &TableName, schema: &str, table: &TableName, schema_in_path: bool) -> Self {
        let folder = if schema_in_path { format!("{schema}/{table}") } else { table.to_string() };
        let state = if schema_in_path { format!("{schema}.{table}") } else { table.to_string() };
        Self {
            table: format!("{schema}.{table}"),
            stem: format!("{table}_cdc"),
            full_load: format!("full-load/{folder}/{table}"),
            cdc: format!("{database}/{folder}/cdc/"),
            state: format!("_state/{state}.json"),
        }
    }

    /// The table's name in footers, reports and messages.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The newest snapshot of the table, as of its footer's run time; of a first load in several parts, the first.
    pub fn full_load(&self) -> String {
        format!("{}.parquet", self.full_load)
    }

    /// A part of the first load, from 1.
    pub fn full_load_part(&self, number: u32) -> String {
        match number {
            0 | 1 => self.full_load(),
            _ => format!("{}_part_{number:05}.parquet", self.full_load),
        }
    }

    /// The folder of the full load and its parts.
    pub fn full_load_prefix(&self) -> &str {
        self.full_load.rsplit_once('/').map_or("", |(folder, _)| &self.full_load[..=folder.len()])
    }

    /// The folder of the table's log.
    pub fn cdc_prefix(&self) -> &str {
        &self.cdc
    }

    /// The object of the table's log that a run writes.
    pub fn cdc(&self, run_at: RunTime) -> String {
        format!("{}{}_{}.parquet", self.cdc, self.stem, run_at.stamp())
    }

    /// The run time in the name of an object of the table's log; `None` for any other object.
    pub fn cdc_run_at(&self, key: &str) -> Option<RunTime> {
        let name = key.strip_prefix(&self.cdc)?.strip_prefix(&self.stem)?;
        RunTime::from_stamp(name.strip_prefix('_')?.strip_suffix(".parquet")?)
    }

    /// The state of the table.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Whether this is the key of an object with rows of the table: of its log, its full load, or the fingerprints beside that.
    pub fn holds(&self, key: &str) -> bool {
        let of_full_load = key.strip_prefix(&self.full_load).and_then(|rest| rest.strip_suffix(".parquet"));
        let is_full_load = of_full_load.is_some_and(|rest| rest.is_empty() || rest.starts_with("_part_"));
        let beside = self.state.strip_suffix("json").zip(key.strip_suffix("fingerprints"));
        is_full_load || beside.is_some_and(|(state, key)| state == key) || self.cdc_run_at(key).is_some()
    }
}

/// The newest snapshot of a table, as of its footer's run time.
pub fn full_load(table: &TableName) -> String {
    Place::from(table).full_load()
}

/// The folder of a table's log.
pub fn cdc_prefix(table: &TableName) -> String {
    Place::from(table).cdc_prefix().to_owned()
}

/// The object of a table's log that a run writes.
pub fn cdc(table: &TableName, run_at: RunTime) -> String {
    Place::from(table).cdc(run_at)
}

/// The run time in the name of an object of a table's log; `None` for any other object.
pub fn cdc_run_at(table: &TableName, key: &str) -> Option<RunTime> {
    Place::from(table).cdc_run_at(key)
}

/// The state of a table.
pub fn state(table: &TableName) -> String {
    Place::from(table).state().to_owned()
}

/// The fingerprints of a table's full load.
pub fn fingerprints(table: &TableName) -> String {
    format!("_state/{table}.fingerprints")
}

/// The versions that a backfill passed over before the table's log began.
pub fn passed_over(table: &TableName) -> String {
    format!("_state/{table}.backfill")
}

/// Whether this is the key of a state.
pub fn is_state(key: &str) -> bool {
    key.starts_with(STATES) && key.ends_with(".json")
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
        let place = Place::from(&table);
        let other = cdc(&TableName::parse("client").unwrap(), run_at);
        assert!([&key, &full_load(&table), &fingerprints(&table)].iter().all(|key| place.holds(key)));
        assert!(!["_state/clientes.json", "full-load/u/u.parquet", &other].iter().any(|key| place.holds(key)));
        for other in ["cdc/clientes/_SUCCESS", "cdc/clientes/clientes_2026.parquet", "cdc/x/x_20261120_090501.parquet"]
        {
            assert_eq!(cdc_run_at(&table, other), None, "{other}");
        }
    }

    #[test]
    fn captured_tables_have_their_database_and_where_asked_for_their_schema_in_their_names() {
        let [database, table] = ["Shop", "Order"].map(|name| TableName::parse(name).unwrap());
        let run_at = RunTime::new(Utc.with_ymd_and_hms(2026, 11, 20, 9, 5, 1).unwrap());
        let plain = Place::captured(&database, "dbo", &table, false);
        let key = plain.cdc(run_at);
        assert_eq!(key, "Shop/Order/cdc/Order_cdc_20261120_090501.parquet");
        assert_eq!(plain.cdc_run_at(&key), Some(run_at));
        assert_eq!((plain.table(), plain.state()), ("dbo.Order", "_state/Order.json"));
        assert_eq!(plain.full_load_part(1), "full-load/Order/Order.parquet");
        assert_eq!(plain.full_load_prefix(), "full-load/Order/");
        assert_eq!(plain.full_load_part(2), "full-load/Order/Order_part_00002.parquet");
        assert!([key, plain.full_load_part(1), plain.full_load_part(2)].iter().all(|key| plain.holds(key)));
        let deep = Place::captured(&database, "dbo", &table, true);
        assert_eq!(deep.cdc(run_at), "Shop/dbo/Order/cdc/Order_cdc_20261120_090501.parquet");
        assert_eq!(deep.full_load(), "full-load/dbo/Order/Order.parquet");
        assert_eq!((deep.table(), deep.state()), ("dbo.Order", "_state/dbo.Order.json"));
    }
}
