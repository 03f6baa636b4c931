//! Text as CSV records, many at a time: delimiters, quotes, embedded line ends, and nothing silently repaired.
//!
//! The rules are those of the `csv` crate (a quote opens only at the start of a field, `""` inside quotes is one quote,
//! `\n`, `\r\n` and `\r` end a record, blank lines are skipped), with two differences: a quote that is never closed is an
//! error, not a last field, and so is text between a closing quote and the delimiter: in a file whose writer escapes quotes
//! in another way than its reader expects, that is where rows begin to vanish. A property test holds the two against each
//! other. Lines are counted as editors do: each `\n` and `\r\n` ends one, also inside of quotes, and each `\r` between records; one
//! inside of quotes only where it is the line end of the file.

mod block;
mod escaped;
mod line_end;

pub(crate) use self::block::Block;
use self::block::Field;
use super::dialect::{self, DEFAULT_DELIMITER, Dialect, Escape};
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
    /// The quote that opens on this line is never closed.
    UnclosedQuote {
        /// The number of the line, from 1.
        line: u64,
    },
    /// The quote on this line closes a field, and neither a delimiter nor a line end follows it.
    TextAfterQuote {
        /// The number of the line, from 1.
        line: u64,
    },
    /// The file ends, on this line, in a backslash that is to escape what follows it.
    OpenEscape {
        /// The number of the line, from 1.
        line: u64,
    },
    /// The record on this line starts with a byte order mark.
    Mark {
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

/// Bytes that show whether a first line is Excel's: that line, in quotes, and its end.
const EXCEL_LINE: usize = "\"sep=;\"\n".len();

/// U+FEFF in UTF-8. At the start of a file it is no text; at the start of another record, another file was appended here.
const MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// Stands for a quote where there is none: no UTF-8 text holds this byte.
const NO_QUOTE: u8 = 0xFF;

/// A reader of records.
pub(crate) struct Records {
    blocks: TextBlocks,
    text: String,
    /// The length of the text; what is behind it are the unescaped texts of the block last given.
    limit: usize,
    at: usize,
    ended: bool,
    line: u64,
    /// Whether the last line end that was passed is a `\r`, whose `\n` may follow.
    after_cr: bool,
    /// Whether the file's first line ends in a lone `\r`; not known before it has.
    lone_cr: Option<bool>,
    delimiter: u8,
    quote: u8,
    escape: Escape,
    marks: Marks,
    /// The fields and the lines of the block's records, one record after the other.
    fields: Vec<Field>,
    lines: Vec<u64>,
    /// Where the block's first record begins.
    start: usize,
    /// Whether a field of the current record is quoted or holds an escaped line end: only then can it be of several lines.
    multiline: bool,
    unescaped: String,
}

/// Why a record could not be taken.
enum Stop {
    /// The text ends before the record does; inside quotes, if there is the position of the one that opens them.
    Cut { quote: Option<usize> },
    /// Neither a delimiter nor a line end follows the closing quote at this position.
    TextAfterQuote { quote: usize },
    /// The file ends in the backslash at this position.
    OpenEscape { backslash: usize },
    /// The record starts with a byte order mark.
    Mark,
}

/// A field that is being taken.
struct Piece {
    start: usize,
    /// What comes before this position is copied already, if anything is.
    from: usize,
    /// Where its copy begins among the unescaped texts.
    copied: Option<usize>,
}

impl Piece {
    fn new(start: usize) -> Self {
        Self { start, from: start, copied: None }
    }
}

impl Records {
    /// Splits the text of `blocks`.
    pub(crate) fn new(blocks: TextBlocks, dialect: Dialect) -> Self {
        Self {
            blocks,
            text: String::new(),
            limit: 0,
            at: 0,
            ended: false,
            line: 1,
            after_cr: false,
            lone_cr: None,
            delimiter: dialect.delimiter.unwrap_or(DEFAULT_DELIMITER),
            quote: dialect.quote.unwrap_or(NO_QUOTE),
            escape: dialect.escape,
            marks: Marks::default(),
            fields: Vec::new(),
            lines: Vec::new(),
            start: 0,
            multiline: false,
            unescaped: String::new(),
        }
    }

    /// Where the file begins with Excel's `sep=;`, passes that line and gives its delimiter, which is in force from then on.
    pub(crate) fn excel_line(&mut self) -> Result<Option<u8>, RecordError> {
        while !self.ended && self.text.len() < EXCEL_LINE {
            self.read_more()?;
        }
        let Some((delimiter, length)) = dialect::excel_line(&self.text) else { return Ok(None) };
        (self.at, self.delimiter) = (length, delimiter);
        self.find_marks();
        Ok(Some(delimiter))
    }

    /// The next record, of whatever width; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<Block<'_>>, RecordError> {
        self.begin();
        let found = self.first()?;
        let width = self.fields.len();
        Ok(found.then(|| self.end(width)))
    }

    /// The next record as [`Self::next`] gives it, which stays the next.
    pub(crate) fn peek(&mut self) -> Result<Option<Block<'_>>, RecordError> {
        self.begin();
        let found = self.first()?;
        if let Some(&line) = self.lines.first() {
            (self.at, self.line) = (self.start, line);
        }
        let width = self.fields.len();
        Ok(found.then(|| self.end(width)))
    }

    /// The next records, at most `most` of them and none behind the one that reaches `bytes` bytes, each of `width` fields;
    /// `None` at the end of the file. An error is that of the next record: those before it have been given.
    pub(crate) fn block(&mut self, width: usize, most: usize, bytes: usize) -> Result<Option<Block<'_>>, RecordError> {
        self.begin();
        if !self.first()? {
            return Ok(None);
        }
        if self.fields.len() != width {
            return Err(RecordError::Ragged { line: self.lines[0], fields: self.fields.len() });
        }
        let full = self.start.saturating_add(bytes);
        while self.lines.len() < most && self.at < full && self.another(width) {}
        Ok(Some(self.end(width)))
    }

    fn end(&mut self, width: usize) -> Block<'_> {
        self.text.push_str(&self.unescaped);
        let bytes = self.at - self.start;
        Block { text: &self.text, fields: &self.fields, width, lines: &self.lines, bytes }
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
                    Ok(end) => {
                        self.start = self.at;
                        self.accept(end);
                        return Ok(true);
                    }
                    Err(stop) => self.wants_more(&stop)?,
                }
            } else if self.ended {
                return Ok(false);
            }
            self.begin();
            self.read_more()?;
        }
    }

    /// Whether a record that could not be taken may be whole once there is more text.
    fn wants_more(&mut self, stop: &Stop) -> Result<(), RecordError> {
        Err(match *stop {
            Stop::TextAfterQuote { quote } => RecordError::TextAfterQuote { line: self.line_of(quote) },
            Stop::Mark => RecordError::Mark { line: self.line },
            Stop::OpenEscape { backslash } => RecordError::OpenEscape { line: self.line_of(backslash) },
            Stop::Cut { quote: Some(quote) } if self.ended => RecordError::UnclosedQuote { line: self.line_of(quote) },
            Stop::Cut { .. } if self.text.len() - self.at > MAX_RECORD => RecordError::TooLong { line: self.line },
            Stop::Cut { .. } => return Ok(()),
        })
    }

    /// Takes the next record where all of it is at hand and it has `width` fields. Another is left for the next block, which
    /// it begins.
    fn another(&mut self, width: usize) -> bool {
        let taken = self.fields.len();
        self.skip_line_ends();
        if self.at < self.text.len()
            && let Ok(end) = self.scan()
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
        if self.multiline {
            self.learn_line_end(end);
            self.line = self.line_of(end);
        }
        self.after_cr = false;
        self.at = end;
    }

    /// Line ends before a record: the second half of `\r\n`, and blank lines.
    fn skip_line_ends(&mut self) {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b'\n') => {
                    self.line += u64::from(!self.after_cr);
                    self.lone_cr.get_or_insert(false);
                    self.after_cr = false;
                }
                Some(byte) => {
                    if self.after_cr {
                        self.lone_cr.get_or_insert(true);
                    }
                    if *byte != b'\r' {
                        return;
                    }
                    self.line += 1;
                    self.after_cr = true;
                }
                None => return,
            }
            self.at += 1;
        }
    }

    /// Drops what was taken and reads at least as much again as is held, so that long records cost linear time.
    fn read_more(&mut self) -> Result<(), RecordError> {
        self.text.drain(..self.at);
        self.at = 0;
        let wanted = self.text.len() * 2;
        loop {
            self.ended = match self.blocks.append_to(&mut self.text) {
                Ok(more) => !more,
                Err(error) => {
                    self.ended = true;
                    return Err(RecordError::Text { line: self.last_line(), error });
                }
            };
            if self.ended || self.text.len() > wanted {
                break;
            }
        }
        self.limit = self.text.len();
        self.find_marks();
        Ok(())
    }

    fn find_marks(&mut self) {
        let delimiter = self.delimiter;
        let ends = move |byte: u8| (byte == delimiter) | (byte == b'\n') | (byte == b'\r');
        match self.escape {
            Escape::Doubled => self.marks.find(self.text.as_bytes(), ends),
            Escape::Backslash => self.marks.find(self.text.as_bytes(), |byte| ends(byte) | (byte == b'\\')),
        }
    }

    /// Finds the fields of the record at `self.at`; gives its end.
    fn scan(&mut self) -> Result<usize, Stop> {
        self.multiline = false;
        if self.text.as_bytes().get(self.at) == Some(&MARK[0]) && self.text.as_bytes()[self.at..].starts_with(MARK) {
            return Err(Stop::Mark);
        }
        self.marks.seek(self.at);
        let end = match self.escape {
            Escape::Doubled => self.scan_fields(Self::field),
            Escape::Backslash => self.scan_fields(Self::escaped_field),
        }?;
        // The lines within the first record are counted by the line end behind it, all of which has to be at hand.
        let is_half = self.multiline && self.lone_cr.is_none() && !self.ended && end + 1 == self.text.len();
        if is_half { Err(Stop::Cut { quote: None }) } else { Ok(end) }
    }

    #[inline]
    fn scan_fields(&mut self, field: impl Fn(&mut Self, usize) -> Result<usize, Stop>) -> Result<usize, Stop> {
        let mut at = self.at;
        loop {
            let end = field(self, at)?;
            match self.text.as_bytes().get(end) {
                Some(&byte) if byte == self.delimiter => at = end + 1,
                _ => return Ok(end),
            }
        }
    }

    /// Takes the field at `at`; gives the position of what ends it.
    #[inline]
    fn field(&mut self, at: usize) -> Result<usize, Stop> {
        if self.text.as_bytes().get(at) == Some(&self.quote) {
            self.multiline = true;
            return self.quoted_field(at + 1);
        }
        let end = self.plain_end()?;
        self.fields.push(Field::new(at..end));
        Ok(end)
    }

    /// The position of the next mark, or of the end of the file.
    #[inline]
    fn plain_end(&mut self) -> Result<usize, Stop> {
        match self.marks.next() {
            Some(end) => Ok(end),
            None if self.ended => Ok(self.text.len()),
            None => Err(Stop::Cut { quote: None }),
        }
    }

    fn quoted_field(&mut self, start: usize) -> Result<usize, Stop> {
        let mut piece = Piece::new(start);
        loop {
            let bytes = self.text.as_bytes();
            let found = memchr::memchr(self.quote, &bytes[piece.from..]);
            let quote = piece.from + found.ok_or(Stop::Cut { quote: Some(start - 1) })?;
            if bytes.get(quote + 1) != Some(&self.quote) {
                return self.close_quoted(&piece, quote);
            }
            self.copy(&mut piece, quote + 1, quote + 2);
        }
    }

    /// The quote at `quote` closes the field.
    fn close_quoted(&mut self, piece: &Piece, quote: usize) -> Result<usize, Stop> {
        let end = quote + 1;
        match self.text.as_bytes().get(end) {
            Some(&byte) if byte == self.delimiter || byte == b'\n' || byte == b'\r' => {}
            Some(_) => return Err(Stop::TextAfterQuote { quote }),
            None if self.ended => {}
            None => return Err(Stop::Cut { quote: Some(piece.start - 1) }),
        }
        self.marks.seek(end + 1);
        self.take(piece, quote);
        Ok(end)
    }

    /// Copies the field's text up to `end` because what follows, up to `from`, does not belong to it as it is.
    fn copy(&mut self, piece: &mut Piece, end: usize, from: usize) {
        piece.copied.get_or_insert(self.unescaped.len());
        self.unescaped.push_str(&self.text[piece.from..end]);
        piece.from = from;
    }

    /// The field ends before `end`.
    fn take(&mut self, piece: &Piece, end: usize) {
        let range = match piece.copied {
            None => piece.start..end,
            Some(begin) => {
                self.unescaped.push_str(&self.text[piece.from..end]);
                self.limit + begin..self.limit + self.unescaped.len()
            }
        };
        self.fields.push(Field::new(range));
    }
}

#[cfg(test)]
mod tests;
