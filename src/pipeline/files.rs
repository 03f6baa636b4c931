//! The files of a table in a new snapshot, held against those that it was read from before.

use crate::error::{Error, Result};
use crate::source::archive::Archive;
use crate::source::archive::paths::{base_name, composed, depth, normal};
use crate::table::{GoneFile, Provenance, TableFile, TableSchema, TableSpec};
use crate::workspace::Workspace;

/// The file of a table, and what there is to say of where it was found.
pub(super) struct FoundFile {
    pub(super) file: TableFile,
    pub(super) warnings: Vec<String>,
}

/// What is known of a table before its file is looked for.
pub(super) struct Known<'a> {
    pub(super) spec: &'a TableSpec,
    /// The schema of the base; `None` before the first run.
    pub(super) stored: Option<&'a TableSchema>,
    /// What the base was read from.
    pub(super) before: &'a Provenance,
    /// Whether the table may lose its file or read another.
    pub(super) approved: bool,
    /// Whether the base has no rows, which was approved then: a file without rows has nothing to take from it.
    pub(super) empty: bool,
}

/// Finds the table's file. One that is gone or holds nothing is a table without rows where that is approved, and where it had no
/// rows before.
///
/// # Errors
/// `FileMoved` (kind `Data`) where another file than before would be read in its place, and those of [`Archive::table`].
pub(super) fn find(archive: &Archive, known: &Known<'_>, workspace: &Workspace) -> Result<FoundFile> {
    let file = match archive.table(known.spec, workspace) {
        Ok(file) => file,
        Err(error) if error.code() == "TableMissing" => return known.gone(error, None),
        Err(error) => return Err(error),
    };
    file.remember(known.before);
    let warnings: Vec<String> = known.moved(&file)?.into_iter().collect();
    match known.may_be_gone().then(|| file.reading(|file| file.header(known.spec))) {
        Some(Err(error)) if error.code() == "EmptyTable" => known.gone(error, Some(&file)),
        _ => Ok(FoundFile { file, warnings }),
    }
}

impl Known<'_> {
    fn may_be_gone(&self) -> bool {
        self.approved || self.empty
    }

    /// A table without rows in place of what is missing or empty, if it may be. The file that was found, or else the one
    /// before, is remembered.
    fn gone(&self, error: Error, found: Option<&TableFile>) -> Result<FoundFile> {
        let Some(stored) = self.stored.filter(|_| self.may_be_gone()) else { return Err(self.with_approval(error)) };
        let files = found.map_or_else(|| self.before.files.clone(), |file| file.provenance().files);
        let name = files.first().cloned().unwrap_or_else(|| self.spec.name.to_string());
        let file = GoneFile::new(name, stored.clone(), Provenance { files, ..self.before.clone() });
        let warnings = match self.empty {
            true => vec![format!("{error}: the table has had no rows since that was approved, so nothing is lost")],
            false => vec![format!("{error}: as approved, the table has no rows now")],
        };
        Ok(FoundFile { file: TableFile::Gone(file), warnings })
    }

    /// A table that is in the lake may really have lost its file.
    fn with_approval(&self, error: Error) -> Error {
        match error.advice().filter(|_| self.stored.is_some() && error.code() == "TableMissing").map(str::to_owned) {
            Some(hint) => error.hint(format!("{hint}; if the table is really gone, run once with `approve_deletes`")),
            None => error,
        }
    }

    /// Refuses a file that is not where the table's was, unless it is in a better place.
    fn moved(&self, file: &TableFile) -> Result<Option<String>> {
        let (name, new) = (&self.spec.name, file.name());
        let before: Vec<String> = self.before.files.iter().map(|path| normal(path)).collect();
        let Some(old) = before.first().filter(|_| self.spec.file.is_none() && !before.iter().any(|path| path == new))
        else {
            return Ok(None);
        };
        if self.approved || is_better(old, new, name.as_str()) {
            return Ok(Some(format!("the table is read from `{new}` now; before, it was `{old}`")));
        }
        Err(Error::data(
            "FileMoved",
            format!("table `{name}` was read from `{old}`, which is gone; `{new}` would be read in its place"),
        )
        .hint(format!(
            "if `{new}` is the table now and no older copy, run once with `approve_deletes`; or name the file with `tables[].file` (a pattern such as `**/{}` lets its folder change)",
            base_name(new)
        )))
    }
}

/// Whether of two files that could be the table `new` is nearer to the top or spelled like it, and in nothing worse.
fn is_better(old: &str, new: &str, table: &str) -> bool {
    let table = composed(table);
    let ending = |path: &str| base_name(path).to_lowercase().strip_prefix(&table.to_lowercase()).map(str::to_owned);
    let spelled = |path: &str| base_name(path).starts_with(&table);
    let (old_rank, new_rank) = ((depth(old), !spelled(old)), (depth(new), !spelled(new)));
    ending(old).is_some()
        && ending(old) == ending(new)
        && new_rank.0 <= old_rank.0
        && new_rank.1 <= old_rank.1
        && new_rank != old_rank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_is_in_nothing_worse_is_better() {
        for (old, new) in [("a/t.csv", "t.csv"), ("a/b/t.csv", "c/t.csv"), ("T.csv", "t.csv"), ("a/T.CSV", "t.csv")] {
            assert!(is_better(old, new, "t"), "{old} to {new}");
        }
        for (old, new) in [
            ("t.csv", "a/t.csv"),
            ("a/t.csv", "b/t.csv"),
            ("t.csv", "T.csv"),
            ("a/t.csv", "T.csv"),
            ("T.csv", "a/t.csv"),
            ("t.csv", "t.csv.gz"),
            ("a/t.csv", "t.parquet"),
        ] {
            assert!(!is_better(old, new, "t"), "{old} to {new}");
        }
    }
}
