//! What a text column could be if the configuration said so: numbers with a decimal comma, instants with an offset, or
//! values of any type among texts that stand for null.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{AsArray, RecordBatch};

use crate::table::cell::{self, Reading};
use crate::table::{ColumnType, TableSchema, TableSpec};

/// Texts that stand for null in the files of many programs, and for nothing else.
const SURE_NULLS: [&str; 8] = ["NULL", "null", "N/A", "n/a", "#N/A", "NaN", "nan", "\\N"];

/// Texts that may stand for null, or for a country, a name or a choice.
const LIKELY_NULLS: [&str; 6] = ["Null", "NA", "None", "none", "-", "?"];

/// The text columns of a table, as long as each could be something else.
pub(super) struct HiddenTypes(Vec<Hidden>);

/// What one text column could be.
struct Hidden {
    column: usize,
    name: String,
    values: u64,
    /// All values but the nulls so far have a decimal comma, or are integers.
    commas: Option<Commas>,
    /// Whether all values so far are instants with an offset.
    instants: bool,
    /// The type of all values that stand for no null; `String` once one has no other.
    rest: Option<ColumnType>,
    nulls: BTreeSet<&'static str>,
}

/// Numbers with a decimal comma.
#[derive(Default)]
struct Commas {
    any: bool,
    /// Whether one has not exactly three digits behind its comma, so that it cannot be a thousands separator.
    surely_decimal: bool,
}

impl HiddenTypes {
    /// Nothing is known of the text columns of `schema` yet.
    pub(super) fn new(schema: &TableSchema) -> Self {
        let texts = schema.columns.iter().enumerate().filter(|(_, column)| column.column_type == ColumnType::String);
        let hidden = |(column, of): (usize, &crate::table::Column)| Hidden {
            column,
            name: of.name.clone(),
            values: 0,
            commas: Some(Commas::default()),
            instants: true,
            rest: None,
            nulls: BTreeSet::new(),
        };
        Self(texts.map(hidden).collect())
    }

    /// Takes the values of some rows.
    pub(super) fn see(&mut self, batch: &RecordBatch) {
        for hidden in &mut self.0 {
            let Some(texts) = batch.column(hidden.column).as_string_opt::<i32>() else { continue };
            texts.iter().flatten().for_each(|text| hidden.value(text));
        }
    }

    /// Adds to `spec` what lets columns have their types; `false` where there is nothing to add.
    pub(super) fn amend(&self, spec: &mut TableSpec) -> bool {
        spec.null_values = self.null_values();
        let is_null = |text: &&str| spec.null_values.iter().any(|null| null == text);
        // A text that is left alone stays a text, and so does its column.
        let readable = self.0.iter().filter(|hidden| hidden.nulls.iter().all(is_null));
        let declared = readable.filter_map(|hidden| Some((hidden.name.clone(), hidden.declared()?)));
        spec.columns = declared.collect::<BTreeMap<_, _>>();
        !spec.null_values.is_empty() || !spec.columns.is_empty()
    }

    /// The texts that keep columns from having a type. One of the likely ones that also stands in a column of mere text may
    /// mean something there, and is left alone.
    fn null_values(&self) -> Vec<String> {
        let (typed, texts): (Vec<&Hidden>, Vec<&Hidden>) = self.0.iter().partition(|hidden| hidden.is_typed());
        let in_texts = texts.iter().flat_map(|hidden| hidden.nulls.iter().copied());
        let meant: BTreeSet<&str> = in_texts.filter(|text| LIKELY_NULLS.contains(text)).collect();
        let nulls: BTreeSet<&str> = typed.iter().flat_map(|hidden| hidden.nulls.iter().copied()).collect();
        nulls.difference(&meant).map(|&text| text.to_owned()).collect()
    }
}

impl Hidden {
    fn value(&mut self, text: &str) {
        if self.null(text) {
            return;
        }
        self.values += 1;
        self.instants = self.instants && cell::timestamp_utc(text, Reading::Lenient).is_some();
        self.commas = self.commas.take().and_then(|commas| commas.with(text));
        if self.rest != Some(ColumnType::String) {
            let own = cell::classify(text);
            self.rest = Some(self.rest.map_or(own, |rest| rest.join(own)));
        }
    }

    fn null(&mut self, text: &str) -> bool {
        let null = SURE_NULLS.iter().chain(&LIKELY_NULLS).find(|null| **null == text);
        self.nulls.extend(null);
        null.is_some()
    }

    /// Whether it is more than text, the nulls aside.
    fn is_typed(&self) -> bool {
        let has_type = self.rest.is_some_and(|rest| rest != ColumnType::String);
        !self.nulls.is_empty() && has_type || self.declared().is_some()
    }

    /// The type that has to be declared, because it is never inferred.
    fn declared(&self) -> Option<ColumnType> {
        let commas = self.commas.as_ref().is_some_and(|commas| commas.any && commas.surely_decimal);
        match self.values {
            0 => None,
            _ if commas => Some(ColumnType::Double),
            _ if self.instants => Some(ColumnType::TimestampUtc),
            _ => None,
        }
    }
}

impl Commas {
    /// With another value; `None` where that is no number of this kind.
    fn with(mut self, text: &str) -> Option<Self> {
        let Some((whole, fraction)) = text.split_once(',') else {
            return cell::fits(text, ColumnType::Int64).then_some(self);
        };
        self.any = true;
        self.surely_decimal |= fraction.len() != 3;
        cell::fits(&format!("{whole}.{fraction}"), ColumnType::Double).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::table::{Column, Dialect, TableName};

    /// What is declared for columns of these texts.
    fn amended(columns: &[(&str, &[&str])]) -> (Vec<String>, BTreeMap<String, ColumnType>) {
        let schema = TableSchema {
            columns: columns.iter().map(|(name, _)| Column::new(*name, ColumnType::String)).collect(),
            source: vec![],
        };
        let mut hidden = HiddenTypes::new(&schema);
        for (column, (name, texts)) in columns.iter().enumerate() {
            let fields = vec![Field::new(*name, DataType::Utf8, true)];
            let array = Arc::new(StringArray::from(texts.to_vec()));
            let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![array]).unwrap();
            let one = &mut hidden.0[column];
            let texts = batch.column(0).as_string::<i32>();
            texts.iter().flatten().for_each(|text| one.value(text));
        }
        let mut spec = super::super::undecided(TableName::parse("t").unwrap(), Dialect::default());
        hidden.amend(&mut spec);
        (spec.null_values, spec.columns)
    }

    #[test]
    fn decimal_commas_are_declared_and_thousands_are_not() {
        let found =
            amended(&[("price", &["1,5", "2", "-0,25"]), ("big", &["1,500", "2,000"]), ("mixed", &["1,5", "x"])]);
        assert_eq!(found.1, BTreeMap::from([("price".to_owned(), ColumnType::Double)]));
    }

    #[test]
    fn instants_with_an_offset_are_declared() {
        let found = amended(&[("at", &["2024-01-31T10:00:00-03:00", "2024-02-01T10:00:00-03:00"])]);
        assert_eq!(found.1, BTreeMap::from([("at".to_owned(), ColumnType::TimestampUtc)]));
    }

    #[test]
    fn texts_for_null_are_found_where_they_hide_a_type_and_mean_nothing_elsewhere() {
        let found = amended(&[("n", &["1", "NULL", "2"]), ("d", &["2024-01-31", "-"]), ("text", &["a", "-", "NULL"])]);
        assert_eq!(found, (vec!["NULL".to_owned()], BTreeMap::new()));
        let found = amended(&[("price", &["1,5", "-"]), ("text", &["a", "-"])]);
        assert_eq!(found, (vec![], BTreeMap::new()), "a number could not be read");
        assert_eq!(amended(&[("price", &["1,5", "N/A"])]).0, ["N/A"]);
    }
}
