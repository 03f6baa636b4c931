//! Bytes of a file as UTF-8 text, block by block, whatever the file's encoding.
//!
//! A byte order mark decides; else the declared encoding; else UTF-8 is assumed and checked. A file that turns out not
//! to be UTF-8 ends in [`NotUtf8`], upon which the caller may ask [`detect`] to look at all of it.

use std::io::{self, Read};

use encoding_rs::{CoderResult, Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::spec::Encoding;
use crate::error::{Error, Result};

const BLOCK: usize = 256 * 1024;

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
    Other(Box<Decoder>),
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
            self.decide();
        }
        match &mut self.decoding {
            Some(Decoding::Other(_)) => self.decode(text)?,
            Some(Decoding::Utf8 { assumed }) => {
                let assumed = *assumed;
                self.validate(text, assumed)?;
            }
            None => {}
        }
        if memchr::memchr(0, &text.as_bytes()[before..]).is_some() {
            return Err(TextError::Nul);
        }
        Ok(true)
    }

    /// The encoding in force, once the first piece of text was read.
    pub(crate) fn encoding(&self) -> Encoding {
        match &self.decoding {
            Some(Decoding::Other(decoder)) if decoder.encoding() == WINDOWS_1252 => Encoding::Latin1,
            Some(Decoding::Other(_)) => Encoding::Utf16,
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
        let utf16 = |decoder: &'static encoding_rs::Encoding| {
            Decoding::Other(Box::new(decoder.new_decoder_without_bom_handling()))
        };
        let (skip, decoding) = match (start, self.declared) {
            ([0xEF, 0xBB, 0xBF, ..], _) => (3, Decoding::Utf8 { assumed: false }),
            ([0xFF, 0xFE, ..], _) => (2, utf16(UTF_16LE)),
            ([0xFE, 0xFF, ..], _) => (2, utf16(UTF_16BE)),
            ([0, second, ..], Some(Encoding::Utf16)) if *second != 0 => (0, utf16(UTF_16BE)),
            (_, Some(Encoding::Utf16)) => (0, utf16(UTF_16LE)),
            (_, Some(Encoding::Latin1)) => {
                (0, Decoding::Other(Box::new(WINDOWS_1252.new_decoder_without_bom_handling())))
            }
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
                let cut_at_end = error.error_len().is_none() && !self.ended;
                if !cut_at_end {
                    return Err(TextError::Invalid { offset: self.offset + error.valid_up_to() as u64, assumed });
                }
                text.push_str(&String::from_utf8_lossy(&self.raw[..error.valid_up_to()]));
                error.valid_up_to()
            }
        };
        self.consume(valid);
        Ok(())
    }

    fn decode(&mut self, text: &mut String) -> Result<(), TextError> {
        let Some(Decoding::Other(decoder)) = &mut self.decoding else { return Ok(()) };
        let mut used = 0;
        loop {
            text.reserve(decoder.max_utf8_buffer_length(self.held - used).unwrap_or(BLOCK));
            let (result, count, had_errors) = decoder.decode_to_string(&self.raw[used..self.held], text, self.ended);
            used += count;
            if had_errors {
                return Err(TextError::Invalid { offset: self.offset + used as u64, assumed: false });
            }
            if result == CoderResult::InputEmpty {
                break;
            }
        }
        self.consume(used);
        Ok(())
    }
}

/// Reads all of a file that is not UTF-8 and says what it is instead: Windows-1252 where no part of it looks like UTF-8
/// beyond ASCII. A mixture is an error that names the line.
pub(crate) fn detect(mut source: Box<dyn Read + Send>, name: &str) -> Result<Encoding> {
    let mut seen = Seen::default();
    let mut block = vec![0; BLOCK];
    loop {
        let count = source.read(&mut block).map_err(|error| unreadable(name, error))?;
        if count == 0 {
            break;
        }
        for &byte in &block[..count] {
            seen.byte(byte);
        }
    }
    seen.end();
    if seen.sequences == 0 {
        return Ok(Encoding::Latin1);
    }
    Err(Error::data(
        "MixedEncodings",
        format!("`{name}` mixes encodings: UTF-8 in places, but not on line {}", seen.first_invalid_line),
    )
    .hint("repair the file at its source, or set the table's `encoding` to what most of it is"))
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
    lines: u64,
    first_invalid_line: u64,
}

impl Seen {
    fn byte(&mut self, byte: u8) {
        self.pending.push(byte);
        match std::str::from_utf8(&self.pending) {
            Ok(_) => {
                self.sequences += u64::from(byte >= 0x80);
                self.lines += u64::from(byte == b'\n');
                self.pending.clear();
            }
            Err(error) if error.error_len().is_none() => {}
            Err(_) => self.invalid(byte),
        }
    }

    /// The pending bytes are no sequence; the last of them may begin another.
    fn invalid(&mut self, last: u8) {
        if self.first_invalid_line == 0 {
            self.first_invalid_line = self.lines + 1;
        }
        let retry = self.pending.len() > 1;
        self.pending.clear();
        if retry {
            self.byte(last);
        }
    }

    fn end(&mut self) {
        if !self.pending.is_empty() && self.first_invalid_line == 0 {
            self.first_invalid_line = self.lines + 1;
        }
    }
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
        assert_eq!(read(b"a\xE9\x80", Some(Encoding::Latin1)).unwrap(), "aé€");
    }

    #[test]
    fn text_that_is_not_utf8_is_told_with_its_offset() {
        assert!(matches!(read(b"ab\xE9c", None), Err(TextError::Invalid { offset: 2, assumed: true })));
        assert!(matches!(read(b"ab\xC3", Some(Encoding::Utf8)), Err(TextError::Invalid { offset: 2, assumed: false })));
        assert!(matches!(read(b"a\0b", Some(Encoding::Utf8)), Err(TextError::Nul)));
    }

    #[test]
    fn sequences_across_blocks_are_whole() {
        let text = format!("{}é{}", "x".repeat(BLOCK - 1), "y".repeat(BLOCK));
        assert_eq!(read(text.as_bytes(), None).unwrap(), text);
    }

    #[test]
    fn latin1_is_detected_and_a_mixture_is_refused_with_its_line() {
        let latin1 = b"a;b\nS\xE3o;Jo\xE3o\n".to_vec();
        assert_eq!(detect(Box::new(io::Cursor::new(latin1)), "t.csv").unwrap(), Encoding::Latin1);
        let mixed = b"a;b\nS\xC3\xA3o;x\nJo\xE3o;y\n".to_vec();
        let error = detect(Box::new(io::Cursor::new(mixed)), "t.csv").unwrap_err();
        assert_eq!(error.code(), "MixedEncodings");
        assert!(error.to_string().contains("line 3"), "{error}");
    }
}
