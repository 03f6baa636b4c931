//! Which schema a snapshot is read in: the stored one where it fits, else the narrowest wider one.

use crate::error::{Error, Result};
use crate::table::{Column, ColumnType, Header, SchemaChange, SchemaPolicy, TableFile, TableSchema, TableSpec, fold};

/// The schema for the first try. The file is looked at as a whole only where the stored schema cannot do.
pub(super) fn settle(file: &TableFile, spec: &TableSpec, stored: Option<&TableSchema>) -> Result<TableSchema> {
    let names = file.reading(|file| file.header(spec))?;
    let declared = |stored: &TableSchema| {
        let is_known = |(name, declared): (&String, &ColumnType)| {
            stored.column(name).is_none_or(|column| column.known_type() == Some(*declared))
        };
        spec.columns.iter().all(is_known)
    };
    let known = |stored: &&TableSchema| names.iter().all(|name| stored.position(name).is_some()) && declared(stored);
    match stored.filter(known) {
        Some(stored) if !file.knows_its_types() => {
            allowed(spec, Some(stored), TableSchema { columns: stored.columns.clone(), source: names })
        }
        _ => relearn(file, spec, stored),
    }
}

/// The narrowest schema that holds the file and everything before it.
pub(super) fn relearn(file: &TableFile, spec: &TableSpec, stored: Option<&TableSchema>) -> Result<TableSchema> {
    let schema = file.reading(|file| file.infer(spec, stored))?;
    allowed(spec, stored, schema)
}

/// Holds the change of schema against the table's policy, and against the rule that types only widen.
fn allowed(spec: &TableSpec, stored: Option<&TableSchema>, schema: TableSchema) -> Result<TableSchema> {
    let Some(stored) = stored else { return Ok(schema) };
    refuse_other_case(spec, stored, &schema)?;
    let changes = schema.changes_since(stored);
    refuse_other_order(spec, stored, &changes)?;
    if spec.schema == SchemaPolicy::Freeze && !changes.is_empty() {
        let list: Vec<String> = changes.iter().map(ToString::to_string).collect();
        return Err(Error::data(
            "SchemaFrozen",
            format!("table `{}`: the source's columns changed: {}", spec.name, list.join("; ")),
        )
        .hint("set the table's `schema` to evolve to follow the source, or repair the source"));
    }
    for old in stored.columns.iter().filter(|column| !column.empty) {
        let new = schema.column_type(&old.name).unwrap_or(old.column_type);
        if spec.pk.contains(&old.name) {
            keeps_keys(spec, old, new)?;
        }
        if old.column_type.join(new) != new {
            let message = format!(
                "table `{}`: column `{}` is stored as {} and cannot become {new}",
                spec.name, old.name, old.column_type
            );
            return Err(Error::config("SchemaNarrowed", message).hint(
                "types only widen (int64 to double, date to timestamp, a decimal to more digits before the point, all to string): take the column out of `columns`, or give the table a new `name` and its file as `file` to start again",
            ));
        }
    }
    Ok(schema)
}

/// Where the configuration names the columns, another order of the names would move values from column to column.
fn refuse_other_order(spec: &TableSpec, stored: &TableSchema, changes: &[SchemaChange]) -> Result<()> {
    if spec.header == Header::FirstLine || !changes.contains(&SchemaChange::Reordered) {
        return Ok(());
    }
    let before: Vec<String> = stored.source.iter().map(|name| format!("`{name}`")).collect();
    let message = format!(
        "table `{}`: `columns` has another order than the table, {}, so that values would move to other columns",
        spec.name,
        before.join(", ")
    );
    Err(Error::config("ColumnsReordered", message).hint(
        "write `columns` in that order again; if it is the file that has another order now, give the table a new `name` and its file as `file` to start again",
    ))
}

/// A key is the same key in a wider type only where each of its values has one text. Of the other types, which only a
/// declaration, a Parquet file or an older version of this program gives to a key, replaying the log would find other rows.
fn keeps_keys(spec: &TableSpec, old: &Column, new: ColumnType) -> Result<()> {
    let has_one_text = matches!(old.column_type, ColumnType::Int64 | ColumnType::Date);
    let has_more_digits = matches!(new, ColumnType::Decimal { .. }) && old.column_type.join(new) == new;
    if new == old.column_type || has_more_digits || has_one_text && new == ColumnType::String {
        return Ok(());
    }
    let Column { name, column_type, .. } = old;
    let message = format!(
        "table `{}`: its key column `{name}` is stored as {column_type}, and the snapshot has values that are none or another type is declared",
        spec.name
    );
    let hint = format!(
        "repair the values, or set `columns.{name}` of the table to {column_type} to see the first of them; to start again with another type, give the table a new `name` and its file as `file`"
    );
    Err(Error::data("KeyTypeChanged", message).hint(hint))
}

/// Side by side in one file, two names that differ only in case could not be told apart by query engines.
fn refuse_other_case(spec: &TableSpec, stored: &TableSchema, schema: &TableSchema) -> Result<()> {
    let is_new = |name: &&String| stored.position(name).is_none();
    let twin = |name: &String| stored.columns.iter().map(|column| &column.name).find(|old| fold(old) == fold(name));
    match schema.source.iter().filter(is_new).find_map(|name| Some((name, twin(name)?))) {
        None => Ok(()),
        Some((name, old)) => Err(Error::data(
            "ColumnCaseChanged",
            format!("table `{}`: column `{name}` differs only in case from `{old}`, which its files have", spec.name),
        )
        .hint(format!(
            "call it `{old}` again at the source, or give the table a new `name` and its file as `file` to start again"
        ))),
    }
}
