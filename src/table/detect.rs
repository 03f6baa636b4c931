//! The encoding of text that is not UTF-8, guessed from all of it.

use std::io::{self, Read};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};

use super::encoding::Encoding;
use crate::error::{Error, Result};

const BLOCK: usize = 256 * 1024;

/// So few characters beyond ASCII do not tell a language.
const FEW_ACCENTS: u64 = 2;

/// Reads all of a file that is not UTF-8 and guesses what it is instead, or makes the guess that was made `before`.
///
/// # Errors
/// `MixedEncodings` where parts of it are UTF-8 beyond ASCII, and `BadEncoding` where it is UTF-8 that ends within a
/// character; both name the line.
pub(crate) fn detect(mut source: Box<dyn Read + Send>, name: &str, before: Option<Encoding>) -> Result<Encoding> {
    let mut seen = Seen::default();
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    let mut block = vec![0; BLOCK];
    loop {
        let count = source.read(&mut block).map_err(|error| unreadable(name, error))?;
        if before.is_none() {
            detector.feed(&block[..count], count == 0);
        }
        if count == 0 {
            break;
        }
        for &byte in &block[..count] {
            seen.byte(byte);
        }
    }
    if seen.first_invalid.is_none() && !seen.pending.is_empty() {
        return Err(cut_character(name, seen.line_of(seen.ends)));
    }
    seen.end();
    // An accent or two say little: of the languages that have them, those of Western Europe are the likeliest.
    let likely: Option<&[u8]> = (seen.invalid <= FEW_ACCENTS).then_some(b"br");
    let guess = match before {
        Some(Encoding::Other(before)) => before,
        _ => detector.guess(likely, Utf8Detection::Deny),
    };
    // Two bytes of an Asian character may look like UTF-8 by chance, but not most of them.
    if seen.sequences == 0 || !guess.is_single_byte() && seen.sequences < seen.invalid {
        return Ok(Encoding::Other(guess));
    }
    let line = seen.line_of(seen.first_invalid.unwrap_or_default());
    Err(Error::data(
        "MixedEncodings",
        format!("`{name}` mixes encodings: UTF-8 in places, but not on line {line}"),
    )
    .hint("repair the file at its source, where parts in two encodings were joined; if it only happens to look like UTF-8 in places, set the table's `encoding` to what it is in"))
}

fn cut_character(name: &str, line: u64) -> Error {
    Error::data("BadEncoding", format!("`{name}` line {line}: the file ends within a character of UTF-8"))
        .hint("the file was cut: fetch it again; or, if it is not UTF-8, set the table's `encoding`")
}

fn unreadable(name: &str, error: io::Error) -> Error {
    let foreign = |error| Error::data("UnreadableFile", format!("cannot read `{name}`")).caused_by(error);
    error.downcast::<Error>().unwrap_or_else(foreign)
}

/// Counts UTF-8 sequences beyond ASCII, and bytes that belong to none, one byte at a time.
#[derive(Default)]
struct Seen {
    pending: Vec<u8>,
    sequences: u64,
    ends: LineEnds,
    invalid: u64,
    /// Where the first byte is that belongs to no sequence.
    first_invalid: Option<LineEnds>,
}

/// How many line ends there are up to a byte.
#[derive(Clone, Copy, Default)]
struct LineEnds {
    feeds: u64,
    returns: u64,
}

impl Seen {
    fn byte(&mut self, byte: u8) {
        if byte < 0x80 && self.pending.is_empty() {
            self.ends.feeds += u64::from(byte == b'\n');
            self.ends.returns += u64::from(byte == b'\r');
            return;
        }
        self.pending.push(byte);
        match std::str::from_utf8(&self.pending) {
            Ok(_) => {
                self.sequences += 1;
                self.pending.clear();
            }
            Err(error) if error.error_len().is_none() => {}
            Err(_) => self.invalid(byte),
        }
    }

    /// The pending bytes are no sequence; the last of them may begin another.
    fn invalid(&mut self, last: u8) {
        self.invalid += 1;
        self.first_invalid.get_or_insert(self.ends);
        let retry = self.pending.len() > 1;
        self.pending.clear();
        if retry {
            self.byte(last);
        }
    }

    fn end(&mut self) {
        if !self.pending.is_empty() {
            self.first_invalid.get_or_insert(self.ends);
        }
    }

    /// The number of the line behind these line ends, once the whole file was seen: where it has no `\n`, `\r` ends lines.
    fn line_of(&self, before: LineEnds) -> u64 {
        1 + if self.ends.feeds == 0 { before.returns } else { before.feeds }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::TextBlocks;
    use super::*;

    /// The text of bytes in this encoding, if they are that.
    fn read(bytes: &[u8], declared: Option<Encoding>) -> Option<String> {
        let mut blocks = TextBlocks::new(Box::new(io::Cursor::new(bytes.to_vec())), declared);
        let mut text = String::new();
        while blocks.append_to(&mut text).ok()? {}
        Some(text)
    }

    #[test]
    fn an_encoding_is_guessed_from_all_of_the_file() {
        let texts = [
            ("windows-1251", "id;город\n1;Москва\n2;Санкт-Петербург\n"),
            ("Shift_JIS", "id;都市\n1;東京都\n2;大阪府\n"),
            ("ISO-2022-JP", "id;都市\n1;東京都\n2;大阪府\n"),
            ("windows-1252", "id;nome\n1;João\n2;Conceição\n"),
            ("windows-1250", "id;miasto\n1;Łódź\n2;Gdańsk\n3;Wrocław\n"),
        ];
        for (label, text) in texts {
            let (bytes, _, unmappable) = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(text);
            assert!(!unmappable && read(&bytes, None).is_none(), "{label} is not UTF-8");
            let found = detect(Box::new(io::Cursor::new(bytes.to_vec())), "t.csv", None).unwrap();
            assert_eq!(read(&bytes, Some(found)).unwrap(), text, "{label} was taken for {}", found.name());
        }
    }

    #[test]
    fn a_character_that_is_cut_at_the_end_is_no_other_encoding() {
        for text in ["id;nome\n1;a\n2;Jo\u{e3}", "id;nome\n1;\u{e7}\n2;Jo\u{e3}"] {
            let cut = text.as_bytes()[..text.len() - 1].to_vec();
            let error = detect(Box::new(io::Cursor::new(cut)), "t.csv", None).unwrap_err();
            assert_eq!(error.code(), "BadEncoding");
            assert!(error.to_string().contains("line 3"), "{error}");
        }
    }

    #[test]
    fn a_guess_that_was_made_before_is_held_against_the_text_too() {
        let before = Encoding::from_label("windows-1251");
        let again = |bytes: &[u8]| detect(Box::new(io::Cursor::new(bytes.to_vec())), "t.csv", before);
        assert_eq!(Some(again(b"a\nJo\xE3o\n").unwrap()), before);
        assert_eq!(again(b"a\nJo\xE3o\nS\xC3\xA3o\n").unwrap_err().code(), "MixedEncodings");
    }

    #[test]
    fn latin1_is_detected_and_a_mixture_is_refused_with_its_line() {
        let latin1 = b"a;b\nS\xE3o;Jo\xE3o\n".to_vec();
        assert_eq!(
            Some(detect(Box::new(io::Cursor::new(latin1)), "t.csv", None).unwrap()),
            Encoding::from_label("latin-1")
        );
        for end in [&b"\n"[..], b"\r\n", b"\r"] {
            let mixed = [b"a;b", end, b"S\xC3\xA3o;x", end, b"Jo\xE3o;y", end].concat();
            let error = detect(Box::new(io::Cursor::new(mixed)), "t.csv", None).unwrap_err();
            assert_eq!(error.code(), "MixedEncodings");
            assert!(error.to_string().contains("line 3"), "{error}");
        }
    }
}
