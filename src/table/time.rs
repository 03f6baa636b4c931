//! Days and moments as a CSV file writes them, eight characters at a time.

/// Microseconds in a second.
pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;

const MICROS_PER_DAY: i64 = 24 * 60 * 60 * MICROS_PER_SECOND;

/// `YYYY-MM-DD`, from year 1 on, as days since 1970-01-01.
pub(super) fn day(text: &[u8]) -> Option<i32> {
    let (year_month, [d1, d2]) =
        text.split_first_chunk().and_then(|(start, rest)| Some((start, rest.try_into().ok()?)))?;
    let pairs = Pairs::read(*year_month, &YEAR_MONTH)?;
    let (year, month) = (pairs.at(0) * 100 + pairs.at(2), pairs.at(5));
    let day = Pairs::read([d1, d2, b'-', b'-', b'-', b'-', b'-', b'-'], &DAY)?.at(0);
    let exists = year > 0 && (1..=12).contains(&month) && day > 0 && day <= days_in(year, month);
    exists.then(|| days_since_1970(year, month, day))
}

/// A day, alone or followed by `T` or a space and `HH:MM[:SS[.ffffff]]`, as microseconds since 1970-01-01 00:00.
pub(super) fn moment(text: &[u8]) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let midnight = i64::from(day(date)?) * MICROS_PER_DAY;
    match rest {
        [] => Some(midnight),
        [b'T' | b' ', clock @ ..] => Some(midnight + since_midnight(clock)?),
        _ => None,
    }
}

fn since_midnight(text: &[u8]) -> Option<i64> {
    let (clock, fraction) = match text {
        [h1, h2, colon, m1, m2] => ([*h1, *h2, *colon, *m1, *m2, b':', b'0', b'0'], &[][..]),
        _ => text.split_first_chunk().map(|(clock, fraction)| (*clock, fraction))?,
    };
    let pairs = Pairs::read(clock, &CLOCK)?;
    let (hour, minute, second) = (pairs.at(0), pairs.at(3), pairs.at(6));
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if !digits.is_empty() => micros(digits)?,
        _ => return None,
    };
    Some(i64::from((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros)
}

/// The digits of a fraction of a second as microseconds; digits beyond the sixth must be zero.
fn micros(digits: &[u8]) -> Option<i64> {
    if digits.len() > 9 {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        let digit = digits.get(place).map_or(0, |byte| byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        micros = micros * 10 + i64::from(digit);
    }
    digits.iter().skip(6).all(|&digit| digit == b'0').then_some(micros)
}

/// What eight characters are to look like: digits in some places, given characters in the others.
struct Shape {
    characters: u64,
    /// For each place what may be added to the number there, which is zero but for a digit, below 128.
    room: u64,
}

impl Shape {
    /// Digits where `characters` has `0`.
    const fn new(characters: [u8; 8]) -> Self {
        let mut room = [0x7F; 8];
        let mut place = 0;
        while place < 8 {
            if characters[place] == b'0' {
                room[place] = 0x7F - 9;
            }
            place += 1;
        }
        Self { characters: u64::from_le_bytes(characters), room: u64::from_le_bytes(room) }
    }
}

const YEAR_MONTH: Shape = Shape::new(*b"0000-00-");
const DAY: Shape = Shape::new(*b"00------");
const CLOCK: Shape = Shape::new(*b"00:00:00");

/// Eight characters; at each place the number that the digit there and the one behind it write.
struct Pairs([u8; 8]);

impl Pairs {
    #[inline]
    fn read(text: [u8; 8], shape: &Shape) -> Option<Self> {
        let values = u64::from_le_bytes(text) ^ shape.characters;
        let too_large = (values.wrapping_add(shape.room) | values) & 0x8080_8080_8080_8080;
        (too_large == 0).then(|| Self((values * 10 + (values >> 8)).to_le_bytes()))
    }

    fn at(&self, place: usize) -> i32 {
        i32::from(self.0[place])
    }
}

fn days_in(year: i32, month: i32) -> i32 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts years from March, so that a leap day is the last of its year.
fn days_since_1970(year: i32, month: i32, day: i32) -> i32 {
    const FROM_MARCH_OF_YEAR_0_TO_1970: i32 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - FROM_MARCH_OF_YEAR_0_TO_1970
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, NaiveDateTime, NaiveTime, Timelike};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_is_that_of_chrono() {
        let mut known = NaiveDate::from_ymd_opt(1, 1, 1);
        let mut expected = -719_162;
        for year in 0..=9999 {
            for month in 0..=13 {
                for day_of_month in 0..=32 {
                    let text = format!("{year:04}-{month:02}-{day_of_month:02}");
                    let found = day(text.as_bytes());
                    if known.is_some_and(|known| known.to_string() == text) {
                        assert_eq!(found, Some(expected), "{text}");
                        known = known.and_then(|known| known.succ_opt());
                        expected += 1;
                    } else {
                        assert_eq!(found, None, "{text}");
                    }
                }
            }
        }
        assert_eq!(expected, 2_932_897);
    }

    /// The same by the library.
    fn reference(text: &str) -> Option<i64> {
        let (date, time) = text.split_once([' ', 'T']).map_or((text, None), |(date, time)| (date, Some(time)));
        let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
        let Some(time) = time else { return Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros()) };
        let format = if time.len() == 5 { "%H:%M" } else { "%H:%M:%S%.f" };
        let time = NaiveTime::parse_from_str(time, format).ok()?;
        let exact = time.nanosecond() % 1000 == 0 && time.nanosecond() < 1_000_000_000;
        exact.then(|| NaiveDateTime::new(date, time).and_utc().timestamp_micros())
    }

    proptest! {
        #[test]
        fn moments_are_those_of_chrono(
            text in "[0-9]{3}[1-9]-[01][0-9]-[0-3][0-9]([ T][0-2][0-9]:[0-6][0-9](:[0-6][0-9]([.][0-9]{1,6}0{0,3})?)?)?",
        ) {
            prop_assert_eq!(moment(text.as_bytes()), reference(&text), "{}", text);
        }

        #[test]
        fn one_wrong_character_is_no_moment(place in 0_usize..23, wrong in any::<u8>()) {
            let mut text = *b"2024-02-29 10:11:12.123";
            prop_assume!(!wrong.is_ascii_digit() && wrong != text[place]);
            text[place] = wrong;
            prop_assert_eq!(moment(&text).is_some(), place == 10 && wrong == b'T');
        }
    }
}
