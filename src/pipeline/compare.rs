//! One pass over a new snapshot of a table: typed, compared with the base, written as full load and CDC, and proven.
//!
//! Pure work on local files, for a blocking thread: nothing is stored here, so it may fail or be abandoned anywhere.

use std::time::Duration;

use hashbrown::HashMap;

use super::output::{Destination, Output, UnboundFingerprints};
use super::schema;
use crate::ahead::ahead;
use crate::diff::{Counts, Diff, Fault, LookupPlan, Outcome, PrintPlan, Rules, SetHash};
use crate::error::{Error, Result};
use crate::lake::base::Base;
use crate::lake::footer::{FileKind, Footer};
use crate::lake::layout::RunTime;
use crate::lake::store::Payload;
use crate::position::Position;
use crate::request::{Deadline, out_of_time};
use crate::table::{
    Column, ColumnType, Findings, OnDuplicateKey, PassError, Provenance, SchemaChange, TableFile, TableSchema,
    TableSpec, UpdateDetection, empty_table,
};

/// How often a pass may begin again: once for the encoding, once for the types.
const PASSES: usize = 3;

/// What a comparison needs.
pub(super) struct Job {
    pub(super) spec: TableSpec,
    pub(super) file: TableFile,
    pub(super) base: Base,
    pub(super) stored: Option<TableSchema>,
    pub(super) stamp: Stamp,
    /// What the base was read from.
    pub(super) before: Provenance,
    /// Whether the full load that is replaced may hold silent changes.
    pub(super) silent_before: bool,
    /// What there is to say of the file already.
    pub(super) warnings: Vec<String>,
    pub(super) approve_deletes: bool,
    pub(super) destination: Destination,
    pub(super) progress: Box<dyn Fn(u64) + Send + Sync>,
    pub(super) deadline: Deadline,
}

/// What the footers say of the run.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    pub(super) run_at: RunTime,
    pub(super) owner: String,
    pub(super) position: Option<Position>,
    /// What the lake knows the source by.
    pub(super) source: Option<String>,
    /// The digest of the table's settings.
    pub(super) settings: String,
    pub(super) previous_run_at: Option<RunTime>,
    /// The last CDC object of another program, if the log begins with this run.
    pub(super) log_begins_after: Option<String>,
}

/// What one pass over the new snapshot has shown; only the deleted rows are still to be written.
pub(super) struct Pass {
    schema: TableSchema,
    output: Output,
    outcome: Outcome,
    /// What the texts have shown that the report has to say.
    warnings: Vec<String>,
}

impl Pass {
    /// The slots of the base's rows that are gone, ascending.
    pub(super) fn deleted(&self) -> &[u32] {
        &self.outcome.deleted
    }
}

/// What a comparison found.
pub(super) struct Comparison {
    pub(super) counts: Counts,
    pub(super) schema: TableSchema,
    pub(super) schema_changes: Vec<SchemaChange>,
    pub(super) warnings: Vec<String>,
    pub(super) provenance: Provenance,
    pub(super) set_hash: SetHash,
    pub(super) cdc: Option<(Payload, Footer)>,
    pub(super) full_load: (Payload, Footer),
}

impl Comparison {
    /// Whether the new full load differs from the base in rows or columns.
    pub(super) fn differs_from(&self, stored: Option<&TableSchema>) -> bool {
        let columns_differ = stored.is_none_or(|stored| !stored.has_columns_of(&self.schema));
        self.cdc.is_some() || self.counts.silent > 0 || columns_differ
    }
}

/// Compares the snapshot with the base.
pub(super) fn compare(job: &Job) -> Result<Pass> {
    let mut schema = schema::settle(&job.file, &job.spec, job.stored.as_ref())?;
    for _ in 0..PASSES {
        match pass(job, &schema) {
            Ok(pass) => return Ok(pass),
            Err(PassError::Fatal(error)) => return Err(error),
            Err(PassError::NotUtf8) => job.file.detect_encoding()?,
            Err(PassError::Misfit) => schema = schema::relearn(&job.file, &job.spec, job.stored.as_ref())?,
        }
    }
    Err(Error::internal("UnstableFile", format!("`{}` reads differently each time", job.file.name())))
}

/// Writes the deleted rows while the full load is being ended, proves the changes, and ends the other files. Where
/// [`Pass::deleted`] names rows of the full load, it must be at hand by now. The file is that of the full load's
/// fingerprints, which lacks only the full load's tag.
pub(super) fn complete(job: &Job, mut pass: Pass) -> Result<(Comparison, UnboundFingerprints)> {
    let (full, changes) = (footer(job, &pass, FileKind::FullLoad), footer(job, &pass, FileKind::Cdc));
    let full_load = pass.output.take_full_load();
    let ended = ahead(
        "finish",
        |give| give(full_load.finish(&full)?),
        |mut full_load| {
            write_deleted(job, &mut pass)?;
            prove(job, &pass)?;
            Ok(full_load.next())
        },
    )?;
    let full_load = ended.ok_or_else(|| Error::internal("NoFullLoad", "the full load was not ended"))?;
    comparison(job, pass, (full_load, full), changes)
}

fn write_deleted(job: &Job, pass: &mut Pass) -> Result<()> {
    let schemas = job.base.schemas();
    let plan = |older: &&TableSchema| PrintPlan::new(older, older, &job.spec.pk, None);
    let plans: Vec<PrintPlan> = schemas.iter().map(plan).collect::<Result<_>>()?;
    let (output, schema) = (&mut pass.output, &pass.schema);
    job.base.rows(&pass.outcome.deleted, &mut |number, batch| {
        output.write_deleted(&batch, schemas[number], schema, &plans[number])
    })
}

fn pass(job: &Job, schema: &TableSchema) -> Result<Pass, PassError> {
    let (spec, order) = (&job.spec, schema.order(&job.spec));
    let schemas = job.base.schemas();
    let plan = LookupPlan::new(schema, &schemas, &spec.pk, order)?;
    let last_lines = match spec.on_duplicate_key {
        OnDuplicateKey::Last => Some(last_lines(job, schema, plan.own())?),
        _ => None,
    };
    if job.stored.as_ref().is_none_or(|stored| !stored.has_columns_of(schema)) {
        job.destination.stages.go();
    }
    let mut output = Output::create(job.destination.clone(), schema, order.map(|(_, order)| order))?;
    let mut findings = Findings::default();
    let (outcome, last_line) = ahead(
        "read",
        |give| {
            findings = job.file.read(spec, schema, give)?;
            Ok::<(), PassError>(())
        },
        |batches| {
            // The index is loaded while the first rows are being read.
            let index = job.base.index(&spec.pk, order)?;
            let mut diff = Diff::new(&index, Rules::of(spec), last_lines);
            let mut last_line = 0;
            for rows in batches {
                (job.progress)(rows.lines.len() as u64);
                in_time(job)?;
                last_line = rows.lines.last().copied().unwrap_or(last_line);
                let prints = plan.prints(&rows.batch)?;
                let verdicts = diff.classify(&prints, &rows.lines);
                output.write(&rows, &verdicts, &prints.own, plan.own())?;
            }
            Ok((diff.outcome(), last_line))
        },
    )?;
    cut(job, last_line)?;
    guard(job, schema, &outcome, plan.own())?;
    let settled = findings.settle(spec, schema)?;
    Ok(Pass { warnings: findings.warnings(schema), schema: settled, output, outcome })
}

/// Nothing is lost by stopping here.
fn in_time(job: &Job) -> Result<()> {
    if job.deadline.allows(Duration::from_millis(1)) { Ok(()) } else { Err(out_of_time()) }
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

fn footer(job: &Job, pass: &Pass, kind: FileKind) -> Footer {
    let Outcome { counts, new_set, .. } = pass.outcome;
    Footer {
        key_columns: job.spec.pk.clone(),
        position: job.stamp.position.clone(),
        previous_run_at: job.stamp.previous_run_at,
        rows: counts.rows,
        inserted: counts.inserted,
        updated: counts.updated,
        deleted: counts.deleted,
        silent_changes: counts.silent,
        has_silent_rows: kind == FileKind::FullLoad
            && job.spec.update_detection == UpdateDetection::Date
            && (job.silent_before || counts.silent > 0),
        row_set_hash: new_set.to_hex(),
        schema: pass.schema.clone(),
        log_begins_after: job.stamp.log_begins_after.clone().filter(|_| kind == FileKind::Cdc),
        provenance: provenance(job),
        ..Footer::new(kind, job.spec.name.as_str(), job.stamp.run_at, &job.stamp.owner)
    }
}

fn provenance(job: &Job) -> Provenance {
    let mut provenance = Provenance { source: job.stamp.source.clone(), ..job.file.provenance() };
    // A version in plain ASCII says nothing against a guess, which the next one may need again.
    for (file, guess) in &job.before.guessed_encodings {
        if provenance.files.contains(file) {
            provenance.guessed_encodings.entry(file.clone()).or_insert_with(|| guess.clone());
        }
    }
    provenance
}

fn comparison(
    job: &Job,
    pass: Pass,
    full_load: (Payload, Footer),
    changes: Footer,
) -> Result<(Comparison, UnboundFingerprints)> {
    let lost: Vec<String> = lost_tail(&pass.outcome).into_iter().chain(fewer_files(job, &pass.outcome)).collect();
    let Pass { schema, output, outcome: Outcome { counts, new_set: set_hash, .. }, warnings: read } = pass;
    let (cdc, fingerprints) = output.finish(&changes)?;
    let found = Comparison {
        counts,
        schema_changes: job.stored.as_ref().map(|stored| schema.changes_since(stored)).unwrap_or_default(),
        warnings: [job.warnings.clone(), job.file.warnings(), read, warnings(&job.spec, &schema, counts), lost]
            .concat(),
        provenance: provenance(job),
        schema,
        set_hash,
        cdc: cdc.map(|payload| (payload, changes)),
        full_load,
    };
    Ok((found, fingerprints))
}

/// Refuses a text that ends within a line, where the version before did not: it was cut, as far as anyone can tell.
fn cut(job: &Job, last_line: u64) -> Result<()> {
    // A file without a row is empty, which another guard says.
    let mut open = job.file.open_ends().into_iter().filter(|(file, _)| job.before.ended_with_line_end(file));
    let Some((file, is_last)) = open.next().filter(|_| last_line > 0 && !job.approve_deletes) else {
        return Ok(());
    };
    let line = if is_last { format!(" within line {}", job.file.at(last_line).1) } else { " within a line".to_owned() };
    Err(Error::data("FileCut", format!("`{file}` ends{line}, where the version before had a line end: it may be cut"))
        .hint("publish the whole file; if it is whole, run once with `approve_deletes`"))
}

/// Refuses keys that the policy does not allow, and snapshots that look like a loss rather than a change.
fn guard(job: &Job, schema: &TableSchema, outcome: &Outcome, plan: &PrintPlan) -> Result<(), PassError> {
    let Outcome { counts, fault_count, ref faults, rows_before, .. } = *outcome;
    if fault_count > 0 {
        return Err(bad_keys(job, schema, plan, fault_count, faults)?.into());
    }
    if job.approve_deletes {
        return Ok(());
    }
    let name = &job.spec.name;
    if let Some(part) = job.before.lost_part(&job.file.provenance()).filter(|_| rows_before > 0) {
        let message = format!(
            "table `{name}` was also read from `{part}`, which is gone or has no rows, and no other file is new"
        );
        return Err(Error::data("PartMissing", message)
            .hint("publish the file again; if its rows are gone for good, or `file` was narrowed on purpose, run once with `approve_deletes`")
            .into());
    }
    // A table that has no rows already was approved to have none.
    if counts.rows == 0 && (rows_before > 0 || job.stored.is_none()) {
        return Err(match counts.dropped {
            0 => empty_table(job.file.name(), name.as_str()),
            dropped => all_dropped(job, dropped),
        }
        .into());
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

/// The error for a file of which no row is left.
fn all_dropped(job: &Job, dropped: u64) -> Error {
    let message = format!("`{}`: each of its {dropped} rows is without a key and was dropped", job.file.name());
    Error::data("EmptyTable", message).hint(format!(
        "look at the key `{}` in the file, choose another `pk`, or set the table's `on_null_key` to fail to see the first line; if the table really became empty, run once with `approve_deletes`",
        job.spec.pk.join("`, `")
    ))
}

fn bad_keys(
    job: &Job,
    schema: &TableSchema,
    plan: &PrintPlan,
    faults: u64,
    first: &[Fault],
) -> Result<Error, PassError> {
    let (file, key) = (job.file.name(), job.spec.pk.join("`, `"));
    if let Some(null) = first.iter().find(|fault| fault.null) {
        let (file, line) = job.file.at(null.line);
        return Ok(Error::data(
            "NullKey",
            format!("`{file}` line {line}: the key `{key}` is null ({faults} bad keys in all)"),
        )
        .hint("repair the source, choose another `pk`, or set the table's `on_null_key` to drop"));
    }
    let earlier = first_lines(job, schema, plan, first)?;
    let pair = |fault: &Fault| {
        let (first, second) = (earlier.get(&fault.key).copied().unwrap_or_default(), fault.line);
        match (job.file.at(first), job.file.at(second)) {
            ((one, _), (other, line)) if one == file && other == file => format!("lines {first} and {line}"),
            ((one, first), (other, second)) => format!("line {first} of `{one}` and line {second} of `{other}`"),
        }
    };
    let pairs: Vec<String> = first.iter().map(pair).collect();
    let repeats = rows(faults, "repeats a key", "repeat a key");
    let message = format!("`{file}`: {repeats} `{key}`, the first on {}", pairs.join(", "));
    let hint = "repair the source, choose another `pk`, or set the table's `on_duplicate_key` to first or last";
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
fn prove(job: &Job, pass: &Pass) -> Result<()> {
    let (outcome, written) = (&pass.outcome, pass.output.written());
    let mut replayed = outcome.expected_without_changes;
    replayed.0 = replayed.0.wrapping_add(written.present.0).wrapping_sub(written.absent.0);
    if replayed == outcome.new_set && written.deleted == outcome.counts.deleted {
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
                "{changed} while `{date_field}` did not move on, in the full load only (set `update_detection` to `content` to publish such changes)"
            ));
        }
        if schema.column(date_field).and_then(Column::known_type) == Some(ColumnType::String) {
            warnings.push(format!(
                "`{date_field}` is text and is compared as text: dates like 31/12/2024 do not sort by time"
            ));
        }
    }
    for name in spec.columns.keys().filter(|name| schema.position(name).is_none()) {
        warnings.push(format!("`columns` declares `{name}`, which the table does not have"));
    }
    let repeated = counts.dropped - counts.null_keys;
    if repeated > 0 {
        let repeat = rows(repeated, "repeats a key and was dropped", "repeat a key and were dropped");
        warnings.push(format!("{repeat} by `on_duplicate_key`"));
    }
    if counts.null_keys > 0 {
        let without = rows(counts.null_keys, "has no key and was dropped", "have no key and were dropped");
        warnings.push(format!("{without} by `on_null_key`"));
    }
    warnings
}

/// A warning where the rows that are gone are the last ones of the base and none came in their place: a file that was cut
/// at the end of a line looks so.
fn lost_tail(outcome: &Outcome) -> Option<String> {
    let (gone, before) = (outcome.deleted.len() as u64, outcome.rows_before);
    let first = outcome.deleted.first().map(|slot| u64::from(*slot))?;
    (gone < before && first + gone == before && outcome.counts.inserted == 0).then(|| {
        let gone = rows(gone, "that is gone was the last one", "that are gone were the last ones");
        format!("the {gone} of the version before: make sure that the file was not cut at the end of a line")
    })
}

/// A warning where a table of several files has fewer of them and lost rows: Spark names all of them anew each time, so that no
/// name tells which one is missing.
fn fewer_files(job: &Job, outcome: &Outcome) -> Option<String> {
    let (before, now) = (job.before.files.len(), job.file.provenance().files.len());
    (before > 1 && now < before && !outcome.deleted.is_empty()).then(|| {
        format!("the table had {before} files with rows in the version before and has {now} now: make sure that none is missing")
    })
}

/// `1 row is` or `3 rows are`, given the two verbs.
fn rows(count: u64, singular: &str, plural: &str) -> String {
    if count == 1 { format!("1 row {singular}") } else { format!("{count} rows {plural}") }
}
