//! The stored schema of a table: learnt once, only widened, and the same in all of its files.
//!
//! A row is the map of its non-null cells, so a column that the source no longer has is a column of nulls: it stays in
//! the schema, and one that comes back finds its place again. New columns go to the end.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::number::NumberFormat;
use super::spec::TableSpec;
use super::types::ColumnType;

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, as in the source.
    pub name: String,
    /// Its type in every file of the table.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether no snapshot had a value in it yet. Its type in the files is text then, and is learnt with its first values.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty: bool,
    /// How the source writes its doubles, where their type was inferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<NumberFormat>,
    /// Whether the source has written its numbers with a decimal comma, where their type is declared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub comma: bool,
}

impl Column {
    /// A column of a type that is known.
    pub fn new(name: impl Into<String>, column_type: ColumnType) -> Self {
        Self { name: name.into(), column_type, empty: false, format: None, comma: false }
    }

    /// A column without a single value so far.
    pub fn without_values(name: impl Into<String>) -> Self {
        Self { empty: true, ..Self::new(name, ColumnType::String) }
    }

    /// The type that its values have, if it had any.
    pub fn known_type(&self) -> Option<ColumnType> {
        (!self.empty).then_some(self.column_type)
    }

    /// Whether it looks the same in a file.
    fn is_stored_like(&self, other: &Self) -> bool {
        (&self.name, self.column_type) == (&other.name, other.column_type)
    }
}

/// The columns of a table, in the order of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// All columns that the table ever had.
    pub columns: Vec<Column>,
    /// The column names of the newest snapshot, in the source's order.
    pub source: Vec<String>,
}

impl TableSchema {
    /// The position of the column called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The type of the column called `name`.
    pub fn column_type(&self, name: &str) -> Option<ColumnType> {
        self.position(name).map(|position| self.columns[position].column_type)
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.position(name).map(|position| &self.columns[position])
    }

    /// Whether the files of both have the same columns.
    pub fn has_columns_of(&self, other: &Self) -> bool {
        self.columns.len() == other.columns.len()
            && self.columns.iter().zip(&other.columns).all(|(mine, theirs)| mine.is_stored_like(theirs))
    }

    /// The date field of the table and the type in which its values are compared, where it has one.
    pub fn order<'a>(&self, spec: &'a TableSpec) -> Option<(&'a str, ColumnType)> {
        spec.date_field.as_deref().and_then(|name| Some((name, self.column_type(name)?)))
    }

    /// The schema of the table's full-load file; every column is nullable.
    pub fn arrow(&self) -> SchemaRef {
        let field = |column: &Column| Field::new(&column.name, column.column_type.arrow(), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// What changed since `before`, for the report.
    pub fn changes_since(&self, before: &Self) -> Vec<SchemaChange> {
        let added = self.source.iter().filter(|name| !before.source.contains(name)).map(|name| {
            let column_type = self.column_type(name).unwrap_or(ColumnType::String);
            SchemaChange::Added { column: name.clone(), column_type }
        });
        let removed = before.source.iter().filter(|name| !self.source.contains(name));
        let removed = removed.map(|name| SchemaChange::Removed { column: name.clone() });
        let widened = before.columns.iter().filter_map(|old| {
            let new = self.column(&old.name)?;
            let (column, from, to) = (old.name.clone(), old.column_type, new.column_type);
            match old.empty {
                true if !new.empty => Some(SchemaChange::FirstValues { column, column_type: to }),
                _ if from != to => Some(SchemaChange::Widened { column, from, to }),
                _ => None,
            }
        });
        let mut changes: Vec<_> = added.chain(removed).chain(widened).collect();
        let common = |names: &[String], other: &[String]| -> Vec<String> {
            names.iter().filter(|name| other.contains(name)).cloned().collect()
        };
        if common(&self.source, &before.source) != common(&before.source, &self.source) {
            changes.push(SchemaChange::Reordered);
        }
        changes
    }
}

/// One way in which a snapshot's columns differ from the stored schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaChange {
    /// A column that the previous snapshot did not have.
    Added {
        /// Its name.
        column: String,
        /// Its type.
        column_type: ColumnType,
    },
    /// A column that the snapshot no longer has; it is null from now on.
    Removed {
        /// Its name.
        column: String,
    },
    /// The source lists its columns in another order; the files keep theirs.
    Reordered,
    /// A column that had no value so far has one.
    FirstValues {
        /// Its name.
        column: String,
        /// The type of its values.
        column_type: ColumnType,
    },
    /// Values no longer fit the type.
    Widened {
        /// The column's name.
        column: String,
        /// The type until now.
        from: ColumnType,
        /// The type from now on.
        to: ColumnType,
    },
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { column, column_type } => write!(f, "added `{column}` ({column_type})"),
            Self::Removed { column } => write!(f, "removed `{column}`"),
            Self::Reordered => f.write_str("columns reordered"),
            Self::FirstValues { column, column_type } => write!(f, "first values in `{column}` ({column_type})"),
            Self::Widened { column, from, to } => write!(f, "widened `{column}` from {from} to {to}"),
        }
    }
}

impl Serialize for SchemaChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The inverse of [`fmt::Display`].
impl FromStr for SchemaChange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("`{text}` is not a change of a schema");
        let column_type = |text: &str| text.parse::<ColumnType>();
        if text == "columns reordered" {
            return Ok(Self::Reordered);
        }
        if let Some(rest) = text.strip_prefix("removed `") {
            return Ok(Self::Removed { column: rest.strip_suffix('`').ok_or_else(unknown)?.to_owned() });
        }
        let typed = |rest: &str| {
            let (column, found) =
                rest.strip_suffix(')').and_then(|rest| rest.rsplit_once("` (")).ok_or_else(unknown)?;
            Ok::<_, String>((column.to_owned(), column_type(found)?))
        };
        if let Some(rest) = text.strip_prefix("added `") {
            return typed(rest).map(|(column, column_type)| Self::Added { column, column_type });
        }
        if let Some(rest) = text.strip_prefix("first values in `") {
            return typed(rest).map(|(column, column_type)| Self::FirstValues { column, column_type });
        }
        let rest = text.strip_prefix("widened `").ok_or_else(unknown)?;
        let (column, types) = rest.rsplit_once("` from ").ok_or_else(unknown)?;
        let (from, to) = types.split_once(" to ").ok_or_else(unknown)?;
        Ok(Self::Widened { column: column.to_owned(), from: column_type(from)?, to: column_type(to)? })
    }
}

impl<'de> Deserialize<'de> for SchemaChange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for ColumnType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, ColumnType)], source: &[&str]) -> TableSchema {
        let column = |&(name, column_type): &(&str, ColumnType)| Column::new(name, column_type);
        TableSchema {
            columns: columns.iter().map(column).collect(),
            source: source.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn changes_name_what_moved_between_two_snapshots() {
        let (int, double) = (ColumnType::Int64, ColumnType::Double);
        let before = schema(&[("a", int), ("b", int), ("c", int)], &["a", "b", "c"]);
        let after = schema(&[("a", int), ("b", double), ("c", int), ("d", int)], &["d", "b", "a"]);
        let texts: Vec<_> = after.changes_since(&before).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["added `d` (int64)", "removed `c`", "widened `b` from int64 to double", "columns reordered"]
        );
        assert!(before.changes_since(&before).is_empty());
    }

    #[test]
    fn a_change_survives_its_text() {
        let decimal = ColumnType::Decimal { precision: 10, scale: 2 };
        for column in ["a", "` (x) from ` to `", ""].map(str::to_owned) {
            for change in [
                SchemaChange::Added { column: column.clone(), column_type: decimal },
                SchemaChange::Removed { column: column.clone() },
                SchemaChange::FirstValues { column: column.clone(), column_type: ColumnType::Int64 },
                SchemaChange::Widened { column: column.clone(), from: decimal, to: ColumnType::TimestampUtc },
                SchemaChange::Reordered,
            ] {
                assert_eq!(change.to_string().parse(), Ok(change));
            }
        }
        for text in ["", "added `a`", "added `a` (x)", "removed a", "widened `a` to int64"] {
            assert!(text.parse::<SchemaChange>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_schema_survives_its_json() {
        let before = schema(&[("a", ColumnType::Decimal { precision: 10, scale: 2 })], &["a"]);
        let json = serde_json::to_string(&before).unwrap();
        assert!(json.contains(r#""type":"decimal(10,2)""#), "{json}");
        assert_eq!(serde_json::from_str::<TableSchema>(&json).unwrap(), before);
    }
}
