//! Rows in one schema that are looked up among rows in older, narrower ones.

use arrow::array::RecordBatch;

use super::prints::{PrintPlan, Prints};
use crate::error::Result;
use crate::table::{ColumnType, TableSchema};

/// How rows in one schema are fingerprinted, also as rows of each older schema.
#[derive(Clone, Debug)]
pub struct LookupPlan {
    own: PrintPlan,
    older: Vec<Option<PrintPlan>>,
}

/// The fingerprints of some rows.
#[derive(Clone, Debug, Default)]
pub struct Lookup {
    /// In their own schema.
    pub own: Prints,
    /// In the schema of each number of an index, where they differ from their own.
    pub older: Vec<Option<Prints>>,
}

impl LookupPlan {
    /// For batches in `schema`, to be looked up in an index whose schemas, by their numbers, are `schemas`. The values of
    /// `order.0` are compared as `order.1`.
    pub fn new(
        schema: &TableSchema,
        schemas: &[&TableSchema],
        pk: &[String],
        order: Option<(&str, ColumnType)>,
    ) -> Result<Self> {
        Self::reading(schema, schemas, pk, order, |older| PrintPlan::new(schema, older, pk, None))
    }

    /// Like [`Self::new`], but outside of the key all texts of one number are the same value.
    pub fn of_any_spelling(
        schema: &TableSchema,
        schemas: &[&TableSchema],
        pk: &[String],
        order: Option<(&str, ColumnType)>,
    ) -> Result<Self> {
        Self::reading(schema, schemas, pk, order, |older| PrintPlan::of_any_spelling(schema, older, pk))
    }

    /// `as_in` gives the plan for rows as those of an older schema.
    fn reading(
        schema: &TableSchema,
        schemas: &[&TableSchema],
        pk: &[String],
        order: Option<(&str, ColumnType)>,
        as_in: impl Fn(&TableSchema) -> Result<PrintPlan>,
    ) -> Result<Self> {
        let older = |older: &&TableSchema| Ok(Some(as_in(older)?).filter(PrintPlan::reads_older_types));
        let own = PrintPlan::new(schema, schema, pk, order)?;
        Ok(Self { own, older: schemas.iter().map(older).collect::<Result<_>>()? })
    }

    /// The plan for the rows in their own schema.
    pub fn own(&self) -> &PrintPlan {
        &self.own
    }

    /// The fingerprints of all rows of `batch`.
    pub fn prints(&self, batch: &RecordBatch) -> Result<Lookup> {
        let older = self.older.iter().map(|plan| plan.as_ref().map(|plan| plan.prints(batch)).transpose());
        Ok(Lookup { own: self.own.prints(batch)?, older: older.collect::<Result<_>>()? })
    }
}

impl Lookup {
    /// The fingerprints that compare with rows of the schema of this number.
    pub fn as_in(&self, schema: usize) -> &Prints {
        self.older.get(schema).and_then(Option::as_ref).unwrap_or(&self.own)
    }

    /// All distinct ways in which the rows are fingerprinted.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &Prints> {
        std::iter::once(&self.own).chain(self.older.iter().flatten())
    }
}

/// Rows that are in no other schema than their own.
impl From<Prints> for Lookup {
    fn from(own: Prints) -> Self {
        Self { own, older: Vec::new() }
    }
}
