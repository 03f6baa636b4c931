//! Whether the objects of a base still lead to the table's newest state. This program deletes none, but somebody else may: a base
//! without them would be older than what readers of the log have seen, and its changes would be published a second time.

use super::footer::Footer;
use super::layout;
use super::outline::BaseOutline;
use super::state::Head;
use crate::error::{Error, Result};
use crate::table::{TableSchema, TableSpec, UpdateDetection};

/// Fails where footers and head say that objects of the base of `spec`'s table are gone.
///
/// # Errors
/// `LogGap` (kind `Internal`): nothing can be published on such a base.
pub(crate) fn expect_whole(outline: &BaseOutline, spec: &TableSpec, head: Option<&Head>) -> Result<()> {
    let full_load = outline.full_load.as_ref().map(|(footer, _)| footer);
    let mut before = full_load;
    for (key, footer) in outline.changes() {
        let is_next = before.map_or(footer.previous_run_at.is_none(), |before| {
            footer.previous_run_at <= Some(before.run_at)
                || full_load.is_none() && may_be_silent(spec, before, &footer.schema)
        });
        if !is_next || !adds_up(before, footer) {
            return Err(gap(spec, &format!("objects of its log before `{key}` are missing")));
        }
        before = Some(footer);
    }
    match head.filter(|head| before.is_none_or(|newest| newest.run_at < head.run_at)) {
        Some(head) if !before.is_some_and(|newest| is_rebuilt(spec, newest, head)) && head.rows > 0 => {
            Err(gap(spec, &format!("the newest object in `{}` is missing", layout::cdc_prefix(&spec.name))))
        }
        _ => Ok(()),
    }
}

/// Whether an object goes on from as many rows as the one before it had left.
fn adds_up(before: Option<&Footer>, footer: &Footer) -> bool {
    let held = before.map_or(0, |before| before.rows);
    held.checked_add(footer.inserted).and_then(|rows| rows.checked_sub(footer.deleted)) == Some(footer.rows)
}

/// Whether `newest` may be all that is in the log of the state that `head` names: the runs after it wrote full loads only.
fn is_rebuilt(spec: &TableSpec, newest: &Footer, head: &Head) -> bool {
    newest.rows == head.rows && (newest.row_set_hash == head.row_set_hash || may_be_silent(spec, newest, &head.schema))
}

/// Whether a run after `before` may have written a full load and no object of the log: its changes were silent, or in the
/// columns only.
fn may_be_silent(spec: &TableSpec, before: &Footer, schema: &TableSchema) -> bool {
    spec.update_detection == UpdateDetection::Date || before.schema.columns != schema.columns
}

fn gap(spec: &TableSpec, what: &str) -> Error {
    let (table, full_load, log) = (&spec.name, layout::full_load(&spec.name), layout::cdc_prefix(&spec.name));
    let message = format!(
        "the newest state of table `{table}` cannot be rebuilt: {what}, and `{full_load}` does not make up for them"
    );
    Error::internal("LogGap", message).hint(format!(
        "nothing was published; bring the deleted objects, or the newest `{full_load}`, back from the bucket's older \
         versions or a backup; to start the table again from its first load instead, delete what is left in `{log}`, \
         `{full_load}` and `{}`",
        layout::state(table)
    ))
}
