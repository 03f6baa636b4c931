//! One pass over a new snapshot of a table: typed, compared with the base, written as full load and CDC, and proven.
//!
//! Pure work on local files, for a blocking thread: nothing is stored here, so it may fail or be abandoned anywhere.

use std::time::Duration;

use hashbrown::HashMap;

use super::output::{Output, Written};
use super::schema;
use crate::ahead::ahead;
use crate::diff::{Counts, Diff, Fault, LookupPlan, PrintPlan, Rules, SetHash};
use crate::error::{Error, Result};
use crate::lake::base::Base;
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout::RunTime;
use crate::lake::store::Payload;
use crate::position::Position;
use crate::table::{
    ColumnType, OnDuplicateKey, PassError, Rows, SchemaChange, TableFile, TableSchema, TableSpec, empty_table,
};
use crate::trigger::Deadline;
use crate::workspace::Workspace;

/// How often a pass may begin again: once for the encoding, once for the types.
const PASSES: usize = 3;

/// What a comparison needs.
pub(super) struct Job {
    pub(super) spec: TableSpec,
    pub(super) file: TableFile,
    pub(super) base: Base,
    pub(super) stored: Option<TableSchema>,
    pub(super) stamp: Stamp,
    pub(super) approve_deletes: bool,
    pub(super) workspace: Workspace,
    pub(super) progress: Box<dyn Fn(u64) + Send + Sync>,
    pub(super) deadline: Deadline,
}

/// What the footers say of the run.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    pub(super) run_at: RunTime,
    pub(super) owner: String,
    pub(super) position: Option<Position>,
    pub(super) previous_run_at: Option<RunTime>,
}

/// What a comparison found.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) counts: Counts,
    pub(super) schema: TableSchema,
    pub(super) schema_changes: Vec<SchemaChange>,
    pub(super) warnings: Vec<String>,
    pub(super) set_hash: SetHash,
    pub(super) cdc: Option<(Payload, Footer)>,
    pub(super) full_load: (Payload, Footer),
}

impl Comparison {
    /// Whether the new full load differs from the base in rows or columns.
    pub(super) fn differs_from(&self, stored: Option<&TableSchema>) -> bool {
        let columns_differ = stored.is_none_or(|stored| stored.columns != self.schema.columns);
        self.cdc.is_some() || self.counts.silent > 0 || columns_differ
    }
}

/// Compares the snapshot with the base.
pub(super) fn compare(job: &Job) -> Result<Comparison> {
    let mut schema = schema::settle(&job.file, &job.spec, job.stored.as_ref())?;
    for _ in 0..PASSES {
        match pass(job, &schema) {
            Ok(comparison) => return Ok(comparison),
            Err(PassError::Fatal(error)) => return Err(error),
            Err(PassError::NotUtf8) => job.file.detect_encoding()?,
            Err(PassError::Misfit) => schema = schema::relearn(&job.file, &job.spec, job.stored.as_ref())?,
        }
    }
    Err(Error::internal("UnstableFile", format!("`{}` reads differently each time", job.file.name())))
}

fn pass(job: &Job, schema: &TableSchema) -> Result<Comparison, PassError> {
    let spec = &job.spec;
    let order = spec.date_field.as_deref().and_then(|name| Some((name, schema.column_type(name)?)));
    let index = job.base.index(&spec.pk, order)?;
    let rules = Rules { update_detection: spec.update_detection, on_duplicate_key: spec.on_duplicate_key };
    let mut diff = Diff::new(&index, rules);
    let schemas = job.base.schemas();
    let plan = LookupPlan::new(schema, &schemas, &spec.pk, order)?;
    if spec.on_duplicate_key == OnDuplicateKey::Last {
        diff.keep_lines(last_lines(job, schema, plan.own())?);
    }
    let mut output = Output::create(&job.workspace, schema)?;
    ahead(
        "read",
        |give| job.file.read(spec, schema, give),
        |rows: Rows| {
            (job.progress)(rows.lines.len() as u64);
            in_time(job)?;
            let verdicts = diff.classify(&plan.prints(&rows.batch)?, &rows.lines);
            output.write(&rows, &verdicts, plan.own())
        },
    )?;
    guard(job, schema, &diff, plan.own(), index.rows())?;
    let base: Vec<PrintPlan> =
        schemas.iter().map(|older| PrintPlan::new(older, older, &spec.pk, None)).collect::<Result<_>>()?;
    job.base.rows(&diff.deleted(), &mut |number, batch| output.write_deleted(&batch, schema, &base[number]))?;
    prove(job, &diff, output.written())?;
    Ok(comparison(job, schema, output, diff.counts(), diff.new_set())?)
}

/// Nothing is lost by stopping here.
fn in_time(job: &Job) -> Result<()> {
    if job.deadline.allows(Duration::from_millis(1)) { Ok(()) } else { Err(super::out_of_time()) }
}

/// The line on which each key occurs last.
fn last_lines(job: &Job, schema: &TableSchema, plan: &PrintPlan) -> Result<HashMap<u128, u64>, PassError> {
    let mut lines = HashMap::new();
    job.file.read(&job.spec, schema, &mut |rows| {
        lines.extend(plan.prints(&rows.batch)?.keys.into_iter().zip(rows.lines));
        Ok(())
    })?;
    Ok(lines)
}

fn comparison(
    job: &Job,
    schema: &TableSchema,
    output: Output,
    counts: Counts,
    set_hash: SetHash,
) -> Result<Comparison> {
    let footer = |kind| Footer {
        kind,
        table: job.spec.name.to_string(),
        key_columns: job.spec.pk.clone(),
        run_at: job.stamp.run_at,
        owner: job.stamp.owner.clone(),
        position: job.stamp.position.clone(),
        previous_run_at: job.stamp.previous_run_at,
        rows: counts.rows,
        inserted: counts.inserted,
        updated: counts.updated,
        deleted: counts.deleted,
        silent_changes: counts.silent,
        row_set_hash: set_hash.to_hex(),
        schema: schema.clone(),
        captured: None,
    };
    let (full, changes) = (footer(FileKind::FullLoad), footer(FileKind::Cdc));
    let (full_load, cdc) = output.finish(&full, &changes)?;
    Ok(Comparison {
        counts,
        schema: schema.clone(),
        schema_changes: job.stored.as_ref().map(|stored| schema.changes_since(stored)).unwrap_or_default(),
        warnings: warnings(&job.spec, schema, counts),
        set_hash,
        cdc: cdc.map(|payload| (payload, changes)),
        full_load: (full_load, full),
    })
}

/// Refuses keys that the policy does not allow, and snapshots that look like a loss rather than a change.
fn guard(
    job: &Job,
    schema: &TableSchema,
    diff: &Diff<'_>,
    plan: &PrintPlan,
    rows_before: u64,
) -> Result<(), PassError> {
    let (faults, first) = diff.faults();
    if faults > 0 {
        return Err(bad_keys(job, schema, plan, faults, first)?.into());
    }
    if job.approve_deletes {
        return Ok(());
    }
    let counts = diff.counts();
    let name = &job.spec.name;
    if counts.rows == 0 {
        return Err(empty_table(job.file.name(), name.as_str()).into());
    }
    #[expect(clippy::cast_precision_loss, reason = "a share of rows need not be exact")]
    let share = counts.deleted as f64 / (rows_before.max(1)) as f64;
    if share > job.spec.max_deleted_fraction {
        let message =
            format!("table `{name}`: {} of {rows_before} rows are gone from `{}`", counts.deleted, job.file.name());
        return Err(Error::data("MassDelete", message)
            .hint(format!(
                "if that is right, run once with `approve_deletes`, or raise `max_deleted_fraction` of the table (now {})",
                job.spec.max_deleted_fraction
            ))
            .into());
    }
    Ok(())
}

fn bad_keys(
    job: &Job,
    schema: &TableSchema,
    plan: &PrintPlan,
    faults: u64,
    first: &[Fault],
) -> Result<Error, PassError> {
    let (file, key) = (job.file.name(), job.spec.pk.join("`, `"));
    let hint = "repair the source, choose another `pk`, or set the table's `on_duplicate_key` to first or last";
    if let Some(null) = first.iter().find(|fault| fault.null) {
        return Ok(Error::data(
            "NullKey",
            format!("`{file}` line {}: the key `{key}` is null ({faults} bad keys in all)", null.line),
        )
        .hint(hint));
    }
    let earlier = first_lines(job, schema, plan, first)?;
    let pair =
        |fault: &Fault| format!("lines {} and {}", earlier.get(&fault.key).copied().unwrap_or_default(), fault.line);
    let pairs: Vec<String> = first.iter().map(pair).collect();
    let repeats = rows(faults, "repeats a key", "repeat a key");
    let message = format!("`{file}`: {repeats} `{key}`, the first on {}", pairs.join(", "));
    Ok(Error::data("DuplicateKeys", message).hint(hint))
}

/// The line on which each of the keys occurs first.
fn first_lines(
    job: &Job,
    schema: &TableSchema,
    plan: &PrintPlan,
    faults: &[Fault],
) -> Result<HashMap<u128, u64>, PassError> {
    let mut lines = HashMap::new();
    job.file.read(&job.spec, schema, &mut |rows| {
        for (key, line) in plan.prints(&rows.batch)?.keys.into_iter().zip(rows.lines) {
            if faults.iter().any(|fault| fault.key == key) {
                lines.entry(key).or_insert(line);
            }
        }
        Ok(())
    })?;
    Ok(lines)
}

/// Old rows plus the changes as written must be the new rows.
fn prove(job: &Job, diff: &Diff<'_>, written: Written) -> Result<()> {
    let mut expected = diff.expected_without_changes();
    expected.0 = expected.0.wrapping_add(written.present.0).wrapping_sub(written.absent.0);
    let counts = diff.counts();
    if expected == diff.new_set() && written.deleted == counts.deleted {
        return Ok(());
    }
    Err(Error::internal(
        "ProofFailed",
        format!("table `{}`: the previous rows plus the changes are not the new rows", job.spec.name),
    )
    .hint("nothing was published; keep the snapshot and report this as a fault of the program"))
}

fn warnings(spec: &TableSpec, schema: &TableSchema, counts: Counts) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(date_field) = &spec.date_field {
        if counts.silent > 0 {
            let changed = rows(counts.silent, "changed", "changed");
            warnings.push(format!(
                "{changed} while `{date_field}` did not move on, in the full load only (set `update_detection` to `either` to publish such changes)"
            ));
        }
        if schema.column_type(date_field) == Some(ColumnType::String) {
            warnings.push(format!(
                "`{date_field}` is text and is compared as text: dates like 31/12/2024 do not sort by time"
            ));
        }
    }
    for name in spec.columns.keys().filter(|name| schema.position(name).is_none()) {
        warnings.push(format!("`columns` declares `{name}`, which the table does not have"));
    }
    if counts.dropped > 0 {
        let repeat = rows(counts.dropped, "repeats a key and was dropped", "repeat a key and were dropped");
        warnings.push(format!("{repeat} by `on_duplicate_key`"));
    }
    warnings
}

/// `1 row is` or `3 rows are`, given the two verbs.
fn rows(count: u64, singular: &str, plural: &str) -> String {
    if count == 1 { format!("1 row {singular}") } else { format!("{count} rows {plural}") }
}
