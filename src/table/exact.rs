//! Values of a Parquet file in the types of the lake: each of them exactly, or the row of the first that has none there.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, new_null_array};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampNanosecondType};
use arrow::error::ArrowError;

use super::cell::Reading;
use super::column::ColumnBuilder;
use super::convert::convert;
use super::schema::Column;
use super::types::ColumnType;

const NANOS_PER_MICRO: i64 = 1000;

/// A value that the lake's type does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// Its row in the array, from 0.
    pub(super) row: usize,
    /// Whether it is a time with digits below the microsecond, and nothing else.
    pub(super) finer: bool,
}

impl Misfit {
    fn at(row: usize) -> Self {
        Self { row, finer: false }
    }
}

/// The values of `array` as `to`. Where a time `may_cut`, its digits below the microsecond are left out.
pub(super) fn exact(array: &ArrayRef, to: ColumnType, may_cut: bool) -> Result<ArrayRef, Misfit> {
    let first = || Misfit::at((0..array.len()).find(|&row| array.is_valid(row)).unwrap_or_default());
    let array = &plain(array).map_err(|_| first())?;
    let converted = match (array.data_type(), to) {
        (DataType::Null, _) => return Ok(new_null_array(&to.arrow(), array.len())),
        (same, _) if *same == to.arrow() => return Ok(Arc::clone(array)),
        (DataType::Utf8, _) => return parsed(array, to),
        // A number is no time: Arrow would count it from 1970, in days or in microseconds.
        (from, ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampUtc) if from.is_numeric() => {
            return Err(first());
        }
        (DataType::Timestamp(TimeUnit::Nanosecond, _), ColumnType::Timestamp | ColumnType::TimestampUtc) => {
            return micros(array, to, may_cut);
        }
        (DataType::Binary, ColumnType::String) => cast(array, &DataType::Utf8),
        (_, ColumnType::String) => convert(array, to),
        _ => cast(array, &to.arrow()),
    };
    let converted = converted.map_err(|_| first())?;
    first_lost(array, &converted, to).map_or(Ok(converted), |row| Err(Misfit::at(row)))
}

/// The same values in the plainest type that holds them all.
fn plain(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let simpler = match array.data_type() {
        DataType::Dictionary(_, values) => return plain(&cast(array, values)?),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        DataType::FixedSizeBinary(_) | DataType::LargeBinary | DataType::BinaryView => DataType::Binary,
        // The names of time zones mean nothing to Arrow; the values are in UTC whatever the zone.
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
        _ => return Ok(Arc::clone(array)),
    };
    cast(array, &simpler)
}

/// What has no value in the other type is null.
fn cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, to, &CastOptions { safe: true, ..CastOptions::default() })
}

/// Texts as a declared type, read like cells of CSV; a comma is no decimal point here.
fn parsed(array: &ArrayRef, to: ColumnType) -> Result<ArrayRef, Misfit> {
    let texts = array.as_string::<i32>();
    let is_number = matches!(to, ColumnType::Double | ColumnType::Decimal { .. });
    let comma = texts.iter().position(|text| is_number && text.is_some_and(|text| text.contains(',')));
    let mut builder = ColumnBuilder::new(&Column::new("", to), Reading::Lenient);
    let misfit = builder.extend(texts.iter());
    match misfit.into_iter().chain(comma).min() {
        Some(row) => Err(Misfit::at(row)),
        None => Ok(builder.finish()),
    }
}

/// Nanoseconds as microseconds, cut towards the earlier one where that is allowed.
fn micros(array: &ArrayRef, to: ColumnType, may_cut: bool) -> Result<ArrayRef, Misfit> {
    let nanos = array.as_primitive::<TimestampNanosecondType>();
    let is_finer = |&row: &usize| nanos.is_valid(row) && nanos.value(row) % NANOS_PER_MICRO != 0;
    if let Some(row) = (0..nanos.len()).find(is_finer).filter(|_| !may_cut) {
        return Err(Misfit { row, finer: true });
    }
    let micros: TimestampMicrosecondArray = nanos.unary(|value| value.div_euclid(NANOS_PER_MICRO));
    Ok(match to {
        ColumnType::TimestampUtc => Arc::new(micros.with_timezone("UTC")),
        _ => Arc::new(micros),
    })
}

/// The first row that has no value any more, or another one: a cast rounds, and cuts, without a word.
fn first_lost(array: &ArrayRef, converted: &ArrayRef, to: ColumnType) -> Option<usize> {
    let without = (0..array.len()).find(|&row| array.is_valid(row) && converted.is_null(row));
    if keeps_all(array.data_type(), to) {
        return without;
    }
    let Ok(back) = cast(converted, array.data_type()) else { return without.or(Some(0)) };
    let other = match array.as_primitive_opt::<Float64Type>() {
        Some(values) => {
            let back = back.as_primitive::<Float64Type>();
            // The integer of `-0.0` is that of `0.0`.
            values.iter().zip(back.iter()).position(|(before, after)| before != after)
        }
        None => match not_distinct(&back, array) {
            Ok(same) => same.iter().position(|same| same != Some(true)),
            Err(_) => Some(0),
        },
    };
    without.into_iter().chain(other).min()
}

/// Whether each value that is not null afterwards is the same value.
fn keeps_all(from: &DataType, to: ColumnType) -> bool {
    use DataType::{Date32, Date64, Int8, Int16, Int32, Timestamp, UInt8, UInt16, UInt32};
    match to {
        ColumnType::String => true,
        ColumnType::Int64 | ColumnType::Double => matches!(from, Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32),
        ColumnType::Timestamp | ColumnType::TimestampUtc => {
            matches!(
                from,
                Date32 | Date64 | Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _)
            )
        }
        ColumnType::Decimal { scale, .. } => match from {
            DataType::Decimal32(_, own)
            | DataType::Decimal64(_, own)
            | DataType::Decimal128(_, own)
            | DataType::Decimal256(_, own) => *own <= scale,
            _ => from.is_integer(),
        },
        ColumnType::Bool | ColumnType::Date => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, Date64Array, Decimal128Array, Float32Array, Float64Array, Int64Array, StringArray,
        TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

    use super::*;

    const DECIMAL: ColumnType = ColumnType::Decimal { precision: 6, scale: 2 };

    fn row_of(array: impl Array + 'static, to: ColumnType) -> Option<usize> {
        let array: ArrayRef = Arc::new(array);
        exact(&array, to, false).err().map(|misfit| misfit.row)
    }

    #[test]
    fn the_row_of_the_first_value_that_would_be_another_is_told() {
        use ColumnType::{Bool, Date, Double, Int64};
        assert_eq!(row_of(Int64Array::from(vec![1, (1 << 53) + 1, i64::MAX]), Double), Some(1));
        assert_eq!(row_of(Int64Array::from(vec![0, 1, 2]), Bool), Some(2));
        assert_eq!(row_of(UInt64Array::from(vec![Some(1), None, Some(u64::MAX)]), Int64), Some(2));
        assert_eq!(row_of(Float64Array::from(vec![-0.0, 3.0, 1.5]), Int64), Some(2));
        assert_eq!(row_of(Float64Array::from(vec![0.1, f64::NAN]), DECIMAL), Some(1));
        assert_eq!(row_of(Float64Array::from(vec![0.1, 0.125]), DECIMAL), Some(1));
        assert_eq!(row_of(Float32Array::from(vec![2.0, f32::INFINITY]), Int64), Some(1));
        assert_eq!(row_of(Date64Array::from(vec![86_400_000, 1]), Date), Some(1));
        let fine = Decimal128Array::from(vec![100, 1001]).with_precision_and_scale(9, 3).unwrap();
        assert_eq!(row_of(fine, DECIMAL), Some(1));
        let wide = Decimal128Array::from(vec![1, 10_000_000]).with_precision_and_scale(9, 2).unwrap();
        assert_eq!(row_of(wide, DECIMAL), Some(1));
        assert_eq!(row_of(BinaryArray::from(vec![&b"a"[..], b"\xFF"]), ColumnType::String), Some(1));
        assert_eq!(row_of(StringArray::from(vec!["1.50", "1,50"]), Double), Some(1));
        for to in [Date, ColumnType::Timestamp, ColumnType::TimestampUtc] {
            assert_eq!(row_of(Int64Array::from(vec![None, Some(20_240_101)]), to), Some(1), "{to}");
            assert_eq!(row_of(Float64Array::from(vec![1.0]), to), Some(0), "{to}");
        }
    }

    #[test]
    fn what_fits_is_kept() {
        let doubles: ArrayRef = Arc::new(Float64Array::from(vec![Some(-0.0), None, Some(9e15)]));
        let integers = exact(&doubles, ColumnType::Int64, false).unwrap();
        assert_eq!(
            integers.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
            [Some(0), None, Some(9_000_000_000_000_000)]
        );
        for to in [ColumnType::Int64, ColumnType::Double, DECIMAL, ColumnType::String] {
            assert_eq!(row_of(UInt64Array::from(vec![Some(7), None]), to), None, "{to}");
        }
    }

    #[test]
    fn times_are_cut_towards_the_earlier_microsecond_where_they_may_be() {
        let array: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_999, -1_001]));
        assert_eq!(exact(&array, ColumnType::Timestamp, false), Err(Misfit { row: 0, finer: true }));
        let cut = exact(&array, ColumnType::Timestamp, true).unwrap();
        assert_eq!(cut.as_primitive::<TimestampMicrosecondType>().values(), &[1, -2]);
    }
}
