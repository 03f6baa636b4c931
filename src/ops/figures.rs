//! How numbers are written for people.

use std::fmt::Write as _;
use std::time::Duration;

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

/// A stretch of time in the unit in which a person would count it: `45 seconds`, `16 minutes`, `72 hours`, `271 days`. What
/// is less than the unit is cut off.
pub(crate) fn span(time: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = time.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / MINUTE, "minute"),
        7200..345_600 => (seconds / HOUR, "hour"),
        _ => (seconds / DAY, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {unit}{plural}", grouped(number))
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
    fn a_stretch_of_time_is_told_in_the_unit_that_a_person_would_use() {
        let cases = [0, 1, 119, 120, 960, 7199, 7200, 259_200, 345_599, 345_600, 23_414_400].map(Duration::from_secs);
        let expected = [
            "0 seconds",
            "1 second",
            "119 seconds",
            "2 minutes",
            "16 minutes",
            "119 minutes",
            "2 hours",
            "72 hours",
            "95 hours",
            "4 days",
            "271 days",
        ];
        assert_eq!(cases.map(span), expected);
        assert_eq!(span(Duration::from_secs(400_000 * 86_400)), "400,000 days");
    }

    #[test]
    fn large_numbers_become_short() {
        assert_eq!([0, 999, 1000, 12_345, 123_456].map(bytes), ["0 B", "999 B", "1 kB", "12.3 kB", "123 kB"]);
        assert_eq!([20, 5000, 2_500_000, u64::MAX].map(short), ["20", "5k", "2.5M", "18.4E"]);
    }
}
