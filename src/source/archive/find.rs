//! Which of a dataset's files are those of a table.

use super::paths::{base_name, composed, depth, is_clutter, normal};
use super::pattern::Pattern;
use crate::error::{Error, Result};
use crate::table::{FileChoice, TableName};

/// The formats that a table's file can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    GzippedText,
    Parquet,
}

/// The ends of the names under which a table is looked for where the configuration names no file.
pub(super) const NAMED: [(&str, Format); 3] =
    [(".csv", Format::Text), (".csv.gz", Format::GzippedText), (".parquet", Format::Parquet)];

impl Format {
    /// That of a file whatever its name, by the end of it.
    pub(super) fn of(path: &str) -> Self {
        let lower = path.to_lowercase();
        match () {
            () if lower.ends_with(".parquet") => Self::Parquet,
            () if lower.ends_with(".gz") => Self::GzippedText,
            () => Self::Text,
        }
    }
}

/// The files of a table among those with the paths `names`, all in their normal form, by the order of their paths. Several
/// are given only where the configuration has a pattern.
///
/// # Errors
/// `TableMissing`, `AmbiguousTable` and `MixedFormats` (kind `Data`).
pub(super) fn find(names: &[&str], choice: FileChoice<'_>) -> Result<Vec<(usize, Format)>> {
    match choice.file {
        Some(file) => configured(names, choice.name, file),
        None => by_name(names, choice.name).map(|found| vec![found]),
    }
}

fn configured(names: &[&str], table: &TableName, file: &str) -> Result<Vec<(usize, Format)>> {
    let wanted = normal(file);
    let those = |is_wanted: &dyn Fn(&str) -> bool| -> Vec<(usize, Format)> {
        let found = names.iter().enumerate().filter(|(_, name)| is_wanted(name));
        found.map(|(index, name)| (index, Format::of(name))).collect()
    };
    let exact = those(&|name| name == wanted);
    match exact.as_slice() {
        [] => {}
        [_] => return Ok(exact),
        [first, second, ..] => return Err(ambiguous(names, table, first.0, second.0)),
    }
    let pattern = Pattern::parse(&wanted);
    let mut found = those(&|name| pattern.matches(name));
    found.sort_by_key(|(index, _)| names[*index]);
    let parquet = |(_, format): &&(usize, Format)| *format == Format::Parquet;
    match (found.iter().find(parquet), found.iter().find(|found| !parquet(found))) {
        (None, None) => Err(none_configured(names, table, &wanted)),
        (Some((one, _)), Some((other, _))) => Err(mixed(table, names[*one], names[*other])),
        _ => Ok(found),
    }
}

/// `{name}.csv`, `{name}.csv.gz` or `{name}.parquet` at any depth: in the exact spelling first, then nearest to the top.
fn by_name(names: &[&str], table: &TableName) -> Result<(usize, Format)> {
    let name = composed(table.as_str());
    let folded_name = name.to_lowercase();
    let exact = |base: &str, ending: &str| base.strip_suffix(ending) == Some(name.as_str());
    let folded = |base: &str, ending: &str| base.to_lowercase().strip_suffix(ending) == Some(folded_name.as_str());
    let matching = |same: &dyn Fn(&str, &str) -> bool| -> Vec<(usize, Format)> {
        let format =
            |path: &str| NAMED.iter().find(|(ending, _)| same(base_name(path), ending)).map(|(_, format)| *format);
        let ours = names.iter().enumerate().filter(|(_, path)| !path.starts_with("__MACOSX/"));
        ours.filter_map(|(index, path)| Some((index, format(path)?))).collect()
    };
    let mut found = matching(&exact);
    if found.is_empty() {
        found = matching(&folded);
    }
    found.sort_by_key(|(index, _)| depth(names[*index]));
    match found.as_slice() {
        [] => Err(none_by_name(names, table)),
        [one] => Ok(*one),
        [first, second, ..] if depth(names[first.0]) < depth(names[second.0]) => Ok(*first),
        [first, second, ..] => Err(ambiguous(names, table, first.0, second.0)),
    }
}

fn ambiguous(names: &[&str], table: &TableName, first: usize, second: usize) -> Error {
    Error::data("AmbiguousTable", format!("table `{table}` could be `{}` or `{}`", names[first], names[second]))
        .hint("name the one with `tables[].file`, or remove or rename one of the two files at the source")
}

fn mixed(table: &TableName, one: &str, other: &str) -> Error {
    Error::data(
        "MixedFormats",
        format!("table `{table}` has files of two formats: `{one}` is Parquet, `{other}` is text"),
    )
    .hint("narrow `tables[].file` down to those of one format")
}

fn none_configured(names: &[&str], table: &TableName, file: &str) -> Error {
    let error = Error::data(
        "TableMissing",
        format!("the snapshot has no file `{file}`, which `file` of table `{table}` names"),
    );
    if names.iter().any(|name| name.starts_with(&format!("{file}/"))) {
        return error.hint(format!("`{file}` is a folder: write `{file}/*` to read its files; nothing was deleted"));
    }
    let others = || names.iter().copied().filter(|name| !is_clutter(name));
    let tables = || others().filter(|name| can_be_table(name));
    let same_base = tables().find(|name| base_name(name).to_lowercase() == base_name(file).to_lowercase());
    match same_base.or_else(|| crate::near::near(file, tables())) {
        Some(near) => error.hint(format!("did you mean `{near}`? nothing was deleted")),
        None => error.hint(there_are(&others().collect::<Vec<_>>())),
    }
}

fn none_by_name(names: &[&str], table: &TableName) -> Error {
    let error =
        Error::data("TableMissing", format!("the snapshot has no file `{table}.csv` (nor .csv.gz, nor .parquet)"));
    let others = || names.iter().copied().filter(|name| !is_clutter(name));
    let stem = |name: &str| base_name(name).split('.').next().map(str::to_lowercase);
    if let Some(other) = others().find(|name| stem(name) == Some(table.as_str().to_lowercase()) && can_be_table(name)) {
        return error
            .hint(format!("if `{other}` is the table, set `tables[].file` to \"{other}\"; nothing was deleted"));
    }
    let near = crate::near::near(&format!("{table}.csv"), others().filter(|name| can_be_table(name)).map(base_name));
    match (near, others().find(|name| is_archive(name))) {
        (Some(near), _) => error.hint(format!(
            "did you mean `{near}`? A table's `name` is its file's, without `.csv`, or `tables[].file` names the file; nothing was deleted"
        )),
        (None, Some(nested)) => error.hint(format!(
            "archives inside the archive are not opened: unpack `{nested}` at the source, or unpack it here and give the folder to `--skip-download`"
        )),
        (None, None) => error.hint(there_are(&others().collect::<Vec<_>>())),
    }
}

/// Whether the name may be that of a table: nothing else is said to be meant.
fn can_be_table(name: &str) -> bool {
    const FOREIGN: [&str; 12] =
        [".xlsx", ".xls", ".json", ".jsonl", ".xml", ".avro", ".orc", ".feather", ".sqlite", ".pdf", ".md", ".html"];
    let lower = name.to_lowercase();
    !is_archive(name) && !FOREIGN.iter().any(|ending| lower.ends_with(ending))
}

/// Whether the name is that of an archive, which is not opened.
pub(super) fn is_archive(name: &str) -> bool {
    let lower = name.to_lowercase();
    [".zip", ".7z", ".rar", ".tar", ".tar.gz", ".tgz"].iter().any(|ending| lower.ends_with(ending))
}

fn there_are(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    let there =
        if shown.is_empty() { "it has no files".to_owned() } else { format!("it has {}{more}", shown.join(", ")) };
    format!("{there}: check the table's `name` or `file`, and the dataset; nothing was deleted")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], table: &str, file: Option<&str>) -> Result<Vec<String>> {
        let table = TableName::parse(table).unwrap();
        let found = find(names, FileChoice { name: &table, file })?;
        Ok(found.into_iter().map(|(index, _)| names[index].to_owned()).collect())
    }

    #[track_caller]
    fn missed(names: &[&str], table: &str, file: Option<&str>, code: &str) -> String {
        let error = found(names, table, file).unwrap_err();
        assert_eq!(error.code(), code);
        format!("{error} {}", error.advice().unwrap())
    }

    #[test]
    fn a_text_that_is_a_path_is_that_file_and_no_pattern() {
        let names = ["data[1].csv", "data1.csv", "a*.csv", "ab.csv"];
        assert_eq!(found(&names, "t", Some("data[1].csv")).unwrap(), ["data[1].csv"]);
        assert_eq!(found(&names, "t", Some("./a*.csv")).unwrap(), ["a*.csv"]);
        assert_eq!(found(&names[1..], "t", Some("data[1].csv")).unwrap(), ["data1.csv"]);
    }

    #[test]
    fn files_of_a_pattern_come_by_their_paths() {
        let names = ["s/part-2.csv", "s/_SUCCESS", "s/part-1.csv.gz", "s/.part-1.csv.crc"];
        assert_eq!(found(&names, "t", Some("s/*")).unwrap(), ["s/part-1.csv.gz", "s/part-2.csv"]);
        missed(&["a.csv", "b.parquet"], "t", Some("*"), "MixedFormats");
    }

    #[test]
    fn the_name_in_composed_and_decomposed_accents_is_one() {
        let file = normal("x/ac\u{327}a\u{303}o.csv");
        assert_eq!(found(&[&file], "ação", None).unwrap(), ["x/ação.csv"]);
        assert_eq!(found(&["ação.csv"], "ac\u{327}a\u{303}o", None).unwrap(), ["ação.csv"]);
    }

    #[test]
    fn what_is_missing_is_told_with_what_is_near() {
        let hint = missed(&["train/data.csv"], "t", Some("data.csv"), "TableMissing");
        assert!(hint.contains("did you mean `train/data.csv`?"), "{hint}");
        let hint = missed(&["sales.csv/part-0"], "t", Some("sales.csv"), "TableMissing");
        assert!(hint.contains("`sales.csv/*`"), "{hint}");
        let hint = missed(&["data.tsv"], "data", None, "TableMissing");
        assert!(hint.contains("set `tables[].file` to \"data.tsv\""), "{hint}");
        let hint = missed(&["data.xlsx"], "data", None, "TableMissing");
        assert!(hint.contains("it has `data.xlsx`") && !hint.contains("set `tables[].file`"), "{hint}");
        let hint = missed(&["a/t.csv", "b/t.csv"], "t", None, "AmbiguousTable");
        assert!(hint.contains("`tables[].file`"), "{hint}");
    }
}
