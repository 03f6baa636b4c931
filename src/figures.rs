//! How numbers are written for people.

use std::fmt::Write as _;

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration of so many milliseconds.
pub(crate) fn millis(elapsed: u64) -> String {
    match elapsed {
        0..1000 => format!("{elapsed} ms"),
        1000..60_000 => format!("{}.{} s", elapsed / 1000, elapsed % 1000 / 100),
        _ => format!("{} min {:02} s", elapsed / 60_000, elapsed % 60_000 / 1000),
    }
}

/// So many bytes, in powers of 1000.
pub(crate) fn bytes(bytes: u64) -> String {
    scaled(bytes, &[" B", " kB", " MB", " GB", " TB", " PB", " EB"])
}

/// A number of at most four characters and a letter, for places where there is no room: `950`, `12.3k`, `4M`.
pub(crate) fn short(number: u64) -> String {
    scaled(number, &["", "k", "M", "G", "T", "P", "E"])
}

/// Two or three digits and a unit; what lies between is cut off.
fn scaled(number: u64, units: &[&str]) -> String {
    let (mut rest, mut unit, mut tenths) = (number, 0, 0);
    while rest >= 1000 && unit + 1 < units.len() {
        (rest, tenths, unit) = (rest / 1000, rest % 1000 / 100, unit + 1);
    }
    let mut text = rest.to_string();
    if tenths > 0 && rest < 100 {
        // Writing to a string cannot fail.
        let _ = write!(text, ".{tenths}");
    }
    text + units[unit]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn durations_are_as_precise_as_they_matter() {
        assert_eq!([7, 1500, 61_000].map(millis), ["7 ms", "1.5 s", "1 min 01 s"]);
    }

    #[test]
    fn large_numbers_become_short() {
        assert_eq!([0, 999, 1000, 12_345, 123_456].map(bytes), ["0 B", "999 B", "1 kB", "12.3 kB", "123 kB"]);
        assert_eq!([20, 5000, 2_500_000, u64::MAX].map(short), ["20", "5k", "2.5M", "18.4E"]);
    }
}
