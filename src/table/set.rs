//! Several files of a snapshot that make one table, as Spark or a dataset by months writes it.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::file::PassError;
use super::findings::Findings;
use super::guess::Guesses;
use super::rows::Rows;
use super::schema::TableSchema;
use super::snapshot::TableFile;
use super::spec::TableSpec;
use crate::error::{Error, Result};

/// The number of a row's file lies above so many bits of its line.
const FILE_SHIFT: u32 = 40;

/// The files of one table, at least one, all Parquet or all text, in the order in which they are read.
pub struct FileSet {
    /// The pattern that found them, for messages.
    pattern: String,
    parts: Vec<TableFile>,
    /// The file that was not UTF-8 when it was read last.
    foreign: OnceLock<usize>,
    /// The files that have no header, and so no rows.
    blank: Mutex<BTreeSet<usize>>,
    /// The files that had no row when they were read last.
    rowless: Mutex<BTreeSet<usize>>,
}

impl FileSet {
    /// These files, found by `pattern`.
    pub(super) fn new(pattern: &str, parts: Vec<TableFile>) -> Self {
        Self {
            pattern: pattern.to_owned(),
            parts,
            foreign: OnceLock::new(),
            blank: Mutex::default(),
            rowless: Mutex::default(),
        }
    }

    /// The pattern, for messages.
    pub(super) fn name(&self) -> &str {
        &self.pattern
    }

    /// The files.
    pub fn parts(&self) -> &[TableFile] {
        &self.parts
    }

    /// The column names of the first file, which all others must have.
    pub(super) fn header(&self, spec: &TableSpec) -> Result<Vec<String>, PassError> {
        let mut first: Option<(&str, Vec<String>)> = None;
        self.each(|_, part| {
            let names = part.header(spec)?;
            match &first {
                None => first = Some((part.name(), names)),
                Some((first, expected)) => same_columns(first, expected, part.name(), &names)?,
            }
            Ok(())
        })?;
        Ok(first.map(|(_, names)| names).unwrap_or_default())
    }

    /// The narrowest schema that holds all files and everything that `stored` held.
    pub(super) fn infer(&self, spec: &TableSpec, stored: Option<&TableSchema>) -> Result<TableSchema, PassError> {
        let source = self.header(spec)?;
        let mut guesses = Guesses::default();
        let mut typed: Option<TableSchema> = None;
        self.each(|_, part| match part {
            TableFile::Csv(file) => file.learn(spec, stored, &mut guesses),
            other => {
                typed = Some(other.infer(spec, typed.as_ref().or(stored))?);
                Ok(())
            }
        })?;
        let schema = typed.unwrap_or_else(|| guesses.schema(stored));
        Ok(TableSchema { source, ..schema })
    }

    /// Reads all rows of all files in `schema`. The lines are those of [`Self::at`].
    pub(super) fn read(
        &self,
        spec: &TableSpec,
        schema: &TableSchema,
        each: &mut dyn FnMut(Rows) -> Result<()>,
    ) -> Result<Findings, PassError> {
        let mut findings = Findings::default();
        let mut with_rows = BTreeSet::new();
        self.each(|number, part| {
            findings.merge(part.read(spec, schema, &mut |mut rows| {
                with_rows.insert(number);
                rows.lines.iter_mut().for_each(|line| *line |= (number as u64) << FILE_SHIFT);
                each(rows)
            })?);
            Ok(())
        })?;
        let rowless = (0..self.parts.len()).filter(|number| !with_rows.contains(number)).collect();
        *self.rowless.lock().unwrap_or_else(PoisonError::into_inner) = rowless;
        Ok(findings)
    }

    /// The names of the files that have rows, as far as they were read.
    pub(super) fn with_rows(&self) -> Vec<String> {
        let rowless = self.rowless.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = self.parts.iter().enumerate().filter(|(number, _)| !rowless.contains(number));
        parts.map(|(_, part)| part.name().to_owned()).collect()
    }

    /// The file and the line that the line of a row of [`Self::read`] means.
    pub(super) fn at(&self, line: u64) -> (&str, u64) {
        let number = usize::try_from(line >> FILE_SHIFT).unwrap_or(usize::MAX);
        let name = self.parts.get(number).map_or(self.name(), TableFile::name);
        (name, line & ((1 << FILE_SHIFT) - 1))
    }

    /// Learns the encoding of each file that is not UTF-8, from the one on that showed it.
    pub(super) fn detect_encoding(&self) -> Result<()> {
        for part in &self.parts[self.foreign.get().copied().unwrap_or_default()..] {
            if let TableFile::Csv(file) = part
                && !file.is_utf8()?
            {
                file.detect_encoding()?;
            }
        }
        Ok(())
    }

    /// What there is to say of files that were passed over.
    pub(super) fn warnings(&self) -> Vec<String> {
        let blank = self.blank.lock().unwrap_or_else(PoisonError::into_inner);
        let warning =
            |part: &TableFile| format!("`{}` is empty, without even a header: it was passed over", part.name());
        blank.iter().filter_map(|number| Some(warning(self.parts.get(*number)?))).collect()
    }

    /// Does something with each file but those that hold not even a header. Where all are such, the table is empty.
    fn each<'s>(
        &'s self,
        mut work: impl FnMut(usize, &'s TableFile) -> Result<(), PassError>,
    ) -> Result<(), PassError> {
        let mut done = 0_usize;
        let mut empty = None;
        for (number, part) in self.parts.iter().enumerate() {
            match work(number, part) {
                Ok(()) => done += 1,
                Err(PassError::Fatal(error)) if error.code() == "EmptyTable" => {
                    self.blank.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
                    empty = Some(error);
                }
                Err(PassError::NotUtf8) => {
                    self.foreign.get_or_init(|| number);
                    return Err(PassError::NotUtf8);
                }
                Err(error) => return Err(error),
            }
        }
        empty.filter(|_| done == 0).map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Fails where the columns of one file are not those of the first, in whatever order.
fn same_columns(first: &str, expected: &[String], file: &str, names: &[String]) -> Result<()> {
    let missing = expected.iter().find(|name| !names.contains(name)).map(|name| (file, name, first));
    let extra = names.iter().find(|name| !expected.contains(name)).map(|name| (first, name, file));
    match missing.or(extra) {
        None => Ok(()),
        Some((without, name, with)) => Err(Error::data(
            "HeadersDiffer",
            format!("`{without}` has no column `{name}`, which `{with}` has: both are files of one table"),
        )
        .hint("narrow `tables[].file` down to files of the same columns, or repair the header at the source")),
    }
}
