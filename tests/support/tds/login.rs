//! LOGIN7: who comes in, and what they ask for.

use super::bytes::{Cursor, Malformed};

/// Where the offsets and lengths of the texts begin.
const TEXTS: usize = 36;

/// A client's login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// As in `0x74000004`, which is 7.4.
    pub(crate) version: u32,
    /// The size of packets that the client wishes, in bytes; 0 leaves it to the server.
    pub(crate) packet_size: u32,
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) application: String,
    pub(crate) server: String,
    /// Empty: the user's own.
    pub(crate) database: String,
    /// `ApplicationIntent=ReadOnly`.
    pub(crate) read_only: bool,
}

impl Login {
    pub(super) fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let mut fixed = Cursor::new(payload);
        fixed.take(4)?;
        let (version, packet_size) = (fixed.u32()?, fixed.u32()?);
        fixed.take(12)?;
        let flags = fixed.take(4)?;
        let text = |nth: usize| text(payload, nth);
        Ok(Self {
            version,
            packet_size,
            host: text(0)?,
            user: text(1)?,
            password: String::from_utf16_lossy(&units(&clear(password(payload)?))),
            application: text(3)?,
            server: text(4)?,
            database: text(8)?,
            read_only: flags[2] & 0x20 != 0,
        })
    }
}

fn raw(payload: &[u8], nth: usize) -> Result<&[u8], Malformed> {
    let mut place = Cursor::new(payload.get(TEXTS + 4 * nth..).ok_or(Malformed("a short LOGIN7"))?);
    let (offset, chars) = (usize::from(place.u16()?), usize::from(place.u16()?));
    payload.get(offset..offset + 2 * chars).ok_or(Malformed("a text of LOGIN7 beyond its end"))
}

fn text(payload: &[u8], nth: usize) -> Result<String, Malformed> {
    Ok(String::from_utf16_lossy(&units(raw(payload, nth)?)))
}

fn password(payload: &[u8]) -> Result<&[u8], Malformed> {
    raw(payload, 2)
}

/// Takes the obfuscation from a password.
fn clear(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| (byte ^ 0xA5).rotate_left(4)).collect()
}

fn units(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}
