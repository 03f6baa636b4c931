//! What can be wrong with a database or a capture instance: one code each, with the places in the log, their times, and the
//! fix. A reader never goes on silently where changes may be missing.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::server::{CaptureInstance, CommitTime, Database};
use crate::error::Error;
use crate::ops::figures::{grouped, span};
use crate::position::Lsn;

/// What to do when changes are gone for good.
const AFRESH: &str = "bring the table into another prefix, where it begins with a new first load";

/// What to do where the capture job does not run.
const START_CAPTURE: &str = "start SQL Server Agent and the job cdc.<database>_capture, and look into sys.dm_cdc_errors; after \
    a failover the jobs have to be made on the new primary with sys.sp_cdc_add_job";

/// A place in the log with its time, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(pub(crate) Lsn, pub(crate) Option<NaiveDateTime>);

impl Moment {
    /// A place whose time the server was asked for.
    pub(crate) fn known(lsn: Lsn, time: Option<CommitTime>) -> Self {
        Self(lsn, time.map(|time| time.local))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(time) => write!(f, "{} ({time} by the server's clock)", self.0),
            None => write!(f, "{} (of unknown time)", self.0),
        }
    }
}

/// A name within a T-SQL text literal.
fn literal(name: &str) -> String {
    format!("N'{}'", name.replace('\'', "''"))
}

pub(crate) fn cdc_disabled(database: &Database) -> Error {
    Error::config("CdcDisabled", format!("change data capture is off in database `{}`", database.name)).hint(
        "let a member of sysadmin run `EXEC sys.sp_cdc_enable_db` in it, and sys.sp_cdc_enable_table for each table; a \
         database that was restored loses its captured changes unless KEEP_CDC was given",
    )
}

pub(crate) fn not_tracked(schema: &str, table: &str, near: Option<String>) -> Error {
    let meant = near.map(|name| format!("did you mean `{name}`? Else ")).unwrap_or_default();
    Error::config("TableNotTracked", format!("table `{schema}.{table}` has no capture instance, or this login may not see it"))
        .hint(format!(
            "{meant}let a member of db_owner run `EXEC sys.sp_cdc_enable_table @source_schema = {}, @source_name = {}, @role_name = NULL`",
            literal(schema),
            literal(table)
        ))
}

pub(crate) fn unreadable(instance: &CaptureInstance) -> Error {
    let role = instance.role.as_ref().map(|role| format!(", and membership in the gating role `{role}`"));
    Error::config(
        "CaptureUnreadable",
        format!(
            "the server does not tell the low end of capture instance `{}`: it is gone, or this login may not read it",
            instance.name
        ),
    )
    .hint(format!(
        "grant the login SELECT on schema cdc and on the captured columns of `{}.{}`{}",
        instance.schema,
        instance.table,
        role.unwrap_or_default()
    ))
}

pub(crate) fn lost(table: &str, position: Moment, low: Moment) -> Error {
    Error::data(
        "ChangesLost",
        format!("table `{table}`: it was read up to {position}, but what is kept begins at {low}: changes between may be gone"),
    )
    .hint(format!(
        "the clean-up job was faster than the runs; nothing was skipped. To go on, {AFRESH}; then run more often than the \
         retention, or lengthen it with sys.sp_cdc_change_job"
    ))
}

pub(crate) fn recreated(table: &str, was: &str, now: &CaptureInstance, position: Moment) -> Error {
    let begins = now.start_lsn.map(|lsn| format!(" and begins at {lsn}")).unwrap_or_default();
    Error::data(
        "InstanceRecreated",
        format!(
            "table `{table}`: capture instance `{was}` was dropped after it had been read up to {position}; instance `{}` was \
             made on {}{begins}: changes between may be gone",
            now.name, now.created
        ),
    )
    .hint(format!(
        "nothing was skipped. To go on, {AFRESH}. Next time make the second instance first, and drop the old one when a run \
         says that it is read to its end"
    ))
}

pub(crate) fn missing(table: &str, was: &str, position: Moment) -> Error {
    Error::data(
        "InstanceMissing",
        format!(
            "table `{table}`: capture instance `{was}`, read up to {position}, is gone, and the table has no other"
        ),
    )
    .hint(format!("nothing was skipped. Enable the table again with sys.sp_cdc_enable_table; then {AFRESH}"))
}

pub(crate) fn rewound(table: &str, position: Moment, now: Moment) -> Error {
    Error::data(
        "SourceRewound",
        format!("table `{table}`: it was read up to {position}, but the database is at {now}: it went back to an earlier state"),
    )
    .hint(format!("a restore or a failover lost transactions that are in the lake already. Nothing was written. To go on, {AFRESH}"))
}

pub(crate) fn captured_nothing(table: &str, position: Moment) -> Error {
    Error::data(
        "SourceRewound",
        format!(
            "table `{table}`: it was read up to {position}, but the database has captured nothing: change data capture was set \
             up anew"
        ),
    )
    .hint(format!("changes between may be gone. Nothing was written. To go on, {AFRESH}"))
}

pub(crate) fn other_history(table: &str, position: Moment) -> Error {
    Error::data(
        "SourceRewound",
        format!("table `{table}`: it was read up to {position}, but the database has no such commit: its history is another one"),
    )
    .hint(format!("the database was restored to an earlier time and has gone on from there. Nothing was written. To go on, {AFRESH}"))
}

pub(crate) fn restored(table: &str, position: Moment) -> Error {
    Error::data(
        "SourceRestored",
        format!("table `{table}`: it was read up to {position}, and since then the database was restored (its recovery fork is another)"),
    )
    .hint(format!(
        "if the restore lost no transaction, run once with `--force` (or `\"force\": true` in the event) to accept it; else {AFRESH}"
    ))
}

pub(crate) fn other_database(table: &str, state: &str, was: &str, now: &str) -> Error {
    Error::config("OtherDatabase", format!("table `{table}`: `{state}` belongs to {was}, and this is {now}")).hint(
        "give each database a prefix of its own; if it is the same database on another server, run once with `--force`",
    )
}

pub(crate) fn behind_plan(planned: Lsn, newest: Lsn) -> Error {
    Error::transient(
        "BehindPlan",
        format!("the database has captured changes up to {newest} only, and the run was planned up to {planned}"),
    )
    .hint("another replica may have answered, which catches up; after a restore, start a new run")
}

pub(crate) fn idle(fence: Moment, age: Duration) -> Error {
    Error::data(
        "CaptureIdle",
        format!("the capture job has written nothing for {}: its last entry is {fence}", span(age)),
    )
    .hint(format!("{START_CAPTURE}. Everything captured so far is in the lake"))
}

pub(crate) fn not_started(table: &str, waited: Duration) -> Error {
    Error::data(
        "CaptureNotStarted",
        format!(
            "table `{table}` has been tracked for {}, but the capture job has not started with it: there is nothing to read",
            span(waited)
        ),
    )
    .hint(format!(
        "{START_CAPTURE}. The next run loads the table; `source.not_ready_after_minutes` says how long this is no failure"
    ))
}

pub(crate) fn load_too_large(table: &str, rows: u64, time: Duration) -> Error {
    Error::config(
        "LoadTooLarge",
        format!(
            "table `{table}` does not fit into one run: after {} rows the time of {} was up, and without a key there is no \
             place from which the next run could go on",
            grouped(rows),
            span(time)
        ),
    )
    .hint(
        "give the table a primary key, or a unique index over columns that are captured and never NULL: the load then goes on \
         from run to run. Or load it once where a run has no time limit: `cdc-to-s3 run --once --table <schema.table>`. A run \
         that has a quarter more time tries by itself, another one with `--force`",
    )
}

pub(crate) fn start_out_of_range(table: &str, wanted: &str, low: Moment, fence: Lsn) -> Error {
    Error::config(
        "StartOutOfRange",
        format!("table `{table}` is to start at {wanted}, but what can be read is from {low} to {fence}"),
    )
    .hint("set `start` to earliest, to snapshot, or to a place within that range")
}

pub(crate) fn start_unknown(table: &str, time: DateTime<Utc>, low: Moment) -> Error {
    Error::config(
        "StartOutOfRange",
        format!("table `{table}` is to start at {time}, but the server knows of no commit before; what is kept begins at {low}"),
    )
    .hint("set `start` to earliest, to snapshot, or to a later time")
}

pub(crate) fn name_taken(table: &str, other: &str, key: &str) -> Error {
    Error::config("NameTaken", format!("table `{table}` would have the same objects as `{other}` (`{key}`)"))
        .hint("set `schema_in_path` to true, under another prefix, or read one of the two only")
}

pub(crate) fn unsafe_name(name: &str, is_wrong: &str) -> Error {
    Error::config("UnsafeName", format!("`{name}` cannot be part of an object's key: it {is_wrong}"))
        .hint("leave the table out of `tables`")
}

pub(crate) fn reserved_column(table: &str, column: &str) -> Error {
    Error::config(
        "ReservedColumn",
        format!("table `{table}`: its column `{column}` has the name of a column that describes changes"),
    )
    .hint("set `metadata_columns` to native, whose names begin with `__$`")
}

pub(crate) fn broken_order(table: &str, instance: &str) -> Error {
    Error::internal(
        "ChangesUnordered",
        format!(
            "table `{table}`: the changes of `{instance}` did not come within the range and in the order asked for"
        ),
    )
    .hint("nothing was published; report this with the server's version")
}

/// The columns of a table that its newest instance leaves out, and the statement that takes them in.
pub(crate) fn uncaptured(instances: &[&CaptureInstance]) -> Option<String> {
    let newest = instances.last().filter(|newest| !newest.uncaptured.is_empty())?;
    let columns: Vec<String> = newest.uncaptured.iter().map(|column| format!("`{column}`")).collect();
    let (schema, table) = (literal(&newest.schema), literal(&newest.table));
    let role = newest.role.as_deref().map_or("NULL".to_owned(), literal);
    let enable = format!(
        "EXEC sys.sp_cdc_enable_table @source_schema = {schema}, @source_name = {table}, @role_name = {role}, @capture_instance = {}",
        literal(&format!("{}_{}_{}", newest.schema, newest.table, newest.object_id.unsigned_abs() % 10_000))
    );
    let first = match instances {
        [old, _] => format!("once it is read to its end, drop the older instance with `{}`, then ", disable(old)),
        _ => String::new(),
    };
    Some(format!("columns not captured: {}; to capture them, {first}run `{enable}`", columns.join(", ")))
}

/// That an instance is no longer needed, and the statement that drops it.
pub(crate) fn superseded(old: &CaptureInstance) -> String {
    format!("capture instance `{}` is read to its end and no longer needed; drop it with `{}`", old.name, disable(old))
}

fn disable(instance: &CaptureInstance) -> String {
    format!(
        "EXEC sys.sp_cdc_disable_table @source_schema = {}, @source_name = {}, @capture_instance = {}",
        literal(&instance.schema),
        literal(&instance.table),
        literal(&instance.name)
    )
}
