//! The object store's hashes (`x-goog-hash`) and the check of the bytes against them.
//!
//! The header tells MD5 and CRC32C of the whole stored object, in base64, joined by commas or on several lines. Composite
//! objects have CRC32C only. What is offered is checked; a hash that cannot be read counts as not offered.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use reqwest::header::HeaderMap;

/// The hashes that the object store offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offered {
    md5: Option<[u8; 16]>,
    crc32c: Option<u32>,
}

impl Offered {
    /// Those of a response.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        let lines = headers.get_all("x-goog-hash").iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(',')).filter_map(|pair| pair.trim().split_once('='));
        pairs.fold(Self::default(), |offered, (name, value)| match name.to_ascii_lowercase().as_str() {
            "md5" => Self { md5: decode(value), ..offered },
            "crc32c" => Self { crc32c: decode(value).map(u32::from_be_bytes), ..offered },
            _ => offered,
        })
    }

    /// Whether there is nothing to check against.
    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// The hashes of the bytes so far; only those that were offered are computed.
#[derive(Debug, Default)]
pub(super) struct Running {
    offered: Offered,
    md5: Md5,
    crc32c: u32,
}

impl Running {
    /// No bytes yet.
    pub(super) fn new(offered: Offered) -> Self {
        Self { offered, ..Self::default() }
    }

    /// Adds the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if self.offered.md5.is_some() {
            self.md5.update(bytes);
        }
        if self.offered.crc32c.is_some() {
            self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        }
    }

    /// The name of the first hash that is wrong, now that all bytes are there.
    pub(super) fn mismatch(&self) -> Option<&'static str> {
        let computed: [u8; 16] = self.md5.clone().finalize().into();
        if self.offered.md5.is_some_and(|expected| expected != computed) {
            return Some("MD5");
        }
        self.offered.crc32c.is_some_and(|expected| expected != self.crc32c).then_some("CRC32C")
    }
}

fn decode<const N: usize>(base64: &str) -> Option<[u8; N]> {
    BASE64_STANDARD.decode(base64).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `123456789`: the check value of CRC-32C, and its MD5.
    const CRC32C: &str = "crc32c=4waSgw==";
    const MD5: &str = "md5=JfnnlDI7RTiF9RgfG2JNCw==";

    fn offered(lines: &[&str]) -> Offered {
        Offered::from_headers(
            &lines.iter().map(|line| ("x-goog-hash".parse().unwrap(), line.parse().unwrap())).collect(),
        )
    }

    #[test]
    fn hashes_joined_by_commas_or_on_several_lines_are_the_same() {
        let joined = offered(&[&format!("{CRC32C}, {MD5}")]);
        assert_eq!(joined, offered(&[MD5, CRC32C]));
        assert_eq!(joined.crc32c, Some(0xE306_9283));
        assert!(joined.md5.is_some());
    }

    #[test]
    fn what_cannot_be_read_is_not_offered() {
        for line in ["", "md5", "md5=", "md5=!!!!", "md5=4waSgw==", "crc32c=JfnnlDI7RTiF9RgfG2JNCw==", "sha1=4waSgw=="]
        {
            assert!(offered(&[line]).is_none(), "{line}");
        }
    }

    #[test]
    fn each_offered_hash_is_checked_over_bytes_in_pieces() {
        for lines in [vec![CRC32C], vec![MD5], vec![CRC32C, MD5]] {
            let mut right = Running::new(offered(&lines));
            right.update(b"1234");
            right.update(b"56789");
            assert_eq!(right.mismatch(), None, "{lines:?}");
            right.update(b"0");
            assert!(right.mismatch().is_some(), "{lines:?}");
        }
    }
}
