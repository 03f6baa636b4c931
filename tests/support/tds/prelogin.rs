//! The first exchange: versions, and whether the connection will be encrypted.

use std::io;

const VERSION: u8 = 0;
const ENCRYPTION: u8 = 1;
const INSTANCE: u8 = 2;
const THREAD: u8 = 3;
const MARS: u8 = 4;
const END: u8 = 0xFF;

/// 16.0.4100, which is SQL Server 2022.
const SERVER_VERSION: [u8; 6] = [16, 0, 0x10, 0x04, 0, 0];

/// What a server does about encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// It has no certificate.
    NotSupported,
    /// As the client wishes: all of the connection, only the login, or nothing.
    Possible,
    /// All of every connection ("Force Encryption").
    Forced,
    /// TLS before anything else ("Force Strict Encryption", TDS 8).
    Strict,
}

/// The one byte of the `ENCRYPTION` option.
pub(super) mod level {
    pub(crate) const LOGIN_ONLY: u8 = 0;
    pub(crate) const ON: u8 = 1;
    pub(crate) const NOT_SUPPORTED: u8 = 2;
    pub(crate) const REQUIRED: u8 = 3;
}

impl Encryption {
    /// The answer to a client's byte.
    pub(super) fn answer(self, client: u8) -> u8 {
        match (self, client) {
            (Self::NotSupported, _) => level::NOT_SUPPORTED,
            (Self::Possible, level::NOT_SUPPORTED) => level::NOT_SUPPORTED,
            (Self::Possible, level::LOGIN_ONLY) => level::LOGIN_ONLY,
            (Self::Possible, _) | (Self::Forced, level::ON) | (Self::Strict, _) => level::ON,
            (Self::Forced, _) => level::REQUIRED,
        }
    }
}

/// The client's byte of the `ENCRYPTION` option.
pub(super) fn wished_encryption(payload: &[u8]) -> io::Result<u8> {
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "a PRELOGIN without ENCRYPTION");
    let mut options = payload.chunks_exact(5).take_while(|option| option[0] != END);
    let option = options.find(|option| option[0] == ENCRYPTION).ok_or_else(missing)?;
    let offset = usize::from(u16::from_be_bytes([option[1], option[2]]));
    payload.get(offset).copied().ok_or_else(missing)
}

/// The server's PRELOGIN.
pub(super) fn answer(encryption: u8) -> Vec<u8> {
    let options: [(u8, &[u8]); 5] =
        [(VERSION, &SERVER_VERSION), (ENCRYPTION, &[encryption]), (INSTANCE, &[0]), (THREAD, &[]), (MARS, &[0])];
    let mut offset = u16::try_from(options.len() * 5 + 1).unwrap_or_default();
    let mut message = Vec::new();
    for (token, value) in options {
        let len = u16::try_from(value.len()).unwrap_or_default();
        message.push(token);
        message.extend_from_slice(&offset.to_be_bytes());
        message.extend_from_slice(&len.to_be_bytes());
        offset += len;
    }
    message.push(END);
    options.iter().for_each(|(_, value)| message.extend_from_slice(value));
    message
}
