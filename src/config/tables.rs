//! The `tables` of the configuration.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::faults::Faults;
use super::keys;
use super::section::Section;
use crate::table::{
    ColumnType, DEFAULT_DELIMITER, Dialect, Encoding, Escape, Header, OnDuplicateKey, OnNullKey, SchemaPolicy,
    TableName, TableSpec, UpdateDetection, WrongName, fold,
};

pub(super) const UPDATE_DETECTION: [(&str, UpdateDetection); 2] =
    [("date", UpdateDetection::Date), ("content", UpdateDetection::Content)];

/// The labels that a misspelt one is held against; many more are known.
const COMMON_ENCODINGS: [&str; 16] = [
    "auto",
    "utf-8",
    "utf-16",
    "latin-1",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "shift_jis",
    "euc-jp",
    "gbk",
    "gb18030",
    "big5",
    "euc-kr",
];

pub(super) const ON_DUPLICATE_KEY: [(&str, OnDuplicateKey); 3] =
    [("fail", OnDuplicateKey::Fail), ("first", OnDuplicateKey::First), ("last", OnDuplicateKey::Last)];

pub(super) const ON_NULL_KEY: [(&str, OnNullKey); 2] = [("fail", OnNullKey::Fail), ("drop", OnNullKey::Drop)];

pub(super) const SCHEMA: [(&str, SchemaPolicy); 2] =
    [("evolve", SchemaPolicy::Evolve), ("freeze", SchemaPolicy::Freeze)];

/// Where the names of the columns are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NamesFrom {
    FirstLine,
    Columns,
}

pub(super) const HEADER: [(&str, NamesFrom); 2] = [("first_line", NamesFrom::FirstLine), ("none", NamesFrom::Columns)];

/// In place of a type, for one that is inferred.
const AUTO: &str = "auto";

pub(super) const ESCAPE: [(&str, Escape); 2] = [("doubled", Escape::Doubled), ("\\", Escape::Backslash)];

const NO_QUOTE: &str = "none";
const DEFAULT_MAX_DELETED_FRACTION: f64 = 0.5;

/// The tables in their configured order; those with faults are left out, their faults noted.
pub(super) fn tables(root: &Section<'_>, faults: &Faults) -> Vec<TableSpec> {
    if !root.has("tables") {
        root.fault("tables", "is missing");
    }
    let items = root.list("tables").unwrap_or_default();
    if items.is_empty() && root.value("tables").is_some_and(Value::is_array) {
        root.fault("tables", "is empty: name at least one table");
    }
    refuse_equal_names(&items, faults);
    let known = keys::names(&keys::TABLE);
    items.iter().filter_map(|(path, item)| table(&Section::of(item, path, &known, faults)?)).collect()
}

/// Names that differ only in case would be one folder on some file systems and one table in some catalogs.
fn refuse_equal_names(items: &[(String, &Value)], faults: &Faults) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (path, item) in items {
        let Some(name) = item.get("name").and_then(Value::as_str).map(str::trim) else { continue };
        if let Some(first) = seen.get(&fold(name)) {
            faults
                .add(&format!("{path}.name"), format!("is `{name}`, the same table as {first} (case does not count)"));
        } else {
            seen.insert(fold(name), path);
        }
    }
}

fn table(section: &Section<'_>) -> Option<TableSpec> {
    // Every key is read before the first missing one ends the table, so that each fault is noted.
    let name = name(section);
    let file = file(section);
    let dialect = dialect(section);
    let pk = pk(section);
    let date_field = date_field(section, pk.as_deref());
    let update_detection = update_detection(section, date_field.as_deref());
    let (names, columns) = columns(section);
    let header = header(section, names, pk.as_deref().unwrap_or_default(), date_field.as_deref());
    let encoding = encoding(section);
    let null_values = section.texts("null_values").unwrap_or_default();
    let on_duplicate_key = section.choice("on_duplicate_key", &ON_DUPLICATE_KEY).unwrap_or(OnDuplicateKey::Fail);
    let on_null_key = section.choice("on_null_key", &ON_NULL_KEY).unwrap_or(OnNullKey::Fail);
    let schema = section.choice("schema", &SCHEMA).unwrap_or(SchemaPolicy::Evolve);
    let max_deleted_fraction = max_deleted_fraction(section);
    Some(TableSpec {
        name: name?,
        file: file?,
        dialect: dialect?,
        header,
        encoding,
        null_values,
        pk: pk?,
        date_field,
        update_detection,
        on_duplicate_key,
        on_null_key,
        max_deleted_fraction,
        columns,
        schema,
    })
}

/// Any label that `encoding_rs` knows; `auto` is as good as none.
fn encoding(section: &Section<'_>) -> Option<Encoding> {
    let label = section.text("encoding").filter(|label| !label.eq_ignore_ascii_case("auto"))?;
    let found = Encoding::from_label(label);
    if label.to_ascii_lowercase().replace(['-', '_'], "").starts_with("utf32") {
        section.fault(
            "encoding",
            format!("is `{label}`, which is not read; have the file published as UTF-8, or convert it"),
        );
    } else if found.is_none() {
        let meant = crate::near::near(label, COMMON_ENCODINGS);
        let meant = meant.map_or_else(
            || "use a label such as utf-8, windows-1252 or shift_jis".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        section.fault("encoding", format!("is `{label}`, which is no encoding; {meant}"));
    }
    found
}

fn name(section: &Section<'_>) -> Option<TableName> {
    let text = section.required_text("name")?;
    TableName::parse(text).map_err(|is_wrong| section.fault("name", format!("is `{text}`, which {is_wrong}"))).ok()
}

/// A path or a pattern, as it is written: blanks around it may be part of a name.
fn file(section: &Section<'_>) -> Option<Option<String>> {
    let Some(text) = section.raw_text("file") else {
        return (!section.has("file")).then_some(None);
    };
    if text.trim().is_empty() {
        section.fault("file", "is empty: name a path within the dataset, or leave it away");
        return None;
    }
    Some(Some(text.to_owned()))
}

fn dialect(section: &Section<'_>) -> Option<Dialect> {
    let (delimiter, quote) = (delimiter(section), quote(section));
    let escape = section.choice("escape", &ESCAPE).unwrap_or_default();
    let dialect = Dialect { delimiter: delimiter?, quote: quote?, escape };
    let separates = dialect.delimiter.unwrap_or(DEFAULT_DELIMITER);
    if dialect.quote == Some(separates) {
        section.fault("quote", "is the delimiter, too: see `sep`");
    }
    if escape == Escape::Backslash && separates == b'\\' {
        section.fault("escape", "is the delimiter, too: see `sep`");
    }
    Some(dialect)
}

/// One character that can delimit; `None` in it where the key is not there.
fn delimiter(section: &Section<'_>) -> Option<Option<u8>> {
    let Some(text) = section.raw_text("sep") else {
        return (!section.has("sep")).then_some(None);
    };
    let found = match text.as_bytes() {
        b"tab" | b"\\t" => Some(b'\t'),
        [byte] if Dialect::can_delimit(*byte) => Some(*byte),
        _ => None,
    };
    if found.is_none() {
        section.fault("sep", format!("is {text:?}: it must be one character such as `,` `;` `|`, or `tab`"));
    }
    found.map(Some)
}

/// One punctuation character of ASCII; `None` in it for no quotes at all.
fn quote(section: &Section<'_>) -> Option<Option<u8>> {
    let Some(text) = section.raw_text("quote") else {
        return (!section.has("quote")).then_some(Dialect::default().quote);
    };
    match text.as_bytes() {
        [byte] if byte.is_ascii_punctuation() && *byte != b'\\' => Some(Some(*byte)),
        _ if text.trim().eq_ignore_ascii_case(NO_QUOTE) => Some(None),
        _ => {
            section.fault("quote", format!("is {text:?}: it must be one character such as `\"` or `'`, or `none`"));
            None
        }
    }
}

fn pk(section: &Section<'_>) -> Option<Vec<String>> {
    if !section.has("pk") {
        section.fault("pk", "is missing: name the key column, or a list of them");
    }
    let pk = section.texts("pk")?;
    if pk.is_empty() || pk.iter().any(|column| column.trim().is_empty()) {
        section.fault("pk", "is empty: name the key column, or a list of them");
        return None;
    }
    let mut seen = BTreeSet::new();
    for column in pk.iter().filter(|column| !seen.insert(column.as_str())) {
        section.fault("pk", format!("names the column `{column}` twice"));
    }
    Some(pk)
}

fn date_field(section: &Section<'_>, pk: Option<&[String]>) -> Option<String> {
    let field = section.raw_text("date_field").filter(|field| !field.trim().is_empty())?;
    if pk.is_some_and(|pk| pk.iter().any(|column| column == field)) {
        section.fault("date_field", format!("is `{field}`, which is part of the key and so never changes"));
    }
    Some(field.to_owned())
}

fn update_detection(section: &Section<'_>, date_field: Option<&str>) -> UpdateDetection {
    let default = if date_field.is_some() { UpdateDetection::Date } else { UpdateDetection::Content };
    if section.text("update_detection").is_some_and(|text| text.eq_ignore_ascii_case("either")) {
        section.fault("update_detection", "is `either`, which is now called `content`: any other column differs");
        return default;
    }
    let mode = section.choice("update_detection", &UPDATE_DETECTION).unwrap_or(default);
    let date_field_is_faulty = section.value("date_field").is_some_and(|value| !value.is_string());
    if mode != UpdateDetection::Content && date_field.is_none() && !date_field_is_faulty {
        section.fault("update_detection", "needs a `date_field`; use `content` for a table without one");
    }
    mode
}

/// The names of the columns in the order of the document, and the types of those that have one.
fn columns(section: &Section<'_>) -> (Vec<String>, BTreeMap<String, ColumnType>) {
    let Some(columns) = section.map("columns") else { return Default::default() };
    let typed = columns.keys().filter_map(|column| Some((column.to_owned(), column_type(&columns, column)?)));
    (columns.keys().map(str::to_owned).collect(), typed.collect())
}

fn column_type(columns: &Section<'_>, column: &str) -> Option<ColumnType> {
    if !columns.has(column) {
        columns.fault(column, "must be a column type, not null");
    }
    columns
        .raw_text(column)
        .filter(|text| !text.trim().eq_ignore_ascii_case(AUTO))?
        .parse()
        .map_err(|is_wrong: String| columns.fault(column, format!("is wrong: {is_wrong}")))
        .ok()
}

/// Where the names come from. Without a header `names` are all of them, so that what else names columns must name one of these.
fn header(section: &Section<'_>, names: Vec<String>, pk: &[String], date_field: Option<&str>) -> Header {
    if section.choice("header", &HEADER).unwrap_or(NamesFrom::FirstLine) == NamesFrom::FirstLine {
        return Header::FirstLine;
    }
    if names.is_empty() {
        section.fault("header", "is `none`, so `columns` must name all columns of the file in their order (type `auto` where it is to be inferred)");
    } else if let Some(wrong) = WrongName::first(&names) {
        section.fault("columns", format!("names the columns of a file without a header: {wrong}"));
    }
    let is_unknown = |column: &&str| !names.is_empty() && !names.iter().any(|name| name == column);
    let named = pk.iter().map(|column| ("pk", column.as_str())).chain(date_field.map(|column| ("date_field", column)));
    for (key, column) in named.filter(|(_, column)| is_unknown(column)) {
        section.fault(
            key,
            format!("names `{column}`, which is not in `columns`: without a header all columns are named there"),
        );
    }
    Header::Configured(names)
}

fn max_deleted_fraction(section: &Section<'_>) -> f64 {
    let fraction = section.number("max_deleted_fraction").unwrap_or(DEFAULT_MAX_DELETED_FRACTION);
    if !(0.0..=1.0).contains(&fraction) {
        section.fault("max_deleted_fraction", format!("is {fraction}: it must be a share from 0 to 1"));
    }
    fraction
}
