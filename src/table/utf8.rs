//! Whether text that is said to be in another encoding is UTF-8 from its first byte to its last.

use encoding_rs::{Encoding, WINDOWS_1252};

/// So many characters beyond ASCII, none of which is out of place, are UTF-8 by no chance, if each byte is a character otherwise.
/// In Western Europe one is enough: as Windows-1252 it would be a capital accent and a sign.
const ENOUGH_OF_SINGLE_BYTES: u64 = 2;

/// The same where two bytes are one character, of which many look like UTF-8.
const ENOUGH_OF_PAIRS: u64 = 8;

/// Looks at the bytes of a text as they pass, as long as they are UTF-8.
#[derive(Debug)]
pub(super) struct Utf8Watch {
    /// The start of a character that goes on in the next piece.
    pending: Vec<u8>,
    sequences: u64,
    enough: u64,
    is_utf8: bool,
}

impl Utf8Watch {
    /// For text that is said to be in this encoding.
    pub(super) fn new(said: &'static Encoding) -> Self {
        let enough = match said {
            _ if said == WINDOWS_1252 => 1,
            _ if said.is_single_byte() => ENOUGH_OF_SINGLE_BYTES,
            _ => ENOUGH_OF_PAIRS,
        };
        Self { pending: Vec::new(), sequences: 0, enough, is_utf8: true }
    }

    /// Looks at the next piece.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        if !self.is_utf8 {
            return;
        }
        if self.pending.is_empty() {
            return self.check(bytes);
        }
        let whole = [&std::mem::take(&mut self.pending), bytes].concat();
        self.check(&whole);
    }

    /// Whether all of it was UTF-8, and not only ASCII.
    pub(super) fn ends_as_utf8(&self) -> bool {
        self.is_utf8 && self.pending.is_empty() && self.sequences >= self.enough
    }

    fn check(&mut self, bytes: &[u8]) {
        let valid = match simdutf8::compat::from_utf8(bytes) {
            Ok(_) => bytes.len(),
            Err(error) => {
                self.is_utf8 = error.error_len().is_none();
                error.valid_up_to()
            }
        };
        let (text, rest) = bytes.split_at(valid);
        self.sequences += text.iter().filter(|&&byte| byte >= 0xC0).count() as u64;
        self.pending.extend_from_slice(rest.get(..rest.len().min(3)).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{SHIFT_JIS, WINDOWS_1251};

    use super::*;

    fn is_utf8(bytes: &[u8], said: &'static Encoding) -> bool {
        let all = [1, 2, 3, 5, 100].map(|piece| {
            let mut watch = Utf8Watch::new(said);
            bytes.chunks(piece).for_each(|piece| watch.see(piece));
            watch.ends_as_utf8()
        });
        assert!(all.iter().all(|one| *one == all[0]));
        all[0]
    }

    #[test]
    fn only_text_that_is_utf8_throughout_is() {
        assert!(is_utf8("João".as_bytes(), WINDOWS_1252));
        assert!(is_utf8("Её ё".as_bytes(), WINDOWS_1251));
        assert!(!is_utf8(b"\xC5\xB8", WINDOWS_1251), "one character may be chance");
        assert!(!is_utf8("東京都大阪".as_bytes(), SHIFT_JIS), "a few pairs may be, too");
        assert!(is_utf8("東京都大阪府札幌市".as_bytes(), SHIFT_JIS));
        assert!(!is_utf8(b"Jo\xC3\xA3o, Concei\xC3\xA7\xE3o", WINDOWS_1252));
        assert!(!is_utf8(b"Jo\xC3\xA3o, \xC3\xA7\xC3", WINDOWS_1252));
        assert!(!is_utf8(b"ascii only, and more of it", WINDOWS_1252));
    }
}
