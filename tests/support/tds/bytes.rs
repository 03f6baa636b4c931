//! The few shapes of which messages are made.

use std::fmt;

use bytes::{BufMut, BytesMut};

/// A message that ends too early or says what it may not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Malformed(pub(super) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// Reads a message from its begin.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed("a message that ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A little-endian number of at most 16 bytes.
    pub(super) fn number(&mut self, len: usize) -> Result<u128, Malformed> {
        let mut number = [0; 16];
        number[..len].copy_from_slice(self.take(len)?);
        Ok(u128::from_le_bytes(number))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(self.number(2)? as u16)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(self.number(4)? as u32)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(self.number(8)? as u64)
    }

    /// UTF-16 of so many units.
    pub(super) fn text(&mut self, units: usize) -> Result<String, Malformed> {
        Ok(utf16(self.take(2 * units)?))
    }
}

/// The text of UTF-16 bytes; what is not one becomes U+FFFD.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// What tokens add to the shapes of [`BufMut`].
pub(super) trait Put: BufMut {
    /// `B_VARCHAR`: at most 255 units.
    fn put_b_varchar(&mut self, text: &str) {
        let units: Vec<u16> = text.encode_utf16().take(255).collect();
        self.put_u8(units.len() as u8);
        units.into_iter().for_each(|unit| self.put_u16_le(unit));
    }

    /// `US_VARCHAR`: at most 65,535 units.
    fn put_us_varchar(&mut self, text: &str) {
        let units: Vec<u16> = text.encode_utf16().take(65_535).collect();
        self.put_u16_le(units.len() as u16);
        units.into_iter().for_each(|unit| self.put_u16_le(unit));
    }
}

impl Put for BytesMut {}
impl Put for Vec<u8> {}
