//! Fingerprints of rows: what the index keeps and what two snapshots are compared by.

use arrow::array::{Array, ArrayRef, RecordBatch};
use chrono::DateTime;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::cells::{Cell, Cells, OlderType};
use crate::error::{Error, Result};
use crate::table::cell as parse;
use crate::table::{Column, ColumnType, Reading, TableSchema, convert};

/// The order-independent fingerprint of a set of rows: the sum of their fingerprints, modulo 2^128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetHash(pub u128);

impl SetHash {
    /// Puts a row into the set.
    pub fn add(&mut self, key: u128, content: u64) {
        self.0 = self.0.wrapping_add(row_hash(key, content));
    }

    /// Puts another set into this one.
    pub fn add_all(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }

    /// Takes a row out of the set.
    pub fn remove(&mut self, key: u128, content: u64) {
        self.0 = self.0.wrapping_sub(row_hash(key, content));
    }

    /// As 32 hexadecimal digits.
    pub fn to_hex(self) -> String {
        format!("{:032x}", self.0)
    }

    /// From 32 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

fn row_hash(key: u128, content: u64) -> u128 {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&key.to_le_bytes());
    bytes[16..].copy_from_slice(&content.to_le_bytes());
    xxh3_128(&bytes)
}

/// Which columns of a batch make up key, content and date, and as what they are read.
#[derive(Clone, Debug)]
pub struct PrintPlan {
    keys: Vec<Part>,
    contents: Vec<Part>,
    order: Option<(usize, ColumnType)>,
}

#[derive(Clone, Debug)]
struct Part {
    column: usize,
    seed: u64,
    read_as: Option<OlderType>,
}

impl PrintPlan {
    /// For batches in `schema`: rows are read as in the older schema `as_in`, where that has a narrower type. The values of
    /// `order.0` are compared as `order.1`.
    pub fn new(
        schema: &TableSchema,
        as_in: &TableSchema,
        pk: &[String],
        order: Option<(&str, ColumnType)>,
    ) -> Result<Self> {
        Self::reading(schema, as_in, pk, order, OlderType::of)
    }

    /// Like [`Self::new`], but outside of the key all texts of one number are the same value.
    pub(super) fn of_any_spelling(schema: &TableSchema, as_in: &TableSchema, pk: &[String]) -> Result<Self> {
        Self::reading(schema, as_in, pk, None, OlderType::of_any_spelling)
    }

    fn reading(
        schema: &TableSchema,
        as_in: &TableSchema,
        pk: &[String],
        order: Option<(&str, ColumnType)>,
        content: fn(&Column) -> OlderType,
    ) -> Result<Self> {
        let part = |name: &String| {
            let older_type = if pk.contains(name) { OlderType::of } else { content };
            let column = schema.position(name).ok_or_else(|| lacks(name))?;
            let own = schema.columns[column].column_type;
            let older = as_in.column(name).filter(|older| own == ColumnType::String && older.column_type != own);
            Ok(Part { column, seed: xxh3_64(name.as_bytes()), read_as: older.map(older_type) })
        };
        let others = schema.columns.iter().map(|column| &column.name).filter(|name| !pk.contains(name));
        Ok(Self {
            keys: pk.iter().map(part).collect::<Result<_>>()?,
            contents: others.map(part).collect::<Result<_>>()?,
            order: order.and_then(|(name, as_type)| Some((schema.position(name)?, as_type))),
        })
    }

    /// Whether texts are read as an older type somewhere, so that these fingerprints differ from the schema's own.
    pub fn reads_older_types(&self) -> bool {
        self.keys.iter().chain(&self.contents).any(|part| part.read_as.is_some())
    }

    /// The fingerprints of all rows of `batch`, which may have more columns behind those of the schema.
    pub fn prints(&self, batch: &RecordBatch) -> Result<Prints> {
        let mut prints = Prints { contents: vec![0; batch.num_rows()], ..Prints::default() };
        self.key_prints(batch, &mut prints)?;
        for part in &self.contents {
            Cells::new(batch.column(part.column).as_ref(), part.read_as)?.add_hashes(part.seed, &mut prints.contents);
        }
        if let Some((column, as_type)) = self.order {
            prints.orders = Orders::new(batch.column(column), as_type)?;
        }
        Ok(prints)
    }

    fn key_prints(&self, batch: &RecordBatch, prints: &mut Prints) -> Result<()> {
        let columns = self.keys.iter().map(|part| Cells::new(batch.column(part.column).as_ref(), part.read_as));
        let columns: Vec<Cells<'_>> = columns.collect::<Result<_>>()?;
        let mut key = Vec::new();
        for row in 0..batch.num_rows() {
            key.clear();
            let mut null = false;
            for cells in &columns {
                let cell = cells.get(row);
                null |= cell == Cell::Null;
                cell.write(&mut key);
            }
            prints.keys.push(xxh3_128(&key));
            if null {
                prints.null_keys.push(row);
            }
        }
        Ok(())
    }
}

fn lacks(name: &str) -> Error {
    Error::data("ColumnNotFound", format!("the stored snapshot has no key column `{name}`"))
        .hint("the key of a table cannot change: give the table a new `name`, or restore the old `pk`")
}

/// The fingerprints of some rows, each list indexed by row.
#[derive(Clone, Debug, Default)]
pub struct Prints {
    /// Of the key columns, in their configured order.
    pub keys: Vec<u128>,
    /// Of the other columns, whatever their order; a null cell counts as if its column were absent.
    pub contents: Vec<u64>,
    /// The values of the date field.
    pub orders: Orders,
    /// The rows that have a null in their key.
    pub null_keys: Vec<usize>,
}

impl Prints {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The fingerprint of which key has which value of the date field, whatever the order of the rows.
    pub fn order_set(&self) -> SetHash {
        let mut set = SetHash::default();
        match &self.orders {
            Orders::Absent => {}
            Orders::Narrow(values) => add_all(&mut set, &self.keys, values.iter().map(|value| value.cast_unsigned())),
            Orders::Wide(values) => {
                add_all(&mut set, &self.keys, values.iter().map(|value| xxh3_64(&value.to_le_bytes())));
            }
            Orders::Text(values) => {
                let hash = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| xxh3_64(text.as_bytes()));
                add_all(&mut set, &self.keys, values.iter().map(hash));
            }
        }
        set
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn add_all(set: &mut SetHash, keys: &[u128], values: impl Iterator<Item = u64>) {
    keys.iter().zip(values).for_each(|(&key, value)| set.add(key, value));
}

/// Values that can be put in order; null is smallest. Fixed-width values keep 8 or 16 bytes a row.
#[derive(Clone, Debug, Default)]
pub enum Orders {
    /// There is no date field.
    #[default]
    Absent,
    /// Codes in the order of the values.
    Narrow(Vec<i64>),
    /// Decimals.
    Wide(Vec<i128>),
    /// Texts, in the order of their bytes; those of moments in one form.
    Text(Vec<Option<Box<str>>>),
}

impl Orders {
    fn new(array: &ArrayRef, as_type: ColumnType) -> Result<Self> {
        let array = convert(array, as_type)
            .map_err(|error| Error::internal("OrderType", "the date field cannot be compared").caused_by(error))?;
        let cells = Cells::new(array.as_ref(), None)?;
        let rows = 0..array.len();
        Ok(match as_type {
            ColumnType::String => Self::Text(rows.map(|row| text(cells.get(row))).collect()),
            ColumnType::Decimal { .. } => Self::Wide(rows.map(|row| wide(cells.get(row))).collect()),
            _ => Self::Narrow(rows.map(|row| narrow(cells.get(row), as_type)).collect()),
        })
    }

    /// Whether value `row` of this list is greater than value `other_row` of `other`.
    pub fn exceeds(&self, row: usize, other: &Self, other_row: usize) -> bool {
        match (self, other) {
            (Self::Narrow(mine), Self::Narrow(theirs)) => mine[row] > theirs[other_row],
            (Self::Wide(mine), Self::Wide(theirs)) => mine[row] > theirs[other_row],
            (Self::Text(mine), Self::Text(theirs)) => mine[row] > theirs[other_row],
            // A date field that the older snapshot did not have was null there.
            (Self::Narrow(mine), Self::Absent) => mine[row] > i64::MIN,
            (Self::Wide(mine), Self::Absent) => mine[row] > i128::MIN,
            (Self::Text(mine), Self::Absent) => mine[row].is_some(),
            _ => false,
        }
    }

    /// Appends the values of `more`, which may be absent for `rows` rows.
    pub(crate) fn extend(&mut self, more: &Self, held: usize, rows: usize) {
        if let (Self::Absent, false) = (&*self, matches!(more, Self::Absent)) {
            *self = match more {
                Self::Wide(_) => Self::Wide(vec![i128::MIN; held]),
                Self::Text(_) => Self::Text(vec![None; held]),
                _ => Self::Narrow(vec![i64::MIN; held]),
            };
        }
        match (self, more) {
            (Self::Narrow(mine), Self::Narrow(theirs)) => mine.extend_from_slice(theirs),
            (Self::Wide(mine), Self::Wide(theirs)) => mine.extend_from_slice(theirs),
            (Self::Text(mine), Self::Text(theirs)) => mine.extend_from_slice(theirs),
            (Self::Narrow(mine), _) => mine.resize(held + rows, i64::MIN),
            (Self::Wide(mine), _) => mine.resize(held + rows, i128::MIN),
            (Self::Text(mine), _) => mine.resize(held + rows, None),
            (Self::Absent, _) => {}
        }
    }
}

fn text(cell: Cell<'_>) -> Option<Box<str>> {
    if let Cell::Text(text) = cell { Some(sortable(text)) } else { None }
}

/// A text of a date field that has become text, so that one moment is one text however it is written: an object of the log
/// from before holds the moment, a later one what the source wrote.
fn sortable(text: &str) -> Box<str> {
    let written = |micros: i64, zone: &str| {
        let moment = DateTime::from_timestamp_micros(micros)?;
        Some(format!("{}{zone}", moment.format("%Y-%m-%d %H:%M:%S%.6f")).into_boxed_str())
    };
    let local = || parse::timestamp(text).and_then(|micros| written(micros, ""));
    let instant = || parse::timestamp_utc(text, Reading::Lenient).and_then(|micros| written(micros, "Z"));
    local().or_else(instant).unwrap_or_else(|| text.into())
}

fn wide(cell: Cell<'_>) -> i128 {
    if let Cell::Decimal(value) = cell { value } else { i128::MIN }
}

/// A code in the order of the values, with null below all of them.
fn narrow(cell: Cell<'_>, as_type: ColumnType) -> i64 {
    let value = match cell {
        Cell::Null | Cell::Text(_) | Cell::Decimal(_) => return i64::MIN,
        Cell::Bool(value) => i64::from(value),
        Cell::Number(bits) => number_code(bits, as_type),
        Cell::BigInt(value) | Cell::Time(value) | Cell::Instant(value) => value,
    };
    value.max(i64::MIN + 1)
}

fn number_code(bits: u64, as_type: ColumnType) -> i64 {
    if as_type == ColumnType::Int64 {
        #[expect(clippy::cast_possible_truncation, reason = "an integer of at most 2^53 in magnitude")]
        return f64::from_bits(bits) as i64;
    }
    // The order of IEEE 754 doubles is that of their bits, once those of negative ones are flipped.
    let code = bits.cast_signed();
    code ^ (((code >> 63).cast_unsigned()) >> 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Float64Array;

    use super::*;

    #[test]
    fn doubles_keep_their_order_as_codes() {
        let values = [None, Some(-1e300), Some(-1.5), Some(-0.0), Some(1e-9), Some(2.0), Some(1e300)];
        let array: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        let orders = Orders::new(&array, ColumnType::Double).unwrap();
        for row in 1..values.len() {
            assert!(orders.exceeds(row, &orders, row - 1), "{row}");
            assert!(!orders.exceeds(row - 1, &orders, row), "{row}");
        }
    }

    #[test]
    fn one_moment_is_one_text_however_it_is_written() {
        for text in ["2024-01-31T10:00:00", "2024-01-31 10:00", "2024-01-31 10:00:00.000"] {
            assert_eq!(&*sortable(text), "2024-01-31 10:00:00.000000", "{text}");
        }
        for text in ["2024-01-31T10:00:00Z", "2024-01-31 07:00:00-03:00"] {
            assert_eq!(&*sortable(text), "2024-01-31 10:00:00.000000Z", "{text}");
        }
        assert_eq!(&*sortable("unknown"), "unknown");
    }

    #[test]
    fn a_set_forgets_the_order_of_its_rows() {
        let mut one = SetHash::default();
        one.add(1, 10);
        one.add(2, 20);
        let mut other = SetHash::default();
        other.add(2, 20);
        other.add(3, 30);
        other.add(1, 10);
        assert_ne!(one, other);
        other.remove(3, 30);
        assert_eq!(one, other);
        assert_eq!(SetHash::from_hex(&one.to_hex()), Some(one));
    }
}
