//! Values as text: those that have no Arrow type of their own, the values of a `sql_variant`, and keys.
//!
//! Every form says all of the value, and SQL Server reads it back as the same one.

use std::fmt::Write;

use tiberius::time::{DateTime2, DateTimeOffset, Time};
use tiberius::{ColumnData, Uuid};

use super::times;

/// What a value is called in text; `None` for NULL.
///
/// Numbers are decimal; `bit` is 0 or 1; times are ISO 8601 with the digits that their type has, and a `datetimeoffset` is
/// the local time with its offset; a `uniqueidentifier` is in upper case, as SQL Server writes it; bytes are `0x…`.
///
/// # Errors
/// [`NotAValue`] for what no server sends.
pub(super) fn text(value: &ColumnData<'_>) -> Result<Option<String>, NotAValue> {
    let text = match value {
        ColumnData::U8(value) => value.map(|value| value.to_string()),
        ColumnData::I16(value) => value.map(|value| value.to_string()),
        ColumnData::I32(value) => value.map(|value| value.to_string()),
        ColumnData::I64(value) => value.map(|value| value.to_string()),
        ColumnData::F32(value) => value.map(|value| float(value.to_string(), format!("{value:e}"), value.into())),
        ColumnData::F64(value) => value.map(|value| float(value.to_string(), format!("{value:e}"), value)),
        ColumnData::Bit(value) => value.map(|value| u8::from(value).to_string()),
        ColumnData::String(value) => value.as_deref().map(str::to_owned),
        ColumnData::Guid(value) => value.map(|value| guid(&value, &mut [0; 36]).to_owned()),
        ColumnData::Binary(value) => value.as_deref().map(bytes),
        ColumnData::Numeric(value) => value.map(|value| decimal(value.value(), value.scale())),
        ColumnData::Xml(value) => value.as_deref().map(ToString::to_string),
        ColumnData::DateTime(value) => {
            value.map(|at| times::datetime(at).and_then(|at| moment(at, "%.3f")).ok_or(NotAValue)).transpose()?
        }
        ColumnData::SmallDateTime(value) => {
            value.map(|at| times::smalldatetime(at).and_then(|at| moment(at, "")).ok_or(NotAValue)).transpose()?
        }
        ColumnData::Time(value) => value.map(|value| clock(value).ok_or(NotAValue)).transpose()?,
        ColumnData::Date(value) => value.map(|value| day(value.days()).ok_or(NotAValue)).transpose()?,
        ColumnData::DateTime2(value) => value.map(|value| datetime2(value).ok_or(NotAValue)).transpose()?,
        ColumnData::DateTimeOffset(value) => value.map(|value| with_offset(value).ok_or(NotAValue)).transpose()?,
    };
    Ok(text)
}

/// A value that no type has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAValue;

/// The form of SQL Server, upper case with hyphens, written into `buffer`.
pub(super) fn guid<'b>(value: &Uuid, buffer: &'b mut [u8; 36]) -> &'b str {
    value.hyphenated().encode_upper(buffer)
}

/// The plain form, or the one with an exponent where that is the readable one. Both are the shortest that are exact.
fn float(plain: String, exponent: String, value: f64) -> String {
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-5..1e15).contains(&magnitude) { plain } else { exponent }
}

fn bytes(value: &[u8]) -> String {
    let mut text = String::with_capacity(2 + 2 * value.len());
    text.push_str("0x");
    for byte in value {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}

/// With exactly `scale` digits behind the point.
fn decimal(value: i128, scale: u8) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn moment(micros: i64, fraction: &str) -> Option<String> {
    Some(times::naive(micros)?.format(&format!("%Y-%m-%dT%H:%M:%S{fraction}")).to_string())
}

fn day(days: u32) -> Option<String> {
    let at = times::naive(i64::from(times::date(days)?) * 86_400_000_000)?;
    Some(at.format("%Y-%m-%d").to_string())
}

/// The time of day with all digits that its scale has.
fn clock(time: Time) -> Option<String> {
    let seconds = times::time(time)? / 1_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = format!("{hours:02}:{minutes:02}:{:02}", seconds % 60);
    if time.scale() > 0 {
        let fraction = time.increments() % 10_u64.pow(u32::from(time.scale()));
        let _ = write!(text, ".{fraction:0width$}", width = usize::from(time.scale()));
    }
    Some(text)
}

fn datetime2(at: DateTime2) -> Option<String> {
    Some(format!("{}T{}", day(at.date().days())?, clock(at.time())?))
}

/// The wire has the time in UTC. The digits below a microsecond are not touched by an offset, which is of whole minutes.
fn with_offset(at: DateTimeOffset) -> Option<String> {
    let (utc, minutes) = (at.datetime2(), i64::from(at.offset()));
    let whole_seconds = times::datetime2(utc)?.div_euclid(1_000_000) + minutes * 60;
    let mut text = moment(whole_seconds * 1_000_000, "")?;
    if let Some((_, fraction)) = clock(utc.time())?.split_once('.') {
        let _ = write!(text, ".{fraction}");
    }
    let sign = if minutes < 0 { '-' } else { '+' };
    let _ = write!(text, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
    Some(text)
}

#[cfg(test)]
mod tests {
    use tiberius::numeric::Numeric;
    use tiberius::time::{Date, DateTime, SmallDateTime};
    use tiberius::xml::XmlData;

    use super::*;

    fn of(value: ColumnData<'_>) -> String {
        text(&value).unwrap().unwrap()
    }

    #[test]
    fn every_type_has_a_form_that_says_all_of_the_value() {
        let guid = Uuid::from_u128(0x6f96_19ff_8b86_d011_b42d_00c0_4fc9_64ff);
        let cases = [
            (ColumnData::U8(Some(255)), "255"),
            (ColumnData::I64(Some(i64::MIN)), "-9223372036854775808"),
            (ColumnData::Bit(Some(true)), "1"),
            (ColumnData::F64(Some(0.1)), "0.1"),
            (ColumnData::F64(Some(-1.797_693_134_862_315_7e308)), "-1.7976931348623157e308"),
            (ColumnData::F32(Some(1.5)), "1.5"),
            (ColumnData::Numeric(Some(Numeric::new_with_scale(-5, 3))), "-0.005"),
            (
                ColumnData::Numeric(Some(Numeric::new_with_scale(10_i128.pow(38) - 1, 0))),
                "99999999999999999999999999999999999999",
            ),
            (ColumnData::Guid(Some(guid)), "6F9619FF-8B86-D011-B42D-00C04FC964FF"),
            (ColumnData::Binary(Some((&[0_u8, 171][..]).into())), "0x00AB"),
            (ColumnData::DateTime(Some(DateTime::new(0, 1))), "1900-01-01T00:00:00.003"),
            (ColumnData::SmallDateTime(Some(SmallDateTime::new(65_535, 1439))), "2079-06-06T23:59:00"),
            (ColumnData::Date(Some(Date::new(0))), "0001-01-01"),
            (ColumnData::Time(Some(Time::new(863_999_999_999, 7))), "23:59:59.9999999"),
            (ColumnData::Time(Some(Time::new(1, 0))), "00:00:01"),
            (
                ColumnData::DateTime2(Some(DateTime2::new(Date::new(3_652_058), Time::new(50, 3)))),
                "9999-12-31T00:00:00.050",
            ),
            (ColumnData::Xml(Some(std::borrow::Cow::Owned(XmlData::new("<a/>")))), "<a/>"),
        ];
        for (value, expected) in cases {
            assert_eq!(of(value), expected);
        }
        assert_eq!(text(&ColumnData::Guid(None)), Ok(None));
    }

    #[test]
    fn a_time_with_an_offset_is_local_and_keeps_its_seventh_digit() {
        let at = |days, increments, offset| {
            let utc = DateTime2::new(Date::new(days), Time::new(increments, 7));
            of(ColumnData::DateTimeOffset(Some(DateTimeOffset::new(utc, offset))))
        };
        assert_eq!(at(719_162, 1, 330), "1970-01-01T05:30:00.0000001+05:30");
        assert_eq!(at(719_162, 12_345_678, -840), "1969-12-31T10:00:01.2345678-14:00");
        assert_eq!(at(0, 504_000_000_000, -840), "0001-01-01T00:00:00.0000000-14:00");
    }
}
