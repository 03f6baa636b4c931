//! The order of a table's rows by its key, and the place after a row, as a text that outlives the connection.

use tiberius::Row;

use super::layout::Layout;
use super::sql::quote;
use super::text::text;
use crate::error::{Error, Result};
use crate::source::sqlserver::{CaptureInstance, KeyMark};

/// The key of a table whose rows can be read in its order.
#[derive(Debug)]
pub(super) struct Key<'l> {
    columns: Vec<KeyColumn<'l>>,
}

#[derive(Debug)]
struct KeyColumn<'l> {
    name: &'l str,
    /// Its place among the columns of the query.
    index: usize,
    quoted: String,
    layout: &'l Layout,
}

/// What a query says about the rows behind a mark.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Behind {
    /// ` WHERE …`, or nothing.
    pub(super) condition: String,
    /// The texts of its parameters.
    pub(super) parameters: Vec<String>,
}

impl<'l> Key<'l> {
    /// The key of `instance`; `None` for a table without one, and for one whose values no text can keep.
    pub(super) fn of(instance: &CaptureInstance, layout: &'l Layout) -> Option<Self> {
        let columns: Option<Vec<_>> = instance.key.iter().map(|name| KeyColumn::of(name, layout)).collect();
        columns.filter(|columns| !columns.is_empty()).map(|columns| Self { columns })
    }

    /// ` ORDER BY …`
    pub(super) fn order(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.quoted.as_str()).collect();
        format!(" ORDER BY {}", names.join(", "))
    }

    /// The place after `row`.
    pub(super) fn mark(&self, row: &Row) -> Result<KeyMark> {
        let value = |column: &KeyColumn<'l>| Some((column.name, text(row.get_column_data(column.index).ok()?).ok()?));
        let values: Option<Vec<(&str, Option<String>)>> = self.columns.iter().map(value).collect();
        let mark = values.and_then(|values| serde_json::to_string(&values).ok()).map(KeyMark);
        mark.ok_or_else(|| Error::internal("KeyUnreadable", "a value of the key cannot be written down"))
    }

    /// The rows behind `mark`: those that are greater in the first column in which they differ. NULL comes before every
    /// value.
    ///
    /// # Errors
    /// `KeyChanged` (kind `Data`) for a mark of another key.
    pub(super) fn behind(&self, mark: &KeyMark) -> Result<Behind> {
        let values = self.values(mark).ok_or_else(key_changed)?;
        let mut parameters = Vec::new();
        let (mut equal, mut alternatives) = (String::new(), Vec::new());
        for (column, value) in self.columns.iter().zip(values) {
            let name = &column.quoted;
            let (greater, same) = match value {
                None => (format!("{name} IS NOT NULL"), format!("{name} IS NULL AND ")),
                Some(value) => {
                    parameters.push(value);
                    let value = column.parse(parameters.len())?;
                    (format!("{name} > {value}"), format!("{name} = {value} AND "))
                }
            };
            alternatives.push(format!("{equal}{greater}"));
            equal.push_str(&same);
        }
        Ok(Behind { condition: format!(" WHERE {}", alternatives.join(" OR ")), parameters })
    }
}

impl Key<'_> {
    /// The values of a mark of this key. Older marks do not say of which columns they are.
    fn values(&self, mark: &KeyMark) -> Option<Vec<Option<String>>> {
        if let Ok(named) = serde_json::from_str::<Vec<(String, Option<String>)>>(&mark.0) {
            let is_same = named.iter().map(|(name, _)| name.as_str()).eq(self.columns.iter().map(|column| column.name));
            return is_same.then(|| named.into_iter().map(|(_, value)| value).collect());
        }
        let values: Vec<Option<String>> = serde_json::from_str(&mark.0).ok()?;
        (values.len() == self.columns.len()).then_some(values)
    }
}

impl<'l> KeyColumn<'l> {
    fn of(name: &str, layout: &'l Layout) -> Option<Self> {
        let index = layout.columns.iter().position(|column| column.name == name)?;
        let found = layout.columns.get(index)?;
        let quoted = quote(found.source_name.as_deref()?);
        let column = Self { name: &found.name, index, quoted, layout };
        column.parse(1).ok().map(|_| column)
    }

    /// The parameter of that number as a value of the column's type.
    fn parse(&self, number: usize) -> Result<String> {
        let column = self.layout.columns.get(self.index);
        column.and_then(|column| column.sql_type.parse(&format!("@P{number}"))).ok_or_else(key_changed)
    }
}

pub(super) fn key_changed() -> Error {
    Error::data("KeyChanged", "the key of the table is another one than when its first load began")
        .hint("remove the table's state and the parts of its full load, so that the first load begins again")
}

#[cfg(test)]
mod tests;
