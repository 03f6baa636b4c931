//! The first record of a CSV file: the names of its columns, checked.

use std::collections::BTreeMap;

use super::alike::{alike, difference, in_json, visible};
use super::records::Block;
use super::spec::TableSpec;
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
    if names.len() > MAX_COLUMNS {
        return Err(Error::data(
            "TooManyColumns",
            format!("`{file}` line {line} names {} columns, more than {MAX_COLUMNS}", names.len()),
        )
        .hint("check the table's `sep`; a table that wide has to be split at its source"));
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, name) in names.iter().enumerate() {
        let column = index + 1;
        if name.trim().is_empty() {
            return Err(Error::data("EmptyColumnName", format!("`{file}` line {line}: column {column} has no name"))
                .hint("name the column at the source (pandas: `to_csv(index=False)`)"));
        }
        if name.eq_ignore_ascii_case(OP_COLUMN) {
            return Err(Error::data(
                "ReservedColumnName",
                format!(
                    "`{file}` line {line}: column {column} is called `{name}`, which CDC files need for the operation"
                ),
            )
            .hint("rename the column at the source"));
        }
        if let Some(first) = seen.insert(name.to_lowercase(), column) {
            return Err(Error::data(
                "DuplicateColumnName",
                format!("`{file}` line {line}: columns {first} and {column} are both called `{name}` (case aside)"),
            )
            .hint("rename one of them at the source: query engines cannot tell them apart"));
        }
    }
    Ok(())
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
        None => {
            let names: Vec<String> = names.iter().map(|name| visible(name)).collect();
            error.hint(format!("its columns are: {}", names.join(", ")))
        }
    }
}
