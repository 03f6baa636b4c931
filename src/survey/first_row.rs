//! Whether the first row of a table is a header.

use crate::table::cell;
use crate::table::{ColumnType, TableSchema};

/// Years, which are names of columns in many tables.
const YEARS: std::ops::RangeInclusive<i64> = 1900..=2100;

/// Whether the names of the columns look like values: the names of all columns of numbers, dates and the like are of their
/// column's type, or those of all columns are numbers. Years are no such names.
pub(super) fn looks_like_data(schema: &TableSchema) -> bool {
    let is_value = |name: &str| cell::classify(name) != ColumnType::String;
    let is_year = |name: &str| name.parse().is_ok_and(|year: i64| YEARS.contains(&year));
    let values = schema.columns.iter().filter(|column| is_value(&column.name));
    if values.clone().all(|column| is_year(&column.name)) {
        return false;
    }
    let typed = schema.columns.iter().filter(|column| column.column_type != ColumnType::String);
    let like_its_values = |name: &str, column_type: ColumnType| cell::fits(name, column_type);
    let (mut typed, all_values) = (typed.peekable(), values.count() == schema.columns.len());
    all_values || typed.peek().is_some() && typed.all(|column| like_its_values(&column.name, column.column_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;

    fn looks(columns: &[(&str, ColumnType)]) -> bool {
        let column = |&(name, column_type): &(&str, ColumnType)| Column::new(name, column_type);
        looks_like_data(&TableSchema { columns: columns.iter().map(column).collect(), source: Vec::new() })
    }

    #[test]
    fn values_are_no_names_and_years_are() {
        use ColumnType::{Date, Double, Int64, String};
        assert!(looks(&[("1", Int64), ("Ana", String), ("2026-01-01", Date)]));
        assert!(looks(&[("1", Int64), ("2", Int64), ("3", Int64)]));
        assert!(looks(&[("1", String), ("2.5", String)]));
        assert!(!looks(&[("id", Int64), ("2", Int64)]));
        assert!(!looks(&[("country", String), ("2019", Double), ("2020", Double)]));
        assert!(!looks(&[("id", String), ("name", String)]));
    }
}
