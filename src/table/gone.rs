//! A table whose file is gone, or holds nothing any more, and whose rows may go with it.

use super::provenance::Provenance;
use super::schema::TableSchema;
use super::spec::TableSpec;

/// No file: it has the columns that the table had, and no rows.
pub struct GoneFile {
    name: String,
    schema: TableSchema,
    /// What is remembered of the file as it was.
    provenance: Provenance,
}

impl GoneFile {
    /// The file of a table of `schema`, called `name` in messages; the next run goes on from `provenance`.
    pub fn new(name: impl Into<String>, schema: TableSchema, provenance: Provenance) -> Self {
        Self { name: name.into(), schema, provenance }
    }

    /// Its name, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The columns that the table had.
    pub(super) fn header(&self) -> Vec<String> {
        self.schema.source.clone()
    }

    /// The schema as it was, in the types that are declared now.
    pub(super) fn infer(&self, spec: &TableSpec) -> TableSchema {
        let mut schema = self.schema.clone();
        for column in &mut schema.columns {
            column.column_type = spec.columns.get(&column.name).copied().unwrap_or(column.column_type);
        }
        schema
    }

    /// What was remembered of the file.
    pub(super) fn provenance(&self) -> Provenance {
        self.provenance.clone()
    }
}
