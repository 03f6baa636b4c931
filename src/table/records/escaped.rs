//! Fields of a file whose writer puts a backslash before what would end a field.
//!
//! What writers do: MySQL (`INTO OUTFILE`) and Python's `csv` escape quotes, backslashes, delimiters and line ends, with
//! quotes around a field or without; Spark escapes quotes inside of quotes. A backslash before anything else is text: MySQL's
//! `\N` is a matter of `null_values`. Doubled quotes inside of quotes are one quote here, too: pandas doubles them, and only
//! escapes backslashes, where `escapechar` is set alone; no writer that escapes quotes leaves two in a row, so nothing is
//! read in two ways. (PHP's `fputcsv` keeps a backslash *and* the quote behind it: what it means no reader can know.)

use super::{NO_QUOTE, Piece, Records, Stop};

impl Records {
    /// Takes the field at `at`; gives the position of what ends it.
    pub(super) fn escaped_field(&mut self, at: usize) -> Result<usize, Stop> {
        if self.text.as_bytes().get(at) == Some(&self.quote) {
            self.multiline = true;
            return self.escaped_quoted_field(at + 1);
        }
        let mut piece = Piece::new(at);
        loop {
            let mark = self.plain_end()?;
            if self.text.as_bytes().get(mark) != Some(&b'\\') {
                self.take(&piece, mark);
                return Ok(mark);
            }
            if let Some(after) = self.escaped(mark, None)? {
                self.copy(&mut piece, mark, mark + 1);
                self.marks.seek(after);
            }
        }
    }

    fn escaped_quoted_field(&mut self, start: usize) -> Result<usize, Stop> {
        let (mut piece, mut at, open) = (Piece::new(start), start, Some(start - 1));
        loop {
            let bytes = self.text.as_bytes();
            let found = at + memchr::memchr2(self.quote, b'\\', &bytes[at..]).ok_or(Stop::Cut { quote: open })?;
            if bytes[found] == b'\\' {
                at = found + 1;
                if let Some(after) = self.escaped(found, open)? {
                    self.copy(&mut piece, found, found + 1);
                    at = after;
                }
            } else if bytes.get(found + 1) == Some(&self.quote) {
                self.copy(&mut piece, found + 1, found + 2);
                at = found + 2;
            } else {
                return self.close_quoted(&piece, found);
            }
        }
    }

    /// The position behind what the backslash at `at` escapes, if it does; an escaped `\r` takes its `\n` along, which MySQL
    /// does not escape where lines end in both. `open` is the position of the quote that it is inside of.
    fn escaped(&mut self, at: usize, open: Option<usize>) -> Result<Option<usize>, Stop> {
        let bytes = self.text.as_bytes();
        let after = match bytes.get(at + 1) {
            None if self.ended && open.is_none() => return Err(Stop::OpenEscape { backslash: at }),
            None => return Err(Stop::Cut { quote: open }),
            Some(b'\r') => match bytes.get(at + 2..) {
                Some([b'\n', _, ..]) => at + 3,
                Some([] | [b'\n']) | None if !self.ended => return Err(Stop::Cut { quote: open }),
                // The last line end of a file ends its last line.
                _ => at + 2,
            },
            Some(&byte) if byte == b'\n' || self.is_escapable(byte) => at + 2,
            Some(_) => return Ok(None),
        };
        self.multiline |= matches!(bytes[at + 1], b'\r' | b'\n');
        Ok(Some(after))
    }

    /// Python escapes double quotes also where it quotes nothing.
    fn is_escapable(&self, byte: u8) -> bool {
        let quote = if self.quote == NO_QUOTE { b'"' } else { self.quote };
        byte == b'\\' || byte == self.delimiter || byte == quote
    }
}
