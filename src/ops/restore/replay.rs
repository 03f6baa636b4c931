//! The replay: which row of which file is the last of its key, and the rows in one schema.

use super::Restored;
use super::output::{Finished, Output, Restoring, RowWriter};
use super::plan::{Plan, gap};
use crate::diff::{Index, PrintPlan, SetHash};
use crate::error::{Error, Result};
use crate::lake::base::Base;
use crate::lake::footer::{FileKind, Footer};
use crate::table::{ColumnType, TableSchema, TableSpec, widen};

/// Replays the objects of `plan`, which are in `base`, into `output`. A table with a date field may have changed silently.
pub(super) fn replay(plan: &Plan, base: &Base, spec: &TableSpec, output: Output) -> Result<Restored> {
    let newest = plan.newest().ok_or_else(|| Error::internal("NothingPlanned", "there is nothing to restore"))?;
    let index = base.index(&newest.key_columns, None).map_err(|error| match error.code() {
        "BrokenLog" => gap(&newest.table, "the log does not follow from itself".to_owned(), None).caused_by(error),
        _ => error,
    })?;
    let dated = spec.date_field.is_some() || plan.has_silent_changes();
    let respelt = base.schemas().iter().any(|older| becomes_text(older, &newest.schema));
    let as_computed = index.set_hash().to_hex() == newest.row_set_hash;
    if index.rows() != newest.rows || !(as_computed || dated || respelt) {
        return Err(not_the_snapshot(newest));
    }
    let restoring = Restoring { schema: &newest.schema, spec, only_source: as_computed || !dated };
    let mut writer = output.begin(&restoring)?;
    let hash = write(base, &index, newest, &mut writer)?;
    let row_set_hash = hash.to_hex();
    let proven = row_set_hash == newest.row_set_hash;
    if as_computed && !respelt && !proven {
        return Err(not_the_snapshot(newest));
    }
    let footer = Footer { kind: FileKind::FullLoad, row_set_hash: row_set_hash.clone(), ..newest.clone() };
    let Finished { rows, warnings: written } = writer.finish(&footer)?;
    let warnings = if proven { plan.warnings.clone() } else { warnings(plan, dated, respelt) };
    Ok(Restored {
        table: newest.table.clone(),
        run_at: newest.run_at,
        position: newest.position.clone(),
        rows,
        objects: plan.log.len() as u64,
        from_full_load: plan.full_load.is_some(),
        row_set_hash,
        proven,
        warnings: [warnings, written].concat(),
    })
}

/// Writes the rows that are there in the end, in the order of the log, and gives their fingerprint.
fn write(base: &Base, index: &Index, newest: &Footer, writer: &mut RowWriter<'_>) -> Result<SetHash> {
    let prints = PrintPlan::new(&newest.schema, &newest.schema, &newest.key_columns, None)?;
    let mut hash = SetHash::default();
    let schemas = base.schemas();
    base.rows(&live(index), &mut |number, batch| {
        let batch = widen(&batch, schemas[number], &newest.schema)?;
        let prints = prints.prints(&batch)?;
        prints.keys.iter().zip(&prints.contents).for_each(|(&key, &content)| hash.add(key, content));
        writer.write(&batch)
    })?;
    Ok(hash)
}

/// The slots that no later row replaced or deleted, ascending.
fn live(index: &Index) -> Vec<u32> {
    let mut gone = index.gone().to_vec();
    gone.sort_unstable();
    let mut gone = gone.into_iter().peekable();
    let all = (0..).take(index.slots());
    all.filter(|slot| gone.next_if_eq(slot).is_none()).collect()
}

/// Whether a column that had another type is text now.
fn becomes_text(older: &TableSchema, newest: &TableSchema) -> bool {
    older.columns.iter().any(|column| {
        column.column_type != ColumnType::String && newest.column_type(&column.name) == Some(ColumnType::String)
    })
}

fn warnings(plan: &Plan, dated: bool, respelt: bool) -> Vec<String> {
    let silent: u64 = plan.log.iter().map(|(_, footer)| footer.silent_changes).sum();
    let mut warnings = plan.warnings.clone();
    if dated {
        warnings.push(format!(
            "rows that changed without their date moving on ({silent} counted in the log) are in full loads only: here \
             they have the values of their last dated change"
        ));
    }
    if respelt {
        warnings.push(
            "a column has become text: values from before are written as their older type prints them, which need not be \
             how the source wrote them"
                .to_owned(),
        );
    }
    warnings
}

fn not_the_snapshot(newest: &Footer) -> Error {
    let Footer { table, run_at, .. } = newest;
    Error::internal("ProofFailed", format!("the log of `{table}` does not give the snapshot of the run of {run_at}"))
        .hint("objects are missing or were changed by hand: run `verify`, and bring their older versions back")
}
