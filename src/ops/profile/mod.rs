//! What a dataset looks like: its tables, their dialects and types, which columns could be a key, and which a date field.
//!
//! Each file is read as a stream, a few times over. In memory stays a sketch per column (`sketch.rs`) and, while a key is
//! being proven, a hash of each row's key: some 20 bytes a row, less than a run needs for the same table.

mod column;
mod dialect;
mod draft;
mod files;
mod first_row;
mod keys;
mod names;
mod sketch;
mod text;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use self::column::Profile;
pub use self::draft::{Draft, Origin};
use self::files::Candidate;
pub use self::keys::KeyCandidate;
use crate::error::{Error, Result};
use crate::pipeline::Progress;
use crate::source::archive::Archive;
use crate::table::{
    ColumnType, DEFAULT_DELIMITER, Dialect, Encoding, Escape, FileChoice, Header, TableFile, TableName, TableSpec,
};
use crate::workspace::Workspace;

/// What a dataset looks like.
#[derive(Debug, Serialize)]
pub struct Survey {
    /// The tables that a configuration can have, by name.
    pub tables: Vec<TableSurvey>,
    /// The files that cannot be tables, and why.
    pub left_out: Vec<LeftOut>,
}

/// A file that cannot be a table.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    /// The file's path in the archive or folder.
    pub file: String,
    /// What is in the way.
    pub error: Error,
}

/// What a table looks like.
#[derive(Debug, Serialize)]
pub struct TableSurvey {
    /// The table's name.
    #[serde(serialize_with = "displayed")]
    pub name: TableName,
    /// Its file's path in the archive or folder, or the pattern of several.
    pub file: String,
    /// What the configuration has to say as `file`; `None` where the table's name finds the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured_file: Option<String>,
    /// Its rows.
    pub rows: u64,
    /// Its delimiter; `None` for a file that is not text.
    pub delimiter: Option<char>,
    /// What is around its cells; `None` where quotes mean nothing, and for a file that is not text.
    pub quote: Option<char>,
    /// Whether backslashes escape.
    pub escaped: bool,
    /// Whether the file names its columns.
    pub has_header: bool,
    /// What speaks for the dialect, and what against a header.
    pub notes: Vec<String>,
    /// The encoding that it is in; `None` for a file that is not text.
    pub encoding: Option<Encoding>,
    /// Cell texts that stand for null.
    pub null_values: Vec<String>,
    /// Types that are not inferred but have to be declared.
    pub declared: BTreeMap<String, ColumnType>,
    /// Its columns, in the file's order.
    pub columns: Vec<ColumnSurvey>,
    /// The keys that were tried on all rows, the best one first.
    pub keys: Vec<KeyCandidate>,
    /// The columns of dates and times, the likeliest date field first.
    pub dates: Vec<DateCandidate>,
}

/// What a column looks like.
#[derive(Debug, Serialize)]
pub struct ColumnSurvey {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Rows without a value.
    pub nulls: u64,
    /// Distinct values; an estimate (some percent off) where `exact` is false.
    pub distinct: u64,
    /// Whether `distinct` was counted.
    pub exact: bool,
}

/// A column that could be the date field.
#[derive(Clone, Debug, Serialize)]
pub struct DateCandidate {
    /// Its name.
    pub column: String,
    /// The smallest value, as text.
    pub oldest: Option<String>,
    /// The greatest value, as text.
    pub newest: Option<String>,
    /// Rows without a value.
    pub nulls: u64,
    /// Whether its name says that it is the time of a row's last change.
    pub names_a_change: bool,
}

/// Looks at every table of the archive, or only at those in `only`.
///
/// # Errors
/// `NoTables` (kind `Data`) where nothing in the archive could be a table. What is wrong with single files is part of the
/// survey.
pub fn survey(archive: &Archive, only: &[String], workspace: &Workspace, progress: &dyn Progress) -> Result<Survey> {
    let (candidates, left_out) = files::candidates(archive);
    let mut found = Survey { tables: Vec::new(), left_out: if only.is_empty() { left_out } else { Vec::new() } };
    let wanted = |name: &TableName| only.is_empty() || only.iter().any(|only| only == name.as_str());
    for candidate in candidates.into_iter().filter(|candidate| wanted(&candidate.name)) {
        match table(archive, &candidate, workspace, progress) {
            Ok(table) => found.tables.push(table),
            Err(error) => found.left_out.push(LeftOut { file: candidate.path, error }),
        }
    }
    found.tables.sort_by(|a, b| a.name.cmp(&b.name));
    if found.tables.is_empty() && found.left_out.is_empty() {
        return Err(Error::data("NoTables", "there is no file of text or Parquet that is asked for")
            .hint("name another dataset, folder or zip; archives inside of it are not opened"));
    }
    Ok(found)
}

fn table(
    archive: &Archive,
    candidate: &Candidate,
    workspace: &Workspace,
    progress: &dyn Progress,
) -> Result<TableSurvey> {
    let name = candidate.name.clone();
    let file = archive.table(FileChoice { name: &name, file: candidate.file.as_deref() }, workspace)?;
    let beginning = file.beginning()?;
    let found = beginning.as_ref().map(|(text, _)| dialect::find(text));
    let mut spec = undecided(name, found.as_ref().map(|found| found.dialect).unwrap_or_default());
    spec.file.clone_from(&candidate.file);
    let headless = beginning.as_ref().and_then(|(text, _)| first_row::headless(text, spec.dialect));
    spec.header = headless.map(numbered).unwrap_or_default();
    let is_known = found.as_ref().is_none_or(|found| found.is_known);
    if candidate.doubtful && (!is_known || file.reading(|file| file.header(&spec))?.len() < 2) {
        return Err(files::prose(&candidate.path));
    }
    if !is_known {
        return Err(not_split(file.name()));
    }
    let mut profile = Profile::read(&file, &spec, progress)?;
    if profile.hidden.amend(&mut spec) {
        profile = Profile::read(&file, &spec, progress)?;
    }
    if profile.rows == 0 {
        return Err(crate::table::empty_table(file.name(), spec.name.as_str()));
    }
    let keys = keys::search(&file, &spec, &profile, progress)?;
    let reasons = found.map(|found| found.reasons);
    Ok(surveyed(&file, spec, reasons, beginning.map(|(_, encoding)| encoding), profile, keys))
}

fn surveyed(
    file: &TableFile,
    spec: TableSpec,
    reasons: Option<Vec<String>>,
    encoding: Option<Encoding>,
    profile: Profile,
    keys: Vec<KeyCandidate>,
) -> TableSurvey {
    let mut dates = profile.dates();
    dates.sort_by_key(|date| (!date.names_a_change, date.nulls, std::cmp::Reverse(date.newest.clone())));
    let is_text = reasons.is_some();
    let mut notes = reasons.unwrap_or_default();
    notes.extend((spec.header != Header::FirstLine).then(|| NO_HEADER.to_owned()));
    let Dialect { delimiter, quote, escape } = spec.dialect;
    TableSurvey {
        file: file.name().to_owned(),
        configured_file: spec.file,
        rows: profile.rows,
        delimiter: is_text.then(|| char::from(delimiter.unwrap_or(DEFAULT_DELIMITER))),
        quote: quote.filter(|_| is_text).map(char::from),
        escaped: escape == Escape::Backslash,
        has_header: spec.header == Header::FirstLine,
        notes,
        encoding: encoding.map(|encoding| known_of_all(encoding, file.detected())),
        null_values: spec.null_values,
        declared: spec.columns,
        columns: profile.columns(),
        keys,
        dates,
        name: spec.name,
    }
}

/// What the beginning did not show, reading all of it did. Files whose guesses differ have none that holds for all of them.
fn known_of_all(beginning: Encoding, detected: Option<Encoding>) -> Encoding {
    detected.unwrap_or(if matches!(beginning, Encoding::Other(_)) { Encoding::Utf8 } else { beginning })
}

/// What there is to say of a table whose first row looks like its others.
const NO_HEADER: &str = "header is `none`: its first row looks like data, not like a header; its columns are called column_1, column_2, … \
in the order of the file: rename them in `columns`, or take `header` and `columns` out if the first row is a header after all";

/// Names for so many columns, as nothing else names them.
fn numbered(columns: usize) -> Header {
    Header::Configured((1..=columns).map(|number| format!("column_{number}")).collect())
}

/// The error for a text that no dialect cuts into records.
fn not_split(file: &str) -> Error {
    Error::data("UnknownDelimiter", format!("`{file}`: no delimiter, quote and escape cut its first lines alike"))
        .hint("write the table by hand, with its `sep`, `quote`, `escape` and `pk`; or repair the lines that differ")
}

/// A table of which only name and dialect are known.
fn undecided(name: TableName, dialect: Dialect) -> TableSpec {
    TableSpec { dialect, max_deleted_fraction: 1.0, ..TableSpec::new(name, Vec::new()) }
}

fn unfit_name(stem: &str, is_wrong: &str) -> Error {
    Error::data("TableName", format!("`{stem}` cannot be the name of a table: it {is_wrong}"))
        .hint("rename the file at the source")
}

fn displayed<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
