//! Zip archives byte by byte, so that they can lie.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

pub(crate) const STORED: u16 = 0;
pub(crate) const DEFLATED: u16 = 8;

/// A member, as the archive describes it.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) method: u16,
    pub(crate) flags: u16,
    pub(crate) crc32: u32,
    pub(crate) compressed: u32,
    pub(crate) size: u32,
    /// Where the central directory says that the member begins, if not where it does.
    pub(crate) offset: Option<u32>,
}

impl Entry {
    /// An honest member that is not compressed.
    pub(crate) fn stored(name: &str, content: &[u8]) -> Self {
        Self::new(name, content, content.to_vec(), STORED)
    }

    /// An honest member that is compressed.
    pub(crate) fn deflated(name: &str, content: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        Self::new(name, content, encoder.finish().unwrap(), DEFLATED)
    }

    fn new(name: &str, content: &[u8], data: Vec<u8>, method: u16) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let (compressed, size) = (u32::try_from(data.len()).unwrap(), u32::try_from(content.len()).unwrap());
        Self { name: name.into(), data, method, flags: 0, crc32: crc.sum(), compressed, size, offset: None }
    }

    /// What local header and central directory have in common.
    fn common(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [20, self.flags, self.method, 0, 0x21] {
            bytes.extend(field.to_le_bytes());
        }
        for field in [self.crc32, self.compressed, self.size] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(u16::try_from(self.name.len()).unwrap().to_le_bytes());
        bytes.extend(0_u16.to_le_bytes());
        bytes
    }
}

/// The archive of these members.
pub(crate) fn archive(entries: &[Entry]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = entry.offset.unwrap_or(u32::try_from(bytes.len()).unwrap());
        bytes.extend([b"PK\x03\x04", entry.common().as_slice(), &entry.name, &entry.data].concat());
        directory.extend([b"PK\x01\x02\x14\x00", entry.common().as_slice(), &[0; 10]].concat());
        directory.extend([&offset.to_le_bytes(), entry.name.as_slice()].concat());
    }
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let [start, len] = [bytes.len(), directory.len()].map(|place| u32::try_from(place).unwrap().to_le_bytes());
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06".as_slice(), &[0; 4], &count, &count, &len, &start, &[0; 2]].concat());
    bytes
}
