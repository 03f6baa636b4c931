//! The first record of a CSV file: the names of its columns, checked.

use std::collections::BTreeMap;
use std::fmt;

use super::alike::{alike, difference, in_json, visible};
use super::cell;
use super::fold::fold;
use super::records::Block;
use super::spec::TableSpec;
use super::types::ColumnType;
use crate::error::{Error, Result};

/// The most columns that a table may have.
pub(crate) const MAX_COLUMNS: usize = 4096;

/// The column that CDC files add behind the table's own.
pub const OP_COLUMN: &str = "op";

/// Takes the names from the first record of `file`.
pub(crate) fn names(record: &Block<'_>, file: &str, spec: &TableSpec) -> Result<Vec<String>> {
    let names: Vec<String> = record.first().map(str::to_owned).collect();
    check(&names, file, record.lines.first().copied().unwrap_or(1))?;
    require(&names, file, spec)?;
    Ok(names)
}

/// Checks that the columns which the configuration names are there.
pub(crate) fn require(names: &[String], file: &str, spec: &TableSpec) -> Result<()> {
    let named = spec.pk.iter().map(|name| ("pk", name)).chain(spec.date_field.iter().map(|name| ("date_field", name)));
    for (role, column) in named {
        if !names.contains(column) {
            return Err(missing(role, column, names, file, spec));
        }
    }
    Ok(())
}

/// Refuses names, on this line, that no query engine could tell apart, or that the CDC files need.
pub(crate) fn check(names: &[String], file: &str, line: u64) -> Result<()> {
    let Some(wrong) = WrongName::first(names) else { return Ok(()) };
    let error = wrong.error(format!("`{file}` line {line}: {wrong}"));
    let hint = wrong.remedy();
    Err(match looks_like_data(names) {
        true => error.hint(format!("{hint}; {NO_HEADER}")),
        false => error.hint(hint),
    })
}

/// The first record of a file without a header must have a cell for each of `names`, and not be a header after all: a key that
/// is the name of its column is none.
pub(crate) fn refuse_header(record: &Block<'_>, names: &[String], file: &str, spec: &TableSpec) -> Result<()> {
    let line = record.lines.first().copied().unwrap_or(1);
    let cells: Vec<&str> = record.first().collect();
    if cells.len() != names.len() {
        let message = format!("`{file}` line {line}: {} fields where `columns` names {}", cells.len(), names.len());
        return Err(Error::data("RaggedRow", message).hint(format!(
            "name all columns of the file in `columns` of table `{}`, in its order, or check `sep`, `quote` and `escape`",
            spec.name
        )));
    }
    let is_name = |(cell, name): (&&str, &String)| fold(cell.trim()) == fold(name);
    let keys = || cells.iter().zip(names).filter(|(_, name)| spec.pk.contains(name));
    if spec.pk.is_empty() || !keys().all(is_name) {
        return Ok(());
    }
    let message =
        format!("`{file}` line {line}: the file has a header, which `header` of table `{}` denies", spec.name);
    Err(Error::data("HeaderFound", message)
        .hint("set the table's `header` to first_line, or leave it out; the types in `columns` stay"))
}

/// What is wrong with the names of a table's columns.
#[derive(Debug)]
pub(crate) enum WrongName {
    /// There are so many.
    TooMany(usize),
    /// The column of this number, from 1, has none.
    Empty(usize),
    /// The column of this number, from 1, has the name of the column that CDC files add.
    Reserved(usize, String),
    /// The columns of these numbers, from 1, have names that differ in case at the most.
    Twice(usize, usize, String),
}

impl WrongName {
    /// What is wrong first, if anything is.
    pub(crate) fn first(names: &[String]) -> Option<Self> {
        if names.len() > MAX_COLUMNS {
            return Some(Self::TooMany(names.len()));
        }
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        names.iter().zip(1..).find_map(|(name, column)| {
            if name.trim().is_empty() {
                return Some(Self::Empty(column));
            }
            if fold(name) == OP_COLUMN {
                return Some(Self::Reserved(column, name.clone()));
            }
            seen.insert(fold(name), column).map(|first| Self::Twice(first, column, name.clone()))
        })
    }

    fn error(&self, message: String) -> Error {
        match self {
            Self::TooMany(_) => Error::data("TooManyColumns", message),
            Self::Empty(_) => Error::data("EmptyColumnName", message),
            Self::Reserved(..) => Error::data("ReservedColumnName", message),
            Self::Twice(..) => Error::data("DuplicateColumnName", message),
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Self::TooMany(_) => "check the table's `sep`; a table that wide has to be split at its source",
            Self::Empty(1) => "name the column at the source (pandas: `to_csv(index=False)`)",
            Self::Empty(_) => "name the column at the source, or have its lines end without a delimiter",
            Self::Reserved(..) => "rename the column at the source",
            Self::Twice(..) => "rename one of them at the source: query engines cannot tell them apart",
        }
    }
}

impl fmt::Display for WrongName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(count) => write!(f, "it names {count} columns, more than {MAX_COLUMNS}"),
            Self::Empty(column) => write!(f, "column {column} has no name"),
            Self::Reserved(column, name) => {
                write!(f, "column {column} is called `{name}`, which CDC files need for the operation")
            }
            Self::Twice(first, column, name) => {
                write!(f, "columns {first} and {column} are both called `{name}` (case aside)")
            }
        }
    }
}

/// What may be the matter where the first line is no header.
const NO_HEADER: &str = "if the file has no header, set the table's `header` to none and name its columns in `columns`";

/// Years, which are names of columns in many tables.
const YEARS: std::ops::RangeInclusive<i64> = 1900..=2100;

/// Whether a name is a value such as a number or a date, and no year.
pub(crate) fn is_value(name: &str) -> bool {
    let is_year = name.parse().is_ok_and(|year: i64| YEARS.contains(&year));
    !is_year && cell::classify(name) != ColumnType::String
}

fn looks_like_data(names: &[String]) -> bool {
    names.iter().any(|name| is_value(name))
}

fn missing(role: &str, column: &str, names: &[String], file: &str, spec: &TableSpec) -> Error {
    let error = Error::data(
        "ColumnNotFound",
        format!("`{file}` has no column `{column}`, which `{role}` of table `{}` names", spec.name),
    );
    let other = [(';', "`;`"), (',', "`,`"), ('\t', "a tab"), ('|', "`|`")];
    let only = names.first().filter(|_| names.len() == 1);
    if let Some((_, shown)) = other.iter().find(|(c, _)| only.is_some_and(|name| name.contains(*c))) {
        return error.hint(format!("its first line looks separated by {shown}: set the table's `sep`"));
    }
    if let Some(name) = alike(column, names) {
        let (json, difference) = (in_json(name), difference(name, column));
        return error.hint(format!(
            "its column {json} looks the same and differs in {difference}: rename it at the source, or write {json} in the configuration"
        ));
    }
    match crate::near::near(column, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{}`?", visible(near))),
        None if looks_like_data(names) => error.hint(format!("its first line looks like data: {NO_HEADER}")),
        None => {
            let names: Vec<String> = names.iter().map(|name| visible(name)).collect();
            error.hint(format!("its columns are: {}", names.join(", ")))
        }
    }
}
