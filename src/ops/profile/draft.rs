//! The configuration that follows from a survey, and the reasons for what it says.

use serde::{Serialize, Serializer};

use super::{DateCandidate, KeyCandidate, Survey, TableSurvey};
use crate::error::{Error, Result};
use crate::table::{ColumnType, Encoding};

/// What a configuration needs beside the tables.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The dataset's name.
    pub dataset: String,
    /// The lake's bucket, if it is known.
    pub bucket: Option<String>,
    /// What the lake's keys start with.
    pub prefix: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
}

/// A configuration, and why it says what it says.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The text of the document.
    pub text: String,
    /// One line for each choice.
    pub choices: Vec<String>,
    /// One line for each table that has no key and is not in the document.
    pub without_key: Vec<String>,
}

/// The keys of the document, in the order in which a person writes them.
#[derive(Serialize)]
struct Document<'a> {
    dataset_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<Aws<'a>>,
    tables: Vec<Table<'a>>,
}

#[derive(Serialize)]
struct Aws<'a> {
    bucket: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
}

#[derive(Serialize)]
struct Table<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sep: Option<String>,
    /// Where it had to be guessed: the runs after this one then need not guess.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    escape: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<&'static str>,
    pk: Key<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_detection: Option<&'static str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    null_values: &'a [String],
    #[serde(skip_serializing_if = "Columns::is_empty")]
    columns: Columns<'a>,
}

/// Columns and their types, in this order.
struct Columns<'a>(Vec<(&'a str, String)>);

impl Columns<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, column_type)| (name, column_type)))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Key<'a> {
    Column(&'a str),
    Columns(&'a [String]),
}

impl Draft {
    /// The configuration for what was found.
    ///
    /// # Errors
    /// `NoKeys` (kind `Data`) where no table has a key.
    pub fn new(survey: &Survey, origin: &Origin) -> Result<Self> {
        let keyed: Vec<(&TableSurvey, &KeyCandidate)> =
            survey.tables.iter().filter_map(|table| Some((table, table.key()?))).collect();
        let without_key = survey.tables.iter().filter(|table| table.key().is_none()).map(no_key).collect();
        if keyed.is_empty() {
            return Err(no_keys(survey));
        }
        let document = Document {
            dataset_name: &origin.dataset,
            aws: origin.bucket.as_deref().map(|bucket| Aws {
                bucket,
                prefix: origin.prefix.as_deref(),
                region: origin.region.as_deref(),
            }),
            tables: keyed.iter().map(|(table, key)| entry(table, key)).collect(),
        };
        let mut text = serde_json::to_string_pretty(&document)
            .map_err(|error| Error::internal("ConfigUnwritable", "cannot write the configuration").caused_by(error))?;
        text.push('\n');
        Ok(Self { text, choices: keyed.iter().flat_map(|(table, key)| choices(table, key)).collect(), without_key })
    }
}

impl TableSurvey {
    /// What the configuration says of the quotes, if they are not double ones.
    fn unusual_quote(&self) -> Option<String> {
        match (self.delimiter, self.quote) {
            (None, _) | (_, Some('"')) => None,
            (_, Some(quote)) => Some(quote.into()),
            (_, None) => Some("none".to_owned()),
        }
    }

    /// The columns that the configuration names: those whose type it declares, or where nothing else names them all.
    fn configured_columns(&self) -> Columns<'_> {
        let declared = |name: &str| self.declared.get(name).map(ToString::to_string);
        let named = self.columns.iter().filter_map(|column| {
            let column_type = declared(&column.name).or((!self.has_header).then(|| "auto".to_owned()))?;
            Some((column.name.as_str(), column_type))
        });
        Columns(named.collect())
    }

    /// The key that holds for all rows and is the likeliest.
    pub fn key(&self) -> Option<&KeyCandidate> {
        self.keys.first().filter(|key| key.repeats == 0)
    }

    /// The encoding, where neither a mark nor its being UTF-8 tells it.
    fn guessed_encoding(&self) -> Option<Encoding> {
        self.encoding.filter(|encoding| matches!(encoding, Encoding::Other(_)))
    }

    /// The column whose name says that it is the time of the last change, if it mostly has a value.
    pub fn date_field(&self) -> Option<&DateCandidate> {
        let in_key = |column: &String| self.key().is_some_and(|key| key.columns.contains(column));
        self.dates.iter().find(|date| date.names_a_change && date.nulls * 2 <= self.rows && !in_key(&date.column))
    }
}

fn entry<'a>(table: &'a TableSurvey, key: &'a KeyCandidate) -> Table<'a> {
    let date_field = table.date_field().map(|date| date.column.as_str());
    Table {
        name: table.name.as_str(),
        file: table.configured_file.as_deref(),
        encoding: table.guessed_encoding().map(Encoding::name),
        sep: table.delimiter.filter(|&delimiter| delimiter != ',').map(String::from),
        quote: table.unusual_quote(),
        escape: table.escaped.then_some("\\"),
        pk: match key.columns.as_slice() {
            [one] => Key::Column(one),
            several => Key::Columns(several),
        },
        date_field,
        update_detection: date_field.map(|_| "content"),
        null_values: &table.null_values,
        header: (!table.has_header).then_some("none"),
        columns: table.configured_columns(),
    }
}

/// One line for each thing that the document says, or does not say, of a table.
fn choices(table: &TableSurvey, key: &KeyCandidate) -> Vec<String> {
    let name = &table.name;
    let noun = if key.columns.len() == 1 { "is" } else { "are together" };
    let mut lines: Vec<String> = table.notes.iter().map(|note| format!("{name}: {note}")).collect();
    lines.push(format!("{name}: pk {noun} unique and never null: {}", quoted(&key.columns)));
    lines.push(match table.date_field() {
        Some(DateCandidate { column, .. }) => format!(
            "{name}: date_field `{column}`, by its name; update_detection content, so that a change without a new date is published, too"
        ),
        None => format!("{name}: no date_field: no column of dates is named like the time of a change; a row that differs is an update"),
    });
    if let Some(file) = &table.configured_file {
        lines.push(format!("{name}: file `{file}`: the table's name alone does not find it"));
    }
    if !table.null_values.is_empty() {
        lines.push(format!("{name}: null_values {}: without them columns would be text", quoted(&table.null_values)));
    }
    for (column, column_type) in &table.declared {
        let why = match column_type {
            ColumnType::Double => "numbers with a decimal comma",
            _ => "times with an offset, kept in UTC",
        };
        lines.push(format!("{name}: columns `{column}` {column_type}: {why}; otherwise it would be text"));
    }
    if let Some(encoding) = table.guessed_encoding() {
        lines.push(format!(
            "{name}: encoding {}, a guess from the whole text: look at a value with an accent",
            encoding.name()
        ));
    }
    lines
}

fn no_key(table: &TableSurvey) -> String {
    let nearest = table.keys.first();
    let nearest = nearest
        .map(|key| format!("; {} comes nearest ({} rows repeat it)", quoted(&key.columns), key.repeats))
        .unwrap_or_default();
    format!(
        "{}: no column and no pair of columns is unique and never null{nearest}: add the table by hand, with its `pk`",
        table.name
    )
}

fn no_keys(survey: &Survey) -> Error {
    if survey.tables.is_empty() {
        return Error::data("NoTables", "no file of the dataset can be a table")
            .hint("the reason is given for each file");
    }
    Error::data("NoKeys", "no table has a column, or a pair of columns, that is unique and never null")
        .hint("write the configuration by hand; `on_duplicate_key` says what becomes of repeated keys")
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
