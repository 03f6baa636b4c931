//! The reference: what the changes between two snapshots are, by the definition and not by the program.

use std::collections::BTreeMap;

use cdc_to_s3::diff::Operation;
use cdc_to_s3::table::{ColumnType, OnDuplicateKey, OnNullKey, TableSchema, TableSpec, UpdateDetection};

use super::history::Version;
use crate::support::lake::{Key, Row, key_of};

pub(super) type Snapshot = BTreeMap<Key, Row>;
pub(super) type Changes = BTreeMap<Key, (&'static str, Row)>;

/// The rows of a version by key, or the code of the error that it must fail with.
pub(super) fn snapshot(version: &Version, spec: &TableSpec) -> Result<Snapshot, &'static str> {
    let mut snapshot = Snapshot::new();
    for row in &version.rows {
        let key = key_of(row, &spec.pk);
        match (spec.on_duplicate_key, snapshot.contains_key(&key)) {
            _ if key.iter().any(String::is_empty) => match spec.on_null_key {
                OnNullKey::Fail => return Err("NullKey"),
                OnNullKey::Drop => {}
            },
            (OnDuplicateKey::Fail, true) => return Err("DuplicateKeys"),
            (OnDuplicateKey::First, true) => {}
            _ => drop(snapshot.insert(key, row.clone())),
        }
    }
    Ok(snapshot)
}

/// What happened between two snapshots.
pub(super) fn diff(spec: &TableSpec, old: &Snapshot, new: &Snapshot) -> Changes {
    let mut changes = Changes::new();
    for (key, row) in new {
        match old.get(key) {
            None => drop(changes.insert(key.clone(), ("I", row.clone()))),
            Some(before) if is_update(spec, before, row) => drop(changes.insert(key.clone(), ("U", row.clone()))),
            Some(_) => {}
        }
    }
    let deleted = old.iter().filter(|(key, _)| !new.contains_key(*key));
    changes.extend(deleted.map(|(key, row)| (key.clone(), ("D", row.clone()))));
    changes
}

/// With the numbers of deleted rows as numbers: a column that became `double` since has them in another spelling than their
/// version's file.
pub(super) fn deleted_by_value(mut changes: Changes, schema: &TableSchema) -> Changes {
    let doubles = schema.columns.iter().filter(|column| column.column_type == ColumnType::Double);
    for column in doubles {
        for (_, row) in changes.values_mut().filter(|change| change.0 == Operation::Delete.letter()) {
            row.entry(column.name.clone()).and_modify(|text| {
                if let Ok(number) = text.replace(',', ".").parse::<f64>() {
                    *text = number.to_string();
                }
            });
        }
    }
    changes
}

/// Whether the program must refuse such a step, and with which code.
pub(super) fn refusal(spec: &TableSpec, old: &Snapshot, new: &Snapshot) -> Option<&'static str> {
    let deleted = old.keys().filter(|key| !new.contains_key(*key)).count();
    match () {
        () if new.is_empty() => Some("EmptyTable"),
        () if deleted as f64 / old.len().max(1) as f64 > spec.max_deleted_fraction => Some("MassDelete"),
        () => None,
    }
}

/// Applies changes, which must follow from `snapshot`.
pub(super) fn apply(snapshot: &mut Snapshot, changes: &Changes) {
    for (key, (operation, row)) in changes {
        if *operation == Operation::Delete.letter() {
            assert!(snapshot.remove(key).is_some(), "D of the unknown {key:?}");
        } else {
            let known = snapshot.insert(key.clone(), row.clone());
            assert_eq!(known.is_some(), *operation == Operation::Update.letter(), "{operation} of {key:?}");
        }
    }
}

pub(super) fn is_update(spec: &TableSpec, before: &Row, now: &Row) -> bool {
    let later = spec.date_field.as_ref().is_some_and(|date| now.get(date) > before.get(date));
    match spec.update_detection {
        UpdateDetection::Date => later,
        UpdateDetection::Content => now != before,
    }
}
