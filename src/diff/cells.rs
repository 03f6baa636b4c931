//! Cells of Arrow columns as comparable values, the same whatever type of the lattice carries them.
//!
//! An integer equals the double of the same value and a date equals its midnight, so that widening a column changes no
//! fingerprint. A text column can be read as the older, narrower type that it replaced: `"1.50"` equals 1.5 there.

use arrow::array::{Array, ArrayAccessor, AsArray, BooleanArray, PrimitiveArray, StringArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::{Error, Result};
use crate::table::cell as parse;
use crate::table::{Column as StoredColumn, ColumnType, MAX_EXACT_INT, NumberFormat, Reading};

/// Microseconds per day.
const DAY: i64 = 86_400_000_000;

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    /// The bits of a double that is not -0; integers up to 2^53 are here too.
    Number(u64),
    /// An integer beyond 2^53.
    BigInt(i64),
    Decimal(i128),
    /// Microseconds of local time.
    Time(i64),
    /// Microseconds of UTC.
    Instant(i64),
    Text(&'a str),
}

impl Cell<'_> {
    #[inline]
    fn parts(&self) -> (u8, [u8; 16]) {
        let mut wide = [0; 16];
        let (tag, low) = match *self {
            Self::Null => (0, 0),
            Self::Bool(value) => (1, u64::from(value)),
            Self::Number(bits) => (2, bits),
            Self::BigInt(value) => (3, value.cast_unsigned()),
            Self::Decimal(value) => return (4, value.to_le_bytes()),
            Self::Time(value) => (5, value.cast_unsigned()),
            Self::Instant(value) => (6, value.cast_unsigned()),
            Self::Text(_) => (7, 0),
        };
        wide[..8].copy_from_slice(&low.to_le_bytes());
        (tag, wide)
    }

    /// A fingerprint of the cell in the column that `seed` stands for; null is 0 in every column.
    #[inline]
    pub(crate) fn hash(&self, seed: u64) -> u64 {
        match *self {
            Self::Null => 0,
            Self::Text(text) => xxh3_64_with_seed(text.as_bytes(), seed),
            _ => {
                let (tag, wide) = self.parts();
                xxh3_64_with_seed(&wide, seed ^ u64::from(tag))
            }
        }
    }

    /// Appends a form that no other cell, and no run of other cells, has.
    pub(crate) fn write(&self, key: &mut Vec<u8>) {
        let (tag, wide) = self.parts();
        key.push(tag);
        match *self {
            Self::Null => {}
            Self::Text(text) => {
                key.extend_from_slice(&(text.len() as u64).to_le_bytes());
                key.extend_from_slice(text.as_bytes());
            }
            _ => key.extend_from_slice(&wide),
        }
    }
}

/// The older type as which texts are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OlderType {
    column_type: ColumnType,
    /// How its doubles were written: another spelling is another value. Without it, whatever means the same number is.
    format: Option<NumberFormat>,
    /// Whether an integer is also meant by a text that is not its own, like `1.0`.
    loosely: bool,
}

impl OlderType {
    /// The type of a stored column.
    pub(crate) fn of(column: &StoredColumn) -> Self {
        Self { column_type: column.column_type, format: column.format, loosely: false }
    }

    /// The type of a stored column, of which any text of the same number is the same value.
    pub(crate) fn of_any_spelling(column: &StoredColumn) -> Self {
        Self { column_type: column.column_type, format: None, loosely: true }
    }
}

/// The cells of one column.
pub(crate) struct Cells<'a> {
    column: Column<'a>,
    read_as: Option<OlderType>,
}

enum Column<'a> {
    Bool(&'a BooleanArray),
    Int64(&'a PrimitiveArray<Int64Type>),
    Double(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a PrimitiveArray<Decimal128Type>),
    Date(&'a PrimitiveArray<Date32Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Instant(&'a PrimitiveArray<TimestampMicrosecondType>),
    Text(&'a StringArray),
}

impl<'a> Cells<'a> {
    /// The cells of `array`, text being read as `read_as` where it fits that type.
    pub(crate) fn new(array: &'a dyn Array, read_as: Option<OlderType>) -> Result<Self> {
        let column = match array.data_type() {
            DataType::Boolean => Column::Bool(array.as_boolean()),
            DataType::Int64 => Column::Int64(array.as_primitive()),
            DataType::Float64 => Column::Double(array.as_primitive()),
            DataType::Decimal128(..) => Column::Decimal(array.as_primitive()),
            DataType::Date32 => Column::Date(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => Column::Timestamp(array.as_primitive()),
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Column::Instant(array.as_primitive()),
            DataType::Utf8 => Column::Text(array.as_string()),
            other => {
                return Err(Error::internal(
                    "ForeignType",
                    format!("a file of the lake holds a column of type {other}"),
                ));
            }
        };
        Ok(Self { column, read_as })
    }

    /// The cell of `row`.
    pub(crate) fn get(&self, row: usize) -> Cell<'a> {
        macro_rules! value {
            ($array:expr, $cell:expr) => {
                if $array.is_null(row) { Cell::Null } else { $cell($array.value(row)) }
            };
        }
        match &self.column {
            Column::Bool(array) => value!(array, Cell::Bool),
            Column::Int64(array) => value!(array, integer),
            Column::Double(array) => value!(array, number),
            Column::Decimal(array) => value!(array, Cell::Decimal),
            Column::Date(array) => value!(array, midnight),
            Column::Timestamp(array) => value!(array, Cell::Time),
            Column::Instant(array) => value!(array, Cell::Instant),
            Column::Text(array) => value!(array, |text| self.text(text)),
        }
    }

    /// Adds the fingerprint of each cell to the number at its row. One loop per type: this is where comparing spends its
    /// time.
    pub(crate) fn add_hashes(&self, seed: u64, sums: &mut [u64]) {
        match &self.column {
            Column::Bool(array) => add_hashes(*array, Cell::Bool, seed, sums),
            Column::Int64(array) => add_hashes(*array, integer, seed, sums),
            Column::Double(array) => add_hashes(*array, number, seed, sums),
            Column::Decimal(array) => add_hashes(*array, Cell::Decimal, seed, sums),
            Column::Date(array) => add_hashes(*array, midnight, seed, sums),
            Column::Timestamp(array) => add_hashes(*array, Cell::Time, seed, sums),
            Column::Instant(array) => add_hashes(*array, Cell::Instant, seed, sums),
            Column::Text(array) if self.read_as.is_none() => add_hashes(*array, Cell::Text, seed, sums),
            Column::Text(array) => add_hashes(*array, |text| self.text(text), seed, sums),
        }
    }

    fn text(&self, text: &'a str) -> Cell<'a> {
        self.read_as.and_then(|older| read(text, older)).unwrap_or(Cell::Text(text))
    }
}

/// How many different values a column of a lake's file holds, as far as their fingerprints tell; `None` for a foreign type.
pub(crate) fn distinct(array: &dyn Array) -> Option<usize> {
    let mut hashes = vec![0; array.len()];
    Cells::new(array, None).ok()?.add_hashes(0, &mut hashes);
    hashes.sort_unstable();
    hashes.dedup();
    Some(hashes.len())
}

/// The fingerprint of each cell of a column that `seed` stands for; those of several columns may be summed. Null is 0.
pub(crate) fn column_hashes(array: &dyn Array, seed: u64) -> Result<Vec<u64>> {
    let mut hashes = vec![0; array.len()];
    Cells::new(array, None)?.add_hashes(seed, &mut hashes);
    Ok(hashes)
}

fn add_hashes<'a, A: ArrayAccessor>(array: A, cell: impl Fn(A::Item) -> Cell<'a>, seed: u64, sums: &mut [u64]) {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    for (row, sum) in sums.iter_mut().enumerate().take(array.len()) {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            *sum = sum.wrapping_add(cell(array.value(row)).hash(seed));
        }
    }
}

fn midnight<'a>(days: i32) -> Cell<'a> {
    Cell::Time(i64::from(days) * DAY)
}

#[inline]
fn integer<'a>(value: i64) -> Cell<'a> {
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, which is checked")]
    let double = value as f64;
    if value.unsigned_abs() <= MAX_EXACT_INT.unsigned_abs() { number(double) } else { Cell::BigInt(value) }
}

#[inline]
fn number<'a>(value: f64) -> Cell<'a> {
    // All the ways to write that a value is no number are one, as 0 and -0 are.
    Cell::Number(if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() })
}

/// The text as a value of the type, where it fits.
fn read<'a>(text: &str, older: OlderType) -> Option<Cell<'a>> {
    match older.column_type {
        ColumnType::Bool => parse::bool(text, Reading::Strict).map(Cell::Bool),
        ColumnType::Int64 => {
            let loosely = || older.loosely.then(|| parse::double(text, Reading::Strict))?;
            parse::canonical_int64(text).map(integer).or_else(|| loosely().map(number))
        }
        ColumnType::Double => {
            let value = parse::double(text, Reading::Strict)?;
            older.format.is_none_or(|format| format.is_of(text, value)).then(|| number(value))
        }
        ColumnType::Decimal { precision, scale } => parse::decimal(text, precision, scale).map(Cell::Decimal),
        ColumnType::Date => parse::date(text).map(midnight),
        ColumnType::Timestamp => parse::timestamp(text).map(Cell::Time),
        ColumnType::TimestampUtc => parse::timestamp_utc(text, Reading::Strict).map(Cell::Instant),
        ColumnType::String => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Float64Array, Int64Array, TimestampMicrosecondArray};

    use super::*;

    fn as_double(format: Option<&str>) -> Option<OlderType> {
        let format = format.map(|format| format.parse().unwrap());
        Some(OlderType { column_type: ColumnType::Double, format, loosely: false })
    }

    fn first(array: &dyn Array, read_as: Option<OlderType>) -> u64 {
        Cells::new(array, read_as).unwrap().get(0).hash(7)
    }

    #[test]
    fn widening_changes_no_fingerprint() {
        assert_eq!(first(&Int64Array::from(vec![5]), None), first(&Float64Array::from(vec![5.0]), None));
        assert_eq!(first(&Float64Array::from(vec![0.0]), None), first(&Float64Array::from(vec![-0.0]), None));
        let midnight = TimestampMicrosecondArray::from(vec![DAY * 3]);
        assert_eq!(first(&Date32Array::from(vec![3]), None), first(&midnight, None));
        let text = StringArray::from(vec!["1.50"]);
        assert_eq!(first(&text, as_double(None)), first(&Float64Array::from(vec![1.5]), None));
        assert_eq!(first(&text, as_double(Some("fixed(2)"))), first(&Float64Array::from(vec![1.5]), None));
        assert_ne!(first(&text, as_double(Some("repr"))), first(&Float64Array::from(vec![1.5]), None));
        let (big, text) = (Int64Array::from(vec![i64::MAX]), StringArray::from(vec!["9223372036854775807"]));
        let older = OlderType { column_type: ColumnType::Int64, format: None, loosely: false };
        assert_eq!(first(&text, Some(older)), first(&big, None));
        let no_numbers = [f64::NAN, -f64::NAN, f64::from_bits(f64::NAN.to_bits() | 7)];
        assert!(
            no_numbers
                .iter()
                .all(|no| first(&Float64Array::from(vec![*no]), None)
                    == first(&Float64Array::from(vec![f64::NAN]), None))
        );
        assert_ne!(first(&text, None), first(&StringArray::from(vec!["1.5"]), None));
    }

    #[test]
    fn composite_keys_do_not_run_together() {
        let key = |parts: [&str; 2]| {
            let mut bytes = Vec::new();
            parts.iter().for_each(|part| Cell::Text(part).write(&mut bytes));
            bytes
        };
        assert_ne!(key(["a", "bc"]), key(["ab", "c"]));
        assert_ne!(key(["", "x"]), key(["x", ""]));
    }
}
