//! Bytes of a file as UTF-8 text, block by block, whatever the file's encoding.
//!
//! A byte order mark decides; else the declared encoding; else UTF-8 is assumed and checked. A file that turns out not
//! to be UTF-8 ends in [`TextError::Invalid`], upon which the caller may ask [`detect`](super::detect::detect) to look at all of it.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE};

use super::encoding::Encoding;
use super::utf8::Utf8Watch;

const BLOCK: usize = 256 * 1024;

const ESCAPE: u8 = 0x1B;

/// Why a block of text could not be had.
#[derive(Debug)]
pub(crate) enum TextError {
    /// Reading failed.
    Io(io::Error),
    /// The byte at this offset is not valid in the encoding in force.
    Invalid {
        /// Offset in bytes from the start of the file.
        offset: u64,
        /// Whether the encoding was assumed rather than declared or marked.
        assumed: bool,
    },
    /// A NUL character, which no text table holds.
    Nul,
    /// The file is UTF-32.
    Utf32,
    /// The whole file is UTF-8, and was said to be in this.
    IsUtf8(&'static encoding_rs::Encoding),
}

impl From<io::Error> for TextError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A reader of text blocks.
pub(crate) struct TextBlocks {
    source: Box<dyn Read + Send>,
    raw: Vec<u8>,
    held: usize,
    offset: u64,
    decoding: Option<Decoding>,
    declared: Option<Encoding>,
    ended: bool,
}

enum Decoding {
    Utf8 { assumed: bool },
    Other(Box<Decoder>, Option<Utf8Watch>),
}

impl Decoding {
    fn utf16(order: &'static encoding_rs::Encoding) -> Self {
        Self::Other(Box::new(order.new_decoder_without_bom_handling()), None)
    }

    fn declared(known: &'static encoding_rs::Encoding) -> Self {
        if [UTF_16LE, UTF_16BE].contains(&known) {
            return Self::utf16(known);
        }
        let watch = Utf8Watch::new(known);
        Self::Other(Box::new(known.new_decoder_without_bom_handling()), Some(watch))
    }
}

impl TextBlocks {
    /// Reads `source`, which holds text in `declared` or, without it, in what a byte order mark says, or UTF-8.
    pub(crate) fn new(source: Box<dyn Read + Send>, declared: Option<Encoding>) -> Self {
        Self::sized(source, declared, BLOCK)
    }

    /// The same in blocks of `block` bytes, at least 4.
    pub(super) fn sized(source: Box<dyn Read + Send>, declared: Option<Encoding>, block: usize) -> Self {
        Self { source, raw: vec![0; block], held: 0, offset: 0, decoding: None, declared, ended: false }
    }

    /// Appends the next piece of text to `text`; `false` at the end of the file.
    pub(crate) fn append_to(&mut self, text: &mut String) -> Result<bool, TextError> {
        if self.ended {
            return Ok(false);
        }
        let before = text.len();
        self.fill()?;
        if self.decoding.is_none() {
            if is_utf32(&self.raw[..self.held]) {
                return Err(TextError::Utf32);
            }
            self.decide();
        }
        match &mut self.decoding {
            Some(Decoding::Other(..)) => self.decode(text)?,
            Some(Decoding::Utf8 { assumed }) => {
                let assumed = *assumed;
                self.validate(text, assumed)?;
            }
            None => {}
        }
        match memchr::memchr2(0, ESCAPE, &text.as_bytes()[before..]) {
            None => Ok(true),
            Some(at) => self.control(text, before + at).map(|()| true),
        }
    }

    /// A NUL is in no text table, and an escape is what the 7-bit encodings of Japanese switch by.
    fn control(&self, text: &mut String, at: usize) -> Result<(), TextError> {
        let assumed = matches!(self.decoding, Some(Decoding::Utf8 { assumed: true }));
        let has_nul = memchr::memchr(0, &text.as_bytes()[at..]);
        let switches = |rest: &[u8]| matches!(rest, [ESCAPE, b'$' | b'(', ..]);
        let switch = (at..text.len()).find(|&at| assumed && switches(&text.as_bytes()[at..]));
        match (has_nul.map(|nul| at + nul), switch) {
            (Some(nul), _) => {
                text.truncate(nul);
                Err(TextError::Nul)
            }
            (None, Some(_)) => Err(TextError::Invalid { offset: self.offset, assumed }),
            (None, None) => Ok(()),
        }
    }

    /// The encoding in force, once the first piece of text was read.
    pub(crate) fn encoding(&self) -> Encoding {
        match &self.decoding {
            Some(Decoding::Other(decoder, _)) if [UTF_16LE, UTF_16BE].contains(&decoder.encoding()) => Encoding::Utf16,
            Some(Decoding::Other(decoder, _)) => Encoding::Other(decoder.encoding()),
            Some(Decoding::Utf8 { .. }) | None => Encoding::Utf8,
        }
    }

    /// Reads until the block is full or the source ends.
    fn fill(&mut self) -> io::Result<()> {
        while self.held < self.raw.len() {
            match self.source.read(&mut self.raw[self.held..]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => self.held += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn decide(&mut self) {
        let start = &self.raw[..self.held];
        let utf16 = Decoding::utf16;
        // A mark that a second program put before that of the first is no text either.
        let marks = start.chunks_exact(3).take_while(|mark| *mark == [0xEF, 0xBB, 0xBF]).count();
        let (skip, decoding) = match (start, self.declared) {
            ([0xEF, 0xBB, 0xBF, ..], _) => (marks * 3, Decoding::Utf8 { assumed: false }),
            ([0xFF, 0xFE, ..], _) => (2, utf16(UTF_16LE)),
            ([0xFE, 0xFF, ..], _) => (2, utf16(UTF_16BE)),
            ([0, second, ..], Some(Encoding::Utf16)) if *second != 0 => (0, utf16(UTF_16BE)),
            (_, Some(Encoding::Utf16)) => (0, utf16(UTF_16LE)),
            (_, Some(Encoding::Other(known))) => (0, Decoding::declared(known)),
            (_, Some(Encoding::Utf8)) => (0, Decoding::Utf8 { assumed: false }),
            ([_, 0, _, 0, ..], None) => (0, utf16(UTF_16LE)),
            ([0, _, 0, _, ..], None) => (0, utf16(UTF_16BE)),
            (_, None) => (0, Decoding::Utf8 { assumed: true }),
        };
        self.consume(skip);
        self.decoding = Some(decoding);
    }

    fn consume(&mut self, count: usize) {
        self.raw.copy_within(count..self.held, 0);
        self.held -= count;
        self.offset += count as u64;
    }

    fn validate(&mut self, text: &mut String, assumed: bool) -> Result<(), TextError> {
        let valid = match simdutf8::compat::from_utf8(&self.raw[..self.held]) {
            Ok(all) => {
                text.push_str(all);
                self.held
            }
            Err(error) => {
                text.push_str(&String::from_utf8_lossy(&self.raw[..error.valid_up_to()]));
                let cut_at_end = error.error_len().is_none() && !self.ended;
                if !cut_at_end {
                    return Err(TextError::Invalid { offset: self.offset + error.valid_up_to() as u64, assumed });
                }
                error.valid_up_to()
            }
        };
        self.consume(valid);
        Ok(())
    }

    fn decode(&mut self, text: &mut String) -> Result<(), TextError> {
        let Some(Decoding::Other(decoder, watch)) = &mut self.decoding else { return Ok(()) };
        if let Some(watch) = watch {
            watch.see(&self.raw[..self.held]);
            if self.ended && watch.ends_as_utf8() {
                return Err(TextError::IsUtf8(decoder.encoding()));
            }
        }
        let (mut used, before) = (0, text.len());
        let invalid = |used: usize| TextError::Invalid { offset: self.offset + used as u64, assumed: false };
        loop {
            text.reserve(decoder.max_utf8_buffer_length_without_replacement(self.held - used).unwrap_or(BLOCK));
            let rest = &self.raw[used..self.held];
            let (result, count) = decoder.decode_to_string_without_replacement(rest, text, self.ended);
            used += count;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(length, behind) => {
                    return Err(invalid(used.saturating_sub(usize::from(length) + usize::from(behind))));
                }
            }
        }
        if Encoding::has_undefined_controls(decoder.encoding())
            && let Some(at) = first_control(&text[before..])
        {
            // Each byte is one character there.
            let offset = invalid(text[before..before + at].chars().count());
            text.truncate(before + at);
            return Err(offset);
        }
        self.consume(used);
        Ok(())
    }
}

/// Whether a text starts with a mark of UTF-32, or with two characters of ASCII in it. As UTF-16 it would be full of NULs.
fn is_utf32(start: &[u8]) -> bool {
    match start {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => true,
        [one, 0, 0, 0, other, 0, 0, 0, ..] | [0, 0, 0, one, 0, 0, 0, other, ..] => *one != 0 && *other != 0,
        _ => false,
    }
}

/// The control characters beyond ASCII, which no table holds: some encodings give their bytes to those that mean nothing.
fn first_control(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(0xC2, bytes).find(|&at| matches!(bytes.get(at + 1), Some(0x80..=0x9F)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], declared: Option<Encoding>) -> Result<String, TextError> {
        let mut blocks = TextBlocks::new(Box::new(io::Cursor::new(bytes.to_vec())), declared);
        let mut text = String::new();
        while blocks.append_to(&mut text)? {}
        Ok(text)
    }

    #[test]
    fn marks_and_declarations_decide() {
        assert_eq!(read(b"\xEF\xBB\xBFa\xC3\xA9", None).unwrap(), "aé");
        assert_eq!(read(b"\xFF\xFEa\0\xE9\0", None).unwrap(), "aé");
        assert_eq!(read(b"\xFE\xFF\0a\0\xE9", None).unwrap(), "aé");
        assert_eq!(read(b"a\0;\0\xE9\0", None).unwrap(), "a;é");
        assert_eq!(read(b"\0a\0\xE9", Some(Encoding::Utf16)).unwrap(), "aé");
        assert_eq!(read(b"a\xE9\x80", Encoding::from_label("latin-1")).unwrap(), "aé€");
    }

    #[test]
    fn text_that_is_not_utf8_is_told_with_its_offset() {
        assert!(matches!(read(b"ab\xE9c", None), Err(TextError::Invalid { offset: 2, assumed: true })));
        assert!(matches!(read(b"ab\xC3", Some(Encoding::Utf8)), Err(TextError::Invalid { offset: 2, assumed: false })));
        assert!(matches!(read(b"a\0b", Some(Encoding::Utf8)), Err(TextError::Nul)));
    }

    #[test]
    fn bytes_without_a_meaning_are_no_text() {
        let declared = |label| Encoding::from_label(label);
        let invalid = |bytes: &[u8], label| match read(bytes, declared(label)) {
            Err(TextError::Invalid { offset, assumed: false }) => Some(offset),
            _ => None,
        };
        assert_eq!(invalid(b"ab\x81c", "windows-1252"), Some(2));
        assert_eq!(invalid(b"a\xE9\x98c", "windows-1251"), Some(2));
        assert_eq!(invalid(b"ab\xFF\xFFc", "shift_jis"), Some(2));
        assert_eq!(invalid(b"ab\x82", "shift_jis"), Some(2));
        assert_eq!(invalid(b"a\0\xE9", "utf-16le"), Some(2));
    }

    #[test]
    fn marks_before_marks_are_no_text() {
        assert_eq!(read("\u{feff}\u{feff}a\u{feff}".as_bytes(), None).unwrap(), "a\u{feff}");
    }

    #[test]
    fn utf32_is_known_with_and_without_its_mark() {
        let big = |text: &str| text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect::<Vec<_>>();
        let little = |text: &str| text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<_>>();
        for text in ["\u{feff}id\n1\n", "id\n1\n"] {
            for bytes in [big(text), little(text)] {
                assert!(matches!(read(&bytes, None), Err(TextError::Utf32)));
                assert!(matches!(read(&bytes, Some(Encoding::Utf16)), Err(TextError::Utf32)));
            }
        }
    }

    #[test]
    fn sequences_across_blocks_are_whole() {
        let text = format!("{}é{}", "x".repeat(BLOCK - 1), "y".repeat(BLOCK));
        assert_eq!(read(text.as_bytes(), None).unwrap(), text);
    }
}
