//! Text as CSV records: delimiters, quotes, embedded line ends, and nothing silently repaired.
//!
//! The rules are those of the `csv` crate (a quote opens only at the start of a field, `""` inside quotes is one quote,
//! `\n`, `\r\n` and `\r` end a record, blank lines are skipped), with one difference: a quote that is never closed is an
//! error, not a last field. A property test holds the two against each other.

use std::ops::Range;

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
}

/// A reader of records.
pub(crate) struct Records {
    blocks: TextBlocks,
    text: String,
    at: usize,
    ended: bool,
    line: u64,
    delimiter: u8,
    fields: Vec<Field>,
    /// Whether a field of the current record is quoted: only then can it hold line ends.
    quoted: bool,
    unescaped: String,
}

/// A field of the current record: a part of the text, or of the unescaped texts.
struct Field {
    range: Range<usize>,
    unescaped: bool,
}

/// One record, valid until the next is asked for.
pub(crate) struct Record<'a> {
    records: &'a Records,
    /// The number of the line on which it begins, from 1.
    pub(crate) line: u64,
}

impl<'a> Record<'a> {
    /// How many fields it has.
    pub(crate) fn len(&self) -> usize {
        self.records.fields.len()
    }

    /// The text of field `index`.
    pub(crate) fn get(&self, index: usize) -> Option<&'a str> {
        let field = self.records.fields.get(index)?;
        let text = if field.unescaped { &self.records.unescaped } else { &self.records.text };
        text.get(field.range.clone())
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
        let (text, fields, unescaped) = (String::new(), Vec::new(), String::new());
        Self { blocks, text, at: 0, ended: false, line: 1, delimiter, fields, quoted: false, unescaped }
    }

    /// The next record; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>, RecordError> {
        loop {
            self.skip_line_ends();
            if self.at < self.text.len() {
                match self.scan() {
                    Scan::Complete(end) => return Ok(Some(self.accept(end))),
                    Scan::Cut { in_quotes: true } if self.ended => {
                        return Err(RecordError::UnclosedQuote { line: self.line });
                    }
                    Scan::Cut { .. } if self.text.len() - self.at > MAX_RECORD => {
                        return Err(RecordError::TooLong { line: self.line });
                    }
                    Scan::Cut { .. } => {}
                }
            } else if self.ended {
                return Ok(None);
            }
            self.read_more()?;
        }
    }

    fn accept(&mut self, end: usize) -> Record<'_> {
        let line = self.line;
        if self.quoted {
            let taken = &self.text.as_bytes()[self.at..end];
            self.line += memchr::memchr_iter(b'\n', taken).count() as u64;
        }
        self.at = end;
        Record { records: self, line }
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
                return Ok(());
            }
        }
    }

    /// Finds the fields of the record at `self.at`.
    fn scan(&mut self) -> Scan {
        self.fields.clear();
        self.quoted = false;
        self.unescaped.clear();
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
        let end = self.plain_end(at)?;
        self.fields.push(Field { range: at..end, unescaped: false });
        Ok(end)
    }

    /// The position of the delimiter or line end at or after `at`, or of the end of the file.
    fn plain_end(&self, at: usize) -> Result<usize, bool> {
        match memchr::memchr3(self.delimiter, b'\n', b'\r', &self.text.as_bytes()[at..]) {
            Some(length) => Ok(at + length),
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
        let end = self.plain_end(quote + 1)?;
        if copied.is_none() && end == quote + 1 {
            self.fields.push(Field { range: start..quote, unescaped: false });
            return Ok(end);
        }
        let begin = copied.unwrap_or(self.unescaped.len());
        self.unescaped.push_str(&self.text[from..quote]);
        self.unescaped.push_str(&self.text[quote + 1..end]);
        self.fields.push(Field { range: begin..self.unescaped.len(), unescaped: true });
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    /// A source that gives its bytes a few at a time, so that every cut of a record occurs.
    struct Drip(Vec<u8>, usize);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn records(text: &str, delimiter: u8) -> Result<Vec<(u64, Vec<String>)>, RecordError> {
        let source = Drip(text.as_bytes().to_vec(), 3);
        let mut records = Records::new(TextBlocks::new(Box::new(source), None), delimiter);
        let mut all = Vec::new();
        while let Some(record) = records.next()? {
            all.push((record.line, (0..record.len()).map(|i| record.get(i).unwrap().to_owned()).collect()));
        }
        Ok(all)
    }

    fn reference(text: &str, delimiter: u8) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(text.as_bytes());
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn lines_are_those_of_the_file() {
        let all = records("a;b\r\n\r\n\"x\ny\";2\n3;4", b';').unwrap();
        assert_eq!(all.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!(all[1].1, ["x\ny", "2"]);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_an_error_with_its_line() {
        let error = records("a,b\n1,\"x\n2,y\n", b',').unwrap_err();
        assert!(matches!(error, RecordError::UnclosedQuote { line: 2 }));
    }

    #[test]
    fn a_last_line_without_its_end_is_a_record() {
        assert_eq!(records("a,b\n1,\"2\"", b',').unwrap()[1].1, ["1", "2"]);
        assert_eq!(records("a,b\n1,", b',').unwrap()[1].1, ["1", ""]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_csv_crate(text in r#"([ab";,\n\r é]|"[a,"\n]*"){0,40}"#) {
            match records(&text, b';') {
                Ok(all) => {
                    let all: Vec<_> = all.into_iter().map(|(_, fields)| fields).collect();
                    prop_assert_eq!(all, reference(&text, b';'));
                }
                Err(RecordError::UnclosedQuote { .. }) => prop_assert!(text.contains('"')),
                Err(error) => prop_assert!(false, "{error:?}"),
            }
        }
    }
}
