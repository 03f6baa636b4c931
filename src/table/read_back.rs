//! Whether a table that is written as CSV is the same table when that file is read.

use super::cell::{self, Reading};
use super::guess::Guess;
use super::rows::{is_null, reading};
use super::schema::{Column, TableSchema};
use super::spec::TableSpec;
use super::types::ColumnType;

/// Looks at all texts of some columns on their way into a CSV file.
pub(crate) struct ReadBack<'a> {
    spec: &'a TableSpec,
    columns: Vec<Expected>,
}

/// A column that is to come back.
struct Expected {
    column: Column,
    reading: Reading,
    /// What a lake that does not know the table learns from the texts.
    guess: Guess,
    /// Whether a value needs its type declared.
    undeclared: bool,
    /// Values that no reading gives back.
    lost: u64,
    /// Whether one of them is read as no value of the type, so that declaring it would fail the table.
    unfit: bool,
}

impl<'a> ReadBack<'a> {
    /// Looks at these columns of a table of `schema`.
    pub(crate) fn new(names: &[String], schema: &TableSchema, spec: &'a TableSpec) -> Self {
        let columns = names.iter().map(|name| match schema.column(name) {
            Some(column) => column.clone(),
            None => Column::without_values(name),
        });
        let expected = |column: Column| Expected {
            reading: reading(&column, spec),
            guess: Guess::new(&column.name, spec, None),
            column,
            undeclared: false,
            lost: 0,
            unfit: false,
        };
        Self { spec, columns: columns.map(expected).collect() }
    }

    /// Takes the next cell of the column of this number.
    pub(crate) fn see(&mut self, number: usize, text: Option<&str>) {
        let Some(expected) = self.columns.get_mut(number) else { return };
        let read = text.filter(|text| !is_null(text, self.spec));
        expected.guess.see(read);
        match (text, read) {
            (None, _) => {}
            (Some(_), None) => expected.lost += 1,
            (Some(_), Some(text)) => expected.take(text),
        }
    }

    /// What whoever reads the file again has to know.
    pub(crate) fn warnings(self) -> Vec<String> {
        let lost = self.columns.iter().filter(|expected| expected.lost > 0).map(|expected| {
            format!(
                "CSV does not keep {} of `{}` (an empty text is read as null, and so are `null_values`; NaN, infinity and years \
                 beyond 1 to 9999 are read as text): restore to a name that ends in .parquet to have all",
                if expected.lost == 1 { "1 value".to_owned() } else { format!("{} values", expected.lost) },
                expected.column.name
            )
        });
        let mut warnings: Vec<String> = lost.collect();
        let types: serde_json::Map<_, _> = self.columns.into_iter().filter_map(Expected::declaration).collect();
        if !types.is_empty() {
            warnings.push(format!(
                "read by a lake that does not know the table, this file gives other types: set `columns` of the table to {} \
                 to keep them",
                serde_json::Value::Object(types)
            ));
        }
        warnings
    }
}

impl Expected {
    fn take(&mut self, text: &str) {
        let column_type = self.column.column_type;
        if !gives(text, column_type, self.reading) {
            let unfit = !gives(text, column_type, Reading::Lenient);
            self.undeclared = true;
            self.unfit |= unfit;
            self.lost += u64::from(unfit);
        }
    }

    /// The column and its type, if that has to be declared, and may be.
    fn declaration(self) -> Option<(String, serde_json::Value)> {
        let differs = self.undeclared || self.guess.column().known_type() != self.column.known_type();
        (differs && !self.unfit).then(|| (self.column.name, self.column.column_type.to_string().into()))
    }
}

/// Whether a text is a value of the type in this reading.
fn gives(text: &str, column_type: ColumnType, reading: Reading) -> bool {
    match column_type {
        ColumnType::Bool => cell::bool(text, reading).is_some(),
        ColumnType::Int64 => cell::int64(text, reading).is_some(),
        ColumnType::Double => cell::double(text, reading).is_some(),
        ColumnType::TimestampUtc => cell::timestamp_utc(text, reading).is_some(),
        other => cell::fits(text, other),
    }
}
