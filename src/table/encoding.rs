//! The encodings of text: those that `encoding_rs` knows, by the labels of the WHATWG.

use encoding_rs::{REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};
use serde::{Serialize, Serializer};

/// An encoding that a text file can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16; without a byte order mark its first character tells the order, which is ASCII in most headers.
    Utf16,
    /// Any other one. Windows-1252 contains ISO-8859-1 (Latin-1) and stands for it.
    Other(&'static encoding_rs::Encoding),
}

impl Encoding {
    /// From a label such as `utf-8`, `windows-1252`, `latin-1` or `shift_jis`, in any case; `None` where none is known by it.
    pub fn from_label(label: &str) -> Option<Self> {
        let label = label.trim().to_ascii_lowercase();
        match label.as_str() {
            "utf16" | "utf-16" => return Some(Self::Utf16),
            "latin-1" => return Some(Self::Other(WINDOWS_1252)),
            _ => {}
        }
        let known = encoding_rs::Encoding::for_label(label.as_bytes())?;
        match known {
            _ if known == REPLACEMENT || known == X_USER_DEFINED => None,
            _ if known == UTF_8 => Some(Self::Utf8),
            _ => Some(Self::Other(known)),
        }
    }

    /// Its label, by which [`Self::from_label`] finds it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16 => "utf-16",
            Self::Other(known) => known.name(),
        }
    }

    /// Whether each byte is a character by itself, so that bytes without a meaning were given those of control characters.
    pub(super) fn has_undefined_controls(known: &'static encoding_rs::Encoding) -> bool {
        known.is_single_byte() && known != UTF_16LE && known != UTF_16BE
    }
}

impl Serialize for Encoding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_leads_to_its_encoding_and_back() {
        for label in [
            "utf-8",
            "UTF8",
            "utf-16",
            "Latin-1",
            "iso-8859-1",
            "windows-1251",
            "Shift_JIS",
            "gbk",
            "koi8-r",
            "macintosh",
        ] {
            let encoding = Encoding::from_label(label).unwrap();
            assert_eq!(Encoding::from_label(encoding.name()), Some(encoding), "{label}");
        }
        assert_eq!(Encoding::from_label("iso-8859-1"), Encoding::from_label("windows-1252"));
        for label in ["", "utf-7", "utf-32", "hz-gb-2312", "x-user-defined", "klingon"] {
            assert_eq!(Encoding::from_label(label), None, "{label}");
        }
    }
}
