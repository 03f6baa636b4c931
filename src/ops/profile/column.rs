//! One pass over a table: what its columns hold.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;

use super::sketch::Sketch;
use super::text::HiddenTypes;
use super::{ColumnSurvey, DateCandidate, names};
use crate::diff::column_hashes;
use crate::error::{Error, Result};
use crate::pipeline::Progress;
use crate::table::{Column, ColumnType, TableFile, TableSchema, TableSpec, convert};

/// Hashes that all sketches of a table may hold together, and the most and the fewest that one may.
const HASHES: usize = 1 << 20;
const MOST_HASHES: usize = 4096;
const FEWEST_HASHES: usize = 256;

/// What the columns of a table hold.
pub(super) struct Profile {
    pub(super) schema: TableSchema,
    pub(super) rows: u64,
    pub(super) facts: Vec<Facts>,
    /// What the text columns could be.
    pub(super) hidden: HiddenTypes,
}

/// What one column holds.
pub(super) struct Facts {
    pub(super) nulls: u64,
    pub(super) sketch: Sketch,
    /// The smallest and the greatest of its dates or times, in days or microseconds since 1970.
    range: Option<(i64, i64)>,
}

impl Profile {
    /// Reads the whole file twice: for its types, and for its values.
    pub(super) fn read(file: &TableFile, spec: &TableSpec, progress: &dyn Progress) -> Result<Self> {
        let schema = file.reading(|file| file.infer(spec, None))?;
        let capacity = (HASHES / schema.columns.len().max(1)).clamp(FEWEST_HASHES, MOST_HASHES);
        let count = progress.rows(spec.name.as_str());
        file.reading(|file| {
            let mut profile = Self::empty(schema.clone(), capacity);
            file.read(spec, &schema, &mut |rows| {
                count(rows.lines.len() as u64);
                profile.see(&rows.batch)
            })?;
            Ok(profile)
        })
    }

    fn empty(schema: TableSchema, capacity: usize) -> Self {
        let facts = |_: &Column| Facts { nulls: 0, sketch: Sketch::new(capacity), range: None };
        let hidden = HiddenTypes::new(&schema);
        Self { rows: 0, facts: schema.columns.iter().map(facts).collect(), schema, hidden }
    }

    fn see(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        for ((facts, array), column) in self.facts.iter_mut().zip(batch.columns()).zip(&self.schema.columns) {
            facts.see(array, column.column_type)?;
        }
        self.hidden.see(batch);
        Ok(())
    }

    /// The columns, as they are shown.
    pub(super) fn columns(&self) -> Vec<ColumnSurvey> {
        let columns = self.schema.columns.iter().zip(&self.facts);
        let survey = |(column, facts): (&Column, &Facts)| ColumnSurvey {
            name: column.name.clone(),
            column_type: column.column_type,
            nulls: facts.nulls,
            distinct: facts.sketch.distinct().min(self.rows - facts.nulls),
            exact: facts.sketch.exact(),
        };
        columns.map(survey).collect()
    }

    /// The columns of dates and times.
    pub(super) fn dates(&self) -> Vec<DateCandidate> {
        let dates = self.schema.columns.iter().zip(&self.facts).filter(|(column, _)| is_date(column.column_type));
        let candidate = |(column, facts): (&Column, &Facts)| DateCandidate {
            column: column.name.clone(),
            oldest: facts.range.and_then(|(oldest, _)| written(oldest, column.column_type)),
            newest: facts.range.and_then(|(_, newest)| written(newest, column.column_type)),
            nulls: facts.nulls,
            names_a_change: names::says_change(&column.name),
        };
        dates.map(candidate).collect()
    }
}

impl Facts {
    fn see(&mut self, array: &ArrayRef, column_type: ColumnType) -> Result<()> {
        self.nulls += array.null_count() as u64;
        let hashes = column_hashes(array.as_ref(), 0)?;
        (0..array.len()).filter(|&row| array.is_valid(row)).for_each(|row| self.sketch.add(hashes[row]));
        if is_date(column_type) {
            self.widen_range(array).map_err(|error| {
                Error::internal("DateRange", "cannot compare the dates of a column").caused_by(error)
            })?;
        }
        Ok(())
    }

    fn widen_range(&mut self, array: &ArrayRef) -> Result<(), ArrowError> {
        // A date counts days in 32 bits, which have to become such a number before they can become a longer one.
        let numbers = match array.data_type() {
            DataType::Date32 => cast(&cast(array, &DataType::Int32)?, &DataType::Int64)?,
            _ => cast(array, &DataType::Int64)?,
        };
        let numbers = numbers.as_primitive::<Int64Type>();
        let (Some(low), Some(high)) = (min(numbers), max(numbers)) else { return Ok(()) };
        let (oldest, newest) = self.range.unwrap_or((low, high));
        self.range = Some((oldest.min(low), newest.max(high)));
        Ok(())
    }
}

/// A number of days or microseconds as the text of a date or time.
fn written(number: i64, column_type: ColumnType) -> Option<String> {
    let number: ArrayRef = Arc::new(Int64Array::from(vec![number]));
    let number = match column_type {
        ColumnType::Date => cast(&number, &DataType::Int32).ok()?,
        _ => number,
    };
    let typed = cast(&number, &column_type.arrow()).ok()?;
    let text = convert(&typed, ColumnType::String).ok()?;
    Some(text.as_string::<i32>().value(0).to_owned())
}

/// Whether values of this type are dates or times.
pub(super) fn is_date(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampUtc)
}
