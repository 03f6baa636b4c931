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
            let more = self.blocks.append_to(&mut self.text);
            let line = || self.line + line_ends(self.text.as_bytes());
            self.ended = !more.map_err(|error| RecordError::Text { line: line(), error })?;
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

/// How many lines end in a text: at `\n`, at `\r\n`, and at a `\r` of its own.
fn line_ends(text: &[u8]) -> u64 {
    let alone = |&at: &usize| text[at] == b'\n' || text.get(at + 1) != Some(&b'\n');
    memchr::memchr2_iter(b'\n', b'\r', text).filter(alone).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Records by the lines on which they begin.
    type Lines = Vec<(u64, Vec<String>)>;

    /// Text that comes a few bytes at a time, so that every cut of a record occurs.
    fn few_at_a_time(text: &str, delimiter: u8, bytes: usize) -> Records {
        let source = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        Records::new(TextBlocks::sized(source, None, bytes), delimiter)
    }

    fn records(text: &str, delimiter: u8) -> Result<Lines, RecordError> {
        let mut records = few_at_a_time(text, delimiter, 4);
        let mut all = Vec::new();
        while let Some(record) = records.next()? {
            all.push((record.lines[0], record.first().map(str::to_owned).collect()));
        }
        Ok(all)
    }

    /// All records of `width` fields, by blocks of at most `most`, and what comes after them.
    fn by_blocks(mut records: Records, width: usize, most: usize) -> (Lines, Result<(), RecordError>) {
        let mut all: Lines = Vec::new();
        loop {
            let block = match records.block(width, most) {
                Ok(Some(block)) => block,
                Ok(None) => return (all, Ok(())),
                Err(error) => return (all, Err(error)),
            };
            assert!((1..=most).contains(&block.lines.len()));
            let columns: Vec<Vec<&str>> = (0..width).map(|index| block.column(index).collect()).collect();
            let record = |row: usize| columns.iter().map(|column| column[row].to_owned()).collect();
            all.extend(block.lines.iter().enumerate().map(|(row, &line)| (line, record(row))));
        }
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

        #[test]
        fn blocks_hold_the_records_up_to_the_first_fault(
            text in r#"(([ab" é]{0,3}|"([a;\n]|""){0,4}"[ab]?);([ab" ]{0,3}|"([a;\n]|""){0,4}")(;x)?(\r\n|[\n\r]|\n\n){1,2}){0,12}"?"#,
            most in 1_usize..8,
            bytes in 4_usize..80,
        ) {
            let mut one_by_one = few_at_a_time(&text, b';', 1000);
            let (mut expected, mut fault) = (Vec::new(), None);
            while fault.is_none() {
                match one_by_one.next() {
                    Ok(None) => break,
                    Ok(Some(record)) if record.first().count() == 2 => {
                        expected.push((record.lines[0], record.first().map(str::to_owned).collect()));
                    }
                    Ok(Some(record)) => {
                        fault = Some(RecordError::Ragged { line: record.lines[0], fields: record.first().count() });
                    }
                    Err(error) => fault = Some(error),
                }
            }
            let (found, end) = by_blocks(few_at_a_time(&text, b';', bytes), 2, most);
            prop_assert_eq!(found, expected);
            prop_assert_eq!(format!("{:?}", end.err()), format!("{fault:?}"));
        }
    }
}
