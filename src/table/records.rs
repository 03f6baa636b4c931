//! Text as CSV records, many at a time: delimiters, quotes, embedded line ends, and nothing silently repaired.
//!
//! The rules are those of the `csv` crate (a quote opens only at the start of a field, `""` inside quotes is one quote,
//! `\n`, `\r\n` and `\r` end a record, blank lines are skipped), with one difference: a quote that is never closed is an
//! error, not a last field. A property test holds the two against each other.

use std::ops::Range;

use super::marks::Marks;
use super::text::{TextBlocks, TextError};

/// The longest record, in bytes of UTF-8.
pub(crate) const MAX_RECORD: usize = 16 * 1024 * 1024;

/// Why a record could not be had.
#[derive(Debug)]
pub(crate) enum RecordError {
    /// The text itself failed, at or after this line.
    Text {
        /// The number of the line being read, from 1.
        line: u64,
        /// What failed.
        error: TextError,
    },
    /// A quote opened in the record that begins on this line is never closed.
    UnclosedQuote {
        /// The number of the line, from 1.
        line: u64,
    },
    /// The record that begins on this line is longer than [`MAX_RECORD`].
    TooLong {
        /// The number of the line, from 1.
        line: u64,
    },
    /// The record that begins on this line has another number of fields than was asked for.
    Ragged {
        /// The number of the line, from 1.
        line: u64,
        /// How many fields it has.
        fields: usize,
    },
}

/// A reader of records.
pub(crate) struct Records {
    blocks: TextBlocks,
    text: String,
    /// The length of the text; what is behind it are the unescaped texts of the block last given.
    limit: usize,
    at: usize,
    ended: bool,
    line: u64,
    delimiter: u8,
    marks: Marks,
    /// The fields and the lines of the block's records, one record after the other.
    fields: Vec<Field>,
    lines: Vec<u64>,
    /// Whether a field of the current record is quoted: only then can it hold line ends.
    quoted: bool,
    unescaped: String,
}

/// A part of the text, in bytes; from the text's length on, of the unescaped texts. [`MAX_RECORD`] keeps both short.
#[derive(Clone, Copy)]
struct Field {
    start: u32,
    end: u32,
}

impl Field {
    fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    #[inline]
    fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Some records of the same width, at least one, valid until the next are asked for.
pub(crate) struct Block<'a> {
    text: &'a str,
    fields: &'a [Field],
    width: usize,
    /// For each record the number of the line on which it begins, from 1.
    pub(crate) lines: &'a [u64],
}

impl<'a> Block<'a> {
    /// The texts of the fields of the first record.
    pub(crate) fn first(&self) -> impl Iterator<Item = &'a str> {
        let text = self.text;
        self.fields[..self.width].iter().map(move |field| field.of(text))
    }

    /// The texts of field `index`, which is less than the width, one for each record.
    pub(crate) fn column(&self, index: usize) -> impl Iterator<Item = &'a str> {
        let text = self.text;
        self.fields.chunks_exact(self.width).map(move |record| record[index].of(text))
    }
}

enum Scan {
    /// The record ends before this position.
    Complete(usize),
    /// The text ends before the record does.
    Cut { in_quotes: bool },
}

impl Records {
    /// Splits the text of `blocks` at `delimiter`, an ASCII character.
    pub(crate) fn new(blocks: TextBlocks, delimiter: u8) -> Self {
        Self {
            blocks,
            text: String::new(),
            limit: 0,
            at: 0,
            ended: false,
            line: 1,
            delimiter,
            marks: Marks::default(),
            fields: Vec::new(),
            lines: Vec::new(),
            quoted: false,
            unescaped: String::new(),
        }
    }

    /// The next record, of whatever width; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<Block<'_>>, RecordError> {
        self.begin();
        let found = self.first()?;
        let width = self.fields.len();
        Ok(found.then(|| self.end(width)))
    }

    /// The next records, at most `most`, each of `width` fields; `None` at the end of the file. An error is that of the next
    /// record: those before it have been given.
    pub(crate) fn block(&mut self, width: usize, most: usize) -> Result<Option<Block<'_>>, RecordError> {
        self.begin();
        if !self.first()? {
            return Ok(None);
        }
        if self.fields.len() != width {
            return Err(RecordError::Ragged { line: self.lines[0], fields: self.fields.len() });
        }
        while self.lines.len() < most && self.another(width) {}
        Ok(Some(self.end(width)))
    }

    fn end(&mut self, width: usize) -> Block<'_> {
        self.text.push_str(&self.unescaped);
        Block { text: &self.text, fields: &self.fields, width, lines: &self.lines }
    }

    /// Forgets the block last given.
    fn begin(&mut self) {
        self.text.truncate(self.limit);
        self.unescaped.clear();
        self.fields.clear();
        self.lines.clear();
    }

    /// Takes the next record, reading what text that needs; `false` at the end of the file.
    fn first(&mut self) -> Result<bool, RecordError> {
        loop {
            self.skip_line_ends();
            if self.at < self.text.len() {
                match self.scan() {
                    Scan::Complete(end) => {
                        self.accept(end);
                        return Ok(true);
                    }
                    Scan::Cut { in_quotes: true } if self.ended => {
                        return Err(RecordError::UnclosedQuote { line: self.line });
                    }
                    Scan::Cut { .. } if self.text.len() - self.at > MAX_RECORD => {
                        return Err(RecordError::TooLong { line: self.line });
                    }
                    Scan::Cut { .. } => {}
                }
            } else if self.ended {
                return Ok(false);
            }
            self.begin();
            self.read_more()?;
        }
    }

    /// Takes the next record where all of it is at hand and it has `width` fields. Another is left for the next block, which
    /// it begins.
    fn another(&mut self, width: usize) -> bool {
        let taken = self.fields.len();
        self.skip_line_ends();
        if self.at < self.text.len()
            && let Scan::Complete(end) = self.scan()
            && self.fields.len() == taken + width
        {
            self.accept(end);
            return true;
        }
        self.fields.truncate(taken);
        false
    }

    fn accept(&mut self, end: usize) {
        self.lines.push(self.line);
        if self.quoted {
            let taken = &self.text.as_bytes()[self.at..end];
            self.line += memchr::memchr_iter(b'\n', taken).count() as u64;
        }
        self.at = end;
    }

    /// Line ends before a record: the second half of `\r\n`, and blank lines.
    fn skip_line_ends(&mut self) {
        let bytes = self.text.as_bytes();
        while let Some(byte @ (b'\n' | b'\r')) = bytes.get(self.at) {
            self.line += u64::from(*byte == b'\n');
            self.at += 1;
        }
    }

    /// Drops what was taken and reads at least as much again as is held, so that long records cost linear time.
    fn read_more(&mut self) -> Result<(), RecordError> {
        self.text.drain(..self.at);
        self.at = 0;
        let wanted = self.text.len() * 2;
        loop {
            let more =
                self.blocks.append_to(&mut self.text).map_err(|error| RecordError::Text { line: self.line, error })?;
            self.ended = !more;
            if self.ended || self.text.len() > wanted {
                break;
            }
        }
        self.limit = self.text.len();
        self.marks.find(self.text.as_bytes(), self.delimiter);
        Ok(())
    }

    /// Finds the fields of the record at `self.at`.
    fn scan(&mut self) -> Scan {
        self.quoted = false;
        self.marks.seek(self.at);
        let mut at = self.at;
        loop {
            let end = match self.field(at) {
                Ok(end) => end,
                Err(in_quotes) => return Scan::Cut { in_quotes },
            };
            match self.text.as_bytes().get(end) {
                Some(&byte) if byte == self.delimiter => at = end + 1,
                _ => return Scan::Complete(end),
            }
        }
    }

    /// Takes the field at `at`; gives the position of what ends it, or whether it was cut inside quotes.
    fn field(&mut self, at: usize) -> Result<usize, bool> {
        if self.text.as_bytes().get(at) == Some(&b'"') {
            self.quoted = true;
            return self.quoted_field(at + 1);
        }
        let end = self.plain_end()?;
        self.fields.push(Field::new(at..end));
        Ok(end)
    }

    /// The position of the next delimiter or line end, or of the end of the file.
    fn plain_end(&mut self) -> Result<usize, bool> {
        match self.marks.next() {
            Some(end) => Ok(end),
            None if self.ended => Ok(self.text.len()),
            None => Err(false),
        }
    }

    fn quoted_field(&mut self, start: usize) -> Result<usize, bool> {
        let mut from = start;
        let mut copied: Option<usize> = None;
        loop {
            let bytes = self.text.as_bytes();
            let quote = from + memchr::memchr(b'"', &bytes[from..]).ok_or(true)?;
            if bytes.get(quote + 1) != Some(&b'"') {
                if quote + 1 == bytes.len() && !self.ended {
                    return Err(true);
                }
                return self.close_quoted(start, from, quote, copied);
            }
            copied.get_or_insert(self.unescaped.len());
            self.unescaped.push_str(&self.text[from..=quote]);
            from = quote + 2;
        }
    }

    /// The quote at `quote` closes the field that began at `start`; text may follow it up to the delimiter.
    fn close_quoted(&mut self, start: usize, from: usize, quote: usize, copied: Option<usize>) -> Result<usize, bool> {
        self.marks.seek(quote + 1);
        let end = self.plain_end()?;
        if copied.is_none() && end == quote + 1 {
            self.fields.push(Field::new(start..quote));
            return Ok(end);
        }
        let begin = copied.unwrap_or(self.unescaped.len());
        self.unescaped.push_str(&self.text[from..quote]);
        self.unescaped.push_str(&self.text[quote + 1..end]);
        self.fields.push(Field::new(self.limit + begin..self.limit + self.unescaped.len()));
        Ok(end)
    }
}

#[cfg(test)]
mod tests;
