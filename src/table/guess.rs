//! The type of a column, learnt from all of its texts.

use super::cell::{self, Reading};
use super::number::Formats;
use super::schema::{Column, TableSchema};
use super::spec::TableSpec;
use super::types::ColumnType;

/// What is known of a column so far.
pub(super) struct Guess {
    name: String,
    role: Role,
    /// The column as the table has it, if it does.
    stored: Option<Column>,
    column_type: Option<ColumnType>,
    formats: Formats,
}

/// By what rule a column gets its type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The configuration declares it.
    Declared,
    /// A key is compared by its text once it is text, so its type must have one text for each value.
    Key,
    Attribute,
}

impl Guess {
    /// The column `name`, whose type only widens from that in `stored`.
    pub(super) fn new(name: &str, spec: &TableSpec, stored: Option<&TableSchema>) -> Self {
        let declared = spec.columns.get(name).copied();
        let stored = stored.and_then(|stored| stored.column(name)).cloned();
        let known = stored.as_ref().and_then(Column::known_type);
        let role = match declared {
            Some(_) => Role::Declared,
            None if spec.pk.iter().any(|key| key == name) => Role::Key,
            None => Role::Attribute,
        };
        Self { name: name.to_owned(), role, stored, column_type: declared.or(known), formats: Formats::default() }
    }

    /// Takes the next cell, `None` for a null.
    pub(super) fn see(&mut self, text: Option<&str>) {
        let Some(text) = text else { return };
        match self.role {
            Role::Declared => {}
            Role::Key => self.column_type = Some(self.key(text)),
            Role::Attribute => self.column_type = Some(self.attribute(text)),
        }
    }

    /// A stored type stands for what its values were, whole numbers included that are now written as `1.0`.
    fn key(&self, text: &str) -> ColumnType {
        let stored = self.stored.as_ref().and_then(Column::known_type);
        match self.column_type {
            None => cell::classify_key(text),
            Some(known) if cell::fits(text, known) => known,
            Some(ColumnType::Int64) if stored.is_some() && cell::int64(text, Reading::Whole).is_some() => {
                ColumnType::Int64
            }
            Some(_) => ColumnType::String,
        }
    }

    fn attribute(&mut self, text: &str) -> ColumnType {
        let known = match self.column_type {
            Some(ColumnType::Int64) if cell::int64(text, Reading::Strict).is_some() => {
                self.formats.see_integer();
                return ColumnType::Int64;
            }
            Some(ColumnType::TimestampUtc) if self.is_learnt() => {
                let fits = cell::timestamp_utc(text, Reading::Lenient).is_some();
                return if fits { ColumnType::TimestampUtc } else { ColumnType::String };
            }
            Some(known) if known != ColumnType::Double && cell::fits(text, known) => return known,
            known => known,
        };
        let own = cell::classify(text);
        if let Some(value) = cell::double(text, Reading::Strict) {
            self.formats.see(text, value);
        }
        known.map_or(own, |known| known.join(own))
    }

    fn is_learnt(&self) -> bool {
        self.stored.is_some()
    }

    /// The column, once all texts were seen.
    pub(super) fn column(self) -> Column {
        let Some(column_type) = self.column_type else { return Column::without_values(self.name) };
        let stored_format = self.stored.as_ref().filter(|column| column.column_type == ColumnType::Double);
        let comma = self.stored.as_ref().is_some_and(|column| column.comma);
        let column = Column { comma, ..Column::new(self.name, column_type) };
        match (column_type, self.role, stored_format) {
            (ColumnType::Double, Role::Attribute, Some(Column { format: None, .. })) => column,
            (ColumnType::Double, Role::Attribute, Some(Column { format, .. })) if self.formats.is_unseen() => {
                Column { format: *format, ..column }
            }
            (ColumnType::Double, Role::Attribute, before) => {
                match self.formats.common(before.and_then(|before| before.format)) {
                    Some(format) => Column { format: Some(format), ..column },
                    None => Column { column_type: ColumnType::String, ..column },
                }
            }
            _ => column,
        }
    }
}

/// What is known of the types of a table's columns, over one file or several.
#[derive(Default)]
pub(super) struct Guesses(Vec<Guess>);

impl Guesses {
    /// For each of these columns of a file the number of its guess; the first file's columns are those of the table.
    pub(super) fn places(&mut self, names: &[String], spec: &TableSpec, stored: Option<&TableSchema>) -> Vec<usize> {
        if self.0.is_empty() {
            self.0 = names.iter().map(|name| Guess::new(name, spec, stored)).collect();
        }
        names.iter().filter_map(|name| self.0.iter().position(|known| known.name == *name)).collect()
    }

    /// The guess of this number.
    pub(super) fn at(&mut self, number: usize) -> &mut Guess {
        &mut self.0[number]
    }

    /// The stored columns with their types widened, then the new ones.
    pub(super) fn schema(self, stored: Option<&TableSchema>) -> TableSchema {
        let mut columns = stored.map(|stored| stored.columns.clone()).unwrap_or_default();
        let mut source = Vec::new();
        for new in self.0.into_iter().map(Guess::column) {
            source.push(new.name.clone());
            match columns.iter_mut().find(|column| column.name == new.name) {
                Some(column) => *column = new,
                None => columns.push(new),
            }
        }
        TableSchema { columns, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TableName;

    fn guess(name: &str, stored: Option<Column>, texts: &[&str]) -> Column {
        let spec = TableSpec::new(TableName::parse("t").unwrap(), vec!["id".to_owned()]);
        let stored = stored.map(|column| TableSchema { columns: vec![column], source: Vec::new() });
        let mut guess = Guess::new(name, &spec, stored.as_ref());
        texts.iter().for_each(|text| guess.see(Some(text).filter(|text| !text.is_empty()).copied()));
        guess.column()
    }

    fn learnt(name: &str, column_type: ColumnType) -> Option<Column> {
        Some(Column::new(name, column_type))
    }

    #[test]
    fn a_key_is_a_type_with_one_text_for_each_value() {
        let types = [
            (&["1", "20"][..], ColumnType::Int64),
            (&["2024-01-31"], ColumnType::Date),
            (&["1.1", "1.10"], ColumnType::String),
            (&["1.0", "2.0"], ColumnType::String),
            (&["true"], ColumnType::String),
            (&["2024-01-31 10:00:00"], ColumnType::String),
            (&["1", "A5"], ColumnType::String),
            (&["1", "2024-01-31"], ColumnType::String),
            (&["1", "2.0"], ColumnType::String),
        ];
        for (texts, expected) in types {
            assert_eq!(guess("id", None, texts).column_type, expected, "{texts:?}");
        }
    }

    #[test]
    fn a_learnt_integer_key_reads_the_same_integers_with_a_point() {
        assert_eq!(guess("id", learnt("id", ColumnType::Int64), &["1.0", "2", "30.0"]).column_type, ColumnType::Int64);
        assert_eq!(guess("id", learnt("id", ColumnType::Int64), &["1.5"]).column_type, ColumnType::String);
        assert_eq!(guess("id", learnt("id", ColumnType::Int64), &["01.0"]).column_type, ColumnType::String);
    }

    #[test]
    fn numbers_that_could_be_codes_stay_text() {
        assert_eq!(guess("v", None, &["250.0", "250.00"]).column_type, ColumnType::String);
        assert_eq!(guess("v", None, &["1", "2.0"]).column_type, ColumnType::String);
        let prices = guess("v", None, &["2.50", "10.00"]);
        assert_eq!((prices.column_type, prices.format), (ColumnType::Double, Some("fixed(2)".parse().unwrap())));
        assert_eq!(guess("v", None, &["1", "2.5"]).column_type, ColumnType::Double);
    }

    #[test]
    fn a_double_of_before_formats_were_kept_stays_one() {
        let old = guess("v", learnt("v", ColumnType::Double), &["250.0", "250.00"]);
        assert_eq!((old.column_type, old.format), (ColumnType::Double, None));
    }

    #[test]
    fn a_column_without_values_has_no_type_until_it_has_some() {
        let empty = guess("v", None, &["", ""]);
        assert_eq!((empty.empty, empty.known_type()), (true, None));
        assert_eq!(guess("v", Some(empty.clone()), &["", "7"]).known_type(), Some(ColumnType::Int64));
        assert!(guess("v", Some(empty), &[""]).empty);
        assert_eq!(guess("v", learnt("v", ColumnType::Date), &[""]).known_type(), Some(ColumnType::Date));
    }

    #[test]
    fn a_learnt_instant_takes_any_offset() {
        let texts = ["2024-01-31T10:00:00-03:00", "2024-01-31T10:00:00Z"];
        assert_eq!(guess("v", learnt("v", ColumnType::TimestampUtc), &texts).column_type, ColumnType::TimestampUtc);
        assert_eq!(guess("v", None, &texts).column_type, ColumnType::String);
    }
}
