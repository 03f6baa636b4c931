//! What reading all texts of a table has shown beside its values.

use super::file::PassError;
use super::number::Formats;
use super::schema::{Column, TableSchema};
use super::spec::TableSpec;
use crate::error::{Error, Result};

/// What was found out about each column of the schema that the table was read in. Nothing is known of a Parquet file's.
#[derive(Clone, Debug, Default)]
pub struct Findings(Vec<Finding>);

/// What was found out about one column.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finding {
    /// How its doubles are written, where their type was inferred.
    pub(crate) formats: Formats,
    /// Whether whole numbers of a key are written as `1.0`.
    pub(crate) pointed: bool,
    /// What parts whole and fraction, where the type is declared.
    pub(crate) separators: Separators,
}

/// What parts the whole and the fraction of a column's numbers: a comma or a point, but not both.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Separators {
    comma: bool,
    point: bool,
    /// Whether the digits behind a comma are not three, so that commas cannot group thousands.
    no_thousands: bool,
}

impl Separators {
    /// Takes a number; `false` where one of the two kinds meets the other.
    pub(crate) fn admit(&mut self, text: &str) -> bool {
        if let Some((_, fraction)) = text.split_once(',') {
            self.comma = true;
            self.no_thousands |= fraction.trim_end().len() != 3;
        }
        self.point |= text.contains('.');
        !self.are_mixed()
    }

    /// Whether some numbers have a comma and others a point.
    pub(crate) fn are_mixed(self) -> bool {
        self.comma && self.point
    }

    fn may_group_thousands(self) -> bool {
        self.comma && !self.no_thousands
    }

    fn merge(&mut self, other: Self) {
        self.comma |= other.comma;
        self.point |= other.point;
        self.no_thousands |= other.no_thousands;
    }
}

impl Findings {
    /// One finding for each column of the schema.
    pub(crate) fn new(columns: Vec<Finding>) -> Self {
        Self(columns)
    }

    /// Adds what another file of the same table, read in the same schema, has shown.
    pub fn merge(&mut self, other: Self) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            mine.formats.merge(&theirs.formats);
            mine.pointed |= theirs.pointed;
            mine.separators.merge(theirs.separators);
        }
    }

    /// The schema with the formats of the numbers read.
    ///
    /// # Errors
    /// [`PassError::Misfit`] where the numbers of a column no longer follow one format: they are codes then.
    pub fn settle(&self, spec: &TableSpec, schema: &TableSchema) -> Result<TableSchema, PassError> {
        let mut settled = schema.clone();
        for (column, finding) in settled.columns.iter_mut().zip(&self.0) {
            if finding.separators.are_mixed() {
                return Err(mixed_separators(&column.name, spec).into());
            }
            column.comma |= finding.separators.comma;
            if column.format.is_some() && !finding.formats.is_unseen() {
                column.format = Some(finding.formats.common(column.format).ok_or(PassError::Misfit)?);
            }
        }
        Ok(settled)
    }

    /// What the report has to say of how the columns of `schema`, as they were before, were read.
    pub fn warnings(&self, schema: &TableSchema) -> Vec<String> {
        let columns = schema.columns.iter().zip(&self.0);
        columns.filter_map(|(column, finding)| warning(column, finding)).collect()
    }
}

fn warning(Column { name, comma, .. }: &Column, finding: &Finding) -> Option<String> {
    if finding.pointed {
        return Some(format!("`{name}` is written with a point (`1.0`): read as the integers that it held before"));
    }
    if *comma && finding.separators.point {
        return Some(format!(
            "the numbers of `{name}` had a decimal comma so far, and their points are read as decimal points now (`1.234` is \
             below 2): if they part thousands, declare the column as string"
        ));
    }
    let ambiguous = finding.separators.may_group_thousands();
    ambiguous.then(|| {
        format!(
            "every comma in `{name}` has three digits behind it and was read as a decimal comma (`1,234` is 1.234): if \
             they are thousands, declare the column as string"
        )
    })
}

/// The error for a column in which commas and points cannot both be decimal ones.
fn mixed_separators(column: &str, spec: &TableSpec) -> Error {
    Error::data("CellMisfit", format!("table `{}`: some numbers of `{column}` have a comma, others a point", spec.name))
        .hint(format!("write them alike at the source, or set `columns.{column}` of the table to string"))
}
