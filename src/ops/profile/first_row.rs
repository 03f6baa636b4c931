//! Whether the first row of a table is a header.

use crate::table::{ColumnType, Dialect, Sample, cell, excel_line, is_value};

/// Records that are looked at.
const RECORDS: usize = 1000;

/// The number of columns of a text whose first row looks like data: its cells in all columns of numbers, dates and the like
/// are of their column's type, or all its cells are numbers and the like. Years are names.
pub(super) fn headless(text: &str, dialect: Dialect) -> Option<usize> {
    let text = excel_line(text).map_or(text, |(_, length)| &text[length..]);
    let records = Sample::cut(text, dialect, RECORDS).records;
    let (first, rows) = records.split_first()?;
    looks_like_data(first, rows).then_some(first.len())
}

fn looks_like_data(first: &[String], rows: &[Vec<String>]) -> bool {
    if !first.iter().any(|cell| is_value(cell)) || is_numbered(first) {
        return false;
    }
    let columns = first.iter().enumerate().map(|(column, cell)| (cell, type_of(rows, column)));
    let mut typed = columns.filter_map(|(cell, column_type)| Some((cell, column_type?))).peekable();
    let all_values = first.iter().all(|cell| cell.is_empty() || cell::classify(cell) != ColumnType::String);
    let fits = |(cell, column_type): (&String, ColumnType)| cell.is_empty() || cell::fits(cell, column_type);
    all_values || typed.peek().is_some() && typed.all(fits)
}

/// Whether the cells are 0, 1, 2 and so on, as pandas names columns that have no names, behind an index or not.
fn is_numbered(first: &[String]) -> bool {
    let names = first.strip_prefix(&[String::new()]).unwrap_or(first);
    names.len() > 1 && names.iter().enumerate().all(|(number, name)| *name == number.to_string())
}

/// The type of the cells of a column, if they have any and it is not text.
fn type_of(rows: &[Vec<String>], column: usize) -> Option<ColumnType> {
    let cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_empty());
    cells.map(|cell| cell::classify(cell)).reduce(ColumnType::join).filter(|joined| *joined != ColumnType::String)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(text: &str) -> Option<usize> {
        headless(text, Dialect::delimited(b','))
    }

    #[test]
    fn values_are_no_names_and_years_are() {
        assert_eq!(columns("1,Ana,2026-01-01\n2,Bob,2026-01-02\n"), Some(3));
        assert_eq!(columns("1,2,2\n4,5,6\n"), Some(3));
        assert_eq!(columns("1,,x\n2,5,y\n"), Some(3));
        assert_eq!(columns("sep=,\r\n1,a\r\n2,b\r\n"), Some(2));
        assert_eq!(columns("1,2.5\nx,y\n"), Some(2));
        assert_eq!(columns("id,2\n7,8\n"), None);
        assert_eq!(columns("0,1,2\n7,8,9\n"), None);
        assert_eq!(columns(",0,1\n0,8,9\n"), None);
        assert_eq!(columns("0,2,1\n7,8,9\n"), Some(3));
        assert_eq!(columns("country,2019,2020\nBR,1.5,2.5\n"), None);
        assert_eq!(columns("2019,2020\n1,2\n"), None);
        assert_eq!(columns("id,name\na,b\n"), None);
        assert_eq!(columns(""), None);
    }
}
