//! Log sequence numbers of SQL Server.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place in the transaction log of one database: 10 bytes, compared as unsigned bytes from left to right.
///
/// Written as `0x` and 20 hexadecimal digits, so that the order of the texts is the order of the numbers. It means
/// something only within one database and one restore lineage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn([u8; Lsn::LEN]);

impl Lsn {
    /// Length in bytes.
    pub const LEN: usize = 10;

    /// Before every change; what the server says for "unknown".
    pub const ZERO: Self = Self([0; Self::LEN]);

    /// The number with these bytes, most significant first.
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The number in the bytes of a `binary(10)`; `None` for any other length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes, most significant first, as a `binary(10)` has them.
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The next number, as `sys.fn_cdc_increment_lsn` has it; the greatest one stays.
    #[must_use]
    pub fn next(self) -> Self {
        Self::of(self.number().saturating_add(1))
    }

    /// The number before, as `sys.fn_cdc_decrement_lsn` has it; zero stays.
    #[must_use]
    pub fn previous(self) -> Self {
        Self::of(self.number().saturating_sub(1))
    }

    /// The 20 hexadecimal digits without `0x`.
    pub fn digits(&self) -> String {
        format!("{:020X}", self.number())
    }

    fn number(self) -> u128 {
        self.0.iter().fold(0, |number, &byte| number << 8 | u128::from(byte))
    }

    fn of(number: u128) -> Self {
        let greatest = (1 << (8 * Self::LEN)) - 1;
        let mut bytes = [0; Self::LEN];
        bytes.copy_from_slice(&number.min(greatest).to_be_bytes()[16 - Self::LEN..]);
        Self(bytes)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:020X}", self.number())
    }
}

/// `0x` and 20 hexadecimal digits in whatever case.
impl FromStr for Lsn {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or_default();
        if digits.len() != 2 * Self::LEN || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("must be 0x and 20 hexadecimal digits");
        }
        u128::from_str_radix(digits, 16).map(Self::of).map_err(|_| "must be 0x and 20 hexadecimal digits")
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_that_of_80_bits() {
        let lsn = Lsn::new([0, 0, 0, 42, 0, 0, 1, 0, 0, 255]);
        assert_eq!(lsn.next(), Lsn::new([0, 0, 0, 42, 0, 0, 1, 0, 1, 0]));
        assert_eq!(lsn.next().previous(), lsn);
        assert_eq!(Lsn::ZERO.previous(), Lsn::ZERO);
        assert_eq!(Lsn::new([255; 10]).next(), Lsn::new([255; 10]));
        assert_eq!(
            Lsn::new([0, 0, 0, 0, 0, 255, 255, 255, 255, 255]).next().as_bytes(),
            &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn texts_sort_like_numbers_and_give_them_back() {
        let numbers = [Lsn::ZERO, Lsn::new([0, 0, 0, 9, 0, 0, 0, 255, 0, 1]), Lsn::new([1; 10]), Lsn::new([255; 10])];
        assert!(numbers.is_sorted() && numbers.map(|lsn| lsn.to_string()).is_sorted());
        for lsn in numbers {
            assert_eq!((lsn.to_string().parse(), lsn.to_string()[2..].to_owned()), (Ok(lsn), lsn.digits()));
            assert_eq!(Lsn::from_slice(lsn.as_bytes()), Some(lsn));
        }
        for text in ["", "0x", "0x1", "00000000000000000001", "0x+0000000000000000001", "0x0000000000000000000g"] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
        assert_eq!(Lsn::from_slice(&[1; 9]), None);
    }
}
