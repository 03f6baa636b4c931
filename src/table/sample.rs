//! How a dialect cuts the beginning of a file.

use std::io::Cursor;

use super::dialect::Dialect;
use super::encoding::Encoding;
use super::records::{RecordError, Records};
use super::text::TextBlocks;

/// Fewer bytes of text than the beginning of a file has, whatever its encoding, unless that is all of the file.
const WHOLE: usize = 128 * 1024 - 4;

/// The records of a file's beginning, as a dialect cuts it.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The cells of each record. The last one, which may be cut, is there only if it is all there is or the file is whole.
    pub(crate) records: Vec<Vec<String>>,
    /// Whether a quote closes a cell too early, or none closes it.
    pub(crate) faulty: bool,
}

impl Sample {
    /// Cuts `text` into `most` records at the most.
    pub(crate) fn cut(text: &str, dialect: Dialect, most: usize) -> Self {
        let source = Box::new(Cursor::new(text.as_bytes().to_vec()));
        let mut records = Records::new(TextBlocks::new(source, Some(Encoding::Utf8)), dialect);
        let mut sample = Self::default();
        while sample.records.len() < most {
            match records.next() {
                Ok(Some(record)) => sample.records.push(record.first().map(str::to_owned).collect()),
                Ok(None) => {
                    sample.drop_cut(text);
                    break;
                }
                Err(error) => {
                    sample.faulty = !is_cut(&error, text);
                    break;
                }
            }
        }
        sample
    }

    fn drop_cut(&mut self, text: &str) {
        if text.len() >= WHOLE && self.records.len() > 1 {
            self.records.pop();
        }
    }
}

/// Whether the fault is only that the text goes on: then the quote opens near its end.
fn is_cut(error: &RecordError, text: &str) -> bool {
    let lines = memchr::memchr2_iter(b'\n', b'\r', text.as_bytes()).count() as u64;
    match error {
        RecordError::UnclosedQuote { line } | RecordError::OpenEscape { line } => {
            text.len() >= WHOLE && *line > lines / 4 * 3
        }
        _ => false,
    }
}
