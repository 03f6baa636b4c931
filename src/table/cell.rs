//! One cell of text as a value of a type, and which types it fits.
//!
//! Two readings exist. The *strict* one serves inference: a text fits a type only where the value gives the text's
//! meaning back, so leading zeros, `+1` and integers beyond 2^53 stay text. The *lenient* one serves types that the
//! configuration declares: it also takes what a person would accept (`+1`, `007`, a decimal comma, any UTC offset).

use std::borrow::Cow;

use chrono::FixedOffset;

use super::time;
use super::types::ColumnType;

/// The greatest integer up to which every integer is exact in a double.
pub(crate) const MAX_EXACT_INT: i64 = 1 << 53;

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Only where the value round-trips.
    Strict,
    /// As strictly, but a whole number may be written with `.0`.
    Whole,
    /// Whatever means a value of the type.
    Lenient,
}

/// The narrowest type that a non-null text fits under the strict reading.
pub(crate) fn classify(text: &str) -> ColumnType {
    const CANDIDATES: [ColumnType; 6] = [
        ColumnType::Int64,
        ColumnType::Double,
        ColumnType::Date,
        ColumnType::Timestamp,
        ColumnType::TimestampUtc,
        ColumnType::Bool,
    ];
    CANDIDATES.into_iter().find(|&candidate| fits(text, candidate)).unwrap_or(ColumnType::String)
}

/// The type of a key that has this text: one of those that write each value in one way only, so that it stays the same key
/// when its column becomes text.
pub(crate) fn classify_key(text: &str) -> ColumnType {
    let types = [ColumnType::Int64, ColumnType::Date];
    types.into_iter().find(|&candidate| fits(text, candidate)).unwrap_or(ColumnType::String)
}

/// Whether a non-null text fits `column` under the strict reading.
pub(crate) fn fits(text: &str, column: ColumnType) -> bool {
    match column {
        ColumnType::Bool => bool(text, Reading::Strict).is_some(),
        ColumnType::Int64 => int64(text, Reading::Strict).is_some(),
        ColumnType::Double => double(text, Reading::Strict).is_some(),
        ColumnType::Decimal { precision, scale } => decimal(text, precision, scale).is_some(),
        ColumnType::Date => date(text).is_some(),
        ColumnType::Timestamp => timestamp(text).is_some(),
        ColumnType::TimestampUtc => timestamp_utc(text, Reading::Strict).is_some(),
        ColumnType::String => true,
    }
}

/// `true` and `false` in lower, upper or title case; leniently also `1`, `0`, `t`, `f`.
pub(crate) fn bool(text: &str, reading: Reading) -> Option<bool> {
    match (text, reading) {
        ("true" | "True" | "TRUE", _) | ("1" | "t" | "T", Reading::Lenient) => Some(true),
        ("false" | "False" | "FALSE", _) | ("0" | "f" | "F", Reading::Lenient) => Some(false),
        _ => None,
    }
}

/// A decimal integer. Strictly: no plus, no leading zero, no `-0`, at most 2^53 in magnitude.
#[inline]
pub(crate) fn int64(text: &str, reading: Reading) -> Option<i64> {
    match reading {
        Reading::Strict => strict_int64(text),
        Reading::Whole => strict_int64(text.strip_suffix(".0").unwrap_or(text)),
        Reading::Lenient => text.trim().parse().ok(),
    }
}

/// An integer of any size as its own text: the one that writing the value gives.
pub(crate) fn canonical_int64(text: &str) -> Option<i64> {
    strict_int64(text).or_else(|| text.parse().ok().filter(|value: &i64| value.to_string() == text))
}

fn strict_int64(text: &str) -> Option<i64> {
    let (negative, digits) = sign(text);
    let written_as_is = match digits {
        [b'0'] => !negative,
        [b'1'..=b'9', rest @ ..] => rest.len() < 16,
        _ => false,
    };
    let magnitude = if written_as_is { natural(digits) } else { None };
    let value = i64::try_from(magnitude?).ok().filter(|&value| value <= MAX_EXACT_INT)?;
    Some(if negative { -value } else { value })
}

/// Whether a minus leads, and the text behind it.
fn sign(text: &str) -> (bool, &[u8]) {
    match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    }
}

/// The number that at most 19 digits write.
fn natural(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// A finite number. Strictly: its shortest double form has the same digits as the text, trailing zeros of the
/// fraction aside, an exponent is written as Python writes it (`1e-05`, `1e+16`), and what is written as an integer is at
/// most 2^53 in magnitude: beyond, only ids are written so, and whether a double holds one is chance. Leniently also with
/// a comma and rounded to the nearest double, but never an integer beyond 2^53, nor a number too great or too small.
pub(crate) fn double(text: &str, reading: Reading) -> Option<f64> {
    if reading == Reading::Lenient {
        return lenient_double(text.trim());
    }
    if let Some(value) = short_double(text) {
        return Some(value);
    }
    let parts = NumberText::split(text)?;
    if !text.contains(['.', 'e']) {
        #[expect(clippy::cast_precision_loss, reason = "an integer of at most 2^53 in magnitude")]
        return int64(text, reading).map(|value| value as f64);
    }
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    (parts.significant <= 15 && parts.exponent.is_empty() || parts.same_digits(value)).then_some(value)
}

fn lenient_double(text: &str) -> Option<f64> {
    let text = with_point(text);
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    let unsigned = text.trim_start_matches(['-', '+']);
    let without_zeros = unsigned.split_once('.').filter(|(_, fraction)| fraction.bytes().all(|byte| byte == b'0'));
    let whole = without_zeros.map_or(unsigned, |(whole, _)| whole);
    let is_integer = whole.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let exact = match is_integer {
        true => whole.parse().is_ok_and(|whole: i64| whole <= MAX_EXACT_INT),
        // Up to 15 digits come back from any double; of more, the double may be another number's.
        false => {
            let digits = significant(mantissa);
            digits.len() <= 15 || digits == significant(&format!("{:e}", value.abs()))
        }
    };
    (exact && (value != 0.0 || is_zero)).then_some(value)
}

/// The digits of a number's mantissa, without zeros at either end.
fn significant(text: &str) -> String {
    let digits: String = text.chars().take_while(|c| *c != 'e').filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

/// The usual number, like `-12.50`: at most 15 digits with a point among them, no leading zero. The quotient of two integers
/// that a double holds exactly is rounded only once, so it is the double that the text stands for.
fn short_double(text: &str) -> Option<f64> {
    let (negative, digits) = sign(text);
    let point = digits.iter().position(|&byte| byte == b'.').filter(|_| digits.len() <= 16)?;
    let (whole, fraction) = (&digits[..point], &digits[point + 1..]);
    if !matches!(whole, [b'0'] | [b'1'..=b'9', ..]) || fraction.is_empty() {
        return None;
    }
    let scale = POWERS_OF_TEN[fraction.len()];
    let mantissa = natural(whole)? * scale + natural(fraction)?;
    #[expect(clippy::cast_precision_loss, reason = "less than 2^53")]
    let value = mantissa as f64 / scale as f64;
    (mantissa > 0 || !negative).then_some(if negative { -value } else { value })
}

/// The powers of ten up to 10^15, each exact in a double.
const POWERS_OF_TEN: [u64; 16] = {
    let mut powers = [1; 16];
    let mut exponent = 1;
    while exponent < 16 {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// A decimal that fits `precision` digits, `scale` of them after the point, exactly. A comma may stand for the point.
pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let scale = usize::from(scale.unsigned_abs());
    let whole = whole.trim_start_matches('0');
    if fraction.len() > scale || whole.len() + scale > usize::from(precision) {
        return None;
    }
    let padding = std::iter::repeat_n(b'0', scale - fraction.len());
    let magnitude = (whole.bytes().chain(fraction.bytes()).chain(padding))
        .fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'));
    Some(if negative { -magnitude } else { magnitude })
}

/// `YYYY-MM-DD`, as days since 1970-01-01.
pub(crate) fn date(text: &str) -> Option<i32> {
    time::day(text.as_bytes())
}

/// `YYYY-MM-DD`, alone or followed by `T` or a space and `HH:MM[:SS[.ffffff]]`, as microseconds since 1970-01-01.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    time::moment(text.as_bytes())
}

/// A timestamp followed by `Z`, `+00:00`, `+0000`, `+00` or ` UTC`; leniently by any offset; as microseconds.
pub(crate) fn timestamp_utc(text: &str, reading: Reading) -> Option<i64> {
    for suffix in ["Z", "+00:00", "+0000", "+00", " UTC"] {
        if let Some(local) = text.strip_suffix(suffix) {
            return (local.len() > 10).then(|| timestamp(local))?;
        }
    }
    if reading == Reading::Strict {
        return None;
    }
    let at = text.rfind(['+', '-']).filter(|&at| at > 10)?;
    let (local, offset) = text.split_at(at);
    let offset: FixedOffset = offset.parse().ok()?;
    Some(timestamp(local)? - i64::from(offset.local_minus_utc()) * time::MICROS_PER_SECOND)
}

/// `12,5` as `12.5`, where there is one comma and no point.
fn with_point(text: &str) -> Cow<'_, str> {
    let is_comma = !text.contains('.') && text.matches(',').count() == 1;
    if is_comma { text.replace(',', ".").into() } else { text.into() }
}

/// The parts of a strictly written number.
struct NumberText<'a> {
    whole: &'a str,
    fraction: &'a str,
    exponent: &'a str,
    significant: usize,
}

impl<'a> NumberText<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, ""));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let plain_whole = matches!(whole.as_bytes(), [b'0'] | [b'1'..=b'9', ..]);
        let has_exponent = unsigned.len() > mantissa.len();
        let python_exponent = !has_exponent
            || matches!(exponent.as_bytes(), [b'+' | b'-', digits @ ..] if digits.len() >= 2 && digits.iter().all(u8::is_ascii_digit));
        let dangling_point = mantissa.ends_with('.');
        if !plain_whole || !all_digits(whole) || !all_digits(fraction) || !python_exponent || dangling_point {
            return None;
        }
        let negative_zero = text.starts_with('-') && whole == "0" && fraction.bytes().all(|b| b == b'0');
        let fraction = fraction.trim_end_matches('0');
        (!negative_zero).then_some(Self { whole, fraction, exponent, significant: whole.len() + fraction.len() })
    }

    /// Whether the shortest form of `value` has the same significant digits as the text.
    fn same_digits(&self, value: f64) -> bool {
        let shortest = format!("{:e}", value.abs());
        let digits = |text: &str| text.split('e').next().unwrap_or_default().replace('.', "");
        let mine = format!("{}{}", self.whole, self.fraction);
        let trim = |text: &str| text.trim_start_matches('0').trim_end_matches('0').to_owned();
        trim(&digits(&shortest)) == trim(&mine)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_that_a_number_would_change_stay_text() {
        for text in [
            "007",
            "+1",
            "-0",
            "9007199254740993",
            "9007199254740994",
            "100000000000000000000",
            "1.",
            ".5",
            "1e5",
            "1E-05",
            "0x10",
            "1_000",
            " 1",
            "NaN",
            "inf",
            "1,5",
        ] {
            assert_eq!(classify(text), ColumnType::String, "{text}");
        }
    }

    #[test]
    fn values_that_round_trip_get_their_type() {
        let cases = [
            ("0", ColumnType::Int64),
            ("-12", ColumnType::Int64),
            ("9007199254740992", ColumnType::Int64),
            ("1.50", ColumnType::Double),
            ("-0.1", ColumnType::Double),
            ("1e-05", ColumnType::Double),
            ("0.30000000000000004", ColumnType::Double),
            ("2024-02-29", ColumnType::Date),
            ("2024-02-29 10:00", ColumnType::Timestamp),
            ("2024-02-29T10:00:01.123", ColumnType::Timestamp),
            ("2024-02-29T10:00:01.123456Z", ColumnType::TimestampUtc),
            ("2024-02-29 10:00:01+00:00", ColumnType::TimestampUtc),
            ("TRUE", ColumnType::Bool),
        ];
        for (text, expected) in cases {
            assert_eq!(classify(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_numbers_are_the_doubles_that_they_stand_for(text in "-?[0-9]{0,9}[.]?[0-9]{0,9}") {
            if let Some(value) = short_double(&text) {
                prop_assert!(NumberText::split(&text).is_some());
                prop_assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
            } else {
                let usual = NumberText::split(&text).is_some_and(|parts| parts.whole.len() + parts.fraction.len() <= 15);
                prop_assert!(!usual || !text.contains('.') || text.len() > 15);
            }
        }
    }

    #[test]
    fn digits_beyond_a_double_stay_text() {
        assert_eq!(classify("0.1234567890123456789"), ColumnType::String);
        assert_eq!(classify("12345678901234567890.5"), ColumnType::String);
        assert_eq!(classify("2023-02-29"), ColumnType::String);
        assert_eq!(classify("2024-01-01T00:00:00.1234567"), ColumnType::String);
        assert_eq!(classify("2024-01-01T00:00:00.1234560"), ColumnType::Timestamp);
    }

    #[test]
    fn days_and_micros_count_from_1970() {
        assert_eq!(date("1970-01-02"), Some(1));
        assert_eq!(date("0001-01-01"), Some(-719_162));
        assert_eq!(date("9999-12-31"), Some(2_932_896));
        assert_eq!(timestamp("1970-01-01 00:00:00.5"), Some(500_000));
        assert_eq!(timestamp_utc("1970-01-01T01:00:00+01:00", Reading::Strict), None);
        assert_eq!(timestamp_utc("1970-01-01T01:00:00+01:00", Reading::Lenient), Some(0));
        assert_eq!(timestamp_utc("1969-12-31T22:00:00-03:00", Reading::Lenient), Some(3_600_000_000));
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal("12,50", 10, 2), Some(1250));
        assert_eq!(decimal("-0.05", 3, 2), Some(-5));
        assert_eq!(decimal("1.005", 10, 2), None);
        assert_eq!(decimal("1.000", 3, 2), Some(100));
        assert_eq!(decimal("123.4", 3, 1), None);
        let widest = "9".repeat(38);
        assert_eq!(decimal(&widest, 38, 0), Some(10_i128.pow(38) - 1));
        assert_eq!(decimal("1.2.3", 10, 2), None);
        assert_eq!(decimal("", 10, 2), None);
    }

    #[test]
    fn a_declared_type_takes_what_a_person_would_accept() {
        assert_eq!(int64("+007", Reading::Lenient), Some(7));
        assert_eq!(int64("9223372036854775807", Reading::Lenient), Some(i64::MAX));
        assert_eq!(double("12,5", Reading::Lenient), Some(12.5));
        assert_eq!(double("1.234,5", Reading::Lenient), None);
        assert_eq!(double("9007199254740993", Reading::Lenient), None);
        assert_eq!(double("+9007199254740992", Reading::Lenient), Some(9_007_199_254_740_992.0));
        assert_eq!(double("9007199254740993.00", Reading::Lenient), None);
        assert_eq!(double("1e400", Reading::Lenient), None);
        assert_eq!(double("1e-400", Reading::Lenient), None);
        assert_eq!(double("0e-400", Reading::Lenient), Some(0.0));
        assert_eq!(bool("1", Reading::Lenient), Some(true));
    }
}
