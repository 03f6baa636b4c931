//! How the numbers of a column are written, so that each value gives its text back.
//!
//! `250.0` and `250.00` are one number and may be two codes. A column of texts is therefore a column of doubles only where
//! all of them follow one format, under which no two texts are one number. The format is kept with the column: when it
//! becomes text later, its old values have the texts that the source wrote.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// From here to [`POINT_END`] Python writes a double without an exponent.
const POINT_START: f64 = 1e-4;
const POINT_END: f64 = 1e16;

/// One way to write doubles, by which each has one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberFormat {
    /// Always so many digits behind the point: `2.50`, `3.00`.
    Fixed(u8),
    /// The fewest digits that tell the double apart, with a point or an exponent, as Python writes it: `2.5`, `3.0`, `1e-05`.
    Repr,
    /// The fewest digits, with a point only where there is a fraction: `2.5`, `3`.
    Shortest,
}

impl NumberFormat {
    /// The text of a finite number.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Fixed(decimals) => fixed(value, usize::from(decimals)),
            Self::Repr => repr(value),
            Self::Shortest => value.to_string(),
        }
    }

    /// Whether `text`, which means `value`, is written so.
    pub(crate) fn is_of(self, text: &str, value: f64) -> bool {
        let mut formats = Formats::default();
        formats.see(text, value);
        formats.has(self)
    }
}

/// The shortest digits, filled up with zeros: those that a text of so many decimals had.
fn fixed(value: f64, decimals: usize) -> String {
    let mut text = value.to_string();
    let written = text.find('.').map_or(0, |point| text.len() - point - 1);
    if written == 0 && decimals > 0 {
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', decimals.saturating_sub(written)));
    text
}

fn repr(value: f64) -> String {
    if has_point(value) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    let mut text = mantissa.to_owned();
    // Writing to a text cannot fail.
    let _written = write!(text, "e{sign}{digits:0>2}");
    text
}

/// Whether Python writes it with a point, without an exponent.
fn has_point(value: f64) -> bool {
    value == 0.0 || (POINT_START..POINT_END).contains(&value.abs()) || !value.is_finite()
}

/// The formats that all numbers of a column have, as far as they were seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formats {
    fixed: Decimals,
    repr: bool,
    shortest: bool,
}

/// Digits behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decimals {
    Unseen,
    Always(u8),
    Mixed,
}

impl Default for Formats {
    fn default() -> Self {
        Self { fixed: Decimals::Unseen, repr: true, shortest: true }
    }
}

impl Formats {
    /// Takes a number that the strict reading accepts, and its text.
    #[inline]
    pub(crate) fn see(&mut self, text: &str, value: f64) {
        let bytes = text.as_bytes();
        let point = bytes.iter().rev().position(|&byte| matches!(byte, b'.' | b'e'));
        let decimals = point.unwrap_or(0);
        if decimals > 0 && bytes[bytes.len() - decimals - 1] == b'e' {
            return self.see_exponent(text, value);
        }
        let ends_in_zero = bytes.last() == Some(&b'0');
        self.see_decimals(decimals);
        self.repr &= decimals > 0 && (decimals == 1 || !ends_in_zero) && has_point(value);
        self.shortest &= decimals == 0 || !ends_in_zero;
    }

    /// Takes an integer that the strict reading accepts.
    #[inline]
    pub(crate) fn see_integer(&mut self) {
        self.see_decimals(0);
        self.repr = false;
    }

    #[inline]
    fn see_decimals(&mut self, decimals: usize) {
        let always = u8::try_from(decimals).map_or(Decimals::Mixed, Decimals::Always);
        if self.fixed != always {
            self.fixed = if self.fixed == Decimals::Unseen { always } else { Decimals::Mixed };
        }
    }

    fn see_exponent(&mut self, text: &str, value: f64) {
        self.fixed = Decimals::Mixed;
        self.shortest = false;
        self.repr &= repr(value) == text;
    }

    /// Takes all that another part of the column has shown.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.repr &= other.repr;
        self.shortest &= other.shortest;
        self.fixed = match (self.fixed, other.fixed) {
            (Decimals::Unseen, one) | (one, Decimals::Unseen) => one,
            (one, other) if one == other => one,
            _ => Decimals::Mixed,
        };
    }

    /// Whether no number was seen.
    pub(crate) fn is_unseen(&self) -> bool {
        self.fixed == Decimals::Unseen
    }

    /// The format of all numbers, the one of before if it still is; `None` where they have none in common.
    pub(crate) fn common(&self, before: Option<NumberFormat>) -> Option<NumberFormat> {
        match self.fixed {
            _ if before.is_some_and(|before| self.has(before)) => before,
            _ if self.repr => Some(NumberFormat::Repr),
            _ if self.shortest => Some(NumberFormat::Shortest),
            Decimals::Always(decimals) => Some(NumberFormat::Fixed(decimals)),
            Decimals::Unseen | Decimals::Mixed => None,
        }
    }

    fn has(&self, format: NumberFormat) -> bool {
        match format {
            NumberFormat::Fixed(decimals) => self.fixed == Decimals::Always(decimals),
            NumberFormat::Repr => self.repr,
            NumberFormat::Shortest => self.shortest,
        }
    }
}

/// `fixed(2)`, `repr`, `shortest`.
impl fmt::Display for NumberFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(decimals) => write!(f, "fixed({decimals})"),
            Self::Repr => f.write_str("repr"),
            Self::Shortest => f.write_str("shortest"),
        }
    }
}

impl FromStr for NumberFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let decimals = |text: &str| text.strip_prefix("fixed(")?.strip_suffix(')')?.parse().ok();
        match text {
            "repr" => Ok(Self::Repr),
            "shortest" => Ok(Self::Shortest),
            _ => decimals(text).map(Self::Fixed).ok_or_else(|| format!("`{text}` is not a format of numbers")),
        }
    }
}

impl Serialize for NumberFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NumberFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::cell::{self, Reading};
    use super::*;

    fn common(texts: &[&str]) -> Option<NumberFormat> {
        let mut formats = Formats::default();
        texts.iter().for_each(|text| formats.see(text, cell::double(text, Reading::Strict).unwrap()));
        formats.common(None)
    }

    #[test]
    fn numbers_written_alike_have_a_format_and_codes_have_none() {
        assert_eq!(common(&["1.5", "3.0", "1e-05", "1e+16", "0.0"]), Some(NumberFormat::Repr));
        assert_eq!(common(&["1.5", "3", "0"]), Some(NumberFormat::Shortest));
        assert_eq!(common(&["1.50", "3.00", "0.00"]), Some(NumberFormat::Fixed(2)));
        assert_eq!(common(&["0.00001"]), Some(NumberFormat::Shortest));
        for codes in [&["250.0", "250.00"][..], &["1.1", "1.10"], &["2", "2.0"], &["0.00001", "1e-05"], &["10", "2.50"]]
        {
            assert_eq!(common(codes), None, "{codes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_gives_its_text_back(whole in -1_000_000_i64..1_000_000, fraction in "[0-9]{0,8}", exponent in -30_i32..30) {
            let point = if fraction.is_empty() { "" } else { "." };
            let plain = format!("{whole}{point}{fraction}");
            let scientific = repr(whole as f64 * 10_f64.powi(exponent));
            for text in [plain, scientific] {
                let Some(value) = cell::double(&text, Reading::Strict) else { continue };
                let format = common(&[&text]).unwrap_or(NumberFormat::Fixed(fraction.len() as u8));
                prop_assert_eq!(format.text(value), text.clone(), "{}", format);
                prop_assert!(format.is_of(&text, value));
            }
        }

        #[test]
        fn two_texts_of_one_format_are_two_numbers(texts in proptest::collection::vec("[0-9]{1,3}([.][0-9]{1,3})?(e[+-][0-9]{2})?", 2)) {
            let values: Option<Vec<f64>> = texts.iter().map(|text| cell::double(text, Reading::Strict)).collect();
            if let Some(values) = values {
                let one = common(&[&texts[0], &texts[1]]);
                prop_assert!(one.is_none() || (texts[0] == texts[1]) == (values[0] == values[1]), "{:?} {:?}", texts, one);
            }
        }

        #[test]
        fn a_format_survives_its_text(decimals in any::<u8>()) {
            for format in [NumberFormat::Fixed(decimals), NumberFormat::Repr, NumberFormat::Shortest] {
                prop_assert_eq!(format.to_string().parse(), Ok(format));
            }
        }
    }
}
